"""Departures of events of streams, tables, buses and pipes: none in true ones, each kind in wrong ones."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, given, settings

from lattice_bridge.errors import BridgeError
from lattice_bridge.events.batch import batch_of
from lattice_bridge.testing import (
    all_events,
    dynamodb_event,
    dynamodb_record,
    eventbridge_event,
    kinesis_event,
    kinesis_record,
    load_event,
    pipe_event,
)
from lattice_bridge.testing.corpus import RECORDS
from lattice_bridge.testing.departures import departures
from lattice_bridge.testing.strategies import anything
from tests.support.commands import assert_harmless, read
from tests.support.examples import examples
from tests.support.paths import ROOT

FOLDERS: Final = [name for name in RECORDS if name != "sqs"]
CASES: Final = [case for folder in FOLDERS for case in all_events(f"{folder}/*")]
AGGREGATED: Final = "aggregated"


def is_used(case: Any) -> bool:
    """Whether the router can use each of the records, if the stream is one with `deaggregate`."""
    records = case.expected.get("records", [{"fault": "refused"}])
    parts = [part for one in records for part in one.get("parts", ())]
    return all(one["fault"] in (None, AGGREGATED) for one in records) and not any(one["fault"] for one in parts)


@pytest.mark.parametrize("case", [case for case in CASES if is_used(case)], ids=lambda case: case.name)
def test_event_as_aws_makes_it_has_no_departures(case: Any) -> None:
    assert departures(case.event) == []


@pytest.mark.parametrize("case", [case for case in CASES if not is_used(case)], ids=lambda case: case.name)
def test_event_that_the_router_refuses_has_a_departure_that_says_so(case: Any) -> None:
    assert [one for one in departures(case.event) if one.refused]


def test_rows_are_headings_of_the_page() -> None:
    page = (ROOT / "docs" / "wire.md").read_text(encoding="utf-8")
    rows = {one.row for case in CASES for one in departures(case.event)}
    assert rows == {"Records of SQS", "Records of Kinesis", "Records of DynamoDB Streams", "Events of EventBridge"}
    assert all(f" {row}\n" in page for row in rows)


Change = Callable[[Any], object]


@pytest.mark.parametrize(
    ("change", "where", "sends"),
    [
        (lambda one: one.update(odd=1), "/odd", "no such key"),
        (lambda one: one.update(eventVersion="2.0"), "/eventVersion", "1.0"),
        (lambda one: one.update(awsRegion="us-east-1"), "/awsRegion", "the region in the ARN: eu-west-1"),
        (lambda one: one.update(eventSourceARN="clicks"), "/eventSourceARN", "the ARN of a stream or of its consumer"),
        (lambda one: one.update(eventID="7"), "/eventID", "the shard and the sequence number"),
        (lambda one: one.pop("invokeIdentityArn"), "/invokeIdentityArn", "a string, always there"),
        (lambda one: one["kinesis"].update(odd=1), "/kinesis/odd", "no such key"),
        (lambda one: one["kinesis"].pop("kinesisSchemaVersion"), "/kinesis/kinesisSchemaVersion", "a string, always"),
        (
            lambda one: one["kinesis"].update(approximateArrivalTimestamp="1"),
            *("/kinesis/approximateArrivalTimestamp", "seconds since 1970"),
        ),
    ],
)
def test_difference_of_a_record_of_kinesis_is_found_at_its_place(change: Change, where: str, sends: str) -> None:
    event = kinesis_event()
    change(event["Records"][0])
    (found,) = departures(event)
    assert (found.where, found.sends.startswith(sends), found.refused) == (f"/Records/0{where}", True, False)


@pytest.mark.parametrize(
    ("change", "where", "sends"),
    [
        (lambda one: one.update(odd=1), "/odd", "no such key"),
        (lambda one: one.update(eventVersion="1.0"), "/eventVersion", "1.1"),
        (lambda one: one.update(eventID="7"), "/eventID", "32 hexadecimal digits"),
        (lambda one: one.update(eventName="MODIFY"), "/dynamodb/OldImage", "an image, or none, as eventName"),
        (lambda one: one["dynamodb"].update(odd=1), "/dynamodb/odd", "no such key"),
        (lambda one: one["dynamodb"].update(SizeBytes="1"), "/dynamodb/SizeBytes", "a number, always there"),
        (lambda one: one["dynamodb"].update(StreamViewType="ALL"), "/dynamodb/StreamViewType", "one of NEW_AND_OLD"),
        (lambda one: one["dynamodb"]["Keys"].update(id="1"), "/dynamodb/Keys/id", "an object with one of S, N, B"),
        (lambda one: one["dynamodb"]["NewImage"].update(n={"N": 7}), "/dynamodb/NewImage/n", "a value of its type"),
        (
            lambda one: one["dynamodb"]["NewImage"].update(m={"M": {"l": {"L": [{"X": 1}]}}}),
            *("/dynamodb/NewImage/m/M/l/L/0", "a value of its type"),
        ),
        (
            lambda one: one.update(eventSourceARN="arn:aws:dynamodb:eu-west-1:111122223333:table/orders"),
            *("/eventSourceARN", "the ARN of a table's stream"),
        ),
    ],
)
def test_difference_of_a_change_is_found_at_its_place(change: Change, where: str, sends: str) -> None:
    event = dynamodb_event()
    change(event["Records"][0])
    (found,) = departures(event)
    assert (found.where, found.sends.startswith(sends), found.refused) == (f"/Records/0{where}", True, False)


@pytest.mark.parametrize(
    ("changes", "sends", "refused"),
    [
        ({"odd": 1}, ["no such key"], False),
        ({"version": 0}, ["0, as a string"], False),
        ({"id": "7"}, ["a UUID"], False),
        ({"time": "today"}, ["as in 2025-11-21T00:00:00Z"], False),
        ({"region": None}, ["as in eu-west-1"], False),
        ({"resources": "x"}, ["a list of strings, always there"], False),
        ({"detail": "text"}, ["an object, always there"], False),
        ({"replay-name": "again"}, [], False),
        ({"account": 111122223333}, ["12 digits, as a string", "what EventBridge writes"], True),
    ],
)
def test_difference_of_an_event_of_a_bus_is_found(changes: dict[str, Any], sends: list[str], refused: bool) -> None:
    found = departures({**eventbridge_event(), **changes})
    assert [one.sends for one in found] == sends
    assert any(one.refused for one in found) == refused


def test_records_of_two_streams_and_out_of_order_are_found() -> None:
    """Trap E11: `9` is below `10`."""
    two = [kinesis_record(sequence_number="10"), kinesis_record(sequence_number="9", stream="other")]
    assert [(one.where, one.found) for one in departures({"Records": two})] == [
        ("/Records/1/eventSourceARN", '"arn:aws:kinesis:eu-west-1:111122223333:stream/other"'),
        ("/Records/1", '"9"'),
    ]


def test_aggregate_is_no_departure_and_one_that_cannot_be_read_is() -> None:
    """Trap E18."""
    assert departures(kinesis_event(kinesis_record(aggregated=[("blue", "1"), ("green", "2")]))) == []
    inner = kinesis_record(aggregated=[("blue", "1")])["kinesis"]["data"]
    nested = kinesis_record(aggregated=[("blue", base64.b64decode(inner))])
    assert [one.refused for one in departures(kinesis_event(nested))] == [True]


def test_list_of_a_pipe_is_checked_at_its_places() -> None:
    made = pipe_event(kinesis_event("{}", "{}"))
    assert departures(made) == []
    made[1]["odd"] = 1
    assert [(one.where, one.sends) for one in departures(made)] == [("/1/odd", "no such key")]
    assert departures(pipe_event(dynamodb_event(dynamodb_record({"id": 1}, old={})))) == []


@given(anything() | anything().map(lambda one: [one]) | anything().map(lambda one: {"detail-type": "x", "id": one}))
@settings(max_examples=examples(60), deadline=None, suppress_health_check=[*HealthCheck])
def test_whatever_is_refused_has_a_departure_that_says_so(event: Any) -> None:
    found = departures(event)
    if isinstance(event, list) or (isinstance(event, dict) and ("Records" in event or "detail-type" in event)):
        try:
            refused = any(one.fault for one in batch_of(event).records)
        except BridgeError:
            refused = True
        assert any(one.refused for one in found) or not refused


# ---- the commands ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "ending"),
    [
        ("kinesis/guide", "an event of a Kinesis stream: no departures from what is sent; the router takes it, if bri"),
        ("kinesis/aggregate", "takes it, if bridge.toml has its source with `deaggregate`"),
        ("dynamodb/fault-no-keys", "an event of a stream of a DynamoDB table: 1 departure from what is sent; the rout"),
        ("eventbridge/published", "an event of an event bus: no departures from what is sent; the router takes it, if"),
        ("eventbridge/refused-no-id", "an event of an event bus: 1 departure from what is sent; the router refuses it"),
        ("pipes/aggregate", "a list of EventBridge Pipes from a Kinesis stream: no departures from what is sent"),
        ("pipes/aggregate", "takes it, if bridge.toml has its source with `pipe` and `deaggregate`"),
        ("pipes/refused-another-service", "a list of EventBridge Pipes from a service that is not routed: 1 departure"),
    ],
)
def test_check_names_the_kind_of_event(name: str, ending: str) -> None:
    done = read("event", "check", "-", stdin=json.dumps(load_event(name)))
    assert ending in done.output
    assert done.exit_code == ("no departures" not in done.output)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_parse_has_the_fields_of_the_expected_file(case: Any) -> None:
    found = json.loads(read("event", "parse", "--json", "-", stdin=json.dumps(case.event)).output)
    if "reason" in case.expected:
        assert found["refused"] == case.expected["reason"]
        return
    for one, expected in zip(found["records"], case.expected["records"], strict=True):
        parts = expected.pop("parts", None)
        assert {name: one[name] for name in expected} == expected
        assert one["parts"] in (None, len(parts or ()))


def test_parse_shows_no_content_of_a_record() -> None:
    """Trap E24."""
    events = (
        kinesis_event("4111-card", partition_key="blue"),
        kinesis_event(kinesis_record(aggregated=[("blue", "4111-card")])),
        dynamodb_event(dynamodb_record({"id": 1}, new={"card": "4111-card"})),
        eventbridge_event({"card": "4111-card"}),
    )
    for event in events:
        for arguments in ((), ("--json",)):
            assert "4111" not in read("event", "parse", *arguments, "-", stdin=json.dumps(event)).output


@pytest.mark.parametrize("command", ["check", "parse"])
@pytest.mark.parametrize(
    "event",
    [
        [{"eventSource": "aws:kinesis", "sequenceNumber": "1", "data": "\x1b[2J", "\x1b[2J": "\u202e"}],
        [{"eventSource": "aws:kinesis", "kinesis": {"sequenceNumber": "1"}, "dynamodb": 7}],
        {"Records": [{"eventSource": "aws:dynamodb", "eventName": ["\x1b"], "dynamodb": {"SequenceNumber": "1"}}]},
        {"detail-type": "\x1b[2J", "id": "\x1b[2J", "source": "\x1b[2J", "account": "1"},
        {"detail-type": [], "id": "i", "source": {}, "account": {}, "\ud800": 1},
        [[]],
        [],
    ],
)
def test_hostile_event_is_refused_and_harmless(command: str, event: object) -> None:
    done = read("event", command, "-", stdin=json.dumps(event))
    assert done.exit_code == 1
    assert_harmless(done.output)
