"""Asynchronous invocations on virtual time: the real queue of events, and functions that are Python functions."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from lattice_bridge.local.aws.async_invokes import MEMORY, AsyncInvokes, Ended, Try, Undelivered
from lattice_bridge.local.aws.invoke_checks import LambdaError
from lattice_bridge.local.aws.lambda_service import InvokeRequest, find_function
from lattice_bridge.local.environments.environment import InvocationResult
from lattice_bridge.local.plan.model import EventInvokeConfig, Function
from tests.support.virtual_time import BEGIN, now

ARN = "arn:aws:lambda:us-east-1:123456789012:function:orders"
QUEUE = "arn:aws:sqs:us-east-1:123456789012:failures"
ORDERS = Function("orders", ARN, "app.handler", Path(), {}, aliases=frozenset({"live"}))
FAILED = InvocationResult(b'{"errorType": "ValueError", "errorMessage": "no"}', "Unhandled")
DONE = InvocationResult(b'{"done": 1.50}')
DEFAULT = EventInvokeConfig()
THROTTLED = LambdaError(429, "TooManyRequestsException", "Rate Exceeded")
BROKEN = LambdaError(500, "ServiceException", "The function's process cannot be started.")
REQUEST = InvokeRequest("orders", b'{"n": 1.50}', "Event", tenant="blue", trace_id="Root=1-a", request_id="id-1")

Answer = InvocationResult | Exception
Answers = Callable[[InvokeRequest], Awaitable[Answer]]


def one_after_the_other(*answers: Answer) -> Answers:
    """A function with these answers; the last one is repeated."""
    left = list(answers)

    async def answer(_request: InvokeRequest) -> Answer:
        return left.pop(0) if len(left) > 1 else left[0]

    return answer


@dataclass
class World:
    """A queue of events with a function, and what its destinations receive.

    Attributes:
        answers: of the function.
        functions: of the template.
        times: seconds after the begin of each invocation.
        requests: of these invocations.
        tries: as the log receives them.
        records: that were sent, as (ARN, record).
        letters: that were sent to a dead-letter queue, as (ARN, event).
        refused: ARNs that take nothing.
    """

    answers: Answers
    functions: dict[str, Function]
    times: list[float] = field(default_factory=list)
    requests: list[InvokeRequest] = field(default_factory=list)
    tries: list[Try] = field(default_factory=list)
    records: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    letters: list[tuple[str, Ended]] = field(default_factory=list)
    refused: set[str] = field(default_factory=set)

    def find(self, text: str, qualifier: str | None) -> tuple[Function, str]:
        return find_function(text, self.functions, "us-east-1", qualifier)

    async def invoke(self, request: InvokeRequest) -> InvocationResult | None:
        self.times.append(round(now() - BEGIN, 3))
        self.requests.append(request)
        answer = await self.answers(request)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def tried(self, one: Try) -> None:
        self.tries.append(one)

    async def send(self, arn: str, ended: Ended) -> None:
        if arn in self.refused:
            raise Undelivered("no such queue")
        self.records.append((arn, json.loads(ended.record)))

    async def keep(self, arn: str, ended: Ended) -> None:
        if arn in self.refused:
            raise Undelivered("no such queue")
        self.letters.append((arn, ended))

    @property
    def conditions(self) -> list[str]:
        return [one.condition for one in self.tries]


@asynccontextmanager
async def waiting(
    answers: Answers,
    config: EventInvokeConfig = DEFAULT,
    *,
    qualifier: str = "$LATEST",
    dead_letters: str = "",
    memory: int = MEMORY,
) -> AsyncIterator[tuple[World, AsyncInvokes]]:
    """Runs a queue until the block ends."""
    orders = replace(ORDERS, invoke_configs={qualifier: config}, dead_letters=dead_letters)
    world = World(answers, {"orders": orders})
    events = AsyncInvokes(world.find, world.invoke, world, now, world, memory=memory)
    try:
        yield world, events
    finally:
        await events.close()
