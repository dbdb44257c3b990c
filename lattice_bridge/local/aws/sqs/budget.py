"""The memory that all queues of a stack share.

Rule: what is stored is counted before it is stored, and given back when it is removed. So no client fills the memory of
the machine.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from lattice_bridge.local.aws.sqs.errors import SqsError

MEMORY: Final = 1024 * 1024 * 1024
"""Bytes, by the measure of `Queue`: 500,000 messages of 1 KB, or 1,000 of 1 MiB."""


class Budget:
    """Counts bytes.

    Args:
        limit: bytes.

    Attributes:
        used: bytes.
        sweep: removes what has expired from every queue.
    """

    def __init__(self, limit: int = MEMORY) -> None:
        self._limit = limit
        self.used = 0
        self.sweep: Callable[[], None] = lambda: None

    def take(self, size: int) -> None:
        """Counts bytes that are about to be stored.

        Raises:
            SqsError: `OverLimit`: the queues are full.
        """
        if self.used + size > self._limit:
            self.sweep()
        if self.used + size > self._limit:
            raise SqsError(
                "OverLimit",
                f"this local stack keeps {self._limit // 1024**2} MiB of messages in all its queues. Fix: delete "
                "messages, purge a queue, or lower MessageRetentionPeriod",
            )
        self.used += size

    def give(self, size: int) -> None:
        """Counts bytes that were removed."""
        self.used -= size
