"""Tells the formats of events apart, and reads the one that the bridge accepts: Lattice's, in both versions.

Rule: an event with marks of two formats is refused, never read as either (trap A9).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import import_module
from typing import Any, Final, get_args

from lattice_bridge.errors import BadRequest
from lattice_bridge.formats import event as parts
from lattice_bridge.formats import lattice_v1, lattice_v2
from lattice_bridge.message import Format, Request

# Fields of other services. Lattice sends none of them. Frameworks read some of them before `headers`, and trust them.
_FOREIGN: Final = (
    "multiValueHeaders",
    "multiValueQueryStringParameters",
    "cookies",
    "httpMethod",
    "rawPath",
    "resource",
)

NEVER: Final = {1: frozenset((*lattice_v2.MARKS, *_FOREIGN)), 2: frozenset((*lattice_v1.MARKS, *_FOREIGN))}
"""Version of a Lattice event → fields with which it is refused."""


def parse_event(event: object) -> Request:
    """The request in a Lattice event of either version.

    >>> parse_event({"raw_path": "/orders?id=7", "method": "GET", "headers": {"host": "a.example"}}).query
    {'id': '7'}

    Args:
        event: the decoded JSON that Lambda passes to the handler.

    Raises:
        BadRequest: not a Lattice event, marks of both versions, or malformed; the detail lists every fault.
        Forbidden: the identity in it contradicts itself, or has no known shape.
    """
    if not isinstance(event, Mapping):
        raise BadRequest("not_lattice", f"the event is a {type(event).__name__}, not an object")
    if lattice_v2.recognises(event):
        _refuse_fields(event, 2)
        return lattice_v2.parse(event)
    if lattice_v1.recognises(event):
        _refuse_fields(event, 1)
        return lattice_v1.parse(event)
    raise BadRequest(
        "not_lattice",
        "neither a V1 event (raw_path, method, no requestContext) "
        "nor a V2 event (version 2.0, requestContext.serviceArn)",
    )


def _refuse_fields(event: Mapping[str, Any], version: int) -> None:
    never = NEVER[version]
    if not never.isdisjoint(event):
        mixed = ", ".join(name for name in event if name in never)
        raise BadRequest("not_lattice", f"a V{version} event with {mixed}, which it never has")


def format_of(event: object) -> Format | None:
    """The format whose marks an event has; None if it has those of none or of several.

    Its fields are not checked: that is done by the format's `parse`.
    """
    if not isinstance(event, Mapping):
        return None
    found: list[Format] = [name for name in get_args(Format) if module_of(name).recognises(event)]
    return found[0] if len(found) == 1 else None


@cache
def module_of(name: str) -> Any:
    """The module of a format. Imported on first use: most bridges write one format, and a cold start waits for each."""
    return import_module(f"lattice_bridge.formats.{name.replace('-', '_')}")


def parse_as(name: Format, event: object) -> Request:
    """The request in an event that must be of one format. The bridge accepts only Lattice's, with `parse_event`.

    Raises:
        BadRequest: not an event of the format, marks of another one, or malformed; the detail lists every fault.
        Forbidden: the identity in it contradicts itself, or has no known shape.
    """
    if name in ("lattice-v1", "lattice-v2"):
        request = parse_event(event)
        if request.format != name:
            raise BadRequest("malformed_event", f"an event of {request.format}, not of {name}")
        return request
    module = module_of(name)
    if not isinstance(event, Mapping) or not module.recognises(event):
        raise BadRequest("malformed_event", f"not an event of {name}")
    marks = dict.fromkeys(mark for other in get_args(Format) for mark in module_of(other).MARKS)
    if mixed := [mark for mark in marks if mark in event and mark not in module.FIELDS]:
        raise BadRequest("malformed_event", f"an event of {name} with {', '.join(mixed)}, which it never has")
    request = module.parse(event)
    assert isinstance(request, Request)
    return request


def method_of(event: object) -> str:
    """The method of an event that may be anything: the refusal of a HEAD request has no body either."""
    method = event.get(lattice_v2.METHOD) if isinstance(event, Mapping) else None
    return method if isinstance(method, str) else ""


def request_id_of(event: object) -> str | None:
    """Lattice's id of an event that may be anything, so that a refused request can be found in Lattice's log too."""
    fields = (lattice_v2.REQUEST_ID, lattice_v1.REQUEST_ID)
    found = (event.get(field) for field in fields) if isinstance(event, Mapping) else ()
    return next((known for value in found if (known := parts.read_request_id(value)) is not None), None)
