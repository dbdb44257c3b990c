"""Faults of a function's reply, found before Lattice answers with a bare 5xx.

Rule: a fault has the place, the problem, the fix, and how well the rule is known (docs/wire.md §2). That Lattice
answers 502 to a reply that it refuses is always assumed. Replies that the local front refuses have faults here; replies
that the bridge renders have none.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from lattice_bridge.formats.reply import REPLY_LIMIT
from lattice_bridge.http import headers as names
from lattice_bridge.http.base64 import Base64

_KNOWN: Final = frozenset({"statusCode", "isBase64Encoded", "headers", "cookies", "body"})
_OTHERS: Final[Mapping[str, str]] = {
    "multiValueHeaders": "is API Gateway's and ALB's: Lattice reads headers alone; write several cookies to cookies, "
    "and join the values of other headers with ', '",
    "statusDescription": "is ALB's, and gone from Lattice's page; leave it out",
}


def assert_valid_reply(reply: object, method: str = "GET") -> None:
    """Asserts that Lattice can make a response of a function's reply without losing a part of it.

    >>> assert_valid_reply({"statusCode": 200, "headers": {"content-type": "text/plain"}, "body": "hi"})

    Args:
        reply: the value that the function returned, before it becomes JSON.
        method: the method of the request: the answer to a HEAD has no body.

    Raises:
        AssertionError: lists every fault, one on each line.
    """
    __tracebackhide__ = True
    if faults := reply_faults(reply, method):
        raise AssertionError("\n  ".join(["not a reply that Lattice is known to take whole:", *faults]))


def reply_faults(reply: object, method: str = "GET") -> list[str]:
    """Every fault of a reply, as `WHERE: PROBLEM; FIX [HOW WELL IT IS KNOWN]`; empty if there is none.

    Args:
        reply, method: as for `assert_valid_reply`.
    """
    try:
        text = json.dumps(reply, allow_nan=False)
        reply = json.loads(text)  # as Lambda sends it: a tuple becomes a list, an HTTPStatus a number
    except (TypeError, ValueError, RecursionError) as error:
        return [f"reply: cannot be written as JSON ({error}); return text, numbers, lists and dicts [documented]"]
    if not isinstance(reply, dict):
        kind = type(reply).__name__
        return [f'reply: is a {kind}, not an object; write {{"statusCode": 200, "body": …}} [documented]']
    return [*_faults(reply, method), *_size(len(text))]


def _size(size: int) -> Iterator[str]:
    if size > REPLY_LIMIT:
        yield f"reply: is {size} bytes of JSON; at most {REPLY_LIMIT}, of which base64 takes a third more [documented]"


def _faults(reply: Mapping[str, Any], method: str) -> Iterator[str]:
    yield from _status(reply)
    yield from _headers(reply)
    yield from _cookies(reply.get("cookies"))
    yield from _body(reply, method)
    for name in [name for name, value in reply.items() if name not in _KNOWN and not _is_zero(name, value)]:
        yield f"{name}: {_OTHERS.get(name, 'is no field of a reply, and is dropped; leave it out')} [documented]"


def _is_zero(name: str, value: object) -> bool:
    """Whether a field is a zero value of a typed language: Go and Java write `null`, `""` or `{}` for unset fields."""
    return name in _OTHERS and not value


def _status(reply: Mapping[str, Any]) -> Iterator[str]:
    if "statusCode" not in reply:
        yield "statusCode: is missing; write a number from 200 to 599 [documented]"
        return
    status = reply["statusCode"]
    if isinstance(status, bool) or not isinstance(status, int) or not 200 <= status <= 599:
        yield f"statusCode: {status!r} is refused; write a number from 200 to 599 [documented]"


# ---- headers --------------------------------------------------------------------------------------------------------


def _headers(reply: Mapping[str, Any]) -> Iterator[str]:
    headers = reply.get("headers")
    if headers is None:
        return
    if not isinstance(headers, dict):
        yield f'headers: is a {type(headers).__name__}; write an object, {{"content-type": "text/plain"}} [documented]'
        return
    for name, value in headers.items():
        yield from _header(name, value)
    yield from _contradictions(headers)


def _header(name: str, value: object) -> Iterator[str]:
    place = f"headers.{name}" if names.is_token(name) else f"headers.{name!r}"
    if not names.is_token(name):
        yield f"{place}: is not a header's name, and is refused; no spaces, colons or other alphabets [documented]"
    elif names.lower(name) == "content-length":
        yield f"{place}: is dropped: Lattice counts the body itself; leave it out [documented]"
    elif names.lower(name) in names.HOP_BY_HOP:
        yield f"{place}: is dropped: it is about the client's own connection; leave it out [documented]"
    if isinstance(value, list) and names.lower(name) == "set-cookie":
        for number, cookie in enumerate(value):
            yield from _text(f"{place}[{number}]", cookie)
    elif isinstance(value, list):
        yield f"{place}: is a list; join the values with ', ', and write several cookies to cookies [documented]"
        for number, line in enumerate(value):
            yield from _text(f"{place}[{number}]", line)
    else:
        yield from _text(place, value)


def _text(place: str, value: object) -> Iterator[str]:
    if not isinstance(value, str):
        yield f"{place}: {json.dumps(value)} is refused; write it as text [documented]"
    elif not names.is_sendable(value):
        yield f"{place}: is refused: it has control characters or a lone surrogate; {value[:80]!r} [documented]"


def _contradictions(headers: Mapping[str, Any]) -> Iterator[str]:
    """Names that differ by case are two names in JSON, and one in HTTP."""
    seen: dict[str, str] = {}
    for name, value in headers.items():
        first = seen.setdefault(names.lower(name), name)
        if first != name and names.lower(name) in names.SINGLE and headers[first] != value:
            yield f"headers.{name}: says otherwise than {first}, and which one counts is not known; write one [assumed]"


def _cookies(cookies: object) -> Iterator[str]:
    if cookies is None:
        return
    if not isinstance(cookies, list):
        yield f'cookies: is a {type(cookies).__name__}; write a list, ["a=1", "b=2"] [assumed]'
        return
    for number, cookie in enumerate(cookies):
        yield from _text(f"cookies[{number}]", cookie)


# ---- the body -------------------------------------------------------------------------------------------------------


def _body(reply: Mapping[str, Any], method: str) -> Iterator[str]:
    body, flag = reply.get("body"), reply.get("isBase64Encoded", False)
    if not isinstance(flag, bool):
        yield f"isBase64Encoded: {json.dumps(flag)} is no boolean; write true or false [documented]"
    if body is None:
        return
    if not isinstance(body, str):
        yield f"body: is a {type(body).__name__}, and is refused; write json.dumps(…) [documented]"
        return
    if not body:
        return
    if method == "HEAD" or reply.get("statusCode") in (204, 304):
        why = "the answer to a HEAD" if method == "HEAD" else f"a {reply['statusCode']}"
        yield f"body: is dropped: {why} has none; leave it out [documented]"
        return
    if flag is True and Base64.checked(body) is None:
        yield "body: is marked as base64 and is not, and is refused; write base64.b64encode(…).decode() [documented]"
    elif flag is not True and not _is_unicode(body):
        yield "body: has a lone surrogate, and is refused; write bytes that are not text as base64 [documented]"
    if not _says_type(reply.get("headers")):
        yield 'headers.content-type: is missing beside a body; write what it is, as in "application/json" [assumed]'


def _says_type(headers: object) -> bool:
    return isinstance(headers, dict) and any(names.lower(name) == "content-type" for name in headers)


def _is_unicode(body: str) -> bool:
    try:
        body.encode()
    except UnicodeEncodeError:
        return False
    return True
