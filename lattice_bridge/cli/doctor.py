"""`lattice-bridge doctor`: compares a deployed stack with its map.

Rule: every call to AWS reads. The exit code says whether the stack is as expected.
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from lattice_bridge.cli import show
from lattice_bridge.cli.files import base_option, map_option, read_map
from lattice_bridge.deployment.doctor.configuration import read_configuration
from lattice_bridge.deployment.doctor.facts import FunctionName, Unread
from lattice_bridge.deployment.doctor.findings import LEVELS, Finding
from lattice_bridge.deployment.doctor.read import Answer, Aws, text_of
from lattice_bridge.deployment.doctor.run import NoSuchFunction, findings_of, read_deployment

if TYPE_CHECKING:
    from lattice_bridge.deployment.doctor.facts import Configuration

_STYLES: Final = {"error": "bold red", "warning": "bold yellow", "unknown": "bold magenta", "ok": "green"}


@click.command(short_help="Find what is wrong with a deployed stack.")
@click.option("--function", required=True, metavar="NAME[:ALIAS]", help="The bridge's function, by name or ARN.")
@click.option("--service", metavar="ID|ARN", help="The Lattice service. Default: those that forward to the bridge.")
@map_option("--config")
@base_option
@click.option("--region", metavar="NAME", help="The AWS Region. Default: the one that AWS SDKs use.")
@click.option("--profile", metavar="NAME", help="The AWS profile. Default: the one that AWS SDKs use.")
@click.option("--strict", is_flag=True, help="Count warnings as errors.")
@show.JSON
def doctor(
    function: str,
    service: str | None,
    map_name: str,
    base: Path | None,
    region: str | None,
    profile: str | None,
    *,
    strict: bool,
    as_json: bool,
) -> None:
    """Compare a deployed bridge, the services in front of it and the functions behind it with the map in --map.

    The command reads and never writes. Each line names what is, what is expected, and the fix. Exits with 0 if nothing
    is wrong, 1 if something is wrong or could not be read, 2 if there are no credentials or no such function."""
    configuration = _configuration(map_name, base)
    session = _session(region, profile)
    aws = Aws(lambda name: _client(session, name))
    name, account = _name(aws, function, session.region_name)
    try:
        deployment = read_deployment(aws, name, configuration, account=account, service=service)
    except NoSuchFunction as error:
        raise click.UsageError(str(error)) from error
    findings = findings_of(deployment, configuration, profile)
    _print(findings, as_json=as_json)
    bad = any(found.is_wrong or (strict and found.level == "warning") for found in findings)
    sys.exit(1 if bad else 0)


def _configuration(name: str, base: Path | None) -> Configuration:
    """The requirements of the map. If it does not load, its faults are printed, and nothing is read from AWS."""
    given = read_map(name, base)
    try:
        tenant_map = given.load()
    except SystemExit:  # its code 1 would mean a fault of the stack
        sys.exit(2)
    return read_configuration(Path(given.name), given.document, tenant_map)


def _session(region: str | None, profile: str | None) -> Any:
    import boto3  # here, so that no other command waits for it

    try:
        session = boto3.session.Session(region_name=region or os.environ.get("AWS_REGION"), profile_name=profile)
    except Exception as error:  # botocore's have no common base: no such profile, a file that cannot be read
        raise click.UsageError(f"{type(error).__name__}: {error}") from error
    if not session.region_name:
        raise click.UsageError("no Region. Fix: give --region, or set AWS_REGION")
    return session


def _client(session: Any, service: str) -> Any:
    from botocore.config import Config

    retries = {"total_max_attempts": 3, "mode": "standard"}
    return session.client(service, config=Config(connect_timeout=3, read_timeout=10, retries=retries))


def _name(aws: Aws, function: str, region: str) -> tuple[FunctionName, str]:
    """The function that the operator named, and the account of the credentials."""
    caller = aws.read(_account_and_partition, "sts", "get_caller_identity", "*")
    if caller is None or isinstance(caller, Unread):
        cause = caller.cause if isinstance(caller, Unread) else "no answer"
        raise click.UsageError(f"no valid AWS credentials: {cause}. Fix: try `aws sts get-caller-identity`")
    account, partition = caller
    name = FunctionName.parse(function, partition, region, account)
    if name is None:
        raise click.UsageError(
            f"--function {function}: not a function's name or ARN. Fix: write NAME, NAME:ALIAS or an ARN"
        )
    if name.region != region:
        raise click.UsageError(
            f"--function {function}: it is in {name.region}, not in {region}. Fix: give --region {name.region}"
        )
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
            show.say(found.level, found.subject, found.actual, found.expected, found.fix or "-")
        show.say(_summary(findings))


def _draw(findings: list[Finding]) -> None:
    """A table, with the fixes below it: a command that is folded in a cell cannot be copied."""
    fixes = list(dict.fromkeys(found.fix for found in findings if found.fix))
    numbers = {fix: str(number) for number, fix in enumerate(fixes, 1)}
    rows = [
        (
            (found.level, _STYLES[found.level]),
            found.subject,
            found.actual,
            found.expected,
            numbers.get(found.fix or "", ""),
        )
        for found in findings
    ]
    show.draw(show.table(("", "subject", "actual", "expected", "fix"), rows), "")
    for fix in fixes:
        show.say(f"{numbers[fix]}: {fix}")
        show.say()
    worst = next((level for level in LEVELS if any(found.level == level for found in findings)), "ok")
    show.draw((_summary(findings), _STYLES[worst]))


def _summary(findings: list[Finding]) -> str:
    counted = Counter(found.level for found in findings)
    return ", ".join(f"{level} {counted[level]}" for level in LEVELS)
