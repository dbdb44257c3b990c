"""The fixtures with which other people test a router: `bridge`, `fake_lambda` and `local_queue`."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final

import pytest

from lattice_bridge.testing import FakeLambda, LocalQueue, sqs_event, sqs_record
from lattice_bridge.testing.fakes import UnscriptedCalls
from lattice_bridge.testing.fixtures import BridgeFactory
from tests.support.queue_maps import ORDERS, QUEUES, SHOP

SENDER: Final = f"{SHOP}:i-1"


def message(message_id: str, tenant: str = "blue") -> dict[str, Any]:
    return sqs_record(queue=ORDERS, sender=SENDER, attributes={"tenant": tenant}, message_id=message_id)


def reported(answer: Any) -> list[str]:
    return [item["itemIdentifier"] for item in answer["batchItemFailures"]]


# ---- bridge and fake_lambda -----------------------------------------------------------------------------------------


def test_each_message_runs_as_its_own_tenant(bridge: BridgeFactory, fake_lambda: FakeLambda) -> None:
    """Trap E1."""
    fake_lambda.reply({})
    handler = bridge(QUEUES)
    assert handler(sqs_event(message("m-1"), message("m-2", "green"))) == {"batchItemFailures": []}
    assert {call.records[0]: call.tenant for call in fake_lambda.calls} == {"m-1": "blue", "m-2": "green"}
    assert sorted(line["id"] for line in handler.log) == ["m-1", "m-2"]


@pytest.mark.parametrize("fault", ["raises", "refuses", "reports", "reply"])
def test_script_for_one_message_leaves_its_neighbours_alone(
    bridge: BridgeFactory, fake_lambda: FakeLambda, fault: str
) -> None:
    """Trap E8."""
    fake_lambda.reply({})
    {
        "raises": lambda: fake_lambda.raises("Sandbox.Timedout", record="m-2"),
        "refuses": lambda: fake_lambda.refuses(404, "ResourceNotFoundException", record="m-2"),
        "reports": lambda: fake_lambda.reports(record="m-2"),
        "reply": lambda: fake_lambda.reply({"batchItemFailures": [{"itemIdentifier": "m-2"}]}, record="m-2"),
    }[fault]()
    assert reported(bridge(QUEUES)(sqs_event(*map(message, ("m-1", "m-2", "m-3"))))) == ["m-2"]
    assert sorted(call.records[0] for call in fake_lambda.calls) == ["m-1", "m-2", "m-3"]


def test_function_that_reports_all_its_messages(bridge: BridgeFactory, fake_lambda: FakeLambda) -> None:
    fake_lambda.reports("orders-worker:live")
    assert reported(bridge(QUEUES)(sqs_event(message("m-1"), message("m-2")))) == ["m-1", "m-2"]


def test_script_for_a_message_of_another_function_is_not_used(fake_lambda: FakeLambda) -> None:
    fake_lambda.reply({"other": True}, "orders")
    fake_lambda.raises("Error", function="billing", record="m-1")
    payload = json.dumps(sqs_event(message("m-1"))).encode()
    answer = fake_lambda.client().invoke(FunctionName="orders", Payload=payload)
    assert json.load(answer["Payload"]) == {"other": True}


def test_copies_for_the_quarantine_are_kept(bridge: BridgeFactory, fake_lambda: FakeLambda) -> None:
    """Trap E6."""
    handler = bridge(QUEUES)
    assert handler(sqs_event(message("m-1", "pink"))) == {"batchItemFailures": []}
    (copy,) = handler.quarantined
    assert copy["QueueUrl"].endswith("/111122223333/orders-quarantine")
    note = json.loads(copy["MessageAttributes"]["lattice-bridge"]["StringValue"])
    assert (note["id"], note["reason"]) == ("m-1", "tenant_not_allowed")
    assert fake_lambda.calls == []


def test_message_without_a_reply_is_named() -> None:
    payload = json.dumps(sqs_event(message("m-1"))).encode()
    with pytest.raises(UnscriptedCalls) as missing, FakeLambda() as fake:
        fake.client().invoke(FunctionName="orders", Payload=payload)
    assert "orders without a tenant: record m-1" in str(missing.value)
    assert "Fix: write fake_lambda.reply({}, " in str(missing.value)


def test_handler_raises_for_an_event_of_another_service(bridge: BridgeFactory) -> None:
    """Trap E5."""
    with pytest.raises(Exception, match="source_unsupported"):
        bridge(QUEUES)({"Records": [{"eventSource": "aws:s3"}]})


# ---- local_queue ----------------------------------------------------------------------------------------------------

Make = Callable[..., LocalQueue]


def send(queue: LocalQueue, body: str, **more: Any) -> str:
    sent: str = queue.client.send_message(QueueUrl=queue.url, MessageBody=body, **more)["MessageId"]
    return sent


def test_queue_delivers_to_the_bridge_and_keeps_what_failed(
    local_queue: Make, bridge: BridgeFactory, fake_lambda: FakeLambda
) -> None:
    orders = local_queue("orders", {"VisibilityTimeout": "600"})
    good, bad = (send(orders, body) for body in ("{}", "{}"))
    fake_lambda.reply({})
    fake_lambda.raises("Error", record=bad)
    rule = f'[tenants]\nblue = {{}}\n[[rule]]\nid = "q"\nsource = "{orders.arn}"\ntenant = "blue"\n'
    handler = bridge(f'[[event_source]]\narn = "{orders.arn}"\nfunction = "orders"\n{rule}')
    assert reported(orders.deliver(handler)) == [bad]
    assert orders.counts == {"visible": 0, "in_flight": 1, "delayed": 0}
    assert {call.records[0] for call in fake_lambda.calls} == {good, bad}
    assert orders.deliver(handler) is None


def test_queue_of_the_test_before_is_gone(local_queue: Make) -> None:
    orders = local_queue("orders")
    assert orders.counts == {"visible": 0, "in_flight": 0, "delayed": 0}
    assert orders.client.list_queues()["QueueUrls"] == [orders.url]


def test_queue_has_the_arn_that_the_map_has(local_queue: Make) -> None:
    """Without it, the router of the project's own bridge.toml does not know the queue."""
    arn = "arn:aws:sqs:us-east-1:123456789012:orders.fifo"
    orders = local_queue(arn)
    send(orders, "{}", MessageGroupId="blue", MessageDeduplicationId="1")
    sources: list[str] = []
    orders.deliver(lambda event, _: sources.append(event["Records"][0]["eventSourceARN"]))
    assert (orders.arn, sources) == (arn, [arn])


def test_message_whose_visibility_timeout_has_ended_is_delivered_again(local_queue: Make) -> None:
    """As by a mapping: a FIFO queue deletes nothing by an expired receipt handle."""
    orders = local_queue("orders.fifo", {"VisibilityTimeout": "0"})
    send(orders, "{}", MessageGroupId="blue", MessageDeduplicationId="1")
    assert orders.deliver(lambda event, _: {"batchItemFailures": []}) == {"batchItemFailures": []}
    assert orders.counts["visible"] == 1


def test_groups_of_a_fifo_queue_are_delivered_in_order(local_queue: Make) -> None:
    orders = local_queue("orders.fifo")
    for number in range(3):
        send(orders, str(number), MessageGroupId="blue", MessageDeduplicationId=str(number))
    batches: list[Any] = []
    orders.deliver(lambda event, _: batches.append([record["body"] for record in event["Records"]]), limit=2)
    orders.deliver(lambda event, _: batches.append([record["body"] for record in event["Records"]]))
    assert batches == [["0", "1"], ["2"]]


def test_handler_that_raises_keeps_the_whole_batch(local_queue: Make) -> None:
    orders = local_queue("orders", {"VisibilityTimeout": "0"})
    send(orders, "{}")

    def failing(event: Any, context: object) -> None:
        raise RuntimeError("a bug")

    with pytest.raises(RuntimeError, match="a bug"):
        orders.deliver(failing)
    assert orders.counts["visible"] == 1


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        ({"batchItemFailures": [{"itemIdentifier": "x"}]}, "is no messageId of this batch"),
        ({"batchItemFailures": [{"id": "x"}]}, "has no itemIdentifier"),
        ("done", "is a JSON string"),
    ],
)
def test_answer_that_lambda_does_not_read_keeps_the_whole_batch(local_queue: Make, answer: object, fault: str) -> None:
    orders = local_queue("orders", {"VisibilityTimeout": "0"})
    send(orders, "{}")
    with pytest.raises(ValueError, match=fault):
        orders.deliver(lambda _event, _context: answer)
    assert orders.counts["visible"] == 1
