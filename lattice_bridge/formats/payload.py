"""Request → the payload of the Invoke: an event in the format that the backend reads.

Rule: a header that the backend reads as the bridge's is the bridge's. Every spelling of a reserved header is dropped,
then ours is set. The caller's credentials are not forwarded, neither in headers nor in the query.

Added are the decided tenant, the request's id, and how often the request has passed the bridge. Left out are a client's
headers whose names read as one of these; credentials that the configuration does not keep; hop-by-hop headers
(`connection: x-tenant-id` tells a proxy behind the function to drop ours); and, unless the event is V1,
`x-amzn-lattice-*`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from io import BytesIO
from typing import Any, Final, NamedTuple

from lattice_bridge.errors import BadRequest, LoopDetected, TooLarge
from lattice_bridge.formats import lattice_v1, lattice_v2
from lattice_bridge.formats.assumptions import FORWARDED_SCHEME
from lattice_bridge.formats.event import Payload, Scheme
from lattice_bridge.formats.recognise import module_of
from lattice_bridge.http import headers as names
from lattice_bridge.http.base64 import Base64
from lattice_bridge.http.memory import Memory
from lattice_bridge.http.query import parse_query
from lattice_bridge.message import Authorizer, Caller, Format, Pairs, Request

SYNC_LIMIT: Final = 6 * 1024 * 1024
ASYNC_LIMIT: Final = 1024 * 1024
MAX_HOPS: Final = 4
"""How often a request may pass the bridge."""

TENANT_ID: Final = "tenantId"
"""The name under which Lambda authorizers commonly return the tenant."""

_HOPS: Final = re.compile(r"[0-9]{1,2}")
_BODY: Final = "body"
"""The field of the body, in all formats."""


class _Form:
    """The parts of a request for which a format has no field, or a field of its own.

    Attributes:
        caller_in_headers: headers name the caller, so its fields must be such that no reader finds two fields in one.
        identity_headers: the format has no field for the caller, so the backend gets the headers of V1.
        is_proxied: the format is that of a service that adds `x-forwarded-*`, and perhaps headers of its own.
        has_authorizer: the context of an authorizer contains the tenant and the caller.
    """

    # Not a named tuple: making that class takes a start five times as long.
    def __init__(
        self,
        *,
        caller_in_headers: bool = False,
        identity_headers: bool = False,
        is_proxied: bool = False,
        has_authorizer: bool = False,
    ) -> None:
        self.caller_in_headers = caller_in_headers
        self.identity_headers = identity_headers
        self.is_proxied = is_proxied
        self.has_authorizer = has_authorizer


_FORMS: Final[Mapping[str, _Form]] = {
    "lattice-v1": _Form(caller_in_headers=True),
    "lattice-v2": _Form(),
    "apigateway-v1": _Form(is_proxied=True, has_authorizer=True),
    "apigateway-v2": _Form(is_proxied=True, has_authorizer=True),
    "alb": _Form(is_proxied=True, caller_in_headers=True, identity_headers=True),
}
"""Each payload but `lattice`, which is written as the event came."""


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
    """The event for the backend, as JSON.

    Args:
        request, request_id: as it was parsed; Lattice's id of it, or Lambda's.
        tenant, tenant_header: the decided tenant, and the header that names it, in lower case.
        keep, credentials: headers with credentials: those forwarded all the same; further ones, which carry tokens.
        limit: bytes of JSON.
        payload, scheme: the format that the backend reads, and its scheme: events have none, and no client is believed.
        now: seconds since 1970, for formats with a time if the event has none.

    Raises:
        TooLarge: over `limit` bytes of JSON. Checked here because Lambda refuses it only after the upload.
        LoopDetected: the request has passed the bridge too often.
        BadRequest: its count of passes is not a number, or the event contains what JSON or the format cannot express.
        Forbidden: in the format, the caller's name would read as another caller's or as an unsigned one's.
    """
    ours = {names.REQUEST_ID: request_id, names.HOPS: str(_hops(request) + 1), tenant_header: tenant}
    screen = _screen(tenant_header, credentials, keep, request.format)
    if payload in ("lattice", request.format):
        event = _as_it_came(request, screen, ours, tenant)
    else:
        headers = (*[pair for pair in request.headers if screen.passes(pair[0])], *ours.items())
        event = _write(payload, request, headers, screen.query(request.raw_query), request_id, now, scheme, tenant)
    written = _serialised(event, request.content)
    if len(written) > limit:
        raise TooLarge("request_too_large", f"the payload is {len(written)} bytes; Lambda takes {limit}")
    return written


def convert(request: Request, payload: Payload, now: float) -> dict[str, Any]:
    """The event in another format, for the request alone: the bridge adds nothing, and leaves out only a client's
    headers that read as `x-amzn-lattice-*`.

    Raises:
        BadRequest, Forbidden: as for `encode`.
    """
    screen = _Screen(frozenset(), frozenset(), frozenset(), request.format)
    if payload in ("lattice", request.format):
        return _as_it_came(request, screen, {}, None)
    headers = tuple(pair for pair in request.headers if screen.passes(pair[0]))
    request_id = request.request_id or ""
    return _write(payload, request, headers, request.raw_query, request_id, now, FORWARDED_SCHEME, None)


def load_format(payload: Payload) -> None:
    """Imports the modules of a format, so that the first request does not wait for it."""
    if (form := _FORMS.get(payload)) is not None and form.is_proxied:  # the others are always imported
        module_of(payload)
        _gateway()


# ---- the formats ----------------------------------------------------------------------------------------------------


def _as_it_came(request: Request, screen: _Screen, ours: Mapping[str, str], tenant: str | None) -> dict[str, Any]:
    """The event that arrived, with our headers in place of the client's, and without credentials in the query.

    Nothing else is changed: if Lattice adds a field one day, the backend receives it that day. Header names keep their
    spelling. The query map repeats the query of the path, so both are screened.
    """
    if request.source != "lattice":
        return _other_as_it_came(request, screen, ours, tenant)
    fields = lattice_v1 if request.version == 1 else lattice_v2
    event = request.event
    added = ours if request.version == 1 else {name: [value] for name, value in ours.items()}
    changed: dict[str, Any] = {fields.HEADERS: {**screen.kept(event.get(fields.HEADERS) or {}), **added}}
    path, mark, raw = event[fields.PATH].partition("?")
    if mark and (query := screen.query(raw)) != raw:
        changed[fields.PATH] = f"{path}?{query}" if query else path
    query_map = event.get(fields.QUERY)
    if isinstance(query_map, (dict, Mapping)) and not screen.passes_whole(query_map):
        changed[fields.QUERY] = {name: value for name, value in query_map.items() if screen.passes_in_query(name)}
    return {**event, **changed}


def _other_as_it_came(request: Request, screen: _Screen, ours: Mapping[str, str], tenant: str | None) -> dict[str, Any]:
    """The same for the other formats, in which a header or a parameter may be in two maps and in a query string. If a
    Lambda authorizer returned a value `tenantId`, from which backends read the tenant, it becomes the decided one."""
    module, event = module_of(request.format), request.event
    maps = [(field, is_list) for field, is_list in module.HEADER_MAPS if isinstance(event.get(field), Mapping)]
    changed: dict[str, Any] = {}
    for field, is_list in maps or module.HEADER_MAPS[:1]:
        added = {name: [value] for name, value in ours.items()} if is_list else ours
        changed[field] = {**screen.kept(event.get(field) or {}), **added}
    for field in module.QUERY_MAPS:
        query = event.get(field)
        if isinstance(query, Mapping) and not screen.passes_whole(query):
            changed[field] = {name: value for name, value in query.items() if screen.passes_in_query(name)}
    raw_field = getattr(module, "RAW_QUERY", None)
    if raw_field is not None and isinstance(event.get(raw_field), str):
        changed[raw_field] = screen.query(event[raw_field])
    if tenant is not None and request.authorizer is not None and TENANT_ID in request.authorizer.context:
        changed[module.CONTEXT] = module.with_value(event[module.CONTEXT], TENANT_ID, tenant)
    return {**event, **changed}


def _write(
    payload: Payload,
    request: Request,
    headers: Pairs,
    raw_query: str,
    request_id: str,
    now: float,
    scheme: Scheme,
    tenant: str | None,
) -> dict[str, Any]:
    """The event in another format than the request came in, with these headers and this query."""
    form, module, caller = _FORMS[payload], module_of(payload), request.caller
    if form.caller_in_headers:
        caller = lattice_v1.without_ambiguous_fields(caller)
    if form.is_proxied:
        if own := module.OWN_HEADERS:
            headers = tuple(pair for pair in headers if not names.fold(pair[0]).startswith(own))
        if request.source == "lattice":  # the others have written these headers themselves
            headers = _gateway().forwarded_headers(request, headers, scheme)
    if form.identity_headers:
        headers = (*headers, *lattice_v1.identity_headers(caller).items())
    outgoing = with_fields(
        request,
        headers=_one_cookie_line(headers),
        raw_query=raw_query,
        request_id=request_id,
        caller=caller,
        time_epoch=request.time_epoch or int(now * 1_000_000),
        authorizer=request.authorizer if tenant is None else _without_callers_fields(request.authorizer),
    )
    if not form.has_authorizer:
        return dict(module.write(outgoing))
    decided = {} if tenant is None else {TENANT_ID: tenant}
    written: dict[str, Any] = module.write(outgoing, {**decided, **lattice_v2.identity(caller)})
    return written


def _without_callers_fields(answer: Authorizer | None) -> Authorizer | None:
    """An answer without the fields in which a backend reads the caller that signed. If none did, a Lambda authorizer's
    value of such a name would be read as one."""
    if answer is None or _CALLERS_FIELDS.isdisjoint(answer.context):
        return answer
    return Authorizer(answer.claims, {name: one for name, one in answer.context.items() if name not in _CALLERS_FIELDS})


_CALLERS_FIELDS: Final = frozenset(lattice_v2.IDENTITY_FIELDS.values())


def with_fields(
    request: Request,
    *,
    headers: Pairs,
    raw_query: str,
    request_id: str,
    caller: Caller,
    time_epoch: int,
    authorizer: Authorizer | None,
) -> Request:
    """The request with other values in these fields. `dataclasses.replace` takes three times as long."""
    return Request(
        version=request.version,
        method=request.method,
        path=request.path,
        raw_query=raw_query,
        headers=headers,
        content=request.content,
        caller=caller,
        request_id=request_id,
        service_arn=request.service_arn,
        service_network_arn=request.service_network_arn,
        target_group_arn=request.target_group_arn,
        time_epoch=time_epoch,
        event=request.event,
        source=request.source,
        api_id=request.api_id,
        authorizer=authorizer,
        client_cert=request.client_cert,
    )


def _gateway() -> Any:
    """Only three of the formats need it."""
    return module_of("gateway")


def _one_cookie_line(headers: Pairs) -> Pairs:
    """The headers with several `cookie` lines made one (RFC 9113 §8.2.3). A comma would become part of a cookie."""
    cookies = [value for name, value in headers if name == "cookie"]
    if len(cookies) < 2:
        return headers
    return (*(pair for pair in headers if pair[0] != "cookie"), ("cookie", "; ".join(cookies)))


# ---- what is forwarded ----------------------------------------------------------------------------------------------


class _Screen(NamedTuple):
    """Decides which headers and query parameters of a client reach the backend.

    Attributes:
        reserved: header names, folded, that no client may write.
        secrets: names of query parameters, folded, that are not forwarded.
        keep: reserved headers that are forwarded all the same.
        came_as: the format of the event.
    """

    reserved: frozenset[str]
    secrets: frozenset[str]
    keep: frozenset[str]
    came_as: Format

    def passes(self, name: str) -> bool:
        """Whether a client's header is forwarded, by its name as the event spells it.

        In V1, `x-amzn-lattice-*` in this spelling is written by Lattice. All others can only be a client's.
        """
        folded = names.fold(name)
        if folded.startswith(names.LATTICE_PREFIX):
            return self.came_as == "lattice-v1" and folded == names.lower(name)
        return folded not in self.reserved or names.lower(name) in self.keep

    def kept(self, headers: Mapping[str, Any]) -> dict[str, Any]:
        """The headers that are forwarded, of a client's headers by name."""
        kept = {**headers}
        for name in _dropped(self, tuple(headers)):
            del kept[name]
        return kept

    def passes_whole(self, query: Iterable[str]) -> bool:
        """Whether all query parameters are forwarded, by their names. Most are plain, see `query`."""
        together = "".join(query)
        return not names.may_be_presigned(together) or all(map(self.passes_in_query, query))

    def passes_in_query(self, name: str) -> bool:
        """Whether a query parameter is forwarded, by its name: as it is, and decoded once."""
        read = [name, *(decoded for decoded, _ in parse_query(name))] if "%" in name else [name]
        return not any(names.fold(one) in self.secrets for one in read)

    def query(self, raw: str) -> str:
        """The parameters of a raw query string that are forwarded. They keep their bytes."""
        if not names.may_be_presigned(raw):
            return raw
        parts = raw.split("&")
        kept = [part for part in parts if all(self.passes_in_query(name) for name, _ in parse_query(part))]
        return raw if len(kept) == len(parts) else "&".join(kept)


DROPPED_NAMES: Final = Memory[tuple[_Screen, tuple[str, ...]], tuple[str, ...]](
    entries=256, characters=names.REMEMBERED_NAMES
)


def _dropped(screen: _Screen, given: tuple[str, ...]) -> tuple[str, ...]:
    """The names, as an event spells them, of the headers that do not pass a screen."""
    found = DROPPED_NAMES.get((screen, given))
    if found is None:
        found = tuple(name for name in given if not screen.passes(name))
        DROPPED_NAMES.keep((screen, given), found, sum(map(len, given)))
    return found


@lru_cache(64)
def _screen(tenant_header: str, credentials: frozenset[str], keep: frozenset[str], came_as: Format) -> _Screen:
    """Reserves our own headers, all that backends read as the tenant, credentials, and hop-by-hop headers.

    Cached by all that it depends on, which is configuration and not a client's.
    """
    ours = {names.REQUEST_ID, names.HOPS, tenant_header}
    reserved = names.TENANT_NAMES.union(ours, names.CREDENTIALS, credentials, names.HOP_BY_HOP)
    return _Screen(reserved, names.QUERY_CREDENTIALS, keep, came_as)


def _hops(request: Request) -> int:
    """How often the request has passed the bridge: a function behind it may call the service in front of it."""
    value = request.header(names.HOPS)
    if value is None:
        return 0
    if _HOPS.fullmatch(value) is None:
        raise BadRequest("malformed_header", f"header {names.HOPS} is not a count")
    if int(value) >= MAX_HOPS:
        raise LoopDetected("loop", f"the request has passed the bridge {value} times")
    return int(value)


# ---- JSON -----------------------------------------------------------------------------------------------------------


def _serialised(event: dict[str, Any], content: str | Base64) -> bytes:
    """The event as JSON. Base64 that was checked needs no escaping, and is written last, without a copy."""
    if not isinstance(content, Base64):
        return _to_json(event)
    del event[_BODY]
    written = BytesIO()  # `getvalue` returns its buffer without a copy
    written.write(_to_json(event).removesuffix(b"}") + b',"body":"')
    for piece in content.pieces():
        written.write(piece)
    written.write(b'"}')
    return written.getvalue()


_ENCODER: Final = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"), check_circular=False)
"""A parsed event has no circles. One that a program made ends in a RecursionError."""


def _to_json(event: Mapping[str, Any]) -> bytes:
    """Compact UTF-8. If every non-ASCII character were escaped, many texts would double in size and pass the limit.

    A lone surrogate cannot be written as UTF-8, so an event with one is written with escapes.
    """
    try:
        text = _ENCODER.encode(event)
    except (ValueError, TypeError, RecursionError) as error:
        raise BadRequest("malformed_event", f"the event cannot be written as JSON: {type(error).__name__}") from error
    try:
        return text.encode()
    except UnicodeEncodeError:
        return json.dumps(event, separators=(",", ":")).encode("ascii")
