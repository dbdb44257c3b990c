"""Output of commands: tables and colour on a terminal, lines in a pipe.

Rule: this is the only module of the commands that prints. Content of a file, a file name or an event is data: it is
never read as markup, and none of its control characters reaches a terminal. rich is imported where it is used, so a
command in a pipe does not wait for it.
"""

from __future__ import annotations

import json
import os
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from lattice_bridge.local.web.printable import printable

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

Cell = str | tuple[str, str]
"""A string, or a string and its style."""

JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
"""The option of a command that prints a table or lines otherwise."""

JSON_ALWAYS = click.option(
    "--json", is_flag=True, expose_value=False, help="Changes nothing: the command always prints JSON."
)
"""The option of a command that prints nothing but JSON, so that a program can pass it to every command."""


def is_terminal() -> bool:
    """Whether standard output is a terminal."""
    return sys.stdout.isatty()


def has_colour() -> bool:
    """Whether standard output shows colours: a terminal, without the variable `NO_COLOR` (https://no-color.org)."""
    return is_terminal() and not os.environ.get("NO_COLOR")


def counted(number: int, noun: str) -> str:
    """A number and what it counts: `no errors`, `1 error`, `2 errors`."""
    return f"{number or 'no'} {noun}{'' if number == 1 else 's'}"


def safe(text: str) -> str:
    """The string with unprintable characters, and those that standard output cannot encode, as escapes: `\\x1b`."""
    encoding = sys.stdout.encoding or "utf-8"
    return printable(text).encode(encoding, "backslashreplace").decode(encoding)


# ---- lines ----------------------------------------------------------------------------------------------------------


def say(*fields: str) -> None:
    """Prints one line of any length, with tabs between its fields."""
    click.echo("\t".join(map(safe, fields)))


def say_error(text: str) -> None:
    """Prints one line on standard error."""
    click.echo(safe(text), err=True)


def say_fault(text: str) -> None:
    """Prints one line on standard error, in red on a terminal."""
    red = sys.stderr.isatty() and not os.environ.get("NO_COLOR")
    click.echo(click.style(safe(text), fg="red") if red else safe(text), err=True)


def say_json(value: Any, *, compact: bool = False, default: Callable[[Any], Any] | None = None) -> None:
    """Prints JSON in ASCII, which contains no control character.

    Args:
        value: the value to print.
        compact: on one line.
        default: converts a value that JSON does not have.
    """
    layout: dict[str, Any] = {"separators": (",", ":")} if compact else {"indent": 2}
    click.echo(json.dumps(value, ensure_ascii=True, default=default, **layout))


def say_document(document: Mapping[str, Any]) -> None:
    """Prints the facts of `--json`, one a line: the key, then its value, or a line for each object in its list
    and each member of its object."""
    for name, value in document.items():
        for fields in _values(value):
            say(name, *fields)


def _values(value: Any) -> Iterator[list[str]]:
    if isinstance(value, list):
        yield from ([_word(field) for field in _fields(entry)] for entry in value)
    elif isinstance(value, Mapping):
        yield from ([name, _word(field)] for name, field in value.items())
    else:
        yield [_word(value)]


def _fields(entry: Any) -> Iterable[Any]:
    return entry.values() if isinstance(entry, Mapping) else [entry]


def _word(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "-" if value is None else str(value)


# ---- a terminal -----------------------------------------------------------------------------------------------------


def table(columns: Sequence[str], rows: Iterable[Sequence[Cell]]) -> Table:
    """A table that wraps long strings and does not cut them off."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    drawn = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for column in columns:
        drawn.add_column(column, overflow="fold")
    for row in rows:
        drawn.add_row(*map(_drawn, row))
    return drawn


def picture(facts: Iterable[tuple[Cell, Cell | Table]]) -> Table:
    """Two columns: a name, and its value, which may be a table."""
    from rich.table import Table

    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    for name, value in facts:
        grid.add_row(_drawn(name), value if isinstance(value, Table) else _drawn(value))
    return grid


def draw(*parts: Cell | Table) -> None:
    """Draws the parts on the terminal, one below the other."""
    from rich.console import Console

    console = Console(color_system="auto" if has_colour() else None, highlight=False)
    for part in parts:
        console.print(_drawn(part) if isinstance(part, str | tuple) else part)


def draw_finding(place: str, level: tuple[str, str], text: str) -> None:
    """Draws a finding as compilers print it, `bridge.toml:18:3: error: …`. Its further lines are indented.

    Args:
        place: the file, line and column.
        level: the level, and its style.
        text: the finding.
    """
    from rich.console import Console
    from rich.text import Text

    console = Console(color_system=None if os.environ.get("NO_COLOR") else "auto", highlight=False)
    line = f"{safe(place)}: {level[0]}: {safe(text)}"
    wrapped = textwrap.wrap(line, console.width, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)
    drawn = Text("\n".join(wrapped), overflow="fold")
    start = len(safe(place)) + 2
    drawn.stylize(level[1], start, start + len(level[0]))
    console.print(drawn)


def _drawn(cell: Cell) -> RenderableType:
    from rich.text import Text

    text, style = (cell, "") if isinstance(cell, str) else cell
    return Text(safe(text), style, overflow="fold")
