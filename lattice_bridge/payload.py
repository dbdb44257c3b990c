"""Request -> the bytes the backend receives.

Rule: what the backend reads as ours is ours. Every spelling of a reserved header is dropped, then ours is set.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import lru_cache
from io import BytesIO
from typing import Any, Final

from lattice_bridge import headers as names
from lattice_bridge.base64_text import Base64
from lattice_bridge.errors import BadRequest, LoopDetected, TooLarge
from lattice_bridge.message import Request

SYNC_LIMIT: Final = 6 * 1024 * 1024
ASYNC_LIMIT: Final = 1024 * 1024
MAX_HOPS: Final = 4

_HOPS: Final = re.compile(r"[0-9]{1,2}")


def encode(
    request: Request,
    *,
    tenant: str,
    tenant_header: str,
    request_id: str,
    keep: frozenset[str] = frozenset(),
    credentials: frozenset[str] = frozenset(),
    limit: int = SYNC_LIMIT,
) -> bytes:
    """The event that the backend would have got from Lattice itself, in the version the bridge got it.

    Added: the decided tenant, the request's id, and how often it has passed the bridge. Left out: what a client wrote
    under a name that reads as one of these, credentials that `keep` does not name, hop-by-hop headers (`connection:
    x-tenant-id` tells a proxy behind the function to drop ours), and on V2 `x-amzn-lattice-*`.

    Raises:
        TooLarge: over `limit` bytes of JSON, checked here since Lambda's own refusal comes after the upload.
        LoopDetected: the request has passed the bridge too often.
        BadRequest: its count of passes is not a number, or the event holds what JSON cannot say.
    """
    ours = {names.REQUEST_ID: request_id, names.HOPS: str(_hops(request) + 1), tenant_header: tenant}
    reserved, given = _reserved(tenant_header, credentials), _given(request).items()
    prefix = _V2_PREFIX if request.version == 2 else _NO_PREFIX
    kept = {
        name: value
        for name, value in given
        if not ((folded := names.fold(name)) in reserved or folded.startswith(prefix)) or names.lower(name) in keep
    }
    added = {name: [value] for name, value in ours.items()} if request.version == 2 else ours
    payload = _written({**request.event, "headers": {**kept, **added}}, request.content)
    if len(payload) > limit:
        raise TooLarge("request_too_large", f"the payload is {len(payload)} bytes; Lambda takes {limit}")
    return payload


def _given(request: Request) -> Mapping[str, Any]:
    return request.event.get("headers") or {}


@lru_cache(16)
def _reserved(tenant_header: str, credentials: frozenset[str]) -> frozenset[str]:
    """What no client may write: our own names, whatever reads as the tenant's, credentials, and hop-by-hop headers."""
    ours = {names.REQUEST_ID, names.HOPS, tenant_header}
    return names.TENANT_NAMES.union(ours, names.CREDENTIALS, credentials, names.HOP_BY_HOP)


# On V1 the `x-amzn-lattice-*` headers are Lattice's own word; on V2 they can only come from a client.
_V2_PREFIX: Final = (names.LATTICE_PREFIX,)
_NO_PREFIX: Final[tuple[str, ...]] = ()


def _hops(request: Request) -> int:
    """How often the request has passed the bridge: a function behind it may call the service it is behind."""
    value = request.header(names.HOPS)
    if value is None:
        return 0
    if _HOPS.fullmatch(value) is None:
        raise BadRequest("malformed_header", f"header {names.HOPS} is not a count")
    if int(value) >= MAX_HOPS:
        raise LoopDetected("loop", f"the request has passed the bridge {value} times")
    return int(value)


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
