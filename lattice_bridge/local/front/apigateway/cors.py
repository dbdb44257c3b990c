"""CORS as an HTTP API and a function URL answer it by themselves.

Rule: as http-api-cors.html says: with a configuration, preflights are answered without a function, and the headers that
a function returns for CORS are ignored.
"""

from __future__ import annotations

from collections.abc import Iterator

from lattice_bridge.local.front.exchange.http_message import HttpRequest, HttpResponse, Pairs
from lattice_bridge.local.plan.http_api import Cors

_PREFIX = "access-control-"


def is_preflight(request: HttpRequest) -> bool:
    """Whether a browser asks what it may send."""
    names = {name for name, _ in request.headers}
    return request.method == "OPTIONS" and {"origin", "access-control-request-method"} <= names


def preflight_headers(cors: Cors, request: HttpRequest) -> Pairs:
    """The headers of the answer to a preflight; none if its origin is not allowed."""
    origin = _allowed_origin(cors, request)
    return [] if origin is None else [*_common(cors, origin), *_of_preflight(cors)]


def with_cors(cors: Cors | None, request: HttpRequest, response: HttpResponse) -> HttpResponse:
    """The response with the headers of the configuration in place of the function's own."""
    if cors is None:
        return response
    origin = _allowed_origin(cors, request)
    added = [] if origin is None else [*_common(cors, origin), *_listed("expose-headers", cors.exposed)]
    kept = [pair for pair in response.headers if not pair[0].startswith(_PREFIX)]
    return HttpResponse(response.status, [*kept, *added], response.body)


def _allowed_origin(cors: Cors, request: HttpRequest) -> str | None:
    """The value of Access-Control-Allow-Origin."""
    sent = [value for name, value in request.headers if name == "origin"]
    if len(sent) != 1:
        return None
    if "*" in cors.origins:
        return "*"
    fits = any(sent[0] == one or (one.endswith("://*") and sent[0].startswith(one[:-1])) for one in cors.origins)
    return sent[0] if fits else None


def _common(cors: Cors, origin: str) -> Iterator[tuple[str, str]]:
    yield "access-control-allow-origin", origin
    if cors.credentials:
        yield "access-control-allow-credentials", "true"
    if origin != "*":
        yield "vary", "origin"


def _of_preflight(cors: Cors) -> Iterator[tuple[str, str]]:
    yield from _listed("allow-methods", cors.methods)
    yield from _listed("allow-headers", cors.headers)
    if cors.max_age is not None:
        yield "access-control-max-age", str(cors.max_age)


def _listed(name: str, values: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    if values:
        yield _PREFIX + name, ",".join(values)
