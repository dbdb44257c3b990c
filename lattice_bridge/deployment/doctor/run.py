"""A deployed stack, read and judged.

Rule: reading comes first and whole; what is said of it is said by functions that ask nobody.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final

from lattice_bridge.config.backend import Backend, function_fault
from lattice_bridge.config.location import FUNCTION_VARIABLE
from lattice_bridge.deployment.doctor.allow_list import allow_list_findings
from lattice_bridge.deployment.doctor.backends import backend_findings
from lattice_bridge.deployment.doctor.configuration import Configured, NamedRole
from lattice_bridge.deployment.doctor.facts import (
    Alias,
    BackendFunction,
    Deployed,
    Door,
    Function,
    Name,
    Running,
    TargetGroup,
    target_names,
)
from lattice_bridge.deployment.doctor.findings import Finding, Read, Shell, Unread, without_part
from lattice_bridge.deployment.doctor.invokers import admits, invoker_findings
from lattice_bridge.deployment.doctor.map_roles import map_role_findings
from lattice_bridge.deployment.doctor.read import Aws
from lattice_bridge.deployment.doctor.read_iam import read_map_roles, read_map_written, read_rights
from lattice_bridge.deployment.doctor.read_lambda import (
    name_of,
    read_aliases,
    read_doors,
    read_function,
    read_sources,
    read_urls,
)
from lattice_bridge.deployment.doctor.read_lattice import read_groups, read_services
from lattice_bridge.deployment.doctor.role import role_findings
from lattice_bridge.deployment.doctor.runtime import runtime_findings
from lattice_bridge.deployment.doctor.service import service_findings
from lattice_bridge.deployment.doctor.target_group import target_group_findings

MOST_ROLES: Final = 500
"""Of the map's roles that are looked up, one by one."""


class NoSuchFunction(Exception):
    """The function, or its alias, is not there."""


def read_deployed(
    aws: Aws, bridge: Name, configured: Configured, *, account: str, service: str | None = None
) -> Deployed:
    """Everything about a bridge that AWS tells these credentials.

    Args:
        bridge: its function. Without an alias or version, under the name that Lattice's target has.
        account: of the credentials.
        service: ARN or id, if one is to be looked at whether or not it forwards to the bridge.

    Raises:
        NoSuchFunction: there is no such function, or it has no such alias.
    """
    asked, bridge = bridge.qualifier is not None, bridge.admitted_as
    if read_function(aws, bridge) is None:
        raise NoSuchFunction(f"no function {bridge.short} in this account and region")
    aliases = read_aliases(aws, bridge)
    front = _read_front(aws, bridge, aliases)
    doors, groups, targets = front.doors, front.groups, front.targets
    name = bridge if asked else _serving(aws, bridge, targets, groups, doors)
    function = read_function(aws, name)
    assert function is not None  # it was there
    options = configured.options
    replaced = function.variables.get(FUNCTION_VARIABLE) if isinstance(function, Function) else None
    if replaced and function_fault(replaced) is None:
        options = options.with_function(replaced)
    map_written, map_gone = read_map_written(aws, function)
    return Deployed(
        account=account,
        bridge=name,
        asked=asked,
        function=function,
        running=tuple(_running(aws, one, account) for one in _others(name, targets, aliases)),
        aliases=aliases,
        doors=doors,
        left=front.left,
        urls=read_urls(aws, name),
        sources=read_sources(aws, [*(door.name for door in doors if not door.name.is_version), name, *targets]),
        groups=groups,
        unseen=front.unseen,
        services=tuple(read_services(aws, service, groups).items()),
        asked_service=service,
        backends=tuple(_backend(aws, backend, name) for backend in options.backends),
        rights=function if isinstance(function, Unread) else read_rights(aws, function.role, account),
        map_written=map_written,
        map_gone=map_gone,
        roles=read_map_roles(aws, [role for role in configured.roles if _is_here(role, name, account)][:MOST_ROLES]),
        elsewhere=tuple(role for role in configured.roles if not _is_here(role, name, account)),
    )


@dataclass(frozen=True, slots=True)
class _Front:
    """The bridge's doors and those who may stand at them; each is as in `Deployed`."""

    doors: tuple[Door, ...]
    left: Read[int]
    groups: tuple[Read[TargetGroup], ...]
    unseen: Read[None]
    targets: tuple[Name, ...]


def _read_front(aws: Aws, bridge: Name, aliases: Read[tuple[Alias, ...]]) -> _Front:
    """Policies name target groups, and what those send to has policies: until nothing new is named."""
    targets: tuple[Name, ...] = ()
    while True:
        doors, left = read_doors(aws, bridge, aliases, [bridge.qualifier, *(name.qualifier for name in targets)])
        groups, unseen = read_groups(aws, bridge, doors)
        found = target_names(groups, bridge)
        if set(found) <= set(targets):
            return _Front(doors, left, groups, unseen, found)
        targets = found


def _is_here(role: NamedRole, bridge: Name, account: str) -> bool:
    """Accounts are numbered per partition."""
    return (role.partition, role.account) == (bridge.arn.split(":")[1], account)


def _serving(
    aws: Aws, bridge: Name, targets: tuple[Name, ...], groups: Iterable[Read[TargetGroup]], doors: Iterable[Door]
) -> Name:
    """What a target names, and is there; where targets cannot be read, the name on which Lattice is let in."""
    there = [name for name in targets if read_function(aws, name) is not None]
    known = [group.resource if isinstance(group, Unread) else group.arn for group in groups if not targets]
    policies = [(door.name, () if isinstance(door.statements, Unread) else door.statements) for door in doors]
    there += [name for name, statements in policies for one in statements if any(admits(one, arn) for arn in known)]
    return there[0] if there else bridge


def _others(name: Name, targets: tuple[Name, ...], aliases: Read[tuple[Alias, ...]]) -> list[Name]:
    """What takes requests beside one of the bridge's names: other targets, and versions that aliases share with."""
    known = () if isinstance(aliases, Unread) else aliases
    serving = {one.qualifier for one in (name, *targets)}
    shares = [version for alias in known if alias.name in serving for version, _share in alias.shares]
    return [one for one in dict.fromkeys((*targets, *(Name(name.arn, version) for version in shares))) if one != name]


def _running(aws: Aws, name: Name, account: str) -> Running:
    function = read_function(aws, name)
    rights = read_rights(aws, function.role, account) if isinstance(function, Function) else None
    return Running(name, function, rights)


def _backend(aws: Aws, backend: Backend, bridge: Name) -> BackendFunction:
    partition = bridge.arn.split(":")[1]
    name = name_of(backend.function, partition, bridge.region, bridge.account)
    assert name is not None  # the configuration loads
    if name.region != bridge.region:
        unread = Unread("lambda:GetFunctionConfiguration", name.qualified, "it is in another region", elsewhere=True)
        return BackendFunction(backend, name, unread)
    aliases = read_aliases(aws, name)
    doors, left = read_doors(aws, name, aliases, [name.qualifier])
    return BackendFunction(backend, name, read_function(aws, name), doors, aliases, left, read_urls(aws, name))


def findings_of(deployed: Deployed, configured: Configured, shell: Shell) -> list[Finding]:
    """All there is to say, in the order in which a request passes: Lattice, the bridge, what is behind it, the map."""
    return [
        found if found.mend is None else replace(found, mend=without_part(found.mend))
        for found in _all(deployed, configured, shell)
    ]


def _all(deployed: Deployed, configured: Configured, shell: Shell) -> Iterator[Finding]:
    yield from service_findings(deployed, configured, shell)
    yield from target_group_findings(deployed, configured, shell)
    yield from invoker_findings(deployed, shell)
    yield from allow_list_findings(deployed, configured)
    yield from runtime_findings(deployed, configured, shell)
    yield from role_findings(deployed, configured, shell)
    yield from backend_findings(deployed, configured, shell)
    yield from map_role_findings(deployed, configured, shell)
