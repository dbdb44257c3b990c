"""A deployed stack, read and judged.

Rule: reading comes first and whole; what is said of it is said by functions that ask nobody.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from lattice_bridge.backend import Backend, function_fault
from lattice_bridge.deployment.doctor_aws import Aws
from lattice_bridge.deployment.doctor_backends import backend_findings
from lattice_bridge.deployment.doctor_config import Configured, NamedRole
from lattice_bridge.deployment.doctor_facts import BackendFunction, Deployed, Door, Function, Name, TargetGroup
from lattice_bridge.deployment.doctor_finding import Finding, Read, Shell, Unread
from lattice_bridge.deployment.doctor_invokers import admits_lattice, allow_list_findings, invoker_findings
from lattice_bridge.deployment.doctor_map_roles import map_role_findings
from lattice_bridge.deployment.doctor_read_iam import read_map_roles, read_map_written, read_rights
from lattice_bridge.deployment.doctor_read_lambda import (
    name_of,
    read_aliases,
    read_door,
    read_doors,
    read_function,
    read_sources,
    read_urls,
)
from lattice_bridge.deployment.doctor_read_lattice import read_groups, read_services
from lattice_bridge.deployment.doctor_role import role_findings
from lattice_bridge.deployment.doctor_runtime import runtime_findings
from lattice_bridge.deployment.doctor_service import service_findings
from lattice_bridge.deployment.doctor_target_group import target_group_findings
from lattice_bridge.place import FUNCTION_VARIABLE

MOST_ROLES: Final = 500
"""Of the map's roles that are looked up, one by one."""


class NoSuchFunction(Exception):
    """The function, or its alias, is not there."""


def read_deployed(
    aws: Aws, bridge: Name, configured: Configured, *, account: str, service: str | None = None
) -> Deployed:
    """Everything about a bridge that AWS tells these credentials.

    Args:
        bridge: its function. Without a qualifier, the one that Lattice's target names.
        account: of the credentials.
        service: ARN or id, if one is to be looked at whether or not it forwards to the bridge.

    Raises:
        NoSuchFunction: there is no such function, or it has no such alias.
    """
    function = read_function(aws, bridge)
    if function is None:
        raise NoSuchFunction(f"no function {bridge.short} in this account and region")
    aliases = read_aliases(aws, bridge)
    doors = read_doors(aws, bridge, aliases)
    groups, unseen = read_groups(aws, bridge, doors)
    name = bridge if bridge.qualifier else Name(bridge.arn, _alias_in(groups, doors, bridge))
    if name != bridge:
        function = read_function(aws, name) or function
    options = configured.options
    replaced = function.variables.get(FUNCTION_VARIABLE) if isinstance(function, Function) else None
    if replaced and function_fault(replaced) is None:
        options = options.with_function(replaced)
    return Deployed(
        account=account,
        bridge=name,
        function=function,
        aliases=aliases,
        doors=doors,
        urls=read_urls(aws, name),
        sources=read_sources(aws, name),
        groups=groups,
        unseen=unseen,
        services=tuple(read_services(aws, service, groups).items()),
        asked_service=service,
        backends=tuple(_backend(aws, backend, name, account) for backend in options.backends),
        rights=function if isinstance(function, Unread) else read_rights(aws, function.role, account),
        map_written=read_map_written(aws, function),
        roles=read_map_roles(aws, [role for role in configured.roles if _is_here(role, name, account)][:MOST_ROLES]),
        elsewhere=tuple(role for role in configured.roles if not _is_here(role, name, account)),
    )


def _is_here(role: NamedRole, bridge: Name, account: str) -> bool:
    """Accounts are numbered per partition."""
    return (role.partition, role.account) == (bridge.arn.split(":")[1], account)


def _alias_in(groups: Iterable[Read[TargetGroup]], doors: Iterable[Door], bridge: Name) -> str | None:
    """The alias that a target group sends to; where targets cannot be read, the one on which Lattice is let in."""
    for group in groups:
        if isinstance(group, TargetGroup) and not isinstance(group.targets, Unread):
            for target in group.targets:
                if target.startswith(f"{bridge.arn}:"):
                    return target.removeprefix(f"{bridge.arn}:")
            return None
    admitting = (door for door in doors if not isinstance(door.statements, Unread) and admits_lattice(door.statements))
    return next((door.name.qualifier for door in admitting), None)


def _backend(aws: Aws, backend: Backend, bridge: Name, account: str) -> BackendFunction:
    partition, region = (bridge.arn.split(":")[at] for at in (1, 3))
    name = name_of(backend.function, partition, region, account)
    assert name is not None  # the configuration loads
    function = read_function(aws, name)
    names = dict.fromkeys((Name(name.arn), name))
    doors = () if function is None else tuple(read_door(aws, one) for one in names)
    return BackendFunction(backend, name, function, doors)


def findings_of(deployed: Deployed, configured: Configured, shell: Shell) -> list[Finding]:
    """All there is to say, in the order in which a request passes: Lattice, the bridge, what is behind it, the map."""
    return list(_all(deployed, configured, shell))


def _all(deployed: Deployed, configured: Configured, shell: Shell) -> Iterator[Finding]:
    yield from service_findings(deployed, configured, shell)
    yield from target_group_findings(deployed, configured, shell)
    yield from invoker_findings(deployed, shell)
    yield from allow_list_findings(deployed, configured)
    yield from runtime_findings(deployed, configured, shell)
    yield from role_findings(deployed, configured, shell)
    yield from backend_findings(deployed, configured, shell)
    yield from map_role_findings(deployed, configured, shell)
