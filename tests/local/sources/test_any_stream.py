"""Any mapping of a stream, whatever its function does: nothing is lost, and each key keeps its order."""

from __future__ import annotations

import asyncio
import itertools
import random
import zlib
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from lattice_bridge.local.plan.stream_mappings import StreamMapping
from tests.support.fake_stream import CLICKS, FakeShard, FakeStream, StreamFunction, StreamWorld, data_of, streamed
from tests.support.mapped import THROTTLED, FunctionError, Records
from tests.support.virtual_time import lived

KEYS = "abcd"


class Unreliable:
    """A function that takes its time, fails, is throttled, and answers nonsense; and records that always fail.

    Attributes:
        done: the data of each record that it has processed and whose batch Lambda does not deliver again, in order.
    """

    def __init__(self, seed: int, poison: frozenset[str], *, reports: bool) -> None:
        self._random = random.Random(seed)
        self._poison = poison
        self._reports = reports
        self.done: list[str] = []

    async def __call__(self, records: Records) -> object:
        await asyncio.sleep(self._random.choice([0, 0.1, 3]))
        kind = self._random.choice(["answers", "answers", "answers", "raises", "throttled", "misspells"])
        if kind == "throttled":
            raise THROTTLED
        data = [data_of(record) for record in records]
        failed = [index for index, one in enumerate(data) if one in self._poison]
        if kind == "raises" or (failed and not self._reports):
            raise FunctionError
        if kind == "misspells" and self._reports:
            return {"batchItemFailures": [{"itemIdentifier": "unknown"}]}
        self.done += data[: min(failed, default=len(data))]
        numbers = [records[index]["kinesis"]["sequenceNumber"] for index in reversed(failed)]
        return {"batchItemFailures": [{"itemIdentifier": number} for number in numbers]}


def discarded_of(world: StreamWorld, lanes: int) -> list[str]:
    """The data of the records whose place is in the on-failure destination."""
    shards = {shard.id: shard for shard in world.stream.every}
    found = []
    for place in (one["KinesisBatchInfo"] for one in world.failed()):
        first, last = int(place["startSequenceNumber"]), int(place["endSequenceNumber"])
        records = [one for one in shards[place["shardId"]].records if first <= one.number <= last]
        lane = lane_of(records[0].key, lanes)
        batch = [data_of(dict(one.content)) for one in records if lane_of(one.key, lanes) == lane]
        assert len(batch) == place["batchSize"]
        found += batch
    return found


def lane_of(key: str, lanes: int) -> int:
    return zlib.crc32(key.encode()) % lanes


async def read_to_the_end(world: StreamWorld, mapping: StreamMapping, seed: int) -> list[list[int]]:
    """Changes the mapping now and then, until all is read. Returns the positions, as they were over time."""
    seen: list[list[int]] = []
    chance, last = random.Random(seed), [shard.last_number for shard in world.stream.every]
    (progress,) = world.sources.progress.values()
    while not seen or seen[-1] != last:
        await asyncio.sleep(chance.choice([0.1, 1, 30]))
        seen.append([min(progress.positions.get(shard.id, [0])) for shard in world.stream.every])
        if chance.random() < 0.2:
            world.sources.replace([replace(mapping, window=chance.choice([0, 1, 5]))])
    return seen


@given(
    st.integers(0, 2**32),
    st.lists(st.tuples(st.sampled_from([0, 1, 2]), st.sampled_from(KEYS)), min_size=1, max_size=20),
    st.frozensets(st.tuples(st.sampled_from(KEYS), st.integers(0, 4)), max_size=3),
    st.sampled_from([1, 3, 10]),
    st.sampled_from([1, 3]),
    st.booleans(),
    st.booleans(),
)
def test_no_record_is_lost_no_key_is_out_of_order_and_no_checkpoint_moves_back(
    seed: int,
    places: list[tuple[int, str]],
    poison: frozenset[tuple[str, int]],
    batch_size: int,
    lanes: int,
    reports: bool,
    bisects: bool,
) -> None:
    """Trap E11, E22: a record succeeds once, after those before it of its key, or the destination has its place.

    The third shard is a child of the first one. A record of a shard's key is never processed before an earlier one.
    """
    counted = [
        (shard, f"{key}{shard}", places[:index].count((shard, key))) for index, (shard, key) in enumerate(places)
    ]
    sent = [(shard, key, f"{key}:{number}") for shard, key, number in counted]
    bad = frozenset(f"{key}{shard}:{number}" for key, number in poison for shard in range(3))
    function = Unreliable(seed, bad, reports=reports)
    mapping = replace(
        CLICKS, batch_size=batch_size, lanes=lanes, reports_failures=reports, bisects=bisects, maximum_retries=4
    )

    async def scenario() -> tuple[list[str], list[list[int]]]:
        stream = FakeStream([FakeShard("shard-0"), FakeShard("shard-1"), FakeShard("shard-2", ("shard-0",))])
        async with streamed(StreamFunction(function), mapping, stream=stream) as world:
            for shard, key, data in sent:
                stream.every[shard].put(data, key=key)
            stream.every[0].close()
            positions = await read_to_the_end(world, mapping, seed)
            return discarded_of(world, lanes), positions

    discarded, positions = lived(scenario())
    assert sorted([*function.done, *discarded]) == sorted(data for _, _, data in sent)
    assert {data for _, _, data in sent} & bad <= set(discarded)
    assert all(before <= after for one in zip(*positions, strict=True) for before, after in itertools.pairwise(one))
    for key in {key for _, key, _ in sent}:
        numbers = [int(data.partition(":")[2]) for data in function.done if data.startswith(f"{key}:")]
        assert numbers == sorted(set(numbers))
    child = [data for data in function.done if data.partition(":")[0].endswith("2")]
    parent = [data for data in function.done if data.partition(":")[0].endswith("0")]
    assert not child or not parent or function.done.index(child[0]) > function.done.index(parent[-1])
