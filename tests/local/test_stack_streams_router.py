"""The real stack with a router of a stream, two tables and a bus: each record runs as its tenant, or is set aside."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator, Mapping
from typing import Any, Final

import pytest

from lattice_bridge.testing import LocalStack
from tests.support.stack_queues import client, lines, printed, received, url_of

TEMPLATE: Final = """
Resources:
  Router:
    Type: AWS::Lambda::Function
    Properties:
      FunctionName: router
      Handler: lattice_bridge.main.handler
      Runtime: python3.13
      Code: router
      Timeout: 20
  RouterEvents:
    Type: AWS::Lambda::EventInvokeConfig
    Properties:
      FunctionName: !Ref Router
      Qualifier: $LATEST
      DestinationConfig: {OnFailure: {Destination: !GetAtt Failures.Arn}}
  Worker:
    Type: AWS::Lambda::Function
    Properties:
      FunctionName: worker
      Handler: app.worker
      Runtime: python3.13
      Code: code
      Timeout: 10
      TenancyConfig: {TenantIsolationMode: PER_TENANT}
  Aside: {Type: AWS::SQS::Queue, Properties: {QueueName: aside}}
  Failures: {Type: AWS::SQS::Queue, Properties: {QueueName: failures}}
  Clicks: {Type: AWS::Kinesis::Stream, Properties: {Name: clicks, ShardCount: 1}}
  Orders:
    Type: AWS::DynamoDB::Table
    Properties:
      TableName: orders
      AttributeDefinitions: [{AttributeName: tenant, AttributeType: S}, {AttributeName: id, AttributeType: S}]
      KeySchema: [{AttributeName: tenant, KeyType: HASH}, {AttributeName: id, KeyType: RANGE}]
      StreamSpecification: {StreamViewType: NEW_AND_OLD_IMAGES}
      TimeToLiveSpecification: {AttributeName: expires, Enabled: true}
  Items:
    Type: AWS::DynamoDB::Table
    Properties:
      TableName: items
      AttributeDefinitions: [{AttributeName: id, AttributeType: S}]
      KeySchema: [{AttributeName: id, KeyType: HASH}]
      StreamSpecification: {StreamViewType: NEW_AND_OLD_IMAGES}
  Shop: {Type: AWS::Events::EventBus, Properties: {Name: shop}}
  Placed:
    Type: AWS::Events::Rule
    Properties:
      EventBusName: !Ref Shop
      EventPattern: {detail-type: [Placed]}
      Targets: [{Id: router, Arn: !GetAtt Router.Arn}]
  ReadsClicks:
    Type: AWS::Lambda::EventSourceMapping
    Properties: &reads
      EventSourceArn: !GetAtt Clicks.Arn
      FunctionName: !Ref Router
      StartingPosition: TRIM_HORIZON
      FunctionResponseTypes: [ReportBatchItemFailures]
  ReadsOrders:
    Type: AWS::Lambda::EventSourceMapping
    Properties: {<<: *reads, EventSourceArn: !GetAtt Orders.StreamArn}
  ReadsItems:
    Type: AWS::Lambda::EventSourceMapping
    Properties: {<<: *reads, EventSourceArn: !GetAtt Items.StreamArn}
"""
ACCOUNT: Final = "us-east-1:123456789012"
CLICKS: Final = f"arn:aws:kinesis:{ACCOUNT}:stream/clicks"
ORDERS: Final = f"arn:aws:dynamodb:{ACCOUNT}:table/orders"
ITEMS: Final = f"arn:aws:dynamodb:{ACCOUNT}:table/items"
SHOP: Final = f"arn:aws:events:{ACCOUNT}:event-bus/shop"
_SOURCE: Final = """
[[event_source]]
arn = "{arn}"
function = "worker"
claim = {{ {claim} }}
quarantine = "arn:aws:sqs:{account}:aside"
"""
_RULE: Final = """
[[rule]]
id = "{anchor}"
source = "{anchor}"
tenants = ["blue", "green"]
accept_risk = "the only producer is this test"
"""
MAP: Final = (
    "[tenants]\nblue = {}\ngreen = {}\n"
    + "".join(
        _SOURCE.format(arn=arn, claim=claim, account=ACCOUNT)
        for arn, claim in (
            (CLICKS, 'from = "body", path = ["tenant"]'),
            (ORDERS, 'from = "key", name = "tenant"'),
            (ITEMS, 'from = "image", name = "owner"'),
            (SHOP, 'from = "detail", path = ["tenant"]'),
        )
    )
    + "".join(_RULE.format(anchor=arn) for arn in (CLICKS, ORDERS, ITEMS))
    + '[[rule]]\nid = "shop"\nevent_account = "123456789012"\ntenants = ["blue", "green"]\n'
)
CODE: Final = """
import base64, json

failed = {}

def worker(event, context):
    for record in event.get("Records", [event]):
        service = record.get("eventSource", "aws:bus")[4:]
        if service == "dynamodb":
            change = record["dynamodb"]
            keys = {name: value["S"] for name, value in change["Keys"].items()}
            by = record.get("userIdentity", {}).get("principalId")
            print(service, context.tenant_id, keys["id"], record["eventName"], by)
            continue
        given = json.loads(base64.b64decode(record["kinesis"]["data"])) if service == "kinesis" else record["detail"]
        count = failed[given["id"]] = failed.get(given["id"], 0) + 1
        print(service, context.tenant_id, given["id"], count)
        if count <= given.get("fail", 0):
            raise RuntimeError("not yet")
"""


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    folder = tmp_path_factory.mktemp("project")
    for name, text in (("template.yaml", TEMPLATE), ("router/bridge.toml", MAP), ("code/app.py", CODE)):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    with LocalStack(folder / "template.yaml", options=["--async-retry", "0.1"]) as stack:
        yield stack


def reason_of(message: Mapping[str, Any]) -> tuple[str, str]:
    """The source and the reason of a copy in the quarantine."""
    note = json.loads(message["MessageAttributes"]["lattice-bridge"]["StringValue"])
    return note["source"], note["reason"]


def data_of(message: Mapping[str, Any]) -> Any:
    return json.loads(base64.b64decode(json.loads(message["Body"])["kinesis"]["data"]))


# ---- Kinesis --------------------------------------------------------------------------------------------------------


def put(stack: LocalStack, *records: Mapping[str, Any]) -> list[str]:
    """Puts records, whose partition key is their tenant, with one request. Returns their sequence numbers."""
    found = [{"Data": json.dumps(one).encode(), "PartitionKey": one["tenant"]} for one in records]
    answer = client(stack, service="kinesis").put_records(StreamName="clicks", Records=found)
    return [record["SequenceNumber"] for record in answer["Records"]]


def batches(stack: LocalStack, number: str, count: int) -> list[dict[str, Any]]:
    """The lines of batches with a record."""
    return lines(stack, lambda line: line.get("message") == "batch" and number in line.get("records", ()), count)


def test_records_run_as_their_tenants_and_the_checkpoint_stops_at_the_one_that_fails(stack: LocalStack) -> None:
    """Trap E11, E22: poison does not stop the shard, and a later record of the key waits for the one that failed."""
    numbers = put(
        stack,
        {"tenant": "green", "id": "k1"},
        {"tenant": "red", "id": "poison"},
        {"tenant": "blue", "id": "k2"},
        {"tenant": "blue", "id": "k3", "fail": 1},
        {"tenant": "blue", "id": "k4"},
    )
    assert printed(stack, "kinesis blue", 4) == [
        "kinesis blue k2 1",
        "kinesis blue k3 1",
        "kinesis blue k3 2",
        "kinesis blue k4 1",
    ]
    assert printed(stack, "kinesis green", 1) == ["kinesis green k1 1"]
    first, second = batches(stack, numbers[3], 2)
    assert (first["checkpoint"], first["failed"]) == (numbers[3], numbers[3:])
    assert (second["records"], second["failed"]) == (numbers[3:], [])
    copy = received(client(stack), "aside")
    assert (reason_of(copy), data_of(copy)["id"]) == ((CLICKS, "tenant_not_allowed"), "poison")


def test_poison_behind_a_record_that_fails_is_copied_again(stack: LocalStack) -> None:
    """The mapping delivers again from the lowest failed record, also what was set aside: at least once."""
    numbers = put(stack, {"tenant": "blue", "id": "k5", "fail": 1}, {"tenant": "red", "id": "again"})
    assert batches(stack, numbers[0], 2)[1]["failed"] == []
    copies = [received(client(stack), "aside") for _ in range(2)]
    assert [data_of(copy)["id"] for copy in copies] == ["again", "again"]
    assert len({json.loads(copy["Body"])["eventID"] for copy in copies}) == 1


# ---- DynamoDB -------------------------------------------------------------------------------------------------------


def test_change_of_an_item_runs_as_the_tenant_of_its_key_also_when_it_expires(stack: LocalStack) -> None:
    table = client(stack, service="dynamodb")
    table.put_item(TableName="orders", Item={"tenant": {"S": "blue"}, "id": {"S": "d1"}})
    expired = {"tenant": {"S": "green"}, "id": {"S": "d2"}, "expires": {"N": str(int(time.time()) - 60)}}
    table.put_item(TableName="orders", Item=expired)
    assert printed(stack, " d1 ", 1) == ["dynamodb blue d1 INSERT None"]
    assert printed(stack, " d2 ", 2) == [
        "dynamodb green d2 INSERT None",
        "dynamodb green d2 REMOVE dynamodb.amazonaws.com",
    ]


def test_change_that_moves_an_item_to_another_tenant_is_set_aside(stack: LocalStack) -> None:
    """Trap E19: its images would show one tenant's data to the other. The next change of the item goes on."""
    table = client(stack, service="dynamodb")
    for owner in ("blue", "green"):
        table.put_item(TableName="items", Item={"id": {"S": "i1"}, "owner": {"S": owner}})
    table.delete_item(TableName="items", Key={"id": {"S": "i1"}})
    assert printed(stack, " i1 ", 2) == ["dynamodb blue i1 INSERT None", "dynamodb green i1 REMOVE None"]
    copy = received(client(stack), "aside")
    assert (reason_of(copy), json.loads(copy["Body"])["eventName"]) == ((ITEMS, "images_differ"), "MODIFY")


# ---- EventBridge ----------------------------------------------------------------------------------------------------


def publish(stack: LocalStack, **detail: Any) -> None:
    entry = {"Source": "shop", "DetailType": "Placed", "Detail": json.dumps(detail), "EventBusName": "shop"}
    assert client(stack, service="events").put_events(Entries=[entry])["FailedEntryCount"] == 0


def test_event_of_a_bus_is_tried_again_until_its_function_succeeds(stack: LocalStack) -> None:
    """Trap E16: no batch response exists for an event, so the router raises, and Lambda tries again."""
    publish(stack, tenant="blue", id="e1", fail=2)
    assert printed(stack, " e1 ", 3) == ["bus blue e1 1", "bus blue e1 2", "bus blue e1 3"]
    publish(stack, tenant="green", id="e2")
    assert printed(stack, " e2 ", 1) == ["bus green e2 1"]


def test_event_that_fails_always_reaches_the_routers_destination_and_a_refused_one_the_quarantine(
    stack: LocalStack,
) -> None:
    publish(stack, tenant="blue", id="e3", fail=9)
    record = json.loads(received(client(stack), "failures")["Body"])
    assert (record["requestContext"]["condition"], record["requestContext"]["approximateInvokeCount"]) == (
        "RetriesExhausted",
        3,
    )
    assert record["requestPayload"]["detail"]["id"] == "e3"
    publish(stack, tenant="red", id="e4")
    copy = received(client(stack), "aside")
    assert (reason_of(copy), json.loads(copy["Body"])["detail"]["id"]) == ((SHOP, "tenant_not_allowed"), "e4")


def test_nothing_else_was_set_aside(stack: LocalStack) -> None:
    """The last test of this stack."""
    sqs = client(stack)
    for name in ("aside", "failures"):
        assert "Messages" not in sqs.receive_message(QueueUrl=url_of(sqs, name))
