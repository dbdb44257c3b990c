"""Request -> the bytes the backend receives.

Rule: one format for each backend, as its configuration says; JSON that Lambda takes, or a refusal before it is sent.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from io import BytesIO
from typing import Any, Final

from lattice_bridge.config.options import Payload, Scheme
from lattice_bridge.errors import BadRequest, TooLarge
from lattice_bridge.formats import lattice
from lattice_bridge.formats.assumptions import FORWARDED_SCHEME
from lattice_bridge.formats.forwarded import Dialect, forward
from lattice_bridge.http.base64 import Base64
from lattice_bridge.message import Request

SYNC_LIMIT: Final = 6 * 1024 * 1024
ASYNC_LIMIT: Final = 1024 * 1024


def encode(
    request: Request,
    *,
    tenant: str,
    tenant_header: str,
    request_id: str,
    keep: frozenset[str] = frozenset(),
    credentials: frozenset[str] = frozenset(),
    limit: int = SYNC_LIMIT,
    payload: Payload = "lattice",
    now: float = 0.0,
    scheme: Scheme = FORWARDED_SCHEME,
) -> bytes:
    """The event that the backend would have got from the service whose format it knows.

    Added: the decided tenant, the request's id, and how often it has passed the bridge. Left out: what a client wrote
    under a name that reads as one of these, credentials that `keep` does not name, hop-by-hop headers (`connection:
    x-tenant-id` tells a proxy behind the function to drop ours), and on V2 `x-amzn-lattice-*`.

    Raises:
        TooLarge: over `limit` bytes of JSON, checked here since Lambda's own refusal comes after the upload.
        LoopDetected: the request has passed the bridge too often.
        BadRequest: its count of passes is not a number, or the event holds what JSON or the format cannot say.
        Forbidden: the caller's name cannot be said in the format without becoming another's or nobody's.
    """
    forwarded = forward(
        request,
        tenant=tenant,
        tenant_header=tenant_header,
        request_id=request_id,
        keep=keep,
        credentials=credentials,
        now=now,
        scheme=scheme,
    )
    written = _written(dialect_of(payload, request.version)(forwarded), request.content)
    if len(written) > limit:
        raise TooLarge("request_too_large", f"the payload is {len(written)} bytes; Lambda takes {limit}")
    return written


def dialect_of(payload: Payload, version: int) -> Dialect:
    """The format, for events of a version. One that the event is already in changes nothing, so nothing gets lost.

    Imported where it is first asked for: most bridges speak one, and none should wait for six at a cold start.
    """
    return lattice.event if payload in ("lattice", f"lattice-v{version}") else _dialect(payload)


@cache
def _dialect(payload: Payload) -> Dialect:
    event: Dialect = import_module(f"lattice_bridge.formats.{payload.replace('-', '_')}").event
    return event


def _written(event: dict[str, Any], content: str | Base64) -> bytes:
    """The event as JSON. Base64 that was checked needs no escaping, and is put in as it is, and last."""
    if not isinstance(content, Base64):
        return _to_json(event)
    del event["body"]
    written = BytesIO()  # which hands out what it holds without a copy
    written.write(_to_json(event).removesuffix(b"}") + b',"body":"')
    for piece in content.pieces():
        written.write(piece)
    written.write(b'"}')
    return written.getvalue()


_ENCODER: Final = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def _to_json(event: Mapping[str, Any]) -> bytes:
    """Compact UTF-8. Escaping every non-ASCII character would double many a text and push it over the limit; only a
    lone surrogate, which UTF-8 cannot say, is left to JSON's own escapes."""
    try:
        text = _ENCODER.encode(event)
    except (ValueError, TypeError, RecursionError) as error:
        raise BadRequest("malformed_event", f"the event cannot be written as JSON: {type(error).__name__}") from error
    try:
        return text.encode()
    except UnicodeEncodeError:
        return json.dumps(event, separators=(",", ":")).encode("ascii")
