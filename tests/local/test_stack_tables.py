"""The real stack with a table: a function writes to it, and boto3 reads its stream."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

import pytest

from lattice_bridge.testing import LocalStack
from tests.support.stack_queues import client

TEMPLATE: Final = """
Resources:
  Writes:
    Type: AWS::Lambda::Function
    Properties:
      FunctionName: writes
      Handler: app.handler
      Runtime: python3.13
      Code: code
      Timeout: 20
      Environment: {Variables: {TABLE: !Ref Orders, STREAM: !GetAtt Orders.StreamArn}}
  Orders:
    Type: AWS::DynamoDB::Table
    Properties:
      TableName: orders
      AttributeDefinitions: [{AttributeName: id, AttributeType: S}]
      KeySchema: [{AttributeName: id, KeyType: HASH}]
      StreamSpecification: {StreamViewType: NEW_IMAGE}
"""
CODE: Final = """
import os, boto3

def handler(event, context):
    boto3.resource("dynamodb").Table(os.environ["TABLE"]).put_item(Item=event)
    (stream,) = boto3.client("dynamodbstreams").list_streams(TableName=os.environ["TABLE"])["Streams"]
    return [os.environ["STREAM"], stream["StreamArn"]]
"""


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    folder = tmp_path_factory.mktemp("project")
    (folder / "code").mkdir()
    (folder / "code" / "app.py").write_text(CODE)
    (folder / "template.yaml").write_text(TEMPLATE)
    with LocalStack(folder / "template.yaml") as stack:
        yield stack


def records(stack: LocalStack, arn: str) -> list[dict[str, Any]]:
    streams = client(stack, service="dynamodbstreams")
    (shard,) = streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"]
    given = {"StreamArn": arn, "ShardId": shard["ShardId"], "ShardIteratorType": "TRIM_HORIZON"}
    return list(streams.get_records(ShardIterator=streams.get_shard_iterator(**given)["ShardIterator"])["Records"])


def test_function_finds_the_table_of_the_template_and_its_stream(stack: LocalStack) -> None:
    """It has the endpoint of both APIs, and the ARN that a mapping has too."""
    answer = client(stack, service="lambda").invoke(FunctionName="writes", Payload=b'{"id": "a", "total": 3}')
    own, found = json.loads(answer["Payload"].read())
    assert own == found
    (record,) = records(stack, own)
    assert record["dynamodb"]["NewImage"] == {"id": {"S": "a"}, "total": {"N": "3"}}
