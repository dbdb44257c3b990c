"""The printed commands for APIs and function URLs: each is sent to the front as it is printed."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import pytest
from click.testing import CliRunner

from lattice_bridge.cli.local_commands import commands
from lattice_bridge.cli.root import root
from lattice_bridge.local.definition import read_definition
from lattice_bridge.local.front.exchange.token_keys import TokenKeys
from lattice_bridge.local.plan.load_balancer import Forward
from tests.cli.test_local_commands import ANYONE
from tests.local.plan.test_load_balancer import BALANCER, FIXED, RULE
from tests.support.front import Stack, signed, stack_of

TEMPLATE: Final = """
Parameters: {Audience: {Type: String, Default: orders}}
Resources:
  Fn: {Type: "AWS::Lambda::Function", Properties: {Handler: a.b, Runtime: python3.13}}
  Bridge:
    Type: AWS::Lambda::Function
    Properties: {Handler: lattice_bridge.main.handler, Runtime: python3.13}
  Isolated:
    Type: AWS::Lambda::Function
    Properties: {Handler: a.b, Runtime: python3.13, TenancyConfig: {TenantIsolationMode: PER_TENANT}}
  Api: {Type: "AWS::ApiGatewayV2::Api", Properties: {ProtocolType: HTTP, Name: shop}}
  Stage: {Type: "AWS::ApiGatewayV2::Stage", Properties: {ApiId: !Ref Api, StageName: v1, AutoDeploy: true}}
  Corp:
    Type: AWS::ApiGatewayV2::Authorizer
    Properties:
      ApiId: !Ref Api
      AuthorizerType: JWT
      IdentitySource: [SOURCE]
      JwtConfiguration: {Issuer: "https://id.example.com", Audience: [!Ref Audience]}
  Behind:
    Type: AWS::ApiGatewayV2::Integration
    Properties:
      ApiId: !Ref Api
      IntegrationType: AWS_PROXY
      IntegrationUri: !GetAtt TARGET.Arn
      PayloadFormatVersion: "2.0"
  Route:
    Type: AWS::ApiGatewayV2::Route
    Properties: {ApiId: !Ref Api, RouteKey: "KEY", Target: !Sub "integrations/${Behind}", ACCESS}
"""
URL: Final = """
  Url: {Type: "AWS::Lambda::Url", Properties: {TargetFunctionArn: !GetAtt TARGET.Arn, AuthType: AUTH}}
  One:
    Type: AWS::Lambda::Permission
    Properties: {FunctionName: !Ref TARGET, Action: "lambda:InvokeFunctionUrl", Principal: "*"}
  Two:
    Type: AWS::Lambda::Permission
    Properties: {FunctionName: !Ref TARGET, Action: "lambda:InvokeFunction", Principal: "*"}
"""
BY_TOKEN: Final = "AuthorizationType: JWT, AuthorizerId: !Ref Corp, AuthorizationScopes: [read]"
MAP: Final = """
[apigateway]
apis = ["API"]
[function_url]
enabled = true
[[backend]]
path = "/v1/orders"
function = "orders"
[tenants]
red = { status = "suspended" }
blue = {}
"""
CLAIM: Final = """
[[rule]]
id = "claim"
api = "API"
tenant_from = "authorizer"
path = ["claims", "tenant"]
authorizer_set_by = "the issuer's directory"
"""
ROLE: Final = '[[rule]]\nid = "role"\nrole = "arn:aws:iam::111122223333:role/blue-api"\ntenant = "blue"\n'


def template(
    key: str = "GET /orders/{id}", access: str = "", target: str = "Fn", source: str = "$request.header.Authorization"
) -> str:
    text = TEMPLATE.replace("KEY", key).replace("ACCESS", access or "AuthorizationType: NONE")
    return text.replace("TARGET", target).replace("SOURCE", source)


CACHE: Final = TemporaryDirectory()  # an RSA key, which takes half a second to make, serves all tests


class Printed:
    """The commands for a template."""

    def __init__(self, folder: Path, text: str, tables: str = "", parameters: Mapping[str, str] | None = None) -> None:
        folder = folder / "project"
        folder.mkdir()
        self.environ = {"XDG_CACHE_HOME": str(CACHE.name), "AWS_REGION": "us-east-1"}
        self.stack: Stack = stack_of(text, folder, tokens=TokenKeys(self.environ), now=lambda: datetime.now(UTC))
        if tables:
            (folder / "bridge.toml").write_text(self._named(tables), encoding="utf-8")
        definition = read_definition(folder / "template.yaml", parameters or {}, "us-east-1")
        self.lines = list(commands(definition, "http://front", "http://lambda"))
        self.curls = [line.strip() for line in self.lines if line.startswith("  curl ")]

    def _named(self, tables: str) -> str:
        return tables.replace("API", self.stack.api.id) if "API" in tables else tables

    def status(self, command: str) -> int:
        """Sends what curl would send."""
        command = re.sub(r'"\$\(([^)]*)\)"', lambda found: self._token(found[1]), command)
        command = re.sub(r"\$\(([^)]*)\)", lambda found: self._token(found[1]), command)
        words, headers, method, scope, user = shlex.split(command)[1:], {}, "GET", "", ""
        while len(words) > 1:
            option = words.pop(0)
            if option == "-H":
                name, _, value = words.pop(0).partition(": ")
                headers[name.lower()] = value
            elif option == "-X":
                method = words.pop(0)
            elif option == "--aws-sigv4":
                scope = words.pop(0).rpartition(":")[2]
            elif option == "--user":
                user = words.pop(0)
        target = words[0].removeprefix("http://front")
        if user:
            key, _, secret = user.partition(":")
            host = headers.get("host", "localhost")
            headers |= signed(method, target, scope, user=(key, secret), host=host, at=datetime.now(UTC))
        return self.stack.send(method, target, headers).status

    def _token(self, command: str) -> str:
        found = CliRunner().invoke(root, shlex.split(command)[1:], env=self.environ)
        assert (found.exit_code, found.stderr) == (0, "")
        return found.stdout.strip()


@pytest.mark.parametrize(
    ("text", "comment", "part"),
    [
        (template(), "without a credential", "curl http://front/v1/orders/1"),
        (template("POST /orders"), "without a credential", "curl -X POST http://front/v1/orders"),
        (template("$default"), "without a credential", "curl http://front/v1/"),
        (template(access=BY_TOKEN), "with a token for the authorizer Corp", "--claim scope=read"),
        (
            template(access=BY_TOKEN, source="$request.querystring.token"),
            "with a token for the authorizer Corp",
            "http://front/v1/orders/1?token=",
        ),
        (template(access="AuthorizationType: AWS_IAM"), "signed as the role blue-api", "aws:amz:us-east-1:execute-api"),
    ],
)
def test_command_for_a_route_works(tmp_path: Path, text: str, comment: str, part: str) -> None:
    printed = Printed(tmp_path, text)
    (command,) = printed.curls
    assert f"  # {comment}" in printed.lines
    assert part in command
    assert printed.status(command) == 200


@pytest.mark.parametrize("auth_type", ["AWS_IAM", "NONE"])
def test_command_for_a_function_url_works(tmp_path: Path, auth_type: str) -> None:
    """It has the URL's host name, since the template has two ways in."""
    text = template() + URL.replace("TARGET", "Fn").replace("AUTH", auth_type)
    printed = Printed(tmp_path, text)
    command = printed.curls[-1]
    assert "-H 'Host: url'" in command
    assert ("aws:amz:us-east-1:lambda" in command) is (auth_type == "AWS_IAM")
    assert printed.status(command) == 200
    assert len([line for line in printed.lines if line.startswith("  # function URL Url: ")]) == 1


def test_url_without_a_permission_gets_the_reason(tmp_path: Path) -> None:
    text = template() + URL.partition("  One:")[0].replace("TARGET", "Fn").replace("AUTH", "NONE")
    (reason,) = [line for line in Printed(tmp_path, text).lines if line.startswith("function URL Url: No request")]
    assert "no AWS::Lambda::Permission of" in reason
    assert "identities.toml" not in reason, "an unsigned caller has no account"


def test_url_for_signed_callers_of_another_account_gets_both_fixes(tmp_path: Path) -> None:
    """As on AWS, a caller of the function's own account needs no permission of the function."""
    text = template() + URL.partition("  One:")[0].replace("TARGET", "Fn").replace("AUTH", "AWS_IAM")
    (reason,) = [line for line in Printed(tmp_path, text).lines if line.startswith("function URL Url: No request")]
    assert reason.endswith("or sign as an identity of the account 123456789012 in identities.toml")


def test_token_for_a_bridge_has_the_claim_of_its_rule(tmp_path: Path) -> None:
    """The suspended tenant comes first in the map, and is not chosen."""
    printed = Printed(tmp_path, template(access=BY_TOKEN, target="Bridge"), MAP + CLAIM)
    (command,) = printed.curls
    assert "  # with a token for the authorizer Corp, runs as blue (rule claim)" in printed.lines
    assert "--claim scope=read --claim tenant=blue" in command
    assert printed.status(command) == 200
    assert printed.stack.event["requestContext"]["authorizer"]["jwt"]["claims"]["tenant"] == "blue"


def test_signer_for_a_bridge_is_one_that_the_map_allows(tmp_path: Path) -> None:
    access = "AuthorizationType: AWS_IAM"
    printed = Printed(tmp_path, template(access=access, target="Bridge"), MAP + ROLE)
    (command,) = printed.curls
    assert "  # signed as the role blue-api, runs as blue (rule role)" in printed.lines
    assert "--user LOCALBLUEAPI:blueapi" in command


def test_open_route_to_a_bridge_gets_the_reason(tmp_path: Path) -> None:
    printed = Printed(tmp_path, template(target="Bridge"), MAP + CLAIM)
    assert printed.curls == []
    assert any(line.startswith("No request is allowed yet: no_credential") for line in printed.lines)


def test_isolated_function_without_a_bridge_gets_no_command(tmp_path: Path) -> None:
    assert Printed(tmp_path, template(target="Isolated")).curls == []


def test_parameters_of_the_stack_are_in_the_token_command(tmp_path: Path) -> None:
    (command,) = Printed(tmp_path, template(access=BY_TOKEN), parameters={"Audience": "admin"}).curls
    assert "--parameter Audience=admin" in command


# ---- REST APIs ------------------------------------------------------------------------------------------------------

REST: Final = """
Resources:
  Isolated:
    Type: AWS::Lambda::Function
    Properties: {Handler: a.b, Runtime: python3.13, TenancyConfig: {TenantIsolationMode: PER_TENANT}}
  Api:
    Type: AWS::ApiGateway::RestApi
    Properties:
      Body:
        openapi: 3.0.1
        paths:
          /orders/{id}:
            get:
              parameters:
                - {name: tenant, in: PLACE, schema: {type: string}}
                - {name: id, in: path, required: true, schema: {type: string}}
              SECURITY
              x-amazon-apigateway-integration:
                type: aws_proxy
                httpMethod: POST
                uri: !Sub arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/${Isolated.Arn}/invocations
                requestParameters: {integration.request.header.X-Amz-Tenant-Id: SOURCE}
        components:
          securitySchemes:
            Pool:
              type: apiKey
              name: Authorization
              in: header
              x-amazon-apigateway-authtype: cognito_user_pools
              x-amazon-apigateway-authorizer:
                type: cognito_user_pools
                providerARNs: ["arn:aws:cognito-idp:us-east-1:123456789012:userpool/us-east-1_a1B2c3D4e"]
  Deployment: {Type: "AWS::ApiGateway::Deployment", Properties: {RestApiId: !Ref Api}}
  Stage:
    Type: AWS::ApiGateway::Stage
    Properties: {RestApiId: !Ref Api, DeploymentId: !Ref Deployment, StageName: prod}
"""


@pytest.mark.parametrize(
    ("place", "source", "security", "part"),
    [
        ("header", "method.request.header.tenant", "", "-H 'tenant: blue' http://front/prod/orders/1"),
        ("query", "method.request.querystring.tenant", "", "'http://front/prod/orders/1?tenant=blue'"),
        ("query", "context.authorizer.claims.tenant", "security: [{Pool: []}]", "--claim tenant=blue"),
    ],
)
def test_command_for_a_method_chooses_the_tenant_of_the_isolated_function(
    tmp_path: Path, place: str, source: str, security: str, part: str
) -> None:
    """Without a bridge, the mapping reads it: here an example, since no map has tenants."""
    text = REST.replace("PLACE", place).replace("SOURCE", source).replace("SECURITY", security or "responses: {}")
    printed = Printed(tmp_path, text)
    (command,) = printed.curls
    assert part in command
    assert printed.status(command) == 200


AUTHORIZER: Final = """
  Custom:
    Type: AWS::ApiGatewayV2::Authorizer
    Properties:
      ApiId: !Ref Api
      AuthorizerType: REQUEST
      AuthorizerPayloadFormatVersion: "2.0"
      AuthorizerUri:
        !Sub "arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/${Fn.Arn}/invocations"
      IdentitySource: [$request.header.X-Key, $request.querystring.tenant]
"""


def test_route_with_a_lambda_authorizer_gets_a_command_with_its_sources(tmp_path: Path) -> None:
    text = template(access="AuthorizationType: CUSTOM, AuthorizerId: !Ref Custom") + AUTHORIZER
    printed = Printed(tmp_path, text)
    assert "  # if the function of the authorizer Custom accepts VALUE" in printed.lines
    assert printed.curls == ["curl -H 'x-key: VALUE' 'http://front/v1/orders/1?tenant=VALUE'"]


@pytest.mark.parametrize(("security", "part"), [("responses: {}", ""), ("security: [{Pool: [read]}]", "scope=read")])
def test_api_with_a_resource_policy_gets_a_command_with_a_condition(tmp_path: Path, security: str, part: str) -> None:
    policy = "Policy: {Statement: [{Effect: Allow, Principal: '*', Action: '*', Resource: '*'}]}"
    text = REST.replace("SOURCE", "method.request.header.tenant").replace("PLACE", "header")
    text = text.replace("SECURITY", security).replace(
        "Properties:\n      Body:", f"Properties:\n      {policy}\n      Body:"
    )
    printed = Printed(tmp_path, text)
    assert "  # if the API's resource policy allows it" in printed.lines
    (command,) = printed.curls
    assert part in command
    assert printed.status(command) == 200


def test_request_that_changes_nothing_is_preferred(tmp_path: Path) -> None:
    second = """
  First:
    Type: AWS::ApiGatewayV2::Route
    Properties: {ApiId: !Ref Api, RouteKey: "GET /orders", Target: !Sub "integrations/${Behind}"}
"""
    assert Printed(tmp_path, template("DELETE /a") + second).curls == ["curl http://front/v1/orders"]


# ---- load balancers -------------------------------------------------------------------------------------------------

FORWARD: Final = "{Type: forward, TargetGroupArn: !Ref Group}"
SECOND: Final = """
  Second:
    Type: AWS::ElasticLoadBalancingV2::Listener
    Properties: {LoadBalancerArn: !Ref Balancer, Port: 8443, Protocol: HTTP, DefaultActions: [ACTION]}
"""
OTHER_WAY: Final = """
  Url: {Type: "AWS::Lambda::Url", Properties: {TargetFunctionArn: !GetAtt Fn.Arn, AuthType: NONE}}
"""


def balancer(condition: str = "", second: str = "", default: str = FORWARD) -> str:
    rule = RULE.replace("CONDITION", condition).replace("ACTION", FORWARD) if condition else ""
    own = BALANCER.replace("{Type: forward, TargetGroupArn: !Ref Group}", default)
    return f"Resources:{own}{rule}{SECOND.replace('ACTION', second) if second else ''}"


@pytest.mark.parametrize(
    ("condition", "command"),
    [
        ("", "curl http://front/"),
        ("{Field: path-pattern, Values: [/shop, /orders/*]}", "curl http://front/shop"),
        ("{Field: path-pattern, Values: ['/orders/*/?']}", "curl http://front/orders/1/1"),
        ("{Field: http-request-method, HttpRequestMethodConfig: {Values: [PUT]}}", "curl -X PUT http://front/"),
        ("{Field: host-header, Values: [shop.example.com]}", "curl -H 'Host: shop.example.com' http://front/"),
        ("{Field: host-header, Values: ['*.example.com']}", "curl -H 'Host: 1.example.com.localhost' http://front/"),
        (
            "{Field: http-header, HttpHeaderConfig: {HttpHeaderName: X-Kind, Values: ['b*']}}",
            "curl -H 'x-kind: b1' http://front/",
        ),
        (
            "{Field: query-string, QueryStringConfig: {Values: [{Key: kind, Value: big}]}}",
            "curl 'http://front/?kind=big'",
        ),
    ],
)
def test_command_for_a_load_balancer_meets_the_conditions_of_a_rule(
    tmp_path: Path, condition: str, command: str
) -> None:
    printed = Printed(tmp_path, balancer(condition, default=FIXED if condition else FORWARD))
    assert printed.curls == [command]
    assert printed.status(command) == 200
    assert len(printed.stack.invoked) == 1


def test_load_balancer_names_the_port_if_two_listeners_forward(tmp_path: Path) -> None:
    (command,) = Printed(tmp_path, balancer(second=FORWARD)).curls
    assert "-H 'Host: balancer:443'" in command


def test_listener_that_forwards_is_preferred_to_one_that_redirects(tmp_path: Path) -> None:
    redirect = "{Type: redirect, RedirectConfig: {StatusCode: HTTP_301, Protocol: HTTPS}}"
    assert Printed(tmp_path, balancer(second=redirect)).curls == ["curl http://front/"]


@pytest.mark.parametrize("condition", ["{Field: source-ip, SourceIpConfig: {Values: [10.0.0.0/8]}}"])
def test_rule_that_no_local_request_meets_gets_no_command(tmp_path: Path, condition: str) -> None:
    assert Printed(tmp_path, balancer(condition, default=FIXED)).curls == []


def test_host_that_leads_to_no_way_in_gets_no_command(tmp_path: Path) -> None:
    """Beside another way in, a host below localhost is not the load balancer's."""
    rule = "{Field: host-header, Values: ['*.example.com']}"
    printed = Printed(tmp_path, balancer(rule, default=FIXED) + OTHER_WAY)
    assert not any("example.com" in command for command in printed.curls)


def test_bridge_behind_a_load_balancer_gets_its_path(tmp_path: Path) -> None:
    """The path is that of the map's backend."""
    bridge = "FunctionName: orders, Handler: lattice_bridge.main.handler"
    text = balancer().replace("FunctionName: orders, Handler: a.b", bridge)
    action = Printed(tmp_path, text).stack.front.plan.load_balancers[0].listeners[0].rules[0].action
    assert isinstance(action, Forward)
    (tmp_path / "second").mkdir()
    tables = MAP.replace("[apigateway]\napis", "[alb]\ntarget_groups").replace("API", action.groups[0][0].arn)
    printed = Printed(tmp_path / "second", text, tables + ANYONE)
    assert "  # without a credential, runs as blue (rule open)" in printed.lines
    assert printed.curls == ["curl -H 'x-tenant-id: blue' http://front/v1/orders"]
