"""Pauses of the garbage collector, which end with the last thread that needs one."""

from __future__ import annotations

import gc
import os
import sys
import threading
from collections.abc import Iterator

import pytest

from lattice_bridge.runtime.process import _CollectorPauses, no_collection


@pytest.fixture(autouse=True)
def collecting() -> Iterator[None]:
    gc.enable()
    yield
    gc.enable()


def test_collector_is_restored_afterwards() -> None:
    for switch, expected in ((gc.enable, True), (gc.disable, False)):
        switch()
        with no_collection():
            assert not gc.isenabled()
            with no_collection():
                pass
            assert not gc.isenabled()
        assert gc.isenabled() is expected


def test_exception_resumes_the_collector() -> None:
    with pytest.raises(ValueError, match="x"), no_collection():
        raise ValueError("x")
    assert gc.isenabled()


def test_overlapping_pauses_end_with_the_last() -> None:
    """Without a count, the second pause would leave the collector off."""
    pauses = _CollectorPauses()
    pauses.begin()
    pauses.begin()
    pauses.end()
    assert not gc.isenabled()
    pauses.end()
    assert gc.isenabled()


def test_32_threads_leave_the_collector_on() -> None:
    def work() -> None:
        for _ in range(2_000):
            with no_collection():
                pass

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=work) for _ in range(32)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert gc.isenabled()


def test_forked_child_ends_its_parents_pauses() -> None:
    with no_collection():
        child = os.fork()
        if child == 0:
            os._exit(0 if gc.isenabled() else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert not gc.isenabled()
