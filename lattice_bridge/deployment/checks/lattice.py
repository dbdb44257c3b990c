"""Target groups and services of VPC Lattice: how events reach the bridge, and which callers Lattice authenticates.

Rule: events reach a bridge from its own target groups alone, on its alias, in a version that the template names.
Lattice authenticates callers, and waits at least as long as the bridge may take.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from lattice_bridge.deployment.checks.invokers import SINGLE_GROUP, invokes
from lattice_bridge.deployment.checks.rights import read_statements
from lattice_bridge.deployment.checks.stack import (
    NOT_KNOWN,
    Stack,
    TemplateFinding,
    alias_fix,
    finding,
    has_tenancy,
    held_by_lattice,
    holds,
    lambda_groups,
    name_of,
    parse_reference,
    part_of,
    refers_to,
    resources_of,
    seconds_of,
    targets_of,
    warning,
)
from lattice_bridge.deployment.cloudformation.template import Resource, Template
from lattice_bridge.deployment.cloudformation.values import unresolved
from lattice_bridge.deployment.iam.access import LATTICE
from lattice_bridge.deployment.iam.auth_policy import admits_anonymous
from lattice_bridge.review.finding import Level

_LATEST: Final = "$LATEST"
_NOT_FOR_LAMBDA: Final = ("Port", "Protocol", "ProtocolVersion", "VpcIdentifier", "IpAddressType", "HealthCheck")
_WRITE_V2: Final = "write Config: {LambdaEventStructureVersion: V2}"
_PERMISSION_NEEDED: Final = (
    "Lattice needs a permission on exactly this target. CloudFormation adds one when it registers the target, for "
    "which the deploying role needs lambda:AddPermission; AWS does not document that, and without one every request "
    "fails in Lattice itself"
)

# ---- target groups --------------------------------------------------------------------------------------------------


def group_findings(stack: Stack) -> Iterator[TemplateFinding]:
    """Faults in target groups, and bridges that no group holds."""
    for group in stack.groups:
        if group in lambda_groups(stack.template):
            yield from _shape(group)
        for target in targets_of(group):
            if unresolved(target) and not stack.names_function(target):
                yield from _version(group, "warning", stack)  # the target may be a bridge
            for bridge in stack.bridges:
                if refers_to(target, bridge.function):
                    yield from _of_a_bridge(group, target, bridge.function, stack)
                    yield from _permission(group, target, bridge.function, stack)
    for bridge in stack.bridges:
        yield from _held(bridge.function, stack)
    for other in held_by_lattice(stack.template, stack.invoked):
        if all(other.id != bridge.function.id for bridge in stack.bridges):
            actual = f"Lattice also holds {name_of(other)}, whose handler is not the bridge's"
            expected = "A bridge has the bridge's handler; another function was not checked"
            yield warning(other.id, actual, expected, "write Handler: lattice_bridge.main.handler, if it is a bridge")


def _shape(group: Resource) -> Iterator[TemplateFinding]:
    for key in set(part_of(group, "Config")) & set(_NOT_FOR_LAMBDA):
        expected = f"Lattice refuses to create a target group of type LAMBDA with {key}"
        yield finding(group.id, f"Config has {key}", expected, f"remove {key}")
    for key in ("Type", "Config", "Targets"):
        if isinstance(value := group.properties.get(key), str) and unresolved(value):
            yield warning(group.id, f"{key} is {value}", NOT_KNOWN, "write the value in the template")
    targets = group.properties.get("Targets") or []
    if not unresolved(targets) and (not isinstance(targets, list) or len(targets) > 1):
        actual = f"Targets has {len(targets)} entries" if isinstance(targets, list) else "Targets is not a list"
        yield finding(group.id, actual, "A target group of type LAMBDA has one target", "write Targets: [{Id: …}]")


def _of_a_bridge(group: Resource, target: str, bridge: Resource, stack: Stack) -> Iterator[TemplateFinding]:
    kind = group.properties.get("Type")
    if kind != "LAMBDA" and not unresolved(kind):
        actual = f"Type is {kind}, and the target is the function {bridge.id}"
        expected = "Lattice registers a function only in a target group of type LAMBDA"
        yield finding(group.id, actual, expected, "write Type: LAMBDA")
        return
    yield from _version(group, "error", stack)
    yield from _certificates(group, stack.needs.certified)
    name = parse_reference(target)
    if name is not None and name.qualifier in (None, _LATEST, *_aliases_of_latest(bridge, stack.template)):
        by_alias = f", by its alias {name.qualifier}" if name.qualifier not in (None, _LATEST) else ""
        actual = f"the target is the function {bridge.id} itself{by_alias}"
        expected = "The target is an alias: otherwise each update serves all requests at once and cannot be rolled back"
        yield finding(group.id, actual, expected, alias_fix(bridge, "live"))


def _aliases_of_latest(bridge: Resource, template: Template) -> list[object]:
    """The names of the bridge's aliases that point to no version."""
    aliases = [one.properties for one in resources_of(bridge, template, "AWS::Lambda::Alias")]
    return [one.get("Name") for one in aliases if one.get("FunctionVersion") == _LATEST]


def _version(group: Resource, level: Level, stack: Stack) -> Iterator[TemplateFinding]:
    if isinstance(group.properties.get("Config"), str):
        return  # unresolved, which is a finding of its own
    version = part_of(group, "Config").get("LambdaEventStructureVersion")
    if version == "V1" and stack.options.services:
        actual = "LambdaEventStructureVersion is V1, whose events do not contain their service"
        expected = "With [lattice] services in bridge.toml, the bridge refuses every event that contains none"
        yield finding(group.id, actual, expected, f"{_WRITE_V2}, or remove services", level)
    elif version not in ("V1", "V2"):
        actual = f"LambdaEventStructureVersion is {version or 'missing, which is V1'}"
        expected = (
            "In V1 the caller's identity is a header, and repeated headers are joined: V2 is better for a new target "
            "group. A target group cannot change its version later"
        )
        fix = f"{_WRITE_V2}, or V1 if your target group has it"
        yield finding(group.id, actual, expected, fix, "warning" if unresolved(version) else level)


def _certificates(group: Resource, rules: tuple[str, ...]) -> Iterator[TemplateFinding]:
    """A warning for rules that read a certificate: its names are free text in V1's identity header, whose escaping is
    not documented."""
    version = part_of(group, "Config").get("LambdaEventStructureVersion", "V1")
    if rules and version == "V1" and not isinstance(group.properties.get("Config"), str):
        actual = f"its events are of V1, and {', '.join(rules)} of bridge.toml read x509_san_uri"
        expected = "The bridge reads no certificate from a V1 event, so these rules refuse every caller"
        yield warning(group.id, actual, expected, _WRITE_V2)


def _permission(group: Resource, target: str, bridge: Resource, stack: Stack) -> Iterator[TemplateFinding]:
    """Warnings unless one permission is for exactly this group, this target and Lattice."""
    fix = (
        f"write an AWS::Lambda::Permission with Action lambda:InvokeFunction, Principal {LATTICE}, "
        f"SourceArn !GetAtt {group.id}.Arn, and FunctionName as the target"
    )
    every = stack.template.of_type("AWS::Lambda::Permission")
    every = [one for one in every if (by := one.properties.get("Principal")) == LATTICE or unresolved(by)]
    for name in (one.properties.get("FunctionName") for one in every):
        if not stack.names_function(name) if unresolved(name) else stack.may_be_bridge(name) is not None:
            return  # it may be the one, which is a finding of its own
    own = [one for one in resources_of(bridge, stack.template, "AWS::Lambda::Permission") if one in every]
    own = [one for one in own if invokes(one) and _may_be_from(one, group)]
    if any(parse_reference(one.properties.get("FunctionName")) == parse_reference(target) for one in own):
        return
    for one in own:
        actual = f"FunctionName is {one.properties.get('FunctionName')}, and the target is {target}"
        yield warning(one.id, actual, _PERMISSION_NEEDED, fix)
    if not own:
        actual = f"no permission of this template lets Lattice invoke {parse_reference(target)}"
        yield warning(group.id, actual, _PERMISSION_NEEDED, fix)


def _may_be_from(permission: Resource, group: Resource) -> bool:
    """Whether a permission's source is the group. One that is unresolved, a pattern or missing is another finding."""
    source = permission.properties.get("SourceArn")
    return source is None or source == group.arn or unresolved(source) or not SINGLE_GROUP.fullmatch(str(source))


def _held(bridge: Resource, stack: Stack) -> Iterator[TemplateFinding]:
    if has_tenancy(bridge):
        expected = "Lattice sends no tenant id, so Lambda refuses every event for an isolated function"
        yield finding(bridge.id, "the bridge is isolated", expected, "remove its TenancyConfig")
    options = stack.options
    has_only_queues = bool(options.event_sources) and not options.backends
    elsewhere = options.apis or options.target_groups or options.function_url or has_only_queues
    if not elsewhere and not any(holds(group, bridge) for group in lambda_groups(stack.template)):
        actual = f"no target group of this template holds {name_of(bridge)}"
        fix = "write an AWS::VpcLattice::TargetGroup with its alias as target, or check the group yourself"
        yield warning(bridge.id, actual, NOT_KNOWN, fix)


# ---- services -------------------------------------------------------------------------------------------------------

_SERVICE: Final = "AWS::VpcLattice::Service"
_IDLE_TIMEOUT: Final = 60.0
"""Seconds without data after which Lattice closes a connection, by default."""


def service_findings(stack: Stack, *, unsigned: bool) -> Iterator[TemplateFinding]:
    """Faults in the template's services.

    Args:
        stack: of the template.
        unsigned: whether a service is intended to admit unsigned requests.
    """
    for service in stack.template.of_type(_SERVICE):
        if not unsigned:
            yield from _authentication(service, stack.template)
        idle = seconds_of(service, "IdleTimeoutSeconds", _IDLE_TIMEOUT)
        for bridge in (one.function for one in stack.bridges):
            seconds = seconds_of(bridge, "Timeout", 3.0)
            if idle is not None and seconds is not None and idle < seconds:
                actual = f"IdleTimeoutSeconds is {idle:g}, and the bridge {bridge.id} has a Timeout of {seconds:g}"
                fix = f"write IdleTimeoutSeconds: {seconds:g}, or a shorter Timeout"
                yield finding(
                    service.id, actual, "Lattice must not close the connection before the bridge answers", fix
                )


def _authentication(service: Resource, template: Template) -> Iterator[TemplateFinding]:
    kind = service.properties.get("AuthType", "NONE")
    network = _authenticating_network(service, template)
    if unresolved(kind):
        yield warning(service.id, f"AuthType is {kind}", NOT_KNOWN, "write AuthType: AWS_IAM")
    elif kind == "AWS_IAM":
        if not _policies_of(service, template):
            actual = "no AWS::VpcLattice::AuthPolicy for it in this template"
            expected = "Lattice refuses every request to a service with AWS_IAM and without a policy"
            fix = "write one that allows vpc-lattice-svcs:Invoke to callers that are not anonymous"
            yield warning(service.id, actual, expected, fix)
        yield from _admitted(service, template)
    elif network is not None:
        actual = f"AuthType is {kind}, and {network.id} alone authenticates"
        expected = "In any other network, every caller is anonymous to the bridge"
        yield warning(service.id, actual, expected, "write AuthType: AWS_IAM, and an auth policy for the service")
        yield from _admitted(network, template)
    else:
        expected = "Lattice has to authenticate callers: otherwise every caller is anonymous to the bridge"
        fix = "write AuthType: AWS_IAM, or run `check --unsigned` if this is intended"
        yield finding(service.id, f"AuthType is {kind}", expected, fix)


def _admitted(owner: Resource, template: Template) -> Iterator[TemplateFinding]:
    """Faults in the auth policies of a service or a network."""
    for policy in _policies_of(owner, template):
        statements, unread = read_statements(policy.properties.get("Policy"))
        for part in unread:
            yield part.finding(policy.id)
        is_known = all(part.is_malformed for part in unread)
        if admits_anonymous(statements, owner.arn if owner.type == _SERVICE else None):
            actual = f"it {'admits' if is_known else 'may admit'} unsigned requests"
            expected = "Lattice admits an unsigned request if the policy has no condition on the caller"
            fix = "write Condition: {StringNotEqualsIgnoreCase: {aws:PrincipalType: anonymous}}"
            yield finding(policy.id, actual, expected, fix, "error" if is_known else "warning")


def _policies_of(owner: Resource, template: Template) -> list[Resource]:
    every = template.of_type("AWS::VpcLattice::AuthPolicy")
    return [one for one in every if _is(one.properties.get("ResourceIdentifier"), owner)]


def _authenticating_network(service: Resource, template: Template) -> Resource | None:
    """A network of the template that contains a service, and that authenticates its callers."""
    for one in template.of_type("AWS::VpcLattice::ServiceNetworkServiceAssociation"):
        for network in template.of_type("AWS::VpcLattice::ServiceNetwork"):
            joined = _is(one.properties.get("ServiceIdentifier"), service)
            joined = joined and _is(one.properties.get("ServiceNetworkIdentifier"), network)
            if joined and network.properties.get("AuthType") == "AWS_IAM" and _policies_of(network, template):
                return network
    return None


def _is(identifier: object, resource: Resource) -> bool:
    return identifier in (resource.arn, resource.arn.rpartition("/")[2])
