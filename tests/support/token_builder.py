"""Keys and tokens for tests: signed by PyJWT's algorithms, put together by hand, so that anything can be in them."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from functools import cache
from typing import Any, Final

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa

from lattice_bridge.identity.jwks import SigningKey
from lattice_bridge.identity.token import Issuer, Profile

NOW: Final = 1_800_000_000
ISSUER: Final = "https://issuer.example"
CORP: Final = Issuer("corp", ISSUER, frozenset({"orders"}), frozenset({"RS256", "ES256"}))
EVERY_ALGORITHM: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")

_CURVES: Final[dict[str, ec.EllipticCurve]] = {
    "ES256": ec.SECP256R1(),
    "ES384": ec.SECP384R1(),
    "ES512": ec.SECP521R1(),
}


def private_key(algorithm: str = "ES256", number: int = 0, bits: int = 2048) -> Any:
    """A key pair that fits the algorithm, made once a run; another `number` is another key."""
    return _generated("RSA" if algorithm[:2] in ("RS", "PS") else algorithm, number, bits)


@cache
def _generated(kind: str, number: int, bits: int) -> Any:
    if kind in _CURVES:
        return ec.generate_private_key(_CURVES[kind])
    if kind == "EdDSA":
        return ed25519.Ed25519PrivateKey.generate()
    if kind == "Ed448":
        return ed448.Ed448PrivateKey.generate()
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


def public_key(algorithm: str = "ES256", number: int = 0, stated: str | None = None) -> SigningKey:
    return SigningKey(private_key(algorithm, number).public_key(), stated)


def jwk(kid: str | None = "k1", algorithm: str = "ES256", number: int = 0, **more: Any) -> dict[str, Any]:
    """The public key as an entry of a key set. A member of `more` that is None is left out."""
    family = "EdDSA" if algorithm == "Ed448" else algorithm
    public = private_key(algorithm, number).public_key()
    entry = {**jwt.get_algorithm_by_name(family).to_jwk(public, as_dict=True), "kid": kid, **more}
    entry.pop("key_ops", None) if "key_ops" not in more else None
    return {name: value for name, value in entry.items() if value is not None}


def key_set(*entries: dict[str, Any]) -> bytes:
    return json.dumps({"keys": entries or [jwk()]}).encode()


def base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def payload(**claims: Any) -> dict[str, Any]:
    """Claims of a good token; one that is given as `...` is left out."""
    good = {"iss": ISSUER, "aud": "orders", "iat": NOW - 60, "exp": NOW + 600, "sub": "u-1", "tenant": "blue", **claims}
    return {name: value for name, value in good.items() if value is not ...}


def sign(
    claims: Mapping[str, Any] | bytes,
    header: Mapping[str, Any] | bytes | None = None,
    *,
    algorithm: str = "ES256",
    key: Any = None,
) -> str:
    """A token. `header` is added to `alg` and `kid`; bytes stand for themselves."""
    if not isinstance(header, bytes):
        members = {"alg": algorithm, "kid": "k1", **(header or {})}
        header = json.dumps({name: value for name, value in members.items() if value is not ...}).encode()
    body = claims if isinstance(claims, bytes) else json.dumps(claims).encode()
    signed = f"{base64url(header)}.{base64url(body)}"
    signature = jwt.get_algorithm_by_name(algorithm).sign(signed.encode(), key or private_key(algorithm))
    return f"{signed}.{base64url(signature)}"


def token(algorithm: str = "ES256", /, **claims: Any) -> str:
    return sign(payload(**claims), algorithm=algorithm)


def issuer(profile: Profile = "generic", name: str = ISSUER, *algorithms: str) -> Issuer:
    return Issuer("corp", name, frozenset({"orders"}), frozenset(algorithms or {"ES256"}), profile=profile)
