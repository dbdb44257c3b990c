"""The commands, called in this process, and the files that they read."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import struct
import subprocess
import sys
import termios
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from pathlib import Path
from typing import Any, Final

from click.testing import CliRunner, Result

from lattice_bridge.cli.root import root
from tests.support.builders import ACCOUNT
from tests.support.paths import ROOT

WIDER: Final = f"""
[[rule]]
id = "account"
account = "{ACCOUNT}"
tenant = "green"
"""
"""A rule for the account, broader than those of `MAP`."""
ESCAPES: Final = "\x1b]0;x\x07\x1b[2J\x9b31m\u202e\t\r\n"
"""Sets the title, clears the screen, colours, turns the direction of writing, and begins a line."""
BOX: Final = "\u2500"
"""The line below a table's head."""


def read(
    *arguments: str, stdin: str | None = None, environ: Mapping[str, str | None] | None = None, obj: Any = None
) -> Result:
    """Calls a command in this process.

    Args:
        arguments: of the command.
        stdin: its standard input.
        environ: further variables; one whose value is None is removed from the environment.
        obj: what the command gets as the object of its context.
    """
    return CliRunner().invoke(root, list(arguments), input=stdin, env=environ, obj=obj, catch_exceptions=False)


def written(path: Path, text: str) -> str:
    path.write_text(text, encoding="utf-8")
    return str(path)


def explained(path: str, *arguments: str, event: Any = None) -> dict[str, Any]:
    given = ("-",) if event is not None else ()
    done = read("explain", "--map", path, "--json", *arguments, *given, stdin=json.dumps(event))
    found: dict[str, Any] = json.loads(done.output)
    assert done.exit_code == (0 if found["allowed"] else 1)
    return found


def seen(*arguments: str, columns: int = 100, encoding: str = "utf-8", **environ: str) -> str:
    """What a command, called in this process, writes to a real terminal.

    The variable COLUMNS has the width: rich would ask the terminal of this process, which is another one.
    """
    with (
        screen(columns) as (terminal, shown),
        open(terminal, "w", encoding=encoding, closefd=False) as stream,
        environment({**of_terminal(), "COLUMNS": str(columns), **environ}),
        redirect_stdout(stream),
        redirect_stderr(stream),
        suppress(SystemExit),
    ):
        root.main(arguments, prog_name="lattice-bridge")
    return b"".join(shown).decode()


def seen_of_process(*arguments: str, columns: int = 100) -> str:
    """What the command, in a process of its own, writes to a real terminal."""
    with screen(columns) as (terminal, shown):
        subprocess.run(
            [sys.executable, "-m", "lattice_bridge", *arguments],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=terminal,
            stderr=terminal,
            env=of_terminal(),
            timeout=60,
            check=False,
        )
    return b"".join(shown).decode()


def of_terminal() -> dict[str, str]:
    """The variables of this process, with those of a terminal with colours."""
    kept = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "COLUMNS", "FORCE_COLOR")}
    return {**kept, "TERM": "xterm-256color"}


@contextmanager
def screen(columns: int) -> Iterator[tuple[int, list[bytes]]]:
    """A real terminal: its file descriptor, and after the block what was written to it."""
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    shown: list[bytes] = []

    def read_all() -> None:
        with suppress(OSError):  # Linux reports a closed other end as an error
            while data := os.read(leader, 65536):
                shown.append(data)

    reader = threading.Thread(target=read_all)
    reader.start()
    try:
        yield follower, shown
    finally:
        os.close(follower)
        reader.join()
        os.close(leader)


@contextmanager
def environment(values: Mapping[str, str]) -> Iterator[None]:
    """Replaces the variables of this process until the block ends, as click's own runner does."""
    before = dict(os.environ)
    os.environ.clear()
    os.environ.update(values)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def assert_harmless(shown: str) -> None:
    for sequence in ("\x1b]", "\x1b[2J", "\x07", "\x9b", "\u202e"):
        assert sequence not in shown
