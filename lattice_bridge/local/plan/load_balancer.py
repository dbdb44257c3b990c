"""An Application Load Balancer: values, and the choice of the listener, the rule and the target for a request.

Rule: rules are tried by priority, and the first whose conditions all hold decides; the default action comes last.
Source: the user guide of Application Load Balancers, "Listener rules" and "Condition types for listener rules".
"""

from __future__ import annotations

import fnmatch
import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import ip_address, ip_network
from typing import Final, Literal

from lattice_bridge.local.plan.listener_rules import DEFAULT_PRIORITY
from lattice_bridge.local.plan.listener_rules import Headers as Pairs
from lattice_bridge.local.plan.model import Route

Field = Literal["path-pattern", "host-header", "http-header", "http-request-method", "query-string", "source-ip"]

IDLE_SECONDS: Final = 60.0
"""The default of `idle_timeout.timeout_seconds`."""


@dataclass(frozen=True, slots=True)
class LambdaTargets:
    """A target group of type `lambda`.

    Attributes:
        arn: of the target group.
        function: its registered target, a name or ARN with its qualifier; None if it has none, or is not served.
        multi_value: `lambda.multi_value_headers.enabled`.
    """

    arn: str
    function: str | None = None
    multi_value: bool = False


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition of a rule. It holds if one of the values matches.

    Attributes:
        field: the part of the request that it tests; None if the stack does not evaluate it: then it never holds.
        values: patterns; for `source-ip` CIDR blocks.
        name: of the header, in lower case.
        keys: for `query-string`, the pattern of the name for each value; None for every name.
    """

    field: Field | None
    values: tuple[str, ...] = ()
    name: str = ""
    keys: tuple[str | None, ...] = ()

    def __str__(self) -> str:
        values = "|".join(self.values)
        if self.field == "query-string":
            pairs = zip(self.keys, self.values, strict=True)
            return "?" + "|".join(value if key is None else f"{key}={value}" for key, value in pairs)
        labels = {"host-header": "host ", "http-header": f"{self.name} ", "source-ip": "from ", None: "never"}
        return f"{labels.get(self.field, '')}{values}"


@dataclass(frozen=True, slots=True)
class Fixed:
    """A fixed response."""

    status: int
    content_type: str = "text/plain"
    body: str = ""


@dataclass(frozen=True, slots=True)
class Redirect:
    """A redirection. The parts may contain `#{protocol}`, `#{host}`, `#{port}`, `#{path}` and `#{query}`."""

    status: int
    protocol: str = "#{protocol}"
    host: str = "#{host}"
    port: str = "#{port}"
    path: str = "/#{path}"
    query: str = "#{query}"


@dataclass(frozen=True, slots=True)
class NotServed:
    """An action that the stack does not serve, such as `authenticate-oidc`. It refuses the requests of such a rule."""

    type: str


@dataclass(frozen=True, slots=True)
class Forward:
    """Forwards to one of the target groups, by weight."""

    groups: tuple[tuple[LambdaTargets, int], ...]


Action = Forward | Fixed | Redirect | NotServed


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule of a listener. The default action is a rule with DEFAULT_PRIORITY and without conditions."""

    priority: int
    conditions: tuple[Condition, ...]
    action: Action


@dataclass(frozen=True, slots=True)
class Listener:
    """A listener, with its rules in order of priority, the default action last."""

    port: int
    protocol: Literal["HTTP", "HTTPS"]
    rules: tuple[Rule, ...]


@dataclass(frozen=True, slots=True)
class LoadBalancer:
    """An Application Load Balancer.

    Attributes:
        name: shown in messages.
        names: its host names, in lower case: its logical id, its DNS name, its name, and those of its rules.
        listeners: at least one.
        idle_seconds: how long it waits for a function. After that, the client gets a 504.
    """

    name: str
    names: tuple[str, ...]
    listeners: tuple[Listener, ...]
    idle_seconds: float = IDLE_SECONDS

    @property
    def kind(self) -> str:
        """The kind of way in, as messages name it."""
        return "ALB"

    @property
    def routes(self) -> tuple[Route, ...]:
        """One for each rule of each listener."""
        return tuple(_route(listener, rule) for listener in self.listeners for rule in listener.rules)

    def listener_for(self, port: int | None) -> Listener:
        """The listener with this port; else the first that forwards requests, since most others redirect to it."""
        named = (listener for listener in self.listeners if listener.port == port)
        forwarding = (
            listener for listener in self.listeners if any(isinstance(rule.action, Forward) for rule in listener.rules)
        )
        return next(named, None) or next(forwarding, self.listeners[0])


def _route(listener: Listener, rule: Rule) -> Route:
    written = sorted(rule.conditions, key=lambda condition: condition.field != "http-request-method")
    conditions = " ".join(map(str, written)) or "any"
    action = rule.action
    groups = [group for group, _ in action.groups] if isinstance(action, Forward) else []
    return Route(
        f":{listener.port} {conditions}",
        tuple(group.function for group in groups if group.function is not None),
        _answer(action),
        ", ".join("ALB, multi-value" if group.multi_value else "ALB" for group in groups if group.function is not None),
        order="" if rule.priority == DEFAULT_PRIORITY else str(rule.priority),
    )


def _answer(action: Action) -> str:
    if isinstance(action, Fixed):
        return f"fixed response {action.status}"
    if isinstance(action, Redirect):
        return f"redirect {action.status}"
    return f"{action.type} is not served" if isinstance(action, NotServed) else "503, no target"


# ---- the choice of the rule -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Facts:
    """The facts of a request that conditions test. Path and query are as sent, the host is without its port."""

    method: str
    path: str
    query: Pairs
    headers: Pairs
    host: str
    address: str


def rule_for(listener: Listener, facts: Facts) -> Rule:
    """The rule that decides a request."""
    return next(rule for rule in listener.rules if all(holds(condition, facts) for condition in rule.conditions))


def holds(condition: Condition, facts: Facts) -> bool:
    """Whether a condition holds.

    >>> facts = Facts("GET", "/img/1.png", [], [], "shop.example.com", "127.0.0.1")
    >>> holds(Condition("path-pattern", ("/img/*", "/css/?")), facts)
    True
    """
    match condition.field:
        case "path-pattern":
            return any(_fits(value, facts.path, exact_case=True) for value in condition.values)
        case "host-header":
            return any(_fits(value, facts.host) for value in condition.values)
        case "http-header":
            found = [value for name, value in facts.headers if name == condition.name]
            return any(_fits(value, text) for value in condition.values for text in found)
        case "http-request-method":
            return facts.method in condition.values
        case "query-string":
            return _has_parameter(condition, facts.query)
        case "source-ip":
            return any(ip_address(facts.address) in ip_network(value, strict=False) for value in condition.values)
        case None:
            return False


def _has_parameter(condition: Condition, query: Pairs) -> bool:
    return any(
        (key is None or _fits(key, name)) and _fits(value, text)
        for key, value in zip(condition.keys, condition.values, strict=True)
        for name, text in query
    )


def _fits(pattern: str, text: str, *, exact_case: bool = False) -> bool:
    return _compiled(pattern, exact_case).match(text) is not None


@lru_cache(1024)
def _compiled(pattern: str, exact_case: bool) -> re.Pattern[str]:
    r"""`*` is any characters, and `?` is one. `\*` and `\?` are the characters. fnmatch's expression is linear."""
    written = re.sub(r"\\([*?])|\[", lambda match: f"[{match[1] or '['}]", pattern)
    return re.compile(fnmatch.translate(written), 0 if exact_case else re.IGNORECASE)


def choose(
    groups: Sequence[tuple[LambdaTargets, int]],
    pick: Callable[[float], float] = lambda total: random.uniform(0, total),  # noqa: S311 - balances load, no secret
) -> LambdaTargets | None:
    """One of the target groups, by weight; None if no weight is more than 0.

    Args:
        groups: with their weights.
        pick: returns a number from 0 to its argument, the sum of the weights.
    """
    weighted = [(group, weight) for group, weight in groups if weight > 0]
    point = pick(sum(weight for _, weight in weighted))
    for group, weight in weighted:
        point -= weight
        if point <= 0:
            return group
    return weighted[-1][0] if weighted else None
