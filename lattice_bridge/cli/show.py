"""What commands show: tables and colour on a terminal, lines when piped.

Rule: the only module of the commands that prints. Whatever comes from a file, its name or an event is data: it is never
read as markup, and none of its control characters reaches a terminal. rich is imported where it draws: a command that
is piped, or draws nothing, does not wait for it.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from lattice_bridge.local.web.printable import printable

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

Cell = str | tuple[str, str]
"""A text, or a text and its style."""


def is_terminal() -> bool:
    """Whether a person looks on."""
    return sys.stdout.isatty()


def safe(text: str) -> str:
    """The text with what is not printable, or what standard output cannot encode, as Python writes it: `\\x1b`."""
    encoding = sys.stdout.encoding or "utf-8"
    return printable(text).encode(encoding, "backslashreplace").decode(encoding)


# ---- lines ----------------------------------------------------------------------------------------------------------


def say(*fields: str) -> None:
    """One line, its fields apart by tabs, whole however long it is."""
    click.echo("\t".join(map(safe, fields)))


def say_error(text: str) -> None:
    """One line on standard error."""
    click.echo(safe(text), err=True)


def say_json(value: Any, *, compact: bool = False, default: Callable[[Any], Any] | None = None) -> None:
    """JSON in ASCII, in which nothing acts on a terminal.

    Args:
        value: what to write.
        compact: on one line.
        default: makes JSON of what is none.
    """
    layout: dict[str, Any] = {"separators": (",", ":")} if compact else {"indent": 2}
    click.echo(json.dumps(value, ensure_ascii=True, default=default, **layout))


def say_document(document: Mapping[str, Any]) -> None:
    """What `--json` gives, one fact a line: the key, then its value, or a line for each object in its list."""
    for name, value in document.items():
        for fields in _values(value):
            say(name, *fields)


def _values(value: Any) -> Iterator[list[str]]:
    if isinstance(value, list):
        yield from ([_word(field) for field in entry.values()] for entry in value)
    else:
        yield [_word(value)]


def _word(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "-" if value is None else str(value)


# ---- a terminal -----------------------------------------------------------------------------------------------------


def table(columns: Sequence[str], rows: Iterable[Sequence[Cell]]) -> Table:
    """A table whose long texts go on in a next line, rather than being cut off."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    drawn = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for column in columns:
        drawn.add_column(column, overflow="fold")
    for row in rows:
        drawn.add_row(*map(_drawn, row))
    return drawn


def picture(facts: Iterable[tuple[Cell, Cell | Table]]) -> Table:
    """Two columns: what it is, and what there is to say of it, which may be a table."""
    from rich.table import Table

    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    for name, value in facts:
        grid.add_row(_drawn(name), value if isinstance(value, Table) else _drawn(value))
    return grid


def draw(*parts: Cell | Table) -> None:
    """Draws on the terminal, one under the other."""
    from rich.console import Console

    console = Console(color_system=None if os.environ.get("NO_COLOR") else "auto", highlight=False)
    for part in parts:
        console.print(_drawn(part) if isinstance(part, str | tuple) else part)


def _drawn(cell: Cell) -> RenderableType:
    from rich.text import Text

    text, style = (cell, "") if isinstance(cell, str) else cell
    return Text(safe(text), style, overflow="fold")
