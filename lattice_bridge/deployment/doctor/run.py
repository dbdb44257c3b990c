"""Doctor as a whole: reads a deployed stack, then judges it.

Rule: reading ends before judging begins, and no judge makes a call.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import chain
from typing import Final

from lattice_bridge.config.event_source import EventSource
from lattice_bridge.config.location import FUNCTION_VARIABLE
from lattice_bridge.config.options import function_fault
from lattice_bridge.deployment.doctor import read, read_sources
from lattice_bridge.deployment.doctor.apis import api_findings
from lattice_bridge.deployment.doctor.configuration import function_findings, principal_findings, tenancy_findings
from lattice_bridge.deployment.doctor.facts import (
    Alias,
    BackendFunction,
    Configuration,
    DeployedFunction,
    Deployment,
    Function,
    FunctionName,
    Read,
    ResourcePolicy,
    Service,
    ServingVersion,
    SourceFunction,
    TargetGroup,
    Unread,
    known,
    target_names,
)
from lattice_bridge.deployment.doctor.findings import Command, Finding
from lattice_bridge.deployment.doctor.invokers import (
    backend_invoker_findings,
    bridge_invoker_findings,
    trust_findings,
)
from lattice_bridge.deployment.doctor.role import role_findings
from lattice_bridge.deployment.doctor.service import allow_list_findings, service_findings, target_group_findings
from lattice_bridge.deployment.doctor.sources import source_findings
from lattice_bridge.deployment.iam.access import admits_group
from lattice_bridge.deployment.sources.facts import Queue
from lattice_bridge.events.record import BUS, STREAMS, service_of

MOST_PRINCIPALS: Final = 500
"""Roles and users of the map that are read: each takes one call."""


MOST_APIS: Final = 50
"""APIs of bridge.toml that are read: each takes two calls, and one for each authorizer."""


class NoSuchFunction(Exception):
    """The function does not exist, or has no such alias."""


def read_deployment(
    aws: read.Aws, name: FunctionName, configuration: Configuration, *, account: str, service: str | None = None
) -> Deployment:
    """Reads everything about a bridge that AWS tells these credentials.

    Args:
        name: the bridge's function. Without an alias or version, the name that Lattice's target has is read.
        account: of the credentials.
        service: the ARN or id of a service to read even if it does not forward to the bridge.

    Raises:
        NoSuchFunction: the function does not exist, or has no such alias.
    """
    given, name = name.qualifier is not None, name.policy_name
    _require(aws, name)
    aliases = read.read_aliases(aws, name)
    policies, left, groups, groups_unread = _entry_points(aws, name, aliases)
    targets = target_names(groups, name)
    name = name if given else _serving_name(aws, name, targets, groups, policies)
    function = read.read_function(aws, name)
    here = [one for one in configuration.principals if (one.partition, one.account) == (name.partition, account)]
    invoked = [*(one.name for one in policies if not one.name.is_version), name, *targets]
    found = Deployment(
        account=account,
        bridge=DeployedFunction(name, function, aliases, policies, left, read.read_urls(aws, name)),
        name_given=given,
        role_policies=function if isinstance(function, Unread) else _serving(aws, name, account).role_policies,
        serving=tuple(_serving(aws, one, account) for one in _other_names(name, targets, aliases)),
        event_sources=read_sources.read_event_sources(aws, invoked),
        groups=groups,
        groups_unread=groups_unread,
        services=tuple(_services(aws, service, groups).items()),
        backends=_backends(aws, configuration, function, name),
        map_modified=read.read_map_modified(aws, function),
        principals=tuple((one, read.read_created(aws, one)) for one in here[:MOST_PRINCIPALS]),
        foreign_principals=tuple(one for one in configuration.principals if one not in here),
        apis=tuple(read.read_api(aws, one, name) for one in sorted(configuration.options.apis)[:MOST_APIS]),
    )
    return _with_sources(aws, found, configuration.options.event_sources, invoked)


def _with_sources(
    aws: read.Aws, found: Deployment, sources: tuple[EventSource, ...], invoked: list[FunctionName]
) -> Deployment:
    """A deployment with the event sources of bridge.toml.

    Args:
        invoked: the names under which the bridge can be invoked.
    """
    bridge = found.bridge.name
    return replace(
        found,
        sources=tuple(_source(aws, one, bridge) for one in sources),
        queues=tuple(_queues(aws, sources, bridge).items()),
        rivals=tuple((one, read_sources.read_rivals(aws, one, bridge)) for one in _of_services(sources, "sqs")),
        streams=tuple(read_sources.read_stream(aws, one, bridge) for one in _of_services(sources, *STREAMS)),
        bus=next((read_sources.read_bus(aws, one, bridge, invoked) for one in _of_services(sources, BUS)), None),
        pipes=read_sources.read_pipes(aws, bridge) if any(one.pipe for one in sources) else (),
    )


def _require(aws: read.Aws, name: FunctionName) -> None:
    if read.read_function(aws, name) is None:
        fix = "check --function, --region and --profile"
        raise NoSuchFunction(f"no function {name.label} in this account and Region. Fix: {fix}")


def _entry_points(
    aws: read.Aws, name: FunctionName, aliases: Read[tuple[Alias, ...]]
) -> tuple[tuple[ResourcePolicy, ...], Read[int], tuple[Read[TargetGroup], ...], Unread | None]:
    """The bridge's resource policies with the number that was left out, and the target groups that send to it. Policies
    name groups, and the targets of groups have policies, so both are read until no new name appears."""
    targets: tuple[FunctionName, ...] = ()
    while True:
        qualifiers = [name.qualifier, *(one.qualifier for one in targets)]
        policies, left = read.read_policies(aws, name, aliases, qualifiers)
        groups, groups_unread = read.read_groups(aws, name, policies)
        found = target_names(groups, name)
        if set(found) <= set(targets):
            return policies, left, groups, groups_unread
        targets = found


def _serving_name(
    aws: read.Aws,
    name: FunctionName,
    targets: tuple[FunctionName, ...],
    groups: Iterable[Read[TargetGroup]],
    policies: Iterable[ResourcePolicy],
) -> FunctionName:
    """The first target that exists. If targets cannot be read, the first name whose policy allows one of the groups."""
    existing = [one for one in targets if read.read_function(aws, one) is not None]
    arns = [group.resource if isinstance(group, Unread) else group.arn for group in groups if not targets]
    admitting = (
        policy.name
        for policy in policies
        if any(admits_group(statement, arn) for statement in known(policy.statements) for arn in arns)
    )
    return next(chain(existing, admitting), name)


def _other_names(
    name: FunctionName, targets: tuple[FunctionName, ...], aliases: Read[tuple[Alias, ...]]
) -> list[FunctionName]:
    """The names that receive requests besides one: other targets, and versions with a weight in a serving alias."""
    serving = {one.qualifier for one in (name, *targets)}
    weights = (weight for alias in known(aliases) if alias.name in serving for weight in alias.weights)
    versions = (FunctionName(name.arn, version) for version, _weight in weights)
    return [one for one in dict.fromkeys((*targets, *versions)) if one != name]


def _serving(aws: read.Aws, name: FunctionName, account: str) -> ServingVersion:
    function = read.read_function(aws, name)
    policies = read.read_role(aws, function.role, account) if isinstance(function, Function) else None
    return ServingVersion(name, function, policies)


def _services(aws: read.Aws, given: str | None, groups: Iterable[Read[TargetGroup]]) -> dict[str, Read[Service | None]]:
    """The services that forward to the groups, and the one that the operator named, by ARN or id."""
    arns = [arn for group in groups if isinstance(group, TargetGroup) for arn in group.services]
    if given and not any(given in (arn, arn.rpartition("/")[2]) for arn in arns):
        arns.append(given)
    return {arn: read.read_service(aws, arn) for arn in arns}


def _backends(
    aws: read.Aws, configuration: Configuration, function: Read[Function | None], bridge: FunctionName
) -> tuple[BackendFunction, ...]:
    """The backends, with the function that an environment variable of the bridge names for `/`."""
    replaced = function.variables.get(FUNCTION_VARIABLE) if isinstance(function, Function) else None
    valid = replaced if replaced and function_fault(replaced) is None else None
    backends = configuration.options.with_function(valid).backends
    return tuple(BackendFunction(one, _deployed(aws, one.function, bridge)) for one in backends)


def _deployed(aws: read.Aws, function: str, bridge: FunctionName) -> DeployedFunction:
    """The function behind the bridge that a table of bridge.toml names."""
    name = FunctionName.parse(function, bridge.partition, bridge.region, bridge.account)
    assert name is not None  # a configuration that loads names functions
    if name.region == bridge.region:
        return read.read_deployed_function(aws, name)
    cause = "it is in another Region"
    return DeployedFunction(name, Unread("lambda:GetFunctionConfiguration", name.qualified, cause, out_of_reach=True))


def _source(aws: read.Aws, source: EventSource, bridge: FunctionName) -> SourceFunction:
    function = _deployed(aws, source.function, bridge)
    is_asked = source.invocation == "async" and isinstance(function.configuration, Function)
    return SourceFunction(source, function, read.read_destination(aws, function.name) if is_asked else None)


def _of_services(sources: Iterable[EventSource], *services: str) -> list[str]:
    """The ARNs of the event sources of some services."""
    return [one.arn for one in sources if service_of(one.arn) in services]


def _queues(aws: read.Aws, sources: Iterable[EventSource], bridge: FunctionName) -> dict[str, Read[Queue | None]]:
    """The queues of event sources, with their quarantines and dead-letter queues, by ARN."""
    found: dict[str, Read[Queue | None]] = {}
    for source in sources:
        is_queue = service_of(source.arn) == "sqs"
        for arn in filter(None, (source.arn if is_queue else None, source.quarantine)):
            found[arn] = read_sources.read_queue(aws, arn, bridge)
        queue = found.get(source.arn)
        redrive = queue.redrive if isinstance(queue, Queue) else None
        if redrive is not None and redrive.target is not None:
            found[redrive.target] = read_sources.read_queue(aws, redrive.target, bridge)
    return found


def findings_of(deployment: Deployment, configuration: Configuration, profile: str | None = None) -> list[Finding]:
    """Judges a deployment. The findings are in the order in which a request passes: Lattice, bridge, backends, map.

    Args:
        profile: the AWS profile that the commands in the findings name.
    """
    return [
        replace(found, fix=found.fix.with_profile(profile)) if profile and isinstance(found.fix, Command) else found
        for found in _judged(deployment, configuration)
    ]


def _judged(deployment: Deployment, configuration: Configuration) -> Iterator[Finding]:
    yield from service_findings(deployment, configuration)
    yield from target_group_findings(deployment, configuration)
    yield from bridge_invoker_findings(deployment, configuration)
    yield from allow_list_findings(deployment, configuration)
    yield from api_findings(deployment, configuration)
    yield from function_findings(deployment, configuration)
    yield from role_findings(deployment, configuration)
    yield from trust_findings(deployment)
    yield from source_findings(deployment, configuration)
    for backend in deployment.behind:
        yield from tenancy_findings(backend, configuration)
        yield from backend_invoker_findings(backend, deployment)
    yield from principal_findings(deployment, configuration)
