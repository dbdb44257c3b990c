"""The event sources in front of the bridge: event source mappings, rules of buses, and what they need.

Rule: each source that the template sends to the bridge has its `[[event_source]]`, and the other way round. A source
that is not in the template belongs to another stack, and only what sends its records is checked.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from lattice_bridge.config.event_source import EventSource
from lattice_bridge.deployment.checks import buses, queues, streams
from lattice_bridge.deployment.checks.failures import failure_place, on_failure
from lattice_bridge.deployment.checks.named_sources import (
    QUEUE,
    as_arn,
    as_source,
    is_source,
    name_findings,
    resource_of,
)
from lattice_bridge.deployment.checks.source_rights import source_right_findings
from lattice_bridge.deployment.checks.stack import (
    NOT_KNOWN,
    ONLY_LATTICE,
    Bridge,
    Stack,
    TemplateFinding,
    finding,
    flag_of,
    items_of,
    name_of,
    number_of,
    parse_reference,
    resources_of,
    seconds_of,
    warning,
    whole_number_of,
)
from lattice_bridge.deployment.cloudformation.template import Resource, Template
from lattice_bridge.deployment.cloudformation.values import as_text, unresolved
from lattice_bridge.deployment.sources.buses import unconfigured_rule_fault, unruled_fault
from lattice_bridge.deployment.sources.facts import UNLIMITED, Line, SourceMapping, default_batch, name_of_source
from lattice_bridge.deployment.sources.faults import (
    REPORT,
    Fault,
    is_polled,
    unconfigured_fault,
    unmapped_fault,
    writer_faults,
)
from lattice_bridge.deployment.sources.judge import line_faults
from lattice_bridge.deployment.sources.pipes import mapped_fault
from lattice_bridge.events.record import BUS, STREAMS, service_of

_MAPPING: Final = "AWS::Lambda::EventSourceMapping"


def source_findings(stack: Stack) -> Iterator[TemplateFinding]:
    """Faults of what sends records and events to the bridges, and of the sources of `[[event_source]]`.

    Sources can share a quarantine, a destination and a role, so a fault may be found several times. It is given once.
    """
    yield from dict.fromkeys(_source_findings(stack))


def _source_findings(stack: Stack) -> Iterator[TemplateFinding]:
    if stack.bridges:
        yield from queues.kind_findings(stack.template)
    for bridge in stack.bridges:
        mappings = resources_of(bridge.function, stack.template, _MAPPING)
        yield from _other_sources(bridge, mappings, stack.template)
        if stack.compared:
            yield from _of_bridge(bridge, mappings, stack)
            yield from _rules_of_bridge(bridge, stack.template)


def _other_sources(bridge: Bridge, mappings: list[Resource], template: Template) -> Iterator[TemplateFinding]:
    """Mappings whose source is none that the bridge takes, or is not known."""
    for one in mappings:
        source = _source_of(one, template)
        if unresolved(source) and not is_polled(source):
            fix = "write !GetAtt of a queue, a stream or a table in this template, or its ARN"
            yield warning(one.id, f"EventSourceArn is {source}", NOT_KNOWN, fix)
        elif service_of(source) == "dynamodb" and source == as_arn(_written_source(one), template):
            actual = f"EventSourceArn is the table {name_of_source(source)}"
            expected = "Lambda refuses it: the records are those of the table's stream"
            yield finding(one.id, actual, expected, "write EventSourceArn: !GetAtt of the table's StreamArn")
        elif not is_polled(source):
            actual = f"it sends other events to the bridge, {name_of(bridge.function)}"
            fix = "map the source to another function: the bridge takes the records of SQS, Kinesis and DynamoDB only"
            yield finding(one.id, actual, ONLY_LATTICE, fix)


def _of_bridge(bridge: Bridge, mappings: list[Resource], stack: Stack) -> Iterator[TemplateFinding]:
    template = stack.template
    configured: set[str] = set()
    polled = [one for one in mappings if is_polled(_source_of(one, template))]
    has_unknown = any(unresolved(_source_of(one, template)) for one in mappings if one not in polled)
    for source in bridge.sources:
        own = [one for one in polled if is_source(source.arn, _source_of(one, template), template)]
        configured |= {one.id for one in own}
        if not own and _is_of_another(source, bridge, stack):
            continue
        if source.pipe is not None:
            yield from (_finding(mapped_fault(one.id, source)) for one in own)
            own = []
        line = _line(source, bridge, own, polled, stack)
        yield from name_findings(source, stack)
        if line.is_bus:
            yield from _of_bus(line, bridge, template)
        elif not own and not has_unknown and source.pipe is None:
            origin = line.queue or line.stream
            yield _finding(unmapped_fault(source, bridge.function.id if origin is None else origin.label))
        yield from _unknown_findings(own, source, template)
        yield from _judged(line, stack)
        yield from source_right_findings(bridge, line, template)
    quarantines = [one.quarantine for one in bridge.sources if one.quarantine is not None]
    for one in polled:
        is_quarantine = any(is_source(arn, _source_of(one, template), template) for arn in quarantines)
        if one.id not in configured and not is_quarantine:
            yield _finding(unconfigured_fault(_mapping(one, template), bridge.sources))


def _is_of_another(source: EventSource, bridge: Bridge, stack: Stack) -> bool:
    """Whether another bridge of the template, or an earlier one if none receives its records, is for a source."""
    receiving = [one for one in stack.bridges if _receives(source, one.function, stack.template)]
    return bridge is not (receiving or stack.bridges)[0]


def _receives(source: EventSource, function: Resource, template: Template) -> bool:
    if service_of(source.arn) == BUS:
        return any(True for _ in buses.targets_of_rules(function, template))
    mappings = resources_of(function, template, _MAPPING)
    return any(is_source(source.arn, _source_of(one, template), template) for one in mappings)


# ---- buses ----------------------------------------------------------------------------------------------------------


def _of_bus(line: Line, bridge: Bridge, template: Template) -> Iterator[TemplateFinding]:
    if not line.rules and not buses.has_rules_elsewhere(bridge, template):
        label = bridge.function.id if line.bus is None else line.bus.label
        yield _finding(unruled_fault(line.source, label))
    yield from buses.unpermitted_findings(bridge, template)


def _rules_of_bridge(bridge: Bridge, template: Template) -> Iterator[TemplateFinding]:
    """Faults of rules without an event bus in bridge.toml, and what is not known of rules."""
    if buses.bus_of(bridge) is None:
        yield from (_finding(unconfigured_rule_fault(one)) for one in buses.rules_of(bridge, None, template))
    else:
        yield from buses.unknown_rules(bridge, template)


# ---- what is judged -------------------------------------------------------------------------------------------------

_DECISIVE: Final = {
    _MAPPING: ("BatchSize", "Enabled", "FunctionResponseTypes", "MaximumBatchingWindowInSeconds"),
    QUEUE: ("RedrivePolicy", "VisibilityTimeout"),
}
"""Type → the properties that are judged."""
_OF_STREAMS: Final = (
    *("BisectBatchOnFunctionError", "DestinationConfig", "MaximumRecordAgeInSeconds", "MaximumRetryAttempts"),
    "TumblingWindowInSeconds",
)
"""The properties of a mapping that are judged for a stream only."""


def _unknown_findings(mappings: list[Resource], source: EventSource, template: Template) -> Iterator[TemplateFinding]:
    """A warning for each value that was not judged."""
    origin = resource_of(source.arn, template)
    of_streams = _OF_STREAMS if service_of(source.arn) in STREAMS else ()
    judged = [(one, (*_DECISIVE[_MAPPING], *of_streams)) for one in mappings]
    judged += [] if origin is None else [(origin, _DECISIVE.get(origin.type, ()))]
    for one, keys in judged:
        for key in keys:
            value = one.properties.get(key)
            is_read = isinstance(value, dict) or queues.redrive_of(value) is not None or REPORT in items_of(value)
            if unresolved(value) and not is_read:
                shown = ", ".join(map(as_text, items_of(value)))
                yield warning(one.id, f"{key} is {shown}", NOT_KNOWN, "write the value, or use a parameter")
    if origin is not None and of_streams:
        yield from streams.unknown_findings(origin, source)


def _judged(line: Line, stack: Stack) -> Iterator[TemplateFinding]:
    template, source = stack.template, line.source
    yield from map(_finding, line_faults(line))
    if source.quarantine is not None and line.quarantine is None:
        actual = f"the quarantine {name_of_source(source.quarantine)} of {line.name} is not in this template"
        expected = "If no other stack has it either, the bridge reports each record with a permanent fault as failed"
        yield warning(line.bridge, actual, expected, "write the queue into this template, or check that it exists")
    rules = [rule for arn, rule in stack.needs.trusted_sources if arn == source.arn]
    origin = line.queue or line.stream or line.bus
    if origin is not None and rules:
        yield from map(_finding, writer_faults(origin, {template.account, source.arn.split(":")[4]}, rules))
        yield from _unread_policies(source, template)


def _unread_policies(source: EventSource, template: Template) -> Iterator[TemplateFinding]:
    """The policies, and the parts of them, by which others may write to a source and that were not read."""
    own = resource_of(source.arn, template)
    if service_of(source.arn) == BUS:
        yield from buses.unread_bus_policies(source, template)
    elif own is not None:
        unread = queues.unread_policies if own.type == QUEUE else streams.unread_policies
        yield from unread(own, template)


def _finding(fault: Fault) -> TemplateFinding:
    return finding(fault.label, fault.actual, fault.expected, fault.fix, fault.level)


# ---- facts ----------------------------------------------------------------------------------------------------------


def _line(source: EventSource, bridge: Bridge, own: list[Resource], polled: list[Resource], stack: Stack) -> Line:
    template, quarantine, loops = stack.template, None, []
    if source.quarantine is not None:
        quarantine = resource_of(source.quarantine, template)
        loops = [one.id for one in polled if is_source(source.quarantine, _source_of(one, template), template)]
    line = Line(
        source,
        tuple(_mapping(one, template) for one in own),
        bridge.function.id,
        seconds_of(bridge.function, "Timeout", 3.0),
        quarantine=None if quarantine is None else queues.queue_fact(quarantine, template),
        loops=next(iter(loops), None),
    )
    if line.is_bus:
        return _with_bus(line, bridge, template)
    origin = resource_of(source.arn, template)
    if service_of(source.arn) in STREAMS:
        return line if origin is None else replace(line, stream=streams.stream_fact(origin, template))
    return _with_queue(line, origin, stack)


def _with_queue(line: Line, origin: Resource | None, stack: Stack) -> Line:
    is_received = bool(line.mappings) or line.source.pipe is not None
    line = replace(line, rivals=tuple(queues.rivals_of(line.source.arn, stack)) if is_received else ())
    if origin is None:
        return line
    queue = queues.queue_fact(origin, stack.template)
    target = None if queue.redrive is None else queue.redrive.target
    dead_letters = next((one for one in stack.template.of_type(QUEUE) if one.arn == target), None)
    found = None if dead_letters is None else queues.queue_fact(dead_letters, stack.template)
    return replace(line, queue=queue, dead_letters=found)


def _with_bus(line: Line, bridge: Bridge, template: Template) -> Line:
    names = [parse_reference(target.get("Arn")) for _, target in buses.targets_of_rules(bridge.function, template)]
    qualifiers = dict.fromkeys(one.qualifier for one in names if one is not None)
    return replace(
        line,
        bus=buses.bus_fact(line.source, template),
        rules=tuple(buses.rules_of(bridge, line.source, template)),
        failures=tuple(failure_place(bridge.function, one, template) for one in qualifiers),
    )


def _source_of(mapping: Resource, template: Template) -> str:
    """The ARN of a mapping's source; empty if it has none."""
    return as_source(_written_source(mapping), template)


def _written_source(mapping: Resource) -> str:
    return as_text(mapping.properties.get("EventSourceArn", ""))


def _mapping(resource: Resource, template: Template) -> SourceMapping:
    source = _source_of(resource, template)
    types = list(map(as_text, items_of(resource.properties.get("FunctionResponseTypes"))))
    reports = None if any(map(unresolved, types)) else False
    destination, is_destination_known = on_failure(resource)
    return SourceMapping(
        resource.id,
        source,
        whole_number_of(resource, "BatchSize", default_batch(source)),
        number_of(resource, "MaximumBatchingWindowInSeconds", 0.0),
        True if REPORT in types else reports,
        bool(resource.properties.get("FilterCriteria")),
        flag_of(resource, "Enabled", True),
        whole_number_of(resource, "MaximumRetryAttempts", UNLIMITED, UNLIMITED),
        whole_number_of(resource, "MaximumRecordAgeInSeconds", UNLIMITED, UNLIMITED),
        flag_of(resource, "BisectBatchOnFunctionError", False),
        number_of(resource, "TumblingWindowInSeconds", 0.0),
        destination,
        is_destination_known,
    )
