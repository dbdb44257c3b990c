"""A short form of `make streamsoak`: the real stack, with functions that fail and routers that are killed."""

from __future__ import annotations

import base64

import pytest

from benchmarks.ledger import messages_of
from benchmarks.stream_soak import FAULTS, POISON, StreamLog, StreamPlan, number_of, record, soak
from lattice_bridge.events.aggregate import is_aggregate, parts_of

SHORT = StreamPlan(messages=200, tenants=4, groups=2, poison=0.05, faults=0.03, kills=0.01, shards=2, limit=60)


def test_faults_of_functions_and_routers_lose_nothing_and_block_no_shard() -> None:
    """Trap E11, E22, E30: poison of each kind is set aside, and no shard waits for it."""
    result = soak(SHORT)
    assert {name: found for name, found in result.faults().items() if found} == {}
    assert (result.sent, result.left, len(result.stored), len(result.ledger.failed)) == (200, 0, 10, 6)
    assert result.kills >= 1


def test_every_kind_of_poison_and_of_fault_is_in_the_plan() -> None:
    messages = messages_of(StreamPlan(messages=5000), POISON, FAULTS)
    assert [sum(one.poison == kind for one in messages) for kind in POISON] == [10] * 5
    assert {kind: sum(one.fault == kind for one in messages) for kind in ("raise", "report", "exit", "timeout")} == {
        "raise": 40,
        "report": 40,
        "exit": 10,
        "timeout": 10,
    }


def test_poison_contains_its_number_and_its_aggregate_is_one() -> None:
    """A copy in the quarantine is found by it, also if its data is not JSON."""
    for message in messages_of(StreamPlan(messages=500), POISON, FAULTS):
        data = record(message)["Data"]
        assert number_of(base64.b64encode(data).decode()) == message.number
        assert is_aggregate(data) == (message.poison == "an aggregate")
        if is_aggregate(data):
            assert [part.partition_key for part in parts_of(data)] == [message.group]


def batch(records: list[str], failed: list[str], **more: str) -> dict[str, object]:
    return {"records": records, "failed": failed, **more}


def test_checkpoint_passes_the_records_before_the_first_failure() -> None:
    log = StreamLog()
    log.take(batch(["1", "2", "3"], ["3"]))
    log.take(batch(["3"], []))
    assert (log.passed, log.most_failures, found(log)) == (3, 0, [])


def found(log: StreamLog) -> list[str]:
    return [name for name, values in log.faults().items() if values]


def test_first_record_that_fails_again_and_again_blocks_its_shard() -> None:
    log = StreamLog()
    for _ in range(3):
        log.take(batch(["1", "2"], ["1", "2"]))
    assert (log.most_failures, found(log)) == (3, ["shards that are still blocked"])
    log.take(batch(["1", "2"], ["2"]))
    assert found(log) == []


@pytest.mark.parametrize("condition", ["RetryAttemptsExhausted", "RecordAgeExceeded"])
def test_records_that_are_discarded_are_found(condition: str) -> None:
    log = StreamLog()
    log.take(batch(["1"], ["1"], discarded=condition))
    assert log.faults()["records of a shard discarded after all retries"] == [f"1: {condition}"]
