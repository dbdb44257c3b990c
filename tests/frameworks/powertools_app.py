"""Powertools' resolvers, one for each payload: what a request looks like to the app, and every kind of answer.

Rule: what a Powertools user would write; nothing is corrected here that the framework gets wrong.
"""

from __future__ import annotations

import base64
import gzip
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Any

from aws_lambda_powertools.event_handler import (
    ALBResolver,
    APIGatewayHttpResolver,
    APIGatewayRestResolver,
    Response,
    VPCLatticeResolver,
    VPCLatticeV2Resolver,
)
from aws_lambda_powertools.event_handler.api_gateway import ApiGatewayResolver, Router
from aws_lambda_powertools.event_handler.exceptions import InternalServerError
from aws_lambda_powertools.event_handler.openapi.params import File, Form, UploadFile
from aws_lambda_powertools.shared.cookies import Cookie
from aws_lambda_powertools.utilities.data_classes.api_gateway_proxy_event import (
    APIGatewayProxyEvent,
    APIGatewayProxyEventV2,
)

SERVED: set[str | None] = set()  # by this process
EXPIRES = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)
routes = Router()  # type: ignore[no-untyped-call] # Powertools leaves it untyped


def headers() -> list[tuple[str, str]]:
    """A name's values are in `multi_value_headers`, a list, or one string: that depends on the resolver."""
    event = routes.current_event
    found: dict[str, Any] = getattr(event, "multi_value_headers", None) or event.headers
    each = [(name, value if isinstance(value, list) else [value]) for name, value in found.items()]
    return [(name.lower(), value) for name, values in each for value in values]


def body_bytes() -> bytes:
    event = routes.current_event
    text = event.body or ""
    return base64.b64decode(text) if event.is_base64_encoded else text.encode()


def client() -> str:
    """The resolvers for ALB and Lattice have no property for it."""
    event = routes.current_event
    if isinstance(event, APIGatewayProxyEventV2):
        return event.request_context.http.source_ip
    if isinstance(event, APIGatewayProxyEvent):
        return event.request_context.identity.source_ip
    return dict(headers())["x-forwarded-for"].rpartition(",")[2].strip()


@routes.route("/echo", method=["GET", "PUT", "PATCH", "DELETE", "OPTIONS"])
@routes.route("/echo/.*", method=["GET"])
def echo() -> dict[str, Any]:
    event = routes.current_event
    query = event.resolved_query_string_parameters
    SERVED.add(routes.lambda_context.tenant_id)
    return {
        "method": event.http_method,
        "path": event.path,
        "query": [(name, value) for name, values in query.items() for value in values],
        "headers": headers(),
        "cookies": event.resolved_cookies_field,
        "client": client(),
        "scheme": dict(headers()).get("x-forwarded-proto"),
        "host": dict(headers())["host"],
        "tenant": routes.lambda_context.tenant_id,
        "served": list(SERVED),
        "authorizer": event.raw_event.get("requestContext", {}).get("authorizer"),
    }


@routes.get("/item/<item>")
def item(item: str) -> dict[str, str]:
    return {"item": item}


@routes.route("/body", method=["POST", "PATCH"])
def body() -> dict[str, str]:
    return {"body": base64.b64encode(body_bytes()).decode()}


@routes.post("/json")
def parsed() -> dict[str, Any]:
    return {"parsed": routes.current_event.json_body}


@routes.post("/form", enable_validation=True)
def form(name: Annotated[str, Form()], tag: Annotated[list[str], Form()]) -> dict[str, Any]:
    return {"name": name, "tags": tag}


@routes.post("/upload", enable_validation=True)
def upload(name: Annotated[str, Form()], file: Annotated[UploadFile, File()]) -> dict[str, Any]:
    return {"name": name, "filename": file.filename, "content": base64.b64encode(file.content).decode()}


@routes.get("/png")
def png() -> Response[Any]:
    return Response(200, "image/png", bytes(range(256)))


@routes.get("/text")
def text() -> Response[Any]:
    return Response(200, "text/plain; charset=utf-8", "naïve ✓ 😀")


@routes.get("/gzip")
def compressed() -> Response[Any]:
    return Response(200, "text/plain", gzip.compress(b"unpacked", mtime=0), headers={"content-encoding": "gzip"})


@routes.get("/cookies")
def cookies() -> Response[Any]:
    return Response(200, "text/plain", "ok", cookies=[Cookie("one", "1", expires=EXPIRES), Cookie("two", "2")])


@routes.get("/list")
def repeated() -> Response[Any]:
    return Response(200, "text/plain", "ok", headers={"x-list": ["a", "b"]})


@routes.get("/empty")
def empty() -> Response[Any]:
    return Response(204)


@routes.get("/unchanged")
def unchanged() -> Response[Any]:
    return Response(304, headers={"etag": '"v1"'})


@routes.route("/head", method=["GET", "HEAD"])
def head() -> Response[Any]:
    return Response(200, "text/plain", "not for HEAD", headers={"x-head": "1"})


@routes.get("/redirect")
def redirect() -> Response[Any]:
    return Response(302, headers={"location": "/elsewhere?a=%2F"})


@routes.get("/error")
def error() -> None:
    raise InternalServerError("on purpose")


@routes.get("/raises")
def raises() -> None:
    raise RuntimeError("a secret of the function")


def served(app: ApiGatewayResolver) -> Callable[[dict[str, Any], Any], dict[str, Any]]:
    app.include_router(routes)

    def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
        routes.api_resolver = app  # a Router knows the last app that took it in; here five share one
        return app.resolve(event, context)

    return handler


apigateway_v2 = served(APIGatewayHttpResolver(strip_prefixes=["/powertools-apigateway-v2"]))
apigateway_v1 = served(APIGatewayRestResolver(strip_prefixes=["/powertools-apigateway-v1"]))
alb = served(ALBResolver(strip_prefixes=["/powertools-alb"], decode_query_parameters=True))
lattice_v1 = served(VPCLatticeResolver(strip_prefixes=["/powertools-lattice-v1"]))
lattice_v2 = served(VPCLatticeV2Resolver(strip_prefixes=["/powertools-lattice-v2"]))
