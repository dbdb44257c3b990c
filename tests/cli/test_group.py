"""The group of commands that prints usage errors with escapes."""

from __future__ import annotations

import subprocess
import sys

import pytest
from click.testing import CliRunner

from lattice_bridge.cli import group_for
from lattice_bridge.cli.group import SafeGroup
from lattice_bridge.cli.local import local, only_local
from lattice_bridge.cli.root import root
from tests.support.commands import ESCAPES, assert_harmless


@pytest.mark.parametrize("group", [root, only_local], ids=["all commands", "local only"])
def test_usage_error_has_escapes(group: SafeGroup) -> None:
    """Trap G3."""
    for words in ([f"a{ESCAPES}"], ["local", f"--a{ESCAPES}"], ["local", "--parameter", ESCAPES]):
        done = CliRunner().invoke(group, words)
        assert done.exit_code == 2
        assert_harmless(done.output)


def test_stack_of_a_test_starts_with_one_command() -> None:
    assert only_local.commands == {"local": local}


def test_start_of_a_stack_imports_neither_other_commands_nor_libraries_of_keys() -> None:
    """A person waits for it: the other commands take a quarter of the start, and the libraries a tenth."""
    program = (
        "import sys; from lattice_bridge.cli import group_for; group = group_for(['local'])\n"
        "slow = ('lattice_bridge.cli.check', 'lattice_bridge.cli.doctor', 'jwt', 'cryptography', 'samtranslator')\n"
        "print(sorted(group.commands), [name for name in slow if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["['local']", "[]"]


@pytest.mark.parametrize("arguments", [[], ["--help"], ["check"], ["--version", "local"]])
def test_other_arguments_get_all_commands(arguments: list[str]) -> None:
    assert group_for(arguments) is root
