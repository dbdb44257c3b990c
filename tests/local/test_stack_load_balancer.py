"""A load balancer in front of a bridge and an isolated function, as the stack serves them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest
from click.testing import CliRunner

from lattice_bridge.cli.root import root
from lattice_bridge.deployment.cloudformation.template import read_template
from tests.support.stack import Answer, RunningStack, opened, running

TEMPLATE: Final = """
Resources:
  Bridge:
    Type: AWS::Serverless::Function
    Properties: {Handler: lattice_bridge.main.handler, Runtime: python3.13, CodeUri: .}
  Orders:
    Type: AWS::Serverless::Function
    Properties:
      FunctionName: orders
      Handler: app.handler
      Runtime: python3.13
      CodeUri: .
      TenancyConfig: {TenantIsolationMode: PER_TENANT}
  Shop: {Type: "AWS::ElasticLoadBalancingV2::LoadBalancer", Properties: {Subnets: [subnet-1, subnet-2]}}
  Targets: &targets
    Type: AWS::ElasticLoadBalancingV2::TargetGroup
    Properties: {TargetType: lambda, Targets: [{Id: !GetAtt Bridge.Arn}]}
  Unlisted: *targets
  Listener:
    Type: AWS::ElasticLoadBalancingV2::Listener
    Properties:
      LoadBalancerArn: !Ref Shop
      Port: 443
      Protocol: HTTPS
      DefaultActions: [{Type: forward, TargetGroupArn: !Ref Targets}]
  Rule:
    Type: AWS::ElasticLoadBalancingV2::ListenerRule
    Properties:
      ListenerArn: !Ref Listener
      Priority: 1
      Conditions: [{Field: path-pattern, Values: [/unlisted]}]
      Actions: [{Type: forward, TargetGroupArn: !Ref Unlisted}]
"""
MAP: Final = """
[alb]
target_groups = ["GROUP"]
[[backend]]
function = "orders"
payload = "alb"
[tenants]
blue = {}
green = {}
[jwt.corp]
issuer = "https://issuer.invalid"
audience = ["orders"]
algorithms = ["ES256"]
jwks_url = "https://issuer.invalid/keys"
[[rule]]
id = "corp"
jwt = "corp"
tenant_from = "claim"
claim = ["tenant"]
"""
FUNCTION: Final = """
import json

def handler(event, context):
    answer = {"tenant": context.tenant_id, "path": event["path"], "query": event["queryStringParameters"]}
    many = {"multiValueHeaders": {"set-cookie": ["a=1", "b=2"]}} if event["path"] == "/cookies" else {}
    return {"statusCode": 201, "headers": {"x-own": "1"}, **many, "body": json.dumps(answer)}
"""

Token = Callable[[str], str]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("load-balancer") / "shop"
    folder.mkdir()
    template = folder / "template.yaml"
    template.write_text(TEMPLATE)
    group = read_template(template, {}, "us-east-1").resources["Targets"].arn
    (folder / "bridge.toml").write_text(MAP.replace("GROUP", group))
    (folder / "app.py").write_text(FUNCTION)
    return folder


@pytest.fixture(scope="module")
def stack(folder: Path) -> Iterator[RunningStack]:
    with pytest.MonkeyPatch.context() as environ:
        environ.setenv("XDG_CACHE_HOME", str(folder.parent / "cache"))
        with running(template=folder / "template.yaml") as stack:
            yield stack


@pytest.fixture(scope="module")
def token(folder: Path, stack: RunningStack) -> Token:
    """Makes a token of a tenant, as `lattice-bridge token` prints it. The stack has made the key."""

    def make(tenant: str) -> str:
        arguments = ["token", "--map", str(folder / "bridge.toml"), "--issuer", "corp", "--claim", f"tenant={tenant}"]
        done = CliRunner().invoke(root, arguments, env={"XDG_CACHE_HOME": str(folder.parent / "cache")})
        assert done.exit_code == 0, done.output
        return done.stdout.strip()

    return make


def get(stack: RunningStack, path: str, token: str = "", **headers: str) -> Answer:
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    return opened(stack.front + path, {**given, **({"authorization": f"Bearer {token}"} if token else {})}, None, "GET")


def test_request_runs_as_the_tenant_of_the_token(stack: RunningStack, token: Token) -> None:
    for tenant in ("blue", "green"):
        answer = get(stack, "/orders?a=%2F", token(tenant))
        assert (answer.status, answer.headers["x-own"], answer.headers["server"]) == (201, "1", "awselb/2.0")
        assert answer.json() == {"tenant": tenant, "path": "/orders", "query": {"a": "%2F"}}


def test_tenant_of_a_header_path_or_query_only_chooses(stack: RunningStack, token: Token) -> None:
    """Trap F2."""
    assert get(stack, "/green?x-tenant-id=green", token("blue"), x_tenant_id="blue").json()["tenant"] == "blue"
    assert get(stack, "/orders", token("blue"), x_tenant_id="green").status == 403
    assert get(stack, "/orders", token("blue"), x_amz_tenant_id="green").json()["tenant"] == "blue"


def test_request_without_a_token_is_refused(stack: RunningStack) -> None:
    """Trap A1: a load balancer verifies no identity."""
    assert get(stack, "/orders", x_tenant_id="blue").status in (401, 403)


def test_header_in_which_a_load_balancer_names_a_user_is_no_evidence(stack: RunningStack, token: Token) -> None:
    """Trap F3: a rule without an authenticate action passes a client's own header on."""
    assert get(stack, "/orders", x_amzn_oidc_identity="blue", x_amzn_oidc_data=token("blue")).status in (401, 403)


def test_event_of_a_target_group_that_is_not_listed_is_refused(stack: RunningStack, token: Token) -> None:
    """Trap F1."""
    assert get(stack, "/unlisted", token("blue")).status == 400


def test_two_cookies_need_multi_value_headers(stack: RunningStack, token: Token) -> None:
    answer = get(stack, "/cookies", token("blue"))
    assert (answer.status, json.loads(answer.body)["title"]) == (502, "Bad Gateway")
