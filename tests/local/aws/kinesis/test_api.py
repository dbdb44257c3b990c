"""The API of Kinesis through HTTP, as its usual clients call it: boto3, the AWS CLI and the Java SDK's CBOR."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest
from botocore.exceptions import ClientError

from lattice_bridge.local.aws.kinesis.api import SERVICE, kinesis_api
from lattice_bridge.local.aws.kinesis.streams import KinesisStreams
from tests.support.endpoint import REGION, client, endpoint

ACCOUNT = "123456789012"
NAMES = count()


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with endpoint(lambda _: {SERVICE: kinesis_api(KinesisStreams(REGION, ACCOUNT))}) as found:
        yield found


@pytest.fixture(scope="module")
def kinesis(url: str) -> Any:
    return client(url, "kinesis")


def created(kinesis: Any, shards: int = 1, **given: Any) -> str:
    name = f"stream-{next(NAMES)}"
    kinesis.create_stream(StreamName=name, ShardCount=shards, **given)
    return name


def refused(call: Any, **arguments: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as found:
        call(**arguments)
    error = found.value.response["Error"]
    return error["Code"], error["Message"]


def iterator(kinesis: Any, name: str, shard: int = 0, kind: str = "TRIM_HORIZON", **given: Any) -> str:
    shard_id = f"shardId-{shard:012}"
    found = kinesis.get_shard_iterator(StreamName=name, ShardId=shard_id, ShardIteratorType=kind, **given)
    return str(found["ShardIterator"])


def data(kinesis: Any, name: str, shard: int = 0, kind: str = "TRIM_HORIZON", **given: Any) -> list[bytes]:
    found = kinesis.get_records(ShardIterator=iterator(kinesis, name, shard, kind, **given))
    return [record["Data"] for record in found["Records"]]


# ---- boto3: streams -------------------------------------------------------------------------------------------------


def test_stream_is_created_described_listed_and_deleted(kinesis: Any) -> None:
    kinesis.create_stream(StreamName="life", ShardCount=2, Tags={"team": "blue"}, MaxRecordSizeInKiB=2048)
    kinesis.get_waiter("stream_exists").wait(StreamName="life")
    arn = f"arn:aws:kinesis:{REGION}:{ACCOUNT}:stream/life"
    summary = kinesis.describe_stream_summary(StreamARN=arn)["StreamDescriptionSummary"]
    assert {name: summary[name] for name in summary if name != "StreamCreationTimestamp"} == {
        "StreamName": "life",
        "StreamARN": arn,
        "StreamStatus": "ACTIVE",
        "StreamModeDetails": {"StreamMode": "PROVISIONED"},
        "RetentionPeriodHours": 24,
        "EnhancedMonitoring": [{"ShardLevelMetrics": []}],
        "EncryptionType": "NONE",
        "OpenShardCount": 2,
        "ConsumerCount": 0,
        "MaxRecordSizeInKiB": 2048,
    }
    description = kinesis.describe_stream(StreamName="life", Limit=1)["StreamDescription"]
    assert (len(description["Shards"]), description["HasMoreShards"]) == (1, True)
    assert description["Shards"][0]["HashKeyRange"] == {
        "StartingHashKey": "0",
        "EndingHashKey": "170141183460469231731687303715884105727",  # as of AWS's own example of two shards
    }
    assert "life" in kinesis.list_streams()["StreamNames"]
    assert refused(kinesis.create_stream, StreamName="life", ShardCount=1) == (
        "ResourceInUseException",
        f"Stream life under account {ACCOUNT} already exists.",
    )
    kinesis.delete_stream(StreamName="life")
    kinesis.get_waiter("stream_not_exists").wait(StreamName="life")
    assert refused(kinesis.describe_stream, StreamName="life")[1] == f"Stream life under account {ACCOUNT} not found."
