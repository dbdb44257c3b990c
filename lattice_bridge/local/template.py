"""template.yaml -> resources with every reference resolved.

Rule: what CloudFormation would compute from the template alone is computed here; what only a deployed stack knows gets
a stable stand-in. Nothing is served or started here.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

ACCOUNT: Final = "123456789012"


class BadTemplate(Exception):
    """The template cannot be read, or refers to what is not there. The message says where, and what to do."""


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
    """

    folder: Path
    region: str
    resources: Mapping[str, Resource]
    unresolved: tuple[tuple[str, str], ...] = ()

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
    try:
        document = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)  # noqa: S506 - derives from SafeLoader
    except OSError as error:
        raise BadTemplate(f"{path}: {error.strerror or error}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise BadTemplate(f"{path}: not YAML: {error}") from error
    return resolve(document, path, parameters, region)


def resolve(document: object, path: Path, parameters: Mapping[str, str], region: str) -> Template:
    """A template that is read already.

    Args:
        document: what stands in it.
        path: where it was.
        parameters: values for the template's parameters; the others have their defaults.
        region: what `AWS::Region` is.

    Raises:
        BadTemplate: with the place of the fault.
    """
    if not isinstance(document, dict) or not isinstance(document.get("Resources"), dict):
        raise BadTemplate(f"{path}: no Resources; is this a CloudFormation or SAM template?")
    with malformed(str(path)):
        resolver = _Resolver(document, parameters, region)
    resources = resolver.resources()
    return Template(path.resolve().parent, region, resources, tuple(resolver.unresolved))


@contextmanager
def malformed(place: str) -> Iterator[None]:
    """Whatever breaks while a part of a template is read is that part's fault, and told as such."""
    try:
        yield
    except (AttributeError, LookupError, TypeError, ValueError, ArithmeticError, RecursionError) as error:
        what = f"{type(error).__name__}: {str(error)[:200]}"
        raise BadTemplate(f"{place}: malformed, not of the shape that CloudFormation documents ({what})") from error


# ---- YAML's short forms ---------------------------------------------------------------------------------------------


class _Loader(yaml.SafeLoader):
    """YAML with CloudFormation's tags: `!Sub x` reads as `{"Fn::Sub": "x"}`."""


def _tag(loader: _Loader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    value: Any
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        assert isinstance(node, yaml.MappingNode)
        value = loader.construct_mapping(node, deep=True)
    if suffix == "GetAtt" and isinstance(value, str):
        value = value.split(".", 1)
    return {suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}": value}


_Loader.add_multi_constructor("!", _tag)


# ---- references -----------------------------------------------------------------------------------------------------

_ABSENT: Final = object()
_SUB: Final = re.compile(r"\$\{(!?)([A-Za-z0-9_.:]+)\}")


class _Resolver:
    def __init__(self, document: Mapping[str, Any], parameters: Mapping[str, str], region: str) -> None:
        self._document = document
        self.unresolved: list[tuple[str, str]] = []
        self._resources: Mapping[str, Any] = document["Resources"]
        self._conditions: Mapping[str, Any] = document.get("Conditions") or {}
        self._values: dict[str, Any] = {
            "AWS::Region": region,
            "AWS::AccountId": ACCOUNT,
            "AWS::Partition": "aws",
            "AWS::StackName": "local",
            "AWS::StackId": f"arn:aws:cloudformation:{region}:{ACCOUNT}:stack/local/local",
            "AWS::URLSuffix": "amazonaws.com",
            "AWS::NoValue": _ABSENT,
            **self._parameters(parameters),
        }

    def _parameters(self, given: Mapping[str, str]) -> dict[str, Any]:
        declared: Mapping[str, Any] = self._document.get("Parameters") or {}
        unknown = sorted(set(given) - set(declared))
        if unknown:
            raise BadTemplate(f"no parameter {unknown[0]} in the template; it has {', '.join(declared) or 'none'}")
        values: dict[str, Any] = {}
        for name, declaration in declared.items():
            value = given.get(name, declaration.get("Default", _ABSENT))
            if value is _ABSENT:
                raise BadTemplate(f"parameter {name} has no default; give it with --parameter {name}=…")
            allowed = declaration.get("AllowedValues")
            if allowed and str(value) not in [str(option) for option in allowed]:
                raise BadTemplate(f"parameter {name}: {value!r} is not one of {', '.join(map(str, allowed))}")
            is_list = declaration.get("Type") in ("CommaDelimitedList", "List<String>")
            values[name] = [part.strip() for part in str(value).split(",")] if is_list else value
        return values

    def resources(self) -> dict[str, Resource]:
        found: dict[str, Resource] = {}
        for name, body in self._resources.items():
            if not isinstance(body, dict) or not isinstance(body.get("Type"), str):
                raise BadTemplate(f"resource {name}: no Type")
            with malformed(f"resource {name}"):
                if "Condition" in body and not self._condition(body["Condition"]):
                    continue
                properties = self._resolve(self._with_globals(body), name)
                found[name] = Resource(name, body["Type"], self.arn(name), properties)
        return found

    def _with_globals(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """SAM: `Globals.Function` under each function's own properties. Maps are merged, the rest replaced."""
        own = body.get("Properties") or {}
        if body["Type"] != "AWS::Serverless::Function":
            return dict(own)
        return _merge((self._document.get("Globals") or {}).get("Function") or {}, own)

    def _resolve(self, value: Any, place: str) -> Any:
        if isinstance(value, list):
            return [item for entry in value if (item := self._resolve(entry, place)) is not _ABSENT]
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            (key, argument) = next(iter(value.items()))
            if key == "Ref" or (isinstance(key, str) and key.startswith("Fn::")):
                return self._function(key, argument, place)
        resolved = {key: self._resolve(entry, f"{place}.{key}") for key, entry in value.items()}
        return {key: entry for key, entry in resolved.items() if entry is not _ABSENT}

    def _function(self, name: str, argument: Any, place: str) -> Any:
        functions: dict[str, Callable[[Any, str], Any]] = {
            "Ref": self._ref,
            "Fn::GetAtt": self._get_att,
            "Fn::Sub": self._sub,
            "Fn::If": self._if,
            "Fn::Join": self._join,
            "Fn::Select": lambda argument, place: self._resolve(argument[1], place)[int(argument[0])],
            "Fn::FindInMap": self._find_in_map,
            "Fn::Split": lambda argument, place: str(self._resolve(argument[1], place)).split(argument[0]),
        }
        if name not in functions:
            self.unresolved.append((name, place))
            return f"{{{name} is not resolved locally}}"
        try:
            return functions[name](argument, place)
        except (LookupError, TypeError, ValueError) as error:
            raise BadTemplate(f"{place}: {name} is malformed: {error}") from error

    def _ref(self, name: Any, place: str) -> Any:
        if name in self._values:
            return self._values[name]
        owner, dot, attribute = str(name).partition(".")
        if owner not in self._resources:
            raise BadTemplate(f"{place}: Ref {name}: no such parameter or resource")
        if dot and attribute == "Alias":  # SAM: the alias that AutoPublishAlias makes
            return f"{self.arn(owner)}:{self._resolve(self._properties(owner).get('AutoPublishAlias'), place)}"
        kind = self._resources[owner].get("Type", "")
        if kind in _FUNCTIONS:
            return self._name_of(owner)
        if kind == "AWS::Lambda::Alias":
            properties = self._properties(owner)
            function = str(self._resolve(properties.get("FunctionName"), place)).rpartition(":")[2]
            return f"{self._lambda_arn(function)}:{self._resolve(properties.get('Name'), place)}"
        return self.arn(owner) if kind.startswith("AWS::VpcLattice::") else owner

    def _get_att(self, argument: Any, place: str) -> str:
        owner, attribute = (str(part) for part in argument)
        if owner not in self._resources:
            raise BadTemplate(f"{place}: GetAtt {owner}.{attribute}: no such resource")
        if attribute == "Arn":
            return self.arn(owner)
        if attribute == "Id":
            return self.arn(owner).rpartition("/")[2]
        return f"{owner}.{attribute}"

    def _sub(self, argument: Any, place: str) -> str:
        text, local = argument if isinstance(argument, list) else (argument, {})
        values = {key: self._resolve(value, place) for key, value in local.items()}

        def replace(match: re.Match[str]) -> str:
            literal, name = match.groups()
            if literal:
                return f"${{{name}}}"
            if name in values:
                return str(values[name])
            return str(self._get_att(name.split(".", 1), place) if self._is_attribute(name) else self._ref(name, place))

        return _SUB.sub(replace, str(text))

    def _is_attribute(self, name: str) -> bool:
        return "." in name and not name.endswith(".Alias")

    def _join(self, argument: Any, place: str) -> str:
        separator, parts = argument
        return str(separator).join(str(part) for part in self._resolve(parts, place))

    def _find_in_map(self, argument: Any, place: str) -> Any:
        mapping, first, second = (self._resolve(part, place) for part in argument)
        return self._document["Mappings"][mapping][first][second]

    def _if(self, argument: Any, place: str) -> Any:
        condition, yes, no = argument
        return self._resolve(yes if self._condition(condition) else no, place)

    def _condition(self, name: Any) -> bool:
        if name not in self._conditions:
            raise BadTemplate(f"no condition {name}")
        return self._truth(self._conditions[name], f"Conditions.{name}")

    def _truth(self, value: Any, place: str) -> bool:
        key, argument = next(iter(value.items())) if isinstance(value, dict) and len(value) == 1 else (None, None)
        if key == "Condition":
            return self._condition(argument)
        if key == "Fn::Equals" and isinstance(argument, list) and len(argument) == 2:
            left, right = (str(self._resolve(side, place)) for side in argument)
            return left == right
        if key in ("Fn::And", "Fn::Or", "Fn::Not") and isinstance(argument, list):
            truths = [self._truth(part, place) for part in argument]
            return not truths[0] if key == "Fn::Not" else all(truths) if key == "Fn::And" else any(truths)
        raise BadTemplate(f"{place}: not a condition of Equals, And, Or, Not, Condition")

    # ---- stand-ins for what a deployment would name

    def _properties(self, name: str) -> Mapping[str, Any]:
        return self._with_globals(self._resources[name])

    def _name_of(self, name: str) -> str:
        given = self._properties(name).get("FunctionName")
        return name if given is None else str(self._resolve(given, name))

    def _lambda_arn(self, function: str) -> str:
        return f"arn:aws:lambda:{self._values['AWS::Region']}:{ACCOUNT}:function:{function}"

    def arn(self, name: str) -> str:
        """The ARN a resource would have; ids are made from the logical id, so they stay the same."""
        kind, region = self._resources[name].get("Type", ""), self._values["AWS::Region"]
        if kind in _FUNCTIONS:
            return self._lambda_arn(self._name_of(name))
        if kind in _LATTICE_KINDS:
            path, prefix = _LATTICE_KINDS[kind]
            unique = hashlib.sha256(name.encode()).hexdigest()[:17]
            return f"arn:aws:vpc-lattice:{region}:{ACCOUNT}:{path}/{prefix}-{unique}"
        return f"arn:aws:local:{region}:{ACCOUNT}:{name}"


_FUNCTIONS: Final = ("AWS::Serverless::Function", "AWS::Lambda::Function")
_LATTICE_KINDS: Final[Mapping[str, tuple[str, str]]] = {
    "AWS::VpcLattice::Service": ("service", "svc"),
    "AWS::VpcLattice::ServiceNetwork": ("servicenetwork", "sn"),
    "AWS::VpcLattice::TargetGroup": ("targetgroup", "tg"),
    "AWS::VpcLattice::Listener": ("listener", "listener"),
    "AWS::VpcLattice::Rule": ("rule", "rule"),
}


def _merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for key, value in above.items():
        under = merged.get(key)
        merged[key] = (
            _merge(under, value)
            if isinstance(under, dict) and isinstance(value, dict) and not _is_call(value)
            else value
        )
    return merged


def _is_call(value: Mapping[str, Any]) -> bool:
    return len(value) == 1 and str(next(iter(value))).startswith(("Ref", "Fn::"))


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
