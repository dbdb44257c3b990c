"""HTTP APIs as the OpenAPI document of SAM, and resources of CloudFormation, describe them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import pytest

from lattice_bridge.deployment.cloudformation.template import read_template
from lattice_bridge.deployment.cloudformation.text import BadTemplate
from lattice_bridge.local.plan.http_api import Cors, HttpApi, HttpRoute, Integration, JwtAuthorizer
from lattice_bridge.local.plan.lambda_authorizer import LambdaAuthorizer
from lattice_bridge.local.plan.model import Plan
from lattice_bridge.local.plan.parameters import with_variables
from lattice_bridge.local.plan.readers.http_api import function_of
from lattice_bridge.local.plan.readers.template import read_plan

ARN: Final = "arn:aws:lambda:us-east-1:123456789012:function:orders"
URI: Final = f"arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/{ARN}/invocations"


def integration(**more: Any) -> dict[str, Any]:
    """An operation as SAM writes it."""
    found = {"type": "aws_proxy", "httpMethod": "POST", "uri": URI, "payloadFormatVersion": "2.0", **more}
    return {"x-amazon-apigateway-integration": found, "responses": {}}


def plan_of(folder: Path, body: dict[str, Any], **properties: Any) -> Plan:
    resources = {
        "Fn": {"Type": "AWS::Lambda::Function", "Properties": {"Handler": "a.b", "Runtime": "python3.13"}},
        "Api": {"Type": "AWS::ApiGatewayV2::Api", "Properties": {"Body": {"openapi": "3.0.1", **body}, **properties}},
        "Stage": {
            "Type": "AWS::ApiGatewayV2::Stage",
            "Properties": {"ApiId": {"Ref": "Api"}, "StageName": "$default", "AutoDeploy": True},
        },
    }
    (folder / "template.json").write_text(json.dumps({"Resources": resources}))
    return read_plan(read_template(folder / "template.json", {}, "us-east-1"))


def api_of(folder: Path, body: dict[str, Any], **properties: Any) -> HttpApi:
    (api,) = plan_of(folder, body, **properties).http_apis
    assert isinstance(api, HttpApi)
    return api


SCHEMES: Final = {
    "Corp": {
        "type": "oauth2",
        "x-amazon-apigateway-authorizer": {
            "type": "jwt",
            "jwtConfiguration": {"issuer": "https://id.example.com", "audience": ["orders"]},
            "identitySource": "$request.header.Authorization",
        },
    },
    "Fn": {
        "type": "apiKey",
        "x-amazon-apigateway-authorizer": {
            "type": "request",
            "authorizerUri": URI,
            "identitySource": ["$request.header.X-Key"],
            "authorizerPayloadFormatVersion": "2.0",
            "enableSimpleResponses": True,
            "authorizerResultTtlInSeconds": 30,
        },
    },
    "AWS_IAM": {"type": "apiKey", "x-amazon-apigateway-authtype": "awsSigv4"},
}


def secured(*security: dict[str, Any], **more: Any) -> dict[str, Any]:
    operation = {**integration(), **more, **({"security": list(security)} if security else {})}
    return {"paths": {"/x": {"get": operation}}, "components": {"securitySchemes": SCHEMES}}


def test_routes_of_an_openapi_document(tmp_path: Path) -> None:
    shared = {"x-amazon-apigateway-integrations": {"one": integration()["x-amazon-apigateway-integration"]}}
    reference = {"x-amazon-apigateway-integration": {"$ref": "#/components/x-amazon-apigateway-integrations/one"}}
    body = {
        "paths": {
            "/orders/{id}": {"get": integration(timeoutInMillis=1500), "parameters": [{"name": "id", "in": "path"}]},
            "/old": {"post": integration(payloadFormatVersion="1.0")},
            "/any": {"x-amazon-apigateway-any-method": reference},
            "$default": {"x-amazon-apigateway-any-method": {**integration(), "isDefaultRoute": True}},
        },
        "components": shared,
        "x-amazon-apigateway-cors": {"allowOrigins": ["*"], "maxAge": 60, "allowCredentials": "true"},
    }
    api = api_of(tmp_path, body)
    assert [entry.key for entry in api.entries] == ["POST /old", "ANY /any", "GET /orders/{id}", "$default"]
    found = [entry.integration for entry in api.entries]
    assert all(isinstance(one, Integration) and one.function == ARN for one in found)
    assert [(one.version, one.timeout) for one in found if isinstance(one, Integration)] == [
        ("1.0", 30.0),
        ("2.0", 30.0),
        ("2.0", 1.5),
        ("2.0", 30.0),
    ]
    assert api.cors == Cors(("*",), max_age=60, credentials=True)


def test_authorizers_of_an_openapi_document(tmp_path: Path) -> None:
    def access(*security: dict[str, Any], **more: Any) -> tuple[object, tuple[str, ...]]:
        (entry,) = api_of(tmp_path, secured(*security, **more)).entries
        return entry.access, entry.scopes

    corp = JwtAuthorizer("Corp", "https://id.example.com", frozenset({"orders"}))
    assert access({"Corp": ["read"]}) == (corp, ("read",))
    assert access({"AWS_IAM": []}) == ("AWS_IAM", ())
    assert access({"NONE": []}) == ("NONE", ())
    assert access() == ("NONE", ())
    assert access(**{"x-amazon-apigateway-auth": {"type": "AWS_IAM"}}) == ("AWS_IAM", ())
    found, _ = access({"Fn": []})
    assert isinstance(found, LambdaAuthorizer)
    assert (found.function, found.ttl, found.payload, found.simple) == (ARN, 30.0, "2.0", True)
    assert [source.written for source in found.sources] == ["$request.header.X-Key"]


def test_security_of_the_document_is_for_operations_without_their_own(tmp_path: Path) -> None:
    body = secured()
    body["security"] = [{"AWS_IAM": []}]
    (entry,) = api_of(tmp_path, body).entries
    assert entry.access == "AWS_IAM"


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        (secured({"Missing": []}), "security names 'Missing', which is not in components.securitySchemes"),
        (secured({"Corp": []}, {"AWS_IAM": []}), "security has several authorizers"),
        (secured({"Corp": [], "AWS_IAM": []}), "security has several authorizers"),
        (secured(**{"x-amazon-apigateway-auth": {"type": "CUSTOM"}}), "AuthorizationType 'CUSTOM'"),
        ({"paths": {"/x": {"get": integration(payloadFormatVersion="3.0")}}}, "PayloadFormatVersion '3.0' is unknown"),
        ({"paths": {"/x": {"get": integration(timeoutInMillis="soon")}}}, "TimeoutInMillis"),
    ],
)
def test_route_whose_callers_are_not_known_is_refused(tmp_path: Path, body: dict[str, Any], fault: str) -> None:
    """A route must not become open because its authorizer cannot be read."""
    with pytest.raises(BadTemplate, match=fault):
        plan_of(tmp_path, body)


@pytest.mark.parametrize(
    ("changed", "fault"),
    [
        ({"jwtConfiguration": {"issuer": "https://id.example.com"}}, "needs an Issuer and an Audience"),
        ({"identitySource": ["$request.header.A", "$request.header.B"]}, "Fix: write one place of the token"),
        ({"identitySource": "$context.identity"}, "Fix: write one place of the token"),
        ({"type": "openid"}, "is of type 'openid'. Fix: write JWT or REQUEST"),
    ],
)
def test_authorizer_that_cannot_be_read_is_refused(tmp_path: Path, changed: dict[str, Any], fault: str) -> None:
    body = json.loads(json.dumps(secured({"Corp": []})))
    body["components"]["securitySchemes"]["Corp"]["x-amazon-apigateway-authorizer"] |= changed
    with pytest.raises(BadTemplate, match=fault):
        plan_of(tmp_path, body)


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"type": "http_proxy", "uri": "https://example.com"}, "HTTP_PROXY integrations are not served"),
        ({"subtype": "SQS-SendMessage"}, "integrations of AWS services are not served"),
        ({"uri": "arn:aws:apigateway:us-east-1:states:action/StartExecution"}, "names no Lambda function"),
    ],
)
def test_integration_that_is_not_served_is_named(tmp_path: Path, changed: dict[str, Any], reason: str) -> None:
    plan = plan_of(tmp_path, {"paths": {"/x": {"get": integration(**changed)}}})
    assert any(reason in line and "(Api: GET /x)" in line for line in plan.left_out)


@pytest.mark.parametrize(
    "body",
    [
        {"paths": [1]},
        {"paths": {"/x": None}},
        {"paths": {"/x": {"get": 1}}},
        {"paths": {"/x": {"get": {"security": 1}}}},
        {"components": [], "paths": {"/x": {"get": {**integration(), "security": [{"a": []}]}}}},
        {"x-amazon-apigateway-cors": [1], "paths": {}},
        {"x-amazon-apigateway-cors": {"maxAge": "x"}, "paths": {}},
    ],
)
def test_document_of_another_shape_is_refused(tmp_path: Path, body: dict[str, Any]) -> None:
    """A stranger's template ends in a sentence, and not in a traceback."""
    with pytest.raises(BadTemplate, match=r"Api|security names"):
        plan_of(tmp_path, body)


def test_openapi_document_in_s3_is_named(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, {}, BodyS3Location={"Bucket": "b", "Key": "k"})
    assert "routes of an OpenAPI document in S3 (Api)" in plan.left_out


def test_endpoint_may_be_disabled_in_the_document(tmp_path: Path) -> None:
    """SAM writes it so."""
    assert api_of(tmp_path, {"x-amazon-apigateway-endpoint-configuration": {"disableExecuteApiEndpoint": True}}).closed
    assert not api_of(tmp_path, {}).closed


def test_parts_without_an_effect_are_named(tmp_path: Path) -> None:
    template = """
Resources:
  Fn: {Type: "AWS::Lambda::Function", Properties: {Handler: a.b, Runtime: python3.13}}
  Api: {Type: "AWS::ApiGatewayV2::Api", Properties: {ProtocolType: HTTP, Name: shop, Target: !GetAtt Fn.Arn}}
  Stage:
    Type: AWS::ApiGatewayV2::Stage
    Properties: {ApiId: !Ref Api, StageName: v1, AutoDeploy: true, DefaultRouteSettings: {ThrottlingRateLimit: 1}}
  Domain:
    Type: AWS::ApiGatewayV2::DomainName
    Properties: {DomainName: a.example, MutualTlsAuthentication: {TruststoreUri: "s3://a/b"}}
"""
    (tmp_path / "template.yaml").write_text(template)
    left_out = read_plan(read_template(tmp_path / "template.yaml", {}, "us-east-1")).left_out
    assert "property DefaultRouteSettings has no effect (Stage)" in left_out
    assert any(line.startswith("mutual TLS: the front speaks HTTP only") for line in left_out)


@pytest.mark.parametrize(
    ("uri", "function"),
    [
        (URI, ARN),
        (f"{ARN}:live", f"{ARN}:live"),
        ("https://example.com/x", None),
        ("arn:aws:apigateway:us-east-1:sqs:path/123456789012/queue", None),
        (None, None),
    ],
)
def test_function_of_a_uri(uri: object, function: str | None) -> None:
    assert function_of(uri) == function


def test_function_may_be_chosen_by_a_stage_variable() -> None:
    uri = URI.replace("orders", "${stageVariables.fn}")
    assert with_variables(function_of(uri) or "", {"fn": "orders"}) == ARN


@pytest.mark.parametrize(
    ("path", "sent", "found"),
    [
        ("/orders/{id}", "/orders/7", {"id": "7"}),
        ("/orders/{id}", "/orders/", None),
        ("/orders/{id}", "/orders/7/", None),
        ("/orders/{id}/lines/{line}", "/orders/7/lines/%2F", {"id": "7", "line": "%2F"}),
        ("/{proxy+}", "/", {"proxy": ""}),
        ("/a/{proxy+}", "/a", None),
        ("/a/{proxy+}", "/a/b//c", {"proxy": "b//c"}),
        ("/", "/", {}),
        ("/", "//", None),
        ("/a", "/A", None),
        ("$default", "/any", {}),
    ],
)
def test_route_matches_segment_by_segment(path: str, sent: str, found: dict[str, str] | None) -> None:
    assert HttpRoute("GET", path, "").match("GET", sent) == found
