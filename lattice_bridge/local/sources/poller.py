"""One event source mapping: polls a queue, and invokes a function with batches of its messages, as Lambda does.

Rule: a message is deleted only if the function has succeeded with it, or no filter takes it. Every other message stays
in the queue: it is visible again after its visibility timeout, and the queue moves it to the dead-letter queue.
Source: "Using Lambda with Amazon SQS" in the Lambda guide, with its pages on batching, scaling, errors and filters.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from lattice_bridge.formats.payload import SYNC_LIMIT
from lattice_bridge.local.aws.invoke_checks import LambdaError, is_about_the_tenant
from lattice_bridge.local.aws.lambda_service import InvokeRequest, new_trace_id
from lattice_bridge.local.aws.sqs.errors import SqsError
from lattice_bridge.local.aws.sqs.message import Message
from lattice_bridge.local.aws.sqs.queue import Queue
from lattice_bridge.local.aws.sqs.queues import Queues
from lattice_bridge.local.environments.environment import InvocationResult
from lattice_bridge.local.plan.queues import EventSourceMapping
from lattice_bridge.local.sources.batch_response import WholeBatchFailed, failed_ids, reports_failures
from lattice_bridge.local.sources.delivery import (
    ENVELOPE,
    Batch,
    Delivered,
    Delivery,
    Invoke,
    Observer,
    encoded,
    event_of,
    record_of,
)

POLLERS: Final = 5
"""Batches that are in flight at first, as Lambda starts with five pollers."""
GROWTH: Final = 5
"""Further ones for each second in which the queue was never empty: Lambda adds 300 a minute."""
MOST_POLLERS: Final = 64
"""Lambda stops at 1,250. This machine has as many environments as `--max-environments`."""
RECEIVE: Final = 10
"""Messages of a call of ReceiveMessage."""
POLL_SECONDS: Final = 20.0
"""Length of a long poll. A queue that was deleted, or made again, is noticed after it."""
BACK_OFF: Final = (1.0, 2.0, 4.0, 8.0)
"""The first, second, … pause of polling while batches fail. Lambda's own are not documented."""
THROTTLE_PAUSES: Final = (0.5, 1.0, 2.0, 4.0, 5.0)
"""Pauses before the next try of a throttled invocation; the last one is repeated. Lambda's are not documented."""

_logger: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Received:
    """A message with the record that Lambda makes of it."""

    message: Message
    record: bytes

    @property
    def group(self) -> str | None:
        return self.message.attributes.get("MessageGroupId")

    def for_log(self) -> Delivered:
        receives = int(self.message.attributes["ApproximateReceiveCount"])
        return Delivered(self.message.id, self.group, receives, self.record, self.message.attributes.get("SenderId"))


class Poller:
    """Runs one event source mapping.

    Args:
        mapping: that it runs.
        queues: of the stack. The mapping's queue may be made later, or again.
        invoke: invokes the function, as for every other caller.
        now: seconds since the epoch.
        observer: takes each batch.
    """

    def __init__(
        self,
        mapping: EventSourceMapping,
        queues: Queues,
        invoke: Invoke,
        now: Callable[[], float],
        observer: Observer,
    ) -> None:
        self._mapping = mapping
        self._queues = queues
        self._invoke = invoke
        self._now = now
        self._observer = observer
        self._running: set[asyncio.Task[None]] = set()
        self._busy_since = now()
        self._has_failed = False
        self._pauses = 0

    async def run(self) -> None:
        """Polls, until cancelled. Batches that are in flight then go on: see `finish` and `stop`."""
        while True:
            queue = self._queues.by_arn(self._mapping.queue)
            if queue is None:
                await asyncio.sleep(1)
                continue
            await self._has_room()
            try:
                batch = await self._gather(queue)
            except Exception as error:  # as SQS's OverLimit; one message must not end the mapping
                _logger.warning("%s: %s: %s", self._mapping.id, type(error).__name__, error)
                await asyncio.sleep(1)
                continue
            if batch:
                task = asyncio.create_task(self._deliver_all(queue, batch, self._now()))
                self._running.add(task)
                task.add_done_callback(self._running.discard)

    async def finish(self) -> None:
        """Waits for the batches that are in flight."""
        await asyncio.gather(*self._running, return_exceptions=True)

    async def stop(self) -> None:
        """Ends the batches that are in flight. Their messages stay in the queue."""
        for task in self._running:
            task.cancel()
        await self.finish()

    # ---- polling ----------------------------------------------------------------------------------------------------

    async def _has_room(self) -> None:
        """Waits until another batch may be in flight, and polling is not paused after errors."""
        while len(self._running) >= self._limit():
            await asyncio.wait(self._running, timeout=1 / GROWTH, return_when=asyncio.FIRST_COMPLETED)
        if self._has_failed and not self._mapping.reports_failures:
            self._has_failed = False
            await asyncio.sleep(BACK_OFF[min(self._pauses, len(BACK_OFF) - 1)])
            self._pauses += 1

    def _limit(self) -> int:
        """Batches that may be in flight now: one while batches fail, as Lambda then has fewer pollers."""
        if self._pauses:
            return 1
        grown = POLLERS + int((self._now() - self._busy_since) * GROWTH)
        return min(grown, self._mapping.maximum_concurrency or MOST_POLLERS, MOST_POLLERS)

    async def _gather(self, queue: Queue) -> list[_Received]:
        """Receives messages until a batch is full or its window ends. Returns an empty list after a long poll."""
        batch: list[_Received] = []
        size, ends = ENVELOPE, self._now() + POLL_SECONDS
        try:
            while True:
                wanted = min(RECEIVE, self._mapping.batch_size - len(batch))
                found = queue.receive(wanted, None)
                taken = [*self._filtered(queue, found)]
                if taken and not batch:
                    ends = self._now() + self._mapping.window
                batch += taken
                size += sum(len(one.record) + 1 for one in taken)
                if len(batch) >= self._mapping.batch_size or size >= SYNC_LIMIT or self._now() >= ends:
                    return batch
                if not found:
                    self._busy_since = self._now()
                    await queue.wait(ends)
        except BaseException:
            for one in batch:
                with suppress(SqsError):  # it is visible already
                    queue.change_visibility(one.message.receipt_handle, 0)
            raise

    def _filtered(self, queue: Queue, found: Sequence[Message]) -> Iterator[_Received]:
        """The messages that a filter takes, with their records. The others are deleted, as Lambda does."""
        for message in found:
            if self._mapping.takes(message.body):
                yield _Received(message, encoded(record_of(message, queue.arn)))
            else:
                queue.delete(message.receipt_handle)

    # ---- invoking ---------------------------------------------------------------------------------------------------

    async def _deliver_all(self, queue: Queue, received: Sequence[_Received], since: float) -> None:
        """Invokes the function with the messages of a batch: once, or more often if they are too large together."""
        failed_groups: set[str | None] = set()
        for part in _parts(received):
            # What comes after a failed message of its group would overtake it.
            rest = [one for one in part if not (queue.is_fifo and one.group in failed_groups)]
            if not rest:
                continue
            delivery = await self._deliver(queue, rest, since)
            failed_groups |= {one.group for one in rest if one.message.id in delivery.failed}
            self._has_failed = bool(delivery.error)
            self._pauses = self._pauses if delivery.error else 0
            self._observer.delivered(delivery)

    async def _deliver(self, queue: Queue, part: Sequence[_Received], since: float) -> Delivery:
        began = self._now()
        event = event_of(one.record for one in part)
        request = InvokeRequest(self._mapping.function, event, trace_id=new_trace_id())
        batch = _for_log(request, queue, part)
        self._observer.delivering(batch)
        every = frozenset(one.message.id for one in part)
        error, note, failed = "", "", every
        try:
            result = await self._result(request, since + queue.attributes.visibility_timeout)
            if result.error is not None:
                error = result.description
            elif self._mapping.reports_failures:
                failed = failed_ids(result.payload, every)
            else:
                failed = frozenset()
                note = _IGNORED if reports_failures(result.payload) else ""
        except LambdaError as refused:
            error, note = str(refused), _NO_ROUTER if is_about_the_tenant(refused) else ""
        except WholeBatchFailed as misread:
            error = str(misread)
        except Exception as unexpected:  # one invocation must not end the mapping
            _logger.warning("%s: %s: %s", self._mapping.id, type(unexpected).__name__, unexpected)
            error = type(unexpected).__name__
        if late := {one.message.id for one in part if one.message.id not in failed and not _deleted(queue, one)}:
            note = f"{len(late)} of {len(part)} messages are delivered again: {_LATE}"
        return Delivery(batch, (self._now() - began) * 1000, failed | late, error, note)

    async def _result(self, request: InvokeRequest, until: float) -> InvocationResult:
        """Invokes the function. A throttled invocation did not run, and is repeated until the messages are visible.

        Raises:
            LambdaError: Lambda refuses the invocation.
        """
        tries = 0
        while True:
            try:
                result = await self._invoke(request)
            except LambdaError as error:
                pause = THROTTLE_PAUSES[min(tries, len(THROTTLE_PAUSES) - 1)]
                if error.status != 429 or self._now() + pause >= until:
                    raise
                await asyncio.sleep(pause)
                tries += 1
                continue
            assert result is not None  # of a RequestResponse
            return result


_IGNORED: Final = (
    "the answer reports failed messages, and the mapping has no FunctionResponseTypes: Lambda ignores the answer and "
    "deletes them. Fix: write FunctionResponseTypes: [ReportBatchItemFailures]"
)
_NO_ROUTER: Final = (
    "a mapping sends no tenant id. Fix: map the queue to a bridge, and write an [[event_source]] with this function "
    "into its bridge.toml"
)
_LATE: Final = (
    "the function was slower than the queue's VisibilityTimeout. Fix: make it at least 6 times the function's Timeout"
)


def _for_log(request: InvokeRequest, queue: Queue, part: Sequence[_Received]) -> Batch:
    sent = (one.message.attributes.get("AWSTraceHeader") for one in part)
    redrive = queue.attributes.redrive_policy
    return Batch(
        queue.name,
        request.function,
        request.request_id,
        tuple(one.for_log() for one in part),
        tuple(trace for trace in (request.trace_id, *sent) if trace is not None),
        queue.attributes.visibility_timeout,
        (redrive.dead_letter_arn.rpartition(":")[2], redrive.max_receive_count) if redrive is not None else None,
    )


def _parts(batch: Sequence[_Received]) -> Iterator[list[_Received]]:
    """The batch in parts that Lambda accepts as an event."""
    part: list[_Received] = []
    size = ENVELOPE
    for one in batch:
        if part and size + len(one.record) + 1 > SYNC_LIMIT:
            yield part
            part, size = [], ENVELOPE
        part.append(one)
        size += len(one.record) + 1
    yield part


def _deleted(queue: Queue, one: _Received) -> bool:
    """Deletes a message. Returns whether it is deleted: in a FIFO queue, an expired handle deletes nothing."""
    try:
        queue.delete(one.message.receipt_handle)
    except SqsError:
        return False
    return True
