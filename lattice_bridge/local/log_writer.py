"""Writes the log of the stack: lines for a person, or JSON for a program.

Rule: the stack never waits for the log. A thread writes it. If functions print faster than the terminal shows, or the
reader has gone, lines are dropped and counted.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import queue
import sys
import threading
from collections.abc import Iterable
from typing import Final, TextIO

from lattice_bridge.local.aws.async_invokes import Try
from lattice_bridge.local.aws.event_bridge.deliveries import Delivery as EventDelivery
from lattice_bridge.local.aws.event_bridge.deliveries import Event
from lattice_bridge.local.aws.lambda_service import InvokeRequest
from lattice_bridge.local.front.exchange.exchange import AnsweredRequest
from lattice_bridge.local.inspector.observer import StackObserver
from lattice_bridge.local.json_lines import JsonLines
from lattice_bridge.local.plan.model import Function
from lattice_bridge.local.sources.delivery import Batch, Delivery, StreamBatch, StreamDelivery
from lattice_bridge.local.terminal_lines import TerminalLines

QUEUE_LINES: Final = 10_000
CLOSE_SECONDS: Final = 2.0
BATCH_SECONDS: Final = 0.02
"""Seconds that a line waits for others. Each time the thread wakes, it takes the interpreter's lock from the stack."""
BATCH_LINES: Final = 1024


class WarningHandler(logging.Handler):
    """Writes the warnings of the stack's own modules to its log, and the errors of libraries.

    The warnings of libraries are not written. They advise on an application that uses the library, as in "No supported
    WebSocket library detected. Please use pip install 'uvicorn[standard]'", and no advice of them fits the stack.
    """

    def __init__(self, log: LogWriter) -> None:
        super().__init__(logging.WARNING)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, asyncio.CancelledError):
            return  # a request that was running when the stack stopped
        is_own = record.name.startswith("lattice_bridge.")
        if not is_own and record.levelno < logging.ERROR:
            return
        cause = f": {type(error).__name__}: {error}" if error else ""
        source = "" if is_own else f"{record.name}: "
        self._log.warning(f"{source}{record.getMessage().strip()}{cause}")


class LogWriter(StackObserver):
    """Writes lines from any thread. It observes requests of the front, batches of queues, asynchronous invocations, and
    events of buses.

    Args:
        stream: must have a file descriptor, which is written to directly.
        as_json: writes one JSON object a line.
        colour: uses ANSI colours.
    """

    def __init__(self, stream: TextIO = sys.stdout, *, as_json: bool = False, colour: bool = False) -> None:
        # Not through the stream: a thread that hangs in a buffered write holds a lock that the interpreter's shutdown
        # waits for.
        self._descriptor = stream.fileno()
        self._encoding = stream.encoding or "utf-8"
        self._form = JsonLines() if as_json else TerminalLines(colour=colour, width=self._columns)
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()  # C: each request has lines, and Queue's locks cost
        self._dropped = 0
        self._closing = threading.Event()
        self._writer = threading.Thread(target=self._write, name="log writer", daemon=True)
        self._writer.start()

    def function_output(self, label: str, line: str) -> None:
        """Writes a line of a function's output."""
        self._put(self._form.function_output(label, line))

    def invoking(self, request_id: str, function: str, trace_id: str) -> None:
        """Takes a request that the front passes to a target."""
        self._form.invoking(request_id, function, trace_id)

    def invocation_began(self, function: Function, request: InvokeRequest) -> None:
        """Takes an invocation."""
        if request.trace_id is not None:
            self._form.invoked(function.name, request.trace_id)

    def answered(self, request: AnsweredRequest) -> None:
        """Writes a request of the front."""
        self._put(self._form.answered(request))

    def delivering(self, batch: Batch | StreamBatch) -> None:
        """Takes a batch that a function is invoked with."""
        self._form.delivering(batch)

    def delivered(self, delivery: Delivery | StreamDelivery) -> None:
        """Writes the end of a batch."""
        self._put(self._form.delivered(delivery))

    def event_delivered(self, delivery: EventDelivery) -> None:
        """Writes a try to deliver an event of a bus."""
        self._put(self._form.event_delivered(delivery))

    def event_lost(self, event: Event, why: str) -> None:
        """Writes an event that reaches no target."""
        self._put(self._form.event_lost(event, why))

    def tried(self, one: Try) -> None:
        """Writes a try of an asynchronous invocation."""
        self._put(self._form.tried(one))

    def error(self, text: str) -> None:
        """Writes a fault that the developer has to fix."""
        self._put(self._form.message("error", text))

    def warning(self, text: str) -> None:
        """Writes a warning for the developer."""
        self._put(self._form.message("warning", text))

    def info(self, text: str, **fields: object) -> None:
        """Writes what the stack itself does. `fields` are added to the JSON."""
        self._put(self._form.message("info", text, **fields))

    def close(self) -> None:
        """Writes the remaining lines, if a reader takes them."""
        self._closing.set()
        self._writer.join(CLOSE_SECONDS)

    def _columns(self) -> int | None:
        """The width of the terminal; None if the stream is none. A terminal that does not know it has 80 columns."""
        try:
            return os.get_terminal_size(self._descriptor).columns or 80
        except OSError:
            return None

    def _put(self, lines: Iterable[str]) -> None:
        for line in lines:
            if self._lines.qsize() < QUEUE_LINES:
                self._lines.put(line)
            else:
                self._dropped += 1

    def _write(self) -> None:
        with contextlib.suppress(OSError):  # the reader has gone: the queue fills, and lines are dropped
            while not (self._closing.is_set() and self._lines.empty()):
                with contextlib.suppress(queue.Empty):
                    self._send(self._waiting(self._lines.get(timeout=0.1)))
                if self._dropped and self._lines.empty():
                    dropped, self._dropped = self._dropped, 0
                    lines = "1 line" if dropped == 1 else f"{dropped} lines"
                    for line in self._form.message("warning", f"… {lines} dropped: printed faster than shown"):
                        self._send(line)

    def _waiting(self, first: str) -> str:
        """Returns a line and those that arrive within BATCH_SECONDS, so that they leave with one system call."""
        self._closing.wait(BATCH_SECONDS)
        lines = [first]
        with contextlib.suppress(queue.Empty):
            while len(lines) < BATCH_LINES:
                lines.append(self._lines.get_nowait())
        return "\n".join(lines)

    def _send(self, line: str) -> None:
        data = f"{line}\n".encode(self._encoding, "backslashreplace")
        while data:
            data = data[os.write(self._descriptor, data) :]
