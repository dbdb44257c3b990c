"""Checks the parameters of an operation against AWS's own model of the service, which botocore contains.

Rule: what the model refuses is refused here, in the words of AWS, before an operation begins. So the operations read
parameters whose types are right.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from lattice_bridge.local.aws.protocol import AwsError, AwsRequest
from lattice_bridge.local.web.printable import printable

if TYPE_CHECKING:  # importing them takes longer than a stack may take to start
    from botocore.model import ServiceModel, Shape

_SHOWN: Final = 200
_MOST_FAULTS: Final = 10
_TYPES: Final[Mapping[str, tuple[type, ...]]] = {
    "boolean": (bool,),
    "double": (int, float),
    "float": (int, float),
    "integer": (int,),
    "list": (list,),
    "long": (int,),
    "map": (dict,),
    "string": (str,),
    "structure": (dict,),
    "timestamp": (int, float, str),
}


class _WrongType(Exception):
    """A parameter has another type than in the model. The message is its path."""


@cache
def service_model(service: str) -> ServiceModel:
    """AWS's model of a service, as in `events`."""
    from botocore.loaders import Loader
    from botocore.model import ServiceModel

    return ServiceModel(Loader().load_service_model(service, "service-2"), service)


def parameters(service: str, operation: str, request: AwsRequest) -> dict[str, Any]:
    """The parameters of an operation of AWS's JSON protocol, without those that are null.

    Args:
        service: as botocore names it.
        operation: that the model has.
        request: with its whole body.

    Raises:
        AwsError: the body is not JSON, or the model refuses it.
    """
    try:
        found = json.loads(request.body or b"{}")
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise AwsError(400, "SerializationException", "The body of the request is not a JSON object.")
    shape = service_model(service).operation_model(operation).input_shape
    if shape is None:
        return {}
    try:
        faults = list(_faults(shape, found, ""))
    except _WrongType as error:
        raise AwsError(400, "SerializationException", f"{error} has another type than in the API.") from None
    if faults:
        text = "; ".join(faults[:_MOST_FAULTS])
        count = f"{len(faults)} validation error{'' if len(faults) == 1 else 's'} detected"
        raise AwsError(400, "ValidationException", f"{count}: {text}")
    return {name: value for name, value in found.items() if value is not None}


def _faults(shape: Shape, value: Any, path: str) -> Iterator[str]:
    types = _TYPES.get(shape.type_name)
    is_right = types is not None and isinstance(value, types) and (bool in types or not isinstance(value, bool))
    if not is_right:
        raise _WrongType(printable(path) or "The request")
    for constraint in _broken(shape, value):
        yield _fault(value, path, constraint)
    if shape.type_name == "structure":
        yield from _members(shape, value, path)
    elif shape.type_name == "list":
        for index, element in enumerate(value, 1):
            yield from _faults(shape.member, element, f"{path}.{index}.member")
    elif shape.type_name == "map":
        for key, element in value.items():
            yield from _faults(shape.key, key, f"{path}.key")
            yield from _faults(shape.value, element, f"{path}.{key[:_SHOWN]}.member")


def _members(shape: Shape, value: Mapping[str, Any], path: str) -> Iterator[str]:
    for name, member in shape.members.items():
        here = f"{path}.{name[0].lower()}{name[1:]}".lstrip(".")
        if value.get(name) is not None:
            yield from _faults(member, value[name], here)
        elif name in shape.required_members:
            yield _fault(None, here, "Member must not be null")


def _fault(value: Any, path: str, constraint: str) -> str:
    shown = "null" if value is None else f"'{printable(str(value))[:_SHOWN]}'"
    return f"Value {shown} at '{printable(path)}' failed to satisfy constraint: {constraint}"


def _broken(shape: Shape, value: Any) -> Iterator[str]:
    limits = shape.metadata
    is_number = isinstance(value, int | float)
    what, size = ("value", value) if is_number else ("length", len(value))
    if "max" in limits and size > limits["max"]:
        yield f"Member must have {what} less than or equal to {limits['max']}"
    if "min" in limits and size < limits["min"]:
        yield f"Member must have {what} greater than or equal to {limits['min']}"
    if "pattern" in limits and isinstance(value, str) and not re.fullmatch(limits["pattern"], value):
        yield f"Member must satisfy regular expression pattern: {limits['pattern']}"
    if "enum" in limits and value not in limits["enum"]:
        yield f"Member must satisfy enum value set: [{', '.join(limits['enum'])}]"
