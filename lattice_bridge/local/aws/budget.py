"""The memory that all resources of a service share: the queues of SQS, the streams of Kinesis.

Rule: what is stored is counted before it is stored, and given back when it is removed. So no client fills the memory of
the machine.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

MEMORY: Final = 1024 * 1024 * 1024
"""Bytes of a service: 500,000 messages of 1 KB, or 1,000 of 1 MiB."""


class Budget:
    """Counts bytes.

    Args:
        limit: bytes.
        full: makes the service's error from the limit in MiB.

    Attributes:
        used: bytes.
        sweep: removes what has expired from every resource.
    """

    def __init__(self, limit: int, full: Callable[[int], Exception]) -> None:
        self._limit = limit
        self._full = full
        self.used = 0
        self.sweep: Callable[[], None] = lambda: None

    def take(self, size: int) -> None:
        """Counts bytes that are about to be stored. Raises the service's error if there is no room for them."""
        if self.used + size > self._limit:
            self.sweep()
        if self.used + size > self._limit:
            raise self._full(self._limit // 1024**2)
        self.used += size

    def give(self, size: int) -> None:
        """Counts bytes that were removed."""
        self.used -= size
