"""Events of the services in front, as each writes them for a client's request.

Rule: only `Sent` is the client's. Everything else is what the service adds, and no argument of `Sent` can reach it.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qsl

ACCOUNT: Final = "111122223333"
API: Final = "a1b2c3d4e5"
URL_ID: Final = "a1b2c3d4e5f6g7h8i9j0k1l2m3n4o5p6"
GROUP: Final = f"arn:aws:elasticloadbalancing:eu-west-1:{ACCOUNT}:targetgroup/bridge/0123456789abcdef"
ROLE: Final = f"arn:aws:sts::{ACCOUNT}:assumed-role/blue-api/i-0123"
ENABLED: Final[dict[str, Any]] = {"apis": [API], "target_groups": [GROUP], "function_url": True}
"""The keywords of `Bridge` and `parse_event` that enable all of them."""
TABLES: Final = f'[apigateway]\napis = ["{API}"]\n[alb]\ntarget_groups = ["{GROUP}"]\n[function_url]\nenabled = true\n'
"""The same as tables of bridge.toml."""

Event = dict[str, Any]


class Sent(NamedTuple):
    """What a client sends."""

    method: str = "GET"
    target: str = "/orders"
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""


def iam(principal: str | None, **fields: Any) -> dict[str, Any]:
    """The fields of a principal as API Gateway writes them; all null for an unsigned caller."""
    known = {
        "accessKey": "ASIAEXAMPLE",
        "accountId": ACCOUNT,
        "principalOrgId": "o-a1b2c3d4e5",
        "userArn": principal,
    }
    return {**(known if principal else dict.fromkeys(known)), **fields}


def http_api(
    sent: Sent = Sent(),  # noqa: B008 - a named tuple does not change
    authorizer: Mapping[str, Any] | None = None,
    client_cert: str | None = None,
    *,
    api: str = API,
    domain: str | None = None,
) -> Event:
    """An HTTP API's event, payload format 2.0. `authorizer` is `requestContext.authorizer`."""
    path, _, query = sent.target.partition("?")
    cookies = [part.strip() for name, value in sent.headers if name.lower() == "cookie" for part in value.split(";")]
    context: Event = {
        "accountId": ACCOUNT,
        "apiId": api,
        "domainName": domain or f"{api}.execute-api.eu-west-1.amazonaws.com",
        "domainPrefix": api,
        "http": {
            "method": sent.method,
            "path": path,
            "protocol": "HTTP/1.1",
            "sourceIp": "203.0.113.9",
            "userAgent": "curl/8",
        },
        "requestId": "JKJaXmPLvHcESHA=",
        "routeKey": "$default",
        "stage": "$default",
        "time": "10/Mar/2020:05:16:23 +0000",
        "timeEpoch": 1583817383220,
    }
    if authorizer is not None:
        context["authorizer"] = dict(authorizer)
    if client_cert is not None:
        context["authentication"] = {"clientCert": _certificate(client_cert)}
    joined = {name: ",".join(values) for name, values in _lists(sent.headers).items() if name != "cookie"}
    event: Event = {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": query,
        "headers": {"host": context["domainName"], "x-forwarded-for": "203.0.113.9", **joined},
        "requestContext": context,
        "isBase64Encoded": False,
        **_body(sent),
    }
    if cookies:
        event["cookies"] = cookies
    if pairs := parse_qsl(query, keep_blank_values=True):
        event["queryStringParameters"] = {
            name: ",".join(value for key, value in pairs if key == name) for name, _ in pairs
        }
    return event


def function_url(sent: Sent = Sent(), principal: str | None = ROLE) -> Event:  # noqa: B008 - as above
    """The event of a function URL: with AuthType AWS_IAM, or NONE if `principal` is None."""
    authorizer = None if principal is None else {"iam": {**iam(principal), "callerId": "AROA:i", "userId": "AROA:i"}}
    event = http_api(sent, authorizer, api=URL_ID, domain=f"{URL_ID}.lambda-url.eu-west-1.on.aws")
    event["requestContext"]["accountId"] = ACCOUNT if principal else "anonymous"
    return event


def rest_api(
    sent: Sent = Sent(),  # noqa: B008 - as above
    authorizer: Mapping[str, Any] | None = None,
    client_cert: str | None = None,
    *,
    api: str = API,
    identity: Mapping[str, Any] | None = None,
    version: str | None = None,
) -> Event:
    """A REST API's event; with `version` "1.0", an HTTP API's in payload format 1.0. `identity` has the caller's."""
    path, _, query = sent.target.partition("?")
    pairs = parse_qsl(query, keep_blank_values=True)
    headers = [("Host", f"{api}.execute-api.eu-west-1.amazonaws.com"), ("X-Forwarded-For", "203.0.113.9")]
    lines = [*(pair for pair in headers), *sent.headers]
    context: Event = {
        "accountId": ACCOUNT,
        "apiId": api,
        "domainName": f"{api}.execute-api.eu-west-1.amazonaws.com",
        "domainPrefix": api,
        "httpMethod": sent.method,
        "identity": {
            **iam(None),
            "apiKey": None,
            "caller": None,
            "cognitoIdentityId": None,
            "sourceIp": "203.0.113.9",
            "user": None,
            "userAgent": "curl/8",
            **(identity or {}),
        },
        "path": f"/prod{path}",
        "protocol": "HTTP/1.1",
        "requestId": "c6af9ac6-7b61-11e6-9a41-93e8deadbeef",
        "requestTime": "10/Mar/2020:05:16:23 +0000",
        "requestTimeEpoch": 1583817383220,
        "resourceId": "123456",
        "resourcePath": "/{proxy+}",
        "stage": "prod",
    }
    if authorizer is not None:
        context["authorizer"] = dict(authorizer)
    if client_cert is not None:
        context["identity"]["clientCert"] = _certificate(client_cert)
    return {
        **({} if version is None else {"version": version}),
        "resource": "/{proxy+}",
        "path": path,
        "httpMethod": sent.method,
        "headers": dict(lines),
        "multiValueHeaders": _lists(lines, lower=False),
        "queryStringParameters": dict(pairs) or None,
        "multiValueQueryStringParameters": _lists(pairs, lower=False) or None,
        "pathParameters": {"proxy": path[1:]},
        "stageVariables": None,
        "requestContext": context,
        "body": None,
        "isBase64Encoded": False,
        **_body(sent),
    }


def load_balancer(sent: Sent = Sent(), *, multi_value: bool = True, group: str = GROUP) -> Event:  # noqa: B008 - as above
    """A load balancer's event, with multi-value headers or without. It verifies no caller."""
    path, _, query = sent.target.partition("?")
    pairs = [part.partition("=")[::2] for part in query.split("&") if part]
    lines = [("host", "orders.example.com"), ("x-forwarded-for", "203.0.113.9"), *sent.headers]
    lower = [(name.lower(), value) for name, value in lines]
    maps: Event = (
        {"multiValueQueryStringParameters": _lists(pairs), "multiValueHeaders": _lists(lower)}
        if multi_value
        else {"queryStringParameters": dict(pairs), "headers": dict(lower)}
    )
    return {
        "requestContext": {"elb": {"targetGroupArn": group}},
        "httpMethod": sent.method,
        "path": path,
        **maps,
        "body": "",
        "isBase64Encoded": False,
        **_body(sent),
    }


def single_value_load_balancer(sent: Sent = Sent()) -> Event:  # noqa: B008 - as above
    return load_balancer(sent, multi_value=False)


def http_api_1_0(sent: Sent = Sent()) -> Event:  # noqa: B008 - as above
    return rest_api(sent, {"claims": None, "scopes": None}, version="1.0")


FRONTS: Final[dict[str, Callable[[Sent], Event]]] = {
    "http-api": http_api,
    "http-api-1.0": http_api_1_0,
    "rest-api": rest_api,
    "function-url": lambda sent: function_url(sent, None),
    "alb": load_balancer,
    "alb-single-value": single_value_load_balancer,
}
"""Each front with a request that nothing verified."""

SIGNED: Final[dict[str, Callable[[Sent, str], Event]]] = {
    "http-api": lambda sent, principal: http_api(sent, {"iam": iam(principal)}),
    "http-api-1.0": lambda sent, principal: rest_api(sent, identity=iam(principal), version="1.0"),
    "rest-api": lambda sent, principal: rest_api(sent, identity=iam(principal)),
    "function-url": function_url,
}
"""Each front that verifies signatures, with a signed request."""


def _lists(pairs: Any, *, lower: bool = True) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, value in pairs:
        found.setdefault(name.lower() if lower else name, []).append(value)
    return found


def _body(sent: Sent) -> Event:
    if not sent.body:
        return {}
    try:
        return {"body": sent.body.decode()}
    except UnicodeDecodeError:
        return {"body": b64encode(sent.body).decode(), "isBase64Encoded": True}


def _certificate(subject: str) -> Event:
    return {
        "clientCertPem": "CERT_CONTENT",
        "issuerDN": "CN=Example issuer",
        "serialNumber": "a1:a1",
        "subjectDN": subject,
        "validity": {"notAfter": "Aug  5 09:36:04 2030 GMT", "notBefore": "May 28 12:30:02 2019 GMT"},
    }


def copied(event: Event) -> Event:
    """A copy that may be changed."""
    found: Event = json.loads(json.dumps(event))
    return found
