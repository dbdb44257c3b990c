"""One queue: what happens to each message, from its sending to its end.

Rule: a message that was accepted is visible, in flight or delayed, until it is deleted, moved to the dead-letter queue,
purged, or older than the retention period. Nothing else ends it.

The clock is a parameter: each operation first does what has become due by it. So hours pass in a moment of a test.
Operations take O(log n).

Source: the API reference and the developer guide of SQS, and what LocalStack's tests recorded on AWS. Not shown by any
source, and assumed here:
* A message of a standard queue that becomes visible again is behind the others.
* A message of a standard queue whose timeout has ended can be made invisible with its old handle. That AWS accepts the
  call is recorded, its effect is not.
* If the dead-letter queue of a redrive policy does not exist, messages are received again, and not lost.
* A copy in a dead-letter queue is not deduplicated, and gets no delay. In a FIFO queue it has a new sequence number.
* A receive that is repeated with the same ReceiveRequestAttemptId does not count as another receive.
* Deleting with the last handle of a message that is already deleted succeeds in FIFO queues too.
"""

from __future__ import annotations

import base64
import binascii
import math
import struct
import sys
import uuid
from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from hashlib import blake2b, sha256
from itertools import islice
from typing import Final, NamedTuple

from lattice_bridge.local.aws.budget import Budget
from lattice_bridge.local.aws.sqs.attributes import MAX_VISIBILITY, QueueAttributes
from lattice_bridge.local.aws.sqs.errors import SqsError, invalid_value
from lattice_bridge.local.aws.sqs.message import (
    Attribute,
    Message,
    Outgoing,
    Sent,
    check,
    check_id,
    md5_of,
    md5_of_attributes,
)
from lattice_bridge.local.aws.sqs.schedule import Schedule
from lattice_bridge.local.aws.sqs.stored import FifoOrder, Order, StandardOrder, State, Stored
from lattice_bridge.local.aws.waiters import Waiters

MAX_IN_FLIGHT: Final = 120_000
"""Messages, also of a FIFO queue since November 2024."""
DEDUPLICATION_SECONDS: Final = 300.0
"""Also the time in which a ReceiveRequestAttemptId counts."""

_FIRST_NUMBER: Final = 18_850_000_000_000_000_000
"""AWS's sequence numbers have 20 digits."""
_OVERHEAD: Final = 1024
"""Bytes of memory that a message takes beside its body and attributes."""
_DEDUPLICATION_BYTES: Final = 512
_MAX_ATTEMPTS: Final = 10_000


class Counts(NamedTuple):
    """How many messages are where."""

    visible: int
    in_flight: int
    delayed: int


class _Accepted(NamedTuple):
    """A message that is not accepted again before the time `ends`."""

    ends: float
    id: str
    sequence_number: str | None


class _Attempt(NamedTuple):
    """A receive that can be repeated before the time `ends`. `taken` has numbers of messages, with their revisions."""

    ends: float
    taken: list[tuple[int, int]]


@dataclass(slots=True)
class Surroundings:
    """What the queues of a stack share.

    Attributes:
        now: seconds since the epoch.
        budget: counts the memory.
        in_flight: messages of a queue that can be in flight.
        by_arn: finds a queue.
        move: does what is due of the running move tasks. Returns when there will be more, or None.
    """

    now: Callable[[], float]
    budget: Budget
    in_flight: int = MAX_IN_FLIGHT
    by_arn: Callable[[str], Queue | None] = lambda _arn: None
    move: Callable[[float], float | None] = lambda _now: None


class Queue:
    """A standard or FIFO queue.

    Attributes:
        name, arn: of the queue.
        account: of the ARN.
        url_path: `/ACCOUNT/NAME`.
        is_fifo: whether it is a FIFO queue.
        tags: of the queue.
        created, modified: seconds since the epoch.
    """

    def __init__(self, name: str, arn: str, attributes: QueueAttributes, surroundings: Surroundings) -> None:
        self.name = name
        self.arn = arn
        self.account = arn.split(":")[4]
        self.url_path = f"/{self.account}/{name}"
        self.is_fifo = name.endswith(".fifo")
        self.tags: dict[str, str] = {}
        self._surroundings = surroundings
        self._now = surroundings.now
        self._budget = surroundings.budget
        self.created = self.modified = self._now()
        self._attributes = attributes
        self._key = uuid.uuid4().bytes
        self._messages: dict[int, Stored] = {}
        self._order: Order = FifoOrder() if self.is_fifo else StandardOrder()
        self._counts: Counter[State] = Counter()
        self._changes, self._ends = Schedule(), Schedule()
        self._last_number = 0
        self._deduplication: OrderedDict[tuple[str, str], _Accepted] = OrderedDict()
        self._attempts: OrderedDict[str, _Attempt] = OrderedDict()
        self._waiters = Waiters()
        self._purged = -math.inf

    @property
    def attributes(self) -> QueueAttributes:
        """The attributes that can be set."""
        return self._attributes

    def set_attributes(self, attributes: QueueAttributes) -> None:
        """Replaces the attributes. A new delay has an effect on delayed messages of a FIFO queue only, as on AWS."""
        self._advance()
        self._attributes, self.modified = attributes, self._now()
        if self.is_fifo:
            for stored in self._messages.values():
                if stored.state is State.DELAYED:
                    self._changes.set(stored.number, stored.sent + attributes.delay_seconds)
        self.wake()

    def counts(self) -> Counts:
        """Counts the messages."""
        self._advance()
        counts = self._counts
        return Counts(counts[State.VISIBLE], counts[State.IN_FLIGHT], counts[State.DELAYED])

    def message_ids(self) -> list[str]:
        """The ids of all messages, in any state, in the order of their arrival."""
        self._advance()
        return [stored.id for stored in self._messages.values()]

    def peek(self, after: int = 0, limit: int = 1) -> list[Stored]:
        """Messages in any state, in the order of their arrival. Nothing changes: they are not received.

        Args:
            after: the number of a message. Only later ones are returned.
            limit: how many at most.
        """
        self._advance()
        return list(islice((stored for number, stored in self._messages.items() if number > after), limit))

    # ---- sending ----------------------------------------------------------------------------------------------------

    def send(self, outgoing: Outgoing) -> Sent:
        """Accepts a message. If it repeats one of the last five minutes (FIFO), nothing is stored.

        Raises:
            SqsError: what AWS refuses, or the stack's queues are full.
        """
        now = self._advance()
        check(outgoing, is_fifo=self.is_fifo, limit=self._attributes.maximum_message_size)
        key = None
        if self.is_fifo:
            outgoing = self._with_deduplication_id(outgoing)
            key = self._deduplication_key(outgoing)
        accepted = None if key is None else self._deduplication.get(key)
        if accepted is not None:
            stored = self._new(outgoing, accepted.id, now)
            return _sent(stored, accepted.sequence_number)
        stored = self._new(outgoing, str(uuid.uuid4()), now)
        self._budget.take(stored.size + (0 if key is None else _DEDUPLICATION_BYTES))
        delay = self._attributes.delay_seconds if self.is_fifo or outgoing.delay is None else outgoing.delay
        self._add(stored, now + delay if delay else None)
        sequence_number = self._sequence_number(stored)
        if key is not None:
            self._deduplication[key] = _Accepted(now + DEDUPLICATION_SECONDS, stored.id, sequence_number)
        return _sent(stored, sequence_number)

    def _new(self, outgoing: Outgoing, message_id: str, now: float) -> Stored:
        md5_of_body = md5_of(outgoing.body)
        size = _OVERHEAD + sys.getsizeof(outgoing.body)
        size += sum(_OVERHEAD + sys.getsizeof(each.value) for each in outgoing.attributes.values())
        md5 = md5_of_attributes(outgoing.attributes)
        return Stored(0, message_id, outgoing, md5_of_body, md5, size, sent=now, kept_since=now)

    def _add(self, stored: Stored, visible_at: float | None) -> None:
        self._last_number += 1
        stored.number = self._last_number
        self._messages[stored.number] = stored
        self._ends.set(stored.number, stored.kept_since)
        if visible_at is not None:
            stored.state = State.DELAYED
            self._changes.set(stored.number, visible_at)
        self._counts[stored.state] += 1
        self._order.add(stored)
        self.wake()

    def _with_deduplication_id(self, outgoing: Outgoing) -> Outgoing:
        if outgoing.deduplication_id is not None:
            return outgoing
        if not self._attributes.content_based_deduplication:
            raise no_deduplication_id()
        return replace(outgoing, deduplication_id=sha256(outgoing.body.encode()).hexdigest())

    def _deduplication_key(self, outgoing: Outgoing) -> tuple[str, str]:
        by_group = self._attributes.deduplication_scope == "messageGroup"
        return (outgoing.group or "") if by_group else "", outgoing.deduplication_id or ""

    def _sequence_number(self, stored: Stored) -> str | None:
        return str(_FIRST_NUMBER + stored.number) if self.is_fifo else None

    # ---- receiving --------------------------------------------------------------------------------------------------

    def receive(self, limit: int = 1, visibility: float | None = None, attempt_id: str | None = None) -> list[Message]:
        """Receives messages. Those that were received too often go to the dead-letter queue.

        Args:
            limit: how many at most.
            visibility: seconds for which they are invisible; None for the queue's.
            attempt_id: `ReceiveRequestAttemptId`, of a FIFO queue: a repeated one receives the same messages again.

        Raises:
            SqsError: `OverLimit`: too many messages of a standard queue are in flight. Or not an attempt's id.
        """
        check_id("ReceiveRequestAttemptId", attempt_id)
        now = self._advance()
        seconds = self._attributes.visibility_timeout if visibility is None else visibility
        if attempt_id is not None and (repeated := self._repeated(attempt_id)) is not None:
            for stored in repeated:
                self._changes.set(stored.number, now + seconds)
            self.wake()
            return [self._message(stored) for stored in repeated]
        room = self._surroundings.in_flight - self._counts[State.IN_FLIGHT]
        if room <= 0 and not self.is_fifo:
            raise SqsError(
                "OverLimit", f"{self._surroundings.in_flight} messages of this queue are in flight. Fix: delete them"
            )
        received: list[Stored] = []
        limit = min(limit, room)
        while len(received) < limit and (found := self._order.first(limit - len(received))):
            for stored in found:
                if not self._dead_lettered(stored):
                    self._take(stored, now, seconds)
                    received.append(stored)
        if attempt_id is not None and received:
            self._attempts.pop(attempt_id, None)
            taken = [(stored.number, stored.revision) for stored in received]
            self._attempts[attempt_id] = _Attempt(now + DEDUPLICATION_SECONDS, taken)
        return [self._message(stored) for stored in received]

    def _take(self, stored: Stored, now: float, seconds: float) -> None:
        stored.receives += 1
        stored.revision += 1
        stored.last_received = now
        if stored.first_received is None:
            stored.first_received = int(now * 1000)
        self._set_state(stored, State.IN_FLIGHT)
        self._changes.set(stored.number, now + seconds)

    def _repeated(self, attempt_id: str) -> list[Stored] | None:
        """The messages of an attempt, if none has been deleted, changed or received again since."""
        attempt = self._attempts.get(attempt_id)
        if attempt is None:
            return None
        found = [(self._messages.get(number), revision) for number, revision in attempt.taken]
        current = [
            stored
            for stored, revision in found
            if stored is not None and stored.state is State.IN_FLIGHT and stored.revision == revision
        ]
        return current if len(current) == len(found) else None

    def _message(self, stored: Stored) -> Message:
        outgoing = stored.outgoing
        attributes = {
            "ApproximateReceiveCount": str(stored.receives),
            "SentTimestamp": str(int(stored.sent * 1000)),
            "SenderId": outgoing.sender_id,
            "ApproximateFirstReceiveTimestamp": str(stored.first_received),
        }
        if outgoing.group is not None:
            attributes["MessageGroupId"] = outgoing.group
        sequence_number = self._sequence_number(stored)
        if sequence_number is not None:
            attributes["MessageDeduplicationId"] = outgoing.deduplication_id or ""
            attributes["SequenceNumber"] = sequence_number
        if outgoing.trace_header is not None:
            attributes["AWSTraceHeader"] = outgoing.trace_header
        if stored.came_from is not None:
            attributes["DeadLetterQueueSourceArn"] = stored.came_from
        return Message(
            *(stored.id, self._handle(stored), outgoing.body, stored.md5_of_body, attributes),
            sender_attributes=outgoing.attributes,
            md5_of_message_attributes=stored.md5_of_attributes,
        )

    # ---- after a receive --------------------------------------------------------------------------------------------

    def delete(self, receipt_handle: str) -> None:
        """Deletes a message. If it is already deleted, nothing happens.

        In a standard queue each handle of the message deletes it, also after its timeout. In a FIFO queue only the
        last one does, and only before its timeout.

        Raises:
            SqsError: not a handle of this queue, or an expired one of a FIFO queue.
        """
        self._advance()
        stored = self._of(receipt_handle)
        if stored is not None:
            self._remove(stored)

    def change_visibility(self, receipt_handle: str, seconds: float) -> None:
        """Makes a message invisible for so many seconds from now; 0 makes it visible.

        Raises:
            SqsError: not a handle of this queue, an expired one of a FIFO queue, the message is deleted, or it would be
                invisible for more than 12 hours after it was received.
        """
        now = self._advance()
        stored = self._of(receipt_handle)
        if stored is None:
            reason = "Message does not exist or is not available for visibility timeout change."
            raise invalid_value("ReceiptHandle", receipt_handle, reason)
        if now + seconds - stored.last_received > MAX_VISIBILITY:
            reason = f"Total VisibilityTimeout for the message is beyond the limit [{MAX_VISIBILITY} seconds]"
            raise invalid_value("VisibilityTimeout", seconds, reason)
        stored.revision += 1
        if seconds <= 0:
            self._changes.remove(stored.number)
            self._set_state(stored, State.VISIBLE)
        else:
            self._changes.set(stored.number, now + seconds)
            self._set_state(stored, State.IN_FLIGHT)
        self.wake()

    def purge(self) -> None:
        """Deletes all messages, also those in flight, and forgets which ones were sent.

        Raises:
            SqsError: `PurgeQueueInProgress`: the queue was purged in the last 60 seconds.
        """
        now = self._advance()
        if now < self._purged + 60:
            what = f"Only one PurgeQueue operation on {self.name} is allowed every 60 seconds."
            raise SqsError("PurgeQueueInProgress", what)
        self._purged = now
        self.clear()

    def clear(self) -> None:
        """Removes everything from the queue, and ends each wait for its messages."""
        for stored in list(self._messages.values()):
            self._remove(stored)
        self._budget.give(_DEDUPLICATION_BYTES * len(self._deduplication))
        self._deduplication.clear()
        self._attempts.clear()
        self.wake()

    # ---- receipt handles --------------------------------------------------------------------------------------------

    def _handle(self, stored: Stored) -> str:
        content = struct.pack(">QQ", stored.number, stored.receives)
        return base64.b64encode(content + self._seal(content)).decode("ascii")

    def _seal(self, content: bytes) -> bytes:
        return blake2b(content, key=self._key, digest_size=32).digest()

    def _of(self, handle: str) -> Stored | None:
        """Finds the message of a handle; None if it is deleted."""
        try:
            content = base64.b64decode(handle, validate=True)
        except (binascii.Error, ValueError):
            content = b""
        if len(content) != 48 or self._seal(content[:16]) != content[16:]:
            what = f'The input receipt handle "{handle[:100]}" is not a valid receipt handle.'
            raise SqsError("ReceiptHandleIsInvalid", what)
        number, receives = struct.unpack(">QQ", content[:16])
        stored = self._messages.get(number)
        if stored is not None and self.is_fifo and (stored.state, stored.receives) != (State.IN_FLIGHT, receives):
            raise invalid_value("ReceiptHandle", handle, "The receipt handle has expired.")
        return stored

    # ---- moving to and from dead-letter queues ----------------------------------------------------------------------

    def _dead_lettered(self, stored: Stored) -> bool:
        """Moves a message that was received too often. Returns whether it was moved."""
        policy = self._attributes.redrive_policy
        if policy is None or stored.receives < policy.max_receive_count:
            return False
        target = self._surroundings.by_arn(policy.dead_letter_arn)
        if target is None or target.is_fifo != self.is_fifo or target is self:
            return False
        self._remove(stored, give_back=False)
        # The retention of a standard queue counts from the sending, that of a FIFO queue from now.
        kept_since = self._now() if self.is_fifo else stored.kept_since
        target._add(replace(stored, state=State.VISIBLE, kept_since=kept_since, came_from=self.arn), None)
        return True

    def first_visible(self) -> Stored | None:
        """The first message that can be received, or None. For a move task."""
        return next(iter(self._order.first(1)), None)

    def move_to(self, target: Queue, stored: Stored) -> None:
        """Moves a message to another queue, for a move task. It becomes a new message, as on AWS."""
        self._remove(stored, give_back=False)
        now = self._now()
        moved = Stored(
            *(0, str(uuid.uuid4()), stored.outgoing, stored.md5_of_body, stored.md5_of_attributes, stored.size),
            sent=now,
            kept_since=now,
        )
        target._add(moved, None)

    # ---- time -------------------------------------------------------------------------------------------------------

    def next_change(self) -> float | None:
        """When another message may become receivable without a call, in seconds since the epoch; None for never."""
        moving = self._surroundings.move(self._advance())
        times = [time for time in (self._changes.next(), moving) if time is not None]
        return min(times, default=None)

    async def wait(self, until: float) -> None:
        """Returns when a message may be receivable, or at `until`, in seconds since the epoch."""
        next_change = self.next_change()
        if self._order.first(1) and self._counts[State.IN_FLIGHT] < self._surroundings.in_flight:
            return
        ends = until if next_change is None else min(until, next_change)
        await self._waiters.wait(ends - self._now())

    def wake(self) -> None:
        """Ends each wait."""
        self._waiters.wake()

    def _advance(self) -> float:
        """Does what has become due, and returns the present time."""
        now = self._now()
        self._surroundings.move(now)
        self.advance(now)
        return now

    def advance(self, now: float) -> None:
        """Does what has become due in this queue."""
        for number in self._changes.due(now):
            self._set_state(self._messages[number], State.VISIBLE)
        for number in self._ends.due(now - self._attributes.message_retention_period):
            self._remove(self._messages[number])
        while self._deduplication and next(iter(self._deduplication.values())).ends <= now:
            self._deduplication.popitem(last=False)
            self._budget.give(_DEDUPLICATION_BYTES)
        while self._attempts and (
            len(self._attempts) > _MAX_ATTEMPTS or next(iter(self._attempts.values())).ends <= now
        ):
            self._attempts.popitem(last=False)

    def _set_state(self, stored: Stored, state: State) -> None:
        self._counts[stored.state] -= 1
        self._counts[state] += 1
        stored.state = state
        self._order.changed(stored)

    def _remove(self, stored: Stored, *, give_back: bool = True) -> None:
        del self._messages[stored.number]
        self._counts[stored.state] -= 1
        self._order.remove(stored)
        self._changes.remove(stored.number)
        self._ends.remove(stored.number)
        if give_back:
            self._budget.give(stored.size)
        if self.is_fifo:
            self.wake()  # the next message of the group may be receivable


def no_deduplication_id() -> SqsError:
    """The error for a message of a FIFO queue without MessageDeduplicationId."""
    what = (
        "The queue should either have ContentBasedDeduplication enabled or MessageDeduplicationId provided explicitly"
    )
    return SqsError("InvalidParameterValueException", what)


def _sent(stored: Stored, sequence_number: str | None) -> Sent:
    trace_header = stored.outgoing.trace_header
    system = {} if trace_header is None else {"AWSTraceHeader": Attribute("String", trace_header)}
    return Sent(stored.id, sequence_number, stored.md5_of_body, stored.md5_of_attributes, md5_of_attributes(system))
