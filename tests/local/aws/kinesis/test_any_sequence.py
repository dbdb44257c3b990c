"""Any sequence of calls on a stream, compared with a model that a person can read.

The model keeps every record that was put, in a list, and searches all of it in each step. Its rules are those of the
engine's docstrings.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import md5

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, multiple, rule

from lattice_bridge.local.aws.kinesis.errors import KinesisError
from lattice_bridge.local.aws.kinesis.reading import Start
from lattice_bridge.local.aws.kinesis.shard import RECORD_BYTES, SHARD_BYTES
from tests.support.examples import examples
from tests.support.virtual_streams import VirtualStreams

ALL_KEYS, HOUR, FIVE_MINUTES = 2**128, 3600, 300
SECONDS = st.sampled_from([0, 0.5, 1, 2, 10, 60, 299, 301, HOUR, 12 * HOUR, 24 * HOUR])
LIMITS = st.sampled_from([1, 2, 10_000])
KINDS = st.sampled_from(["TRIM_HORIZON", "LATEST", "AT_SEQUENCE_NUMBER", "AFTER_SEQUENCE_NUMBER", "AT_TIMESTAMP"])
HASH_KEYS = st.one_of(st.none(), st.integers(0, ALL_KEYS - 1), st.sampled_from([0, ALL_KEYS // 2, ALL_KEYS - 1]))


@dataclass
class Known:
    """A record of the model."""

    key: str
    data: bytes
    number: int
    arrived: float


@dataclass
class Part:
    """A shard of the model: its hash keys, its parents, when it was closed, and all records that it ever had."""

    first: int
    last: int
    parents: tuple[str, ...] = ()
    closed: float | None = None
    records: list[Known] = field(default_factory=list)


@dataclass
class Reader:
    """An iterator of the model: it gives the records of a shard from a position of its list."""

    token: str
    shard: str
    position: int
    issued: float


class Machine(RuleBasedStateMachine):
    """A stream with two shards at first."""

    readers = Bundle("readers")

    def __init__(self) -> None:
        super().__init__()
        self.virtual = VirtualStreams()
        self.clock, self.streams = self.virtual.clock, self.virtual.streams
        self.stream = self.virtual.stream(2)
        self.hours = 24
        self.parts: dict[str, Part] = {}
        self.opened(Part(0, ALL_KEYS // 2 - 1), Part(ALL_KEYS // 2, ALL_KEYS - 1))

    # ---- calls ------------------------------------------------------------------------------------------------------

    @rule(key=st.sampled_from(["a", "b", "c", "ü"]), hash_key=HASH_KEYS, count=st.integers(1, 4))
    def put(self, key: str, hash_key: int | None, count: int) -> None:
        for _ in range(count):
            self.put_one(key, hash_key)

    def put_one(self, key: str, hash_key: int | None) -> None:
        wanted = int(md5(key.encode()).hexdigest(), 16) if hash_key is None else hash_key
        ((shard_id, part),) = (each for each in self.open() if each[1].first <= wanted <= each[1].last)
        data = str(len(part.records)).encode()
        stored = self.stream.put(key, data, hash_key)
        assert stored.shard_id == shard_id
        before = [record.number for name in (shard_id, *part.parents) for record in self.parts[name].records]
        assert stored.record.number > max(before, default=0), "a number is above its shard's and its parents'"
        assert len(str(stored.record.number)) == 56
        part.records.append(Known(key, data, stored.record.number, stored.record.arrived))

    @rule(keys=st.lists(st.sampled_from(["a", "b", "c", "d"]), min_size=3, max_size=6))
    def put_several(self, keys: list[str]) -> None:
        for key in keys:
            self.put_one(key, None)
            self.clock.forward(0.25)

    @rule(seconds=SECONDS)
    def pass_time(self, seconds: float) -> None:
        self.clock.forward(seconds)

    @rule(hours=st.sampled_from([24, 48]))
    def change_retention(self, hours: int) -> None:
        self.forget()
        self.stream.set_retention(hours)
        self.hours = hours

    @rule(which=st.integers(0, 9), share=st.floats(0, 1))
    def split(self, which: int, share: float) -> None:
        name, part = self.open()[which % len(self.open())]
        key = part.first + int(share * (part.last - part.first))
        if not part.first + 1 < key < part.last:
            with pytest.raises(KinesisError, match="is not both greater than"):
                self.stream.split(name, key)
            return
        self.stream.split(name, key)
        part.closed = self.clock.now
        self.opened(Part(part.first, key - 1, (name,)), Part(key, part.last, (name,)))

    @rule(which=st.integers(0, 9), other=st.integers(0, 9))
    def merge(self, which: int, other: int) -> None:
        (name, part), (near, adjacent) = (self.open()[each % len(self.open())] for each in (which, other))
        if part.last + 1 != adjacent.first and adjacent.last + 1 != part.first:
            with pytest.raises(KinesisError, match="not an adjacent pair"):
                self.stream.merge(name, near)
            return
        self.stream.merge(name, near)
        part.closed = adjacent.closed = self.clock.now
        self.opened(Part(min(part.first, adjacent.first), max(part.last, adjacent.last), (name, near)))

    @rule(target=readers, which=st.integers(0, 9), kind=KINDS, at=st.integers(0, 9), limit=LIMITS)
    def begin(self, which: int, kind: str, at: int, limit: int) -> object:
        """A new iterator of any listed shard is read. Shards with records are chosen if there are some."""
        names = [name for name in self.listed() if self.parts[name].records] or self.listed()
        name = names[which % len(names)]
        records, start = self.parts[name].records, Start(kind)
        position = len(records) if kind == "LATEST" else 0
        if kind not in ("LATEST", "TRIM_HORIZON"):
            if not records:
                return multiple()
            chosen = records[at % len(records)]
            start = Start(kind, str(chosen.number), chosen.arrived)
            position = records.index(chosen) + (kind == "AFTER_SEQUENCE_NUMBER")
            if kind == "AT_TIMESTAMP":
                position = next(each for each, record in enumerate(records) if record.arrived >= chosen.arrived)
        token = self.streams.iterator(self.stream, self.stream.shard(name), start)
        return self.follow(Reader(token, name, position, self.clock.now), limit)

    @rule(target=readers, reader=consumes(readers), limit=LIMITS)
    def read_on(self, reader: Reader, limit: int) -> object:
        return self.follow(reader, limit)

    def follow(self, reader: Reader, limit: int) -> object:
        if self.clock.now > reader.issued + FIVE_MINUTES:
            with pytest.raises(KinesisError) as expired:
                self.streams.read(reader.token, limit)
            assert expired.value.name == "ExpiredIteratorException"
            return multiple()
        if reader.shard not in self.listed():
            with pytest.raises(KinesisError, match="Could not find shard"):
                self.streams.read(reader.token, limit)
            return multiple()
        part = self.parts[reader.shard]
        left = [record for record in part.records[reader.position :] if self.is_kept(record)]
        _, _, page, token = self.streams.read(reader.token, limit)
        found = [(record.partition_key, record.data, record.number, record.arrived) for record in page.records]
        assert found == [(each.key, each.data, each.number, each.arrived) for each in left[:limit]]
        assert (page.behind > 0) == (len(left) > limit)
        assert (token is None) == (part.closed is not None and len(left) <= limit)
        if token is None:
            return multiple()
        last = part.records.index(left[:limit][-1]) + 1 if left else reader.position
        return Reader(token, reader.shard, last, self.clock.now)

    # ---- the whole --------------------------------------------------------------------------------------------------

    @invariant()
    def shards_are_those_of_the_model(self) -> None:
        assert [shard.id for shard in self.stream.listed()] == self.listed()
        found = [(shard.id, shard.hash_keys.first, shard.hash_keys.last) for shard in self.stream.open_shards()]
        assert found == [(name, part.first, part.last) for name, part in self.open()]
        ends = [-1, *(part.last for _, part in self.open())]
        assert [part.first for _, part in self.open()] == [end + 1 for end in ends[:-1]], "no gap, no overlap"
        assert ends[-1] == ALL_KEYS - 1

    @invariant()
    def mapping_reads_what_is_kept_and_parents_come_first(self) -> None:
        kept = {name: [each for each in self.parts[name].records if self.is_kept(each)] for name in self.listed()}
        shards = self.stream.shards()
        assert [shard.id for shard in shards] == [
            name for name in self.listed() if kept[name] or self.parts[name].closed is None
        ]
        for shard in shards:
            assert [record.number for record in shard.after(0, 10_000)] == [each.number for each in kept[shard.id]]
            assert shard.parents == self.parts[shard.id].parents
            assert shard.is_closed == (self.parts[shard.id].closed is not None)
            assert shard.last_number == max((each.number for each in self.parts[shard.id].records), default=0)

    @invariant()
    def memory_is_counted(self) -> None:
        self.stream.expire()
        kept = [each for name in self.listed() for each in self.parts[name].records if self.is_kept(each)]
        records = sum(RECORD_BYTES + len(each.data) + 4 * len(each.key) for each in kept)
        assert self.streams.memory_used == records + SHARD_BYTES * len(self.listed())

    def teardown(self) -> None:
        self.streams.delete(self.stream.name)
        assert self.streams.memory_used == 0

    # ---- the model --------------------------------------------------------------------------------------------------

    def opened(self, *parts: Part) -> None:
        for part in parts:
            self.parts[f"shardId-{len(self.parts):012}"] = part

    def open(self) -> list[tuple[str, Part]]:
        found = [(name, part) for name, part in self.parts.items() if part.closed is None]
        return sorted(found, key=lambda each: each[1].first)

    def listed(self) -> list[str]:
        self.forget()
        return [name for name, part in self.parts.items() if part.closed is None or part.closed > self.horizon]

    def is_kept(self, record: Known) -> bool:
        return record.arrived > self.horizon

    @property
    def horizon(self) -> float:
        return self.clock.now - self.hours * HOUR

    def forget(self) -> None:
        """What has expired once does not come back with a longer retention period."""
        for part in self.parts.values():
            for record in part.records:
                record.arrived = record.arrived if self.is_kept(record) else 0.0
            if part.closed is not None and part.closed <= self.horizon:
                part.closed = 0.0


TestAnySequence = Machine.TestCase
TestAnySequence.settings = settings(max_examples=examples(60), stateful_step_count=40, deadline=None)
