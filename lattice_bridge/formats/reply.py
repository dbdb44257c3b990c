"""The backend's answer → Response → a reply that Lattice accepts.

Rule: the result is always a valid reply. An answer is either understood whole or a 502; no part of an answer that was
not understood reaches the caller.
"""

from __future__ import annotations

import base64
import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, Literal, NoReturn

from lattice_bridge.errors import BackendFailed, BridgeError
from lattice_bridge.formats.assumptions import BINARY_CONTENT_TYPE, DEFAULT_CONTENT_TYPE, SET_COOKIE
from lattice_bridge.http import headers as names
from lattice_bridge.http.base64 import Base64
from lattice_bridge.message import Pairs, Response

REPLY_LIMIT: Final = 6 * 1024 * 1024
MAX_BRACKETS: Final = 2_000_000
"""Opening brackets in an answer, including those inside strings. Our limit: an answer of 6 MB can contain three times
as many, and Python's parser would need a second and 300 MB for them."""

MAX_HEADER_LINES: Final = 200
"""Values in `headers`, `multiValueHeaders` and `cookies` together. Our limit: common servers and clients accept 100."""
MAX_HEADER_BYTES: Final = 64 * 1024
"""Bytes of names and values of one reply. Our limit: common servers and clients accept as much or less."""

LONGEST_ESCAPE: Final = 6
"""Bytes of JSON that one byte of text can become: `\\u0001`."""

STATUS: Final = "statusCode"
IS_BASE64: Final = "isBase64Encoded"
HEADERS: Final = "headers"
MULTI_HEADERS: Final = "multiValueHeaders"
COOKIES: Final = "cookies"
BODY: Final = "body"

Reply = dict[str, Any]
SetCookie = Literal["cookies", "headers"]


# ---- answer → Response ----------------------------------------------------------------------------------------------


def decode(answer: bytes) -> Response:
    """The response in a backend's answer, in any of the shapes that web frameworks for Lambda return.

    >>> decode(b'{"statusCode": 404, "headers": {"X-A": "1"}, "body": "no"}')
    Response(status=404, headers=(('x-a', '1'),), content=b'no')

    An object with `statusCode` is a response, in the fields of Lattice and API Gateway v2 (`headers`, `cookies`) or of
    API Gateway v1 and ALB (`multiValueHeaders`). Anything else is data: 200, `application/json`, the bytes as they are.

    Raises:
        BackendFailed: not JSON, or an object with `statusCode` that is not a response.
    """
    found = _read(answer)
    if isinstance(found, BackendFailed):
        raise found
    return found


def _read(answer: bytes) -> Response | BackendFailed:
    """The response, or why there is none. The error is returned without its frames, which contain the answer."""
    try:
        value = _parsed(answer)
        if not isinstance(value, dict) or STATUS not in value:
            return Response(200, (("content-type", "application/json"),), answer)
        status, headers = _status(value[STATUS]), _headers(value)
        return Response(status, headers, _body(value.get(BODY), value.get(IS_BASE64)))
    except BackendFailed as error:
        return error.without_frames()


def _parsed(answer: bytes) -> object:
    if answer.count(b"[") + answer.count(b"{") > MAX_BRACKETS:
        raise unreadable(f"more than {MAX_BRACKETS} opening brackets")
    try:
        return _DECODER.decode(answer.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise unreadable(f"not JSON: {type(error).__name__}") from error


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


_DECODER: Final = json.JSONDecoder(parse_constant=_no_constant)


def unreadable(what: str) -> BackendFailed:
    """The refusal of an answer of which no reply can be made."""
    return BackendFailed("backend_unreadable", what)


def _status(value: object) -> int:
    """200 to 599. Some frameworks write a string; some JSON writers write a whole number as a float."""
    if isinstance(value, str):
        value = int(value) if re.fullmatch("[0-9]{3}", value) else None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 200 <= value <= 599:
        raise unreadable("statusCode is not a number from 200 to 599")
    return value


def _headers(answer: Mapping[str, Any]) -> Pairs:
    """All headers in order, cookies last. A name in `multiValueHeaders` replaces the same name in `headers`, as API
    Gateway documents; frameworks write the last of several values into `headers` a second time.

    serverless-wsgi writes several cookies under names that differ by case (`Set-Cookie`, `Set-cookie`), so a cookie in
    `headers` is only replaced by an equal one.
    """
    if (plain := _plain_headers(answer)) is not None:
        return plain
    _check_lines(answer)
    multi = list(_pairs(answer.get(MULTI_HEADERS), MULTI_HEADERS))
    cookies = [("set-cookie", value) for value in _cookies(answer.get(COOKIES))]
    named, known = {name for name, _ in multi} - {"set-cookie"}, set(multi)
    single = [pair for pair in _pairs(answer.get(HEADERS), HEADERS) if pair[0] not in named and pair not in known]
    known.update(single)
    pairs = single + multi + [cookie for cookie in cookies if cookie not in known]
    size = sum(len(name) + len(value.encode()) for name, value in pairs)
    if size > MAX_HEADER_BYTES:
        raise unreadable(f"{size} bytes of headers; at most {MAX_HEADER_BYTES} are passed on")
    _refuse_contradictions(pairs)
    return tuple(pairs)


def _plain_headers(answer: Mapping[str, Any]) -> Pairs | None:
    """All headers of an answer that has them in `headers` alone, each with one value of printable ASCII. None for
    another answer, whose headers are read one by one."""
    headers = answer.get(HEADERS)
    if not isinstance(headers, dict) or answer.get(MULTI_HEADERS) is not None or answer.get(COOKIES) is not None:
        return None
    known = names.header_names(tuple(headers)) if len(headers) <= MAX_HEADER_LINES else None
    if known is None or not known.are_distinct:
        return None
    values = names.plain_values(headers, MAX_HEADER_BYTES - known.characters)
    return None if values is None else tuple(zip(known.lower, values, strict=True))


def _check_lines(answer: Mapping[str, Any]) -> None:
    """Counts the lines before any is read: an answer of 6 MB can contain a million of them."""
    cookies = answer.get(COOKIES)
    lines = len(cookies) if isinstance(cookies, list) else 0
    for field in (answer.get(HEADERS), answer.get(MULTI_HEADERS)):
        for entry in field.values() if isinstance(field, dict) else ():
            lines += len(entry) if isinstance(entry, list) else 1
    if lines > MAX_HEADER_LINES:
        raise unreadable(f"{lines} header lines; at most {MAX_HEADER_LINES} are passed on")


def _pairs(value: object, field: str) -> Iterator[tuple[str, str]]:
    if value is None:
        return
    if not isinstance(value, Mapping):
        raise unreadable(f"{field} is not an object")
    for name, entry in value.items():
        lowered = names.lower_token(name)
        if lowered is None:
            raise unreadable(f"a name in {field} is not a header name")
        for item in entry if isinstance(entry, list) else (entry,):
            if item is not None:
                yield lowered, _text(item, field, lowered)


def _cookies(value: object) -> Iterator[str]:
    if value is None:
        return
    if not isinstance(value, list):
        raise unreadable("cookies is not a list")
    for item in value:
        if not isinstance(item, str):
            raise unreadable("a cookie is not a string")
        yield _text(item, COOKIES)


def _text(value: object, field: str, name: str = "") -> str:
    """The value of a header as text. People also write `5`, `1.5` and `true` in JSON."""
    if isinstance(value, str) and names.is_sendable(value):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int) or (isinstance(value, float) and math.isfinite(value)):
        return json.dumps(value)
    where = f"{field}: {name[:64]}" if name else field
    if not isinstance(value, str):
        raise unreadable(f"{where} is neither text nor a number")
    raise unreadable(f"{where} contains a control character or a lone surrogate")


def _refuse_contradictions(pairs: list[tuple[str, str]]) -> None:
    seen: dict[str, str] = {}
    for name, value in pairs:
        if name in names.SINGLE and seen.setdefault(name, value) != value:
            raise unreadable(f"header {name} has two values")


def _body(value: object, is_base64: object) -> bytes | Base64:
    if is_base64 is not None and not isinstance(is_base64, bool):
        raise unreadable("isBase64Encoded is not a boolean")
    if value is None:
        return b""
    if not isinstance(value, str):
        raise unreadable("body is not a string. Fix: write a structure with json.dumps")
    if is_base64 and value:
        found = Base64.checked(value)
        if found is None:
            raise unreadable("body is marked as base64 and is not base64")
        return found
    try:
        return value.encode()
    except UnicodeError as error:
        raise unreadable("body contains a lone surrogate") from error


# ---- Response → reply -----------------------------------------------------------------------------------------------

HeaderFields = Callable[[Mapping[str, list[str]], list[str]], dict[str, Any]]
"""Writes headers and the values of `set-cookie` into the fields that a format has for them."""


def render(
    response: Response, method: str, set_cookie: SetCookie = SET_COOKIE, drop: frozenset[str] = frozenset()
) -> Reply:
    """The reply for Lattice: `statusCode`, `isBase64Encoded`, `headers` of strings, and `body` if there is one.

    >>> render(Response(200, (("content-type", "text/plain"),), b"hi"), "GET")
    {'statusCode': 200, 'isBase64Encoded': False, 'headers': {'content-type': 'text/plain'}, 'body': 'hi'}

    Args:
        response: what the backend answered, or a refusal.
        method: the request's; the answer to a HEAD has no body.
        set_cookie: where cookies are written, see `assumptions.SET_COOKIE`.
        drop: names of headers that do not reach the caller, in lower case.

    Raises:
        BackendFailed: the reply is larger than Lattice accepts.
    """
    return assemble(response, method, _cookies_beside if set_cookie == "cookies" else _cookies_inside, drop)


def _cookies_beside(headers: Mapping[str, list[str]], cookies: list[str]) -> dict[str, Any]:
    return {HEADERS: join_values(headers), **({COOKIES: cookies} if cookies else {})}


def _cookies_inside(headers: Mapping[str, list[str]], cookies: list[str]) -> dict[str, Any]:
    return {HEADERS: {**join_values(headers), **({"set-cookie": cookies} if cookies else {})}}


def assemble(
    response: Response, method: str, header_fields: HeaderFields, drop: frozenset[str], limit: int = REPLY_LIMIT
) -> Reply:
    """A reply in any format.

    `content-length` and hop-by-hop headers are left out: the service in front sets them. A body without a content type
    gets one.

    Args:
        response, method, drop: as for `render`.
        header_fields: writes the headers in the format's way.
        limit: bytes of JSON.

    Raises:
        BackendFailed: the reply is larger than `limit`.
    """
    content = b"" if method == "HEAD" or response.status in (204, 304) else response.content
    headers, cookies = _sendable(response.headers, drop)
    if isinstance(content, Base64) and "content-type" in headers:
        # It can be passed on as it came, if it fits. As text it might be shorter.
        reply = _empty_reply(response.status, header_fields(headers, cookies))
        if _size(reply | {BODY: ""}) + len(content.text) <= limit:
            return reply | {IS_BASE64: True, BODY: content.text}
    if not content:
        reply = _empty_reply(response.status, header_fields(headers, cookies))
        if _longest(response.headers, b"") > limit and (size := _size(reply)) > limit:
            raise _too_large(size, limit)
        return reply
    body = response.body
    text = _as_text(body)
    headers.setdefault("content-type", [BINARY_CONTENT_TYPE if text is None else DEFAULT_CONTENT_TYPE])
    reply = _empty_reply(response.status, header_fields(headers, cookies))
    if text is not None and _longest(response.headers, body) <= limit:
        reply[BODY] = text
    else:
        _put_body(reply, body, text, limit)
    return reply


def join_values(headers: Mapping[str, list[str]]) -> dict[str, str]:
    """The values of each name joined by `, `, which RFC 9110 §5.3 allows for all headers but `set-cookie`."""
    return {name: ", ".join(values) for name, values in headers.items()}


def _empty_reply(status: int, header_fields: dict[str, Any]) -> Reply:
    return {STATUS: status, IS_BASE64: False, **header_fields}


_NEVER_SENT: Final = names.HOP_BY_HOP | {"content-length"}


def _sendable(pairs: Pairs, drop: frozenset[str]) -> tuple[dict[str, list[str]], list[str]]:
    """The headers that reach the caller, with all values of each name, and the values of `set-cookie`."""
    dropped = _NEVER_SENT | drop if drop else _NEVER_SENT
    for name, value in pairs:
        if name == "connection":
            dropped |= {names.lower(token.strip()) for token in value.split(",")} - names.SINGLE
    found: dict[str, list[str]] = {}
    for name, value in pairs:
        if name in dropped:
            continue
        if name in names.SINGLE:
            found[name] = [value]
        else:
            found.setdefault(name, []).append(value)
    cookies = found.pop("set-cookie", [])
    return found, cookies


def _as_text(body: bytes) -> str | None:
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError:
        return None


def _put_body(reply: Reply, body: bytes, text: str | None, limit: int) -> None:
    """Text as it is, unless only base64 keeps the reply within the limit; bytes that are not text as base64.

    Sizes are of JSON with every non-ASCII character escaped, which is how Lambda's older Python runtimes write it.
    """
    if text is not None:
        reply[BODY] = text
        if _size(reply | {BODY: ""}) + len(body) * LONGEST_ESCAPE <= limit or _size(reply) <= limit:
            return
    reply[IS_BASE64] = True
    reply[BODY] = base64.b64encode(body).decode("ascii")
    if (size := _size(reply | {BODY: ""}) + len(reply[BODY])) > limit:
        raise _too_large(size, limit)


def _longest(headers: Pairs, body: bytes) -> int:
    """More bytes than the JSON of a reply with these headers and this text can have. Nothing is written to find it.

    A format may write a header into two maps, each with punctuation, and a character may become `\\ud83d\\ude00`.
    """
    return 1024 + sum([32 + 24 * (len(name) + len(value)) for name, value in headers]) + LONGEST_ESCAPE * len(body)


def _size(reply: Reply) -> int:
    return len(json.dumps(reply))


def _too_large(size: int, limit: int) -> BackendFailed:
    return BackendFailed("reply_too_large", f"the reply would be {size} bytes of JSON; at most {limit} are accepted")


def problem(refusal: BridgeError, request_id: str, *, bearer: bool = False) -> Response:
    """The response for a refusal, as RFC 9457 describes it.

    It does not contain the reason: a caller that learns why it was refused learns about other callers and tenants.

    Args:
        refusal: the error that ended the request.
        request_id: as in the log.
        bearer: whether a token in `authorization` may be accepted. The challenge is the same with and without a token:
            RFC 6750's `error` and `error_description` would contain the reason.
    """
    body = {"title": refusal.title, "status": refusal.status, "requestId": request_id}
    headers = [("content-type", "application/problem+json"), ("cache-control", "no-store")]
    if refusal.status == 401:  # RFC 9110 §11.6.1 requires a challenge; Lattice accepts this one
        headers.append(("www-authenticate", _BOTH_CHALLENGES if bearer else _CHALLENGE))
    if refusal.retry_after is not None:
        headers.append(("retry-after", str(refusal.retry_after)))
    return Response(refusal.status, tuple(headers), json.dumps(body).encode())


_CHALLENGE: Final = "AWS4-HMAC-SHA256"
_BOTH_CHALLENGES: Final = f'{_CHALLENGE}, Bearer realm="api"'
"""RFC 6750 §3 requires a parameter after `Bearer`. The realm is constant, so it says nothing."""

ACCEPTED: Final = Response(202)
"""The answer to a request whose backend is invoked asynchronously."""
