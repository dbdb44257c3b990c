"""Events of SQS that tests build: what the local queue and boto3 write, and what no client can send."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any, Final

import pytest

from lattice_bridge.events import sqs
from lattice_bridge.testing import LocalQueues, sqs_event, sqs_record
from lattice_bridge.testing.queue_events import SENDER

ATTRIBUTES: Final[dict[str, Any]] = {
    "tenant": "blue",
    "count": 7,
    "ratio": 0.5,
    "hash": b"\x00\xff",
    "custom": ("String.tenant", "green"),
}


def test_record_is_what_the_local_queue_makes_of_the_same_message() -> None:
    """The members and their types, the checksums and the attributes. Ids, times and handles are the queue's own."""
    typed = {
        "tenant": {"DataType": "String", "StringValue": "blue"},
        "count": {"DataType": "Number", "StringValue": "7"},
        "ratio": {"DataType": "Number", "StringValue": "0.5"},
        "hash": {"DataType": "Binary", "BinaryValue": b"\x00\xff"},
        "custom": {"DataType": "String.tenant", "StringValue": "green"},
    }
    delivered: list[Any] = []
    with LocalQueues() as queues:
        orders = queues.create("orders.fifo")
        orders.client.send_message(
            QueueUrl=orders.url,
            MessageBody="é",
            MessageAttributes=typed,
            MessageGroupId="blue",
            MessageDeduplicationId="d-1",
        )
        orders.deliver(lambda event, _: delivered.append(event))
    ((theirs,),) = (event["Records"] for event in delivered)
    ours = sqs_record(
        "é",
        queue="orders.fifo",
        group="blue",
        attributes=ATTRIBUTES,
        deduplication_id="d-1",
        sender=theirs["attributes"]["SenderId"],
    )
    own = ("messageId", "receiptHandle")
    assert list(ours) == list(theirs)
    assert {**ours, "attributes": {}} | dict.fromkeys(own) == {**theirs, "attributes": {}} | dict.fromkeys(own)
    assert ours["attributes"].keys() == theirs["attributes"].keys()
    of_the_queue = ("SentTimestamp", "ApproximateFirstReceiveTimestamp", "SequenceNumber")
    assert all(
        ours["attributes"][name] == value for name, value in theirs["attributes"].items() if name not in of_the_queue
    )
    assert len(ours["attributes"]["SequenceNumber"]) == 20


def test_same_arguments_make_the_same_event_and_others_other_ids() -> None:
    assert sqs_event("a", "a", group="g") == sqs_event("a", "a", group="g")
    ids = [
        record["messageId"] for event in (sqs_event("a", "a"), sqs_event("a", group="g")) for record in event["Records"]
    ]
    assert len(set(ids)) == 3


def test_record_is_read_as_the_router_reads_it() -> None:
    (record,) = sqs.records_of([sqs_record(json={"n": 1}, queue="orders.fifo", trace="Root=1-5", receive_count=3)])
    assert (record.group, record.trace, record.receive_count, record.fault) == ("group-1", "Root=1-5", 3, None)
    assert record.sender == sqs.parse_sender(SENDER)


def test_standard_queue_has_a_group_only_if_one_is_given() -> None:
    """Trap E10: a message of a standard queue may have one."""
    assert "MessageGroupId" not in sqs_record()["attributes"]
    assert sqs_record(group="blue")["attributes"]["MessageGroupId"] == "blue"


def test_time_is_milliseconds_as_a_string() -> None:
    sent = sqs_record(sent=datetime(2026, 1, 1, tzinfo=UTC))["attributes"]["SentTimestamp"]
    assert sent == "1767225600000"


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        ({"body": ""}, "body is empty, and SQS takes no message without one. Fix: write one"),
        ({"body": "\x00"}, "Invalid characters found"),
        ({"body": "x" * 1_048_577}, "Message must be shorter than 1048576 bytes"),
        ({"group": "a b"}, "MessageGroupId can only include alphanumeric and punctuation characters"),
        ({"deduplication_id": "d-1"}, "not valid for this queue type"),
        ({"attributes": {"AWS.x": "1"}}, "has an invalid name"),
        ({"attributes": {"x": ""}}, "must contain a non-empty value"),
        ({"attributes": {"x": ("Text", "1")}}, "supported type prefixes is Binary, Number, and String"),
        (
            {"attributes": {"x": True}},
            "attribute 'x' is of the type bool, which SQS does not have. Fix: write a string",
        ),
        ({"attributes": {"x": math.nan}}, "to a number"),
        ({"attributes": {str(n): "v" for n in range(11)}}, "exceeds the allowed maximum [10]"),
        ({"queue": "a b"}, "queue 'a b' is not the name of a queue. Fix: write 1 to 80"),
        ({"queue": "arn:aws:sns:eu-west-1:111122223333:orders"}, "is not the ARN of an SQS queue"),
        ({"sender": "order-service"}, "sender 'order-service' is not what SQS writes. Fix: write the unique id"),
        ({"receive_count": 0}, "receive_count 0: this receive counts too. Fix: write 1 or more"),
        ({"sent": datetime(2026, 1, 1)}, "sent has no zone"),  # noqa: DTZ001 - the fault
        ({"body": "a", "json": 1}, "body and json are both given"),
    ],
)
def test_message_that_no_client_can_send_is_refused(arguments: dict[str, Any], fault: str) -> None:
    with pytest.raises(ValueError) as refused:
        sqs_record(**arguments)
    assert fault in str(refused.value)


def test_unknown_argument_is_a_type_error_with_the_known_ones() -> None:
    with pytest.raises(TypeError, match=r"no argument 'tenant'. Fix: write one of queue, sender, group, attributes"):
        sqs_event("{}", tenant="blue")  # type: ignore[call-arg] # the point


def test_two_records_with_one_id_are_refused() -> None:
    one = sqs_record()
    with pytest.raises(ValueError, match="and SQS gives each its own"):
        sqs_event(one, one)
