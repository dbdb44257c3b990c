"""Points in time, by number: what is due, and what is next.

Rule: each operation takes O(log n) on average, also a change of a time and a removal. The heap is built anew when most
of it is out of date, so a client that changes times in a loop fills no memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from heapq import heapify, heappop, heappush
from typing import Final

_ALLOWANCE: Final = 64


class Schedule:
    """One time for each number."""

    def __init__(self) -> None:
        self._times: dict[int, float] = {}
        self._heap: list[tuple[float, int]] = []

    def __len__(self) -> int:
        return len(self._times)

    def set(self, number: int, time: float) -> None:
        """Sets, or replaces, the time of a number."""
        self._times[number] = time
        heappush(self._heap, (time, number))
        if len(self._heap) > 2 * len(self._times) + _ALLOWANCE:
            self._heap = [(at, each) for each, at in self._times.items()]
            heapify(self._heap)

    def remove(self, number: int) -> None:
        """Removes a number, if it is there."""
        self._times.pop(number, None)

    def next(self) -> float | None:
        """The earliest time, or None."""
        while self._heap:
            time, number = self._heap[0]
            if self._times.get(number) == time:
                return time
            heappop(self._heap)
        return None

    def due(self, now: float) -> Iterator[int]:
        """Removes the numbers whose time has come, and gives them in the order of their times."""
        while (time := self.next()) is not None and time <= now:
            number = heappop(self._heap)[1]
            del self._times[number]
            yield number
