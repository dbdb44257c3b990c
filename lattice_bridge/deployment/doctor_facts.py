"""A deployed stack as doctor read it.

Rule: values, each of them read or an `Unread`. Nothing here knows how AWS was asked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from lattice_bridge.backend import Backend
from lattice_bridge.deployment.doctor_config import NamedRole
from lattice_bridge.deployment.doctor_finding import Read
from lattice_bridge.deployment.doctor_policy import Statement


@dataclass(frozen=True, slots=True)
class Name:
    """A function as it is named.

    Attributes:
        arn: its ARN, without a qualifier.
        qualifier: alias or version; None for `$LATEST`.
    """

    arn: str
    qualifier: str | None = None

    @property
    def name(self) -> str:
        return self.arn.rpartition(":")[2]

    @property
    def qualified(self) -> str:
        """The ARN that an invocation of it is for."""
        return f"{self.arn}:{self.qualifier}" if self.qualifier else self.arn

    @property
    def short(self) -> str:
        return f"{self.name}:{self.qualifier}" if self.qualifier else self.name

    @property
    def arguments(self) -> tuple[str, ...]:
        """What the AWS CLI takes to name it."""
        return ("--function-name", self.name, *(("--qualifier", self.qualifier) if self.qualifier else ()))


@dataclass(frozen=True, slots=True)
class Function:
    """A function's configuration.

    Attributes:
        runtime: its identifier; None for an image.
        handler: of a zip.
        role: its role's ARN.
        timeout: seconds.
        log_format: `JSON` or `Text`.
        log_group: where its log goes.
        modified: when this version was changed last; None if AWS does not say.
        isolated: each tenant has environments of its own.
        state: `Active` when it serves.
        variables: those of the environment whose names begin with LATTICE_BRIDGE_.
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


@dataclass(frozen=True, slots=True)
class Door:
    """Who may invoke a function under one of its names: the statements of that name's resource policy."""

    name: Name
    statements: Read[tuple[Statement, ...]]


@dataclass(frozen=True, slots=True)
class TargetGroup:
    """A target group.

    Attributes:
        event_version: `V1` or `V2`; None for one that is not of Lambda.
        targets: their ids, which are functions' ARNs.
        services: ARNs of the services that forward to it.
    """

    arn: str
    name: str
    event_version: str | None
    status: str
    targets: Read[tuple[str, ...]]
    services: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AuthPolicy:
    """A service's auth policy: `Active`, or `Inactive` while the service's auth type is NONE."""

    state: str
    statements: tuple[Statement, ...]


@dataclass(frozen=True, slots=True)
class Listener:
    """A listener: `HTTPS`, `HTTP` or `TLS_PASSTHROUGH`, on a port."""

    arn: str
    protocol: str
    port: int


@dataclass(frozen=True, slots=True)
class Service:
    """A service. `auth_policy` is None if it has none."""

    arn: str
    name: str
    auth_type: str
    auth_policy: Read[AuthPolicy | None]
    listeners: Read[tuple[Listener, ...]]


@dataclass(frozen=True, slots=True)
class BackendFunction:
    """A `[[backend]]`, and the function behind it; None if there is no such function."""

    backend: Backend
    name: Name
    function: Read[Function | None]
    doors: tuple[Door, ...] = ()


@dataclass(frozen=True, slots=True)
class Rights:
    """What a role may do.

    Attributes:
        statements: of its inline and attached policies.
        boundary: the statements of its permissions boundary; None if it has none.
    """

    statements: Read[tuple[Statement, ...]]
    boundary: Read[tuple[Statement, ...]] | None = None


@dataclass(frozen=True, slots=True)
class MapRole:
    """A role that the map names, and when it was created; None if there is no such role."""

    named: NamedRole
    created: Read[datetime | None]


@dataclass(frozen=True, slots=True)
class Deployed:
    """All of it.

    Attributes:
        account: of the credentials.
        bridge: the bridge's function, under the alias asked for, or else the one that Lattice's target names.
        function: its configuration.
        aliases: of the function.
        doors: of the function itself, of each alias, and of the name that was asked for.
        urls: the ARNs of its names that have a function URL.
        sources: (UUID, source) of its event source mappings.
        groups: target groups that send to it.
        unseen: in which target groups it is could not be found out, or not fully.
        services: those that forward to the groups, and the one asked for; None for one that is not there.
        asked_service: its ARN or id, if one was asked for.
        backends: the functions behind it.
        rights: of its role.
        map_written: when what the map is in was changed last; None if AWS does not say.
        roles: that the map names, of this account; the first of them, if there are very many.
        elsewhere: those of other accounts.
    """

    account: str
    bridge: Name
    function: Read[Function]
    aliases: Read[tuple[str, ...]]
    doors: tuple[Door, ...]
    urls: Read[tuple[str, ...]]
    sources: Read[tuple[tuple[str, str], ...]]
    groups: tuple[Read[TargetGroup], ...]
    unseen: Read[None]
    services: tuple[tuple[str, Read[Service | None]], ...]
    asked_service: str | None
    backends: tuple[BackendFunction, ...]
    rights: Read[Rights]
    map_written: Read[datetime | None]
    roles: tuple[MapRole, ...]
    elsewhere: tuple[NamedRole, ...]
