"""Faults of the Kinesis streams and tables in front of the bridge, as `check --template` and `doctor` both state them.

Rule: no record stops its shard longer than the mapping says, and what the mapping gives up is named in a destination.

Sources: the pages services-kinesis-create, services-kinesis-batchfailurereporting, services-ddb-create and
kinesis-on-failure-destination of the Lambda guide; the page Streams of the DynamoDB guide.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from lattice_bridge.config.event_source import EventSource
from lattice_bridge.deployment.sources.facts import (
    DEFAULT_RECORD,
    UNLIMITED,
    Line,
    SourceMapping,
    Stream,
    default_batch,
)
from lattice_bridge.deployment.sources.faults import Fault, mapping_faults, shared_fault
from lattice_bridge.events.record import service_of

BOTH_IMAGES: Final = "NEW_AND_OLD_IMAGES"
COPIED: Final = 766
"""KiB of data in the largest record of which a message can contain the copy: in base64, in a record, within 1 MiB."""
_MOST: Final = 10_000
_WRITE_LIMITS: Final = "write MaximumRetryAttempts: 10 and MaximumRecordAgeInSeconds: 3600"
_WRITE_DESTINATION: Final = "write DestinationConfig: {OnFailure: {Destination: the ARN of a queue}}"


def stream_faults(line: Line) -> Iterator[Fault]:
    """The faults of a stream or a table, and of its mappings."""
    for mapping in line.mappings:
        yield from mapping_faults(mapping)
        yield from _batch_faults(mapping)
        yield from _end_faults(mapping)
        yield from _size_faults(mapping, line)
        yield from shared_fault(mapping.label, line, mapping.destination, "OnFailure destination")
    if line.stream is not None:
        yield from _view_faults(line.stream, line.source)


def _batch_faults(mapping: SourceMapping) -> Iterator[Fault]:
    size = mapping.batch_size
    if size is not None and not 1 <= size <= _MOST:
        expected = f"Lambda accepts 1 to {_MOST} for a stream"
        yield Fault("error", mapping.label, f"BatchSize is {size}", expected, f"write BatchSize: {_MOST} at most")
    if mapping.tumbling:
        yield Fault(
            "error",
            mapping.label,
            f"TumblingWindowInSeconds is {mapping.tumbling:g}",
            "The bridge refuses each batch of a window: a window has one state for the records of all tenants",
            "remove TumblingWindowInSeconds",
        )
    if mapping.bisects is False and size != 1:
        size = default_batch(mapping.source) if size is None else size
        yield Fault(
            "warning",
            mapping.label,
            f"BisectBatchOnFunctionError is not true, and BatchSize is {size}",
            "If the bridge itself fails, as at its own timeout, Lambda gives up the whole batch for one record",
            "write BisectBatchOnFunctionError: true",
        )


def _end_faults(mapping: SourceMapping) -> Iterator[Fault]:
    """Faults by which a record that always fails stops its shard, or is lost without a trace (trap E22)."""
    is_kept = mapping.destination is not None or not mapping.is_destination_known
    if mapping.retries == mapping.max_age == UNLIMITED:
        yield Fault(
            "warning",
            mapping.label,
            "it has neither MaximumRetryAttempts nor MaximumRecordAgeInSeconds",
            "Lambda tries a record on which the function fails until it expires, and its shard waits for a day or more",
            _WRITE_LIMITS if is_kept else f"{_WRITE_LIMITS}, and {_WRITE_DESTINATION.removeprefix('write ')}",
        )
        return
    if mapping.retries == 0:
        yield Fault(
            "warning",
            mapping.label,
            "MaximumRetryAttempts is 0",
            "A throttle of the function and an end of time count as an attempt, so a record may be given up without "
            "having run",
            "write MaximumRetryAttempts: 10",
        )
    if not is_kept and None not in (mapping.retries, mapping.max_age):
        yield Fault(
            "warning",
            mapping.label,
            "it has no OnFailure destination",
            "A record that Lambda has given up is lost: nothing names it",
            _WRITE_DESTINATION,
        )


def _size_faults(mapping: SourceMapping, line: Line) -> Iterator[Fault]:
    """Faults by which a large record is neither in the quarantine nor in the failure destination (traps E6, E22)."""
    largest = DEFAULT_RECORD if line.stream is None else line.stream.largest
    if largest is None or largest <= DEFAULT_RECORD or line.source.quarantine is None:
        return
    if mapping.destination is not None and service_of(mapping.destination) in ("sqs", "sns"):
        yield Fault(
            "warning",
            mapping.label,
            f"its stream takes records of {largest} KiB, and its OnFailure destination is no S3 bucket",
            f"A record of more than {COPIED} KiB does not fit into the quarantine. If it has a permanent fault, it is "
            "tried until Lambda gives up its batch, and only S3 keeps the records of such a batch",
            "write the ARN of a bucket as the OnFailure destination",
        )


def _view_faults(stream: Stream, source: EventSource) -> Iterator[Fault]:
    """Faults by which a table's changes do not reach the bridge, or name no tenant (trap E19)."""
    write = f"write StreamSpecification: {{StreamViewType: {BOTH_IMAGES}}}"
    if stream.records is None:
        yield Fault("error", stream.label, "it has no stream", "No change of an item reaches the bridge", write)
        return
    if source.claim is None or source.claim.kind != "image" or stream.view in (None, BOTH_IMAGES):
        return
    lost = {"NEW_IMAGE": "deletion", "OLD_IMAGE": "new item"}.get(str(stream.view), "change")
    yield Fault(
        "warning" if stream.view in ("NEW_IMAGE", "OLD_IMAGE") else "error",
        stream.label,
        f"StreamViewType is {stream.view}, and the claim of bridge.toml reads an image of the item",
        f"No {lost} contains the image that the claim reads, so each one is a permanent fault (claim_missing)",
        f'{write}, or let the claim read a key: {{ from = "key", name = "…" }}',
    )
