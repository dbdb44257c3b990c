"""A deployed stack as doctor read it.

Rule: values, each of them read or an `Unread`. Nothing here knows how AWS was asked.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from lattice_bridge.config.backend import Backend
from lattice_bridge.deployment.doctor.configuration import NamedRole
from lattice_bridge.deployment.doctor.findings import Read, Unread, option
from lattice_bridge.deployment.iam.policy import Statement

LATEST: Final = "$LATEST"


@dataclass(frozen=True, slots=True)
class Name:
    """A function as it is named.

    Attributes:
        arn: its ARN, without a qualifier.
        qualifier: alias or version; None for what it is under its bare name, which is `$LATEST`.
    """

    arn: str
    qualifier: str | None = None

    @property
    def name(self) -> str:
        return self.arn.rpartition(":")[2]

    @property
    def region(self) -> str:
        return self.arn.split(":")[3]

    @property
    def account(self) -> str:
        return self.arn.split(":")[4]

    @property
    def admitted_as(self) -> Name:
        """The name whose resource policy counts: `$LATEST` has none of its own, but that of the bare name."""
        return Name(self.arn) if self.qualifier == LATEST else self

    @property
    def qualified(self) -> str:
        """The ARN that an invocation of it is for."""
        return f"{self.arn}:{self.qualifier}" if self.qualifier else self.arn

    @property
    def short(self) -> str:
        return f"{self.name}:{self.qualifier}" if self.qualifier else self.name

    @property
    def is_version(self) -> bool:
        """A published one: the names of aliases are no numbers."""
        return self.qualifier is not None and self.qualifier.isdigit()

    @property
    def version(self) -> tuple[str, ...]:
        """What the AWS CLI takes to name its alias or version, beside `--function-name`."""
        return option("--qualifier", self.qualifier) if self.qualifier else ()


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
        update: how its last change went: `Successful`, `InProgress` or `Failed`.
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
    update: str = "Successful"


@dataclass(frozen=True, slots=True)
class Alias:
    """An alias, the version it is for, and the shares (0 to 1) of its requests that other versions get meanwhile."""

    name: str
    version: str
    shares: tuple[tuple[str, float], ...] = ()

    @property
    def versions(self) -> tuple[str, ...]:
        return (self.version, *(version for version, _share in self.shares))


@dataclass(frozen=True, slots=True)
class Running:
    """One of the bridge's names that takes requests: what a target names, or a version that an alias gives a share.

    Attributes:
        name: alias, version, or the function itself.
        function: its configuration; None if there is no such alias or version.
        rights: of its role; None if there is no such role.
    """

    name: Name
    function: Read[Function | None]
    rights: Read[Rights | None]


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


def target_name(target: str, bridge: Name) -> Name | None:
    """The bridge as a target names it; None for another function."""
    arn, qualifier = ":".join(target.split(":")[:7]), ":".join(target.split(":")[7:])
    return Name(bridge.arn, qualifier or None).admitted_as if arn == bridge.arn else None


def target_names(groups: Iterable[Read[TargetGroup]], bridge: Name) -> tuple[Name, ...]:
    """The bridge's names that targets have."""
    known = (group.targets for group in groups if isinstance(group, TargetGroup))
    targets = (target for one in known if not isinstance(one, Unread) for target in one)
    return tuple(dict.fromkeys(name for target in targets if (name := target_name(target, bridge))))


@dataclass(frozen=True, slots=True)
class AuthPolicy:
    """A service's auth policy: `Active`, or `Inactive` while the service's auth type is NONE. Its statements are as its
    JSON has them."""

    state: str
    statements: tuple[Mapping[str, Any], ...]


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
    """A `[[backend]]`, and the function behind it.

    Attributes:
        function: its configuration under the name that the backend has; None if there is no such function.
        doors: who may invoke it, under any of its names.
        aliases: of it.
        left: how many of its versions were not asked who may invoke them.
        urls: the ARNs of its names that have a function URL.
    """

    backend: Backend
    name: Name
    function: Read[Function | None]
    doors: tuple[Door, ...] = ()
    aliases: Read[tuple[Alias, ...]] = ()
    left: Read[int] = 0
    urls: Read[tuple[str, ...]] = ()


@dataclass(frozen=True, slots=True)
class Rights:
    """What a role may do.

    Attributes:
        statements: of its inline and attached policies.
        boundary: the statements of its permissions boundary; None if it has none.
        trust: the statements of its trust policy: who may assume it.
        inline: the names of its inline policies.
    """

    statements: Read[tuple[Statement, ...]]
    boundary: Read[tuple[Statement, ...]] | None = None
    trust: Read[tuple[Statement, ...]] = ()
    inline: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class MapRole:
    """A role or user that the map names, and when it was created; None if there is none."""

    named: NamedRole
    created: Read[datetime | None]


@dataclass(frozen=True, slots=True)
class Deployed:
    """All of it.

    Attributes:
        account: of the credentials.
        bridge: the bridge's function, under the alias or version asked for, or else as Lattice's target names it.
        asked: an alias or version was asked for.
        function: its configuration.
        running: its other names that take requests.
        aliases: of the function.
        doors: of the function itself, of each alias, of what targets name, and of versions.
        left: how many of its versions were not asked who may invoke them.
        urls: the ARNs of its names that have a function URL.
        sources: (UUID, source) of its event source mappings.
        groups: target groups that send to it.
        unseen: in which target groups it is could not be found out, or not fully.
        services: those that forward to the groups, and the one asked for; None for one that is not there.
        asked_service: its ARN or id, if one was asked for.
        backends: the functions behind it.
        rights: of its role.
        map_written: when what the map is in was changed last; None if AWS does not say.
        map_gone: AWS says that there is no such object or parameter.
        roles: and users that the map names, of this account; the first of them, if there are very many.
        elsewhere: those of other accounts.
    """

    account: str
    bridge: Name
    asked: bool
    function: Read[Function]
    running: tuple[Running, ...]
    aliases: Read[tuple[Alias, ...]]
    doors: tuple[Door, ...]
    left: Read[int]
    urls: Read[tuple[str, ...]]
    sources: Read[tuple[tuple[str, str], ...]]
    groups: tuple[Read[TargetGroup], ...]
    unseen: Read[None]
    services: tuple[tuple[str, Read[Service | None]], ...]
    asked_service: str | None
    backends: tuple[BackendFunction, ...]
    rights: Read[Rights | None]
    map_written: Read[datetime | None]
    map_gone: bool
    roles: tuple[MapRole, ...]
    elsewhere: tuple[NamedRole, ...]

    def alias(self, name: Name) -> Alias | None:
        """The bridge's alias of that name, as far as its aliases could be read."""
        known = () if isinstance(self.aliases, Unread) else self.aliases
        return next((alias for alias in known if alias.name == name.qualifier), None)

    def lacks(self, name: Name) -> bool:
        """The bridge has no such alias or version: asked for by name it was not found, or it is not in the list."""
        if any(one.name == name and one.function is None for one in self.running):
            return True
        is_alias = name.qualifier is not None and not name.is_version
        return is_alias and not isinstance(self.aliases, Unread) and self.alias(name) is None
