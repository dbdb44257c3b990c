"""Asynchronous invocations of a real stack: boto3 invokes, functions fail, queues and functions receive the records."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

import pytest

from lattice_bridge.testing import LocalStack
from tests.support.stack_queues import client, lines, printed, received

TEMPLATE: Final = """
Transform: AWS::Serverless-2016-10-31
Globals:
  Function: {Runtime: python3.13, CodeUri: code}
Resources:
  Orders:
    Type: AWS::Serverless::Function
    Properties:
      FunctionName: orders
      Handler: app.fails_as_often
      AutoPublishAlias: live
      TenancyConfig: {TenantIsolationMode: PER_TENANT}
      DeadLetterQueue: {Type: SQS, TargetArn: !GetAtt Dead.Arn}
      EventInvokeConfig:
        DestinationConfig:
          OnSuccess: {Type: Lambda, Destination: !GetAtt Audit.Arn}
          OnFailure: {Type: SQS, Destination: !GetAtt Failures.Arn}
  Audit: {Type: AWS::Serverless::Function, Properties: {FunctionName: audit, Handler: app.audit}}
  Failures: {Type: AWS::SQS::Queue, Properties: {QueueName: failures}}
  Dead: {Type: AWS::SQS::Queue, Properties: {QueueName: dead}}
"""
CODE: Final = """
runs = {}

def fails_as_often(event, context):
    runs[context.aws_request_id] = count = runs.get(context.aws_request_id, 0) + 1
    print("run", count, context.tenant_id, context.client_context)
    if count <= event["fail"]:
        raise RuntimeError("not yet")
    return {"count": count}

def audit(event, context):
    print("audit", event["requestContext"]["condition"], event["responsePayload"], context.tenant_id)
"""


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    folder = tmp_path_factory.mktemp("async")
    (folder / "template.yaml").write_text(TEMPLATE)
    (folder / "code").mkdir()
    (folder / "code" / "app.py").write_text(CODE)
    with LocalStack(folder / "template.yaml", options=["--async-retry", "0.1"]) as stack:
        yield stack


def invoke(stack: LocalStack, fail: int, qualifier: str = "live") -> str:
    """Sends an event, and returns its request id."""
    answer = client(stack, service="lambda").invoke(
        FunctionName="orders",
        Qualifier=qualifier,
        InvocationType="Event",
        TenantId="blue",
        ClientContext="e30=",
        Payload=json.dumps({"fail": fail}),
    )
    assert answer["StatusCode"] == 202
    return str(answer["ResponseMetadata"]["RequestId"])


def tries(stack: LocalStack, request_id: str, count: int) -> list[dict[str, Any]]:
    return lines(stack, lambda line: line.get("requestId") == request_id and "try" in line, count)


def test_event_that_fails_twice_succeeds_and_its_record_reaches_the_function(stack: LocalStack) -> None:
    request_id = invoke(stack, 2)
    assert printed(stack, "run", 3) == ["run 1 blue None", "run 2 blue None", "run 3 blue None"]
    assert printed(stack, "audit", 1) == ["audit Success {'count': 3} None"]
    found = tries(stack, request_id, 3)
    assert [(one["try"], one.get("nextTrySeconds"), one.get("condition")) for one in found] == [
        (1, 0.1, None),
        (2, 0.2, None),
        (3, None, "Success"),
    ]


def test_event_that_fails_always_reaches_the_queue_and_the_dead_letter_queue(stack: LocalStack) -> None:
    request_id = invoke(stack, 9)
    record = json.loads(received(client(stack), "failures")["Body"])
    assert record["requestContext"]["condition"] == "RetriesExhausted"
    assert record["requestContext"]["approximateInvokeCount"] == 3
    assert record["requestContext"]["functionArn"].endswith(":function:orders:live")
    assert record["requestPayload"] == {"fail": 9}
    assert record["responsePayload"]["errorMessage"] == "not yet"
    configuration = client(stack, service="lambda").get_function_configuration(FunctionName="orders")
    assert configuration["DeadLetterConfig"]["TargetArn"].endswith(":dead")
    letter = received(client(stack), "dead")
    assert letter["Body"] == '{"fail": 9}'
    assert letter["MessageAttributes"]["RequestID"]["StringValue"] == request_id


def test_configuration_of_an_alias_applies_to_its_invocations_only(stack: LocalStack) -> None:
    """Without the alias, an event that is given up has the dead-letter queue of the function."""
    *_, last = tries(stack, invoke(stack, 9, "$LATEST"), 3)
    assert [one["destination"].rpartition(":")[2] for one in last["deliveries"]] == ["dead"]
