"""Streams of tables: the shard as a mapping reads it, how long records are kept, and waiting."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from lattice_bridge.local.aws.dynamodb.stream import FIRST_NUMBER, KEPT_SECONDS, Streams
from lattice_bridge.local.aws.dynamodb.tables import Tables
from lattice_bridge.local.aws.stream import Shard, Stream
from tests.support.virtual_queues import ACCOUNT, REGION
from tests.support.virtual_tables import VirtualTables, definition
from tests.support.virtual_time import lived, now


@pytest.fixture
def made() -> VirtualTables:
    return VirtualTables()


def test_stream_is_one_as_a_mapping_reads_it(made: VirtualTables) -> None:
    stream: Stream = made.stream
    (shard,) = stream.shards()
    found: Shard = shard
    assert (found.parents, found.is_closed, found.last_number) == ((), False, 0)
    assert made.tables.stream(stream.arn) is stream


def test_records_have_numbers_that_ascend_as_integers_and_the_key_of_their_item(made: VirtualTables) -> None:
    """Trap E11: a position is an integer, also where the text of a record has it as a string."""
    for name in ("a", "b", "a"):
        made.put(name, n={"N": str(made.stream.last_number)})
    records = made.stream.after(0, 10)
    assert [one.number for one in records] == [FIRST_NUMBER, FIRST_NUMBER + 1, FIRST_NUMBER + 2]
    assert [one.content["dynamodb"]["SequenceNumber"] for one in records] == [str(one.number) for one in records]
    assert [one.key for one in records] == ['{"id":{"S":"a"}}', '{"id":{"S":"b"}}', '{"id":{"S":"a"}}']
    assert made.stream.last_number == records[-1].number
    assert [one.number for one in made.stream.after(FIRST_NUMBER, 1)] == [FIRST_NUMBER + 1]
    assert made.stream.after(made.stream.last_number, 10) == []


def test_records_are_kept_for_24_hours(made: VirtualTables) -> None:
    made.put("a")
    made.clock.forward(10)
    made.put("b")
    made.clock.forward(KEPT_SECONDS - 10)
    assert [one.number for one in made.stream.after(0, 10)] == [FIRST_NUMBER + 1]
    made.clock.forward(10)
    assert made.stream.after(0, 10) == []
    assert made.stream.last_number == FIRST_NUMBER + 1
    made.put("c")
    assert [one.number for one in made.stream.after(0, 10)] == [FIRST_NUMBER + 2]


def test_closed_stream_is_gone_after_24_hours(made: VirtualTables) -> None:
    made.put("a")
    arn = made.stream.arn
    made.call("DeleteTable")
    made.clock.forward(KEPT_SECONDS - 1)
    made.tables.refresh()
    assert made.tables.stream(arn) is not None
    made.clock.forward(1)
    made.tables.refresh()
    assert made.tables.stream(arn) is None


def test_oldest_records_go_first_if_there_is_no_space(caplog: pytest.LogCaptureFixture) -> None:
    made = VirtualTables(stream_memory=10_000)
    for number in range(20):
        made.put(str(number), s={"S": "x" * 300})
    kept = [one["dynamodb"]["Keys"]["id"]["S"] for one in made.records()]
    assert kept == [str(number) for number in range(20 - len(kept), 20)]
    assert sum(one.size for one in made.stream.after(0, 99)) <= 10_000
    assert made.tables.streams.dropped == 20 - len(kept)
    (warning,) = caplog.records
    assert warning.message.startswith("streams of tables have more than 0 MiB of records in 24 hours: the oldest")


def test_record_that_is_larger_than_all_space_is_dropped() -> None:
    made = VirtualTables(stream_memory=100)
    made.put("a")
    assert (made.records(), made.stream.last_number) == ([], FIRST_NUMBER)


# ---- waiting --------------------------------------------------------------------------------------------------------


def waited(act: Callable[[Tables], Any] | None, number: int = 0, **attributes: Any) -> float:
    """Seconds for which a reader waits, 100 at most; something happens after 5."""

    async def main() -> float:
        tables = Tables(REGION, ACCOUNT, now, streams=Streams(now))
        tables.call("CreateTable", definition())
        tables.set_expiry("orders", "ends")
        if attributes:
            tables.call("PutItem", {"TableName": "orders", "Item": {"id": {"S": "a"}, **attributes}})
        (stream,) = tables.streams
        begin = now()
        if act is not None:
            asyncio.get_running_loop().call_later(5, act, tables)
        await stream.wait(number, begin + 100)
        return round(now() - begin)

    return lived(main())


def put(tables: Tables) -> None:
    tables.call("PutItem", {"TableName": "orders", "Item": {"id": {"S": "b"}}})


def test_reader_waits_for_a_record() -> None:
    assert waited(put) == 5
    assert waited(put, FIRST_NUMBER, n={"N": "1"}) == 5
    assert waited(None, 0, n={"N": "1"}) == 0
    assert waited(None) == 100


def test_reader_waits_until_the_stream_is_closed() -> None:
    assert waited(lambda tables: tables.set_stream("orders", "")) == 5


def test_reader_waits_for_an_item_that_expires() -> None:
    """The removal is a record, though no request causes it."""

    async def main() -> None:
        assert now() == 1_790_000_000

    lived(main())
    assert waited(None, FIRST_NUMBER, ends={"N": "1790000030"}) == 30
