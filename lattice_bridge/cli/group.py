"""A group of commands whose usage errors cannot harm a terminal.

Rule: it imports no command, so that a program which needs one command does not wait for the others.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import click

from lattice_bridge.cli import show

CONTEXT: Final = {"help_option_names": ["-h", "--help"], "max_content_width": 100}
"""The settings of every group."""
_NO_ARGUMENTS: Final[Any] = getattr(click.exceptions, "NoArgsIsHelpError", ())
"""Since click 8.2, a group without arguments is an error whose message is the help, which quotes nothing."""


class SafeGroup(click.Group):
    """Prints usage errors with escapes: they quote file names, arguments and the content of files."""

    def make_context(self, *arguments: Any, **extra: Any) -> click.Context:
        with _printed_safely():
            return super().make_context(*arguments, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            with _printed_safely():
                return super().invoke(ctx)
        except KeyboardInterrupt:  # click ends with 1, which is a no
            sys.exit(130)


@contextmanager
def _printed_safely() -> Iterator[None]:
    try:
        yield
    except click.UsageError as error:
        if isinstance(error, _NO_ARGUMENTS):
            raise
        raise click.UsageError(show.safe(error.format_message()), error.ctx) from error
