"""Which tokens a request carries, and what their issuers say.

Rule: a token that is present is verified, or the request is refused. A header that no issuer of the map uses is not
looked at: what stands there is somebody else's credential.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Final

from lattice_bridge.errors import Unauthenticated
from lattice_bridge.identity.token import Claims, Issuer, KeyFor, Remembered, token_in
from lattice_bridge.message import Request

Tokens = Mapping[str, Claims]
"""Issuer's name in the map → the claims of its token. An issuer whose token the request does not carry is not there."""

NO_TOKENS: Final[Tokens] = MappingProxyType({})


class Bearers:
    """Reads the tokens of a map's issuers.

    Args:
        issuers: each with its keys. Several may share a header; the token then says whose it is, and has to prove it.
        clock: seconds since the epoch.
    """

    def __init__(self, issuers: Iterable[tuple[Issuer, KeyFor]], clock: Callable[[], float]) -> None:
        self._clock = clock
        self._by_header: dict[str, list[Remembered]] = {}
        for issuer, key_for in issuers:
            self._by_header.setdefault(issuer.header, []).append(Remembered(issuer, key_for))

    def tokens_of(self, request: Request) -> Tokens:
        """The request's tokens, verified.

        Raises:
            BadRequest: a token's header occurs twice.
            Unauthenticated: what stands in it is no token, or no issuer's.
            Unavailable: the issuer's keys cannot be had.
        """
        found: dict[str, Claims] = {}
        for header, candidates in self._by_header.items():
            value = request.header(header)
            token = None if value is None else token_in(value)
            if token is None and value is not None and header != "authorization":
                raise Unauthenticated("token_invalid", "a signature stands where a token belongs")
            if token is not None:
                name, claims = self._verified(token, candidates)
                found[name] = claims
        return found or NO_TOKENS

    def _verified(self, token: str, candidates: list[Remembered]) -> tuple[str, Claims]:
        """By the first issuer that vouches for it: the map lets no two have one `iss`, so no second one would."""
        refusal = Unauthenticated("token_invalid", "no issuer uses the header")
        now = self._clock()
        for remembered in candidates:
            try:
                return remembered.issuer.name, remembered.verify(token, now)
            except Unauthenticated as error:  # of another issuer, before any key was looked for; or simply not valid
                refusal = error
        raise refusal
