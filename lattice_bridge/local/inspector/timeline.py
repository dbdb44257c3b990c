"""The timeline: the entries that are kept, in the order in which they began, and which of them have changed.

Rule: its memory has a limit, whatever the requests contain. If their contents exceed it, the oldest contents are
dropped first: their summaries stay, whose texts have a limit too. It belongs to the event loop, and no thread uses it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from lattice_bridge.local.inspector.entry import Entry

MAX_ENTRIES: Final = 10_000
MAX_BYTES: Final = 128 * 1024 * 1024


class Timeline:
    """The entries of a stack.

    Args:
        max_entries: that are kept.
        max_bytes: of their contents.

    Attributes:
        change: the number of the last change; 0 before the first.
        cleared: the change with which the list was cleared last, and the highest entry that was in it; zeros if it was
            not cleared yet.
        bytes: of the contents that are kept.
        waiting: ends with the next change; None if no reader waits for it.
        take_in: is called before a reader sees the entries: it may add some.
    """

    def __init__(self, max_entries: int = MAX_ENTRIES, max_bytes: int = MAX_BYTES) -> None:
        self.max_entries = max_entries
        self._max_bytes = max_bytes
        self._entries: dict[int, Entry] = {}  # numbers without a gap: the oldest one is known without a search
        self._changes: dict[int, Entry] = {}
        self._last = 0
        self._with_content = 1  # the oldest entry that may have one
        self.waiting: asyncio.Future[None] | None = None
        self.change = 0
        self.cleared = (0, 0)
        self.bytes = 0
        self.take_in: Callable[[], None] = lambda: None

    def __len__(self) -> int:
        self.take_in()
        return len(self._entries)

    def add(self, entry: Entry) -> int:
        """Adds an entry, and returns the number that it gets."""
        self._last = entry.n = self._last + 1
        self._entries[entry.n] = entry
        self.changed(entry)
        if len(self._entries) > self.max_entries:
            self._forget(self._last - self.max_entries)
        return entry.n

    def changed(self, entry: Entry) -> None:
        """Takes the new values of an entry. One that is no longer kept is ignored."""
        if self._entries.get(entry.n) is not entry:
            return
        entry.bound()
        self._changes.pop(entry.change, None)
        self.change = entry.change = self.change + 1
        self._changes[entry.change] = entry
        if entry.content is not None:
            size = entry.content.size
            self.bytes += size - entry.bytes
            entry.bytes = size
            while self.bytes > self._max_bytes:
                self._drop_oldest_content()
        self._wake()

    def get(self, n: int) -> Entry | None:
        """The entry with a number; None if it is not kept."""
        self.take_in()
        return self._entries.get(n)

    def clear(self) -> int:
        """Forgets all entries, and returns the highest number that one of them can have."""
        self.take_in()
        self._entries.clear()
        self._changes.clear()
        self._with_content = self._last + 1
        self.bytes = 0
        self.change += 1
        self.cleared = (self.change, self._last)
        self._wake()
        return self._last

    def since(self, change: int, limit: int = MAX_ENTRIES) -> tuple[list[Entry], int]:
        """The entries that are new or have changed, in the order of their changes.

        Args:
            change: that the reader has seen.
            limit: of entries.

        Returns:
            The entries, and the change up to which the reader has seen everything now.
        """
        self.take_in()
        newer: list[Entry] = []
        for number, entry in reversed(self._changes.items()):
            if number <= change:
                break
            newer.append(entry)
        newer.reverse()
        if len(newer) > limit:
            return newer[:limit], newer[limit - 1].change
        return newer, self.change

    async def wait(self, change: int) -> None:
        """Returns when something is newer than a change."""
        self.take_in()
        while self.change <= change:
            if self.waiting is None:
                self.waiting = asyncio.get_running_loop().create_future()
            await asyncio.shield(self.waiting)

    def _wake(self) -> None:
        if self.waiting is not None:
            self.waiting.set_result(None)
            self.waiting = None

    def _forget(self, n: int) -> None:
        entry = self._entries.pop(n)
        del self._changes[entry.change]
        self.bytes -= entry.bytes
        self._with_content = max(self._with_content, n + 1)

    def _drop_oldest_content(self) -> None:
        entry = self._entries[self._with_content]
        self._with_content += 1
        self.bytes -= entry.bytes
        entry.content = entry.configuration = None
        entry.bytes = 0
