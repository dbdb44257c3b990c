"""What the stack prints.

Rule: never in the way. A thread writes; when a function prints faster than the terminal takes it, lines are left out
and counted, and nothing waits.
"""

from __future__ import annotations

import json
import logging
import queue
import sys
import threading
import time
from typing import Final, TextIO

import click

QUEUE_LINES: Final = 10_000
_COLOURS: Final = ("cyan", "green", "magenta", "yellow", "blue", "bright_red", "bright_cyan", "bright_green")


class LogLines(logging.Handler):
    """What libraries log, as warnings on a console: uvicorn says there which requests it could not read."""

    def __init__(self, console: Console) -> None:
        super().__init__(logging.WARNING)
        self._console = console

    def emit(self, record: logging.LogRecord) -> None:
        self._console.warn(f"{record.name}: {record.getMessage()}")


class Console:
    """Lines for a person, or JSON for a machine.

    Args:
        stream: where to.
        as_json: one JSON object a line.
        colour: ANSI colours.
    """

    def __init__(self, stream: TextIO = sys.stdout, *, as_json: bool = False, colour: bool = False) -> None:
        self._stream = stream
        self._as_json = as_json
        self._colour = colour
        self._lines: queue.Queue[str | None] = queue.Queue(QUEUE_LINES)
        self._left_out = 0
        self._writer = threading.Thread(target=self._write, name="console", daemon=True)
        self._writer.start()

    def function(self, label: str, line: str) -> None:
        """A line of a function's output. Metric lines are for CloudWatch; a person is not shown them."""
        if self._as_json:
            self._put(json.dumps({"time": time.time(), "environment": label, "line": line}))
        elif not line.startswith('{"_aws":'):
            self._put(f"{self._coloured(label)}  {line}")

    def warn(self, text: str) -> None:
        """Something the person at the stack should know."""
        self._message("warning", text)

    def say(self, text: str, **fields: object) -> None:
        """What the stack itself does. `fields` are for machines."""
        self._message("info", text, **fields)

    def close(self) -> None:
        """Writes what is left."""
        self._lines.put(None)
        self._writer.join(timeout=5)

    def _message(self, level: str, text: str, **fields: object) -> None:
        self._put(self._formatted(level, text, **fields))

    def _formatted(self, level: str, text: str, **fields: object) -> str:
        if self._as_json:
            return json.dumps({"time": time.time(), "level": level, "message": text, **fields})
        return click.style(text, fg="yellow") if self._colour and level == "warning" else text

    def _coloured(self, label: str) -> str:
        if not self._colour:
            return f"[{label}]"
        return click.style(f"[{label}]", fg=_COLOURS[sum(label.partition("#")[0].encode()) % len(_COLOURS)])

    def _put(self, line: str) -> None:
        try:
            self._lines.put_nowait(line)
        except queue.Full:
            self._left_out += 1

    def _write(self) -> None:
        try:
            while (line := self._lines.get()) is not None:
                self._stream.write(f"{line}\n")
                if self._lines.empty():
                    self._report_left_out()
                    self._stream.flush()
        except (BrokenPipeError, ValueError):
            return  # nobody reads any more

    def _report_left_out(self) -> None:
        if self._left_out:
            left_out, self._left_out = self._left_out, 0
            self._stream.write(
                self._formatted("warning", f"… {left_out} lines left out: printed faster than shown") + "\n"
            )
