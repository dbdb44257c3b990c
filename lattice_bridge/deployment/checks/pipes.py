"""The pipes of EventBridge before the bridge, as a template has them. `sources.pipes` judges them."""

from __future__ import annotations

from collections.abc import Iterator

from lattice_bridge.deployment.checks.named_sources import as_source, is_source
from lattice_bridge.deployment.checks.stack import (
    NOT_KNOWN,
    PIPE,
    Stack,
    TemplateFinding,
    finding,
    part_of,
    refers_to,
    warning,
)
from lattice_bridge.deployment.cloudformation.template import Resource, Template
from lattice_bridge.deployment.cloudformation.text import BadTemplate
from lattice_bridge.deployment.cloudformation.values import as_text, unresolved
from lattice_bridge.deployment.sources.facts import Pipe
from lattice_bridge.deployment.sources.faults import Fault
from lattice_bridge.deployment.sources.pipes import (
    BATCHES,
    ROLES,
    WAITS,
    expected_faults,
    one_record_fix,
    pipe_faults,
    unpiped_fault,
)
from lattice_bridge.events.record import service_of


def pipe_findings(stack: Stack) -> Iterator[TemplateFinding]:
    """Faults of pipes that invoke a bridge, and of the event sources that expect a pipe."""
    template = stack.template
    for bridge in stack.bridges:
        pipes = list(_pipes(bridge.function, template))
        for pipe in pipes:
            yield from map(_finding, pipe_faults(pipe))
            yield from _unknown(pipe, template.resources[pipe.label])
            if stack.compared and not _is_unknown(pipe.source):
                own = next((one for one in bridge.sources if is_source(one.arn, pipe.source, template)), None)
                yield from map(_finding, expected_faults(pipe, own))
        for source in bridge.sources if stack.compared else ():
            if source.pipe is not None and not any(is_source(source.arn, one.source, template) for one in pipes):
                yield _finding(unpiped_fault(source, bridge.function.id))


def _finding(fault: Fault) -> TemplateFinding:
    return finding(fault.label, fault.actual, fault.expected, fault.fix, fault.level)


def _pipes(function: Resource, template: Template) -> Iterator[Pipe]:
    """The pipes that invoke a function; one that does so twice is given twice."""
    for pipe in template.of_type(PIPE):
        for role, (key, parameters) in ROLES.items():
            if refers_to(pipe.properties.get(key), function):
                source = as_source(as_text(pipe.properties.get("Source", "")), template)
                kind = _invocation(pipe) if role == "target" else WAITS
                yield Pipe(
                    pipe.id,
                    source,
                    role,
                    _batch_size(pipe, source),
                    is_default_batch=not _written_size(pipe, source),
                    rewrites=part_of(pipe, parameters).get("InputTemplate") not in (None, ""),
                    waits=None if unresolved(kind) else kind == WAITS,
                    is_enriched=role == "target" and bool(pipe.properties.get("Enrichment")),
                )


def _batch_size(pipe: Resource, source: str) -> int | None:
    """The batch size, or the default of its source; None if it is unresolved."""
    written = _written_size(pipe, source)
    if unresolved(written):
        return None
    if written and not written.isdecimal():
        raise BadTemplate(f"{pipe.id}.SourceParameters: the BatchSize {written!r} is not a number")
    return int(written or BATCHES[service_of(source)][1])


def _written_size(pipe: Resource, source: str) -> str:
    name, _ = BATCHES.get(service_of(source), ("", 0))
    return as_text(part_of(pipe, "SourceParameters", name).get("BatchSize", "")) if name else "1"


def _invocation(pipe: Resource) -> str:
    parameters = part_of(pipe, "TargetParameters", "LambdaFunctionParameters")
    return as_text(parameters.get("InvocationType", WAITS))


def _is_unknown(source: str) -> bool:
    return unresolved(source) and service_of(source) not in BATCHES


def _unknown(pipe: Pipe, resource: Resource) -> Iterator[TemplateFinding]:
    """A warning for each value that was not judged."""
    if pipe.role == "enrichment" and pipe.batch_size is None:
        actual = f"the bridge is its enrichment, and BatchSize is {_written_size(resource, pipe.source)}"
        yield warning(pipe.label, actual, NOT_KNOWN, one_record_fix(pipe.source))
    if pipe.waits is None:
        actual = f"InvocationType is {_invocation(resource)}"
        yield warning(pipe.label, actual, NOT_KNOWN, f"write InvocationType: {WAITS}")
    if _is_unknown(pipe.source):
        fix = "write !GetAtt of a resource in this template, or an ARN"
        yield warning(pipe.label, f"Source is {pipe.source}", NOT_KNOWN, fix)
