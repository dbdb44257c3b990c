"""One stream: its shards, its records as a mapping reads them, its memory, and what AWS refuses."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from functools import partial

import pytest

from lattice_bridge.local.aws.kinesis.errors import KinesisError
from lattice_bridge.local.aws.kinesis.reading import Start
from lattice_bridge.local.aws.kinesis.shard import RECORD_BYTES, SHARD_BYTES, HashKeys, KinesisShard
from lattice_bridge.local.aws.kinesis.stream import ON_DEMAND, KinesisStream, hash_key_of
from lattice_bridge.local.aws.kinesis.streams import Wanted
from lattice_bridge.local.aws.stream import Shard, Stream
from tests.support.virtual_streams import VirtualStreams, put

DAY = 24 * 3600


@pytest.fixture
def virtual() -> VirtualStreams:
    return VirtualStreams()


@pytest.fixture
def stream(virtual: VirtualStreams) -> KinesisStream:
    return virtual.stream()


def only(stream: KinesisStream) -> KinesisShard:
    (shard,) = stream.open_shards()
    return shard


def ranges(stream: KinesisStream) -> list[tuple[int, int]]:
    return [(shard.hash_keys.first, shard.hash_keys.last) for shard in stream.open_shards()]


def refused(call: Callable[[], object]) -> tuple[str, str]:
    with pytest.raises(KinesisError) as found:
        call()
    return found.value.name, str(found.value)


# ---- shards ---------------------------------------------------------------------------------------------------------


def test_shards_of_a_new_stream_have_the_hash_keys_of_aws(virtual: VirtualStreams) -> None:
    """Three shards, as the developer guide of Kinesis shows them."""
    assert ranges(virtual.stream(3)) == [
        (0, 113427455640312821154458202477256070484),
        (113427455640312821154458202477256070485, 226854911280625642308916404954512140969),
        (226854911280625642308916404954512140970, 340282366920938463463374607431768211455),
    ]


def test_partition_key_is_hashed_as_aws_hashes_it(virtual: VirtualStreams) -> None:
    stream = virtual.stream(4)
    assert hash_key_of("a") == 0x0CC175B9C0F1B6A831C399E269772661  # RFC 1321
    assert stream.put("a", b"").shard_id == "shardId-000000000000"
    assert stream.put("a", b"", 2**128 - 1).shard_id == "shardId-000000000003"


@pytest.mark.parametrize(("before", "after"), [(1, 2), (2, 1), (3, 2), (2, 3), (4, 4), (5, 3), (3, 6), (4, 7), (7, 4)])
def test_resized_stream_has_equal_shards_with_at_most_two_parents_each(
    virtual: VirtualStreams, before: int, after: int
) -> None:
    stream, other = virtual.stream(before), virtual.stream(after, "other")
    stream.resize(after)
    assert ranges(stream) == ranges(other)
    for shard in stream.listed():
        assert len(shard.parents) <= 2
        assert all(stream.shard(parent).is_closed for parent in shard.parents)


def test_order_of_a_partition_key_goes_through_the_children(virtual: VirtualStreams) -> None:
    stream, numbers = virtual.stream(2), []
    for count in (4, 3, 2, 1, 2):
        numbers += put(stream, *([b"x"] * 3))
        stream.resize(count)
    assert numbers == sorted(numbers, key=int)
    assert len(set(numbers)) == 15
    found: list[int] = []
    for shard in stream.shards():  # parents come first
        found += [record.number for record in shard.after(0, 100)]
    assert found == [int(number) for number in numbers]


def test_shard_that_a_split_would_leave_too_few_keys_is_refused(stream: KinesisStream) -> None:
    """Text as recorded on AWS."""
    stream.split("shardId-000000000000", 2)
    assert ranges(stream)[0] == (0, 1)
    name, text = refused(lambda: stream.split("shardId-000000000001", 1))
    assert (name, "is not both greater than one plus the shard's StartingHashKey 0 and less" in text) == (
        "InvalidArgumentException",
        True,
    )


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda stream: stream.merge("shardId-000000000000", "shardId-000000000004"), "not an adjacent pair"),
        (lambda stream: stream.merge("shardId-000000000000", "shardId-000000000000"), "not an adjacent pair"),
        (lambda stream: stream.merge("shardId-000000000000", "shardId-9"), "Could not find shard shardId-9 in stream"),
        (lambda stream: stream.split("shardId-000000000003", 0), "has already been merged or split"),
        (lambda stream: stream.update_shard_count(7), "cannot scale up over double your current open shard count"),
        (lambda stream: stream.update_shard_count(1), "cannot scale down below half your current open shard count"),
        (lambda stream: stream.increase_retention(23), "Minimum allowed retention period is 24 hours"),
        (lambda stream: stream.increase_retention(8761), "Maximum allowed retention period is 8760 hours"),
        (lambda stream: stream.decrease_retention(25), "can not be longer than existing retention period (24 hours)"),
    ],
)
def test_change_that_aws_refuses_changes_nothing(
    virtual: VirtualStreams, call: Callable[[KinesisStream], None], text: str
) -> None:
    stream = virtual.stream(4)
    stream.merge("shardId-000000000003", "shardId-000000000002")
    before = ranges(stream)
    assert text in refused(lambda: call(stream))[1]
    assert (ranges(stream), stream.retention_hours) == (before, 24)


def test_shards_of_an_on_demand_stream_are_not_changed_by_a_client(virtual: VirtualStreams) -> None:
    stream = virtual.streams.create(Wanted("any", None, ON_DEMAND))
    assert len(stream.open_shards()) == 4
    for call in (
        lambda: stream.update_shard_count(2),
        lambda: stream.split("shardId-000000000000", 9),
        lambda: stream.merge("shardId-000000000000", "shardId-000000000001"),
    ):
        assert refused(call)[1] == "Request is invalid. stream any under account 111122223333 is in On-Demand mode."


# ---- records --------------------------------------------------------------------------------------------------------


def test_mapping_reads_records_as_lambda_delivers_them(virtual: VirtualStreams, stream: KinesisStream) -> None:
    virtual.clock.forward(0.1234)
    (number,) = put(stream, b"\x00\xff", key="ü")
    as_stream: Stream = stream
    (shard,) = as_stream.shards()
    as_shard: Shard = shard
    (record,) = as_shard.after(0, 10)
    assert record.content == {
        "kinesis": {
            "kinesisSchemaVersion": "1.0",
            "partitionKey": "ü",
            "sequenceNumber": number,
            "data": "AP8=",
            "approximateArrivalTimestamp": 1_800_000_000.123,
        },
        "eventSource": "aws:kinesis",
        "eventVersion": "1.0",
        "eventID": f"shardId-000000000000:{number}",
        "eventName": "aws:kinesis:record",
        "invokeIdentityArn": "arn:aws:iam::111122223333:role/local-execution-role",
        "awsRegion": "eu-west-1",
        "eventSourceARN": "arn:aws:kinesis:eu-west-1:111122223333:stream/clicks",
    }
    assert (record.number, record.key, record.arrived) == (int(number), "ü", 1_800_000_000.123)
    assert record.size == len(json.dumps(record.content, separators=(",", ":")))
    assert as_shard.after(record.number, 10) == []


def test_record_does_not_arrive_before_the_one_before_it(virtual: VirtualStreams, stream: KinesisStream) -> None:
    """The clock of a machine may be set back."""
    put(stream, b"1")
    virtual.clock.forward(-60)
    put(stream, b"2")
    first, second = only(stream).after(0, 2)
    assert first.arrived == second.arrived
    assert first.number < second.number


def test_record_expires_after_the_retention_period(virtual: VirtualStreams, stream: KinesisStream) -> None:
    put(stream, b"1")
    virtual.clock.forward(DAY - 1)
    put(stream, b"2")
    assert len(only(stream).after(0, 9)) == 2
    virtual.clock.forward(1)
    assert [record.content["kinesis"]["data"] for record in only(stream).after(0, 9)] == ["Mg=="]
    stream.increase_retention(48)
    virtual.clock.forward(DAY)
    assert len(only(stream).after(0, 9)) == 1


def test_record_that_has_expired_unread_does_not_come_back_with_a_longer_retention_period(
    virtual: VirtualStreams, stream: KinesisStream
) -> None:
    put(stream, b"1")
    virtual.clock.forward(DAY)
    stream.increase_retention(48)
    assert only(stream).after(0, 9) == []


def test_number_is_a_position_at_or_behind_its_record(virtual: VirtualStreams, stream: KinesisStream) -> None:
    _, second, _ = put(stream, b"1", b"2", b"3")
    assert virtual.read(stream, only(stream), "AT_SEQUENCE_NUMBER", second) == [b"2", b"3"]
    assert virtual.read(stream, only(stream), "AFTER_SEQUENCE_NUMBER", second) == [b"3"]


def test_many_expired_records_leave_no_memory(virtual: VirtualStreams, stream: KinesisStream) -> None:
    for _ in range(3):
        put(stream, *([b"x" * 100] * 1500))
        virtual.clock.forward(DAY / 2)
    assert len(only(stream).after(0, 10_000)) == 1500
    assert virtual.streams.memory_used == SHARD_BYTES + 1500 * (RECORD_BYTES + 104)


# ---- waiting --------------------------------------------------------------------------------------------------------


def waited(stream: KinesisStream, number: int, then: Callable[[], object]) -> bool:
    """Whether a wait for a record goes on, and then ends through something that happens."""
    shard = stream.listed()[0]

    async def wait() -> bool:
        waiting = asyncio.ensure_future(shard.wait(number, 1_800_000_000.0 + DAY * 365))
        for _ in range(3):
            await asyncio.sleep(0)
        went_on = not waiting.done()
        then()
        await asyncio.wait_for(waiting, 20)
        return went_on

    return asyncio.run(wait())


def test_wait_ends_with_a_record(stream: KinesisStream) -> None:
    assert waited(stream, 0, lambda: put(stream, b"1"))
    assert not waited(stream, 0, lambda: None)
    assert waited(stream, only(stream).last_number, lambda: put(stream, b"2"))


def test_wait_ends_when_the_shard_is_closed(stream: KinesisStream) -> None:
    assert waited(stream, 0, lambda: stream.resize(2))
    assert not waited(stream, 0, lambda: None)


def test_wait_ends_when_the_stream_is_deleted(virtual: VirtualStreams, stream: KinesisStream) -> None:
    assert waited(stream, 0, lambda: virtual.streams.delete("clicks"))


def test_wait_goes_on_if_the_record_has_expired_unread(virtual: VirtualStreams, stream: KinesisStream) -> None:
    """Otherwise a mapping would ask in a loop."""
    put(stream, b"1")
    virtual.clock.forward(DAY)
    assert waited(stream, 0, lambda: put(stream, b"2"))


def test_wait_ends_in_time(virtual: VirtualStreams, stream: KinesisStream) -> None:
    asyncio.run(only(stream).wait(0, virtual.clock.now))


# ---- memory ---------------------------------------------------------------------------------------------------------


def test_full_memory_refuses_records_until_some_expire() -> None:
    virtual = VirtualStreams(memory=2 * SHARD_BYTES + RECORD_BYTES + 2 * 1000)
    stream, other = virtual.stream(), virtual.stream(1, "other")
    put(stream, b"x" * 1000)
    name, text = refused(lambda: put(other, b"x" * 1000))
    assert (name, "Fix: delete streams" in text) == ("ProvisionedThroughputExceededException", True)
    virtual.clock.forward(DAY)
    put(other, b"x" * 1000)


def test_full_memory_refuses_a_split_and_the_stream_stays_as_it_is() -> None:
    virtual = VirtualStreams(memory=2 * SHARD_BYTES)
    stream = virtual.stream()
    before = ranges(stream)
    assert refused(lambda: stream.resize(2))[0] == "LimitExceededException"
    assert (ranges(stream), virtual.streams.memory_used) == (before, SHARD_BYTES)
    assert refused(lambda: virtual.stream(2, "other"))[0] == "LimitExceededException"
    assert [each.name for each in virtual.streams] == ["clicks"]
    put(stream, b"1")


def test_shard_that_was_closed_before_the_trim_horizon_is_gone(virtual: VirtualStreams, stream: KinesisStream) -> None:
    put(stream, b"1")
    stream.resize(2)
    virtual.clock.forward(DAY)
    assert [shard.id for shard in stream.listed()] == ["shardId-000000000001", "shardId-000000000002"]
    assert virtual.streams.memory_used == 2 * SHARD_BYTES
    assert stream.listed()[0].hash_keys == HashKeys(0, 2**127 - 1)


# ---- tokens ---------------------------------------------------------------------------------------------------------


def test_iterator_of_a_deleted_stream_reads_no_later_one_with_its_name(virtual: VirtualStreams) -> None:
    stream = virtual.stream()
    iterator = virtual.streams.iterator(stream, only(stream), Start("TRIM_HORIZON"))
    virtual.streams.delete("clicks")
    put(virtual.stream(), b"1")
    assert refused(lambda: virtual.streams.read(iterator, 1))[0] == "ResourceNotFoundException"


def test_iterator_that_was_changed_is_invalid(virtual: VirtualStreams, stream: KinesisStream) -> None:
    iterator = virtual.streams.iterator(stream, only(stream), Start("LATEST"))
    token = virtual.streams.page_token(stream, "", {})
    for wrong in (iterator[:-4] + "AAAA", "A" * 100, "", "*", "ü", iterator[4:], token):
        assert refused(partial(virtual.streams.read, wrong, 1))[1] == "Invalid ShardIterator."
    assert len(iterator) <= 512


def test_expired_iterator_names_both_times(virtual: VirtualStreams, stream: KinesisStream) -> None:
    """Text as on AWS."""
    iterator = virtual.streams.iterator(stream, only(stream), Start("LATEST"))
    virtual.clock.forward(301)
    name, text = refused(lambda: virtual.streams.read(iterator, 1))
    assert name == "ExpiredIteratorException"
    assert text == (
        "Iterator expired. The iterator was created at time Fri Jan 15 08:00:00 UTC 2027 while right now it is Fri Jan "
        "15 08:05:01 UTC 2027 which is further in the future than the tolerated delay of 300000 milliseconds."
    )


def test_latest_of_a_shard_whose_last_record_has_expired_reads_what_comes(virtual: VirtualStreams) -> None:
    stream = virtual.stream()
    put(stream, b"1")
    virtual.clock.forward(DAY)
    iterator = virtual.streams.iterator(stream, only(stream), Start("LATEST"))
    put(stream, b"2")
    assert [record.data for record in virtual.streams.read(iterator, 9)[2].records] == [b"2"]
    assert virtual.read(stream, only(stream), "LATEST") == []


def test_time_to_come_and_number_of_another_shard_are_refused(virtual: VirtualStreams) -> None:
    stream = virtual.stream(2)
    (number,) = put(stream, b"1", hash_key=0)
    first, second = stream.open_shards()
    later = Start("AT_TIMESTAMP", moment=virtual.clock.now + 1)
    assert (
        "cannot be greater than the currentTimestampInMillis"
        in refused(lambda: virtual.streams.iterator(stream, first, later))[1]
    )
    for wrong in (number, "0", str(10**128)):
        start = Start("AT_SEQUENCE_NUMBER", wrong)
        begin = partial(virtual.streams.iterator, stream, second, start)
        assert "did not come from this stream" in refused(begin)[1]
    assert virtual.read(stream, first, "AT_SEQUENCE_NUMBER", number=str(first.first_sequence_number)) == [b"1"]


def test_read_has_ten_mebibytes_at_most_but_one_record_always(virtual: VirtualStreams, stream: KinesisStream) -> None:
    put(stream, *([b"x" * 4 * 1024 * 1024] * 3))
    iterator = virtual.streams.iterator(stream, only(stream), Start("TRIM_HORIZON"))
    virtual.clock.forward(7)
    _, _, page, following = virtual.streams.read(iterator, 10_000)
    assert (len(page.records), page.behind) == (2, 7000)
    assert following is not None
    assert (len(virtual.streams.read(following, 1)[2].records), virtual.streams.read(following, 1)[2].behind) == (1, 0)
