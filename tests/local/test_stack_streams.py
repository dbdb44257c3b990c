"""The real stack with Kinesis streams: a function, boto3, and both versions of the AWS CLI."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from lattice_bridge.testing import LocalStack
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
VERSION_1, VERSION_2 = Path(sys.executable).with_name("aws"), Path("/usr/bin/aws")


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


@pytest.mark.parametrize(
    ("aws", "encode"),
    [
        pytest.param(
            VERSION_1,
            lambda text: text,
            marks=pytest.mark.skipif(not VERSION_1.exists(), reason="version 1 of the AWS CLI is not installed"),
        ),
        pytest.param(
            VERSION_2,
            lambda text: base64.b64encode(text.encode()).decode(),
            marks=pytest.mark.skipif(not VERSION_2.exists(), reason="version 2 of the AWS CLI is not installed"),
        ),
    ],
    ids=["1", "2"],
)
def test_aws_cli_puts_a_record(stack: LocalStack, tmp_path: Path, aws: Path, encode: Any) -> None:
    """Version 2 takes base64, as its `cli_binary_format` is by default."""
    text = f"from {aws}"
    keys = {"AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local", "AWS_DEFAULT_REGION": "us-east-1"}
    done = subprocess.run(
        [
            *(str(aws), "kinesis", "put-record", "--endpoint-url", stack.process.lambda_url, "--output", "json"),
            *("--stream-name", "clicks", "--partition-key", "a", "--data", encode(text)),
        ],
        capture_output=True,
        text=True,
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), **keys},
        check=True,
        timeout=120,
    )
    assert text.encode() in data(client(stack, service="kinesis"), json.loads(done.stdout)["ShardId"])
