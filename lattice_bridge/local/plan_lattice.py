"""A template's VPC Lattice resources: target groups, services, listeners, rules.

Rule: as the CloudFormation reference of AWS::VpcLattice has them; a match that Lattice does not know is an error.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from lattice_bridge.local.left_out import LeftOut
from lattice_bridge.local.plan import (
    DEFAULT_PRIORITY,
    Action,
    EventVersion,
    HeaderMatch,
    Match,
    Rule,
    Service,
    TargetGroup,
)
from lattice_bridge.local.template import ACCOUNT, BadTemplate, Resource, Template, number


def _target_groups(template: Template, forced: EventVersion | None, left_out: LeftOut) -> dict[str, TargetGroup]:
    groups: dict[str, TargetGroup] = {}
    for resource in template.of_type("AWS::VpcLattice::TargetGroup"):
        properties = resource.properties
        if properties.get("Type") != "LAMBDA":
            left_out.add(f"target groups of type {properties.get('Type')}", resource.id)
            continue
        targets = properties.get("Targets") or []
        if len(targets) != 1:
            raise BadTemplate(f"{resource.id}.Targets: a LAMBDA target group has exactly one, this has {len(targets)}")
        version = (properties.get("Config") or {}).get("LambdaEventStructureVersion", "V1")  # V1 when nobody chose
        if version not in ("V1", "V2"):
            raise BadTemplate(f"{resource.id}.Config.LambdaEventStructureVersion: {version!r} is neither V1 nor V2")
        arn = resource.arn
        groups[arn] = TargetGroup(arn, str(targets[0].get("Id")), forced or (1 if version == "V1" else 2))
    return groups


def read_services(template: Template, event_version: EventVersion | None, left_out: LeftOut) -> Iterator[Service]:
    """The services that have a listener, with its rules.

    Args:
        template: resolved.
        event_version: replaces every target group's; None for the template's own.
        left_out: is told what is not served.

    Raises:
        BadTemplate: a part that is served is malformed.
    """
    groups = _target_groups(template, event_version, left_out)
    network = next(iter(template.of_type("AWS::VpcLattice::ServiceNetwork")), None)
    network_arn = network.arn if network else _stand_in_network(template.region)
    services = template.of_type("AWS::VpcLattice::Service")
    for resource in services:
        arn = resource.arn
        listeners = [entry for entry in template.of_type("AWS::VpcLattice::Listener") if _of(entry, "Service", arn)]
        if not listeners:
            left_out.add("services without a listener", resource.id)
            continue
        for extra in listeners[1:]:
            left_out.add(f"one listener a service is served, {listeners[0].id}", extra.id)
        yield Service(
            name=str(resource.properties.get("Name", resource.id)),
            arn=arn,
            network_arn=network_arn,
            domain=str(resource.properties.get("CustomDomainName", resource.id)).lower() if len(services) > 1 else None,
            signed_only=resource.properties.get("AuthType", "NONE") == "AWS_IAM",
            rules=tuple(_rules(listeners[0], template, groups, left_out)),
        )


def _rules(
    listener: Resource, template: Template, groups: Mapping[str, TargetGroup], left_out: LeftOut
) -> Iterator[Rule]:
    arn = listener.arn
    found: list[Rule] = []
    for resource in template.of_type("AWS::VpcLattice::Rule"):
        if _of(resource, "Listener", arn):
            priority = int(number(resource.properties.get("Priority"), resource.id, "Priority"))
            match = _match((resource.properties.get("Match") or {}).get("HttpMatch") or {}, resource.id)
            found.append(
                Rule(priority, match, _action(resource.properties.get("Action"), groups, resource.id, left_out))
            )
    yield from sorted(found, key=lambda rule: rule.priority)
    default = _action(listener.properties.get("DefaultAction"), groups, listener.id, left_out)
    yield Rule(DEFAULT_PRIORITY, Match(), default)


def _match(http: Mapping[str, Any], place: str) -> Match:
    path = http.get("PathMatch") or {}
    how, text = _one_of(path.get("Match") or {"Prefix": "/"}, ("Exact", "Prefix"), place)
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
            f"{place}: a match has exactly one of {', '.join(known)}; this has {', '.join(match) or 'none'}"
        )
    return next((how, str(text)) for how, text in match.items())


def _action(action: Any, groups: Mapping[str, TargetGroup], place: str, left_out: LeftOut) -> Action:
    action = action if isinstance(action, dict) else {}
    if "FixedResponse" in action:
        return Action(status=int(number(action["FixedResponse"].get("StatusCode"), place, "FixedResponse.StatusCode")))
    forward: list[tuple[TargetGroup, int]] = []
    for target in (action.get("Forward") or {}).get("TargetGroups") or []:
        group = groups.get(str(target.get("TargetGroupIdentifier")))
        if group is None:
            left_out.add(f"forwards to {target.get('TargetGroupIdentifier')}, which is not served", place)
        else:
            forward.append((group, int(target.get("Weight", 100))))
    if not forward:
        left_out.add("the action forwards nowhere; requests that reach it get 404", place)
        return Action(status=404)
    return Action(tuple(forward))


def _of(resource: Resource, kind: str, arn: str) -> bool:
    """Whether a listener or rule belongs to the service or listener: by ARN or by id, as CloudFormation takes both."""
    identifier = str(resource.properties.get(f"{kind}Identifier", resource.properties.get(f"{kind}Arn", "")))
    return identifier in (arn, arn.rpartition("/")[2])


def _stand_in_network(region: str) -> str:
    return f"arn:aws:vpc-lattice:{region}:{ACCOUNT}:servicenetwork/sn-00000000000000000"
