"""The log of the stack for a person."""

from __future__ import annotations

import json
import textwrap
from dataclasses import replace
from typing import Any, Final

import click
import pytest

from lattice_bridge.local.aws.async_invokes import Delivery as SentRecord
from lattice_bridge.local.aws.async_invokes import Try
from lattice_bridge.local.aws.event_bridge.deliveries import Delivery as EventDelivery
from lattice_bridge.local.aws.event_bridge.deliveries import Event
from lattice_bridge.local.front.exchange.exchange import AnsweredRequest
from lattice_bridge.local.sources.delivery import Batch, Delivered, Delivery, StreamBatch, StreamDelivery
from lattice_bridge.local.terminal_lines import TerminalLines
from lattice_bridge.local.web.admission import Refused
from tests.support.paths import ROOT
from tests.support.written import assert_written

BRIDGE: Final = "arn:aws:lambda:us-east-1:123456789012:function:Bridge:live"
TRACE: Final = "Root=1-67891233-abcdef012345678912345678;Parent=53995c3f42cd8ad8;Sampled=0"
LINE: Final = {
    "level": "INFO",
    "message": "request",
    "requestId": "id-1",
    "method": "GET",
    "path": "/orders",
    "status": 200,
    "reason": "ok",
    "tenant": "blue",
    "rule": "blue-api",
    "backend": "/orders",
    "milliseconds": {"total": 7.2},
}
REFUSED: Final = {**LINE, "status": 403, "reason": "tenant_not_allowed", "detail": "d", "tenant": None, "backend": None}


def lines_of(*, width: int | None = 80, colour: bool = False) -> TerminalLines:
    return TerminalLines(colour=colour, width=lambda: width, clock=lambda: "12:00:03")


def answer(status: int = 200, path: str = "/orders", **more: Any) -> AnsweredRequest:
    return AnsweredRequest("id-1", "GET", path, status, 12.4, **more)


def through_bridge(bridge: dict[str, Any], request: AnsweredRequest, width: int | None = 80) -> list[str]:
    """The lines of a request that a bridge served, and whose trace reached the function `orders`."""
    lines = lines_of(width=width)
    lines.invoking("id-1", BRIDGE, TRACE)
    lines.invoked("Bridge", TRACE)
    if bridge["reason"] == "ok":
        lines.invoked("orders", TRACE.replace("Parent=5", "Parent=6"))
    assert [*lines.function_output("Bridge#1", json.dumps(bridge))] == []
    return [*lines.answered(request)]


def test_request_through_the_bridge_is_one_line() -> None:
    (line,) = through_bridge(LINE, answer())
    assert line.split() == ["12:00:03", "200", "GET", "/orders", "blue", "blue-api", "orders", "12", "ms"]
    assert len(line) == 80


def test_refusal_of_the_bridge_has_its_cause_in_words_below() -> None:
    line, *cause = through_bridge(REFUSED, answer(403))
    assert line.split() == ["12:00:03", "403", "GET", "/orders", "-", "tenant_not_allowed", "12", "ms"]
    assert " ".join(map(str.strip, cause)) == (
        "The rule blue-api does not allow the tenant that the tenant header asks for. "
        "Fix: send another tenant, or add this one to the rule"
    )
    assert all(len(part) <= 80 and part.startswith(" " * 9) for part in cause)


def test_pipe_gets_the_whole_cause_in_one_line() -> None:
    assert len(through_bridge(REFUSED, answer(403), width=None)) == 2


@pytest.mark.parametrize(
    ("request_", "shown", "cause"),
    [
        (answer(), ["200", "GET", "/orders", "-", "-", "Bridge"], ""),
        (
            answer(504, refusal=Refused(504, "Gateway Timeout", f"{BRIDGE} timed out", reason="function_timeout")),
            ["504", "GET", "/orders", "-", "function_timeout", "Bridge"],
            "Bridge timed out",
        ),
    ],
    ids=["answered", "timed out"],
)
def test_function_without_a_bridge_is_shown_without_a_tenant(
    request_: AnsweredRequest, shown: list[str], cause: str
) -> None:
    lines = lines_of()
    lines.invoking("id-1", BRIDGE, TRACE)
    lines.invoked("other", TRACE)  # it invokes another function itself
    line, *words = lines.answered(request_)
    assert (line.split()[1:-2], " ".join(words).strip()) == (shown, cause)


@pytest.mark.parametrize(
    ("request_", "reason", "cause"),
    [
        (
            answer(403, refusal=Refused(403, "to the client", "no statement allows it", reason="auth_policy")),
            "auth_policy",
            "No statement allows it",
        ),
        (answer(404, fixed="no listener rule matches"), "fixed_response", "No listener rule matches"),
    ],
    ids=["auth policy", "no route"],
)
def test_request_that_reached_no_function_has_its_cause(request_: AnsweredRequest, reason: str, cause: str) -> None:
    line, words = lines_of().answered(request_)
    assert (line.split()[1:-2], words.strip()) == ([str(request_.status), "GET", "/orders", "-", reason], cause)


@pytest.mark.parametrize("label", ["orders/blue#1", "Bridge/blue#1", "Bridge2#1"])
def test_line_of_another_function_is_not_the_bridges(label: str) -> None:
    """Trap D11: a backend knows the request's id, and could name another tenant in the request's line."""
    lines = lines_of()
    lines.invoking("id-1", BRIDGE, TRACE)
    (forged,) = lines.function_output(label, json.dumps({**LINE, "tenant": "green"}))
    assert forged.startswith(f"[{label}]  200 ")
    (line,) = lines.answered(answer())
    assert "green" not in line


def test_direct_invocation_of_the_bridge_is_shown_behind_its_label() -> None:
    line, cause, _ = lines_of().function_output("Bridge#1", json.dumps(REFUSED))
    assert line.split() == ["[Bridge#1]", "403", "GET", "/orders", "-", "tenant_not_allowed", "7", "ms"]
    assert len(line) <= 80
    assert cause.startswith("         The rule blue-api")


@pytest.mark.parametrize("total", [10**400, -(10**400), 1e300, True, None, "1"], ids=lambda total: repr(total)[:9])
def test_line_with_any_milliseconds_is_shown(total: object) -> None:
    """Trap D11: a function prints what it likes. A line that fails would end the reading of its output."""
    line, *_ = lines_of().function_output("orders#1", json.dumps({**LINE, "milliseconds": {"total": total}}))
    assert line.startswith("[orders#1]  200 GET")
    assert len(line) <= 80


def test_answered_request_is_forgotten() -> None:
    """Trap D9: what is kept of requests has a bound, that of the requests in progress."""
    lines = lines_of()
    lines.invoking("id-1", BRIDGE, TRACE)
    assert [*lines.answered(answer())]
    assert [*lines.function_output("Bridge#1", json.dumps(LINE))], "the line of an unknown request is shown"


@pytest.mark.parametrize("width", [80, 120])
def test_long_names_are_shortened_to_the_terminal_and_a_tenant_is_not(width: int) -> None:
    """Trap D11: two tenants whose names differ in the middle never look the same."""
    tenant = "customer-00000001-eu"
    bridge = {**LINE, "tenant": tenant, "rule": "a-rule-with-a-long-name"}
    (line,) = through_bridge(bridge, answer(path="/orders/" + "x" * 200 + "/end"), width)
    assert len(line) == width
    assert tenant in line.split()
    assert line.split()[3].startswith("/orde")
    assert "…" in line.split()[3]


def test_control_characters_of_a_caller_are_escaped() -> None:
    """Trap G3."""
    bridge = {**REFUSED, "reason": "new\x1b[2J", "detail": "d\x9b", "rule": "\u202e"}
    for line in through_bridge(bridge, answer(403, "/\x1b]0;title\x07")):
        assert line.isprintable()


@pytest.mark.parametrize("status", [200, 302, 404, 503])
def test_status_has_the_colour_of_its_class(status: int) -> None:
    colour = {2: "green", 3: "cyan", 4: "yellow", 5: "red"}[status // 100]
    (line,) = lines_of(colour=True).answered(answer(status))
    assert f" {click.style(str(status), fg=colour)} " in line
    assert "\x1b" not in "".join(lines_of().answered(answer(status)))


@pytest.mark.parametrize("text", ['{"_aws":{"CloudWatchMetrics":[]}}', '{"a": 1, "_aws": {"CloudWatchMetrics": []}}'])
def test_metric_line_is_not_shown(text: str) -> None:
    assert [*lines_of().function_output("orders#1", text)] == []


@pytest.mark.parametrize(
    "text", ["hello", '{"message": "request"}', '{"message":"map","map":1}', '{"_aws": 1}', "\t{", "{"]
)
def test_other_output_is_shown_as_it_is(text: str) -> None:
    assert [*lines_of().function_output("orders#1", text)] == [f"[orders#1]  {text}"]


def test_stack_trace_has_lines() -> None:
    """The runtime client prints one with carriage returns and no-break spaces."""
    text = "[ERROR] KeyError\nTraceback:\n\xa0\xa0File x\x1b"
    assert [*lines_of().function_output("orders#1", text)] == [
        "[orders#1]  [ERROR] KeyError",
        "  Traceback:",
        "    File x\\x1b",
    ]


def test_line_of_node_is_shown_without_time_and_request_id() -> None:
    """The terminal has both elsewhere. Only the beginning of a line is such a prefix."""
    prefix = "2026-01-02T03:04:05.678Z\t0f8fad5b-d9cb-469f-a165-70867728950e\t"
    shown = lines_of().function_output
    assert [*shown("orders#1", f"{prefix}INFO\thello {prefix}INFO\t")] == [f"[orders#1]  INFO\thello {prefix}INFO\t"]
    assert [*shown("orders#1", f"{prefix}hello")] == [f"[orders#1]  {prefix}hello"]


@pytest.mark.parametrize(
    ("fields", "shown"),
    [
        ({"message": "map", "reason": "ok", "map": "a"}, ["bridge.toml was loaded"]),
        ({"message": "map", "reason": "ok", "map": "a", "replaces": "b"}, ["bridge.toml was loaded again"]),
        (
            {"message": "map", "reason": "config_invalid", "map": "a", "faults": ["tenants: x"]},
            ["bridge.toml does not load; the last one that loaded stays active:", "- tenants: x"],
        ),
        (
            {"message": "closed", "reason": "config_invalid", "faults": ["a", "b"]},
            ["bridge.toml does not load; every request gets a 503:", "- a", "- b"],
        ),
    ],
)
def test_bridges_line_about_its_configuration_is_a_sentence(fields: dict[str, Any], shown: list[str]) -> None:
    found = [*lines_of().function_output("Bridge#1", json.dumps(fields))]
    assert found == [f"[Bridge#1]  {shown[0]}", *(f"  {line}" for line in shown[1:])]


def test_error_is_folded_and_a_command_to_paste_is_not() -> None:
    text = "curl " * 40
    assert [*lines_of().message("info", text)] == [text]
    assert max(map(len, lines_of().message("error", text))) <= 80


# ---- records and batches --------------------------------------------------------------------------------------------

RECORD: Final = {
    "message": "record",
    "requestId": "id-1",
    "source": "orders.fifo",
    "id": "m-1",
    "status": "done",
    "reason": "ok",
    "tenant": "blue",
    "rule": "order-service",
    "milliseconds": {"total": 7.2},
}
REFUSED_RECORD: Final = {**RECORD, "reason": "tenant_not_allowed", "detail": "not one of its tenants", "tenant": None}
BATCH: Final = Batch(
    "orders.fifo",
    BRIDGE,
    "id-1",
    tuple(Delivered(f"m-{number}", "g-7", number) for number in (1, 2, 3)),
    (TRACE, "Root=1-sender"),
    hidden_for=90,
    dead_letters=("orders-dead.fifo", 3),
)


def delivered(*records: dict[str, Any], label: str = "Bridge#1", **ended: Any) -> list[str]:
    """The lines of a batch that a function answers, with the lines that the function has written."""
    lines = lines_of()
    lines.delivering(BATCH)
    written = [line for record in records for line in lines.function_output(label, json.dumps(record))]
    return [*written, *lines.delivered(Delivery(BATCH, 12.4, **ended))]


def test_record_of_a_bridge_is_one_line_with_its_queue_and_group() -> None:
    (line,) = delivered(RECORD)
    assert line.split() == ["12:00:03", "ok", "SQS", "orders.fifo/g-7", "blue", "order-service", "7", "ms"]
    assert len(line) == 80


@pytest.mark.parametrize(
    ("source", "shown"),
    [
        ("event-bus/shop", ["BUS", "shop"]),
        ("stream/clicks", ["KINESIS", "clicks"]),
        ("table/orders", ["DYNAMODB", "orders"]),
        ("orders", ["SQS", "orders"]),
    ],
)
def test_record_that_is_in_no_batch_is_shown_with_the_service_of_its_source(source: str, shown: list[str]) -> None:
    """An event of a bus, or of a pipe, comes by an asynchronous or a direct invocation."""
    (line,) = lines_of().function_output("Bridge#1", json.dumps({**RECORD, "source": source}))
    assert line.split()[:4] == ["[Bridge#1]", "ok", *shown]


@pytest.mark.parametrize(
    ("status", "words"),
    [
        ("failed", "Not one of its tenants. Received once: it comes again in 90 s"),
        ("quarantined", "Not one of its tenants. A copy is in the quarantine"),
    ],
)
def test_refused_record_has_its_reason_and_its_cause(status: str, words: str) -> None:
    line, *cause = delivered({**REFUSED_RECORD, "reason": "claim_odd", "status": status})
    assert line.split() == ["12:00:03", "err", "SQS", "orders.fifo/g-7", "-", "claim_odd", "7", "ms"]
    assert " ".join(map(str.strip, cause)) == words


@pytest.mark.parametrize("trace", [TRACE.replace("Parent=5", "Parent=6"), "Root=1-sender;Parent=7"])
def test_record_that_is_done_names_the_function_that_its_bridge_invoked(trace: str) -> None:
    """The bridge continues the trace of its own invocation, or that of the sender."""
    lines = lines_of()
    lines.delivering(BATCH)
    lines.invoked("Bridge", TRACE)
    lines.invoked("worker", trace)
    lines.invoked("other", trace)  # the worker invokes another function itself
    (line,) = lines.function_output("Bridge#1", json.dumps(RECORD))
    assert line.split()[4:] == ["blue", "order-service", "worker", "7", "ms"]


def test_record_of_a_trace_that_two_batches_have_names_no_function() -> None:
    lines = lines_of()
    lines.delivering(BATCH)
    lines.delivering(replace(BATCH, request_id="id-2"))
    lines.invoked("worker", "Root=1-sender")
    (line,) = lines.function_output("Bridge#1", json.dumps(RECORD))
    assert "worker" not in line


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ("m-1", "Received once: it comes again in 90 s"),
        ("m-3", "Received 3 times: in 90 s it goes to orders-dead.fifo"),
    ],
)
def test_failed_record_says_what_the_queue_does_with_it(message: str, words: str) -> None:
    _, *cause = delivered({**RECORD, "id": message, "status": "failed", "reason": "backend_odd", "detail": "odd"})
    assert " ".join(map(str.strip, cause)) == f"Odd. {words}"


def test_function_cannot_forge_the_record_of_a_batch() -> None:
    line, _ = delivered(RECORD, label="worker#1")
    assert line.startswith("[worker#1]  ok ")


def test_batch_of_another_function_is_one_line() -> None:
    (line,) = delivered()
    assert line.split() == ["12:00:03", "ok", "SQS", "orders.fifo/g-7", "-", "3", "messages", "Bridge", "12", "ms"]


def test_partial_failure_names_the_messages_that_stay_in_the_queue() -> None:
    line, *cause = delivered(failed=frozenset({"m-2", "m-3"}))
    assert "err SQS orders.fifo/g-7" in line
    assert "2 of 3 failed" in line
    assert " ".join(map(str.strip, cause)) == (
        "The function reports m-2 (group g-7, received 2 times), m-3 (group g-7, received 3 times)"
    )


def test_cause_of_a_batch_that_failed_is_shown_once() -> None:
    lines = lines_of()
    failed = Delivery(BATCH, 12.4, frozenset({"m-1", "m-2", "m-3"}), "add a valid tenant ID")
    assert [line.strip() for line in lines.delivered(failed)][1:] == ["Add a valid tenant ID"]
    assert len([*lines.delivered(failed)]) == 1
    assert len([*lines.delivered(Delivery(BATCH, 12.4))]) == 1
    assert len([*lines.delivered(failed)]) == 2


def test_note_about_a_mapping_is_shown_below_its_batch() -> None:
    line, *cause = delivered(RECORD, note="the answer is ignored")[1:]
    assert "err SQS" in line
    assert cause == ["         The answer is ignored"]


def test_group_cannot_write_control_characters() -> None:
    """Trap G3: a client chooses the message group."""
    lines = lines_of()
    batch = replace(BATCH, messages=(Delivered("m", "a\x1b[2J", 1),))
    assert "orders.fifo/a\\x1b[2J" in next(lines.delivered(Delivery(batch, 1.0)))


# ---- batches of streams ---------------------------------------------------------------------------------------------

SHARD: Final = StreamBatch("kinesis", "clicks", "shardId-0", BRIDGE, "id-1", ("21", "22", "23"), (TRACE,))


def test_batch_of_a_stream_is_one_line_with_its_shard() -> None:
    lines = lines_of()
    lines.delivering(SHARD)
    (line,) = lines.delivered(StreamDelivery(SHARD, 12.4, checkpoint="23"))
    expected = ["12:00:03", "ok", "KINESIS", "clicks/shardId-0", "-", "3", "records", "Bridge", "12", "ms"]
    assert line.split() == expected
    assert len(line) == 80


@pytest.mark.parametrize(
    ("delivery", "decided", "words"),
    [
        (
            {"failed": 2, "checkpoint": "22", "retry_in": 0.5},
            "2 of 3 failed",
            "Checkpoint 22: 2 records come again in 0.5 s",
        ),
        ({"failed": 3, "retry_in": 1.0}, "3 of 3 failed", "The function reports 21: 3 records come again in 1 s"),
        (
            {"failed": 3, "error": "ValueError: no", "retry_in": 0.0},
            "3 of 3 failed",
            "ValueError: no. 3 records come again at once, in halves",
        ),
        (
            {"failed": 3, "error": "ValueError: no", "retry_in": 2.0, "note": "this batch blocks the shard"},
            "3 of 3 failed",
            "ValueError: no. 3 records come again in 2 s. This batch blocks the shard",
        ),
        (
            {"failed": 3, "error": "no", "condition": "RetryAttemptsExhausted", "destination": "dead"},
            "3 records discarded",
            "No. Retries are used up: 3 records are discarded; dead has their place in the stream",
        ),
        (
            {"failed": 1, "condition": "RecordAgeExceeded", "destination": "dead"},
            "1 record discarded",
            "Too old: 1 record is discarded; dead has its place in the stream",
        ),
        (
            {"failed": 1, "condition": "RecordAgeExceeded", "note": "no destination"},
            "1 record discarded",
            "Too old: 1 record is discarded. No destination",
        ),
        ({"note": "Lambda ignores the answer"}, "3 records", "Lambda ignores the answer"),
    ],
)
def test_batch_of_a_stream_shows_what_happens_to_records_that_did_not_succeed(
    delivery: dict[str, Any], decided: str, words: str
) -> None:
    lines = lines_of()
    lines.delivering(SHARD)
    line, *below = lines.delivered(StreamDelivery(SHARD, 12.4, **delivery))
    assert f"err KINESIS clicks/shardId-0  -  {decided}" in " ".join(line.split()).replace(" - ", "  -  ")
    assert " ".join(map(str.strip, below)) == words


def test_error_of_a_stream_s_batch_is_shown_once() -> None:
    """A batch that blocks its shard is tried again for hours."""
    lines = lines_of()
    failed = StreamDelivery(SHARD, 12.4, 3, error="add a valid tenant ID", retry_in=20.0)
    below = [[line.strip() for line in lines.delivered(failed)][1:] for _ in range(2)]
    assert below == [["Add a valid tenant ID. 3 records come again in 20 s"], ["3 records come again in 20 s"]]


def test_bridge_has_a_line_for_each_record_of_a_shard_and_one_for_a_checkpoint() -> None:
    lines = lines_of()
    record = {**RECORD, "source": "stream/clicks", "id": "21"}
    for delivery, count in (({}, 1), ({"failed": 2, "checkpoint": "22", "retry_in": 0.5}, 3)):
        lines.delivering(SHARD)
        first, *others = [
            *lines.function_output("Bridge#1", json.dumps(record)),
            *lines.delivered(StreamDelivery(SHARD, 12.4, **delivery)),  # type: ignore[arg-type]  # a table of changes
        ]
        assert first.split() == [
            *("12:00:03", "ok", "KINESIS", "clicks", "blue", "order-service", "7", "ms"),
        ]
        assert len(others) == count - 1
    assert others[1].strip() == "Checkpoint 22: 2 records come again in 0.5 s"


def test_record_of_a_stream_shows_its_partition_key_and_one_of_a_table_no_key() -> None:
    """Trap G3: a producer chooses the partition key. The key of an item is its content."""
    lines = lines_of(width=120)
    lines.delivering(replace(SHARD, partition_keys={"21": "blue\x1b[2J"}))
    lines.delivering(replace(SHARD, service="dynamodb", stream="items", request_id="id-2"))
    record = {**RECORD, "source": "stream/clicks", "id": "21"}
    (first,) = lines.function_output("Bridge#1", json.dumps(record))
    (part,) = lines.function_output("Bridge#1", json.dumps({**record, "id": "21:0"}))
    (item,) = lines.function_output("Bridge#1", json.dumps({**record, "source": "table/items", "requestId": "id-2"}))
    assert "KINESIS clicks/blue\\x1b[2J" in first
    assert "KINESIS clicks  " in part
    assert "DYNAMODB items  " in item


@pytest.mark.parametrize(
    ("source", "shown"),
    [
        ("stream/clicks", "KINESIS clicks"),
        ("table/items", "DYNAMODB items"),
        ("event-bus/shop", "BUS shop"),
        ("event-bus", "BUS event-bus"),
        ("orders", "SQS orders"),
    ],
)
def test_record_outside_a_batch_is_shown_with_its_service_and_source(source: str, shown: str) -> None:
    """EventBridge invokes a bridge with an event, not with a batch."""
    lines = lines_of()
    record = {**REFUSED_RECORD, "source": source, "reason": "no_rule", "detail": "no rule"}
    line, *cause = lines.function_output("Bridge#1", json.dumps(record))
    assert line.startswith(f"[Bridge#1]  err {shown} ")
    kind = {"KINESIS": "stream", "DYNAMODB": "table", "BUS": "bus"}.get(shown.split()[0], "queue")
    assert f"the {kind} as its `source`" in " ".join(map(str.strip, cause))


# ---- the sample in the documents ------------------------------------------------------------------------------------


# ---- asynchronous invocations ---------------------------------------------------------------------------------------

TRY: Final = Try("orders:live", "blue", "id-1", 1, 3, 12.4)
FAILURES: Final = "arn:aws:sqs:us-east-1:123456789012:failures"
AUDIT: Final = "arn:aws:lambda:us-east-1:123456789012:function:audit"


def tried(one: Try, *, colour: bool = False) -> tuple[str, str]:
    """The line of a try, and the text below it."""
    first, *below = lines_of(colour=colour).tried(one)
    return first, " ".join(map(str.strip, below))


def test_try_that_succeeds_is_one_line_with_the_function_and_its_tenant() -> None:
    line, below = tried(replace(TRY, condition="Success"))
    assert line.split() == ["12:00:03", "ok", "Event", "1", "of", "3", "blue", "Success", "orders:live", "12", "ms"]
    assert (len(line), below) == (80, "")


def test_try_that_fails_shows_when_the_next_one_is() -> None:
    line, below = tried(replace(TRY, error="ValueError: no", pause=60.0))
    assert line.split()[:2] == ["12:00:03", "err"]
    assert "again in 60 s" in line
    assert below == "ValueError: no"


@pytest.mark.parametrize(
    ("condition", "deliveries", "words"),
    [
        ("RetriesExhausted", [SentRecord(FAILURES)], "ValueError: no. Sent to failures"),
        ("EventAgeExceeded", [SentRecord(FAILURES), SentRecord(AUDIT)], "Sent to failures. Sent to audit"),
        (
            "RetriesExhausted",
            [],
            "The event is lost: the function has no destination for failures here. Fix: write OnFailure",
        ),
        (
            "RetriesExhausted",
            [SentRecord(FAILURES, "no such queue")],
            "The destination failures does not take it: no such queue. The event",
        ),
    ],
)
def test_event_that_is_given_up_shows_where_it_is(condition: Any, deliveries: list[SentRecord], words: str) -> None:
    line, below = tried(replace(TRY, error="ValueError: no.", condition=condition, deliveries=tuple(deliveries)))
    assert condition in line
    assert words in below


def test_lost_event_is_red() -> None:
    for line in tried(replace(TRY, error="no", condition="RetriesExhausted"), colour=True):
        assert click.style("x", fg="red").partition("x")[0] in line


def test_record_of_a_success_that_nothing_takes_is_an_error_and_not_a_lost_event() -> None:
    line, below = tried(replace(TRY, condition="Success", deliveries=(SentRecord(AUDIT, "no tenant id"),)))
    assert line.split()[1] == "err"
    assert below == "The destination audit does not take it: no tenant id"


def test_try_shows_no_control_character() -> None:
    line, below = tried(
        replace(TRY, function="a\x1b[2J", tenant="b\u202e", error="c\x07", condition="RetriesExhausted")
    )
    assert (line + below).isprintable()


def sample() -> list[str]:
    """A terminal with 80 columns: requests that are allowed, refused by rule or by auth policy, or that fail."""
    refused = Refused(
        403,
        "to the client",
        "no statement of the auth policy Policy of the service Shop allows it; the request is not signed. "
        "Fix: sign it, or change the policy",
        reason="auth_policy",
    )
    slow = {**LINE, "status": 504, "reason": "backend_timeout", "function": "orders:live"}
    slow["detail"] = "the function ran into its own timeout"
    broken = {"status": "quarantined", "reason": "claim_missing", "detail": "the record has no attribute tenant"}
    broken |= {"tenant": "", "id": "m-2"}
    output = "Task timed out after 3.00 seconds  RequestId: 8c5a1f0e-2b7d-4c7e-9d43-6a0c1f2e3b4d  TenantId: blue"
    return [
        *through_bridge(LINE, answer(path="/orders/17")),
        *through_bridge(REFUSED, answer(403)),
        *lines_of().answered(answer(403, refusal=refused)),
        *lines_of().function_output("orders/blue#1", f"{output}  Duration: 3001.32 ms"),
        *through_bridge(slow, replace(answer(504), milliseconds=3012.0)),
        *delivered({**RECORD, "source": "orders"}, {**RECORD, **broken}),
        *lines_of().tried(replace(TRY, error="RuntimeError: the stock is not known", pause=60.0)),
        *lines_of().tried(
            replace(TRY, number=3, error="RuntimeError: the stock is not known", condition="RetriesExhausted")
        ),
        *lines_of().answered(answer(404, "/favicon.ico", fixed="no listener rule of the service shop matches")),
    ]


def test_page_shows_the_written_lines() -> None:
    """A longer line of a function goes on in the terminal's next line."""
    shown = [line[start : start + 80] for line in sample() for start in range(0, len(line), 80)]
    text = "\n".join(["```", *shown, "```"])
    assert_written(ROOT / "docs" / "local.md", "terminal", textwrap.indent(text, "  ", lambda _: True))


# ---- events of buses ------------------------------------------------------------------------------------------------

PLACED: Final = Event("e-1", "orders", "shop", "Order Placed", '{"secret": 1}')


def test_delivered_event_is_one_line_with_bus_rule_and_target() -> None:
    (line,) = lines_of().event_delivered(EventDelivery(PLACED, "placed", "worker", 3.4))
    words = ["12:00:03", "ok", "BUS", "orders/Order", "Placed", "-", "placed", "worker", "3", "ms"]
    assert line.split() == words
    assert len(line) == 80


def test_event_that_is_not_delivered_has_its_cause_and_what_follows_below() -> None:
    failed = EventDelivery(PLACED, "placed", "worker", 3.4, "rate exceeded", "tried again in 4 s")
    line, *cause = lines_of().event_delivered(failed)
    assert " err BUS orders/Order Placed" in line
    assert [text.strip() for text in cause] == ["Rate exceeded. Tried again in 4 s"]


def test_event_that_no_rule_takes_is_one_line() -> None:
    (line,) = lines_of().event_lost(PLACED, "no rule takes it")
    assert "ok  BUS orders/Order Placed  -            no rule takes it" in line


def test_event_prints_no_control_character_of_its_publisher() -> None:
    (line,) = lines_of().event_lost(replace(PLACED, detail_type="a\x1b[2J"), "no rule takes it")
    assert "orders/a\\x1b[2J" in line
