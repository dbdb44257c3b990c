"""Streams and buses whose producers are hostile or unlucky: nothing is lost, and one record blocks no shard."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest

from lattice_bridge.config.event_source import EventSource
from lattice_bridge.config.tenant_map import TenantMap
from lattice_bridge.errors import BackendFailed, BridgeError, Fault, InvalidMap, TimedOut, Unavailable
from lattice_bridge.events.aggregate import MOST_PARTS
from lattice_bridge.events.batch import batch_of
from lattice_bridge.invoke.call import CredentialsExpired, DidNotRun
from lattice_bridge.local.aws.sqs.message import Outgoing, check
from lattice_bridge.router import NOT_CONFIGURED, Router, refuse_records
from lattice_bridge.tenancy.rules import Rules
from lattice_bridge.testing.aggregates import field, integer, sealed
from tests.support.stream_records import (
    BUS,
    BY_DATA,
    BY_DETAIL,
    BY_IMAGE,
    QUARANTINE,
    STREAM,
    TABLE,
    Functions,
    World,
    change,
    number_of,
    published,
    put,
)

OTHER_STREAM: Final = f"{STREAM}-2"
RAISED: Final = BackendFailed("backend_raised", "errorType KeyError")
IN_ORDER: Final = f"{QUARANTINE}.fifo"


# ---- the copy in the quarantine -------------------------------------------------------------------------------------


@pytest.mark.parametrize("character", ["\uffff", "\ufffe", "\ud800", "\x00", "\x7f", "\U0001f600"])
def test_copy_has_only_characters_that_sqs_takes(character: str) -> None:
    """Trap E22: a producer chooses the key, and SQS refuses U+FFFF: with it, the shard was blocked by one record."""
    item = {"id": {"S": f"a{character}"}}
    for world, event in (
        (World(STREAM, BY_DATA, quarantine=QUARANTINE), {"Records": [put(1, f"a{character}", b"[")]}),
        (World(TABLE, BY_IMAGE, quarantine=QUARANTINE), {"Records": [change(1, key=item, new=item)]}),
        (World(BUS, BY_DETAIL, quarantine=QUARANTINE), published({"tenant": f"a{character}"})),
    ):
        world.router(event, None)
        [sent] = world.sqs.sent
        outgoing = Outgoing(sent["MessageBody"], group=sent.get("MessageGroupId"))
        assert check(outgoing, is_fifo=False, limit=1024 * 1024) > 0
        assert json.loads(sent["MessageBody"]) == event.get("Records", [event])[0]


def with_number(number: str, arn: str = STREAM, shard: str = "shardId-000000000000", key: str = "a") -> dict[str, Any]:
    record = put(1, key, b"not json", arn)
    record["kinesis"]["sequenceNumber"] = number
    return {**record, "eventID": f"{shard}:{number}"}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param(with_number("7"), with_number("7", OTHER_STREAM), id="streams"),
        pytest.param(with_number("7"), with_number("7", shard="shardId-000000000001"), id="shards"),
        pytest.param(with_number("7"), with_number("7", key="b"), id="keys"),
        pytest.param(with_number("7"), with_number("07"), id="spellings"),
    ],
)
def test_copies_of_two_records_with_one_number_are_both_stored_by_a_fifo_quarantine(
    one: dict[str, Any], other: dict[str, Any]
) -> None:
    """Trap E7: SQS answers as if it stored a copy whose deduplication id it knows, and drops it."""
    ids = []
    for record in (one, other, one):
        world = World(record["eventSourceARN"], BY_DATA, quarantine=IN_ORDER)
        assert world.failed(record) == []
        ids.append(world.sqs.sent[0]["MessageDeduplicationId"])
    assert ids[0] == ids[2] != ids[1]
    assert all(len(found) <= 128 for found in ids)


# ---- faults that many events share ----------------------------------------------------------------------------------


def test_fault_that_is_raised_keeps_no_event_in_memory() -> None:
    """Trap E22: of the events that were refused for one reason, an environment kept all, of up to 6 MB each."""
    closed, world = Unavailable("config_unreachable", "the table is gone", retry_after=30), World(STREAM, BY_DATA)
    frames: list[list[int]] = []
    for _ in range(2):
        with pytest.raises(Unavailable) as refused:
            refuse_records(published(), None, closed, lambda _: None)
        with pytest.raises(BridgeError, match="source_not_configured: no ") as not_configured:
            world.router(published(), None)
        with pytest.raises(BridgeError, match="source_not_configured: an ") as from_pipe:
            world.router([put(1)], None)
        frames.append([len(one.traceback) for one in (refused, not_configured, from_pipe)])
    assert (str(refused.value), refused.value.retry_after) == (str(closed), 30)
    assert frames[0] == frames[1]
    assert (closed.__traceback__, NOT_CONFIGURED.__traceback__) == (None, None)


@pytest.mark.parametrize(
    "fault",
    [
        DidNotRun("throttled", "Lambda answered 429", asked=7),
        InvalidMap([Fault("a", ("tenants",)), "b"]),
        CredentialsExpired("access_denied"),
        TimedOut("backend_timeout", "no answer"),
    ],
)
def test_raised_fault_is_the_one_that_ended_the_event(fault: BridgeError) -> None:
    """Trap E16: its class decides what a caller of `Router` does with it."""
    with pytest.raises(type(fault)) as raised:
        World(BUS, BY_DETAIL, functions=Functions({"blue": fault})).router(published(), None)
    assert raised.value is not fault
    assert (str(raised.value), vars(raised.value)) == (str(fault), vars(fault))


# ---- aggregates -----------------------------------------------------------------------------------------------------


def full(count: int, key: str = "a") -> bytes:
    """An aggregate of so many records of six bytes."""
    return sealed(field(1, key.encode()) + field(3, integer(1, 0) + field(3, b"")) * count)


def test_batch_of_full_aggregates_is_processed_piece_by_piece() -> None:
    """Trap E22: 100 records of 60 KB are a million. A router without memory or time for them gets them again and
    again."""
    full_one = full(MOST_PARTS - 1)
    records = [put(0, "x"), put(1, data=full_one), put(2, "a"), put(3, "b"), put(4, data=full(1))]
    batch = batch_of({"Records": records}).deaggregated({STREAM})
    assert len(batch.records) == MOST_PARTS
    assert [record.id for record in batch.rest] == [number_of(index) for index in (2, 3, 4)]
    assert batch.to_report([number_of(4), number_of(2)]) == [number_of(2)]
    world = World(STREAM, allowed=frozenset({"blue"}), deaggregate=True, functions=Functions({number_of(1): RAISED}))
    assert world.failed(*records) == [number_of(1)]
    assert len(world.functions.calls) == 2  # the first record, and the first one of the aggregate
    assert world.reasons[MOST_PARTS:] == [("failed", "no_time_left")] * 3
    assert world.metric_sources == {"stream/clicks"}


# ---- buses ----------------------------------------------------------------------------------------------------------


def test_router_refuses_a_second_bus() -> None:
    """Trap E5: the events of one tenant's bus would run by the rules for the other one's."""
    sources = [EventSource(arn, "worker") for arn in (BUS, f"{BUS}-2")]
    with pytest.raises(InvalidMap, match="two event buses"):
        Router(TenantMap(Rules.build("x-tenant-id", [], [])), lambda _: b"", sources=sources)
