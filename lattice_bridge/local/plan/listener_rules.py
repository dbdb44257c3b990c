"""Which rule of a listener a request matches.

Rule: by priority, the first match wins; the default action matches everything. Source: the VPC Lattice user guide,
"Listener rules"; matches ignore case unless the rule says otherwise.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

from lattice_bridge.local.plan.model import Action, HeaderMatch, Match, Service, TargetGroup

Headers = Sequence[tuple[str, str]]


def action_for(service: Service, method: str, path: str, headers: Headers) -> Action:
    """The action of the first rule that matches. `path` is as sent, without the query."""
    return next(rule.action for rule in service.rules if matches(rule.match, method, path, headers))


def matches(match: Match, method: str, path: str, headers: Headers) -> bool:
    return (
        (match.method is None or match.method == method)
        and _fits(match.path_how, match.path, path, case_sensitive=match.path_case_sensitive)
        and all(_header_fits(wanted, headers) for wanted in match.headers)
    )


def _header_fits(wanted: HeaderMatch, headers: Headers) -> bool:
    values = [value for name, value in headers if name == wanted.name]
    return any(_fits(wanted.how, wanted.text, value, case_sensitive=wanted.case_sensitive) for value in values)


def _fits(how: str, text: str, value: str, *, case_sensitive: bool) -> bool:
    if not case_sensitive:
        text, value = text.lower(), value.lower()
    if how == "Exact":
        return value == text
    return text in value if how == "Contains" else value.startswith(text)


def choose(action: Action, pick: Callable[[float], float] = lambda total: random.uniform(0, total)) -> TargetGroup:  # noqa: S311 - load, not a secret
    """One of the action's target groups, by weight."""
    point = pick(sum(weight for _, weight in action.forward))
    for group, weight in action.forward:
        point -= weight
        if point <= 0:
            return group
    return action.forward[-1][0]
