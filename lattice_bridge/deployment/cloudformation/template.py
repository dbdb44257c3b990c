"""A template, SAM or CloudFormation → its resources with every reference resolved.

Rule: what CloudFormation computes from the template alone is computed here. What only a deployed stack knows is a
stable placeholder, or unresolved. Nothing is requested from AWS.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from lattice_bridge.deployment.cloudformation.resolver import Resolver
from lattice_bridge.deployment.cloudformation.sam import is_sam, transforms_of, translated
from lattice_bridge.deployment.cloudformation.served_sam import generates, translated_to_serve
from lattice_bridge.deployment.cloudformation.text import (
    BadTemplate,
    RepeatedKeys,
    malformed,
    read_document,
    read_text,
)
from lattice_bridge.deployment.cloudformation.values import ACCOUNT, as_text

_FOLLOWED: Final = ("AWS::LanguageExtensions", "AWS::Serverless-2016-10-31")
"""Transforms that are followed here, or whose effect is visible where it is used."""


@dataclass(frozen=True, slots=True)
class Resource:
    """One resource, with its properties resolved.

    Attributes:
        id: its logical id.
        type: as in `AWS::Lambda::Function`.
        arn: the value of `!GetAtt X.Arn`.
        properties: plain values.
        ref: the value of `!Ref X`.
        attributes: values of `!GetAtt`, such as `ApiEndpoint` and `DNSName`, as far as they are known.
        metadata: of the resource, such as its `BuildMethod`.
    """

    id: str
    type: str
    arn: str
    properties: Mapping[str, Any]
    ref: str = ""
    attributes: Mapping[str, str] = field(default_factory=dict)
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Template:
    """A template, resolved.

    Attributes:
        folder: the folder that contains it; `CodeUri` is relative to it.
        region: the value of `AWS::Region`.
        resources: by logical id, in the order of the file; without those whose condition is false.
        unresolved: intrinsic functions that are not computed, and undecided conditions, as (what, place) pairs.
        failed: assertions of the section Rules that do not hold, as (rule, description) pairs.
        given: the pseudo parameters that are known, with their values; the others are placeholders.
        notes: what a person who serves the template should know, as (sentence, place) pairs.
    """

    folder: Path
    region: str
    resources: Mapping[str, Resource]
    unresolved: tuple[tuple[str, str], ...] = ()
    failed: tuple[tuple[str, str], ...] = ()
    given: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[tuple[str, str], ...] = ()

    @property
    def account(self) -> str:
        """The value of `AWS::AccountId`."""
        return self.given.get("AWS::AccountId", ACCOUNT)

    def of_type(self, *types: str) -> list[Resource]:
        """The resources of some types, in the order of the file."""
        return [resource for resource in self.resources.values() if resource.type in types]


def read_template(
    path: Path, parameters: Mapping[str, str], region: str, *, ids: Mapping[str, str] = MappingProxyType({})
) -> Template:
    """The template in a file, for the local stack. SAM is translated if it generates resources that are served.

    Args:
        path: YAML or JSON.
        parameters: values for the template's parameters; the others have their defaults.
        region: the value of `AWS::Region`.
        ids: ids of deployed resources, by logical id, in place of generated ones.

    Raises:
        BadTemplate: with the place of the fault, or the translator is needed and not installed.
    """
    repeated: RepeatedKeys = []
    document = read_document(read_text(path), str(path), repeated)
    notes = [(f"{key} occurs twice, and the last one is used, as on AWS", f"line {line}") for key, line in repeated]
    if generates(document):
        document, refused = translated_to_serve(document, path.parent, str(path), parameters, region)
        notes += refused
    return replace(resolve(document, path, parameters, region, ids=ids), notes=tuple(notes))


def read_translated(
    path: Path, parameters: Mapping[str, str], region: str, *, deployed: bool = False, text: str | None = None
) -> Template:
    """The template in a file, as CloudFormation would make it: SAM is translated.

    Args:
        path: YAML or JSON; the files that it refers to are beside it.
        parameters: values for the template's parameters and pseudo parameters; the others have their defaults.
        region: the value of `AWS::Region`, unless `parameters` has another.
        deployed: what only a deployment knows is unresolved; otherwise a placeholder replaces it.
        text: of the file, if it is read already.

    Raises:
        BadTemplate: it cannot be read, or the translator is not installed.
        NotTranslated: the translator refuses it.
    """
    document = read_document(read_text(path) if text is None else text, str(path))
    left = [(name, "Transform") for name in transforms_of(document) if name not in _FOLLOWED]
    left += _set_aside(document)
    expands = bool(left)
    if is_sam(document):
        document, unread = translated(document, path.parent, str(path), parameters, region)
        left += unread
    template = resolve(document, path, parameters, region, deployed=deployed, expands=expands)
    return replace(template, unresolved=(*left, *template.unresolved))


def _set_aside(document: dict[str, Any]) -> list[tuple[str, str]]:
    """Takes the functions out of Resources that only AWS expands. Returns them, each with its place."""
    resources = document["Resources"]
    names = [name for name in resources if isinstance(name, str) and name.startswith("Fn::")]
    for name in names:
        del resources[name]
    return [(name, "Resources") for name in names]


def resolve(
    document: Mapping[str, Any],
    path: Path,
    parameters: Mapping[str, str],
    region: str,
    *,
    deployed: bool = False,
    expands: bool = False,
    ids: Mapping[str, str] = MappingProxyType({}),
) -> Template:
    """A template that is read already, with every reference resolved.

    Args:
        document: the template.
        path: of its file.
        parameters: values for the template's parameters and pseudo parameters; the others have their defaults.
        region: the value of `AWS::Region`, unless `parameters` has another.
        deployed: what only a deployment knows is unresolved; otherwise a placeholder replaces it.
        expands: AWS adds resources when it deploys, so a reference to an unknown resource may be to one of them.
        ids: ids of deployed resources, by logical id, in place of generated ones.

    Raises:
        BadTemplate: with the place of the fault.
    """
    with malformed(str(path)):
        resolver = Resolver(document, parameters, region, deployed=deployed, expands=expands, ids=ids)
        failed = tuple(resolver.conditions.failed(document.get("Rules") or {})) if deployed else ()
    resources = _resources(document["Resources"], resolver)
    given = {name: value for name, value in parameters.items() if name.startswith("AWS::")}
    region = resolver.placeholders.region
    return Template(path.resolve().parent, region, resources, tuple(resolver.unresolved), failed, given)


def _resources(written: Mapping[str, Any], resolver: Resolver) -> dict[str, Resource]:
    found: dict[str, Resource] = {}
    for name, body in written.items():
        if not isinstance(body, dict) or not isinstance(body.get("Type"), str):
            raise BadTemplate(f"resource {name}: no Type. Fix: write one, as in Type: AWS::Lambda::Function")
        with malformed(f"resource {name}"):
            if "Condition" in body and not resolver.conditions.holds(body["Condition"]):
                continue
            properties = resolver.resolve(resolver.properties(name), name)
            known = resolver.identifiers(name)
            found[name] = Resource(
                str(name),
                body["Type"],
                resolver.arn(name),
                properties,
                as_text(resolver.resolve({"Ref": name}, name)),
                known.attributes,
                body.get("Metadata") or {},
            )
    return found


def number(value: object, place: str, name: str) -> float:
    """A positive number in a template, where YAML may have a string.

    Raises:
        BadTemplate: it is not a positive number.
    """
    try:
        found = float(str(value))
    except ValueError:
        found = 0.0
    if not 0 < found < math.inf:
        raise BadTemplate(f"{place}.{name}: {value!r} is not a positive number")
    return found
