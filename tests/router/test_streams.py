"""Streams: one tenant a record, order within a key, and the checkpoint."""

from __future__ import annotations

import json
import threading
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lattice_bridge.config.event_source import EventSource
from lattice_bridge.config.tenant_map import TenantMap
from lattice_bridge.errors import BackendFailed, BridgeError, InvalidMap
from lattice_bridge.events.record import Claim
from lattice_bridge.router import Router
from lattice_bridge.tenancy.rules import Rules
from lattice_bridge.testing.aggregates import aggregate, sealed
from tests.support.examples import examples
from tests.support.stream_records import (
    BUS,
    BY_DATA,
    BY_IMAGE,
    BY_ITEM_KEY,
    BY_KEY,
    QUARANTINE,
    STREAM,
    TABLE,
    Functions,
    World,
    change,
    data_in,
    number_of,
    put,
)

RAISED: Final = BackendFailed("backend_raised", "errorType KeyError")


def body(**members: Any) -> bytes:
    return json.dumps(members).encode()


# ---- decisions ------------------------------------------------------------------------------------------------------


def test_each_record_of_a_stream_runs_as_its_own_tenant() -> None:
    """Trap E1."""
    world = World(STREAM, BY_KEY)
    assert world.failed(put(1, "blue"), put(2, "green"), put(3, "blue")) == []
    assert world.functions.tenants == ["blue", "blue", "green"]
    assert [len(payload["Records"]) for payload in world.functions.payloads] == [1, 1, 1]


def test_function_gets_the_record_as_kinesis_wrote_it() -> None:
    world = World(STREAM, BY_KEY)
    world(put(1))
    assert world.functions.payloads == [{"Records": [put(1)]}]


def test_claim_in_the_data_chooses_among_what_the_source_allows() -> None:
    """Trap E2: blue's stream never runs green."""
    world = World(STREAM, BY_DATA, allowed=frozenset({"blue"}), quarantine=QUARANTINE)
    assert world.failed(put(1, "x", body(tenant="blue")), put(2, "y", body(tenant="green"))) == []
    assert world.functions.tenants == ["blue"]
    assert world.reasons == [("done", "ok"), ("quarantined", "tenant_not_allowed")]


@pytest.mark.parametrize("tenant", ["a#b", "blue\n", " blue", "b" * 257, "BLUE"])
@pytest.mark.parametrize("claim", [BY_KEY, BY_DATA])
def test_claim_is_never_trimmed_or_cut_into_another_tenant(tenant: str, claim: Claim) -> None:
    """Trap E21."""
    world = World(STREAM, claim, quarantine=QUARANTINE)
    assert world.failed(put(1, tenant, body(tenant=tenant))) == []
    assert (world.functions.calls, len(world.sqs.sent)) == ([], 1)


def test_suspended_tenant_s_records_are_kept_in_the_quarantine() -> None:
    """Trap E23."""
    world = World(STREAM, BY_KEY, quarantine=QUARANTINE)
    assert world.failed(put(1, "old")) == []
    assert world.reasons == [("quarantined", "tenant_suspended")]
    assert json.loads(world.sqs.sent[0]["MessageBody"]) == put(1, "old")


def test_item_runs_as_the_tenant_of_its_key() -> None:
    world = World(TABLE, BY_ITEM_KEY)
    changes = [change(number, name) for number, name in enumerate(("INSERT", "MODIFY", "REMOVE"))]
    assert world.failed(*changes) == []
    assert world.functions.tenants == ["blue"] * 3
    assert world.functions.payloads == [{"Records": [one]} for one in changes]


BLUE: Final = {"owner": {"S": "blue"}}
GREEN: Final = {"owner": {"S": "green"}}


@pytest.mark.parametrize(
    ("images", "outcome"),
    [
        ({"name": "INSERT", "new": BLUE}, ("done", "ok")),
        ({"name": "MODIFY", "new": BLUE, "old": BLUE}, ("done", "ok")),
        ({"name": "MODIFY", "new": GREEN, "old": BLUE}, ("quarantined", "images_differ")),
        ({"name": "MODIFY", "new": BLUE, "old": {}}, ("quarantined", "images_differ")),
        ({"name": "MODIFY", "new": {}, "old": BLUE}, ("quarantined", "images_differ")),
        ({"name": "MODIFY", "new": BLUE, "old": {"owner": {"N": "1"}}}, ("quarantined", "images_differ")),
        ({"name": "REMOVE", "old": BLUE}, ("done", "ok")),
        ({"name": "REMOVE", "old": BLUE, "is_expired": True}, ("done", "ok")),
        ({"name": "REMOVE"}, ("quarantined", "claim_missing")),
        ({"name": "MODIFY", "new": {}, "old": {}}, ("quarantined", "claim_missing")),
        ({"name": "INSERT", "new": {"owner": {"SS": ["blue"]}}}, ("quarantined", "claim_unreadable")),
        ({"name": "INSERT", "new": {"owner": {"S": "blue", "N": "1"}}}, ("quarantined", "claim_unreadable")),
    ],
)
def test_images_that_name_different_tenants_name_none(images: Any, outcome: tuple[str, str]) -> None:
    """Trap E19."""
    world = World(TABLE, BY_IMAGE, quarantine=QUARANTINE)
    assert world.failed(change(1, **images)) == []
    assert world.reasons == [outcome]
    assert world.functions.tenants == (["blue"] if outcome[0] == "done" else [])


# ---- order and the checkpoint ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("concurrency", [1, 16])
def test_no_record_of_a_key_runs_after_its_first_failure(concurrency: int) -> None:
    """Trap E11: the lowest failed sequence number is the checkpoint. Other keys go on."""
    functions = Functions({number_of(2): RAISED})
    world = World(STREAM, BY_DATA, functions=functions, concurrency=concurrency)
    keys = {1: "a", 2: "a", 3: "b", 4: "a", 5: "b"}
    records = [put(number, key, body(tenant="blue", key=key)) for number, key in keys.items()]
    assert world.failed(*records) == [number_of(2)]
    ran = sorted(payload["Records"][0]["kinesis"]["sequenceNumber"] for payload in functions.payloads)
    assert ran == [number_of(number) for number in (1, 2, 3, 5)]
    assert sorted(world.reasons)[-1] == ("failed", "behind_failed")


def test_changes_of_an_item_keep_their_order_whatever_the_order_of_its_keys() -> None:
    """Trap E11."""
    one, other = {"tenant": {"S": "blue"}, "id": {"N": "1"}}, {"id": {"N": "1"}, "tenant": {"S": "blue"}}
    world = World(TABLE, BY_ITEM_KEY, functions=Functions({number_of(1): RAISED}), concurrency=16)
    assert world.failed(change(1, key=one), change(2, key=other)) == [number_of(1)]
    assert world.reasons == [("failed", "backend_raised"), ("failed", "behind_failed")]


def test_record_that_waits_is_counted_for_its_stream() -> None:
    """Alarms read the metrics of a source. Those of `none` are for sources that bridge.toml does not have."""
    world = World(STREAM, functions=Functions({number_of(1): RAISED}), allowed=frozenset({"blue"}))
    assert world.failed(put(1, "a"), put(2, "a")) == [number_of(1)]
    assert world.metric_sources == {"stream/clicks"}


def test_sequence_numbers_are_compared_as_integers() -> None:
    """Trap E11: as a text, `9` is above `10`."""
    records = [put(1, "a"), put(2, "b")]
    for record, number in zip(records, ("10", "9"), strict=True):
        record["kinesis"]["sequenceNumber"] = number
    world = World(STREAM, functions=Functions({'"a"': RAISED, '"b"': RAISED}), allowed=frozenset({"blue"}))
    assert world.failed(*records) == ["9"]


def test_poison_record_is_stored_and_blocks_neither_its_shard_nor_its_key() -> None:
    """Trap E22."""
    world = World(STREAM, BY_DATA, quarantine=QUARANTINE)
    assert world.failed(put(1, "a", b"not json"), put(2, "a", body(tenant="blue"))) == []
    assert world.reasons == [("quarantined", "claim_unreadable"), ("done", "ok")]


def test_record_whose_copy_is_not_stored_is_reported() -> None:
    """Trap E7."""
    world = World(STREAM, BY_DATA, quarantine=QUARANTINE, failure=ConnectionError())
    assert world.failed(put(1, "a", b"not json"), put(2, "a", body(tenant="blue"))) == [number_of(1)]
    assert world.reasons == [("failed", "quarantine_failed"), ("failed", "behind_failed")]


def test_copy_of_a_record_is_all_of_it_and_keeps_its_group() -> None:
    """Trap E25: the body of the copy is the record, so no operator can send it back without a new decision."""
    world = World(STREAM, BY_DATA, quarantine=f"{QUARANTINE}.fifo")
    world(put(1, "key-1", b"\xff"), put(2, "key with spaces", b"\xff"))
    one, other = world.sqs.sent
    assert json.loads(one["MessageBody"]) == put(1, "key-1", b"\xff")
    assert one["MessageGroupId"] == "key-1"
    assert len(other["MessageGroupId"]) == 64
    assert [(note["source"], note["id"]) for note in world.sqs.notes] == [
        (STREAM, number_of(1)),
        (STREAM, number_of(2)),
    ]


class Numbers(Functions):
    """Fails for some sequence numbers, and remembers the order in which the others ended."""

    def __init__(self, failing: set[str]) -> None:
        super().__init__()
        self.failing = failing
        self.done: list[str] = []
        self._lock = threading.Lock()

    def __call__(self, call: Any) -> bytes:
        number = json.loads(call.payload)["Records"][0]["kinesis"]["sequenceNumber"]
        if number in self.failing:
            raise RAISED
        with self._lock:
            self.done.append(number)
        return b"null"


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(("ok", "poison", "fails"))), min_size=1, max_size=12),
    st.sampled_from((1, 4)),
)
@settings(max_examples=examples(100), deadline=None)
def test_any_batch_has_the_checkpoint_and_the_order_of_a_naive_reading(
    batch: list[tuple[str, str]], concurrency: int
) -> None:
    """Trap E11: a key stops at its first failure; the checkpoint is the lowest one; what was stored counts as done."""
    functions = Numbers({number_of(index) for index, (_, kind) in enumerate(batch) if kind == "fails"})
    world = World(STREAM, BY_DATA, functions=functions, quarantine=QUARANTINE, concurrency=concurrency)
    contents = {"ok": body(tenant="blue"), "fails": body(tenant="blue"), "poison": b"["}
    answer = world.failed(*(put(index, key, contents[kind]) for index, (key, kind) in enumerate(batch)))
    blocked: set[str] = set()
    done: list[tuple[int, str, str]] = []
    failed: list[tuple[int, str, str]] = []
    for index, (key, kind) in enumerate(batch):
        if kind == "fails":
            blocked.add(key)
        (failed if key in blocked else done).append((index, kind, key))
    assert answer == [number_of(index) for index, *_ in failed[:1]]
    ran = [index for index, kind, _ in done if kind == "ok"]
    assert sorted(functions.done) == [number_of(index) for index in ran]
    for key in "abc":
        of_key = [number_of(index) for index, kind, own in done if own == key and kind == "ok"]
        assert [number for number in functions.done if number in of_key] == of_key


# ---- aggregates and windows -----------------------------------------------------------------------------------------

TWO_TENANTS: Final = aggregate([("a", body(tenant="blue")), ("b", body(tenant="green"))])


def test_aggregate_of_two_tenants_is_stored_and_runs_as_none() -> None:
    """Trap E18."""
    world = World(STREAM, BY_KEY, quarantine=QUARANTINE)
    assert world.failed(put(1, "blue", TWO_TENANTS)) == []
    assert (world.reasons, world.functions.calls) == ([("quarantined", "aggregated")], [])


def test_records_of_an_aggregate_are_decided_one_by_one() -> None:
    """Trap E18."""
    world = World(STREAM, BY_DATA, deaggregate=True)
    assert world.failed(put(1, "blue", TWO_TENANTS)) == []
    assert world.functions.tenants == ["blue", "green"]
    assert [data_in(payload) for payload in world.functions.payloads] == [body(tenant="blue"), body(tenant="green")]
    own = world.functions.payloads[1]["Records"][0]["kinesis"]
    assert (own["partitionKey"], own["subSequenceNumber"], own["aggregated"]) == ("b", 1, True)


def test_aggregate_is_reported_if_one_of_its_records_fails() -> None:
    """Trap E18: the stream knows only the aggregate's number. Its later records of other keys run."""
    world = World(STREAM, BY_DATA, deaggregate=True, functions=Functions({'"b"': RAISED}))
    assert world.failed(put(1, "x", TWO_TENANTS), put(2, "b", body(tenant="green"))) == [number_of(1)]
    assert world.reasons == [("done", "ok"), ("failed", "backend_raised"), ("failed", "behind_failed")]


def test_poison_record_of_an_aggregate_is_stored_without_its_neighbours() -> None:
    """Trap E22."""
    mixed = aggregate([("a", body(tenant="blue")), ("b", b"not json")])
    world = World(STREAM, BY_DATA, deaggregate=True, quarantine=QUARANTINE)
    assert world.failed(put(1, "x", mixed)) == []
    copy = json.loads(world.sqs.sent[0]["MessageBody"])
    assert data_in({"Records": [copy]}) == b"not json"
    assert world.sqs.notes[0]["id"] == f"{number_of(1)}:1"


def test_aggregate_that_cannot_be_read_is_stored() -> None:
    """Trap E6."""
    world = World(STREAM, BY_DATA, deaggregate=True, quarantine=QUARANTINE)
    assert world.failed(put(1, "x", sealed(b"\x0a\xff"))) == []
    assert world.reasons == [("quarantined", "aggregate_unreadable")]


def test_aggregate_within_an_aggregate_is_stored() -> None:
    """Trap E18: it would run as one tenant."""
    world = World(STREAM, BY_KEY, deaggregate=True, quarantine=QUARANTINE)
    assert world.failed(put(1, "x", aggregate([("blue", TWO_TENANTS)]))) == []
    assert (world.reasons, world.functions.calls) == ([("quarantined", "aggregated")], [])


@pytest.mark.parametrize(
    "more", [{"window": {"start": "a", "end": "b"}, "state": {}}, {"isFinalInvokeForWindow": True}]
)
def test_event_of_a_tumbling_window_is_refused(more: dict[str, Any]) -> None:
    """Trap E20: its answer would need the state of all tenants together."""
    world = World(STREAM, BY_KEY)
    with pytest.raises(BridgeError, match="window_unsupported"):
        world.router({"Records": [put(1)], **more}, None)
    assert world.functions.calls == []


# ---- configuration --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arn", "options"),
    [
        (STREAM, {"invocation": "async"}),
        (TABLE, {"invocation": "async"}),
        (STREAM, {"claim": Claim("message_group")}),
        (TABLE, {"claim": BY_DATA}),
        (BUS, {"claim": BY_KEY}),
    ],
)
def test_router_refuses_a_source_that_would_lose_order_or_read_another_claim(arn: str, options: Any) -> None:
    """Trap E17."""
    with pytest.raises(InvalidMap, match="Fix: write"):
        Router(
            TenantMap(Rules.build("x-tenant-id", [], [])),
            lambda _: b"",
            sources=[EventSource(arn, "worker", **options)],
        )


def test_stream_without_an_event_source_is_reported() -> None:
    """Trap E5."""
    world = World(TABLE, BY_ITEM_KEY)
    assert world.failed(put(1, "a"), put(2, "b")) == [number_of(1)]
    assert world.reasons == [("failed", "source_not_configured")] * 2
