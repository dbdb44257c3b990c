"""Writes the log of the stack: lines for a person, or JSON for a machine.

Rule: the stack never waits for the log. A thread writes it. If functions print faster than the terminal shows, or the
reader has gone, lines are dropped and counted.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import queue
import sys
import threading
import time
from typing import Final, TextIO

import click

from lattice_bridge.local.web.printable import printable

QUEUE_LINES: Final = 10_000
CLOSE_SECONDS: Final = 2.0

TAB: Final = "\t"
_COLOURS: Final = ("cyan", "green", "magenta", "yellow", "blue", "bright_red", "bright_cyan", "bright_green")


class WarningHandler(logging.Handler):
    """Writes the warnings of Python's logging to the stack's log.

    The stack's own modules log there, and uvicorn: requests that it could not read, and errors of an application.
    """

    def __init__(self, log: LogWriter) -> None:
        super().__init__(logging.WARNING)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, asyncio.CancelledError):
            return  # a request that was running when the stack stopped
        cause = f": {type(error).__name__}: {error}" if error else ""
        source = "" if record.name.startswith("lattice_bridge.") else f"{record.name}: "
        self._log.warning(f"{source}{record.getMessage().strip()}{cause}")


class LogWriter:
    """Writes lines from any thread.

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
        self._as_json = as_json
        self._colour = colour
        self._lines: queue.Queue[str] = queue.Queue(QUEUE_LINES)
        self._dropped = 0
        self._closing = threading.Event()
        self._writer = threading.Thread(target=self._write, name="log writer", daemon=True)
        self._writer.start()

    def function_output(self, label: str, line: str) -> None:
        """Writes a line of a function's output. Metric lines are for CloudWatch, and are not shown to a person."""
        if self._as_json:
            self._put(json.dumps({"time": time.time(), "environment": label, "line": line}))
        elif not line.startswith('{"_aws":'):
            self._put(f"{self._coloured(label)}  {printable(line, keep=TAB)}")

    def warning(self, text: str) -> None:
        """Writes a warning for the developer."""
        self._put(self._formatted("warning", text))

    def info(self, text: str, **fields: object) -> None:
        """Writes what the stack itself does. `fields` are added to the JSON."""
        self._put(self._formatted("info", text, **fields))

    def close(self) -> None:
        """Writes the remaining lines, if a reader takes them."""
        self._closing.set()
        self._writer.join(CLOSE_SECONDS)

    def _formatted(self, level: str, text: str, **fields: object) -> str:
        if self._as_json:
            return json.dumps({"time": time.time(), "level": level, "message": text, **fields})
        text = printable(text)
        return click.style(text, fg="yellow") if self._colour and level == "warning" else text

    def _coloured(self, label: str) -> str:
        label = printable(label)
        if not self._colour:
            return f"[{label}]"
        return click.style(f"[{label}]", fg=_COLOURS[sum(label.partition("#")[0].encode()) % len(_COLOURS)])

    def _put(self, line: str) -> None:
        try:
            self._lines.put_nowait(line)
        except queue.Full:
            self._dropped += 1

    def _write(self) -> None:
        with contextlib.suppress(OSError):  # the reader has gone: the queue fills, and lines are dropped
            while not (self._closing.is_set() and self._lines.empty()):
                with contextlib.suppress(queue.Empty):
                    self._send(self._lines.get(timeout=0.1))
                if self._dropped and self._lines.empty():
                    dropped, self._dropped = self._dropped, 0
                    lines = "1 line" if dropped == 1 else f"{dropped} lines"
                    self._send(self._formatted("warning", f"… {lines} dropped: printed faster than shown"))

    def _send(self, line: str) -> None:
        data = f"{line}\n".encode(self._encoding, "backslashreplace")
        while data:
            data = data[os.write(self._descriptor, data) :]
