"""Reports that wait, and are captured together."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from lattice_bridge.local.bridge.configuration import BridgeConfiguration
from lattice_bridge.local.inspector.journal import MOST_BYTES, MOST_REPORTS, Journal
from lattice_bridge.local.inspector.live import Inspection
from lattice_bridge.local.inspector.logs import Logs
from lattice_bridge.local.inspector.observer import StackObserver
from lattice_bridge.local.inspector.timeline import Timeline
from tests.support.async_world import DONE, ORDERS
from tests.support.captured import BRIDGE, CLIENT, LINE, ROOT, Stack, batch, content


class Reporting(Stack):
    """Reports to a journal."""

    def __init__(self) -> None:
        self.journal = Journal(Timeline(), Logs())
        super().__init__(self.journal.capture)
        self.reports = self.journal
        active = (self.configuration,)
        self.journal.configurations = lambda: active

    @property
    def change(self) -> int:
        """What was captured, without a reader who asks for the rest."""
        return self.timeline.change


@pytest.fixture
def stack() -> Reporting:
    return Reporting()


def test_report_that_cannot_be_read_loses_no_other_one(stack: Reporting, caplog: pytest.LogCaptureFixture) -> None:
    """Nor does it fail the request whose report was the last one of the group."""
    stack.receives()
    unreadable: Any = None
    stack.journal.tried(unreadable)
    stack.serves()
    assert stack.answers().outcome == "ok"
    assert [one.message for one in caplog.records] == ["the inspector could not read a report"]


def test_request_is_captured_when_a_reader_looks_with_the_times_of_its_reports(stack: Reporting) -> None:
    stack.receives()
    assert stack.change == 0
    stack.serves()
    entry = stack.answers()
    assert (entry.outcome, entry.tenant, entry.ms, content(entry).line) == ("ok", "blue", 12.5, LINE)
    bridge, orders = content(entry).invocations
    assert orders.began >= bridge.began
    assert bridge.took_ms is not None
    assert bridge.took_ms >= 0
    assert stack.capture.open == 0


@pytest.mark.parametrize("look", ["since", "get", "clear", "len"])
def test_reader_misses_nothing(stack: Reporting, look: str) -> None:
    stack.receives()
    timeline = stack.timeline
    looks: dict[str, Callable[[], int]] = {
        "since": lambda: len(timeline.since(0)[0]),
        "get": lambda: int(timeline.get(1) is not None),
        "clear": timeline.clear,
        "len": lambda: len(timeline),
    }
    assert looks[look]() == 1


def test_reader_that_waits_gets_what_comes_later() -> None:
    async def scenario() -> int:
        stack = Reporting()
        reader = asyncio.create_task(stack.timeline.wait(0))
        await asyncio.sleep(0)
        stack.receives()
        assert stack.change == 0
        await reader
        return stack.change

    assert asyncio.run(scenario()) == 1


def test_repetition_has_its_number_at_once(stack: Reporting) -> None:
    """A person waits for it."""
    replay = stack.capture.expect(CLIENT, 7)
    stack.receives()
    assert replay.n == 1


def test_reports_that_wait_are_bounded_in_number(stack: Reporting) -> None:
    for number in range(MOST_REPORTS - 1):
        stack.prints("orders#1", str(number))
    assert stack.capture.logs.size == 0
    stack.prints("orders#1", "the last one")
    assert stack.capture.logs.size > 0


def test_reports_that_wait_are_bounded_in_bytes(stack: Reporting) -> None:
    """Trap G2: 200 bodies of 6 MB would be 1.2 GB."""
    large = bytes(MOST_BYTES + 1)
    stack.receives(body=large)
    assert stack.change == 1
    request = stack.begins(ORDERS, "i1", payload=large)
    assert stack.change == 1
    stack.journal.invocation_ended(request, DONE)
    assert stack.change > 1
    change = stack.change
    many = batch("m1")
    stack.journal.delivering(replace(many, messages=(replace(many.messages[0], record=large),)))
    assert stack.change == change + 1


def test_map_of_an_entry_is_the_one_that_was_active_then(stack: Reporting) -> None:
    """A map is reloaded between two looks of a reader."""
    stack.receives()
    stack.reports.invoking("r1", "bridge", ROOT)
    stack.begins(BRIDGE, "b1")
    changed = (BridgeConfiguration(BRIDGE, "b"),)
    stack.journal.configurations = lambda: changed
    stack.receives(id_="r2")
    assert stack.entries[0].configuration is stack.configuration


def test_inspection_reports_to_the_journal() -> None:
    inspection = Inspection()
    observer = inspection.observing(StackObserver())
    observer.function_output("orders#1", "a line")
    assert inspection.logs.size == 0
    inspection.journal.take_in()
    assert inspection.logs.take("orders#1") == ["a line"]
