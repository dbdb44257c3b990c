"""Tokens as the JWT authorizer of an HTTP API verifies them, and the claims as it writes them."""

from __future__ import annotations

import hmac
import json
import shlex
from pathlib import Path
from typing import Any, Final

import pytest

from lattice_bridge.errors import Unavailable
from lattice_bridge.local.bridge.local_token import make_token
from lattice_bridge.local.bridge.signing_key import key_folder, local_key
from lattice_bridge.local.front.apigateway.jwt_authorizer import issuer_of, token_command
from lattice_bridge.local.front.exchange.token_keys import TokenKeys
from lattice_bridge.local.plan.http_api import JwtAuthorizer
from tests.local.front.apigateway.test_http_api import API, route
from tests.support.front import NOW, Response, Stack, stack_of
from tests.support.token_builder import base64url, jwk, key_set, payload, sign

ISSUER: Final = "https://id.example.com/pool"
AT: Final = int(NOW.timestamp())
AUTHORIZER: Final = f"""
  Corp:
    Type: AWS::ApiGatewayV2::Authorizer
    Properties:
      ApiId: !Ref Api
      Name: corp
      AuthorizerType: JWT
      IdentitySource: [$request.header.Authorization]
      JwtConfiguration: {{Issuer: "{ISSUER}", Audience: [orders, admin]}}
"""
BY_TOKEN: Final = {"AuthorizationType": "JWT", "AuthorizerId": "!Ref Corp"}
TEMPLATE: Final = (
    API
    + AUTHORIZER
    + route("Get", "GET /orders", **BY_TOKEN)
    + route("Post", "POST /orders", **BY_TOKEN, AuthorizationScopes="[write, admin]")
    + route("Old", "GET /old", "V1", **BY_TOKEN)
)


class Web:
    """What issuers publish."""

    def __init__(self) -> None:
        self.documents: dict[str, bytes] = {
            f"{ISSUER}/.well-known/openid-configuration": json.dumps({"jwks_uri": f"{ISSUER}/keys"}).encode(),
            f"{ISSUER}/keys": key_set(jwk("k1", "RS256")),
        }
        self.asked: list[str] = []

    def fetch(self, url: str) -> bytes:
        self.asked.append(url)
        if url not in self.documents:
            raise Unavailable("keys_unavailable", "the key set could not be fetched (OSError)")
        return self.documents[url]


@pytest.fixture(scope="module")
def environ(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Names the folder of the local keys. Making an RSA key takes half a second."""
    return {"XDG_CACHE_HOME": str(tmp_path_factory.mktemp("cache"))}


@pytest.fixture
def web() -> Web:
    return Web()


@pytest.fixture
def stack(tmp_path: Path, environ: dict[str, str], web: Web) -> Stack:
    return stack_of(TEMPLATE, tmp_path, tokens=TokenKeys(environ, web.fetch))


def claims(**more: Any) -> dict[str, Any]:
    return payload(**{"iss": ISSUER, "iat": AT - 60, "exp": AT + 60, **more})


def token(algorithm: str = "RS256", header: dict[str, Any] | None = None, **more: Any) -> str:
    return sign(claims(**more), header, algorithm=algorithm)


def send(stack: Stack, bearer: str, method: str = "GET", path: str = "/orders") -> Response:
    return stack.send(method, path, {"authorization": f"Bearer {bearer}"})


def test_token_of_the_issuer_is_accepted_with_or_without_bearer(stack: Stack, web: Web) -> None:
    assert send(stack, token()).status == 200
    assert stack.send("GET", "/orders", {"authorization": token()}).status == 200
    assert web.asked == [f"{ISSUER}/.well-known/openid-configuration", f"{ISSUER}/keys"]


def test_claims_are_written_as_strings(stack: Stack) -> None:
    """As in captured events: numbers and booleans as strings, lists in Go's notation."""
    send(stack, token(ok=True, groups=["a", "b"], app={"k": 1}, none=None, n=1.5, custom="x"))
    found = stack.event["requestContext"]["authorizer"]
    assert found["jwt"]["scopes"] is None
    assert found["jwt"]["claims"] == {
        "iss": ISSUER,
        "aud": "orders",
        "iat": str(AT - 60),
        "exp": str(AT + 60),
        "sub": "u-1",
        "tenant": "blue",
        "ok": "true",
        "groups": "[a b]",
        "app": "map[k:1]",
        "none": "<nil>",
        "n": "1.5",
        "custom": "x",
    }


def test_claims_of_payload_1_0_are_directly_below_the_authorizer(stack: Stack) -> None:
    send(stack, token(), path="/old")
    assert stack.event["requestContext"]["authorizer"]["claims"]["tenant"] == "blue"


def none_algorithm() -> str:
    header = base64url(b'{"alg":"none","kid":"k1"}')
    return f"{header}.{base64url(json.dumps(claims()).encode())}."


def secret_of_the_public_key() -> str:
    """HS256 with the public key as the secret (CVE-2022-29217)."""
    signed = ".".join(base64url(json.dumps(part).encode()) for part in ({"alg": "HS256", "kid": "k1"}, claims()))
    secret = json.dumps(jwk("k1", "RS256")).encode()
    return f"{signed}.{base64url(hmac.digest(secret, signed.encode(), 'sha256'))}"


def two_members() -> str:
    body = json.dumps(claims()).replace('"tenant": "blue"', '"tenant": "green", "tenant": "blue"').encode()
    return sign(body, algorithm="RS256")


REFUSED: Final = {
    "no algorithm": (none_algorithm, "alg is not one of RS256, RS384, RS512", "unsupported signing algorithm"),
    "secret": (secret_of_the_public_key, "alg is not one of", "unsupported signing algorithm"),
    "elliptic curve": (lambda: token("ES256"), "alg is not one of", "unsupported signing algorithm"),
    "other issuer": (lambda: token(iss=f"{ISSUER}/"), f"iss is not {ISSUER}", "does not have a valid issuer"),
    "issuer is a list": (lambda: token(iss=[ISSUER]), "iss is not", "does not have a valid issuer"),
    "other audience": (
        lambda: token(aud="other"),
        "neither aud nor client_id is one of admin, orders",
        "valid audience",
    ),
    "no audience": (lambda: token(aud=...), "neither aud nor client_id", "valid audience"),
    "client_id beside aud": (lambda: token(aud="x", client_id="orders"), "neither aud nor", "valid audience"),
    "expired": (lambda: token(exp=AT), "has expired", "the token has expired"),
    "no end": (lambda: token(exp=...), "has no exp", "the token has expired"),
    "end is a string": (lambda: token(exp=str(AT + 9)), "is not a number", "invalid time"),
    "not yet": (lambda: token(nbf=AT + 9), "in the future", "not yet valid"),
    "made in the future": (lambda: token(iat=AT + 9), "in the future", "not yet valid"),
    "wrong signature": (lambda: token()[:-40] + "A" * 40, "the signature is not one of", "verified"),
    "unknown key": (lambda: token(header={"kid": "k2"}), "has no key with the token's kid", "verified"),
    "no key id": (lambda: token(header={"kid": ...}), "the token has no kid", "does not have a kid"),
    "critical extension": (lambda: token(header={"crit": ["x"], "x": 1}), "not a JSON Web Token|signature", "token"),
    "member twice": (two_members, "not a JSON Web Token", "could not be parsed"),
    "no token": (lambda: "head.payload", "not a JSON Web Token", "could not be parsed"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_bad_token_is_refused_with_the_challenge(stack: Stack, name: str) -> None:
    """Traps C1, C3, C5, C6, C8: the function is not invoked, and neither log nor response contain the token."""
    make, cause, description = REFUSED[name]
    bad = make()
    answer = send(stack, bad)
    assert (answer.status, answer.body, stack.invoked) == (401, b'{"message":"Unauthorized"}', [])
    challenge = answer["www-authenticate"]
    assert challenge.startswith('Bearer scope="" error="invalid_token" error_description="')
    assert description in challenge
    assert any(part in stack.refusal.cause for part in cause.split("|"))
    assert bad.split(".")[1] not in stack.refusal.cause


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("authorization", "Basic dTpw")],
        [("authorization", "AWS4-HMAC-SHA256 Credential=x")],
        [("authorization", "Bearer a.b.c"), ("authorization", "Bearer a.b.c")],
        [("x-authorization", "Bearer a.b.c")],
    ],
)
def test_request_without_one_token_is_refused(stack: Stack, headers: list[tuple[str, str]]) -> None:
    """Trap C11: also with two of them."""
    answer = stack.send("GET", "/orders?authorization=Bearer%20x", headers)
    assert (answer.status, answer.body, stack.invoked) == (401, b'{"message":"Unauthorized"}', [])
    assert answer["www-authenticate"].startswith("Bearer")
    assert "the authorizer Corp" in stack.refusal.cause


def test_access_token_of_cognito_has_its_audience_in_client_id(stack: Stack) -> None:
    assert send(stack, token(aud=..., client_id="admin")).status == 200


@pytest.mark.parametrize("granted", [{"scope": "read write"}, {"scp": ["admin"]}, {"scp": "admin"}])
def test_one_scope_of_the_route_is_enough(stack: Stack, granted: dict[str, Any]) -> None:
    assert send(stack, token(**granted), "POST").status == 200
    assert len(stack.event["requestContext"]["authorizer"]["jwt"]["scopes"]) == 1


@pytest.mark.parametrize("granted", [{}, {"scope": "writer"}, {"scp": {"write": 1}}])
def test_token_without_a_scope_of_the_route_is_forbidden(stack: Stack, granted: dict[str, Any]) -> None:
    answer = send(stack, token(**granted), "POST")
    assert (answer.status, answer.body) == (403, b'{"message":"Forbidden"}')
    assert answer["www-authenticate"] == 'Bearer scope="write admin" error="insufficient_scope"'
    assert "none of the scopes of the route POST /orders: write admin" in stack.refusal.cause


# ---- keys -----------------------------------------------------------------------------------------------------------


def local_token(stack: Stack, environ: dict[str, str], **more: Any) -> str:
    access = next(entry.access for entry in stack.api.entries)
    issuer = issuer_of(access)  # type: ignore[arg-type] # every route of the template has the same authorizer
    key = local_key("RS256", key_folder(environ), stack.front.plan.folder)
    return make_token(issuer, key, more, now=AT)


def test_local_token_is_accepted_without_a_network(stack: Stack, environ: dict[str, str], web: Web) -> None:
    assert send(stack, local_token(stack, environ, tenant="blue")).status == 200
    assert web.asked == []


def test_local_token_of_another_audience_is_refused(stack: Stack, environ: dict[str, str]) -> None:
    """Trap G7: the local key loosens nothing else."""
    assert send(stack, local_token(stack, environ, aud="other")).status == 401
    assert send(stack, local_token(stack, environ, iss="https://other.example.com")).status == 401
    assert send(stack, local_token(stack, environ, exp=AT)).status == 401


def test_issuer_out_of_reach_is_named_with_the_fix(stack: Stack, web: Web) -> None:
    web.documents.clear()
    answer = send(stack, token())
    assert (answer.status, stack.invoked) == (401, [])
    assert f"the keys of {ISSUER}: the key set could not be fetched" in stack.refusal.cause
    assert "Fix: use a token of `lattice-bridge token --template FILE`" in stack.refusal.cause


def test_bad_token_causes_no_fetch(stack: Stack, web: Web) -> None:
    """Traps C4, C13: neither the token's issuer nor an unverified token chooses what is fetched."""
    send(stack, token(iss="https://evil.example.com", jku="https://evil.example.com/keys"))
    send(stack, token(exp=AT))
    send(stack, none_algorithm())
    assert web.asked == []


def test_configuration_without_a_key_set_is_named(stack: Stack, web: Web) -> None:
    web.documents[f"{ISSUER}/.well-known/openid-configuration"] = b"[]"
    assert send(stack, token()).status == 401
    assert "the issuer's configuration has no jwks_uri" in stack.refusal.cause


def test_name_of_an_authorizer_is_one_word_of_the_suggested_command() -> None:
    """Trap G5: the name of a security scheme may be any text."""
    command = token_command(JwtAuthorizer("x; touch $(id)", ISSUER, None))
    assert shlex.split(command)[-1] == "x; touch $(id)"
    assert token_command(JwtAuthorizer("Corp", ISSUER, None)).endswith(" --issuer Corp")
