"""The reports of a running stack, until the capture reads them: many together, and not while a request is served.

Rule: a report costs one append. That matters more than the work that is put off: between two steps of a request, other
processes have the processor's caches, and the same work at once takes a fraction of the time. The order, the times and
the active maps are those of the reports. What waits is bounded, and a reader of the timeline never misses any of it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from lattice_bridge.local.bridge.configuration import BridgeConfiguration
from lattice_bridge.local.inspector.capture import Capture
from lattice_bridge.local.inspector.logs import Logs
from lattice_bridge.local.inspector.observer import REPORTS, StackObserver
from lattice_bridge.local.inspector.timeline import Timeline
from lattice_bridge.local.sources.delivery import Batch, StreamBatch

MOST_REPORTS: Final = 200
"""Reports that wait. A request has ten."""
MOST_BYTES: Final = 8 * 1024 * 1024
"""Bytes of the bodies in them."""
SECONDS: Final = 0.1
"""Seconds that a report waits if a reader does too."""

_logger: Final = logging.getLogger(__name__)


def _size_of(batch: Batch | StreamBatch) -> int:
    return sum(len(one.record) for one in batch.messages) if isinstance(batch, Batch) else sum(map(len, batch.records))


_SIZES: Final[Mapping[str, Callable[..., int]]] = {
    "received": lambda request: len(request.request.body),
    "invocation_ended": lambda request, result: len(request.payload) + len(result.payload),
    "answered": lambda request: len(request.response.body),
    "delivering": _size_of,
    "event_delivering": lambda event, *_: len(event.text),
}


class Journal(StackObserver):
    """Takes the reports.

    Args:
        timeline: of the entries.
        logs: of the environments.

    Attributes:
        capture: makes the entries.
        configurations: returns those of the bridges, as they are now.
    """

    def __init__(self, timeline: Timeline, logs: Logs) -> None:
        self.configurations: Callable[[], Iterable[BridgeConfiguration]] = lambda: ()
        self.capture = Capture(timeline, lambda: self._active, logs, lambda: self._at)
        self._timeline = timeline
        self._active: Iterable[BridgeConfiguration] = ()
        self._reports: list[tuple[Callable[..., None], tuple[Any, ...], float]] = []
        self._bytes = 0
        self._at = 0.0
        self._timer: asyncio.TimerHandle | None = None
        timeline.take_in = self.take_in
        logs.clock = lambda: self._at - time.time() + time.monotonic()
        for name in REPORTS:
            take = self._takes(getattr(self.capture, name))
            setattr(self, name, self._takes_sized(take, _SIZES[name]) if name in _SIZES else take)
        self.invocation_began = self._takes_beginning(self.invocation_began)  # type: ignore[method-assign]  # as above

    def _takes(self, report: Callable[..., None]) -> Callable[..., None]:
        reports, expected, timeline, now = self._reports, self.capture.expected, self._timeline, time.time

        def take(*facts: Any) -> None:
            reports.append((report, facts, now()))
            if len(reports) >= MOST_REPORTS or expected:
                self.take_in()
            elif timeline.waiting is not None and self._timer is None:
                self._timer = asyncio.get_running_loop().call_later(SECONDS, self.take_in)

        return take

    def _takes_sized(self, take: Callable[..., None], size: Callable[..., int]) -> Callable[..., None]:
        def take_sized(*facts: Any) -> None:
            take(*facts)
            self._bytes += size(*facts)
            if self._bytes > MOST_BYTES:
                self.take_in()

        return take_sized

    def _takes_beginning(self, take: Callable[..., None]) -> Callable[..., None]:
        def take_beginning(*facts: Any) -> None:
            if (active := self.configurations()) is not self._active:
                self.take_in()  # what waits was decided by the older maps
                self._active = active
            take(*facts)

        return take_beginning

    def take_in(self) -> None:
        """Gives everything that waits to the capture."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        reports = self._reports.copy()
        self._reports.clear()
        self._bytes = 0
        for report, facts, self._at in reports:
            try:
                report(*facts)
            except Exception:  # a fault of the inspector fails no request, and loses no other report
                _logger.exception("the inspector could not read a report")
