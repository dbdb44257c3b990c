"""A batch: the records of an event, whatever service it is from and whatever calls us with it; and our answer to it.

Rule: three callers read our answer differently. An event source mapping and a pipe's target take a partial batch
response. The answer of a pipe's enrichment is data. A rule of a bus reads nothing, so only an exception is a failure.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from json.encoder import c_make_encoder, encode_basestring  # type: ignore[attr-defined] # missing in typeshed
from typing import Any, Final, Protocol

from lattice_bridge.errors import BadRequest
from lattice_bridge.events import dynamodb, eventbridge, kinesis, sqs, stream
from lattice_bridge.events.aggregate import MOST_PARTS
from lattice_bridge.events.recognise import source_of
from lattice_bridge.events.record import BUS, STREAMS, Caller, Claim, Record, Stored


class _Service(Protocol):
    """How the records of a service are read."""

    def records_of(self, contents: Iterable[object]) -> list[Record]: ...

    def claimed(self, record: Record, claim: Claim) -> object: ...


_SERVICES: Final[Mapping[str, _Service]] = {
    "sqs": sqs,
    "kinesis": kinesis,
    "dynamodb": dynamodb,
    BUS: eventbridge,
}
_SOURCES: Final[Mapping[str, _Service]] = {one.SOURCE: one for one in (sqs, kinesis, dynamodb)}
"""The value of `eventSource` → the service."""


@dataclass(frozen=True, slots=True)
class Batch:
    """The records of an event.

    Attributes:
        records: in order; at least one.
        rest: those after them that are not processed now, see `deaggregated`.
    """

    records: Sequence[Record]
    rest: Sequence[Record] = ()

    @property
    def caller(self) -> Caller:
        """What reads the answer."""
        return self.records[0].caller

    def from_bus(self, arn: str) -> Batch:
        """This batch of an event of a bus, as one of the bus with an ARN."""
        return Batch([replace(record, source=arn) for record in self.records])

    def deaggregated(self, streams: Collection[str]) -> Batch:
        """This batch, with the records of each aggregate of these streams in the aggregate's place.

        Before the aggregate with which it would have more than `MOST_PARTS` records, it ends: a batch with far more
        needs more memory and time than a function has, each time it comes, and so blocks its shard (trap E22).
        """
        if not streams:
            return self
        found: list[Record] = []
        for place, one in enumerate(self.records):
            parts = kinesis.deaggregated(one) if one.source in streams else (one,)
            if found and len(found) + len(parts) > MOST_PARTS:
                return Batch(found, self.records[place:])
            found += parts
        return Batch(found)

    def lanes(self) -> Collection[list[Record]]:
        """The records by their group, in order; a record without one is a lane of its own."""
        lanes: dict[object, list[Record]] = {}
        for number, record in enumerate(self.records):
            key = number if record.group is None else (record.source, record.group)
            lanes.setdefault(key, []).append(record)
        return lanes.values()

    def to_report(self, failed: Collection[str]) -> list[str]:
        """The ids that the batch response contains, each once, in the order of the event."""
        found = dict.fromkeys(record.id for record in (*self.records, *self.rest) if record.id in failed)
        return list(stream.to_report(found) if self.records[0].service in STREAMS else found)


def batch_of(event: Any) -> Batch:
    """The records of an event.

    Raises:
        BadRequest: `source_unsupported`: they are of another service; `malformed_event`: one has no id;
            `window_unsupported`.
    """
    if eventbridge.is_event(event):
        return Batch(eventbridge.records_of([event]))
    name = source_of(event)
    service = _SOURCES.get(name or "")
    if service is None:
        found, known = ascii(name[:64]) if name else "none", ", ".join(_SOURCES)
        raise BadRequest("source_unsupported", f"the records' eventSource is {found}, and must be one of {known}")
    if isinstance(event, list):
        return Batch([replace(record, caller="pipe") for record in service.records_of(event)])
    if not isinstance(event, Mapping) or not isinstance(event.get("Records"), list):
        raise BadRequest("source_unsupported", "the event has no list `Records`, so it is of no event source mapping")
    stream.check_window(event)
    return Batch(service.records_of(event["Records"]))


# ---- the steps of one record ----------------------------------------------------------------------------------------


def claimed(record: Record, claim: Claim) -> str:
    """Reads the tenant that a record asks for. It is not decoded and not trimmed.

    Raises:
        BadRequest: `claim_missing` if there is none; `claim_unreadable` if it is not a string, or cannot be read.
    """
    value = _SERVICES[record.service].claimed(record, claim)
    if value is None:
        raise BadRequest("claim_missing", f"the record has no {in_words(claim)}")
    if not isinstance(value, str):
        raise BadRequest("claim_unreadable", f"{in_words(claim)} is not a string")
    return value


def in_words(claim: Claim) -> str:
    """The part of a record that a claim reads, without an article."""
    path = "/".join(claim.path)
    names = {
        "message_group": "message group",
        "attribute": f"attribute {claim.name}",
        "body": f"member {path} in its body",
        "partition_key": "partition key",
        "key": f"key {claim.name}",
        "image": f"attribute {claim.name} in its images",
        "detail": f"member {path} in its detail",
    }
    return names[claim.kind]


def stored(record: Record) -> Stored:
    """What the copy in a quarantine has of a record.

    Raises:
        BackendFailed: `quarantine_failed`: it cannot be copied.
    """
    return sqs.stored(record) if record.service == "sqs" else stream.stored(record)


# A record was read from JSON, so it contains no circle. Made once: a `JSONEncoder` makes such a writer for each text,
# which takes as long as to write 300 characters.
_write: Final = c_make_encoder(None, None, encode_basestring, None, ":", ",", False, False, True)
_ESCAPING: Final = json.JSONEncoder(separators=(",", ":"), check_circular=False)


def payload(record: Record) -> bytes:
    """The event that the function receives: the record alone, in the shape in which its caller sends a batch.

    It is UTF-8 without escapes: they would make two or three bytes into six, and a message that SQS takes too large for
    an asynchronous invocation.
    """
    event: object = {"Records": [record.content]}
    if record.caller != "mapping":
        event = record.content if record.caller == "bus" else [record.content]
    try:
        return "".join(_write(event, 0)).encode()
    except UnicodeEncodeError:  # a lone surrogate, which only a hand-made event contains
        return _ESCAPING.encode(event).encode()
