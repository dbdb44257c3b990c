"""Configuration documents: the text of bridge.toml, or the JSON that `compile` makes of it, as tables.

Rule: this module knows the two syntaxes, and no table. A compiled document is read only if it is complete and unedited.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from lattice_bridge.config.code_hash import code_hash
from lattice_bridge.config.regular_file import MIB, BadFile, read_regular_text
from lattice_bridge.errors import Fault, InvalidMap

MAX_BYTES: Final = 64 * MIB
"""Bytes that a configuration may have."""

FORMAT: Final = 1
"""The format of compiled documents. It changes with everything that an older reader would decide differently."""

MOST_LEVELS: Final = 32
"""Levels of nested tables and arrays in TOML."""

_TOO_DEEP: Final = f"more than {MOST_LEVELS} levels. Fix: nest less; a configuration needs five levels at most"
_TOO_MANY: Final = f"more than {MOST_LEVELS} words. Fix: a key needs five at most; break the string or comment in two"
_PART: Final = r"""[ \t]*+(?:[A-Za-z0-9_-]++|"(?:[^"\\]|\\.)*+"|'[^']*+')[ \t]*+"""
_LONG_KEY: Final = rf"(?:\.{_PART}){{{MOST_LEVELS}}}"
"""The rest, after its first part, of a dotted key with too many parts. tomllib's time and memory grow with the square
of their number: one key of 60 KB ends in a MemoryError. A string with as many dotted words looks the same."""

_SEAL: Final = re.compile(r',"sha256":"([0-9a-f]{64})"\}\n?')
_SEAL_LENGTH: Final = len(',"sha256":""}\n') + 64


class Document(NamedTuple):
    """A configuration's content.

    Attributes:
        tables: by name, as in TOML.
        sha256: of the text, as hex.
        compiled: of a compiled document, its members, with the tenants and rules that are not among the tables.
        text: the TOML; an empty string for a compiled document.
        name: the file's name, for messages.
    """

    tables: Mapping[str, Any]
    sha256: str
    compiled: Mapping[str, Any] | None = None
    text: str = ""
    name: str = "bridge.toml"

    def invalid(self, faults: Iterable[Fault]) -> InvalidMap:
        """The error for a document with faults: with the line and column of each, in the order of the file."""
        if self.compiled is not None:
            return InvalidMap(faults, self.name)
        from lattice_bridge.config.positions import located  # here: a map that loads needs no positions

        return InvalidMap(located(faults, self.text), self.name)


def parse_document(text: str, compiled: str | None = None, name: str = "bridge.toml") -> Document:
    """Parses TOML or a compiled document, which begins with a brace, as no TOML does.

    Args:
        text: the configuration.
        compiled: a compiled document. It is read instead of the text if this code compiled it from this text, because
            it loads faster, and ignored otherwise.
        name: of the configuration, for messages.

    Raises:
        InvalidMap: neither form, or a compiled document that was changed since.
    """
    sha256 = sha256_of(text)
    if not text.startswith("{"):
        return _compiled_from(sha256, compiled) or Document(parse_toml(text, name), sha256, text=text, name=name)
    return _compiled_document(text, sha256)._replace(name=name)


def _compiled_from(sha256: str, compiled: str | None) -> Document | None:
    if compiled is None or not compiled.startswith("{"):
        return None
    try:
        document = _compiled_document(compiled, sha256)
    except InvalidMap:
        return None
    members = document.compiled or {}
    # Other code may check more than the code that compiled it, or decide differently.
    code = code_hash()
    return document if code and (members.get("source"), members.get("code")) == (sha256, code) else None


def _compiled_document(text: str, sha256: str) -> Document:
    compiled = _unsealed(text)
    tables = compiled.get("tables")
    if compiled.get("format") != FORMAT or not isinstance(tables, dict):
        raise InvalidMap(
            [f"compiled as format {compiled.get('format')}, and this is format {FORMAT}. Fix: compile it again"]
        )
    return Document(tables, sha256, compiled)


def read_text(path: str | Path) -> str:
    """Reads a configuration file.

    Raises:
        InvalidMap: no such file, not a regular file, not readable, over 64 MiB, or not UTF-8.
    """
    try:
        return read_regular_text(path, MAX_BYTES)
    except BadFile as error:
        raise InvalidMap([str(error)]) from error


def parse_toml(text: str, name: str = "bridge.toml") -> dict[str, Any]:
    """Parses TOML that is nested at most 32 levels deep.

    Args:
        text: the TOML.
        name: of its file, for messages.

    Raises:
        InvalidMap: not TOML, or nested more deeply.
    """
    import tomllib  # here: a compiled configuration does not need it

    for number, line in enumerate(text.split("\n"), 1):
        if line.count(".") >= MOST_LEVELS and (found := re.search(_LONG_KEY, line)):  # the count is cheap
            what = f"a key, a string or a comment with dots between {_TOO_MANY}"
            raise InvalidMap([Fault(what, line=number, column=found.start() + 1)], name)
    try:
        tables = tomllib.loads(text)
    except RecursionError as error:
        raise _too_deep(text, name) from error
    except ValueError as error:  # also for a number of 5,000 digits
        from lattice_bridge.config.syntax import syntax_fault  # here: TOML needs no explanation

        raise InvalidMap([syntax_fault(text, error)], name) from error
    if _is_deep(tables):
        raise _too_deep(text, name)
    return tables


def _too_deep(text: str, name: str) -> InvalidMap:
    from lattice_bridge.config.positions import first_below

    line, column = first_below(text, MOST_LEVELS)
    return InvalidMap([Fault(f"a value of {_TOO_DEEP}", line=line, column=column)], name)


def _is_deep(tables: Mapping[str, Any]) -> bool:
    level: list[Any] = [tables]
    for _ in range(MOST_LEVELS):
        level = [
            value
            for part in level
            for value in (part.values() if type(part) is dict else part)
            if type(value) is dict or type(value) is list  # twice as fast as isinstance, with 100,000 rules
        ]
    return bool(level)


def sha256_of(text: str) -> str:
    """The SHA-256 of a text's UTF-8, as hex, as `sha256sum` prints it."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def sealed(members: Mapping[str, Any]) -> str:
    """A compiled document: one line of JSON whose last member is the hash of everything before it.

    A document that is cut off or edited by hand was never checked, and does not load.
    """
    body = json.dumps(members, separators=(",", ":"), ensure_ascii=True).removesuffix("}")
    return f'{body},"sha256":"{sha256_of(body)}"}}\n'


def _unsealed(text: str) -> dict[str, Any]:
    start = max(0, text.rfind(',"sha256":"', len(text) - _SEAL_LENGTH))
    seal = _SEAL.fullmatch(text, start)
    body = text[:start]
    if seal is None or sha256_of(body) != seal[1]:
        raise InvalidMap(["a compiled map that was changed after `lattice-bridge compile`. Fix: compile it again"])
    try:
        found: dict[str, Any] = json.loads(f"{body}}}")
    except (ValueError, RecursionError) as error:
        raise InvalidMap([f"not JSON: {error}"]) from error
    return found
