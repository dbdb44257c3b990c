"""The files that commands read: maps, events, logs, templates.

Rule: a file that cannot be read is wrong usage (exit code 2); a map that does not load is a no (exit code 1). Every
command names its map in the same way: a file, `-` for standard input, or `REVISION:PATH` for a file of a git revision.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from lattice_bridge.cli import show
from lattice_bridge.cli.git_revision import is_revision, read_revision
from lattice_bridge.config.document import MAX_BYTES, Document, parse_document
from lattice_bridge.config.regular_file import MIB, BadFile, decoded, exists, over, read_argument
from lattice_bridge.config.tables.options import read_options
from lattice_bridge.config.tenant_map import TenantMap
from lattice_bridge.errors import Fault, InvalidMap
from lattice_bridge.formats.recognise import Enabled
from lattice_bridge.review.document import Explainer
from lattice_bridge.review.records import Sources

MAX_EVENTS_BYTES: Final = 256 * MIB
"""Bytes of a file of events: some hundred thousand events."""
MAX_LOG_BYTES: Final = 64 * MIB
"""Bytes of a log: some hundred thousand lines."""
DEFAULT_MAP: Final = "bridge.toml"
DEFAULT_TEMPLATE: Final = "template.yaml"
STDIN: Final = "-"

_STDIN_WAS_READ: Final = "lattice_bridge.stdin"

# ---- bytes and text -------------------------------------------------------------------------------------------------


def read_input(name: str | Path, limit: int, hint: str = "check that it is the file you mean") -> bytes:
    """The content of a file that the command line names, or of standard input (`-`), which is read once at most.

    Args:
        name: as it was given.
        limit: bytes that the content may have.
        hint: the fix for too long an input.

    Raises:
        click.UsageError: it cannot be read, or is over the limit.
    """
    if name == "":  # of a variable that a shell does not have
        raise click.UsageError("the name of a file is empty. Fix: name a file that you can read")
    try:
        return _read_stdin(limit, hint) if str(name) == STDIN else read_argument(name, limit)
    except BadFile as error:
        raise click.UsageError(f"{error}{first_step(name)}") from error


def input_name(name: str | Path) -> str:
    """The name of an input in messages: as it was given, or `stdin`."""
    return "stdin" if str(name) == STDIN else str(name)


def first_step(name: str | Path) -> str:
    """The end of a message about a missing file; empty if it is not a default one, as in a folder without a project."""
    is_default = str(name) in (DEFAULT_MAP, DEFAULT_TEMPLATE)
    return ", or write a new project with `lattice-bridge init`" if is_default and not exists(name) else ""


def _read_stdin(limit: int, hint: str) -> bytes:
    context = click.get_current_context(silent=True)
    if context is not None and context.meta.setdefault(_STDIN_WAS_READ, False):
        raise click.UsageError("stdin: can be read only once. Fix: write - once, and files for the others")
    if context is not None:
        context.meta[_STDIN_WAS_READ] = True
    if sys.stdin is None:
        raise click.UsageError("stdin: closed. Fix: give a file instead of -")
    try:
        content: bytes = sys.stdin.buffer.read(limit + 1)
    except OSError as error:
        raise click.UsageError(f"stdin: {error.strerror or error}. Fix: give a file instead of -") from error
    if len(content) > limit:
        raise BadFile("stdin", over(limit), hint)
    return content


def read_input_text(name: str | Path, limit: int) -> str:
    """The text of a file that the command line names, or of standard input (`-`)."""
    content = read_input(name, limit)
    try:
        return decoded(input_name(name), content)
    except BadFile as error:
        raise click.UsageError(str(error)) from error


# ---- maps -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class GivenMap:
    """A map that the command line names. It is read once.

    Attributes:
        name: for messages: as it was given, or `stdin`.
        text: its text.
        folder: the files that it names are relative to it.
        path: of the file; None for standard input and git.
    """

    name: str
    text: str
    folder: Path
    path: Path | None = None

    @cached_property
    def document(self) -> Document:
        """The parsed text.

        Raises:
            InvalidMap: neither TOML nor a compiled map.
        """
        return parse_document(self.text, name=self.name)

    @property
    def enabled(self) -> Enabled:
        """The events that a configuration that loads accepts; Lattice's alone for a map in a file of its own."""
        return read_options(self.document.tables, []).enabled

    @property
    def sources(self) -> Sources:
        """The event sources of a configuration that loads; none for a map in a file of its own."""
        return Sources(read_options(self.document.tables, []).event_sources)

    def load(self) -> TenantMap:
        """The map. If it does not load, or the other tables of the file do not, the command ends with 1."""
        try:
            return self._loaded()
        except InvalidMap as error:
            for fault in error.found:
                show.say_error(located_line(self.name, fault.line or 1, fault.column or 1, "error", fault.text))
            sys.exit(1)

    def explainer(self) -> Explainer:
        """Explains by the map, which is loaded as in `load`."""
        return Explainer(self.load(), self.enabled, self.sources)

    def _loaded(self) -> TenantMap:
        faults: list[Fault] = []
        read_options(self.document.tables, faults)
        try:
            found = TenantMap.from_document(self.document, self.folder, region=os.environ.get("AWS_REGION"))
        except InvalidMap as error:
            raise self.document.invalid([*faults, *error.found]) from error
        if faults:
            raise self.document.invalid(faults)
        return found


def read_map(name: str, base: Path | None = None) -> GivenMap:
    """Reads a map.

    Args:
        name: a file, `-`, or `REVISION:PATH` if there is no such file.
        base: the folder that a `jwks_file` is relative to; the map's own if None.

    Raises:
        click.UsageError: it cannot be read.
    """
    if name == STDIN:
        return GivenMap(input_name(name), read_input_text(name, MAX_BYTES), base or Path())
    if not is_revision(name):
        path = Path(name)
        return GivenMap(name, read_input_text(name, MAX_BYTES), base or path.parent, path)
    try:
        found = read_revision(name, MAX_BYTES)
        return GivenMap(name, decoded(name, found.content), base or found.folder)
    except BadFile as error:
        raise click.UsageError(str(error)) from error


# ---- options that name maps -----------------------------------------------------------------------------------------

_Command = TypeVar("_Command", bound=Callable[..., Any])

MAP_HELP: Final = "The map: a file, - for stdin, or REVISION:PATH in git."


def map_option(*spellings: str) -> Callable[[_Command], _Command]:
    """`--map`, which every command that reads one map has; `spellings` are further names of it."""
    return click.option(
        "--map",
        *spellings,
        "map_name",
        type=click.Path(),
        metavar="MAP",
        default=DEFAULT_MAP,
        show_default=True,
        help=MAP_HELP,
    )


def map_argument(command: _Command) -> _Command:
    """`[MAP]`, for commands that are about the map alone: another spelling of `--map`."""
    option = click.option("--map", "map_option", type=click.Path(), metavar="MAP", help="The same as the argument.")
    return click.argument("map_name", metavar="[MAP]", type=click.Path(), required=False)(option(command))


base_option = click.option(
    "--base",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="The folder that a jwks_file is relative to. Default: the map's own; for stdin, this folder.",
)


def chosen_map(argument: str | None, option: str | None) -> str:
    """The name of the map of a command with `map_argument`."""
    if argument is not None and option is not None:
        raise click.UsageError("the map is given twice. Fix: give it as the argument or with --map")
    given = option if argument is None else argument
    return DEFAULT_MAP if given is None else given


def located_line(name: str | Path, line: int, column: int, level: str, text: str) -> str:
    """A finding as compilers print it, which editors and terminals open: `bridge.toml:18:3: error: …`."""
    return f"{name}:{line}:{column}: {level}: {text}"


# ---- templates ------------------------------------------------------------------------------------------------------


def named_values(written: Iterable[str], option: str = "--parameter", form: str = "NAME=VALUE") -> dict[str, str]:
    """The values of an option that is repeated, written as NAME=VALUE.

    Raises:
        click.UsageError: one has no value.
    """
    pairs = [one.partition("=") for one in written]
    for name, mark, _ in pairs:
        if not mark:
            raise click.UsageError(f"{option} {name}: no value. Fix: write {form}")
    return {name: value for name, _, value in pairs}


def stack_region(environ: Mapping[str, str]) -> str:
    """The region of the local stack: the one that AWS's own tools would use, or us-east-1."""
    return environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION") or "us-east-1"
