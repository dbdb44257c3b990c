"""The arguments and the result of one part of the benchmark."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.table import Table


@dataclass(frozen=True, slots=True)
class Bench:
    """Where and how thoroughly to measure.

    Attributes:
        url: of the responder.
        folder: for what the parts make; empty, and removed afterwards.
        quick: only to see that everything works: the figures mean nothing.
        python: the interpreter that starts are measured with.
    """

    url: str
    folder: Path
    quick: bool = False
    python: str = sys.executable

    def few(self, number: int) -> int:
        """So many, or two if it is to be quick."""
        return 2 if self.quick else number


@dataclass(frozen=True, slots=True)
class Section:
    """What was found.

    Attributes:
        tables: to show.
        ratios: what `goals` asks for, by its names.
    """

    tables: Sequence[Table]
    ratios: Mapping[str, float] = field(default_factory=dict)
