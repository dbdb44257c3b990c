"""Tokens that no issuer of the map accepts: the claim, the expected value and the actual one."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lattice_bridge.errors import BadRequest, Unauthenticated
from lattice_bridge.review.token_misses import accepted_tokens, token_misses
from tests.support.builders import request
from tests.support.token_builder import CORP, ISSUER, NOW, base64url, payload, token

OTHER = CORP._replace(name="other", issuer="https://other.example")
DETAIL = Unauthenticated("token_invalid", "the signature is not one of the issuer's key")


def missed(bearer: str, *issuers: Any) -> list[tuple[str, str, str, str]]:
    found = token_misses(request(None, ("authorization", bearer)), issuers or (CORP,), DETAIL, NOW)
    return [(miss.kind, miss.text.split()[0], miss.expected, miss.actual) for miss in found]


@pytest.mark.parametrize(
    ("claims", "miss"),
    [
        ({"iss": f"{ISSUER}/"}, ("issuer", "iss", ISSUER, f"{ISSUER}/")),
        ({"iss": None}, ("issuer", "iss", ISSUER, "absent")),
        ({"aud": "billing"}, ("audience", "aud", "orders", "billing")),
        ({"aud": ["a", "b"]}, ("audience", "aud", "orders", '["a", "b"]')),
        ({"exp": NOW - 60}, ("time", "exp", "after 2027-01-15T08:00:00+00:00", "2027-01-15T07:59:00+00:00")),
        ({"exp": "soon"}, ("time", "exp", "after 2027-01-15T08:00:00+00:00", "soon")),
        ({"iat": NOW + 60}, ("time", "iat", "before 2027-01-15T08:00:00+00:00", "2027-01-15T08:01:00+00:00")),
        ({"nbf": 10**30}, ("time", "nbf", "before 2027-01-15T08:00:00+00:00", "1" + "0" * 29)),
    ],
)
def test_claim_that_differs_is_named(claims: dict[str, Any], miss: tuple[str, str, str, str]) -> None:
    assert missed(f"Bearer {token(**claims)}") == [miss]


def test_algorithm_that_the_map_does_not_have_is_named() -> None:
    assert missed(f"Bearer {token('PS256')}") == [("algorithm", "alg", "ES256 or RS256", "PS256")]


@pytest.mark.parametrize("algorithm", ["none", None, ["ES256"], {}, "é"])
def test_algorithm_of_another_type_is_named(algorithm: object) -> None:
    """Trap C1."""
    segments = [base64url(json.dumps(part).encode()) for part in ({"alg": algorithm}, payload())]
    [(kind, name, _, actual)] = missed(f"Bearer {'.'.join(segments)}.x")
    assert (kind, name) == ("algorithm", "alg")
    assert actual == (
        algorithm if isinstance(algorithm, str) else "absent" if algorithm is None else json.dumps(algorithm)
    )


def test_only_the_issuer_that_the_token_names_is_compared() -> None:
    assert missed(f"Bearer {token(aud='x')}", OTHER, CORP) == [("audience", "aud", "orders", "x")]
    strange = missed(f"Bearer {token(iss='https://evil.example')}", OTHER, CORP)
    assert [expected for _, _, expected, _ in strange] == ["https://other.example", ISSUER]


@pytest.mark.parametrize(
    "bearer", [f"Bearer {token()}", "Bearer a.b.c", "Basic secret", "Bearer a.b", f"Bearer {'x' * 10_000}"]
)
def test_token_without_a_claim_that_differs_shows_why_it_was_refused(bearer: str) -> None:
    """Trap D11: no part of the token is shown."""
    assert missed(bearer) == [("token", "a", "one that verifies", DETAIL.detail)]


def test_request_without_a_token_has_no_near_miss() -> None:
    assert token_misses(request(None), (CORP,), DETAIL, NOW) == ()


# ---- accepted tokens ------------------------------------------------------------------------------------------------


def test_accepted_token_is_that_of_the_issuer_that_it_names() -> None:
    found = request(None, ("authorization", f"Bearer {token()}"))
    assert [*accepted_tokens(found, (OTHER, CORP))] == ["corp"]
    assert accepted_tokens(found, (CORP,))["corp"]["tenant"] == "blue"


@pytest.mark.parametrize("value", ["", "Bearer x.y.z", "AWS4-HMAC-SHA256 Credential=a", "Basic YTpi"])
def test_header_without_a_token_has_no_accepted_one(value: str) -> None:
    assert accepted_tokens(request(None, ("authorization", value)), (CORP,)) == {}


def test_repeated_header_has_no_accepted_token() -> None:
    twice = ("authorization", f"Bearer {token()}")
    with pytest.raises(BadRequest):
        accepted_tokens(request(None, twice, twice), (CORP,))
