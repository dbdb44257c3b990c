"""A case's request as AWS documents each event, and a handler's reply as AWS documents what becomes of it.

Rule: none of lattice_bridge: this is what a framework's loss is shown with when the bridge has no part in it.
"""

from __future__ import annotations

import base64
from typing import Any
from urllib.parse import parse_qsl

from tests.frameworks.cases import CLIENT, Answer, Request

Event = dict[str, Any]
Lists = dict[str, list[str]]


def event(request: Request, function: str, payload: str) -> Event:
    path, _, query = f"/{function}{request.target}".partition("?")
    headers = _headers(request)
    lists, decoded = _lists(headers), _lists(parse_qsl(query, keep_blank_values=True))
    text, is_base64 = _body(request)
    body: Event = {"body": text, "isBase64Encoded": is_base64}
    match payload:
        case "apigateway-v2":
            return body | _http_api(request.method, path, query, headers)
        case "apigateway-v1":
            return body | _rest_api(request.method, path, decoded, lists)
        case "alb":
            return body | _balancer(request.method, path, query, lists)
        case "lattice-v1":
            return {
                "raw_path": f"/{function}{request.target}",
                "method": request.method,
                "headers": {name: ",".join(values) for name, values in lists.items()},
                "query_string_parameters": {name: values[0] for name, values in _undecoded_plus(query).items()},
                "body": text or "",
                "is_base64_encoded": is_base64,
            }
    found = {
        "version": "2.0",
        "path": f"/{function}{request.target}",
        "method": request.method,
        "headers": lists,
        "queryStringParameters": _undecoded_plus(query),
        "requestContext": {
            "serviceNetworkArn": "arn:aws:vpc-lattice:us-east-1:123456789012:servicenetwork/sn-0",
            "serviceArn": "arn:aws:vpc-lattice:us-east-1:123456789012:service/svc-0",
            "targetGroupArn": "arn:aws:vpc-lattice:us-east-1:123456789012:targetgroup/tg-0",
            "identity": {"sourceVpcArn": "arn:aws:ec2:us-east-1:123456789012:vpc/vpc-0"},
            "region": "us-east-1",
            "timeEpoch": "1893553445000000",
        },
    }
    return found | body if text else found  # Lattice leaves the keys out when there is no body


def _http_api(method: str, path: str, query: str, headers: list[tuple[str, str]]) -> Event:
    cookies = [part for name, value in headers if name == "cookie" for part in value.split("; ")]
    values = _lists((name, value) for name, value in headers if name != "cookie")
    decoded = _lists(parse_qsl(query, keep_blank_values=True))
    found: Event = {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": query,
        "headers": {name: ",".join(each) for name, each in values.items()},
        "requestContext": {
            "accountId": "123456789012",
            "apiId": "api-id",
            "domainName": "api.example.com",
            "domainPrefix": "api",
            "http": {"method": method, "path": path, "protocol": "HTTP/1.1", "sourceIp": CLIENT, "userAgent": "agent"},
            "requestId": "id",
            "routeKey": "$default",
            "stage": "$default",
            "time": "02/Jan/2030:03:04:05 +0000",
            "timeEpoch": 1893553445000,
        },
    }
    if cookies:
        found["cookies"] = cookies
    if decoded:
        found["queryStringParameters"] = {name: ",".join(each) for name, each in decoded.items()}
    return found


def _rest_api(method: str, path: str, query: Lists, headers: Lists) -> Event:
    return {
        "resource": "/{proxy+}",
        "path": path,
        "httpMethod": method,
        "headers": {name: values[-1] for name, values in headers.items()},
        "multiValueHeaders": headers,
        "queryStringParameters": {name: values[-1] for name, values in query.items()} or None,
        "multiValueQueryStringParameters": query or None,
        "pathParameters": {"proxy": path.removeprefix("/")},
        "stageVariables": None,
        "requestContext": {
            "accountId": "123456789012",
            "apiId": "id",
            "authorizer": {"principalId": "user"},
            "httpMethod": method,
            "identity": {"sourceIp": CLIENT, "userAgent": "agent"},
            "path": path,
            "protocol": "HTTP/1.1",
            "requestId": "id",
            "resourcePath": "/{proxy+}",
            "stage": "$default",
        },
    }


def _balancer(method: str, path: str, query: str, headers: Lists) -> Event:
    target_group = "arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/lambda/0"
    raw = [part.partition("=") for part in query.split("&") if part]
    return {
        "requestContext": {"elb": {"targetGroupArn": target_group}},
        "httpMethod": method,
        "path": path,
        "multiValueQueryStringParameters": _lists((name, value) for name, _, value in raw),
        "multiValueHeaders": headers,
    }


def _headers(request: Request) -> list[tuple[str, str]]:
    given = [(name.lower(), value) for name, value in request.headers]
    forwarded = [value for name, value in given if name == "x-forwarded-for"]
    return [
        ("host", request.host),
        ("x-tenant-id", request.tenant),
        *(pair for pair in given if pair[0] != "x-forwarded-for"),
        ("x-forwarded-for", ", ".join([*forwarded, CLIENT])),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-port", "443"),
    ]


def _lists(pairs: Any) -> Lists:
    found: Lists = {}
    for name, value in pairs:
        found.setdefault(name, []).append(value)
    return found


def _undecoded_plus(query: str) -> Lists:
    return _lists(parse_qsl(query.replace("+", "%2B"), keep_blank_values=True))


def _body(request: Request) -> tuple[str | None, bool]:
    if not request.body:
        return None, False
    try:
        binary = dict(request.headers)["content-type"].startswith(("multipart/", "application/octet", "application/x-"))
        return (base64.b64encode(request.body).decode(), True) if binary else (request.body.decode(), False)
    except UnicodeDecodeError:
        return base64.b64encode(request.body).decode(), True


def answer(reply: dict[str, Any], target: str) -> Answer:
    """As API Gateway and load balancers do it: cookies and multi-value headers are lines of their own."""
    pairs = [(name.lower(), str(value)) for name, value in (reply.get("headers") or {}).items()]
    lists = (reply.get("multiValueHeaders") or {}).items()
    pairs += [(name.lower(), str(value)) for name, values in lists for value in values]
    pairs += [("set-cookie", cookie) for cookie in reply.get("cookies") or []]
    text = reply.get("body") or ""
    body = base64.b64decode(text) if reply.get("isBase64Encoded") else text.encode()
    return Answer(int(reply["statusCode"]), tuple(pairs), body, target)
