"""HTTP APIs: signatures, Lambda authorizers, CORS."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import pytest

from lattice_bridge.deployment.cloudformation.text import BadTemplate
from lattice_bridge.local.front.exchange.recorder import Recorder
from tests.local.front.apigateway.test_http_api import API, route
from tests.support.front import Stack, signed, stack_of

# ---- IAM ------------------------------------------------------------------------------------------------------------

SIGNED: Final = (
    API
    + route("Get", "ANY /orders", AuthorizationType="AWS_IAM")
    + route("Old", "GET /old", "V1", AuthorizationType="AWS_IAM")
)
SESSION: Final = "arn:aws:sts::111122223333:assumed-role/blue-api/local"


def test_signed_caller_is_in_the_event(tmp_path: Path) -> None:
    stack = stack_of(SIGNED, tmp_path)
    assert stack.send("GET", "/orders?b=2&a=1", signed("GET", "/orders?b=2&a=1", "execute-api")).status == 200
    iam = stack.event["requestContext"]["authorizer"]["iam"]
    assert {key: iam[key] for key in ("accessKey", "accountId", "cognitoIdentity", "principalOrgId", "userArn")} == {
        "accessKey": "LOCALBLUE",
        "accountId": "111122223333",
        "cognitoIdentity": None,
        "principalOrgId": "o-local00000",
        "userArn": SESSION,
    }
    assert iam["userId"] == iam["callerId"]
    assert iam["userId"].endswith(":local")


def test_signed_caller_is_in_the_identity_of_payload_1_0(tmp_path: Path) -> None:
    stack = stack_of(SIGNED, tmp_path)
    assert stack.send("GET", "/old", signed("GET", "/old", "execute-api")).status == 200
    identity = stack.event["requestContext"]["identity"]
    assert (identity["userArn"], identity["accessKey"]) == (SESSION, "LOCALBLUE")


def forged(**changed: str) -> dict[str, str]:
    return {**signed("POST", "/orders", "execute-api", body=b"{}"), **changed}


@pytest.mark.parametrize(
    ("headers", "body", "cause"),
    [
        (
            {},
            b"{}",
            "and the request is not signed. Fix: sign it, as with curl --aws-sigv4 aws:amz:us-east-1:execute-api",
        ),
        (signed("POST", "/orders", "lambda", body=b"{}"), b"{}", "scoped to us-east-1/execute-api"),
        (signed("POST", "/orders", "vpc-lattice-svcs", body=b"{}"), b"{}", "scoped to us-east-1/execute-api"),
        (signed("POST", "/orders", "execute-api", body=b"{}", region="eu-west-1"), b"{}", "scoped to us-east-1"),
        (forged(), b'{"a": 1}', "does not match the signature you provided"),
        (forged(authorization=forged()["authorization"].replace("LOCALBLUE", "LOCALGREEN")), b"{}", "does not match"),
        (signed("POST", "/orders", "execute-api", body=b"{}", user=("OTHER", "x")), b"{}", "security token"),
        (forged(**{"x-amz-content-sha256": "UNSIGNED-PAYLOAD"}), b"{}", "must be signed"),
        (forged(**{"x-amz-security-token": "session=other"}), b"{}", "x-amz-security-token must be signed"),
        (signed("POST", "/other", "execute-api", body=b"{}"), b"{}", "does not match"),
    ],
)
def test_wrong_signature_is_forbidden(tmp_path: Path, headers: Mapping[str, str], body: bytes, cause: str) -> None:
    """Traps B10, F3: neither the body nor the session's name can be changed after signing."""
    stack = stack_of(SIGNED, tmp_path)
    answer = stack.send("POST", "/orders", {"host": "localhost", **headers}, body)
    assert (answer.status, answer.body, stack.invoked) == (403, b'{"message":"Forbidden"}', [])
    assert cause in stack.refusal.cause


def test_presigned_query_is_no_signature(tmp_path: Path) -> None:
    stack = stack_of(SIGNED, tmp_path)
    assert stack.send("GET", "/orders?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Signature=f00").status == 403


# ---- Lambda authorizers ---------------------------------------------------------------------------------------------


def by_function(version: str, **more: str) -> str:
    properties = "".join(f"      {key}: {value}\n" for key, value in more.items())
    return (
        API
        + f"""
  Auth:
    Type: AWS::ApiGatewayV2::Authorizer
    Properties:
      ApiId: !Ref Api
      Name: auth
      AuthorizerType: REQUEST
      AuthorizerUri: !Sub "arn:aws:apigateway:${{AWS::Region}}:lambda:path/2015-03-31/functions/${{Fn.Arn}}/invocations"
      AuthorizerPayloadFormatVersion: "{version}"
      IdentitySource: [$request.header.X-Key, $request.querystring.user]
{properties}"""
        + route("Get", "GET /orders/{id}", AuthorizationType="CUSTOM", AuthorizerId="!Ref Auth")
    )


SIMPLE: Final = {"EnableSimpleResponses": "true"}


def answering(stack: Stack, answer: Any) -> None:
    """The authorizer returns an answer, and the function behind it `ok`. Both are the same function here."""
    stack.reply = lambda event: answer if event.get("type") == "REQUEST" else {"statusCode": 200, "body": "ok"}


def ask(stack: Stack, key: str = "k", path: str = "/orders/7") -> int:
    return stack.send("GET", f"{path}?user=u", {"x-key": key}).status


def test_simple_response_admits_with_its_context(tmp_path: Path) -> None:
    stack = stack_of(by_function("2.0", **SIMPLE), tmp_path)
    answering(stack, {"isAuthorized": True, "context": {"tenantId": "blue", "n": 1, "m": {"a": [1]}}})
    assert ask(stack) == 200
    event = stack.invoked[0][1]
    arn = f"arn:aws:execute-api:us-east-1:123456789012:{stack.api.id}/$default/GET/orders/7"
    assert (event["version"], event["type"], event["routeArn"], event["identitySource"]) == (
        "2.0",
        "REQUEST",
        arn,
        ["k", "u"],
    )
    assert {"body", "isBase64Encoded"}.isdisjoint(event)
    assert event["pathParameters"] == {"id": "7"}
    context = {"tenantId": "blue", "n": 1, "m": {"a": [1]}}
    assert stack.event["requestContext"]["authorizer"] == {"lambda": context}


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        ({"isAuthorized": False}, 403),
        ({"isAuthorized": "true"}, 500),
        ({}, 500),
        ("yes", 500),
    ],
)
def test_other_simple_responses_are_refused(tmp_path: Path, answer: Any, status: int) -> None:
    stack = stack_of(by_function("2.0", **SIMPLE), tmp_path)
    answering(stack, answer)
    assert ask(stack) == status
    assert len(stack.invoked) == 1


def policy(effect: str, resource: str) -> dict[str, Any]:
    statement = {"Action": "execute-api:Invoke", "Effect": effect, "Resource": resource}
    return {"principalId": "u", "policyDocument": {"Version": "2012-10-17", "Statement": [statement]}}


@pytest.mark.parametrize(
    ("effect", "resource", "status"),
    [
        ("Allow", "arn:aws:execute-api:*:*:*/$default/GET/orders/*", 200),
        ("Allow", "arn:aws:execute-api:*:*:*/$default/POST/*", 403),
        ("Deny", "*", 403),
    ],
)
def test_policy_of_payload_1_0_decides(tmp_path: Path, effect: str, resource: str, status: int) -> None:
    stack = stack_of(by_function("1.0"), tmp_path)
    answering(stack, policy(effect, resource))
    assert ask(stack) == status
    event = stack.invoked[0][1]
    assert (event["version"], event["identitySource"]) == ("1.0", "k,u")
    assert event["methodArn"].endswith("/$default/GET/orders/7")


@pytest.mark.parametrize("target", ["/orders/7", "/orders/7?user="])
def test_missing_identity_source_is_unauthorized(tmp_path: Path, target: str) -> None:
    stack = stack_of(by_function("2.0", **SIMPLE), tmp_path)
    answer = stack.send("GET", target, {"x-key": "k"})
    assert (answer.status, answer.body, stack.invoked) == (401, b'{"message":"Unauthorized"}', [])
    assert "lacks the query parameter user" in stack.refusal.cause


def test_result_is_cached_by_all_identity_sources(tmp_path: Path) -> None:
    """Trap D8: another key or user is another result."""
    stack = stack_of(by_function("2.0", **SIMPLE, AuthorizerResultTtlInSeconds="60"), tmp_path)
    answering(stack, {"isAuthorized": True})
    for key in ("k", "k", "other", "k"):
        assert ask(stack, key) == 200
    assert [event["identitySource"][0] for _, event in stack.invoked if "identitySource" in event] == ["k", "other"]


def test_recorded_event_has_no_credential_of_the_authorizers_answer(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "recorded")
    stack = stack_of(by_function("2.0", **SIMPLE), tmp_path, recorder=recorder)
    answering(stack, {"isAuthorized": True, "context": {"tenantId": "blue", "accessToken": "secret"}})
    assert ask(stack, "secret-key") == 200
    assert stack.event["requestContext"]["authorizer"]["lambda"]["accessToken"] == "secret"
    text = "".join(file.read_text() for file in (tmp_path / "recorded").iterdir())
    assert '"tenantId": "blue"' in text
    assert '"secret"' not in text


def test_cache_without_an_identity_source_is_refused(tmp_path: Path) -> None:
    """One result would be every caller's. AWS refuses it too."""
    template = by_function("2.0", AuthorizerResultTtlInSeconds="60").replace(
        "IdentitySource: [$request.header.X-Key, $request.querystring.user]", "IdentitySource: []"
    )
    with pytest.raises(BadTemplate, match="AuthorizerResultTtlInSeconds 60 without an IdentitySource"):
        stack_of(template, tmp_path)


@pytest.mark.parametrize(
    ("kind", "authorizer", "fault"),
    [
        ("JWT", "!Ref Missing2", "which is no authorizer of Api. Fix: write NONE, AWS_IAM, or JWT"),
        ("OAUTH", '""', "AuthorizationType 'OAUTH'"),
    ],
)
def test_unknown_authorizer_is_refused(tmp_path: Path, kind: str, authorizer: str, fault: str) -> None:
    """A route whose authorizer is not found must not be open."""
    more = {"AuthorizationType": kind, "AuthorizerId": authorizer}
    template = API + "\n  Missing2: {Type: 'AWS::S3::Bucket'}\n" + route("Get", "GET /x", **more)
    with pytest.raises(BadTemplate, match=fault):
        stack_of(template, tmp_path)


def test_authorizer_of_another_stack_refuses_every_request(tmp_path: Path) -> None:
    """It is not known, so the route is not open."""
    more = {"AuthorizationType": "JWT", "AuthorizerId": "!ImportValue shared"}
    stack = stack_of(API + route("Get", "GET /x", **more), tmp_path)
    assert stack.send("GET", "/x").status == 500
    assert "has an authorizer that is not in the template" in stack.refusal.cause
    assert "a route of an HTTP API: its authorizer is not in the template (Api: Get)" in stack.front.plan.left_out


def test_parts_of_an_api_of_another_stack_are_named(tmp_path: Path) -> None:
    stack = stack_of(API + route("Get", "GET /x").replace("!Ref Api", "!ImportValue api"), tmp_path)
    assert "a part of an API that the template does not have (Get)" in stack.front.plan.left_out


# ---- CORS -----------------------------------------------------------------------------------------------------------

ORIGIN: Final = "http://localhost:3000"
CORS: Final = """ProtocolType: HTTP, CorsConfiguration: {AllowOrigins: ["http://localhost:3000", "https://*"],
    AllowMethods: [GET, POST], AllowHeaders: [authorization], ExposeHeaders: [x-id], MaxAge: 60,
    AllowCredentials: true}"""
PREFLIGHT: Final = {"origin": ORIGIN, "access-control-request-method": "POST"}


def with_cors(*routes: str, configuration: str = CORS) -> str:
    return API.replace("ProtocolType: HTTP", configuration) + "".join(routes)


def test_preflight_is_answered_without_a_route(tmp_path: Path) -> None:
    stack = stack_of(with_cors(route("Get", "GET /orders")), tmp_path)
    answer = stack.send("OPTIONS", "/anything", PREFLIGHT)
    assert (answer.status, answer.body, stack.invoked) == (204, b"", [])
    found = {name: value for name, value in answer.headers if name.startswith("access-control-")}
    assert found == {
        "access-control-allow-origin": ORIGIN,
        "access-control-allow-credentials": "true",
        "access-control-allow-methods": "GET,POST",
        "access-control-allow-headers": "authorization",
        "access-control-max-age": "60",
    }
    assert stack.answered[-1].fixed == "the CORS configuration of the HTTP API Api answers it"


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [("https://localhost:3000", True), ("http://localhost:3001", False), ("http://localhost:3000.evil", False)],
)
def test_only_an_allowed_origin_gets_headers(tmp_path: Path, origin: str, allowed: bool) -> None:
    stack = stack_of(with_cors(route("Get", "GET /orders")), tmp_path)
    answer = stack.send("GET", "/orders", {"origin": origin})
    assert answer.all("access-control-allow-origin") == ([origin] if allowed else [])


def test_headers_of_the_function_are_replaced(tmp_path: Path) -> None:
    stack = stack_of(with_cors(route("Get", "GET /orders")), tmp_path)
    stack.reply = lambda event: {"statusCode": 200, "headers": {"Access-Control-Allow-Origin": "*", "x-id": "7"}}
    answer = stack.send("GET", "/orders", {"origin": ORIGIN})
    assert (answer["access-control-allow-origin"], answer["access-control-expose-headers"]) == (ORIGIN, "x-id")
    assert answer["x-id"] == "7"
    assert stack.send("GET", "/orders").all("access-control-allow-origin") == []


def test_refusal_has_the_headers_too(tmp_path: Path) -> None:
    stack = stack_of(with_cors(route("Get", "GET /orders", AuthorizationType="AWS_IAM")), tmp_path)
    answer = stack.send("GET", "/orders", {"origin": ORIGIN})
    assert (answer.status, answer["access-control-allow-origin"]) == (403, ORIGIN)


def test_preflight_needs_the_authorizer_of_a_route_that_matches_it(tmp_path: Path) -> None:
    """As documented for the default route: an OPTIONS route without an authorizer is the way out."""
    closed = route("Default", "$default", AuthorizationType="AWS_IAM")
    stack = stack_of(with_cors(closed), tmp_path)
    assert stack.send("OPTIONS", "/orders", PREFLIGHT).status == 403
    stack = stack_of(with_cors(closed, route("Options", "OPTIONS /{proxy+}")), tmp_path)
    assert stack.send("OPTIONS", "/orders", PREFLIGHT).status == 204


def test_without_a_configuration_the_function_answers(tmp_path: Path) -> None:
    stack = stack_of(API + route("Any", "ANY /orders"), tmp_path)
    stack.reply = lambda event: {"statusCode": 200, "headers": {"Access-Control-Allow-Origin": "*"}}
    answer = stack.send("OPTIONS", "/orders", PREFLIGHT)
    assert (answer.status, answer["access-control-allow-origin"]) == (200, "*")


def test_every_origin_is_a_star(tmp_path: Path) -> None:
    configuration = 'ProtocolType: HTTP, CorsConfiguration: {AllowOrigins: ["*"]}'
    stack = stack_of(with_cors(route("Get", "GET /orders"), configuration=configuration), tmp_path)
    answer = stack.send("GET", "/orders", {"origin": ORIGIN})
    assert (answer["access-control-allow-origin"], answer.all("vary")) == ("*", [])
