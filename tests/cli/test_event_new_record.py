"""`event new --source` for streams, tables and buses: as the builders of the testing kit."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from lattice_bridge.testing import (
    dynamodb_event,
    dynamodb_record,
    eventbridge_event,
    kinesis_event,
    pipe_event,
    sqs_event,
)
from lattice_bridge.testing.departures import departures
from tests.support.commands import assert_harmless, read


@pytest.mark.parametrize(
    ("arguments", "made"),
    [
        (("kinesis",), kinesis_event("{}")),
        (
            ("kinesis", "--stream", "carts", "--partition-key", "blue", "--body", "text", "--sequence-number", "7"),
            kinesis_event("text", stream="carts", partition_key="blue", sequence_number="7"),
        ),
        (
            ("kinesis", "--json-body", '{"tenant": "blue"}', "--time", "1763683200000000", "--pipe"),
            pipe_event(kinesis_event('{"tenant": "blue"}', arrived=1763683200000000)),
        ),
        (("sqs", "--body", "x", "--pipe"), pipe_event(sqs_event("x"))),
        (("dynamodb",), dynamodb_event(dynamodb_record())),
        (
            ("dynamodb", "--table", "carts", "--keys", '{"tenant": "blue", "id": 7}', "--new-image", '{"price": 1.50}'),
            dynamodb_event(dynamodb_record({"tenant": "blue", "id": 7}, new={"price": Decimal("1.50")}, table="carts")),
        ),
        (
            ("dynamodb", "--new-image", '{"owner": "blue"}', "--old-image", '{"owner": "green"}'),
            dynamodb_event(dynamodb_record(new={"owner": "blue"}, old={"owner": "green"})),
        ),
        (("eventbridge",), eventbridge_event()),
        (
            (
                *("eventbridge", "--bus-source", "aws.s3", "--detail-type", "Object Created", "--region", "us-east-1"),
                *("--event-account", "444455556666", "--event-id", "e-1", "--json-body", '{"tenant": "blue"}'),
            ),
            eventbridge_event(
                {"tenant": "blue"},
                source="aws.s3",
                detail_type="Object Created",
                account="444455556666",
                region="us-east-1",
                event_id="e-1",
            ),
        ),
    ],
)
def test_new_makes_the_event_of_the_builder(arguments: tuple[str, ...], made: Any) -> None:
    done = read("event", "new", "--source", *arguments)
    assert json.loads(done.output) == made
    assert [one for one in departures(made) if one.where != "/id"] == []


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (
            ("kinesis", "--queue", "q"),
            "--queue is for --source sqs, and --source kinesis makes a record of a stream. Fix",
        ),
        (("sqs", "--stream", "s"), "--stream is for --source kinesis, and --source sqs makes a message. Fix: leave it"),
        (("sqs", "--sequence-number", "7"), "--sequence-number is for --source kinesis or dynamodb, and --source sqs"),
        (("dynamodb", "--body", "x"), "--body is for a request, and --source dynamodb makes a change of a table."),
        (
            ("eventbridge", "--pipe"),
            "--pipe is for --source sqs or kinesis or dynamodb, and --source eventbridge makes",
        ),
        (("eventbridge", "--body", "x"), "--body is for a request, and --source eventbridge makes an event of a bus."),
        (("kinesis", "--path", "/x"), "--path is for a request, and --source kinesis makes a record of a stream."),
        (("kinesis", "--partition-key", ""), "--partition-key has the length 0. Fix: write 1 to 256"),
        (("kinesis", "--stream", "a b"), "--stream 'a b' is not the name of a stream. Fix: write 1 to 128"),
        (("kinesis", "--sequence-number", "x"), "--sequence-number 'x' is not one. Fix: write 1 to 128 decimal digits"),
        (("kinesis", "--body", "a", "--json-body", "1"), "give either --body or --json-body"),
        (("dynamodb", "--keys", "x"), "--keys: not JSON"),
        (("dynamodb", "--keys", "[1]"), "--keys: not an object. Fix: write one, as in"),
        (("dynamodb", "--keys", '{"a": true}'), "--keys: 'a' is True, which no key can be."),
        (("dynamodb", "--new-image", '{"id": "2"}'), "--new-image: 'id' is a key, and keys has another value."),
        (("dynamodb", "--old-image", "7"), "--old-image: not an object"),
        (("eventbridge", "--json-body", "[]"), "--json-body is a list, and EventBridge takes an object."),
        (("eventbridge", "--event-account", "acme"), "--event-account 'acme' is not one. Fix: write 12 digits"),
        (("eventbridge", "--bus-source", ""), "--bus-source '' is not one. Fix: write 1 to 256 characters"),
        (("eventbridge", "--region", "x\x1b[2J"), "--region 'x\\x1b[2J' is not one, as in eu-west-1"),
    ],
)
def test_option_that_cannot_be_is_wrong_usage(arguments: tuple[str, ...], fault: str) -> None:
    done = read("event", "new", "--source", *arguments)
    assert done.exit_code == 2
    assert fault in done.output
    assert_harmless(done.output)


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (("--stream", "s"), "--stream is for a record. Fix: add --source kinesis"),
        (("--keys", "{}"), "--keys is for a record. Fix: add --source dynamodb"),
        (("--bus-source", "s"), "--bus-source is for a record. Fix: add --source eventbridge"),
        (("--pipe",), "--pipe is for a record. Fix: add --source sqs or kinesis or dynamodb"),
    ],
)
def test_option_of_a_record_without_its_source_is_wrong_usage(arguments: tuple[str, ...], fault: str) -> None:
    done = read("event", "new", *arguments)
    assert done.exit_code == 2
    assert fault in done.output
