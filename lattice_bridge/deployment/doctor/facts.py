"""Typed values of a deployed stack and of the bridge.toml that describes it.

Rule: each fact was read, or is an `Unread`. This module makes no call and judges nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal, NamedTuple, TypeAlias, TypeVar

from lattice_bridge.config.event_source import EventSource
from lattice_bridge.config.options import Backend, Options
from lattice_bridge.deployment.iam.policy import Statement
from lattice_bridge.deployment.sources.facts import (
    Bus,
    BusRule,
    FailurePlace,
    Pipe,
    Queue,
    SourceMapping,
    Stream,
    name_of_source,
)

LATEST: Final = "$LATEST"


@dataclass(frozen=True, slots=True)
class Unread:
    """Takes the place of a fact that could not be read.

    Attributes:
        permission: the permission that the call needs, such as `lambda:GetPolicy`.
        resource: the ARN that the permission is needed on.
        cause: AWS's error code or the exception's type; or a phrase that says why no call was made.
        out_of_reach: no call was made, since the resource is in another account or Region.
    """

    permission: str
    resource: str
    cause: str
    out_of_reach: bool = False


T = TypeVar("T")
Read: TypeAlias = T | Unread


def known(fact: Read[tuple[T, ...]]) -> tuple[T, ...]:
    """What was read; nothing if it could not be read."""
    return () if isinstance(fact, Unread) else fact


# ---- Lambda ---------------------------------------------------------------------------------------------------------

_FUNCTION: Final = re.compile(
    r"(?:arn:(?P<partition>aws[a-zA-Z-]*):lambda:)?(?:(?P<region>[a-z]{2,4}(?:-[a-z]+)+-[0-9]):)?"
    r"(?:(?P<account>[0-9]{12}):)?(?:function:)?(?P<name>[a-zA-Z0-9_-]{1,64})"
    r"(?::(?P<qualifier>\$LATEST|[a-zA-Z0-9_-]{1,128}))?"
)


@dataclass(frozen=True, slots=True)
class FunctionName:
    """A Lambda function with an optional qualifier.

    Attributes:
        arn: its ARN without a qualifier.
        qualifier: an alias or a version; None for the bare name, which runs `$LATEST`.
    """

    arn: str
    qualifier: str | None = None

    @classmethod
    def parse(cls, text: str, partition: str, region: str, account: str) -> FunctionName | None:
        """Parses a name, a partial ARN or an ARN, with an optional qualifier. Returns None for any other text.

        Args:
            text: as an operator or a bridge.toml writes it.
            partition, region, account: defaults for the parts that the text leaves out.
        """
        found = _FUNCTION.fullmatch(text)
        if found is None:
            return None
        home = f"{found['partition'] or partition}:lambda:{found['region'] or region}:{found['account'] or account}"
        return cls(f"arn:{home}:function:{found['name']}", found["qualifier"])

    @property
    def name(self) -> str:
        return self.arn.rpartition(":")[2]

    @property
    def partition(self) -> str:
        return self.arn.split(":")[1]

    @property
    def region(self) -> str:
        return self.arn.split(":")[3]

    @property
    def account(self) -> str:
        return self.arn.split(":")[4]

    @property
    def qualified(self) -> str:
        """The ARN that an Invoke of this name is for."""
        return f"{self.arn}:{self.qualifier}" if self.qualifier else self.arn

    @property
    def label(self) -> str:
        return f"{self.name}:{self.qualifier}" if self.qualifier else self.name

    @property
    def is_version(self) -> bool:
        """The qualifier is a published version. AWS allows no alias whose name is a number."""
        return self.qualifier is not None and self.qualifier.isdigit()

    @property
    def policy_name(self) -> FunctionName:
        """The name whose resource policy applies. `$LATEST` has no policy except the one of the bare name."""
        return FunctionName(self.arn) if self.qualifier == LATEST else self


@dataclass(frozen=True, slots=True)
class Function:
    """The configuration of a function under one name.

    Attributes:
        runtime: its identifier; None for an image.
        handler: None for an image.
        role: the ARN of its role.
        timeout: in seconds.
        log_format: `JSON` or `Text`.
        modified: when this version was last changed; None if AWS does not say.
        isolated: its tenancy mode is PER_TENANT.
        state: `Active` if it serves.
        last_update: `Successful`, `InProgress` or `Failed`.
        variables: the environment variables whose names begin with LATTICE_BRIDGE_.
        keeps_failures: whether it has a dead-letter queue for asynchronous events.
    """

    runtime: str | None
    handler: str | None
    role: str
    timeout: int
    log_format: str
    log_group: str
    modified: datetime | None
    isolated: bool
    state: str
    variables: Mapping[str, str]
    last_update: str = "Successful"
    keeps_failures: bool = False


@dataclass(frozen=True, slots=True)
class Alias:
    """An alias, its version, and the weights (0 to 1) of the versions that receive a part of its requests."""

    name: str
    version: str
    weights: tuple[tuple[str, float], ...] = ()

    @property
    def versions(self) -> tuple[str, ...]:
        return (self.version, *(version for version, _weight in self.weights))


@dataclass(frozen=True, slots=True)
class ResourcePolicy:
    """The resource policy of a function under one of its names."""

    name: FunctionName
    statements: Read[tuple[Statement, ...]]


class FunctionUrl(NamedTuple):
    """A function URL.

    Attributes:
        arn: of the function, with the qualifier that the URL invokes.
        auth_type: `AWS_IAM`, or `NONE`: anyone on the internet may call it.
    """

    arn: str
    auth_type: str = "AWS_IAM"


@dataclass(frozen=True, slots=True)
class DeployedFunction:
    """A function with everything through which it can be invoked.

    Attributes:
        name: the function as it is invoked.
        configuration: of that name; None if there is no such function, alias or version.
        aliases: all aliases of the function.
        policies: the resource policies of the bare name, of the aliases and of versions.
        versions_left: the number of versions whose policies were not read.
        urls: its function URLs.
    """

    name: FunctionName
    configuration: Read[Function | None]
    aliases: Read[tuple[Alias, ...]] = ()
    policies: tuple[ResourcePolicy, ...] = ()
    versions_left: Read[int] = 0
    urls: Read[tuple[FunctionUrl, ...]] = ()

    @property
    def own_policy(self) -> Read[tuple[Statement, ...]] | None:
        """The statements of the resource policy that applies to an Invoke of `name`; None if it was not read."""
        return next((one.statements for one in self.policies if one.name == self.name.policy_name), None)

    def alias(self, name: FunctionName) -> Alias | None:
        """The alias that a name means; None also where the aliases could not be read."""
        return next((alias for alias in known(self.aliases) if alias.name == name.qualifier), None)


@dataclass(frozen=True, slots=True)
class RolePolicies:
    """The policies of a role.

    Attributes:
        statements: of its inline and attached policies.
        boundary: of its permissions boundary; None if it has none.
        trust: of its trust policy.
    """

    statements: Read[tuple[Statement, ...]]
    boundary: Read[tuple[Statement, ...]] | None = None
    trust: Read[tuple[Statement, ...]] = ()


@dataclass(frozen=True, slots=True)
class ServingVersion:
    """Another name of the bridge that receives requests: a target, or a version with a weight in an alias.

    Attributes:
        name: an alias, a version, or the bare name.
        configuration: None if there is no such alias or version.
        role_policies: None if there is no such role.
    """

    name: FunctionName
    configuration: Read[Function | None]
    role_policies: Read[RolePolicies | None]


# ---- VPC Lattice ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class TargetGroup:
    """A target group that sends to the bridge.

    Attributes:
        event_version: `V1` or `V2`; None if the type of the group is not LAMBDA.
        targets: their ids, which are ARNs of functions.
        services: the ARNs of the services that forward to the group.
    """

    arn: str
    name: str
    event_version: str | None
    status: str
    targets: Read[tuple[str, ...]]
    services: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AuthPolicy:
    """An auth policy: `Active`, or `Inactive` while the service's auth type is NONE; and its statements."""

    state: str
    statements: tuple[Statement, ...]


@dataclass(frozen=True, slots=True)
class Listener:
    """A listener; its protocol is `HTTPS`, `HTTP` or `TLS_PASSTHROUGH`."""

    protocol: str
    port: int


@dataclass(frozen=True, slots=True)
class Service:
    """A Lattice service. `auth_policy` is None if it has none."""

    arn: str
    name: str
    auth_type: str
    auth_policy: Read[AuthPolicy | None]
    listeners: Read[tuple[Listener, ...]]


def target_name(target: str, bridge: FunctionName) -> FunctionName | None:
    """The bridge as a target names it; None for another function."""
    parts = target.split(":")
    if ":".join(parts[:7]) != bridge.arn:
        return None
    return FunctionName(bridge.arn, ":".join(parts[7:]) or None).policy_name


def target_names(groups: Iterable[Read[TargetGroup]], bridge: FunctionName) -> tuple[FunctionName, ...]:
    """The names of the bridge that are targets of the groups."""
    targets = (target for group in groups if isinstance(group, TargetGroup) for target in known(group.targets))
    return tuple(dict.fromkeys(name for target in targets if (name := target_name(target, bridge))))


# ---- bridge.toml ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class MapPrincipal:
    """A role or user that the map names exactly.

    Attributes:
        partition, account, name: of its ARN, without a path.
        rules: the ids of the rules that name it.
        denies: all of these rules deny.
    """

    partition: str
    account: str
    name: str
    rules: tuple[str, ...]
    denies: bool
    kind: Literal["role", "user"] = "role"

    @property
    def arn(self) -> str:
        return f"arn:{self.partition}:iam::{self.account}:{self.kind}/{self.name}"


@dataclass(frozen=True, slots=True)
class Configuration:
    """The requirements that a bridge.toml has of the stack.

    Attributes:
        file: its path, for messages.
        options: the backends, and the services that events may come from.
        principals: the roles and users that rules name exactly.
        knows_callers: a rule is for callers that Lattice authenticates.
        admits_anonymous: a rule is for tokens or for anyone, so callers that Lattice calls anonymous must be allowed.
        table: the registry's table, by name or ARN.
        headers: that the map reads of a request, in lower case.
        certificates: ids of the rules that read the subject of a client's certificate.
        vpcs: ids of the rules that read the VPC that a request came from.
        trusted_sources: (ARN, id) of the rules that allow by a source alone, for every sender.
    """

    file: str
    options: Options
    principals: tuple[MapPrincipal, ...] = ()
    knows_callers: bool = True
    admits_anonymous: bool = False
    table: str | None = None
    headers: frozenset[str] = frozenset()
    certificates: tuple[str, ...] = ()
    vpcs: tuple[str, ...] = ()
    trusted_sources: tuple[tuple[str, str], ...] = ()


# ---- API Gateway ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ApiAuthorizer:
    """A Lambda authorizer of an API.

    Attributes:
        name: in the API.
        function: that it invokes; None if there is no such function.
        is_token: whether its type is TOKEN.
        ttl: seconds that its answers are cached.
        sources: the identity sources, as API Gateway writes them.
        simple: whether the API expects a simple response.
    """

    name: str
    function: Read[Function | None]
    is_token: bool
    ttl: int
    sources: tuple[str, ...]
    simple: bool = False


@dataclass(frozen=True, slots=True)
class ApiMethod:
    """A method of a REST API.

    Attributes:
        label: method and path.
        type: of the integration, as in `AWS_PROXY`.
        uri: of the integration. It contains the ARN of a function.
        tenant: what is mapped to the tenant id of the invocation; None if nothing is.
        is_open: whether no authorizer is in front of it.
    """

    label: str
    type: str
    uri: str
    tenant: str | None
    is_open: bool


@dataclass(frozen=True, slots=True)
class Api:
    """An API that bridge.toml lists.

    Attributes:
        id: as in `[apigateway] apis`.
        kind: None if there is no such API.
        authorizers: its Lambda authorizers.
        methods: of a REST API. An HTTP API cannot map a tenant id, and writes every event itself.
        is_private: whether requests may come from a VPC; True if it cannot be read.
        has_default_endpoint: whether clients can reach it without a custom domain, and so without mutual TLS; False if
            it cannot be read.
    """

    id: str
    kind: Literal["REST", "HTTP"] | None
    authorizers: Read[tuple[ApiAuthorizer, ...]] = ()
    methods: Read[tuple[ApiMethod, ...]] = ()
    is_private: bool = False
    has_default_endpoint: bool = False


# ---- the stack ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class BackendFunction:
    """A `[[backend]]` and the function that it names."""

    backend: Backend
    function: DeployedFunction

    @property
    def isolated(self) -> bool:
        return self.backend.isolated

    @property
    def label(self) -> str:
        return f"backend {self.backend.path} {self.function.name.label}"

    @property
    def table(self) -> str:
        return f'[[backend]] path "{self.backend.path}"'

    @property
    def consequence(self) -> str:
        """What happens if Lambda refuses the Invoke."""
        return "every request is answered with 500"


@dataclass(frozen=True, slots=True)
class SourceFunction:
    """An `[[event_source]]` and the function that it names.

    Attributes:
        destination: where Lambda sends asynchronous events that failed; None for nowhere, and if it was not asked.
    """

    source: EventSource
    function: DeployedFunction
    destination: Read[str | None] = None

    @property
    def isolated(self) -> bool:
        return self.source.isolated

    @property
    def label(self) -> str:
        return f"event source {name_of_source(self.source.arn)} {self.function.name.label}"

    @property
    def table(self) -> str:
        return f'[[event_source]] arn "{self.source.arn}"'

    @property
    def consequence(self) -> str:
        """What happens if Lambda refuses the Invoke."""
        return "every record is reported as failed"


@dataclass(frozen=True, slots=True)
class StreamFront:
    """A Kinesis stream or a table of `[[event_source]]`, by its ARN.

    Attributes:
        stream: without its policy; None if there is no such stream or table.
        policy: the statements of its resource policy.
    """

    arn: str
    stream: Read[Stream | None]
    policy: Read[tuple[Statement, ...]] = ()


@dataclass(frozen=True, slots=True)
class BusFront:
    """The event bus of `[[event_source]]`.

    Attributes:
        bus: None if there is no such bus.
        rules: those of this bus and of the default one that invoke the bridge.
        failures: for each name under which a rule invokes the bridge.
    """

    bus: Read[Bus | None]
    rules: Read[tuple[BusRule, ...]]
    failures: tuple[Read[FailurePlace], ...] = ()


@dataclass(frozen=True, slots=True)
class Deployment:
    """A deployed bridge with everything in front of it and behind it.

    Attributes:
        account: the account of the credentials.
        bridge: under the alias or version that the operator named, or else under the name that Lattice's target has.
        name_given: the operator named an alias or version.
        role_policies: of the bridge's role; None if there is no such role.
        serving: the other names of the bridge that receive requests.
        event_sources: its event source mappings, each with its UUID as label.
        groups: the target groups that send to it.
        groups_unread: the call that left a part of the target groups unread; None if all were read.
        services: those that forward to the groups, and the one that the operator named, by ARN or id; None for one
            that does not exist.
        backends: the functions behind it.
        map_modified: when the place of the map was last changed; None if there is no such object or parameter, or if
            AWS does not say.
        principals: the roles and users of the map in this account, with their dates of creation; None for one that
            does not exist. Cut off after a limit.
        foreign_principals: the roles and users of the map in other accounts.
        apis: the REST and HTTP APIs that bridge.toml lists.
        sources: the functions behind the event sources.
        queues: those of the event sources, their dead-letter queues and quarantines, by ARN; None for one that does
            not exist.
        rivals: by the ARN of a queue, the UUIDs of the mappings that send its messages to another function.
        streams: the streams and tables of the event sources.
        bus: None if bridge.toml has none.
        pipes: those that invoke the bridge. They are read only if bridge.toml has an event source with `pipe`.
    """

    account: str
    bridge: DeployedFunction
    name_given: bool
    role_policies: Read[RolePolicies | None]
    serving: tuple[ServingVersion, ...]
    event_sources: Read[tuple[SourceMapping, ...]]
    groups: tuple[Read[TargetGroup], ...]
    groups_unread: Unread | None
    services: tuple[tuple[str, Read[Service | None]], ...]
    backends: tuple[BackendFunction, ...]
    map_modified: Read[datetime | None]
    principals: tuple[tuple[MapPrincipal, Read[datetime | None]], ...]
    foreign_principals: tuple[MapPrincipal, ...]
    apis: tuple[Api, ...] = ()
    sources: tuple[SourceFunction, ...] = ()
    queues: tuple[tuple[str, Read[Queue | None]], ...] = ()
    rivals: tuple[tuple[str, Read[tuple[str, ...]]], ...] = ()
    streams: tuple[StreamFront, ...] = ()
    bus: BusFront | None = None
    pipes: Read[tuple[Pipe, ...]] = ()

    @property
    def behind(self) -> tuple[BackendFunction | SourceFunction, ...]:
        """The functions behind the bridge, as bridge.toml names them."""
        return (*self.backends, *self.sources)

    @property
    def known_groups(self) -> tuple[TargetGroup, ...]:
        """The target groups that could be read."""
        return tuple(group for group in self.groups if isinstance(group, TargetGroup))

    @property
    def groups_are_known(self) -> bool:
        """All target groups and their targets could be read."""
        targets_are_known = not any(isinstance(group.targets, Unread) for group in self.known_groups)
        return self.groups_unread is None and len(self.known_groups) == len(self.groups) and targets_are_known

    @property
    def all_serving(self) -> tuple[ServingVersion, ...]:
        """Every name of the bridge that receives requests, with the one of `bridge` first."""
        return (ServingVersion(self.bridge.name, self.bridge.configuration, self.role_policies), *self.serving)

    @property
    def roles(self) -> frozenset[str]:
        """The ARNs of the roles that the bridge runs as, as far as they could be read."""
        configurations = (one.configuration for one in self.all_serving)
        return frozenset(one.role for one in configurations if isinstance(one, Function))

    def lacks(self, name: FunctionName) -> bool:
        """The bridge has no such alias or version: AWS answered so, or the list of aliases lacks it."""
        if any(one.name == name and one.configuration is None for one in self.serving):
            return True
        is_alias = name.qualifier is not None and not name.is_version
        return is_alias and not isinstance(self.bridge.aliases, Unread) and self.bridge.alias(name) is None
