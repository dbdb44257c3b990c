"""What the stack serves: functions, services, rules, target groups.

Rule: values only. The planner makes them from a template; everything else reads them.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

EventVersion = Literal[1, 2]

DEFAULT_PRIORITY: Final = sys.maxsize
"""Of a listener's default action: after every rule."""


@dataclass(frozen=True, slots=True)
class Function:
    """A function that can be run here.

    Attributes:
        name: `FunctionName`, or the logical id.
        arn: without a qualifier.
        handler: as in `app.handler`.
        code: the task root.
        environment: the template's variables.
        timeout: seconds.
        memory: MiB; shown, not enforced.
        isolated: `TenancyConfig` is `PER_TENANT`.
        aliases: names that resolve to `$LATEST` here.
        log_format: `Text` or `JSON`.
        log_level: for JSON logs, or None.
    """

    name: str
    arn: str
    handler: str
    code: Path
    environment: Mapping[str, str]
    timeout: float = 3.0
    memory: int = 128
    isolated: bool = False
    aliases: frozenset[str] = frozenset()
    log_format: str = "Text"
    log_level: str | None = None


@dataclass(frozen=True, slots=True)
class TargetGroup:
    """A target group of type LAMBDA. `function` is what is registered in it: a name or ARN, with its qualifier."""

    arn: str
    function: str
    version: EventVersion


@dataclass(frozen=True, slots=True)
class HeaderMatch:
    """One condition on a header. `how` is `Exact`, `Prefix` or `Contains`."""

    name: str
    how: str
    text: str
    case_sensitive: bool = False


@dataclass(frozen=True, slots=True)
class Match:
    """What requests a rule is for; None where it does not care. `path_how` is `Exact` or `Prefix`."""

    method: str | None = None
    path_how: str = "Prefix"
    path: str = ""
    path_case_sensitive: bool = False
    headers: tuple[HeaderMatch, ...] = ()


@dataclass(frozen=True, slots=True)
class Action:
    """Forward to one of the target groups, by weight, or answer with a fixed status."""

    forward: tuple[tuple[TargetGroup, int], ...] = ()
    status: int | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """A listener's rule. The default action is one with DEFAULT_PRIORITY that matches everything."""

    priority: int
    match: Match
    action: Action


@dataclass(frozen=True, slots=True)
class Service:
    """A Lattice service with its listener's rules, in order of priority.

    Attributes:
        name: for people.
        arn: of the service.
        network_arn: of the network it is associated with.
        domain: the host name it answers to; None for any.
        signed_only: `AuthType` is AWS_IAM: unsigned requests are refused by Lattice itself.
        rules: the default action last.
    """

    name: str
    arn: str
    network_arn: str
    domain: str | None
    signed_only: bool
    rules: tuple[Rule, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything to serve.

    Attributes:
        functions: by name.
        services: with their routes.
        left_out: what the template has and the stack does not do, one sentence each.
    """

    region: str
    functions: Mapping[str, Function]
    services: tuple[Service, ...]
    left_out: tuple[str, ...]
