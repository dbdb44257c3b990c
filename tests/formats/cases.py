"""Events and replies of all five formats, written by hand, with the values that they mean.

One table drives both directions: `test_cases` reads each event and writes each request, and the same for replies.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final

from lattice_bridge import Caller, Request, Response
from lattice_bridge.http.base64 import Base64
from lattice_bridge.identity.principal import parse_arn
from lattice_bridge.message import X509, Format

Event = dict[str, Any]

ROLE: Final = "arn:aws:sts::111122223333:assumed-role/blue-api/i-1"
VPC: Final = "arn:aws:ec2:eu-west-1:111122223333:vpc/vpc-1"
LATTICE: Final = "arn:aws:vpc-lattice:eu-west-1:111122223333:"
BALANCER_GROUP: Final = "arn:aws:elasticloadbalancing:eu-west-1:111122223333:targetgroup/orders/0"
UNSIGNED: Final = Caller(source_vpc_arn=VPC)
SIGNED: Final = Caller(True, parse_arn(ROLE), "i-1", "o-abc", VPC)
CERTIFIED: Final = replace(SIGNED, x509=X509(san_uri="spiffe://example/blue", subject_cn="blue"))
FROM: Final = ("x-forwarded-for", "203.0.113.9")
HOST: Final = ("host", "orders.example.com")


@dataclass(frozen=True, slots=True)
class Case:
    """An event and the request that it means.

    Attributes:
        format: the event's.
        name: the special part of the case.
        event: as the service sends it.
        request: as the bridge reads it.
        written: whether writing the request gives the event. False for events that say one thing in two ways.
    """

    format: Format
    name: str
    event: Event
    request: Request
    written: bool = True


# ---- Lattice --------------------------------------------------------------------------------------------------------


def _v1(**changes: Any) -> Event:
    headers = {**dict([HOST, FROM]), "x-amzn-lattice-network": f"SourceVpcArn={VPC}", **changes.pop("headers", {})}
    plain: Event = {
        "raw_path": "/orders",
        "method": "GET",
        "headers": headers,
        "query_string_parameters": {},
        "body": "",
        "is_base64_encoded": False,
        "request_id": "r-1",
    }
    return {**plain, **changes}


def _v1_request(**changes: Any) -> Request:
    plain = Request(1, "GET", "/orders", headers=(HOST, FROM), caller=UNSIGNED, request_id="r-1")
    return replace(plain, **changes)


def _v2(identity: dict[str, str] | None = None, **changes: Any) -> Event:
    plain: Event = {
        "version": "2.0",
        "path": "/orders",
        "method": "GET",
        "headers": {"host": ["orders.example.com"], "x-forwarded-for": ["203.0.113.9"], **changes.pop("headers", {})},
        "requestContext": {
            "serviceNetworkArn": f"{LATTICE}servicenetwork/sn-1",
            "serviceArn": f"{LATTICE}service/svc-1",
            "targetGroupArn": f"{LATTICE}targetgroup/tg-1",
            "identity": {"sourceVpcArn": VPC, **(identity or {})},
            "region": "eu-west-1",
            "timeEpoch": "1763683200123456",
        },
        "requestId": "r-1",
    }
    return {**plain, **changes}


def _v2_request(**changes: Any) -> Request:
    plain = Request(
        2,
        "GET",
        "/orders",
        headers=(HOST, FROM),
        caller=UNSIGNED,
        request_id="r-1",
        service_arn=f"{LATTICE}service/svc-1",
        service_network_arn=f"{LATTICE}servicenetwork/sn-1",
        target_group_arn=f"{LATTICE}targetgroup/tg-1",
        time_epoch=1_763_683_200_123_456,
    )
    return replace(plain, **changes)


_IDENTITY_V1: Final = (
    f"Principal={ROLE}; PrincipalOrgID=o-abc; PrincipalOrgPaths=; SessionName=i-1; Type=AWS_IAM"  # as captured
)
_IDENTITY_V2: Final = {"type": "AWS_IAM", "principal": ROLE, "principalOrgID": "o-abc", "sessionName": "i-1"}

LATTICE_CASES: Final = [
    Case("lattice-v1", "plain", _v1(), _v1_request()),
    Case(
        "lattice-v1",
        "query",
        _v1(raw_path="/a%2Fb?x=1&x=%2F&y=+", query_string_parameters={"x": "1", "y": "+"}),
        _v1_request(path="/a%2Fb", raw_query="x=1&x=%2F&y=+"),
    ),
    Case(
        "lattice-v1",
        "signed",
        _v1(headers={"x-amzn-lattice-identity": _IDENTITY_V1}),
        _v1_request(caller=SIGNED),
    ),
    Case(
        "lattice-v1",
        "body",
        _v1(method="POST", body="hé", headers={"x-tag": "a,b"}),
        _v1_request(method="POST", content="hé", headers=(HOST, FROM, ("x-tag", "a,b"))),
    ),
    Case(
        "lattice-v1",
        "base64",
        _v1(method="PUT", body="AP8=", is_base64_encoded=True),
        _v1_request(method="PUT", content=Base64("AP8=")),
    ),
    Case("lattice-v2", "plain", _v2(), _v2_request()),
    Case(
        "lattice-v2",
        "query",
        _v2(path="/a%2Fb?x=1&x=%2F&y=+", queryStringParameters={"x": ["1", "/"], "y": ["+"]}),
        _v2_request(path="/a%2Fb", raw_query="x=1&x=%2F&y=+"),
    ),
    Case("lattice-v2", "signed", _v2(_IDENTITY_V2), _v2_request(caller=SIGNED)),
    Case(
        "lattice-v2",
        "certificate",
        _v2({**_IDENTITY_V2, "x509SanUri": "spiffe://example/blue", "x509SubjectCn": "blue"}),
        _v2_request(caller=CERTIFIED),
    ),
    Case(
        "lattice-v2",
        "body and repeated headers",
        _v2(method="POST", body="hé", headers={"x-tag": ["a", "b, c"]}),
        _v2_request(method="POST", content="hé", headers=(HOST, FROM, ("x-tag", "a"), ("x-tag", "b, c"))),
    ),
    Case(
        "lattice-v2",
        "base64",
        _v2(method="PUT", body="AP8=", isBase64Encoded=True),
        _v2_request(method="PUT", content=Base64("AP8=")),
    ),
    Case(
        "lattice-v2",
        "query map of a hand-made event",
        _v2(path="/orders", queryStringParameters={"x": "a b"}),
        _v2_request(raw_query="x=a%20b"),
        written=False,
    ),
]


# ---- API Gateway 1.0 ------------------------------------------------------------------------------------------------

_UNKNOWN_OF_A_CALLER: Final = (
    *("accessKey", "accountId", "apiKey", "apiKeyId", "caller", "clientCert", "cognitoAuthenticationProvider"),
    *("cognitoAuthenticationType", "cognitoIdentityId", "cognitoIdentityPoolId", "principalOrgId", "user"),
)
_ACCESS_TIME: Final = "21/Nov/2025:00:00:00 +0000"


def _rest(**changes: Any) -> Event:
    path, method = changes.get("path", "/orders"), changes.get("httpMethod", "GET")
    multi = {"host": ["orders.example.com"], "x-forwarded-for": ["203.0.113.9"], **changes.pop("headers", {})}
    plain: Event = {
        "resource": "/{proxy+}",
        "path": path,
        "httpMethod": method,
        "headers": {name: values[-1] for name, values in multi.items()},
        "multiValueHeaders": multi,
        "queryStringParameters": None,
        "multiValueQueryStringParameters": None,
        "pathParameters": {"proxy": path.removeprefix("/")},
        "stageVariables": None,
        "requestContext": {
            "accountId": "",
            "apiId": "a1b2c3",
            "authorizer": {"principalId": "", "integrationLatency": 0},
            "domainName": "orders.example.com",
            "domainPrefix": "orders",
            "extendedRequestId": "r-1",
            "httpMethod": method,
            "identity": {
                **dict.fromkeys(_UNKNOWN_OF_A_CALLER),
                "sourceIp": "203.0.113.9",
                "userAgent": None,
                "userArn": None,
            },
            "path": path,
            "protocol": "HTTP/1.1",
            "requestId": "r-1",
            "requestTime": _ACCESS_TIME,
            "requestTimeEpoch": 1763683200123,
            "resourceId": "",
            "resourcePath": "/{proxy+}",
            "stage": "$default",
        },
        "body": None,
        "isBase64Encoded": False,
    }
    return {**plain, **changes}


def _gateway_request(version: Any, **changes: Any) -> Request:
    plain = Request(
        version,
        "GET",
        "/orders",
        headers=(HOST, FROM),
        request_id="r-1",
        time_epoch=1_763_683_200_123_000,
        source="apigateway",
        api_id="a1b2c3",
    )
    return replace(plain, **changes)


REST_CASES: Final = [
    Case("apigateway-v1", "plain", _rest(), _gateway_request(1)),
    Case(
        "apigateway-v1",
        "query",
        _rest(
            path="/a%2Fb",
            queryStringParameters={"x": "a b", "y": "+"},
            multiValueQueryStringParameters={"x": ["1", "a b"], "y": ["+"]},
        ),
        _gateway_request(1, path="/a%2Fb", raw_query="x=1&x=a%20b&y=%2B"),
    ),
    Case(
        "apigateway-v1",
        "body, cookies and repeated headers",
        _rest(httpMethod="POST", body="hé", headers={"x-tag": ["a", "b, c"], "cookie": ["a=1; b=2"]}),
        _gateway_request(
            1,
            method="POST",
            content="hé",
            headers=(HOST, FROM, ("x-tag", "a"), ("x-tag", "b, c"), ("cookie", "a=1; b=2")),
        ),
    ),
    Case(
        "apigateway-v1",
        "base64",
        _rest(httpMethod="PUT", body="AP8=", isBase64Encoded=True),
        _gateway_request(1, method="PUT", content=Base64("AP8=")),
    ),
    Case(
        "apigateway-v1",
        "header names with capitals, of an HTTP API",
        {**_rest(headers={"X-Tag": ["a"]}), "version": "1.0"},
        _gateway_request(1, headers=(HOST, FROM, ("x-tag", "a"))),
        written=False,
    ),
    Case(
        "apigateway-v1",
        "single maps only, with the first value of a name",
        {
            **_rest(),
            "multiValueHeaders": None,
            "queryStringParameters": {"x": "1"},
            "multiValueQueryStringParameters": {"x": ["1", "2"]},
        },
        _gateway_request(1, raw_query="x=1&x=2"),
        written=False,
    ),
    Case(
        "apigateway-v1",
        "a Lattice header of a client",
        _rest(headers={"x-amzn-lattice-identity": ["Principal=x; Type=AWS_IAM"]}),
        _gateway_request(1),
        written=False,
    ),
]


# ---- API Gateway 2.0 ------------------------------------------------------------------------------------------------


def _http(**changes: Any) -> Event:
    path, method = changes.get("rawPath", "/orders"), changes.pop("method", "GET")
    plain: Event = {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": "",
        "headers": {"host": "orders.example.com", "x-forwarded-for": "203.0.113.9", **changes.pop("headers", {})},
        "requestContext": {
            "accountId": "",
            "apiId": "a1b2c3",
            "authorizer": {"lambda": {}},
            "domainName": "orders.example.com",
            "domainPrefix": "orders",
            "http": {
                "method": method,
                "path": path,
                "protocol": "HTTP/1.1",
                "sourceIp": "203.0.113.9",
                "userAgent": "",
            },
            "requestId": "r-1",
            "routeKey": "$default",
            "stage": "$default",
            "time": _ACCESS_TIME,
            "timeEpoch": 1763683200123,
        },
        "isBase64Encoded": False,
    }
    return {**plain, **changes}


HTTP_CASES: Final = [
    Case("apigateway-v2", "plain", _http(), _gateway_request(2)),
    Case(
        "apigateway-v2",
        "query",
        _http(
            rawPath="/a%2Fb",
            rawQueryString="x=1&x=a+b&y=%2B&&z",
            queryStringParameters={"x": "1,a b", "y": "+", "z": ""},
        ),
        _gateway_request(2, path="/a%2Fb", raw_query="x=1&x=a+b&y=%2B&&z"),
    ),
    Case(
        "apigateway-v2",
        "body, cookies and a header with a comma",
        _http(method="POST", body="hé", headers={"x-tag": "a,b"}, cookies=["a=1", "b=2"]),
        _gateway_request(
            2, method="POST", content="hé", headers=(HOST, FROM, ("x-tag", "a,b"), ("cookie", "a=1; b=2"))
        ),
    ),
    Case(
        "apigateway-v2",
        "base64",
        _http(method="PUT", body="AP8=", isBase64Encoded=True),
        _gateway_request(2, method="PUT", content=Base64("AP8=")),
    ),
    Case(
        "apigateway-v2",
        "the same cookies twice, and no raw query",
        {
            **_http(headers={"cookie": "a=1;b=2"}, cookies=["a=1", "b=2"], queryStringParameters={"x": "a+b"}),
            "rawQueryString": None,
        },
        _gateway_request(2, raw_query="x=a%2Bb", headers=(HOST, FROM, ("cookie", "a=1; b=2"))),
        written=False,
    ),
]


# ---- load balancer --------------------------------------------------------------------------------------------------


def _alb(**changes: Any) -> Event:
    multi = {"host": ["orders.example.com"], "x-forwarded-for": ["203.0.113.9"], **changes.pop("headers", {})}
    plain: Event = {
        "requestContext": {"elb": {"targetGroupArn": BALANCER_GROUP}},
        "httpMethod": "GET",
        "path": "/orders",
        "multiValueQueryStringParameters": {},
        "multiValueHeaders": multi,
        "body": "",
        "isBase64Encoded": False,
    }
    return {**plain, **changes}


def _alb_single(**changes: Any) -> Event:
    event = _alb(**changes)
    lists = event.pop("multiValueHeaders"), event.pop("multiValueQueryStringParameters")
    headers, query = ({name: values[-1] for name, values in each.items()} for each in lists)
    return {**event, "headers": headers, "queryStringParameters": query}


def _alb_request(**changes: Any) -> Request:
    plain = Request(1, "GET", "/orders", headers=(HOST, FROM), target_group_arn=BALANCER_GROUP, source="alb")
    return replace(plain, **changes)


ALB_CASES: Final = [
    Case("alb", "plain", _alb(), _alb_request()),
    Case(
        "alb",
        "query, still encoded",
        _alb(path="/a%2Fb", multiValueQueryStringParameters={"x": ["1", "%2F"], "%61": ["+"]}),
        _alb_request(path="/a%2Fb", raw_query="x=1&x=%2F&%61=+"),
    ),
    Case(
        "alb",
        "body, cookies and repeated headers",
        _alb(httpMethod="POST", body="hé", headers={"x-tag": ["a", "b, c"], "cookie": ["a=1; b=2"]}),
        _alb_request(
            method="POST",
            content="hé",
            headers=(HOST, FROM, ("x-tag", "a"), ("x-tag", "b, c"), ("cookie", "a=1; b=2")),
        ),
    ),
    Case(
        "alb",
        "base64",
        _alb(httpMethod="PUT", body="AP8=", isBase64Encoded=True),
        _alb_request(method="PUT", content=Base64("AP8=")),
    ),
    Case(
        "alb",
        "a Lattice header of a client",
        _alb(headers={"x-amzn-lattice-network": ["SourceVpcArn=x"]}),
        _alb_request(),
        written=False,
    ),
]

SINGLE_VALUE_CASES: Final = [
    Case("alb", "one value a name", _alb_single(), _alb_request()),
    Case(
        "alb",
        "one value a name, with a query",
        _alb_single(multiValueQueryStringParameters={"x": ["%2F"]}, headers={"x-tag": ["a,b"]}),
        _alb_request(raw_query="x=%2F", headers=(HOST, FROM, ("x-tag", "a,b"))),
    ),
]
"""Of a target group without multi-value headers."""

CASES: Final = [*LATTICE_CASES, *REST_CASES, *HTTP_CASES, *ALB_CASES]


# ---- replies --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ReplyCase:
    """A response, and the reply for it in each format."""

    name: str
    response: Response
    replies: dict[str, dict[str, Any]]


def _like_lattice(reply: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """API Gateway 2.0 has the same reply as Lattice."""
    return dict.fromkeys(("lattice-v1", "lattice-v2", "apigateway-v2"), reply)


_JSON: Final = ("content-type", "application/json")
_COOKIES: Final = (("set-cookie", "a=1; Path=/"), ("set-cookie", "b=2; Expires=Thu, 20 Nov 2025 00:00:00 GMT"))
_COOKIE_LIST: Final = [value for _, value in _COOKIES]

REPLY_CASES: Final = [
    ReplyCase(
        "text",
        Response(200, (_JSON, ("x-a", "1")), b'{"a": 1}'),
        {
            **_like_lattice(
                {
                    "statusCode": 200,
                    "isBase64Encoded": False,
                    "headers": {"content-type": "application/json", "x-a": "1"},
                    "body": '{"a": 1}',
                },
            ),
            "apigateway-v1": {
                "statusCode": 200,
                "isBase64Encoded": False,
                "multiValueHeaders": {"content-type": ["application/json"], "x-a": ["1"]},
                "body": '{"a": 1}',
            },
            "alb": {
                "statusCode": 200,
                "statusDescription": "200 OK",
                "isBase64Encoded": False,
                "multiValueHeaders": {"content-type": ["application/json"], "x-a": ["1"]},
                "body": '{"a": 1}',
            },
        },
    ),
    ReplyCase(
        "bytes and cookies",
        Response(201, (("content-type", "image/png"), *_COOKIES), Base64("AP8=")),
        {
            **_like_lattice(
                {
                    "statusCode": 201,
                    "isBase64Encoded": True,
                    "headers": {"content-type": "image/png"},
                    "cookies": _COOKIE_LIST,
                    "body": "AP8=",
                },
            ),
            "apigateway-v1": {
                "statusCode": 201,
                "isBase64Encoded": True,
                "multiValueHeaders": {"content-type": ["image/png"], "set-cookie": _COOKIE_LIST},
                "body": "AP8=",
            },
            "alb": {
                "statusCode": 201,
                "statusDescription": "201 Created",
                "isBase64Encoded": True,
                "multiValueHeaders": {"content-type": ["image/png"], "set-cookie": _COOKIE_LIST},
                "body": "AP8=",
            },
        },
    ),
    ReplyCase(
        "no body",
        Response(204, (("x-a", "1"),)),
        {
            **_like_lattice(
                {"statusCode": 204, "isBase64Encoded": False, "headers": {"x-a": "1"}},
            ),
            "apigateway-v1": {"statusCode": 204, "isBase64Encoded": False, "multiValueHeaders": {"x-a": ["1"]}},
            "alb": {
                "statusCode": 204,
                "statusDescription": "204 No Content",
                "isBase64Encoded": False,
                "multiValueHeaders": {"x-a": ["1"]},
            },
        },
    ),
]
