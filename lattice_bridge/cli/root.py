"""The command `lattice-bridge`, as a group of commands.

Rule: a command is imported when it is used. A person waits for its start, and for each completion of a shell.
"""

from __future__ import annotations

from collections import UserDict
from collections.abc import Iterator
from importlib import import_module

import click

from lattice_bridge.cli import COMMANDS
from lattice_bridge.cli.group import CONTEXT, SafeGroup
from lattice_bridge.version import __version__


class _Commands(UserDict[str, click.Command]):
    """The commands by name, each imported when it is read."""

    def __getitem__(self, name: str) -> click.Command:
        if name not in self.data:
            module, variable = COMMANDS[name]
            self.data[name] = getattr(import_module(f"lattice_bridge.cli.{module}"), variable)
        return self.data[name]

    def __contains__(self, name: object) -> bool:
        return name in COMMANDS

    def __iter__(self) -> Iterator[str]:
        return iter(COMMANDS)

    def __len__(self) -> int:
        return len(COMMANDS)


@click.group(cls=SafeGroup, commands=_Commands(), context_settings=CONTEXT)
@click.version_option(__version__, prog_name="lattice-bridge")
def root() -> None:
    """Decide which tenant each request, record or event runs as, in front of tenant-isolated Lambda functions.

    The bridge is a Lambda function behind VPC Lattice, API Gateway, a load balancer, a function URL, SQS queues,
    Kinesis streams, DynamoDB tables or EventBridge buses. These commands write, check and explain its map
    (bridge.toml), run a template on this machine, and compare a deployment with the map. Begin with
    `lattice-bridge init`.
    """
