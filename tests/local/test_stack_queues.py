"""The real stack with queues: boto3 sends, mappings deliver, a router invokes isolated functions."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from lattice_bridge.testing import LocalStack
from tests.support.stack_queues import client, printed, received, records_of, url_of

ARN: Final = "arn:aws:sqs:us-east-1:123456789012"
DEPLOYED: Final = "arn:aws:sqs:eu-west-1:111122223333:prod-orders.fifo"
TEMPLATE: Final = """
Resources:
  Router:
    Type: AWS::Lambda::Function
    Properties: {Handler: lattice_bridge.main.handler, Runtime: python3.13, Code: router, Timeout: 10}
  Worker:
    Type: AWS::Lambda::Function
    Properties:
      FunctionName: worker
      Handler: app.worker
      Runtime: python3.13
      Code: code
      TenancyConfig: {TenantIsolationMode: PER_TENANT}
  Steps:
    Type: AWS::Lambda::Function
    Properties:
      FunctionName: steps
      Handler: app.steps
      Runtime: python3.13
      Code: code
      Timeout: 1
      Environment: {Variables: {KEPT: !Ref Kept}}
  StepsQueue:
    Type: AWS::SQS::Queue
    Properties:
      QueueName: steps.fifo
      FifoQueue: true
      VisibilityTimeout: 1
      RedrivePolicy: {deadLetterTargetArn: !GetAtt Dead.Arn, maxReceiveCount: 2}
  Dead: {Type: AWS::SQS::Queue, Properties: {QueueName: dead.fifo, FifoQueue: true}}
  Orders: {Type: AWS::SQS::Queue, Properties: {FifoQueue: true, VisibilityTimeout: 60}}
  Aside: {Type: AWS::SQS::Queue, Properties: {QueueName: aside.fifo, FifoQueue: true}}
  Kept: {Type: AWS::SQS::Queue, Properties: {QueueName: kept, VisibilityTimeout: 30}}
  ReadsSteps:
    Type: AWS::Lambda::EventSourceMapping
    Properties:
      EventSourceArn: !GetAtt StepsQueue.Arn
      FunctionName: !Ref Steps
      BatchSize: 1 # messages of a batch share their receive count, and reach the dead-letter queue together
      FunctionResponseTypes: [ReportBatchItemFailures]
  ReadsOrders:
    Type: AWS::Lambda::EventSourceMapping
    Properties:
      EventSourceArn: !GetAtt Orders.Arn
      FunctionName: !Ref Router
      FunctionResponseTypes: [ReportBatchItemFailures]
"""
MAP: Final = f"""
[[event_source]]
arn = "{DEPLOYED}"
function = "worker"
claim = {{ from = "attribute", name = "tenant" }}
quarantine = "{ARN}:aside.fifo"
[tenants]
blue = {{}}
green = {{}}
[[rule]]
id = "service"
sender = {{ role_id = "AROAEXAMPLE123456789" }}
tenants = ["blue", "green"]
"""
CODE: Final = """
import json, os

def steps(event, context):
    failed, groups = [], set()
    for record in event.get("Records", []):
        group = record["attributes"]["MessageGroupId"]
        if record["body"] == "bad" or group in groups:
            groups.add(group)
            failed.append({"itemIdentifier": record["messageId"]})
        else:
            print("step", group, record["body"])
    return {"batchItemFailures": failed} if event.get("Records") else os.environ["KEPT"]

def worker(event, context):
    for record in event["Records"]:
        print("order", context.tenant_id, record["body"])
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("project")
    for name, text in (("template.yaml", TEMPLATE), ("router/bridge.toml", MAP), ("code/app.py", CODE)):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    (folder / "local.toml").write_text(f'[local.ids]\nOrders = "{DEPLOYED}"\n')
    return folder


@pytest.fixture(scope="module")
def stack(project: Path) -> Iterator[LocalStack]:
    with LocalStack(project / "template.yaml", options=["--reload"]) as stack:
        yield stack


def test_failed_message_reaches_the_dead_letter_queue_and_its_group_keeps_its_order(stack: LocalStack) -> None:
    """Trap E9, E22: only the poison message is set aside, and what was behind it runs after it."""
    sqs = client(stack)
    url = url_of(sqs, "steps.fifo")
    for number, (group, body) in enumerate((("a", "1"), ("a", "bad"), ("a", "3"), ("b", "1"))):
        sqs.send_message(QueueUrl=url, MessageBody=body, MessageGroupId=group, MessageDeduplicationId=f"{number}")
    dead = received(sqs, "dead.fifo")
    assert (dead["Body"], dead["Attributes"]["DeadLetterQueueSourceArn"]) == ("bad", f"{ARN}:steps.fifo")
    lines = printed(stack, "step ", 3)
    assert [line for line in lines if line.startswith("step a")] == ["step a 1", "step a 3"]
    assert "step b 1" in lines


def test_router_runs_each_record_as_its_tenant_and_sets_a_refused_one_aside(stack: LocalStack) -> None:
    """Trap E1, E3: the sender's rule allows blue and green, and the claim chooses."""
    sqs = client(stack, "LOCALAROAEXAMPLE123456789", "aroaexample123456789")
    url = url_of(sqs, "prod-orders.fifo")
    assert url.endswith("/111122223333/prod-orders.fifo")
    for tenant in ("blue", "red", "green"):
        sqs.send_message(
            QueueUrl=url,
            MessageBody=f"of {tenant}",
            MessageGroupId="g",
            MessageDeduplicationId=tenant,
            MessageAttributes={"tenant": {"DataType": "String", "StringValue": tenant}},
        )
    assert printed(stack, "order ", 2) == ["order blue of blue", "order green of green"]
    aside = received(sqs, "aside.fifo")
    assert (aside["Body"], aside["MessageAttributes"]["tenant"]["StringValue"]) == ("of red", "red")
    assert json.loads(aside["MessageAttributes"]["lattice-bridge"]["StringValue"])["source"] == DEPLOYED
    assert [one["status"] for one in records_of(stack)] == ["done", "quarantined", "done"]


def test_other_sender_is_refused(stack: LocalStack) -> None:
    """Trap E2: a claim grants nothing."""
    sqs = client(stack)
    sqs.send_message(
        QueueUrl=url_of(sqs, "prod-orders.fifo"),
        MessageBody="forged",
        MessageGroupId="h",
        MessageDeduplicationId="forged",
        MessageAttributes={"tenant": {"DataType": "String", "StringValue": "blue"}},
    )
    aside = received(sqs, "aside.fifo")
    assert aside["Body"] == "forged"
    assert json.loads(aside["MessageAttributes"]["lattice-bridge"]["StringValue"])["reason"] == "no_rule"


def test_variable_of_a_function_is_a_url_of_the_endpoint(stack: LocalStack) -> None:
    answer = client(stack, service="lambda").invoke(FunctionName="steps")
    assert json.load(answer["Payload"]) == f"{stack.process.lambda_url}/123456789012/kept"


def test_change_of_the_template_keeps_messages_and_changes_the_queue(stack: LocalStack, project: Path) -> None:
    sqs = client(stack)
    url = url_of(sqs, "kept")
    sqs.send_message(QueueUrl=url, MessageBody="before")
    (project / "template.yaml").write_text(TEMPLATE.replace("VisibilityTimeout: 30", "VisibilityTimeout: 31"))
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        found = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
        if found["VisibilityTimeout"] == "31":
            break
        time.sleep(0.05)
    assert (found["VisibilityTimeout"], found["ApproximateNumberOfMessages"]) == ("31", "1")
