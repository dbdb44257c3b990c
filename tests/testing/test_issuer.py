"""Issuer: a real map fetches its keys over https, and accepts only its tokens."""

from __future__ import annotations

import json
import ssl
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jwt
import pytest

from lattice_bridge import Decision, TenantMap, parse_event
from lattice_bridge.errors import Unavailable
from lattice_bridge.identity.key_set import KeySet, fetch_https
from lattice_bridge.identity.token import ALGORITHMS
from lattice_bridge.testing import Issuer, lattice_event

MAP = """
[tenants]
blue = {}
green = {}

[[rule]]
id = "users"
jwt = "corp"
tenant_from = "claim"
claim = ["tenant"]
"""


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    with Issuer() as issuer:
        yield issuer


@pytest.fixture
def tenant_map(issuer: Issuer, monkeypatch: pytest.MonkeyPatch) -> TenantMap:
    monkeypatch.setenv("SSL_CERT_FILE", issuer.environ["SSL_CERT_FILE"])
    return TenantMap.from_toml(MAP + issuer.table())


def decide(tenant_map: TenantMap, token: str) -> Decision:
    event = lattice_event(headers={"authorization": f"Bearer {token}"})
    return tenant_map.decide(parse_event(event))


# ---- tokens ---------------------------------------------------------------------------------------------------------


def test_map_accepts_tokens_and_fetches_keys_once(issuer: Issuer, tenant_map: TenantMap) -> None:
    assert issuer.fetches == 0
    assert [decide(tenant_map, issuer.token(tenant=name)).tenant for name in ("blue", "green", "blue")] == [
        "blue",
        "green",
        "blue",
    ]
    assert issuer.fetches == 1


@pytest.mark.parametrize("algorithm", sorted(ALGORITHMS))
def test_every_algorithm_signs(algorithm: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with Issuer(algorithm=algorithm) as issuer:
        monkeypatch.setenv("SSL_CERT_FILE", issuer.environ["SSL_CERT_FILE"])
        assert decide(TenantMap.from_toml(MAP + issuer.table()), issuer.token(tenant="blue")).tenant == "blue"


@pytest.mark.parametrize(
    "claims",
    [
        {"exp": 1_000_000_000},
        {"exp": None},
        {"nbf": 4_000_000_000},
        {"iat": None},
        {"aud": "others"},
        {"aud": None},
        {"iss": "https://issuer.example"},
        {"iss": None},
        {"headers": {"kid": "key-2"}},
        {"headers": {"alg": "none"}},
        {"headers": {"typ": "dpop+jwt"}},
        {"headers": {"crit": ["exp"]}},
    ],
    ids=str,
)
def test_invalid_token_can_be_made(issuer: Issuer, tenant_map: TenantMap, claims: Any) -> None:
    assert decide(tenant_map, issuer.token(**{"tenant": "blue", **claims})).reason == "token_invalid"


def test_changed_token_is_refused(issuer: Issuer, tenant_map: TenantMap) -> None:
    header, _, signature = issuer.token(tenant="blue").split(".")
    _, claims, _ = issuer.token(tenant="green").split(".")
    assert decide(tenant_map, f"{header}.{claims}.{signature}").reason == "token_invalid"


def test_token_of_another_issuer_is_refused(issuer: Issuer, tenant_map: TenantMap) -> None:
    with Issuer() as other:
        assert decide(tenant_map, other.token(tenant="blue", iss=issuer.issuer)).reason == "token_invalid"


def test_untrusted_authority_gives_no_keys(issuer: Issuer) -> None:
    assert decide(TenantMap.from_toml(MAP + issuer.table()), issuer.token(tenant="blue")).reason == "keys_unavailable"


# ---- rotation -------------------------------------------------------------------------------------------------------


@pytest.fixture
def context(issuer: Issuer) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(issuer.ca_file))


def test_rotated_key_is_fetched_once(issuer: Issuer, context: ssl.SSLContext) -> None:
    now = [0.0]
    keys = KeySet(lambda: fetch_https(issuer.jwks_url, context=context), clock=lambda: now[0])
    assert keys.key("key-1") is not None
    kid = issuer.rotate()
    now[0] += 31  # the pause between two fetches
    assert keys.key(kid) is not None
    assert keys.key(kid) is not None
    assert keys.key("key-1") is not None
    assert issuer.fetches == 2


def test_kept_key_stays_valid_after_the_rotation(issuer: Issuer, tenant_map: TenantMap) -> None:
    old = issuer.token(tenant="blue")
    issuer.rotate()
    assert jwt.get_unverified_header(issuer.token())["kid"] == "key-2"
    assert [decide(tenant_map, token).tenant for token in (old, issuer.token(tenant="green"))] == ["blue", "green"]


def test_dropped_key_is_refused(issuer: Issuer, tenant_map: TenantMap) -> None:
    old = issuer.token(tenant="blue")
    issuer.rotate(keep=False)
    assert [key["kid"] for key in issuer.jwks["keys"]] == ["key-2"]
    assert decide(tenant_map, old).reason == "token_invalid"


# ---- key set, table and files ---------------------------------------------------------------------------------------


def test_key_set_contains_public_keys_only(issuer: Issuer, context: ssl.SSLContext) -> None:
    (key,) = issuer.jwks["keys"]
    assert {"kty", "crv", "x", "y", "kid", "use", "alg"} == key.keys()
    assert json.loads(fetch_https(issuer.jwks_url, context=context)) == issuer.jwks


def test_other_path_is_not_found(issuer: Issuer, context: ssl.SSLContext) -> None:
    with pytest.raises(Unavailable, match="answered 404"):
        fetch_https(issuer.issuer, context=context)
    assert issuer.fetches == 0


def test_claims_and_headers_can_be_changed(issuer: Issuer) -> None:
    token = issuer.token(headers={"typ": "at+jwt", "kid": None}, sub=None, aud=["a", "b"], n=1)
    claims = jwt.decode(token, options={"verify_signature": False})
    assert jwt.get_unverified_header(token) == {"alg": "ES256", "typ": "at+jwt"}
    assert {name: claims[name] for name in ("iss", "aud", "n")} == {"iss": issuer.issuer, "aud": ["a", "b"], "n": 1}
    assert claims.keys() == {"iss", "aud", "iat", "exp", "n"}
    assert claims["exp"] - claims["iat"] == 600


def test_table_is_toml_with_further_keys() -> None:
    with Issuer("idp", ("a", "b")) as issuer:
        table = tomllib.loads(issuer.table(header="x-id-token", jwks_url=None, jwks_file="keys.json"))
        assert table == {
            "jwt": {
                "idp": {
                    "issuer": issuer.issuer,
                    "audience": ["a", "b"],
                    "algorithms": ["ES256"],
                    "header": "x-id-token",
                    "jwks_file": "keys.json",
                }
            }
        }


def test_ca_file_contains_the_systems_authorities(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, issuer: Issuer
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(issuer.ca_file))
    with Issuer() as second:
        text = second.ca_file.read_text()
        assert issuer.ca_file.read_text() in text
        assert text.count("BEGIN CERTIFICATE") == issuer.ca_file.read_text().count("BEGIN CERTIFICATE") + 1


def test_no_file_is_left_behind() -> None:
    with Issuer() as issuer:
        folder = issuer.ca_file.parent
        assert folder.is_dir()
    assert not folder.exists()


def test_two_issuers_have_different_authorities(issuer: Issuer, context: ssl.SSLContext) -> None:
    with Issuer() as other, pytest.raises(Unavailable):
        fetch_https(other.jwks_url, context=context)


@pytest.mark.parametrize("arguments", [{"algorithm": "HS256"}, {"audience": ()}, {"audience": "orders"}])
def test_invalid_argument_is_refused(arguments: Any) -> None:
    with pytest.raises(ValueError):
        Issuer(**arguments)


def test_unstarted_issuer_is_an_error_with_a_fix() -> None:
    with pytest.raises(RuntimeError, match="with Issuer"):
        _ = Issuer().issuer
