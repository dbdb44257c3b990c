"""The group of commands that prints usage errors with escapes."""

from __future__ import annotations

import subprocess
import sys

import pytest
from click.testing import CliRunner

from lattice_bridge.cli import COMMANDS, group_for
from lattice_bridge.cli.group import SafeGroup
from lattice_bridge.cli.root import root
from tests.support.commands import ESCAPES, assert_harmless


@pytest.mark.parametrize("group", [root, group_for(["local"])], ids=["all", "local only"])
def test_usage_error_has_escapes(group: SafeGroup) -> None:
    """Trap G3."""
    for words in ([f"a{ESCAPES}"], ["local", f"--a{ESCAPES}"], ["local", "--parameter", ESCAPES]):
        done = CliRunner().invoke(group, words)
        assert done.exit_code == 2
        assert_harmless(done.output)


def test_every_command_can_be_imported_alone() -> None:
    assert COMMANDS.keys() == root.commands.keys()
    for name, command in root.commands.items():
        assert group_for([name, "--help"]).commands == {name: command}


def test_start_of_a_stack_imports_neither_other_commands_nor_libraries_of_keys() -> None:
    """A person waits for it: the other commands take a quarter of the start, and the libraries a tenth. The garbage
    collector does not search what stays until the end."""
    program = (
        "import gc, sys; from lattice_bridge.cli import main; sys.argv[1:] = ['local', '--help']\n"
        "slow = ('lattice_bridge.cli.check', 'lattice_bridge.cli.doctor', 'jwt', 'cryptography', 'samtranslator')\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "botocore = any(name.startswith('botocore') for name in sys.modules)\n"
        "print([name for name in slow if name in sys.modules], botocore, gc.isenabled(), gc.get_freeze_count() > 9999)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[] False True True"


@pytest.mark.parametrize("arguments", [[], ["--help"], ["chek"], ["--version", "local"]])
def test_other_arguments_get_all_commands(arguments: list[str]) -> None:
    assert group_for(arguments) is root
