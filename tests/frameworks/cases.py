"""The requests for every framework, and the right results.

Rule: data. A case is one request and one value; other results of a framework are in `losses`.
"""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Callable
from dataclasses import dataclass
from http.cookies import SimpleCookie
from typing import Any, Final

API_GATEWAY: Final = frozenset({"apigateway-v2", "apigateway-v1"})
NOT_LATTICE: Final = API_GATEWAY | {"alb"}
EVERY: Final = NOT_LATTICE | {"lattice-v1", "lattice-v2"}

HANDLERS: Final = (
    ("mangum", "apigateway-v2"),
    ("mangum", "apigateway-v1"),
    ("mangum", "alb"),
    ("apig-wsgi", "apigateway-v2"),
    ("apig-wsgi", "apigateway-v1"),
    ("apig-wsgi", "alb"),
    ("serverless-wsgi", "apigateway-v2"),
    ("serverless-wsgi", "apigateway-v1"),
    ("serverless-wsgi", "alb"),
    ("powertools", "apigateway-v2"),
    ("powertools", "apigateway-v1"),
    ("powertools", "alb"),
    ("powertools", "lattice-v1"),
    ("powertools", "lattice-v2"),
)
"""(framework, payload); `framework-payload` is the function's name, and its path."""

HOST: Final = "api.example.com"
CLIENT: Final = "127.0.0.1"
"""The address that Lattice sees: the right-most of `x-forwarded-for`."""

_FORM: Final = "application/x-www-form-urlencoded"
_EVERY_BYTE: Final = bytes(range(256))
_MULTIPART: Final = (
    b'--frontier\r\ncontent-disposition: form-data; name="name"\r\n\r\ncaf\xc3\xa9\r\n'
    b'--frontier\r\ncontent-disposition: form-data; name="file"; filename="all.bin"\r\n'
    b"content-type: application/octet-stream\r\n\r\n" + _EVERY_BYTE + b"\r\n--frontier--\r\n"
)

Pairs = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Request:
    """A request.

    Attributes:
        target: path, without the backend's prefix, and query, as they go over the wire.
        headers: beside `host` and the tenant's; UTF-8 on the wire.
        tenant: who is named in `x-tenant-id`.
        host: with a port, if any.
    """

    target: str
    method: str = "GET"
    headers: Pairs = ()
    body: bytes = b""
    tenant: str = "BlueTenant"
    host: str = HOST


@dataclass(frozen=True, slots=True)
class Answer:
    """A response, and the requested target with its prefix."""

    status: int
    headers: Pairs
    body: bytes
    target: str

    def values(self, name: str) -> list[str]:
        return [value for found, value in self.headers if found == name]

    def json(self) -> Any:
        return json.loads(self.body)


View = Callable[[Answer], object]


@dataclass(frozen=True, slots=True)
class Case:
    """One request, the part of its answer that is compared, and the expected value.

    Attributes:
        id: in pytest's output.
        name: in the table of docs/backends.md.
        view: of the answer.
        right: what a view has to show, as JSON has it.
        payloads: that can say it at all.
    """

    id: str
    name: str
    request: Request
    view: View
    right: object
    payloads: frozenset[str] = EVERY


# ---- views ----------------------------------------------------------------------------------------------------------


def told(view: View) -> View:
    """Of an answer that is none of the app's, the status."""
    return lambda answer: view(answer) if answer.status == 200 else answer.status


def field(name: str) -> View:
    return told(lambda answer: answer.json()[name])


def header(name: str) -> View:
    """Every line of that name that the app saw."""
    return told(lambda answer: [value for found, value in answer.json()["headers"] if found == name])


def members(name: str) -> View:
    """The members of a list in a header; RFC 9110 has `a, b` mean the same as two lines."""
    return told(
        lambda answer: [
            member.strip() for found, value in answer.json()["headers"] if found == name for member in value.split(",")
        ]
    )


def _path(answer: Answer) -> str:
    """Behind the backend's prefix."""
    seen: str = answer.json()["path"]
    return seen[seen.index("/echo") :]


def _whole_path(answer: Answer) -> bool:
    return bool(answer.json()["path"] == answer.target)


def _tenant_headers(answer: Answer) -> object:
    """Whatever a careless app could take for the tenant's name."""
    return [pair for pair in answer.json()["headers"] if "tenant" in pair[0].lower()]


def _tenants(answer: Answer) -> object:
    """In the context, in the header, and of all requests that this process has had."""
    seen = answer.json()
    return [seen["tenant"], *(value for name, value in seen["headers"] if name == "x-tenant-id"), *seen["served"]]


def _authorized_tenant(answer: Answer) -> object:
    found = answer.json()["authorizer"]
    return found.get("lambda", found).get("tenantId")


def _request_id(answer: Answer) -> bool:
    seen = [value for name, value in answer.json()["headers"] if name == "x-request-id"]
    return seen == answer.values("x-amzn-requestid")


def _decoded(name: str) -> View:
    return told(lambda answer: list(base64.b64decode(answer.json()[name])))


def _upload(answer: Answer) -> object:
    seen = answer.json()
    return [seen["name"], seen["filename"], base64.b64decode(seen["content"]) == _EVERY_BYTE]


def _cookies_set(answer: Answer) -> object:
    """Name, value and expiry of each `set-cookie`; how attributes are ordered and spelled is the framework's taste."""
    found = [SimpleCookie(line) for line in answer.values("set-cookie")]
    return [[name, morsel.value, morsel["expires"]] for cookie in found for name, morsel in cookie.items()]


def _list(answer: Answer) -> object:
    return [member.strip() for value in answer.values("x-list") for member in value.split(",")]


def _type_and_body(answer: Answer) -> object:
    return [answer.values("content-type"), answer.body.decode()]


def _unpacked(answer: Answer) -> object:
    return [answer.values("content-encoding"), gzip.decompress(answer.body).decode()]


def _bytes(answer: Answer) -> object:
    return [answer.values("content-type"), list(answer.body)]


def _status_and(name: str) -> View:
    return lambda answer: [answer.status, answer.values(name), len(answer.body)]


def _failure(answer: Answer) -> object:
    """The status, and whether the caller receives the exception's message."""
    return [answer.status, b"secret" in answer.body]


def _status(answer: Answer) -> object:
    return answer.status


# ---- cases ----------------------------------------------------------------------------------------------------------


def _query(id: str, name: str, raw: str, *right: list[str]) -> Case:  # noqa: A002 - the field's name
    return Case(f"query-{id}", name, Request(f"/echo?{raw}"), field("query"), list(right))


def _at(id: str, name: str, path: str, right: str) -> Case:  # noqa: A002
    return Case(f"path-{id}", name, Request(path), told(_path), right)


def _post(path: str, body: bytes, content_type: str, method: str = "POST") -> Request:
    return Request(path, method, (("content-type", content_type),), body)


def _header(id: str, name: str, view: View, right: object, *headers: tuple[str, str]) -> Case:  # noqa: A002
    return Case(f"header-{id}", name, Request("/echo", headers=headers), view, right)


_FORGED: Final = (("x-amz-tenant-id", "GreenTenant"), ("x-amzn-tenant-id", "GreenTenant"))

CASES: Final = (
    _query("repeated", "a name twice in the query: `a=1&a=2`", "a=1&a=2", ["a", "1"], ["a", "2"]),
    _query("space", "`%20` in the query is a space", "a=x%20y", ["a", "x y"]),
    _query("plus", "`+` in the query is a space", "a=x+y", ["a", "x y"]),
    _query("encoded-plus", "`%2B` in the query is a plus", "a=x%2By", ["a", "x+y"]),
    _query("slash", "`%2F` in the query is a slash", "a=x%2Fy", ["a", "x/y"]),
    _query("separators", "`%26` and `%3D` in the query separate nothing", "a=x%26b%3Dy", ["a", "x&b=y"]),
    _query("comma", "a comma in the query: `a=1,2` is one value", "a=1,2", ["a", "1,2"]),
    _query("encoded-comma", "`a=1%2C2` is one value", "a=1%2C2", ["a", "1,2"]),
    _query("empty", "an empty value: `a=&b=1`", "a=&b=1", ["a", ""], ["b", "1"]),
    _query("no-value", "a name without `=`", "flag", ["flag", ""]),
    _query("utf8", "UTF-8 in the query", "a=caf%C3%A9", ["a", "café"]),
    _query("name", "an encoded name: `a%5B%5D=1`", "a%5B%5D=1", ["a[]", "1"]),
    _query("twice-encoded", "`%2541` in the query is decoded once", "a=%2541", ["a", "%41"]),
    Case("path-prefix", "the backend's own prefix is part of the path", Request("/echo"), told(_whole_path), True),
    _at("space", "`%20` in the path is a space", "/echo/a%20b", "/echo/a b"),
    _at("plus", "`+` in the path is a plus", "/echo/a+b", "/echo/a+b"),
    _at("utf8", "UTF-8 in the path", "/echo/caf%C3%A9", "/echo/café"),
    _at("twice-encoded", "`%2541` in the path is decoded once", "/echo/%2541", "/echo/%41"),
    _at("slashes", "`//` and a last `/` stay", "/echo/a//b/", "/echo/a//b/"),
    Case("path-slash", "`%2F` in the path does not divide it", Request("/item/a%2Fb"), field("item"), "a/b"),
    _header("case", "a header's name in any case", header("x-mixed"), ["1"], ("X-MiXed", "1")),
    _header("repeated", "a header twice", members("x-tag"), ["a", "b"], ("x-tag", "a"), ("x-tag", "b")),
    _header("comma", "a header with a comma", header("x-at"), ["Wed, 02 Jan 2030"], ("x-at", "Wed, 02 Jan 2030")),
    _header("utf8", "UTF-8 in a header", header("x-name"), ["café ✓"], ("x-name", "café ✓")),
    _header("empty", "an empty header", header("x-empty"), [""], ("x-empty", "")),
    _header("cookies", "two cookies", field("cookies"), {"a": "1", "b": "2"}, ("cookie", "a=1; b=2")),
    _header(
        "cookie-lines",
        "two cookies in two headers",
        field("cookies"),
        {"a": "1", "b": "2"},
        ("cookie", "a=1"),
        ("cookie", "b=2"),
    ),
    _header("no-cookies", "no cookie", field("cookies"), {}),
    *(
        Case(f"method-{method.lower()}", f"`{method}`", Request("/echo", method), field("method"), method)
        for method in ("PUT", "PATCH", "DELETE", "OPTIONS")
    ),
    Case("in-none", "`POST` without a body", Request("/body", "POST"), field("body"), ""),
    Case(
        "in-json",
        "JSON in",
        _post("/json", '{"n":1.5,"t":"café"}'.encode(), "application/json"),
        field("parsed"),
        {"n": 1.5, "t": "café"},
    ),
    Case(
        "in-json-charset",
        "JSON in, `application/json; charset=utf-8`",
        _post("/json", '["café"]'.encode(), "application/json; charset=utf-8"),
        field("parsed"),
        ["café"],
    ),
    Case(
        "in-form",
        "a form in, with a name twice",
        _post("/form", b"name=caf%C3%A9+%26&tag=1&tag=2", _FORM),
        told(lambda answer: [answer.json()["name"], answer.json()["tags"]]),
        ["café &", ["1", "2"]],
    ),
    Case(
        "in-upload",
        "a multipart form in, with a binary file",
        _post("/upload", _MULTIPART, "multipart/form-data; boundary=frontier"),
        told(_upload),
        ["café", "all.bin", True],
    ),
    Case(
        "in-binary",
        "every byte in",
        _post("/body", _EVERY_BYTE, "application/octet-stream"),
        _decoded("body"),
        list(_EVERY_BYTE),
    ),
    Case(
        "in-text",
        "UTF-8 text in, by `PATCH`",
        _post("/body", "naïve ✓".encode(), "text/plain; charset=utf-8", "PATCH"),
        _decoded("body"),
        list("naïve ✓".encode()),
    ),
    Case(
        "in-latin1",
        "text in that is not UTF-8",
        _post("/body", b"na\xefve", "text/plain; charset=latin-1"),
        _decoded("body"),
        list(b"na\xefve"),
    ),
    Case("out-binary", "every byte out", Request("/png"), _bytes, [["image/png"], list(_EVERY_BYTE)]),
    Case(
        "out-text",
        "UTF-8 text out",
        Request("/text"),
        _type_and_body,
        [["text/plain; charset=utf-8"], "naïve ✓ 😀"],
    ),
    Case("out-gzip", "gzip out", Request("/gzip"), _unpacked, [["gzip"], "unpacked"]),
    Case(
        "out-cookies",
        "two cookies out, one with a date",
        Request("/cookies"),
        _cookies_set,
        [["one", "1", "Wed, 02 Jan 2030 03:04:05 GMT"], ["two", "2", ""]],
    ),
    Case("out-list", "a header twice out", Request("/list"), _list, ["a", "b"]),
    Case("out-204", "204", Request("/empty"), lambda answer: [answer.status, len(answer.body)], [204, 0]),
    Case("out-304", "304 with its `etag`", Request("/unchanged"), _status_and("etag"), [304, ['"v1"'], 0]),
    Case("out-head", "`HEAD`", Request("/head", "HEAD"), _status_and("x-head"), [200, ["1"], 0]),
    Case(
        "out-redirect",
        "302 with its `location`, as the app wrote it",
        Request("/redirect"),
        lambda answer: [answer.status, answer.values("location")],
        [302, ["/elsewhere?a=%2F"]],
    ),
    Case("out-404", "no such route: 404", Request("/nowhere"), _status, 404),
    Case("out-500", "the app answers 500", Request("/error"), _status, 500),
    Case(
        "out-raises",
        "an exception without a handler: 500, without its message",
        Request("/raises"),
        _failure,
        [500, False],
    ),
    Case("client", "the client's address", Request("/echo"), field("client"), CLIENT),
    Case(
        "client-forged",
        "the client's address, when the client writes an `x-forwarded-for` of its own",
        Request("/echo", headers=(("x-forwarded-for", "198.51.100.7"),)),
        field("client"),
        CLIENT,
    ),
    Case("scheme", "the scheme", Request("/echo"), field("scheme"), "https", NOT_LATTICE),
    Case("host", "the host", Request("/echo"), field("host"), HOST),
    Case("host-port", "the host, with a port", Request("/echo", host=f"{HOST}:8443"), field("host"), f"{HOST}:8443"),
    Case(
        "tenant-blue",
        "the tenant: the context's is the header's",
        Request("/echo"),
        told(_tenants),
        ["BlueTenant"] * 3,
    ),
    Case(
        "tenant-green",
        "another tenant, in a process of its own",
        Request("/echo", tenant="GreenTenant"),
        told(_tenants),
        ["GreenTenant"] * 3,
    ),
    Case(
        "tenant-forged",
        "another tenant's name under `x-amz-tenant-id` or `x-amzn-tenant-id` is not seen",
        Request("/echo", headers=_FORGED),
        told(_tenant_headers),
        [["x-tenant-id", "BlueTenant"]],
    ),
    Case(
        "tenant-authorizer",
        "the tenant in `requestContext.authorizer`",
        Request("/echo"),
        told(_authorized_tenant),
        "BlueTenant",
        API_GATEWAY,
    ),
    Case("request-id", "`x-request-id` is the one in the answer", Request("/echo"), told(_request_id), True),
)
