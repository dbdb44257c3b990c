"""A table of results, for a terminal and for a file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import rich.table


@dataclass(frozen=True, slots=True)
class Table:
    """Text to the left in the first column, numbers to the right in the others: without spaces, because
    lines are broken there.

    Attributes:
        title: what was measured.
        columns: the first has no name where it needs none.
        rows: as many texts each as there are columns.
        note: what to know when reading it.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""

    def drawn(self) -> rich.table.Table:
        """For a terminal."""
        table = rich.table.Table(
            title=self.title, caption=self.note or None, title_justify="left", caption_justify="left"
        )
        for number, column in enumerate(self.columns):
            table.add_column(column, justify="right" if number else "left", no_wrap=number == 0)
        for row in self.rows:
            table.add_row(*row)
        return table

    def markdown(self) -> str:
        """For a file."""
        lines = [f"## {self.title}", ""]
        lines += [_line(self.columns), _line(["---:" if number else "---" for number in range(len(self.columns))])]
        lines += [_line(row) for row in self.rows]
        return "\n".join([*lines, *(["", self.note] if self.note else []), ""])


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
