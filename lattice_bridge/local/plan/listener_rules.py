"""The rules of a Lattice listener: values, and the choice of the action for a request.

Rule: rules are tried by priority, and the first that matches decides; the default action matches every request. Matches
ignore case unless the rule says otherwise. Source: the VPC Lattice user guide, "Listener rules".
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

Headers = Sequence[tuple[str, str]]

EventVersion = Literal[1, 2]

DEFAULT_PRIORITY: Final = sys.maxsize
"""The priority of a listener's default action: after every rule."""


@dataclass(frozen=True, slots=True)
class TargetGroup:
    """A target group of type LAMBDA. `function` is its registered target: a name or ARN, with its qualifier."""

    arn: str
    function: str
    version: EventVersion


@dataclass(frozen=True, slots=True)
class HeaderMatch:
    """One condition on a header. `how` is `Exact`, `Prefix` or `Contains`; `name` is in lower case."""

    name: str
    how: str
    text: str
    case_sensitive: bool = False


@dataclass(frozen=True, slots=True)
class Match:
    """The requests that a rule is for. `path_how` is `Exact` or `Prefix`; a method of None matches every method."""

    method: str | None = None
    path_how: str = "Prefix"
    path: str = ""
    path_case_sensitive: bool = False
    headers: tuple[HeaderMatch, ...] = ()


@dataclass(frozen=True, slots=True)
class Action:
    """Forwards to one of the target groups, by weight, or answers with a fixed status."""

    forward: tuple[tuple[TargetGroup, int], ...] = ()
    status: int | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule of a listener. The default action is a rule with DEFAULT_PRIORITY that matches every request."""

    priority: int
    match: Match
    action: Action

    @property
    def requests(self) -> str:
        """The requests that it is for, as in `GET /orders*`."""
        match = self.match
        path = f"{match.path}*" if match.path_how == "Prefix" else match.path
        headers = "".join(f" {header.name} {header.how.lower()} {header.text}" for header in match.headers)
        return f"{match.method or 'any'} {path}{headers}"


def action_for(rules: Sequence[Rule], method: str, path: str, headers: Headers) -> Action:
    """Returns the action of the first rule that matches.

    Args:
        rules: in order of priority, the default action last.
        method: as sent.
        path: as sent, without the query.
        headers: names in lower case.
    """
    return next(rule.action for rule in rules if matches(rule.match, method, path, headers))


def matches(match: Match, method: str, path: str, headers: Headers) -> bool:
    """Whether a request meets every condition of a match.

    >>> matches(Match(path="/Orders"), "GET", "/orders/1", [])
    True
    """
    return (
        (match.method is None or match.method == method)
        and _fits(match.path_how, match.path, path, case_sensitive=match.path_case_sensitive)
        and all(_header_fits(condition, headers) for condition in match.headers)
    )


def _header_fits(condition: HeaderMatch, headers: Headers) -> bool:
    values = [value for name, value in headers if name == condition.name]
    return any(_fits(condition.how, condition.text, value, case_sensitive=condition.case_sensitive) for value in values)


def _fits(how: str, text: str, value: str, *, case_sensitive: bool) -> bool:
    if not case_sensitive:
        text, value = text.lower(), value.lower()
    if how == "Exact":
        return value == text
    return text in value if how == "Contains" else value.startswith(text)


def choose_target_group(
    action: Action,
    pick: Callable[[float], float] = lambda total: random.uniform(0, total),  # noqa: S311 - balances load, no secret
) -> TargetGroup:
    """Returns one of the action's target groups, by weight.

    Args:
        action: forwards to at least one target group.
        pick: returns a number from 0 to its argument, the sum of the weights.
    """
    point = pick(sum(weight for _, weight in action.forward))
    for group, weight in action.forward:
        point -= weight
        if point <= 0:
            return group
    return action.forward[-1][0]
