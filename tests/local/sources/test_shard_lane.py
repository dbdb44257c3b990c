"""A lane of a shard as Lambda runs it, on virtual time: batches, checkpoints, retries, ages, destinations, throttles."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace

import pytest

from lattice_bridge.formats.payload import SYNC_LIMIT
from lattice_bridge.local.aws.invoke_checks import MISSING, LambdaError
from lattice_bridge.local.sources.shard_lane import BLOCKED_AFTER
from tests.support.fake_stream import (
    ARN,
    CLICKS,
    REPORTING,
    FakeShard,
    FakeStream,
    StreamFunction,
    StreamWorld,
    failing_with,
    reporting,
    streamed,
)
from tests.support.mapped import THROTTLED, FunctionError, Records, answering, fail, succeed, taking
from tests.support.virtual_time import BEGIN, lived

# ---- batches --------------------------------------------------------------------------------------------------------


def test_records_of_a_shard_are_batches_in_their_order() -> None:
    async def scenario() -> None:
        function = StreamFunction(succeed)
        async with streamed(function, replace(CLICKS, batch_size=2)) as world:
            world.shard.put(*"abcde")
            await asyncio.sleep(1)
            assert function.calls == [["a", "b"], ["c", "d"], ["e"]]

    lived(scenario())


def test_event_has_the_records_as_the_stream_has_them() -> None:
    async def scenario() -> None:
        seen: Records = []

        async def keep(records: Records) -> object:
            seen.extend(records)
            return None

        async with streamed(StreamFunction(keep)) as world:
            world.shard.put("ö")
            await asyncio.sleep(1)
            assert seen == [dict(record.content) for record in world.shard.records]

    lived(scenario())


def test_default_batch_has_one_hundred_records() -> None:
    async def scenario() -> None:
        function = StreamFunction(succeed)
        async with streamed(function) as world:
            world.shard.put(*map(str, range(250)))
            await asyncio.sleep(1)
            assert [len(call) for call in function.calls] == [100, 100, 50]

    lived(scenario())


def test_window_collects_records_until_it_ends() -> None:
    async def scenario() -> None:
        function = StreamFunction(succeed)
        async with streamed(function, replace(CLICKS, window=5)) as world:
            await asyncio.sleep(7)
            world.shard.put("a")
            await asyncio.sleep(3)
            world.shard.put("b")
            await asyncio.sleep(3)
            assert (function.calls, function.times) == ([["a", "b"]], [12.0])

    lived(scenario())


def test_full_batch_does_not_wait_for_the_window() -> None:
    async def scenario() -> None:
        function = StreamFunction(succeed)
        async with streamed(function, replace(CLICKS, batch_size=3, window=300)) as world:
            world.shard.put(*"abc")
            await asyncio.sleep(1)
            assert function.calls == [["a", "b", "c"]]

    lived(scenario())


def test_event_has_six_megabytes_at_most() -> None:
    async def scenario() -> None:
        function = StreamFunction(succeed)
        async with streamed(function) as world:
            world.shard.put(*("x" * 1_000_000 for _ in range(6)))
            await asyncio.sleep(1)
            assert max(function.sizes) <= SYNC_LIMIT
            assert [len(call) for call in function.calls] == [4, 2]

    lived(scenario())


def test_one_batch_of_a_shard_is_in_flight() -> None:
    async def scenario() -> None:
        function = StreamFunction(taking(5))
        async with streamed(function, replace(CLICKS, batch_size=1)) as world:
            world.shard.put(*"abc")
            await asyncio.sleep(60)
            assert (function.most, function.times) == (1, [0.0, 5.0, 10.0])

    lived(scenario())


def test_lanes_run_side_by_side_and_each_key_keeps_its_order() -> None:
    """Trap E11: `ParallelizationFactor` keeps the order of a key, also while a record of another key is retried."""

    async def scenario() -> None:
        function = StreamFunction(failing_with("0.0"))
        async with streamed(function, replace(CLICKS, batch_size=1, lanes=10)) as world:
            for number in range(3):
                for key in range(20):
                    world.shard.put(f"{key}.{number}", key=f"key-{key}")
            await asyncio.sleep(100)
            done = [data for (data,) in function.calls]
            for key in range(20):
                seen = [data for data in done if data.startswith(f"{key}.")]
                assert seen == sorted(seen)
            assert "0.1" not in done
            assert len({data.partition(".")[0] for data in done if data.endswith(".2")}) > 15

    lived(scenario())


def test_lanes_are_in_flight_at_the_same_time() -> None:
    async def scenario() -> None:
        function = StreamFunction(taking(5))
        async with streamed(function, replace(CLICKS, lanes=4)) as world:
            for number in range(40):
                world.shard.put(str(number), key=str(number))
            await asyncio.sleep(1)
            assert function.running == 4

    lived(scenario())


# ---- the answer -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reports", [True, False])
def test_retries_start_anew_after_a_checkpoint_moved(reports: bool) -> None:
    """Trap E30: captured on AWS. With three retries, the last of three records is seen five times, and its record in
    the destination counts four invocations."""

    async def scenario() -> None:
        function = StreamFunction(reporting("f"))
        mapping = replace(CLICKS, batch_size=3, window=1, maximum_retries=3, reports_failures=True)
        async with streamed(function, mapping) as world:
            world.shard.put(*"abcdef")
            await asyncio.sleep(100)
            assert function.calls == [["a", "b", "c"], ["d", "e", "f"], ["f"], ["f"], ["f"], ["f"]]
            (record,) = world.failed()
            assert record["requestContext"]["approximateInvokeCount"] == 4
            assert record["KinesisBatchInfo"]["batchSize"] == 1

    if reports:
        lived(scenario())
