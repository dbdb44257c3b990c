"""The faults of an event source of any service, and the rights that it needs.

Rule: `check --template` and `doctor` call this module, and each states what it finds in its own form.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from lattice_bridge.deployment.sources.buses import bus_faults
from lattice_bridge.deployment.sources.facts import Line
from lattice_bridge.deployment.sources.faults import SEND, Fault, quarantine_faults
from lattice_bridge.deployment.sources.queues import queue_faults
from lattice_bridge.deployment.sources.streams import stream_faults
from lattice_bridge.events.record import STREAMS, service_of

READS: Final[Mapping[str, tuple[str, ...]]] = {
    "sqs": ("sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"),
    "kinesis": tuple(
        f"kinesis:{one}"
        for one in ("DescribeStream", "DescribeStreamSummary", "GetRecords", "GetShardIterator", "ListShards")
    ),
    "dynamodb": tuple(f"dynamodb:{one}" for one in ("DescribeStream", "GetRecords", "GetShardIterator", "ListStreams")),
}
"""The service of a source → what Lambda does with the bridge's role to read it."""
_KEEPS: Final[Mapping[str, tuple[str, ...]]] = {
    "sqs": (SEND,),
    "sns": ("sns:Publish",),
    "events": ("events:PutEvents",),
    "s3": ("s3:ListBucket",),
}
"""The service of a failure destination → what Lambda does with the bridge's role to write to it."""


def line_faults(line: Line) -> Iterator[Fault]:
    """The faults of a configured source, and of all that is between it and the bridge."""
    if line.is_bus:
        yield from bus_faults(line)
    elif service_of(line.source.arn) in STREAMS:
        yield from stream_faults(line)
    else:
        yield from queue_faults(line)
    yield from quarantine_faults(line)


def rights_of(line: Line) -> list[tuple[str, str]]:
    """The actions that the bridge's role takes on the sources, their keys and the places for failures, as
    (action, ARN) pairs.

    A pipe receives the records with a role of its own.
    """
    rights = []
    if line.source.pipe is None:
        rights += [(action, origin) for origin in _read_arns(line) for action in READS.get(service_of(origin), ())]
        key = next((one.key for one in (line.queue, line.stream) if one is not None), None)
        if key is not None:
            rights.append(("kms:Decrypt", key))
    if line.source.quarantine is not None:
        rights.append((SEND, line.source.quarantine if line.quarantine is None else line.quarantine.arn))
        if line.quarantine is not None and line.quarantine.key is not None:
            # SendMessage on an encrypted queue needs both (SQS guide, sqs-key-management).
            rights += [(action, line.quarantine.key) for action in ("kms:GenerateDataKey", "kms:Decrypt")]
    for place in (*(one.destination for one in line.mappings), *(one.destination for one in line.failures)):
        if place is not None:
            rights += _keeping(place)
    return list(dict.fromkeys(rights))


def _read_arns(line: Line) -> Iterator[str]:
    """The ARN that Lambda reads; none for a table without a stream."""
    if line.queue is not None:
        yield line.queue.arn
    elif line.stream is not None:
        yield from filter(None, [line.stream.records])
    else:
        yield f"{line.source.arn}/stream/any" if service_of(line.source.arn) == "dynamodb" else line.source.arn


def _keeping(place: str) -> Iterator[tuple[str, str]]:
    for action in _KEEPS.get(service_of(place), ()):
        yield action, place
    if service_of(place) == "s3":
        yield "s3:PutObject", f"{place}/any"
