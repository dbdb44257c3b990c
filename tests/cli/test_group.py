"""The group of commands that prints usage errors with escapes."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

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
