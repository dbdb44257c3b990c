"""`lattice-bridge event`: lists, shows, reads, checks and converts events of Lattice and of other fronts; `event_new`
makes them.

Rule: a file that cannot be read is wrong usage. The message says where the fault is and how to fix it.
"""

from __future__ import annotations

import base64
import json
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, get_args

import click

from lattice_bridge.cli import show
from lattice_bridge.cli.event_file import COMPACT, read_event
from lattice_bridge.cli.event_new import new
from lattice_bridge.errors import BridgeError
from lattice_bridge.events import kinesis
from lattice_bridge.events.batch import batch_of
from lattice_bridge.events.recognise import source_of
from lattice_bridge.events.record import Record
from lattice_bridge.formats import recognise
from lattice_bridge.formats.authorizer import recognises as is_authorizers
from lattice_bridge.formats.event import Payload
from lattice_bridge.formats.payload import convert as convert_request
from lattice_bridge.formats.payload import encode
from lattice_bridge.message import CLAIMS, Authorizer, Request, is_tenant_id
from lattice_bridge.review.requests import parse_any

if TYPE_CHECKING:
    from lattice_bridge.testing.departure import Departure

Document = dict[str, Any]

EVENT = click.argument("file", type=click.Path(path_type=Path))

_EVIDENCE: Final = {"documented": "cyan", "observed": "green", "assumed": "yellow"}
"""How well a fact is known → the colour of the word on a terminal."""


# ---- the group, list, show ------------------------------------------------------------------------------------------


@click.group(short_help="Make, read, check and convert events.")
def event() -> None:
    """Make, read, check and convert events: those that Lattice, API Gateway, function URLs, load balancers, queues,
    streams, event buses and pipes send to functions. The corpus is the collection of example events that comes with
    lattice-bridge. FILE is a file with an event's JSON, or - for stdin."""


@click.command(name="list", short_help="List the events of the corpus.")
@click.argument("pattern", default="*")
@show.JSON
def list_command(pattern: str, *, as_json: bool) -> None:
    """List the events that come with lattice-bridge, or those whose names match PATTERN ('v2/*', '*/query-*'): what is
    special about each, and how well that is known. Exits with 0 if one matches, 1 if none does."""
    from lattice_bridge.testing.corpus import RECORDS, UnknownEvent, all_events

    try:
        others = [f"{folder}/*" for folder in RECORDS] if pattern == "*" else []
        found = [case for one in (pattern, *others) for case in all_events(one)]
        cases = [_case(case.name, case.expected) for case in found]
    except UnknownEvent as error:
        show.say_error(f"error: {error!s}")
        sys.exit(1)
    if as_json:
        show.say_json(cases)
    elif show.is_terminal():
        rows = [(case["name"], (case["evidence"], _EVIDENCE[case["evidence"]]), case["about"]) for case in cases]
        show.draw(show.table(("name", "known", "what is special about it"), rows))
    else:
        for case in cases:
            show.say(case["name"], case["evidence"], case["about"])


def _case(name: str, expected: Mapping[str, Any]) -> dict[str, Any]:
    """`reason` is null for an event that the bridge accepts."""
    facts = {key: expected[key] for key in ("about", "evidence", "source")}
    return {"name": name, **facts, "reason": expected.get("reason")}


_SHOW_EXAMPLES: Final = """\b
Example, with a function of yours:
  lattice-bridge event show v2/cookies > event.json
  sam local invoke -e event.json
"""


@click.command(epilog=_SHOW_EXAMPLES, name="show", short_help="Print an event of the corpus.")
@click.argument("name")
@click.option("--expected", is_flag=True, help="Print the expected reading instead of the event.")
@show.JSON_ALWAYS
@COMPACT
def show_command(name: str, *, expected: bool, compact: bool) -> None:
    """Print the event NAME of the corpus as JSON. Exits with 0, or with 2 if there is no such event."""
    from lattice_bridge.testing.corpus import UnknownEvent, all_events, load_event

    try:
        found = load_event(name)
    except UnknownEvent as error:
        raise click.UsageError(f"{error}; `lattice-bridge event list` lists all") from error
    show.say_json(all_events(name)[0].expected if expected else found, compact=compact)


# ---- parse ---------------------------------------------------------------------------------------------------------

_SHOWN: Final = 500
"""Characters of a text that are shown on a terminal."""
_HEX: Final = 16
"""Bytes of a body that is not text, which are shown."""


@click.command(short_help="Show what the bridge reads from an event.")
@EVENT
@show.JSON
def parse(file: Path, *, as_json: bool) -> None:
    """Show what lattice-bridge reads from the event in FILE (- for stdin), or why it refuses it. The event may have any
    format, also that of a Lambda authorizer, a queue, a stream, an event bus or a pipe, whether or not bridge.toml
    enables it. Exits with 0 if the event can be read, 1 if not. With --json the fields are those of `request`, or
    `records`, in the corpus' .expected.json, and some more."""
    event = read_event(file)
    if source_of(event) is not None:
        _parse_records(event, as_json=as_json)
        return
    try:
        document = seen(parse_any(event))
    except BridgeError as refusal:
        _refused(refusal, as_json=as_json)
        sys.exit(1)
    if as_json:
        show.say_json(document)
    elif show.is_terminal():
        show.draw(show.picture(_picture(document)))
    else:
        for fact in _facts(document):
            show.say(*fact)


def _parse_records(event: Any, *, as_json: bool) -> None:
    from lattice_bridge.testing.record_departures import form_of

    try:
        records = [seen_record(record) for record in batch_of(event).records]
    except BridgeError as refusal:
        _refused(refusal, as_json=as_json)
        sys.exit(1)
    name = form_of(event).name
    document = {"format": name, "records": records}
    if as_json:
        show.say_json(document)
    elif show.is_terminal():
        for record in records:
            facts = ((label, _cell(record[name])) for name, label in _LABELS[name].items())
            show.draw(show.picture(facts), "")
    else:
        show.say_document(document)
    sys.exit(1 if any(record["fault"] for record in records) else 0)


def _cell(value: Any) -> show.Cell:
    return ("none", "dim") if value is None else str(value)


_LABELS: Final[Mapping[str, Mapping[str, str]]] = {
    "sqs": {
        "id": "id",
        "source": "source",
        "group": "group",
        "sender": "sender",
        "session": "session",
        "trace": "trace",
        "receive_count": "receive count",
        "attributes": "attributes",
        "body_length": "body, bytes",
        "fault": "fault",
    },
    "kinesis": {
        "id": "id",
        "source": "source",
        "group": "partition key",
        "body_length": "data, bytes",
        "parts": "aggregate of",
        "fault": "fault",
    },
    "dynamodb": {"id": "id", "source": "source", "change": "change", "group": "item", "fault": "fault"},
    "eventbridge": {
        "id": "id",
        "account": "account",
        "bus_source": "bus source",
        "detail_type": "detail type",
        "fault": "fault",
    },
}
"""The name of a service → what is shown of its records on a terminal, and how it is called there."""


def seen_record(record: Record) -> Document:
    """A record as JSON, with the length of its body or data, the names of its attributes, and the number of records in
    an aggregate; without their content."""
    content, sender = record.content, record.sender
    account, source, detail_type = record.bus_event or (None, None, None)
    attributes = content.get("messageAttributes")
    return {
        "id": record.id,
        "source": record.source,
        "group": record.group,
        "sender": None if sender is None else sender.id,
        "session": None if sender is None else sender.session,
        "trace": record.trace,
        "receive_count": record.receive_count,
        "attributes": ", ".join(map(str, attributes)) or None if isinstance(attributes, Mapping) else None,
        "body_length": _length(record),
        "fault": None if record.fault is None else record.fault.reason,
        "caller": record.caller,
        "account": account,
        "bus_source": source,
        "detail_type": detail_type,
        "change": content.get("eventName") if record.service == "dynamodb" else None,
        "parts": parts if (parts := len(kinesis.deaggregated(record))) > 1 else None,
    }


def _length(record: Record) -> int | None:
    if record.service == "kinesis":
        return None if record.data is None else len(record.data)
    body = record.content.get("body")
    return len(body.encode("utf-8", "surrogatepass")) if isinstance(body, str) else None


def seen(request: Request) -> Document:
    """A request as JSON. Of an authorizer's answer it has the names alone: the values are the caller's claims."""
    caller, body = request.caller, request.body
    return {
        "format": f"{'authorizer-' if is_authorizers(request.event) else ''}{request.format}",
        "version": request.version,
        "method": request.method,
        "path": request.path,
        "raw_query": request.raw_query,
        "query": request.query,
        "query_all": [list(pair) for pair in request.query_all],
        "headers": [list(pair) for pair in request.headers],
        "body_base64": base64.b64encode(body).decode(),
        "body_text": _text(body),
        "body_length": len(body),
        "principal": caller.principal,
        "authenticated": caller.authenticated,
        "session_name": caller.session_name,
        "org_id": caller.org_id,
        "source_vpc_arn": caller.source_vpc_arn,
        "x509": None if caller.x509 is None else asdict(caller.x509),
        "request_id": request.request_id,
        "service_arn": request.service_arn,
        "service_network_arn": request.service_network_arn,
        "target_group_arn": request.target_group_arn,
        "time_epoch": request.time_epoch,
        "api_id": request.api_id,
        "authorizer": None if request.authorizer is None else _names(request.authorizer),
        "client_cert": request.client_cert,
    }


def _names(answer: Authorizer) -> list[str]:
    return [*(f"{CLAIMS}.{name}" for name in answer.claims or ()), *answer.context]


def _text(body: bytes) -> str | None:
    """The body as text; None if it is binary: not UTF-8, or with a NUL."""
    try:
        return None if b"\0" in body else body.decode("utf-8")
    except UnicodeDecodeError:
        return None


def _refused(refusal: BridgeError, *, as_json: bool) -> None:
    document = {"refused": refusal.reason, "status": refusal.status, "detail": refusal.detail}
    if as_json:
        show.say_json(document)
    elif show.is_terminal():
        facts = ("refused", (refusal.reason, "bold red")), ("status", str(refusal.status)), ("because", refusal.detail)
        show.draw(show.picture(facts))
        show.draw(("`lattice-bridge event check` shows where", "dim"))
    else:
        show.say_document(document)


# ---- parse: for a terminal ------------------------------------------------------------------------------------------

_WORDS: Final = {
    "session_name": "session",
    "org_id": "organisation",
    "source_vpc_arn": "source VPC",
    "request_id": "request id",
    "service_arn": "service",
    "service_network_arn": "network",
    "target_group_arn": "target group",
    "api_id": "API",
    "time_epoch": "time, µs",
}


def _picture(document: Document) -> Iterator[tuple[show.Cell, Any]]:
    yield "format", document["format"]
    yield "method", (document["method"], "bold")
    yield "path", (document["path"], "bold")
    yield "raw query", document["raw_query"] or ("none", "dim")
    if document["query_all"]:
        yield "query", show.table(("name", "value"), document["query_all"])
        yield "", ""
    yield "headers", show.table(("name", "value"), document["headers"]) if document["headers"] else ("none", "dim")
    yield "", ""
    yield "body", _body(document)
    if document["authenticated"]:
        yield "caller", (document["principal"], "bold")
    elif document["authorizer"] is None and document["client_cert"] is None:
        yield "caller", ("not authenticated", "bold")
    if document["authorizer"] is not None:
        yield "authorizer", (f"verified the caller: {', '.join(document['authorizer'])}", "bold")
    if document["client_cert"] is not None:
        yield "certificate", (document["client_cert"], "bold")
    for key, word in _WORDS.items():
        if document[key] is not None:
            yield word, str(document[key])
    for field, value in (document["x509"] or {}).items():
        if value is not None:
            yield f"x509 {field}", value


def _body(document: Document) -> show.Cell:
    length, text = document["body_length"], document["body_text"]
    if not length:
        return "none", "dim"
    if text is None:
        shown = base64.b64decode(document["body_base64"])[:_HEX].hex(" ")
        return f"{show.counted(length, 'byte')}: {shown}{' …' if length > _HEX else ''}"
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}… ({show.counted(length, 'byte')})"


# ---- parse: for pipes -----------------------------------------------------------------------------------------------


def _facts(document: Document) -> Iterator[tuple[str, ...]]:
    """One line for each fact; a list has one line for each of its values."""
    for key, value in document.items():
        if key in ("query", "body_base64", "body_text"):
            continue
        if key in ("query_all", "headers"):
            yield from (("query" if key == "query_all" else "header", *pair) for pair in value)
        elif key == "authorizer":
            yield from ((key, name) for name in value or ())
        elif key == "body_length":
            yield "body", str(value), *_content(document)
        elif key == "x509":
            yield from (("x509", field, text) for field, text in (value or {}).items() if text is not None)
        else:
            yield key, "-" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _content(document: Document) -> Iterator[str]:
    """Text as it is, bytes in hex; nothing for an empty body."""
    if document["body_text"] is None:
        yield from ("hex", base64.b64decode(document["body_base64"])[:_HEX].hex())
    elif document["body_length"]:
        yield from ("text", document["body_text"])


# ---- check ---------------------------------------------------------------------------------------------------------


@click.command(name="check", short_help="Find where an event departs from what is sent.")
@EVENT
@show.JSON
def check_command(file: Path, *, as_json: bool) -> None:
    """Find where the event in FILE (- for stdin) departs from what Lattice sends, as documented or observed. Each line
    shows whether the bridge accepts the departure, and how well the point is known, with its row in docs/wire.md. Of
    any other event, as of API Gateway, a queue, a stream or an event bus, the command checks the fields and their
    types. Exits with 0 if the event departs nowhere, 1 if it does."""
    from lattice_bridge.testing.departures import departures, version_meant
    from lattice_bridge.testing.front_departures import kind_of
    from lattice_bridge.testing.record_departures import form_of

    event = read_event(file)
    is_batch = source_of(event) is not None
    found, version, kind = departures(event), version_meant(event), form_of(event).name if is_batch else kind_of(event)
    taken = not any(departure.refused for departure in found)
    if as_json:
        fields = {"format": kind, "version": version, "taken": taken}
        show.say_json({**fields, "departures": [asdict(departure) for departure in found]})
    elif show.is_terminal():
        if found:
            show.draw(show.table(("where", "actual", "expected", "known", "bridge"), _departure_rows(found)))
        show.draw(_summary(event, found, taken=taken))
    else:
        for line in _departure_lines(found):
            show.say(*line)
        show.say(_summary(event, found, taken=taken)[0])
    sys.exit(1 if found else 0)


def _departure_rows(found: list[Departure]) -> Iterator[tuple[show.Cell, ...]]:
    for departure in found:
        evidence = f"{departure.evidence}: {departure.row}", _EVIDENCE[departure.evidence]
        bridge = ("refuses", "bold red") if departure.refused else ("takes it", "dim")
        yield departure.where or "the event", departure.found, (departure.sends, "bold"), evidence, bridge


def _departure_lines(found: list[Departure]) -> Iterator[tuple[str, ...]]:
    for departure in found:
        bridge = "refused" if departure.refused else "taken"
        yield bridge, departure.where or "-", departure.found, departure.sends, departure.evidence, departure.row


def _summary(event: Any, found: list[Departure], *, taken: bool) -> tuple[str, str]:
    from lattice_bridge.testing.departures import version_meant
    from lattice_bridge.testing.front_departures import kind_of, sender_of

    number = show.counted(len(found), "departure")
    style = "bold red" if not taken else "bold yellow" if found else "bold green"
    if source_of(event) is not None:
        return f"{_kind_of_records(event)}: {number} from what is sent; the router {_routed(event, taken=taken)}", style
    version, kind = version_meant(event), kind_of(event)
    if version is None and kind is not None:
        reader = "the authorizer" if is_authorizers(event) else "the bridge"
        result = f"{reader} {'takes it, if bridge.toml enables it' if taken else 'refuses it'}"
        return f"an event of {sender_of(event, kind)}: {number} from what it sends; {result}", style
    if version is None:
        return "no event of a known format: the bridge refuses it", style
    return (
        f"a V{version} event: {number} from what Lattice sends; the bridge {'takes' if taken else 'refuses'} it",
        style,
    )


def _kind_of_records(event: Any) -> str:
    from lattice_bridge.testing.record_departures import form_of

    source = form_of(event).source
    return f"a list of EventBridge Pipes from {source}" if isinstance(event, list) else f"an event of {source}"


def _routed(event: Any, *, taken: bool) -> str:
    from lattice_bridge.testing.record_departures import EVENTBRIDGE, form_of

    is_one = form_of(event).name == EVENTBRIDGE
    if not taken:
        return "refuses it" if is_one else "refuses a record of it, or the whole event"
    faults = [record.fault.reason for record in batch_of(event).records if record.fault]
    options = ["`pipe`"] * isinstance(event, list) + ["`deaggregate`"] * ("aggregated" in faults)
    source = "its bus" if is_one else "its source"
    return f"takes it, if bridge.toml has {source}{' with ' if options else ''}{' and '.join(options)}"


# ---- convert -------------------------------------------------------------------------------------------------------

_SHORT: Final[dict[str, Payload]] = {"v1": "lattice-v1", "v2": "lattice-v2"}
_FORMATS: Final[dict[str, Payload]] = {name: name for name in get_args(Payload)} | _SHORT
"""What `payload` of a backend can be, and short names."""


@click.command(short_help="Write an event in another format.")
@EVENT
@click.option(
    "--to",
    "name",
    type=click.Choice(list(_FORMATS)),
    required=True,
    help="A value of `payload` in bridge.toml; v1 and v2 are Lattice's.",
)
@click.option(
    "--tenant",
    metavar="TENANT",
    help="Print the event that the bridge sends for this tenant, without the client's credentials.",
)
@show.JSON_ALWAYS
@COMPACT
def convert(file: Path, name: str, *, tenant: str | None, compact: bool) -> None:
    """Print the event in FILE (- for stdin) in another format: as another service, or Lattice in its other version,
    would have sent it. It is the event of a request, in any format. It stays as it is with `--to lattice`, and if it
    already has the format. Exits with 0 if the event is converted, 1 if the bridge refuses it."""
    if tenant is not None and not is_tenant_id(tenant):
        raise click.UsageError(f"--tenant {tenant!r} is not a tenant id: 1 to 256 of A-Z a-z 0-9 . _ : / = + - @")
    event = read_event(file)
    try:
        request = recognise.parse_any(event)
        form = _FORMATS[name]
        found = convert_request(request, form, time.time()) if tenant is None else _forwarded(request, form, tenant)
    except BridgeError as refusal:
        show.say_error(f"error: {refusal.status} {refusal.reason}: {refusal.detail}")
        sys.exit(1)
    if form == "lattice-v2" and request.format == "lattice-v1":
        show.say_error("note: a V1 event does not name its service, so its three ARNs in V2 are empty, also serviceArn")
    show.say_json(found, compact=compact)


def _forwarded(request: Request, payload: Payload, tenant: str) -> Document:
    written = encode(
        request,
        tenant=tenant,
        tenant_header="x-tenant-id",
        request_id=request.request_id or "",
        payload=payload,
        now=time.time(),
    )
    found: Document = json.loads(written)
    return found


for command in (new, list_command, show_command, parse, check_command, convert):
    event.add_command(command)
