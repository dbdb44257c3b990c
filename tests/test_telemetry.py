"""The log line and the metric line of a request, and the values that they never contain."""

from __future__ import annotations

import hashlib
import json
import re
import weakref
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lattice_bridge import Decision, Request
from lattice_bridge.errors import BackendFailed, BridgeError, Forbidden, InvalidMap, Misconfigured
from lattice_bridge.identity.principal import parse_arn
from lattice_bridge.identity.token import Tokens
from lattice_bridge.message import Caller
from lattice_bridge.runtime.process import process_secret
from lattice_bridge.telemetry import (
    MAX_TEXT,
    NAMESPACE_VARIABLE,
    BatchLog,
    LogContext,
    RequestLog,
    caller_key,
    lines,
    namespace_of,
    reload_lines,
)
from lattice_bridge.tenancy.decide import decide
from lattice_bridge.tenancy.rules import Rules
from lattice_bridge.tenancy.subject import Subject


class Clock:
    """Advances by a second at each reading."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        self.now += 1
        return self.now


def record(**fields: Any) -> RequestLog:
    made = RequestLog(Clock())
    for name, value in {"status": 200, **fields}.items():
        setattr(made, name, value)
    return made


def written(made: RequestLog, request_id: str = "r-1") -> tuple[dict[str, Any], dict[str, Any]]:
    text = lines(made, LogContext(request_id, cold=False, map_sha256="abc", now=1763683200.5))
    assert text.isascii()
    assert text.endswith("\n")
    log, metric = text.splitlines()
    return json.loads(log), json.loads(metric)


def test_each_step_has_its_milliseconds() -> None:
    made = record()
    made.step("parse")
    made.step("decide")
    assert (made.end(), made.milliseconds) == (3000.0, {"parse": 1000.0, "decide": 1000.0})


def test_log_fields_are_a_closed_set() -> None:
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


def test_failed_call_logs_its_function_and_request_id() -> None:
    made = record(function="orders:live", refusal=BackendFailed("backend_raised"), status=502)
    made.set_lambda_request_id("4f0e6a58-7d4b-4c0f-9a53-0c5c1d8e2f11")
    log, metric = written(made)
    assert (log["function"], log["lambdaRequestId"]) == ("orders:live", "4f0e6a58-7d4b-4c0f-9a53-0c5c1d8e2f11")
    assert not {"function", "lambdaRequestId"} & set(metric)


def test_served_request_logs_neither_function_nor_request_id() -> None:
    made = record(function="orders:live")
    made.set_lambda_request_id("4f0e6a58")
    assert not {"function", "lambdaRequestId"} & set(written(made)[0])


@pytest.mark.parametrize("request_id", ["", "a b", "a\n", "é", "<script>", "a" * 65, "a,b", "\u0661"])
def test_request_id_of_another_form_is_not_logged(request_id: str) -> None:
    """Trap D11: the id is text from the network."""
    made = record(refusal=BackendFailed("backend_raised"), status=502)
    made.set_lambda_request_id("4f0e6a58")
    made.set_lambda_request_id(request_id)
    assert "lambdaRequestId" not in written(made)[0]


@pytest.mark.parametrize(
    ("refusal", "status", "level"),
    [(None, 200, "INFO"), (None, 404, "INFO"), (Forbidden("denied"), 403, "WARN"), (BackendFailed("x"), 502, "ERROR")],
)
def test_level_follows_status_and_refusal(refusal: BridgeError | None, status: int, level: str) -> None:
    assert written(record(refusal=refusal, status=status))[0]["level"] == level


# ---- the caller of a refused request --------------------------------------------------------------------------------

STS = "arn:aws:sts::111122223333:"
IAM = "arn:aws:iam::111122223333:"


def signed(principal: str) -> Caller:
    return Caller(authenticated=True, iam=parse_arn(principal))


@pytest.mark.parametrize(
    ("principal", "key"),
    [
        (f"{STS}assumed-role/blue-api/ann@example.com", "111122223333/blue-api"),
        (f"{IAM}role/team/blue-api", "111122223333/blue-api"),
        ("arn:aws-cn:sts::444455556666:assumed-role/api/x1", "aws-cn:444455556666/api"),
        (f"{IAM}user/team/ann", "111122223333:user/ann"),
        (f"{IAM}root", "111122223333:root"),
        (f"{STS}federated-user/ann@example.com", "111122223333:federated-user"),
    ],
)
def test_key_of_a_principal_has_no_name_that_a_session_chose(principal: str, key: str) -> None:
    """Trap D11: the session of a person who signs in with IAM Identity Center is named by an e-mail address."""
    assert caller_key(signed(principal), {}) == key


def test_subject_of_a_token_is_a_hash_that_only_this_process_can_repeat() -> None:
    """Trap D11: a plain SHA-256 of an e-mail address is found by trying addresses."""
    tokens: Tokens = {"corp": {"sub": "ann@example.com"}, "other": {}}
    key = caller_key(signed(f"{IAM}role/api"), tokens)
    digest = hashlib.blake2b(b"ann@example.com", digest_size=8, key=process_secret()).hexdigest()
    assert key == f"111122223333/api jwt:corp#{digest} jwt:other"
    assert digest != hashlib.blake2b(b"ann@example.com", digest_size=8).hexdigest()
    assert caller_key(Caller(), {"corp": {"sub": "bob@example.com"}}) != caller_key(Caller(), {"corp": tokens["corp"]})


@pytest.mark.parametrize(
    ("subject", "written"),
    [
        ("auth0|ann@example.com", "jwt:corp/auth0|ann@example.com"),
        ("a 111122223333/api\n", "jwt:corp/a%20111122223333/api%0A"),
        ("\ud800", "jwt:corp/%ED%A0%80"),
        (17, "jwt:corp"),
    ],
)
def test_full_form_has_the_subject_and_no_second_caller(subject: object, written: str) -> None:
    """Trap D11: a subject is a string of the issuer's user."""
    assert caller_key(Caller(), {"corp": {"sub": subject}}, "full") == written


@pytest.mark.parametrize(
    ("reason", "status", "logged"),
    [(None, 200, False), (Forbidden("no_rule"), 403, True), (Misconfigured("internal"), 500, False)],
)
def test_only_a_refusal_has_the_caller(reason: BridgeError | None, status: int, logged: bool) -> None:
    request = Request(2, "GET", "/", caller=signed(f"{IAM}role/api"))
    assert ("callerKey" in written(record(request=request, refusal=reason, status=status))[0]) is logged


def test_decision_keeps_a_refused_subject_and_shows_no_claim() -> None:
    """Trap D11."""
    subject = Subject(signed(f"{IAM}role/api"), {"corp": {"sub": "secret"}})
    decision = decide(subject, Rules.build("x-tenant-id", [], []))
    assert decision.subject is subject
    assert "secret" not in repr(decision)
    request = Request(2, "GET", "/", caller=subject.caller)
    log = written(record(request=request, decision=decision, refusal=decision.refusal, status=403))[0]
    assert log["callerKey"].startswith("111122223333/api jwt:corp#")


def test_long_string_is_cut() -> None:
    """Trap D9."""
    request = Request(2, "GET", "/" + "a" * 1_000_000)
    made = record(request=request, refusal=Misconfigured("internal", "b" * 1_000_000))
    text = lines(made, LogContext("r" * 1_000_000, cold=True, map_sha256=None, now=0.0))
    assert len(text) < 4 * MAX_TEXT + 2000


def test_cut_string_of_escapes_stays_short() -> None:
    """Trap D9: every character may take twelve bytes."""
    request = Request(2, "GET", "/" + "\U0001f600" * 100_000)
    assert len(json.dumps(written(record(request=request))[0])) < 12 * MAX_TEXT + 1000


def test_metric_dimensions_have_few_values() -> None:
    """Trap D9."""
    _, metric = written(record(decision=Decision("blue", "r"), backend="/"))
    [definition] = metric["_aws"]["CloudWatchMetrics"]
    assert definition["Dimensions"] == [["Backend"], ["Backend", "Reason"]]
    assert {unit["Name"] for unit in definition["Metrics"]} <= set(metric)
    assert (metric["Backend"], metric["Reason"], metric["_aws"]["Timestamp"]) == ("/", "ok", 1763683200500)


def test_request_without_backend_is_counted_under_none() -> None:
    _, metric = written(record(refusal=Forbidden("denied"), status=403))
    assert (metric["Backend"], metric["Reason"], metric["Refusals"], metric["Errors"]) == ("none", "denied", 1, 0)


def test_overhead_is_latency_without_the_invocation() -> None:
    made = record()
    made.step("parse")
    made.step("invoke")
    _, metric = written(made)
    assert (metric["Latency"], metric["Overhead"]) == (3000.0, 2000.0)


@pytest.mark.parametrize(
    ("least", "status", "logged"),
    [("TRACE", 200, 1), ("INFO", 200, 1), ("WARN", 200, 0), ("ERROR", 502, 1), ("FATAL", 502, 0), ("odd", 200, 1)],
)
def test_log_line_below_the_level_is_not_written_and_metric_line_is(least: str, status: int, logged: int) -> None:
    text = lines(record(status=status), LogContext("r-1", cold=False, map_sha256=None, now=0.0), least)
    assert text.count("\n") == logged + 1
    assert '"_aws"' in text.splitlines()[-1]


@settings(deadline=None)
@given(st.text(alphabet=st.characters(codec=None)), st.text(alphabet=st.characters(codec=None)))
def test_no_string_makes_a_third_line(path: str, detail: str) -> None:
    """Trap D11."""
    made = record(request=Request(2, "GET", path), refusal=Forbidden("denied", detail), status=403)
    log, _ = written(made, detail)
    assert (log["path"], log["requestId"]) == (path[:MAX_TEXT], detail[:MAX_TEXT])


def test_metrics_have_the_namespace_of_the_environment() -> None:
    around = LogContext("r-1", cold=False, map_sha256=None, now=0.0)
    request = lines(record(), around, namespace="Staging").splitlines()[-1]
    look = reload_lines(None, None, None, 0.0, "Staging").splitlines()[-1]
    assert [json.loads(line)["_aws"]["CloudWatchMetrics"][0]["Namespace"] for line in (request, look)] == [
        "Staging"
    ] * 2


@pytest.mark.parametrize("namespace", ["AWS/Lambda", "a b", "a:b", "ä", "a\n", "a" * 256])
def test_namespace_that_cloudwatch_refuses_is_a_fault(namespace: str) -> None:
    with pytest.raises(InvalidMap, match=NAMESPACE_VARIABLE):
        namespace_of({NAMESPACE_VARIABLE: namespace})


@pytest.mark.parametrize("environ", [{}, {NAMESPACE_VARIABLE: ""}])
def test_default_namespace_is_ours(environ: dict[str, str]) -> None:
    assert namespace_of(environ) == "LatticeBridge"


# ---- records --------------------------------------------------------------------------------------------------------

ANY_TEXT = st.text(alphabet=st.characters(codec=None), max_size=MAX_TEXT + 2)
SECONDS = st.one_of(st.floats(0, 1e6), st.integers(0, 10**9).map(lambda micros: micros / 1e6))
FAULTS = st.one_of(st.none(), st.builds(BackendFailed, ANY_TEXT, ANY_TEXT), st.builds(Forbidden, ANY_TEXT, ANY_TEXT))


def without_times(line: str) -> str:
    return re.sub(r'"milliseconds":\{[^}]*\}', "", line)


def line_of(times: list[float], request_id: str, map_sha256: str | None, began: tuple[Any, ...], facts: Any) -> str:
    """The line of a record whose steps begin and end at these times."""
    written: list[str] = []
    clock = iter([0.0, *times]).__next__
    log = BatchLog(written.append, SimpleNamespace(aws_request_id=request_id), map_sha256, clock=clock)
    made = log.begin(*began)
    for number in range(len(times) - 2):
        made.step(f"step{number}")
    for name, value in facts.items():
        setattr(made, name, value)
    log.end(made)
    [line] = written
    return line


@settings(deadline=None)
@given(
    times=st.lists(SECONDS, min_size=2, max_size=6).map(sorted),
    texts=st.tuples(ANY_TEXT.filter(bool), ANY_TEXT.filter(bool)),
    began=st.tuples(
        st.none() | ANY_TEXT,
        st.sampled_from([None, "arn:aws:sqs:eu-west-1:111122223333:orders.fifo", "arn:x:a b"]),
        st.none() | st.integers(0, 10**9),
    ),
    decision=st.none() | st.builds(Decision, st.none() | ANY_TEXT, st.none() | ANY_TEXT),
    fault=FAULTS,
    others=st.tuples(st.none() | ANY_TEXT, st.none() | ANY_TEXT, st.sampled_from(["", "4f0e-6a", "a b"])),
)
def test_line_of_a_record_is_what_json_makes_of_its_members(
    times: list[float],
    texts: tuple[str, str],
    began: tuple[str | None, str | None, int | None],
    decision: Decision | None,
    fault: BridgeError | None,
    others: tuple[str | None, str | None, str],
) -> None:
    """Traps D9 and D11: each string is cut and escaped, and only the milliseconds have another form: three decimals."""
    facts = {"decision": decision, "fault": fault, "function": others[0], "refused_sender": others[1]}
    line = line_of(times, texts[0], texts[1], began, {**facts, "lambda_request_id": others[2]})
    steps = {f"step{number}": (end - start) * 1000 for number, (start, end) in enumerate(pairwise(times[1:]))}
    members = {
        "timestamp": json.loads(line)["timestamp"],
        "level": "ERROR" if fault else "INFO",
        "message": "record",
        "requestId": texts[0],
        "source": "orders.fifo" if (began[1] or "").endswith("orders.fifo") else None,
        "id": began[0],
        "status": "failed" if fault else "done",
        "reason": fault.reason if fault else "ok",
        "detail": fault.detail if fault else None,
        "callerKey": others[1] if fault else None,
        "function": others[0] if fault else None,
        "lambdaRequestId": "4f0e-6a" if fault and others[2] == "4f0e-6a" else None,
        "tenant": decision.tenant if decision else None,
        "rule": decision.rule if decision else None,
        "receiveCount": began[2],
        "milliseconds": {
            **{name: round(spent, 3) for name, spent in steps.items()},
            "total": round((times[-1] - times[0]) * 1000, 3),
        },
        "map": texts[1],
    }
    cut = {name: value[:MAX_TEXT] if isinstance(value, str) else value for name, value in members.items()}
    expected = {name: value for name, value in cut.items() if value is not None}
    assert json.loads(line) == expected
    assert without_times(line) == without_times(json.dumps(expected, separators=(",", ":")) + "\n")


class Name(str):
    """A string that a weak reference can follow."""


def test_name_of_an_api_outlives_no_line() -> None:
    """Trap D9: with [function_url], an event names any API, in any length."""
    api = Name("a1b2c3")
    seen = weakref.ref(api)
    request = Request(version=2, method="GET", path="/", source="apigateway", api_id=api)
    made = record(request=request, decision=Decision("blue", "one"), backend="/")
    assert written(made)[0]["api"] == "a1b2c3"
    del made, request, api
    assert seen() is None
