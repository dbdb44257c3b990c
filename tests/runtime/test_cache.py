"""The cache that key sets and the registry share: fresh and stale values, single flight, pauses and bounds."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from lattice_bridge.errors import Unavailable
from lattice_bridge.runtime.cache import Failed, StaleIfErrorCache


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


class Source:
    """A source that a test scripts: a value, None, `Failed`, or an exception to raise. Counts its fetches."""

    def __init__(self, answer: Any = "v1") -> None:
        self.answer = answer
        self.fetched: list[str] = []

    def __call__(self, key: str) -> Any:
        self.fetched.append(key)
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer


Cache = StaleIfErrorCache[str, str]


def made(answer: Any = "v1", **options: Any) -> tuple[Cache, Source, Clock]:
    source, clock = Source(answer), Clock()
    given = {"ttl": 10, "max_stale": 100, "pause": 2, "wait": 5, "size": 3, "miss_ttl": 1, "misses": 2, "clock": clock}
    return Cache(source, **{**given, **options}), source, clock


def test_value_is_fetched_once_within_its_ttl() -> None:
    cache, source, clock = made()
    assert [cache.get("a") for _ in range(3)] == ["v1"] * 3
    clock.now += 10
    source.answer = "v2"
    assert (cache.get("a"), source.fetched) == ("v2", ["a", "a"])


def test_stale_value_is_served_in_an_outage_until_max_stale() -> None:
    """Trap D7."""
    cache, source, clock = made()
    cache.get("a")
    source.answer = OSError()
    for age in (10, 50, 99.9):
        clock.now = 1000 + age
        assert cache.get("a") == "v1"
    clock.now = 1100
    assert isinstance(cache.get("a"), Failed)
    assert cache.held("a") is None


def test_unusable_answer_is_the_fault_of_its_key_alone() -> None:
    cache, source, _ = made(Failed("not of this key"))
    assert cache.get("a") == Failed("not of this key")
    source.answer = "v1"
    assert cache.get("b") == "v1"


def test_failure_is_repeated_for_the_pause_whatever_the_key() -> None:
    cache, source, clock = made(OSError("secret"))
    assert cache.get("a") == cache.get("b") == Failed("the fetch failed (OSError)")
    assert (source.fetched, cache.retry_after()) == (["a"], 2)
    clock.now += 2
    source.answer = "v1"
    assert cache.get("b") == "v1"


def test_detail_of_a_bridge_error_is_kept() -> None:
    assert made(Unavailable("keys_unavailable", "answered 500"))[0].get("a") == Failed("answered 500")


def test_miss_is_cached_for_its_ttl_and_never_stale() -> None:
    cache, source, clock = made(None)
    assert (cache.get("a"), cache.get("a"), source.fetched) == (None, None, ["a"])
    clock.now += 1
    source.answer = OSError()
    assert isinstance(cache.get("a"), Failed)


def test_misses_are_bounded_and_evict_no_value() -> None:
    """Trap D9."""
    cache, source, _ = made()
    cache.get("known")
    source.answer = None
    for number in range(100):
        cache.get(f"x{number}")
    assert (len(cache._misses), cache.held("known")) == (2, "v1")


def test_least_recently_used_value_is_dropped() -> None:
    """Trap D9."""
    cache, _, _ = made()
    for key in ("a", "b", "c", "a", "d"):
        cache.get(key)
    assert [cache.held(key) for key in ("a", "b", "c", "d")] == ["v1", None, "v1", "v1"]


def test_pause_after_every_fetch_bounds_fetches_that_callers_ask_for() -> None:
    """Trap C13."""
    cache, source, clock = made(pause_after="fetch")
    for _ in range(5):
        assert [cache.fetch("a") for _ in range(10)] == ["v1"] * 10
        clock.now += 1
    assert len(source.fetched) == 3


@pytest.mark.parametrize("pause_after", ["failure", "fetch"])
@pytest.mark.parametrize("answer", ["v1", None, Failed("not of this key")])
def test_answer_for_a_key_is_not_that_of_another(pause_after: str, answer: Any) -> None:
    """Trap D8."""
    cache, source, _ = made(answer, pause_after=pause_after)
    assert cache.get("a") == answer
    source.answer = "v2"
    assert (cache.get("b"), source.fetched) == ("v2", ["a", "b"])


def test_fetch_in_the_background_is_not_waited_for_by_prefetch() -> None:
    started: list[Callable[[], None]] = []
    cache, _, _ = made(start=started.append, wait=0.01)
    cache.prefetch("a")
    cache.prefetch("a")
    assert (cache.held("a"), len(started)) == (None, 1)
    assert cache.get("a") == Failed("no answer yet")
    started[0]()
    assert cache.get("a") == "v1"


@pytest.mark.parametrize("error", [RuntimeError("can't start new thread"), MemoryError()], ids=repr)
def test_fetch_that_cannot_be_started_is_a_failure_until_one_can(error: Exception) -> None:
    """Trap C12: the keys of an issuer would not be fetched again while the process lives."""
    errors = [error]

    def start(work: Callable[[], None]) -> None:
        if errors:
            raise errors.pop()
        work()

    cache, source, clock = made(start=start, pause_after="fetch")
    assert (cache.get("a"), source.fetched) == (Failed("no thread could be started"), [])
    clock.now += 2
    assert cache.get("a") == "v1"


@pytest.mark.parametrize("pause_after", ["failure", "fetch"])
def test_32_threads_make_one_fetch(pause_after: str) -> None:
    entered, released = threading.Event(), threading.Event()
    fetched: list[str] = []

    def slow(key: str) -> str:
        fetched.append(key)
        entered.set()
        assert released.wait(10)
        return "v1"

    cache = Cache(slow, ttl=10, max_stale=100, pause=2, wait=10, pause_after=pause_after)  # type: ignore[arg-type] # its values
    with ThreadPoolExecutor(32) as pool:
        results = [pool.submit(cache.get, "a") for _ in range(32)]
        assert entered.wait(10)
        released.set()
        assert {result.result(10) for result in results} == {"v1"}
    assert fetched == ["a"]


def test_clock_that_was_set_back_makes_no_value_younger() -> None:
    """Trap D6."""
    cache, source, clock = made()
    cache.get("a")
    source.answer, clock.now = "v2", 500
    assert cache.get("a") == "v2"
