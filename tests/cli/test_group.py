"""The group of commands that prints usage errors with escapes."""

from __future__ import annotations

import subprocess
import sys

import pytest
from click.testing import CliRunner

from lattice_bridge.cli.root import root
from tests.support.commands import ESCAPES, assert_harmless


def test_usage_error_has_escapes() -> None:
    """Trap G3."""
    for words in ([f"a{ESCAPES}"], ["local", f"--a{ESCAPES}"], ["local", "--parameter", ESCAPES]):
        done = CliRunner().invoke(root, words)
        assert done.exit_code == 2
        assert_harmless(done.output)


@pytest.mark.parametrize("group", [[], ["event"]], ids=["root", "event"])
def test_group_without_arguments_shows_its_help(group: list[str]) -> None:
    shown, help_ = (
        CliRunner().invoke(root, [*group, *more], prog_name="lattice-bridge").output for more in ([], ["-h"])
    )
    assert shown == help_


def test_every_command_has_its_own_name() -> None:
    assert len(root.commands) > 10
    assert {name: command.name for name, command in root.commands.items()} == {name: name for name in root.commands}


def test_version_and_completion_import_no_other_command() -> None:
    """A shell waits for each completion."""
    program = (
        "import sys; from lattice_bridge.cli import COMMANDS, main; sys.argv[1:] = ['--version']\n"
        "def run():\n"
        "    try: main()\n"
        "    except SystemExit: pass\n"
        "    print([name for name, (file, _) in COMMANDS.items() if f'lattice_bridge.cli.{file}' in sys.modules])\n"
        "run(); import os; sys.argv = ['lattice-bridge']; os.environ['_LATTICE_BRIDGE_COMPLETE'] = 'bash_complete'\n"
        "os.environ |= {'COMP_WORDS': 'lattice-bridge tok', 'COMP_CWORD': '1'}; run()"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[1:] == ["[]", "plain,token", "['token']"]


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
