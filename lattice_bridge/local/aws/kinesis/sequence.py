"""Sequence numbers of AWS's form: 47 hexadecimal digits, which are 56 decimal ones.

| digits | content |
|---|---|
| 1 | 2 |
| 9 | when the shard was opened, in seconds: a child is opened after its parents, so its numbers are higher |
| 1 | the last digit of the shard's index |
| 16 | the index of the record, which grows by one |
| 2 | 0 |
| 9 | when the record arrived, in seconds |
| 8 | the shard's index |
| 1 | 2, the version |

Source: numbers of AWS, as kinesalite takes them apart. AWS documents only that they grow within a shard.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

LAST_INDEX: Final = 2**63 - 1
"""The index in the EndingSequenceNumber of each closed shard."""

_INDEX_AT: Final = 4 * (2 + 9 + 8 + 1)
"""Bits below the index of a record."""
_SECONDS: Final = 2**36 - 1
_PREFIX_AT: Final = _INDEX_AT + 4 * 16


@dataclass(frozen=True, slots=True)
class Numbers:
    """The numbers of a shard.

    Attributes:
        opened: when the shard was opened, in whole seconds since the epoch.
        shard: its index.
    """

    opened: int
    shard: int

    def number(self, index: int, arrived: float) -> int:
        """The number of a record. The index 0 is that of no record: the shard's StartingSequenceNumber."""
        prefix = (2 << 40) | ((self.opened & _SECONDS) << 4) | (self.shard & 15)
        arrival = (int(arrived) & _SECONDS) << 36
        return (prefix << _PREFIX_AT) | (index << _INDEX_AT) | arrival | (self.shard << 4) | 2

    def has(self, number: int) -> bool:
        """Whether a number can be one of this shard."""
        start = self.number(0, 0)
        return number >> _PREFIX_AT == start >> _PREFIX_AT and number % 2**36 == start % 2**36
