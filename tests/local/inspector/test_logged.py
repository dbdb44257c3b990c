"""Entries of log lines, as the timeline shows them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from lattice_bridge.local.inspector.detail import detail
from lattice_bridge.local.inspector.entry import Content, Entry, caller_in_words
from lattice_bridge.local.inspector.logged import entry_of, seconds
from lattice_bridge.review.log_line import LogLine

REQUEST: dict[str, Any] = {
    "timestamp": "2026-11-21T09:00:00.500+00:00",
    "message": "request",
    "requestId": "r-1",
    "method": "GET",
    "path": "/orders",
    "status": 403,
    "reason": "no_rule",
    "detail": "no rule matches",
    "callerKey": "111122223333/bleu-api",
    "milliseconds": {"parse": 0.1, "total": 1.5},
    "cold": True,
}
RECORD: dict[str, Any] = {
    "timestamp": "2026-11-21T09:00:00.500+00:00",
    "message": "record",
    "requestId": "r-2",
    "source": "orders",
    "id": "m-1",
    "status": "done",
    "reason": "ok",
    "tenant": "blue",
    "rule": "shop",
}


def entry(fields: dict[str, Any], **changes: Any) -> Entry:
    return entry_of(LogLine({**fields, **changes}))


def test_line_of_a_request_is_an_entry() -> None:
    found = entry(REQUEST).summary()
    assert found == {
        **dict.fromkeys(("tenant", "function", "replay_of")),
        "n": 0,
        "at": 1795251600.5,
        "way": "lattice",
        "source": "",
        "method": "GET",
        "path": "/orders",
        "id": "r-1",
        "caller": "role bleu-api",
        "state": "ended",
        "outcome": "refused",
        "status": 403,
        "reason": "no_rule",
        "ms": 1.5,
        "cold": True,
    }


@pytest.mark.parametrize(
    ("changes", "outcome"),
    [
        ({"status": 200, "reason": "ok"}, "ok"),
        ({"status": 404, "reason": "no_backend"}, "refused"),
        ({"status": 503, "reason": "throttled"}, "failed"),
        ({"status": 500, "reason": "ok"}, "failed"),  # the backend's own
    ],
)
def test_outcome_of_a_request(changes: dict[str, Any], outcome: str) -> None:
    assert entry(REQUEST, **changes).outcome == outcome


@pytest.mark.parametrize(("status", "outcome"), [("done", "ok"), ("quarantined", "quarantined"), ("failed", "failed")])
def test_outcome_of_a_record(status: str, outcome: str) -> None:
    found = entry(RECORD, status=status)
    assert (found.outcome, found.status, found.path, found.id) == (outcome, None, "m-1", "m-1")


@pytest.mark.parametrize(
    ("name", "way"),
    [("orders", "queue"), ("stream/clicks", "stream"), ("table/carts/stream/1", "table"), ("event-bus/shop", "bus")],
)
def test_way_in_is_that_of_the_source(name: str, way: str) -> None:
    assert (entry(RECORD, source=name).way, entry(RECORD, source=name).source) == (way, name)


def test_line_of_an_api_names_it() -> None:
    found = entry(REQUEST, api="a1b2c3d4e5")
    assert (found.way, found.source) == ("api", "a1b2c3d4e5")


@pytest.mark.parametrize(
    ("fields", "key", "caller"),
    [
        (REQUEST, "111122223333/blue-api", "role blue-api"),
        (REQUEST, "jwt:corp#0123456789abcdef", "jwt:corp#0123456789abcdef"),
        (REQUEST, None, None),
        (RECORD, "AROASHOPEXAMPLE12345", "sender AROASHOPEXAMPLE12345"),
        (RECORD, "111122223333", "account 111122223333"),
    ],
)
def test_caller_is_short(fields: dict[str, Any], key: str | None, caller: str | None) -> None:
    assert entry(fields, callerKey=key).caller == caller


HOSTILE = ({"a": 1}, ["x"], 10**400, -(10**400), 1e999, float("nan"), True, None, "x" * 100_000, "\x1b[2J", "\ud800")


@pytest.mark.parametrize("value", HOSTILE)
def test_value_of_another_type_or_length_is_not_kept(value: Any) -> None:
    """Trap G2: another person may have written the file."""
    for fields in (REQUEST, RECORD):
        found = entry({**dict.fromkeys(fields, value), "message": fields["message"], "more": value})
        assert isinstance(found.content, Content)
        text = json.dumps([found.summary(), found.content.line], allow_nan=False)
        assert len(text) < 60_000


def test_steps_of_the_bridge_are_those_of_the_line() -> None:
    found = detail(entry(REQUEST, milliseconds={"parse": 0.5, "decide": 1.0, "total": 1.5}), lambda _: None)
    steps = [(step["name"], step["from"], step["ms"]) for step in found["steps"]]
    assert steps == [("bridge", 0.0, 1.5), ("bridge: parse", 0.0, 0.5), ("bridge: decide", 0.5, 1.0)]
    assert (found["came_in"], found["event"], found["invocations"], found["reply"]) == (None, None, [], None)


def test_credential_in_a_line_is_masked() -> None:
    """A path may contain a token. No credential reaches the page, or the output of `--json`."""
    secret = "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJ1LTEifQ.c2lnbmF0dXJl"
    found = entry(REQUEST, path=f"/reset/{secret}", detail=f"token {secret}")
    assert isinstance(found.content, Content)
    assert secret not in json.dumps([found.summary(), found.content.line, found.content.text])


def test_time_that_is_none_is_not_guessed() -> None:
    assert [seconds(value) for value in ("2026-11-21T09:00:00", "yesterday", None, 7)] == [
        1795251600.0,
        None,
        None,
        None,
    ]
    assert entry(REQUEST, timestamp="yesterday").at == 0


@pytest.mark.parametrize("text", ["9999-12-31T23:59:59-12:00", "0001-01-01T00:00:00+14:00"])
def test_time_is_one_that_utc_has(text: str) -> None:
    """Trap G2: an offset moves it beyond the years of a calendar."""
    found = seconds(text)
    assert found is not None
    assert datetime.fromtimestamp(found, UTC).year in (1, 9999)


def test_caller_that_is_no_arn_stays_as_it_is() -> None:
    assert caller_in_words("arn:aws:iam::111122223333:user/ann") == "user ann"
    assert caller_in_words("nonsense") == "nonsense"
