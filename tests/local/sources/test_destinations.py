"""Destinations of asynchronous invocations: the records and events that they receive."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from lattice_bridge.local.aws.async_invokes import Condition, Ended, Event, Undelivered
from lattice_bridge.local.aws.invoke_checks import MISSING, LambdaError
from lattice_bridge.local.aws.lambda_service import InvokeRequest
from lattice_bridge.local.aws.sqs.message import Attribute, Message
from lattice_bridge.local.aws.sqs.queues import Queues
from lattice_bridge.local.environments.environment import InvocationResult
from lattice_bridge.local.sources.destinations import Destinations
from tests.support.async_world import ARN, DONE, FAILED, QUEUE, REQUEST

BUS = "arn:aws:events:us-east-1:123456789012:event-bus/results"
AUDIT = ARN.replace("orders", "audit:live")


class Buses:
    """Buses that keep what is put on them."""

    def __init__(self) -> None:
        self.entries: list[tuple[str, Mapping[str, Any]]] = []

    def put(self, bus: str, entry: Mapping[str, Any]) -> None:
        self.entries.append((bus, entry))


class Sent:
    """Destinations with a queue and a FIFO queue, and what they receive."""

    def __init__(self) -> None:
        self.queues = Queues("us-east-1", "123456789012")
        self.queues.create("failures")
        self.queues.create("steps.fifo", {"FifoQueue": "true"})
        self.buses = Buses()
        self.invoked: list[InvokeRequest] = []
        self.refusal: LambdaError | None = None
        self.destinations = Destinations(self.queues, self.invoke, self.buses)

    async def invoke(self, request: InvokeRequest) -> InvocationResult | None:
        if self.refusal is not None:
            raise self.refusal
        self.invoked.append(request)
        return None

    def send(self, arn: str, ended: Ended) -> None:
        asyncio.run(self.destinations.send(arn, ended))

    def keep(self, arn: str, ended: Ended) -> None:
        asyncio.run(self.destinations.keep(arn, ended))

    @property
    def message(self) -> Message:
        (found,) = self.queues.get("failures").receive(10)
        return found


def ended(condition: Condition = "RetriesExhausted", result: InvocationResult = FAILED) -> Ended:
    return Ended(Event(REQUEST, f"{ARN}:$LATEST", 0.0, 3, 0, result), condition, 1.5)


def test_queue_receives_the_record() -> None:
    sent = Sent()
    sent.send(QUEUE, ended())
    assert json.loads(sent.message.body) == json.loads(ended().record)


def test_queue_receives_it_from_the_role_of_the_function() -> None:
    sent = Sent()
    sent.send(QUEUE, ended())
    message = sent.message
    assert message.attributes["SenderId"].startswith("AROA")
    assert message.sender_attributes == {}


def test_function_is_invoked_asynchronously_with_the_record_and_without_a_tenant_id() -> None:
    """The record has no tenant id on AWS either, so no tenant's function can be its destination."""
    sent = Sent()
    sent.send(AUDIT, ended("Success", DONE))
    (request,) = sent.invoked
    expected = InvokeRequest(AUDIT, ended("Success", DONE).record.encode(), "Event")
    assert request == replace(expected, request_id=request.request_id)
    assert request.request_id != REQUEST.request_id


def test_refused_function_does_not_take_the_record() -> None:
    sent = Sent()
    sent.refusal = LambdaError(400, "InvalidParameterValueException", MISSING)
    with pytest.raises(Undelivered, match="Add a valid tenant ID"):
        sent.send(AUDIT, ended())


@pytest.mark.parametrize(("condition", "word"), [("Success", "Success"), ("EventAgeExceeded", "Failure")])
def test_bus_receives_an_event_of_the_source_lambda(condition: Condition, word: str) -> None:
    sent = Sent()
    sent.send(BUS, ended(condition))
    ((bus, entry),) = sent.buses.entries
    assert bus == BUS
    assert entry == {
        "Source": "lambda",
        "DetailType": f"Lambda Function Invocation Result - {word}",
        "Detail": ended(condition).record,
        "Resources": [BUS, f"{ARN}:$LATEST"],
        "Time": 1.5,
    }


def test_stack_without_buses_says_so() -> None:
    with pytest.raises(Undelivered, match="no event buses"):
        asyncio.run(Destinations(Queues("us-east-1", "1"), Sent().invoke).send(BUS, ended()))


def test_dead_letter_is_the_event_with_three_attributes() -> None:
    """As recorded on AWS."""
    sent = Sent()
    sent.keep(QUEUE, ended())
    message = sent.message
    assert message.body == '{"n": 1.50}'
    assert message.sender_attributes == {
        "RequestID": Attribute("String", "id-1"),
        "ErrorCode": Attribute("Number", "200"),
        "ErrorMessage": Attribute("String", "no"),
    }


def test_dead_letter_without_a_message_has_no_attribute_for_it() -> None:
    """SQS refuses an empty attribute."""
    sent = Sent()
    sent.keep(QUEUE, ended(result=InvocationResult(b"null", "Unhandled")))
    assert set(sent.message.sender_attributes) == {"RequestID", "ErrorCode"}


@pytest.mark.parametrize(
    ("arn", "fault"), [(QUEUE + "x", "no such queue"), (QUEUE.replace("failures", "steps.fifo"), "is FIFO")]
)
def test_queue_that_cannot_take_it_is_named(arn: str, fault: str) -> None:
    for send in (Sent().send, Sent().keep):
        with pytest.raises(Undelivered, match=fault):
            send(arn, ended())


def test_record_that_is_too_large_for_the_queue_is_not_delivered() -> None:
    with pytest.raises(Undelivered, match="must be shorter than 1048576 bytes"):
        Sent().send(QUEUE, ended(result=InvocationResult(b'"%s"' % (b"x" * 2**20))))
