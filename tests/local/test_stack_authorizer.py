"""Acceptance: the map as a Lambda authorizer, of a REST API in front of an isolated function, and of an HTTP API.

The REST API, its functions and its map are those of docs/ways-in.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from textwrap import indent
from typing import Final

import pytest
from click.testing import CliRunner

from lattice_bridge.cli.root import root
from tests.support.stack import Answer, RunningStack, opened, running, wait_until
from tests.support.ways_in import block

SECTION: Final = "REST API with the map as its authorizer"
API: Final = "a1b2c3d4e5"
WEB: Final = "w1b2c3d4e5"
HTTP: Final = """
Web:
  Type: AWS::Serverless::HttpApi
  Properties:
    Auth:
      DefaultAuthorizer: map
      Authorizers:
        map:
          FunctionArn: !GetAtt GuardOfWeb.Arn
          AuthorizerPayloadFormatVersion: "2.0"
          EnableSimpleResponses: true
          Identity: {Headers: [Authorization, X-Tenant-Id], ReauthorizeEvery: 300}
GuardOfWeb:
  Type: AWS::Serverless::Function
  Properties:
    Handler: lattice_bridge.authorizer.handler
    Runtime: python3.13
    CodeUri: guard
    Environment: {Variables: {LATTICE_BRIDGE_SIMPLE_RESPONSES: "true"}}
Bridge:
  Type: AWS::Serverless::Function
  Properties:
    Handler: lattice_bridge.main.handler
    Runtime: python3.13
    CodeUri: bridge
    Events:
      Any: {Type: HttpApi, Properties: {ApiId: !Ref Web, Path: "/{proxy+}", Method: ANY}}
"""
OF_BRIDGE: Final = f"""
[apigateway]
apis = ["{WEB}"]
[[backend]]
function = "orders"
payload = "apigateway-v2"
[tenants]
blue = {{}}
green = {{}}
[[rule]]
id = "web"
api = "{WEB}"
tenant_from = "authorizer"
path = ["tenantId"]
authorizer_set_by = "the map, as the API's authorizer"
"""
APP: Final = """
count = 0
def handler(event, context):
    global count
    count += 1
    return {"statusCode": 200, "body": f"{context.tenant_id} {count}"}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("authorizer")
    template = block(SECTION, "yaml").replace("dist/bridge-x86_64.zip", "guard") + indent(HTTP, "  ")
    map_ = block(SECTION, "toml").replace("issuer.example", "issuer.invalid")
    map_ = map_.replace("blue = {}", "blue = {}\ngreen = {}").replace(f'"{API}"', f'"{API}", "{WEB}"')
    for name, content in {
        "template.yaml": template,
        "local.toml": f'[local.ids]\nApi = "{API}"\nWeb = "{WEB}"\n',
        "guard/bridge.toml": map_,
        "bridge/bridge.toml": OF_BRIDGE,
        "orders/app.py": APP,
    }.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(content)
    return folder


@pytest.fixture(scope="module")
def stack(folder: Path) -> Iterator[RunningStack]:
    with running(template=folder / "template.yaml") as stack:
        yield stack


def token(folder: Path, tenant: str) -> str:
    map_ = str(folder / "guard" / "bridge.toml")
    result = CliRunner().invoke(root, ["token", "--map", map_, "--issuer", "corp", "--claim", f"tenant={tenant}"])
    assert result.exit_code == 0, result.stderr
    return result.stdout.strip()


@pytest.fixture(scope="module")
def tokens(folder: Path) -> dict[str, str]:
    return {tenant: token(folder, tenant) for tenant in ("blue", "green")}


def get(stack: RunningStack, path: str, bearer: str, tenant: str = "", host: str = "api") -> Answer:
    headers = {"host": host, "authorization": f"Bearer {bearer}"}
    if tenant:
        headers |= {"x-tenant-id": tenant, "x-amz-tenant-id": tenant}
    return opened(stack.front + path, headers, None, "GET")


def asked(stack: RunningStack, path: str) -> list[str]:
    """The reasons of the map's decisions for a path."""
    lines = [line.get("object") or {} for line in list(stack.lines)]
    return [one["reason"] for one in lines if (one.get("backend"), one.get("path")) == ("authorizer", path)]


def test_token_chooses_the_tenant_of_the_isolated_function(stack: RunningStack, tokens: dict[str, str]) -> None:
    answers = [get(stack, "/prod/orders", tokens[tenant]) for tenant in ("blue", "green", "blue")]
    assert [(one.status, one.body) for one in answers] == [(200, b"blue 1"), (200, b"green 1"), (200, b"blue 2")]


def test_token_that_does_not_verify_is_a_401(stack: RunningStack, tokens: dict[str, str]) -> None:
    """Trap C1."""
    answer = get(stack, "/prod/forged", tokens["blue"][:-8] + "AAAAAAAA")
    assert (answer.status, answer.json()) == (401, {"message": "Unauthorized"})
    wait_until(lambda: asked(stack, "/forged") == ["token_invalid"])


def test_header_that_asks_for_another_tenant_is_a_403(stack: RunningStack, tokens: dict[str, str]) -> None:
    """Traps A2, F2."""
    assert get(stack, "/prod/other", tokens["blue"], tenant="green").status == 403
    wait_until(lambda: asked(stack, "/other") == ["tenant_not_allowed"])
    assert get(stack, "/prod/other", tokens["blue"], tenant="blue").body.startswith(b"blue ")


def test_answer_is_not_cached_with_a_time_to_live_of_zero(stack: RunningStack, tokens: dict[str, str]) -> None:
    assert {get(stack, "/prod/twice", tokens["blue"]).status for _ in range(2)} == {200}
    wait_until(lambda: len(asked(stack, "/twice")) == 2)


def test_simple_response_of_an_http_api_reaches_the_bridge(stack: RunningStack, tokens: dict[str, str]) -> None:
    """Trap D8: the cache compares the token and the tenant header."""
    for _ in range(2):
        for tenant in ("blue", "green"):
            answer = get(stack, "/web", tokens[tenant], tenant=tenant, host="web")
            assert (answer.status, answer.body.split()[0]) == (200, tenant.encode())
    assert get(stack, "/web", tokens["blue"], tenant="green", host="web").status == 403
    wait_until(lambda: len(asked(stack, "/web")) == 3)
    assert get(stack, "/web", tokens["blue"], host="web").status == 401, "an identity source is missing"


def test_changed_map_ends_cached_answers(stack: RunningStack, folder: Path, tokens: dict[str, str]) -> None:
    """On AWS a cached answer stays until its time to live ends."""

    def status() -> int:
        return get(stack, "/web", tokens["green"], tenant="green", host="web").status

    assert status() == 200
    map_ = folder / "guard" / "bridge.toml"
    map_.write_text(map_.read_text().replace("green = {}", 'green = { status = "suspended" }'))
    wait_until(lambda: status() == 403)
