"""The keys that verify the tokens of a request: the stack's own, and those that issuers publish."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from lattice_bridge.errors import BridgeError, Unavailable
from lattice_bridge.identity.jwks import SigningKey
from lattice_bridge.identity.key_set import KeySet, fetch_https
from lattice_bridge.local.bridge.signing_key import KID_PREFIX, KeyFault, LocalKey, key_folder, local_key

LOCAL: Final = "RS256"
"""The algorithm of the stack's own tokens: API Gateway verifies only RSA."""
UNVERIFIED: Final = "the token could not be verified"
"""For the client, as API Gateway words it."""
_DISCOVERY: Final = "/.well-known/openid-configuration"


class TokenRefused(Exception):
    """A token that is missing or not accepted. The message is for the log, and contains no part of the token.

    Attributes:
        description: for the client, as API Gateway words it; None if there is no token.
    """

    def __init__(self, cause: str, description: str | None) -> None:
        super().__init__(cause)
        self.description = description


class TokenKeys:
    """The keys that verify tokens: the stack's own, and those that issuers publish.

    Args:
        environ: names the folder of the local keys.
        fetch: fetches a document over https, as `fetch_https` does.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        environ: Mapping[str, str] = os.environ,
        fetch: Callable[[str], bytes] = fetch_https,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._environ = environ
        self._fetch = fetch
        self._clock = clock
        self._local: LocalKey | None = None
        self._published: dict[str, KeySet] = {}

    async def key(self, issuer: str, kid: str, project: Path) -> SigningKey | None:
        """The key with an id: the local one, or one that the issuer publishes.

        Args:
            issuer: of the template. Its configuration is fetched when the first token of its own arrives, so that a
                start without a network does not wait.
            kid: of the token.
            project: the folder of the template, which may not contain the local key.

        Raises:
            TokenRefused: the key cannot be read or fetched.
        """
        try:
            if kid.startswith(KID_PREFIX):
                if self._local is None:
                    self._local = await asyncio.to_thread(local_key, LOCAL, key_folder(self._environ), project)
                return self._local.verifying if self._local.kid == kid else None
            if issuer not in self._published:
                self._published[issuer] = KeySet(lambda: self._key_set(issuer), clock=self._clock)
            return await asyncio.to_thread(self._published[issuer].key, kid)
        except KeyFault as error:
            raise TokenRefused(f"the local key cannot be read: {error}", UNVERIFIED) from error
        except BridgeError as error:
            fix = "use a token of `lattice-bridge token --template FILE`, or make the issuer reachable"
            raise TokenRefused(f"the keys of {issuer}: {error.detail}. Fix: {fix}", UNVERIFIED) from error

    def _key_set(self, issuer: str) -> bytes:
        """The key set that an issuer's OpenID configuration names."""
        try:
            url = json.loads(self._fetch(issuer.rstrip("/") + _DISCOVERY))["jwks_uri"]
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise Unavailable("keys_unavailable", "the issuer's configuration has no jwks_uri") from error
        return self._fetch(str(url))
