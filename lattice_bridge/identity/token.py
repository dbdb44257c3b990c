"""A bearer token -> the claims that its issuer vouches for.

Rule: pure. No network, no clock: the keys and the time are handed in. What a token says of itself chooses nothing: the
issuer and the algorithms come from the map, and the token can only agree with them. A token that is present and does
not verify is a refusal, never "absent". What is logged of a refused token is one of the sentences below, never its own.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final, Literal

from lattice_bridge.errors import Unauthenticated

Claims = Mapping[str, object]
"""The payload of a verified token. Shared between requests: not to be written to."""

KeyFor = Callable[[str | None], Any | None]
"""`kid` -> the public key under it, or None. A key is a PyJWK, or has its `key` (of `cryptography`) and its
`algorithm_name` (None if it says none). It may raise `Unavailable`; that is passed on."""

MAX_TOKEN: Final = 8 * 1024
MAX_DEPTH: Final = 16
LEEWAY: Final = 30
REMEMBERED_SECONDS: Final = 300
REMEMBERED_TOKENS: Final = 1024
MIN_RSA_BITS: Final = 2048

ALGORITHMS: Final = frozenset(
    {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}
)
"""Asymmetric only. `ES256K` and PyJWT's own `ES521` are left out: no issuer of workloads uses them."""

_CURVES: Final = {"ES256": "secp256r1", "ES384": "secp384r1", "ES512": "secp521r1"}
_TYPES: Final = frozenset({"jwt", "at+jwt", "application/at+jwt", "application/jwt"})
"""RFC 8725 §3.11: a logout token or a DPoP proof of the same issuer is signed with the same keys."""

_BEARER: Final = re.compile(r"(?:[Bb][Ee][Aa][Rr][Ee][Rr] )?([A-Za-z0-9._~+/=-]+)")
_SEGMENT: Final = re.compile(r"[A-Za-z0-9_-]+")
_KID: Final = re.compile(r"[A-Za-z0-9._~+/=:@-]{1,256}")
_GUID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")

Profile = Literal["generic", "cognito", "entra", "auth0", "okta"]


@dataclass(frozen=True, slots=True)
class Issuer:
    """One `[jwt.NAME]`, as checked by the map.

    Attributes:
        name: its name in the map.
        issuer: what `iss` must equal, character for character.
        audience: one of these must be in `aud`. Never empty.
        algorithms: what `alg` may be; what is not in `ALGORITHMS` counts for nothing.
        header: the header that carries the token, lower case.
        profile: how this vendor's tokens differ from RFC 7519; see `PROFILES`.
    """

    name: str
    issuer: str
    audience: frozenset[str]
    algorithms: frozenset[str]
    header: str = "authorization"
    profile: Profile = "generic"


def token_in(value: str) -> str | None:
    """The token in a header's value, with or without `Bearer ` before it; None if the value is an AWS signature.

    Raises:
        Unauthenticated: another scheme, no token, blanks, or what V1 makes of two headers (`a,b`).
    """
    if value.startswith("AWS4-"):
        return None
    found = _BEARER.fullmatch(value)
    if found is None or (found[1].lower() == "bearer"):
        raise _refusal("the header holds no bearer token")
    return found[1]


def verify(token: str, issuer: Issuer, key_for: KeyFor, now: float) -> Claims:
    """The claims of a token that `issuer` signed, for us, and that is valid at `now` (seconds since the epoch).

    Raises:
        Unauthenticated: `token_invalid`, with the check that failed as its detail.
        Unavailable: what `key_for` raises when it has no keys to look into.
    """
    claims = _vouched_for(token, issuer, key_for)
    _check_times(claims, now)
    return claims


class Remembered:
    """Remembers the signatures that one issuer's tokens had, so that a caller's second request does not pay again.

    Everything that the clock says is checked on every use, so a token is never remembered beyond its `exp`. A key that
    the issuer took back is believed for at most `REMEMBERED_SECONDS` more. Refusals are not remembered. The memory is
    keyed on the whole token, belongs to one issuer, and forgets the least recently used. For any number of threads:
    `lru_cache` locks for itself, and two that come at once both verify.

    Args:
        issuer: whose tokens.
        key_for: that issuer's keys.
        size: how many tokens.
    """

    def __init__(self, issuer: Issuer, key_for: KeyFor, *, size: int = REMEMBERED_TOKENS) -> None:
        def vouched_for(token: str, window: int) -> Claims:  # noqa: ARG001 - part of the memory's key: it ends with it
            return _vouched_for(token, issuer, key_for)

        self.issuer = issuer
        self._vouched_for = lru_cache(maxsize=size)(vouched_for)

    def verify(self, token: str, now: float) -> Claims:
        """As `verify`.

        Raises:
            Unauthenticated: as `verify`.
            Unavailable: as `verify`.
        """
        if len(token) > MAX_TOKEN:  # also here: the memory's key is a hash of all of it
            raise _refusal("the token is longer than 8 KiB")
        claims = self._vouched_for(token, int(now // REMEMBERED_SECONDS))
        _check_times(claims, now)
        return claims

    def __len__(self) -> int:
        return self._vouched_for.cache_info().currsize


def claim_at(claims: Claims, path: Sequence[str]) -> object | None:
    """The value at `path`, one element a level, or None if there is none. Dots, colons and slashes are part of a name.

    The value is what the issuer wrote: a number is not made a text, an element of a list is not reached.
    """
    value: object = claims if path else None
    for name in path:
        if not isinstance(value, Mapping):
            return None
        value = value.get(name)
    return value


def _vouched_for(token: str, issuer: Issuer, key_for: KeyFor) -> Claims:
    """Everything that does not depend on the time. The key is asked for last: only a token that could be good costs
    a look at the issuer's keys."""
    header, payload, signature = _segments(token)
    algorithm, kid = _header(_json_object(header), issuer)
    claims = _json_object(payload)
    _check_shapes(claims)
    if claims.get("iss") != issuer.issuer:
        raise _refusal("iss is not the issuer's")
    PROFILES[issuer.profile](claims, issuer)
    key = key_for(kid)
    if key is None:
        raise _refusal("the issuer has no key of this kid")
    if not _is_signed(token, signature, algorithm, key):
        raise _refusal("the signature is not one of the issuer's key")
    return MappingProxyType(claims)


def _segments(token: str) -> tuple[bytes, bytes, bytes]:
    if len(token) > MAX_TOKEN:
        raise _refusal("the token is longer than 8 KiB")
    parts = token.split(".", 3)
    if len(parts) != 3:
        raise _refusal("the token has not three segments")
    header, payload, signature = (_decoded(part) for part in parts)
    return header, payload, signature


def _decoded(segment: str) -> bytes:
    """Base64url with one spelling: no padding, no bits left over. PyJWT takes `=`, and before 2.13 other characters."""
    data = None
    if _SEGMENT.fullmatch(segment) and len(segment) % 4 != 1:
        data = base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4))
    if data is None or base64.urlsafe_b64encode(data).rstrip(b"=").decode() != segment:
        raise _refusal("a segment is not base64url")
    return data


def _json_object(data: bytes) -> dict[str, object]:
    """JSON with one meaning: UTF-8, no member twice, no `NaN`, not deep. `json` alone would take UTF-16 too."""
    try:
        parsed = json.loads(data.decode("utf-8"), object_pairs_hook=_members, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        parsed = None
    # Raised out here: an exception raised in the handler carries the other one, and that one quotes the token.
    if not isinstance(parsed, dict) or _depth_passes(parsed, MAX_DEPTH):
        raise _refusal("a segment is not a JSON object that means one thing")
    return parsed


def _members(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a member occurs twice")
    return members


def _no_constant(name: str) -> object:
    raise ValueError(name)


def _depth_passes(value: object, limit: int) -> bool:
    level = [value]
    while level and limit:
        inner: list[object] = []
        for node in level:
            if isinstance(node, dict):
                inner += node.values()
            elif isinstance(node, list):
                inner += node
        level, limit = inner, limit - 1
    return any(isinstance(node, dict | list) for node in level)


def _header(header: dict[str, object], issuer: Issuer) -> tuple[str, str | None]:
    """`alg` and `kid`. An allow-list: `jku`, `jwk`, `x5u` and `x5c` bring keys, `crit`, `b64`, `zip` and `enc` change
    what is signed, and what nobody knows might do either."""
    allowed = {"alg", "kid", "typ"} | _HINTS.get(issuer.profile, set())
    if not header.keys() <= allowed:
        raise _refusal("the header has more than alg, kid and typ")
    algorithm, kid, kind = header.get("alg"), header.get("kid"), header.get("typ", "JWT")
    if not isinstance(algorithm, str) or algorithm not in issuer.algorithms & ALGORITHMS:
        raise _refusal("alg is not one of the issuer's")
    if not isinstance(kind, str) or kind.lower() not in _TYPES:
        raise _refusal("typ is not an access or ID token's")
    if "kid" not in header:
        return algorithm, None
    if not isinstance(kid, str) or not _KID.fullmatch(kid):
        raise _refusal("kid is malformed")
    return algorithm, kid


_HINTS: Final[Mapping[str, set[str]]] = {"entra": {"x5t"}}
"""Members of the header that are read over. Entra's v1.0 tokens always have `x5t`, the thumbprint of what `kid` names:
it names a key and brings none, and it is not looked at."""


# ---- claims ---------------------------------------------------------------------------------------------------------


def _check_shapes(claims: Claims) -> None:
    """RFC 7519 allows fractions, and PyJWT takes texts as well (`int("17…")`): both are refused."""
    for name in ("exp", "iat"):
        if name not in claims:
            raise _refusal("exp or iat is missing")
    for name in ("exp", "iat", "nbf"):
        if name in claims and type(claims[name]) is not int:  # bool is an int to isinstance
            raise _refusal("exp, iat or nbf is not an integer")


def _check_times(claims: Claims, now: float) -> None:
    """Written so that what cannot be compared, a `now` that is NaN for one, is refused."""
    expires, issued, begins = (_seconds(claims, name) for name in ("exp", "iat", "nbf"))
    if not expires > issued:
        raise _refusal("exp is not after iat")
    if not now < expires + LEEWAY:
        raise _refusal("the token has expired")
    if not (issued <= now + LEEWAY and begins <= now + LEEWAY):
        raise _refusal("iat or nbf is in the future")


def _seconds(claims: Claims, name: str) -> int:
    value = claims.get(name, 0)
    assert isinstance(value, int)
    return value


def _is_for_us(audience: object, issuer: Issuer) -> bool:
    """`aud` is a text or a list of texts, never empty. A list with anything else in it is not read around."""
    listed = [audience] if isinstance(audience, str) else audience
    if not isinstance(listed, list) or not all(isinstance(one, str) for one in listed):
        return False
    return not issuer.audience.isdisjoint(listed)


def _generic(claims: Claims, issuer: Issuer) -> None:
    if not _is_for_us(claims.get("aud"), issuer):
        raise _refusal("aud is not for us")


def _cognito(claims: Claims, issuer: Issuer) -> None:
    """An ID token has the app client in `aud`, an access token in `client_id`. An access token that was asked for with
    a resource has `aud` too: it is then for that resource, and must be for us as well."""
    use = claims.get("token_use")
    if use not in ("access", "id"):
        raise _refusal("token_use is neither access nor id")
    if use == "id" or "aud" in claims:
        _generic(claims, issuer)
    if use == "access" and not (isinstance(claims.get("client_id"), str) and claims["client_id"] in issuer.audience):
        raise _refusal("client_id is not for us")


def _entra(claims: Claims, issuer: Issuer) -> None:
    """Every directory's tokens are signed with the same keys, so `tid` and `iss` must name one directory. National
    clouds and external tenants have other issuers: they are `generic`."""
    _generic(claims, issuer)
    directory = claims.get("tid")
    if not isinstance(directory, str) or not _GUID.fullmatch(directory):
        raise _refusal("tid is not a directory's id")
    expected = {
        "1.0": f"https://sts.windows.net/{directory}/",
        "2.0": f"https://login.microsoftonline.com/{directory}/v2.0",
    }
    version = claims.get("ver")
    if not isinstance(version, str) or expected.get(version) != issuer.issuer:
        raise _refusal("tid, ver and iss do not name one directory")


def _auth0(claims: Claims, issuer: Issuer) -> None:
    """`aud` is the API, and often `https://DOMAIN/userinfo` beside it. `azp` is who asked for the token: an audience
    that is an app's id in the map lets ID tokens in, `azp` never does."""
    _generic(claims, issuer)
    _check_text(claims, "azp")


def _okta(claims: Claims, issuer: Issuer) -> None:
    """`aud` is the authorization server's audience (`api://default`), which all its apps share; which app it was stands
    in `cid` of access tokens. Who wants one app only conditions on the claim; here it decides nothing."""
    _generic(claims, issuer)
    _check_text(claims, "cid")


def _check_text(claims: Claims, name: str) -> None:
    if name in claims and not (isinstance(claims[name], str) and claims[name]):
        raise _refusal("azp or cid is not a text")


PROFILES: Final[Mapping[Profile, Callable[[Claims, Issuer], None]]] = {
    "generic": _generic,
    "cognito": _cognito,
    "entra": _entra,
    "auth0": _auth0,
    "okta": _okta,
}
"""What a vendor's tokens must have besides `iss`, `exp` and `iat`. None of them does without an audience."""


# ---- signature ------------------------------------------------------------------------------------------------------


def _is_signed(token: str, signature: bytes, algorithm: str, key: Any) -> bool:
    """Asks PyJWT one question: is this signature this key's?

    Not `jwt.decode`: it reads the token a second time and less strictly, and what one reader checked another believes;
    it takes its time from the clock; it only warns of short RSA keys; and it costs up to three signatures. Nor a
    PyJWK's own algorithm: where a key states none, it says RS256, and RS512 by that key would be refused.
    """
    from jwt import get_algorithm_by_name  # a map without issuers does not pay for it: 100 ms

    stated = getattr(key, "algorithm_name", None)
    public = getattr(key, "key", None)
    if stated not in (None, algorithm) or not _fits(public, algorithm):
        return False
    verifier = get_algorithm_by_name(algorithm)
    signed = token.rpartition(".")[0].encode("ascii")
    try:
        return bool(verifier.verify(signed, verifier.prepare_key(public), signature))
    except Exception:  # whatever a key or a signature of the wrong size does inside: it is not a valid signature
        return False


def _fits(key: object, algorithm: str) -> bool:
    """Whether this is a public key, of the algorithm's own kind. A secret and a private key are neither."""
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
    from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PublicKey
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

    if algorithm == "EdDSA":
        return isinstance(key, Ed25519PublicKey | Ed448PublicKey)
    if algorithm in _CURVES:
        return isinstance(key, EllipticCurvePublicKey) and key.curve.name == _CURVES[algorithm]
    return isinstance(key, RSAPublicKey) and key.key_size >= MIN_RSA_BITS


def _refusal(sentence: str) -> Unauthenticated:
    return Unauthenticated("token_invalid", sentence)
