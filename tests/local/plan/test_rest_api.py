"""REST APIs of a template: those of SAM, of OpenAPI, and of resources and methods; what is named only."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

import pytest

from lattice_bridge.cli.local_summary import tables
from lattice_bridge.deployment.cloudformation.template import read_template
from lattice_bridge.deployment.cloudformation.text import BadTemplate
from lattice_bridge.local.plan.lambda_authorizer import LambdaAuthorizer
from lattice_bridge.local.plan.model import Plan, Unserved
from lattice_bridge.local.plan.parameters import BadSource, Source, parse_source
from lattice_bridge.local.plan.readers.template import read_plan
from lattice_bridge.local.plan.rest_api import LambdaProxy, Method, Mock, RestApi, find_method
from tests.support.paths import ROOT
from tests.support.rest import Gateway, api, tenant_from, to, write

SAM: Final = """
Transform: AWS::Serverless-2016-10-31
Resources:
  Shop:
    Type: AWS::Serverless::Api
    Properties:
      StageName: live
      Variables: {who: blue}
      Cors: "'*'"
      Auth:
        DefaultAuthorizer: Tokens
        AddDefaultAuthorizerToCorsPreflight: false
        Authorizers:
          Tokens:
            FunctionArn: !GetAtt Guard.Arn
            Identity: {Header: X-Token, ValidationExpression: "t-.*", ReauthorizeEvery: 20}
          Requests:
            FunctionArn: !GetAtt Guard.Arn
            FunctionPayloadType: REQUEST
            Identity: {Headers: [Authorization], QueryStrings: [q], StageVariables: [who], ReauthorizeEvery: 0}
      Domain: {DomainName: api.example.com, CertificateArn: "arn:aws:acm:us-east-1:123456789012:certificate/a"}
  Guard: {Type: "AWS::Serverless::Function", Properties: {Handler: a.b, Runtime: python3.13, CodeUri: .}}
  Orders:
    Type: AWS::Serverless::Function
    Properties:
      Handler: a.b
      Runtime: python3.13
      CodeUri: .
      Events:
        List: {Type: Api, Properties: {RestApiId: !Ref Shop, Path: /orders, Method: get}}
        One:
          Type: Api
          Properties: {RestApiId: !Ref Shop, Path: "/orders/{id}", Method: any, Auth: {Authorizer: Requests}}
        Open: {Type: Api, Properties: {RestApiId: !Ref Shop, Path: /open, Method: post, Auth: {Authorizer: NONE}}}
        Signed: {Type: Api, Properties: {RestApiId: !Ref Shop, Path: /signed, Method: get, Auth: {Authorizer: AWS_IAM}}}
        Keyed: {Type: Api, Properties: {RestApiId: !Ref Shop, Path: /keyed, Method: get, Auth: {ApiKeyRequired: true}}}
        Implicit: {Type: Api, Properties: {Path: /implicit, Method: get}}
"""


def method_of(found: RestApi, name: str, path: str) -> Method:
    match = find_method(found, name, path)
    assert match is not None
    return match.method


def test_apis_of_sam_are_read_from_its_translation(tmp_path: Path) -> None:
    plan = write(tmp_path, SAM)
    shop, implicit = plan.rest_apis
    assert (shop.name, [*shop.stages]) == ("Shop", ["live", "Stage"])
    assert shop.stages["live"].variables == {"who": "blue"}
    assert shop.names == ("shop", shop.id, f"{shop.id}.execute-api.us-east-1.amazonaws.com", "api.example.com")
    assert [route.requests for route in implicit.routes] == ["GET /Prod/implicit"]
    tokens = method_of(shop, "GET", "/orders").authorization
    source = Source("header", "x-token", written="method.request.header.X-Token")
    assert isinstance(tokens, LambdaAuthorizer)
    assert (tokens.kind, tokens.sources, tokens.pattern, tokens.ttl) == ("token", (source,), "t-.*", 20.0)
    requests = method_of(shop, "PATCH", "/orders/7").authorization
    assert isinstance(requests, LambdaAuthorizer)
    assert [one.described for one in requests.sources] == [
        "header authorization",
        "query parameter q",
        "stage variable who",
    ]
    assert (requests.kind, requests.ttl) == ("request", 0.0)
    assert method_of(shop, "POST", "/open").authorization == "NONE"
    assert method_of(shop, "GET", "/signed").authorization == "AWS_IAM"
    preflight = method_of(shop, "OPTIONS", "/orders")
    assert (preflight.authorization, type(preflight.integration)) == ("NONE", Mock)
    assert "API keys are not checked (Shop GET /keyed)" in plan.left_out
    assert not [line for line in plan.left_out if line.startswith("AWS::ApiGateway::")]


@pytest.mark.parametrize("columns", [80, 120])
def test_summary_has_a_row_for_each_method_with_its_callers(columns: int, tmp_path: Path) -> None:
    printed = "\n".join(tables(write(tmp_path, SAM), columns))
    rows = [re.split(" {2,}", line) for line in printed.splitlines() if "/live/" in line]
    callers = {row[0]: row[-1] for row in rows}
    assert callers == {
        "any /live/orders/{id}": "Requests",
        "GET /live/keyed": "Tokens",
        "GET /live/orders": "Tokens",
        "GET /live/signed": "signed only",
        "POST /live/open": "anyone",
    }


def test_methods_of_resources_are_read_with_their_paths_and_mappings() -> None:
    (found,) = read_plan(read_template(ROOT / "tests" / "gateway" / "template.yaml", {}, "us-east-1")).rest_apis
    assert [(one.name, one.resource) for one in found.methods] == [
        ("ANY", "/authorized"),
        ("ANY", "/echo/{proxy+}"),
        ("GET", "/isolated"),
        ("OPTIONS", "/isolated"),
        ("GET", "/standard"),
    ]
    isolated = method_of(found, "GET", "/isolated")
    assert isinstance(isolated.integration, LambdaProxy)
    assert isolated.integration.function.endswith(":function:local-counter-isolated")
    assert [one.name for one in isolated.required] == ["x-tenant-id"]
    assert [route.tenant for route in found.routes] == [
        "context authorizer.tenantId",
        "",
        "header x-tenant-id",
        "",
    ]


MAPPED: Final = {"parameters": [{"name": "X-Tenant-Id", "in": "header"}]}


@pytest.mark.parametrize(
    ("operation", "sentence"),
    [
        (
            to("orders", requestParameters=tenant_from("method.request.header.x-tenant-id")),
            "a mapping reads method.request.header.x-tenant-id, which the method's RequestParameters do not declare",
        ),
        (
            {**to("orders", requestParameters=tenant_from("method.request.header.x-tenant-id")), **MAPPED},
            None,
        ),
        (
            to("orders", requestParameters=tenant_from("method.request.body.tenant")),
            "a mapping of integration.request.header.X-Amz-Tenant-Id that is not served ('method.request.body.tenant'",
        ),
        (
            to("orders", requestParameters={"integration.request.header.X-Other": "'a'"}),
            "the mapping of integration.request.header.X-Other has no effect: only the event reaches a function",
        ),
        (to("orders", httpMethod="GET"), "Lambda is invoked with POST only: on AWS, these requests get 500"),
        (to("orders", uri="https://example.com"), "an integration with no Lambda function is not served"),
        ({}, None),
    ],
)
def test_part_of_a_method_that_is_not_served_is_named(
    operation: dict[str, Any], sentence: str | None, tmp_path: Path
) -> None:
    left_out = write(tmp_path, api({"/a": {"get": operation}})).left_out
    named = [line for line in left_out if "(Api GET /a)" in line]
    assert named == [] if sentence is None else named[0].startswith(sentence)


def test_mapped_expression_that_is_not_served_sends_no_tenant(tmp_path: Path) -> None:
    made = Gateway(
        write(tmp_path, api({"/a": {"get": to("isolated", requestParameters=tenant_from("method.request.body"))}}))
    )
    assert made.get("/prod/a").status == 500
    assert made.invoked == []


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ("  Key: {Type: AWS::ApiGateway::ApiKey}\n", "AWS::ApiGateway::ApiKey: API keys are not checked (Key)"),
        ("  Usage: {Type: AWS::ApiGateway::UsagePlan}\n", "AWS::ApiGateway::UsagePlan: API keys are not checked, and"),
        ("  Link: {Type: AWS::ApiGateway::VpcLink}\n", "AWS::ApiGateway::VpcLink (Link)"),
        ("  Empty: {Type: AWS::ApiGateway::RestApi}\n", "a REST API without a method is not served (Empty)"),
        (
            "  Lost: {Type: AWS::ApiGateway::Method, Properties: "
            "{RestApiId: !Ref Api, ResourceId: x, HttpMethod: GET}}\n",
            "a method whose resource is not known is not served (Lost)",
        ),
        (
            "  Cached: {Type: AWS::ApiGateway::Stage, Properties: "
            "{RestApiId: !Ref Api, StageName: b, CacheClusterEnabled: true}}\n",
            "CacheClusterEnabled of a stage has no effect (Cached)",
        ),
    ],
)
def test_resource_that_is_named_only_is_in_the_list(more: str, sentence: str, tmp_path: Path) -> None:
    left_out = write(tmp_path, api({"/a": {"get": to("orders")}}, more=more)).left_out
    assert [line for line in left_out if line.startswith(sentence)]


def test_method_needs_its_name(tmp_path: Path) -> None:
    properties = "{RestApiId: !Ref Api, ResourceId: !GetAtt Api.RootResourceId}"
    more = f"  Bad: {{Type: AWS::ApiGateway::Method, Properties: {properties}}}\n"
    with pytest.raises(BadTemplate, match="REST API Api"):
        write(tmp_path, api({"/a": {"get": to("orders")}}, more=more))


def test_function_may_be_chosen_by_a_stage_variable(tmp_path: Path) -> None:
    paths = {"/a": {"get": to("${stageVariables.who}:live")}}
    (found,) = write(tmp_path, api(paths)).rest_apis
    assert [route.functions for route in found.routes] == [
        ("arn:aws:lambda:us-east-1:123456789012:function:blue:live",)
    ]


def test_policy_that_cannot_be_read_refuses_everything(tmp_path: Path) -> None:
    empty: dict[str, Any] = {"x-amazon-apigateway-policy": {}}
    made = Gateway(write(tmp_path, api({"/a": {"get": to("orders")}}, **empty)))
    assert made.get("/prod/a").status == 200, "an empty policy is none"
    broken: dict[str, Any] = {"x-amazon-apigateway-policy": {"Statement": [{"Effect": "Maybe"}]}}
    made = Gateway(write(tmp_path, api({"/a": {"get": to("orders")}}, **broken)))
    assert made.get("/prod/a").status == 403


def test_security_of_the_whole_definition_is_the_default(tmp_path: Path) -> None:
    schemes = {"sigv4": {"type": "apiKey", "x-amazon-apigateway-authtype": "awsSigv4"}}
    paths = {"/a": {"get": to("orders")}, "/b": {"get": {**to("orders"), "security": []}}}
    more: dict[str, Any] = {"security": [{"sigv4": []}], "components": {"securitySchemes": schemes}}
    (found,) = write(tmp_path, api(paths, **more)).rest_apis
    assert [one.authorization for one in found.methods] == ["AWS_IAM", "NONE"]


@pytest.mark.parametrize(
    ("scheme", "sentence", "status"),
    [
        ({}, "the security scheme guard, which is not defined: every request gets 401", 401),
        ({"guard": {"type": "http"}}, "the security scheme guard has no authorizer, and no effect, as on AWS", 200),
        ({"guard": {"type": "apiKey", "name": "X-API-Key"}}, "API keys are not checked", 200),
    ],
)
def test_security_scheme_without_an_authorizer_is_named(
    scheme: dict[str, Any], sentence: str, status: int, tmp_path: Path
) -> None:
    paths = {"/a": {"get": {**to("orders"), "security": [{"guard": []}]}}}
    made = Gateway(write(tmp_path, api(paths, components={"securitySchemes": scheme})))
    assert f"{sentence} (Api GET /a)" in made.plan.left_out
    assert made.get("/prod/a").status == status


@pytest.mark.parametrize(
    ("text", "described"),
    [
        ("method.request.header.X-Tenant", "header x-tenant"),
        ("method.request.multivaluequerystring.t", "query parameter t"),
        ("$request.header.Authorization", "header authorization"),
        ("$request.querystring.q", "query parameter q"),
        ("$context.identity.sourceIp", "context identity.sourceIp"),
        ("stageVariables.who", "stage variable who"),
        ("context.authorizer.claims.custom:tenant_id", "context authorizer.claims.custom:tenant_id"),
        ("'a b'", "literal a b"),
    ],
)
def test_expression_is_a_source(text: str, described: str) -> None:
    assert parse_source(text).described == described


@pytest.mark.parametrize(
    "text", ["", "'", "header.x", "method.request.body", "method.request.header.", "method.request.header.a b", "x'a'"]
)
def test_other_expression_is_refused(text: str) -> None:
    with pytest.raises(BadSource, match="is not served; there are"):
        parse_source(text)


@pytest.mark.parametrize("quote", ["'", '"'])
def test_name_in_brackets_is_refused_with_the_form_of_mappings(quote: str) -> None:
    with pytest.raises(BadSource, match=r"Fix: write context\.authorizer\.claims\.custom:tenant$"):
        parse_source(f"context.authorizer.claims[{quote}custom:tenant{quote}]")


def test_plan_without_functions_of_its_own_may_have_a_mock(tmp_path: Path) -> None:
    mock = {
        "type": "mock",
        "requestTemplates": {"application/json": '{"statusCode": 204}'},
        "responses": {"2\\d\\d": {"statusCode": "204"}, "default": {"statusCode": "200"}},
    }
    plan: Plan = write(tmp_path, api({"/a": {"get": {"x-amazon-apigateway-integration": mock}}}))
    (found,) = plan.rest_apis
    assert found.methods[0].integration == Mock(204)
    assert found.routes[0].answer == "mock 204"
    assert Gateway(plan).get("/prod/a").status == 204


def test_unserved_integration_is_in_its_row(tmp_path: Path) -> None:
    (found,) = write(tmp_path, api({"/a": {"get": to("orders", type="http")}})).rest_apis
    assert isinstance(found.methods[0].integration, Unserved)
    assert found.routes[0].answer == "not served: an integration of type http"
