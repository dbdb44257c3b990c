"""Departures of events of queues: none in true ones, each kind in wrong ones."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final

import pytest

from lattice_bridge.testing import all_events, sqs_event, sqs_record
from lattice_bridge.testing.departures import departures
from tests.support.commands import assert_harmless, read
from tests.support.paths import ROOT

TRUE: Final = [
    case
    for case in all_events("sqs/*")
    if all(not one["fault"] for one in case.expected.get("records", [{"fault": 1}]))
]
FALSE: Final = [case for case in all_events("sqs/*") if case not in TRUE]


@pytest.mark.parametrize("case", TRUE, ids=lambda case: case.name)
def test_event_as_lambda_makes_it_has_no_departures(case: Any) -> None:
    assert departures(case.event) == []


@pytest.mark.parametrize("case", FALSE, ids=lambda case: case.name)
def test_event_that_the_router_refuses_has_a_departure_that_says_so(case: Any) -> None:
    assert [one.row for one in departures(case.event) if one.refused] == ["Records of SQS"]


def test_row_is_a_heading_of_the_page() -> None:
    assert "## 6. Records of SQS" in (ROOT / "docs" / "wire.md").read_text(encoding="utf-8")


Change = Callable[[dict[str, Any]], object]
MESSAGE: Final = {"attributes": {"tenant": "blue"}, "queue": "orders.fifo"}


@pytest.mark.parametrize(
    ("change", "where", "sends"),
    [
        (lambda record: record.update(md5OfBody="x"), "/md5OfBody", "the MD5 of the body: "),
        (lambda record: record.update(awsRegion="us-east-1"), "/awsRegion", "the queue's region: eu-west-1"),
        (lambda record: record.update(eventSourceARN="orders"), "/eventSourceARN", "the ARN of a queue"),
        (lambda record: record.update(odd=1), "/odd", "no such key"),
        (lambda record: record.pop("receiptHandle"), "/receiptHandle", "a string, always there"),
        (lambda record: record.pop("messageAttributes"), "/messageAttributes", "an object, always there"),
        (lambda record: record["attributes"].update(SentTimestamp=1), "/attributes/SentTimestamp", "a string, also of"),
        (lambda record: record["attributes"].pop("SequenceNumber"), "/attributes/SequenceNumber", "a string, always"),
        (lambda record: record["attributes"].update(odd="1"), "/attributes/odd", "no such key"),
        (lambda record: record["messageAttributes"].update(x="1"), "/messageAttributes/x", "an object with dataType"),
        (
            lambda record: record["messageAttributes"]["tenant"].update(StringValue="blue"),
            *("/messageAttributes/tenant/StringValue", "no such key"),
        ),
        (
            lambda record: record["messageAttributes"]["tenant"].pop("stringListValues"),
            *("/messageAttributes/tenant/stringListValues", "an empty list"),
        ),
    ],
)
def test_difference_is_found_at_its_place(change: Change, where: str, sends: str) -> None:
    event = sqs_event(sqs_record(**MESSAGE))  # type: ignore[arg-type] # keyword arguments of one type
    change(event["Records"][0])
    (found,) = (one for one in departures(event) if one.where == f"/Records/0{where}")
    assert found.sends.startswith(sends)
    assert not found.refused


def test_records_of_two_queues_or_with_one_id_are_found() -> None:
    one, other = sqs_record(message_id="m-1"), sqs_record(message_id="m-1", queue="others")
    assert [found.where for found in departures({"Records": [one, other]})] == [
        "/Records/0/messageId",
        "/Records/1/messageId",
        "/Records/1/eventSourceARN",
    ]


# ---- the commands ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["check", "parse"])
@pytest.mark.parametrize(
    "event",
    [
        {
            "Records": [
                {"messageId": "\x1b[2J", "body": "\x1b[2J", "attributes": {"\x1b[2J": 1}, "messageAttributes": 7}
            ]
        },
        {
            "Records": [
                {"eventSource": "aws:sqs", "messageId": "m", "eventSourceARN": 1, "attributes": {"SenderId": []}}
            ]
        },
        {"Records": [7]},
        {"Records": [], "x" * 5000: "\u202e"},
        {"Records": [{"eventSource": "\ud800" * 5000}]},
    ],
)
def test_hostile_event_of_a_queue_is_refused_and_harmless(command: str, event: object) -> None:
    done = read("event", command, "-", stdin=json.dumps(event))
    assert done.exit_code == 1
    assert_harmless(done.output)


def test_parse_shows_no_content_of_a_message() -> None:
    """Trap E24."""
    event = json.dumps(sqs_event("4111-card", attributes={"tenant": "secret-7"}))
    for arguments in ((), ("--json",)):
        done = read("event", "parse", *arguments, "-", stdin=event)
        assert done.exit_code == 0
        assert "4111" not in done.output
        assert "secret-7" not in done.output


# ---- event new ------------------------------------------------------------------------------------------------------


def test_new_makes_the_event_of_the_builder() -> None:
    done = read(
        *("event", "new", "--source", "sqs", "--queue", "orders.fifo", "--group", "blue", "--attribute", "tenant=a=b"),
        *("--json-body", '{"order": 7}', "--message-id", "m-1", "--sender", "AIDAEXAMPLEEXAMPLE123"),
    )
    made = sqs_event(
        '{"order": 7}',
        queue="orders.fifo",
        group="blue",
        attributes={"tenant": "a=b"},
        message_id="m-1",
        sender="AIDAEXAMPLEEXAMPLE123",
    )
    assert json.loads(done.output) == made
    assert departures(made) == []


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (
            ("--source", "sqs", "--path", "/x"),
            "--path is for a request, and --source sqs makes a message. Fix: leave it out",
        ),
        (("--source", "sqs", "-H", "a: b"), "--header is for a request, and --source sqs makes a message"),
        (("--source", "sqs", "--front", "alb"), "--front is for a request, and --source sqs makes a message"),
        (("--queue", "orders"), "--queue is for a record. Fix: add --source sqs"),
        (("--attribute", "a=b"), "--attribute is for a record. Fix: add --source sqs"),
        (("--source", "sqs", "--attribute", "a"), "--attribute 'a': no = in it. Fix: write 'tenant=blue'"),
        (("--source", "sqs", "--sender", "shop"), "--sender 'shop' is not what SQS writes. Fix: write"),
        (("--source", "sqs", "--queue", "a b"), "--queue 'a b' is not the name of a queue. Fix: write"),
        (("--source", "sqs", "--body", ""), "--body is empty, and SQS takes no message without one. Fix: write one"),
        (("--source", "sqs", "--body", "a", "--json-body", "1"), "give either --body or --json-body"),
        (("--source", "sqs", "--json-body", "{"), "--json-body is not JSON"),
    ],
)
def test_option_that_cannot_be_is_wrong_usage(arguments: tuple[str, ...], fault: str) -> None:
    done = read("event", "new", *arguments)
    assert done.exit_code == 2
    assert fault in done.output


def test_list_and_show_have_the_events_of_queues() -> None:
    listed = read("event", "list", "--json")
    assert "sqs/standard" in [case["name"] for case in json.loads(listed.output)]
    shown = read("event", "show", "sqs/standard")
    assert json.loads(shown.output)["Records"][0]["eventSource"] == "aws:sqs"
