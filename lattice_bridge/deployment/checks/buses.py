"""The event bus in front of the bridge, as a template has it: the rules that invoke the bridge, and their permissions.

Rule: only rules of the bus in bridge.toml may invoke the bridge, each by a permission of its own. `sources.judge`
judges the rest.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from lattice_bridge.config.event_source import EventSource
from lattice_bridge.deployment.checks.named_sources import EVENT_BUS, is_source, resource_of
from lattice_bridge.deployment.checks.rights import UncheckedPart, read_statements
from lattice_bridge.deployment.checks.stack import (
    NOT_KNOWN,
    Bridge,
    FunctionReference,
    Stack,
    TemplateFinding,
    finding,
    items_of,
    maps_in,
    name_of,
    parse_reference,
    refers_to,
    resources_of,
    warning,
)
from lattice_bridge.deployment.cloudformation.template import Resource, Template
from lattice_bridge.deployment.cloudformation.values import MARKER, as_text, marker, unresolved
from lattice_bridge.deployment.iam.policy import Statement, is_pattern, matches
from lattice_bridge.deployment.sources.buses import EVENTS, REWRITES
from lattice_bridge.deployment.sources.facts import Bus, BusRule, name_of_source
from lattice_bridge.events.record import BUS, service_of

RULE: Final = "AWS::Events::Rule"
_POLICY: Final = "AWS::Events::EventBusPolicy"
_PERMISSION: Final = "AWS::Lambda::Permission"
_DEFAULT: Final = "default"
_RULE_ARN: Final = re.compile(r"arn:[^:]*:events:[^:]*:[^:]*:rule/(?:(?P<bus>.+)/)?(?P<name>[^/]+)")
_ONLY_RULES: Final = (
    "Only rules of the bus in bridge.toml may invoke the bridge: any other sender writes the account into the event"
)
_WRITE_RULE: Final = "write SourceArn: !GetAtt of the Arn of an AWS::Events::Rule in this template"


def bus_of(bridge: Bridge) -> EventSource | None:
    """The event bus of bridge.toml, which has one at most."""
    return next((one for one in bridge.sources if service_of(one.arn) == BUS), None)


# ---- rules ----------------------------------------------------------------------------------------------------------


def targets_of_rules(function: Resource, template: Template) -> Iterator[tuple[Resource, dict[str, Any]]]:
    """Each rule that invokes a function, with the target."""
    for rule in template.of_type(RULE):
        for target in maps_in(rule.properties.get("Targets")):
            if refers_to(target.get("Arn"), function):
                yield rule, target


def rules_of(bridge: Bridge, source: EventSource | None, template: Template) -> list[BusRule]:
    """The rules that send events to a bridge. Their bus is that of bridge.toml if it may be the same."""
    return [_rule(rule, target, source, template) for rule, target in targets_of_rules(bridge.function, template)]


def _rule(rule: Resource, target: dict[str, Any], source: EventSource | None, template: Template) -> BusRule:
    bus = bus_of_rule(rule, template)
    if source is not None and is_source(source.arn, bus, template):
        bus = source.arn
    state = as_text(rule.properties.get("State", "ENABLED"))
    return BusRule(
        rule.id,
        bus if _is_partly_known(bus) else None,
        str(parse_reference(target.get("Arn"))),
        next((key for key in REWRITES if target.get(key) is not None), None),
        bool(rule.properties.get("ScheduleExpression")) and not rule.properties.get("EventPattern"),
        None if unresolved(state) else state != "DISABLED",
    )


def bus_of_rule(resource: Resource, template: Template) -> str:
    """The ARN of the bus that a rule or a policy names, as far as it is known."""
    written = as_text(resource.properties.get("EventBusName") or _DEFAULT)
    for bus in template.of_type(EVENT_BUS):
        if written in (bus.ref, bus.arn, marker(f"{bus.id}.Name"), as_text(bus.properties.get("Name", ""))):
            return bus.arn
    if written.startswith("arn:") or unresolved(written):
        return written
    return f"arn:aws:events:{template.region}:{template.account}:event-bus/{written}"


def _is_partly_known(text: str) -> bool:
    return MARKER.sub("", text) != ""


def unknown_rules(bridge: Bridge, template: Template) -> Iterator[TemplateFinding]:
    """A warning for each rule whose bus only a deployed stack knows."""
    for rule, _ in targets_of_rules(bridge.function, template):
        if not _is_partly_known(bus := bus_of_rule(rule, template)):
            fix = "write !Ref of a bus in this template, or its name"
            yield warning(rule.id, f"EventBusName is {bus}", NOT_KNOWN, fix)


# ---- permissions ----------------------------------------------------------------------------------------------------


def has_rules_elsewhere(bridge: Bridge, template: Template) -> bool:
    """Whether a permission of the bridge is for a rule that is not in the template."""
    sources = [one.properties.get("SourceArn") for one in _permissions(bridge.function, template)]
    return any(source is not None and _rule_of(as_text(source), template) is None for source in sources)


def unpermitted_findings(bridge: Bridge, template: Template) -> Iterator[TemplateFinding]:
    """A fault for each rule that EventBridge may not use to invoke the bridge."""
    for rule, target in targets_of_rules(bridge.function, template):
        name = parse_reference(target.get("Arn"))
        if target.get("RoleArn") or name is None:
            continue
        sources = [
            one.properties.get("SourceArn")
            for one in _permissions(bridge.function, template)
            if _may_be_qualifier(parse_reference(one.properties.get("FunctionName")), name)
        ]
        if not any(source is None or _may_name(as_text(source), rule, template) for source in sources):
            yield finding(
                rule.id,
                f"no permission lets {EVENTS} invoke {name} for it",
                "EventBridge may not invoke the bridge, so none of its events is processed",
                f"write an AWS::Lambda::Permission with Principal: {EVENTS} and SourceArn: !GetAtt {rule.id}.Arn",
            )


def _permissions(function: Resource, template: Template) -> list[Resource]:
    every = resources_of(function, template, _PERMISSION)
    return [one for one in every if one.properties.get("Principal") == EVENTS]


def _may_be_qualifier(permitted: FunctionReference | None, name: FunctionReference) -> bool:
    return permitted is not None and (permitted.qualifier == name.qualifier or unresolved(permitted.qualifier))


def _may_name(source: str, rule: Resource, template: Template) -> bool:
    found = _rule_of(source, template)
    return found is rule if found is not None else unresolved(source) or matches(source, rule.arn)


def _rule_of(source: str, template: Template) -> Resource | None:
    """The rule of the template that a SourceArn names; None if it names no rule, or one of another stack."""
    for rule in template.of_type(RULE):
        if source == rule.arn:
            return rule
        found = _RULE_ARN.fullmatch(source)
        if found is not None and found["name"] in (rule.ref, rule.arn.rpartition("/")[2]):
            bus = name_of_source(bus_of_rule(rule, template))
            if (found["bus"] or _DEFAULT) == bus or unresolved(found["bus"] or ""):
                return rule
    return None


def permission_findings_of_bus(permission: Resource, bridge: Bridge, stack: Stack) -> Iterator[TemplateFinding]:
    """Faults in the SourceArn of a permission for EventBridge: it has to be one rule that sends to the bridge."""
    template, written = stack.template, permission.properties.get("SourceArn")
    source, bus = as_text(written), bus_of(bridge)
    rule, found = _rule_of(source, template), _RULE_ARN.fullmatch(source)
    if written is None:
        actual = f"any rule of any account may invoke {name_of(bridge.function)}: no SourceArn"
        yield finding(permission.id, actual, _ONLY_RULES, _WRITE_RULE)
    elif rule is not None:
        if not any(refers_to(one.get("Arn"), bridge.function) for one in maps_in(rule.properties.get("Targets"))):
            actual = f"SourceArn is the rule {rule.id}, which does not invoke {name_of(bridge.function)}"
            yield warning(permission.id, actual, _ONLY_RULES, "remove this permission")
    elif is_pattern(source):
        yield finding(permission.id, f"SourceArn is {source}, which is not one rule", _ONLY_RULES, _WRITE_RULE)
    elif unresolved(source):
        yield warning(permission.id, f"SourceArn is {source}", NOT_KNOWN, _WRITE_RULE)
    elif found is None:
        yield finding(permission.id, f"SourceArn is {source}, which is no rule", _ONLY_RULES, _WRITE_RULE)
    elif bus is not None and found["bus"] not in (None, name_of_source(bus.arn)):
        actual = f"SourceArn is a rule of the bus {found['bus']}, and bridge.toml has {name_of_source(bus.arn)}"
        yield finding(permission.id, actual, _ONLY_RULES, "remove this permission, or write the rule for this bus")
    else:
        actual = f"SourceArn is {source}, a rule outside this template"
        fix = "write !GetAtt of one in this template, or check that it sends each event as it is"
        yield warning(permission.id, actual, _ONLY_RULES, fix)


# ---- the bus --------------------------------------------------------------------------------------------------------


def bus_fact(source: EventSource, template: Template) -> Bus | None:
    """The bus of bridge.toml with its policy; None if the template has neither."""
    own = resource_of(source.arn, template)
    policies = list(_policies(source, template))
    label = own.id if own is not None else next((one for one, _, _ in policies), None)
    if label is None:
        return None
    return Bus(label, source.arn, tuple(each for _, statements, _ in policies for each in statements))


def unread_bus_policies(source: EventSource, template: Template) -> Iterator[TemplateFinding]:
    """The parts of policies by which others may send events to the bus, and that were not read."""
    for label, _, parts in _policies(source, template):
        for part in parts:
            yield part.finding(label)


def _policies(source: EventSource, template: Template) -> Iterator[tuple[str, list[Statement], list[UncheckedPart]]]:
    for bus in template.of_type(EVENT_BUS):
        if is_source(source.arn, bus.arn, template):
            yield bus.id, *read_statements(bus.properties.get("Policy"))
    for policy in template.of_type(_POLICY):
        if is_source(source.arn, bus_of_rule(policy, template), template):
            yield policy.id, *read_statements({"Statement": items_of(_statement(policy.properties))})


def _statement(properties: Any) -> Any:
    """The statement of a policy, which can be written by its parts: the account is then the principal."""
    if "Statement" in properties:
        return properties["Statement"]
    principal = as_text(properties.get("Principal", ""))
    written = properties.get("Condition")
    condition = {}
    if isinstance(written, dict):
        condition = {as_text(written.get("Type")): {as_text(written.get("Key")): as_text(written.get("Value"))}}
    statement = {"Effect": "Allow", "Principal": "*" if principal == "*" else {"AWS": principal}, "Resource": "*"}
    return {**statement, "Action": properties.get("Action", ""), **({"Condition": condition} if condition else {})}
