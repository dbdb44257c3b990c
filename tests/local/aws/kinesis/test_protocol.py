"""The protocol of Kinesis: CBOR as the Java SDK sends it, and requests that no SDK sends."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from lattice_bridge.local.aws import cbor
from lattice_bridge.local.aws.cbor import Timestamp
from lattice_bridge.local.aws.kinesis.api import SERVICE, kinesis_api
from lattice_bridge.local.aws.protocol import AwsError, AwsRequest, AwsResponse, error_response
from tests.support.virtual_streams import VirtualStreams, put

CBOR, JSON = cbor.MEDIA_TYPE, "application/x-amz-json-1.1"


@pytest.fixture
def virtual() -> VirtualStreams:
    virtual = VirtualStreams()
    virtual.stream()
    return virtual


def answered(virtual: VirtualStreams, operation: str, body: bytes, media_type: str) -> AwsResponse:
    """The response of the API. The endpoint writes an AwsError, as here."""
    headers = [("x-amz-target", f"Kinesis_20131202.{operation}"), ("content-type", media_type)]
    request = AwsRequest("id", "POST", "/", "", headers, SERVICE, body=body)
    try:
        return called(virtual, request)
    except AwsError as error:
        return error_response(request, error)


def called(virtual: VirtualStreams, request: AwsRequest) -> AwsResponse:
    async def call() -> AwsResponse:
        return await kinesis_api(virtual.streams).answer(request)

    return asyncio.run(call())


def by_cbor(virtual: VirtualStreams, operation: str, **given: Any) -> tuple[int, Any]:
    response = answered(virtual, operation, cbor.written(given), CBOR)
    assert dict(response.headers)["content-type"] == CBOR
    return response.status, cbor.read(response.body) if response.body else None


# ---- CBOR -----------------------------------------------------------------------------------------------------------


def test_cbor_has_bytes_and_times_where_json_has_text_and_numbers(virtual: VirtualStreams) -> None:
    _, sent = by_cbor(virtual, "PutRecord", StreamName="clicks", Data=b"\x00\xff", PartitionKey="a")
    start = {"ShardIteratorType": "AT_TIMESTAMP", "Timestamp": Timestamp(virtual.clock.now)}
    _, found = by_cbor(virtual, "GetShardIterator", StreamName="clicks", ShardId=sent["ShardId"], **start)
    _, page = by_cbor(virtual, "GetRecords", ShardIterator=found["ShardIterator"])
    assert page["Records"] == [
        {
            "SequenceNumber": sent["SequenceNumber"],
            "ApproximateArrivalTimestamp": Timestamp(virtual.clock.now),
            "Data": b"\x00\xff",
            "PartitionKey": "a",
        }
    ]
    assert by_cbor(virtual, "AddTagsToStream", StreamName="clicks", Tags={"a": "b"}) == (200, None)


def test_error_of_a_request_in_cbor_is_cbor(virtual: VirtualStreams) -> None:
    status, error = by_cbor(virtual, "DescribeStream", StreamName="none")
    assert (status, error["__type"]) == (400, "ResourceNotFoundException")
    status, error = by_cbor(virtual, "SubscribeToShard")
    assert (status, error["__type"]) == (400, "UnknownOperationException")
    response = answered(virtual, "ListStreams", b"\xff", CBOR)
    assert cbor.read(response.body)["__type"] == "SerializationException"


# ---- hostile input --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        *("", "[]", "{", "[" * 100_000, '"a"', '{"a": 1' + "0" * 5000 + "}"),
        *(
            '{"StreamName": 1}',
            '{"StreamName": "\\ud800"}',
            '{"StreamName": null}',
            '{"StreamARN": "arn:aws:sqs:a:1:b"}',
        ),
        '{"StreamName": "clicks", "PartitionKey": "a"}',
        '{"StreamName": "clicks", "PartitionKey": "a", "Data": 1}',
        '{"StreamName": "clicks", "PartitionKey": "a", "Data": "*"}',
        '{"StreamName": "clicks", "PartitionKey": "\\ud800", "Data": ""}',
        '{"StreamName": "clicks", "PartitionKey": ["a"], "Data": ""}',
        '{"StreamName": "clicks", "PartitionKey": "a", "Data": "", "ExplicitHashKey": "-1"}',
        '{"StreamName": "clicks", "PartitionKey": "a", "Data": "", "ExplicitHashKey": "01"}',
        '{"StreamName": "clicks", "PartitionKey": "a", "Data": "", "ExplicitHashKey": 1}',
        '{"StreamName": "clicks", "PartitionKey": "a", "Data": "", "SequenceNumberForOrdering": "1 "}',
    ],
    ids=lambda body: body[:70],
)
def test_body_of_another_shape_is_a_client_error_and_stores_nothing(virtual: VirtualStreams, body: str) -> None:
    before = virtual.streams.memory_used
    response = answered(virtual, "PutRecord", body.encode(), JSON)
    assert (response.status, "__type" in json.loads(response.body)) == (400, True)
    assert virtual.streams.memory_used == before


@pytest.mark.parametrize(
    ("operation", "body"),
    [
        ("CreateStream", '{"StreamName": "new", "ShardCount": true}'),
        ("CreateStream", '{"StreamName": "new", "ShardCount": 1, "Tags": {"a": "\\ud800"}}'),
        ("CreateStream", '{"StreamName": "new\\n", "ShardCount": 1}'),
        ("CreateStream", '{"StreamName": "new", "ShardCount": 1, "StreamModeDetails": {}}'),
        ("PutRecords", '{"StreamName": "clicks"}'),
        ("PutRecords", '{"StreamName": "clicks", "Records": []}'),
        ("PutRecords", '{"StreamName": "clicks", "Records": [1]}'),
        ("GetShardIterator", '{"StreamName": "clicks", "ShardId": "shardId-000000000000", "ShardIteratorType": "A"}'),
        ("ListShards", '{"StreamName": "clicks", "ShardFilter": 1}'),
        ("ListShards", '{"StreamName": "clicks", "ShardFilter": {"Type": "AT_TIMESTAMP", "Timestamp": NaN}}'),
        ("ListShards", '{"StreamName": "clicks", "ShardFilter": {"Type": "AT_TIMESTAMP", "Timestamp": "1"}}'),
        ("SplitShard", '{"StreamName": "clicks", "ShardToSplit": "shardId-000000000000"}'),
        ("IncreaseStreamRetentionPeriod", '{"StreamName": "clicks"}'),
        ("IncreaseStreamRetentionPeriod", '{"StreamName": "clicks", "RetentionPeriodHours": -1}'),
        ("UpdateShardCount", '{"StreamName": "clicks", "TargetShardCount": 2}'),
        ("GetRecords", '{"ShardIterator": "\\u00fc"}'),
    ],
)
def test_parameter_of_another_shape_is_a_client_error(virtual: VirtualStreams, operation: str, body: str) -> None:
    response = answered(virtual, operation, body.encode(), JSON)
    assert (response.status, "__type" in json.loads(response.body)) == (400, True)
    assert [(stream.name, len(stream.open_shards())) for stream in virtual.streams] == [("clicks", 1)]


@pytest.mark.parametrize("time", [-1e300, 1e300, -1, 0])
def test_any_time_is_a_filter(virtual: VirtualStreams, time: float) -> None:
    body = {"StreamName": "clicks", "ShardFilter": {"Type": "FROM_TIMESTAMP", "Timestamp": time}}
    assert len(json.loads(answered(virtual, "ListShards", json.dumps(body).encode(), JSON).body)["Shards"]) == 1


def test_message_has_no_control_characters(virtual: VirtualStreams) -> None:
    body = b'{"StreamName": "\\u001b[31m"}'
    for operation in ("DescribeStream", "CreateStream"):
        assert b"\\u001b" not in answered(virtual, operation, body, JSON).body
    response = answered(virtual, "a\x1b[31m", b"{}", JSON)
    assert b"Kinesis this operation: this local stack has AddTagsToStream" in response.body


def test_large_request_is_refused(virtual: VirtualStreams) -> None:
    response = answered(virtual, "PutRecord", b" " * (16 * 1024 * 1024 + 1), JSON)
    assert b"the request has more than 16777216 bytes. Fix: send fewer records" in response.body


def test_name_of_a_shard_is_shown_shortened(virtual: VirtualStreams) -> None:
    body = {"StreamName": "clicks", "ShardId": "s" * 10_000, "ShardIteratorType": "LATEST"}
    assert len(answered(virtual, "GetShardIterator", json.dumps(body).encode(), JSON).body) < 400


def test_another_service_in_the_target_is_refused(virtual: VirtualStreams) -> None:
    headers = [("x-amz-target", "DynamoDB_20120810.ListStreams")]
    with pytest.raises(AwsError, match="this operation"):
        called(virtual, AwsRequest("id", "POST", "/", "", headers, SERVICE))


@pytest.mark.parametrize("wrong", [{"Data": "", "PartitionKey": ""}, {"Data": "A" * 1_400_000, "PartitionKey": "a"}])
def test_put_records_checks_all_before_it_stores_one(virtual: VirtualStreams, wrong: dict[str, str]) -> None:
    records = [{"Data": "", "PartitionKey": "a"}, wrong]
    body = json.dumps({"StreamName": "clicks", "Records": records}).encode()
    assert answered(virtual, "PutRecords", body, JSON).status == 400
    stream = virtual.streams.get("clicks")
    assert not stream.open_shards()[0].has_records
    put(stream, b"1")
    assert stream.open_shards()[0].has_records
