"""Conditions of a template, and the assertions of its Rules.

Rule: what depends on a value that only a deployed stack knows is undecided, and is never taken for true.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from lattice_bridge.local.template_fault import BadTemplate
from lattice_bridge.local.template_values import as_text, unresolved


class _Undecided(Exception):
    """It depends on what is not known."""


class Conditions:
    """A template's conditions.

    Args:
        written: the section, by name.
        resolve: a value at a place -> what it comes to.
        tell: is told the function and place of a condition that is undecided, and so taken for false.
    """

    def __init__(
        self, written: Mapping[str, Any], resolve: Callable[[Any, str], Any], tell: Callable[[str, str], None]
    ) -> None:
        self._written = written
        self._resolve = resolve
        self._tell = tell

    def holds(self, name: Any) -> bool:
        """Whether the condition of that name is true.

        Raises:
            BadTemplate: there is none, or it is none.
        """
        try:
            return self._named(name)
        except _Undecided as error:
            self._tell(str(error), f"Conditions.{name}")
            return False

    def failed(self, rules: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        """The assertions of the section Rules that do not hold, each with its rule's name and what it says."""
        for name, rule in rules.items():
            if "RuleCondition" in rule and self._may(rule["RuleCondition"], name, instead=False) is False:
                continue
            for assertion in rule.get("Assertions") or []:
                if not self._may(assertion["Assert"], name, instead=True):
                    yield name, as_text(assertion.get("AssertDescription", "an assertion does not hold"))

    def _may(self, value: Any, name: str, *, instead: bool) -> bool:
        try:
            return self._truth(value, f"Rules.{name}")
        except _Undecided:
            return instead

    def _named(self, name: Any) -> bool:
        if name not in self._written:
            raise BadTemplate(f"no condition {name}")
        return self._truth(self._written[name], f"Conditions.{name}")

    def _truth(self, value: Any, place: str) -> bool:
        key, argument = next(iter(value.items())) if isinstance(value, dict) and len(value) == 1 else (None, None)
        if key == "Condition":
            return self._named(argument)
        if isinstance(key, str) and key in _OF_VALUES and isinstance(argument, list) and len(argument) == 2:
            return _OF_VALUES[key](*(self._known(side, place) for side in argument))
        if key in ("Fn::And", "Fn::Or", "Fn::Not") and isinstance(argument, list):
            truths = (self._truth(part, place) for part in argument)
            return not next(truths) if key == "Fn::Not" else all(truths) if key == "Fn::And" else any(truths)
        raise BadTemplate(f"{place}: not a condition of Equals, And, Or, Not, Condition")

    def _known(self, side: Any, place: str) -> Any:
        value = self._resolve(side, place)
        if unresolved(value):
            raise _Undecided(as_text(value))
        return value


def _texts(values: Any) -> list[str]:
    return [as_text(value) for value in (values if isinstance(values, list) else [values])]


_OF_VALUES: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "Fn::Equals": lambda left, right: _texts(left) == _texts(right),
    "Fn::Contains": lambda many, one: as_text(one) in _texts(many),
    "Fn::EachMemberEquals": lambda many, one: set(_texts(many)) <= {as_text(one)},
    "Fn::EachMemberIn": lambda some, many: set(_texts(some)) <= set(_texts(many)),
}
