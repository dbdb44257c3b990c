"""Threads that work on lanes side by side."""

from __future__ import annotations

import gc
import os
import threading
import weakref
from collections.abc import Callable

import pytest

from lattice_bridge.lanes import Lanes
from lattice_bridge.runtime.process import in_background


def idents(lanes: Lanes, count: int, concurrency: int) -> set[int]:
    """The threads of a run in which `concurrency` lanes meet."""
    meet = threading.Barrier(concurrency, timeout=20)
    found: set[int] = set()

    def work(_: int) -> None:
        meet.wait()
        found.add(threading.get_ident())

    lanes.run(range(count), work, concurrency)
    return found


def test_threads_are_kept_for_the_next_run() -> None:
    lanes = Lanes()
    first = idents(lanes, 8, 4)
    assert len(first) == 4
    assert idents(lanes, 8, 4) == first
    assert idents(lanes, 2, 2) < first


def test_single_lane_starts_no_thread() -> None:
    before = threading.active_count()
    assert idents(Lanes(), 1, 1) == {threading.get_ident()}
    Lanes().run([1], lambda _: None, 16)
    Lanes().run([], lambda _: None, 16)
    assert threading.active_count() == before


def test_thread_is_called_by_the_one_before_it() -> None:
    """If the caller woke all of them, each would ask for the interpreter's lock at once."""
    started: list[Callable[[], None]] = []
    seen: list[int] = []

    def start(work: Callable[[], None]) -> None:
        started.append(work)
        if len(started) > 1:
            in_background(work)

    def work(number: int) -> None:
        if number == 0:
            seen.append(len(started))
            in_background(started[0])

    Lanes(start).run(range(4), work, 4)
    assert seen == [1]


def test_runs_at_the_same_time_do_not_wait_for_each_other() -> None:
    """A run whose helpers were busy with another would end only after that one."""
    lanes, hold = Lanes(), threading.Event()
    slow = threading.Thread(target=lambda: lanes.run(range(2), lambda _: hold.wait(20), 2))
    slow.start()
    assert len(idents(lanes, 4, 2)) == 2
    hold.set()
    slow.join()


def test_error_of_a_lane_is_raised_after_all_others_have_ended() -> None:
    done: list[int] = []

    def work(number: int) -> None:
        if number == 1:
            raise KeyError(number)
        done.append(number)

    for concurrency in (4, 2):
        with pytest.raises(KeyError):
            Lanes().run(range(8), work, concurrency)
    assert sorted(done) == sorted([0, 2, 3, 4, 5, 6, 7] * 2)


@pytest.mark.parametrize("possible", [0, 2])
@pytest.mark.parametrize("error", [RuntimeError("can't start new thread"), MemoryError()], ids=repr)
def test_work_is_done_by_the_threads_that_can_be_started(possible: int, error: Exception) -> None:
    """Trap E9: if `run` raised, the started threads would work on after the handler, beside the next delivery."""
    started: list[object] = []

    def start(work: Callable[[], None]) -> None:
        if len(started) == possible:
            raise error
        started.append(work)
        in_background(work)

    done: list[int] = []
    Lanes(start).run(range(20), done.append, 8)
    assert sorted(done) == list(range(20))
    assert len(started) == possible


def test_threads_end_with_their_lanes() -> None:
    before = set(threading.enumerate())
    lanes = Lanes()
    idents(lanes, 4, 4)
    started = set(threading.enumerate()) - before
    gone = weakref.ref(lanes)
    del lanes
    gc.collect()
    assert gone() is None
    assert len(started) == 3
    for thread in started:
        thread.join(20)
        assert not thread.is_alive()


def test_forked_child_starts_threads_of_its_own() -> None:
    """Trap D15: the parent's threads do not exist there, and would never take their tasks."""
    lanes = Lanes()
    idents(lanes, 4, 4)
    child = os.fork()
    if child == 0:
        try:
            os._exit(0 if len(idents(lanes, 4, 4)) == 4 else 1)
        finally:
            os._exit(2)
    assert os.waitpid(child, 0)[1] == 0
    assert len(idents(lanes, 4, 4)) == 4
