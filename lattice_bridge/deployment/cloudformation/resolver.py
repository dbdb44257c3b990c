"""Intrinsic functions: what CloudFormation would compute from the template alone.

Rule: what it would not know before it deploys is unresolved (`template_values`), and goes on as a text; a function that
is wrongly written is a fault with its place.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from lattice_bridge.deployment.cloudformation.conditions import Conditions
from lattice_bridge.deployment.cloudformation.fault import BadTemplate
from lattice_bridge.deployment.cloudformation.parameters import values_of
from lattice_bridge.deployment.cloudformation.stand_ins import FUNCTIONS, REFS_ARE_ARNS, StandIns
from lattice_bridge.deployment.cloudformation.values import as_text, marker, split, unresolved, without_dynamic

ABSENT: Final = object()
"""What `AWS::NoValue` comes to."""

_MOST_VALUES: Final = 1_000_000
_MOST_CHARACTERS: Final = 64_000_000
"""That resolving a template comes to. `!Sub` of `!Sub` of `!Sub` doubles a text at each level, and a function's name is
resolved wherever it is referred to."""

_SUB: Final = re.compile(r"\$\{(!?)([A-Za-z0-9_.:]+)\}")
_NAME_OF: Final[Mapping[str, str]] = {"AWS::IAM::Role": "RoleName", "AWS::IAM::ManagedPolicy": "ManagedPolicyName"}


class Resolver:
    """One template, with values for its parameters.

    Args:
        document: the template.
        parameters: values for its parameters and pseudo parameters; the others have their defaults.
        region: what `AWS::Region` is, unless `parameters` has another.
        deployed: what only a deployment knows is unresolved, and has no stand-in.
        expands: AWS adds resources when it deploys, so that a reference to what is not there may be to one of them.

    Attributes:
        stand_ins: for what a deployment would name.
        unresolved: functions that are not computed, each with its place.
        conditions: of the template.

    Raises:
        BadTemplate: a parameter has no value, or one that is not allowed.
    """

    def __init__(
        self,
        document: Mapping[str, Any],
        parameters: Mapping[str, str],
        region: str,
        *,
        deployed: bool,
        expands: bool = False,
    ) -> None:
        self._document = document
        self._deployed = deployed
        self._expands = expands
        self._resources: Mapping[str, Any] = document["Resources"]
        self.unresolved: list[tuple[str, str]] = []
        self._resolved = self._written = 0
        self.conditions = Conditions(
            document.get("Conditions") or {}, self._decided, lambda what, place: self.unresolved.append((what, place))
        )
        pseudo = {name: value for name, value in parameters.items() if name.startswith("AWS::")}
        self.stand_ins = StandIns(region, pseudo, deployed=deployed)
        own = {name: value for name, value in parameters.items() if name not in self.stand_ins.pseudo}
        self._values = {
            **self.stand_ins.pseudo,
            "AWS::NoValue": ABSENT,
            **values_of(document.get("Parameters") or {}, own, deployed=deployed),
        }

    def resolve(self, value: Any, place: str) -> Any:
        """What a value comes to; `ABSENT` for `AWS::NoValue`.

        Raises:
            BadTemplate: a function in it is malformed, or refers to what is not there.
        """
        self._count(values=1, characters=len(value) if isinstance(value, str) else 0)
        if isinstance(value, list):
            return [item for entry in value if (item := self.resolve(entry, place)) is not ABSENT]
        if isinstance(value, str) and self._deployed:
            return without_dynamic(value)
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            (key, argument) = next(iter(value.items()))
            if key == "Ref" or (isinstance(key, str) and key.startswith("Fn::")):
                return self._function(key, argument, place)
        resolved = {key: self.resolve(entry, f"{place}.{key}") for key, entry in value.items()}
        return {key: entry for key, entry in resolved.items() if entry is not ABSENT}

    def _count(self, *, values: int = 0, characters: int = 0) -> None:
        """Before each value and each text is made, so that a small template cannot fill the memory.

        Raises:
            BadTemplate: it comes to too many.
        """
        self._resolved += values
        self._written += characters
        if self._resolved > _MOST_VALUES or self._written > _MOST_CHARACTERS:
            raise BadTemplate(
                f"with its functions resolved, the template has more than {_MOST_VALUES:,} values or "
                f"{_MOST_CHARACTERS:,} characters. Fix: nest fewer functions, and refer to fewer names "
                "that are made of others"
            )

    def _decided(self, value: Any, place: str) -> Any:
        """What a value comes to, where a stand-in must not decide."""
        before = self._values
        self._values = {**before, **self.stand_ins.undecided}
        try:
            return self.resolve(value, place)
        finally:
            self._values = before

    def _function(self, name: str, argument: Any, place: str) -> Any:
        functions: dict[str, Callable[[Any, str], Any]] = {
            "Ref": self._ref,
            "Fn::GetAtt": self._get_att,
            "Fn::Sub": self._sub,
            "Fn::If": self._if,
            "Fn::Join": self._join,
            "Fn::Select": self._select,
            "Fn::FindInMap": self._find_in_map,
            "Fn::Split": self._split,
        }
        if name not in functions:
            self.unresolved.append((name, place))
            return marker(f"{name} {argument}" if isinstance(argument, str) else f"{name} at {place}")
        try:
            return functions[name](argument, place)
        except (LookupError, TypeError, ValueError) as error:
            raise BadTemplate(f"{place}: {name} is malformed: {error}") from error

    # ---- references

    def _ref(self, name: Any, place: str) -> Any:
        if name in self._values:
            return self._values[name]
        owner, dot, attribute = str(name).partition(".")
        if owner not in self._resources:
            return self._nowhere(f"{place}: Ref {name}: no such parameter or resource", str(name))
        if dot and attribute == "Alias":  # SAM: the alias that AutoPublishAlias makes
            return f"{self.arn(owner)}:{self.resolve(self.properties(owner).get('AutoPublishAlias'), place)}"
        kind = self._kind(owner)
        if kind in FUNCTIONS:
            return self._function_name(owner)
        if kind in ("AWS::Lambda::Alias", "AWS::Lambda::Version"):
            return self._qualified(owner, place)
        if kind.startswith("AWS::VpcLattice::") or kind == "AWS::IAM::ManagedPolicy":
            return self.arn(owner)
        if not self._deployed or kind.startswith("AWS::IAM::"):
            return self._own_name(owner)
        return self.arn(owner) if kind in REFS_ARE_ARNS else marker(owner)

    def _get_att(self, argument: Any, place: str) -> str:
        parts = argument.split(".", 1) if isinstance(argument, str) else argument
        owner, attribute = (as_text(self.resolve(part, place)) for part in parts)
        if owner not in self._resources:
            return self._nowhere(f"{place}: GetAtt {owner}.{attribute}: no such resource", f"{owner}.{attribute}")
        kind = self._kind(owner)
        if attribute == "Arn" and not (self._deployed and _is_custom(kind)):
            return self.arn(owner)
        if attribute == "Id" and (kind.startswith("AWS::VpcLattice::") or not self._deployed):
            return self.arn(owner).rpartition("/")[2]
        if (kind, attribute) in (("AWS::Lambda::Alias", "AliasArn"), ("AWS::Lambda::Version", "FunctionArn")):
            return self._qualified(owner, place)
        if (kind, attribute) == ("AWS::Lambda::Version", "Version"):
            return self.stand_ins.version(owner)
        if (kind, attribute) == ("AWS::IAM::ManagedPolicy", "PolicyArn"):
            return self.arn(owner)
        return self.stand_ins.attribute(owner, attribute)

    def _nowhere(self, fault: str, reference: str) -> str:
        if not self._expands:
            raise BadTemplate(fault)
        return marker(reference)

    def _qualified(self, owner: str, place: str) -> str:
        """The ARN of an alias or version."""
        properties = self.properties(owner)
        function = as_text(self.resolve(properties.get("FunctionName"), place)).rpartition(":")[2]
        alias = self._kind(owner) == "AWS::Lambda::Alias"
        qualifier = self.resolve(properties.get("Name"), place) if alias else self.stand_ins.version(owner)
        return f"{self.stand_ins.function_arn(function)}:{qualifier}"

    def arn(self, name: str) -> str:
        """The ARN that a resource would have."""
        kind = self._kind(name)
        if kind in FUNCTIONS:
            return self.stand_ins.function_arn(self._function_name(name))
        return self.stand_ins.arn(name, kind, self._own_name(name))

    def _function_name(self, name: str) -> str:
        given = self.resolve(self.properties(name).get("FunctionName"), name)
        return self.stand_ins.function_name(name) if given is None or given is ABSENT else as_text(given)

    def _own_name(self, name: str) -> str:
        given = self.resolve(self.properties(name).get(_NAME_OF.get(self._kind(name), "")), name)
        return name if given is None or given is ABSENT else as_text(given)

    def _kind(self, name: str) -> str:
        return str(self._resources[name].get("Type", ""))

    def properties(self, name: str) -> dict[str, Any]:
        """As written. SAM: `Globals.Function` under each function's own; maps are merged, the rest replaced."""
        own = self._resources[name].get("Properties") or {}
        if self._kind(name) != "AWS::Serverless::Function":
            return dict(own)
        common = (self._document.get("Globals") or {}).get("Function") or {}
        self._count(values=sum(len(value) for value in common.values() if isinstance(value, dict)))
        return _merge(common, own)

    # ---- texts, lists, maps

    def _sub(self, argument: Any, place: str) -> str:
        text, local = argument if isinstance(argument, list) else (argument, {})
        values = {key: self.resolve(value, place) for key, value in local.items()}

        def replace(match: re.Match[str]) -> str:
            literal, name = match.groups()
            if literal:
                return f"${{{name}}}"
            attribute = "." in name and not name.endswith(".Alias")
            if name in values:
                found = values[name]
            else:
                found = self._get_att(name, place) if attribute else self._ref(name, place)
            text = as_text(found)
            self._count(values=1, characters=len(text))
            return text

        found = _SUB.sub(replace, as_text(text))
        return without_dynamic(found) if self._deployed else found

    def _join(self, argument: Any, place: str) -> str:
        separator, parts = argument
        found = self.resolve(parts, place)
        texts = list(map(as_text, found)) if isinstance(found, list) else [as_text(found)]
        between = as_text(separator)
        self._count(characters=sum(map(len, texts)) + len(between) * len(texts))
        text = between.join(texts)
        return without_dynamic(text) if self._deployed else text

    def _split(self, argument: Any, place: str) -> Any:
        separator, text = (as_text(self.resolve(part, place)) for part in argument)
        self._count(values=text.count(separator) if separator else 0)
        parts = split(text, separator)
        return text if unresolved(text) and len(parts) == 1 else parts

    def _select(self, argument: Any, place: str) -> Any:
        index, found = (self.resolve(part, place) for part in argument)
        if unresolved(index) or (unresolved(found) and not (isinstance(found, list) and int(index) < len(found))):
            return marker(f"Fn::Select at {place}")
        if not isinstance(found, list):
            raise TypeError("the second part is no list")
        return found[int(index)]

    def _find_in_map(self, argument: Any, place: str) -> Any:
        mapping, first, second = (self.resolve(part, place) for part in argument[:3])
        entry = (self._document.get("Mappings") or {}).get(mapping, {}).get(first) or {}
        if second in entry:
            return self.resolve(entry[second], place)
        default = argument[3] if len(argument) == 4 else {}
        if "DefaultValue" in default:
            return self.resolve(default["DefaultValue"], place)
        if not unresolved(self._decided(argument[:3], place)):
            raise BadTemplate(f"{place}: FindInMap: there is no {mapping}.{first}.{second} in Mappings")
        self.unresolved.append(("Fn::FindInMap", place))
        return marker(f"Fn::FindInMap {mapping} {first} {second}")

    def _if(self, argument: Any, place: str) -> Any:
        condition, yes, no = argument
        return self.resolve(yes if self.conditions.holds(condition) else no, place)


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


def _is_custom(kind: str) -> bool:
    """Whoever made the type says what its attributes are."""
    return not kind.startswith("AWS::") or kind == "AWS::CloudFormation::CustomResource"


def _is_call(value: Mapping[str, Any]) -> bool:
    key = str(next(iter(value), ""))
    return len(value) == 1 and (key == "Ref" or key.startswith("Fn::"))
