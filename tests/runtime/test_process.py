"""Ages that stay right when a clock stops or is set back; background threads."""

from __future__ import annotations

import threading

from lattice_bridge.runtime.process import Elapsed, in_background, is_past


class Clocks:
    wall = 1_000_000.0
    steady = 50.0

    def elapsed(self) -> Elapsed:
        return Elapsed(lambda: self.wall, lambda: self.steady)

    def pass_(self, wall: float, steady: float) -> None:
        self.wall += wall
        self.steady += steady


def test_elapsed_follows_both_clocks() -> None:
    clocks = Clocks()
    elapsed = clocks.elapsed()
    clocks.pass_(5, 5)
    assert elapsed() == 5


def test_elapsed_counts_frozen_time_by_the_wall_clock() -> None:
    """Traps D6, C12: its own clock stood still."""
    clocks = Clocks()
    elapsed = clocks.elapsed()
    clocks.pass_(3600, 0.1)
    assert elapsed() == 3600


def test_clock_set_back_makes_nothing_younger() -> None:
    """Trap D6: no caller reads the clock in the hour in which it is wrong."""
    clocks = Clocks()
    elapsed = clocks.elapsed()
    clocks.pass_(-3600, 1)
    clocks.pass_(3659, 3659)
    assert elapsed() == 3660


def test_ages_never_go_back() -> None:
    clocks = Clocks()
    elapsed = clocks.elapsed()
    seen = []
    for wall, steady in ((5, 5), (-100, 0), (0, 0), (100, 0), (-1, 2)):
        clocks.pass_(wall, steady)
        seen.append(elapsed())
    assert seen == [5, 5, 5, 105, 107]


def test_32_threads_count_a_second_once() -> None:
    clocks = Clocks()
    elapsed = clocks.elapsed()
    clocks.pass_(1, 1)
    threads = [threading.Thread(target=elapsed) for _ in range(32)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert elapsed() == 1


def test_unknown_age_is_past() -> None:
    assert is_past(None, 5, 10)
    assert not is_past(0, 5, 10)
    assert is_past(0, 10, 10)
    assert is_past(7, 5, 10)


def test_background_work_does_not_keep_the_process_alive() -> None:
    done = threading.Event()
    daemons: list[bool] = []

    def work() -> None:
        daemons.append(threading.current_thread().daemon)
        done.set()

    in_background(work)
    assert done.wait(5)
    assert daemons == [True]
