"""docs/queues.md, Idempotency: the function on that page, with the real Powertools, behind the router."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from lattice_bridge.errors import BackendFailed
from lattice_bridge.invoke.call import Call
from tests.support.aws_server import REGION, AwsServer
from tests.support.paths import ROOT
from tests.support.records import BY_ATTRIBUTE, Context, Functions, World, record, source

PAGE = (ROOT / "docs" / "queues.md").read_text(encoding="utf-8")


class Booked(list[str]):
    """Replaces `print` in the function: what it booked. Raises the next error in `failures` first."""

    def __init__(self) -> None:
        super().__init__()
        self.failures: list[Exception] = []

    def __call__(self, _: str, body: str) -> None:
        if self.failures:
            raise self.failures.pop()
        self.append(body)


@pytest.fixture
def booked() -> Booked:
    return Booked()


@pytest.fixture
def function(aws: AwsServer, booked: Booked, monkeypatch: pytest.MonkeyPatch) -> Callable[[Call], bytes]:
    """Runs the function on the page as Lambda does."""
    aws.environment(monkeypatch)
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", "orders")
    aws.reset()
    aws.client("dynamodb").create_table(
        TableName="idempotency",
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    code = PAGE.partition("```python\n")[2].partition("```")[0]
    module: dict[str, Any] = {"print": booked, "__name__": "orders"}
    exec(compile(code, "docs/queues.md", "exec"), module)

    def run(call: Call) -> bytes:
        try:
            return json.dumps(module["handler"](json.loads(call.payload), Context())).encode()
        except Exception as error:
            raise BackendFailed("backend_raised", type(error).__name__) from error

    return run


def again(number: int, body: str) -> dict[str, Any]:
    """The same message, delivered again: its receipt handle and its receive count differ."""
    first = record(number, "blue", body=body)
    return {
        **first,
        "receiptHandle": "another",
        "attributes": {**first["attributes"], "ApproximateReceiveCount": "2"},
    }


def test_message_that_is_delivered_twice_is_booked_once(function: Callable[[Call], bytes], booked: Booked) -> None:
    """Trap E8: whatever is delivered again, its messageId is the same."""
    world = World(source(BY_ATTRIBUTE, "concurrency = 1"), functions=Functions(default=function))
    assert world(record(1, "blue", body="order 1"), record(2, "blue", body="order 2")) == []
    assert world(again(1, "order 1"), record(3, "blue", body="order 1")) == []
    assert booked == ["order 1", "order 2", "order 1"]


def test_message_whose_booking_failed_is_reported_and_booked_at_its_next_delivery(
    function: Callable[[Call], bytes], booked: Booked
) -> None:
    world = World(source(BY_ATTRIBUTE, "concurrency = 1"), functions=Functions(default=function))
    booked.failures.append(KeyError("order"))
    assert world(record(1, "blue", body="order 1")) == [1]
    assert world(again(1, "order 1")) == []
    assert world(again(1, "order 1")) == []
    assert booked == ["order 1"]
