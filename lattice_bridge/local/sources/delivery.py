"""The batches that event source mappings deliver: their records, the event of these, and values for the log."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, Protocol

from lattice_bridge.events import sqs
from lattice_bridge.local.aws.lambda_service import InvokeRequest
from lattice_bridge.local.aws.sqs.message import Message
from lattice_bridge.local.environments.environment import InvocationResult

Invoke = Callable[[InvokeRequest], Awaitable[InvocationResult | None]]

_BEGIN, _END = b'{"Records":[', b"]}"
ENVELOPE: Final = len(_BEGIN) + len(_END)
"""Bytes of an event without records. Each record adds one for a comma."""


def encoded(record: Mapping[str, Any]) -> bytes:
    """The JSON of a record."""
    return json.dumps(record, separators=(",", ":"), ensure_ascii=False).encode()


def event_of(records: Iterable[bytes]) -> bytes:
    """The event of records that are JSON."""
    return _BEGIN + b",".join(records) + _END


def record_of(message: Message, arn: str) -> dict[str, Any]:
    """The record that Lambda makes of a message in the queue with an ARN."""
    return sqs.write(
        message_id=message.id,
        receipt_handle=message.receipt_handle,
        body=message.body,
        attributes=message.attributes,
        message_attributes=message.message_attributes,
        md5_of_body=message.md5_of_body,
        md5_of_message_attributes=message.md5_of_message_attributes,
        arn=arn,
    )


@dataclass(frozen=True, slots=True)
class Delivered:
    """A message of a batch.

    Attributes:
        id: of the message.
        group: its message group; None if it has none.
        receives: how often it has been received.
        record: of the event, as JSON.
        sender: the unique id of the role or user that sent it; None if it is not known.
    """

    id: str
    group: str | None
    receives: int
    record: bytes = field(default=b"", repr=False)
    sender: str | None = None


@dataclass(frozen=True, slots=True)
class Batch:
    """Messages that a function is invoked with.

    Attributes:
        queue: the name of the queue.
        function: as in the mapping.
        request_id: of the invocation.
        messages: in order.
        traces: the trace ids by which the function may invoke others: its own, and those of the messages' senders.
        hidden_for: the queue's visibility timeout, in seconds.
        dead_letters: the name of the queue's dead-letter queue, and the number of receives after which a message goes
            there; None if the queue has none.
    """

    queue: str
    function: str
    request_id: str
    messages: tuple[Delivered, ...]
    traces: tuple[str, ...] = ()
    hidden_for: int = 30
    dead_letters: tuple[str, int] | None = None


@dataclass(frozen=True, slots=True)
class Delivery:
    """The end of a batch.

    Attributes:
        batch: that was delivered.
        milliseconds: from the first try to the answer.
        failed: ids of the messages that stay in the queue. The mapping deletes the others.
        error: why the whole batch failed; empty if the function's answer was read.
        note: what the developer has to fix beside that; empty for nothing.
    """

    batch: Batch
    milliseconds: float
    failed: frozenset[str] = frozenset()
    error: str = ""
    note: str = ""


Condition = Literal["RetryAttemptsExhausted", "RecordAgeExceeded"]
"""Why records of a stream are discarded, as Lambda names it in the record that it sends to the destination."""


@dataclass(frozen=True, slots=True)
class StreamBatch:
    """Records of a shard that a function is invoked with.

    Attributes:
        service: as in the ARN of the stream.
        stream: the name of the stream, or of the table whose changes it has.
        shard: the shard's id.
        function: as in the mapping.
        request_id: of the invocation; empty if the records are discarded without one.
        numbers: the records' sequence numbers, in order.
        traces: the trace ids by which the function may invoke others.
        partition_keys: of the records of Kinesis, by sequence number. An item's key is content, so a table has none.
        records: of the event, as JSON, in order.
        attempt: how often these records have been delivered together, with this time.
    """

    service: str
    stream: str
    shard: str
    function: str
    request_id: str
    numbers: tuple[str, ...]
    traces: tuple[str, ...] = ()
    partition_keys: Mapping[str, str] = field(default_factory=dict)
    records: tuple[bytes, ...] = field(default=(), repr=False)
    attempt: int = 1


@dataclass(frozen=True, slots=True)
class StreamDelivery:
    """The end of a batch of a stream.

    Attributes:
        batch: that was delivered.
        milliseconds: of the invocation.
        failed: the number of records, at the end of the batch, that did not succeed.
        checkpoint: where Lambda goes on, as a sequence number: that of the first record that failed, or of the last one
            if all succeeded; empty if it has not moved.
        error: why the function did not succeed; empty if its answer was read.
        note: what the developer has to fix beside that; empty for nothing.
        retry_in: seconds until the failed records are delivered again; None if they are discarded.
        condition: why they are discarded; None if they are not.
        destination: the name of the queue that has a record of the discarded ones; empty if none has.
    """

    batch: StreamBatch
    milliseconds: float
    failed: int = 0
    checkpoint: str = ""
    error: str = ""
    note: str = ""
    retry_in: float | None = None
    condition: Condition | None = None
    destination: str = ""

    @property
    def is_lost(self) -> bool:
        """Whether records are discarded, and nothing names them."""
        return self.condition is not None and not self.destination


class Observer(Protocol):
    """Takes each batch, when it is delivered and when it has ended."""

    def delivering(self, batch: Batch | StreamBatch) -> None: ...

    def delivered(self, delivery: Delivery | StreamDelivery) -> None: ...


def what_follows(message: Delivered, batch: Batch) -> str:
    """What the queue does with a message that failed."""
    again = f"it comes again in {batch.hidden_for} s"
    if batch.dead_letters is not None and message.receives >= batch.dead_letters[1]:
        again = f"in {batch.hidden_for} s it goes to {batch.dead_letters[0]}"
    return f"Received {times(message.receives)}: {again}"


def what_follows_in_shard(delivery: StreamDelivery, *, shows_records: bool) -> str:
    """What happens to the records of a batch that did not succeed."""
    count, numbers = delivery.failed, delivery.batch.numbers
    if not count:
        return ""
    if delivery.condition is not None:
        why = "Retries are used up" if delivery.condition == "RetryAttemptsExhausted" else "Too old"
        are, their = ("is", "its") if count == 1 else ("are", "their")
        kept = f"; {delivery.destination} has {their} place in the stream" if delivery.destination else ""
        return f"{why}: {counted_records(count)} {are} discarded{kept}"
    when = f"in {delivery.retry_in:g} s" if delivery.retry_in else "at once, in halves"
    why = ""
    if delivery.checkpoint:
        why = f"Checkpoint {delivery.checkpoint}: "
    elif not delivery.error and not shows_records:
        why = f"The function reports {numbers[0]}: "
    return f"{why}{counted_records(count)} {'comes' if count == 1 else 'come'} again {when}"


def counted_records(count: int) -> str:
    return f"{count} record{'' if count == 1 else 's'}"


def times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"
