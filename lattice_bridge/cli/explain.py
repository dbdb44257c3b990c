"""`lattice-bridge explain` and `who`: why a request runs as a tenant, and which callers can become one."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from lattice_bridge.cli import show
from lattice_bridge.cli.event_file import read_event
from lattice_bridge.cli.explain_record import claim_fact, evidence_facts, outcome_facts
from lattice_bridge.cli.files import (
    MAX_LOG_BYTES,
    GivenMap,
    base_option,
    input_name,
    map_option,
    read_input_text,
    read_map,
)
from lattice_bridge.config.tenant_map import TenantMap
from lattice_bridge.config.words import nearest, quoted, suggestion
from lattice_bridge.errors import BridgeError
from lattice_bridge.events.recognise import source_of
from lattice_bridge.events.sqs import parse_sender
from lattice_bridge.message import Sender
from lattice_bridge.review.document import Document, Unexplained
from lattice_bridge.review.explain import key_in_words, ways_to
from lattice_bridge.review.line_document import is_another_outcome, of_line
from lattice_bridge.review.log_line import NOT_LOGGED, NOT_LOGGED_OF_RECORDS, LogLine, request_lines
from lattice_bridge.review.near_misses import NOT_KNOWN

if TYPE_CHECKING:
    from rich.table import Table

_DRAWN: Final = 20
"""Records of an event that are shown on a terminal."""

RECORDS: Final = "records"
"""The key of the explanations of an event with records."""

_IDS_SHOWN: Final = 5


_EXAMPLES: Final = """\b
Examples:
  lattice-bridge explain event.json
  lattice-bridge explain --header green \\
    --principal arn:aws:sts::111122223333:assumed-role/blue-api/i-0123
  lattice-bridge explain --claims 'corp={"tenant": "blue"}'
  lattice-bridge explain --log bridge.log --request-id 4f0e6a58
  lattice-bridge explain --source arn:aws:sqs:eu-west-1:111122223333:orders \\
    --sender AROAEXAMPLEEXAMPLE123:i-0123 --claim blue
  lattice-bridge explain --claim blue --event-account 111122223333 \\
    --source arn:aws:events:eu-west-1:111122223333:event-bus/shop
"""


@click.command(epilog=_EXAMPLES, short_help="Show why a request runs as a tenant, or is refused.")
@click.argument("event", type=click.Path(path_type=Path), required=False)
@map_option()
@base_option
@click.option("--log", type=click.Path(), metavar="FILE", help="The bridge's log, or - for stdin, instead of an event.")
@click.option(
    "--request-id", metavar="ID", help="The request or message in --log. Default: the only one that was refused."
)
@click.option("--principal", metavar="ARN", help="The caller's IAM ARN, instead of an event.")
@click.option("--session", metavar="NAME", help="The session's name, if the principal does not contain it.")
@click.option("--header", metavar="TENANT", help="The tenant header's value.")
@click.option("--vpc", metavar="ID|ARN", help="The source VPC.")
@click.option("--org", metavar="ID", help="The principal's organisation, o-….")
@click.option("--service", metavar="ARN", help="The Lattice service.")
@click.option("--network", metavar="ARN", help="The service network.")
@click.option("--x509-san-uri", metavar="URI", help="The SPIFFE id in the certificate.")
@click.option("--api", metavar="ID", help="The API that the request came through.")
@click.option("--authorizer", metavar="JSON", help="What the API's authorizer returned; it counts as verified.")
@click.option("--client-cert", metavar="SUBJECT", help="The subject of the certificate that API Gateway verified.")
@click.option(
    "--claims", multiple=True, metavar="ISSUER=JSON", help="The claims of an issuer's token, which counts as verified."
)
@click.option("--source", metavar="ARN", help="The queue, stream, table or event bus that a record came from.")
@click.option("--sender", metavar="ID[:SESSION]", help="The record's SenderId: AROA…:session, or AIDA… of a user.")
@click.option("--event-account", metavar="NUMBER", help="The account in which an event of a bus was published.")
@click.option("--bus-source", metavar="NAME", help="The `source` of an event of a bus.")
@click.option("--detail-type", metavar="NAME", help="The `detail-type` of an event of a bus.")
@click.option("--claim", metavar="TENANT", help="The tenant that the record asks for.")
@show.JSON
def explain(
    event: Path | None,
    map_name: str,
    base: Path | None,
    log: str | None,
    request_id: str | None,
    *,
    as_json: bool,
    claims: tuple[str, ...],
    **described: Any,
) -> None:
    """Explain the decision for the event in EVENT (- for stdin), for a caller or a record described by options, or for
    a request or a record in the bridge's log. With --log, options add what its line does not contain. The output also
    lists near misses: rules that almost fit the request. Of an event with records, each is explained. Exits with 0 if
    all of it is allowed, 1 if something is refused."""
    given = read_map(map_name, base)
    explainer, is_batch = given.explainer(), False
    described["claims"] = _claims(claims, given)
    described["authorizer"] = _authorizer(described, has_log=log is not None)
    described["sender"] = _sender(described["sender"])
    if request_id is not None and log is None:
        raise click.UsageError("--request-id needs the log that has the request. Fix: add --log FILE")
    if sum((event is not None, log is not None or any(described.values()))) != 1:
        raise click.UsageError(
            "not exactly one thing to explain. Fix: give an event, or a caller by --principal, --claims or similar "
            "options, or a record by --source, or --log FILE"
        )
    try:
        if event is not None:
            found = read_event(event)
            is_batch = source_of(found) is not None
            documents = explainer.of_batch(found) if is_batch else [explainer.of_event(found)]
        elif log is not None:
            documents = [of_line(_line(log, request_id), described, explainer)]
        else:
            documents = [explainer.of_description(described)]
    except Unexplained as error:
        raise click.UsageError(str(error)) from error
    _print(documents, explainer.tenant_map.rules.header, is_batch=is_batch, as_json=as_json)
    sys.exit(0 if all(one["allowed"] and not is_another_outcome(one) for one in documents) else 1)


def _print(documents: list[Document], header: str, *, is_batch: bool, as_json: bool) -> None:
    if as_json:
        show.say_json({RECORDS: documents} if is_batch else documents[0])
    elif show.is_terminal():
        _draw(documents, header)
    else:
        for number, document in enumerate(documents):
            if number:
                show.say()
            show.say_document(document)


def _draw(documents: list[Document], header: str) -> None:
    """Draws the explanations, a few of many: an aggregate may have 10,000 records."""
    for number, document in enumerate(documents[:_DRAWN]):
        if number:
            show.draw("")
        show.draw(show.picture(_facts(document, header)))
    if rest := documents[_DRAWN:]:
        refused = sum(not one["allowed"] for one in rest)
        show.draw("", f"and {show.counted(len(rest), 'more record')}, {refused} of them refused: --json lists all")


def _claims(claims: tuple[str, ...], given: GivenMap) -> dict[str, dict[str, Any]]:
    """The claims by the names of their issuers in the map."""
    issuers = given.document.tables.get("jwt", {})
    found: dict[str, dict[str, Any]] = {}
    for name, _, text in (one.partition("=") for one in claims):
        if name not in issuers:
            hint = suggestion(name, issuers) if issuers else ". Fix: add a table [jwt.NAME] to the map"
            raise click.UsageError(f"--claims: {quoted(name)} is not an issuer of this map{hint}")
        try:
            found[name] = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise click.UsageError(f"--claims {name}: not JSON: {error}") from error
        if not isinstance(found[name], dict):
            raise click.UsageError(
                f"""--claims {name}: not an object. Fix: write one, as in {name}='{{"sub": "ann"}}'"""
            )
    return found


def _sender(text: str | None) -> Sender | None:
    """The sender that --sender names."""
    if text is None:
        return None
    if (found := parse_sender(text)) is None:
        command = "aws iam get-role --role-name NAME --query Role.RoleId"
        raise click.UsageError(
            f"--sender: {quoted(text)} is not the SenderId of a record. Fix: write the unique id and the session, as "
            f"in AROAEXAMPLEEXAMPLE123:i-0123. `{command}` prints the id of a role; its name or ARN is none"
        )
    return found


def _authorizer(described: Mapping[str, Any], *, has_log: bool) -> dict[str, Any] | None:
    """The authorizer's answer that the options describe. A log line contains the API."""
    text = described["authorizer"]
    if text is None:
        return None
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise click.UsageError(f"--authorizer: not JSON: {error}") from error
    if not isinstance(found, dict):
        example = """--authorizer '{"claims": {"custom:tenant": "blue"}}'"""
        raise click.UsageError(f"--authorizer: not an object. Fix: write one, as in {example}")
    if described["api"] is None and not has_log:
        raise click.UsageError("--authorizer: needs the API whose authorizer answers. Fix: add --api ID")
    return found


# ---- from a log -----------------------------------------------------------------------------------------------------


def _line(log: str, request_id: str | None) -> LogLine:
    """The line of a request in a log."""
    place = input_name(log)
    lines = list(request_lines(read_input_text(log, MAX_LOG_BYTES)))
    if not lines:
        raise click.UsageError(
            f"{place}: no log line of a request in it. Fix: give the log of the bridge's function, or what "
            '`lattice-bridge local --json-logs` printed: lines with "message": "request" or "record"'
        )
    if request_id is not None:
        found = [line for line in lines if request_id in (line.id, line.text("requestId"))]
        if len({line.id for line in found}) > 1:  # Lambda's id of a batch
            found = [line for line in found if line.is_refused] or found
        if not found:
            raise click.UsageError(f'--request-id "{request_id}": not in {place}, which has {_ids(lines)}')
        return found[-1]
    refused = [line for line in lines if line.is_refused] or lines
    if len({line.id for line in refused}) > 1:
        raise click.UsageError(f"{place}: {len(refused)} requests. Fix: choose one with --request-id: {_ids(refused)}")
    return refused[-1]


def _ids(lines: list[LogLine]) -> str:
    ids = list(dict.fromkeys((line.id or "-")[:64] for line in reversed(lines)))
    more = f", and {len(ids) - _IDS_SHOWN} more" if len(ids) > _IDS_SHOWN else ""
    return f"{', '.join(ids[:_IDS_SHOWN])}{more}"


# ---- for people -----------------------------------------------------------------------------------------------------


def _facts(document: Document, header: str) -> Iterator[tuple[show.Cell, show.Cell | Table]]:
    if document["log"] is not None:
        yield from _logged(document)
    record, unknown = document["record"], set(document["missing"] or ())
    if record is not None:
        yield from evidence_facts(record, unknown)
    if document["authenticated"] is not None:
        yield "caller", (_called(document), "bold")
    if document["looked_for"]:
        yield "", ""
        yield "keys", show.table(("in this order", "rule", ""), _keys(document))
        yield "", ""
    if document["sources"] and not document["denied_by"]:
        yield "allowed", show.table(("by", "rule", "tenants"), _sources(document))
        yield "", ""
    if document["denied_by"]:
        yield "denied by", (document["denied_by"], "red")
    if record is not None and record["source"] is not None:
        yield "claim", claim_fact(record, unknown)
    if document["authenticated"] is not None:
        is_known = "header" not in unknown
        yield "header", _header(document["header"], header) if is_known else (NOT_KNOWN, "dim")
    yield "outcome", _outcome(document)
    if document["detail"]:
        yield "because", document["detail"]
    if document["near_misses"]:
        yield "", ""
        yield "near misses", show.table(("", "rule", "expected", "actual"), _misses(document))
        yield "", ""
    if record is not None:
        yield from outcome_facts(record)
    else:
        yield "client sees", _seen(document)


def _called(document: Document) -> str:
    verified = " and ".join(document["verified_by"])
    if document["caller"] is None:
        return f"a caller that is verified by {verified}" if verified else "an unauthenticated caller"
    return f"{document['caller']}, and verified by {verified}" if verified else str(document["caller"])


def _logged(document: Document) -> Iterator[tuple[show.Cell, show.Cell]]:
    log = document["log"]
    yield "log line", f"{log['requestId']} {log['timestamp'] or ''}".strip()
    rule = f" by rule {log['rule']}" if log["rule"] else ""
    yield "outcome then", (f"{log['status']} {log['reason']}{rule}", "bold")
    if not log["same_map"]:
        yield "map", ("another one decided then: its sha256 differs", "yellow")
    if document["missing"]:
        options = ", ".join((NOT_LOGGED | NOT_LOGGED_OF_RECORDS)[name] for name in document["missing"])
        yield "not in the line", f"{options}: add those that you know"
    yield "", ""


def _misses(document: Document) -> Iterator[tuple[show.Cell, ...]]:
    for miss in document["near_misses"]:
        yield miss["text"], miss["rule"] or ("-", "dim"), (miss["expected"], "green"), (miss["actual"], "yellow")
    if document["near_misses_left_out"]:
        yield f"and {document['near_misses_left_out']} more rules", "", "", ""


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
        by = {
            "jwt": f"token {issuer}",
            "api": "authorizer",
            "client-cert": "certificate",
            "sender": "sender",
            "event-account": "account",
            "source": "source",
        }.get(kind.removesuffix(","), "caller")
        yield by, source["rule"], source["allows"]


def _header(value: str | None, name: str) -> show.Cell:
    return (f"no {name}", "dim") if value is None else f"{name}: {value}"


def _outcome(document: Document) -> show.Cell:
    if not document["allowed"]:
        return f"refused: {document['reason']}", "bold red"
    if is_another_outcome(document):
        return (
            f"with this alone it would run as {document['tenant']}: the line lacks the fact that decided",
            "bold yellow",
        )
    chosen_by = document["chosen_by"]
    how = "the only tenant that is allowed" if chosen_by == "rule" else f"chosen by the {chosen_by}"
    return f"runs as {document['tenant']}, {how}", "bold green"


def _seen(document: Document) -> show.Cell:
    if is_another_outcome(document):
        document = {**document, "allowed": False, "status": document["log"]["status"]}
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
@map_option()
@base_option
@show.JSON
def who(tenant: str, map_name: str, base: Path | None, *, as_json: bool) -> None:
    """List every rule that can lead to TENANT. Exits with 0 if a rule does, 1 if none does, if the tenant is not
    registered, or if the registry cannot be read."""
    found = read_map(map_name, base).load()
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
    if known is None:
        if near := nearest(tenant, found.rules.tenants):
            show.say_error(f"error: tenant {quoted(tenant)} is not registered; did you mean {quoted(near)}?")
        return "not registered"
    return "active" if known.active else "suspended"
