"""The real stack with event buses: boto3 and the AWS CLI put events, rules deliver them to functions and queues."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from lattice_bridge.testing import LocalStack
from tests.support.stack_queues import client, lines, printed, received

DEPLOYED: Final = "arn:aws:events:eu-west-1:111122223333:event-bus/prod-orders"
AWS: Final = Path("/usr/bin/aws")
"""The AWS CLI, version 2."""
TEMPLATE: Final = """
Resources:
  Worker:
    Type: AWS::Lambda::Function
    Properties:
      FunctionName: worker
      Handler: app.worker
      Runtime: python3.13
      Code: code
      Environment: {Variables: {BUS: !Ref Orders}}
  Isolated:
    Type: AWS::Lambda::Function
    Properties:
      FunctionName: isolated
      Handler: app.worker
      Runtime: python3.13
      Code: code
      TenancyConfig: {TenantIsolationMode: PER_TENANT}
  Kept: {Type: AWS::SQS::Queue, Properties: {QueueName: kept}}
  Dead: {Type: AWS::SQS::Queue, Properties: {QueueName: dead}}
  Orders: {Type: AWS::Events::EventBus, Properties: {Name: orders}}
  Placed:
    Type: AWS::Events::Rule
    Properties:
      Name: placed
      EventBusName: !Ref Orders
      EventPattern: {source: [shop], detail: {total: [{numeric: [">", 10]}]}}
      Targets:
        - {Id: worker, Arn: !GetAtt Worker.Arn}
        - {Id: kept, Arn: !GetAtt Kept.Arn, InputPath: $.detail}
  Refused:
    Type: AWS::Events::Rule
    Properties:
      Name: refused
      EventPattern: {detail-type: [Isolated]}
      Targets:
        - {Id: isolated, Arn: !GetAtt Isolated.Arn, DeadLetterConfig: {Arn: !GetAtt Dead.Arn}}
  Results: {Type: AWS::SQS::Queue, Properties: {QueueName: results}}
  Configured:
    Type: AWS::Lambda::EventInvokeConfig
    Properties:
      FunctionName: !Ref Worker
      Qualifier: $LATEST
      DestinationConfig: {OnSuccess: {Destination: !GetAtt Orders.Arn}}
  Ended:
    Type: AWS::Events::Rule
    Properties:
      Name: ended
      EventBusName: !Ref Orders
      EventPattern: {source: [lambda], detail: {requestPayload: {detail: {total: [55]}}}}
      Targets: [{Id: results, Arn: !GetAtt Results.Arn}]
  FromFunction:
    Type: AWS::Events::Rule
    Properties:
      Name: from-function
      EventBusName: !Ref Orders
      EventPattern: {source: [worker]}
      Targets: [{Id: kept, Arn: !GetAtt Kept.Arn}]
"""
CODE: Final = """
import boto3, json, os

def worker(event, context):
    if "put" in event:
        entry = {"Source": "worker", "DetailType": "Done", "Detail": "{}", "EventBusName": os.environ["BUS"]}
        return boto3.client("events").put_events(Entries=[entry])["FailedEntryCount"]
    print("event", event["account"], event["region"], event["detail"]["total"])
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("project")
    for name, text in (("template.yaml", TEMPLATE), ("code/app.py", CODE)):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    (folder / "local.toml").write_text(f'[local.ids]\nOrders = "{DEPLOYED}"\n')
    return folder


@pytest.fixture(scope="module")
def stack(project: Path) -> Iterator[LocalStack]:
    with LocalStack(project / "template.yaml", options=["--reload"]) as stack:
        yield stack


def entry(total: int, **options: Any) -> dict[str, Any]:
    found = {"Source": "shop", "DetailType": "Order Placed", "Detail": json.dumps({"total": total})}
    return {**found, "EventBusName": DEPLOYED, **options}


def events_of(stack: LocalStack, event_id: str, count: int) -> list[dict[str, Any]]:
    """The stack's lines about an event."""
    return lines(stack, lambda line: line.get("message") == "event" and line.get("id") == event_id, count)


def test_event_reaches_function_and_queue(stack: LocalStack) -> None:
    result = client(stack, service="events").put_events(Entries=[entry(42), entry(1)])
    assert printed(stack, "event 111122223333", 1) == ["event 111122223333 us-east-1 42"]
    assert json.loads(received(client(stack), "kept")["Body"]) == {"total": 42}
    taken, other = (one["EventId"] for one in result["Entries"])
    shown = [(line["rule"], line["target"], line["bus"]) for line in events_of(stack, taken, 2)]
    assert shown == [("placed", "worker", "prod-orders"), ("placed", "kept", "prod-orders")]
    assert events_of(stack, other, 1)[0]["rule"] is None


def test_isolated_function_as_target_is_a_dead_letter_with_the_reason(stack: LocalStack) -> None:
    """Trap E5: an event of a bus names no tenant, so an isolated function refuses it, and it is not lost."""
    events = client(stack, service="events")
    result = events.put_events(Entries=[{"Source": "shop", "DetailType": "Isolated", "Detail": "{}"}])
    message = received(client(stack), "dead")
    assert json.loads(message["Body"])["id"] == result["Entries"][0]["EventId"]
    attributes = {name: value["StringValue"] for name, value in message["MessageAttributes"].items()}
    assert attributes["RULE_ARN"] == "arn:aws:events:us-east-1:123456789012:rule/refused"
    assert (attributes["ERROR_CODE"], attributes["RETRY_ATTEMPTS"]) == ("INVALID_PARAMETER", "0")
    (line,) = events_of(stack, result["Entries"][0]["EventId"], 1)
    assert line["note"].startswith("EventBridge sends no tenant id. Fix: make a bridge the target")


def test_function_puts_an_event_on_the_bus_of_its_variable(stack: LocalStack) -> None:
    answer = client(stack, service="lambda").invoke(FunctionName="worker", Payload=b'{"put": 1}')
    assert json.loads(answer["Payload"].read()) == 0
    assert json.loads(received(client(stack), "kept")["Body"])["source"] == "worker"


def test_result_of_an_event_is_an_event_of_the_bus_that_is_its_destination(stack: LocalStack) -> None:
    client(stack, service="events").put_events(Entries=[entry(55)])
    result = json.loads(received(client(stack), "results")["Body"])
    assert result["detail-type"] == "Lambda Function Invocation Result - Success"
    assert result["detail"]["requestPayload"]["source"] == "shop"
    assert json.loads(received(client(stack), "kept")["Body"]) == {"total": 55}


def test_rule_that_a_client_makes_delivers_at_once(stack: LocalStack) -> None:
    events = client(stack, service="events")
    events.put_rule(Name="own", EventPattern='{"source": [{"prefix": "own"}]}')
    queue = "arn:aws:sqs:us-east-1:123456789012:kept"
    transformer = {"InputPathsMap": {"a": "$.detail.a"}, "InputTemplate": '{"was": <a>}'}
    events.put_targets(Rule="own", Targets=[{"Id": "1", "Arn": queue, "InputTransformer": transformer}])
    events.put_events(Entries=[{"Source": "own.one", "DetailType": "d", "Detail": '{"a": [1]}'}])
    assert received(client(stack), "kept")["Body"] == '{"was": [1]}'


@pytest.mark.skipif(not AWS.exists(), reason="the AWS CLI 2 is not installed")
def test_aws_cli_puts_an_event(stack: LocalStack, tmp_path: Path) -> None:
    environ = {
        "PATH": "/usr/bin:/bin",
        "HOME": str(tmp_path),
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    entries = json.dumps([entry(77)])
    command = [
        str(AWS),
        "events",
        "put-events",
        "--endpoint-url",
        stack.process.lambda_url,
    ]  # as 2.12 and before need it
    command += ["--entries", entries, "--query", "FailedEntryCount"]
    done = subprocess.run(command, capture_output=True, text=True, env=environ, check=True, timeout=60)
    assert done.stdout.strip() == "0"
    assert printed(stack, "us-east-1 77", 1)


def test_changed_template_changes_its_rules(project: Path, stack: LocalStack) -> None:
    """The last test of this stack."""
    (project / "template.yaml").write_text(TEMPLATE.replace("Name: from-function", "Name: renamed"))
    lines(stack, lambda line: "active now" in str(line.get("message")), 1)
    events = client(stack, service="events")
    assert [rule["Name"] for rule in events.list_rules(EventBusName=DEPLOYED)["Rules"]] == [
        "ended",
        "placed",
        "renamed",
    ]
