"""Everything that happens in a stack, as its parts report it: to the log, and to the inspector if it runs."""

from __future__ import annotations

from lattice_bridge.local.aws.async_invokes import Try
from lattice_bridge.local.aws.event_bridge.deliveries import Delivery as EventDelivery
from lattice_bridge.local.aws.event_bridge.deliveries import Event
from lattice_bridge.local.aws.event_bridge.deliveries import Observer as EventObserver
from lattice_bridge.local.aws.invoke_checks import LambdaError
from lattice_bridge.local.aws.lambda_service import InvokeObserver, InvokeRequest
from lattice_bridge.local.environments.environment import InvocationResult
from lattice_bridge.local.front.exchange.exchange import AnsweredRequest, ReceivedRequest, RequestObserver
from lattice_bridge.local.plan.model import Function
from lattice_bridge.local.sources.delivery import Batch, Delivery, StreamBatch, StreamDelivery


class StackObserver(RequestObserver, InvokeObserver, EventObserver):
    """Receives what happens in a stack. This one ignores it."""

    def function_output(self, label: str, line: str) -> None:
        """An execution environment has printed a line."""

    def delivering(self, batch: Batch | StreamBatch) -> None:
        """A function is about to be invoked with a batch."""

    def delivered(self, delivery: Delivery | StreamDelivery) -> None:
        """A batch has ended."""

    def tried(self, one: Try) -> None:
        """A try of an asynchronous invocation has ended."""


class Observers(StackObserver):
    """Passes everything on to several observers."""

    def __init__(self, *observers: StackObserver) -> None:
        self._observers = observers

    def function_output(self, label: str, line: str) -> None:
        for one in self._observers:
            one.function_output(label, line)

    def received(self, request: ReceivedRequest) -> None:
        for one in self._observers:
            one.received(request)

    def identified(self, request_id: str, access_key: str, principal: str) -> None:
        for one in self._observers:
            one.identified(request_id, access_key, principal)

    def authorizing(self, request_id: str, trace_id: str) -> None:
        for one in self._observers:
            one.authorizing(request_id, trace_id)

    def invoking(self, request_id: str, function: str, trace_id: str) -> None:
        for one in self._observers:
            one.invoking(request_id, function, trace_id)

    def answered(self, request: AnsweredRequest) -> None:
        for one in self._observers:
            one.answered(request)

    def invocation_began(self, function: Function, request: InvokeRequest) -> None:
        for one in self._observers:
            one.invocation_began(function, request)

    def invocation_ended(self, request: InvokeRequest, result: InvocationResult) -> None:
        for one in self._observers:
            one.invocation_ended(request, result)

    def invocation_refused(self, request: InvokeRequest, error: LambdaError) -> None:
        for one in self._observers:
            one.invocation_refused(request, error)

    def delivering(self, batch: Batch | StreamBatch) -> None:
        for one in self._observers:
            one.delivering(batch)

    def delivered(self, delivery: Delivery | StreamDelivery) -> None:
        for one in self._observers:
            one.delivered(delivery)

    def event_delivering(self, event: Event, rule: str, target: str, request_id: str | None) -> None:
        for one in self._observers:
            one.event_delivering(event, rule, target, request_id)

    def event_delivered(self, delivery: EventDelivery) -> None:
        for one in self._observers:
            one.event_delivered(delivery)

    def event_lost(self, event: Event, why: str) -> None:
        for one in self._observers:
            one.event_lost(event, why)

    def tried(self, one: Try) -> None:
        for each in self._observers:
            each.tried(one)
