"""The command `lattice-bridge`, as a group of commands."""

from __future__ import annotations

import click

from lattice_bridge.cli.check import check
from lattice_bridge.cli.compile import compile_command
from lattice_bridge.cli.diff import diff
from lattice_bridge.cli.doctor import doctor
from lattice_bridge.cli.event import event
from lattice_bridge.cli.explain import explain, who
from lattice_bridge.cli.group import CONTEXT, SafeGroup
from lattice_bridge.cli.init import init
from lattice_bridge.cli.inspect import inspect
from lattice_bridge.cli.local import local
from lattice_bridge.cli.package import package
from lattice_bridge.cli.schema import schema_command
from lattice_bridge.cli.token import token
from lattice_bridge.version import __version__


@click.group(cls=SafeGroup, context_settings=CONTEXT)
@click.version_option(__version__, prog_name="lattice-bridge")
def root() -> None:
    """Decide which tenant each request, record or event runs as, in front of tenant-isolated Lambda functions.

    The bridge is a Lambda function behind VPC Lattice, API Gateway, a load balancer, a function URL, SQS queues,
    Kinesis streams, DynamoDB tables or EventBridge buses. These commands write, check and explain its map
    (bridge.toml), run a template on this machine, and compare a deployment with the map. Begin with
    `lattice-bridge init`.
    """


for command in (check, compile_command, diff, doctor, event, explain):
    root.add_command(command)
for command in (init, inspect, local, package, schema_command, token, who):
    root.add_command(command)
