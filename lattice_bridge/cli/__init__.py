"""The command `lattice-bridge`, with one file for each command.

Rule: exit codes are 0 yes, 1 no, 2 wrong usage. A command imports the libraries that only it needs.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from click import Group


def main() -> None:
    """The console script."""
    try:
        import click  # noqa: F401 - to name the missing extra instead of a traceback
    except ModuleNotFoundError:
        sys.stderr.write("lattice-bridge: the commands need an extra. Fix: pip install 'lattice-bridge[local]'\n")
        sys.exit(2)
    try:
        group = group_for(sys.argv[1:])
    except KeyboardInterrupt:  # while the libraries are imported
        sys.exit(130)
    group()


def group_for(arguments: Sequence[str]) -> Group:
    """The group that has the command. A person waits for the start of `local`: it does not import the others."""
    if arguments[:1] == ["local"]:
        from lattice_bridge.cli.local import only_local

        return only_local
    from lattice_bridge.cli.root import root

    return root
