"""Tokens: every way to have one that was not meant for us, refused."""

from __future__ import annotations

import ast
import hashlib
import hmac
import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st
from jwt import PyJWK

from lattice_bridge.errors import Unauthenticated, Unavailable
from lattice_bridge.identity import token as room
from lattice_bridge.identity.jwks import SigningKey
from lattice_bridge.identity.token import ALGORITHMS, Issuer, VerifiedTokenCache, claim_at, token_in, verify
from tests.support import token_builder as build
from tests.support.token_builder import CORP, EVERY_ALGORITHM, ISSUER, NOW, payload, sign

SENTENCES = {
    node.args[0].value
    for node in ast.walk(ast.parse(Path(room.__file__).read_text(encoding="utf-8")))
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "_refusal"
    if isinstance(node.args[0], ast.Constant)
}


def es256(kid: str | None) -> SigningKey | None:
    return build.public_key() if kid == "k1" else None


def refused(token: str, issuer: Issuer = CORP, key_for: Any = es256, now: float = NOW) -> str:
    """The sentence of the refusal, which says nothing of the token's own and hides no other exception."""
    with pytest.raises(Unauthenticated) as caught:
        verify(token, issuer, key_for, now)
    error = caught.value
    assert (error.reason, error.status) == ("token_invalid", 401)
    assert error.detail in SENTENCES
    assert (error.__context__, error.__cause__) == (None, None)
    return error.detail


# ---- good tokens ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", EVERY_ALGORITHM)
def test_good_token_gives_its_claims(algorithm: str) -> None:
    issuer = build.issuer("generic", ISSUER, algorithm)
    claims = verify(build.token(algorithm), issuer, lambda kid: build.public_key(algorithm), NOW)
    assert dict(claims) == payload()


def test_key_of_pyjwt_serves_as_well() -> None:
    assert verify(build.token(), CORP, lambda kid: PyJWK(build.jwk()), NOW)["sub"] == "u-1"


def test_ed448_is_a_key_for_eddsa() -> None:
    token = sign(payload(), algorithm="EdDSA", key=build.private_key("Ed448"))
    issuer = build.issuer("generic", ISSUER, "EdDSA")
    assert verify(token, issuer, lambda kid: build.public_key("Ed448"), NOW)["sub"] == "u-1"


def test_key_without_a_stated_algorithm_verifies_more_than_rs256() -> None:
    """PyJWK would say that it is for RS256."""
    issuer = build.issuer("generic", ISSUER, "RS512")
    assert verify(build.token("RS512"), issuer, lambda kid: build.public_key("RS512"), NOW)


def test_claims_cannot_be_written_to() -> None:
    claims: Any = verify(build.token(), CORP, es256, NOW)
    with pytest.raises(TypeError):
        claims["tenant"] = "green"


@pytest.mark.parametrize("kind", ["JWT", "jwt", "at+jwt", "application/at+jwt", ...])
def test_types_of_access_and_id_tokens_are_taken(kind: object) -> None:
    assert verify(sign(payload(), {"typ": kind}), CORP, es256, NOW)


# ---- the header's value ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", ["a.b.c", "Bearer a.b.c", "bearer a.b.c", "BEARER a.b.c"])
def test_token_with_or_without_its_scheme_is_read(value: str) -> None:
    assert token_in(value) == "a.b.c"


@pytest.mark.parametrize("value", ["AWS4-HMAC-SHA256 Credential=a/b, Signature=c", "AWS4-ECDSA-P256-SHA256 x"])
def test_signature_is_no_bearer(value: str) -> None:
    """Trap C11."""
    assert token_in(value) is None


@pytest.mark.parametrize(
    "value",
    [
        *(
            "",
            " ",
            "Bearer",
            "bearer ",
            "Bearer  a.b.c",
            "Bearer\ta.b.c",
            " a.b.c",
            "a.b.c ",
            "a.b.c\n",
            "a b",
            "Basic YTpi",
        ),
        *("a.b.c,d.e.f", "Bearer a.b.c, Bearer d.e.f", "Bearer a.b.c,AWS4-HMAC-SHA256 x", "Bearer Bearer a.b.c"),
        *("aws4-hmac-sha256 x", "Bearer a.\u212a.c", "DPoP a.b.c", "Bearer a.b.c\x00"),
    ],
)
def test_two_tokens_another_scheme_or_spaces_are_refused(value: str) -> None:
    """Trap C11."""
    with pytest.raises(Unauthenticated) as caught:
        token_in(value)
    assert caught.value.reason == "token_invalid"


@given(st.text())
def test_any_header_value_is_a_token_a_signature_or_refused(value: str) -> None:
    found: str | None = None
    with suppress(Unauthenticated):
        found = token_in(value)
    assert found is None or value.endswith(found)


# ---- algorithms and keys --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["none", "None", "NONE", "nOnE", ""])
def test_token_that_nobody_signed_is_refused(name: str) -> None:
    """Trap C1."""
    header, body, _ = sign(payload(), {"alg": name}).split(".")
    assert refused(f"{header}.{body}.") == "a segment is not base64url"
    assert refused(f"{header}.{body}.AAAA") == "alg is not one of the issuer's"


@pytest.mark.parametrize("encoding", [Encoding.PEM, Encoding.DER])
def test_public_key_used_as_a_secret_is_refused(encoding: Encoding) -> None:
    """Trap C1."""
    public = build.private_key("RS256").public_key()
    secret = public.public_bytes(encoding, PublicFormat.SubjectPublicKeyInfo)
    signed = sign(payload(), {"alg": "HS256"}).rpartition(".")[0]
    forged = f"{signed}.{build.base64url(hmac.new(secret, signed.encode(), hashlib.sha256).digest())}"
    for key in (SigningKey(public, None), SigningKey(secret, "HS256"), SigningKey(secret, None)):
        assert refused(forged, key_for=lambda kid, key=key: key) == "alg is not one of the issuer's"


def test_symmetric_algorithm_is_refused_even_if_the_map_has_it() -> None:
    """Trap C1."""
    secret = PyJWK({"kty": "oct", "k": build.base64url(b"s" * 32), "kid": "k1"})
    token = sign(payload(), algorithm="HS256", key=b"s" * 32)
    assert refused(token, build.issuer("generic", ISSUER, "HS256", "none"), lambda kid: secret)


@pytest.mark.parametrize("algorithm", EVERY_ALGORITHM)
def test_symmetric_key_verifies_nothing(algorithm: str) -> None:
    """Trap C1."""
    secret = PyJWK({"kty": "oct", "k": build.base64url(b"s" * 32)})
    for key in (secret, SigningKey(secret.key, None), SigningKey(None, None), b"s" * 32, "s"):
        assert refused(
            build.token(algorithm), build.issuer("generic", ISSUER, algorithm), lambda kid, key=key: key
        ).startswith("the signature")


def test_algorithms_are_the_maps_and_not_the_tokens() -> None:
    """Trap C1."""
    only_rs = build.issuer("generic", ISSUER, "RS256")
    assert refused(build.token("ES256"), only_rs) == "alg is not one of the issuer's"
    assert refused(build.token("PS256"), only_rs, lambda kid: build.public_key("PS256"))


@pytest.mark.parametrize("algorithm", EVERY_ALGORITHM)
def test_key_of_another_kind_is_refused(algorithm: str) -> None:
    """Trap C1."""
    issuer = Issuer("corp", ISSUER, frozenset({"orders"}), ALGORITHMS)
    for other in ("RS256", "ES256", "ES384", "ES512", "EdDSA"):
        if other[:2] != algorithm[:2].replace("PS", "RS") or (other[0] == "E" and other != algorithm):
            assert refused(build.token(algorithm), issuer, lambda kid, other=other: build.public_key(other))


def test_key_that_states_another_algorithm_is_refused() -> None:
    """Trap C1."""
    key = build.public_key("PS256", stated="RS256")
    assert refused(build.token("PS256"), build.issuer("generic", ISSUER, "RS256", "PS256"), lambda kid: key)


def test_short_rsa_key_is_refused() -> None:
    """PyJWT only warns."""
    short = build.private_key("RSA", 0, 1024)
    token = sign(payload(), algorithm="RS256", key=short)
    assert refused(token, CORP, lambda kid: SigningKey(short.public_key(), None))


def test_private_key_in_place_of_a_public_one_is_refused() -> None:
    assert refused(build.token(), key_for=lambda kid: SigningKey(build.private_key(), None))


def test_another_key_of_the_same_kind_is_refused() -> None:
    assert refused(build.token(), key_for=lambda kid: build.public_key(number=1))


@pytest.mark.parametrize(
    "kid",
    [
        *(
            "../../etc/passwd\x00",
            "k1' OR '1'='1",
            'k"1',
            "k1\n",
            "k\r\n1",
            "",
            " ",
            "k" * 257,
            "k\u00e9",
            "\u212a",
            "{k}",
        ),
        *(1, None, True, ["k1"], {"kid": "k1"}),
    ],
)
def test_malformed_kid_is_refused_before_the_lookup(kid: object) -> None:
    """Trap C2."""
    looked_up: list[object] = []
    assert refused(sign(payload(), {"kid": kid}), key_for=looked_up.append) == "kid is malformed"
    assert looked_up == []


def test_kid_of_10_kb_is_refused() -> None:
    """Trap C2."""
    assert refused(sign(payload(), {"kid": "k" * 10_000})) == "the token is longer than 8 KiB"


def test_unknown_kid_is_refused_and_not_repeated() -> None:
    """Trap C2."""
    assert refused(sign(payload(), {"kid": "../keys/k1"})) == "the issuer has no key of this kid"


def test_token_without_a_kid_asks_for_the_key_without_one() -> None:
    token = sign(payload(), {"kid": ...})
    assert refused(token) == "the issuer has no key of this kid"
    assert verify(token, CORP, lambda kid: build.public_key() if kid is None else None, NOW)


@pytest.mark.parametrize(
    "name", ["jku", "jwk", "x5u", "x5c", "x5t", "x5t#S256", "crit", "b64", "zip", "enc", "cty", "nonce", "Alg", ""]
)
@pytest.mark.parametrize("value", ["https://evil.example/keys", None, False, [], ["b64"], {"kty": "oct", "k": ""}])
def test_header_that_brings_keys_or_changes_what_is_signed_is_refused(name: str, value: object) -> None:
    """Trap C3."""
    assert refused(sign(payload(), {name: value})) == "the header has more than alg, kid and typ"


@pytest.mark.parametrize("kind", ["logout+jwt", "dpop+jwt", "secevent+jwt", "JWE", "", 1, None])
def test_another_kind_of_token_of_the_same_issuer_is_refused(kind: object) -> None:
    assert refused(sign(payload(), {"typ": kind})) == "typ is not an access or ID token's"


@pytest.mark.parametrize("alg", [None, 1, ["ES256"], {"a": 1}, "es256", "ES256 ", "ES256K", "ES521", ...])
def test_alg_that_is_not_exactly_one_of_the_maps_is_refused(alg: object) -> None:
    assert refused(sign(payload(), {"alg": alg})) == "alg is not one of the issuer's"


# ---- issuer, audience, times ----------------------------------------------------------------------------------------


def test_token_does_not_choose_its_issuer() -> None:
    """Trap C4. The keys come from the map, and none is looked up before `iss` is right."""
    looked_up: list[object] = []
    assert refused(build.token(iss="https://evil.example"), key_for=looked_up.append) == "iss is not the issuer's"
    assert looked_up == []


@pytest.mark.parametrize(
    "iss",
    [
        f"{ISSUER}/",
        f"{ISSUER}.evil.example",
        f"https://evil.example/{ISSUER}",
        ISSUER.upper(),
        f" {ISSUER}",
        [ISSUER],
        {"iss": ISSUER},
        None,
        "",
        1,
        ...,
    ],
)
def test_issuer_that_only_contains_ours_is_refused(iss: object) -> None:
    """Trap C6."""
    assert refused(build.token(iss=iss)) == "iss is not the issuer's"


@pytest.mark.parametrize(
    "aud",
    [
        "order",
        "orders2",
        "ORDERS",
        "orders,other",
        "",
        [],
        ["other"],
        ["orders", 1],
        ["orders", None],
        [["orders"]],
        {"orders": True},
        None,
        1,
        True,
        ...,
    ],
)
def test_wrong_missing_or_malformed_audience_is_refused(aud: object) -> None:
    """Trap C6."""
    assert refused(build.token(aud=aud)) == "aud is not for us"


def test_one_audience_of_several_suffices() -> None:
    assert verify(build.token(aud=["other", "orders"]), CORP, es256, NOW)


def test_issuer_without_an_audience_accepts_no_token() -> None:
    """Trap C6."""
    assert refused(build.token(), Issuer("corp", ISSUER, frozenset(), frozenset({"ES256"})))


@pytest.mark.parametrize("name", ["exp", "iat"])
def test_token_without_exp_or_iat_is_refused(name: str) -> None:
    """Trap C5."""
    assert refused(build.token(**{name: ...})) == "exp or iat is missing"


@pytest.mark.parametrize("name", ["exp", "iat", "nbf"])
@pytest.mark.parametrize("value", [str(NOW), float(NOW), NOW + 0.5, True, None, [NOW], {}, 1e300])
def test_time_that_is_not_an_integer_is_refused(name: str, value: object) -> None:
    """Trap C5."""
    assert refused(build.token(**{name: value})) == "exp, iat or nbf is not an integer"


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity", "1" * 5000])
def test_time_that_is_no_number_is_refused(value: str) -> None:
    """Trap C5."""
    body = json.dumps(payload(exp=12345)).replace("12345", value).encode()
    assert refused(sign(body)) == "a segment is not a JSON object that means one thing"


def test_token_ends_30_seconds_after_its_exp() -> None:
    """Trap C5."""
    assert verify(build.token(exp=NOW), CORP, es256, NOW + 29.9)
    assert refused(build.token(exp=NOW), now=NOW + 30) == "the token has expired"


@pytest.mark.parametrize("name", ["iat", "nbf"])
def test_token_begins_30_seconds_before_its_iat_and_nbf(name: str) -> None:
    """Trap C5."""
    assert verify(build.token(**{name: NOW + 30}), CORP, es256, NOW)
    assert refused(build.token(**{name: NOW + 31})) == "iat or nbf is in the future"


@pytest.mark.parametrize("exp", [NOW - 60, NOW - 61, -1, 0])
def test_token_that_ended_before_it_was_issued_is_refused(exp: int) -> None:
    """Trap C5."""
    assert refused(build.token(iat=NOW - 60, exp=exp), now=0) == "exp is not after iat"


def test_clock_that_is_not_a_number_accepts_no_token() -> None:
    assert refused(build.token(), now=float("nan"))


# ---- form -----------------------------------------------------------------------------------------------------------


def test_member_that_occurs_twice_is_refused() -> None:
    """Trap C8."""
    sentence = "a segment is not a JSON object that means one thing"
    assert refused(sign(json.dumps(payload()).encode()[:-1] + b',"tenant":"green"}')) == sentence
    assert refused(sign(json.dumps(payload()).encode()[:-1] + b',"\\u0074enant":"blue"}')) == sentence
    assert refused(sign(json.dumps(payload()).encode()[:-1] + b',"org":[{"a":1,"a":2}]}')) == sentence
    assert refused(sign(payload(), b'{"alg":"ES256","kid":"k1","kid":"k1"}')) == sentence
    assert refused(sign(payload(), b'{"alg":"none","alg":"ES256","kid":"k1"}')) == sentence


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b'"x"', b"1", b"{", b"\xff", b"{}x", b"\xef\xbb\xbf{}"])
def test_segment_that_is_no_object_is_refused(body: bytes) -> None:
    assert refused(sign(body))
    assert refused(sign(payload(), body))


def test_payload_in_utf_16_is_refused() -> None:
    """`json.loads` would take it, and other readers would not."""
    assert refused(sign(json.dumps(payload()).encode("utf-16")))


def test_token_of_8_mb_is_refused_before_it_is_decoded() -> None:
    """Trap C10."""
    huge = "A" * (8 << 20)
    assert refused(f"{huge}.{huge}.{huge}") == "the token is longer than 8 KiB"
    with pytest.raises(Unauthenticated, match="8 KiB"):
        VerifiedTokenCache(CORP, es256).verify(huge, NOW)


def test_token_of_8_kib_is_taken_and_one_more_byte_is_not() -> None:
    """Trap C10."""
    fits = next(token for n in range(5900, 5600, -1) if len(token := build.token(pad="x" * n)) <= 8192)
    assert verify(fits, CORP, es256, NOW)
    assert refused(fits + "A" * (8193 - len(fits))) == "the token is longer than 8 KiB"


@pytest.mark.parametrize("depth", [16, 17, 500, 5000])
@pytest.mark.parametrize(("opened", "closed"), [("[", "]"), ('{"a":', "}")])
def test_deep_payload_is_refused(depth: int, opened: str, closed: str) -> None:
    """Trap C10. The object itself is one level."""
    nested = opened * depth + "1" + closed * depth
    body = (json.dumps(payload())[:-1] + f',"deep":{nested}}}').encode()
    assert refused(sign(body)) in {
        "a segment is not a JSON object that means one thing",
        "the token is longer than 8 KiB",
    }


def test_15_levels_below_the_object_are_taken() -> None:
    body = (json.dumps(payload())[:-1] + f',"deep":{"[" * 15}{"]" * 15}}}').encode()
    assert verify(sign(body), CORP, es256, NOW)


@pytest.mark.parametrize("token", ["", ".", "..", "...", "a.b", "a..c", ".b.c", "a.b.", "a.b.c.d", "e30.e30.e30"])
def test_what_has_not_three_segments_is_refused(token: str) -> None:
    assert refused(token)


@pytest.mark.parametrize("junk", ["=", "==", "\n", " ", "!", "+", "/", "\u00e9", "\ud800"])
def test_segment_has_one_spelling(junk: str) -> None:
    header, body, signature = build.token().split(".")
    for token in (f"{header}{junk}.{body}.{signature}", f"{header}.{body}{junk}.{signature}", build.token() + junk):
        assert refused(token) == "a segment is not base64url"


# ---- profiles -------------------------------------------------------------------------------------------------------

TID = "0a1b2c3d-1111-2222-3333-444455556666"
V2 = f"https://login.microsoftonline.com/{TID}/v2.0"
V1 = f"https://sts.windows.net/{TID}/"


def test_cognitos_id_token_has_an_audience_and_its_access_token_a_client() -> None:
    issuer = build.issuer("cognito")
    assert verify(build.token(token_use="id"), issuer, es256, NOW)
    assert verify(build.token(token_use="access", aud=..., client_id="orders"), issuer, es256, NOW)
    assert verify(build.token(token_use="access", client_id="orders"), issuer, es256, NOW)


@pytest.mark.parametrize(
    "claims",
    [
        {},
        {"token_use": "refresh"},
        {"token_use": ["id"]},
        {"token_use": "access"},
        {"token_use": "access", "client_id": "other"},
        {"token_use": "access", "client_id": ["orders"]},
        {"token_use": "access", "client_id": "orders", "aud": "other"},
        {"token_use": "access", "client_id": "orders", "aud": None},
        {"token_use": "id", "aud": ..., "client_id": "orders"},
        {"token_use": "id", "aud": "other", "client_id": "orders"},
    ],
)
def test_cognito_token_for_another_client_or_use_is_refused(claims: dict[str, Any]) -> None:
    """Trap C6."""
    assert refused(build.token(**claims), build.issuer("cognito"))


@pytest.mark.parametrize(("iss", "version"), [(V2, "2.0"), (V1, "1.0")])
def test_entras_token_names_one_directory(iss: str, version: str) -> None:
    claims = payload(iss=iss, tid=TID, ver=version)
    assert verify(sign(claims), build.issuer("entra", iss), es256, NOW)
    assert verify(sign(claims, {"x5t": "thumbprint"}), build.issuer("entra", iss), es256, NOW)


@pytest.mark.parametrize(
    "claims",
    [
        {"tid": ...},
        {"tid": None},
        {"tid": [TID]},
        {"tid": TID.upper()},
        {"tid": "9" + TID[1:]},
        {"tid": "common"},
        {"tid": f"{TID}\n"},
        {"ver": "1.0"},
        {"ver": ...},
        {"ver": 2.0},
        {"ver": ["2.0"]},
        {"aud": "other"},
    ],
)
def test_entra_token_of_another_directory_is_refused(claims: dict[str, Any]) -> None:
    """Trap C6."""
    token = build.token(**{"iss": V2, "tid": TID, "ver": "2.0", **claims})
    assert refused(token, build.issuer("entra", V2))


@pytest.mark.parametrize(("profile", "claim"), [("auth0", "azp"), ("okta", "cid")])
def test_who_asked_for_a_token_is_no_audience(profile: Any, claim: str) -> None:
    """Trap C6."""
    issuer = build.issuer(profile)
    assert verify(build.token(aud=["orders", f"{ISSUER}/userinfo"], **{claim: "app"}), issuer, es256, NOW)
    assert refused(build.token(aud="other", **{claim: "orders"}), issuer) == "aud is not for us"
    for malformed in (None, "", ["orders"], 1):
        assert refused(build.token(**{claim: malformed}), issuer) == "azp or cid is not a string"


# ---- claims ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (["tenant"], "blue"),
        (["custom:tenant.id"], "dots and colons"),
        (["org", "unit"], "nested"),
        (["org"], {"unit": "nested"}),
        (["org", "other"], None),
        (["tenant", "b"], None),
        (["list", "0"], None),
        (["null"], None),
        (["custom:tenant", "id"], None),
        ([], None),
    ],
)
def test_path_has_one_element_a_level(path: list[str], value: object) -> None:
    """Trap C7."""
    more = {"custom:tenant.id": "dots and colons", "org": {"unit": "nested"}, "list": ["blue"], "null": None}
    assert claim_at(verify(build.token(**more), CORP, es256, NOW), path) == value


@pytest.mark.parametrize("value", [7, 7.9, True, "", {"id": "blue"}, ["blue"]])
def test_claim_that_is_no_text_is_not_made_one(value: object) -> None:
    """Trap C7."""
    found = claim_at(verify(build.token(tenant=value), CORP, es256, NOW), ["tenant"])
    assert (found, type(found)) == (value, type(value))


def test_claim_that_users_can_write_is_given_as_it_is_and_grants_nothing_here() -> None:
    """Trap C9. Whether it may name a tenant is for the map to say; no profile reads one."""
    claims = verify(build.token(tenant=..., email="blue@example.com", **{"custom:tenant": "blue"}), CORP, es256, NOW)
    assert claim_at(claims, ["tenant"]) is None


# ---- any input ------------------------------------------------------------------------------------------------------


@given(st.one_of(st.text(), st.from_regex(r"[A-Za-z0-9_=-]*\.[A-Za-z0-9_-]*\.[A-Za-z0-9_-]*", fullmatch=True)))
def test_any_text_as_a_token_is_refused_and_raises_nothing_else(text: str) -> None:
    refused(text)


@given(st.binary(max_size=300), st.binary(max_size=300))
def test_any_bytes_that_are_signed_are_refused_and_raise_nothing_else(header: bytes, body: bytes) -> None:
    refused(sign(body, header))


@given(
    st.dictionaries(
        st.sampled_from(["iss", "aud", "exp", "iat", "nbf"]),
        st.none() | st.integers() | st.text() | st.floats(),
        min_size=5,
    )
)
def test_any_claims_are_taken_or_refused(claims: dict[str, Any]) -> None:
    refused(sign({**payload(), **claims, "iss": claims["iss"]}))


GOOD = build.token()


@given(st.integers(0, len(GOOD) - 1), st.characters(max_codepoint=0x7F))
def test_token_with_any_byte_changed_is_refused(place: int, other: str) -> None:
    changed = GOOD[:place] + other + GOOD[place + 1 :]
    if changed != GOOD:
        refused(changed)


def test_every_bit_of_a_token_counts() -> None:
    for place, letter in enumerate(GOOD):
        for bit in range(7):
            refused(GOOD[:place] + chr(ord(letter) ^ 1 << bit) + GOOD[place + 1 :])


# ---- memory ---------------------------------------------------------------------------------------------------------


class Counted:
    """Keys that count how often they were asked for."""

    def __init__(self) -> None:
        self.asked = 0

    def __call__(self, kid: str | None) -> SigningKey | None:
        self.asked += 1
        return es256(kid)


def test_cached_token_is_verified_again_after_five_minutes() -> None:
    keys, token = Counted(), build.token(exp=NOW + 6000)
    memory = VerifiedTokenCache(CORP, keys)
    assert memory.verify(token, NOW) == memory.verify(token, NOW + 299)
    assert keys.asked == 1
    memory.verify(token, NOW + 300)
    assert keys.asked == 2


def test_cached_token_expires() -> None:
    """Trap C5."""
    memory, token = VerifiedTokenCache(CORP, es256), build.token(exp=NOW + 10)
    assert memory.verify(token, NOW)
    assert memory.verify(token, NOW + 39)
    with pytest.raises(Unauthenticated):
        memory.verify(token, NOW + 40)


def test_withdrawn_key_is_accepted_for_five_minutes_at_most() -> None:
    known: dict[str | None, SigningKey] = {"k1": build.public_key()}
    memory, token = VerifiedTokenCache(CORP, known.get), build.token()
    assert memory.verify(token, NOW)
    known.clear()
    with pytest.raises(Unauthenticated):
        memory.verify(token, NOW + 300)


def test_refusals_are_not_cached() -> None:
    known: dict[str | None, SigningKey] = {}
    memory = VerifiedTokenCache(CORP, known.get)
    with pytest.raises(Unauthenticated):
        memory.verify(build.token(), NOW)
    assert len(memory) == 0
    known["k1"] = build.public_key()
    assert memory.verify(build.token(), NOW)


def test_missing_keys_are_passed_on_and_not_cached() -> None:
    """Trap C12."""

    def out_of_reach(kid: str | None) -> SigningKey:
        raise Unavailable("keys_unavailable", retry_after=7)

    with pytest.raises(Unavailable) as caught:
        VerifiedTokenCache(CORP, out_of_reach).verify(build.token(), NOW)
    assert caught.value.retry_after == 7


def test_token_that_differs_in_its_signature_alone_is_another_token() -> None:
    memory, token = VerifiedTokenCache(CORP, es256), build.token()
    memory.verify(token, NOW)
    with pytest.raises(Unauthenticated):
        memory.verify(token[:-4] + ("AAAA" if not token.endswith("AAAA") else "AAAQ"), NOW)


def test_caches_of_two_issuers_are_separate() -> None:
    other = Issuer("other", ISSUER, frozenset({"billing"}), frozenset({"ES256"}))
    token = build.token()
    assert VerifiedTokenCache(CORP, es256).verify(token, NOW)
    with pytest.raises(Unauthenticated):
        VerifiedTokenCache(other, es256).verify(token, NOW)


def test_cache_is_bounded_and_drops_the_least_recently_used() -> None:
    keys = Counted()
    memory = VerifiedTokenCache(CORP, keys, size=2)
    first, second, third = (build.token(sub=f"u-{n}") for n in range(3))
    for token in (first, second, first, third, first):
        memory.verify(token, NOW)
    assert (len(memory), keys.asked) == (2, 3)


def test_32_threads_get_their_own_claims() -> None:
    memory, tokens = VerifiedTokenCache(CORP, es256, size=8), {f"u-{n}": build.token(sub=f"u-{n}") for n in range(16)}
    with ThreadPoolExecutor(32) as pool:
        asked = list(tokens) * 40
        assert list(pool.map(lambda sub: memory.verify(tokens[sub], NOW)["sub"], asked)) == asked
