"""`apigateway-v1`: the event of an API Gateway REST API for a proxy resource, payload format 1.0, and its reply.

Rule: as in AWS's "Lambda proxy integrations in API Gateway". No `version` is written: Mangum and apig-wsgi would treat
the event as an HTTP API's. An HTTP API with payload format 1.0 has the same fields and `version` "1.0".
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, Final

from lattice_bridge.formats import event as parts
from lattice_bridge.formats import evidence, gateway, reply
from lattice_bridge.http.query import escape, parse_form_query
from lattice_bridge.message import CLAIMS, Authorizer, Request, Response

METHOD: Final = "httpMethod"
PATH: Final = "path"
HEADERS: Final = "headers"
MULTI_HEADERS: Final = "multiValueHeaders"
QUERY: Final = "queryStringParameters"
MULTI_QUERY: Final = "multiValueQueryStringParameters"
BODY: Final = "body"
IS_BASE64: Final = "isBase64Encoded"
CONTEXT: Final = "requestContext"
RESOURCE: Final = "resource"
REQUEST_ID: Final = "requestId"
API_ID: Final = "apiId"
TIME: Final = "requestTimeEpoch"
FIELDS: Final = (RESOURCE, PATH, METHOD, HEADERS, MULTI_HEADERS, QUERY, MULTI_QUERY, BODY, IS_BASE64, CONTEXT)
HEADER_MAPS: Final = ((HEADERS, False), (MULTI_HEADERS, True))
"""Each map of headers, and whether its values are lists."""
QUERY_MAPS: Final = (QUERY, MULTI_QUERY)
MARKS: Final = (RESOURCE, METHOD)
"""Fields by which readers take an event for a REST API's."""

OWN_HEADERS: Final = ("x-amzn-vpc", "cloudfront-")
"""Prefixes of headers in which a private or an edge-optimised API says where a request came from. In a request through
Lattice they are a client's, and are dropped."""


def recognises(event: Mapping[str, Any]) -> bool:
    """Whether an event has the marks of a REST API, or of an HTTP API with payload format 1.0."""
    context = event.get(CONTEXT)
    is_1_0 = event.get("version") in (None, "1.0")
    return is_1_0 and METHOD in event and RESOURCE in event and isinstance(context, Mapping)


def method_of(event: Mapping[str, Any]) -> object:
    """The method of an event of this format, which may be malformed."""
    return event.get(METHOD)


def request_id_of(event: Mapping[str, Any]) -> object:
    """API Gateway's id of the request, which may be malformed."""
    return event[CONTEXT].get(REQUEST_ID)


# ---- event → Request ------------------------------------------------------------------------------------------------


def parse(event: Mapping[str, Any]) -> Request:
    """The request in an event of payload format 1.0.

    The order between different query names is lost in the event.

    Raises:
        BadRequest: the event is malformed; the detail lists every fault.
        Forbidden: the identity contradicts itself, or has no known shape.
    """
    context = event[CONTEXT]
    faults = parts.Faults()
    method = parts.read_method(event.get(METHOD), faults)
    query = gateway.values_of(event.get(QUERY), event.get(MULTI_QUERY), QUERY, faults)
    raw_query = parts.query_of_map(query, partial(escape, form=True), faults)
    path, raw_query = parts.read_path(gateway.encoded_path(event.get(PATH)), raw_query, PATH, faults)
    lines = gateway.values_of(event.get(HEADERS), event.get(MULTI_HEADERS), HEADERS, faults)
    headers = parts.read_headers(lines, faults)
    content = parts.read_body(event.get(BODY), event.get(IS_BASE64), faults)
    faults.refuse_if_any()
    principal, authorizer, client_cert = _read_evidence(context, faults)
    faults.refuse_if_any()
    return Request(
        version=1,
        method=method,
        path=path,
        raw_query=raw_query,
        headers=parts.without_lattice_headers(headers),
        content=content,
        caller=evidence.caller_of(principal),
        request_id=parts.read_request_id(context.get(REQUEST_ID)),
        time_epoch=parts.read_time(context.get(TIME), 1000),
        event=event,
        source="apigateway",
        api_id=parts.read_name(context.get(API_ID)),
        authorizer=authorizer,
        client_cert=client_cert,
    )


def _read_evidence(
    context: Mapping[str, Any], faults: parts.Faults
) -> tuple[dict[str, str], Authorizer | None, str | None]:
    """The fields of the principal that signed, an authorizer's answer, and the subject of a certificate."""
    identity = evidence.read_object(context.get("identity"), "identity", faults)
    answer = evidence.read_object(context.get("authorizer"), "authorizer", faults)
    return (
        evidence.read_identity(identity, "identity", faults),
        evidence.read_authorizer(answer, "authorizer", faults),
        evidence.read_subject(identity.get("clientCert"), "clientCert", faults),
    )


# ---- Request → event ------------------------------------------------------------------------------------------------


def write(request: Request, authorizer: Mapping[str, str]) -> dict[str, Any]:
    """The event that a REST API would send: headers and query with every value, and with the last; null for nothing.

    The format cannot express the order between different query names, and whether a name without a value had a `=`.

    Args:
        request: with the headers as the backend receives them.
        authorizer: values beside those that an authorizer returned; they win.
    """
    query = parse_form_query(request.raw_query)
    proxy = request.path.removeprefix("/")
    return {
        RESOURCE: "/{proxy+}" if proxy else "/",
        PATH: request.path,
        METHOD: request.method,
        HEADERS: parts.as_last(request.headers),
        MULTI_HEADERS: parts.as_lists(request.headers),
        QUERY: parts.as_last(query) or None,
        MULTI_QUERY: parts.as_lists(query) or None,
        "pathParameters": {"proxy": proxy} if proxy else None,
        "stageVariables": None,
        CONTEXT: _context(request, authorizer, "/{proxy+}" if proxy else "/"),
        BODY: request.text or None,
        IS_BASE64: request.is_base64,
    }


def _context(request: Request, authorizer: Mapping[str, str], resource: str) -> dict[str, Any]:
    at = request.time_epoch or 0
    domain = gateway.domain_name(request)
    # Typed readers require these two fields of a Lambda authorizer. No authorizer ran, so it took no time.
    required = {"principalId": request.caller.principal or "", "integrationLatency": 0}
    return {
        "accountId": gateway.account(request),
        API_ID: gateway.api_id(request),
        "authorizer": {**required, **_answer(request), **authorizer},
        "domainName": domain,
        "domainPrefix": domain.partition(".")[0],
        "extendedRequestId": request.request_id or "",
        METHOD: request.method,
        "identity": _identity(request),
        PATH: request.path,
        "protocol": gateway.PROTOCOL,
        REQUEST_ID: request.request_id or "",
        "requestTime": gateway.log_time(at),
        TIME: at // 1000,
        "resourceId": "",
        "resourcePath": resource,
        "stage": gateway.STAGE,
    }


def _answer(request: Request) -> dict[str, Any]:
    """What the authorizer of another format returned, in this format's form."""
    if request.authorizer is None:
        return {}
    claims = request.authorizer.claims
    return {**request.authorizer.context, **({} if claims is None else {CLAIMS: dict(claims)})}


def _identity(request: Request) -> dict[str, Any]:
    """The caller. A field that Lattice does not tell is null, as in a REST API for a caller that did not sign."""
    caller = request.caller
    return {
        "accessKey": None,
        "accountId": caller.iam.account if caller.iam else None,
        "apiKey": None,
        "apiKeyId": None,
        "caller": None,
        "clientCert": None if request.client_cert is None else {"subjectDN": request.client_cert},
        "cognitoAuthenticationProvider": None,
        "cognitoAuthenticationType": None,
        "cognitoIdentityId": None,
        "cognitoIdentityPoolId": None,
        "principalOrgId": caller.org_id,
        "sourceIp": gateway.source_ip(request),
        "user": None,
        "userAgent": gateway.user_agent(request) or None,
        "userArn": caller.principal,
    }


# ---- Response → reply -----------------------------------------------------------------------------------------------


def render(response: Response, method: str, drop: frozenset[str] = frozenset()) -> reply.Reply:
    """The reply to a REST API: every header value in `multiValueHeaders`, cookies among them.

    Args:
        response, method, drop: as for `reply.render`.

    Raises:
        BackendFailed: the reply is larger than Lambda returns.
    """
    return reply.assemble(response, method, _header_fields, drop)


def _header_fields(headers: Mapping[str, list[str]], cookies: list[str]) -> dict[str, Any]:
    return {MULTI_HEADERS: {**headers, **({"set-cookie": cookies} if cookies else {})}}
