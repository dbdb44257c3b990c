"""Any mapping of a FIFO queue, whatever its function does: nothing is lost, and each group keeps its order."""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from tests.support.mapped import STEPS, THROTTLED, Function, FunctionError, Records, mapped
from tests.support.virtual_time import lived

GROUPS = "abcd"


class Unreliable:
    """A function that takes its time, fails, is throttled, and answers nonsense; and messages that always fail.

    Attributes:
        done: (group, number) of each message that it has processed and not reported, in order.
    """

    def __init__(self, seed: int, poison: frozenset[tuple[str, int]]) -> None:
        self._random = random.Random(seed)
        self._poison = poison
        self.done: list[tuple[str, int]] = []

    async def __call__(self, records: Records) -> object:
        await asyncio.sleep(self._random.choice([0, 0.1, 3]))
        kind = self._random.choice(["reports", "reports", "reports", "raises", "throttled", "misspells"])
        if kind == "throttled":
            raise THROTTLED
        if kind == "raises":
            raise FunctionError
        failed, groups, done = [], set(), []
        for record in records:
            group, _, number = record["body"].partition(":")
            if group in groups or (group, int(number)) in self._poison:
                groups.add(group)
                failed.append({"itemIdentifier": record["messageId"]})
            else:
                done.append((group, int(number)))
        if kind == "misspells":
            return {"batchItemFailures": [{"itemIdentifier": "unknown"}]}
        self.done += done
        return {"batchItemFailures": failed}


@given(
    st.integers(0, 2**32),
    st.lists(st.sampled_from(GROUPS), min_size=1, max_size=20),
    st.frozensets(st.tuples(st.sampled_from(GROUPS), st.integers(0, 4)), max_size=3),
    st.sampled_from([1, 3, 10]),
    st.sampled_from([None, 2]),
)
def test_no_message_is_lost_and_no_group_is_out_of_order(
    seed: int, groups: list[str], poison: frozenset[tuple[str, int]], batch_size: int, concurrency: int | None
) -> None:
    """Trap E9, E22: a message is processed once, after those before it, or is in the dead-letter queue."""
    sent = [(group, groups[:index].count(group)) for index, group in enumerate(groups)]
    function = Unreliable(seed, poison)
    mapping = replace(STEPS, batch_size=batch_size, maximum_concurrency=concurrency)

    async def scenario() -> list[str]:
        async with mapped(Function(function), mapping, receives=6) as world:
            for group, number in sent:
                world.step(group, f"{group}:{number}")
            while sum(world.steps.counts()):  # noqa: ASYNC110 - in virtual time, it costs nothing
                await asyncio.sleep(30)
            return [message.body for _ in range(8) for message in world.queues.get("steps-dead.fifo").receive(10)]

    dead = [(body[0], int(body[2:])) for body in lived(scenario())]
    assert sorted([*function.done, *dead]) == sorted(sent)
    assert set(sent) & poison <= set(dead)
    for group in GROUPS:
        numbers = [number for name, number in function.done if name == group]
        assert numbers == sorted(set(numbers))
