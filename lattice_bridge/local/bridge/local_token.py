"""Tokens for the local stack, as an issuer of the map would make them.

Rule: a token has what the issuer's table asks for (`iss`, `aud`, the algorithm, the claims of its profile), and is
signed with the local key. Nothing of the map is loosened for it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final

import jwt

from lattice_bridge.identity.token import Issuer
from lattice_bridge.local.bridge.signing_key import LocalKey

LIFETIME: Final = 3600
"""Seconds for which a token is valid by default."""

SUBJECT: Final = "local"
"""The value of `sub` by default."""

_DIRECTORY: Final = re.compile(r"https://(?:sts\.windows\.net/([^/]+)/|login\.microsoftonline\.com/([^/]+)/v2\.0)")


def make_token(
    issuer: Issuer,
    key: LocalKey,
    claims: Mapping[str, Any],
    *,
    now: float,
    subject: str = SUBJECT,
    lifetime: int = LIFETIME,
) -> str:
    """Makes a token.

    Args:
        issuer: of the map.
        key: signs it.
        claims: add to the claims that the issuer's table asks for, or replace them.
        now: seconds since 1970.
        subject: the value of `sub`.
        lifetime: seconds for which it is valid.
    """
    seconds = int(now)
    standard = {"iss": issuer.issuer, "iat": seconds, "exp": seconds + lifetime, "sub": subject}
    payload = {**standard, **_of_profile(issuer), **claims}
    return jwt.PyJWS().encode(
        json.dumps(payload, separators=(",", ":")).encode(),
        key.private,
        algorithm=key.algorithm,
        headers={"kid": key.kid},
    )


def _of_profile(issuer: Issuer) -> dict[str, str]:
    audience = min(issuer.audience)
    if issuer.profile == "cognito":
        return {"aud": audience, "token_use": "id"}
    if issuer.profile == "entra" and (found := _DIRECTORY.fullmatch(issuer.issuer)):
        return {"aud": audience, "tid": found[1] or found[2], "ver": "1.0" if found[1] else "2.0"}
    return {"aud": audience}
