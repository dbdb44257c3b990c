"""`lattice-bridge event parse`: what is read from an event."""

from __future__ import annotations

import base64
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import click

from lattice_bridge.cli import show
from lattice_bridge.cli.event_file import EVENT, JSON, read_event
from lattice_bridge.errors import BridgeError
from lattice_bridge.formats.event import parse_event
from lattice_bridge.message import Request

Document = dict[str, Any]

_SHOWN: Final = 500
"""Characters of a text that a terminal is shown."""
_HEX: Final = 16
"""Bytes of a body that is no text."""


@click.command(short_help="Show what is read from an event.")
@EVENT
@JSON
def parse(file: Path, *, as_json: bool) -> None:
    """Show what lattice-bridge reads from the event in FILE (- for stdin), or why it refuses it. Exits with 0 if it
    takes it, 1 if not. With --json the fields are those of `request` in the corpus' .expected.json, and some more."""
    event = read_event(file)
    try:
        document = seen(parse_event(event))
    except BridgeError as refusal:
        _refused(refusal, as_json=as_json)
        sys.exit(1)
    if as_json:
        show.say_json(document)
    elif show.is_terminal():
        show.draw(show.picture(_picture(document)))
    else:
        for fact in _lines(document):
            show.say(*fact)


def seen(request: Request) -> Document:
    """A request as JSON can say it."""
    caller, body = request.caller, request.body
    return {
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
    }


def _text(body: bytes) -> str | None:
    """None for what people call binary: not UTF-8, or with a NUL."""
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


# ---- for people -----------------------------------------------------------------------------------------------------

_WORDS: Final = {
    "session_name": "session",
    "org_id": "organisation",
    "source_vpc_arn": "source VPC",
    "request_id": "request id",
    "service_arn": "service",
    "service_network_arn": "network",
    "target_group_arn": "target group",
    "time_epoch": "time, µs",
}


def _picture(document: Document) -> Iterator[tuple[show.Cell, Any]]:
    yield "version", f"{document['version']}"
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
    else:
        yield "caller", ("nobody authenticated it", "bold")
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
        return f"{length} bytes: {shown}{' …' if length > _HEX else ''}"
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}… ({length} bytes)"


# ---- for pipes ------------------------------------------------------------------------------------------------------


def _lines(document: Document) -> Iterator[tuple[str, ...]]:
    """A fact a line; what is a list has a line for each."""
    for key, value in document.items():
        if key in ("query", "body_base64", "body_text"):
            continue
        if key in ("query_all", "headers"):
            yield from (("query" if key == "query_all" else "header", *pair) for pair in value)
        elif key == "body_length":
            yield "body", str(value), *_content(document)
        elif key == "x509":
            yield from (("x509", field, text) for field, text in (value or {}).items() if text is not None)
        else:
            yield key, "-" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _content(document: Document) -> Iterator[str]:
    """Text as it is, bytes in hex; of nothing, nothing."""
    if document["body_text"] is None:
        yield from ("hex", base64.b64decode(document["body_base64"])[:_HEX].hex())
    elif document["body_length"]:
        yield from ("text", document["body_text"])
