"""VPC Lattice in front of the bridge: target groups, services, auth policies, listeners, and `[lattice] services`.

Rule: the map decides which callers Lattice must authenticate. Lattice calls a caller with only a token anonymous.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Final

from lattice_bridge.config.tables.options import service_fault
from lattice_bridge.deployment.doctor.facts import (
    LATEST,
    AuthPolicy,
    Configuration,
    Deployment,
    FunctionName,
    Service,
    TargetGroup,
    Unread,
    known,
    target_name,
    target_names,
)
from lattice_bridge.deployment.doctor.findings import Finding, listed, unread_finding
from lattice_bridge.deployment.doctor.fronts import needs_no_lattice
from lattice_bridge.deployment.iam.auth_policy import admits_anonymous, admits_no_caller

# ---- services -------------------------------------------------------------------------------------------------------

_SIGNED: Final = '"Condition": {"StringNotEqualsIgnoreCase": {"aws:PrincipalType": "anonymous"}}'


def service_findings(deployment: Deployment, configuration: Configuration) -> Iterator[Finding]:
    """Judges each service that forwards to the bridge, and the one that the operator named."""
    forwarding = {arn for group in deployment.known_groups for arn in group.services}
    for arn, service in deployment.services:
        if isinstance(service, Unread):
            yield unread_finding(f"service {arn}", service, "readable")
        elif service is None:
            actual = "no such service in this account and Region"
            yield Finding("error", f"service {arn}", actual, "a service that exists", "check --service and --region")
        else:
            if service.arn not in forwarding and deployment.known_groups:
                actual, expected = "forwards to no target group of the bridge", "forwards to the bridge"
                fix = "let a listener or a rule of the service forward to the bridge's target group"
                yield Finding("error", f"service {service.name}", actual, expected, fix)
            yield _auth_type_finding(service, configuration)
            if service.auth_type == "AWS_IAM":
                yield _auth_policy_finding(service, configuration)
            yield from _listener_findings(service)


def _auth_type_finding(service: Service, configuration: Configuration) -> Finding:
    subject, expected = f"auth type {service.name}", "AWS_IAM"
    if service.auth_type == "AWS_IAM":
        return Finding("ok", subject, "AWS_IAM", expected)
    fix = _activation(service, configuration)
    if configuration.knows_callers:
        actual = f"{service.auth_type}: unless the service network authenticates, no rule for a principal matches"
        return Finding("error", subject, actual, expected, fix)
    actual = f"{service.auth_type}: only tokens identify callers, unless the service network authenticates"
    return Finding("warning", subject, actual, expected, fix)


def _activation(service: Service, configuration: Configuration) -> str:
    """The policy comes first: it becomes active with the auth type, and it replaces no policy that is there."""
    policy = service.auth_policy
    first = "make sure that its auth policy admits the callers of the map"
    if policy is None or policy == AuthPolicy("Inactive", ()):
        first = _new_policy(configuration)
    return f"first {first}; then set the auth type of the service to AWS_IAM"


def _new_policy(configuration: Configuration) -> str:
    """Without a policy, a service that authenticates refuses every request."""
    callers = "everyone" if configuration.admits_anonymous else f"everyone with {_SIGNED}"
    return f"put an auth policy that allows vpc-lattice-svcs:Invoke to {callers}"


def _auth_policy_finding(service: Service, configuration: Configuration) -> Finding:
    subject, policy = f"auth policy {service.name}", service.auth_policy
    expected = "admits authenticated callers" + (" and anonymous ones" if configuration.admits_anonymous else " only")
    if isinstance(policy, Unread):
        return unread_finding(subject, policy, expected)
    if policy is None or not policy.statements:
        return Finding("error", subject, "admits no caller", expected, _new_policy(configuration))
    if policy.state != "Active":
        return Finding("error", subject, policy.state, "Active", _activation(service, configuration))
    if admits_no_caller(policy.statements, service.arn):
        fix = f"allow vpc-lattice-svcs:Invoke on {service.arn}/*, and remove the Deny of every request"
        return Finding("error", subject, "admits no caller", expected, fix)
    anonymous = admits_anonymous(policy.statements, service.arn)
    if anonymous and not configuration.admits_anonymous:
        fix = f"add {_SIGNED} to each Allow for everyone"
        return Finding("error", subject, "admits unauthenticated callers", expected, fix)
    if configuration.admits_anonymous and not anonymous:
        actual = "admits authenticated callers only: a caller with a token but no SigV4 signature is refused"
        fix = f"allow callers that do not sign, with an Allow for everyone without {_SIGNED}"
        return Finding("warning", subject, actual, expected, fix)
    callers = "anonymous callers too" if anonymous else "authenticated callers"
    return Finding("ok", subject, f"Active, admits {callers}", expected)


def _listener_findings(service: Service) -> Iterator[Finding]:
    expected = "HTTPS: no signature protects the body"
    if isinstance(service.listeners, Unread):
        yield unread_finding(f"listener {service.name}", service.listeners, expected)
        return
    create = "create a listener with HTTPS that forwards to the bridge's target group"
    secure = any(listener.protocol == "HTTPS" for listener in service.listeners)
    for listener in service.listeners:
        subject = f"listener {service.name}:{listener.port}"
        if listener.protocol == "HTTPS":
            yield Finding("ok", subject, "HTTPS", expected)
        else:
            fix = "move its rules and clients to the listener with HTTPS, then delete it" if secure else create
            yield Finding("error", subject, listener.protocol, expected, fix)
    if not service.listeners:
        yield Finding("error", f"listener {service.name}", "none: no client can reach it", expected, create)


# ---- target groups --------------------------------------------------------------------------------------------------


def target_group_findings(deployment: Deployment, configuration: Configuration) -> Iterator[Finding]:
    """Judges each target group that sends to the bridge, and whether there is one."""
    bridge = deployment.bridge.name
    if deployment.groups_unread:
        yield unread_finding("target group", deployment.groups_unread, "one of type LAMBDA that sends to the bridge")
    elif not deployment.groups and needs_no_lattice(configuration.options):
        actual = f"none sends to {bridge.name}: bridge.toml has other ways in"
        yield Finding("ok", "target group", actual, f"none, or one of type LAMBDA, V2, with {bridge.label}")
    elif not deployment.groups:
        fix = "create one of type LAMBDA with lambdaEventStructureVersion=V2, and register the bridge's alias in it"
        expected = f"one of type LAMBDA, V2, with {bridge.label}"
        yield Finding("error", "target group", f"none sends to {bridge.name}", expected, fix)
    for group in deployment.groups:
        if isinstance(group, Unread):
            yield unread_finding(f"target group {group.resource}", group, "LAMBDA, V2, on the bridge's alias")
        else:
            yield _version_finding(group, configuration)
            yield from _target_findings(group, deployment)
            yield _state_finding(group)
    yield from _weight_findings(deployment)


def _version_finding(group: TargetGroup, configuration: Configuration) -> Finding:
    subject, expected = f"event version {group.name}", "V2"
    if group.event_version == "V2":
        return Finding("ok", subject, "V2", expected)
    fix = (
        "create a target group with lambdaEventStructureVersion=V2, register the same target, and let the service "
        "forward to it: the version of a target group never changes"
    )
    version = group.event_version or "V1"
    if configuration.options.services:
        actual = f"{version}, which does not name its service: [lattice] services refuses every request"
        return Finding("error", subject, actual, expected, fix)
    return Finding("warning", subject, f"{version}, which names neither service nor target group", expected, fix)


def _target_findings(group: TargetGroup, deployment: Deployment) -> Iterator[Finding]:
    subject, bridge = f"target {group.name}", deployment.bridge.name
    expected = "an alias, which a deployment can move, and move back"
    if isinstance(group.targets, Unread):
        yield unread_finding(subject, group.targets, expected)
        return
    for target in group.targets:
        name = target_name(target, bridge)
        if name is None:
            continue
        if deployment.lacks(name):
            actual = f"{name.label}, which does not exist: every request fails"
            yield Finding("error", subject, actual, expected, _alias_fix(group, name, deployment))
        elif name.qualifier is None or name.is_version:
            actual = f"{name.label}, which is {'one version' if name.is_version else LATEST}"
            yield Finding("warning", subject, actual, expected, _alias_fix(group, name, deployment))
        elif deployment.name_given and name != bridge:
            actual = f"{name.label}, but --function names {bridge.label}"
            fix = f"if {group.name} is meant for {bridge.label}, register it in place of {name.label}"
            yield Finding("warning", subject, actual, bridge.label, fix)
        else:
            yield Finding("ok", subject, name.label, expected)


def _alias_fix(group: TargetGroup, name: FunctionName, deployment: Deployment) -> str:
    aliases = [f"{one.name} for version {' and '.join(one.versions)}" for one in known(deployment.bridge.aliases)]
    alias = f"one of its aliases ({listed(aliases)})" if aliases else "an alias"
    return f"choose {alias}, allow Lattice to invoke it from {group.arn}, and register it in place of {name.label}"


def _weight_findings(deployment: Deployment) -> Iterator[Finding]:
    """The aliases that divide their requests between versions, as during a deployment."""
    bridge = deployment.bridge
    for name in dict.fromkeys((bridge.name, *target_names(deployment.groups, bridge.name))):
        alias = bridge.alias(name)
        if alias is not None and alias.weights:
            parts = [f"{weight:.0%} to version {version}" for version, weight in alias.weights]
            actual = f"{listed(parts)}, the rest to version {alias.version}"
            yield Finding("ok", f"weights of {name.label}", actual, "as intended during a deployment")


def _state_finding(group: TargetGroup) -> Finding:
    subject, expected = f"target group {group.name}", "ACTIVE, and a service forwards to it"
    if group.status != "ACTIVE":
        return Finding("error", subject, group.status, expected, "create the target group again")
    if not group.services:
        fix = f"let a listener or a rule of the service forward to {group.arn}"
        return Finding("error", subject, "no service forwards to it", expected, fix)
    return Finding("ok", subject, f"ACTIVE, for {listed(group.services)}", expected)


# ---- [lattice] services ---------------------------------------------------------------------------------------------


def allow_list_findings(deployment: Deployment, configuration: Configuration) -> Iterator[Finding]:
    """Compares `[lattice] services` with the services that forward to the bridge. The list excludes other services. It
    does not exclude principals that may invoke the bridge, since they also write the service into the event."""
    subject, allowed = "[lattice] services", configuration.options.services
    if not allowed and not deployment.groups and needs_no_lattice(configuration.options):
        return  # nothing comes from Lattice
    serving = frozenset(arn for group in deployment.known_groups for arn in group.services)
    entries = sorted(serving | allowed) or ["SERVICE ARN"]
    fix = f"in {configuration.file}, under [lattice]: services = {json.dumps(entries)}"
    if any(map(service_fault, serving)):
        fix = "no entry is given: the ARN of a service in AWS's answer is malformed"
    if not allowed:
        expected = listed(sorted(serving)) or "the services that forward to it"
        expected = f"{expected}; the list does not exclude principals with lambda:InvokeFunction"
        yield Finding("warning", subject, "any service that forwards to it", expected, fix)
        return
    expected, entries_text = "every service that forwards to it", listed(sorted(allowed))
    if refused := sorted(serving - allowed):
        yield Finding("error", subject, f"{listed(refused)} is not listed: its requests are refused", expected, fix)
    elif deployment.groups_unread or len(deployment.known_groups) < len(deployment.groups):
        actual = f"{entries_text}; not all services that forward to it could be read"
        yield Finding("unknown", subject, actual, expected)
    else:
        yield Finding("ok", subject, entries_text, expected)
