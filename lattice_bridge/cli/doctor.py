"""`lattice-bridge doctor`: a deployed stack, held against what it has to be."""

from __future__ import annotations

import os
import sys
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from lattice_bridge.cli import show
from lattice_bridge.cli.files import read, read_map
from lattice_bridge.config.document import parse_document
from lattice_bridge.deployment.doctor.configuration import Configured
from lattice_bridge.deployment.doctor.findings import LEVELS, Finding, Shell, Unread
from lattice_bridge.deployment.doctor.read import Answer, Aws, text_of
from lattice_bridge.deployment.doctor.read_lambda import name_of
from lattice_bridge.deployment.doctor.run import NoSuchFunction, findings_of, read_deployed

if TYPE_CHECKING:
    from lattice_bridge.deployment.doctor.facts import Name

_STYLES: Final = {"error": "bold red", "warning": "bold yellow", "unknown": "bold magenta", "ok": "green"}


@click.command(short_help="Find what is wrong with a deployed stack.")
@click.option("--function", required=True, metavar="NAME[:ALIAS]", help="The bridge's function: a name or an ARN.")
@click.option("--service", metavar="ID|ARN", help="The Lattice service in front. Default: what forwards to it.")
@click.option("--config", type=click.Path(path_type=Path), default=Path("bridge.toml"), show_default=True)
@click.option("--region", help="Default: as every AWS SDK finds it.")
@click.option("--profile", help="Of the AWS configuration.")
@click.option("--strict", is_flag=True, help="Warnings count as errors.")
@click.option("--json", "as_json", is_flag=True, help="For machines.")
def doctor(
    function: str,
    service: str | None,
    config: Path,
    region: str | None,
    profile: str | None,
    *,
    strict: bool,
    as_json: bool,
) -> None:
    """Look at a deployed bridge, at what is in front of it and behind it, and hold it against the map in --config. It
    reads, and never writes: each line is what is, what should be, and the command that mends it. Exits with 0 if
    nothing is wrong, 1 if something is or could not be read, 2 without a map that loads, credentials or such a
    function."""
    configured = _configured(config)
    session = _session(region, profile)
    aws = Aws(lambda name: _client(session, name))
    name, account = _name(aws, function, session.region_name)
    shell = Shell(session.region_name, profile)
    try:
        deployed = read_deployed(aws, name, configured, account=account, service=service)
    except NoSuchFunction as error:
        raise click.UsageError(str(error)) from error
    findings = findings_of(deployed, configured, shell)
    _print(findings, as_json=as_json)
    bad = any(found.is_wrong or (strict and found.level == "warning") for found in findings)
    sys.exit(1 if bad else 0)


def _configured(config: Path) -> Configured:
    """What the map asks for. One that does not load is told as everywhere, and nothing is looked at."""
    text = read(config)
    try:
        tenant_map = read_map(config)
    except SystemExit:  # with 1, which would say that something is wrong with the stack
        sys.exit(2)
    return Configured.of(config, parse_document(text), tenant_map)


def _session(region: str | None, profile: str | None) -> Any:
    import boto3  # here: no other command waits for it

    try:
        session = boto3.session.Session(region_name=region or os.environ.get("AWS_REGION"), profile_name=profile)
    except Exception as error:  # botocore's have no common base: no such profile, a file that cannot be read
        raise click.UsageError(f"{type(error).__name__}: {error}") from error
    if not session.region_name:
        raise click.UsageError("no region: give --region, or set AWS_REGION")
    return session


def _client(session: Any, service: str) -> Any:
    from botocore.config import Config

    retries = {"total_max_attempts": 3, "mode": "standard"}
    return session.client(service, config=Config(connect_timeout=3, read_timeout=10, retries=retries))


def _name(aws: Aws, function: str, region: str) -> tuple[Name, str]:
    """The function that is meant, and the account of the credentials."""
    caller = aws.read_as(_account_and_partition, "sts", "get_caller_identity", "*")
    if caller is None or isinstance(caller, Unread):
        cause = caller.cause if isinstance(caller, Unread) else "no answer"
        raise click.UsageError(f"no AWS credentials that work: {cause}; see `aws sts get-caller-identity`")
    account, partition = caller
    name = name_of(function, partition, region, account)
    if name is None:
        raise click.UsageError(f"--function {function}: not a function's name or ARN")
    if (there := name.arn.split(":")[3]) != region:
        raise click.UsageError(f"--function {function}: it is in {there}, and this is {region}: give --region {there}")
    return name, account


def _account_and_partition(caller: Answer) -> tuple[str, str]:
    return text_of(caller, "Account"), text_of(caller, "Arn").split(":")[1]


# ---- output ---------------------------------------------------------------------------------------------------------


def _print(findings: list[Finding], *, as_json: bool) -> None:
    if as_json:
        show.say_json([asdict(found) for found in findings])
    elif show.is_terminal():
        _draw(findings)
    else:
        for found in findings:
            show.say(found.level, found.subject, found.found, found.wanted, found.mend or "-")
        show.say(_summary(findings))


def _draw(findings: list[Finding]) -> None:
    """A table, and the commands below it: a command that is folded in a cell cannot be copied."""
    mends = list(dict.fromkeys(found.mend for found in findings if found.mend))
    numbers = {mend: str(number) for number, mend in enumerate(mends, 1)}
    rows = [
        (
            (found.level, _STYLES[found.level]),
            found.subject,
            found.found,
            found.wanted,
            numbers.get(found.mend or "", ""),
        )
        for found in findings
    ]
    show.draw(show.table(("", "what", "is", "should be", "to mend"), rows), "")
    for mend in mends:
        show.say(f"{numbers[mend]}: {mend}")
        show.say()
    worst = next((level for level in LEVELS if any(found.level == level for found in findings)), "ok")
    show.draw((_summary(findings), _STYLES[worst]))


def _summary(findings: list[Finding]) -> str:
    counted = Counter(found.level for found in findings)
    return ", ".join(f"{level} {counted[level]}" for level in LEVELS)
