"""Positions in TOML: the line and column of each key and value, which Python's tomllib does not give.

Rule: the text is TOML that tomllib has accepted, so this module finds the ends of values and does not check them. It is
imported after the first fault only: a map that loads needs no positions.
"""

from __future__ import annotations

import re
import tomllib
from bisect import bisect_left
from collections.abc import Collection, Iterable
from contextlib import suppress
from typing import Final, NamedTuple

from lattice_bridge.errors import Fault

Path = tuple[str | int, ...]

_BLANK: Final = re.compile(r"(?:[ \t\r\n]++|#[^\n]*+)*+")
_KEY: Final = re.compile(r"""[ \t]*+([A-Za-z0-9_-]++|"(?:\\.|[^"\\\n])*+"|'[^'\n]*+')[ \t]*+""")
_SCALAR: Final = re.compile(
    r'''"""(?:\\.|[^"\\]|"{1,2}(?!"))*+"{3,5}'''
    r"""|'''(?:[^']|'{1,2}(?!'))*+'{3,5}"""
    r'''|"(?:\\.|[^"\\\n])*+"'''
    r"""|'[^'\n]*+'"""
    r"""|[^\s,\]}#"'\[{=][^,\]}#\r\n]*+""",  # a number, a boolean or a date, which may contain a space
    re.DOTALL,
)


class Entry(NamedTuple):
    """The offsets of a key and of its value. Those of an element of an array are the same."""

    key: int
    value: int


def located(faults: Iterable[Fault], text: str) -> list[Fault]:
    """The faults with their lines and columns, in the order of the file.

    Args:
        faults: if one is about a key that the file does not contain, its place is the table that lacks it.
        text: the TOML that they are about.
    """
    found = list(faults)
    open_ = [fault.path for fault in found if fault.path is not None and fault.line is None]
    entries = entries_of(text, {path[:length] for path in open_ for length in range(len(path) + 1)}) if open_ else {}
    lines = [match.start() for match in re.finditer("\n", text)] if open_ else []
    placed = [_placed(fault, entries, lines) for fault in found]
    return sorted(placed, key=lambda fault: (fault.line or 0, fault.column or 0))


def _placed(fault: Fault, entries: dict[Path, Entry], lines: list[int]) -> Fault:
    if fault.path is None or fault.line is not None:
        return fault
    length = next((size for size in range(len(fault.path), 0, -1) if fault.path[:size] in entries), 0)
    entry = entries.get(fault.path[:length], Entry(0, 0))
    offset = entry.key if fault.at_key and length == len(fault.path) else entry.value
    line, column = line_and_column(offset, lines)
    return fault._replace(line=line, column=column)


def line_and_column(offset: int, lines: list[int]) -> tuple[int, int]:
    """The line and the column of an offset, counted from 1 in characters, given the offsets of all newlines."""
    line = bisect_left(lines, offset)
    return line + 1, offset - (lines[line - 1] if line else -1)


def entries_of(text: str, wanted: Collection[Path] | None = None) -> dict[Path, Entry]:
    """The offsets of the keys and values at the wanted paths, or at all. A table begins at its header."""
    scanner = Scanner(text, wanted, 64)
    with suppress(NotToml):  # tomllib of a later Python may accept more: what comes before is known
        scanner.scan()
    return scanner.entries


def first_below(text: str, levels: int) -> tuple[int, int]:
    """The line and column of the first value that is nested more deeply than so many levels."""
    offset = 0
    try:
        with suppress(NotToml):
            Scanner(text, (), levels).scan()
    except TooDeep as error:
        offset = error.offset
    return line_and_column(offset, [match.start() for match in re.finditer("\n", text)])


class NotToml(Exception):
    """The text is not TOML as this module knows it."""


class TooDeep(Exception):
    """A value is nested too deeply. `offset` is where it begins."""

    def __init__(self, offset: int) -> None:
        super().__init__(offset)
        self.offset = offset


class Scanner:
    """One walk through a text. After a walk that failed, it says where: for the faults of a text that is not TOML.

    Attributes:
        entries: the first place of each path.
        latest: the path of the last key or header, and its place.
        value: the offset of the last value.
        containers: the offsets of the arrays and inline tables that are not closed.
    """

    def __init__(self, text: str, wanted: Collection[Path] | None = None, levels: int = 32) -> None:
        self.entries: dict[Path, Entry] = {}
        self.latest: tuple[Path, Entry] = ((), Entry(0, 0))
        self.value = 0
        self.containers: list[int] = []
        self._text = text
        self._wanted = wanted
        self._levels = levels
        self._last: dict[Path, int] = {}  # an array of tables → the index of its last table

    def scan(self) -> None:
        """Walks through the text.

        Raises:
            NotToml: at the first place that is not TOML.
            TooDeep: at the first value that is nested too deeply.
        """
        at, table = self._blank(0), Path()
        while at < len(self._text):
            if self._text[at] == "[":
                at, table = self._header(at)
            else:
                at = self._pair(at, table)
            at = self._blank(at)

    def _header(self, start: int) -> tuple[int, Path]:
        is_array = self._text.startswith("[[", start)
        brackets = 2 if is_array else 1
        at, keys = self._keys(start + brackets)
        path: Path = ()
        for number, (offset, key) in enumerate(keys, 1):
            path = (*path, key)
            self._enter(path, offset, start)
            if number == len(keys) and is_array:
                self._last[path] = self._last.get(path, -1) + 1
            self.latest = path, Entry(offset, start)
            if path in self._last:
                path = (*path, self._last[path])
                self._enter(path, start, start)
        if not self._text.startswith("]" * brackets, at):
            raise NotToml
        return at + brackets, path

    def _pair(self, start: int, table: Path) -> int:
        at, keys = self._keys(start)
        if not self._text.startswith("=", at):
            raise NotToml
        path, value = table, self._spaces(at + 1)
        for number, (offset, key) in enumerate(keys, 1):
            path = (*path, key)
            entry = Entry(offset, value if number == len(keys) else offset)
            self._enter(path, *entry)
        self.latest = path, entry
        end = self._value(value, path)
        self.latest = path, entry  # the value may contain keys
        return end

    def _value(self, start: int, path: Path) -> int:
        self.value = start
        character = self._text[start : start + 1]
        if character == "[":
            return self._array(start, path)
        if character == "{":
            return self._inline_table(start, path)
        return self._end(_SCALAR, start)

    def _array(self, start: int, path: Path) -> int:
        at, index = self._container(start, path), 0
        while not self._text.startswith("]", at):
            element = (*path, index)
            self._enter(element, at, at)
            at, index = self._comma(self._value(at, element), "]"), index + 1
        self.containers.pop()
        return at + 1

    def _inline_table(self, start: int, path: Path) -> int:
        at = self._container(start, path)
        while not self._text.startswith("}", at):
            at = self._comma(self._pair(at, path), "}")
        self.containers.pop()
        return at + 1

    def _container(self, start: int, path: Path) -> int:
        if len(path) >= self._levels:
            raise TooDeep(start)
        self.containers.append(start)
        return self._blank(start + 1)

    def _comma(self, at: int, closing: str) -> int:
        at = self._blank(at)
        if self._text.startswith(closing, at):
            return at
        if not self._text.startswith(",", at):
            raise NotToml
        return self._blank(at + 1)

    def _keys(self, at: int) -> tuple[int, list[tuple[int, str]]]:
        """The end of a dotted key, and its parts with their offsets."""
        parts: list[tuple[int, str]] = []
        while True:
            found = _KEY.match(self._text, at)
            if found is None:
                raise NotToml
            parts.append((found.start(1), _unquoted(found[1])))
            at = found.end()
            if not self._text.startswith(".", at):
                return at, parts
            at += 1

    def _enter(self, path: Path, key: int, value: int) -> None:
        if len(path) > self._levels:
            raise TooDeep(key)
        if self._wanted is None or path in self._wanted:
            self.entries.setdefault(path, Entry(key, value))

    def _blank(self, at: int) -> int:
        return self._end(_BLANK, at)

    def _spaces(self, at: int) -> int:
        while self._text[at : at + 1] in (" ", "\t"):
            at += 1
        return at

    def _end(self, pattern: re.Pattern[str], at: int) -> int:
        found = pattern.match(self._text, at)
        if found is None:
            raise NotToml
        return found.end()


def _unquoted(part: str) -> str:
    if part[0] == "'":
        return part[1:-1]
    if part[0] != '"':
        return part
    if "\\" not in part:
        return part[1:-1]
    try:
        decoded: str = tomllib.loads(f"key = {part}")["key"]
    except ValueError as error:
        raise NotToml from error
    return decoded
