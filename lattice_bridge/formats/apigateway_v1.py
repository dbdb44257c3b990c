"""`apigateway-v1`: the event of an API Gateway REST API for a proxy resource, payload format 1.0, and its reply.

Rule: as in AWS's "Lambda proxy integrations in API Gateway". No `version` is written: Mangum and apig-wsgi would treat
the event as an HTTP API's. An HTTP API with payload format 1.0 has the same fields and `version` "1.0".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from time import gmtime
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
    principal, authorizer, client_cert = _read_evidence(context, faults, is_http=event.get("version") == "1.0")
    faults.refuse_if_any()
    return Request(
        version=1,
        method=method,
        path=path,
        raw_query=raw_query,
        headers=headers,
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
    context: Mapping[str, Any], faults: parts.Faults, *, is_http: bool
) -> tuple[dict[str, str], Authorizer | None, str | None]:
    """The fields of the principal that signed, an authorizer's answer, and the subject of a certificate."""
    identity = evidence.read_object(context.get("identity"), "identity", faults)
    answer = evidence.read_object(context.get("authorizer"), "authorizer", faults)
    return (
        evidence.read_identity(identity, "identity", faults),
        evidence.read_authorizer(answer, "authorizer", faults, may_be_a_functions=is_http),
        evidence.read_subject(identity.get("clientCert"), "clientCert", faults),
    )


def with_value(context: Mapping[str, Any], name: str, value: str) -> dict[str, Any]:
    """A `requestContext` with another value in the answer of a Lambda authorizer."""
    return {**context, "authorizer": {**context["authorizer"], name: value}}


# ---- Request → event ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Origin:
    """What a REST API knows of a request beside the request.

    Attributes:
        resource, resource_id: of the method.
        path_parameters: as sent.
        stage, stage_variables, deployment_id: of the stage.
        account, api_id, domain_name: of the API.
        extended_request_id: a second id of the request.
        context_path: with the stage or the base path.
        identity: of the caller.
        spelled: names of headers, as the event has them, by their names in lower case.
    """

    resource: str
    path_parameters: Mapping[str, str]
    account: str
    api_id: str
    domain_name: str
    extended_request_id: str
    context_path: str
    identity: Mapping[str, Any]
    resource_id: str = ""
    stage: str = gateway.STAGE
    stage_variables: Mapping[str, str] = field(default_factory=dict)
    deployment_id: str = ""
    spelled: Mapping[str, str] = field(default_factory=dict)


def write(request: Request, authorizer: Mapping[str, Any] | None, origin: Origin | None = None) -> dict[str, Any]:
    """The event that a REST API would send: headers and query with every value, and with the last; null for nothing.

    The format cannot express the order between different query names, and whether a name without a value had a `=`.

    Args:
        request: with the headers as the backend receives them.
        authorizer: the context of an authorizer; None if no authorizer ran. For a backend behind the bridge, values
            beside those that an authorizer returned; they win.
        origin: what the API knows; None for a backend behind the bridge, which receives a request without an API.
    """
    if origin is None:
        origin = _behind_the_bridge(request)
        # Typed readers require these two fields of a Lambda authorizer. No authorizer ran, so it took no time.
        required = {"principalId": request.caller.principal or "", "integrationLatency": 0}
        authorizer = {**required, **_answer(request), **(authorizer or {})}
    query = parse_form_query(request.raw_query)
    headers = [(origin.spelled.get(name, name), value) for name, value in request.headers]
    return {
        RESOURCE: origin.resource,
        PATH: request.path,
        METHOD: request.method,
        HEADERS: parts.as_last(headers),
        MULTI_HEADERS: parts.as_lists(headers),
        QUERY: parts.as_last(query) or None,
        MULTI_QUERY: parts.as_lists(query) or None,
        "pathParameters": dict(origin.path_parameters) or None,
        "stageVariables": dict(origin.stage_variables) or None,
        CONTEXT: _context(request, authorizer, origin),
        BODY: request.text or None,
        IS_BASE64: request.is_base64,
    }


def authorizer_event(arn: str, event: Mapping[str, Any]) -> dict[str, Any]:
    """The event for a Lambda authorizer of type REQUEST: that of the function, without the body.

    Args:
        arn: of the method.
        event: for the function.
    """
    without_body = {name: value for name, value in event.items() if name not in (BODY, IS_BASE64)}
    return {"type": "REQUEST", "methodArn": arn, **without_body}


def token_event(arn: str, token: str) -> dict[str, str]:
    """The event for a Lambda authorizer of type TOKEN."""
    return {"type": "TOKEN", "methodArn": arn, "authorizationToken": token}


def date_of(seconds: float) -> str:
    """A time as the claims of a Cognito token contain it. Not strftime, whose names depend on the locale.

    >>> date_of(1519418628)
    'Fri Feb 23 20:43:48 UTC 2018'
    """
    at = gmtime(int(seconds))
    time = f"{at.tm_hour:02}:{at.tm_min:02}:{at.tm_sec:02}"
    return f"{gateway.DAYS[at.tm_wday]} {gateway.MONTHS[at.tm_mon - 1]} {at.tm_mday:02} {time} UTC {at.tm_year}"


def _behind_the_bridge(request: Request) -> Origin:
    proxy = request.path.removeprefix("/")
    return Origin(
        resource="/{proxy+}" if proxy else "/",
        path_parameters={"proxy": proxy} if proxy else {},
        account=gateway.account(request),
        api_id=gateway.api_id(request),
        domain_name=gateway.domain_name(request),
        extended_request_id=request.request_id or "",
        context_path=request.path,
        identity={
            # Fields that a REST API's event has with an API key, or a client certificate, only.
            **dict.fromkeys(("apiKey", "apiKeyId")),
            "clientCert": None if request.client_cert is None else {"subjectDN": request.client_cert},
            "accountId": request.caller.iam.account if request.caller.iam else None,
            "principalOrgId": request.caller.org_id,
            "sourceIp": gateway.source_ip(request),
            "userArn": request.caller.principal,
        },
    )


def _context(request: Request, authorizer: Mapping[str, Any] | None, origin: Origin) -> dict[str, Any]:
    at = request.time_epoch or 0
    return {
        "accountId": origin.account,
        API_ID: origin.api_id,
        **({} if authorizer is None else {"authorizer": dict(authorizer)}),
        **({"deploymentId": origin.deployment_id} if origin.deployment_id else {}),
        "domainName": origin.domain_name,
        "domainPrefix": origin.domain_name.partition(".")[0],
        "extendedRequestId": origin.extended_request_id,
        METHOD: request.method,
        "identity": {**_NO_IDENTITY, "userAgent": gateway.user_agent(request) or None, **origin.identity},
        PATH: origin.context_path,
        "protocol": gateway.PROTOCOL,
        REQUEST_ID: request.request_id or "",
        "requestTime": gateway.log_time(at),
        TIME: at // 1000,
        "resourceId": origin.resource_id,
        "resourcePath": origin.resource,
        "stage": origin.stage,
    }


def _answer(request: Request) -> dict[str, Any]:
    """What the authorizer of another format returned, in this format's form."""
    if request.authorizer is None:
        return {}
    claims = request.authorizer.claims
    return {**request.authorizer.context, **({} if claims is None else {CLAIMS: dict(claims)})}


_NO_IDENTITY: Final[Mapping[str, str | None]] = dict.fromkeys(
    (
        *("accessKey", "accountId", "caller", "cognitoAuthenticationProvider", "cognitoAuthenticationType"),
        *("cognitoIdentityId", "cognitoIdentityPoolId", "principalOrgId", "sourceIp", "user", "userAgent", "userArn"),
    )
)
"""The fields of a caller that did not sign, as LocalStack's tests recorded them on AWS."""


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
