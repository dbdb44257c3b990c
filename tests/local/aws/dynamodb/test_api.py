"""DynamoDB's APIs through HTTP, as their usual clients call them, and requests that no client sends."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import boto3
import pytest
from boto3.dynamodb.conditions import Attr, Key
from boto3.dynamodb.types import Binary
from botocore.exceptions import ClientError
from hypothesis import given, settings
from hypothesis import strategies as st

from lattice_bridge.local.aws.dynamodb.api import SERVICE, dynamodb_api
from lattice_bridge.local.aws.dynamodb.tables import OPERATIONS, Tables
from lattice_bridge.local.aws.protocol import AwsRequest, AwsResponse
from lattice_bridge.tenancy.registry import DynamoDbTable
from tests.support.endpoint import BLUE, REGION, client, endpoint
from tests.support.examples import examples
from tests.support.virtual_queues import ACCOUNT, Clock
from tests.support.virtual_tables import definition

CLOCK = Clock()
STREAM = {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"}


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with endpoint(lambda _url: {SERVICE: dynamodb_api(Tables(REGION, ACCOUNT, CLOCK))}) as found:
        yield found


@pytest.fixture(scope="module")
def dynamodb(url: str) -> Any:
    return client(url, "dynamodb")


@pytest.fixture(scope="module")
def streams(url: str) -> Any:
    return client(url, "dynamodbstreams")


@pytest.fixture(scope="module")
def resource(url: str) -> Any:
    return boto3.session.Session("local", "local", region_name=REGION).resource("dynamodb", endpoint_url=url)


@pytest.fixture(scope="module")
def orders(resource: Any) -> Any:
    """A table with two keys, an index and a stream."""
    return resource.create_table(
        TableName="orders",
        KeySchema=[{"AttributeName": "tenant", "KeyType": "HASH"}, {"AttributeName": "number", "KeyType": "RANGE"}],
        AttributeDefinitions=[
            {"AttributeName": "tenant", "AttributeType": "S"},
            {"AttributeName": "number", "AttributeType": "N"},
            {"AttributeName": "state", "AttributeType": "S"},
        ],
        GlobalSecondaryIndexes=[
            {
                "IndexName": "by-state",
                "KeySchema": [{"AttributeName": "state", "KeyType": "HASH"}],
                "Projection": {"ProjectionType": "ALL"},
            }
        ],
        BillingMode="PAY_PER_REQUEST",
        StreamSpecification=STREAM,
    )


def records(streams: Any, arn: str, kind: str = "TRIM_HORIZON", **given: Any) -> list[dict[str, Any]]:
    (shard,) = streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"]
    found = streams.get_shard_iterator(StreamArn=arn, ShardId=shard["ShardId"], ShardIteratorType=kind, **given)
    return list(streams.get_records(ShardIterator=found["ShardIterator"])["Records"])


# ---- usual clients --------------------------------------------------------------------------------------------------


def test_table_resource_writes_and_reads(orders: Any, streams: Any) -> None:
    table = orders
    table.wait_until_exists()
    table.put_item(Item={"tenant": "blue", "number": 1, "state": "new", "raw": b"\0\xff", "tags": {"x", "y"}})
    table.put_item(Item={"tenant": "blue", "number": 2, "state": "new", "lines": [{"price": Decimal("9.90")}]})
    with table.batch_writer() as batch:
        for number in range(10, 40):  # two requests
            batch.put_item(Item={"tenant": "green", "number": number, "state": "new"})
    found = table.update_item(
        Key={"tenant": "blue", "number": 1},
        UpdateExpression="SET #s = :s, amount = if_not_exists(amount, :zero) + :n REMOVE tags",
        ConditionExpression=Attr("state").eq("new"),
        ExpressionAttributeNames={"#s": "state"},
        ExpressionAttributeValues={":s": "paid", ":zero": 0, ":n": Decimal("1.5")},
        ReturnValues="ALL_NEW",
    )
    assert found["Attributes"] == {
        "tenant": "blue",
        "number": 1,
        "state": "paid",
        "raw": Binary(b"\0\xff"),
        "amount": Decimal("1.5"),
    }
    assert table.get_item(Key={"tenant": "blue", "number": 1})["Item"] == found["Attributes"]
    of_blue = table.query(
        KeyConditionExpression=Key("tenant").eq("blue") & Key("number").gte(1), ScanIndexForward=False
    )
    assert [item["number"] for item in of_blue["Items"]] == [2, 1]
    by_state = table.query(IndexName="by-state", KeyConditionExpression=Key("state").eq("paid"))
    assert [item["number"] for item in by_state["Items"]] == [1]
    page = table.query(KeyConditionExpression=Key("tenant").eq("green"), Limit=20)
    rest = table.query(KeyConditionExpression=Key("tenant").eq("green"), ExclusiveStartKey=page["LastEvaluatedKey"])
    assert [item["number"] for item in page["Items"] + rest["Items"]] == list(range(10, 40))
    table.delete_item(Key={"tenant": "blue", "number": 2})
    assert "Item" not in table.get_item(Key={"tenant": "blue", "number": 2})
    assert table.scan(Select="COUNT")["Count"] == 31
    kinds = [record["eventName"] for record in records(streams, table.latest_stream_arn)]
    assert kinds == ["INSERT"] * 32 + ["MODIFY", "REMOVE"]


def test_refused_condition_names_the_item(dynamodb: Any, orders: Any) -> None:
    orders.put_item(Item={"tenant": "red", "number": 1, "raw": b"\1"})
    with pytest.raises(dynamodb.exceptions.ConditionalCheckFailedException) as found:
        dynamodb.put_item(
            TableName="orders",
            Item={"tenant": {"S": "red"}, "number": {"N": "1"}},
            ConditionExpression="attribute_not_exists(tenant)",
            ReturnValuesOnConditionCheckFailure="ALL_OLD",
        )
    assert found.value.response["Item"]["raw"] == {"B": b"\1"}


def test_transaction_is_done_as_a_whole_or_refused_with_its_reasons(dynamodb: Any, orders: Any) -> None:
    def put(number: int, **more: Any) -> dict[str, Any]:
        item = {"tenant": {"S": "transact"}, "number": {"N": str(number)}}
        return {"Put": {"TableName": "orders", "Item": item, **more}}

    dynamodb.transact_write_items(TransactItems=[put(1), put(2)])
    with pytest.raises(dynamodb.exceptions.TransactionCanceledException) as found:
        dynamodb.transact_write_items(
            TransactItems=[put(3), put(1, ConditionExpression="attribute_not_exists(tenant)")]
        )
    assert [one["Code"] for one in found.value.response["CancellationReasons"]] == ["None", "ConditionalCheckFailed"]
    gets = [{"Get": {"TableName": "orders", "Key": put(number)["Put"]["Item"]}} for number in (1, 3)]
    first, second = dynamodb.transact_get_items(TransactItems=gets)["Responses"]
    assert (first["Item"]["number"], "Item" in second) == ({"N": "1"}, False)


def test_tables_are_listed_described_tagged_and_deleted(dynamodb: Any) -> None:
    dynamodb.create_table(**definition("others", ""))
    assert "others" in dynamodb.list_tables()["TableNames"]
    table = dynamodb.describe_table(TableName="others")["Table"]
    assert table["TableArn"] == f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/others"
    assert (table["TableStatus"], "LatestStreamArn" in table) == ("ACTIVE", False)
    dynamodb.tag_resource(ResourceArn=table["TableArn"], Tags=[{"Key": "a", "Value": "b"}])
    assert dynamodb.list_tags_of_resource(ResourceArn=table["TableArn"])["Tags"] == [{"Key": "a", "Value": "b"}]
    dynamodb.delete_table(TableName="others")
    with pytest.raises(dynamodb.exceptions.ResourceNotFoundException):
        dynamodb.describe_table(TableName="others")


def test_answer_has_the_capacity_only_if_it_is_asked_for(dynamodb: Any, orders: Any) -> None:
    given = {"TableName": "orders", "Key": {"tenant": {"S": "capacity"}, "number": {"N": "1"}}}
    assert "ConsumedCapacity" not in dynamodb.get_item(**given)
    assert "ConsumedCapacity" in dynamodb.get_item(**given, ReturnConsumedCapacity="TOTAL")


def test_identity_of_the_stack_may_write(url: str, orders: Any) -> None:
    own = client(url, "dynamodb", BLUE.access_key, BLUE.secret_key)
    own.put_item(TableName="orders", Item={"tenant": {"S": "blue"}, "number": {"N": "99"}})


def test_registry_of_a_bridge_reads_its_tenants_here(url: str, dynamodb: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bridge whose map has a [registry] gets these variables from the stack, and decides as in its account."""
    dynamodb.create_table(**definition("tenants", "", tenant="S"))
    item = {"tenant": {"S": "blue"}, "status": {"S": "active"}}
    dynamodb.put_item(TableName="tenants", Item={**item, "plan": {"S": "gold"}})
    for name, value in (("ENDPOINT_URL_DYNAMODB", url), ("ACCESS_KEY_ID", "local"), ("SECRET_ACCESS_KEY", "local")):
        monkeypatch.setenv(f"AWS_{name}", value)
    monkeypatch.delenv("AWS_SESSION_TOKEN", raising=False)
    fetch = DynamoDbTable("tenants", REGION)
    assert (fetch("blue"), fetch("red")) == (item, None)


# ---- streams --------------------------------------------------------------------------------------------------------


@pytest.fixture
def changed(dynamodb: Any, request: pytest.FixtureRequest) -> str:
    """The ARN of the stream of a table with three changes of one item."""
    name = request.node.name[-60:].strip("[]-_").replace("[", "-")
    table = dynamodb.create_table(**definition(name))["TableDescription"]
    for number in ("1", "2", "3"):
        dynamodb.put_item(TableName=name, Item={"id": {"S": "a"}, "n": {"N": number}, "b": {"B": b"\0"}})
    return str(table["LatestStreamArn"])


def test_record_is_read_with_its_types(streams: Any, changed: str) -> None:
    first, second, _ = records(streams, changed)
    assert (first["eventName"], first["eventVersion"], first["awsRegion"]) == ("INSERT", "1.1", REGION)
    assert "eventSourceARN" not in first
    change = second["dynamodb"]
    assert (change["Keys"], change["OldImage"]["n"]) == ({"id": {"S": "a"}}, {"N": "1"})
    assert change["NewImage"] == {"id": {"S": "a"}, "n": {"N": "2"}, "b": {"B": b"\0"}}
    assert (change["SizeBytes"], change["ApproximateCreationDateTime"].timestamp()) == (19, CLOCK())


def test_record_of_an_expired_item_names_the_service(dynamodb: Any, streams: Any, changed: str) -> None:
    """The API writes `PrincipalId` where Lambda's event has `principalId`."""
    name = changed.split("/")[1]
    dynamodb.update_time_to_live(TableName=name, TimeToLiveSpecification={"Enabled": True, "AttributeName": "n"})
    dynamodb.put_item(TableName=name, Item={"id": {"S": "b"}, "n": {"N": str(int(CLOCK()))}})
    last = records(streams, changed)[-1]
    assert last["eventName"] == "REMOVE"
    assert last["userIdentity"] == {"PrincipalId": "dynamodb.amazonaws.com", "Type": "Service"}


def test_iterator_begins_where_it_is_told(dynamodb: Any, streams: Any, changed: str) -> None:
    numbers = [one["dynamodb"]["SequenceNumber"] for one in records(streams, changed)]

    def read(kind: str, **given: Any) -> list[str]:
        return [one["dynamodb"]["SequenceNumber"] for one in records(streams, changed, kind, **given)]

    assert read("AT_SEQUENCE_NUMBER", SequenceNumber=numbers[1]) == numbers[1:]
    assert read("AFTER_SEQUENCE_NUMBER", SequenceNumber=numbers[1]) == numbers[2:]
    assert read("LATEST") == []


def test_iterators_lead_through_the_stream_to_its_end(dynamodb: Any, streams: Any, changed: str) -> None:
    (shard,) = streams.describe_stream(StreamArn=changed)["StreamDescription"]["Shards"]
    given = {"StreamArn": changed, "ShardId": shard["ShardId"], "ShardIteratorType": "TRIM_HORIZON"}
    iterator = streams.get_shard_iterator(**given)["ShardIterator"]
    first = streams.get_records(ShardIterator=iterator, Limit=2)
    second = streams.get_records(ShardIterator=first["NextShardIterator"])
    third = streams.get_records(ShardIterator=second["NextShardIterator"])
    assert [len(one["Records"]) for one in (first, second, third)] == [2, 1, 0]
    dynamodb.delete_table(TableName=changed.split("/")[1])
    assert "NextShardIterator" not in streams.get_records(ShardIterator=third["NextShardIterator"])
    stream = streams.describe_stream(StreamArn=changed)["StreamDescription"]
    assert (stream["StreamStatus"], stream["StreamViewType"]) == ("DISABLED", "NEW_AND_OLD_IMAGES")
    assert "EndingSequenceNumber" in stream["Shards"][0]["SequenceNumberRange"]


def test_streams_are_listed_by_table_and_in_pages(streams: Any, changed: str, orders: Any) -> None:
    name = changed.split("/")[1]
    (found,) = streams.list_streams(TableName=name)["Streams"]
    assert found == {"StreamArn": changed, "TableName": name, "StreamLabel": changed.rpartition("/")[2]}
    page = streams.list_streams(Limit=1)
    assert page["LastEvaluatedStreamArn"] == page["Streams"][0]["StreamArn"]
    rest = streams.list_streams(ExclusiveStartStreamArn=page["LastEvaluatedStreamArn"])["Streams"]
    assert changed in [one["StreamArn"] for one in page["Streams"] + rest]


@pytest.mark.parametrize(
    ("operation", "given", "code"),
    [
        ("describe_stream", {"StreamArn": "arn:aws:dynamodb:us-east-1:123456789012:x"}, "ResourceNotFoundException"),
        ("get_records", {"ShardIterator": "x" * 50}, "ValidationException"),
        ("get_records", {"ShardIterator": "WzEsIDIsIDNd"}, "ValidationException"),
        ("get_records", {"ShardIterator": "é" * 50}, "ValidationException"),
        ("list_streams", {"Limit": 101}, "ValidationException"),
    ],
)
def test_request_of_a_stream_that_aws_refuses_is_refused(
    streams: Any, operation: str, given: dict[str, Any], code: str
) -> None:
    with pytest.raises(ClientError) as found:
        getattr(streams, operation)(**given)
    assert found.value.response["Error"]["Code"] == code


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"ShardId": "shardId-00000001541626099285-f35f62ef"}, "ResourceNotFoundException"),
        ({"ShardIteratorType": "AT_TIMESTAMP"}, "ValidationException"),
        ({"ShardIteratorType": "AT_SEQUENCE_NUMBER"}, "ValidationException"),
        ({"ShardIteratorType": "AT_SEQUENCE_NUMBER", "SequenceNumber": "x" * 21}, "ValidationException"),
        ({"ShardIteratorType": "AT_SEQUENCE_NUMBER", "SequenceNumber": "0" * 21}, "TrimmedDataAccessException"),
    ],
)
def test_iterator_that_aws_refuses_is_refused(streams: Any, orders: Any, given: dict[str, Any], code: str) -> None:
    arn = orders.latest_stream_arn
    (shard,) = streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"]
    with pytest.raises(ClientError) as found:
        streams.get_shard_iterator(
            **{"StreamArn": arn, "ShardId": shard["ShardId"], "ShardIteratorType": "LATEST", **given}
        )
    assert found.value.response["Error"]["Code"] == code


def test_iterator_expires_after_15_minutes(streams: Any, changed: str) -> None:
    (shard,) = streams.describe_stream(StreamArn=changed)["StreamDescription"]["Shards"]
    given = {"StreamArn": changed, "ShardId": shard["ShardId"], "ShardIteratorType": "LATEST"}
    iterator = streams.get_shard_iterator(**given)["ShardIterator"]
    CLOCK.forward(901)
    with pytest.raises(streams.exceptions.ExpiredIteratorException):
        streams.get_records(ShardIterator=iterator)


# ---- requests that no client sends ----------------------------------------------------------------------------------


TABLES = Tables(REGION, ACCOUNT)
TARGET = "DynamoDB_20120810."


def answered(target: str, body: bytes) -> tuple[int, dict[str, Any]]:
    request = AwsRequest("1", "POST", "/", "", [("x-amz-target", target)], SERVICE, body)

    async def answer() -> AwsResponse:
        return await dynamodb_api(TABLES).answer(request)

    found = asyncio.run(answer())
    return found.status, json.loads(found.body)


@pytest.mark.parametrize(
    ("target", "body", "status", "code"),
    [
        ("", b"{}", 400, "UnknownOperationException"),
        ("DynamoDB_20111205.ListTables", b"{}", 400, "UnknownOperationException"),
        (f"{TARGET}CreateBackup", b"{}", 501, "NotImplemented"),
        (f"{TARGET}__init__", b"{}", 501, "NotImplemented"),
        (f"{TARGET}GetRecords", b"{}", 501, "NotImplemented"),
        (f"{TARGET}ExecuteStatement", b'{"Statement": "SELECT 1"}', 501, "NotImplemented"),
        ("DynamoDBStreams_20120810.PutItem", b"{}", 501, "NotImplemented"),
        (f"{TARGET}ListTables", b"[]", 400, "SerializationException"),
        (f"{TARGET}ListTables", b"\xff", 400, "SerializationException"),
        (f"{TARGET}ListTables", b"{", 400, "SerializationException"),
        (f"{TARGET}ListTables", b'{"ExclusiveStartTableName": "\\ud800"}', 400, "SerializationException"),
        (f"{TARGET}ListTables", b'{"Limit": "1"}', 400, "ValidationException"),
        (f"{TARGET}PutItem", b'{"TableName": "no-table", "Item": {}}', 400, "ResourceNotFoundException"),
        (f"{TARGET}PutItem", b'{"TableName": null, "Item": {}}', 400, "ValidationException"),
        (f"{TARGET}TransactWriteItems", b'{"TransactItems": [{}]}', 400, "ValidationException"),
        (f"{TARGET}BatchWriteItem", b'{"RequestItems": {"table": [{}]}}', 400, "ValidationException"),
    ],
)
def test_request_that_no_client_sends_is_refused(target: str, body: bytes, status: int, code: str) -> None:
    found, error = answered(target, body)
    assert (found, error["__type"].rpartition("#")[2]) == (status, code)


def test_value_as_deep_as_json_allows_is_refused() -> None:
    deep = b'{"TableName": "table", "Item": {"id": ' + b'{"L": [' * 5000 + b"]}" * 5000 + b"}}"
    status, error = answered(f"{TARGET}PutItem", deep)
    assert (status, "Nesting Levels" in error["message"]) == (400, True)


def test_body_over_16_mib_is_refused() -> None:
    status, error = answered(f"{TARGET}PutItem", b" " * (16 * 1024**2 + 1))
    assert (status, error["message"]) == (413, "The request is larger than 16 MiB")


def test_error_contains_no_control_character() -> None:
    """Trap G3: an SDK writes the message to a terminal."""
    _, error = answered(f"{TARGET}DescribeTable", b'{"TableName": "a\\u001b[2J"}')
    assert "\x1b" not in error["message"]


WORDS = st.sampled_from(["orders", "id", "n", ":n", "#n", "SET n = :n", "n = :n", "S", "N", "B", "", "HASH", "ALL"])
NAMES = st.sampled_from(
    [
        *("TableName", "Key", "Item", "UpdateExpression", "ConditionExpression", "ExpressionAttributeValues"),
        *("ExpressionAttributeNames", "RequestItems", "TransactItems", "Put", "PutRequest", "KeySchema"),
        *("AttributeDefinitions", "AttributeName", "KeyType", "AttributeType", "S", "N", "M", "id", ":n", "#n"),
        *("KeyConditionExpression", "FilterExpression", "Limit", "Segment", "TotalSegments", "ExclusiveStartKey"),
    ]
)
ANYTHING = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-1, 3), WORDS),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(NAMES, inner, max_size=4)),
    max_leaves=12,
)


@settings(max_examples=examples(100), deadline=None)
@given(
    st.sampled_from(sorted(OPERATIONS)),
    st.dictionaries(NAMES, ANYTHING, max_size=6),
    st.sampled_from([{}, {"TableName": "orders"}, {"TableName": "orders", "Key": {"id": {"S": "a"}}}]),
)
def test_no_request_is_answered_with_a_fault_of_the_server(
    operation: str, found: dict[str, Any], begin: dict[str, Any]
) -> None:
    if "orders" not in TABLES:
        answered(f"{TARGET}CreateTable", json.dumps(definition()).encode())
    status, _ = answered(f"{TARGET}{operation}", json.dumps({**found, **begin}).encode())
    assert status in (200, 400, 501)
    assert answered(f"{TARGET}Scan", b'{"TableName": "orders"}')[0] in (200, 400)
