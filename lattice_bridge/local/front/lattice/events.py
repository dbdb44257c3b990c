"""Lattice's part in HTTP: a client's request → the event for a Lambda target; a function's reply → the response.

Rule: as docs/wire.md describes it, captures first; each guess is a name in `formats.assumptions`. The fields of events
are in `formats`. Pure: the request id, the time and the caller are parameters.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from lattice_bridge.formats import event as parts
from lattice_bridge.formats import lattice_v1, lattice_v2, reply
from lattice_bridge.formats.assumptions import FRONT_DROPPED_HEADERS
from lattice_bridge.http import headers as names
from lattice_bridge.local.front.exchange.function_reply import BadReply, body_of, object_in, status_of
from lattice_bridge.local.front.exchange.http_message import (
    HttpRequest,
    HttpResponse,
    Pairs,
    Signer,
    connection_options,
    content_of,
)
from lattice_bridge.message import Caller, Request

BODY_LIMIT: Final = 6 * 1024 * 1024


@dataclass(slots=True)
class Origin:
    """The service in Lattice that received a request, and the id and time that Lattice gave it."""

    request_id: str
    epoch_microseconds: int
    service_arn: str
    service_network_arn: str
    target_group_arn: str
    source_vpc_arn: str


# ---- HTTP → event ---------------------------------------------------------------------------------------------------


def event_v2(request: HttpRequest, origin: Origin, signer: Signer | None) -> dict[str, Any]:
    """The V2 event that Lattice makes of a request."""
    return lattice_v2.write(_as_received(2, request, origin, signer))


def event_v1(request: HttpRequest, origin: Origin, signer: Signer | None) -> dict[str, Any]:
    """The V1 event that Lattice makes of a request."""
    return lattice_v1.write(_as_received(1, request, origin, signer))


def _as_received(version: Literal[1, 2], request: HttpRequest, origin: Origin, signer: Signer | None) -> Request:
    """The request as Lattice passes it on, with all that Lattice adds."""
    path, mark, raw_query = request.target.partition("?")
    if mark and not raw_query:  # Lattice passes the target on as sent, also with a bare `?` at its end
        path = request.target
    return Request(
        version=version,
        method=request.method,
        path=path,
        raw_query=raw_query,
        headers=_headers(request),
        content=content_of(request),
        caller=_caller(origin, signer),
        request_id=origin.request_id,
        service_arn=origin.service_arn,
        service_network_arn=origin.service_network_arn,
        target_group_arn=origin.target_group_arn,
        time_epoch=origin.epoch_microseconds,
    )


def _caller(origin: Origin, signer: Signer | None) -> Caller:
    if signer is None:
        return Caller(source_vpc_arn=origin.source_vpc_arn)
    return Caller(True, signer.principal, signer.session, signer.org, origin.source_vpc_arn, signer.x509)


def _headers(request: HttpRequest) -> tuple[tuple[str, str], ...]:
    """The headers that Lattice passes on. It drops a client's `x-amzn-lattice-*`, and those of one connection.

    Lattice adds the address of the connection to the end of `x-forwarded-for`.
    """
    dropped = FRONT_DROPPED_HEADERS | (connection_options(request.headers) - {"host"})
    kept = [
        (name, value)
        for name, value in request.headers
        if not name.startswith(names.LATTICE_PREFIX) and name not in dropped
    ]
    forwarded = [value for name, value in kept if name == "x-forwarded-for"]
    others = [(name, value) for name, value in kept if name != "x-forwarded-for"]
    return (*others, ("x-forwarded-for", ",".join([*forwarded, request.client_address])))


def query_pairs(target: str) -> Pairs:
    """Names and values of the query, in order, as Lattice writes them into an event."""
    return parts.query_pairs(target.partition("?")[2])


# ---- reply → HTTP ---------------------------------------------------------------------------------------------------


def http_response(payload: bytes, method: str) -> HttpResponse:
    """The response for a function's reply.

    Raises:
        BadReply: not JSON, or not a reply; the message says what is wrong with it.
    """
    answer = object_in(payload)
    status = status_of(answer)
    body = b"" if method == "HEAD" or status in (204, 304) else body_of(answer)
    return HttpResponse(status, _reply_headers(answer), body)


def _reply_headers(answer: Mapping[str, Any]) -> Pairs:
    """Both places where replies are known to have several cookies are read; see `assumptions.SET_COOKIE`."""
    headers, cookies = answer.get(reply.HEADERS), answer.get(reply.COOKIES)
    headers, cookies = {} if headers is None else headers, [] if cookies is None else cookies
    if not isinstance(headers, dict) or not isinstance(cookies, list):
        raise BadReply("headers is not an object, or cookies is not a list")
    pairs: list[tuple[str, str]] = []
    for name, entry in [*headers.items(), *(("set-cookie", cookie) for cookie in cookies)]:
        for value in entry if isinstance(entry, list) else [entry]:
            if not isinstance(value, str) or not names.is_token(name) or not names.is_sendable(value):
                raise BadReply(f"header {name!r} is not a name with a string")
            pairs.append((names.lower(name), value))
    return [pair for pair in pairs if pair[0] not in names.HOP_BY_HOP and pair[0] != "content-length"]
