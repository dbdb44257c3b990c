"""One log line and one metric line a request, and what is never in them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lattice_bridge import Decision, Request
from lattice_bridge.errors import BackendFailed, BridgeError, Forbidden, InvalidMap, Misconfigured
from lattice_bridge.telemetry import (
    MAX_TEXT,
    NAMESPACE_VARIABLE,
    Circumstances,
    Record,
    lines,
    look_lines,
    namespace_of,
)


class Clock:
    """A second further at each look."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        self.now += 1
        return self.now


def record(**fields: Any) -> Record:
    made = Record(Clock())
    for name, value in {"status": 200, **fields}.items():
        setattr(made, name, value)
    return made


def written(made: Record, request_id: str = "r-1") -> tuple[dict[str, Any], dict[str, Any]]:
    text = lines(made, Circumstances(request_id, cold=False, map_sha256="abc", now=1763683200.5))
    assert text.isascii()
    assert text.endswith("\n")
    log, metric = text.splitlines()
    return json.loads(log), json.loads(metric)


def test_a_record_books_the_time_of_each_step() -> None:
    made = record()
    made.step("parse")
    made.step("decide")
    assert (made.end(), made.milliseconds) == (3000.0, {"parse": 1000.0, "decide": 1000.0})


def test_the_fields_of_the_log_are_a_closed_set() -> None:
    """Trap D11."""
    request = Request(2, "GET", "/orders", "token=secret", (("authorization", "secret"),), "secret")
    log, _ = written(record(request=request, decision=Decision("blue", "r", chosen_by="rule"), backend="/"))
    assert set(log) == {
        "timestamp",
        "level",
        "message",
        "requestId",
        "method",
        "path",
        "status",
        "reason",
        "tenant",
        "rule",
        "backend",
        "milliseconds",
        "cold",
        "map",
    }
    assert "secret" not in json.dumps(log)


@pytest.mark.parametrize(
    ("refusal", "status", "level"),
    [(None, 200, "INFO"), (None, 404, "INFO"), (Forbidden("denied"), 403, "WARN"), (BackendFailed("x"), 502, "ERROR")],
)
def test_the_level_says_whose_fault_it_is(refusal: BridgeError | None, status: int, level: str) -> None:
    assert written(record(refusal=refusal, status=status))[0]["level"] == level


def test_a_long_text_is_cut() -> None:
    """Trap D9."""
    request = Request(2, "GET", "/" + "a" * 1_000_000)
    made = record(request=request, refusal=Misconfigured("internal", "b" * 1_000_000))
    text = lines(made, Circumstances("r" * 1_000_000, cold=True, map_sha256=None, now=0.0))
    assert len(text) < 4 * MAX_TEXT + 2000


def test_a_cut_text_of_escapes_stays_short() -> None:
    """Trap D9: every character may take twelve bytes."""
    request = Request(2, "GET", "/" + "\U0001f600" * 100_000)
    assert len(json.dumps(written(record(request=request))[0])) < 12 * MAX_TEXT + 1000


def test_no_metric_has_a_dimension_that_callers_can_grow() -> None:
    """Trap D9."""
    _, metric = written(record(decision=Decision("blue", "r"), backend="/"))
    [definition] = metric["_aws"]["CloudWatchMetrics"]
    assert definition["Dimensions"] == [["Backend"], ["Backend", "Reason"]]
    assert {unit["Name"] for unit in definition["Metrics"]} <= set(metric)
    assert (metric["Backend"], metric["Reason"], metric["_aws"]["Timestamp"]) == ("/", "ok", 1763683200500)


def test_a_request_that_reached_no_backend_is_counted_under_none() -> None:
    _, metric = written(record(refusal=Forbidden("denied"), status=403))
    assert (metric["Backend"], metric["Reason"], metric["Refusals"], metric["Errors"]) == ("none", "denied", 1, 0)


def test_overhead_is_the_time_that_was_not_the_backends() -> None:
    made = record()
    made.step("parse")
    made.step("invoke")
    _, metric = written(made)
    assert (metric["Latency"], metric["Overhead"]) == (3000.0, 2000.0)


@pytest.mark.parametrize(
    ("least", "status", "logged"),
    [("TRACE", 200, 1), ("INFO", 200, 1), ("WARN", 200, 0), ("ERROR", 502, 1), ("FATAL", 502, 0), ("odd", 200, 1)],
)
def test_a_log_line_below_the_level_is_not_written_and_the_metric_line_always_is(
    least: str, status: int, logged: int
) -> None:
    text = lines(record(status=status), Circumstances("r-1", cold=False, map_sha256=None, now=0.0), least)
    assert text.count("\n") == logged + 1
    assert '"_aws"' in text.splitlines()[-1]


@settings(deadline=None)
@given(st.text(alphabet=st.characters(codec=None)), st.text(alphabet=st.characters(codec=None)))
def test_no_text_makes_a_third_line(path: str, detail: str) -> None:
    """Trap D11."""
    made = record(request=Request(2, "GET", path), refusal=Forbidden("denied", detail), status=403)
    log, _ = written(made, detail)
    assert (log["path"], log["requestId"]) == (path[:MAX_TEXT], detail[:MAX_TEXT])


def test_metrics_go_to_the_namespace_that_the_environment_names() -> None:
    around = Circumstances("r-1", cold=False, map_sha256=None, now=0.0)
    request = lines(record(), around, namespace="Staging").splitlines()[-1]
    look = look_lines(None, None, None, 0.0, "Staging").splitlines()[-1]
    assert [json.loads(line)["_aws"]["CloudWatchMetrics"][0]["Namespace"] for line in (request, look)] == [
        "Staging"
    ] * 2


@pytest.mark.parametrize("namespace", ["AWS/Lambda", "a b", "a:b", "ä", "a\n", "a" * 256])
def test_a_namespace_that_cloudwatch_would_not_take_is_told(namespace: str) -> None:
    with pytest.raises(InvalidMap, match=NAMESPACE_VARIABLE):
        namespace_of({NAMESPACE_VARIABLE: namespace})


@pytest.mark.parametrize("environ", [{}, {NAMESPACE_VARIABLE: ""}])
def test_without_a_namespace_it_is_ours(environ: dict[str, str]) -> None:
    assert namespace_of(environ) == "LatticeBridge"
