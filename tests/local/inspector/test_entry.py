"""The values of one entry."""

from __future__ import annotations

import json

from lattice_bridge.local.front.exchange.http_message import HttpRequest, HttpResponse
from lattice_bridge.local.inspector.entry import (
    LONGEST,
    MASKED_TEXTS,
    OVERHEAD,
    Content,
    Entry,
    HttpIn,
    Invoked,
    InvokeIn,
    RecordIn,
    RecordOut,
    Role,
)

BODY = b"x" * 1000
TOKEN = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJibHVlIn0.c2lnbmF0dXJl"


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


def test_long_path_is_masked_and_not_remembered() -> None:
    """Trap D9: each request could have another path, as long as a head may be."""
    path = f"/{TOKEN}/{'a' * LONGEST}"
    assert TOKEN not in Entry("lattice", "shop", path, "id", 1.5).summary()["path"]
    assert path not in MASKED_TEXTS
    Entry("lattice", "shop", "/short", "id", 1.5).summary()
    assert "/short" in MASKED_TEXTS


def test_size_counts_every_body_and_header() -> None:
    request = HttpRequest("POST", "/", [("a", "b" * 500)], BODY)
    content = Content(HttpIn(request), BODY, [invoked()], HttpResponse(200, [("c", "d" * 500)], BODY))
    assert 6000 < content.size < 6000 + 4 * OVERHEAD


def test_size_of_a_record_has_its_share_of_the_batch() -> None:
    """Else a batch of 100 records with an event of 6 MB would count as 600 MB."""
    whole = Content(RecordIn(BODY), invocations=[invoked(b"y" * 100_000, shared_by=1)]).size
    share = Content(RecordIn(BODY), invocations=[invoked(b"y" * 100_000, shared_by=100)]).size
    assert whole - share > 99_000


def test_size_counts_the_text_the_line_and_the_log() -> None:
    """Else a flood of refusals with long reasons, or of log lines in Japanese, would exceed the limit of the memory."""
    line = {"detail": "x" * 5000, "milliseconds": {"a": 1.0}}
    empty, full = Content(), Content(text="x" * 5000, line=line, reply=RecordOut("lost", "x" * 5000))
    assert full.size - empty.size >= 15_000
    assert Invoked("orders", "id", b"", 1.0, log=["\u65e5" * 1000]).size > 4000


def test_summary_contains_no_credential() -> None:
    """Trap G2: also not in a path, or where a caller writes its tenant."""
    for name in ("source", "path", "caller", "tenant", "reason", "function"):
        entry = Entry("lattice", "shop", "/orders", "id", 1.5)
        setattr(entry, name, f"/reset/{TOKEN}/done")
        assert entry.summary()[name] == f"/reset/•••• {len(TOKEN)} characters/done"


def test_texts_of_an_entry_are_cut_without_a_sign_in_short_ones() -> None:
    entry = Entry("lattice", "shop", "/" + "x" * 9999, "id", 1.5, tenant="y" * 9999)
    entry.bound()
    entry.bound()
    assert (len(entry.path), len(str(entry.tenant))) == (LONGEST + 1, LONGEST + 1)
    assert (entry.source, entry.caller) == ("shop", None)


def test_backend_is_what_the_target_invokes_first() -> None:
    def one(name: str, role: Role, **more: str) -> Invoked:
        return Invoked(name, "id", b"", 1.0, role=role, **more)  # type: ignore[arg-type]  # `error` is a str

    refused = one("orders", "behind", error="TooManyRequestsException: Rate Exceeded")
    again, audit = one("orders", "behind"), one("audit", "behind")
    helper, authorizer, target = one("helper", "behind"), one("authorizer", "authorizer"), one("bridge", "target")
    assert Content(invocations=[authorizer, helper, target, refused, again, audit]).backend is again
    assert Content(invocations=[target, refused]).backend is refused
    assert Content(invocations=[authorizer, helper, target]).backend is None


def test_event_is_the_payload_of_the_first_invocation_unless_another_was_built() -> None:
    assert Content(InvokeIn("orders", b"{}")).built_event is None
    assert Content(invocations=[invoked(), invoked(b"second")]).built_event == BODY
    assert Content(event=b"{}", invocations=[invoked()]).built_event == b"{}"
