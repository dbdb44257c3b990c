"""The backend's answer -> Response -> a reply that Lattice accepts.

Rule: what leaves here is always a valid reply. What a backend says is either understood whole or a 502; nothing of an
answer that was not understood reaches the caller.
"""

from __future__ import annotations

import base64
import itertools
import json
import math
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal, NoReturn

from lattice_bridge.errors import BackendFailed, BridgeError
from lattice_bridge.formats.assumptions import BINARY_CONTENT_TYPE, DEFAULT_CONTENT_TYPE, SET_COOKIE
from lattice_bridge.http import headers as names
from lattice_bridge.http.base64 import Base64
from lattice_bridge.message import Pairs, Response

REPLY_LIMIT: Final = 6 * 1024 * 1024
MAX_BRACKETS: Final = 2_000_000
"""Opening brackets in an answer, those in a text included. Ours: an answer of 6 MB can hold three times as many, and
Python's parser would need a second and 300 MB for them."""

MAX_HEADER_LINES: Final = 200
"""Of `headers`, `multiValueHeaders` and `cookies` together. Ours: common servers and clients take 100."""
MAX_HEADER_BYTES: Final = 64 * 1024
"""Names and values of one reply. Ours: common servers and clients take that much or less."""

LONGEST_ESCAPE: Final = 6
"""Bytes of JSON that one byte of text can become: `\\u0001`."""

Reply = dict[str, Any]
SetCookie = Literal["cookies", "headers"]


# ---- answer -> Response ---------------------------------------------------------------------------------------------


def decode(answer: bytes) -> Response:
    """What the backend meant, in any of the shapes that Lambda web frameworks give.

    An object with `statusCode` is a response, in the fields of Lattice and API Gateway v2 (`headers`, `cookies`) or of
    API Gateway v1 and ALB (`multiValueHeaders`). Anything else is data: 200, `application/json`, the bytes as they are.

    Raises:
        BackendFailed: not JSON, or a response that cannot be one.
    """
    found = _read(answer)
    if isinstance(found, BackendFailed):
        raise found
    return found


def _read(answer: bytes) -> Response | BackendFailed:
    """The response, or why there is none. The error is returned without its frames, which hold the parsed answer."""
    try:
        value = _parsed(answer)
        if not isinstance(value, dict) or "statusCode" not in value:
            return Response(200, (("content-type", "application/json"),), answer)
        status, headers = _status(value["statusCode"]), _headers(value)
        return Response(status, headers, _body(value.get("body"), value.get("isBase64Encoded")))
    except BackendFailed as error:
        return error.without_frames()


def _parsed(answer: bytes) -> object:
    if answer.count(b"[") + answer.count(b"{") > MAX_BRACKETS:
        raise _unreadable(f"more than {MAX_BRACKETS} opening brackets")
    try:
        return _DECODER.decode(answer.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise _unreadable(f"not JSON: {type(error).__name__}") from error


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


_DECODER: Final = json.JSONDecoder(parse_constant=_no_constant)


def _unreadable(what: str) -> BackendFailed:
    return BackendFailed("backend_unreadable", what)


def _status(value: object) -> int:
    """200 to 599. Some frameworks write it as a string; a float with nothing after the point is JSON's own doing."""
    if isinstance(value, str):
        value = int(value) if re.fullmatch("[0-9]{3}", value) else None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 200 <= value <= 599:
        raise _unreadable("statusCode is not a number from 200 to 599")
    return value


def _headers(answer: Mapping[str, Any]) -> Pairs:
    """All headers in order, cookies last. A name in `multiValueHeaders` replaces the same name in `headers`, as API
    Gateway documents; frameworks put the last of several values there a second time.

    serverless-wsgi writes several cookies under names that differ by case (`Set-Cookie`, `Set-cookie`), so a cookie in
    `headers` is only replaced by an equal one.
    """
    _check_lines(answer)
    multi = list(_pairs(answer.get("multiValueHeaders"), "multiValueHeaders"))
    cookies = [("set-cookie", value) for value in _cookies(answer.get("cookies"))]
    named, known = {name for name, _ in multi} - {"set-cookie"}, set(multi)
    single = [pair for pair in _pairs(answer.get("headers"), "headers") if pair[0] not in named and pair not in known]
    known.update(single)
    pairs = single + multi + [cookie for cookie in cookies if cookie not in known]
    size = sum(len(name) + len(value.encode()) for name, value in pairs)
    if size > MAX_HEADER_BYTES:
        raise _unreadable(f"{size} bytes of headers; at most {MAX_HEADER_BYTES} are passed on")
    _refuse_contradictions(pairs)
    return tuple(pairs)


def _check_lines(answer: Mapping[str, Any]) -> None:
    """Counts the lines before one is read: an answer of 6 MB can hold a million of them."""
    fields = [answer.get(field) for field in ("headers", "multiValueHeaders")]
    entries = itertools.chain.from_iterable(field.values() for field in fields if isinstance(field, Mapping))
    cookies = answer.get("cookies")
    lines = len(cookies) if isinstance(cookies, list) else 0
    lines += sum(len(entry) if isinstance(entry, list) else 1 for entry in entries)
    if lines > MAX_HEADER_LINES:
        raise _unreadable(f"{lines} header lines; at most {MAX_HEADER_LINES} are passed on")


def _pairs(value: object, field: str) -> Iterator[tuple[str, str]]:
    if value is None:
        return
    if not isinstance(value, Mapping):
        raise _unreadable(f"{field} is not an object")
    for name, entry in value.items():
        if not names.is_token(name):
            raise _unreadable(f"a name in {field} is not a header name")
        for item in entry if isinstance(entry, list) else [entry]:
            if item is not None:
                yield names.lower(name), _text(item, f"{field}: {names.lower(name)[:64]}")


def _cookies(value: object) -> Iterator[str]:
    if value is None:
        return
    if not isinstance(value, list):
        raise _unreadable("cookies is not a list")
    for item in value:
        if not isinstance(item, str):
            raise _unreadable("a cookie is not a string")
        yield _text(item, "cookies")


def _text(value: object, place: str) -> str:
    """A header's value as text; `5`, `1.5` and `true` are what people write in JSON."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int) or (isinstance(value, float) and math.isfinite(value)):
        return json.dumps(value)
    if not isinstance(value, str):
        raise _unreadable(f"{place} is neither text nor a number")
    if not names.is_sendable(value):
        raise _unreadable(f"{place} contains a control character or a lone surrogate")
    return value


def _refuse_contradictions(pairs: list[tuple[str, str]]) -> None:
    seen: dict[str, str] = {}
    for name, value in pairs:
        if name in names.SINGLE and seen.setdefault(name, value) != value:
            raise _unreadable(f"header {name} has two values")


def _body(value: object, is_base64: object) -> bytes | Base64:
    if is_base64 is not None and not isinstance(is_base64, bool):
        raise _unreadable("isBase64Encoded is not a boolean")
    if value is None:
        return b""
    if not isinstance(value, str):
        raise _unreadable("body is not a string; a structure has to be written with json.dumps")
    if is_base64 and value:
        found = Base64.checked(value)
        if found is None:
            raise _unreadable("body is marked as base64 and is not")
        return found
    try:
        return value.encode()
    except UnicodeError as error:
        raise _unreadable("body contains a lone surrogate") from error


# ---- Response -> reply ----------------------------------------------------------------------------------------------


def render(
    response: Response, method: str, set_cookie: SetCookie = SET_COOKIE, drop: frozenset[str] = frozenset()
) -> Reply:
    """The reply for Lattice: `statusCode`, `isBase64Encoded`, `headers` of strings, and `body` if there is one.

    `content-length` and hop-by-hop headers are left out: they are Lattice's to set. Repeated headers are joined with
    `, `, which RFC 9110 allows for all but `set-cookie`.

    Args:
        response: what to say.
        method: the request's; a HEAD has no body.
        set_cookie: where cookies go, see `assumptions.SET_COOKIE`.
        drop: names of headers that do not reach the caller, in lower case.

    Raises:
        BackendFailed: the reply would be larger than Lattice takes.
    """
    content = b"" if method == "HEAD" or response.status in (204, 304) else response.content
    headers, cookies = _joined(response.headers, drop)
    reply: Reply = {"statusCode": response.status, "isBase64Encoded": False, "headers": headers}
    if cookies and set_cookie == "cookies":
        reply["cookies"] = cookies
    elif cookies:
        headers["set-cookie"] = cookies
    if isinstance(content, Base64) and _passes(reply, content):
        reply |= {"isBase64Encoded": True, "body": content.text}
    elif content:
        _put_body(reply, response.body)
    elif _size(reply) > REPLY_LIMIT:
        raise _too_large(_size(reply))
    return reply


def _joined(pairs: Pairs, drop: frozenset[str]) -> tuple[dict[str, Any], list[str]]:
    nominated = {
        names.lower(token.strip()) for name, value in pairs if name == "connection" for token in value.split(",")
    }
    dropped = names.HOP_BY_HOP | nominated - names.SINGLE | {"content-length"} | drop
    found: dict[str, list[str]] = {}
    for name, value in pairs:
        if name in dropped:
            continue
        if name in names.SINGLE:
            found[name] = [value]
        else:
            found.setdefault(name, []).append(value)
    cookies = found.pop("set-cookie", [])
    return {name: ", ".join(values) for name, values in found.items()}, cookies


def _passes(reply: Reply, content: Base64) -> bool:
    """Whether base64 can go on as it came: it says what it is, and fits. As text it might be shorter."""
    return "content-type" in reply["headers"] and _size(reply | {"body": ""}) + len(content.text) <= REPLY_LIMIT


def _put_body(reply: Reply, body: bytes) -> None:
    """Text as it is, unless base64 is what keeps the reply within the limit; everything else as base64.

    Sizes are of JSON with every non-ASCII character escaped, which is how Lambda's older Python runtimes write it.
    """
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        text = None
    reply["headers"].setdefault("content-type", BINARY_CONTENT_TYPE if text is None else DEFAULT_CONTENT_TYPE)
    if text is not None:
        reply["body"] = text
        if _size(reply | {"body": ""}) + len(body) * LONGEST_ESCAPE <= REPLY_LIMIT or _size(reply) <= REPLY_LIMIT:
            return
    reply["isBase64Encoded"] = True
    reply["body"] = base64.b64encode(body).decode("ascii")
    if (size := _size(reply | {"body": ""}) + len(reply["body"])) > REPLY_LIMIT:
        raise _too_large(size)


def _size(reply: Reply) -> int:
    return len(json.dumps(reply))


def _too_large(size: int) -> BackendFailed:
    return BackendFailed("reply_too_large", f"the reply would be {size} bytes of JSON; Lattice takes {REPLY_LIMIT}")


def problem(refusal: BridgeError, request_id: str) -> Response:
    """RFC 9457. The reason stays here: a caller that learns why it is refused learns who else there is."""
    body = {"title": refusal.title, "status": refusal.status, "requestId": request_id}
    headers = [("content-type", "application/problem+json"), ("cache-control", "no-store")]
    if refusal.status == 401:  # RFC 9110 §11.6.1 asks for a challenge; this is the one that Lattice takes
        headers.append(("www-authenticate", "AWS4-HMAC-SHA256"))
    if refusal.retry_after is not None:
        headers.append(("retry-after", str(refusal.retry_after)))
    return Response(refusal.status, tuple(headers), json.dumps(body).encode())


ACCEPTED: Final = Response(202)
"""The answer to a request whose backend is invoked asynchronously."""
