"""Verifies tokens as the JWT authorizer of an HTTP API does, and writes their claims as it does.

Rule: the issuer and its key set come from the template, never from the token. `identity.token` is not used: it is
stricter than API Gateway (it requires `iat`, and refuses the `x5t` of Entra), so it would refuse tokens here that AWS
accepts. Sources: http-api-jwt-authorizer.html for what is checked, and captured events for how claims are written.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from lattice_bridge.errors import Unauthenticated
from lattice_bridge.identity.jwks import SigningKey
from lattice_bridge.identity.token import Issuer, token_in
from lattice_bridge.local.front.exchange.token_keys import LOCAL, UNVERIFIED, TokenKeys, TokenRefused
from lattice_bridge.local.plan.http_api import JwtAuthorizer

ALGORITHMS: Final = frozenset({"RS256", "RS384", "RS512"})
"""API Gateway verifies only RSA-based algorithms."""

_ANY: Final = "local"
"""The audience of a local token if any is accepted."""


def issuer_of(authorizer: JwtAuthorizer) -> Issuer:
    """The issuer for which local tokens are made."""
    audience = frozenset({_ANY}) if authorizer.audience is None else authorizer.audience
    return Issuer(authorizer.name, authorizer.issuer, audience, frozenset({LOCAL}))


def token_command(authorizer: JwtAuthorizer) -> str:
    """The command that makes a local token for an authorizer. A template may have any text as its name."""
    return f"lattice-bridge token --template FILE --issuer {shlex.quote(authorizer.name)}"


async def verified_claims(
    token: str, authorizer: JwtAuthorizer, keys: TokenKeys, project: Path, now: float
) -> Mapping[str, Any]:
    """The claims of a token that the authorizer accepts.

    The signature is verified last, so that only a token that passes the other checks can cause a fetch of keys.

    Args:
        token: without `Bearer `.
        authorizer: of the template.
        keys: that verify it.
        project: the folder of the template.
        now: seconds since 1970.

    Raises:
        TokenRefused: with the check that failed.
    """
    header, claims = _unverified(token)
    algorithm, kid = header.get("alg"), header.get("kid")
    if algorithm not in ALGORITHMS:
        raise TokenRefused(
            f"alg is not one of {', '.join(sorted(ALGORITHMS))}, which API Gateway verifies",
            "the token uses an unsupported signing algorithm",
        )
    if not isinstance(kid, str):
        raise TokenRefused("the token has no kid", "the token does not have a kid")
    if claims.get("iss") != authorizer.issuer:
        raise TokenRefused(f"iss is not {authorizer.issuer}", "the token does not have a valid issuer")
    if authorizer.audience is not None and not _is_for(claims, authorizer.audience):
        listed = ", ".join(sorted(authorizer.audience))
        raise TokenRefused(f"neither aud nor client_id is one of {listed}", "the token does not have a valid audience")
    _check_times(claims, now)
    key = await keys.key(authorizer.issuer, kid, project)
    if key is None:
        raise TokenRefused(f"{authorizer.issuer} has no key with the token's kid", UNVERIFIED)
    _check_signature(token, key, str(algorithm))
    return claims


def _check_signature(token: str, key: SigningKey, algorithm: str) -> None:
    import jwt  # here: it takes 100 ms, and most templates have no JWT authorizer

    try:
        jwt.PyJWS().decode_complete(token, key.key, algorithms=[algorithm])
    except (jwt.PyJWTError, ValueError, TypeError):
        raise TokenRefused("the signature is not one of the issuer's key", UNVERIFIED) from None


def _unverified(token: str) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    import jwt

    try:
        found = jwt.PyJWS().decode_complete(token, options={"verify_signature": False})
        claims = json.loads(found["payload"], object_pairs_hook=_members)
    except (jwt.PyJWTError, ValueError, RecursionError):  # their messages may quote the token
        claims = None
    if not isinstance(claims, dict):
        raise TokenRefused("the token is not a JSON Web Token", "the token could not be parsed") from None
    return found["header"], claims


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a member occurs twice")
    return members


def _is_for(claims: Mapping[str, Any], audience: frozenset[str]) -> bool:
    """`client_id` counts only in a token without `aud`, such as an access token of Cognito."""
    found = claims.get("aud", claims.get("client_id"))
    return any(isinstance(one, str) and one in audience for one in (found if isinstance(found, list) else [found]))


def _check_times(claims: Mapping[str, Any], now: float) -> None:
    times = {name: claims[name] for name in ("exp", "nbf", "iat") if name in claims}
    if not all(isinstance(value, int | float) and not isinstance(value, bool) for value in times.values()):
        raise TokenRefused("exp, nbf or iat is not a number", "the token has an invalid time")
    if "exp" not in times or not times["exp"] > now:
        raise TokenRefused("the token has no exp, or has expired", "the token has expired")
    if not all(times.get(name, 0) <= now for name in ("nbf", "iat")):
        raise TokenRefused("nbf or iat is in the future", "the token is not yet valid")


# ---- a request ------------------------------------------------------------------------------------------------------


def token_of(values: list[str]) -> str:
    """The token in the values of an identity source.

    Raises:
        TokenRefused: there is none, or more than one.
    """
    if not values:
        raise TokenRefused("the request has no token", None)
    try:
        token = token_in(values[0]) if len(values) == 1 else None
    except Unauthenticated as error:
        raise TokenRefused(error.detail, "the token could not be parsed") from None
    if token is None:
        raise TokenRefused("the identity source occurs twice, or is an AWS signature", None)
    return token


def scopes_of(claims: Mapping[str, Any]) -> tuple[str, ...]:
    """The scopes of a token: `scope`, separated by spaces, or `scp`, which may be a list."""
    found = claims.get("scope", claims.get("scp", ""))
    if isinstance(found, list):
        return tuple(one for one in found if isinstance(one, str))
    return tuple(found.split()) if isinstance(found, str) else ()


def written(claim: object) -> str:
    """A claim as events contain it: a string, in Go's notation if it is not one.

    >>> [written(claim) for claim in (True, 1754640000, ["a", "b"], {"k": 1}, None)]
    ['true', '1754640000', '[a b]', 'map[k:1]', '<nil>']
    """
    if isinstance(claim, str):
        return claim
    if isinstance(claim, bool):
        return "true" if claim else "false"
    if isinstance(claim, list):
        return f"[{' '.join(map(written, claim))}]"
    if isinstance(claim, dict):
        return f"map[{' '.join(f'{name}:{written(value)}' for name, value in sorted(claim.items()))}]"
    return "<nil>" if claim is None else str(claim)
