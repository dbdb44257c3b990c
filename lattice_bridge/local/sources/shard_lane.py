"""One lane of a shard: delivers the records of some keys in their order, as Lambda delivers those of a stream.

Rule: the position moves only past records that the function has succeeded with, that no filter takes, or that are
discarded. So a record that fails is delivered again, with all records behind it, until one of these has happened.
Source: "How Lambda processes records from stream and queue-based event sources" in the Lambda guide, with its pages on
Kinesis and DynamoDB; for retries, answers recorded on AWS. docs/local.md lists what is assumed.
"""

from __future__ import annotations

import asyncio
import logging
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from lattice_bridge.formats.payload import SYNC_LIMIT
from lattice_bridge.local.aws.invoke_checks import LambdaError, is_about_the_tenant
from lattice_bridge.local.aws.lambda_service import InvokeRequest, new_request_id, new_trace_id
from lattice_bridge.local.aws.stream import Shard, StreamRecord
from lattice_bridge.local.environments.environment import InvocationResult
from lattice_bridge.local.plan.stream_mappings import FOREVER, StreamMapping
from lattice_bridge.local.sources.batch_response import WholeBatchFailed, lowest_failed, reports_failures
from lattice_bridge.local.sources.delivery import (
    ENVELOPE,
    Condition,
    Invoke,
    Observer,
    StreamBatch,
    StreamDelivery,
    encoded,
    event_of,
)
from lattice_bridge.local.sources.discarded_records import Discarded, FailureDestination
from lattice_bridge.local.sources.poller import THROTTLE_PAUSES

RETRY_PAUSES: Final = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 20.0)
"""Pauses before the first, second, … retry; the last one is repeated. Lambda's are not documented. With these, a record
is invoked eight times in a minute, as captured on AWS."""
BLOCKED_AFTER: Final = 3
"""Failed invocations after which the log says that a batch blocks its shard."""
READ: Final = 1000
"""Records of one read."""
POLL_SECONDS: Final = 5.0
"""The longest wait for a record. A stream that was made again is noticed after it."""

_logger: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Function:
    """What a lane delivers to.

    Attributes:
        invoke: invokes the function of the mapping.
        now: seconds since the epoch.
        observer: takes each batch.
        failures: gets a record about each batch that is discarded.
    """

    invoke: Invoke
    now: Callable[[], float]
    observer: Observer
    failures: FailureDestination


@dataclass(frozen=True, slots=True)
class _Read:
    """A record with its JSON."""

    record: StreamRecord
    content: bytes

    @property
    def number(self) -> int:
        return self.record.number


@dataclass(slots=True)
class _Part:
    """Records that the function is invoked with together.

    Attributes:
        reads: in order.
        failures: of the function with exactly these records. A retry is each invocation after the first failure.
        refusals: of Lambda, one after the other. They are no retries.
        request: that Lambda has refused and that is repeated; None for a new one.
        last_request_id: of the last invocation; empty before the first one.
        function_error: of the last invocation.
    """

    reads: list[_Read]
    failures: int = 0
    refusals: int = 0
    request: InvokeRequest | None = None
    last_request_id: str = ""
    function_error: str | None = None


class Lane:
    """Delivers the records of one lane of a shard.

    Args:
        mapping: that it runs.
        shard: that it reads. It may be replaced by another view of the same shard.
        positions: of all lanes of the shard: the sequence number up to which each one's records are done.
        index: of this lane.
        function: that it delivers to.
    """

    def __init__(
        self, mapping: StreamMapping, shard: Shard, positions: list[int], index: int, function: Function
    ) -> None:
        self.shard = shard
        self._mapping = mapping
        self._positions = positions
        self._index = index
        self._function = function
        self._parts: list[_Part] = []
        self._read_to = positions[index]
        self._step: asyncio.Task[float] | None = None

    async def run(self) -> None:
        """Delivers until the end of the shard, or until cancelled. An invocation then goes on: see `finish`, `stop`."""
        while True:
            try:
                if not self._parts and not await self._gather():
                    return
                self._step = asyncio.create_task(self._advance())
                pause = await asyncio.shield(self._step)
            except Exception as error:  # one record must not end the mapping
                _logger.warning("%s: %s: %s", self._mapping.id, type(error).__name__, error)
                pause = 1.0
            if pause:
                await asyncio.sleep(pause)

    async def finish(self) -> None:
        """Waits for the invocation that is in flight."""
        if self._step is not None:
            await asyncio.gather(self._step, return_exceptions=True)

    def stop(self) -> None:
        """Ends the invocation that is in flight. Its records are not done."""
        if self._step is not None:
            self._step.cancel()

    # ---- reading ----------------------------------------------------------------------------------------------------

    async def _gather(self) -> bool:
        """Reads records until a batch is full or its window ends. Returns whether there is one: not after the end."""
        mapping, batch = self._mapping, list[_Read]()
        size, ends, read_to = ENVELOPE, self._function.now() + POLL_SECONDS, self._read_to
        while True:
            is_closed = self.shard.is_closed  # before the read: a record may be added between the two
            found = self.shard.after(read_to, min(READ, (mapping.batch_size - len(batch)) * mapping.lanes))
            for record in found:
                if self._is_mine(record):
                    read = _Read(record, encoded(record.content))
                    if batch and size + len(read.content) + 1 > SYNC_LIMIT:
                        return self._gathered(batch, read_to)
                    ends = ends if batch else self._function.now() + mapping.window
                    batch.append(read)
                    size += len(read.content) + 1
                    if len(batch) == mapping.batch_size:
                        return self._gathered(batch, record.number)
                read_to = record.number
            if not found:
                if batch and (is_closed or self._function.now() >= ends):
                    return self._gathered(batch, read_to)
                if not batch:
                    self._positions[self._index] = self._read_to = read_to  # what no filter takes is done
                    if is_closed:
                        return False
                    ends = self._function.now() + POLL_SECONDS
                await self.shard.wait(read_to, ends)
            await asyncio.sleep(0)  # a long backlog of other lanes' records must not stop the stack

    def _is_mine(self, record: StreamRecord) -> bool:
        mapping = self._mapping
        lane = zlib.crc32(record.key.encode("utf-8", "surrogatepass")) % mapping.lanes
        return lane == self._index and record.arrived >= mapping.start_time and mapping.takes(record.content)

    def _gathered(self, batch: list[_Read], read_to: int) -> bool:
        self._parts, self._read_to = [_Part(batch)], read_to
        return True

    # ---- delivering -------------------------------------------------------------------------------------------------

    async def _advance(self) -> float:
        """Invokes the function once, with the records that come first. Returns the pause after it."""
        part = self._parts[0]
        if expired := self._expired(part):
            self._discard(part, expired, "RecordAgeExceeded")
            return 0.0
        if part.request is None:
            part.request = InvokeRequest(
                self._mapping.function, event_of(one.content for one in part.reads), trace_id=new_trace_id()
            )
            self._function.observer.delivering(self._batch(part))
        request, began = part.request, self._function.now()
        try:
            result = await self._function.invoke(request)
        except LambdaError as refused:
            note = _NO_ROUTER if is_about_the_tenant(refused) else ""
            return self._refused(part, str(refused), note, is_throttle=refused.status == 429)
        except Exception as unexpected:  # as the end of an environment; one invocation must not end the mapping
            _logger.warning("%s: %s: %s", self._mapping.id, type(unexpected).__name__, unexpected)
            return self._refused(part, type(unexpected).__name__)
        assert result is not None  # of a RequestResponse
        part.refusals, part.last_request_id, part.function_error = 0, request.request_id, result.error
        return self._answered(part, result, (self._function.now() - began) * 1000)

    def _answered(self, part: _Part, result: InvocationResult, milliseconds: float) -> float:
        batch, count = self._batch(part), len(part.reads)
        part.request = None
        done, error, note = self._done(part, result)
        checkpoint = batch.numbers[min(done, count - 1)] if done else ""
        ended = StreamDelivery(batch, milliseconds, count - done, checkpoint, error, note)
        if done == count:
            self._function.observer.delivered(ended)
            self._pass(part, count)
            return 0.0
        if done:
            # Captured: the count of retries starts anew for the remainder after the checkpoint (trap E30).
            self._pass(part, done)
            part.failures = 0
            return self._again(ended, RETRY_PAUSES[0])
        if error and self._mapping.bisects and count > 1:
            # A split uses up no retry.
            half = count // 2
            self._parts[:1] = [_Part(part.reads[:half], part.failures), _Part(part.reads[half:], part.failures)]
            return self._again(ended, 0.0)
        part.failures += 1
        if 0 <= self._mapping.maximum_retries < part.failures:
            self._discard(part, count, "RetryAttemptsExhausted", ended)
            return 0.0
        if part.failures == BLOCKED_AFTER and self._mapping.maximum_retries == self._mapping.maximum_age == FOREVER:
            note = _BLOCKED.format(shard=self.shard.id)
        return self._again(replace(ended, note=note), RETRY_PAUSES[min(part.failures, len(RETRY_PAUSES)) - 1])

    def _done(self, part: _Part, result: InvocationResult) -> tuple[int, str, str]:
        """How many of the first records are done, why the others are not, and what the developer has to fix."""
        count = len(part.reads)
        if result.error is not None:
            return 0, result.description, ""
        if not self._mapping.reports_failures:
            return count, "", _IGNORED if reports_failures(result.payload) else ""
        numbers = [one.number for one in part.reads]
        try:
            lowest = lowest_failed(result.payload, numbers)
        except WholeBatchFailed as misread:
            return 0, str(misread), ""
        return count if lowest is None else numbers.index(lowest), "", ""

    def _refused(self, part: _Part, error: str, note: str = "", *, is_throttle: bool = False) -> float:
        """An invocation that did not run. Lambda repeats it until the records expire, and does not count it."""
        part.refusals += 1
        pause = THROTTLE_PAUSES[min(part.refusals, len(THROTTLE_PAUSES)) - 1]
        if part.refusals == (len(THROTTLE_PAUSES) if is_throttle else 1):  # once for a batch
            self._again(StreamDelivery(self._batch(part), 0.0, len(part.reads), "", error, note), pause)
            part.request = None
        return pause

    def _again(self, ended: StreamDelivery, pause: float) -> float:
        self._function.observer.delivered(replace(ended, retry_in=pause))
        return pause

    # ---- the end of records -----------------------------------------------------------------------------------------

    def _expired(self, part: _Part) -> int:
        """How many of the first records are too old, or no longer in the stream."""
        first, oldest = part.reads[0].number, 0
        if part.failures or part.refusals:
            kept = self.shard.after(first - 1, 1)
            oldest = kept[0].number if kept else part.reads[-1].number + 1
        limit = self._mapping.maximum_age
        youngest = self._function.now() - limit if limit != FOREVER else float("-inf")
        flags = (read.number < oldest or read.record.arrived <= youngest for read in part.reads)
        return next((index for index, is_expired in enumerate(flags) if not is_expired), len(part.reads))

    def _discard(self, part: _Part, count: int, condition: Condition, ended: StreamDelivery | None = None) -> None:
        """Gives the first records up, and tells the destination."""
        records = [one.record for one in part.reads[:count]]
        request_id = part.last_request_id or new_request_id()
        discarded = Discarded(self.shard.id, records, condition, part.failures, request_id, part.function_error)
        destination, fault = self._function.failures.send(discarded)
        if ended is None:
            ended = StreamDelivery(self._batch(part, count), 0.0, count)
        self._function.observer.delivered(
            replace(ended, note=fault or ended.note, condition=condition, destination=destination)
        )
        part.request = None  # it has the discarded records
        self._pass(part, count)

    def _pass(self, part: _Part, count: int) -> None:
        """Moves the position past the first records."""
        self._positions[self._index] = part.reads[count - 1].number
        del part.reads[:count]
        if not part.reads:
            del self._parts[0]

    def _batch(self, part: _Part, count: int | None = None) -> StreamBatch:
        request, mapping, reads = part.request, self._mapping, part.reads[:count]
        return StreamBatch(
            mapping.service,
            mapping.stream_name,
            self.shard.id,
            mapping.function,
            request.request_id if request is not None else "",
            tuple(str(one.number) for one in reads),
            (request.trace_id,) if request is not None and request.trace_id is not None else (),
            {str(one.number): one.record.key for one in reads} if mapping.service == "kinesis" else {},
            tuple(one.content for one in reads),
            part.failures + 1,
        )


_IGNORED: Final = (
    "the answer reports failed records, and the mapping has no FunctionResponseTypes: Lambda ignores the answer, and "
    "the records count as done. Fix: write FunctionResponseTypes: [ReportBatchItemFailures]"
)
_NO_ROUTER: Final = (
    "a mapping sends no tenant id. Fix: map the stream to a bridge, and write an [[event_source]] with this function "
    "into its bridge.toml"
)
_BLOCKED: Final = (
    "this batch blocks {shard}: nothing behind it is delivered until it succeeds or expires. Fix: write "
    "MaximumRetryAttempts and an OnFailure destination into the mapping; if the function is a bridge, write a "
    "quarantine into its [[event_source]]"
)
