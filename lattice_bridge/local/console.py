"""What the stack prints.

Rule: never in the way. A thread writes; when functions print faster than the terminal takes it, or nobody reads any
more, lines are left out and counted, and nothing waits.
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


class LogLines(logging.Handler):
    """What libraries log, as warnings on a console: uvicorn says there which requests it could not read, and why one
    of our own applications failed."""

    def __init__(self, console: Console) -> None:
        super().__init__(logging.WARNING)
        self._console = console

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, asyncio.CancelledError):
            return  # what was being answered when the stack stopped
        cause = f": {type(error).__name__}: {error}" if error else ""
        source = "" if record.name.startswith("lattice_bridge.") else f"{record.name}: "
        self._console.warn(f"{source}{record.getMessage().strip()}{cause}")


class Console:
    """Lines for a person, or JSON for a machine.

    Args:
        stream: where to; it has to have a file descriptor, which is written to directly.
        as_json: one JSON object a line.
        colour: ANSI colours.
    """

    def __init__(self, stream: TextIO = sys.stdout, *, as_json: bool = False, colour: bool = False) -> None:
        # Not through the stream: a thread that hangs in a buffered write holds the lock that the interpreter's end
        # waits for.
        self._descriptor = stream.fileno()
        self._encoding = stream.encoding or "utf-8"
        self._as_json = as_json
        self._colour = colour
        self._lines: queue.Queue[str] = queue.Queue(QUEUE_LINES)
        self._left_out = 0
        self._ending = threading.Event()
        self._writer = threading.Thread(target=self._write, name="console", daemon=True)
        self._writer.start()

    def function(self, label: str, line: str) -> None:
        """A line of a function's output. Metric lines are for CloudWatch; a person is not shown them."""
        if self._as_json:
            self._put(json.dumps({"time": time.time(), "environment": label, "line": line}))
        elif not line.startswith('{"_aws":'):
            self._put(f"{self._coloured(label)}  {printable(line, keep=TAB)}")

    def warn(self, text: str) -> None:
        """Something the person at the stack should know."""
        self._put(self._formatted("warning", text))

    def say(self, text: str, **fields: object) -> None:
        """What the stack itself does. `fields` are for machines."""
        self._put(self._formatted("info", text, **fields))

    def close(self) -> None:
        """Writes what is left, if somebody reads it."""
        self._ending.set()
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
            self._left_out += 1

    def _write(self) -> None:
        with contextlib.suppress(OSError):  # nobody reads any more: the queue fills, and lines are left out
            while not (self._ending.is_set() and self._lines.empty()):
                with contextlib.suppress(queue.Empty):
                    self._send(self._lines.get(timeout=0.1))
                if self._left_out and self._lines.empty():
                    left_out, self._left_out = self._left_out, 0
                    self._send(self._formatted("warning", f"… {left_out} lines left out: printed faster than shown"))

    def _send(self, line: str) -> None:
        data = f"{line}\n".encode(self._encoding, "backslashreplace")
        while data:
            data = data[os.write(self._descriptor, data) :]
