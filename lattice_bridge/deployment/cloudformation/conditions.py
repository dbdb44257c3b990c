"""Conditions of a template, and the assertions of its Rules.

Rule: what depends on a value that only a deployed stack knows is undecided, and is never taken for true.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from lattice_bridge.deployment.cloudformation.fault import BadTemplate
from lattice_bridge.deployment.cloudformation.values import as_text, unresolved

_Truth = bool | str
"""True, False, or undecided: what it depends on."""


class Conditions:
    """A template's conditions.

    Args:
        written: the section, by name.
        resolve: a value at a place -> what it comes to.
        tell: is told, once, what a condition depends on that is undecided, and so taken for false; and its place.
    """

    def __init__(
        self, written: Mapping[str, Any], resolve: Callable[[Any, str], Any], tell: Callable[[str, str], None]
    ) -> None:
        self._written = written
        self._resolve = resolve
        self._tell = tell
        self._found: dict[str, _Truth] = {}
        self._told: set[str] = set()

    def holds(self, name: Any) -> bool:
        """Whether the condition of that name is true.

        Raises:
            BadTemplate: there is none, or it is none.
        """
        truth = self._named(name)
        if isinstance(truth, str) and name not in self._told:
            self._told.add(name)
            self._tell(truth, f"Conditions.{name}")
        return truth is True

    def failed(self, rules: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        """The assertions of the section Rules that do not hold, each with its rule's name and what it says."""
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
"""How many each may have."""
_OF_VALUES: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "Fn::Equals": lambda left, right: _texts(left) == _texts(right),
    "Fn::Contains": lambda many, one: as_text(one) in _texts(many),
    "Fn::EachMemberEquals": lambda many, one: set(_texts(many)) <= {as_text(one)},
    "Fn::EachMemberIn": lambda some, many: set(_texts(some)) <= set(_texts(many)),
}
