"""Function URLs as a way in: the caller, the permission, the event, the response."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import pytest

from lattice_bridge.deployment.cloudformation.text import BadTemplate
from lattice_bridge.local.aws.invoke_checks import LambdaError
from lattice_bridge.local.environments.environment import InvocationResult
from lattice_bridge.local.plan.function_url import FunctionUrl
from tests.local.front.apigateway.test_http_api import FUNCTIONS
from tests.support.front import Stack, signed, stack_of


def url(auth_type: str, *permissions: str, function: str = "Fn", **more: str) -> str:
    """A template with a function URL. Each permission is the text of its properties."""
    properties = "".join(f", {name}: {value}" for name, value in more.items())
    text = FUNCTIONS + (
        "  Url: {Type: 'AWS::Lambda::Url', Properties: "
        f"{{TargetFunctionArn: !GetAtt {function}.Arn, AuthType: {auth_type}{properties}}}}}\n"
    )
    for number, one in enumerate(permissions):
        text += (
            f"  Permission{number}: {{Type: 'AWS::Lambda::Permission', Properties: "
            f"{{FunctionName: !Ref {function}, {one}}}}}\n"
        )
    return text


def allow(principal: str, auth_type: str = "NONE") -> tuple[str, str]:
    """The two permissions that a function URL needs since October 2025, as AWS's SAM writes them."""
    return (
        f"Action: 'lambda:InvokeFunctionUrl', Principal: '{principal}', FunctionUrlAuthType: {auth_type}",
        f"Action: 'lambda:InvokeFunction', Principal: '{principal}', InvokedViaFunctionUrl: true",
    )


PUBLIC: Final = url("NONE", *allow("*"))
BLUE: Final = "arn:aws:iam::111122223333:role/blue-api"


def first(stack: Stack) -> FunctionUrl:
    return stack.front.plan.function_urls[0]


def test_event_of_an_unauthenticated_caller(tmp_path: Path) -> None:
    """The fields of captured events: the account is a word, the path is as sent."""
    stack = stack_of(PUBLIC, tmp_path)
    answer = stack.send("GET", "/a%2Fb/../c?x=1&x=2", {"cookie": "a=1; b=2", "user-agent": "curl"})
    assert (answer.status, answer.body) == (200, b"ok")
    event, found = stack.event, first(stack)
    context = event["requestContext"]
    assert (event["version"], event["rawPath"], event["rawQueryString"]) == ("2.0", "/a%2Fb/../c", "x=1&x=2")
    assert (event["cookies"], event["queryStringParameters"]) == (["a=1", "b=2"], {"x": "1,2"})
    assert {key: context[key] for key in ("accountId", "apiId", "domainName", "domainPrefix", "routeKey", "stage")} == {
        "accountId": "anonymous",
        "apiId": found.id,
        "domainName": f"{found.id}.lambda-url.us-east-1.on.aws",
        "domainPrefix": found.id,
        "routeKey": "$default",
        "stage": "$default",
    }
    assert "authorizer" not in context
    assert stack.send("GET", "/", host=found.domain).status == 200


@pytest.mark.parametrize(
    "permissions",
    [
        (),
        allow("*")[:1],
        allow("*")[1:],
        allow("*", "AWS_IAM"),
        allow("111122223333"),
        ("Action: 'lambda:InvokeFunctionUrl', Principal: '*', PrincipalOrgID: o-local00000", allow("*")[1]),
        ("Action: 'lambda:InvokeFunctionUrl', Principal: apigateway.amazonaws.com", allow("*")[1]),
    ],
)
def test_url_without_both_public_permissions_is_forbidden(tmp_path: Path, permissions: tuple[str, ...]) -> None:
    stack = stack_of(url("NONE", *permissions), tmp_path)
    answer = stack.send("GET", "/")
    assert (answer.status, answer.body, stack.invoked) == (403, b'{"Message":"Forbidden"}', [])
    assert answer["x-amzn-errortype"] == "AccessDeniedException"
    assert "no AWS::Lambda::Permission of" in stack.refusal.cause
    assert "to * with FunctionUrlAuthType NONE. Fix: add one for each action" in stack.refusal.cause


@pytest.mark.parametrize(
    ("principal", "status"),
    [
        ("111122223333", 200),
        ("arn:aws:iam::111122223333:root", 200),
        (BLUE, 200),
        ("arn:aws:iam::111122223333:role/team/blue-api", 200),
        ("arn:aws:sts::111122223333:assumed-role/blue-api/local", 200),
        ("*", 200),
        ("arn:aws:sts::111122223333:assumed-role/blue-api/other", 403),
        ("arn:aws:iam::111122223333:role/green-api", 403),
        ("arn:aws:iam::444455556666:role/blue-api", 403),
        ("444455556666", 403),
        ("lambda.amazonaws.com", 403),
    ],
)
def test_caller_of_another_account_needs_a_permission(tmp_path: Path, principal: str, status: int) -> None:
    """Trap B4: the account is part of the name."""
    stack = stack_of(url("AWS_IAM", *allow(principal, "AWS_IAM")), tmp_path)
    assert stack.send("GET", "/x", signed("GET", "/x", "lambda")).status == status
    if status == 200:
        context = stack.event["requestContext"]
        assert context["accountId"] == "123456789012"
        assert context["authorizer"]["iam"]["userArn"] == "arn:aws:sts::111122223333:assumed-role/blue-api/local"


@pytest.mark.parametrize(
    ("headers", "code", "cause"),
    [
        ({}, "AccessDeniedException", "the request is not signed. Fix: sign it, as with curl --aws-sigv4"),
        (signed("GET", "/", "execute-api"), "InvalidSignatureException", "scoped to us-east-1/lambda"),
        (signed("GET", "/", "vpc-lattice-svcs"), "InvalidSignatureException", "scoped to us-east-1/lambda"),
        (signed("GET", "/other", "lambda"), "InvalidSignatureException", "does not match"),
        (signed("GET", "/", "lambda", user=("X123", "y")), "UnrecognizedClientException", "security token"),
        ({"authorization": "Bearer a.b.c"}, "AccessDeniedException", "is not signed"),
    ],
)
def test_wrong_signature_is_refused(tmp_path: Path, headers: dict[str, str], code: str, cause: str) -> None:
    stack = stack_of(url("AWS_IAM", *allow("*", "AWS_IAM")), tmp_path)
    answer = stack.send("GET", "/", {"host": "localhost", **headers})
    assert (answer.status, answer["x-amzn-errortype"], stack.invoked) == (403, code, [])
    assert cause in stack.refusal.cause


def test_signature_is_not_read_without_authentication(tmp_path: Path) -> None:
    """Trap F8: with AuthType NONE, no caller is authenticated, whatever a client sends."""
    stack = stack_of(PUBLIC, tmp_path)
    assert stack.send("GET", "/", signed("GET", "/", "lambda")).status == 200
    assert "authorizer" not in stack.event["requestContext"]


def test_isolated_function_gets_lambdas_own_refusal(tmp_path: Path) -> None:
    stack = stack_of(url("NONE", *allow("*"), function="Isolated"), tmp_path)
    answer = stack.send("GET", "/", {"x-amz-tenant-id": "blue"})
    assert (answer.status, answer["x-amzn-errortype"]) == (400, "InvalidParameterValueException")
    assert "Add a valid tenant ID" in answer.json["message"]
    assert "Fix: put the URL in front of a bridge" in stack.refusal.cause
    assert "Lambda offers no function URL for a function with tenant isolation (Url)" in stack.front.plan.left_out


@pytest.mark.parametrize(
    ("reply", "status", "body"),
    [
        ({"a": 1}, 200, b'{"a": 1}'),
        ({"statusCode": 201, "body": "x"}, 201, b"x"),
        ({"statusCode": "x"}, 502, b"Internal Server Error"),
        (InvocationResult(b"{}", "Unhandled"), 502, b"Internal Server Error"),
        (InvocationResult(b"{}", "Unhandled", timed_out=True), 502, b"Internal Server Error"),
    ],
)
def test_reply_of_the_function(tmp_path: Path, reply: Any, status: int, body: bytes) -> None:
    stack = stack_of(PUBLIC, tmp_path)
    stack.reply = lambda event: reply
    answer = stack.send("GET", "/")
    assert (answer.status, answer.body, answer["content-type"]) == (status, body, "application/json")


def test_throttled_function_is_a_429(tmp_path: Path) -> None:
    stack = stack_of(PUBLIC, tmp_path)
    stack.reply = lambda event: LambdaError(429, "TooManyRequestsException", "Rate Exceeded.")
    answer = stack.send("GET", "/")
    assert (answer.status, answer.json) == (429, {"message": "Rate Exceeded."})


def test_preflight_needs_no_signature(tmp_path: Path) -> None:
    template = url("AWS_IAM", Cors="{AllowOrigins: ['http://localhost:3000'], AllowMethods: [GET]}")
    stack = stack_of(template, tmp_path)
    headers = {"origin": "http://localhost:3000", "access-control-request-method": "GET"}
    answer = stack.send("OPTIONS", "/", headers)
    assert (answer.status, answer["access-control-allow-methods"], stack.invoked) == (200, "GET", [])
    assert stack.send("GET", "/", headers).status == 403


def test_parts_that_differ_are_named(tmp_path: Path) -> None:
    stack = stack_of(url("AWS_IAM", InvokeMode="RESPONSE_STREAM"), tmp_path)
    assert "InvokeMode RESPONSE_STREAM: the response is buffered (Url)" in stack.front.plan.left_out
    assert any(line.startswith("callers' own IAM policies") for line in stack.front.plan.left_out)


def test_unknown_auth_type_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadTemplate, match="AuthType: 'JWT' is unknown"):
        stack_of(url("JWT"), tmp_path)
