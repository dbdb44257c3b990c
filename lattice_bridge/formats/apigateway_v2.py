"""`apigateway-v2`: what an API Gateway HTTP API would have sent, payload format 2.0.

Rule: as in AWS's "Create AWS Lambda proxy integrations for HTTP APIs", but the path, which stays percent-encoded.
API Gateway is reported to decode it; Mangum and apig-wsgi would then decode it twice, and `/a%2541` become `/aA`.
"""

from __future__ import annotations

from typing import Any, Final

from lattice_bridge.formats import gateway, maps
from lattice_bridge.formats.forwarded import Forwarded
from lattice_bridge.message import parse_form_query

ROUTE: Final = "$default"


def event(forwarded: Forwarded) -> dict[str, Any]:
    """Headers joined by `,`; cookies beside them; keys absent where there is nothing to say: serverless-wsgi takes
    null for something.

    Cannot be said: which of several values a header had that holds commas.
    """
    request = forwarded.request
    optional: dict[str, Any] = {
        "cookies": gateway.cookies(request),
        "queryStringParameters": maps.joined(parse_form_query(request.raw_query)),
        "body": request.text,
    }
    headers = tuple(pair for pair in gateway.headers(forwarded) if pair[0] != "cookie")
    return {
        "version": "2.0",
        "routeKey": ROUTE,
        "rawPath": request.path,
        "rawQueryString": request.raw_query,
        "headers": maps.joined(headers),
        "requestContext": _context(forwarded),
        "isBase64Encoded": request.is_base64,
        **{key: value for key, value in optional.items() if value},
    }


def _context(forwarded: Forwarded) -> dict[str, Any]:
    request, at = forwarded.request, gateway.microseconds(forwarded)
    domain = gateway.domain_name(request)
    return {
        "accountId": gateway.account(request),
        "apiId": gateway.service_id(request),
        "authorizer": _authorizer(forwarded),
        "domainName": domain,
        "domainPrefix": domain.partition(".")[0],
        "http": {
            "method": request.method,
            "path": request.path,
            "protocol": gateway.PROTOCOL,
            "sourceIp": gateway.source_ip(request),
            "userAgent": gateway.user_agent(request),
        },
        "requestId": forwarded.request_id,
        "routeKey": ROUTE,
        "stage": gateway.STAGE,
        "time": gateway.common_log_time(at),
        "timeEpoch": at // 1000,
    }


def _authorizer(forwarded: Forwarded) -> dict[str, Any]:
    """Where a Lambda authorizer's context is: the tenant, and whom Lattice vouches for. A caller that signed is also
    where IAM's would be, without what Lattice does not tell: of 2.0, readers take the ids of a key for strings."""
    caller = forwarded.request.caller
    found: dict[str, Any] = {"lambda": {**gateway.tenant(forwarded), **gateway.identity(caller)}}
    if caller.iam is not None:
        found["iam"] = {
            "accountId": caller.iam.account,
            "cognitoIdentity": None,
            "principalOrgId": caller.org_id,
            "userArn": caller.principal,
        }
    return found
