"""examples/queue: template and map fit together, the function runs each order once, and the quarantine is redriven."""

from __future__ import annotations

import json
import tomllib
from types import SimpleNamespace
from typing import Any, Final

import pytest

from lattice_bridge.config.document import parse_document
from lattice_bridge.config.settings import Settings
from lattice_bridge.deployment.checks.needs import needs_of
from lattice_bridge.deployment.checks.run import template_findings
from lattice_bridge.message import Caller, Sender
from lattice_bridge.tenancy.decide import decide
from lattice_bridge.tenancy.subject import Subject
from tests.support.modules import module
from tests.support.paths import ROOT

FOLDER: Final = ROOT / "examples" / "queue"
TEXT: Final = (FOLDER / "bridge.toml").read_text(encoding="utf-8")
ORDERS: Final = "arn:aws:sqs:us-east-1:123456789012:orders.fifo"


@pytest.mark.parametrize("parameters", [{}, {"AWS::AccountId": "123456789012", "AWS::Region": "us-east-1"}])
def test_template_has_no_findings(parameters: dict[str, str]) -> None:
    options, needs = Settings.from_text(TEXT).options, needs_of(parse_document(TEXT))
    assert template_findings(FOLDER / "template.yaml", options, parameters, "us-east-1", needs=needs) == []


@pytest.mark.parametrize("case", tomllib.loads(TEXT)["test"], ids=lambda case: case["expect"])
def test_rules_decide_as_the_tests_of_the_map_expect(case: dict[str, Any]) -> None:
    """Trap E2: the attribute of a message only chooses."""
    sender = Sender(case["sender"]["role_id"], case["sender"]["session"])
    subject = Subject(Caller(), {}, case.get("claim"), source=case["source"], sender=sender)
    decision = decide(subject, Settings.from_text(TEXT).tenant_map.rules)
    found = decision.tenant if decision.allowed else f"refused: {decision.reason}"
    assert found == case["expect"]


# ---- the function ---------------------------------------------------------------------------------------------------


def event(quantity: int, message: str = "1") -> dict[str, Any]:
    return {"Records": [{"messageId": message, "body": json.dumps({"quantity": quantity})}]}


def test_order_runs_once_under_the_tenant_of_the_context(capsys: pytest.CaptureFixture[str]) -> None:
    app, blue = module(FOLDER / "src" / "orders" / "app.py"), SimpleNamespace(tenant_id="blue")
    assert [app.handler(event(2), blue), app.handler(event(2), blue), app.handler(event(3, "2"), blue)] == [None] * 3
    assert capsys.readouterr().out.splitlines() == [
        "blue: order 1, 2 pieces",
        "blue: order 1 again, nothing to do",
        "blue: order 2, 3 pieces",
    ]


def test_faulty_order_raises_and_counts_nothing() -> None:
    app = module(FOLDER / "src" / "orders" / "app.py")
    with pytest.raises(ValueError, match="at least one piece"):
        app.handler(event(0), SimpleNamespace(tenant_id="blue"))
    assert app.done == {}


# ---- redriving ------------------------------------------------------------------------------------------------------


class Sqs:
    """A quarantine with messages; keeps what is sent and deleted."""

    def __init__(self, *messages: dict[str, Any]) -> None:
        self.waiting = list(messages)
        self.sent: list[dict[str, Any]] = []
        self.deleted: list[str] = []

    def get_queue_attributes(self, **_: Any) -> dict[str, Any]:
        return {"Attributes": {"ApproximateNumberOfMessages": str(len(self.waiting))}}

    def get_queue_url(self, **names: str) -> dict[str, str]:
        return {"QueueUrl": f"https://sqs/{names['QueueOwnerAWSAccountId']}/{names['QueueName']}"}

    def receive_message(self, **arguments: Any) -> dict[str, Any]:
        limit = arguments["MaxNumberOfMessages"]
        found, self.waiting = self.waiting[:limit], self.waiting[limit:]
        return {"Messages": found} if found else {}

    def send_message(self, **arguments: Any) -> None:
        self.sent.append(arguments)
        self.waiting.append(copy("back"))  # the bridge refuses it again, at once

    def delete_message(self, **arguments: Any) -> None:
        self.deleted.append(arguments["ReceiptHandle"])


def copy(message: str, reason: str = "no_rule", source: str = ORDERS, group: str | None = "g-1") -> dict[str, Any]:
    """A message of the quarantine, as SQS gives it out."""
    note = json.dumps({"source": source, "id": message, "group": group, "reason": reason, "tenant": None, "hops": 1})
    attributes = {
        "tenant": {"DataType": "String", "StringValue": "green"},
        "raw": {"DataType": "Binary", "BinaryValue": b"\x00"},
        "lattice-bridge": {"DataType": "String", "StringValue": note},
    }
    return {"MessageId": message, "ReceiptHandle": f"r-{message}", "Body": "{}", "MessageAttributes": attributes}


def test_message_goes_back_as_it_was_sent_and_once() -> None:
    """Trap E25: group, attributes and source are those of the original, so the bridge decides again."""
    redrive, sqs = module(FOLDER / "redrive.py"), Sqs(*(copy(str(number)) for number in range(12)))
    assert redrive.redrive(sqs, "quarantine") == len(sqs.deleted) == 12
    assert sqs.sent[0] == {
        "QueueUrl": "https://sqs/123456789012/orders.fifo",
        "MessageBody": "{}",
        "MessageAttributes": copy("0")["MessageAttributes"],
        "MessageGroupId": "g-1",
        "MessageDeduplicationId": "0",
    }


def test_messages_of_another_reason_stay() -> None:
    redrive, sqs = module(FOLDER / "redrive.py"), Sqs(copy("1"), copy("2", "tenant_suspended"))
    assert redrive.redrive(sqs, "quarantine", "tenant_suspended") == 1
    assert sqs.deleted == ["r-2"]


@pytest.mark.parametrize(("group", "keys"), [(None, set()), ("g-1", {"MessageGroupId"})])
def test_message_of_a_standard_queue_keeps_its_group_if_it_has_one(group: str | None, keys: set[str]) -> None:
    redrive, sqs = module(FOLDER / "redrive.py"), Sqs(copy("1", source=ORDERS.removesuffix(".fifo"), group=group))
    redrive.redrive(sqs, "quarantine")
    assert sqs.sent[0].keys() - {"QueueUrl", "MessageBody", "MessageAttributes"} == keys
