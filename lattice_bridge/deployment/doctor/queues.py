"""The queues in front of a deployed bridge, compared with bridge.toml.

Rule: `queues.judge` states each fault, in the words of `check --template`. A mapping of another source than a queue is
an error: its producers write the event, and the bridge routes records of queues only.
"""

from __future__ import annotations

from collections.abc import Iterator

from lattice_bridge.deployment.doctor.facts import Configuration, Deployment, Function, SourceFunction, Unread, known
from lattice_bridge.deployment.doctor.findings import Finding, command, unread_finding
from lattice_bridge.deployment.queues.facts import Line, Queue, SourceMapping
from lattice_bridge.deployment.queues.judge import (
    REPORT,
    Fault,
    is_queue,
    line_faults,
    sender_faults,
    unconfigured_fault,
    undelivered_fault,
    unmapped_fault,
    unreported_fault,
)

_SUBJECT = "event sources"


def lines_of(deployment: Deployment, configuration: Configuration) -> list[Line]:
    """The configured queues, each with what was read of it."""
    found = {arn: queue for arn, queue in deployment.queues if isinstance(queue, Queue)}
    mappings, function = known(deployment.event_sources), deployment.bridge.configuration
    lines = []
    for source in configuration.options.event_sources:
        queue = found.get(source.arn)
        target = queue.redrive.target if queue is not None and queue.redrive is not None else None
        loops = [one.label for one in mappings if one.source == source.quarantine]
        lines.append(
            Line(
                source,
                tuple(one for one in mappings if one.source == source.arn),
                deployment.bridge.name.label,
                float(function.timeout) if isinstance(function, Function) else None,
                queue,
                found.get(target or ""),
                found.get(source.quarantine or ""),
                next(iter(loops), None),
            )
        )
    return lines


def queue_findings(deployment: Deployment, configuration: Configuration) -> Iterator[Finding]:
    """Judges the event source mappings of the bridge, and the queues of `[[event_source]]`."""
    sources = configuration.options.event_sources
    if isinstance(deployment.event_sources, Unread):
        expected = "the queues of bridge.toml" if sources else _NONE
        yield unread_finding(_SUBJECT, deployment.event_sources, expected)
    elif not deployment.event_sources and not sources:
        yield Finding("ok", _SUBJECT, "none", _NONE)
    else:
        yield from _unexpected_findings(deployment.event_sources, deployment, configuration)
    for arn, queue in deployment.queues:
        name = arn.rpartition(":")[2]
        if isinstance(queue, Unread):
            yield unread_finding(f"queue {name}", queue, "readable: its settings decide what is lost")
        elif queue is None:
            fix = f"create {name}, or name another queue in {configuration.file}"
            yield Finding("error", f"queue {name}", "no such queue", "a queue that exists", fix)
    for line in lines_of(deployment, configuration):
        yield from _line_findings(line, deployment, configuration)
    for source in deployment.sources:
        yield from _destination_findings(source)


_NONE = "none: the producers of the source write the event"


def _unexpected_findings(
    mappings: tuple[SourceMapping, ...], deployment: Deployment, configuration: Configuration
) -> Iterator[Finding]:
    sources = configuration.options.event_sources
    expected = {arn for one in sources for arn in (one.arn, one.quarantine)}
    for one in mappings:
        if one.source in expected:
            continue
        if sources and is_queue(one.source):
            yield _finding(unconfigured_fault(one, sources), deployment)
        else:
            fix = command("lambda delete-event-source-mapping", deployment.bridge.name.region, uuid=one.label)
            yield Finding("error", _SUBJECT, one.source, _NONE, fix)


def _line_findings(line: Line, deployment: Deployment, configuration: Configuration) -> Iterator[Finding]:
    subject = f"queue {line.name}"
    faults = list(line_faults(line))
    if not line.mappings and not isinstance(deployment.event_sources, Unread):
        faults.append(unmapped_fault(line.source, subject))
    if line.queue is not None:
        rules = [rule for arn, rule in configuration.trusted_queues if arn == line.source.arn]
        faults += sender_faults(line.queue, {deployment.account}, rules)
    yield from (_finding(fault, deployment) for fault in faults)
    if not faults and line.mappings and line.queue is not None:
        yield Finding("ok", subject, f"sent to the bridge, with {REPORT}", f"sent to the bridge, with {REPORT}")


def _finding(fault: Fault, deployment: Deployment) -> Finding:
    uuids = {one.label for one in known(deployment.event_sources)}
    subject = f"event source mapping {fault.label}" if fault.label in uuids else fault.label
    fix = f"{subject}: {fault.fix}"  # doctor lists the fixes below its table
    if fault == unreported_fault(fault.label):
        call = f"lambda update-event-source-mapping --function-response-types {REPORT}"
        fix = command(call, deployment.bridge.name.region, uuid=fault.label)
    return Finding(fault.level, subject, fault.actual, fault.expected, fix)


def _destination_findings(found: SourceFunction) -> Iterator[Finding]:
    """Whether the asynchronous events of a source that fail are kept."""
    function = found.function.configuration
    if found.source.invocation != "async" or not isinstance(function, Function) or function.keeps_failures:
        return
    fault = undelivered_fault(found.label, found.source)
    if isinstance(found.destination, Unread):
        yield unread_finding(found.label, found.destination, fault.expected)
    elif found.destination is None:
        yield Finding(fault.level, fault.label, fault.actual, fault.expected, fault.fix)
    else:
        yield Finding("ok", f"failures of {found.label}", f"kept in {found.destination}", "kept")
