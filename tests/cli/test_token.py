"""`lattice-bridge token`: a token of an issuer of the map, for the local stack."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest
from click.testing import CliRunner, Result

from lattice_bridge.cli.root import root

MAP: Final = """
[tenants]
blue = {}
[jwt.corp]
issuer = "https://issuer.example"
audience = ["orders"]
algorithms = ["ES256", "RS256"]
jwks_url = "https://issuer.example/keys"
[jwt.partner]
issuer = "https://partner.example"
audience = ["p"]
algorithms = ["EdDSA"]
jwks_url = "https://partner.example/keys"
"""

Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Runs the command with a map of its own."""
    (tmp_path / "project").mkdir()
    file = tmp_path / "project" / "bridge.toml"
    file.write_text(MAP)

    def run(*arguments: str, text: str = MAP) -> Result:
        file.write_text(text)
        environ = {"XDG_CACHE_HOME": str(tmp_path / "cache")}
        return CliRunner().invoke(root, ["token", "--map", str(file), *arguments], env=environ)

    return run


def parts(result: Result) -> tuple[dict[str, Any], dict[str, Any]]:
    """The header and the claims of the token, which is all that was printed."""
    assert (result.exit_code, result.stderr) == (0, "")
    (line,) = result.stdout.splitlines()
    header, claims, _ = line.split(".")
    return _decoded(header), _decoded(claims)


def _decoded(segment: str) -> dict[str, Any]:
    return dict(json.loads(base64.urlsafe_b64decode(segment + "==")))


def test_token_agrees_with_the_issuers_table(run: Run) -> None:
    header, claims = parts(run("--issuer", "corp", "--claim", "tenant=blue"))
    issued = claims["iat"]
    assert (header["alg"], header["kid"][:21]) == ("ES256", "lattice-bridge-local-")
    assert abs(issued - time.time()) < 60
    assert claims == {
        "iss": "https://issuer.example",
        "aud": "orders",
        "iat": issued,
        "exp": issued + 3600,
        "sub": "local",
        "tenant": "blue",
    }
    assert parts(run("--issuer", "partner"))[0]["alg"] == "EdDSA"


def test_claims_subject_and_end_are_chosen(run: Run) -> None:
    claims = ("--claim", "custom:tenant=a=b", "--claim", 'groups:=["a", 1]', "--claim", "number=7")
    _, found = parts(run("--issuer", "corp", *claims, "--subject", "ann", "--expires", "60"))
    assert [found[name] for name in ("custom:tenant", "groups", "number", "sub")] == ["a=b", ["a", 1], "7", "ann"]
    assert found["exp"] - found["iat"] == 60


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--issuer", "corpo"], '"corpo" is not an issuer of'),
        (["--issuer", "corpo"], "Fix: write one of corp, partner"),
        (["--issuer", "corp", "--claim", "tenant"], "no name and value. Fix: write NAME=VALUE, as in tenant=blue"),
        (["--issuer", "corp", "--claim", "=blue"], "no name and value"),
        (["--issuer", "corp", "--claim", "a=1", "--claim", "a:=1"], "the claim a is given twice"),
        (["--issuer", "corp", "--claim", "a:=[1"], "not JSON"),
        (["--issuer", "corp", "--claim", "a:=NaN"], "not JSON"),
        (["--issuer", "corp", "--claim", "a:=[1e999]"], "not JSON"),
        (["--issuer", "corp", "--claim", "a:=" + 2000 * "["], "not JSON"),
        (["--issuer", "corp", "--expires", "0"], "0 is not in the range"),
        (["--issuer", "corp", "--expires", "86401"], "86401 is not in the range"),
        ([], "Missing option '--issuer'"),
    ],
)
def test_wrong_usage_is_explained(arguments: list[str], message: str, run: Run) -> None:
    result = run(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in " ".join(result.stderr.split())


@pytest.mark.parametrize(
    ("claim", "reason"),
    [
        ("aud=other", "aud is not for us"),
        ("iss=https://other.example", "iss is not the issuer's"),
        ("exp:=1.5", "exp, iat or nbf is not an integer"),
        (f"padding={9000 * 'x'}", "the token is longer than 8 KiB"),
    ],
)
def test_token_that_will_be_refused_is_made_with_a_note(claim: str, reason: str, run: Run) -> None:
    """A test of a refusal needs such a token."""
    result = run("--issuer", "corp", "--claim", claim)
    assert (result.exit_code, result.stdout.count(".")) == (0, 2)
    assert result.stderr == f"note: the bridge will refuse this token: {reason}\n"


def test_map_that_does_not_load_makes_no_token(run: Run) -> None:
    result = run("--issuer", "corp", text=MAP.replace("audience", "audiences"))
    assert (result.exit_code, result.stdout) == (1, "")
    assert "error: jwt" in result.stderr


def test_map_without_issuers_is_wrong_usage(run: Run) -> None:
    result = run("--issuer", "corp", text="[tenants]\nblue = {}\n")
    assert result.exit_code == 2
    assert "Fix: add a table, as in [jwt.corp]" in " ".join(result.stderr.split())


def test_private_key_is_never_printed(run: Run, tmp_path: Path) -> None:
    """Trap G6."""
    result = run("--issuer", "corp")
    (key,) = (tmp_path / "cache").rglob("*.pem")
    lines = key.read_text().splitlines()
    key.chmod(0o644)
    refused = run("--issuer", "corp")
    assert (refused.exit_code, "other users can read or replace this key" in " ".join(refused.stderr.split())) == (
        2,
        True,
    )
    assert not [line for line in lines if line in result.output + refused.output]
    assert not list((tmp_path / "project").rglob("*.pem"))


# ---- authorizers of a template --------------------------------------------------------------------------------------

TEMPLATE: Final = """
Parameters: {Audience: {Type: String, Default: orders}}
Resources:
  Fn: {Type: "AWS::Lambda::Function", Properties: {Handler: a.b, Runtime: python3.13}}
  Api: {Type: "AWS::ApiGatewayV2::Api", Properties: {ProtocolType: HTTP, Name: shop}}
  Corp:
    Type: AWS::ApiGatewayV2::Authorizer
    Properties:
      ApiId: !Ref Api
      AuthorizerType: JWT
      IdentitySource: [$request.header.X-Token]
      JwtConfiguration: {Issuer: "https://id.example.com", Audience: [!Ref Audience]}
  Integration:
    Type: AWS::ApiGatewayV2::Integration
    Properties: {ApiId: !Ref Api, IntegrationType: AWS_PROXY, IntegrationUri: !GetAtt Fn.Arn}
  Route:
    Type: AWS::ApiGatewayV2::Route
    Properties:
      ApiId: !Ref Api
      RouteKey: GET /orders
      Target: !Sub integrations/${Integration}
      AuthorizationType: JWT
      AuthorizerId: !Ref Corp
"""


def of_template(tmp_path: Path, *arguments: str) -> Result:
    (tmp_path / "project").mkdir(exist_ok=True)
    file = tmp_path / "project" / "template.yaml"
    file.write_text(TEMPLATE)
    environ = {"XDG_CACHE_HOME": str(tmp_path / "cache"), "AWS_REGION": "us-east-1"}
    return CliRunner().invoke(root, ["token", "--template", str(file), *arguments], env=environ)


def test_token_of_an_authorizer_has_its_issuer_and_audience(tmp_path: Path) -> None:
    """API Gateway verifies RSA only."""
    header, claims = parts(of_template(tmp_path, "--issuer", "Corp", "--claim", "scope=read", "-P", "Audience=admin"))
    assert header["alg"] == "RS256"
    assert (claims["iss"], claims["aud"], claims["scope"]) == ("https://id.example.com", "admin", "read")
    found = json.loads(of_template(tmp_path, "--issuer", "Corp", "--json").stdout)
    assert (found["header"], found["refused"]) == ("x-token", None)


def test_token_that_the_api_will_refuse_is_made_with_a_note(tmp_path: Path) -> None:
    result = of_template(tmp_path, "--issuer", "Corp", "--claim", "aud=other")
    assert result.stderr == "note: the API will refuse this token: neither aud nor client_id is one of orders\n"


def test_unknown_authorizer_is_wrong_usage(tmp_path: Path, run: Run) -> None:
    result = of_template(tmp_path, "--issuer", "corp")
    assert result.exit_code == 2
    assert "is not a JWT authorizer of" in result.stderr
    assert "Fix: write one of Corp" in result.stderr
    assert "--parameter needs --template" in run("--issuer", "corp", "-P", "A=b").stderr
