"""Streams in memory, as `local.aws.stream` describes them, and event source mappings that read them on virtual time."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from lattice_bridge.local.aws.lambda_service import InvokeRequest
from lattice_bridge.local.aws.sqs.queues import Queues
from lattice_bridge.local.aws.stream import Stream, StreamRecord
from lattice_bridge.local.environments.environment import InvocationResult
from lattice_bridge.local.plan.stream_mappings import StreamMapping
from lattice_bridge.local.sources.delivery import Batch, Delivery, StreamBatch, StreamDelivery
from lattice_bridge.local.sources.event_sources import EventSources
from tests.support.mapped import FunctionError, Handler, Records
from tests.support.virtual_time import BEGIN, now

ARN = "arn:aws:kinesis:us-east-1:123456789012:stream/clicks"
FAILED = "arn:aws:sqs:us-east-1:123456789012:failed"
CLICKS = StreamMapping("M", ARN, "worker", "TRIM_HORIZON", on_failure=FAILED)
REPORTING = replace(CLICKS, reports_failures=True)


@dataclass
class FakeShard:
    """A shard whose records a test puts."""

    id: str
    parents: tuple[str, ...] = ()
    is_closed: bool = False
    retention: float = 86_400.0
    records: list[StreamRecord] = field(default_factory=list)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def last_number(self) -> int:
        return self.records[-1].number if self.records else 0

    def put(self, *data: str, key: str = "k") -> None:
        """Adds records with these data."""
        for one in data:
            number = self.last_number + 1
            kinesis = {
                "partitionKey": key,
                "sequenceNumber": str(number),
                "data": base64.b64encode(one.encode()).decode(),
            }
            content = {"kinesis": kinesis, "eventID": f"{self.id}:{number}", "eventSource": "aws:kinesis"}
            self.records.append(StreamRecord(number, key, now(), content, len(one)))
        self.changed.set()

    def close(self) -> None:
        self.is_closed = True
        self.changed.set()

    def after(self, number: int, limit: int) -> list[StreamRecord]:
        kept = (one for one in self.records if one.number > number and one.arrived > now() - self.retention)
        return [one for one, _ in zip(kept, range(limit), strict=False)]

    def count(self, after: int = 0) -> int:
        return len(self.after(after, len(self.records)))

    async def wait(self, number: int, until: float) -> None:
        while not self.after(number, 1) and not self.is_closed and now() < until:
            self.changed.clear()
            waiting = asyncio.create_task(self.changed.wait())
            await asyncio.wait([waiting], timeout=until - now())
            waiting.cancel()


@dataclass
class FakeStream:
    """A stream with the shards of a test."""

    every: list[FakeShard]
    arn: str = ARN

    def shards(self) -> list[FakeShard]:
        return self.every


@dataclass
class StreamFunction:
    """A function behind a mapping of a stream.

    Attributes:
        handler: takes the records of an event.
        calls: the data of each invocation, in the order of their starts.
        times: seconds after the begin of each invocation.
    """

    handler: Handler
    calls: list[list[str]] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    running: int = 0
    most: int = 0

    async def invoke(self, request: InvokeRequest) -> InvocationResult:
        records = json.loads(request.payload)["Records"]
        self.calls.append([data_of(record) for record in records])
        self.times.append(round(now() - BEGIN, 3))
        self.sizes.append(len(request.payload))
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            answer = await self.handler(records)
        except FunctionError:
            return InvocationResult(b'{"errorType": "ValueError", "errorMessage": "no"}', "Unhandled")
        finally:
            self.running -= 1
        return InvocationResult(answer if isinstance(answer, bytes) else json.dumps(answer).encode())


def data_of(record: dict[str, Any]) -> str:
    """The data of a record."""
    return base64.b64decode(record["kinesis"]["data"]).decode()


def answer_for(records: Records, failed: Iterable[str]) -> object:
    """The answer that reports the records with these data."""
    names = [*failed]
    numbers = [record["kinesis"]["sequenceNumber"] for record in records if data_of(record) in names]
    return {"batchItemFailures": [{"itemIdentifier": number} for number in numbers]}


def reporting(*data: str) -> Handler:
    """A handler that reports the records with these data as failed."""

    async def handler(records: Records) -> object:
        return answer_for(records, data)

    return handler


def failing_with(*data: str) -> Handler:
    """A handler that raises if its batch has one of these data."""

    async def handler(records: Records) -> object:
        if any(data_of(record) in data for record in records):
            raise FunctionError
        return None

    return handler


@dataclass
class StreamWorld:
    """A stream, the queue `failed`, the mappings of the test, and the batches that have begun and ended."""

    stream: FakeStream
    queues: Queues
    function: StreamFunction
    sources: EventSources = field(init=False)
    exists: bool = True
    begun: list[str] = field(default_factory=list)
    deliveries: list[StreamDelivery] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.sources = EventSources(self.queues, self.find, self.function.invoke, now, self)

    def find(self, arn: str) -> Stream | None:
        return self.stream if self.exists and arn == self.stream.arn else None

    def delivering(self, batch: Batch | StreamBatch) -> None:
        """Takes a batch."""
        self.begun.append(batch.request_id)

    def delivered(self, delivery: Delivery | StreamDelivery) -> None:
        """Takes the end of a batch."""
        assert isinstance(delivery, StreamDelivery)
        self.deliveries.append(delivery)

    @property
    def shard(self) -> FakeShard:
        return self.stream.every[0]

    def failed(self) -> list[dict[str, Any]]:
        """What the on-failure destination has got."""
        queue = self.queues.get("failed")
        return [json.loads(message.body) for _ in range(20) for message in queue.receive(10)]


@asynccontextmanager
async def streamed(
    function: StreamFunction,
    mapping: StreamMapping = CLICKS,
    *,
    stream: FakeStream | None = None,
) -> AsyncIterator[StreamWorld]:
    """Runs a mapping. Records that are put before the first `await` are there when it begins to read."""
    queues = Queues("us-east-1", "123456789012", now)
    queues.create("failed")
    world = StreamWorld(stream or FakeStream([FakeShard("shard-0")]), queues, function)
    world.sources.replace([mapping])
    try:
        yield world
    finally:
        await world.sources.close()
