"""`apigateway-v2`: the event of an API Gateway HTTP API or a function URL, payload format 2.0, and its reply.

Rule: as in AWS's "Create AWS Lambda proxy integrations for HTTP APIs", except the path, which stays percent-encoded.
API Gateway is reported to decode it; Mangum and apig-wsgi would then decode it twice, and `/a%2541` become `/aA`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from lattice_bridge.formats import event as parts
from lattice_bridge.formats import evidence, gateway, reply
from lattice_bridge.formats.recognise import is_function_url
from lattice_bridge.http.query import escape, parse_form_query
from lattice_bridge.message import CLAIMS, Authorizer, Pairs, Request, Response

VERSION: Final = "version"
PATH: Final = "rawPath"
RAW_QUERY: Final = "rawQueryString"
QUERY: Final = "queryStringParameters"
HEADERS: Final = "headers"
COOKIES: Final = "cookies"
BODY: Final = "body"
IS_BASE64: Final = "isBase64Encoded"
CONTEXT: Final = "requestContext"
HTTP: Final = "http"
METHOD: Final = "method"
REQUEST_ID: Final = "requestId"
API_ID: Final = "apiId"
TIME: Final = "timeEpoch"
ROUTE_KEY: Final = "routeKey"
HEADER_MAPS: Final = ((HEADERS, False),)
"""Each map of headers, and whether its values are lists."""
QUERY_MAPS: Final = (QUERY,)
FIELDS: Final = (VERSION, ROUTE_KEY, PATH, RAW_QUERY, QUERY, HEADERS, COOKIES, BODY, IS_BASE64, CONTEXT)
MARKS: Final = (PATH, RAW_QUERY, COOKIES)
"""Fields that only an event of payload format 2.0 has."""

OWN_HEADERS: Final[tuple[str, ...]] = ()
"""An HTTP API adds no headers of its own that backends trust."""

_ROUTE: Final = "$default"


def recognises(event: Mapping[str, Any]) -> bool:
    """Whether an event has the marks of payload format 2.0."""
    context = event.get(CONTEXT)
    return event.get(VERSION) == "2.0" and isinstance(context, Mapping) and isinstance(context.get(HTTP), Mapping)


def method_of(event: Mapping[str, Any]) -> object:
    """The method of an event of this format, which may be malformed."""
    return event[CONTEXT][HTTP].get(METHOD)


def request_id_of(event: Mapping[str, Any]) -> object:
    """API Gateway's id of the request, which may be malformed."""
    return event[CONTEXT].get(REQUEST_ID)


# ---- event → Request ------------------------------------------------------------------------------------------------


def parse(event: Mapping[str, Any]) -> Request:
    """The request in an event of payload format 2.0.

    The query is `rawQueryString`; the map of parameters is read only if that is absent, as in hand-made events.

    Raises:
        BadRequest: the event is malformed; the detail lists every fault.
        Forbidden: the identity contradicts itself, or has no known shape.
    """
    context = event[CONTEXT]
    faults = parts.Faults()
    method = parts.read_method(context[HTTP].get(METHOD), faults)
    if event.get(RAW_QUERY) is None:
        raw_query = parts.query_of_map(event.get(QUERY), partial(escape, form=True), faults)
    else:
        raw_query = parts.read_raw_query(event[RAW_QUERY], RAW_QUERY, faults)
    path, raw_query = parts.read_path(gateway.encoded_path(event.get(PATH)), raw_query, PATH, faults)
    headers = _read_cookies(event.get(COOKIES), parts.read_headers(event.get(HEADERS), faults), faults)
    content = parts.read_body(event.get(BODY), event.get(IS_BASE64), faults)
    faults.refuse_if_any()
    identity, authorizer = _read_authorizer(context, faults)
    authentication = evidence.read_object(context.get("authentication"), "authentication", faults)
    client_cert = evidence.read_subject(authentication.get("clientCert"), "clientCert", faults)
    faults.refuse_if_any()
    return Request(
        version=2,
        method=method,
        path=path,
        raw_query=raw_query,
        headers=headers,
        content=content,
        caller=evidence.caller_of(identity),
        request_id=parts.read_request_id(context.get(REQUEST_ID)),
        time_epoch=parts.read_time(context.get(TIME), 1000),
        event=event,
        source="apigateway",
        api_id=parts.read_name(context.get(API_ID)),
        authorizer=authorizer,
        client_cert=client_cert,
    )


def _read_authorizer(context: Mapping[str, Any], faults: parts.Faults) -> tuple[dict[str, str], Authorizer | None]:
    """The fields of the principal that signed, and the answer of a JWT or Lambda authorizer. Each is an object of its
    own, so that a Lambda authorizer cannot write into the claims of a token. A function URL has IAM's only."""
    found = evidence.read_object(context.get("authorizer"), "authorizer", faults)
    identity = evidence.read_identity(evidence.read_object(found.get("iam"), "iam", faults), "iam", faults)
    token = evidence.read_object(found.get("jwt"), "jwt", faults)
    returned = evidence.read_object(found.get("lambda"), "lambda", faults)
    if is_function_url(context) and (token or returned):
        faults.add("malformed_event", "an event of a function URL with an authorizer other than iam")
    answer = {name: value for name, value in returned.items() if name != CLAIMS}
    both = {**answer, CLAIMS: token.get(CLAIMS)}
    return identity, evidence.read_authorizer(both, "authorizer", faults, may_be_a_functions=True)


def _read_cookies(value: object, headers: Pairs, faults: parts.Faults) -> Pairs:
    """The headers with the list of cookies as one header `cookie`. A header beside the list must say the same."""
    if value is None:
        return headers
    given = [text for name, text in headers if name == "cookie"]
    line = parts.read_headers({"cookie": value}, faults) if isinstance(value, list) else None
    if line is None:
        faults.add("malformed_event", f"{COOKIES} is not a list of strings")
        return headers
    if given and split_cookies(given) != split_cookies(text for _, text in line):
        faults.add("header_repeated", f"the header cookie has other cookies than {COOKIES}")
    joined = "; ".join(text for _, text in line)
    if len(joined) > parts.MAX_HEADER_BYTES:
        faults.add("malformed_header", f"header cookie is longer than {parts.MAX_HEADER_BYTES} bytes")
    others = tuple(pair for pair in headers if pair[0] != "cookie")
    return (*others, ("cookie", joined)) if line else others


def with_value(context: Mapping[str, Any], name: str, value: str) -> dict[str, Any]:
    """A `requestContext` with another value in the answer of a Lambda authorizer."""
    found = context["authorizer"]
    return {**context, "authorizer": {**found, "lambda": {**found["lambda"], name: value}}}


# ---- Request → event ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Gateway:
    """What an HTTP API or a function URL knows of a request, beside the request itself.

    Attributes:
        account: of the API; `anonymous` for a function URL without authentication.
        api_id: of the API or function URL.
        domain: the host name that the request came through.
        source_ip: of the client.
        authorizer: what the authorizer verified, by its kind: `jwt`, `lambda` or `iam`. Without one it is empty.
        route: the route key, as in `GET /orders/{id}`.
        stage: its name.
        path_parameters, stage_variables: decoded.
    """

    account: str
    api_id: str
    domain: str
    source_ip: str
    authorizer: Mapping[str, Any] = field(default_factory=dict)
    route: str = _ROUTE
    stage: str = gateway.STAGE
    path_parameters: Mapping[str, str] = field(default_factory=dict)
    stage_variables: Mapping[str, str] = field(default_factory=dict)


def write(request: Request, authorizer: Mapping[str, str]) -> dict[str, Any]:
    """The event that an HTTP API would send a backend of a request that came through Lattice.

    Args:
        request: with the headers as the backend receives them.
        authorizer: values beside those that an authorizer returned; they win.
    """
    account, domain = gateway.account(request), gateway.domain_name(request)
    found = _authorizer(request, authorizer)
    return write_received(request, Gateway(account, gateway.api_id(request), domain, gateway.source_ip(request), found))


def write_received(request: Request, received: Gateway) -> dict[str, Any]:
    """The event that an HTTP API or a function URL sends: headers joined by `,`, cookies beside them.

    A field without a value is absent: serverless-wsgi treats null as a value. The format cannot express which of
    several values a header had that contain commas.
    """
    optional: dict[str, Any] = {
        COOKIES: split_cookies(value for name, value in request.headers if name == "cookie"),
        QUERY: parts.as_joined(parse_form_query(request.raw_query)),
        "pathParameters": dict(received.path_parameters),
        "stageVariables": dict(received.stage_variables),
        BODY: request.text,
    }
    return {
        VERSION: "2.0",
        ROUTE_KEY: received.route,
        PATH: request.path,
        RAW_QUERY: request.raw_query,
        HEADERS: parts.as_joined([pair for pair in request.headers if pair[0] != "cookie"]),
        CONTEXT: _context(request, received),
        IS_BASE64: request.is_base64,
        **{key: value for key, value in optional.items() if value},
    }


def split_cookies(lines: Iterable[str]) -> list[str]:
    """Each `name=value` of the lines of the header `cookie`.

    >>> split_cookies(["a=1; b=2", "c=3"])
    ['a=1', 'b=2', 'c=3']
    """
    return [cookie for line in lines for part in line.split(";") if (cookie := part.strip(" \t"))]


def _context(request: Request, received: Gateway) -> dict[str, Any]:
    at = request.time_epoch or 0
    certificate = {} if request.client_cert is None else {"clientCert": {"subjectDN": request.client_cert}}
    return {
        "accountId": received.account,
        API_ID: received.api_id,
        **({"authentication": certificate} if certificate else {}),
        **({"authorizer": dict(received.authorizer)} if received.authorizer else {}),
        "domainName": received.domain,
        "domainPrefix": received.domain.partition(".")[0],
        HTTP: {
            METHOD: request.method,
            "path": request.path,
            "protocol": gateway.PROTOCOL,
            "sourceIp": received.source_ip,
            "userAgent": gateway.user_agent(request),
        },
        REQUEST_ID: request.request_id or "",
        ROUTE_KEY: received.route,
        "stage": received.stage,
        "time": gateway.log_time(at),
        TIME: at // 1000,
    }


def _authorizer(request: Request, authorizer: Mapping[str, str]) -> dict[str, Any]:
    """The context of a Lambda authorizer, the claims of a token, and, for a caller that signed, IAM's.

    IAM's has no fields for what Lattice does not tell: typed readers of 2.0 expect ids to be strings.
    """
    caller = request.caller
    answer = request.authorizer or Authorizer()
    found: dict[str, Any] = {"lambda": {**answer.context, **authorizer}}
    if answer.claims is not None:
        found["jwt"] = {CLAIMS: dict(answer.claims), "scopes": None}
    if caller.iam is not None:
        found["iam"] = {
            "accountId": caller.iam.account,
            "cognitoIdentity": None,
            "principalOrgId": caller.org_id,
            "userArn": caller.principal,
        }
    return found


# ---- Response → reply -----------------------------------------------------------------------------------------------


def render(response: Response, method: str, drop: frozenset[str] = frozenset()) -> reply.Reply:
    """The reply to an HTTP API or a function URL: `headers` of strings, and `cookies`.

    Args:
        response, method, drop: as for `reply.render`.

    Raises:
        BackendFailed: the reply is larger than Lambda returns.
    """
    return reply.assemble(response, method, _header_fields, drop)


def _header_fields(headers: Mapping[str, list[str]], cookies: list[str]) -> dict[str, Any]:
    return {HEADERS: reply.join_values(headers), **({COOKIES: cookies} if cookies else {})}
