"""Results of a framework itself that differ from the right ones.

Rule: only what the framework does to any event of that format, bridge or not; `test_frameworks` shows each one both
ways. What the bridge loses is a bug, and has no place here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Note:
    """Why, for docs/backends.md.

    Attributes:
        text: one sentence.
        sources: `module:name` in the framework.
    """

    text: str
    sources: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Loss:
    """The result instead of the right one.

    Attributes:
        seen: what the case's view shows.
        note: why.
        raises: the exception that leaves the handler, if one does; the bridge makes a 502 of it.
    """

    seen: object
    note: Note
    raises: str = ""


_DATA = "aws_lambda_powertools.utilities.data_classes"
_ROUTING = "aws_lambda_powertools.event_handler.api_gateway:ApiGatewayResolver"
_GET_BODY = "aws_lambda_powertools.event_handler.middlewares.openapi_validation:OpenAPIRequestValidationMiddleware"

_SLASH = "The path is decoded before it is divided, so `%2F` is a slash, and this URL finds no route."
_SLASH_MANGUM = Note(
    _SLASH,
    ("mangum.handlers.utils:strip_api_gateway_path", "mangum.handlers.alb:ALB.scope"),
)
_LATIN1 = Note(
    "Starlette reads headers as Latin-1; `value.encode('latin-1').decode()` is what the client sent.",
    ("starlette.datastructures:Headers",),
)
_WHOLE_LIST = Note(
    "The client's address is the whole `x-forwarded-for`. Only the right-most address in it is Lattice's word.",
    ("mangum.handlers.alb:ALB.scope",),
)
_SLASH_APIG = Note(_SLASH, ("apig_wsgi:get_environ_v1", "apig_wsgi:get_environ_v2"))
_LEFT_MOST = Note(
    "The client's address is the left-most of `x-forwarded-for`, which a client can write. Only the right-most is "
    "Lattice's word; in `apigateway-v2` it is taken from elsewhere.",
    ("apig_wsgi:get_environ_v1",),
)
_LAST_RESPONSE_HEADER = Note(
    "Of a response header that occurs twice the last is sent. `Set-Cookie` is not concerned.",
    ("apig_wsgi:V2Response.as_apig_response",),
)
_SLASH_SERVERLESS = Note(_SLASH, ("serverless_wsgi:handle_payload_v1", "serverless_wsgi:handle_payload_v2"))
_LAST_REQUEST_HEADER = Note(
    "Of a request header that occurs twice the app sees the last.", ("serverless_wsgi:setup_environ_items",)
)
_NO_ADDRESS = Note(
    "The client's address is empty: an ALB's event has no `requestContext.identity`, and `x-forwarded-for` is not "
    "read.",
    ("serverless_wsgi:handle_payload_v1",),
)
_ENCODED_PATH = Note(
    "The path and what a route takes from it are not decoded; `urllib.parse.unquote` does.", (f"{_ROUTING}._resolve",)
)
_ENCODED_RAW_PATH = Note(
    f"{_ENCODED_PATH.text} API Gateway's HTTP API is reported to decode `rawPath` itself; the bridge leaves it as "
    "sent, for the sake of the adapters that decode it.",
    _ENCODED_PATH.sources,
)
_COMMA = Note(
    "`resolved_query_string_parameters`, and so validation, divides values at commas.",
    (f"{_DATA}.common:BaseProxyEvent.resolved_query_string_parameters",),
)
_PLUS = Note(
    "The values are as in the event, where `+` is as sent. `ALBResolver(decode_query_parameters=True)` decodes `%20`, "
    "not `+`.",
    (
        f"{_DATA}.alb_event:ALBEvent.resolved_query_string_parameters",
        f"{_DATA}.common:BaseProxyEvent.resolved_query_string_parameters",
    ),
)
_ONE_VALUE = Note(
    "A V1 event has one value for each name; `raw_path` has them all.",
    (f"{_DATA}.vpc_lattice:VPCLatticeEvent.query_string_parameters",),
)
_RAISES = Note(
    "An exception that no `exception_handler` takes leaves the function; the bridge answers 502, and tells nothing.",
    (f"{_ROUTING}._call_route",),
)
_JSON_ASSUMED = Note(
    "`enable_validation` reads the content type from `headers`, which an event with `multiValueHeaders` does not have, "
    "and takes every body for JSON.",
    (f"{_GET_BODY}._get_body",),
)
_STRING_ASSUMED = Note(
    "`enable_validation` takes the content type for a string; in a V2 event it is a list.", (f"{_GET_BODY}._get_body",)
)
_NO_BODY_KEY = Note(
    "`event.body` is a `KeyError` when there is none: Lattice leaves the key out. `event.get('body')` is not.",
    (f"{_DATA}.vpc_lattice:VPCLatticeEventBase.body",),
)

_ALL_THREE: Final = ("apigateway-v2", "apigateway-v1", "alb")
_ALL_BUT_HTTP_API: Final = ("apigateway-v1", "alb", "lattice-v1", "lattice-v2")
_ALL_FIVE: Final = ("apigateway-v2", *_ALL_BUT_HTTP_API)
_SINGLE: Final = ("apigateway-v2", "lattice-v1", "lattice-v2")
_MULTI: Final = ("apigateway-v1", "alb")

_ROWS: Final = (
    ("mangum", _ALL_THREE, "path-slash", Loss(404, _SLASH_MANGUM)),
    ("mangum", _ALL_THREE, "header-utf8", Loss(["café ✓".encode().decode("latin-1")], _LATIN1)),
    ("mangum", ("alb",), "client-forged", Loss("198.51.100.7, 127.0.0.1", _WHOLE_LIST)),
    ("apig-wsgi", _ALL_THREE, "path-slash", Loss(404, _SLASH_APIG)),
    ("apig-wsgi", ("apigateway-v2",), "out-list", Loss(["b"], _LAST_RESPONSE_HEADER)),
    ("apig-wsgi", _MULTI, "client-forged", Loss("198.51.100.7", _LEFT_MOST)),
    ("serverless-wsgi", _ALL_THREE, "path-slash", Loss(404, _SLASH_SERVERLESS)),
    ("serverless-wsgi", _MULTI, "header-repeated", Loss(["b"], _LAST_REQUEST_HEADER)),
    ("serverless-wsgi", ("alb",), "client", Loss("", _NO_ADDRESS)),
    ("serverless-wsgi", ("alb",), "client-forged", Loss("", _NO_ADDRESS)),
    ("powertools", ("lattice-v1",), "query-repeated", Loss([["a", "1"]], _ONE_VALUE)),
    ("powertools", ("alb", "lattice-v1", "lattice-v2"), "query-plus", Loss([["a", "x+y"]], _PLUS)),
    ("powertools", _SINGLE, "query-comma", Loss([["a", "1"], ["a", "2"]], _COMMA)),
    ("powertools", _SINGLE, "query-encoded-comma", Loss([["a", "1"], ["a", "2"]], _COMMA)),
    ("powertools", ("apigateway-v2",), "path-space", Loss("/echo/a%20b", _ENCODED_RAW_PATH)),
    ("powertools", ("apigateway-v2",), "path-utf8", Loss("/echo/caf%C3%A9", _ENCODED_RAW_PATH)),
    ("powertools", ("apigateway-v2",), "path-twice-encoded", Loss("/echo/%2541", _ENCODED_RAW_PATH)),
    ("powertools", ("apigateway-v2",), "path-slash", Loss("a%2Fb", _ENCODED_RAW_PATH)),
    ("powertools", _ALL_BUT_HTTP_API, "path-space", Loss("/echo/a%20b", _ENCODED_PATH)),
    ("powertools", _ALL_BUT_HTTP_API, "path-utf8", Loss("/echo/caf%C3%A9", _ENCODED_PATH)),
    ("powertools", _ALL_BUT_HTTP_API, "path-twice-encoded", Loss("/echo/%2541", _ENCODED_PATH)),
    ("powertools", _ALL_BUT_HTTP_API, "path-slash", Loss("a%2Fb", _ENCODED_PATH)),
    ("powertools", ("lattice-v2",), "in-none", Loss(502, _NO_BODY_KEY, "KeyError")),
    ("powertools", ("alb",), "in-form", Loss(422, _JSON_ASSUMED)),
    ("powertools", ("alb",), "in-upload", Loss(502, _JSON_ASSUMED, "UnicodeDecodeError")),
    ("powertools", ("lattice-v2",), "in-form", Loss(502, _STRING_ASSUMED, "AttributeError")),
    ("powertools", ("lattice-v2",), "in-upload", Loss(502, _STRING_ASSUMED, "AttributeError")),
    ("powertools", _ALL_FIVE, "out-raises", Loss([502, False], _RAISES, "RuntimeError")),
)

LOSSES: Final = {(framework, payload, case): loss for framework, payloads, case, loss in _ROWS for payload in payloads}
