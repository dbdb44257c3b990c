"""The queues of the template in the stack's SQS, and what a change of the template does to them."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

from lattice_bridge.local.aws.sqs.message import Outgoing
from lattice_bridge.local.aws.sqs.queues import Queues
from lattice_bridge.local.plan.queues import Queue
from lattice_bridge.local.sources.template_queues import TemplateQueues

if TYPE_CHECKING:
    import pytest

ARN = "arn:aws:sqs:us-east-1:123456789012"
DEAD = Queue("Dead", "dead", f"{ARN}:dead", "https://sqs/dead", {})
REDRIVE = json.dumps({"deadLetterTargetArn": DEAD.arn, "maxReceiveCount": 2})
ORDERS = Queue("Orders", "orders", f"{ARN}:orders", "https://sqs/orders", {"RedrivePolicy": REDRIVE})


def made(*wanted: Queue) -> tuple[Queues, TemplateQueues]:
    queues = Queues("us-east-1", "123456789012")
    found = TemplateQueues(queues)
    found.replace(wanted)
    return queues, found


def test_queues_of_the_template_are_made() -> None:
    queues, _ = made(DEAD, ORDERS)
    policy = queues.get("orders").attributes.redrive_policy
    assert policy is not None
    assert (policy.dead_letter_arn, policy.max_receive_count) == (DEAD.arn, 2)


def test_change_of_the_template_keeps_the_messages() -> None:
    queues, template = made(DEAD, ORDERS)
    queues.get("orders").send(Outgoing("a"))
    template.replace([replace(ORDERS, attributes={"VisibilityTimeout": "90"})])
    orders = queues.get("orders")
    assert orders.counts().visible == 1
    assert orders.attributes.visibility_timeout == 90
    assert orders.attributes.redrive_policy is None


def test_queue_that_left_the_template_keeps_its_messages() -> None:
    queues, template = made(DEAD, ORDERS)
    queues.get("orders").send(Outgoing("a"))
    template.replace([])
    template.replace([DEAD, ORDERS])
    assert queues.get("orders").counts().visible == 1


def test_attribute_that_a_client_has_set_stays_until_the_template_changes_the_queue() -> None:
    queues, template = made(DEAD, ORDERS)
    queues.set_attributes(queues.get("orders"), {"VisibilityTimeout": "7"})
    template.replace([DEAD, ORDERS])
    assert queues.get("orders").attributes.visibility_timeout == 7
    template.replace([DEAD, replace(ORDERS, attributes={**ORDERS.attributes, "DelaySeconds": "1"})])
    assert queues.get("orders").attributes.visibility_timeout == 30


def test_queue_with_a_deployed_arn_is_found_by_it() -> None:
    deployed = "arn:aws:sqs:eu-west-1:111122223333:orders"
    queues, _ = made(DEAD, replace(ORDERS, arn=deployed))
    orders = queues.by_arn(deployed)
    assert orders is queues.get("orders")
    assert orders is not None
    assert orders.url_path == "/111122223333/orders"
    assert queues.by_arn(f"{ARN}:orders") is None


def test_queue_of_a_client_with_the_same_name_is_kept(caplog: pytest.LogCaptureFixture) -> None:
    queues, template = made()
    queues.create("orders", {"VisibilityTimeout": "7"})
    template.replace([DEAD, replace(ORDERS, arn="arn:aws:sqs:eu-west-1:111122223333:orders")])
    assert queues.get("orders").attributes.visibility_timeout == 7
    assert "queue orders is not as in the template: A queue already exists" in caplog.text
