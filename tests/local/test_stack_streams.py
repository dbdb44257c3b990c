"""The real stack with Kinesis streams: a function, boto3, and both versions of the AWS CLI."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from lattice_bridge.testing import LocalStack
from tests.support.aws_cli import run_aws
from tests.support.stack_queues import client

TEMPLATE: Final = """
Resources:
  Producer:
    Type: AWS::Lambda::Function
    Properties:
      FunctionName: producer
      Handler: app.produce
      Runtime: python3.13
      Code: code
      Environment: {Variables: {STREAM: !Ref Clicks, ARN: !GetAtt Clicks.Arn}}
  Clicks: {Type: AWS::Kinesis::Stream, Properties: {Name: clicks, ShardCount: 2}}
"""
CODE: Final = """
import boto3, os

def produce(event, context):
    kinesis = boto3.client("kinesis")
    put = kinesis.put_record(StreamName=os.environ["STREAM"], Data=event["data"].encode(), PartitionKey=event["key"])
    names = sorted(name for name in os.environ if name.startswith("AWS_ENDPOINT_URL"))
    return {"shard": put["ShardId"], "arn": os.environ["ARN"], "names": names}
"""


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    folder = tmp_path_factory.mktemp("project")
    (folder / "code").mkdir()
    (folder / "code" / "app.py").write_text(CODE)
    (folder / "template.yaml").write_text(TEMPLATE)
    with LocalStack(folder / "template.yaml") as stack:
        yield stack


def data(kinesis: Any, shard_id: str) -> list[bytes]:
    found = kinesis.get_shard_iterator(StreamName="clicks", ShardId=shard_id, ShardIteratorType="TRIM_HORIZON")
    return [record["Data"] for record in kinesis.get_records(ShardIterator=found["ShardIterator"])["Records"]]


def test_function_puts_a_record_and_a_developer_reads_it(stack: LocalStack) -> None:
    payload = json.dumps({"key": "a", "data": "from a function"})
    found = client(stack, service="lambda").invoke(FunctionName="producer", Payload=payload)
    put = json.loads(found["Payload"].read())
    assert put == {
        "shard": "shardId-000000000000",
        "arn": "arn:aws:kinesis:us-east-1:123456789012:stream/clicks",
        "names": ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_KINESIS", "AWS_ENDPOINT_URL_LAMBDA"],
    }
    kinesis = client(stack, service="kinesis")
    assert b"from a function" in data(kinesis, put["shard"])


@pytest.mark.parametrize("major", [1, 2])
def test_aws_cli_puts_a_record(stack: LocalStack, tmp_path: Path, major: int) -> None:
    """Version 2 takes base64, as its `cli_binary_format` is by default."""
    text = f"from version {major}"
    sent = run_aws(
        *(major, tmp_path, "us-east-1", "kinesis", "put-record", "--endpoint-url", stack.process.lambda_url),
        *("--stream-name", "clicks", "--partition-key", "a"),
        *("--data", text if major == 1 else base64.b64encode(text.encode()).decode()),
        since=(2,),
    )
    assert text.encode() in data(client(stack, service="kinesis"), sent["ShardId"])
