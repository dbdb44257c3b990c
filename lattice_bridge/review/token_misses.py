"""The claims of a request's tokens, for an operator: those that an issuer of the map does not accept, and those that a
bridge has accepted.

Rule: for the operator only. The token is read without verification, so nothing that is read here allows anything. No
part of the token but its claims and its algorithm is shown.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from lattice_bridge.errors import BridgeError
from lattice_bridge.identity.token import LEEWAY, MAX_TOKEN, Claims, Issuer, Tokens, token_in
from lattice_bridge.message import Request
from lattice_bridge.review.near_misses import NearMiss, shortened


def token_misses(request: Request, issuers: Iterable[Issuer], refusal: BridgeError, now: float) -> tuple[NearMiss, ...]:
    """What a request's token would need for each issuer that could have issued it.

    Args:
        request: the refused request.
        issuers: of the map.
        refusal: of the token: its detail is shown if no claim differs.
        now: seconds since the epoch.
    """
    read = [(issuer, _token(request, issuer)) for issuer in issuers if _has(request, issuer.header)]
    known = [(issuer, *parts) for issuer, parts in read if parts is not None]
    named = [one for one in known if one[2].get("iss") == one[0].issuer] or known
    found = [miss for issuer, header, claims in named for miss in _differences(issuer, header, claims, now)]
    if found or not read:
        return tuple(found)
    issuer = (named[0] if named else read[0])[0]
    return (NearMiss("token", f"a token of {issuer.name}", None, "one that verifies", refusal.detail),)


def accepted_tokens(request: Request, issuers: Iterable[Issuer]) -> Tokens:
    """The claims of the tokens of a request that a bridge has accepted, so that its decision can be explained without
    the issuers' keys.

    Raises:
        BadRequest: a token's header occurs twice.
    """
    found: dict[str, Claims] = {}
    for issuer in issuers:
        parts = _token(request, issuer) if request.header(issuer.header) is not None else None
        if parts is not None and parts[1].get("iss") == issuer.issuer:
            found[issuer.name] = parts[1]
    return found


def _has(request: Request, header: str) -> bool:
    return any(name == header for name, _ in request.headers)


def _token(request: Request, issuer: Issuer) -> tuple[Mapping[str, Any], Mapping[str, Any]] | None:
    """The header and the claims of a token; None if it is not a JWT."""
    try:
        token = token_in(request.header(issuer.header) or "")
        header, claims, _ = (token or "")[: MAX_TOKEN + 1].split(".")
        return _members(header), _members(claims)
    except (BridgeError, ValueError, RecursionError):
        return None


def _members(segment: str) -> Mapping[str, Any]:
    found = json.loads(base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4)))
    if not isinstance(found, dict):
        raise ValueError("not an object")
    return found


def _differences(
    issuer: Issuer, header: Mapping[str, Any], claims: Mapping[str, Any], now: float
) -> Iterator[NearMiss]:
    if claims.get("iss") != issuer.issuer:
        yield _miss("issuer", issuer, "iss", issuer.issuer, claims.get("iss"))
        return
    audience = _audience(issuer, claims)
    given = claims.get(audience)
    listed = given if isinstance(given, list) else [given]
    if not any(isinstance(one, str) and one in issuer.audience for one in listed):
        yield _miss("audience", issuer, audience, " or ".join(sorted(issuer.audience)), given)
    algorithm = header.get("alg")
    if not isinstance(algorithm, str) or algorithm not in issuer.algorithms:
        yield _miss("algorithm", issuer, "alg", " or ".join(sorted(issuer.algorithms)), algorithm)
    for name in ("exp", "iat", "nbf"):
        time = claims.get(name)
        expected = f"{'after' if name == 'exp' else 'before'} {_date(now)}"
        if not isinstance(time, int) or isinstance(time, bool):
            if time is not None or name != "nbf":  # the others are required
                yield _miss("time", issuer, name, expected, time)
        elif not (now < time + LEEWAY if name == "exp" else time <= now + LEEWAY):
            yield _miss("time", issuer, name, expected, _date(time))


def _audience(issuer: Issuer, claims: Mapping[str, Any]) -> str:
    """Cognito's access tokens have their audience in another claim."""
    return "client_id" if issuer.profile == "cognito" and claims.get("token_use") == "access" else "aud"


def _miss(kind: str, issuer: Issuer, claim: str, expected: str, actual: object) -> NearMiss:
    text = f"{claim} of a token of {issuer.name}"
    return NearMiss(kind, text, None, shortened(expected), "absent" if actual is None else shortened(actual))


def _date(seconds: float) -> str:
    try:
        return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
    except (OverflowError, ValueError, OSError):
        return str(seconds)[:30]
