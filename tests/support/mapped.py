"""Event source mappings on virtual time: queues of the real engine, and functions that are Python functions."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from lattice_bridge.local.aws.invoke_checks import LambdaError
from lattice_bridge.local.aws.lambda_service import InvokeRequest
from lattice_bridge.local.aws.sqs.message import Outgoing
from lattice_bridge.local.aws.sqs.queue import Queue
from lattice_bridge.local.aws.sqs.queues import Queues
from lattice_bridge.local.environments.environment import InvocationResult
from lattice_bridge.local.plan.queues import EventSourceMapping
from lattice_bridge.local.sources.delivery import Batch, Delivery, StreamBatch, StreamDelivery
from lattice_bridge.local.sources.event_sources import EventSources
from tests.support.virtual_time import BEGIN, now

ARN = "arn:aws:sqs:us-east-1:123456789012"
Records = list[dict[str, Any]]
Handler = Callable[[Records], Awaitable[object]]

THROTTLED = LambdaError(429, "TooManyRequestsException", "Rate Exceeded")


class FunctionError(Exception):
    """The function raises."""


@dataclass
class Function:
    """A function behind a mapping.

    Attributes:
        handler: takes the records of an event. What it returns is the answer, as JSON; bytes are an answer as they are.
        calls: the bodies of each invocation, in the order of their starts.
        times: seconds after the begin of each invocation.
        sizes: bytes of each event.
        most: the highest number of invocations at the same time.
    """

    handler: Handler
    calls: list[list[str]] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    running: int = 0
    most: int = 0

    async def invoke(self, request: InvokeRequest) -> InvocationResult:
        records = json.loads(request.payload)["Records"]
        self.calls.append([record["body"] for record in records])
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


@dataclass
class World:
    """The queues `orders`, `orders-dead`, `steps.fifo` and `steps-dead.fifo`, and the mappings of the test."""

    queues: Queues
    function: Function
    deliveries: list[Delivery] = field(default_factory=list)

    @cached_property
    def sources(self) -> EventSources:
        """The mappings."""
        return EventSources(self.queues, lambda _arn: None, self.function.invoke, now, self)

    def delivering(self, batch: Batch | StreamBatch) -> None:
        """Takes a batch."""

    def delivered(self, delivery: Delivery | StreamDelivery) -> None:
        """Takes the end of a batch."""
        assert isinstance(delivery, Delivery)
        self.deliveries.append(delivery)

    @property
    def orders(self) -> Queue:
        return self.queues.get("orders")

    @property
    def steps(self) -> Queue:
        return self.queues.get("steps.fifo")

    def send(self, *bodies: str) -> None:
        for body in bodies:
            self.orders.send(Outgoing(body))

    def step(self, group: str, *bodies: str) -> None:
        for body in bodies:
            self.steps.send(Outgoing(body, group=group, deduplication_id=body[:99]))

    def dead(self, name: str = "orders-dead") -> list[str]:
        return [message.body for message in self.queues.get(name).receive(10)]


ORDERS = EventSourceMapping("M", f"{ARN}:orders", "worker")
STEPS = replace(ORDERS, queue=f"{ARN}:steps.fifo", reports_failures=True)
REPORTING = replace(ORDERS, reports_failures=True)


@asynccontextmanager
async def mapped(
    function: Function,
    mapping: EventSourceMapping = ORDERS,
    *,
    receives: int = 3,
    visibility: int = 30,
    in_flight: int = 120_000,
) -> AsyncIterator[World]:
    """Runs a mapping. Messages that are sent before the first `await` are there when it begins to poll."""
    queues = Queues("us-east-1", "123456789012", now, in_flight=in_flight)
    for ending, more in (("", {}), (".fifo", {"FifoQueue": "true"})):
        name = "steps" if ending else "orders"
        dead = queues.create(f"{name}-dead{ending}", more)
        redrive = json.dumps({"deadLetterTargetArn": dead.arn, "maxReceiveCount": receives})
        attributes = {**more, "RedrivePolicy": redrive, "VisibilityTimeout": str(visibility)}
        queues.create(f"{name}{ending}", attributes)
    world = World(queues, function)
    world.sources.replace([mapping])
    try:
        yield world
    finally:
        await world.sources.close()


async def succeed(_records: Records) -> object:
    """A handler that succeeds."""
    return {}


async def fail(_records: Records) -> object:
    """A handler that raises."""
    raise FunctionError


def taking(seconds: float) -> Handler:
    """A handler that takes some time, and succeeds."""

    async def handler(_records: Records) -> object:
        await asyncio.sleep(seconds)
        return {}

    return handler


def reporting(*bodies: str) -> Handler:
    """A handler that reports the messages with these bodies as failed."""

    async def handler(records: Records) -> object:
        failed = [{"itemIdentifier": record["messageId"]} for record in records if record["body"] in bodies]
        return {"batchItemFailures": failed}

    return handler


def answering(answer: object) -> Handler:
    """A handler with a fixed answer."""

    async def handler(_records: Records) -> object:
        return answer

    return handler
