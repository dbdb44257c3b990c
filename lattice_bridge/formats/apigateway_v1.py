"""`apigateway-v1`: what an API Gateway REST API would have sent to a proxy resource, payload format 1.0.

Rule: as in AWS's "Lambda proxy integrations in API Gateway", input format. No `version` key: Mangum and apig-wsgi
would take it for an HTTP API's.
"""

from __future__ import annotations

from typing import Any, Final

from lattice_bridge.formats import gateway, maps
from lattice_bridge.formats.forwarded import Forwarded
from lattice_bridge.http.headers import fold
from lattice_bridge.message import parse_form_query

_ONLY_A_GATEWAY: Final = ("x-amzn-vpc", "cloudfront-")
"""What a private or an edge-optimised API says of where a request came from. Here it comes from a client."""


def event(forwarded: Forwarded) -> dict[str, Any]:
    """Headers and query twice: every value, and the last of each name; null where there is nothing.

    Cannot be said: how repeated query names interleave, and whether a name without a value had a `=`.
    """
    request = forwarded.request
    allowed = (pair for pair in gateway.headers(forwarded) if not fold(pair[0]).startswith(_ONLY_A_GATEWAY))
    headers = maps.one_cookie_line(tuple(allowed))
    query = parse_form_query(request.raw_query)
    proxy = request.path.removeprefix("/")
    return {
        "resource": "/{proxy+}" if proxy else "/",
        "path": request.path,
        "httpMethod": request.method,
        "headers": maps.last(headers),
        "multiValueHeaders": maps.lists(headers),
        "queryStringParameters": maps.last(query) or None,
        "multiValueQueryStringParameters": maps.lists(query) or None,
        "pathParameters": {"proxy": proxy} if proxy else None,
        "stageVariables": None,
        "requestContext": _context(forwarded, "/{proxy+}" if proxy else "/"),
        "body": request.text or None,
        "isBase64Encoded": request.is_base64,
    }


def _context(forwarded: Forwarded, resource: str) -> dict[str, Any]:
    request, at = forwarded.request, gateway.microseconds(forwarded)
    domain = gateway.domain_name(request)
    # Typed readers require both of a Lambda authorizer's own fields; there is no authorizer that took any time.
    authorizer = {"principalId": request.caller.principal or "", "integrationLatency": 0}
    return {
        "accountId": gateway.account(request),
        "apiId": gateway.service_id(request),
        "authorizer": {**authorizer, **gateway.tenant(forwarded), **gateway.identity(request.caller)},
        "domainName": domain,
        "domainPrefix": domain.partition(".")[0],
        "extendedRequestId": forwarded.request_id,
        "httpMethod": request.method,
        "identity": _identity(forwarded),
        "path": request.path,
        "protocol": gateway.PROTOCOL,
        "requestId": forwarded.request_id,
        "requestTime": gateway.common_log_time(at),
        "requestTimeEpoch": at // 1000,
        "resourceId": "",
        "resourcePath": resource,
        "stage": gateway.STAGE,
    }


def _identity(forwarded: Forwarded) -> dict[str, str | None]:
    """With null for what Lattice does not tell, as a REST API has it for callers that did not sign."""
    request, caller = forwarded.request, forwarded.request.caller
    return {
        "accessKey": None,
        "accountId": caller.iam.account if caller.iam else None,
        "apiKey": None,
        "apiKeyId": None,
        "caller": None,
        "clientCert": None,
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
