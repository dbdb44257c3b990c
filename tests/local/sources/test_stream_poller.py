"""The shards of a mapping's stream: where it begins, parents before children, and what a change of it does."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from lattice_bridge.local.plan.stream_mappings import StreamMapping
from tests.support.fake_stream import CLICKS, FakeShard, FakeStream, StreamFunction, failing_with, streamed
from tests.support.mapped import succeed, taking
from tests.support.virtual_time import BEGIN, lived, now

LATEST = replace(CLICKS, start="LATEST")


# ---- shards ---------------------------------------------------------------------------------------------------------


def test_shards_are_read_in_parallel_and_one_that_is_blocked_stops_no_other() -> None:
    """Trap E22: a poison record blocks its own shard only."""

    async def scenario() -> None:
        function = StreamFunction(failing_with("poison"))
        stream = FakeStream([FakeShard("shard-0"), FakeShard("shard-1")])
        async with streamed(function, stream=stream) as world:
            stream.every[0].put("poison")
            await asyncio.sleep(60)
            stream.every[0].put("behind")
            stream.every[1].put("a")
            await asyncio.sleep(60)
            assert ["a"] in function.calls
            assert ["behind"] not in function.calls
            assert {one.batch.shard for one in world.deliveries} == {"shard-0", "shard-1"}

    lived(scenario())


def test_children_are_read_after_their_parents() -> None:
    async def scenario() -> None:
        function = StreamFunction(taking(5))
        parents = [FakeShard("shard-0"), FakeShard("shard-1")]
        stream = FakeStream([*parents, FakeShard("shard-2", ("shard-0", "shard-1"))])
        async with streamed(function, replace(CLICKS, batch_size=1), stream=stream):
            stream.every[2].put("child")
            parents[0].put("a")
            parents[1].put("b", "c")
            for parent in parents:
                parent.close()
            await asyncio.sleep(60)
            assert sorted(function.calls[:2]) == [["a"], ["b"]]
            assert function.calls[2:] == [["c"], ["child"]]

    lived(scenario())


def test_shard_without_a_parent_in_the_stream_is_read_at_once() -> None:
    """Kinesis forgets a closed shard when its records have expired."""

    async def scenario() -> None:
        function = StreamFunction(succeed)
        stream = FakeStream([FakeShard("shard-1", ("shard-0",))])
        async with streamed(function, stream=stream):
            stream.every[0].put("a")
            await asyncio.sleep(1)
            assert function.calls == [["a"]]

    lived(scenario())


def test_window_of_a_shard_that_is_closed_does_not_delay_its_last_batch() -> None:
    async def scenario() -> None:
        function = StreamFunction(succeed)
        async with streamed(function, replace(CLICKS, window=300)) as world:
            world.shard.put("a")
            await asyncio.sleep(1)
            world.shard.close()
            await asyncio.sleep(1)
            assert function.calls == [["a"]]

    lived(scenario())


# ---- the beginning --------------------------------------------------------------------------------------------------


def test_trim_horizon_begins_with_the_oldest_record() -> None:
    async def scenario() -> None:
        function = StreamFunction(succeed)
        async with streamed(function, replace(CLICKS, enabled=False)) as world:
            world.shard.put("a")
            await asyncio.sleep(100)
            world.sources.replace([CLICKS])
            await asyncio.sleep(1)
            assert function.calls == [["a"]]

    lived(scenario())


def test_latest_begins_behind_the_newest_record() -> None:
    async def scenario() -> None:
        function = StreamFunction(succeed)
        async with streamed(function, replace(LATEST, enabled=False)) as world:
            world.shard.put("a")
            world.sources.replace([LATEST])
            world.shard.put("b")
            await asyncio.sleep(1)
            assert function.calls == [["b"]]

    lived(scenario())


def test_latest_reads_all_records_of_a_shard_that_is_made_later() -> None:
    """Its records are newer than the mapping. So a split of a shard loses none."""

    async def scenario() -> None:
        function = StreamFunction(succeed)
        async with streamed(function, LATEST) as world:
            await asyncio.sleep(1)
            world.shard.close()
            child = FakeShard("shard-1", ("shard-0",))
            child.put("a")
            world.stream.every.append(child)
            await asyncio.sleep(10)
            assert function.calls == [["a"]]

    lived(scenario())


def test_at_timestamp_begins_with_the_first_record_of_that_time() -> None:
    async def scenario() -> None:
        function = StreamFunction(succeed)
        begin = replace(CLICKS, start="AT_TIMESTAMP", start_time=BEGIN + 10)
        async with streamed(function, replace(begin, enabled=False)) as world:
            for data in "abc":
                world.shard.put(data)
                await asyncio.sleep(10)
            world.sources.replace([begin])
            await asyncio.sleep(1)
            assert function.calls == [["b", "c"]]

    lived(scenario())


@pytest.mark.parametrize("mapping", [CLICKS, LATEST], ids=lambda one: one.start)
def test_mapping_waits_for_its_stream(mapping: StreamMapping) -> None:
    """A stream that is made later has only records that are newer than the mapping, also for LATEST."""

    async def scenario() -> None:
        function = StreamFunction(succeed)
        async with streamed(function, replace(mapping, enabled=False)) as world:
            world.exists = False
            world.sources.replace([mapping])
            await asyncio.sleep(100)
            world.shard.put("a")
            world.exists = True
            await asyncio.sleep(2)
            assert function.calls == [["a"]]

    lived(scenario())


@pytest.mark.parametrize(("records", "closes"), [("abc", False), ("abc", True), ("", True)])
def test_stream_that_is_made_again_is_read_from_its_beginning(records: str, closes: bool) -> None:
    async def scenario() -> None:
        function = StreamFunction(succeed)
        async with streamed(function) as world:
            world.shard.put(*records)
            if closes:
                world.shard.close()
            await asyncio.sleep(2)
            world.exists = False
            await asyncio.sleep(2)
            world.stream, world.exists = FakeStream([FakeShard("shard-0")]), True
            world.shard.put("new")
            await asyncio.sleep(10)
            assert function.calls[-1] == ["new"]

    lived(scenario())


def test_deleted_stream_ends_the_retries_of_its_records() -> None:
    async def scenario() -> None:
        function = StreamFunction(failing_with("a"))
        async with streamed(function) as world:
            world.shard.put("a")
            await asyncio.sleep(10)
            world.exists = False
            await asyncio.sleep(5)
            count = len(function.calls)
            await asyncio.sleep(100)
            assert len(function.calls) == count

    lived(scenario())


# ---- changes --------------------------------------------------------------------------------------------------------


def test_mapping_that_stays_the_same_goes_on_where_it_was() -> None:
    async def scenario() -> None:
        function = StreamFunction(succeed)
        async with streamed(function, replace(CLICKS, window=10)) as world:
            world.shard.put("a")
            await asyncio.sleep(1)
            world.sources.replace([replace(CLICKS, window=10), replace(CLICKS, id="N", function="other")])
            world.shard.put("b")
            await asyncio.sleep(15)
            assert [call for call in function.calls if call == ["a", "b"]] == [["a", "b"]] * 2
            assert function.times == [1.0, 10.0]

    lived(scenario())


def test_changed_mapping_goes_on_at_its_position_after_the_invocation_in_flight() -> None:
    async def scenario() -> None:
        function = StreamFunction(taking(10))
        async with streamed(function, replace(CLICKS, batch_size=1)) as world:
            world.shard.put(*"abcd")
            await asyncio.sleep(1)
            for size in (4, 3, 2):
                world.sources.replace([replace(CLICKS, batch_size=size)])
                await asyncio.sleep(0)
            await asyncio.sleep(60)
            assert function.calls == [["a"], ["b", "c"], ["d"]]
            assert (function.most, function.times) == (1, [0.0, 10.0, 20.0])

    lived(scenario())


def test_mapping_that_is_enabled_again_goes_on_where_it_was() -> None:
    async def scenario() -> None:
        function = StreamFunction(succeed)
        async with streamed(function, LATEST) as world:
            world.shard.put("a")
            await asyncio.sleep(1)
            world.sources.replace([replace(LATEST, enabled=False)])
            await asyncio.sleep(1)
            world.shard.put("b")
            await asyncio.sleep(100)
            assert function.calls == [["a"]]
            world.sources.replace([LATEST])
            await asyncio.sleep(1)
            assert function.calls == [["a"], ["b"]]

    lived(scenario())


def test_mapping_that_was_removed_begins_anew() -> None:
    async def scenario() -> None:
        function = StreamFunction(succeed)
        async with streamed(function) as world:
            world.shard.put("a")
            await asyncio.sleep(1)
            world.sources.replace([])
            await asyncio.sleep(1)
            world.sources.replace([CLICKS])
            await asyncio.sleep(1)
            assert function.calls == [["a"], ["a"]]

    lived(scenario())


def test_other_number_of_lanes_loses_no_record() -> None:
    async def scenario() -> None:
        function = StreamFunction(failing_with("0"))
        async with streamed(function, replace(CLICKS, lanes=3, batch_size=1)) as world:
            for number in range(9):
                world.shard.put(str(number), key=str(number))
            await asyncio.sleep(5)
            function.handler = succeed
            world.sources.replace([replace(CLICKS, lanes=2, batch_size=1)])
            await asyncio.sleep(10)
            assert {data for (data,) in function.calls} == {str(number) for number in range(9)}

    lived(scenario())


def test_end_of_the_stack_is_prompt() -> None:
    async def scenario() -> None:
        function = StreamFunction(taking(600))
        async with streamed(function) as world:
            world.shard.put("a")
            await asyncio.sleep(1)
            world.sources.replace([replace(CLICKS, batch_size=7)])
            await asyncio.sleep(1)
            begun = now()
            await world.sources.close()
            assert now() - begun < 1
            assert function.running == 0

    lived(scenario())


@pytest.mark.parametrize(
    "change",
    [
        {"tumbling_window": 60},
        {"on_failure": "arn:aws:sns:us-east-1:123456789012:topic"},
        {"on_failure": "arn:aws:s3:::bucket"},
        {"on_failure": "arn:aws:sqs:us-east-1:123456789012:failed.fifo"},
    ],
    ids=str,
)
def test_mapping_with_a_setting_that_the_stack_does_not_serve_does_not_run(change: dict[str, str]) -> None:
    """Trap E20: the events of tumbling windows have a state, and a router must refuse them."""

    async def scenario() -> None:
        function = StreamFunction(succeed)
        mapping = replace(CLICKS, **change)  # type: ignore[arg-type]  # a table of changes
        assert "Fix: " in mapping.faults[0]
        async with streamed(function, mapping) as world:
            world.shard.put("a")
            await asyncio.sleep(10)
            assert function.calls == []

    lived(scenario())
