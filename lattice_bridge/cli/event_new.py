"""`lattice-bridge event new`: an event for a request that is given by options."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Literal

import click

from lattice_bridge.cli import show
from lattice_bridge.cli.event_file import COMPACT, read_bytes

_FLAGS: Final = {
    "version": "--version",
    "path": "--path",
    "method": "--method",
    "headers": "--header",
    "body": "--body",
    "principal": "--principal",
    "session_name": "--session-name",
    "org_id": "--org",
    "x509": "--x509",
    "source_vpc": "--source-vpc",
    "client_address": "--client-address",
    "service_arn": "--service-arn",
    "service_network_arn": "--service-network-arn",
    "target_group_arn": "--target-group-arn",
    "region": "--region",
    "request_id": "--request-id",
    "time": "--time",
}
"""`lattice_event`'s arguments, whose faults it tells by these names."""


def _version(_: click.Context, __: click.Parameter, text: str) -> Literal[1, 2]:
    match text.lower().removeprefix("v"):
        case "1":
            return 1
        case "2":
            return 2
    raise click.BadParameter(f"{text!r} is not a version of Lattice's events: write 1 or 2")


@click.command(short_help="Make an event.")
@click.option("--version", default="2", show_default=True, callback=_version, help="1 or 2.")
@click.option("--method", "-X", help="GET unless there is a body, and then POST.")
@click.option("--path", default="/", show_default=True, help="As sent, with the query: '/orders?a=1&a=2'.")
@click.option("--header", "-H", "headers", multiple=True, help="'name: value'. Repeated names are kept.")
@click.option("--body", help="Text, or @FILE for the bytes in a file.")
@click.option("--json-body", help="The same, as application/json unless a header says otherwise.")
@click.option("--principal", help="The ARN of whom Lattice authenticated; without it the request is not signed.")
@click.option("--session-name", help="Of the role's session, if it is not in the ARN.")
@click.option("--org", "org_id", help="The principal's organisation, o-….")
@click.option("--x509", multiple=True, help="'san_uri=spiffe://…': a field of the certificate, with Roles Anywhere.")
@click.option("--source-vpc", help="vpc-… or an ARN.")
@click.option("--client-address", help="The address that Lattice saw.")
@click.option("--service-arn", help="The Lattice service.")
@click.option("--service-network-arn", help="Its network.")
@click.option("--target-group-arn", help="The function's target group.")
@click.option("--region", help="If it is not in the service's ARN.")
@click.option("--request-id", help="Lattice's id.")
@click.option("--time", help="When Lattice took it: 2025-11-21T00:00:00Z, or microseconds since 1970.")
@COMPACT
def new(*, headers: tuple[str, ...], x509: tuple[str, ...], compact: bool, **asked: Any) -> None:
    """Print the event that Lattice would make of a request: lattice-bridge event new --path '/orders?id=7' --principal
    arn:aws:iam::111122223333:role/blue-api. The same options make the same event; --body, without a content-type that
    says text, is base64 in it, as Lattice has it."""
    from lattice_bridge.testing.builders import lattice_event

    pairs = [_header(text) for text in headers]
    text, json_text = asked.pop("body"), asked.pop("json_body")
    if text is not None and json_text is not None:
        raise click.UsageError("give either --body or --json-body")
    body = _bytes(text if json_text is None else json_text)
    if json_text is not None:
        _check_json(body)
        if not any(name.lower() == "content-type" for name, _ in pairs):
            pairs.append(("content-type", "application/json"))
    asked["method"] = asked["method"] or ("POST" if body else "GET")
    asked["time"] = _time(asked["time"])
    asked["x509"] = dict(_fields(x509)) or None
    given = {name: value for name, value in asked.items() if value is not None}
    try:
        event = lattice_event(headers=pairs, body=body, **given)
    except ValueError as error:
        raise click.UsageError(_in_flags(str(error))) from error
    show.say_json(event, compact=compact)


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon:
        raise click.UsageError(f"--header {text!r}: no colon in it. Fix: write 'name: value'")
    return name, value.strip(" \t")


def _bytes(text: str | None) -> bytes:
    if text is None:
        return b""
    if text.startswith("@"):
        return read_bytes(Path(text[1:]))
    return text.encode("utf-8", "surrogateescape")  # what the shell gave, whatever it is


def _check_json(body: bytes) -> None:
    try:
        json.loads(body)
    except (ValueError, RecursionError) as error:
        raise click.UsageError(f"--json-body is not JSON: {error}") from error


def _fields(texts: Iterable[str]) -> Iterable[tuple[str, str]]:
    for text in texts:
        name, mark, value = text.partition("=")
        if not mark:
            raise click.UsageError(f"--x509 {text!r}: no = in it. Fix: write 'san_uri=spiffe://…'")
        yield name, value


def _time(text: str | None) -> int | datetime | None:
    if text is None:
        return None
    if re.fullmatch("[0-9]{1,18}", text):
        return int(text)
    with suppress(ValueError):
        found = datetime.fromisoformat(text)
        if found.tzinfo is not None:
            return found
    raise click.UsageError(f"--time {text!r} is not a time with a zone: write 2025-11-21T00:00:00Z")


def _in_flags(text: str) -> str:
    """A fault in the words of the command: what the caller wrote stands in quotes, and stays as it is."""
    names = "|".join(sorted(_FLAGS, key=len, reverse=True))
    text = re.sub(rf"\b({names})=", lambda found: f"{_FLAGS[found[1]]} ", text)
    text = re.sub(rf"^({names})\b", lambda found: _FLAGS[found[1]], text)
    return re.sub(r"(?<!['\w-])(session_name|org_id|source_vpc|service_arn)\b", lambda found: _FLAGS[found[1]], text)
