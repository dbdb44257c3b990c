"""A function's reply to a REST API → the response, and the media types that are binary.

Rule: as "Output format of a Lambda function for proxy integration" and "Binary media types for REST APIs" describe it.
LocalStack's recordings of AWS decide what a malformed reply is. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from lattice_bridge.formats import reply
from lattice_bridge.formats.apigateway_v1 import MULTI_HEADERS
from lattice_bridge.http import headers as names
from lattice_bridge.local.front.exchange.function_reply import BadReply, body_of, object_in
from lattice_bridge.local.front.exchange.http_message import HttpResponse

_FIELDS: Final = frozenset({reply.STATUS, reply.HEADERS, MULTI_HEADERS, reply.BODY, reply.IS_BASE64})
_REMAPPED: Final = frozenset({"connection", "content-length", "date", "server"})
"""Headers that API Gateway writes itself. A function's own get the prefix `x-amzn-remapped-`."""


def http_response(payload: bytes, method: str, accept: str, binary_types: frozenset[str]) -> HttpResponse:
    """The response for a function's reply.

    Args:
        payload: of the function.
        method: of the request.
        accept: the request's first Accept header.
        binary_types: of the API.

    Raises:
        BadReply: malformed; the message says what is wrong with it.
    """
    answer = object_in(payload)
    if unknown := sorted(map(str, answer.keys() - _FIELDS)):
        raise BadReply(f"it has the field {unknown[0]!r}; the fields are {', '.join(sorted(_FIELDS))}")
    status = _status(answer.get(reply.STATUS))
    headers = _headers(answer.get(reply.HEADERS), answer.get(MULTI_HEADERS))
    if not any(name == "content-type" for name, _ in headers):
        headers.append(("content-type", "application/json"))
    body = body_of(answer, decode=is_binary(accept.partition(",")[0], binary_types))
    return HttpResponse(status, headers, b"" if method == "HEAD" or status in (204, 304) else body)


def _status(value: object) -> int:
    if value is None:
        return 200
    try:
        status = int(value) if isinstance(value, int | str) and not isinstance(value, bool) else 0
    except ValueError:
        status = 0
    if not 200 <= status <= 599:
        raise BadReply("statusCode is not a number from 200 to 599")
    return status


def _headers(single: Any, multi: Any) -> list[tuple[str, str]]:
    """Both maps merged: a pair that is in both occurs once."""
    pairs = [*_pairs(multi, MULTI_HEADERS)]
    pairs += [pair for pair in _pairs(single, reply.HEADERS) if pair not in pairs]
    kept = [pair for pair in pairs if pair[0] in _REMAPPED or pair[0] not in names.HOP_BY_HOP]
    return [(f"x-amzn-remapped-{name}" if name in _REMAPPED else name, value) for name, value in kept]


def _pairs(found: Any, field: str) -> Iterable[tuple[str, str]]:
    if found is None:
        return
    if not isinstance(found, dict):
        raise BadReply(f"{field} is not an object")
    for name, entry in found.items():
        values = entry if isinstance(entry, list) and field == MULTI_HEADERS else [entry]
        for value in values:
            text = str(value).lower() if isinstance(value, bool) else value
            if not isinstance(text, str) or not names.is_token(name) or not names.is_sendable(text):
                raise BadReply(f"{field}: {name!r} is not the name of a header with a string")
            yield names.lower(name), text


def is_binary(media_type: str, binary_types: frozenset[str]) -> bool:
    """Whether a media type is one of an API's binary ones, which may have `*` in place of a part.

    >>> is_binary("image/png; q=0.8", frozenset({"image/*"})), is_binary("text/html", frozenset({"image/*"}))
    (True, False)
    """
    plain = media_type.partition(";")[0].strip().lower()
    family = plain.partition("/")[0]
    return not binary_types.isdisjoint({plain, f"{family}/*", "*/*"})
