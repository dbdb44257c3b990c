"""A short form of `make queuesoak`: the real stack, with functions that crash and routers that are killed."""

from __future__ import annotations

import pytest

from benchmarks.fault_run import Log
from benchmarks.ledger import Ledger, Message
from benchmarks.queue_soak import FAULTS, FULL, POISON, QueuePlan, QueueResult, messages_of, soak

SHORT = QueuePlan(messages=200, tenants=4, groups=10, routers=2, visibility=4, full=False, limit=90)


def test_faults_of_functions_and_routers_lose_nothing_and_mix_no_tenants() -> None:
    """Trap E1, E7, E9, E12: crashes, kills and poison, in the stack that `lattice-bridge local` starts."""
    result = soak(SHORT)
    assert {name: found for name, found in result.faults().items() if found} == {}
    assert (result.left, result.stored.total(), len(result.ledger.failed)) == (0, 10, 10)
    assert result.kills >= 2


def test_plan_has_exact_shares_of_every_fault() -> None:
    messages = messages_of(QueuePlan(messages=1000))
    assert {kind: sum(one.poison == kind for one in messages) for kind in (*POISON, FULL)} == dict.fromkeys(
        (*POISON, FULL), 10
    )
    assert sorted(sum(one.fault == kind for one in messages) for kind in FAULTS) == [16, 17, 17]
    assert not any(one.poison and one.fault for one in messages)


GOOD = Message(0, "a", "blue")
LATER = Message(1, "a", "blue")
BAD = Message(2, "b", "", "not JSON")


@pytest.fixture
def result() -> QueueResult:
    """Of a run in which everything went well."""
    result = QueueResult(Ledger([GOOD, LATER, BAD]), Log(), sent=3)
    for number in (0, 1):
        result.ledger.take(number, "blue", "process 1")
    result.stored[2] = 1
    return result


def found(result: QueueResult) -> list[str]:
    return [name for name, numbers in result.faults().items() if numbers]


def test_run_without_faults_has_none(result: QueueResult) -> None:
    assert found(result) == []


def test_message_that_is_processed_again_is_no_fault(result: QueueResult) -> None:
    """A batch whose router was killed comes again from its first message."""
    result.ledger.take(0, "blue", "process 1")
    assert found(result) == []


def test_message_that_no_function_processed_is_lost(result: QueueResult) -> None:
    del result.ledger.processed[1]
    assert found(result) == ["lost"]


def test_message_that_overtakes_its_group_is_out_of_order(result: QueueResult) -> None:
    result.ledger.done.reverse()
    assert found(result) == ["out of order in a group"]


def test_message_in_a_process_of_another_tenant_is_found(result: QueueResult) -> None:
    result.ledger.take(0, "green", "process 2")
    assert found(result) == ["under another tenant"]


def test_process_that_serves_two_tenants_is_found() -> None:
    ledger = Ledger([GOOD, Message(1, "c", "green")])
    ledger.take(0, "blue", "process 1")
    ledger.take(1, "green", "process 1")
    assert ledger.wrong == ["message 1 of green ran as green in a process of blue"]


@pytest.mark.parametrize(("count", "fault"), [(0, "that was not set aside"), (2, "set aside more than once")])
def test_poison_that_is_not_set_aside_once_is_found(result: QueueResult, count: int, fault: str) -> None:
    result.stored[2] = count
    assert found(result) == [f"poison {fault}"]


def test_good_message_that_is_set_aside_is_found(result: QueueResult) -> None:
    result.stored[0] = 1
    assert found(result) == ["set aside, and not poison"]


def test_message_makes_its_function_fail_once() -> None:
    ledger = Ledger([Message(0, "a", "blue", fault="exit")])
    assert [ledger.take(0, "blue", "process") for _ in range(2)] == ["exit", ""]
    assert (ledger.processed[0], ledger.again()) == (1, 0)
