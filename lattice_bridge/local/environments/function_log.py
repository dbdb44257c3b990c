"""The log of an execution environment: its stdout and stderr, read from one pipe.

Rule: the pipe is always read. If it were not, a process would stop after 64 KiB, in the middle of its response.
"""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import Callable, Collection
from typing import Final

TAIL_BYTES: Final = 4 * 1024
"""The size of the log that `LogType=Tail` returns: the last 4 KB of an invocation."""

MAX_LINE: Final = 16 * 1024
"""Longer lines are passed on in pieces, so that a line without an end cannot fill the memory."""

_CHUNK: Final = 64 * 1024
_CHUNKS_A_TURN: Final = 16


class FunctionLog:
    """Reads the output of an environment's process.

    Args:
        show: takes one decoded line, without its newline.
    """

    def __init__(self, show: Callable[[str], None]) -> None:
        self._show = show
        self._read, self.write_end = os.pipe()
        os.set_blocking(self._read, False)
        self._rest = b""
        self._tail: deque[bytes] = deque()
        """The end of this invocation's output, TAIL_BYTES or a little more."""
        self._tail_size = 0
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._read, self.drain)

    def started(self) -> None:
        """Closes the writing end, which the process has inherited: it would keep the pipe open for ever."""
        os.close(self.write_end)
        self.write_end = -1

    def begin(self) -> None:
        """Begins an invocation: forgets the last one's tail."""
        self._tail.clear()
        self._tail_size = 0

    def finish(self) -> None:
        """Ends an invocation: reads the pipe, and shows the last line although it has no end yet.

        Otherwise it would be joined to the next invocation's first line, and be shown only then.
        """
        self.drain()
        self._show_rest()

    @property
    def output(self) -> Collection[bytes]:
        """The end of this invocation's output so far, in pieces: TAIL_BYTES of it, or a little more."""
        return tuple(self._tail)

    def drain(self) -> None:
        """Reads the pipe without waiting, up to a bound: a flood of output must not stop the other environments."""
        for _ in range(_CHUNKS_A_TURN):
            if self._read < 0:
                return
            try:
                data = os.read(self._read, _CHUNK)
            except BlockingIOError:
                return
            if not data:
                self._end()
                return
            self._keep(data)
            self._lines(data)
            if len(data) < _CHUNK:
                return  # the pipe is empty

    def close(self) -> None:
        """Reads the rest, and closes both ends."""
        if self.write_end >= 0:
            self.started()
        self.drain()
        self._end()

    def _end(self) -> None:
        if self._read < 0:
            return
        self._loop.remove_reader(self._read)
        os.close(self._read)
        self._read = -1
        self._show_rest()

    def _show_rest(self) -> None:
        if self._rest:
            self._show_line(self._rest)
            self._rest = b""

    def _keep(self, data: bytes) -> None:
        self._tail.append(data[-TAIL_BYTES:])
        self._tail_size += len(self._tail[-1])
        while self._tail_size - len(self._tail[0]) >= TAIL_BYTES:
            self._tail_size -= len(self._tail.popleft())

    def _lines(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._show_line(line)
        if len(self._rest) > MAX_LINE:
            self._show_rest()

    def _show_line(self, line: bytes) -> None:
        for start in range(0, len(line) or 1, MAX_LINE):
            self._show(line[start : start + MAX_LINE].decode("utf-8", "replace").replace("\r", "\n").rstrip())
