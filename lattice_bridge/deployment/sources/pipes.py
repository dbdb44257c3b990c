"""Faults of the pipes of EventBridge that invoke the bridge, as `check --template` and `doctor` both state them.

Rule: a pipe sends the records of one `[[event_source]]` as its source wrote them, and reads the bridge's answer. What
Pipes does not read is lost, and what it rewrites is no evidence.

Sources: the EventBridge user guide, "Amazon EventBridge Pipes batching and concurrency" and "Amazon EventBridge Pipes
input transformation"; the reference of AWS::Pipes::Pipe.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from lattice_bridge.config.event_source import EventSource, PipeRole
from lattice_bridge.deployment.sources.facts import Pipe, name_of_source
from lattice_bridge.deployment.sources.faults import Fault
from lattice_bridge.events.record import service_of

BATCHES: Final[Mapping[str, tuple[str, int]]] = {
    "sqs": ("SqsQueueParameters", 10),
    "kinesis": ("KinesisStreamParameters", 100),
    "dynamodb": ("DynamoDBStreamParameters", 100),
}
"""Service of a source → the parameters with its batch size, and the default of that."""
ROLES: Final[Mapping[PipeRole, tuple[str, str]]] = {
    "enrichment": ("Enrichment", "EnrichmentParameters"),
    "target": ("Target", "TargetParameters"),
}
"""What the bridge is for a pipe → the property that names it, and the one with its parameters."""
WAITS: Final = "REQUEST_RESPONSE"
_OWN_WORDS: Final = "The bridge trusts what the source wrote about a record, such as its sender"


def pipe_faults(pipe: Pipe) -> Iterator[Fault]:
    """The faults of a pipe for which bridge.toml need not load."""
    _, parameters = ROLES[pipe.role]
    if pipe.rewrites:
        actual = f"{parameters}.InputTemplate rewrites the records before the bridge"
        yield Fault("error", pipe.label, actual, _OWN_WORDS, "remove InputTemplate")
    if pipe.role == "enrichment" and pipe.batch_size not in (1, None):
        size = f"not set, which means {pipe.batch_size}" if pipe.is_default_batch else f"{pipe.batch_size}"
        expected = "An enrichment cannot report one record of a batch: the pipe tries all again, also those that ran"
        actual = f"the bridge is its enrichment, and BatchSize is {size}"
        yield Fault("error", pipe.label, actual, expected, one_record_fix(pipe.source))
    if pipe.waits is False:
        expected = "The pipe does not wait for the bridge's answer, so a record that the bridge reports is lost"
        actual = "InvocationType is FIRE_AND_FORGET"
        yield Fault("error", pipe.label, actual, expected, f"write InvocationType: {WAITS}")
    if pipe.is_enriched:
        actual = "its enrichment writes the records that the bridge receives as its target"
        fix = "remove Enrichment, or let the function behind the bridge do its work"
        yield Fault("warning", pipe.label, actual, _OWN_WORDS, fix)


def one_record_fix(source: str) -> str:
    """What to write so that a batch has one record."""
    name, _ = BATCHES.get(service_of(source), ("", 0))
    return f"write SourceParameters: {{{name}: {{BatchSize: 1}}}}, or make the bridge the pipe's target"


def expected_faults(pipe: Pipe, source: EventSource | None) -> Iterator[Fault]:
    """The differences between a pipe and the `[[event_source]]` of its source; None if bridge.toml has none."""
    role, name = pipe.role, name_of_source(pipe.source)
    if service_of(pipe.source) not in BATCHES:
        fix = "send them to another function, or to a queue, a Kinesis stream or a table of the bridge first"
        expected = "The bridge takes the records of SQS, Kinesis and DynamoDB Streams only"
        yield Fault("error", pipe.label, f"its source is {pipe.source or 'not written'}", expected, fix)
    elif source is None:
        actual = f"it sends {name} to the bridge, and bridge.toml has no [[event_source]] for it"
        expected = "The bridge refuses the records of a source that it does not have (source_not_configured)"
        fix = f'write an [[event_source]] with the ARN of its source and pipe = "{role}", or remove the pipe'
        yield Fault("error", pipe.label, actual, expected, fix)
    elif source.pipe != role:
        has = "no pipe" if source.pipe is None else f'pipe = "{source.pipe}"'
        actual = f"the bridge is its {role}, and the [[event_source]] of {name} has {has}"
        expected = "The bridge accepts the list of a pipe only if bridge.toml names it, and answers the two differently"
        yield Fault("error", pipe.label, actual, expected, f'write pipe = "{role}" in this [[event_source]]')


def mapped_fault(label: str, source: EventSource) -> Fault:
    """The fault of a mapping beside a pipe: each record would go to one of the two."""
    actual = f'it sends {name_of_source(source.arn)} to the bridge, and bridge.toml has pipe = "{source.pipe}" for it'
    expected = "The bridge refuses records of a mapping where it expects a pipe"
    return Fault("error", label, actual, expected, "remove the mapping, or pipe from bridge.toml")


def unpiped_fault(source: EventSource, label: str) -> Fault:
    """The fault of an `[[event_source]]` whose records no pipe sends to the bridge."""
    actual = (
        f'bridge.toml has pipe = "{source.pipe}" for {name_of_source(source.arn)}, and no pipe sends it to the bridge'
    )
    expected = "No other event of this source is accepted"
    fix = f"write an AWS::Pipes::Pipe with the bridge as its {source.pipe}, or remove pipe from bridge.toml"
    return Fault("warning", label, actual, expected, fix)
