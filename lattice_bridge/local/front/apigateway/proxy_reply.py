"""The reply of a function to an HTTP API or a function URL, as the response for the client.

Rule: as "Lambda function response format" of http-api-develop-integrations-lambda.html: payload format 2.0 treats JSON
without `statusCode` as the body of a 200, and 1.0 requires `statusCode`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from lattice_bridge.formats import apigateway_v1, reply
from lattice_bridge.http import headers as names
from lattice_bridge.local.front.exchange.function_reply import BadReply, body_of, object_of, parsed
from lattice_bridge.local.front.exchange.http_message import HttpResponse, Pairs


def http_response(payload: bytes, version: Literal["1.0", "2.0"], content_type: str) -> HttpResponse:
    """The response for a function's answer.

    Args:
        payload: the answer.
        version: of the payload format.
        content_type: for a reply without one.

    Raises:
        BadReply: with the fault.
    """
    answer = parsed(payload)
    if version == "2.0" and not (isinstance(answer, dict) and reply.STATUS in answer):
        return HttpResponse(200, [("content-type", "application/json")], payload)
    answer = object_of(answer)
    headers = list(_headers(answer, version))
    if not any(name == "content-type" for name, _ in headers):
        headers.append(("content-type", content_type))
    return HttpResponse(_status(answer), headers, body_of(answer))


def _status(answer: Mapping[str, Any]) -> int:
    found = answer.get(reply.STATUS)
    if isinstance(found, str) and found.isascii() and found.isdigit() and len(found) == 3:
        found = int(found)
    if isinstance(found, bool) or not isinstance(found, int) or not 200 <= found <= 599:
        raise BadReply("statusCode is not a number from 200 to 599. Fix: return one")
    return found


def _headers(answer: Mapping[str, Any], version: Literal["1.0", "2.0"]) -> Iterator[tuple[str, str]]:
    """The headers. In 1.0, a name in `multiValueHeaders` replaces the one in `headers`; 2.0 has cookies beside them."""
    found = dict(_object(answer, reply.HEADERS))
    if version == "1.0":
        found |= _object(answer, apigateway_v1.MULTI_HEADERS)
    cookies = answer.get(reply.COOKIES) if version == "2.0" else None
    if cookies is not None and not isinstance(cookies, list):
        raise BadReply("cookies is not a list. Fix: return a list of strings")
    pairs = [*found.items(), *(("set-cookie", cookie) for cookie in cookies or ())]
    for name, entry in pairs:
        for value in entry if isinstance(entry, list) and version == "1.0" else [entry]:
            text = value if isinstance(value, str) else json.dumps(value)
            if isinstance(value, list | dict) or not names.is_token(name) or not names.is_sendable(text):
                raise BadReply(f"header {name[:64]!r} is not a name with a string. Fix: return strings")
            lowered = names.lower(name)
            if lowered not in names.HOP_BY_HOP and lowered != "content-length":
                yield lowered, text


def _object(answer: Mapping[str, Any], field: str) -> Mapping[str, Any]:
    found = answer.get(field)
    if found is not None and not isinstance(found, dict):
        raise BadReply(f"{field} is not an object. Fix: return names with their values")
    return found or {}


def without_body(response: HttpResponse, method: str) -> HttpResponse:
    """The response as it is sent: an answer to HEAD, and a 204 or 304, have no body."""
    if method != "HEAD" and response.status not in (204, 304):
        return response
    headers: Pairs = response.headers
    return HttpResponse(response.status, headers)
