"""Everything that happens in a stack, as its parts report it: to the log, and to the inspector if it runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from lattice_bridge.local.aws.async_invokes import Try
from lattice_bridge.local.aws.event_bridge.deliveries import Observer as EventObserver
from lattice_bridge.local.aws.lambda_service import InvokeObserver
from lattice_bridge.local.front.exchange.exchange import RequestObserver
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


REPORTS: Final = tuple(name for name in dir(StackObserver) if not name.startswith("_"))
"""The names of the reports."""


class Observers(StackObserver):
    """Passes everything on to several observers. One that ignores a report is not called: each request has ten."""

    def __init__(self, *observers: StackObserver) -> None:
        for name in REPORTS:
            ignored = getattr(StackObserver, name)
            found = [getattr(one, name) for one in observers]
            taking = [one for one in found if getattr(one, "__func__", None) is not ignored]
            if taking:
                setattr(self, name, taking[0] if len(taking) == 1 else _each(taking))


def _each(functions: Sequence[Callable[..., None]]) -> Callable[..., None]:
    def call(*facts: object) -> None:
        for function in functions:
            function(*facts)

    return call
