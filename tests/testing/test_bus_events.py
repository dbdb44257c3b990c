"""Events of buses, and lists of Pipes, that tests build."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from lattice_bridge.events.batch import batch_of
from lattice_bridge.message import BusEvent
from lattice_bridge.testing import dynamodb_event, eventbridge_event, kinesis_event, pipe_event, sqs_event


def test_event_has_the_members_that_the_guide_documents() -> None:
    event = eventbridge_event(
        {"instance-id": "i-0123456789abcdef0", "state": "terminated"},
        source="aws.ec2",
        detail_type="EC2 Instance State-change Notification",
        region="us-west-1",
        resources=["arn:aws:ec2:us-west-1:123456789012:instance/i-0123456789abcdef0"],
        account="123456789012",
        event_id="6a7e8feb-b491-4cf7-a9f1-bf3703467718",
        time=datetime(2017, 12, 22, 18, 43, 48, tzinfo=UTC),
    )
    assert event == {
        "version": "0",
        "id": "6a7e8feb-b491-4cf7-a9f1-bf3703467718",
        "detail-type": "EC2 Instance State-change Notification",
        "source": "aws.ec2",
        "account": "123456789012",
        "time": "2017-12-22T18:43:48Z",
        "region": "us-west-1",
        "resources": ["arn:aws:ec2:us-west-1:123456789012:instance/i-0123456789abcdef0"],
        "detail": {"instance-id": "i-0123456789abcdef0", "state": "terminated"},
    }


def test_same_arguments_make_the_same_event_and_others_another_id() -> None:
    assert eventbridge_event({"a": 1}) == eventbridge_event({"a": 1})
    assert eventbridge_event({"a": 1})["id"] != eventbridge_event({"a": 2})["id"]


def test_event_is_read_as_the_router_reads_it() -> None:
    [record] = batch_of(eventbridge_event(account="444455556666")).records
    assert (record.bus_event, record.fault) == (BusEvent("444455556666", "shop.orders", "Order Placed"), None)


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        ({"detail": "text"}, "detail is a str, and EventBridge takes an object. Fix: write a dict"),
        ({"source": ""}, "source '' is not one. Fix: write 1 to 256 characters"),
        ({"detail_type": "t" * 129}, "is not one. Fix: write 1 to 128 characters"),
        ({"account": "1111"}, "account '1111' is not one. Fix: write 12 digits, as in '111122223333'"),
        ({"account": "１11122223333"}, "is not one. Fix: write 12 digits"),
        ({"region": "Europe"}, "region 'Europe' is not one, as in eu-west-1"),
        ({"time": datetime(2026, 1, 1)}, "time has no zone"),  # noqa: DTZ001 - the fault
    ],
)
def test_event_that_no_publisher_can_write_is_refused(arguments: dict[str, Any], fault: str) -> None:
    with pytest.raises(ValueError) as refused:
        eventbridge_event(**arguments)
    assert fault in str(refused.value)


@pytest.mark.parametrize("event", [sqs_event("{}", "{}"), kinesis_event("{}", "{}"), dynamodb_event()])
def test_list_of_a_pipe_has_the_same_records(event: dict[str, Any]) -> None:
    made = pipe_event(event)
    found, expected = batch_of(made), batch_of(event)
    assert [one.id for one in found.records] == [one.id for one in expected.records]
    assert (found.caller, [one.fault for one in found.records]) == ("pipe", [None] * len(made))
    assert not any("kinesis" in one for one in made)
    assert all(one["eventSource"] for one in made)


@pytest.mark.parametrize("event", [eventbridge_event(), {}, {"Records": []}])
def test_event_without_records_is_of_no_pipe(event: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"a pipe reads queues and streams. Fix: write the event of sqs_event"):
        pipe_event(event)
