"""Resets in a forked child: connections, locks, and the work of threads that exist only in the parent."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest

from lattice_bridge.config.reload import ActiveConfiguration, Handler, ReloadingHandler
from lattice_bridge.config.stores import StoredText
from lattice_bridge.errors import Unavailable
from lattice_bridge.identity.key_set import KeySet
from lattice_bridge.invoke.credentials import BotocoreCredentials
from lattice_bridge.runtime.cache import StaleIfErrorCache
from lattice_bridge.runtime.process import Elapsed, _resets, after_fork
from tests.support.token_builder import key_set


def child(work: Callable[[], bool]) -> bool:
    """Runs `work` in a forked child, and returns its result. A child that hangs is ended."""
    pid = os.fork()
    if pid == 0:
        threading.Timer(5, os._exit, (2,)).start()
        os._exit(0 if work() else 1)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def handler(text: str) -> Handler:
    return lambda _event, _context: {"map": text}


class Numbers:
    """A store whose text is the number of reads."""

    count = 0

    def read(self, known: str | None) -> StoredText | None:
        self.count += 1
        return StoredText(str(self.count), str(self.count))


def never(_work: Callable[[], None]) -> None:
    """Stands for a thread of the parent that has not ended."""


def now(work: Callable[[], None]) -> None:
    work()


def test_reload_of_the_parent_starts_again_in_the_child() -> None:
    later: list[float] = [0.0]
    following = ReloadingHandler(
        Numbers(),
        lambda text, _: ActiveConfiguration(handler(text), text, 1.0),
        lambda _: handler("closed"),
        lambda _: None,
        clock=lambda: later[0],
        start=never,
    )
    later[0] = 2.0
    assert following({}, None) == {"map": "1"}  # and a look is under way, which does not end

    def in_the_child() -> bool:
        later[0] = 10.0  # long overdue: it looks before it serves
        return following({}, None) == {"map": "2"}

    assert child(in_the_child)


def test_key_fetch_of_the_parent_starts_again_in_the_child() -> None:
    starts: list[Callable[[Callable[[], None]], None]] = [never]
    keys = KeySet(lambda: key_set(), clock=lambda: 1.0, wait=0.01, start=lambda work: starts[0](work))
    with pytest.raises(Unavailable):
        keys.key("k1")

    def in_the_child() -> bool:
        starts[0] = now
        return keys.key("unknown") is None

    assert child(in_the_child)


@pytest.mark.parametrize(
    ("made", "use"),
    [
        (lambda: Elapsed(), lambda one: one() >= 0),
        (
            lambda: StaleIfErrorCache[str, str](lambda _: None, ttl=1, max_stale=1, pause=1, wait=1),
            lambda one: one.get("blue") is None,
        ),
        (lambda: BotocoreCredentials(lambda: None), lambda one: one.forget() is None),
    ],
    ids=["elapsed", "cache", "credentials"],
)
def test_lock_of_another_thread_is_free_in_the_child(made: Callable[[], Any], use: Callable[[Any], bool]) -> None:
    one = made()
    with one._lock:
        assert child(lambda: use(one))


class One:
    def forget(self) -> None:
        self.is_reset = True


def test_dead_objects_are_dropped() -> None:
    before = len(_resets)
    for _ in range(100):
        after_fork(One().forget)
    assert len(_resets) <= before


def test_objects_that_threads_make_at_the_same_time_are_all_reset() -> None:
    """Trap D15: a reload and the lanes of a batch make clients, while those of an earlier map end."""
    made: list[One] = []

    def work() -> None:
        for _ in range(20):
            one = One()
            after_fork(one.forget)
            made.append(one)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for _ in range(20):
            made.clear()
            threads = [threading.Thread(target=work) for _ in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert child(lambda: all(hasattr(one, "is_reset") for one in made))
    finally:
        sys.setswitchinterval(interval)
