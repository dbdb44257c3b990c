"""Events of Lambda authorizers, in the shapes of AWS's documentation: each has a harmless default."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from tests.support.builders import ACCOUNT

API: Final = "a1b2c3d4e5"
STAGE_ARN: Final = f"arn:aws:execute-api:eu-west-1:{ACCOUNT}:{API}/prod"

Headers = Mapping[str, str | list[str]]
NONE: Final[Headers] = {}


def rest(headers: Headers = NONE, **fields: Any) -> dict[str, Any]:
    """The event of a REST API's authorizer. `fields` replace the event's own; a header may have several values."""
    lists = {name: value if isinstance(value, list) else [value] for name, value in headers.items()}
    event = {
        "type": "REQUEST",
        "methodArn": f"{STAGE_ARN}/GET/orders/7",
        "resource": "/orders/{id}",
        "path": "/orders/7",
        "httpMethod": "GET",
        "headers": {"Host": f"{API}.execute-api.eu-west-1.amazonaws.com", **{k: v[-1] for k, v in lists.items()}},
        "multiValueHeaders": {"Host": [f"{API}.execute-api.eu-west-1.amazonaws.com"], **lists},
        "queryStringParameters": {},
        "multiValueQueryStringParameters": {},
        "pathParameters": {"id": "7"},
        "stageVariables": {},
        "requestContext": {
            "accountId": ACCOUNT,
            "apiId": API,
            "httpMethod": "GET",
            "identity": {"sourceIp": "203.0.113.7", "userAgent": "curl/8", "userArn": None},
            "path": "/prod/orders/7",
            "requestId": "rest-1",
            "resourcePath": "/orders/{id}",
            "stage": "prod",
        },
    }
    return {**event, **fields}


def http_1(headers: Headers = NONE, **fields: Any) -> dict[str, Any]:
    """The event of an HTTP API's authorizer with payload format 1.0."""
    event = rest(headers, version="1.0", identitySource="a,b", authorizationToken="a,b")
    return {**event, "requestContext": {**event["requestContext"], "requestId": "http-1"}, **fields}


def http_2(headers: Headers = NONE, **fields: Any) -> dict[str, Any]:
    """The event of an HTTP API's authorizer with payload format 2.0. The values of a header are joined."""
    joined = {name.lower(): value if isinstance(value, str) else ",".join(value) for name, value in headers.items()}
    event = {
        "version": "2.0",
        "type": "REQUEST",
        "routeArn": f"{STAGE_ARN}/GET/orders/{{id}}",
        "identitySource": ["a", "b"],
        "routeKey": "GET /orders/{id}",
        "rawPath": "/prod/orders/7",
        "rawQueryString": "",
        "headers": {"host": f"{API}.execute-api.eu-west-1.amazonaws.com", **joined},
        "requestContext": {
            "accountId": ACCOUNT,
            "apiId": API,
            "http": {"method": "GET", "path": "/prod/orders/7", "protocol": "HTTP/1.1", "sourceIp": "203.0.113.7"},
            "requestId": "http-2",
            "routeKey": "GET /orders/{id}",
            "stage": "prod",
            "timeEpoch": 1583348638390,
        },
    }
    return {**event, **fields}


FORMS: Final = (rest, http_1, http_2)


def with_context(event: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """The event with other fields in its requestContext."""
    return {**event, "requestContext": {**event["requestContext"], **fields}}
