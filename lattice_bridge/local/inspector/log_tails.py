"""The last lines that each execution environment has printed, for the page that shows what runs."""

from __future__ import annotations

import time
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Final

from lattice_bridge.local.environments.environment import Environment
from lattice_bridge.local.inspector.observer import StackObserver

LOG_LINES: Final = 50
_LOG_LABELS: Final = 2500
_LOG_CHARACTERS: Final = 1000


class LogTails(StackObserver):
    """The last lines of each environment.

    Args:
        clock: monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lines: OrderedDict[str, deque[tuple[float, str]]] = OrderedDict()

    def function_output(self, label: str, line: str) -> None:
        """Takes a line of an environment's output."""
        lines = self._lines.get(label)
        if lines is None:
            lines = self._lines[label] = deque(maxlen=LOG_LINES)
            if len(self._lines) > _LOG_LABELS:
                self._lines.popitem(last=False)
        lines.append((self._clock(), line[:_LOG_CHARACTERS]))

    def of(self, environment: Environment) -> list[str]:
        """The lines of an environment. An earlier one with the same label has none here."""
        lines = self._lines.get(environment.label, ())
        return [line for at, line in lines if at >= environment.began]
