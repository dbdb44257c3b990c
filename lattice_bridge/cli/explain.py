"""`lattice-bridge explain` and `who`: why a request runs as a tenant, and which callers can become one."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from lattice_bridge.bridge import check_service
from lattice_bridge.cli import show
from lattice_bridge.cli.event import read_event
from lattice_bridge.cli.files import read, read_map, read_services
from lattice_bridge.config.document import parse_document
from lattice_bridge.config.tenant_map import TenantMap
from lattice_bridge.errors import BridgeError
from lattice_bridge.formats.recognise import parse_event
from lattice_bridge.message import Caller, Request
from lattice_bridge.review.explain import Explanation, explain_request, key_in_words, ways_to
from lattice_bridge.review.explain import explain as explain_subject
from lattice_bridge.review.map_tests import described_subject

if TYPE_CHECKING:
    from rich.table import Table

_MAP = click.option(
    "--map", "map_file", type=click.Path(path_type=Path), default=Path("bridge.toml"), show_default=True
)

Document = dict[str, Any]

UNKNOWN: Final[Mapping[str, None]] = dict.fromkeys(
    (
        *("caller", "authenticated", "looked_for", "denied_by", "owner", "runner_up", "sources"),
        *("header", "chosen_by", "allowed", "tenant", "reason", "detail", "status"),
    )
)
"""The keys of an explanation as JSON. Each explanation has all of them; what was not read is null."""


@click.command(short_help="Say why a request runs as a tenant, or is refused.")
@click.argument("event", type=click.Path(path_type=Path), required=False)
@_MAP
@click.option("--principal", help="An IAM ARN, instead of an event.")
@click.option("--session", help="The session's name, if the principal does not contain it.")
@click.option("--header", help="The tenant header's value.")
@click.option("--vpc", help="The source VPC's ARN.")
@click.option("--org", help="The organisation, o-….")
@click.option("--x509-san-uri", help="The SPIFFE id in the certificate.")
@click.option(
    "--claims", multiple=True, metavar="ISSUER=JSON", help="The claims of an issuer's token, which counts as verified."
)
@show.JSON
def explain(event: Path | None, map_file: Path, *, as_json: bool, claims: tuple[str, ...], **described: Any) -> None:
    """Explain the decision for the Lattice event in EVENT (- for stdin), or for a caller described by options. Exits
    with 0 if the request is allowed, 1 if it is refused."""
    tenant_map = read_map(map_file)
    described["claims"] = _claims(claims, map_file)
    if (event is None) == (not any(described.values())):
        raise click.UsageError("give either an event, or a caller by --principal, --claims or similar options")
    document = (
        _of_description(described, tenant_map)
        if event is None
        else _of_event(event, tenant_map, read_services(map_file))
    )
    if as_json:
        show.say_json(document)
    elif show.is_terminal():
        show.draw(show.picture(_facts(document, tenant_map.rules.header)))
    else:
        show.say_document(document)
    sys.exit(0 if document["allowed"] else 1)


def _of_description(described: Mapping[str, Any], tenant_map: TenantMap) -> Document:
    try:
        subject = described_subject(**described)
    except BridgeError as refusal:
        return _refused(refusal)
    return _decided(explain_subject(subject, tenant_map.rules, tenant_map.find))


def _of_event(event: Path, tenant_map: TenantMap, services: frozenset[str]) -> Document:
    request: Request | None = None
    try:
        request = parse_event(read_event(event))
        check_service(request, services)
        tokens = tenant_map.tokens_of(request)
    except BridgeError as refusal:  # before any rule was read
        known = {} if request is None else {**_caller(request.caller), "header": _header_in(request, tenant_map)}
        return _refused(refusal, known)
    return _decided(explain_request(request, tenant_map.rules, tokens, tenant_map.find))


def _header_in(request: Request, tenant_map: TenantMap) -> str | None:
    return next((value for name, value in request.headers if name == tenant_map.rules.header), None)


def _claims(claims: tuple[str, ...], map_file: Path) -> dict[str, dict[str, Any]]:
    """The claims by the names of their issuers in the map."""
    issuers = parse_document(read(map_file)).tables.get("jwt", {})
    found: dict[str, dict[str, Any]] = {}
    for name, _, text in (one.partition("=") for one in claims):
        if name not in issuers:
            known = ", ".join(issuers) or "none"
            raise click.UsageError(f'--claims: "{name}" is not an issuer of this map. Fix: write one of {known}')
        try:
            found[name] = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise click.UsageError(f"--claims {name}: not JSON: {error}") from error
        if not isinstance(found[name], dict):
            raise click.UsageError(
                f"""--claims {name}: not an object. Fix: write one, as in {name}='{{"sub": "ann"}}'"""
            )
    return found


# ---- for machines ---------------------------------------------------------------------------------------------------


def _decided(explanation: Explanation) -> Document:
    decision = explanation.decision
    keys = {rule: key_in_words(key) for key, rule in explanation.keys}
    return {
        **UNKNOWN,
        **_caller(explanation.subject.caller),
        "looked_for": [{"key": key_in_words(key), "rule": rule} for key, rule in explanation.keys],
        "denied_by": explanation.denied_by,
        "owner": explanation.sources[0][0] if explanation.sources else None,
        "runner_up": explanation.next_rule,
        "sources": [{"key": keys[rule], "rule": rule, "allows": allows} for rule, allows in explanation.sources],
        "header": explanation.header,
        "chosen_by": decision.chosen_by,
        "allowed": decision.allowed,
        "tenant": decision.tenant,
        "reason": decision.reason,
        "detail": decision.refusal.detail if decision.refusal else None,
        "status": decision.status,
    }


def _refused(refusal: BridgeError, known: Mapping[str, Any] = UNKNOWN) -> Document:
    outcome = {"allowed": False, "reason": refusal.reason, "detail": refusal.detail or None, "status": refusal.status}
    return {**UNKNOWN, **known, **outcome}


def _caller(caller: Caller) -> Document:
    return {"caller": caller.principal, "authenticated": caller.authenticated}


# ---- for people -----------------------------------------------------------------------------------------------------


def _facts(document: Document, header: str) -> Iterator[tuple[show.Cell, show.Cell | Table]]:
    if document["authenticated"] is not None:
        yield "caller", (document["caller"] or "an unauthenticated caller", "bold")
    if document["looked_for"]:
        yield "", ""
        yield "keys", show.table(("in this order", "rule", ""), _keys(document))
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
    # Deny rules come first. If one applies, the owner is not read.
    owners = set() if document["denied_by"] else {source["rule"] for source in document["sources"]}
    for entry in document["looked_for"]:
        if entry["rule"] is None:
            yield (entry["key"], "dim"), ("-", "dim"), ""
        elif entry["rule"] in owners:
            yield (entry["key"], "bold"), (entry["rule"], "bold"), ("owner", "bold cyan")
        else:
            yield entry["key"], entry["rule"], ("not used", "yellow")


def _sources(document: Document) -> Iterator[tuple[show.Cell, ...]]:
    for source in document["sources"]:
        kind, _, issuer = source["key"].partition(" ")
        yield f"token {issuer}" if kind == "jwt" else "caller", source["rule"], source["allows"]


def _header(value: str | None, name: str) -> show.Cell:
    return (f"no {name}", "dim") if value is None else f"{name}: {value}"


def _outcome(document: Document) -> show.Cell:
    if not document["allowed"]:
        return f"refused: {document['reason']}", "bold red"
    how = "chosen by the header" if document["chosen_by"] == "header" else "the only tenant that is allowed"
    return f"runs as {document['tenant']}, {how}", "bold green"


def _seen(document: Document) -> show.Cell:
    return (
        "the backend's answer" if document["allowed"] else f"{document['status']}, with the same body for every reason"
    )


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
@show.JSON
def who(tenant: str, map_file: Path, *, as_json: bool) -> None:
    """List every rule that can lead to TENANT. Exits with 1 if no rule does, if it is not registered, or if the
    registry does not answer."""
    found = read_map(map_file)
    ways = [
        {"rule": rule.id, "callers": key_in_words(rule.key), "how": how} for rule, how in ways_to(tenant, found.rules)
    ]
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
