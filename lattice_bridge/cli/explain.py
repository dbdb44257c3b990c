"""`lattice-bridge explain` and `who`: why a request runs as a tenant, and who can become one."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click

from lattice_bridge.cli.files import read, read_event, read_map
from lattice_bridge.errors import BridgeError, Forbidden
from lattice_bridge.event import parse_event
from lattice_bridge.explain import Explanation, ways_to
from lattice_bridge.explain import explain as explained
from lattice_bridge.map_test import TestTable, request_of
from lattice_bridge.message import Request
from lattice_bridge.rules import Key
from lattice_bridge.shape import parse_toml

_MAP = click.option(
    "--map", "map_file", type=click.Path(path_type=Path), default=Path("bridge.toml"), show_default=True
)
_JSON = click.option("--json", "as_json", is_flag=True, help="For machines.")


@click.command(short_help="Say why a request runs as a tenant, or is refused.")
@click.argument("event", type=click.Path(path_type=Path), required=False)
@_MAP
@click.option("--principal", help="An IAM ARN, instead of an event.")
@click.option("--session", help="The session's name, if it is not in the principal.")
@click.option("--header", help="The tenant header's value.")
@click.option("--vpc", help="The source VPC's ARN.")
@click.option("--org", help="The organisation, o-….")
@click.option("--x509-san-uri", help="The SPIFFE id in the certificate.")
@_JSON
def explain(event: Path | None, map_file: Path, *, as_json: bool, **asked: Any) -> None:
    """Explain the decision for the Lattice event in EVENT (- for stdin), or for a caller given by options. Exits with
    0 if the request is let in, 1 if it is refused."""
    found = read_map(map_file)
    request = _request(event, asked, found.rules.header)
    if isinstance(request, BridgeError):
        _say({"status": request.status, "reason": request.reason, "detail": request.detail}, as_json=as_json)
        sys.exit(1)
    try:
        _check_service(request, map_file, from_event=event is not None)
        tokens = found.tokens_of(request)
    except BridgeError as refusal:
        _say({"status": refusal.status, "reason": refusal.reason, "detail": refusal.detail}, as_json=as_json)
        sys.exit(1)
    explanation = explained(request, found.rules, tokens)
    _say(_facts(explanation), as_json=as_json)
    sys.exit(0 if explanation.decision.allowed else 1)


def _check_service(request: Request, map_file: Path, *, from_event: bool) -> None:
    """The bridge looks at an event's service before it looks at anything else."""
    services = parse_toml(read(map_file)).get("lattice", {}).get("services", [])
    if from_event and services and request.service_arn not in services:
        raise Forbidden("service_not_allowed", "the event is not from a service in [lattice] services")


def _request(event: Path | None, asked: dict[str, Any], header: str) -> Request | BridgeError:
    if (event is None) == (not any(asked.values())):
        raise click.UsageError("give either an event, or a caller with --principal and its like")
    try:
        if event is not None:
            return parse_event(read_event(event))
        return request_of(TestTable(expect="-", **asked), header)
    except BridgeError as error:
        return error


def _facts(found: Explanation) -> dict[str, Any]:
    decision = found.decision
    return {
        "caller": found.caller,
        "looked for": [f"{in_words(key)}: {rule or '-'}" for key, rule in found.looked_for],
        "denied by": found.denied_by,
        "owner": found.owner,
        "runner-up, not asked": found.runner_up,
        "owner allows": found.allows,
        "header": found.header,
        "tenant": decision.tenant,
        "reason": decision.reason,
        "detail": decision.refusal.detail if decision.refusal else None,
        "client sees": "the backend's answer"
        if decision.allowed
        else f"{decision.status}, one body for all of its kind",
    }


def in_words(key: Key) -> str:
    """A key as a person would say it: `role blue-api of 111122223333`."""
    kind, *parts = key
    if len(parts) < 2:
        return " ".join(key)
    partition, account, *names = parts
    place = account if partition == "aws" else f"{partition}:{account}"
    return f"{kind} {', session '.join(names)} of {place}" if names and names[0] else f"{kind} {place}"


def _say(facts: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(facts, indent=2))
        return
    width = max(len(name) for name in facts)
    for name, value in facts.items():
        lines = value if isinstance(value, list) else [value]
        for line in lines:
            if line is not None:
                click.echo(f"{click.style(name.rjust(width), bold=True)}  {line}")


@click.command(short_help="List every way to become a tenant.")
@click.argument("tenant")
@_MAP
@_JSON
def who(tenant: str, map_file: Path, *, as_json: bool) -> None:
    """List every rule that can lead to TENANT. Exits with 1 if it is not registered, or none does."""
    rules = read_map(map_file).rules
    ways = [{"rule": rule.id, "callers": in_words(rule.key), "how": how} for rule, how in ways_to(tenant, rules)]
    known = rules.tenants.get(tenant)
    state = "not registered" if known is None else "active" if known.active else "suspended"
    if as_json:
        click.echo(json.dumps({"tenant": tenant, "state": state, "ways": ways}, indent=2))
    else:
        click.echo(f"{tenant}: {state}")
        for way in ways:
            click.echo(f"  {way['rule']}: {way['callers']}: {way['how']}")
    sys.exit(0 if ways and known is not None else 1)
