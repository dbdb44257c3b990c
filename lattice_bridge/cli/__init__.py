"""The command `lattice-bridge`, with one file for each command.

Rule: exit codes are 0 yes, 1 no, 2 wrong usage, 130 interrupted. A command imports the libraries that only it needs.
"""

from __future__ import annotations

import errno
import gc
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from lattice_bridge.runtime.process import no_collection

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
    if sys.stdout is None:  # closed by the shell: `>&-`
        sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - as long as the process
    try:
        with _imports():
            import click  # noqa: F401 - to name the missing extra instead of a traceback
    except ModuleNotFoundError:
        sys.stderr.write("lattice-bridge: the commands need an extra. Fix: pip install 'lattice-bridge[local]'\n")
        sys.exit(2)
    with _imports():
        from lattice_bridge.cli.root import root

        root.commands.get(sys.argv[1] if len(sys.argv) > 1 else "")
    try:
        root()
    except OSError as error:
        if error.errno != errno.ENOSPC or error.filename is not None:
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for the rest, at the interpreter's end
        sys.stderr.write("Error: No space left on device. Fix: free some, for the output and for temporary files\n")
        sys.exit(2)


def main_until_stdin_closes() -> None:
    """Runs `lattice-bridge local` with the arguments of the process, and ends it when standard input is closed.

    `lattice_bridge.testing` starts it so.
    """
    with _imports():
        from lattice_bridge.cli.local import end_when_stdin_closes
    end_when_stdin_closes()
    sys.argv[0] = "lattice-bridge"
    main()


@contextmanager
def _imports() -> Iterator[None]:
    """Imports without garbage collection. They make no garbage: to search it was a fifth of the time from start to end.

    What they make is not searched at the end either. An interruption ends the process without a traceback.
    """
    try:
        with no_collection():
            yield
            gc.freeze()
    except KeyboardInterrupt:
        sys.exit(130)
