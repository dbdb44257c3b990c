"""The log of the stack for programs."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from lattice_bridge.local.aws.async_invokes import Delivery as SentRecord
from lattice_bridge.local.aws.async_invokes import Try
from lattice_bridge.local.aws.event_bridge.deliveries import Delivery as EventDelivery
from lattice_bridge.local.aws.event_bridge.deliveries import Event
from lattice_bridge.local.front.exchange.exchange import AnsweredRequest
from lattice_bridge.local.json_lines import JsonLines
from lattice_bridge.local.sources.delivery import Batch, Delivered, Delivery, StreamBatch, StreamDelivery
from lattice_bridge.local.web.admission import Refused


def output(line: str) -> dict[str, Any]:
    (written,) = JsonLines().function_output("orders/blue#1", line)
    assert written.isascii()
    assert written.isprintable()
    found: dict[str, Any] = json.loads(written)
    assert found.pop("time") > 0
    return found


@pytest.mark.parametrize(
    "line", ['{"reason":"ok","n":{"a":[1,2.5,null]}}', '{"é": "\\ud800"}', "{}", '{"a":\n1e5,\t"b": "\x7f"}']
)
def test_json_line_of_a_function_is_an_object(line: str) -> None:
    """A carriage return in a function's line arrives here as a line break, which would end the stack's own line."""
    assert output(line) == {"environment": "orders/blue#1", "object": json.loads(line)}


@pytest.mark.parametrize(
    "line",
    [
        *(
            "hello",
            "",
            "[1]",
            '"a"',
            "{",
            '{"a": 1} x',
            '{"a": NaN}',
            '{"a": 1e999}',
            '{"a": -1e999}',
            '{"a": 1, "a": 2}',
        ),
        '{"a": ' + "[" * 5000 + "]" * 5000 + "}",
        '{"a": ' + "9" * 5000 + "}",
    ],
)
def test_other_line_stays_a_string(line: str) -> None:
    """An object would lose a part of it, or would not be JSON."""
    assert output(line) == {"environment": "orders/blue#1", "line": line}


def test_request_is_written_if_the_front_refused_it() -> None:
    lines = JsonLines()
    refusal = Refused(403, "sent to the client", "the cause", reason="auth_policy")
    (line,) = lines.answered(AnsweredRequest("id", "GET", "/a", 403, 1.0, refusal))
    found = json.loads(line)
    assert (found["level"], found["message"]) == ("warning", "front: GET /a: 403: the cause")
    assert [*lines.answered(AnsweredRequest("id", "GET", "/a", 200, 1.0))] == []
    assert [*lines.answered(AnsweredRequest("id", "GET", "/a", 404, 1.0, fixed="no rule"))] == []


def test_batch_is_a_line_without_content_of_its_messages() -> None:
    """Trap E24: ids, and why they failed."""
    batch = Batch("orders", "worker", "id-1", (Delivered("m-1", "secret-group", 1), Delivered("m-2", None, 1)))
    (line,) = JsonLines().delivered(Delivery(batch, 12.3456, frozenset({"m-2"}), note="why"))
    found = json.loads(line)
    assert found.pop("time") > 0
    assert found == {
        "level": "warning",
        "message": "batch",
        "queue": "orders",
        "function": "worker",
        "requestId": "id-1",
        "messages": ["m-1", "m-2"],
        "failed": ["m-2"],
        "milliseconds": 12.346,
        "note": "why",
    }


def test_event_is_a_line_without_its_content() -> None:
    """Trap E24: ids, the names that the publisher gave, and what became of it."""
    event = Event("e-1", "orders", "shop", "Order Placed", '{"secret": 1}', "Root=secret")
    (line,) = JsonLines().event_delivered(EventDelivery(event, "placed", "worker", 1.23456, "no", "dropped", "fix"))
    found = json.loads(line)
    assert found.pop("time") > 0
    assert found == {
        "level": "warning",
        "message": "event",
        "id": "e-1",
        "bus": "orders",
        "source": "shop",
        "detailType": "Order Placed",
        "rule": "placed",
        "target": "worker",
        "milliseconds": 1.235,
        "error": "no",
        "outcome": "dropped",
        "note": "fix",
    }
    (line,) = JsonLines().event_lost(event, "no rule takes it")
    assert json.loads(line)["rule"] is None


TRY = Try("orders:live", "blue", "id-1", 1, 3, 12.4)


@pytest.mark.parametrize(
    ("one", "level", "members"),
    [
        (replace(TRY, condition="Success"), "info", {"condition": "Success", "deliveries": []}),
        (
            replace(TRY, error="E: no", pause=60.0),
            "warning",
            {"error": "E: no", "nextTrySeconds": 60.0, "deliveries": []},
        ),
        (
            replace(TRY, error="E: no", condition="RetriesExhausted", deliveries=(SentRecord("arn", "no such queue"),)),
            "error",
            {
                "error": "E: no",
                "condition": "RetriesExhausted",
                "lost": True,
                "deliveries": [{"destination": "arn", "error": "no such queue"}],
            },
        ),
    ],
)
def test_try_of_an_asynchronous_invocation_is_written(one: Try, level: str, members: dict[str, Any]) -> None:
    (line,) = JsonLines().tried(one)
    found = json.loads(line)
    assert found.pop("time") > 0
    assert found == {
        "level": level,
        "message": "asynchronous invocation",
        "function": "orders:live",
        "requestId": "id-1",
        "tenant": "blue",
        "try": 1,
        "of": 3,
        "milliseconds": 12.4,
        **members,
    }


@pytest.mark.parametrize(
    ("ended", "fields"),
    [
        ({"checkpoint": "10"}, {"level": "info", "failed": [], "checkpoint": "10"}),
        (
            {"failed": 2, "condition": "RecordAgeExceeded"},
            {
                "level": "error",
                "failed": ["9", "10"],
                "checkpoint": None,
                "discarded": "RecordAgeExceeded",
                "destination": None,
                "lost": True,
            },
        ),
        (
            {"failed": 1, "checkpoint": "10", "retry_in": 0.5},
            {
                "failed": ["10"],
                "checkpoint": "10",
                "retryInSeconds": 0.5,
            },
        ),
        (
            {"failed": 2, "error": "no", "condition": "RetryAttemptsExhausted", "destination": "dead"},
            {
                "failed": ["9", "10"],
                "checkpoint": None,
                "discarded": "RetryAttemptsExhausted",
                "destination": "dead",
                "error": "no",
            },
        ),
    ],
)
def test_batch_of_a_stream_is_a_line_with_its_checkpoint(ended: dict[str, Any], fields: dict[str, Any]) -> None:
    batch = StreamBatch("kinesis", "clicks", "shardId-0", "worker", "id-1", ("9", "10"))
    (line,) = JsonLines().delivered(StreamDelivery(batch, 12.3456, **ended))
    found = json.loads(line)
    assert found.pop("time") > 0
    assert found == {
        "level": "warning",
        "message": "batch",
        "service": "kinesis",
        "stream": "clicks",
        "shard": "shardId-0",
        "function": "worker",
        "requestId": "id-1",
        "records": ["9", "10"],
        "milliseconds": 12.346,
        **fields,
    }
