"""The queues of a template: names, attributes, dead-letter queues, and what AWS refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lattice_bridge.deployment.cloudformation.template import read_template
from lattice_bridge.deployment.cloudformation.text import BadTemplate
from lattice_bridge.local.plan.model import Plan
from lattice_bridge.local.plan.readers.template import read_plan

ORDERS = """
  Dead: {Type: AWS::SQS::Queue, Properties: {FifoQueue: true}}
  Orders:
    Type: AWS::SQS::Queue
    Properties:
      QueueName: orders.fifo
      FifoQueue: "true"
      ContentBasedDeduplication: true
      VisibilityTimeout: "180"
      RedrivePolicy: {deadLetterTargetArn: !GetAtt Dead.Arn, maxReceiveCount: "3"}
"""


def planned(folder: Path, resources: str, ids: dict[str, str] | None = None) -> Plan:
    path = folder / "template.yaml"
    path.write_text(f"Resources:{resources}")
    return read_plan(read_template(path, {}, "eu-west-1", ids=ids or {}))


def queue(properties: str) -> str:
    return f"\n  Q: {{Type: AWS::SQS::Queue, Properties: {{{properties}}}}}\n"


def test_queue_has_the_attributes_of_the_template(tmp_path: Path) -> None:
    orders = planned(tmp_path, ORDERS).queues[1]
    assert (orders.id, orders.name) == ("Orders", "orders.fifo")
    assert orders.arn == "arn:aws:sqs:eu-west-1:123456789012:orders.fifo"
    assert orders.path == "/123456789012/orders.fifo"
    assert orders.is_fifo
    assert orders.visibility_timeout == 180
    assert orders.dead_letters == ("arn:aws:sqs:eu-west-1:123456789012:Dead.fifo", 3)
    assert orders.attributes["ContentBasedDeduplication"] == "true"


def test_dead_letter_queue_comes_before_its_source(tmp_path: Path) -> None:
    dead, _, source = ORDERS.partition("  Orders:")
    assert [one.id for one in planned(tmp_path, f"\n  Orders:{source}{dead[1:]}").queues] == ["Dead", "Orders"]


def test_fifo_queue_without_a_name_gets_one_with_the_ending(tmp_path: Path) -> None:
    assert planned(tmp_path, ORDERS).queues[0].name == "Dead.fifo"


def test_queue_with_a_deployed_arn_has_its_account_region_and_name(tmp_path: Path) -> None:
    """bridge.toml then names the same queue here and in the deployed stack."""
    arn = "arn:aws:sqs:eu-central-1:111122223333:prod-orders.fifo"
    orders = planned(tmp_path, ORDERS, {"Orders": arn}).queues[1]
    assert (orders.arn, orders.name, orders.path) == (arn, "prod-orders.fifo", "/111122223333/prod-orders.fifo")
    assert orders.address == "https://sqs.eu-central-1.amazonaws.com/111122223333/prod-orders.fifo"


def test_policies_may_be_texts(tmp_path: Path) -> None:
    policy = json.dumps({"deadLetterTargetArn": "arn:aws:sqs:eu-west-1:123456789012:D", "maxReceiveCount": 2})
    resources = queue(f"RedrivePolicy: '{policy}'") + "  D: {Type: AWS::SQS::Queue}\n"
    assert planned(tmp_path, resources).queues[1].dead_letters == ("arn:aws:sqs:eu-west-1:123456789012:D", 2)


def test_dead_letter_queue_of_another_stack_is_named(tmp_path: Path) -> None:
    plan = planned(tmp_path, queue("RedrivePolicy: {deadLetterTargetArn: !ImportValue d, maxReceiveCount: 2}"))
    assert plan.queues[0].dead_letters is None
    expected = "its dead-letter queue is not in the template: failing messages stay in the queue (Q)"
    assert expected in plan.left_out


def test_parts_without_an_effect_are_named(tmp_path: Path) -> None:
    resources = queue("KmsMasterKeyId: alias/aws/sqs, Colour: red") + "  P: {Type: AWS::SQS::QueuePolicy}\n"
    left_out = planned(tmp_path, resources).left_out
    assert "messages are not encrypted (Q)" in left_out
    assert "property Colour has no effect (Q)" in left_out
    assert "AWS::SQS::QueuePolicy: every caller may use every queue (P)" in left_out


def test_value_that_only_a_deployed_stack_has_is_named(tmp_path: Path) -> None:
    resources = queue("VisibilityTimeout: !ImportValue v, DelaySeconds: 5")
    resources += "  R: {Type: AWS::SQS::Queue, Properties: {QueueName: !ImportValue name}}\n"
    plan = planned(tmp_path, resources)
    assert [one.attributes for one in plan.queues] == [{"DelaySeconds": "5"}]
    assert "VisibilityTimeout is not known here, and has AWS's default value (Q)" in plan.left_out
    assert "AWS::SQS::Queue: its name is not known here, so it is not served (R)" in plan.left_out


def test_queue_alone_is_a_plan(tmp_path: Path) -> None:
    assert planned(tmp_path, queue("DelaySeconds: 5")).queues[0].attributes == {"DelaySeconds": "5"}


@pytest.mark.parametrize(
    ("resources", "words"),
    [
        (queue("VisibilityTimeout: 43201"), r"Q\.VisibilityTimeout: '43201' is not from 0 to 43200\. Fix"),
        (queue("DelaySeconds: soon"), r"Q\.DelaySeconds: 'soon' is not from 0 to 900"),
        (queue("MaximumMessageSize: 1e3"), "is not from 1024 to 1048576"),
        (queue("FifoQueue: maybe"), "'maybe' is unknown. Fix: write false or true"),
        (queue("QueueName: or ders"), "'or ders' is not a queue's name"),
        (queue("QueueName: orders, FifoQueue: true"), r"Fix: end QueueName with \.fifo"),
        (queue("QueueName: orders.fifo"), "Fix: write FifoQueue: true"),
        (queue("ContentBasedDeduplication: true"), r"Q\.ContentBasedDeduplication: the queue is not FIFO"),
        (
            queue("FifoQueue: true, FifoThroughputLimit: perMessageGroupId"),
            r"Q\.FifoThroughputLimit: needs another scope\. Fix: DeduplicationScope: messageGroup",
        ),
        (queue("RedrivePolicy: {maxReceiveCount: 1}"), "no deadLetterTargetArn"),
        (queue("RedrivePolicy: {deadLetterTargetArn: a, maxReceiveCount: 0}"), "'0' is not from 1 to 1000"),
        (queue("RedrivePolicy: [1]"), "queue Q: malformed"),
        (queue("RedriveAllowPolicy: {redrivePermission: some}"), "'some' is unknown. Fix: write allowAll, denyAll, by"),
        (queue("RedriveAllowPolicy: {redrivePermission: byQueue}"), "sourceQueueArns are for byQueue, from 1 to 10"),
        (queue("QueueName: a") + queue("QueueName: a").replace("Q:", "R:"), "the queue Q has the name a too"),
        (ORDERS.replace("FifoQueue: true}", "DelaySeconds: 0}"), "Dead is standard and Orders is FIFO"),
        (
            ORDERS.replace("FifoQueue: true}", "FifoQueue: true, RedriveAllowPolicy: {redrivePermission: denyAll}}"),
            "the RedriveAllowPolicy of Dead does not allow Orders",
        ),
    ],
)
def test_queue_that_aws_refuses_is_an_error(tmp_path: Path, resources: str, words: str) -> None:
    with pytest.raises(BadTemplate, match=words):
        planned(tmp_path, resources)
