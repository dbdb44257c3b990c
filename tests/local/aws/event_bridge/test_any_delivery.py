"""Whatever targets do, no event is lost or delivered twice, and no retry policy is exceeded."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from typing import Any, Final

from hypothesis import given, settings
from hypothesis import strategies as st

from lattice_bridge.local.aws.event_bridge.deliveries import MEMORY
from lattice_bridge.local.aws.invoke_checks import LambdaError
from lattice_bridge.local.aws.lambda_service import InvokeRequest
from tests.support.virtual_buses import FUNCTION, World, queue_arn
from tests.support.virtual_time import lived

ANSWERS: Final = st.sampled_from([200, 200, 429, 500, 404, 400])
"""The status of a function's answer to an invocation."""


class Flaky(World):
    """Functions that answer with the statuses that a test draws, and then take everything.

    Attributes:
        statuses: of the next answers.
        taken: the numbers of the events that a function took.
        tries: of each event, by its number.
    """

    def __init__(self, statuses: list[int]) -> None:
        super().__init__()
        self.statuses = statuses
        self.taken: list[int] = []
        self.tries: Counter[int] = Counter()

    async def invoke(self, request: InvokeRequest) -> None:
        number = json.loads(request.payload)["detail"]["number"]
        self.tries[number] += 1
        status = self.statuses.pop(0) if self.statuses else 200
        if status != 200:
            raise LambdaError(status, "Error", "refused")
        self.taken.append(number)


@settings(max_examples=60, deadline=None)
@given(st.lists(ANSWERS, max_size=30), st.lists(st.integers(0, 200), min_size=1, max_size=8), st.integers(0, 4))
def test_each_event_is_taken_once_or_is_one_dead_letter(statuses: list[int], pauses: list[int], retries: int) -> None:
    async def run() -> None:
        world = Flaky(list(statuses))
        world.queues.create("dead")
        policy: dict[str, Any] = {"RetryPolicy": {"MaximumRetryAttempts": retries}}
        world.rule({"Arn": FUNCTION, "DeadLetterConfig": {"Arn": queue_arn("dead")}, **policy})
        async with world.running():
            for number, pause in enumerate(pauses):
                world.put({"number": number})
                await asyncio.sleep(pause)
            await asyncio.sleep(10_000)
        dead = [json.loads(message.body)["detail"]["number"] for message in world.received("dead")]
        assert sorted(world.taken + dead) == list(range(len(pauses)))
        assert max(world.tries.values()) <= retries + 1
        assert len(world.deliveries) == 0
        assert world.deliveries.free == MEMORY

    lived(run())
