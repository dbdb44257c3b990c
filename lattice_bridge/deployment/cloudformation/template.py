"""A template, SAM or CloudFormation → its resources with every reference resolved.

Rule: what CloudFormation computes from the template alone is computed here. What only a deployed stack knows is a
stable placeholder, or unresolved. Nothing is requested from AWS.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from lattice_bridge.config.regular_file import BadFile, read_regular_text, real_path
from lattice_bridge.deployment.cloudformation.expansion import Includes, Loops, has_loops
from lattice_bridge.deployment.cloudformation.nested import Budget, Stack, Stacks, code_from
from lattice_bridge.deployment.cloudformation.parameters import hides, stand_ins
from lattice_bridge.deployment.cloudformation.resolver import Resolver
from lattice_bridge.deployment.cloudformation.sam import Translator, definition_files, is_sam, transforms_of
from lattice_bridge.deployment.cloudformation.served_sam import generates, translated_to_serve
from lattice_bridge.deployment.cloudformation.text import (
    MAX_BYTES,
    BadTemplate,
    RepeatedKeys,
    malformed,
    read_document,
    read_text,
)
from lattice_bridge.deployment.cloudformation.translation_cache import TranslationCache
from lattice_bridge.deployment.cloudformation.values import ACCOUNT, as_text

_FOLLOWED: Final = ("AWS::LanguageExtensions", "AWS::Serverless-2016-10-31")
"""Transforms that are followed here, or whose effect is visible where it is used."""

_STAND_IN: Final = "a parameter without a value has a stand-in. Fix: --parameter NAME=VALUE gives it one"


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
        files: that were read beside the template: included files, definitions, nested templates.
        absent: logical ids of the resources whose condition is false.
    """

    folder: Path
    region: str
    resources: Mapping[str, Resource]
    unresolved: tuple[tuple[str, str], ...] = ()
    failed: tuple[tuple[str, str], ...] = ()
    given: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[tuple[str, str], ...] = ()
    files: tuple[Path, ...] = ()
    absent: tuple[str, ...] = ()

    @property
    def account(self) -> str:
        """The value of `AWS::AccountId`."""
        return self.given.get("AWS::AccountId", ACCOUNT)

    def of_type(self, *types: str) -> list[Resource]:
        """The resources of some types, in the order of the file."""
        return [resource for resource in self.resources.values() if resource.type in types]


def read_template(
    path: Path,
    parameters: Mapping[str, str],
    region: str,
    *,
    ids: Mapping[str, str] = MappingProxyType({}),
    cache: TranslationCache | None = None,
) -> Template:
    """The template in a file, for the local stack, with the nested stacks that are files beside it.

    SAM is translated if it generates resources that are served.

    Args:
        path: YAML or JSON.
        parameters: values for the template's parameters; the others have their defaults, or stand-ins.
        region: the value of `AWS::Region`.
        ids: ids of deployed resources, by logical id, in place of generated ones.
        cache: of translations, because importing the translator takes long; None to keep none.

    Raises:
        BadTemplate: with the place of the fault, or the translator is needed and not installed.
    """
    folder = real_path(path).parent
    reader = _Served(folder, region, ids, cache)
    stack, resolver = reader.read(path, read_text(path), parameters)
    given = {name: value for name, value in parameters.items() if name.startswith("AWS::")}
    return Template(
        folder,
        resolver.placeholders.region,
        stack.resources,
        tuple(reader.unresolved),
        given=given,
        notes=tuple(reader.notes),
        files=tuple(dict.fromkeys(reader.files)),
        absent=tuple(reader.absent),
    )


class _Served:
    """Reads a template for the local stack, and the stacks that it nests.

    Attributes:
        unresolved, notes, files, absent: as of the template.
    """

    def __init__(self, root: Path, region: str, ids: Mapping[str, str], cache: TranslationCache | None) -> None:
        self._cache = cache
        self._root, self._region, self._ids = root, region, ids
        self._budget = Budget()
        self.unresolved: list[tuple[str, str]] = []
        self.notes: list[tuple[str, str]] = []
        self.files: list[Path] = []
        self.absent: list[str] = []

    def read(
        self, path: Path, text: str, parameters: Mapping[str, str], prefix: str = "", depth: int = 0
    ) -> tuple[Stack, Resolver]:
        """Reads one template.

        Args:
            path: of its file.
            text: of it.
            parameters: values for its parameters.
            prefix: of the logical ids of its resources.
            depth: the number of templates around it.
        """
        document, given, complete = self._document(path, text, parameters, prefix)

        def read_nested(name: str, file: Path, values: Mapping[str, str]) -> Stack:
            return self._nested(file, values, f"{prefix}{name}-", depth + 1)

        stacks = Stacks(path.parent, self._root, depth, self._budget, read_nested)
        with malformed(str(path)):
            resolver = Resolver(
                document,
                given,
                self._region,
                deployed=False,
                expands=not complete,
                ids=self._ids,
                prefix=prefix,
                stacks=stacks,
            )
            rules = resolver.conditions.failed(document.get("Rules") or {})
            self.notes += [(f"an assertion of Rules does not hold: {why}", f"{prefix}{name}") for name, why in rules]
        own = _resources(document["Resources"], resolver)
        self.absent += [f"{prefix}{name}" for name in document["Resources"] if name not in own]
        resources = self._with_nested(path, own, stacks, prefix)
        self.notes += [(reason, f"{prefix}{name}") for reason, name in stacks.unread]
        self.unresolved += [(what, f"{prefix}{place}") for what, place in resolver.unresolved]
        return Stack(resources, _outputs(document, resolver)), resolver

    def _with_nested(
        self, path: Path, resources: Mapping[str, Resource], stacks: Stacks, prefix: str
    ) -> dict[str, Resource]:
        """The resources of a template, with those of its nested stacks in place of the stacks."""
        found: dict[str, Resource] = {}
        for name, written in resources.items():
            resource = written
            stack = stacks.stack(name, resource.type, partial(dict, resource.properties))
            if stack is not None:
                found |= stack.resources
                continue
            if prefix:
                properties = code_from(path.resolve().parent, self._root, resource.type, resource.properties)
                resource = replace(resource, id=f"{prefix}{name}", properties=properties)
            found[f"{prefix}{name}"] = resource
        return found

    def _document(
        self, path: Path, text: str, parameters: Mapping[str, str], prefix: str
    ) -> tuple[dict[str, Any], Mapping[str, str], bool]:
        """A template, expanded and translated, the values of its parameters, and whether all of it was translated."""
        repeated: RepeatedKeys = []
        document = read_document(text, str(path), repeated)
        notes = [
            (f"{key} occurs twice, and the last one is used, as on AWS", f"line {line} of {path.name}")
            for key, line in repeated
        ]
        with malformed(str(path)):
            made = stand_ins(document.get("Parameters") or {}, parameters)
            notes += [(_STAND_IN, name if hides(document, name) else f"{name}={value}") for name, value in made.items()]
            self.files += definition_files(document, path.parent)
        given = {**made, **parameters}
        left = _expand(document, path, given, self._region, deployed=False, files=self.files)
        refused: list[tuple[str, str]] = []
        with malformed(str(path)):
            needs_translation = generates(document)
        if needs_translation:
            translator = Translator(path.parent, str(path), given, self._region, self._cache)
            document, refused = translated_to_serve(document, translator)
        notes += refused
        self.notes += [(sentence, f"{prefix}{place}") for sentence, place in notes]
        self.unresolved += [(what, f"{prefix}{place}") for what, place in left]
        return document, given, not (refused or left)

    def _nested(self, path: Path, parameters: Mapping[str, str], prefix: str, depth: int) -> Stack:
        try:
            text = read_regular_text(path, MAX_BYTES, within=self._root)
        except BadFile as error:
            raise BadTemplate(str(error)) from error
        self.files.append(path)
        return self.read(path, text, parameters, prefix, depth)[0]


def _outputs(document: Mapping[str, Any], resolver: Resolver) -> Callable[[str], Any]:
    written = document.get("Outputs") or {}

    def output(name: str) -> Any:
        if name not in written:
            raise BadTemplate(f"a nested stack has no output {name}; it has {', '.join(map(str, written)) or 'none'}")
        with malformed(f"Outputs.{name}"):
            return resolver.resolve(written[name]["Value"], f"Outputs.{name}")

    return output


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
    left = _expand(document, path, parameters, region, deployed=deployed, files=[])
    expands = bool(left)
    if is_sam(document):
        document, unread = Translator(path.parent, str(path), parameters, region).translate(document)
        left += unread
    template = resolve(document, path, parameters, region, deployed=deployed, expands=expands)
    return replace(template, unresolved=(*left, *template.unresolved))


def _expand(
    document: dict[str, Any],
    path: Path,
    parameters: Mapping[str, str],
    region: str,
    *,
    deployed: bool,
    files: list[Path],
) -> list[tuple[str, str]]:
    """Puts included files and the copies of loops into a template. Returns what only AWS expands, with its place.

    `files` gets the included files.
    """
    with malformed(str(path)):
        includes = Includes(path.parent)
        includes.expand(document)
        files += includes.files
        left = [(name, "Transform") for name in transforms_of(document) if name not in _FOLLOWED] + includes.unread
        if has_loops(document):
            resolver = Resolver({**document, "Resources": {}}, parameters, region, deployed=deployed)
            loops = Loops(resolver.resolve, resolver.count)
            loops.expand(document)
    resources = document["Resources"]
    names = [name for name in resources if isinstance(name, str) and name.startswith("Fn::")]
    for name in names:
        del resources[name]
    return left + [(name, "Resources") for name in names]


def resolve(
    document: Mapping[str, Any],
    path: Path,
    parameters: Mapping[str, str],
    region: str,
    *,
    deployed: bool = False,
    expands: bool = False,
) -> Template:
    """A template that is read already, with every reference resolved.

    Args:
        document: the template.
        path: of its file.
        parameters: values for the template's parameters and pseudo parameters; the others have their defaults.
        region: the value of `AWS::Region`, unless `parameters` has another.
        deployed: what only a deployment knows is unresolved; otherwise a placeholder replaces it.
        expands: AWS adds resources when it deploys, so a reference to an unknown resource may be to one of them.

    Raises:
        BadTemplate: with the place of the fault.
    """
    with malformed(str(path)):
        resolver = Resolver(document, parameters, region, deployed=deployed, expands=expands)
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
