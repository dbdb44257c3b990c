"""Tells the formats of events apart, and reads those that the bridge accepts: Lattice's, and what is enabled beside it.

Rule: an event with marks of two formats is refused, never read as either (trap A9, F6). Of a format that is not
enabled, or of an API or a target group that is not listed, nothing is read (trap F1).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from functools import cache
from importlib import import_module
from typing import Any, Final, NamedTuple, get_args

from lattice_bridge.errors import BadRequest
from lattice_bridge.formats import event as parts
from lattice_bridge.formats import lattice_v1, lattice_v2
from lattice_bridge.message import Format, Request

# Fields of other services. Lattice sends none of them. Frameworks read some of them before `headers`, and trust them.
_FOREIGN: Final = (
    "multiValueHeaders",
    "multiValueQueryStringParameters",
    "cookies",
    "httpMethod",
    "rawPath",
    "rawQueryString",
    "resource",
)

NEVER: Final = {1: frozenset((*lattice_v2.MARKS, *_FOREIGN)), 2: frozenset((*lattice_v1.MARKS, *_FOREIGN))}
"""Version of a Lattice event → fields with which it is refused."""

_NEVER_IN_V2_CONTEXT: Final = frozenset({"apiId", "authentication", "authorizer", "elb", "http"})
NEVER_IN_CONTEXT: Final[Mapping[str, frozenset[str]]] = {
    "apigateway-v2": frozenset({"elb", "identity", lattice_v2.SERVICE_ARN}),
    "apigateway-v1": frozenset({"elb", "http", lattice_v2.SERVICE_ARN}),
    "alb": frozenset({"apiId", "authentication", "authorizer", "http", "identity", lattice_v2.SERVICE_ARN}),
}
"""Format → fields of `requestContext` with which its events are refused. Each names a caller or a service elsewhere."""

_AUTHORIZERS: Final = frozenset({"methodArn", "routeArn"})
"""Fields of the event with which API Gateway asks a Lambda authorizer. It is not a request for a backend."""


class Enabled(NamedTuple):
    """The events that a bridge accepts. Lattice's always are; the others only if they are enabled here.

    Attributes:
        services: ARNs of the Lattice services that events may come from; empty for any.
        apis: ids of the REST and HTTP APIs that events may come from.
        target_groups: ARNs of the load balancers' target groups that events may come from.
        function_url: whether the function's own URL may send events.
    """

    services: frozenset[str] = frozenset()
    apis: frozenset[str] = frozenset()
    target_groups: frozenset[str] = frozenset()
    function_url: bool = False

    @property
    def formats(self) -> frozenset[Format]:
        """The formats that are enabled beside Lattice's."""
        found: set[Format] = set()
        if self.apis:
            found |= {"apigateway-v1", "apigateway-v2"}
        if self.target_groups:
            found.add("alb")
        if self.function_url:
            found.add("apigateway-v2")
        return frozenset(found)


LATTICE_ONLY: Final = Enabled()


def parse_event(
    event: object, *, apis: Collection[str] = (), target_groups: Collection[str] = (), function_url: bool = False
) -> Request:
    """The request in a Lattice event of either version, or in an event of what is enabled.

    >>> parse_event({"raw_path": "/orders?id=7", "method": "GET", "headers": {"host": "a.example"}}).query
    {'id': '7'}

    Args:
        event: the decoded JSON that Lambda passes to the handler.
        apis: ids of REST and HTTP APIs, as in `[apigateway] apis`.
        target_groups: ARNs of target groups, as in `[alb] target_groups`.
        function_url: whether an event of a function URL is accepted.

    Raises:
        BadRequest: an event of no known format or with marks of two, one of what is not enabled, or a malformed one;
            the detail lists every fault.
        Forbidden: the identity in it contradicts itself, or has no known shape.
    """
    if apis or target_groups or function_url:
        return receive(event, Enabled(frozenset(), frozenset(apis), frozenset(target_groups), function_url))
    if (request := _parse_lattice(event)) is None:
        raise _not_lattice()
    return request


def receive(event: object, enabled: Enabled = LATTICE_ONLY) -> Request:
    """The request in an event that the bridge accepts. `enabled.services` is not compared: see `bridge.check_service`.

    Raises:
        BadRequest, Forbidden: as for `parse_event`.
    """
    request = _parse_lattice(event)
    if request is None:
        check_enabled(event, enabled)
        request = _parse_other(event)
    return request


def parse_any(event: object) -> Request:
    """The request in an event of any format, enabled or not, for tools that read recorded events.

    Raises:
        BadRequest, Forbidden: as for `parse_event`.
    """
    return _parse_lattice(event) or _parse_other(event)


def _parse_lattice(event: object) -> Request | None:
    """The request in a Lattice event; None for an event of another format."""
    if not isinstance(event, (dict, Mapping)):
        raise BadRequest("not_lattice", f"the event is a {type(event).__name__}, not an object")
    if lattice_v2.recognises(event):
        _refuse_fields(event, 2)
        return lattice_v2.parse(event)
    if lattice_v1.recognises(event):
        _refuse_fields(event, 1)
        return lattice_v1.parse(event)
    return None


def _parse_other(event: object) -> Request:
    return parse_as(_known_format(event), event)


def _known_format(event: object) -> Format:
    name = format_of(event)
    if name is None:
        raise _not_lattice(", nor one of API Gateway or a load balancer")
    return name


def _not_lattice(more: str = "") -> BadRequest:
    neither = "neither a V1 event (raw_path, method, no requestContext)"
    return BadRequest("not_lattice", f"{neither} nor a V2 event (version 2.0, requestContext.serviceArn){more}")


def check_enabled(event: object, enabled: Enabled) -> None:
    """Refuses an event that is not Lattice's, unless what sent it is enabled. Reads nothing of it but that.

    Raises:
        BadRequest: `not_enabled`, or `not_lattice` for an event of no known format or with marks of two.
    """
    name = _known_format(event)
    assert isinstance(event, Mapping)  # it has a format
    if fault := _not_enabled(name, event, enabled):
        raise BadRequest("not_enabled", fault)


def _refuse_fields(event: Mapping[str, Any], version: int) -> None:
    never = NEVER[version]
    if not never.isdisjoint(event):
        mixed = ", ".join(name for name in event if name in never)
        raise BadRequest("not_lattice", f"a V{version} event with {mixed}, which it never has")
    if version == 2 and not _NEVER_IN_V2_CONTEXT.isdisjoint(event[lattice_v2.CONTEXT]):
        raise BadRequest("not_lattice", "a V2 event with a field of another service in requestContext")


def accepted_format(event: object, enabled: Enabled) -> Format | None:
    """The format of an event that is not Lattice's, if it is accepted. It may still be malformed."""
    name = format_of(event)
    if name is None or name in ("lattice-v1", "lattice-v2") or not isinstance(event, Mapping):
        return None
    return None if _not_enabled(name, event, enabled) else name


def format_of(event: object) -> Format | None:
    """The format whose marks an event has; None if it has those of none or of several.

    Its fields are not checked: that is done by the format's `parse`.
    """
    if not isinstance(event, Mapping):
        return None
    found: list[Format] = [name for name in get_args(Format) if module_of(name).recognises(event)]
    return found[0] if len(found) == 1 else None


@cache
def module_of(name: str) -> Any:
    """The module of a format. Imported on first use: most bridges write one format, and a cold start waits for each."""
    return import_module(f"lattice_bridge.formats.{name.replace('-', '_')}")


def parse_as(name: Format, event: object) -> Request:
    """The request in an event that must be of one format. It need not be enabled: the bridge uses `receive`.

    Raises:
        BadRequest: not an event of the format, marks of another one, or malformed; the detail lists every fault.
        Forbidden: the identity in it contradicts itself, or has no known shape.
    """
    if name in ("lattice-v1", "lattice-v2"):
        request = receive(event)
        if request.format != name:
            raise BadRequest("malformed_event", f"an event of {request.format}, not of {name}")
        return request
    module = module_of(name)
    if not isinstance(event, Mapping) or not module.recognises(event):
        raise BadRequest("malformed_event", f"not an event of {name}")
    if mixed := [mark for mark in _marks() if mark in event and mark not in module.FIELDS]:
        raise BadRequest("malformed_event", f"an event of {name} with {', '.join(mixed)}, which it never has")
    if mixed := sorted(NEVER_IN_CONTEXT[name].intersection(event[module.CONTEXT])):
        where = f"with {', '.join(mixed)} in {module.CONTEXT}"
        raise BadRequest("malformed_event", f"an event of {name} {where}, which it never has")
    request = module.parse(event)
    assert isinstance(request, Request)
    return request


@cache
def _marks() -> tuple[str, ...]:
    """The marks of all formats, and of events that are no requests."""
    return (*dict.fromkeys(mark for name in get_args(Format) for mark in module_of(name).MARKS), *_AUTHORIZERS)


# ---- what is enabled ------------------------------------------------------------------------------------------------

_ID: Final = re.compile(r"[a-z0-9]{1,64}")
_GROUP: Final = re.compile(r"arn:[!-~]{1,512}")
_FUNCTION_URL: Final = r"([a-z0-9]{1,64})\.lambda-url\.[a-z0-9-]+\.on\.(?:aws|amazonwebservices\.[a-z.]+)"


def is_function_url(context: Mapping[str, Any]) -> bool:
    """Whether a `requestContext` of payload 2.0 is that of a function URL. Its domain is AWS's own, so that no API can
    have it, and begins with the URL's id."""
    domain = context.get("domainName")
    match = re.fullmatch(_FUNCTION_URL, domain) if isinstance(domain, str) else None
    return match is not None and match[1] == context.get("apiId")


def _not_enabled(name: Format, event: Mapping[str, Any], enabled: Enabled) -> str | None:
    """Why an event of a format is not accepted, or None. Reads only the id of what sent it."""
    if name in ("lattice-v1", "lattice-v2"):
        return None
    context = event["requestContext"]
    if name == "alb":
        arn = context["elb"].get("targetGroupArn")
        if isinstance(arn, str) and arn in enabled.target_groups:
            return None
        shown = f" {arn}" if isinstance(arn, str) and _GROUP.fullmatch(arn) else ""
        return f"an event of the target group{shown}, which is not in [alb] target_groups"
    if name == "apigateway-v2" and is_function_url(context):
        return None if enabled.function_url else "an event of a function URL, and [function_url] is not enabled"
    api = context.get("apiId")
    if isinstance(api, str) and api in enabled.apis:
        return None
    shown = f" {api}" if isinstance(api, str) and _ID.fullmatch(api) else ""
    return f"an event of the API{shown}, which is not in [apigateway] apis"


# ---- of an event that may be anything -------------------------------------------------------------------------------


def method_of(event: object) -> str:
    """The method of an event that may be anything: the refusal of a HEAD request has no body either."""
    method = event.get(lattice_v2.METHOD) if isinstance(event, (dict, Mapping)) else None
    return method if isinstance(method, str) else ""


def request_id_of(event: object) -> str | None:
    """Lattice's id of an event that may be anything, so that a refused request can be found in Lattice's log too."""
    if not isinstance(event, (dict, Mapping)):
        return None
    of_v2 = parts.read_request_id(event.get(lattice_v2.REQUEST_ID))
    return parts.read_request_id(event.get(lattice_v1.REQUEST_ID)) if of_v2 is None else of_v2
