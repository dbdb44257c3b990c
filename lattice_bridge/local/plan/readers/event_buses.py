"""Reads the event buses and rules of a resolved template.

Rule: properties mean what the CloudFormation reference of AWS::Events::EventBus and AWS::Events::Rule says. A value
that AWS refuses is an error here, and a target that the stack does not deliver to is named.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from lattice_bridge.deployment.cloudformation.template import Resource, Template
from lattice_bridge.deployment.cloudformation.text import BadTemplate, malformed
from lattice_bridge.deployment.cloudformation.values import as_text, unresolved
from lattice_bridge.local.plan.event_buses import DEFAULT_BUS, EventBus, EventRule
from lattice_bridge.local.plan.event_pattern import BadPattern, parse_pattern
from lattice_bridge.local.plan.event_target import BadTarget, Target, read_target
from lattice_bridge.local.plan.model import LeftOut
from lattice_bridge.local.plan.schedule_expression import BadSchedule, parse_schedule

BUS: Final = "AWS::Events::EventBus"
RULE: Final = "AWS::Events::Rule"
TYPES: Final = (BUS, RULE)

_OF_BUS: Final = ("Description", "Name", "Policy", "Tags")
_OF_RULE: Final = (
    *("Description", "EventBusName", "EventPattern", "Name", "RoleArn", "ScheduleExpression", "State", "Tags"),
    "Targets",
)
_STATES: Final = ("DISABLED", "ENABLED", "ENABLED_WITH_ALL_CLOUDTRAIL_MANAGEMENT_EVENTS")
_NAME: Final = re.compile(r"[.\-_A-Za-z0-9]{1,64}")
_SERVICES: Final[Mapping[str, str]] = {
    "events": "another event bus",
    "firehose": "a Firehose stream",
    "kinesis": "a Kinesis stream",
    "logs": "a log group",
    "sns": "a topic",
    "states": "a state machine",
}
"""Service in the ARN of a target → what the target is."""
_DELIVERED: Final = ("lambda", "sqs")
_MOST_TARGETS: Final = 5
_MOST_CHARACTERS: Final = 4096
"""Of a pattern."""


def read_buses(template: Template, left_out: LeftOut) -> Iterator[EventBus]:
    """Reads the buses, in the order of the template.

    Args:
        template: resolved.
        left_out: gets the parts that are not served.

    Raises:
        BadTemplate: AWS would refuse one.
    """
    seen = {DEFAULT_BUS: "the default bus"}
    for resource in template.of_type(BUS):
        if unresolved(resource.arn):
            left_out.add(f"{BUS}: its name is not known here, so it is not served", resource.id)
            continue
        with malformed(f"event bus {resource.id}"):
            name = resource.arn.partition(":event-bus/")[2]
            description = resource.properties.get("Description")
        if not name or "/" in name:
            raise BadTemplate(f"{resource.id}: {resource.arn!r} is not the ARN of an event bus. Fix: write such an ARN")
        if name in seen:
            raise BadTemplate(f"event bus {resource.id}: {seen[name]} has the name {name} too. Fix: rename one")
        seen[name] = resource.id
        _name_the_rest(resource, _OF_BUS, left_out)
        yield EventBus(resource.id, name, resource.arn, None if description is None else as_text(description))


def read_rules(template: Template, buses: Sequence[EventBus], left_out: LeftOut) -> Iterator[EventRule]:
    """Reads the rules, in the order of the template.

    Args:
        template: resolved; SAM's events EventBridgeRule, CloudWatchEvent and Schedule are translated.
        buses: of the template.
        left_out: gets the parts that are not served.

    Raises:
        BadTemplate: AWS would refuse one.
    """
    names = {DEFAULT_BUS: DEFAULT_BUS} | {key: bus.name for bus in buses for key in (bus.name, bus.arn)}
    seen: dict[tuple[str, str], str] = {}
    for resource in template.of_type(RULE):
        with malformed(f"rule {resource.id}"):
            rule = _rule(resource, names, left_out)
        if rule is None:
            continue
        key = (rule.bus, rule.name)
        if key in seen:
            raise BadTemplate(f"rule {rule.id}: {seen[key]} has the name {rule.name} on its bus too. Fix: rename one")
        seen[key] = rule.id
        yield rule


def _rule(resource: Resource, buses: Mapping[str, str], left_out: LeftOut) -> EventRule | None:
    place, properties = resource.id, resource.properties
    bus = as_text(properties.get("EventBusName") or DEFAULT_BUS)
    if bus not in buses and bus.rpartition(":event-bus/")[2] != DEFAULT_BUS:
        left_out.add(f"{RULE}: its bus is not in the template, so it takes no events", place)
        return None
    if unresolved(properties.get("EventPattern")) or unresolved(properties.get("ScheduleExpression")):
        left_out.add(f"{RULE}: its pattern or schedule is not known here, so it takes no events", place)
        return None
    name = as_text(properties.get("Name") or resource.arn.rpartition("/")[2] or place)
    if not _NAME.fullmatch(name):
        raise BadTemplate(f"{place}.Name: {name[:80]!r} is not a name. Fix: write up to 64 letters, digits, ., - and _")
    pattern = _pattern(properties["EventPattern"], place) if properties.get("EventPattern") else None
    schedule = _schedule(properties["ScheduleExpression"], place) if properties.get("ScheduleExpression") else None
    if pattern is None and schedule is None:
        raise BadTemplate(f"{place}: neither EventPattern nor ScheduleExpression. Fix: write one of them")
    own_bus = buses.get(bus, DEFAULT_BUS)
    if schedule is not None and own_bus != DEFAULT_BUS:
        raise BadTemplate(
            f"{place}.ScheduleExpression: only rules of the default bus have a schedule. Fix: remove EventBusName"
        )
    state = as_text(properties.get("State") or "ENABLED")
    if state not in _STATES:
        raise BadTemplate(f"{place}.State: {state[:40]!r} is unknown. Fix: write {' or '.join(_STATES[:2])}")
    targets = tuple(_targets(properties.get("Targets") or [], place, left_out))
    _name_the_rest(resource, _OF_RULE, left_out)
    description = properties.get("Description")
    text = None if description is None else as_text(description)
    return EventRule(place, name, own_bus, pattern, schedule, state != "DISABLED", targets, text)


def _pattern(value: Any, place: str) -> str:
    here = f"{place}.EventPattern"
    text = value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))
    try:
        parse_pattern(text, here)
    except BadPattern as error:
        raise BadTemplate(str(error)) from error
    if len(text) > _MOST_CHARACTERS:
        raise BadTemplate(f"{here}: longer than {_MOST_CHARACTERS} characters. Fix: write fewer")
    return text


def _schedule(value: object, place: str) -> str:
    try:
        parse_schedule(as_text(value))
    except BadSchedule as error:
        raise BadTemplate(f"{place}.ScheduleExpression: {error}") from error
    return as_text(value)


def _targets(given: Sequence[Mapping[str, Any]], place: str, left_out: LeftOut) -> Iterator[Target]:
    if len(given) > _MOST_TARGETS:
        raise BadTemplate(f"{place}.Targets: {len(given)} targets. Fix: write up to {_MOST_TARGETS}")
    seen: set[str] = set()
    for index, one in enumerate(given):
        here, arn = f"{place}.Targets[{index}]", as_text(one["Arn"])
        if unresolved(one):
            left_out.add(f"{RULE}: a target that is not known here gets no events", place)
            continue
        service = arn.split(":")[2] if arn.count(":") > 4 else ""
        if service and service not in _DELIVERED:
            left_out.add(f"{RULE}: {_SERVICES.get(service, f'a target of {service}')} gets no events", place)
            continue
        try:
            target = read_target(one)
        except BadTarget as error:
            raise BadTemplate(f"{here}: {error}") from error
        if target.id in seen:
            raise BadTemplate(f"{here}.Id: {target.id!r} occurs twice. Fix: rename one")
        seen.add(target.id)
        yield target


def _name_the_rest(resource: Resource, known: Sequence[str], left_out: LeftOut) -> None:
    for name in sorted(set(resource.properties) - set(known)):
        left_out.add(f"property {name} has no effect", resource.id)
