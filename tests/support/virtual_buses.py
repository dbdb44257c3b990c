"""Event buses in virtual time, with functions that take events or refuse them as a test says."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from lattice_bridge.local.aws.event_bridge.buses import Entry, EventBuses
from lattice_bridge.local.aws.event_bridge.deliveries import MEMORY, Deliveries, Delivery, Event, Observer
from lattice_bridge.local.aws.lambda_service import InvokeRequest
from lattice_bridge.local.aws.sqs.message import Message
from lattice_bridge.local.aws.sqs.queues import Queues
from lattice_bridge.local.plan.event_target import read_target
from tests.support.virtual_time import now

REGION: Final = "eu-west-1"
ACCOUNT: Final = "111122223333"
FUNCTION: Final = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:worker"


def queue_arn(name: str) -> str:
    return f"arn:aws:sqs:{REGION}:{ACCOUNT}:{name}"


@dataclass
class World(Observer):
    """Buses, queues and functions.

    Attributes:
        memory: bytes of the events that wait.
        clock: seconds since the epoch.
        refusals: what the functions answer to the next invocations, before they take the others.
        invoked: each invocation with its time.
        tried: each delivery that was tried.
        lost: the events that reach no target, with the reason.
    """

    memory: int = MEMORY
    clock: Callable[[], float] = now
    refusals: list[Exception] = field(default_factory=list)
    invoked: list[tuple[float, InvokeRequest]] = field(default_factory=list)
    tried: list[Delivery] = field(default_factory=list)
    lost: list[tuple[Event, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.queues = Queues(REGION, ACCOUNT, self.clock)
        self.deliveries = Deliveries(self.invoke, self.queues, self.clock, self, self.memory)
        self.buses = EventBuses(REGION, ACCOUNT, self.deliveries, self, self.clock)

    async def invoke(self, request: InvokeRequest) -> None:
        self.invoked.append((self.clock(), request))
        if self.refusals:
            raise self.refusals.pop(0)

    def event_delivered(self, delivery: Delivery) -> None:
        self.tried.append(delivery)

    def event_lost(self, event: Event, why: str) -> None:
        self.lost.append((event, why))

    def rule(self, *targets: dict[str, Any], name: str = "rule", **options: Any) -> None:
        """Makes a rule that takes every event of the source `shop`, if nothing else is said."""
        if "schedule" not in options:
            options = {"pattern": '{"source": ["shop"]}'} | options
        rule = self.buses.put_rule(name, options.pop("bus", None), **options)
        self.buses.put_targets(rule, [read_target({"Id": str(at), **each}) for at, each in enumerate(targets)])

    def put(self, detail: Any = None, /, **options: Any) -> str:
        given = {"source": "shop", "detail_type": "Order Placed", "detail": json.dumps(detail or {})} | options
        return self.buses.put(Entry(**given))

    def received(self, queue: str) -> list[Message]:
        return self.queues.get(queue).receive(10, None, None)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Runs deliveries and schedules, as long as the context lasts."""
        task = asyncio.create_task(self.buses.run())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


def seconds(times: Iterable[float]) -> list[float]:
    """The times, counted from the first one."""
    every = list(times)
    return [time - every[0] for time in every]
