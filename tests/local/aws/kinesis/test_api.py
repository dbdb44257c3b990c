"""The API of Kinesis through HTTP, as its usual clients call it: boto3, the AWS CLI and the Java SDK's CBOR."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest
from botocore.exceptions import ClientError

from lattice_bridge.local.aws.kinesis.api import SERVICE, kinesis_api
from lattice_bridge.local.aws.kinesis.streams import KinesisStreams
from tests.support.endpoint import BLUE, REGION, client, endpoint

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


def test_streams_are_listed_in_pages(url: str) -> None:
    names = [f"page-{number}" for number in range(5)]
    with endpoint(lambda _: {SERVICE: kinesis_api(KinesisStreams(REGION, ACCOUNT))}) as other:
        kinesis = client(other, "kinesis")
        for name in names:
            kinesis.create_stream(StreamName=name, StreamModeDetails={"StreamMode": "ON_DEMAND"})
        pages = list(kinesis.get_paginator("list_streams").paginate(PaginationConfig={"PageSize": 2}))
        limits = kinesis.describe_limits()
    assert [page["StreamNames"] for page in pages] == [names[:2], names[2:4], names[4:]]
    assert [page["HasMoreStreams"] for page in pages] == [True, True, False]
    assert pages[0]["StreamSummaries"][0]["StreamModeDetails"] == {"StreamMode": "ON_DEMAND"}
    assert (limits["OpenShardCount"], limits["OnDemandStreamCount"]) == (20, 5)


def test_settings_of_a_stream_are_changed(kinesis: Any) -> None:
    name = created(kinesis)
    arn = f"arn:aws:kinesis:{REGION}:{ACCOUNT}:stream/{name}"
    kinesis.increase_stream_retention_period(StreamName=name, RetentionPeriodHours=48)
    kinesis.decrease_stream_retention_period(StreamName=name, RetentionPeriodHours=47)
    kinesis.update_max_record_size(StreamARN=arn, MaxRecordSizeInKiB=10240)
    kinesis.update_stream_mode(StreamARN=arn, StreamModeDetails={"StreamMode": "ON_DEMAND"})
    found = kinesis.describe_stream_summary(StreamName=name)["StreamDescriptionSummary"]
    assert (found["RetentionPeriodHours"], found["MaxRecordSizeInKiB"]) == (47, 10240)
    assert found["StreamModeDetails"] == {"StreamMode": "ON_DEMAND"}


def test_tags_are_added_listed_in_pages_and_removed(kinesis: Any) -> None:
    name = created(kinesis)
    arn = f"arn:aws:kinesis:{REGION}:{ACCOUNT}:stream/{name}"
    kinesis.add_tags_to_stream(StreamName=name, Tags={"a": "1", "b": "2"})
    kinesis.tag_resource(ResourceARN=arn, Tags={"c": "3"})
    kinesis.remove_tags_from_stream(StreamName=name, TagKeys=["a", "none"])
    assert kinesis.list_tags_for_stream(StreamName=name, Limit=1)["HasMoreTags"]
    found = kinesis.list_tags_for_stream(StreamName=name, ExclusiveStartTagKey="b")
    assert (found["Tags"], found["HasMoreTags"]) == ([{"Key": "c", "Value": "3"}], False)
    kinesis.untag_resource(ResourceARN=arn, TagKeys=["c"])
    assert kinesis.list_tags_for_resource(ResourceARN=arn)["Tags"] == [{"Key": "b", "Value": "2"}]
    many = {str(number): "" for number in range(50)}
    assert refused(kinesis.add_tags_to_stream, StreamName=name, Tags=many)[0] == "InvalidArgumentException"


def test_identity_of_the_stack_signs_for_kinesis(url: str) -> None:
    found = client(url, "kinesis", BLUE.access_key, BLUE.secret_key).list_streams()
    assert "StreamNames" in found
    wrong = client(url, "kinesis", BLUE.access_key, "wrong")
    assert refused(wrong.list_streams)[0] == "InvalidSignatureException"


# ---- boto3: records -------------------------------------------------------------------------------------------------


def test_record_is_put_and_read(kinesis: Any) -> None:
    name = created(kinesis, 2)
    put = kinesis.put_record(StreamName=name, Data=b"\x00\xff", PartitionKey="ü", ExplicitHashKey=str(2**128 - 1))
    assert (put["ShardId"], len(put["SequenceNumber"])) == ("shardId-000000000001", 56)
    found = kinesis.get_records(ShardIterator=iterator(kinesis, name, 1))
    (record,) = found["Records"]
    assert (record["SequenceNumber"], record["Data"], record["PartitionKey"]) == (
        put["SequenceNumber"],
        b"\x00\xff",
        "ü",
    )
    assert found["MillisBehindLatest"] == 0
    assert kinesis.get_records(ShardIterator=found["NextShardIterator"])["Records"] == []
    assert data(kinesis, name, 1, "AT_TIMESTAMP", Timestamp=record["ApproximateArrivalTimestamp"]) == [b"\x00\xff"]
    assert data(kinesis, name, 1, "AFTER_SEQUENCE_NUMBER", StartingSequenceNumber=put["SequenceNumber"]) == []
    assert data(kinesis, name, 1, "LATEST") == []


def test_records_are_put_and_read_in_pages(kinesis: Any) -> None:
    name = created(kinesis)
    records = [{"Data": str(number).encode(), "PartitionKey": "a"} for number in range(500)]
    put = kinesis.put_records(StreamName=name, Records=records)
    assert (put["FailedRecordCount"], len({each["SequenceNumber"] for each in put["Records"]})) == (0, 500)
    found, following = [], iterator(kinesis, name)
    for _ in range(3):
        page = kinesis.get_records(ShardIterator=following, Limit=200)
        found += [int(record["Data"]) for record in page["Records"]]
        following = page["NextShardIterator"]
        assert (page["MillisBehindLatest"] > 0) == (len(found) < 500)
    assert found == list(range(500))


def test_record_of_ten_mebibytes_needs_a_stream_for_it(kinesis: Any) -> None:
    """A record has one MiB at most, if the stream has no other limit."""
    name, large = created(kinesis), created(kinesis, MaxRecordSizeInKiB=10240)
    kinesis.put_record(StreamName=name, Data=b"x" * (1024 * 1024 - 1), PartitionKey="a")
    code, text = refused(kinesis.put_record, StreamName=name, Data=b"x" * (1024 * 1024), PartitionKey="a")
    assert (code, "Fix: send less, or call UpdateMaxRecordSize" in text) == ("InvalidArgumentException", True)
    kinesis.put_record(StreamName=large, Data=b"x" * (10 * 1024 * 1024 - 1), PartitionKey="a")
    assert len(data(kinesis, large)[0]) == 10 * 1024 * 1024 - 1
    entry = {"Data": b"x" * 5_500_000, "PartitionKey": "a"}
    assert "Records size exceeds 10 MiB limit" in refused(kinesis.put_records, StreamName=large, Records=[entry] * 2)[1]


def test_record_that_does_not_fit_is_reported_alone() -> None:
    streams = KinesisStreams(REGION, ACCOUNT, memory=10_000)
    with endpoint(lambda _: {SERVICE: kinesis_api(streams)}) as url:
        kinesis = client(url, "kinesis")
        name = created(kinesis)
        records = [{"Data": b"x" * size, "PartitionKey": "a"} for size in (100, 9000, 100)]
        found = kinesis.put_records(StreamName=name, Records=records)
        with pytest.raises(kinesis.exceptions.ProvisionedThroughputExceededException):
            kinesis.put_record(StreamName=name, Data=b"x" * 9000, PartitionKey="a")
    assert found["FailedRecordCount"] == 1
    assert [sorted(each) for each in found["Records"]] == [
        ["SequenceNumber", "ShardId"],
        ["ErrorCode", "ErrorMessage"],
        ["SequenceNumber", "ShardId"],
    ]
    assert found["Records"][1]["ErrorCode"] == "ProvisionedThroughputExceededException"


# ---- boto3: shards --------------------------------------------------------------------------------------------------


def test_reader_goes_from_a_split_shard_to_its_children(kinesis: Any) -> None:
    name = created(kinesis)
    kinesis.put_record(StreamName=name, Data=b"1", PartitionKey="a")
    begun = iterator(kinesis, name)
    kinesis.split_shard(StreamName=name, ShardToSplit="shardId-000000000000", NewStartingHashKey=str(2**127))
    found = kinesis.get_records(ShardIterator=begun)
    assert "NextShardIterator" not in found
    assert [each["ShardId"] for each in found["ChildShards"]] == ["shardId-000000000001", "shardId-000000000002"]
    assert found["ChildShards"][1] == {
        "ShardId": "shardId-000000000002",
        "ParentShards": ["shardId-000000000000"],
        "HashKeyRange": {"StartingHashKey": str(2**127), "EndingHashKey": str(2**128 - 1)},
    }
    kinesis.merge_shards(
        StreamName=name, ShardToMerge="shardId-000000000002", AdjacentShardToMerge="shardId-000000000001"
    )
    first, *_, last = kinesis.list_shards(StreamName=name)["Shards"]
    assert (last["ParentShardId"], last["AdjacentParentShardId"]) == ("shardId-000000000002", "shardId-000000000001")
    numbers = first["SequenceNumberRange"]
    assert int(numbers["StartingSequenceNumber"]) < int(numbers["EndingSequenceNumber"])
    assert int(numbers["EndingSequenceNumber"]) < int(last["SequenceNumberRange"]["StartingSequenceNumber"])
    assert "EndingSequenceNumber" not in last["SequenceNumberRange"]


def test_shards_are_listed_in_pages_and_by_filters(kinesis: Any) -> None:
    name = created(kinesis, 4)
    found = kinesis.update_shard_count(StreamName=name, TargetShardCount=2, ScalingType="UNIFORM_SCALING")
    assert (found["CurrentShardCount"], found["TargetShardCount"]) == (4, 2)

    def listed(kind: str, **given: Any) -> list[int]:
        shards = kinesis.list_shards(StreamName=name, ShardFilter={"Type": kind, **given})["Shards"]
        return [int(shard["ShardId"].removeprefix("shardId-")) for shard in shards]

    assert listed("AT_LATEST") == [4, 5]
    assert listed("FROM_TRIM_HORIZON") == listed("FROM_TIMESTAMP", Timestamp=0) == [0, 1, 2, 3, 4, 5]
    assert listed("AT_TRIM_HORIZON") == listed("AT_TIMESTAMP", Timestamp=0) == [0, 1, 2, 3]
    assert listed("AFTER_SHARD_ID", ShardId="shardId-000000000003") == [4, 5]
    assert listed("FROM_TIMESTAMP", Timestamp=4_000_000_000) == [4, 5]
    first = kinesis.list_shards(StreamName=name, ShardFilter={"Type": "AT_TRIM_HORIZON"}, MaxResults=3)
    second = kinesis.list_shards(NextToken=first["NextToken"])
    assert [len(page["Shards"]) for page in (first, second)] == [3, 1], "the filter counts for the next page too"
    assert "NextToken" not in second
    assert len(kinesis.list_shards(StreamName=name, ExclusiveStartShardId="shardId-000000000003")["Shards"]) == 2


# ---- what is refused ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("operation", "given", "code", "text"),
    [
        ("create_stream", {"StreamName": "a b", "ShardCount": 1}, "ValidationException", "regular expression pattern"),
        ("create_stream", {"StreamName": "new"}, "InvalidArgumentException", "needs ShardCount. Fix: set it"),
        ("create_stream", {"StreamName": "new", "ShardCount": 1001}, "ValidationException", "from 1 to 1000"),
        (
            "create_stream",
            {"StreamName": "new", "ShardCount": 1, "StreamModeDetails": {"StreamMode": "ON_DEMAND"}},
            *("InvalidArgumentException", "ShardCount is not for the mode ON_DEMAND"),
        ),
        (
            "create_stream",
            {"StreamName": "new", "ShardCount": 1, "RecordDistributionStrategy": "AUTO"},
            *("InvalidArgumentException", "Fix: USER_PARTITION_KEY"),
        ),
        ("describe_stream", {}, "InvalidArgumentException", "StreamName or StreamARN is required"),
        ("describe_stream", {"StreamName": "none"}, "ResourceNotFoundException", "Stream none under account"),
        (
            "describe_stream",
            {"StreamARN": f"arn:aws:kinesis:eu-west-1:{ACCOUNT}:stream/known"},
            *(
                "ResourceNotFoundException",
                f"here is arn:aws:kinesis:us-east-1:{ACCOUNT}:stream/known. Fix: use its ARN",
            ),
        ),
        (
            "describe_stream",
            {"StreamARN": f"arn:aws:kinesis:{REGION}:{ACCOUNT}:stream/known", "StreamName": "other"},
            *("InvalidArgumentException", "is of the stream known, and StreamName is other"),
        ),
        (
            "put_record",
            {"StreamName": "known", "Data": b"", "PartitionKey": ""},
            "ValidationException",
            "from 1 to 256",
        ),
        (
            "put_record",
            {"StreamName": "known", "Data": b"", "PartitionKey": "a", "ExplicitHashKey": str(2**128)},
            *("InvalidArgumentException", "must be in the range: [0, 2^128-1]"),
        ),
        (
            "put_record",
            {"StreamName": "known", "Data": b"", "PartitionKey": "a", "DryRun": True},
            *("InvalidArgumentException", "DryRun is not emulated. Fix: leave it out"),
        ),
        (
            "put_records",
            {"StreamName": "known", "Records": [{"Data": b"", "PartitionKey": "a"}] * 501},
            *("ValidationException", "from 1 to 500"),
        ),
        ("get_records", {"ShardIterator": "AAAA"}, "InvalidArgumentException", "Invalid ShardIterator."),
        ("get_records", {"ShardIterator": "AAAA", "Limit": 10001}, "ValidationException", "from 1 to 10000"),
        (
            "get_shard_iterator",
            {"StreamName": "known", "ShardId": "shardId-000000000009", "ShardIteratorType": "LATEST"},
            *("ResourceNotFoundException", "Could not find shard shardId-000000000009 in stream known under account"),
        ),
        (
            "get_shard_iterator",
            {"StreamName": "known", "ShardId": "shardId-000000000000", "ShardIteratorType": "AT_TIMESTAMP"},
            *("InvalidArgumentException", "Must specify timestamp"),
        ),
        ("list_shards", {"StreamName": "known", "NextToken": "a"}, "InvalidArgumentException", "provided together"),
        ("list_shards", {"NextToken": "a"}, "InvalidArgumentException", "The NextToken is invalid."),
        (
            "list_shards",
            {"StreamName": "known", "ShardFilter": {"Type": "AT_TIMESTAMP"}},
            *("InvalidArgumentException", "Timestamp of a ShardFilter of the type AT_TIMESTAMP. Fix: set it"),
        ),
        (
            "register_stream_consumer",
            {"StreamARN": f"arn:aws:kinesis:{REGION}:{ACCOUNT}:stream/known", "ConsumerName": "a"},
            *("UnknownOperationException", "enhanced fan-out is not emulated. Fix: read with GetShardIterator"),
        ),
        (
            "start_stream_encryption",
            {"StreamName": "known", "EncryptionType": "KMS", "KeyId": "a"},
            *("UnknownOperationException", "records are not encrypted here"),
        ),
        (
            "update_account_settings",
            {"MinimumThroughputBillingCommitment": {"Status": "ENABLED"}},
            *("UnknownOperationException", "Kinesis UpdateAccountSettings: this local stack has AddTagsToStream"),
        ),
    ],
)
def test_request_is_refused_with_the_error_of_aws_or_a_fix(
    url: str, kinesis: Any, operation: str, given: dict[str, Any], code: str, text: str
) -> None:
    if "known" not in kinesis.list_streams(Limit=10_000)["StreamNames"]:
        kinesis.create_stream(StreamName="known", ShardCount=1)
    unchecked = client(url, "kinesis", parameter_validation=False)
    found, message = refused(getattr(unchecked, operation), **given)
    assert (found, text in message) == (code, True), message
