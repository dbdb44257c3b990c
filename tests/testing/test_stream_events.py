"""Events of streams and tables that tests build: what AWS documents, and what no client can put."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from lattice_bridge.events import dynamodb, kinesis
from lattice_bridge.events.aggregate import is_aggregate
from lattice_bridge.events.kinesis import deaggregated
from lattice_bridge.local.aws.dynamodb.values import size_of
from lattice_bridge.testing import dynamodb_event, dynamodb_record, kinesis_event, kinesis_record
from lattice_bridge.testing.departures import departures
from lattice_bridge.testing.stream_events import FIRST_OF_KINESIS, STREAM_LABEL


def numbers(event: dict[str, Any]) -> list[str]:
    return [
        record.get("kinesis", {}).get("sequenceNumber") or record["dynamodb"]["SequenceNumber"]
        for record in event["Records"]
    ]


# ---- Kinesis --------------------------------------------------------------------------------------------------------


def test_record_is_the_one_that_the_lambda_guide_documents() -> None:
    assert kinesis_record(
        "Hello, this is a test.",
        partition_key="1",
        shard=6,
        stream="arn:aws:kinesis:us-east-2:111122223333:stream/lambda-stream",
        arrived=1_545_084_650_987_000,
    ) == {
        "kinesis": {
            "kinesisSchemaVersion": "1.0",
            "partitionKey": "1",
            "sequenceNumber": "49590338271490256608559692538361571095921575989136588898",
            "data": "SGVsbG8sIHRoaXMgaXMgYSB0ZXN0Lg==",
            "approximateArrivalTimestamp": 1545084650.987,
        },
        "eventSource": "aws:kinesis",
        "eventVersion": "1.0",
        "eventID": "shardId-000000000006:49590338271490256608559692538361571095921575989136588898",
        "eventName": "aws:kinesis:record",
        "invokeIdentityArn": "arn:aws:iam::111122223333:role/bridge",
        "awsRegion": "us-east-2",
        "eventSourceARN": "arn:aws:kinesis:us-east-2:111122223333:stream/lambda-stream",
    }


def test_records_without_a_number_get_ascending_ones() -> None:
    event = kinesis_event("a", kinesis_record("b", partition_key="blue"), "c", shard=2)
    assert numbers(event) == [str(FIRST_OF_KINESIS + place) for place in range(3)]
    assert [one["eventID"].rpartition(":")[2] for one in event["Records"]] == numbers(event)
    assert event == kinesis_event("a", kinesis_record("b", partition_key="blue"), "c", shard=2)
    own = kinesis_event(kinesis_record(sequence_number="9"), kinesis_record(sequence_number="10"), "c")
    assert numbers(own) == ["9", "10", str(FIRST_OF_KINESIS)]


def test_record_is_read_as_the_router_reads_it() -> None:
    [record] = kinesis.records_of([kinesis_record(json={"n": "é"}, partition_key="blue", sequence_number="7")])
    assert (record.id, record.group, record.fault) == ("7", "blue", None)
    assert record.source == "arn:aws:kinesis:eu-west-1:111122223333:stream/clicks"
    assert base64.b64decode(record.content["kinesis"]["data"]).decode() == '{"n": "é"}'


def test_aggregate_contains_its_records() -> None:
    """Trap E18."""
    content = kinesis_record(aggregated=[("blue", b"1"), ("green", "2")])
    assert is_aggregate(base64.b64decode(content["kinesis"]["data"]))
    assert [part.group for part in deaggregated(kinesis.records_of([content])[0])] == ["blue", "green"]


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        ({"partition_key": ""}, "partition_key has the length 0. Fix: write 1 to 256 characters"),
        ({"partition_key": "k" * 257}, "partition_key has the length 257"),
        ({"data": b"x" * (10 * 1024 * 1024 + 1)}, "and Kinesis takes 10,485,760. Fix: write less"),
        ({"data": "a", "json": 1}, "data and json are both given. Fix: leave one of them out"),
        ({"json": 1, "aggregated": [("a", "1")]}, "json and aggregated are both given"),
        ({"shard": -1}, "shard -1 is not the index of one. Fix: write 0 or more"),
        ({"sequence_number": "x"}, "sequence_number 'x' is not one. Fix: write 1 to 128 decimal digits"),
        ({"sequence_number": "１"}, "is not one"),
        ({"sequence_number": 7}, "sequence_number 7 is not one"),
        ({"stream": "a b"}, "stream 'a b' is not the name of a stream. Fix: write 1 to 128 of A-Z"),
        ({"stream": "arn:aws:sqs:eu-west-1:111122223333:orders"}, "is an ARN of another service"),
        (
            {"stream": "arn:aws:kinesis:eu-west-1:111122223333:stream/clicks/consumer/one:1"},
            'Fix: write stream = "arn:aws:kinesis:eu-west-1:111122223333:stream/clicks"',
        ),
        ({"arrived": datetime(2026, 1, 1)}, "arrived has no zone"),  # noqa: DTZ001 - the fault
    ],
)
def test_record_that_no_client_can_put_is_refused(arguments: dict[str, Any], fault: str) -> None:
    with pytest.raises(ValueError) as refused:
        kinesis_record(**arguments)
    assert fault in str(refused.value)


def test_unknown_argument_is_a_type_error_with_the_known_ones() -> None:
    with pytest.raises(TypeError, match=r"no argument 'tenant'. Fix: write one of stream, partition_key, sequence_num"):
        kinesis_event("{}", tenant="blue")  # type: ignore[call-arg] # the point
    with pytest.raises(TypeError, match=r"no argument 'owner'. Fix: write one of table, view, sequence_number, creat"):
        dynamodb_record(owner="blue")  # type: ignore[call-arg] # the point


@pytest.mark.parametrize("second", ["9", "10"])
def test_numbers_that_do_not_ascend_are_refused(second: str) -> None:
    """Trap E11: they are compared as integers."""
    with pytest.raises(ValueError, match=r"record 2 has the sequence number .*Fix: write sequence_number in ascending"):
        kinesis_event(kinesis_record(sequence_number="10"), kinesis_record(sequence_number=second))


# ---- DynamoDB -------------------------------------------------------------------------------------------------------


def test_sizes_are_those_of_the_developer_guide() -> None:
    """The guide's example: an item is put, changed and deleted."""
    first, other = {"Message": "New item!"}, {"Message": "This item has changed"}
    sizes = [
        dynamodb_record({"Id": 101}, new=new, old=old)["dynamodb"]["SizeBytes"]
        for new, old in ((first, None), (other, first), (None, other))
    ]
    assert sizes == [26, 59, 38]


def test_values_and_their_size_are_as_dynamodb_gives_them_back() -> None:
    """Those of the local tables: a number has no exponent and no zeros, and the values of a set have an order."""
    new = {"a": Decimal("1E+5"), "b": {10, 9}, "c": Decimal("0.10"), "d": [b"\0", {"e": True}]}
    record = dynamodb_record({"id": "x"}, new=new, view="NEW_IMAGE")["dynamodb"]
    assert record["NewImage"] == {
        "id": {"S": "x"},
        "a": {"N": "100000"},
        "b": {"NS": ["9", "10"]},
        "c": {"N": "0.1"},
        "d": {"L": [{"B": "AA=="}, {"M": {"e": {"BOOL": True}}}]},
    }
    assert record["SizeBytes"] == size_of(record["Keys"]) + size_of(record["NewImage"])


def test_number_that_dynamodb_refuses_is_refused() -> None:
    with pytest.raises(ValueError, match=r"'a' cannot be an attribute: .*Number overflow.* Fix: write a value"):
        dynamodb_record({"id": "x"}, new={"a": Decimal("1E+126")})


def test_change_is_told_by_its_images() -> None:
    event = dynamodb_event(
        dynamodb_record({"id": 1}),
        dynamodb_record({"id": 1}, new={"owner": "blue"}, old={}),
        dynamodb_record({"id": 1}, old={"owner": "blue"}),
        dynamodb_record({"id": 2}, expired=True, old={"owner": "blue"}),
    )
    assert [one["eventName"] for one in event["Records"]] == ["INSERT", "MODIFY", "REMOVE", "REMOVE"]
    assert [sorted(set(one["dynamodb"]) & {"NewImage", "OldImage"}) for one in event["Records"]] == [
        ["NewImage"],
        ["NewImage", "OldImage"],
        ["OldImage"],
        ["OldImage"],
    ]
    assert event["Records"][3]["userIdentity"] == {"type": "Service", "principalId": "dynamodb.amazonaws.com"}
    assert [int(number) for number in numbers(event)] == sorted({int(number) for number in numbers(event)})
    assert len({one["eventID"] for one in event["Records"]}) == 4
    assert departures(event) == []


@pytest.mark.parametrize(
    ("view", "images"),
    [
        ("NEW_AND_OLD_IMAGES", {"NewImage", "OldImage"}),
        ("NEW_IMAGE", {"NewImage"}),
        ("OLD_IMAGE", {"OldImage"}),
        ("KEYS_ONLY", set()),
    ],
)
def test_record_contains_the_images_of_its_view(view: Any, images: set[str]) -> None:
    change = dynamodb_record(new={"n": 1}, old={"n": 2}, view=view)["dynamodb"]
    assert (set(change) & {"NewImage", "OldImage"}, change["StreamViewType"]) == (images, view)


def test_values_are_dynamodbs_json() -> None:
    new = {"n": Decimal("1.5"), "b": b"\0", "set": {"b", "a"}, "bytes": {b"1"}, "map": {"list": [True, None]}}
    image = dynamodb_record({"tenant": "blue", "id": b"7"}, new=new)["dynamodb"]["NewImage"]
    assert image == {
        "tenant": {"S": "blue"},
        "id": {"B": "Nw=="},
        "n": {"N": "1.5"},
        "b": {"B": "AA=="},
        "set": {"SS": ["a", "b"]},
        "bytes": {"BS": ["MQ=="]},
        "map": {"M": {"list": {"L": [{"BOOL": True}, {"NULL": True}]}}},
    }


def test_record_is_of_the_stream_of_its_table() -> None:
    content = dynamodb_record(table="carts", sequence_number="7", created=datetime(2026, 1, 1, tzinfo=UTC))
    assert content["eventSourceARN"].endswith(f":table/carts/stream/{STREAM_LABEL}")
    assert content["dynamodb"]["ApproximateCreationDateTime"] == 1767225600.0
    [record] = dynamodb.records_of([content])
    assert (record.id, record.source) == ("7", "arn:aws:dynamodb:eu-west-1:111122223333:table/carts")


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        ({"keys": {}}, "keys has 0 attributes. Fix: write the partition key"),
        ({"keys": {"a": 1, "b": 2, "c": 3}}, "keys has 3 attributes"),
        ({"keys": {"a": True}}, "keys: 'a' is True, which no key can be. Fix: write a string, a number or bytes"),
        ({"keys": {"a": ""}}, "keys: 'a' is '', which no key can be"),
        ({"new": {"id": "2"}}, "new: 'id' is a key, and keys has another value. Fix: leave it out"),
        ({"new": {"price": 1.5}}, "new: 'price' cannot be an attribute: Float types are not supported"),
        ({"new": {"x": object()}}, "Fix: write a value that boto3 takes"),
        ({"new": {}, "expired": True}, "expired is for an item that is deleted, and new is given"),
        ({"view": "ALL"}, "view 'ALL' is not one of a stream. Fix: write one of NEW_AND_OLD_IMAGES, NEW_IMAGE"),
        ({"table": "x"}, "table 'x' is not the name of a table. Fix: write 3 to 255 of"),
        (
            {"table": "arn:aws:dynamodb:eu-west-1:111122223333:table/orders/stream/2026"},
            'Fix: write table = "arn:aws:dynamodb:eu-west-1:111122223333:table/orders"',
        ),
        ({"sequence_number": "-1"}, "sequence_number '-1' is not one"),
    ],
)
def test_change_that_no_table_has_is_refused(arguments: dict[str, Any], fault: str) -> None:
    with pytest.raises(ValueError) as refused:
        dynamodb_record(**arguments)
    assert fault in str(refused.value)
