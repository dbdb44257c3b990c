"""What the stack serves: functions, services, rules, target groups.

Rule: values only. The planner makes them from a template; everything else reads them.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from lattice_bridge.deployment.iam.policy import Statement

EventVersion = Literal[1, 2]

SOURCE_VPC: Final = "vpc-0a1b2c3d4e5f60718"
"""The VPC that every request comes from."""

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
class AuthPolicy:
    """What is evaluated for a service or service network whose `AuthType` is AWS_IAM.

    Attributes:
        level: of what it is the auth policy, as Lattice's messages name it.
        owner: logical id of the service or service network.
        name: logical id of the auth policy; None if the template has none, and then nothing is allowed.
        statements: of the policy.
    """

    level: Literal["network", "service"]
    owner: str
    name: str | None
    statements: tuple[Statement, ...] = ()


@dataclass(frozen=True, slots=True)
class Service:
    """A Lattice service with its listener's rules, in order of priority.

    Attributes:
        name: for people.
        arn: of the service.
        network_arn: of the service network that its requests come through.
        names: host names it answers to, in lower case: its custom domain if it has one, its logical id, its name.
        rules: the default action last.
        policies: all of them have to allow a request; none means that no caller is authenticated.
        port: of the listener.
        encrypted: the listener's protocol is HTTPS.
        tags: of the service.
    """

    name: str
    arn: str
    network_arn: str
    names: tuple[str, ...]
    rules: tuple[Rule, ...]
    policies: tuple[AuthPolicy, ...] = ()
    port: int = 443
    encrypted: bool = True
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything to serve.

    Attributes:
        folder: of the template.
        functions: by name.
        services: with their routes.
        left_out: what the template has and the stack does not do, one sentence each.
    """

    folder: Path
    region: str
    functions: Mapping[str, Function]
    services: tuple[Service, ...]
    left_out: tuple[str, ...]
