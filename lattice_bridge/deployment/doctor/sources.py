"""The event sources in front of a deployed bridge, compared with bridge.toml.

Rule: `sources.judge` states each fault, in the words of `check --template`. A mapping of a source that is not in
bridge.toml is an error: its producers write the event.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from lattice_bridge.config.event_source import EventSource
from lattice_bridge.deployment.doctor.facts import (
    Configuration,
    Deployment,
    Function,
    Read,
    SourceFunction,
    StreamFront,
    Unread,
    known,
)
from lattice_bridge.deployment.doctor.findings import Finding, command, unread_finding
from lattice_bridge.deployment.sources.buses import unruled_fault
from lattice_bridge.deployment.sources.facts import (
    Bus,
    FailurePlace,
    Line,
    Queue,
    SourceMapping,
    Stream,
    name_of_source,
    noun_of,
    source_of,
)
from lattice_bridge.deployment.sources.faults import (
    REPORT,
    Fault,
    is_polled,
    unconfigured_fault,
    undelivered_fault,
    unmapped_fault,
    unreported_fault,
    writer_faults,
)
from lattice_bridge.deployment.sources.judge import line_faults
from lattice_bridge.deployment.sources.pipes import expected_faults, mapped_fault, pipe_faults, unpiped_fault
from lattice_bridge.events.record import BUS, service_of

_SUBJECT = "event sources"


# ---- facts ----------------------------------------------------------------------------------------------------------


def lines_of(deployment: Deployment, configuration: Configuration) -> list[Line]:
    """The configured sources, each with what was read of it."""
    return [_line(one, deployment) for one in configuration.options.event_sources]


def _line(source: EventSource, deployment: Deployment) -> Line:
    found = {arn: queue for arn, queue in deployment.queues if isinstance(queue, Queue)}
    mappings, function = known(deployment.event_sources), deployment.bridge.configuration
    loops = [one.label for one in mappings if one.source == source.quarantine]
    line = Line(
        source,
        tuple(one for one in mappings if source_of(one.source) == source.arn) if source.pipe is None else (),
        deployment.bridge.name.label,
        float(function.timeout) if isinstance(function, Function) else None,
        quarantine=found.get(source.quarantine or ""),
        loops=next(iter(loops), None),
    )
    if line.is_bus:
        return _with_bus(line, deployment)
    if service_of(source.arn) != "sqs":
        front = next((one for one in deployment.streams if one.arn == source.arn), None)
        return replace(line, stream=None if front is None else _stream(front))
    queue = found.get(source.arn)
    target = queue.redrive.target if queue is not None and queue.redrive is not None else None
    rivals = known(dict(deployment.rivals).get(source.arn, ()))
    return replace(line, queue=queue, dead_letters=found.get(target or ""), rivals=rivals)


def _stream(front: StreamFront) -> Stream | None:
    return replace(front.stream, policy=known(front.policy)) if isinstance(front.stream, Stream) else None


def _with_bus(line: Line, deployment: Deployment) -> Line:
    front = deployment.bus
    if front is None:
        return line
    return replace(
        line,
        bus=front.bus if isinstance(front.bus, Bus) else None,
        rules=known(front.rules),
        failures=tuple(one for one in front.failures if isinstance(one, FailurePlace)),
    )


# ---- findings -------------------------------------------------------------------------------------------------------


def source_findings(deployment: Deployment, configuration: Configuration) -> Iterator[Finding]:
    """Judges what sends records and events to the bridge, and the sources of `[[event_source]]`."""
    sources = configuration.options.event_sources
    if isinstance(deployment.event_sources, Unread):
        expected = "the sources of bridge.toml" if sources else _NONE
        yield unread_finding(_SUBJECT, deployment.event_sources, expected)
    elif not deployment.event_sources and not sources:
        yield Finding("ok", _SUBJECT, "none", _NONE)
    else:
        yield from _unexpected_findings(deployment.event_sources, deployment, configuration)
    for arn, queue in deployment.queues:
        yield from _existence_findings(arn, queue, configuration)
    yield from _stream_findings(deployment, configuration)
    yield from _bus_findings(deployment, configuration)
    yield from _pipe_findings(deployment, configuration)
    lines = lines_of(deployment, configuration)
    # Sources can share a quarantine and a destination, so a fault may be found several times.
    yield from dict.fromkeys(one for line in lines for one in _line_findings(line, deployment, configuration))
    for source in deployment.sources:
        yield from _destination_findings(source)


_NONE = "none: the producers of the source write the event"


def _existence_findings(
    arn: str, found: Read[Queue | Stream | Bus | None], configuration: Configuration
) -> Iterator[Finding]:
    """Whether a source, a quarantine or a dead-letter queue exists and could be read."""
    noun, name = noun_of(arn), name_of_source(arn)
    if isinstance(found, Unread):
        yield unread_finding(f"{noun} {name}", found, "readable: its settings decide what is lost")
    elif found is None:
        fix = f"create {name}, or name another {noun} in {configuration.file}"
        yield Finding("error", f"{noun} {name}", f"no such {noun}", f"{_article(noun)} {noun} that exists", fix)


def _article(noun: str) -> str:
    return "an" if noun[0] in "aeiou" else "a"


def _stream_findings(deployment: Deployment, configuration: Configuration) -> Iterator[Finding]:
    for front in deployment.streams:
        yield from _existence_findings(front.arn, front.stream, configuration)
        if isinstance(front.policy, Unread):
            subject = f"policy of {noun_of(front.arn)} {name_of_source(front.arn)}"
            yield unread_finding(subject, front.policy, "readable: it decides who writes records")


def _bus_findings(deployment: Deployment, configuration: Configuration) -> Iterator[Finding]:
    front = deployment.bus
    if front is None:
        return
    arn = next(one.arn for one in configuration.options.event_sources if service_of(one.arn) == BUS)
    yield from _existence_findings(arn, front.bus, configuration)
    if isinstance(front.rules, Unread):
        yield unread_finding("rules", front.rules, "readable: each of them sends events to the bridge")
    for place in front.failures:
        if isinstance(place, Unread):
            yield unread_finding(f"failures of {deployment.bridge.name.label}", place, "an OnFailure destination")


def _pipe_findings(deployment: Deployment, configuration: Configuration) -> Iterator[Finding]:
    """Judges the pipes that invoke the bridge, and the mappings beside them."""
    sources = configuration.options.event_sources
    if isinstance(deployment.pipes, Unread):
        yield unread_finding("pipes", deployment.pipes, "readable: bridge.toml has event sources with pipe")
    faults: list[Fault] = []
    for pipe in known(deployment.pipes):
        own = next((one for one in sources if one.arn == pipe.source), None)
        faults += [*pipe_faults(pipe), *expected_faults(pipe, own)]
    for source in (one for one in sources if one.pipe is not None):
        mapped = (one.label for one in known(deployment.event_sources) if source_of(one.source) == source.arn)
        faults += [mapped_fault(one, source) for one in mapped]
        if not isinstance(deployment.pipes, Unread) and all(one.source != source.arn for one in deployment.pipes):
            fault = unpiped_fault(source, f"{noun_of(source.arn)} {name_of_source(source.arn)}")
            faults.append(fault._replace(level="error"))  # every pipe was read; a template need not have every pipe
    yield from (_finding(fault, deployment) for fault in faults)


def _unexpected_findings(
    mappings: tuple[SourceMapping, ...], deployment: Deployment, configuration: Configuration
) -> Iterator[Finding]:
    sources = configuration.options.event_sources
    expected = {arn for one in sources for arn in (one.arn, one.quarantine)}
    for one in mappings:
        if source_of(one.source) in expected:
            continue
        if sources and is_polled(one.source):
            yield _finding(unconfigured_fault(one, sources), deployment)
        else:
            fix = command("lambda delete-event-source-mapping", deployment.bridge.name.region, uuid=one.label)
            yield Finding("error", _SUBJECT, one.source, _NONE, fix)


def _line_findings(line: Line, deployment: Deployment, configuration: Configuration) -> Iterator[Finding]:
    noun = noun_of(line.source.arn)
    subject = f"{noun} {line.name}"
    faults = list(line_faults(line))
    if _is_unsent(line, deployment):
        faults.append(unruled_fault(line.source, subject) if line.is_bus else unmapped_fault(line.source, subject))
    origin = line.queue or line.stream or line.bus
    if origin is not None:
        rules = [rule for arn, rule in configuration.trusted_sources if arn == line.source.arn]
        faults += writer_faults(origin, {deployment.account}, rules)
    yield from (_finding(fault, deployment) for fault in faults)
    rivals = dict(deployment.rivals).get(line.source.arn)
    if isinstance(rivals, Unread) and not isinstance(deployment.event_sources, Unread):
        yield unread_finding(subject, rivals, "no other function receives its messages")
    if not faults and origin is not None and (line.mappings or line.rules):
        sent = "sent to the bridge" if line.is_bus else f"sent to the bridge, with {REPORT}"
        yield Finding("ok", subject, sent, sent)


def _is_unsent(line: Line, deployment: Deployment) -> bool:
    """Whether no mapping or rule sends the records of a source without `pipe` to the bridge."""
    if line.is_bus:
        return deployment.bus is not None and deployment.bus.rules == ()
    return line.source.pipe is None and not line.mappings and not isinstance(deployment.event_sources, Unread)


def _finding(fault: Fault, deployment: Deployment) -> Finding:
    uuids = {one.label for one in known(deployment.event_sources)}
    uuids |= {one for _, found in deployment.rivals for one in known(found)}
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
