"""The command `lattice-bridge`, with one file for each command.

Rule: exit codes are 0 yes, 1 no, 2 wrong usage. A command imports the libraries that only it needs.
"""

from __future__ import annotations

import sys


def main() -> None:
    """The console script."""
    try:
        import click  # noqa: F401 - to name the missing extra instead of a traceback
    except ModuleNotFoundError:
        sys.stderr.write("lattice-bridge: the commands need an extra. Fix: pip install 'lattice-bridge[local]'\n")
        sys.exit(2)
    try:
        from lattice_bridge.cli.root import root
    except KeyboardInterrupt:  # while the libraries are imported
        sys.exit(130)
    root()
