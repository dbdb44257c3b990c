"""The router's own time: what is begun, what is cut, and what is reported; over real connections where that counts."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from lattice_bridge.invoke.call import Call
from lattice_bridge.lanes import Lanes
from lattice_bridge.router import Router
from tests.support.fake_lambda import FakeLambda, Heard, Reset, Says, Silence, Truncated, failure
from tests.support.invokers import SHORT, direct_invokers
from tests.support.records import (
    BY_ATTRIBUTE,
    FIFO,
    STORED,
    Context,
    Functions,
    World,
    event,
    failed,
    record,
    settings,
    source,
    with_sources,
)


class Clock:
    """Seconds that pass only when a function runs."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def takes(self, seconds: float) -> Functions:
        """Functions that take so long."""

        def run(_: Call) -> bytes:
            self.now += seconds
            return b"null"

        return Functions(default=run)


def slow(seconds: float, *lines: str) -> World:
    clock = Clock()
    return World(source(BY_ATTRIBUTE, "concurrency = 1", *lines), functions=clock.takes(seconds), clock=clock)


def test_record_that_the_time_does_not_reach_is_reported_and_not_invoked() -> None:
    """Trap E14: nothing is dropped."""
    world = slow(2.0)
    assert world(*(record(number, "blue") for number in range(1, 6)), context=Context(5.0)) == [4, 5]
    assert world.functions.ran == [(1, "blue"), (2, "blue"), (3, "blue")]
    assert world.reasons[5] == ("failed", "no_time_left")


def test_invoke_gets_the_time_that_is_left_and_none_begins_with_less_than_a_quarter_of_a_second() -> None:
    """Trap E14: 5 s, of which half a second is for the answer."""
    world = slow(4.2)
    assert world(record(1, "blue"), record(2, "blue"), context=Context(5.0)) == []
    assert [call.left for call in world.functions.calls] == pytest.approx([4.5, 0.3], abs=0.001)
    world = slow(4.3)
    assert world(record(1, "blue"), record(2, "blue"), context=Context(5.0)) == [2]


def test_large_batch_keeps_time_to_report_all_of_it() -> None:
    """Trap E14: 10,000 lines take longer than half a second."""
    world = slow(0.1)
    assert len(world(*(record(number, "blue") for number in range(1, 10_001)), context=Context(3.0))) == 9_997


def test_quarantine_is_not_filled_in_less_time_than_it_may_take() -> None:
    """Trap E14: the record is reported, and comes again."""
    world = slow(2.0, STORED)
    assert world(record(1, "blue"), record(2, "red"), context=Context(3.9)) == [2]
    assert world.sqs.sent == []
    assert world.reasons[2] == ("failed", "no_time_left")
    world = slow(2.0, STORED)
    assert world(record(1, "blue"), record(2, "red"), context=Context(4.1)) == []


def test_group_whose_time_is_up_is_reported_from_there() -> None:
    """Trap E9, trap E14."""
    clock = Clock()
    sources = source(BY_ATTRIBUTE, "concurrency = 1", arn=FIFO)
    world = World(sources, functions=clock.takes(2.0), clock=clock)
    sent = [record(number, "blue", arn=FIFO, group="a") for number in range(1, 6)]
    assert world(*sent, context=Context(5.0)) == [4, 5]
    assert [world.reasons[number][1] for number in (4, 5)] == ["no_time_left", "behind_failed"]


# ---- over real connections ------------------------------------------------------------------------------------------


@contextmanager
def behind(server: FakeLambda, *lines: str) -> Iterator[Router]:
    """A router with the direct invoker."""
    loaded = settings(with_sources(source(BY_ATTRIBUTE, *lines)))
    with direct_invokers() as at:
        written: list[str] = []
        yield Router(
            loaded.tenant_map,
            at(server.url),
            sources=loaded.options.event_sources,
            write=written.append,
            lanes=Lanes(),
        )


def answering(*script: Any, records: int = 1) -> tuple[list[int], list[Heard]]:
    with FakeLambda(*script) as server, behind(server, f"timeout = {SHORT}") as router:
        answer = router(event(*(record(number, "blue") for number in range(1, records + 1))), Context())
    return failed(answer), server.heard


@pytest.mark.parametrize("last", [Silence(), Reset(), Truncated()])
def test_call_that_may_have_run_is_not_sent_again(last: object) -> None:
    """Trap E15: the record is reported, and the queue delivers it again."""
    reported, heard = answering(last)
    assert (reported, len(heard)) == ([1], 1)


@pytest.mark.parametrize("kind", ["Unhandled", "Handled", "Anything"])
def test_function_error_with_status_200_is_a_failure(kind: str) -> None:
    """Trap E16."""
    reported, heard = answering(Says(b'{"errorType":"KeyError"}', headers={"x-amz-function-error": kind}))
    assert (reported, len(heard)) == ([1], 1)


def test_throttled_call_did_not_run_and_is_sent_again() -> None:
    reported, heard = answering(failure(429, "TooManyRequestsException"), Says(b"null"))
    assert (reported, len(heard)) == ([], 2)


def test_records_share_connections_and_each_call_names_its_own_tenant() -> None:
    """Trap E1: what the network sees."""
    wanted = {f"{number:012}": "blue" if number % 2 else "green" for number in range(1, 41)}
    with FakeLambda(Says(b"null")) as server, behind(server, "concurrency = 8") as router:
        for _ in range(2):
            sent = [record(number, "blue" if number % 2 else "green") for number in range(1, 41)]
            assert failed(router(event(*sent), Context())) == []
    for heard in server.heard:
        [one] = json.loads(heard.body)["Records"]
        assert heard.header("x-amz-tenant-id") == wanted[one["messageId"][-12:]]
    assert len(server.heard) == 80
    assert server.connections <= 8


def test_nothing_runs_on_after_the_answer() -> None:
    """Trap E14: a call that still waits at the deadline is cut there."""
    with FakeLambda(Silence()) as server, behind(server, "concurrency = 4") as router:
        before = threading.active_count()
        answer = router(event(*(record(number, "blue") for number in range(1, 7))), Context(0.5 + SHORT + 0.15))
        assert failed(answer) == [1, 2, 3, 4, 5, 6]
        assert len(server.heard) == 4
        assert threading.active_count() <= before + 3 + 4  # three that wait for the next batch, four of the server
