"""The command `lattice-bridge`. One file a command.

Rule: exit codes are 0 yes, 1 no, 2 wrong usage. What a library needs is imported by the command that needs it.
"""

from __future__ import annotations

import sys


def main() -> None:
    """The console script."""
    try:
        import click  # noqa: F401 - to say what to install, rather than a traceback
    except ModuleNotFoundError:
        sys.stderr.write("lattice-bridge: the commands need more: pip install 'lattice-bridge[local]'\n")
        sys.exit(2)
    try:
        from lattice_bridge.cli.root import root
    except KeyboardInterrupt:  # while the libraries are imported
        sys.exit(130)
    root()
