"""template.yaml -> resources with every reference resolved.

Rule: what CloudFormation would compute from the template alone is computed here; what only a deployed stack knows gets
a stable stand-in, or is unresolved. Nothing is served or started here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from lattice_bridge.config.regular_file import MIB, BadFile, read_regular_text
from lattice_bridge.deployment.cloudformation.fault import BadTemplate, malformed
from lattice_bridge.deployment.cloudformation.resolver import Resolver
from lattice_bridge.deployment.cloudformation.stand_ins import ACCOUNT
from lattice_bridge.deployment.cloudformation.text import read_document

__all__ = [
    "ACCOUNT",
    "BadTemplate",
    "Resource",
    "Template",
    "malformed",
    "number",
    "read_template",
    "resolve",
    "text_of",
]


MAX_BYTES: Final = 4 * MIB
"""Bytes of a template. CloudFormation takes 1 MB."""


@dataclass(frozen=True, slots=True)
class Resource:
    """One resource, with its properties resolved.

    Attributes:
        id: its logical id.
        type: as in `AWS::Lambda::Function`.
        arn: what `!GetAtt X.Arn` gives.
        properties: plain values.
    """

    id: str
    type: str
    arn: str
    properties: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Template:
    """A template, resolved.

    Attributes:
        folder: where it is; `CodeUri` is relative to it.
        region: of the pretended deployment.
        resources: by logical id, in the order of the file; those whose condition is false are not there.
        unresolved: intrinsic functions that are not computed here, each with its place.
        failed: assertions of the section Rules that do not hold, each with its rule's name and what it says.
        given: the pseudo parameters that are no stand-ins, with their values.
    """

    folder: Path
    region: str
    resources: Mapping[str, Resource]
    unresolved: tuple[tuple[str, str], ...] = ()
    failed: tuple[tuple[str, str], ...] = ()
    given: Mapping[str, str] = field(default_factory=dict)

    def of_type(self, *types: str) -> list[Resource]:
        return [resource for resource in self.resources.values() if resource.type in types]


def read_template(path: Path, parameters: Mapping[str, str], region: str) -> Template:
    """The template in a file.

    Args:
        path: YAML or JSON.
        parameters: values for the template's parameters; the others have their defaults.
        region: what `AWS::Region` is.

    Raises:
        BadTemplate: with the place of the fault.
    """
    return resolve(read_document(text_of(path), str(path)), path, parameters, region)


def text_of(path: Path) -> str:
    """The text of a template's file.

    Raises:
        BadTemplate: there is none, it is not a regular file, over 4 MiB, or not UTF-8.
    """
    try:
        return read_regular_text(path, MAX_BYTES)
    except BadFile as error:
        raise BadTemplate(str(error)) from error


def resolve(
    document: Mapping[str, Any],
    path: Path,
    parameters: Mapping[str, str],
    region: str,
    *,
    deployed: bool = False,
    expands: bool = False,
) -> Template:
    """A template that is read already.

    Args:
        document: what stands in it.
        path: where it was.
        parameters: values for the template's parameters and pseudo parameters; the others have their defaults.
        region: what `AWS::Region` is, unless `parameters` has another.
        deployed: what only a deployment knows is unresolved, and has no stand-in.
        expands: AWS adds resources when it deploys, so that a reference to what is not there may be to one of them.

    Raises:
        BadTemplate: with the place of the fault.
    """
    with malformed(str(path)):
        resolver = Resolver(document, parameters, region, deployed=deployed, expands=expands)
        failed = tuple(resolver.conditions.failed(document.get("Rules") or {})) if deployed else ()
    resources = _resources(document["Resources"], resolver)
    given = {name: value for name, value in parameters.items() if name.startswith("AWS::")}
    where = resolver.stand_ins.region
    return Template(path.resolve().parent, where, resources, tuple(resolver.unresolved), failed, given)


def _resources(written: Mapping[str, Any], resolver: Resolver) -> dict[str, Resource]:
    found: dict[str, Resource] = {}
    for name, body in written.items():
        if not isinstance(body, dict) or not isinstance(body.get("Type"), str):
            raise BadTemplate(f"resource {name}: no Type")
        with malformed(f"resource {name}"):
            if "Condition" in body and not resolver.conditions.holds(body["Condition"]):
                continue
            properties = resolver.resolve(resolver.properties(name), name)
            found[name] = Resource(str(name), body["Type"], resolver.arn(name), properties)
    return found


def number(value: object, place: str, name: str) -> float:
    """A positive number out of a template, where YAML may have a string.

    Raises:
        BadTemplate: it is none.
    """
    try:
        found = float(str(value))
    except ValueError:
        found = 0.0
    if not 0 < found < math.inf:
        raise BadTemplate(f"{place}.{name}: {value!r} is not a positive number")
    return found
