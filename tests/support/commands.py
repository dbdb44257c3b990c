"""The commands, called in this process, and the files that they read."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pty
import struct
import subprocess
import sys
import termios
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


def read(*arguments: str, stdin: str | None = None) -> Result:
    return CliRunner().invoke(root, list(arguments), input=stdin, catch_exceptions=False)


def written(path: Path, text: str) -> str:
    path.write_text(text, encoding="utf-8")
    return str(path)


def explained(path: str, *arguments: str, event: Any = None) -> dict[str, Any]:
    given = ("-",) if event is not None else ()
    done = read("explain", "--map", path, "--json", *arguments, *given, stdin=json.dumps(event))
    found: dict[str, Any] = json.loads(done.output)
    assert done.exit_code == (0 if found["allowed"] else 1)
    return found


def seen(*arguments: str, columns: int = 100, **environ: str) -> str:
    """What a command writes to a real terminal."""
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    kept = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "COLUMNS", "FORCE_COLOR")}
    process = subprocess.Popen(
        [sys.executable, "-m", "lattice_bridge", *arguments],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=follower,
        stderr=subprocess.STDOUT,
        env={**kept, "TERM": "xterm-256color", **environ},
    )
    os.close(follower)
    output = b""
    with contextlib.suppress(OSError):  # Linux reports a closed other end as an error
        while data := os.read(leader, 65536):
            output += data
    os.close(leader)
    process.wait(timeout=60)
    return output.decode()


def assert_harmless(shown: str) -> None:
    for sequence in ("\x1b]", "\x1b[2J", "\x07", "\x9b", "\u202e"):
        assert sequence not in shown
