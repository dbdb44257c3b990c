"""The plan: the functions, ways in, queues and streams that the stack serves.

Rule: values only. `plan.readers` makes them from a template, and everything else only reads them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, Protocol, TypeVar

from lattice_bridge.local.plan.auth_policy import AuthPolicy, admitted_callers
from lattice_bridge.local.plan.listener_rules import DEFAULT_PRIORITY, Rule

if TYPE_CHECKING:  # they have routes
    from lattice_bridge.local.plan.event_buses import EventBus, EventRule
    from lattice_bridge.local.plan.function_url import FunctionUrl
    from lattice_bridge.local.plan.http_api import HttpApi, HttpDomain, JwtAuthorizer
    from lattice_bridge.local.plan.load_balancer import LoadBalancer
    from lattice_bridge.local.plan.queues import EventSourceMapping, Queue
    from lattice_bridge.local.plan.rest_api import RestApi
    from lattice_bridge.local.plan.stream_mappings import StreamMapping
    from lattice_bridge.local.plan.streams import Stream
    from lattice_bridge.local.plan.tables import Table

BRIDGE_HANDLER: Final = "lattice_bridge.main.handler"
"""The handler of a function that is a bridge."""

OWN_HANDLERS: Final = frozenset({BRIDGE_HANDLER, "lattice_bridge.authorizer.handler"})
"""The handlers of the installed package: both read a map."""

SOURCE_VPC: Final = "vpc-0a1b2c3d4e5f60718"
"""The VPC that every request comes from."""


Runner = Literal["python", "nodejs", "provided", "command", "url"]
"""What runs a function: the stack's own client of a runtime, a command of local.toml, or something at a URL."""


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
class EventInvokeConfig:
    """How long Lambda tries to run an asynchronous invocation, and where the records of ended ones go. Without values,
    it has Lambda's.

    Attributes:
        id: of the resource in the template.
        retries: tries after the first one, if the function fails.
        max_age: seconds after which an event is given up.
        on_success, on_failure: the ARN of a queue, function or event bus; empty for none.
    """

    id: str = ""
    retries: int = 2
    max_age: int = 21_600
    on_success: str = ""
    on_failure: str = ""


def destination_name(arn: str) -> str:
    """The name in the ARN of a queue, a function or an event bus.

    >>> destination_name("arn:aws:lambda:us-east-1:123456789012:function:orders:live")
    'orders:live'
    """
    return arn.split(":", 5)[-1].removeprefix("function:").removeprefix("event-bus/")


@dataclass(frozen=True, slots=True)
class Function:
    """A function that this machine can run.

    Attributes:
        name: `FunctionName`, or the logical id.
        arn: without a qualifier.
        handler: as in `app.handler`.
        code: the task root; a zip, until the stack unpacks it; the template's folder for inline code, until the stack
            writes it into a folder.
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
            earlier one. They may be zips, until the stack unpacks them. If there are several, it adds a last one: all
            of them merged.
        command: starts the process in place of the stack's own runtime client; empty for the others. `{handler}` and
            `{code}` in it are replaced when the stack has the code.
        inline: the text of code that is in the template; None for code in files.
        remote_layers: ARNs of layers in AWS, which are not loaded.
        url: receives the invocations of a function that runs elsewhere; empty for the others.
        invoke_configs: of asynchronous invocations, by alias, version or `$LATEST`.
        dead_letters: the ARN of the queue that gets asynchronous events which were given up; empty for none.
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
    inline: str | None = None
    remote_layers: tuple[str, ...] = ()
    url: str = ""
    invoke_configs: Mapping[str, EventInvokeConfig] = field(default_factory=dict)
    dead_letters: str = ""

    @property
    def runner(self) -> Runner:
        """What runs the function."""
        if self.url:
            return "url"
        if self.command:
            return "command"
        if self.runtime.startswith("nodejs"):
            return "nodejs"
        return "provided" if self.runtime.startswith("provided") else "python"


@dataclass(frozen=True, slots=True)
class Route:
    """Requests that a way in passes to a function, or answers itself, in the words of the summary.

    Attributes:
        requests: as in `GET /prod/orders/{id}`.
        functions: the functions that get them, each as name or ARN; several if their weights decide.
        answer: what the way in answers without a function, as in `fixed response 404`; empty if a function does.
        event: the format of the event, as in `V2` or `1.0`; empty without a function.
        callers: the callers that may send them, as in `anyone` or `signed only`.
        order: the priority of a rule; empty for a default action, and where the most specific route decides.
        tenant: the source of the invocation's tenant id, as in `header x-tenant-id`; empty if it has none.
        authorizer: the function that decides who may send them; empty for none.
        always_a_tenant: each invocation has a tenant id, whatever the request contains.
    """

    requests: str
    functions: tuple[str, ...] = ()
    answer: str = ""
    event: str = ""
    callers: str = "anyone"
    order: str = ""
    tenant: str = ""
    authorizer: str = ""
    always_a_tenant: bool = False


@dataclass(frozen=True, slots=True)
class Unserved:
    """An authorizer or integration that the stack names, and does not serve. Each request to it is refused.

    Attributes:
        what: the part, as in `an integration of type http`.
    """

    what: str


class WayIn(Protocol):
    """Takes HTTP requests for functions.

    Attributes:
        name: shown in messages.
        names: its host names, in lower case.
        kind: shown in messages, as in `Lattice` or `REST API`.
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
    """A Lattice service at one of its listeners, with the listener's rules in order of priority.

    Attributes:
        name: shown in messages; with the port, if the service has several listeners.
        arn: of the service.
        network_arn: of the service network that its requests come through.
        names: its host names, in lower case: its custom domain if it has one, its logical id, its name. If the service
            has several listeners, each name occurs with the listener's port, and without one for the first listener.
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
        """The kind of way in, as messages name it."""
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
        warnings: what the stack assumes about the template, one sentence each.
        not_run: functions of the template that this machine cannot run, by name, with the reason and a fix.
        layers: the folder or zip of each layer of the template, by logical id.
        rest_apis: of API Gateway.
        http_apis: of API Gateway, with the custom domains of several of them.
        function_urls: of functions.
        load_balancers: with their listeners.
        queues: of SQS, each dead-letter queue before the queues that refer to it.
        mappings: of queues to functions.
        event_buses: of EventBridge, without the default bus.
        event_rules: with their targets.
        streams: of Kinesis.
        stream_mappings: of streams to functions.
        tables: of DynamoDB.
    """

    folder: Path
    region: str
    functions: Mapping[str, Function]
    services: tuple[Service, ...]
    left_out: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    not_run: Mapping[str, str] = field(default_factory=dict)
    layers: Mapping[str, Path] = field(default_factory=dict)
    rest_apis: tuple[RestApi, ...] = ()
    http_apis: tuple[HttpApi | HttpDomain, ...] = ()
    function_urls: tuple[FunctionUrl, ...] = ()
    load_balancers: tuple[LoadBalancer, ...] = ()
    queues: tuple[Queue, ...] = ()
    mappings: tuple[EventSourceMapping, ...] = ()
    event_buses: tuple[EventBus, ...] = ()
    event_rules: tuple[EventRule, ...] = ()
    streams: tuple[Stream, ...] = ()
    stream_mappings: tuple[StreamMapping, ...] = ()
    tables: tuple[Table, ...] = ()

    @property
    def ways_in(self) -> tuple[WayIn, ...]:
        """Everything that takes HTTP requests, by kind and in the order of the template."""
        return (*self.services, *self.rest_apis, *self.http_apis, *self.function_urls, *self.load_balancers)

    @property
    def jwt_authorizers(self) -> Mapping[str, JwtAuthorizer]:
        """The JWT authorizers by name. The name of two that differ has its API's before it, as in `Orders.Corp`."""
        found: dict[str, JwtAuthorizer] = {}
        for api in (*self.http_apis, *self.rest_apis):
            for name, authorizer in api.jwt_authorizers.items():
                unique = name if found.get(name, authorizer) == authorizer else f"{api.name}.{name}"
                found[unique] = authorizer
        return found


_Way = TypeVar("_Way", bound=WayIn)


def way_in_for(ways: Sequence[_Way], authority: str) -> _Way | None:
    """The way in that a request is for; None if there is none.

    If only one takes requests that name no port, it takes those for every host name. A Lattice service with several
    listeners has a way in for each.

    Args:
        ways: of a plan.
        authority: `host[:port]` as in the Host header, in lower case.
    """
    host, _, port = authority.partition(":")
    plain = host.rstrip(".").removesuffix(".localhost")
    for name in (f"{plain}:{port}", plain):
        if (found := next((way for way in ways if name in way.names), None)) is not None:
            return found
    first = [way for way in ways if ":" not in way.names[0]]
    if len(first) != 1:
        return None
    with_port = f"{first[0].names[0]}:{port}"
    return next((way for way in ways if with_port in way.names), first[0])


_MAX_NAMED: Final = 8
"""Resources that a sentence names."""


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
            more = len(resources) - _MAX_NAMED
            named = [*resources[:_MAX_NAMED], *([f"and {more} more"] if more > 0 else [])]
            yield f"{sentence} ({', '.join(named)})"
