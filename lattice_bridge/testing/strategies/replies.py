"""Answers of functions: in the shapes of web frameworks, and broken.

Rule: the values are bytes, as Lambda returns them.
"""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any, Final

from hypothesis import strategies as st

from lattice_bridge.testing.strategies.requests import some
from lattice_bridge.testing.strategies.who import as_one

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

Table = dict[str, Any]


_SCALARS: Final = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
)
_DATA: Final = st.recursive(
    _SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["a", "", "status", "body", "headers", "errorType"]), inner, max_size=3)
    ),
    max_leaves=6,
)
_STATUSES: Final = (200, 201, 202, 204, 206, 301, 304, 400, 404, 418, 429, 500, 503, 599, "200", "404", 200.0)
_REPLY_LINES: Final[tuple[tuple[str, Any], ...]] = (
    *(("x-a", "1"), ("X-A", "1"), ("x-b", 5), ("x-c", 1.5), ("x-d", True), ("x-e", None), ("x-f", "")),
    *(("Location", "/orders/1?a=b"), ("etag", '"1"'), ("retry-after", 1), ("cache-control", "no-store")),
    *(("Set-Cookie", "a=1; Path=/"), ("Set-cookie", "b=2; Expires=Thu, 20 Nov 2025 00:00:00 GMT")),
    *(("content-length", "1"), ("connection", "x-a, close"), ("Transfer-Encoding", "chunked"), ("keep-alive", "5")),
    *(("access-control-allow-origin", "*"), ("x-amzn-errortype", "a"), ("date", "Thu, 20 Nov 2025 00:00:00 GMT")),
    *(("x-g", "é日本"), ("vary", "a, b"), ("set-cookie", "c=3"), ("Set-Cookie", "d=4"), ("set-cookie", "e=5")),
    *(("x-list", ["1", "2"]), ("x-none", []), ("x-long", "x" * 1000), ("x!y", "\t")),
)
_TYPES: Final[tuple[Table, ...]] = (
    *({}, {"content-type": "application/json"}, {"Content-Type": "text/html; charset=utf-8"}),
    *({"CONTENT-TYPE": "image/png"}, {"Content-Type": "text/plain", "content-type": "text/plain"}),
)
_REPLY_BODIES: Final[SearchStrategy[Table]] = st.one_of(
    st.sampled_from(
        [
            {},
            {"body": ""},
            {"body": None},
            {"body": "hi"},
            {"body": '{"a": 1}', "isBase64Encoded": False},
            {"body": "aGk=", "isBase64Encoded": True},
            {"body": "/w==", "isBase64Encoded": True},
            {"body": "", "isBase64Encoded": True},
            {"body": None, "isBase64Encoded": None},
            {"body": "é日本😀\u2028\x00", "isBase64Encoded": False},
        ]
    ),
    st.text(max_size=16).map(lambda text: {"body": text}),
    st.binary(max_size=16).map(
        lambda content: {"body": base64.b64encode(content).decode("ascii"), "isBase64Encoded": True}
    ),
)
_COOKIE_LISTS: Final[tuple[list[str] | None, ...]] = (None, [], ["a=1"], ["a=1", "b=2; Path=/"], ["a=1", "a=1"], [""])


def backend_replies(valid: bool | None = True) -> SearchStrategy[bytes]:
    """Answers of functions, as Lambda returns them: JSON.

    Valid are the shapes that web frameworks for Lambda return: those of Lattice and of API Gateway's payload 2.0
    (`headers`, `cookies`), of 1.0 and ALB (`multiValueHeaders`), with numbers and booleans as values and names in any
    case; and any other JSON, which is data.

    Args:
        valid: whether the bridge can make a reply of it (`lattice_bridge.formats.reply.decode`); None for both.
    """
    if valid is None:
        return _VALID | as_one(_BROKEN)
    return _VALID if valid else _BROKEN


def _headers_of(kind: Table, lines: list[tuple[str, Any]]) -> Table:
    return {**kind, **dict(lines)}


def _two(status: Any, headers: Table | None, cookies: list[str] | None, body: Table) -> Table:
    reply: Table = {"statusCode": status, **({} if headers is None else {"headers": headers})}
    return {**reply, **({} if cookies is None else {"cookies": cookies}), **body}


def _one(status: Any, headers: Table, single: bool, body: Table) -> Table:
    """A reply for API Gateway 1.0 and ALB; frameworks also write the last of several values to `headers`."""
    lists = {name: value if isinstance(value, list) else [value] for name, value in headers.items()}
    last = {name: values[-1] for name, values in lists.items() if values} if single else {}
    described = {"statusDescription": f"{status} x"} if single else {}
    return {"statusCode": status, **described, "headers": last, "multiValueHeaders": lists, **body}


_HEADER_MAPS: Final = st.builds(_headers_of, st.sampled_from(_TYPES), some(_REPLY_LINES, 4))
_REPLIES: Final[SearchStrategy[Table]] = st.one_of(
    st.builds(
        _two,
        st.sampled_from(_STATUSES),
        st.one_of(st.none(), _HEADER_MAPS, as_one(_HEADER_MAPS)),
        st.sampled_from(_COOKIE_LISTS),
        _REPLY_BODIES,
    ),
    st.builds(_one, st.sampled_from(_STATUSES), _HEADER_MAPS, st.booleans(), _REPLY_BODIES),
)


def _compact(value: Any) -> bytes:
    """The shortest JSON; lone surrogates are written as escapes."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    try:
        return text.encode()
    except UnicodeEncodeError:
        return json.dumps(value).encode()


_WRITINGS: Final = (
    _compact,
    lambda value: json.dumps(value).encode(),
    lambda value: json.dumps(value, indent=2).encode() + b"\n",
)
_VALID: Final[SearchStrategy[bytes]] = st.builds(
    lambda write, value: write(value), st.sampled_from(_WRITINGS), _REPLIES | _DATA
)
_WRONG: Final[tuple[tuple[str, tuple[Any, ...]], ...]] = (
    ("statusCode", (None, "", 0, 100, 199, 600, -200, 200.5, True, "2e2", " 200", "٢٠٠", [200], {})),
    ("headers", ("x", [], 1, True, [["x", "1"]], {"a b": "1"}, {"": "1"}, {"é": "1"}, {"x:": "1"})),
    ("headers", ({"x": "a\r\nb"}, {"x": "\0"}, {"x": "\x7f"}, {"x": "\ud800"}, {"x": {}}, {"x": [["a"]]}, {"x": [{}]})),
    ("multiValueHeaders", ("x", [], {"a\n": ["1"]}, {"x": ["1", {}]}, {"x": ["\r"]}, {"Location": ["a", "b"]})),
    ("cookies", ("a=1", {}, 1, [1], [None], ["a\nb"], [["a=1"]])),
    ("body", (1, True, {}, [], {"a": 1}, 0, "\ud800", "a\udfff")),
    ("isBase64Encoded", ("true", "", 0, 1, [], {})),
)
_FAULTS: Final[tuple[tuple[str, Any], ...]] = tuple((name, value) for name, values in _WRONG for value in values)
_NO_JSON: Final = (
    *(b"", b" ", b"{", b"}", b"hi", b"<html></html>", b"'a'", b"NaN", b"Infinity", b'{"statusCode":NaN}', b"\xff"),
    b"01",
    *(b"None", b"True", b'{"statusCode":200,}', b'"a', b"[1,]", b'"\x00"', b"\xef\xbb\xbf{}", b"[" * 100_000),
    b"9" * 5000,
    *(b'{"statusCode":200,"body":"\xff"}', b"{}{}", b"//\n{}", b'{"a":-Infinity}'),
)
_NO_BASE64: Final = ("a", "aGk", "aGk==", "aG k=", "aGk=\n", "_-8=", "é", "====", "aGk=x")
_BROKEN: Final[SearchStrategy[bytes]] = st.one_of(
    st.sampled_from(_NO_JSON),
    st.builds(
        lambda reply, fault: json.dumps({**reply, fault[0]: fault[1]}).encode(), _REPLIES, st.sampled_from(_FAULTS)
    ),
    st.builds(
        lambda reply, text: json.dumps({**reply, "body": text, "isBase64Encoded": True}).encode(),
        _REPLIES,
        st.sampled_from(_NO_BASE64),
    ),
    st.builds(lambda reply, size: json.dumps(reply).encode()[: -1 - size], _REPLIES, st.integers(0, 10)),
)
