"""A memory of answers that are asked for again and again, bounded in entries and in characters.

Rule: a key contains everything that its answer depends on (trap D8). It is made of strings, None and the bridge's own
values, so that no two keys that differ are equal, as `1` and `True` are. What a client sends fills a memory only up to
its bounds (trap D9). `lru_cache` bounds no characters, so it is used only with keys whose length is bounded already.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import TypeVar

Key = TypeVar("Key", bound=Hashable)
Answer = TypeVar("Answer")


class Memory(dict[Key, Answer]):
    """Answers by key. Any number of threads may share one. It is a dict, so that `get` costs what a dict's costs.

    It forgets all when it is full: to drop the least recently used entry instead, each request would have to record a
    use, which costs more than to find the answers anew.

    Args:
        entries: that are kept, at most.
        characters: that the key and the answer of one entry may have. Python needs one to four bytes for each.

    >>> memory = Memory[str, int](entries=2, characters=5)
    >>> memory.keep("one", 1, characters=3), memory.keep("million", 1_000_000, characters=7), memory
    (None, None, {'one': 1})
    """

    def __init__(self, *, entries: int, characters: int) -> None:
        super().__init__()
        self._entries = entries
        self._characters = characters

    def keep(self, key: Key, answer: Answer, characters: int) -> None:
        """Keeps an answer, unless key and answer have too many characters."""
        if characters > self._characters:
            return
        if len(self) >= self._entries:
            self.clear()
        super().__setitem__(key, answer)
