"""`lattice-bridge explain` and `who`: why a request runs as a tenant, and who can become one."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from lattice_bridge.cli import show
from lattice_bridge.cli.event import read_event
from lattice_bridge.cli.files import check_service, read, read_map, read_services
from lattice_bridge.config.document import parse_document
from lattice_bridge.config.tables.test import TestTable, request_of
from lattice_bridge.config.tenant_map import TenantMap
from lattice_bridge.errors import BridgeError
from lattice_bridge.formats.recognise import parse_event
from lattice_bridge.identity.bearer import Tokens
from lattice_bridge.message import Request
from lattice_bridge.review.explain import explain as explained
from lattice_bridge.review.explain import ways_to
from lattice_bridge.tenancy.rules import Key

if TYPE_CHECKING:
    from rich.table import Table

_MAP = click.option(
    "--map", "map_file", type=click.Path(path_type=Path), default=Path("bridge.toml"), show_default=True
)
_JSON = click.option("--json", "as_json", is_flag=True, help="For machines.")

Document = dict[str, Any]

UNKNOWN: Final[Mapping[str, None]] = dict.fromkeys(
    (
        *("caller", "authenticated", "looked_for", "denied_by", "owner", "runner_up", "sources"),
        *("header", "chosen_by", "allowed", "tenant", "reason", "detail", "status"),
    )
)
"""The keys of an explanation as JSON. Each has them all; what was not looked at is null."""


@click.command(short_help="Say why a request runs as a tenant, or is refused.")
@click.argument("event", type=click.Path(path_type=Path), required=False)
@_MAP
@click.option("--principal", help="An IAM ARN, instead of an event.")
@click.option("--session", help="The session's name, if it is not in the principal.")
@click.option("--header", help="The tenant header's value.")
@click.option("--vpc", help="The source VPC's ARN.")
@click.option("--org", help="The organisation, o-….")
@click.option("--x509-san-uri", help="The SPIFFE id in the certificate.")
@click.option(
    "--claims", multiple=True, metavar="ISSUER=JSON", help="What a token of an issuer says; it counts as verified."
)
@_JSON
def explain(event: Path | None, map_file: Path, *, as_json: bool, claims: tuple[str, ...], **asked: Any) -> None:
    """Explain the decision for the Lattice event in EVENT (- for stdin), or for a caller given by options. Exits with
    0 if the request is let in, 1 if it is refused."""
    found = read_map(map_file)
    stated = _stated(claims, map_file)
    request: Request | None = None
    try:
        request = _request(event, {**asked, "claims": stated}, found.rules.header)
        if event is not None:
            check_service(request, read_services(map_file))
        document = _decided(request, found, stated)
    except BridgeError as refusal:
        document = _refused(refusal, request, found.rules.header)
    if as_json:
        show.say_json(document)
    elif show.is_terminal():
        show.draw(show.picture(_facts(document, found.rules.header)))
    else:
        show.say_document(document)
    sys.exit(0 if document["allowed"] else 1)


def _request(event: Path | None, asked: dict[str, Any], header: str) -> Request:
    if (event is None) == (not any(asked.values())):
        raise click.UsageError("give either an event, or a caller with --principal, --claims and their like")
    if event is not None:
        return parse_event(read_event(event))
    return request_of(TestTable(expect="-", **asked), header)


def _stated(claims: tuple[str, ...], map_file: Path) -> dict[str, dict[str, Any]]:
    """The claims by the names of their issuers in the map."""
    issuers = parse_document(read(map_file)).tables.get("jwt", {})
    stated: dict[str, dict[str, Any]] = {}
    for name, _, text in (one.partition("=") for one in claims):
        if name not in issuers:
            raise click.UsageError(
                f"--claims: {name} is no issuer of this map; there are {', '.join(issuers) or 'none'}"
            )
        try:
            stated[name] = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise click.UsageError(f"--claims {name}: not JSON: {error}") from error
        if not isinstance(stated[name], dict):
            raise click.UsageError(f'--claims {name}: write an object, as in {name}=\'{{"sub": "ann"}}\'')
    return stated


def in_words(key: Key) -> str:
    """A key as a person would say it: `role blue-api of 111122223333`."""
    kind, *parts = key
    if len(parts) < 2:
        return " ".join(key)
    partition, account, *names = parts
    place = account if partition == "aws" else f"{partition}:{account}"
    return f"{kind} {', session '.join(names)} of {place}" if names and names[0] else f"{kind} {place}"


# ---- for machines ---------------------------------------------------------------------------------------------------


def _decided(request: Request, found: TenantMap, stated: Tokens) -> Document:
    """By the request's own tokens, unless there are stated claims.

    Raises:
        BridgeError: a token is there and does not verify, so that nothing is decided.
    """
    explanation = explained(request, found.rules, stated or found.tokens_of(request), found.find)
    decision = explanation.decision
    keys = {rule: in_words(key) for key, rule in explanation.looked_for}
    return {
        **UNKNOWN,
        **_who(request),
        "looked_for": [{"key": in_words(key), "rule": rule} for key, rule in explanation.looked_for],
        "denied_by": explanation.denied_by,
        "owner": explanation.sources[0][0] if explanation.sources else None,
        "runner_up": explanation.runner_up,
        "sources": [{"key": keys[rule], "rule": rule, "allows": allows} for rule, allows in explanation.sources],
        "header": explanation.header,
        "chosen_by": decision.chosen_by,
        "allowed": decision.allowed,
        "tenant": decision.tenant,
        "reason": decision.reason,
        "detail": decision.refusal.detail if decision.refusal else None,
        "status": decision.status,
    }


def _refused(refusal: BridgeError, request: Request | None, header: str) -> Document:
    """Before any rule was asked. What the request says of itself is known, if there is one."""
    seen: Document = {}
    if request is not None:
        seen = {**_who(request), "header": next((value for name, value in request.headers if name == header), None)}
    outcome = {"allowed": False, "reason": refusal.reason, "detail": refusal.detail or None, "status": refusal.status}
    return {**UNKNOWN, **seen, **outcome}


def _who(request: Request) -> Document:
    return {"caller": request.caller.principal, "authenticated": request.caller.authenticated}


# ---- for people -----------------------------------------------------------------------------------------------------


def _facts(document: Document, header: str) -> Iterator[tuple[show.Cell, show.Cell | Table]]:
    if document["authenticated"] is not None:
        yield "caller", (document["caller"] or "a caller that nobody authenticated", "bold")
    if document["looked_for"]:
        yield "", ""
        yield "looked for", show.table(("in this order", "rule", ""), _keys(document))
        yield "", ""
    if document["sources"] and not document["denied_by"]:
        yield "allowed", show.table(("by", "rule", "tenants"), _sources(document))
        yield "", ""
    if document["denied_by"]:
        yield "denied by", (document["denied_by"], "red")
    if document["authenticated"] is not None:
        yield "header", _header(document["header"], header)
    yield "outcome", _outcome(document)
    if document["detail"]:
        yield "because", document["detail"]
    yield "client sees", _seen(document)


def _keys(document: Document) -> Iterator[tuple[show.Cell, ...]]:
    # A deny is looked for first: nobody asks the owner then.
    owners = set() if document["denied_by"] else {source["rule"] for source in document["sources"]}
    for entry in document["looked_for"]:
        if entry["rule"] is None:
            yield (entry["key"], "dim"), ("-", "dim"), ""
        elif entry["rule"] in owners:
            yield (entry["key"], "bold"), (entry["rule"], "bold"), ("owner", "bold cyan")
        else:
            yield entry["key"], entry["rule"], ("not asked", "yellow")


def _sources(document: Document) -> Iterator[tuple[show.Cell, ...]]:
    for source in document["sources"]:
        kind, _, issuer = source["key"].partition(" ")
        yield f"token {issuer}" if kind == "jwt" else "caller", source["rule"], source["allows"]


def _header(value: str | None, name: str) -> show.Cell:
    return (f"{name} is not there", "dim") if value is None else f"{name}: {value}"


def _outcome(document: Document) -> show.Cell:
    if not document["allowed"]:
        return f"refused: {document['reason']}", "bold red"
    how = "chosen by the header" if document["chosen_by"] == "header" else "the only one allowed"
    return f"runs as {document['tenant']}, {how}", "bold green"


def _seen(document: Document) -> show.Cell:
    return "the backend's answer" if document["allowed"] else f"{document['status']}, one body for all of its kind"


# ---- who ------------------------------------------------------------------------------------------------------------

_STATES: Final = {
    "active": "bold green",
    "suspended": "bold yellow",
    "not registered": "bold red",
    "not known": "bold yellow",
}


@click.command(short_help="List every way to become a tenant.")
@click.argument("tenant")
@_MAP
@_JSON
def who(tenant: str, map_file: Path, *, as_json: bool) -> None:
    """List every rule that can lead to TENANT. Exits with 1 if none does, or it is not registered, or the registry that
    would know cannot be asked."""
    found = read_map(map_file)
    ways = [{"rule": rule.id, "callers": in_words(rule.key), "how": how} for rule, how in ways_to(tenant, found.rules)]
    state = _state(tenant, found)
    document = {"tenant": tenant, "state": state, "ways": ways}
    if as_json:
        show.say_json(document)
    elif show.is_terminal():
        rows = [(way["rule"], way["callers"], way["how"]) for way in ways]
        show.draw((f"{tenant}: {state}", _STATES[state]), show.table(("rule", "callers", "how"), rows))
    else:
        show.say_document(document)
    sys.exit(0 if ways and state in ("active", "suspended") else 1)


def _state(tenant: str, found: TenantMap) -> str:
    try:
        known = found.find(tenant)
    except BridgeError as error:
        show.say_error(f"error: {error.detail}")
        return "not known"
    return "not registered" if known is None else "active" if known.active else "suspended"
