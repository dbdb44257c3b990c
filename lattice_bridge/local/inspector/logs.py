"""The lines that the execution environments print: all of an invocation's until it ends, and then the last ones.

Rule: the memory has a limit, whatever functions print.
"""

from __future__ import annotations

import time
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Final

from lattice_bridge.local.environments.environment import Environment

MAX_LOG: Final = 256 * 1024
"""Bytes of an environment's lines that are kept until its invocation ends. The last ones stay."""
LAST_LINES: Final = 50
"""Lines of an environment that are kept after that."""
LONGEST: Final = 1000
"""Characters of such a line that are shown."""
MAX_LOGS: Final = 32 * 1024 * 1024
"""Bytes of all environments. The lines of those that have printed nothing for longest are dropped first."""

_LOG: Final = 1024
"""Bytes of memory that a log takes beside its lines."""
_LINE: Final = 128
"""Bytes of memory that a line takes beside its characters."""


class _Log:
    """The lines of one environment.

    Attributes:
        lines: with the times at which they were printed.
        size: bytes of memory, if all characters are ASCII.
        new: the number of the last ones that belong to the invocation that runs.
    """

    __slots__ = ("lines", "new", "size")

    def __init__(self) -> None:
        self.lines: deque[tuple[float, str]] = deque()
        self.size = _LOG
        self.new = 0


class Logs:
    """The logs of all environments.

    Args:
        clock: monotonic seconds.

    Attributes:
        clock: the same.
        size: bytes of memory, if all characters are ASCII.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self._logs: OrderedDict[str, _Log] = OrderedDict()
        self.size = 0

    def add(self, label: str, line: str) -> None:
        """Takes a line of the environment with a label."""
        log = self._logs.get(label)
        if log is None:
            log = self._logs[label] = _Log()
            self.size += log.size
        self._logs.move_to_end(label)
        log.lines.append((self.clock(), line))
        log.size += (size := len(line) + _LINE)
        log.new += 1
        self.size += size
        if log.size > MAX_LOG or self.size > MAX_LOGS:
            self._shrink(log)

    def take(self, label: str) -> list[str]:
        """The lines of an invocation that has ended: those since the last call."""
        log = self._logs.get(label)
        if log is None or not log.new:
            return []
        lines = [line for _, line in log.lines]
        found = lines[-log.new :]
        log.new = 0
        while len(log.lines) > LAST_LINES:
            self._drop_oldest(log)
        return found

    def last(self, environment: Environment) -> list[str]:
        """The last lines of an environment. An earlier one with the same label has none here."""
        log = self._logs.get(environment.label)
        found = [] if log is None else [line for at, line in log.lines if at >= environment.began]
        return [line[:LONGEST] for line in found[-LAST_LINES:]]

    def _shrink(self, log: _Log) -> None:
        while log.size > MAX_LOG and len(log.lines) > 1:
            self._drop_oldest(log)
        while self.size > MAX_LOGS and len(self._logs) > 1:
            _, oldest = self._logs.popitem(last=False)
            self.size -= oldest.size

    def _drop_oldest(self, log: _Log) -> None:
        _, line = log.lines.popleft()
        log.size -= len(line) + _LINE
        self.size -= len(line) + _LINE
        log.new = min(log.new, len(log.lines))
