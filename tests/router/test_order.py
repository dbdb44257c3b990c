"""Message groups: what runs one after the other, what runs side by side, and what a failure stops."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from typing import Final, Literal

import pytest

from lattice_bridge.aws import MAX_CONNECTIONS
from lattice_bridge.config.event_source import EventSource
from lattice_bridge.config.tables.event_source import EventSourceTable
from lattice_bridge.errors import BackendFailed, InvalidMap, TimedOut
from lattice_bridge.http.client import MAX_KEPT
from lattice_bridge.invoke.call import Call, DidNotRun
from lattice_bridge.lanes import Lanes
from lattice_bridge.router import Router
from lattice_bridge.runtime.process import in_background
from tests.support.records import (
    ARN,
    BY_ATTRIBUTE,
    FIFO,
    STORED_IN_ORDER,
    Answer,
    Context,
    Functions,
    World,
    event,
    failed,
    id_of,
    number_of,
    record,
    settings,
    source,
    with_sources,
)

RAISED = BackendFailed("backend_raised", "errorType KeyError")


def in_order(*lines: str) -> str:
    return source(BY_ATTRIBUTE, *lines, arn=FIFO)


def of(number: int, group: str, tenant: str = "blue") -> dict[str, object]:
    return record(number, tenant, arn=FIFO, group=group)


def test_record_that_succeeded_is_not_reported_with_its_neighbour_that_failed() -> None:
    """Trap E8: message 1 is deleted, so it does not run again."""
    world = World(functions=Functions({2: RAISED}))
    assert world(record(1, "blue"), record(2, "blue"), record(3, "green")) == [2]
    assert sorted(world.functions.ran) == [(1, "blue"), (2, "blue"), (3, "green")]


@pytest.mark.parametrize("concurrency", [1, 16])
def test_record_behind_a_failed_one_of_its_group_is_reported_and_not_invoked(concurrency: int) -> None:
    """Trap E9: other groups go on."""
    world = World(in_order(f"concurrency = {concurrency}"), functions=Functions({2: RAISED}))
    assert world(of(1, "a"), of(2, "a"), of(3, "b"), of(4, "a"), of(5, "b"), of(6, "a")) == [2, 4, 6]
    assert sorted(world.functions.ran) == [(1, "blue"), (2, "blue"), (3, "blue"), (5, "blue")]
    assert [world.reasons[number] for number in (2, 4, 6)] == [
        ("failed", "backend_raised"),
        ("failed", "behind_failed"),
        ("failed", "behind_failed"),
    ]


def test_record_with_a_permanent_fault_behind_a_failed_one_is_not_quarantined() -> None:
    """Trap E9: its turn comes when the one before it has been processed."""
    world = World(in_order(STORED_IN_ORDER), functions=Functions({1: RAISED}))
    assert world(of(1, "a"), of(2, "a", "red")) == [1, 2]
    assert world.sqs.sent == []


def test_record_in_the_quarantine_does_not_stop_its_group() -> None:
    """Trap E22: a poison record blocks no group for ever."""
    world = World(in_order(STORED_IN_ORDER))
    assert world(of(1, "a", "red"), of(2, "a"), of(3, "a")) == []
    assert world.functions.ran == [(2, "blue"), (3, "blue")]
    assert [sent["MessageGroupId"] for sent in world.sqs.sent] == ["a"]


def test_poison_record_of_a_standard_queue_does_not_touch_its_neighbours() -> None:
    """Trap E22: they are not taken to the dead-letter queue with it."""
    world = World()
    assert world(*(record(number, "red" if number == 4 else "blue") for number in range(1, 11))) == [4]


def test_record_that_cannot_be_read_keeps_its_place_in_its_group() -> None:
    """Trap E9: what is behind it does not overtake it."""
    world = World(in_order())
    broken = {**of(1, "a"), "body": None}
    assert world(broken, of(2, "a"), of(3, "b")) == [1, 2]
    assert world.functions.ran == [(3, "blue")]


def test_group_of_a_standard_queue_keeps_no_order() -> None:
    """Trap E10: the ARN decides, since messages of a standard queue can have a group too."""
    world = World(functions=Functions({1: RAISED}))
    sent = [record(number, "blue", group="a") for number in (1, 2)]
    assert world(*sent) == [1]
    assert sorted(world.functions.ran) == [(1, "blue"), (2, "blue")]


def test_groups_of_two_queues_with_one_name_are_two_lanes() -> None:
    other = FIFO.replace("orders", "others")
    world = World(in_order(), source(BY_ATTRIBUTE, arn=other), functions=Functions({1: RAISED}))
    assert world(of(1, "a"), record(2, "blue", arn=other, group="a")) == [1]


def test_asynchronous_fifo_queue_does_not_start() -> None:
    """Trap E17: a 202 says that an event was accepted, not that it was processed."""
    tenant_map = settings(with_sources(source(BY_ATTRIBUTE))).tenant_map
    with pytest.raises(InvalidMap, match="keeps no order"):
        Router(tenant_map, Functions(), sources=[EventSource(FIFO, "orders", invocation="async")])


def test_fifo_record_is_invoked_synchronously() -> None:
    """Trap E17."""
    world = World(in_order())
    world(of(1, "a"))
    assert world.functions.calls[0].invocation == "sync"


# ---- whatever fails --------------------------------------------------------------------------------------------------


class Storm:
    """A batch of a FIFO queue in which records fail in every way, with as many threads as a number says."""

    def __init__(self, seed: int) -> None:
        pick = random.Random(seed)
        numbers = range(1, pick.randint(2, 40))
        self.groups = {number: f"g{pick.randint(1, 6)}" for number in numbers}
        self.outcomes = {number: pick.choice(OUTCOMES) for number in numbers}
        self.left = pick.choice((30.0, 30.0, 0.76, 0.7))
        self._threads = pick.choice((0, 1, 3, 99))
        lines = (STORED_IN_ORDER, f"concurrency = {pick.choice((1, 2, 16))}")
        functions = Functions({n: one for n, one in self.outcomes.items() if not isinstance(one, str)})
        self.world = World(in_order(*lines), functions=functions, lanes=Lanes(self._start))
        self.world.sqs.refuses = {id_of(number) for number, one in self.outcomes.items() if one == "not stored"}

    def _start(self, work: Callable[[], None]) -> None:
        if self._threads == 0:
            raise RuntimeError("can't start new thread")
        self._threads -= 1
        in_background(work)

    def run(self) -> tuple[set[int], list[int], set[int]]:
        """The numbers of the records that were reported, invoked in this order, and stored."""
        sent = (
            of(n, group, "red" if isinstance(self.outcomes[n], str) else "blue") for n, group in self.groups.items()
        )
        reported = self.world(*sent, context=Context(self.left))
        stored = {note["id"] for note in self.world.sqs.notes} - self.world.sqs.refuses
        return set(reported), [n for n, _ in self.world.functions.ran], {n for n in self.groups if id_of(n) in stored}


OUTCOMES: Final[tuple[Answer | Literal["stored", "not stored"], ...]] = (
    *(b"null",) * 6,
    *(RAISED, TimedOut("backend_timeout"), DidNotRun("throttled", ""), MemoryError(), b"[1]"),
    *("stored", "not stored"),
)


def test_no_record_of_a_group_runs_behind_a_reported_one_and_none_is_lost_whatever_fails() -> None:
    """Trap E9, trap E6: also if threads cannot be started, or the time ends."""
    for seed in range(150):
        storm = Storm(seed)
        reported, ran, stored = storm.run()
        assert len(ran) == len(set(ran)), seed
        for group in set(storm.groups.values()):
            members = [number for number, one in storm.groups.items() if one == group]
            in_group = [number for number in ran if number in members]
            first = next((number for number in members if number in reported), len(storm.groups) + 1)
            assert in_group == sorted(in_group), seed
            assert reported.issuperset(number for number in members if number >= first), seed
            assert not [number for number in in_group if number > first], seed
            assert not [number for number in stored if number in members and number >= first], seed
            for number in set(members) - reported:
                assert number in (ran if storm.outcomes[number] == b"null" else stored), seed


# ---- side by side ---------------------------------------------------------------------------------------------------


def test_records_run_side_by_side_up_to_the_concurrency() -> None:
    """Each call waits until four are there: with fewer at the same time, the barrier breaks."""
    together = threading.Barrier(4, timeout=20)

    def meet(_: Call) -> bytes:
        together.wait()
        return b"null"

    world = World(source(BY_ATTRIBUTE, "concurrency = 4"), functions=Functions(default=meet))
    assert world(*(record(number, "blue") for number in range(1, 13))) == []
    assert len(world.functions.calls) == 12


def test_no_more_records_run_at_a_time_than_the_concurrency() -> None:
    """Three wait for each other in each turn. A fourth one would be counted meanwhile."""
    running, most, lock, together = [0], [0], threading.Lock(), threading.Barrier(3, timeout=20)

    def count(_: Call) -> bytes:
        with lock:
            running[0] += 1
            most[0] = max(most[0], running[0])
        together.wait()
        with lock:
            running[0] -= 1
        return b"null"

    world = World(source(BY_ATTRIBUTE, "concurrency = 3"), functions=Functions(default=count))
    world(*(record(number, "blue") for number in range(1, 31)))
    assert most[0] == 3


def test_groups_run_side_by_side_and_each_in_its_order() -> None:
    meet = threading.Barrier(3, timeout=20)
    ran: list[int] = []

    def together(call: Call) -> bytes:
        meet.wait()  # one record of each group
        ran.append(number_of(call))
        return b"null"

    world = World(in_order(), functions=Functions(default=together))
    groups = ["a", "b", "c"] * 4
    assert world(*(of(number, group) for number, group in enumerate(groups))) == []
    for position in range(3):
        assert [number for number in ran if number % 3 == position] == sorted(range(position, 12, 3))


def test_connections_are_kept_for_as_many_records_as_may_run_at_a_time() -> None:
    """Otherwise each record above that would pay for a handshake."""
    [most] = [rule.le for rule in EventSourceTable.model_fields["concurrency"].metadata if hasattr(rule, "le")]
    assert most == MAX_KEPT == MAX_CONNECTIONS


def test_concurrency_of_one_needs_no_thread() -> None:
    seen: set[int] = set()

    def where(_: Call) -> bytes:
        seen.add(threading.get_ident())
        return b"null"

    world = World(source(BY_ATTRIBUTE, "concurrency = 1"), functions=Functions(default=where))
    world(*(record(number, "blue") for number in range(1, 6)))
    assert seen == {threading.get_ident()}


def test_failures_are_reported_once_and_in_the_order_of_the_event() -> None:
    """A queue may deliver a message twice in one batch."""
    world = World(functions=Functions({1: RAISED, 9: RAISED}))
    sent = [record(9, "blue"), record(1, "blue"), record(5, "blue"), record(9, "blue")]
    assert failed(world.router(event(*sent), Context())) == [9, 1]
    assert sent[0]["eventSourceARN"] == ARN
