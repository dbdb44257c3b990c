"""Acceptance: an HTTP API with a JWT authorizer, a bridge and an isolated function; and AWS's example for Swift.

Its shape is a REST API that maps a query parameter to the tenant id of a function with a `bootstrap`.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from click.testing import CliRunner

from lattice_bridge.cli.root import root
from lattice_bridge.deployment.cloudformation.template import read_template
from lattice_bridge.local.plan.readers.template import read_plan
from tests.support.stack import RunningStack, opened, running, wait_until

TEMPLATE: Final = """
Transform: AWS::Serverless-2016-10-31
Globals: {Function: {Runtime: python3.13, CodeUri: .}}
Resources:
  Api:
    Type: AWS::Serverless::HttpApi
    Properties:
      StageName: prod
      Auth:
        DefaultAuthorizer: Corp
        Authorizers:
          Corp:
            IdentitySource: $request.header.Authorization
            JwtConfiguration: {issuer: "https://id.example.com", audience: [orders]}
  Bridge:
    Type: AWS::Serverless::Function
    Properties:
      Handler: lattice_bridge.main.handler
      Environment: {Variables: {LATTICE_BRIDGE_CONFIG: bridge.toml}}
      FunctionUrlConfig: {AuthType: NONE}
      Events:
        Get: {Type: HttpApi, Properties: {ApiId: !Ref Api, Path: "/orders/{id}", Method: GET}}
        Open: {Type: HttpApi, Properties: {ApiId: !Ref Api, Path: /open, Method: GET, Auth: {Authorizer: NONE}}}
  Orders:
    Type: AWS::Serverless::Function
    Properties:
      FunctionName: orders
      Handler: app.handler
      TenancyConfig: {TenantIsolationMode: PER_TENANT}
      Events:
        Direct: {Type: HttpApi, Properties: {ApiId: !Ref Api, Path: /direct, Method: GET}}
  Shell:
    Type: AWS::Serverless::Function
    Properties:
      Handler: bootstrap
      Runtime: provided.al2023
      CodeUri: shell
      TenancyConfig: {TenantIsolationMode: PER_TENANT}
  MultiTenantApi:
    Type: AWS::Serverless::Api
    Properties:
      StageName: Prod
      DefinitionBody:
        openapi: 3.0.1
        paths:
          /:
            get:
              parameters: [{name: tenant-id, in: query, required: true, schema: {type: string}}]
              x-amazon-apigateway-integration:
                type: aws_proxy
                httpMethod: POST
                uri: !Sub "arn:aws:apigateway:${AWS::Region}:lambda:path/2015-03-31/functions/${Shell.Arn}/invocations"
                requestParameters:
                  integration.request.header.X-Amz-Tenant-Id: method.request.querystring.tenant-id
"""
BOOTSTRAP: Final = r"""#!/bin/sh
count=0
api="http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime/invocation"
while true; do
  head=$(curl -sS -D - -o /dev/null "$api/next" | tr -d '\r')
  id=$(echo "$head" | sed -n 's/^lambda-runtime-aws-request-id: //Ip')
  tenant=$(echo "$head" | sed -n 's/^lambda-runtime-aws-tenant-id: //Ip')
  count=$((count + 1))
  curl -sS -o /dev/null -d "{\"statusCode\": 200, \"body\": \"$tenant $count\"}" "$api/$id/response"
done
"""
MAP: Final = """
[apigateway]
apis = ["API"]
[function_url]
enabled = true
[[backend]]
path = "/"
function = "orders"
isolated = true
payload = "apigateway-v2"
[tenants]
blue = {}
green = {}
[[rule]]
id = "claim"
api = "API"
tenant_from = "authorizer"
path = ["claims", "tenant"]
authorizer_set_by = "the issuer's directory"
"""
APP: Final = """
count = 0
def handler(event, context):
    global count
    count += 1
    return {"statusCode": 200, "body": f"{context.tenant_id} {count} {event['rawPath']}"}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("http-api")
    (folder / "template.yaml").write_text(TEMPLATE)
    (folder / "app.py").write_text(APP)
    (folder / "shell").mkdir()
    (folder / "shell" / "bootstrap").write_text(BOOTSTRAP)
    (folder / "shell" / "bootstrap").chmod(0o755)
    plan = read_plan(read_template(folder / "template.yaml", {}, "us-east-1"))
    (folder / "bridge.toml").write_text(MAP.replace("API", plan.http_apis[0].names[1]))
    return folder


@pytest.fixture(scope="module")
def stack(folder: Path) -> Iterator[RunningStack]:
    with running(template=folder / "template.yaml") as stack:
        yield stack


def token(folder: Path, tenant: str) -> str:
    command = ["token", "--template", str(folder / "template.yaml"), "--issuer", "Corp", "--claim", f"tenant={tenant}"]
    result = CliRunner().invoke(root, command, env={"AWS_REGION": "us-east-1"})
    assert result.exit_code == 0, result.stderr
    return result.stdout.strip()


@pytest.fixture(scope="module")
def blue(folder: Path) -> str:
    return token(folder, "blue")


def get(stack: RunningStack, path: str, bearer: str = "", host: str = "api", tenant: str = "") -> Any:
    given = {"host": host}
    if bearer:
        given["authorization"] = f"Bearer {bearer}"
    if tenant:
        given |= {"x-tenant-id": tenant, "x-amz-tenant-id": tenant}
    return opened(stack.front + path, given, None, "GET")


def logged(stack: RunningStack, reason: str) -> bool:
    """Whether the bridge has logged a refusal with this reason."""
    objects = [line.get("object") or {} for line in list(stack.lines)]
    return any(one.get("message") == "request" and one.get("reason") == reason for one in objects)


def test_claim_of_the_token_chooses_the_tenant(stack: RunningStack, folder: Path, blue: str) -> None:
    green = token(folder, "green")
    answers = [get(stack, "/prod/orders/7", bearer) for bearer in (blue, green, blue)]
    assert [(answer.status, answer.body) for answer in answers] == [
        (200, b"blue 1 /prod/orders/7"),
        (200, b"green 1 /prod/orders/7"),
        (200, b"blue 2 /prod/orders/7"),
    ]


def test_header_of_the_client_chooses_no_other_tenant(stack: RunningStack, blue: str) -> None:
    """Traps A2, F2: the authorizer verified another tenant."""
    assert get(stack, "/prod/orders/7", blue, tenant="green").status == 403
    wait_until(lambda: logged(stack, "tenant_not_allowed"))


def test_request_without_a_token_does_not_reach_the_bridge(stack: RunningStack) -> None:
    answer = get(stack, "/prod/orders/7", tenant="blue")
    assert (answer.status, answer.body) == (401, b'{"message":"Unauthorized"}')
    assert answer.headers["www-authenticate"] == "Bearer"
    text = "the authorizer Corp requires a token in the header authorization"
    wait_until(lambda: any(text in line.get("message", "") for line in list(stack.lines)))


def test_route_without_an_authorizer_gives_no_evidence(stack: RunningStack, blue: str) -> None:
    """Trap F3: a token that no authorizer verified is no evidence."""
    assert get(stack, "/prod/open", blue, tenant="blue").status == 401
    wait_until(lambda: logged(stack, "no_credential"))


def test_isolated_function_without_the_bridge_is_a_500(stack: RunningStack, blue: str) -> None:
    answer = get(stack, "/prod/direct", blue, tenant="blue")
    assert (answer.status, answer.body) == (500, b'{"message":"Internal Server Error"}')


def test_open_function_url_is_refused_by_the_bridge(stack: RunningStack, blue: str) -> None:
    """Trap F8: Lambda admits every caller to the URL, and the bridge none without evidence."""
    answer = get(stack, "/orders/7", blue, host="bridgeurl", tenant="blue")
    assert (answer.status, answer.json()["title"]) == (401, "Unauthorized")


@pytest.mark.skipif(shutil.which("curl") is None, reason="this machine has no curl")
def test_query_parameter_chooses_the_tenant_of_a_shell_script(stack: RunningStack) -> None:
    """The requests of the README of AWS's example for Swift."""
    found = [
        get(stack, f"/Prod?tenant-id={tenant}", host="multitenantapi").body
        for tenant in ("alice", "alice", "bob", "alice")
    ]
    assert found == [b"alice 1", b"alice 2", b"bob 1", b"alice 3"]
    assert get(stack, "/Prod", host="multitenantapi").status == 500, "an isolated function needs a tenant id"
