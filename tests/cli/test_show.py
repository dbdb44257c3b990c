"""The output of commands."""

from __future__ import annotations

import os
import pty
import subprocess
import sys

import pytest

PROGRAM = "from lattice_bridge.cli import show; show.say(str(show.has_colour())); show.say_fault('wrong')"


@pytest.mark.parametrize(("no_color", "shown"), [("", "True\r\n\x1b[31mwrong\x1b[0m\r\n"), ("1", "False\r\nwrong\r\n")])
def test_colour_is_for_terminals_without_no_color(no_color: str, shown: str) -> None:
    terminal, its_end = pty.openpty()
    environ = {**os.environ, "NO_COLOR": no_color}
    try:
        subprocess.run([sys.executable, "-c", PROGRAM], stdout=its_end, stderr=its_end, env=environ, check=True)
        assert os.read(terminal, 1000).decode() == shown
    finally:
        os.close(its_end)
        os.close(terminal)
