"""Tenants from a table: items, their ages in the cache, and outages."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from lattice_bridge.errors import Unavailable
from lattice_bridge.tenancy.registry import MISSES, Registry
from lattice_bridge.tenancy.rules import Tenant
from tests.support.registry import ACTIVE, SUSPENDED, Clock, item, unavailable


class Table:
    """A table that a test scripts: `status` by name, or what happens to every fetch instead. Counts."""

    def __init__(self, **status: Any) -> None:
        self.status: dict[str, Any] = status
        self.failure: BaseException | None = None
        self.instead: Callable[[str], Mapping[str, Any] | None] | None = None
        self.fetched: list[str] = []

    def __call__(self, name: str) -> Mapping[str, Any] | None:
        self.fetched.append(name)
        if self.failure is not None:
            raise self.failure
        if self.instead is not None:
            return self.instead(name)
        return item(name, self.status[name]) if name in self.status else None


def kept(*, size: int = 10_000, **status: Any) -> tuple[Registry, Table, Clock]:
    table, clock = Table(**status), Clock()
    return Registry(table, clock=clock, size=size), table, clock


# ---- an item --------------------------------------------------------------------------------------------------------


def reads(found: Any) -> Tenant | None:
    return Registry(lambda name: found).find("blue")


def test_active_item_is_an_active_tenant() -> None:
    assert reads(item("blue")) == Tenant("blue", active=True)


def test_other_attributes_are_ignored() -> None:
    assert reads(item("blue") | {"plan": {"S": "gold"}, "active": {"BOOL": False}}) == Tenant("blue")


@pytest.mark.parametrize(
    "status",
    [
        *(SUSPENDED, {"S": "Active"}, {"S": "active "}, {"S": ""}, {"S": "actvie"}, {"BOOL": True}, {"NULL": True}),
        *({"SS": ["active"]}, {"L": [{"S": "active"}]}, {"S": "active", "N": "1"}, {"S": ["active"]}, {}),
        *("active", True, None, ["active"], 1),
    ],
)
def test_other_status_is_a_suspension(status: Any) -> None:
    """Trap D6."""
    assert reads(item("blue", status)) == Tenant("blue", active=False)


def test_missing_status_is_a_suspension() -> None:
    """Trap D6: a misspelt attribute is no access."""
    assert reads({"tenant": {"S": "blue"}, "Status": ACTIVE}) == Tenant("blue", active=False)


@pytest.mark.parametrize(
    "found",
    [
        *({}, {"status": ACTIVE}, item("green"), item("Blue"), item("blue "), item("blue") | {"tenant": "blue"}),
        *(item("blue") | {"tenant": {"N": "1"}}, item("blue") | {"tenant": {"S": "blue", "N": "1"}}),
        *(item("blue") | {"tenant": {"S": ["blue"]}}, item("blue") | {"tenant": None}, [], "blue", True, 0),
    ],
)
def test_item_of_another_shape_or_tenant_is_unavailable(found: Any) -> None:
    """Traps D7, D8."""
    refusal = unavailable(Registry(lambda name: found), "blue")
    assert refusal.detail == "the registry's item is not of the tenant that was asked for"


def test_unreadable_item_pauses_no_other_tenant() -> None:
    registry = Registry(lambda name: item(name) if name == "green" else {}, clock=Clock())
    unavailable(registry, "blue")
    assert registry.find("green") == Tenant("green")


def test_unreadable_item_leaves_the_last_known_tenant() -> None:
    """Trap D7."""
    registry, table, clock = kept(blue=SUSPENDED)
    registry.find("blue")
    table.instead, clock.now = lambda name: item("green"), clock.now + 60
    assert registry.find("blue") == Tenant("blue", active=False)


@pytest.mark.parametrize("name", ["", " blue", "blue\n", "-blue", "b\u2113ue", "b" * 257, "blue*", None, 7])
def test_malformed_tenant_id_is_unknown_and_not_fetched(name: Any) -> None:
    registry, table, _ = kept()
    assert registry.find(name) is None
    assert table.fetched == []


# ---- the memory -----------------------------------------------------------------------------------------------------


def test_nothing_is_fetched_before_a_tenant_is_asked_for() -> None:
    assert kept(blue=ACTIVE)[1].fetched == []


def test_tenant_is_fetched_once_a_minute() -> None:
    registry, table, clock = kept(blue=ACTIVE)
    start = clock.now
    for after, fetched in ((0, 1), (59.9, 1), (60, 2), (61, 2), (119.9, 2), (120, 3)):
        clock.now = start + after
        assert registry.find("blue") == Tenant("blue")
        assert len(table.fetched) == fetched


def test_suspension_is_seen_within_the_ttl() -> None:
    """Trap D6."""
    registry, table, clock = kept(blue=ACTIVE)
    assert registry.find("blue") == Tenant("blue", active=True)
    table.status["blue"], clock.now = SUSPENDED, clock.now + 60
    assert registry.find("blue") == Tenant("blue", active=False)


def test_age_counts_from_the_beginning_of_the_fetch() -> None:
    """Trap D6: it may be from then."""
    clock = Clock()
    asked: list[str] = []

    def slow(name: str) -> Mapping[str, Any]:
        asked.append(name)
        clock.now += 30
        return item(name)

    registry = Registry(slow, clock=clock)
    registry.find("blue")
    clock.now += 29.9
    registry.find("blue")
    assert len(asked) == 1
    clock.now += 0.1
    registry.find("blue")
    assert len(asked) == 2


def test_deleted_tenant_is_unknown_within_the_ttl() -> None:
    """Trap D6."""
    registry, table, clock = kept(blue=ACTIVE)
    registry.find("blue")
    del table.status["blue"]
    clock.now += 60
    assert registry.find("blue") is None
    table.failure, clock.now = OSError(), clock.now + 5
    unavailable(registry, "blue")


def test_new_tenant_is_found_after_5_seconds() -> None:
    """Trap D7."""
    registry, table, clock = kept()
    start = clock.now
    assert registry.find("blue") is None
    table.status["blue"] = ACTIVE
    for after, found in ((4.9, None), (5.0, Tenant("blue")), (5.1, Tenant("blue"))):
        clock.now = start + after
        assert registry.find("blue") == found
    assert len(table.fetched) == 2


def test_short_ttl_applies_to_misses() -> None:
    table, clock = Table(), Clock()
    registry = Registry(table, clock=clock, ttl=2)
    assert registry.find("blue") is None
    table.status["blue"], clock.now = ACTIVE, clock.now + 2
    assert registry.find("blue") == Tenant("blue")


def test_answer_serves_only_its_own_name() -> None:
    """Trap D8."""
    names = ["blue", "Blue", "BLUE", "blue.", "blue/", "blue-1", "b"]
    registry, table, _ = kept(blue=SUSPENDED, Blue=ACTIVE)
    for _ in range(3):
        assert [registry.find(name) for name in names[:2]] == [Tenant("blue", active=False), Tenant("Blue")]
        assert [registry.find(name) for name in names[2:]] == [None] * 5
    assert table.fetched == names


def test_clock_set_back_fetches_again() -> None:
    """Trap D6: an hour too early would be an hour without suspensions."""
    registry, table, clock = kept(blue=ACTIVE)
    assert registry.find("blue") == Tenant("blue")
    assert registry.find("green") is None
    table.status |= {"blue": SUSPENDED, "green": ACTIVE}
    clock.now -= 3600
    assert registry.find("blue") == Tenant("blue", active=False)
    assert registry.find("green") == Tenant("green")


def test_clock_set_back_revives_no_miss() -> None:
    registry, table, clock = kept()
    assert registry.find("blue") is None
    table.status["blue"], clock.now = ACTIVE, clock.now + 5
    assert registry.find("blue") == Tenant("blue")
    clock.now -= 4
    assert registry.find("blue") == Tenant("blue")


def test_clock_set_back_in_an_outage_makes_nothing_younger() -> None:
    """Trap D7."""
    registry, table, clock = kept(blue=ACTIVE)
    registry.find("blue")
    table.failure, clock.now = OSError(), clock.now - 3600
    assert unavailable(registry, "blue").retry_after == 1
    clock.now -= 3600
    assert unavailable(registry, "blue").retry_after == 1
    assert len(table.fetched) == 3


# ---- bounds ---------------------------------------------------------------------------------------------------------


def test_flood_of_unknown_names_evicts_no_tenant() -> None:
    """Trap D9."""
    registry, table, _ = kept(size=3, blue=ACTIVE, green=SUSPENDED)
    assert registry.find("blue")
    assert registry.find("green")
    for number in range(MISSES + 500):
        assert registry.find(f"x{number}") is None
    assert (len(registry._cache._misses), len(registry._cache._values)) == (MISSES, 2)
    table.fetched.clear()
    assert registry.find("blue") == Tenant("blue")
    assert registry.find("green") == Tenant("green", active=False)
    assert table.fetched == []


def test_flood_in_an_outage_leaves_no_state() -> None:
    """Trap D9."""
    registry, table, clock = kept()
    table.failure = OSError()
    for number in range(1000):
        clock.now += 1
        unavailable(registry, f"x{number}")
    assert len(table.fetched) == 1000
    assert (len(registry._cache._misses), len(registry._cache._values), len(registry._cache._fetches)) == (0, 0, 0)


def test_least_recently_used_tenant_is_dropped() -> None:
    """Trap D9."""
    registry, table, _ = kept(size=2, a=ACTIVE, b=ACTIVE, c=ACTIVE)
    for name in ("a", "b", "a", "c"):
        registry.find(name)
    assert len(registry._cache._values) == 2
    table.fetched.clear()
    assert all(registry.find(name) for name in ("a", "c", "b"))
    assert table.fetched == ["b"]


def test_tenant_used_in_an_outage_is_kept() -> None:
    registry, table, clock = kept(size=2, a=ACTIVE, b=ACTIVE, c=ACTIVE)
    registry.find("a")
    registry.find("b")
    table.failure, clock.now = OSError(), clock.now + 60
    assert registry.find("a") == Tenant("a")
    table.failure, clock.now = None, clock.now + 1
    registry.find("c")
    table.failure, clock.now = OSError(), clock.now + 60
    assert registry.find("a") == Tenant("a")
    unavailable(registry, "b")


# ---- an outage ------------------------------------------------------------------------------------------------------


class Refusal(Exception):
    """As botocore's ClientError carries it."""

    def __init__(self, response: Any) -> None:
        super().__init__("secret blue")
        self.response = response


FAILURES = [OSError("secret blue"), TimeoutError(), KeyError("blue"), Unavailable("x", "blue"), Refusal({})]


@pytest.mark.parametrize("failure", FAILURES)
def test_last_known_tenant_serves_until_max_stale(failure: Exception) -> None:
    """Trap D7."""
    registry, table, clock = kept(blue=ACTIVE)
    start = clock.now
    assert registry.find("blue") == Tenant("blue")
    table.failure = failure
    for after in (60, 61, 1800, 3599.9):
        clock.now = start + after
        assert registry.find("blue") == Tenant("blue")
    clock.now = start + 3600
    assert unavailable(registry, "blue").retry_after == 1
    table.failure, clock.now = None, start + 3601
    assert registry.find("blue") == Tenant("blue")


def test_slow_failure_does_not_extend_max_stale() -> None:
    """Trap D7."""
    registry, table, clock = kept(blue=ACTIVE)
    registry.find("blue")

    def slow(name: str) -> None:
        clock.now += 4
        raise TimeoutError

    table.instead, clock.now = slow, clock.now + 3597
    unavailable(registry, "blue")


@pytest.mark.parametrize("failure", FAILURES)
def test_unknown_name_in_an_outage_is_unavailable(failure: Exception) -> None:
    """Trap D7."""
    registry, table, _ = kept(blue=ACTIVE)
    table.failure = failure
    assert unavailable(registry, "blue").retry_after == 1


def test_miss_is_not_served_stale() -> None:
    """Trap D7."""
    registry, table, clock = kept()
    assert registry.find("blue") is None
    table.failure, clock.now = OSError(), clock.now + 4.9
    assert registry.find("blue") is None
    clock.now += 0.1
    unavailable(registry, "blue")


def test_suspended_tenant_stays_suspended_in_an_outage() -> None:
    """Traps D6, D7."""
    registry, table, clock = kept(blue=SUSPENDED)
    registry.find("blue")
    table.failure = OSError()
    for _ in range(50):
        clock.now += 61
        assert registry.find("blue") == Tenant("blue", active=False)


def test_outage_has_one_fetch_a_pause() -> None:
    """Trap D7."""
    registry, table, clock = kept(blue=ACTIVE)
    registry.find("blue")
    table.fetched.clear()
    table.failure, clock.now = OSError(), clock.now + 60
    for tenth in range(100):
        assert registry.find("blue") == Tenant("blue")
        unavailable(registry, f"x{tenth}")
        clock.now += 0.1
    assert 9 <= len(table.fetched) <= 11


def test_pause_begins_at_the_end_of_the_fetch() -> None:
    """Otherwise a timeout longer than the pause would leave none."""
    clock = Clock()
    asked: list[str] = []

    def slow(name: str) -> None:
        asked.append(name)
        clock.now += 4
        raise TimeoutError

    registry = Registry(slow, clock=clock, pause=2)
    assert unavailable(registry, "blue").retry_after == 2
    clock.now += 1.5
    assert unavailable(registry, "green").retry_after == 1
    assert asked == ["blue"]


def test_pause_repeats_the_latest_failure() -> None:
    registry, table, clock = kept()
    table.failure = OSError()
    unavailable(registry, "blue")
    table.failure, clock.now = TimeoutError(), clock.now + 1
    unavailable(registry, "blue")
    assert "TimeoutError" in unavailable(registry, "green").detail


def test_cached_tenant_is_served_in_a_pause() -> None:
    registry, table, _ = kept(blue=ACTIVE)
    registry.find("blue")
    table.failure = OSError()
    unavailable(registry, "green")
    assert registry.find("blue") == Tenant("blue")


def test_after_an_outage_there_is_no_pause() -> None:
    registry, table, clock = kept(blue=ACTIVE, green=ACTIVE)
    table.failure = OSError()
    unavailable(registry, "blue")
    table.failure, clock.now = None, clock.now + 1
    assert registry.find("blue") == Tenant("blue")
    assert registry.find("green") == Tenant("green")


@pytest.mark.parametrize(
    ("failure", "says"),
    [
        (OSError("secret blue"), "OSError"),
        (Refusal({"Error": {"Code": "InternalServerError", "Message": "blue"}}), "InternalServerError"),
        (Refusal({"Error": {"Code": "blue\n"}}), "Refusal"),
        (Refusal({"Error": {"Code": ["blue"]}}), "Refusal"),
        (Refusal({"Error": None}), "Refusal"),
        (Refusal("blue"), "Refusal"),
    ],
)
def test_failure_detail_is_constant(failure: Exception, says: str) -> None:
    registry, table, _ = kept()
    table.failure = failure
    assert unavailable(registry, "blue").detail == f"the registry could not be asked ({says})"


# ---- threads --------------------------------------------------------------------------------------------------------


class Gate:
    """A fetch that waits until it is let go, and then answers, or raises."""

    def __init__(self, failure: BaseException | None = None) -> None:
        self.asked = threading.Semaphore(0)
        self.open = threading.Event()
        self.failure = failure
        self.fetched: list[str] = []

    def __call__(self, name: str) -> Mapping[str, Any]:
        self.fetched.append(name)
        self.asked.release()
        assert self.open.wait(10)
        if self.failure is not None:
            raise self.failure
        return item(name)


def at_once(registry: Registry, names: list[str]) -> list[Callable[[], Any]]:
    """Starts a `find` for each name in a thread of its own, all at one time. A call returns a result."""
    barrier = threading.Barrier(len(names))
    pool = ThreadPoolExecutor(len(names))

    def one(name: str) -> Tenant | None:
        barrier.wait(10)
        return registry.find(name)

    futures = [pool.submit(one, name) for name in names]
    pool.shutdown(wait=False)
    return [lambda future=future: future.result(10) for future in futures]  # type: ignore[misc]


def test_32_threads_for_one_name_make_one_fetch() -> None:
    """Trap D9."""
    gate = Gate()
    registry = Registry(gate)
    results = at_once(registry, ["blue"] * 32)
    assert gate.asked.acquire(timeout=10)
    gate.open.set()
    assert [result() for result in results] == [Tenant("blue")] * 32
    assert gate.fetched == ["blue"]


def test_32_threads_and_a_fast_fetch_make_one_fetch() -> None:
    for _ in range(50):
        registry, table, _ = kept(blue=ACTIVE)
        assert [result() for result in at_once(registry, ["blue"] * 32)] == [Tenant("blue")] * 32
        assert table.fetched == ["blue"]


def test_32_threads_share_one_failure() -> None:
    """Trap D7."""
    gate = Gate(OSError())
    registry = Registry(gate)
    results = at_once(registry, ["blue"] * 32)
    assert gate.asked.acquire(timeout=10)
    gate.open.set()
    for result in results:
        with pytest.raises(Unavailable, match="OSError"):
            result()
    assert gate.fetched == ["blue"]


def test_different_names_do_not_wait_for_each_other() -> None:
    gate = Gate()
    registry = Registry(gate)
    names = [f"t{number}" for number in range(8)]
    results = at_once(registry, names)
    assert all(gate.asked.acquire(timeout=10) for _ in names)
    gate.open.set()
    assert [result() for result in results] == [Tenant(name) for name in names]


def test_fresh_tenant_does_not_wait_for_another_fetch() -> None:
    gate, clock = Gate(), Clock()
    registry = Registry(gate, clock=clock)
    gate.open.set()
    registry.find("blue")
    gate.open.clear()
    [waiting] = at_once(registry, ["green"])
    assert all(gate.asked.acquire(timeout=10) for _ in range(2))
    began = time.monotonic()
    assert registry.find("blue") == Tenant("blue")
    assert time.monotonic() - began < 1
    gate.open.set()
    assert waiting() == Tenant("green")


def test_after_an_outage_one_request_tries_again() -> None:
    """Trap D7."""
    registry, table, clock = kept(blue=ACTIVE)
    registry.find("blue")
    table.failure, clock.now = OSError(), clock.now + 60
    unavailable(registry, "green")
    gate = Gate()
    table.failure, table.instead, clock.now = None, gate, clock.now + 1
    [probe] = at_once(registry, ["green"])
    assert gate.asked.acquire(timeout=10)
    assert registry.find("blue") == Tenant("blue")
    unavailable(registry, "red")
    unavailable(registry, "green")
    gate.open.set()
    assert probe() == Tenant("green")
    assert gate.fetched == ["green"]


def test_hanging_fetch_is_waited_for_no_longer_than_wait() -> None:
    """Trap D7."""
    gate = Gate()
    registry = Registry(gate, wait=0.2)
    [first] = at_once(registry, ["blue"])
    assert gate.asked.acquire(timeout=10)
    began = time.monotonic()
    assert unavailable(registry, "blue").detail == "no answer yet"
    assert 0.05 < time.monotonic() - began < 2
    time.sleep(0.2)
    began = time.monotonic()
    assert all(unavailable(registry, "blue") for _ in range(20))
    assert time.monotonic() - began < 0.2
    gate.open.set()
    assert first() == Tenant("blue")
    assert registry.find("blue") == Tenant("blue")


@pytest.mark.parametrize("end", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_aborted_fetch_leaves_no_state(end: type[BaseException]) -> None:
    registry, table, clock = kept(blue=ACTIVE)
    table.failure = end()
    with pytest.raises(end):
        registry.find("blue")
    table.failure, clock.now = None, clock.now + 1
    assert registry.find("blue") == Tenant("blue")
    assert registry._cache._fetches == {}


def test_waiting_requests_get_the_aborted_fetch() -> None:
    """Trap D7."""
    gate = Gate(SystemExit())
    registry = Registry(gate)
    [leader] = at_once(registry, ["blue"])
    assert gate.asked.acquire(timeout=10)
    [waiting] = at_once(registry, ["blue"])
    gate.open.set()
    with pytest.raises(Unavailable, match="broken off"):
        waiting()
    with pytest.raises(SystemExit):
        leader()


def test_32_threads_with_outages_get_their_own_tenants() -> None:
    """Traps D8, D9."""
    clock, calls = Clock(), itertools.count()

    def fetch(name: str) -> Mapping[str, Any] | None:
        number = next(calls)
        clock.now += 0.2
        if number % 11 == 0:
            raise OSError
        kind = int(name[1:]) % 3
        return None if kind == 0 else item(name, ACTIVE if kind == 1 else SUSPENDED)

    registry = Registry(fetch, clock=clock, ttl=2, size=20)

    def one(number: int) -> None:
        name = f"t{number % 60}"
        try:
            found = registry.find(name)
        except Unavailable:
            return
        assert found == (None if number % 3 == 0 else Tenant(name, active=number % 3 == 1))

    with ThreadPoolExecutor(32) as pool:
        list(pool.map(one, range(20_000)))
    assert registry._cache._fetches == {}
    assert len(registry._cache._values) <= 20
