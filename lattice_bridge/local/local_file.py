"""local.toml: how functions run on this machine, and the ids or ARNs that resources have in the deployed stack.

Rule: the file is optional, and changes nothing on AWS. It is read as strictly as bridge.toml: each fault has its place,
and a name that the template does not have is a fault.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from lattice_bridge.config.document import parse_toml
from lattice_bridge.config.positions import located
from lattice_bridge.config.regular_file import MIB, BadFile, exists, read_regular_text, real_path
from lattice_bridge.config.tables.table import unknown_key
from lattice_bridge.config.words import quoted, shown_key, suggestion
from lattice_bridge.errors import Fault, InvalidMap
from lattice_bridge.local.environments.external import url_fault

NAME: Final = "local.toml"
"""The file's name, beside the template."""

_TABLE: Final = "local"
_TABLES: Final = ("runtimes", "functions", "ids")
_RUNTIME: Final = re.compile(r"[a-z][a-z0-9.]{0,63}")
_ID: Final = re.compile(
    r"(?!arn:)[A-Za-z0-9][A-Za-z0-9_:-]{2,127}|arn:aws[a-z-]*:[a-z0-9-]+:[a-z0-9-]*:[0-9]{0,12}:[A-Za-z0-9_./:-]{1,512}"
)
"""An id, or an ARN: that of a load balancer's target group has a hash, and no id."""
_PLACEHOLDER: Final = re.compile(r"(?<!\$)\{([A-Za-z_]+)\}")
"""Not `${NAME}`, which a shell in the command would read."""
_PLACEHOLDERS: Final = ("code", "handler")


class BadLocalFile(Exception):
    """local.toml, or a function of the command line, cannot be used. The message has a line for each fault."""


@dataclass(frozen=True, slots=True)
class LocalFile:
    """The content of local.toml.

    Attributes:
        runtimes: the beginning of a runtime → the command that starts a function's process.
        functions: the name or logical id of a function → the URL where it runs.
        ids: the logical id of a resource → its id, or its ARN, in the deployed stack.
        path: of the file.
        text: of the file, for the places of faults.
    """

    runtimes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    functions: Mapping[str, str] = field(default_factory=dict)
    ids: Mapping[str, str] = field(default_factory=dict)
    path: str = NAME
    text: str = field(default="", repr=False)

    def check_names(self, resources: Collection[str], functions: Collection[str]) -> None:
        """Checks that the template has what the file names.

        Args:
            resources: the logical ids of the template.
            functions: the names of its functions.

        Raises:
            BadLocalFile: with every name that it does not have.
        """
        faults = [
            _fault("functions", name, f"the template has no such function{suggestion(name, functions)}")
            for name in self.functions
            if name not in functions and name not in resources
        ]
        faults += [
            _fault("ids", name, f"the template has no such resource{suggestion(name, resources)}")
            for name in self.ids
            if name not in resources
        ]
        _raise(faults, self.path, self.text)


def read_local_file(path: Path) -> LocalFile:
    """Reads local.toml.

    Args:
        path: of the file; if there is none, its content is empty.

    Raises:
        BadLocalFile: not readable, not TOML, or with entries that cannot be used: with every fault found.
    """
    if not exists(path):
        return LocalFile()
    try:
        text = read_regular_text(path, MIB)
        tables = parse_toml(text, str(path))
    except BadFile as error:
        raise BadLocalFile(str(error)) from error
    except InvalidMap as error:
        raise BadLocalFile("\n".join(error.messages)) from error
    reading = _Reading(tables, real_path(path).parent)
    found = LocalFile(reading.runtimes(), reading.functions(), reading.ids(), str(path), text)
    _raise(reading.faults, str(path), text)
    return found


def _raise(faults: list[Fault], path: str, text: str) -> None:
    if faults:
        raise BadLocalFile("\n".join(InvalidMap(located(faults, text), path).messages))


def _fault(table: str, key: str, text: str) -> Fault:
    return Fault(f"{table}: {shown_key(key)}: {text}", (_TABLE, table, key))


class _Reading:
    """Reads the tables of one file, and collects their faults.

    Args:
        tables: of the file.
        folder: that contains it.
    """

    def __init__(self, tables: Mapping[str, Any], folder: Path) -> None:
        self._folder = folder
        self.faults = [unknown_key(key, [_TABLE]) for key in tables if key != _TABLE]
        self._table: Mapping[str, Any] = self._a_table(tables.get(_TABLE, {}), (_TABLE,))
        self.faults += [
            unknown_key(key, _TABLES).within(_TABLE, (_TABLE,)) for key in self._table if key not in _TABLES
        ]

    def runtimes(self) -> dict[str, tuple[str, ...]]:
        """The commands, with paths that are relative to the file made absolute."""
        found = self._each("runtimes", self._command_faults)
        return {prefix: (self._program(words[0]), *words[1:]) for prefix, words in found.items()}

    def functions(self) -> dict[str, str]:
        return self._each("functions", self._function_faults)

    def ids(self) -> dict[str, str]:
        found = self._each("ids", self._id_faults)
        seen: dict[str, str] = {}
        for name, value in found.items():
            if seen.setdefault(value, name) != name:
                text = f"{seen[value]} has this id too. Fix: give each resource its own"
                self.faults.append(_fault("ids", name, text))
        return found

    def _program(self, word: str) -> str:
        return str(self._folder / word) if os.sep in word and not word.startswith("{") else word

    def _each(self, table: str, faults: Callable[[str, Any], Iterator[str]]) -> dict[str, Any]:
        """The entries of one table without faults."""
        found = {}
        for key, value in self._a_table(self._table.get(table, {}), (_TABLE, table)).items():
            before = len(self.faults)
            self.faults += [_fault(table, key, text) for text in faults(key, value)]
            if len(self.faults) == before:
                found[key] = value
        return found

    def _a_table(self, value: object, path: tuple[str, ...]) -> Mapping[str, Any]:
        if isinstance(value, Mapping):
            return value
        name = ".".join(path)
        self.faults.append(Fault(f"{path[-1]}: {quoted(value)} is not a table. Fix: write [{name}]", path))
        return {}

    def _command_faults(self, prefix: str, command: Any) -> Iterator[str]:
        if isinstance(command, Mapping) and command:
            inner = f"{prefix}.{next(iter(command))}"
            yield f'a key with a dot is a table. Fix: write it in quotes, as in "{inner}" = ["COMMAND"]'
        elif _RUNTIME.fullmatch(prefix) is None:
            yield "is not the beginning of a runtime. Fix: write one, as in java21 or java"
        elif not isinstance(command, list):
            example = f"[{quoted(command)}]" if isinstance(command, str) and " " not in command else '["COMMAND", "…"]'
            yield f"{quoted(command)} is not a list. Fix: write one word of the command in each string: {example}"
        elif not command or not all(isinstance(word, str) and word and "\0" not in word for word in command):
            yield f'{quoted(command)} is not a list of words. Fix: write strings that are not empty: ["COMMAND", "…"]'
        else:
            for word in command:
                for name in _PLACEHOLDER.findall(word):
                    if name not in _PLACEHOLDERS:
                        yield f"{quoted(word)}: {{{name}}} is unknown{suggestion(name, _PLACEHOLDERS)}"

    def _function_faults(self, name: str, url: Any) -> Iterator[str]:
        if not isinstance(url, str):
            yield f'{quoted(url)} is not a string. Fix: write {shown_key(name)} = "http://127.0.0.1:PORT"'
        elif fault := url_fault(url):
            yield f"{quoted(url)} {fault}"

    def _id_faults(self, name: str, value: Any) -> Iterator[str]:
        if not isinstance(value, str) or _ID.fullmatch(value) is None:
            text = f"{quoted(value)} is not an id or an ARN. Fix: write it as AWS shows it"
            yield f'{text}, as in {shown_key(name)} = "a1b2c3d4e5"'
