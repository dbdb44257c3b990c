"""The plan: the functions and Lattice services that the stack serves.

Rule: values only. `reader` makes them from a template, and everything else only reads them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, Protocol

from lattice_bridge.local.plan.auth_policy import AuthPolicy, admitted_callers
from lattice_bridge.local.plan.listener_rules import DEFAULT_PRIORITY, Rule

if TYPE_CHECKING:  # it needs Route
    from lattice_bridge.local.plan.load_balancer import LoadBalancer

BRIDGE_HANDLER: Final = "lattice_bridge.main.handler"
"""The handler of a function that is a bridge."""

SOURCE_VPC: Final = "vpc-0a1b2c3d4e5f60718"
"""The VPC that every request comes from."""


@dataclass(frozen=True, slots=True)
class Dependencies:
    """The packages of a function: where they are, and where its developer lists them.

    Attributes:
        built: whether the code is the output of a build, which contains its packages: `zip`, or `sam build`.
        manifest: the requirements.txt or pyproject.toml that lists the packages; None if the function has none.
        folders: searched for modules after the task root, and before Python's own.
        bridge: the installed lattice_bridge and its requirements serve the function.
    """

    built: Literal["", "zip", "sam build"] = ""
    manifest: Path | None = None
    folders: tuple[Path, ...] = ()
    bridge: bool = False


@dataclass(frozen=True, slots=True)
class Function:
    """A function that this machine can run.

    Attributes:
        name: `FunctionName`, or the logical id.
        arn: without a qualifier.
        handler: as in `app.handler`.
        code: the task root; a zip, until the stack unpacks it.
        environment: the template's variables.
        timeout: seconds.
        memory: MiB; shown, not enforced.
        isolated: `TenancyConfig` is `PER_TENANT`.
        aliases: names that resolve to `$LATEST` here.
        log_format: `Text` or `JSON`.
        log_level: for JSON logs, or None.
        logical_id: in the template.
        dependencies: its packages.
        runtime: as in `nodejs22.x`.
        layers: folders that are `/opt` on Lambda, in the order of the template: a later one overwrites a file of an
            earlier one.
        command: starts the process of a runtime that the stack does not know; empty for the others.
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
    logical_id: str = ""
    dependencies: Dependencies = Dependencies()
    runtime: str = ""
    layers: tuple[Path, ...] = ()
    command: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Route:
    """Requests that a way in passes to a function, or answers itself, in the words of the summary.

    Attributes:
        requests: as in `GET /prod/orders/{id}`.
        functions: that get them, each as name or ARN; several if their weights decide.
        answer: what the way in answers without a function, as in `fixed response 404`; empty if a function does.
        event: the format of the event, as in `V2` or `1.0`; empty without a function.
        callers: that may send them, as in `anyone` or `signed only`.
        order: the priority of a rule; empty for a default action, and where the most specific route decides.
        tenant: the source of the invocation's tenant id, as in `header x-tenant-id`; empty if it has none.
    """

    requests: str
    functions: tuple[str, ...] = ()
    answer: str = ""
    event: str = ""
    callers: str = "anyone"
    order: str = ""
    tenant: str = ""


class WayIn(Protocol):
    """Takes HTTP requests for functions.

    Attributes:
        name: for people.
        names: its host names, in lower case.
        kind: for people, as in `Lattice` or `REST API`.
        routes: what it does with which requests, the first that matches first.
    """

    @property
    def name(self) -> str: ...

    @property
    def names(self) -> tuple[str, ...]: ...

    @property
    def kind(self) -> str: ...

    @property
    def routes(self) -> tuple[Route, ...]: ...


@dataclass(frozen=True, slots=True)
class Service:
    """A Lattice service with its listener's rules, in order of priority.

    Attributes:
        name: for people.
        arn: of the service.
        network_arn: of the service network that its requests come through.
        names: its host names, in lower case: its custom domain if it has one, its logical id, its name.
        rules: the default action last.
        policies: each of them must allow a request. If there is none, no caller is authenticated.
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

    @property
    def kind(self) -> str:
        """For people."""
        return "Lattice"

    @property
    def routes(self) -> tuple[Route, ...]:
        """One for each rule."""
        callers = admitted_callers(self.policies)
        return tuple(_route(rule, callers) for rule in self.rules)


def _route(rule: Rule, callers: str) -> Route:
    order = "" if rule.priority == DEFAULT_PRIORITY else str(rule.priority)
    groups = [group for group, _ in rule.action.forward]
    return Route(
        rule.requests,
        tuple(group.function for group in groups),
        "" if rule.action.status is None else f"fixed response {rule.action.status}",
        ", ".join(f"V{group.version}" for group in groups),
        callers,
        order,
    )


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that the stack serves.

    Attributes:
        folder: of the template.
        region: of the stack.
        functions: by name.
        services: with their rules.
        left_out: the parts of the template that the stack does not emulate, one sentence each.
        not_run: functions of the template that this machine cannot run, by name, with the reason.
        load_balancers: with their listeners.
    """

    folder: Path
    region: str
    functions: Mapping[str, Function]
    services: tuple[Service, ...]
    left_out: tuple[str, ...]
    not_run: Mapping[str, str] = field(default_factory=dict)
    load_balancers: tuple[LoadBalancer, ...] = ()

    @property
    def ways_in(self) -> tuple[WayIn, ...]:
        """Everything that takes HTTP requests, in the order of the template."""
        return (*self.services, *self.load_balancers)


class LeftOut:
    """Collects the parts of a template that the stack does not emulate.

    One sentence names all resources that it concerns, so that the list stays short enough to be read.
    """

    def __init__(self) -> None:
        self._resources: dict[str, list[str]] = {}

    def add(self, sentence: str, resource: str) -> None:
        """Adds a resource, by its logical id, to a sentence."""
        self._resources.setdefault(sentence, []).append(resource)

    def __iter__(self) -> Iterator[str]:
        for sentence, resources in self._resources.items():
            yield f"{sentence} ({', '.join(resources)})"
