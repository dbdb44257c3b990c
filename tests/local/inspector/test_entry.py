"""The values of one entry."""

from __future__ import annotations

import json

from lattice_bridge.local.front.exchange.http_message import HttpRequest, HttpResponse
from lattice_bridge.local.inspector.entry import OVERHEAD, Content, Entry, HttpIn, Invoked, InvokeIn, RecordIn

BODY = b"x" * 1000


def invoked(payload: bytes = BODY, shared_by: int = 1) -> Invoked:
    return Invoked("orders", "id", payload, 1.0, answer=BODY, log=["a line"], shared_by=shared_by)


def test_summary_is_json_and_has_the_fields_of_the_page() -> None:
    entry = Entry("lattice", "shop", "/orders", "id", 1.5, method="GET", content=Content())
    summary = entry.summary()
    assert json.loads(json.dumps(summary)) == summary
    assert [*summary] == [
        *("n", "at", "way", "source", "method", "path", "id", "caller", "tenant", "state", "outcome", "status"),
        *("reason", "ms", "cold", "function", "replay_of"),
    ]


def test_size_counts_every_body_and_header() -> None:
    request = HttpRequest("POST", "/", [("a", "b" * 500)], BODY)
    content = Content(HttpIn(request), BODY, [invoked()], HttpResponse(200, [("c", "d" * 500)], BODY))
    assert 6000 < content.size < 6000 + 4 * OVERHEAD


def test_size_of_a_record_has_its_share_of_the_batch() -> None:
    """Else a batch of 100 records with an event of 6 MB would count as 600 MB."""
    whole = Content(RecordIn(BODY), invocations=[invoked(b"y" * 100_000, shared_by=1)]).size
    share = Content(RecordIn(BODY), invocations=[invoked(b"y" * 100_000, shared_by=100)]).size
    assert whole - share > 99_000


def test_event_is_the_payload_of_the_first_invocation_unless_another_was_built() -> None:
    assert Content(InvokeIn("orders", b"{}")).built_event is None
    assert Content(invocations=[invoked(), invoked(b"second")]).built_event == BODY
    assert Content(event=b"{}", invocations=[invoked()]).built_event == b"{}"
