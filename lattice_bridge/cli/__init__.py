"""The command `lattice-bridge`, with one file for each command.

Rule: exit codes are 0 yes, 1 no, 2 wrong usage. A command imports the libraries that only it needs.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from click import Group

COMMANDS: Final = {
    **{
        name: (name, name)
        for name in ("check", "diff", "doctor", "event", "explain", "init", "inspect", "local", "package", "token")
    },
    "compile": ("compile", "compile_command"),
    "schema": ("schema", "schema_command"),
    "who": ("explain", "who"),
}
"""Command → its module in this package, and its name there."""


def main() -> None:
    """The console script."""
    try:
        import click  # noqa: F401 - to name the missing extra instead of a traceback
    except ModuleNotFoundError:
        sys.stderr.write("lattice-bridge: the commands need an extra. Fix: pip install 'lattice-bridge[local]'\n")
        sys.exit(2)
    try:
        with _no_collection():
            group = group_for(sys.argv[1:])
    except KeyboardInterrupt:  # while the libraries are imported
        sys.exit(130)
    group()


def main_until_stdin_closes() -> None:
    """Runs `lattice-bridge local` with the arguments of the process, and ends it when standard input is closed.

    `lattice_bridge.testing` starts it so.
    """
    with _no_collection():
        from lattice_bridge.cli.local import end_when_stdin_closes
    end_when_stdin_closes()
    sys.argv[0] = "lattice-bridge"
    main()


def group_for(arguments: Sequence[str]) -> Group:
    """The group that has the command. A person waits for the start of one: it does not import the others."""
    from lattice_bridge.cli.group import CONTEXT, SafeGroup

    if arguments and arguments[0] in COMMANDS:
        module, name = COMMANDS[arguments[0]]
        command = getattr(import_module(f"lattice_bridge.cli.{module}"), name)
        return SafeGroup("lattice-bridge", commands=[command], context_settings=CONTEXT)
    from lattice_bridge.cli.root import root

    return root


@contextmanager
def _no_collection() -> Iterator[None]:
    """Imports without garbage collection. They make no garbage: to search it was a fifth of the time from start to end.

    What they make is not searched at the end either.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
