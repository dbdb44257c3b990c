"""Bearer tokens: reading them from headers, and verifying what their issuers claim.

Rule: a token that is present is verified, or the request is refused. It is never treated as absent. A token selects
nothing: the issuer and the algorithms come from the map, and the token can only agree with them. The log line of a
refused token contains one of the sentences below, and no part of the token. A header that no issuer of the map uses is
not read: it may contain a credential for another service.

The keys and the time are parameters.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final, Literal, NamedTuple

from lattice_bridge.errors import Unauthenticated

Claims = Mapping[str, object]
"""The payload of a verified token. Requests share it, so it must not be changed."""

Tokens = Mapping[str, Claims]
"""Issuer's name in the map → the claims of its token. Issuers without a token in the request are left out."""

NO_TOKENS: Final[Tokens] = MappingProxyType({})

KeyFor = Callable[[str | None], Any | None]
"""`kid` -> the public key with this id, or None. A key is a PyJWK, or an object with `key` (of `cryptography`) and
`algorithm_name` (None if the key set names none). `Unavailable` is passed on to the caller."""

MAX_TOKEN: Final = 8 * 1024
MAX_DEPTH: Final = 16
LEEWAY: Final = 30
CACHE_SECONDS: Final = 300
CACHE_SIZE: Final = 1024
MIN_RSA_BITS: Final = 2048

ALGORITHMS: Final = frozenset(
    {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}
)
"""Asymmetric algorithms only. `ES256K` and PyJWT's own `ES521` are left out: no issuer of workloads uses them."""

_CURVES: Final = {"ES256": "secp256r1", "ES384": "secp384r1", "ES512": "secp521r1"}
_TYPES: Final = frozenset({"jwt", "at+jwt", "application/at+jwt", "application/jwt"})
"""RFC 8725 §3.11: a logout token or a DPoP proof of the same issuer is signed with the same keys."""

_BEARER: Final = re.compile(r"(?:[Bb][Ee][Aa][Rr][Ee][Rr] )?([A-Za-z0-9._~+/=-]+)")
_SEGMENT: Final = re.compile(r"[A-Za-z0-9_-]+")
_KID: Final = re.compile(r"[A-Za-z0-9._~+/=:@-]{1,256}")
_GUID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")

_OBJECTS: Final = (dict, MappingProxyType, Mapping)
"""What an object of JSON may be. `isinstance` finds the first two without a call of Python's code."""

Profile = Literal["generic", "cognito", "entra", "auth0", "okta"]


class Issuer(NamedTuple):
    """One `[jwt.NAME]`, as checked by the map.

    Attributes:
        name: its name in the map.
        issuer: what `iss` must equal, character for character.
        audience: one of these must be in `aud`. Never empty.
        algorithms: what `alg` may be; a value outside `ALGORITHMS` is never accepted.
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
    """The token in a header's value, with or without `Bearer ` in front; None if the value is an AWS signature.

    Raises:
        Unauthenticated: another scheme, no token, spaces, or a comma, which V1 writes between two headers' values.
    """
    if value.startswith("AWS4-"):
        return None
    found = _BEARER.fullmatch(value)
    if found is None or (found[1].lower() == "bearer"):
        raise _refusal("the header contains no bearer token")
    return found[1]


def verify(token: str, issuer: Issuer, key_for: KeyFor, now: float) -> Claims:
    """Verifies a token of `issuer` for one of the map's audiences at the time `now` (seconds since the epoch).

    Returns:
        its claims.

    Raises:
        Unauthenticated: `token_invalid`; the detail names the check that failed.
        Unavailable: the issuer's keys cannot be fetched.
    """
    claims = _signed_claims(token, issuer, key_for)
    _check_times(claims, now)
    return claims


def claim_at(claims: Claims, path: Sequence[str]) -> object | None:
    """The value at `path`, one element a level; None if there is none. Dots, colons and slashes are part of a name.

    The value has the type that the issuer wrote: a number stays a number. A path does not reach into a list.

    >>> claim_at({"app": {"custom:tenant": "blue"}}, ["app", "custom:tenant"])
    'blue'
    """
    value: object = claims if path else None
    for name in path:
        if not isinstance(value, _OBJECTS):
            return None
        value = value.get(name)
    return value


def _signed_claims(token: str, issuer: Issuer, key_for: KeyFor) -> Claims:
    """Checks everything that does not depend on the time. The key is looked up last, so that only a token that passes
    the other checks can cause a fetch of the issuer's keys."""
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
        parsed = json.loads(data.decode("utf-8"), object_pairs_hook=unique_members, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        parsed = None
    # Raised out here: an exception raised in the handler carries the other one, and that one quotes the token.
    if not isinstance(parsed, dict) or _depth_passes(parsed, MAX_DEPTH):
        raise _refusal("a segment is not a JSON object that means one thing")
    return parsed


def unique_members(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """The members of an object of JSON.

    Raises:
        ValueError: one occurs twice. Two readers could take different values.
    """
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a member occurs twice")
    return found


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
    """`alg` and `kid`. An allow-list: `jku`, `jwk`, `x5u` and `x5c` contain keys, `crit`, `b64`, `zip` and `enc` change
    what is signed, and an unknown member could do either."""
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
"""Members of the header that are ignored. Entra's v1.0 tokens always have `x5t`, the thumbprint of the key that `kid`
names: it contains no key."""


# ---- claims ---------------------------------------------------------------------------------------------------------


def _check_shapes(claims: Claims) -> None:
    """RFC 7519 allows fractions, and PyJWT also accepts strings (`int("17…")`): both are refused."""
    for name in ("exp", "iat"):
        if name not in claims:
            raise _refusal("exp or iat is missing")
    for name in ("exp", "iat", "nbf"):
        if name in claims and type(claims[name]) is not int:  # bool is an int to isinstance
            raise _refusal("exp, iat or nbf is not an integer")


def _check_times(claims: Claims, now: float) -> None:
    """Refuses a value that cannot be compared, such as a `now` that is NaN."""
    expires, issued, begins = claims["exp"], claims["iat"], claims.get("nbf", 0)
    assert isinstance(expires, int)
    assert isinstance(issued, int)
    assert isinstance(begins, int)
    if not expires > issued:
        raise _refusal("exp is not after iat")
    if not now < expires + LEEWAY:
        raise _refusal("the token has expired")
    if not (issued <= now + LEEWAY and begins <= now + LEEWAY):
        raise _refusal("iat or nbf is in the future")


def _is_for_us(audience: object, issuer: Issuer) -> bool:
    """`aud` is a string or a list of strings. A list with any other value in it is refused as a whole."""
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
    clouds and external tenants have other issuers: use `generic` for them."""
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
    """`aud` is the API, and often `https://DOMAIN/userinfo` beside it. `azp` is the app that asked for the
    token: an audience in the map that is an app's id accepts ID tokens, and `azp` is never an audience."""
    _generic(claims, issuer)
    _check_string(claims, "azp")


def _okta(claims: Claims, issuer: Issuer) -> None:
    """`aud` is the authorization server's audience (`api://default`), which all its apps share; `cid` of access
    tokens names the app. It decides nothing here: to accept one app only, use a condition on the claim."""
    _generic(claims, issuer)
    _check_string(claims, "cid")


def _check_string(claims: Claims, name: str) -> None:
    if name in claims and not (isinstance(claims[name], str) and claims[name]):
        raise _refusal("azp or cid is not a string")


PROFILES: Final[Mapping[Profile, Callable[[Claims, Issuer], None]]] = {
    "generic": _generic,
    "cognito": _cognito,
    "entra": _entra,
    "auth0": _auth0,
    "okta": _okta,
}
"""Vendor → the check of its tokens besides `iss`, `exp` and `iat`. Each one checks an audience."""


# ---- signature ------------------------------------------------------------------------------------------------------


def _is_signed(token: str, signature: bytes, algorithm: str, key: Any) -> bool:
    """Whether the signature was made with this key, as PyJWT verifies it.

    `jwt.decode` is not used: it reads the token a second time and less strictly, reads the clock, only warns of short
    RSA keys, and costs up to three signatures. A PyJWK's own algorithm is not used either: if a key names none, it is
    RS256, and a token by RS512 would be refused.
    """
    from jwt import get_algorithm_by_name  # imported here: it takes 100 ms, and a map without issuers does not need it

    stated = getattr(key, "algorithm_name", None)
    public = getattr(key, "key", None)
    if stated not in (None, algorithm) or not _fits(public, algorithm):
        return False
    verifier = get_algorithm_by_name(algorithm)
    signed = token.rpartition(".")[0].encode("ascii")
    try:
        return bool(verifier.verify(signed, verifier.prepare_key(public), signature))
    except Exception:  # a key or signature of the wrong size: not a valid signature
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


# ---- headers ---------------------------------------------------------------------------------------------------------


class VerifiedTokenCache:
    """Verifies one issuer's tokens, and caches the signatures that were good.

    A token's times are checked on every use, so a token is never accepted after its `exp`. A key that the issuer
    withdrew is accepted for at most `CACHE_SECONDS` more. Refusals are not cached. The key of the cache is the whole
    token. The least recently used token is dropped first. Threads may share it: `lru_cache` has its own lock, and if
    two threads have the same new token, both verify it.

    Args:
        issuer: the issuer of the tokens.
        key_for: the keys of that issuer.
        size: the number of tokens.
    """

    def __init__(self, issuer: Issuer, key_for: KeyFor, *, size: int = CACHE_SIZE) -> None:
        def signed_claims(token: str, window: int) -> Claims:  # noqa: ARG001 - an entry is valid for one window of time
            return _signed_claims(token, issuer, key_for)

        self.issuer = issuer
        self._signed_claims = lru_cache(maxsize=size)(signed_claims)

    def verify(self, token: str, now: float) -> Claims:
        """The claims of a token, as the function `verify` gives them.

        Raises:
            Unauthenticated: as `verify`.
            Unavailable: as `verify`.
        """
        if len(token) > MAX_TOKEN:  # checked here too, since the cache hashes the whole token
            raise _refusal("the token is longer than 8 KiB")
        claims = self._signed_claims(token, int(now // CACHE_SECONDS))
        _check_times(claims, now)
        return claims

    def __len__(self) -> int:
        return self._signed_claims.cache_info().currsize


class TokenReader:
    """Reads and verifies the tokens of a map's issuers.

    Args:
        issuers: each issuer with its keys. Several issuers may use one header: each of them then tries the token.
        clock: seconds since the epoch.
    """

    def __init__(self, issuers: Iterable[tuple[Issuer, KeyFor]], clock: Callable[[], float]) -> None:
        self._clock = clock
        self._by_header: dict[str, list[VerifiedTokenCache]] = {}
        for issuer, key_for in issuers:
            self._by_header.setdefault(issuer.header, []).append(VerifiedTokenCache(issuer, key_for))

    @property
    def issuers(self) -> tuple[Issuer, ...]:
        """The issuers whose tokens are accepted."""
        return tuple(cache.issuer for caches in self._by_header.values() for cache in caches)

    def tokens_in(self, header: Callable[[str], str | None], now: float | None = None) -> Tokens:
        """The tokens in a request's headers, verified.

        Args:
            header: gives the value of a header that may occur once, or None, as `Request.header` does.
            now: seconds since the epoch; None for the clock's.

        Raises:
            BadRequest: a token's header occurs twice.
            Unauthenticated: a token's header contains no token, or the token of no issuer of the map.
            Unavailable: the issuer's keys cannot be fetched.
        """
        found: dict[str, Claims] = {}
        for name, candidates in self._by_header.items():
            value = header(name)
            token = None if value is None else token_in(value)
            if token is None and value is not None and name != "authorization":
                raise _refusal("the header contains an AWS signature instead of a token")
            if token is not None:
                issuer, claims = self._verified(token, candidates, self._clock() if now is None else now)
                found[issuer] = claims
        return found or NO_TOKENS

    def _verified(self, token: str, candidates: list[VerifiedTokenCache], now: float) -> tuple[str, Claims]:
        """The first issuer that accepts the token. No second one would: a map has each `iss` once."""
        refusal: Unauthenticated | None = None
        for candidate in candidates:
            try:
                return candidate.issuer.name, candidate.verify(token, now)
            except Unauthenticated as error:  # the token is another issuer's, or it is not valid
                refusal = error.without_frames()  # they have this one, so the request would wait for a collection
        assert refusal is not None, "a header is read because an issuer uses it"
        raise refusal
