"""The payload of a backend, in each format."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, get_args

import pytest
from aws_lambda_powertools.utilities.parser import parse
from aws_lambda_powertools.utilities.parser.models import (
    APIGatewayProxyEventModel,
    APIGatewayProxyEventV2Model,
    VpcLatticeModel,
)

from lattice_bridge import parse_event
from lattice_bridge.errors import Forbidden, TooLarge
from lattice_bridge.formats.event import Payload
from lattice_bridge.formats.payload import encode
from lattice_bridge.http.headers import fold
from lattice_bridge.http.query import parse_query
from tests.support.builders import SERVICE, VPC, role, v1, v2

PAYLOADS: tuple[Payload, ...] = get_args(Payload)
BLUE = role("blue-api")
IDENTITY_V1 = f"Principal={BLUE}; PrincipalOrgID=; PrincipalOrgPaths=; SessionName=i-0123; Type=AWS_IAM"
GROUP = "arn:aws:vpc-lattice:eu-west-1:111122223333:targetgroup/tg-0123"


def told(payload: Payload, event: dict[str, Any], **options: Any) -> dict[str, Any]:
    given = {"tenant": "blue", "tenant_header": "x-tenant-id", "request_id": "r-1", "now": 1_735_689_600.5, **options}
    found: dict[str, Any] = json.loads(encode(parse_event(event), payload=payload, **given))
    return found


def sent(principal: str | None = BLUE, **fields: Any) -> dict[str, Any]:
    """A V2 event with something of everything."""
    headers = {"x-forwarded-for": "203.0.113.9,10.0.0.3", "user-agent": "curl/8", "cookie": "c=1; d=2"}
    event = v2(principal, path="/a%2Fb?x=1&x=%2F&y=+", method="POST", headers={**headers, **fields.pop("headers", {})})
    event["requestContext"] |= {"timeEpoch": "1700000000000001", "targetGroupArn": GROUP}
    return {**event, "body": "hi", **fields}


def strings(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield key
            yield from strings(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from strings(inner)
    elif isinstance(value, str):
        yield value


# ---- the formats, in full -------------------------------------------------------------------------------------------


def test_apigateway_v2_in_full() -> None:
    identity = {"sourceVpcArn": VPC, "type": "AWS_IAM", "principal": BLUE, "sessionName": "i-0123"}
    assert told("apigateway-v2", sent()) == {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": "/a%2Fb",
        "rawQueryString": "x=1&x=%2F&y=+",
        "cookies": ["c=1", "d=2"],
        "headers": {
            "host": "orders.example.com",
            "x-forwarded-for": "203.0.113.9, 10.0.0.3",
            "user-agent": "curl/8",
            "x-request-id": "r-1",
            "x-lattice-bridge-hops": "1",
            "x-tenant-id": "blue",
            "x-forwarded-proto": "https",
            "x-forwarded-port": "443",
        },
        "queryStringParameters": {"x": "1,/", "y": " "},
        "requestContext": {
            "accountId": "111122223333",
            "apiId": "svc-0a1b2c3d4e5f60718",
            "authorizer": {
                "lambda": {"tenantId": "blue", **identity},
                "iam": {
                    "accountId": "111122223333",
                    "cognitoIdentity": None,
                    "principalOrgId": None,
                    "userArn": BLUE,
                },
            },
            "domainName": "orders.example.com",
            "domainPrefix": "orders",
            "http": {
                "method": "POST",
                "path": "/a%2Fb",
                "protocol": "HTTP/1.1",
                "sourceIp": "10.0.0.3",
                "userAgent": "curl/8",
            },
            "requestId": "r-1",
            "routeKey": "$default",
            "stage": "$default",
            "time": "14/Nov/2023:22:13:20 +0000",
            "timeEpoch": 1700000000000,
        },
        "body": "hi",
        "isBase64Encoded": False,
    }


def test_apigateway_v1_in_full() -> None:
    identity = {"sourceVpcArn": VPC, "type": "AWS_IAM", "principal": BLUE, "sessionName": "i-0123"}
    headers = {
        "host": "orders.example.com",
        "x-forwarded-for": "203.0.113.9, 10.0.0.3",
        "user-agent": "curl/8",
        "cookie": "c=1; d=2",
        "x-request-id": "r-1",
        "x-lattice-bridge-hops": "1",
        "x-tenant-id": "blue",
        "x-forwarded-proto": "https",
        "x-forwarded-port": "443",
    }
    assert told("apigateway-v1", sent()) == {
        "resource": "/{proxy+}",
        "path": "/a%2Fb",
        "httpMethod": "POST",
        "headers": headers,
        "multiValueHeaders": {name: [value] for name, value in headers.items()},
        "queryStringParameters": {"x": "/", "y": " "},
        "multiValueQueryStringParameters": {"x": ["1", "/"], "y": [" "]},
        "pathParameters": {"proxy": "a%2Fb"},
        "stageVariables": None,
        "requestContext": {
            "accountId": "111122223333",
            "apiId": "svc-0a1b2c3d4e5f60718",
            "authorizer": {"principalId": BLUE, "integrationLatency": 0, "tenantId": "blue", **identity},
            "domainName": "orders.example.com",
            "domainPrefix": "orders",
            "extendedRequestId": "r-1",
            "httpMethod": "POST",
            "identity": {
                "accessKey": None,
                "accountId": "111122223333",
                "apiKey": None,
                "apiKeyId": None,
                "caller": None,
                "clientCert": None,
                "cognitoAuthenticationProvider": None,
                "cognitoAuthenticationType": None,
                "cognitoIdentityId": None,
                "cognitoIdentityPoolId": None,
                "principalOrgId": None,
                "sourceIp": "10.0.0.3",
                "user": None,
                "userAgent": "curl/8",
                "userArn": BLUE,
            },
            "path": "/a%2Fb",
            "protocol": "HTTP/1.1",
            "requestId": "r-1",
            "requestTime": "14/Nov/2023:22:13:20 +0000",
            "requestTimeEpoch": 1700000000000,
            "resourceId": "",
            "resourcePath": "/{proxy+}",
            "stage": "$default",
        },
        "body": "hi",
        "isBase64Encoded": False,
    }


def test_alb_in_full() -> None:
    assert told("alb", sent()) == {
        "requestContext": {"elb": {"targetGroupArn": GROUP}},
        "httpMethod": "POST",
        "path": "/a%2Fb",
        "multiValueQueryStringParameters": {"x": ["1", "%2F"], "y": ["+"]},
        "multiValueHeaders": {
            "host": ["orders.example.com"],
            "x-forwarded-for": ["203.0.113.9, 10.0.0.3"],
            "user-agent": ["curl/8"],
            "cookie": ["c=1; d=2"],
            "x-request-id": ["r-1"],
            "x-lattice-bridge-hops": ["1"],
            "x-tenant-id": ["blue"],
            "x-forwarded-proto": ["https"],
            "x-forwarded-port": ["443"],
            "x-amzn-lattice-network": [f"SourceVpcArn={VPC}"],
            "x-amzn-lattice-identity": [IDENTITY_V1],
        },
        "body": "hi",
        "isBase64Encoded": False,
    }


def test_lattice_v1_from_v2_in_full() -> None:
    assert told("lattice-v1", sent()) == {
        "raw_path": "/a%2Fb?x=1&x=%2F&y=+",
        "method": "POST",
        "headers": {
            "host": "orders.example.com",
            "x-forwarded-for": "203.0.113.9,10.0.0.3",
            "user-agent": "curl/8",
            "cookie": "c=1; d=2",
            "x-request-id": "r-1",
            "x-lattice-bridge-hops": "1",
            "x-tenant-id": "blue",
            "x-amzn-lattice-network": f"SourceVpcArn={VPC}",
            "x-amzn-lattice-identity": IDENTITY_V1,
        },
        "query_string_parameters": {"x": "1", "y": "+"},
        "body": "hi",
        "is_base64_encoded": False,
        "request_id": "r-1",
    }


def test_lattice_v2_from_v1_in_full() -> None:
    event = v1(BLUE, raw_path="/a%2Fb?x=1&x=%2F&y=+", method="POST", headers={"x-many": "1,2"}, body="hi")
    assert told("lattice-v2", event) == {
        "version": "2.0",
        "path": "/a%2Fb?x=1&x=%2F&y=+",
        "method": "POST",
        "headers": {
            "host": ["orders.example.com"],
            "x-many": ["1,2"],
            "x-request-id": ["r-1"],
            "x-lattice-bridge-hops": ["1"],
            "x-tenant-id": ["blue"],
        },
        "queryStringParameters": {"x": ["1", "/"], "y": ["+"]},
        "body": "hi",
        "requestContext": {
            "serviceNetworkArn": "",
            "serviceArn": "",
            "targetGroupArn": "",
            "identity": {"sourceVpcArn": VPC, "type": "AWS_IAM", "principal": BLUE, "sessionName": "i-0123"},
            "region": "eu-west-1",
            "timeEpoch": "1735689600500000",
        },
        "requestId": "r-1",
    }


@pytest.mark.parametrize(("payload", "event"), [("lattice-v1", v1(BLUE, new={"a": 1})), ("lattice-v2", sent(new=1))])
def test_event_already_in_the_format_is_unchanged(payload: Payload, event: dict[str, Any]) -> None:
    assert told(payload, event) == told("lattice", event)
    assert "new" in told(payload, event)


# ---- nothing there is said as the service itself would say it -------------------------------------------------------


def empty() -> dict[str, Any]:
    event = v2(path="/", headers={"host": "a.example"})
    event["requestContext"]["identity"] = {}
    return event


def test_apigateway_v2_leaves_out_what_is_not_there() -> None:
    found = told("apigateway-v2", empty())
    assert not {"cookies", "queryStringParameters", "body", "pathParameters", "stageVariables"} & set(found)
    assert found["requestContext"]["authorizer"] == {"lambda": {"tenantId": "blue"}}
    assert (found["rawQueryString"], found["isBase64Encoded"]) == ("", False)


def test_apigateway_v1_says_null_for_what_is_not_there() -> None:
    found = told("apigateway-v1", empty())
    nothing = ("queryStringParameters", "multiValueQueryStringParameters", "pathParameters", "stageVariables", "body")
    assert [found[name] for name in nothing] == [None] * 5
    assert found["requestContext"]["authorizer"] == {"principalId": "", "integrationLatency": 0, "tenantId": "blue"}
    assert found["requestContext"]["identity"]["userArn"] is None
    assert (found["resource"], found["requestContext"]["resourcePath"]) == ("/", "/")


def test_alb_says_empty_for_what_is_not_there() -> None:
    found = told("alb", empty())
    assert (found["multiValueQueryStringParameters"], found["body"]) == ({}, "")
    assert not [name for name in found["multiValueHeaders"] if "lattice-identity" in name]


def test_mark_of_a_load_balancer_is_never_empty() -> None:
    """Mangum and serverless-wsgi know a load balancer by it, and by its being something."""
    assert told("alb", v1())["requestContext"]["elb"]


@pytest.mark.parametrize("payload", ["alb", "apigateway-v1"])
def test_only_an_http_api_event_has_a_version(payload: Payload) -> None:
    assert "version" not in told(payload, sent())


@pytest.mark.parametrize("payload", PAYLOADS)
@pytest.mark.parametrize("make", [v1, v2])
def test_a_body_in_base64_goes_on_as_base64(payload: Payload, make: Any) -> None:
    flags = {"is_base64_encoded": True} if make is v1 else {"isBase64Encoded": True}
    found = told(payload, make(body="AP8=", **flags))
    assert found["body"] == "AP8="
    assert found.get("isBase64Encoded", found.get("is_base64_encoded")) is True


@pytest.mark.parametrize("payload", PAYLOADS)
def test_a_payload_over_the_limit_is_refused_in_every_format(payload: Payload) -> None:
    with pytest.raises(TooLarge):
        told(payload, sent(body="x" * 2000), limit=2000)


# ---- repetition -----------------------------------------------------------------------------------------------------

MANY = {"x-many": ["a, b", "c"], "cookie": ["c=1", "d=2"]}


def test_repeated_headers_are_lists_where_there_are_lists() -> None:
    for payload in ("alb", "apigateway-v1"):
        assert told(payload, sent(headers=MANY))["multiValueHeaders"]["x-many"] == ["a, b", "c"]
    assert told("apigateway-v1", sent(headers=MANY))["headers"]["x-many"] == "c"


def test_repeated_headers_are_joined_where_there_are_strings() -> None:
    for payload in ("lattice-v1", "apigateway-v2"):
        assert told(payload, sent(headers=MANY))["headers"]["x-many"] == "a, b,c"


def test_cookie_lines_are_never_joined_by_a_comma() -> None:
    event = sent(headers=MANY)
    assert told("apigateway-v2", event)["cookies"] == ["c=1", "d=2"]
    assert told("alb", event)["multiValueHeaders"]["cookie"] == ["c=1; d=2"]
    assert told("apigateway-v1", event)["multiValueHeaders"]["cookie"] == ["c=1; d=2"]
    assert told("apigateway-v1", event)["headers"]["cookie"] == "c=1; d=2"
    assert told("lattice-v1", event)["headers"]["cookie"] == "c=1; d=2"


# ---- what no client may say -----------------------------------------------------------------------------------------

RESERVED = [
    "X-Tenant-Id",
    "x_tenant_id",
    "x-amz-tenant-id",
    "X_Amzn_Tenant-Id",
    "authorization",
    "x-amz-security-token",
    "x-request-id",
    "connection",
    "te",
    "x_amzn_lattice_identity",
]


@pytest.mark.parametrize("payload", PAYLOADS)
@pytest.mark.parametrize("make", [v1, v2])
@pytest.mark.parametrize("name", RESERVED)
def test_reserved_header_is_dropped_in_every_format(payload: Payload, make: Any, name: str) -> None:
    """Trap A15."""
    found = told(payload, make(headers={name: "forged"}))
    assert "forged" not in set(strings(found))
    ours = {"x-tenant-id", "x-request-id"} | {text for text in strings(found) if text == "x-amzn-lattice-identity"}
    assert fold(name) not in {fold(text) for text in strings(found)} - ours


@pytest.mark.parametrize("payload", PAYLOADS)
def test_a_v2_client_cannot_say_who_it_is_in_any_format(payload: Payload) -> None:
    """Trap A7."""
    forged = {"x-amzn-lattice-identity": "Principal=forged", "x-amzn-lattice-network": "SourceVpcArn=forged"}
    assert not [text for text in strings(told(payload, v2(BLUE, headers=forged))) if "forged" in text]


PRESIGNED = "X-Amz-Date=20260101T000000Z&X-Amz-Credential=AKID%2F1&x=1&X-Amz-Security-Token=S&X-Amz-Signature=abc"


@pytest.mark.parametrize("payload", PAYLOADS)
@pytest.mark.parametrize("make", [v1, v2])
@pytest.mark.parametrize(
    "spelled", [str, str.lower, str.upper, lambda text: text.replace("X-Amz-", "X%2DAm%7a_")], ids=range(4)
)
def test_credential_in_the_query_is_dropped_in_every_format(payload: Payload, make: Any, spelled: Any) -> None:
    """Trap A15: a presigned URL carries what the header `authorization` does."""
    query = spelled(PRESIGNED)
    maps = {"query_string_parameters" if make is v1 else "queryStringParameters": dict(parse_query(query))}
    event = make(BLUE, **{"raw_path" if make is v1 else "path": f"/a?{query}"}, **maps)
    text = json.dumps(told(payload, event)).lower().replace("_", "-").replace("%2d", "-").replace("%7a", "z")
    assert not [name for name in ("x-amz-credential", "x-amz-security-token", "x-amz-signature") if name in text]
    assert not [secret for secret in ("akid", "=s&", '"s"', "=abc", '"abc"') if secret in text]
    assert "x-amz-date" in text


@pytest.mark.parametrize("payload", PAYLOADS)
@pytest.mark.parametrize("make", [v1, v2])
@pytest.mark.parametrize("name", ["X%2DAmz%2DSignature", "%58-Amz-Signature", "x_amz_signature"])
def test_encoded_credential_in_the_query_map_is_dropped(payload: Payload, make: Any, name: str) -> None:
    """Trap A15: whether Lattice decodes the map is not known."""
    maps = {"query_string_parameters" if make is v1 else "queryStringParameters": {name: "secret", "b": "1"}}
    found = told(payload, make(BLUE, **{"raw_path" if make is v1 else "path": f"/a?{name}=secret&b=1"}, **maps))
    assert "secret" not in json.dumps(found)


@pytest.mark.parametrize("payload", PAYLOADS)
def test_a_query_of_nothing_but_a_credential_is_no_query(payload: Payload) -> None:
    found = told(payload, v2(BLUE, path="/a?X-Amz-Signature=abc", queryStringParameters={"X-Amz-Signature": ["abc"]}))
    assert "abc" not in set(strings(found))
    assert "/a" in set(strings(found))


@pytest.mark.parametrize("payload", PAYLOADS)
@pytest.mark.parametrize("query", ["?", "a=%zz&&b", "xamz=1&%=2&=3", "x-amz-date=1&%41=%2B+"])
def test_another_query_keeps_its_bytes(payload: Payload, query: str) -> None:
    with_credential = told(payload, v2(BLUE, path=f"/a?{query}&X-Amz-Signature=abc"))
    assert with_credential == told(payload, v2(BLUE, path=f"/a?{query}"))


def test_rest_api_event_has_every_required_field() -> None:
    """`APIGatewayProxyEvent` of @types/aws-lambda: each of these has to be there, and some may be null."""
    for event in (sent(), sent(None), v1()):
        context = told("apigateway-v1", event)["requestContext"]
        assert isinstance(context["authorizer"]["principalId"], str)
        assert isinstance(context["authorizer"]["integrationLatency"], int)
        assert set(context["identity"]) >= {
            *("accessKey", "accountId", "apiKey", "apiKeyId", "caller", "clientCert", "cognitoAuthenticationProvider"),
            *("cognitoAuthenticationType", "cognitoIdentityId", "cognitoIdentityPoolId", "principalOrgId", "sourceIp"),
            *("user", "userAgent", "userArn"),
        }


@pytest.mark.parametrize("name", ["x-amzn-oidc-identity", "X_Amzn_Oidc_Data", "x-amzn-mtls-clientcert-subject"])
def test_header_of_a_load_balancer_from_a_client_is_dropped(name: str) -> None:
    """Trap A15: a backend behind a load balancer reads it as the user that the balancer authenticated."""
    assert "forged" not in set(strings(told("alb", sent(headers={name: "forged"}))))


@pytest.mark.parametrize("name", ["x-amzn-vpc-id", "x-amzn-vpce-config", "X_Amzn_Vpce_Id", "cloudfront-viewer-country"])
def test_header_of_a_gateway_from_a_client_is_dropped(name: str) -> None:
    """Trap A15: a backend of a private API reads it as the network that the request came from."""
    assert "forged" not in set(strings(told("apigateway-v1", sent(headers={name: "forged"}))))


@pytest.mark.parametrize("payload", ["lattice-v1", "alb"])
def test_session_name_cannot_hide_its_caller(payload: Payload) -> None:
    event = sent(role("blue-api", session="a,Principal=x"))
    with pytest.raises(Forbidden, match="identity_invalid"):
        told(payload, event)
    assert told("apigateway-v1", event)["requestContext"]["identity"]["userArn"].endswith("a,Principal=x")


@pytest.mark.parametrize("payload", PAYLOADS)
def test_a_kept_credential_is_kept_in_every_format(payload: Payload) -> None:
    found = told(payload, sent(headers={"authorization": "Bearer x"}), keep=frozenset({"authorization"}))
    assert "Bearer x" in set(strings(found))


@pytest.mark.parametrize("payload", ["apigateway-v2", "apigateway-v1"])
def test_the_tenant_is_in_the_authorizers_context(payload: Payload) -> None:
    context = told(payload, sent(headers={"x-tenant-id": "green"}))["requestContext"]["authorizer"]
    assert context.get("lambda", context)["tenantId"] == "blue"


@pytest.mark.parametrize("payload", PAYLOADS)
def test_the_tenant_header_is_ours_in_every_format(payload: Payload) -> None:
    found = told(payload, sent(headers={"x-org": "green"}), tenant_header="x-org")
    headers = [found[name] for name in ("headers", "multiValueHeaders") if name in found]
    assert {str(map_["x-org"]).strip("[']") for map_ in headers} == {"blue"}


# ---- what others read in it -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("payload", "model"),
    [
        ("apigateway-v2", APIGatewayProxyEventV2Model),
        ("apigateway-v1", APIGatewayProxyEventModel),
        ("lattice-v1", VpcLatticeModel),
    ],
)
@pytest.mark.parametrize(
    "event", [sent(), sent(None), empty(), v1(), v1(BLUE)], ids=["signed", "unsigned", "empty", "v1", "v1-signed"]
)
def test_powertools_models_accept_it(payload: Payload, model: type[Any], event: dict[str, Any]) -> None:
    """Its models of Lattice's V2 and of a load balancer know strings only, and take no event with lists."""
    parse(told(payload, event), model=model)


def test_the_service_may_be_a_stranger() -> None:
    assert told("apigateway-v2", sent(requestContext={"serviceArn": SERVICE[:20]}))["requestContext"]["apiId"] == ""
