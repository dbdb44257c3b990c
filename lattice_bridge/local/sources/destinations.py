"""Destinations of asynchronous invocations: queues, functions, event buses, dead-letter queues.

Rule: the record that arrives is the one that Lambda sends, and nothing beside it. As on AWS it has no tenant id, so an
isolated function is no destination.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, Protocol

from lattice_bridge.local.aws.access_keys import EXECUTION_ROLE_KEY
from lattice_bridge.local.aws.async_invokes import Ended, Undelivered
from lattice_bridge.local.aws.invoke_checks import LambdaError
from lattice_bridge.local.aws.lambda_service import InvokeRequest
from lattice_bridge.local.aws.sqs.errors import SqsError
from lattice_bridge.local.aws.sqs.message import Attribute, Outgoing
from lattice_bridge.local.aws.sqs.queues import Queues
from lattice_bridge.local.environments.environment import InvocationResult

Invoke = Callable[[InvokeRequest], Awaitable[InvocationResult | None]]

_SENDER: Final = EXECUTION_ROLE_KEY.user_id
"""Lambda sends with the role of the function."""


class Buses(Protocol):
    """The event buses of a stack."""

    def put(self, bus: str, entry: Mapping[str, Any]) -> None:
        """Puts an event on a bus.

        Args:
            bus: ARN.
            entry: with the members of an entry of PutEvents: `Source`, `DetailType`, `Detail`, `Resources`, `Time`
                (seconds since the epoch).

        Raises:
            Undelivered: there is no such bus, or it refuses the event.
        """


class Destinations:
    """Sends to what the stack has.

    Args:
        queues: of the stack.
        invoke: accepts asynchronous invocations.
        buses: of the stack; None if it has none.
    """

    def __init__(self, queues: Queues, invoke: Invoke, buses: Buses | None = None) -> None:
        self._queues = queues
        self._invoke = invoke
        self._buses = buses

    async def send(self, arn: str, ended: Ended) -> None:
        """Sends the record of an event to a queue, a function or an event bus.

        Raises:
            Undelivered: it does not take the record.
        """
        service = arn.split(":")[2]
        if service == "lambda":
            await self._to_function(arn, ended)
        elif service == "events":
            self._to_bus(arn, ended)
        else:
            self._to_queue(arn, Outgoing(ended.record, sender_id=_SENDER))

    async def keep(self, arn: str, ended: Ended) -> None:
        """Sends an event to a dead-letter queue, with the attributes that Lambda documents.

        Raises:
            Undelivered: the queue does not take it.
        """
        attributes = {
            "RequestID": Attribute("String", ended.event.request.request_id),
            "ErrorCode": Attribute("Number", str(ended.error_code)),
        }
        if ended.error_message:
            attributes["ErrorMessage"] = Attribute("String", ended.error_message)
        body = (ended.event.request.payload or b"{}").decode()
        self._to_queue(arn, Outgoing(body, attributes, sender_id=_SENDER))

    def _to_queue(self, arn: str, outgoing: Outgoing) -> None:
        queue = self._queues.by_arn(arn)
        if queue is None:
            raise Undelivered("the stack has no such queue")
        if queue.is_fifo:
            raise Undelivered("Lambda sends to standard queues only, and the queue is FIFO")
        try:
            queue.send(outgoing)
        except SqsError as error:
            raise Undelivered(str(error)) from error

    async def _to_function(self, arn: str, ended: Ended) -> None:
        # A trace of its own: by the event's, the log would take this function for the one that a request reached.
        try:
            await self._invoke(InvokeRequest(arn, ended.record.encode(), "Event"))
        except LambdaError as error:
            raise Undelivered(str(error)) from error

    def _to_bus(self, arn: str, ended: Ended) -> None:
        if self._buses is None:
            raise Undelivered("the stack has no event buses")
        entry = {
            "Source": "lambda",
            "DetailType": ended.detail_type,
            "Detail": ended.record,
            "Resources": [arn, ended.event.arn],
            "Time": ended.time,
        }
        self._buses.put(arn, entry)
