"""Departures of an event with records from what Lambda makes of them, of a list from what EventBridge Pipes sends, and
of an event of a bus from what EventBridge sends.

Rule: what makes the router refuse a record is found by the router's own reader, as for a source with `deaggregate`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from lattice_bridge.errors import BridgeError
from lattice_bridge.events import dynamodb, eventbridge, kinesis, sqs
from lattice_bridge.events.batch import Batch, batch_of
from lattice_bridge.events.recognise import source_of
from lattice_bridge.events.record import BUS, STREAMS, Record
from lattice_bridge.testing.bus_departures import EVENTS, of_bus_event
from lattice_bridge.testing.departure import Departures, Fields, Known, Words
from lattice_bridge.testing.queue_departures import RECORDS, of_message
from lattice_bridge.testing.stream_departures import CHANGES, PUT, of_change, of_put


class Form(NamedTuple):
    """The records of one service.

    Attributes:
        name: of the service, as in `event new --source`.
        writer: what writes them.
        source: what a batch of them is from.
        known: how well their form is known.
        check: adds the departures of one.
    """

    name: str
    writer: str
    source: str
    known: Known
    check: Callable[[Fields, Departures], None]


EVENTBRIDGE: Final = "eventbridge"
_FORMS: Final[Mapping[str, Form]] = {
    sqs.SOURCE: Form("sqs", "SQS", "an SQS queue", RECORDS, of_message),
    kinesis.SOURCE: Form("kinesis", "Kinesis", "a Kinesis stream", PUT, of_put),
    dynamodb.SOURCE: Form("dynamodb", "DynamoDB", "a stream of a DynamoDB table", CHANGES, of_change),
    BUS: Form(EVENTBRIDGE, "EventBridge", "an event bus", EVENTS, of_bus_event),
}
"""The value of `eventSource` → the form of the records."""
_UNKNOWN: Final = Form("records", "Lambda", "a service that is not routed", RECORDS, of_message)


def form_of(event: object) -> Form:
    """The form that an event with records, or of a bus, is meant to have."""
    return _FORMS[BUS] if eventbridge.is_event(event) else _FORMS.get(source_of(event) or "", _UNKNOWN)


def of_records(event: Any, found: Departures) -> None:
    """Adds the departures of an event with records, of a list of Pipes, or of an event of a bus."""
    form = form_of(event)
    place = found if isinstance(event, list) or form.name == EVENTBRIDGE else found.inside("Records")
    if isinstance(event, Mapping) and form.name != EVENTBRIDGE:
        for key in event:
            if key != "Records":
                found.key(event, str(key), "no such key", form.known)
    try:
        batch = batch_of(event)
    except BridgeError as refusal:
        place.add(Words(refusal.detail), f"records of {form.writer}, each with its id", form.known, refused=True)
        return
    for index, record in enumerate(batch.records):
        inside = found if form.name == EVENTBRIDGE else place.inside(str(index))
        form.check(record.content, inside)
        parts = Batch([record]).deaggregated({record.source}).records
        for fault in [part.fault for part in parts if part.fault is not None][:1]:
            inside.add(Words(fault.detail), f"what {form.writer} writes", form.known, refused=True)
    if form.name != EVENTBRIDGE:
        _batch(batch.records, form, place)


def _batch(records: Sequence[Record], form: Form, found: Departures) -> None:
    ids = Counter(record.id for record in records)
    first, before = records[0].content.get("eventSourceARN"), -1
    for index, record in enumerate(records):
        inside, content = found.inside(str(index)), record.content
        if form.name == "sqs" and ids[record.id] > 1:
            inside.key(content, "messageId", "an id that no other record has", form.known)
        if content.get("eventSourceARN") != first:
            inside.key(content, "eventSourceARN", f"the ARN of {form.source}, the same in all records", form.known)
        if form.name in STREAMS:
            if int(record.id) <= before:
                inside.add(record.id, "a sequence number above that of the record before", form.known)
            before = int(record.id)
