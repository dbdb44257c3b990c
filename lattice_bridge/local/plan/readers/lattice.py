"""Reads a template's VPC Lattice resources: target groups, services, service networks, auth policies, listeners, rules.

Rule: properties mean what the CloudFormation reference of AWS::VpcLattice says, and an unknown kind of match is an
error.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from lattice_bridge.deployment.cloudformation.template import Resource, Template, number
from lattice_bridge.deployment.cloudformation.text import BadTemplate, malformed
from lattice_bridge.deployment.cloudformation.values import ACCOUNT, unresolved
from lattice_bridge.deployment.iam.policy import BadPolicy, Statement, read_policy
from lattice_bridge.local.plan.auth_policy import PRINCIPAL_TAG, AuthPolicy, undecided
from lattice_bridge.local.plan.listener_rules import (
    DEFAULT_PRIORITY,
    Action,
    EventVersion,
    HeaderMatch,
    Match,
    Rule,
    TargetGroup,
)
from lattice_bridge.local.plan.model import LeftOut, Service


def read_services(template: Template, event_version: EventVersion | None, left_out: LeftOut) -> Iterator[Service]:
    """Reads the services that have listeners: one value for each listener, with its rules.

    Args:
        template: resolved.
        event_version: replaces every target group's own; None for what the template has.
        left_out: gets the parts that are not served.

    Raises:
        BadTemplate: a part that is served is malformed.
    """
    groups: dict[str, TargetGroup] = {}
    for resource in template.of_type("AWS::VpcLattice::TargetGroup"):
        with malformed(f"target group {resource.id}"):
            if resource.properties.get("Type") == "LAMBDA":
                group = _target_group(resource, event_version)
                groups.update(dict.fromkeys(_identifiers(resource.arn), group))
            else:
                left_out.add(f"target groups of type {resource.properties.get('Type')}", resource.id)
    services = template.of_type("AWS::VpcLattice::Service")
    for resource in services:
        with malformed(f"service {resource.id}"):
            found = list(_listeners(resource, template, groups, left_out))
        yield from found


def _target_group(resource: Resource, forced: EventVersion | None) -> TargetGroup:
    targets = resource.properties.get("Targets") or []
    if not isinstance(targets, list) or len(targets) != 1:
        raise BadTemplate(
            f"{resource.id}.Targets: {targets!r}. Fix: a LAMBDA target group has a list of exactly one target"
        )
    version = (resource.properties.get("Config") or {}).get("LambdaEventStructureVersion", "V1")  # the default
    if version not in ("V1", "V2"):
        raise BadTemplate(
            f"{resource.id}.Config.LambdaEventStructureVersion: {version!r} is unknown. Fix: write V1 or V2"
        )
    return TargetGroup(resource.arn, str(targets[0]["Id"]), forced or (1 if version == "V1" else 2))


def _listeners(
    resource: Resource, template: Template, groups: Mapping[str, TargetGroup], left_out: LeftOut
) -> Iterator[Service]:
    """Reads the listeners of a service. The first is the one for requests that name no port: of HTTPS before HTTP, and
    of port 443 before others."""
    listeners = template.of_type("AWS::VpcLattice::Listener")
    own = [listener for listener in listeners if _refers_to(listener, "Service", resource.arn)]
    if not own:
        left_out.add("services without a listener", resource.id)
        return
    name = str(resource.properties.get("Name", resource.id))
    host_names = (str(resource.properties.get("CustomDomainName", resource.id)), resource.id, name)
    hosts = tuple(dict.fromkeys(each.lower() for each in host_names))
    network_arn, network = _network(resource, template, left_out)
    policies = (
        *_auth_policy("network", network, template, left_out),
        *_auth_policy("service", resource, template, left_out),
    )
    found = sorted(((*_protocol(listener), listener) for listener in own), key=lambda one: (not one[0], one[1] != 443))
    for position, (encrypted, port, listener) in enumerate(found):
        with_port = tuple(f"{host}:{port}" for host in hosts) if len(found) > 1 else ()
        yield Service(
            name=f"{name}:{port}" if len(found) > 1 else name,
            arn=resource.arn,
            network_arn=network_arn,
            names=(*hosts, *with_port) if position == 0 else with_port,
            rules=tuple(_rules(listener, template, groups, left_out)),
            policies=policies,
            port=port,
            encrypted=encrypted,
            tags={str(tag["Key"]): str(tag.get("Value", "")) for tag in resource.properties.get("Tags") or []},
        )


def _protocol(listener: Resource) -> tuple[bool, int]:
    """Whether a listener speaks HTTPS, and its port."""
    encrypted, port = listener.properties.get("Protocol", "HTTPS") != "HTTP", listener.properties.get("Port")
    if port is None or unresolved(port):
        port = 443 if encrypted else 80
    return encrypted, int(number(port, listener.id, "Port"))


def _network(service: Resource, template: Template, left_out: LeftOut) -> tuple[str, Resource | None]:
    """The service network that requests to a service come through: its ARN, and its resource if the template has it.

    If there are several, the client's VPC decides on AWS. Here the first association decides.
    """
    associations = template.of_type("AWS::VpcLattice::ServiceNetworkServiceAssociation")
    own = [association for association in associations if _refers_to(association, "Service", service.arn)]
    if not own:
        left_out.add("a service is served although it has no ServiceNetworkServiceAssociation", service.id)
        return _placeholder_network(template.region), None
    for extra in own[1:]:
        left_out.add(f"a service is served through one service network, that of {own[0].id}", extra.id)
    for network in template.of_type("AWS::VpcLattice::ServiceNetwork"):
        if _refers_to(own[0], "ServiceNetwork", network.arn):
            return network.arn, network
    left_out.add("AuthType and auth policy of a service network that the template does not have", own[0].id)
    identifier = str(own[0].properties.get("ServiceNetworkIdentifier", ""))
    known = ":servicenetwork/" in identifier and not unresolved(identifier)
    return identifier if known else _placeholder_network(template.region), None


def _auth_policy(
    level: Literal["network", "service"], owner: Resource | None, template: Template, left_out: LeftOut
) -> Iterator[AuthPolicy]:
    """Reads the auth policy of a service or service network. An unresolved AuthType is treated as AWS_IAM."""
    auth_type = "NONE" if owner is None else owner.properties.get("AuthType", "NONE")
    if owner is None or auth_type == "NONE":
        return
    if auth_type != "AWS_IAM" and not unresolved(auth_type):
        raise BadTemplate(f"{owner.id}.AuthType: {auth_type!r} is unknown. Fix: write AWS_IAM or NONE")
    own = [
        policy
        for policy in template.of_type("AWS::VpcLattice::AuthPolicy")
        if _refers_to(policy, "Resource", owner.arn)
    ]
    if len(own) > 1:
        raise BadTemplate(
            f"{own[1].id}.ResourceIdentifier: {owner.id} has the auth policy {own[0].id}. Fix: write one policy of both"
        )
    if not own:
        left_out.add("AuthType is AWS_IAM without an auth policy: every request is refused, as on AWS", owner.id)
        yield AuthPolicy(level, owner.id, None)
        return
    left_out.add("callers' own IAM policies, which have to allow vpc-lattice-svcs:Invoke as well", own[0].id)
    yield AuthPolicy(level, owner.id, own[0].id, tuple(_statements(own[0], left_out)))


def _statements(policy: Resource, left_out: LeftOut) -> Iterator[Statement]:
    """Reads the statements of an auth policy. An unresolved policy has none, and so allows nothing."""
    document = policy.properties.get("Policy")
    try:
        statements = read_policy(document)
    except BadPolicy as error:
        if not unresolved(document):
            raise BadTemplate(f"{policy.id}.Policy: {error}. Fix: write a policy document, or its JSON") from error
        left_out.add("an auth policy that is not resolved: every request is refused", policy.id)
        return
    for position, one in enumerate(statements, 1):
        elements = {
            "Principal": one.principals,
            "Action": one.actions or one.not_actions,
            "Resource": one.resources or one.not_resources,
        }
        for element, found in elements.items():
            if not found:
                raise BadTemplate(f"{policy.id}.Policy: statement {position} has no {element}. Fix: write one")
        for part in undecided(one):
            left_out.add(f"{part} is not decided: an Allow with it allows nothing, a Deny with it denies", policy.id)
        if any(key.startswith(PRINCIPAL_TAG) for _, key, _ in one.conditions):
            left_out.add("aws:PrincipalTag in auth policies: no caller has tags", policy.id)
        yield one


def _rules(
    listener: Resource, template: Template, groups: Mapping[str, TargetGroup], left_out: LeftOut
) -> Iterator[Rule]:
    rules = template.of_type("AWS::VpcLattice::Rule")
    own = [_rule(rule, groups, left_out) for rule in rules if _refers_to(rule, "Listener", listener.arn)]
    yield from sorted(own, key=lambda rule: rule.priority)
    with malformed(f"listener {listener.id}"):
        default = _action(listener.properties["DefaultAction"], groups, listener.id, left_out)
    yield Rule(DEFAULT_PRIORITY, Match(), default)


def _rule(resource: Resource, groups: Mapping[str, TargetGroup], left_out: LeftOut) -> Rule:
    with malformed(f"rule {resource.id}"):
        priority = int(number(resource.properties["Priority"], resource.id, "Priority"))
        match = _match((resource.properties.get("Match") or {}).get("HttpMatch") or {}, resource.id)
        action = _action(resource.properties["Action"], groups, resource.id, left_out)
    return Rule(priority, match, action)


def _match(http: Mapping[str, Any], place: str) -> Match:
    path = http.get("PathMatch") or {}
    how, text = _one_of(path.get("Match") or {"Prefix": ""}, ("Exact", "Prefix"), place)
    headers = []
    for entry in http.get("HeaderMatches") or []:
        header_how, header_text = _one_of(entry.get("Match") or {}, ("Exact", "Prefix", "Contains"), place)
        headers.append(
            HeaderMatch(str(entry["Name"]).lower(), header_how, header_text, entry.get("CaseSensitive") is True)
        )
    return Match(http.get("Method"), how, text, path.get("CaseSensitive") is True, tuple(headers))


def _one_of(match: Mapping[str, Any], known: tuple[str, ...], place: str) -> tuple[str, str]:
    if len(match) != 1 or next(iter(match)) not in known:
        raise BadTemplate(
            f"{place}: a match has {', '.join(match) or 'no kind'}. Fix: write exactly one of {', '.join(known)}"
        )
    return next((how, str(text)) for how, text in match.items())


def _action(action: Mapping[str, Any], groups: Mapping[str, TargetGroup], place: str, left_out: LeftOut) -> Action:
    if "FixedResponse" in action:
        status = number(action["FixedResponse"]["StatusCode"], place, "FixedResponse.StatusCode")
        if not 100 <= status <= 599:
            raise BadTemplate(
                f"{place}.FixedResponse.StatusCode: {status:g} is not an HTTP status. Fix: write 100 to 599"
            )
        return Action(status=int(status))
    forward: list[tuple[TargetGroup, int]] = []
    for target in (action.get("Forward") or {}).get("TargetGroups") or []:
        identifier, weight = str(target["TargetGroupIdentifier"]), int(target.get("Weight", 100))
        if weight < 0:
            raise BadTemplate(f"{place}: Weight {weight} is negative. Fix: write 0 or more")
        if identifier in groups:
            forward.append((groups[identifier], weight))
        else:
            left_out.add(f"forwards to {identifier}, which is not served", place)
    if not forward:
        left_out.add("the action forwards to no target group: requests that reach it get 404", place)
        return Action(status=404)
    return Action(tuple(forward))


def _refers_to(resource: Resource, kind: str, arn: str) -> bool:
    """Whether a resource, such as a listener, refers to the resource with this ARN, such as its service."""
    properties = resource.properties
    return str(properties.get(f"{kind}Identifier", properties.get(f"{kind}Arn", ""))) in _identifiers(arn)


def _identifiers(arn: str) -> tuple[str, str]:
    """The ways in which a template may refer to a Lattice resource: by its ARN, and by its id."""
    return arn, arn.rpartition("/")[2]


def _placeholder_network(region: str) -> str:
    return f"arn:aws:vpc-lattice:{region}:{ACCOUNT}:servicenetwork/sn-00000000000000000"
