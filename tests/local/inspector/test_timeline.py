"""The entries that are kept, and the memory that they take."""

from __future__ import annotations

import asyncio

from lattice_bridge.local.front.exchange.http_message import HttpRequest, HttpResponse
from lattice_bridge.local.inspector.entry import Content, Entry, HttpIn
from lattice_bridge.local.inspector.timeline import Timeline

MIB = 1024 * 1024


def entry(body: bytes = b"") -> Entry:
    return Entry("lattice", "shop", "/", "id", 0.0, content=Content(HttpIn(HttpRequest("POST", "/", [], body))))


def filled(timeline: Timeline, count: int) -> list[Entry]:
    entries = [entry() for _ in range(count)]
    for one in entries:
        timeline.add(one)
    return entries


def test_entries_are_numbered_from_one() -> None:
    timeline = Timeline()
    assert [timeline.add(entry()) for _ in range(3)] == [1, 2, 3]
    assert timeline.get(2) is not None
    assert timeline.get(4) is None


def test_oldest_entry_is_dropped_over_the_limit() -> None:
    timeline = Timeline(max_entries=3)
    filled(timeline, 5)
    assert [one.n for one in timeline.since(0)[0]] == [3, 4, 5]
    assert timeline.get(2) is None


def test_oldest_contents_are_dropped_over_the_limit_and_summaries_stay() -> None:
    timeline = Timeline(max_bytes=10 * MIB)
    for _ in range(15):
        timeline.add(entry(bytes(MIB)))
    kept = [one.n for one in timeline.since(0)[0] if one.content is not None]
    assert kept == [*range(7, 16)]
    assert len(timeline) == 15
    assert timeline.bytes <= 10 * MIB


def test_twenty_thousand_bodies_of_a_mebibyte_stay_within_the_limit() -> None:
    """Also what arrives after the beginning is counted: the reply."""
    timeline, body = Timeline(), bytes(MIB)
    for _ in range(20_000):
        one = entry(body)
        timeline.add(one)
        assert one.content is not None
        one.content.reply = HttpResponse(200, (), body)
        timeline.changed(one)
        assert timeline.bytes <= 128 * MIB
    assert len(timeline) == 10_000
    kept = [one for one in timeline.since(0)[0] if one.content is not None]
    assert sum(one.content.size for one in kept if one.content) == timeline.bytes
    assert len(kept) == 63


def test_long_path_does_not_stay_when_its_content_is_dropped() -> None:
    """10,000 paths of 256 KB would be 2.5 GB."""
    timeline = Timeline(max_bytes=MIB)
    path = "/" + "x" * 256_000
    for _ in range(20):
        content = Content(HttpIn(HttpRequest("GET", path, [])))
        one = Entry("lattice", "shop", path, "id", 0.0, content=content)
        timeline.add(one)
        one.caller = one.reason = path
        timeline.changed(one)
    kept = timeline.since(0)[0]
    assert kept[0].content is None
    assert all(max(len(one.path), len(str(one.caller)), len(str(one.reason))) < 2000 for one in kept)


def test_change_of_an_entry_whose_content_was_dropped_is_shown() -> None:
    timeline = Timeline(max_bytes=MIB)
    first, _ = (entry(bytes(MIB - 5000)) for _ in range(2))
    timeline.add(first)
    timeline.add(entry(bytes(MIB - 5000)))
    assert first.content is None
    first.state = "ended"
    timeline.changed(first)
    assert timeline.since(2)[0] == [first]


def test_content_over_the_whole_limit_is_not_kept() -> None:
    timeline = Timeline(max_bytes=MIB)
    one = entry(bytes(2 * MIB))
    timeline.add(one)
    assert one.content is None
    assert timeline.bytes == 0


def test_reader_gets_new_and_changed_entries_once_in_the_order_of_their_changes() -> None:
    timeline = Timeline()
    one, two, three = filled(timeline, 3)
    found, change = timeline.since(0)
    assert found == [one, two, three]
    assert timeline.since(change) == ([], change)
    timeline.changed(two)
    timeline.changed(one)
    timeline.changed(two)
    assert timeline.since(change)[0] == [one, two]


def test_reader_with_a_limit_gets_the_rest_with_its_next_call() -> None:
    timeline = Timeline()
    entries = filled(timeline, 5)
    found, change = timeline.since(0, 2)
    others, _ = timeline.since(change, 10)
    assert [*found, *others] == entries


def test_cleared_timeline_has_no_entry_and_numbers_go_on() -> None:
    timeline = Timeline()
    running, _ = filled(timeline, 2)
    assert timeline.clear() == 2
    assert timeline.cleared == (timeline.change, 2)
    timeline.changed(running)
    assert timeline.since(0)[0] == []
    assert timeline.bytes == 0
    assert timeline.add(entry()) == 3


def test_waiting_readers_wake_with_the_next_change() -> None:
    async def scenario() -> int:
        timeline = Timeline()
        readers = [asyncio.create_task(timeline.wait(0)) for _ in range(3)]
        readers[0].cancel()
        await asyncio.sleep(0)
        timeline.add(entry())
        await asyncio.gather(*readers[1:])
        await timeline.wait(0)
        return timeline.change

    assert asyncio.run(scenario()) == 1


def test_waiting_reader_wakes_when_the_list_is_cleared() -> None:
    async def scenario() -> None:
        timeline = Timeline()
        reader = asyncio.create_task(timeline.wait(0))
        await asyncio.sleep(0)
        timeline.clear()
        await reader

    asyncio.run(scenario())
