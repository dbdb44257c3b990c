"""The command `lattice-bridge`, as a group of commands."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from lattice_bridge.cli import show
from lattice_bridge.cli.check import check
from lattice_bridge.cli.compile import compile_command
from lattice_bridge.cli.diff import diff
from lattice_bridge.cli.doctor import doctor
from lattice_bridge.cli.event import event
from lattice_bridge.cli.explain import explain, who
from lattice_bridge.cli.init import init
from lattice_bridge.cli.local import local
from lattice_bridge.cli.package import package
from lattice_bridge.cli.schema import schema_command
from lattice_bridge.cli.token import token
from lattice_bridge.version import __version__


class _Group(click.Group):
    """Prints usage errors with escapes: they quote file names, arguments and the content of files."""

    def make_context(self, *arguments: Any, **extra: Any) -> click.Context:
        with _printed_safely():
            return super().make_context(*arguments, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        with _printed_safely():
            return super().invoke(ctx)


@contextmanager
def _printed_safely() -> Iterator[None]:
    try:
        yield
    except click.UsageError as error:
        raise click.UsageError(show.safe(error.format_message()), error.ctx) from error


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="lattice-bridge")
def root() -> None:
    """The Lambda between Amazon VPC Lattice and tenant-isolated Lambda functions."""


for command in (
    *(check, compile_command, diff, doctor, event, explain, init, local, package, schema_command, token, who),
):
    root.add_command(command)
