"""The batches that event source mappings deliver: the record of a message, and values for the log."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from lattice_bridge.events import sqs
from lattice_bridge.local.aws.sqs.message import Message


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
    """

    id: str
    group: str | None
    receives: int


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


class Observer(Protocol):
    """Takes each batch, when it is delivered and when it has ended."""

    def delivering(self, batch: Batch) -> None: ...

    def delivered(self, delivery: Delivery) -> None: ...
