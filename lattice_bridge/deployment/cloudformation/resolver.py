"""Intrinsic functions and conditions: what CloudFormation computes from the template alone.

Rule: a value that CloudFormation learns only when it deploys is a marker (`values`), and a condition on it is undecided
and never counts as true. A malformed function is a fault with its place.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final, TypeAlias

from lattice_bridge.config.words import nearest
from lattice_bridge.deployment.cloudformation.functions import COMPUTED
from lattice_bridge.deployment.cloudformation.identifiers import Identifiers, shape_of
from lattice_bridge.deployment.cloudformation.nested import OUTPUTS, STACKS, Stacks
from lattice_bridge.deployment.cloudformation.parameters import parameter_values
from lattice_bridge.deployment.cloudformation.sam import with_globals
from lattice_bridge.deployment.cloudformation.text import BadTemplate
from lattice_bridge.deployment.cloudformation.values import (
    FUNCTIONS,
    Placeholders,
    as_text,
    marker,
    split,
    unresolved,
    without_dynamic,
)


class _NoValue:
    def __repr__(self) -> str:
        return "AWS::NoValue"


ABSENT: Final = _NoValue()
"""The value of `AWS::NoValue`. CloudFormation refuses it inside a text; there, its name stays visible."""

_MAX_VALUES: Final = 1_000_000
_MAX_CHARACTERS: Final = 64_000_000
"""Limits of what resolving a template makes. `!Sub` of `!Sub` of `!Sub` doubles a text at each level, and a function's
name is resolved at each reference."""

_FIFO: Final = ("FifoQueue", "FifoTopic")
"""Properties that give a generated name the ending `.fifo`."""
_SUB: Final = re.compile(r"\$\{(!?)([A-Za-z0-9_.:]+)\}")


class Resolver:
    """A template with values for its parameters.

    Args:
        document: the template.
        parameters: values for its parameters and pseudo parameters; the other parameters have their defaults.
        region: the value of `AWS::Region`, unless `parameters` has another.
        deployed: what only a deployment knows is unresolved; otherwise a placeholder replaces it.
        expands: AWS adds resources when it deploys, so a reference to an unknown resource may be to one of them.
        ids: ids of deployed resources, by logical id, in place of generated ones.
        prefix: of the names of a nested stack's resources.
        stacks: the nested stacks of the template; None if they are not read.

    Attributes:
        placeholders: for the names that a deployment would give.
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
        ids: Mapping[str, str] = MappingProxyType({}),
        prefix: str = "",
        stacks: Stacks | None = None,
    ) -> None:
        self._document = document
        self._stacks = stacks
        self._deployed = deployed
        self._expands = expands
        self._resources: Mapping[str, Any] = document["Resources"]
        self.unresolved: list[tuple[str, str]] = []
        self._functions = self._table()
        self._properties: dict[str, dict[str, Any]] = {}
        self._identifiers: dict[str, Identifiers] = {}
        self._resolved = self._written = 0
        self.conditions = Conditions(
            document.get("Conditions") or {}, self._decided, lambda what, place: self.unresolved.append((what, place))
        )
        pseudo = {name: value for name, value in parameters.items() if name.startswith("AWS::")}
        self.placeholders = Placeholders(region, pseudo, deployed=deployed, ids=ids, prefix=prefix)
        own = {name: value for name, value in parameters.items() if name not in self.placeholders.pseudo}
        self._values = {
            **self.placeholders.pseudo,
            "AWS::NoValue": ABSENT,
            **parameter_values(document.get("Parameters") or {}, own, deployed=deployed),
        }

    def _table(self) -> Mapping[str, Callable[[Any, str], Any]]:
        """The functions that are computed here, by name."""
        return {
            "Ref": self._ref,
            "Fn::GetAtt": self._get_att,
            "Fn::Sub": self._sub,
            "Fn::If": self._if,
            "Fn::Join": self._join,
            "Fn::Select": self._select,
            "Fn::FindInMap": self._find_in_map,
            "Fn::Split": self._split,
            "Fn::GetAZs": self._zones,
        }

    def resolve(self, value: Any, place: str) -> Any:
        """The value that an expression has; `ABSENT` for `AWS::NoValue`.

        Raises:
            BadTemplate: a function in it is malformed, or refers to something that does not exist.
        """
        self.count(1, len(value) if isinstance(value, str) else 0)
        if isinstance(value, list):
            return [item for entry in value if (item := self.resolve(entry, place)) is not ABSENT]
        if isinstance(value, str):
            return self._without_dynamic(value, place)
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            (key, argument) = next(iter(value.items()))
            if key == "Ref" or (isinstance(key, str) and key.startswith("Fn::")):
                return self._function(key, argument, place)
        resolved = {key: self.resolve(entry, f"{place}.{key}") for key, entry in value.items()}
        return {key: entry for key, entry in resolved.items() if entry is not ABSENT}

    def count(self, values: int, characters: int = 0) -> None:
        """Counts each value and text before it is made, so that a small template cannot fill the memory.

        Raises:
            BadTemplate: there are too many.
        """
        self._resolved += values
        self._written += characters
        if self._resolved > _MAX_VALUES or self._written > _MAX_CHARACTERS:
            raise BadTemplate(
                f"with its functions resolved, the template has more than {_MAX_VALUES:,} values or "
                f"{_MAX_CHARACTERS:,} characters. Fix: nest fewer functions, and refer to fewer names "
                "that contain other names"
            )

    def _without_dynamic(self, text: str, place: str) -> str:
        """A text with a marker for each `{{resolve:…}}`, which AWS fills in."""
        found = without_dynamic(text)
        if found != text and not self._deployed:
            self.unresolved.append(("{{resolve:…}}", place))
        return found

    def _decided(self, value: Any, place: str) -> Any:
        """The value of an expression, with markers for placeholders: a placeholder must not decide a condition."""
        before = self._values, self._identifiers
        self._values, self._identifiers = {**self._values, **self.placeholders.undecided}, {}
        try:
            return self.resolve(value, place)
        finally:
            self._values, self._identifiers = before

    def _function(self, name: str, argument: Any, place: str) -> Any:
        try:
            if (function := self._functions.get(name)) is not None:
                return function(argument, place)
            if name in COMPUTED and not unresolved(known := self.resolve(argument, place)):
                computed = COMPUTED[name](known)
                self.count(1, len(computed) if isinstance(computed, str) else 0)
                return computed
        except (LookupError, TypeError, ValueError) as error:
            raise BadTemplate(f"{place}: {name} is malformed: {error}") from error
        return self._not_computed(name, argument, place)

    def _not_computed(self, name: str, argument: Any, place: str) -> str:
        self.unresolved.append((name, place))
        return marker(f"{name} {argument}" if isinstance(argument, str) else f"{name} at {place}")

    # ---- references

    def _ref(self, name: Any, place: str) -> Any:
        if name in self._values:
            return self._values[name]
        owner, dot, attribute = str(name).partition(".")
        if owner not in self._resources:
            fix = self._suggestion(owner, [*self._resources, *self._values])
            return self._nowhere(f"{place}: Ref {name}: no such parameter or resource. {fix}", str(name))
        if dot and attribute == "Alias":  # SAM: the alias that AutoPublishAlias makes
            alias = self.resolve(self.properties(owner).get("AutoPublishAlias"), place)
            return self.arn(owner) if alias is None else f"{self.arn(owner)}:{alias}"  # a fault of the functions
        kind = self._kind(owner)
        if kind in FUNCTIONS:
            return self._function_name(owner)
        if kind in ("AWS::Lambda::Alias", "AWS::Lambda::Version"):
            return self._qualified(owner, place)
        if kind == "AWS::Lambda::Url" and not self._deployed:
            return self._required(owner, "TargetFunctionArn", place)
        if not self._deployed or kind.startswith("AWS::IAM::") or shape_of(kind).ref_is_arn:
            return self.identifiers(owner).ref
        return marker(owner)

    def _get_att(self, argument: Any, place: str) -> str:
        parts = argument.split(".", 1) if isinstance(argument, str) else argument
        owner, attribute = (as_text(self.resolve(part, place)) for part in parts)
        if owner not in self._resources:
            fix = self._suggestion(owner, [*self._resources])
            return self._nowhere(
                f"{place}: GetAtt {owner}.{attribute}: no such resource. {fix}", f"{owner}.{attribute}"
            )
        kind = self._kind(owner)
        if attribute == "Arn" and not (self._deployed and _is_custom(kind)):
            return self.arn(owner)
        if (kind, attribute) in (("AWS::Lambda::Alias", "AliasArn"), ("AWS::Lambda::Version", "FunctionArn")):
            return self._qualified(owner, place)
        if (kind, attribute) == ("AWS::Lambda::Version", "Version"):
            return self.placeholders.version(owner)
        if self._stacks is not None and kind in STACKS and attribute.startswith(OUTPUTS):
            return as_text(
                self._stacks.output(owner, kind, lambda: self.resolve(self.properties(owner), owner), attribute)
            )
        made = self.identifiers(owner)
        found = made.attributes.get(attribute)
        is_name = (kind, attribute) == ("AWS::SQS::Queue", "QueueName")
        compared = is_name or found == made.arn or (kind.startswith("AWS::VpcLattice::") and attribute == "Id")
        # A check only compares ARNs, Lattice's ids, and the names of queues, of which SAM makes ARNs in policies.
        if found is not None and (compared or not self._deployed):
            return found
        return self.placeholders.attribute(owner, attribute)

    def _suggestion(self, name: str, known: list[str]) -> str:
        near = nearest(name, known)
        return f"Fix: write {near}, if that is meant" if near else "Fix: write the logical id of one in this template"

    def _nowhere(self, fault: str, reference: str) -> str:
        if not self._expands:
            raise BadTemplate(fault)
        return marker(reference)

    def _qualified(self, owner: str, place: str) -> str:
        """The ARN of an alias or version."""
        function = self._required(owner, "FunctionName", place).rpartition(":")[2]
        alias = self._kind(owner) == "AWS::Lambda::Alias"
        qualifier = self._required(owner, "Name", place) if alias else self.placeholders.version(owner)
        return f"{self.placeholders.function_arn(function)}:{qualifier}"

    def _required(self, owner: str, key: str, place: str) -> str:
        """A property that CloudFormation requires; a marker if it is missing."""
        value = self.resolve(self.properties(owner).get(key), place)
        return marker(f"{owner}.{key}") if value is None or value is ABSENT else as_text(value)

    def arn(self, name: str) -> str:
        """The ARN that a resource would have."""
        kind = self._kind(name)
        if kind in FUNCTIONS:
            return self.placeholders.function_arn(self._function_name(name))
        return self.identifiers(name).arn

    def identifiers(self, name: str) -> Identifiers:
        """The identifiers of a resource that is not a function, made once: a template refers to it many times."""
        if name not in self._identifiers:
            self._identifiers[name] = self._made(name)
        return self._identifiers[name]

    def _made(self, name: str) -> Identifiers:
        written = self.properties(name)
        shape = shape_of(self._kind(name), written.get("ProtocolType"))
        own = self.resolve(written.get(shape.name), name) if shape.name else None
        is_fifo = any(as_text(self.resolve(written.get(key), name)) == "true" for key in _FIFO)
        ending = ".fifo" if is_fifo else ""
        return self.placeholders.identifiers(name, shape, None if own is ABSENT else own, ending)

    def _function_name(self, name: str) -> str:
        given = self.resolve(self.properties(name).get("FunctionName"), name)
        return self.placeholders.function_name(name) if given is None or given is ABSENT else as_text(given)

    def _kind(self, name: str) -> str:
        return str(self._resources[name].get("Type", ""))

    def properties(self, name: str) -> dict[str, Any]:
        """A resource's properties as written, with SAM's Globals, merged once."""
        if name not in self._properties:
            if self._kind(name) == "AWS::Serverless::Function":
                common = (self._document.get("Globals") or {}).get("Function") or {}
                self.count(sum(len(value) for value in common.values() if isinstance(value, dict)))
            self._properties[name] = with_globals(self._document, name)
        return self._properties[name]

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
            self.count(1, len(text))
            return text

        return self._without_dynamic(_SUB.sub(replace, as_text(text)), place)

    def _join(self, argument: Any, place: str) -> str:
        separator, parts = argument
        found = self.resolve(parts, place)
        texts = list(map(as_text, found)) if isinstance(found, list) else [as_text(found)]
        between = as_text(separator)
        self.count(0, sum(map(len, texts)) + len(between) * len(texts))
        return self._without_dynamic(between.join(texts), place)

    def _split(self, argument: Any, place: str) -> Any:
        separator, text = (as_text(self.resolve(part, place)) for part in argument)
        self.count(text.count(separator) if separator else 0)
        parts = split(text, separator)
        return text if unresolved(text) and len(parts) == 1 else parts

    def _select(self, argument: Any, place: str) -> Any:
        index, found = (self.resolve(part, place) for part in argument)
        if unresolved(index) or (unresolved(found) and not (isinstance(found, list) and int(index) < len(found))):
            return marker(f"Fn::Select at {place}")
        fits = isinstance(found, list) and 0 <= int(index) < len(found)
        if not fits and not self._deployed and not isinstance(argument[1], list):  # only a placeholder is too short
            return self._not_computed("Fn::Select", argument, place)
        if not isinstance(found, list):
            raise TypeError("the second part is not a list")
        return found[int(index)]

    def _zones(self, argument: Any, place: str) -> Any:
        if self._deployed:
            return self._not_computed("Fn::GetAZs", argument, place)
        region = as_text(self.resolve(argument, place) or self.placeholders.region)
        return [f"{region}{letter}" for letter in "abc"]

    def _find_in_map(self, argument: Any, place: str) -> Any:
        mapping, first, second = (self.resolve(part, place) for part in argument[:3])
        entry = _entry(_entry(_entry(self._document, "Mappings"), mapping), first)
        if (value := _entry(entry, second)) is not None:
            return self.resolve(value, place)
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


def _entry(mapping: Any, key: object) -> Any:
    """An entry of a map whose keys are texts for CloudFormation, and may be numbers for YAML."""
    if not isinstance(mapping, dict):
        return None
    return mapping.get(key, next((value for name, value in mapping.items() if as_text(name) == as_text(key)), None))


def _is_custom(kind: str) -> bool:
    """Whether a type is custom, so that its author defines its attributes."""
    return not kind.startswith("AWS::") or kind == "AWS::CloudFormation::CustomResource"


# ---- conditions ------------------------------------------------------------------------------------------------------

_Truth: TypeAlias = bool | str
"""True, False, or undecided: the value that it depends on."""


class Conditions:
    """A template's conditions.

    Args:
        written: the section, by name.
        resolve: gives the value of an expression at a place.
        report: receives, once for each undecided condition, the value that it depends on, and its place. The condition
            counts as false.
    """

    def __init__(
        self, written: Mapping[str, Any], resolve: Callable[[Any, str], Any], report: Callable[[str, str], None]
    ) -> None:
        self._written = written
        self._resolve = resolve
        self._report = report
        self._found: dict[str, _Truth] = {}
        self._reported: set[str] = set()

    def holds(self, name: Any) -> bool:
        """Whether a condition is true.

        Raises:
            BadTemplate: no condition has the name, or it is malformed.
        """
        truth = self._named(name)
        if isinstance(truth, str) and name not in self._reported:
            self._reported.add(name)
            self._report(truth, f"Conditions.{name}")
        return truth is True

    def failed(self, rules: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        """The assertions of the section Rules that do not hold, as (rule, description) pairs."""
        for name, rule in rules.items():
            place = f"Rules.{name}"
            if "RuleCondition" in rule and self._truth(rule["RuleCondition"], place) is not True:
                continue
            for assertion in rule.get("Assertions") or []:
                if self._truth(assertion["Assert"], place) is False:
                    yield name, as_text(assertion.get("AssertDescription", "an assertion does not hold"))

    def _named(self, name: Any) -> _Truth:
        if name not in self._written:
            raise BadTemplate(f"no condition {name}")
        if name not in self._found:
            self._found[name] = self._truth(self._written[name], f"Conditions.{name}")
        return self._found[name]

    def _truth(self, value: Any, place: str) -> _Truth:
        key, argument = next(iter(value.items())) if isinstance(value, dict) and len(value) == 1 else (None, None)
        if key == "Condition":
            return self._named(argument)
        if isinstance(key, str) and isinstance(argument, list):
            if key in _OF_VALUES and len(argument) == 2:
                sides = [self._resolve(side, place) for side in argument]
                unknown = next((side for side in sides if unresolved(side)), None)
                return _OF_VALUES[key](*sides) if unknown is None else as_text(unknown)
            if key in _OF_TRUTHS and len(argument) in _OF_TRUTHS[key]:
                return _joined(key, [self._truth(part, place) for part in argument])
        raise BadTemplate(f"{place}: not a condition of Equals, And, Or (2 to 10 each), Not (one), Condition")


def _joined(key: str, truths: list[_Truth]) -> _Truth:
    undecided = next((truth for truth in truths if isinstance(truth, str)), None)
    if key == "Fn::Not":
        return undecided or not truths[0]
    decisive = key == "Fn::Or"
    return decisive if decisive in truths else undecided or not decisive


def _texts(values: Any) -> list[str]:
    return [as_text(value) for value in (values if isinstance(values, list) else [values])]


_OF_TRUTHS: Final[Mapping[str, range]] = {"Fn::Not": range(1, 2), "Fn::And": range(2, 11), "Fn::Or": range(2, 11)}
"""Function → the number of arguments that it may have."""
_OF_VALUES: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "Fn::Equals": lambda left, right: _texts(left) == _texts(right),
    "Fn::Contains": lambda many, one: as_text(one) in _texts(many),
    "Fn::EachMemberEquals": lambda many, one: set(_texts(many)) <= {as_text(one)},
    "Fn::EachMemberIn": lambda some, many: set(_texts(some)) <= set(_texts(many)),
}
