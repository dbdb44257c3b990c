"""`lattice-bridge local`: the stack on this machine, until interrupted."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import click

from lattice_bridge.cli import show
from lattice_bridge.deployment.cloudformation.template import read_template
from lattice_bridge.deployment.cloudformation.text import BadTemplate
from lattice_bridge.local.console import Console, LogLines
from lattice_bridge.local.front.identities import BadIdentities, Identity, read_identities
from lattice_bridge.local.plan.plan import EventVersion, Plan
from lattice_bridge.local.plan.planner import plan
from lattice_bridge.local.stack import LAMBDA_PORT, Options, Stack, serve
from lattice_bridge.local.web.server import PortTaken

VERSIONS: Final[Mapping[str | None, EventVersion | None]] = {None: None, "V1": 1, "V2": 2}


@click.command(short_help="Run template.yaml on this machine.")
@click.option("--template", "-t", type=click.Path(path_type=Path), default=Path("template.yaml"), show_default=True)
@click.option("--parameter", "-P", "parameters", multiple=True, metavar="NAME=VALUE", help="A template parameter.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8080,
    envvar="PORT",
    show_default=True,
    show_envvar=True,
    help="The front's port; 0 for a free one.",
)
@click.option(
    "--lambda-port",
    type=click.IntRange(0, 65535),
    show_default=f"{LAMBDA_PORT}, or a free one if that is in use",
    help="The Lambda API's port; 0 for a free one.",
)
@click.option(
    "--identities",
    type=click.Path(path_type=Path),
    help="Who may sign requests. Default: identities.toml beside the template, else two ready-made ones.",
)
@click.option(
    "--event-version", type=click.Choice(["V1", "V2"]), help="For all target groups, whatever the template says."
)
@click.option(
    "--max-environments",
    type=click.IntRange(1, 2500),
    default=64,
    show_default=True,
    help="How many processes at most, busy or idle; beyond it 429.",
)
@click.option(
    "--idle",
    "idle_seconds",
    type=click.FloatRange(1),
    default=600,
    show_default=True,
    help="Seconds after which an idle environment is ended.",
)
@click.option("--reload", is_flag=True, help="Restart environments whose code changed.")
@click.option("--json-logs", is_flag=True, help="One JSON object a line, for machines.")
@click.option("--plan", "plan_only", is_flag=True, help="Print what would be served, and stop.")
@click.option("--json", "as_json", is_flag=True, help="With --plan: as JSON.")
def local(
    *,
    template: Path,
    parameters: tuple[str, ...],
    identities: Path | None,
    event_version: str | None,
    json_logs: bool,
    plan_only: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Run the functions and VPC Lattice resources of a SAM or CloudFormation template on this machine: Lattice's
    front, Lambda's Invoke API, and a process for each function and tenant. No Docker, no AWS account."""
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1"
    try:
        found = plan(read_template(template, _pairs(parameters), region), event_version=VERSIONS[event_version])
        beside = template.resolve().parent / "identities.toml"
        signers = read_identities(identities or (beside if beside.exists() else None))
    except (BadTemplate, BadIdentities) as error:
        raise click.UsageError(str(error)) from error
    if plan_only:
        _print_plan(found, as_json=as_json)
        return
    console = Console(as_json=json_logs, colour=sys.stdout.isatty())
    logging.getLogger().addHandler(LogLines(console))
    try:
        asyncio.run(_serve(found, signers, Options(**options), console, json_logs=json_logs))
    except PortTaken as error:
        raise click.UsageError(f"{error}; choose another with --port or --lambda-port") from error
    finally:
        console.close()


def _pairs(parameters: tuple[str, ...]) -> dict[str, str]:
    pairs = [parameter.partition("=") for parameter in parameters]
    for name, mark, _ in pairs:
        if not mark:
            raise click.UsageError(f"--parameter {name}: write NAME=VALUE")
    return {name: value for name, _, value in pairs}


async def _serve(
    found: Plan, signers: Mapping[str, Identity], options: Options, console: Console, *, json_logs: bool
) -> None:
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, ended.set)
    async with serve(found, signers, options, console) as stack:
        if json_logs:
            console.say("listening", front=stack.front_url, **{"lambda": stack.lambda_url})
        else:
            _greet(found, signers, stack, console)
        await ended.wait()
        console.say("stopping")
    with contextlib.suppress(NotImplementedError):
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.remove_signal_handler(number)


def _print_plan(found: Plan, *, as_json: bool) -> None:
    if as_json:
        show.say_json(asdict(found), default=_plain)
    else:
        for line in _tables(found):
            show.say(line)


def _plain(value: object) -> object:
    return sorted(value) if isinstance(value, frozenset) else str(value)


def _greet(found: Plan, signers: Mapping[str, Identity], stack: Stack, console: Console) -> None:
    from lattice_bridge.cli.local_screen import commands

    for line in (*_tables(found), *commands(found, signers, stack.front_url, stack.lambda_url)):
        console.say(line)


def _tables(found: Plan) -> list[str]:
    from lattice_bridge.cli.local_screen import tables

    return tables(found)
