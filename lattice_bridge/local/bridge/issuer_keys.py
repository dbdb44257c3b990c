"""The own keys of token issuers, fetched by the stack in place of the bridge.

Rule: as the bridge fetches them (https, no redirect, no proxy), with the certificate authorities that the bridge's own
variables name. An issuer that does not answer delays a start by two and a half seconds at most.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Final, NamedTuple

from lattice_bridge.config.map_settings import IssuerSettings
from lattice_bridge.errors import BridgeError, Unavailable
from lattice_bridge.identity.jwks import parse_key_set
from lattice_bridge.identity.key_set import FETCH_TIMEOUT, fetch_https
from lattice_bridge.runtime.process import in_background

REFRESH: Final = 300.0
"""Seconds after which an issuer's keys are fetched again, since the issuer may have a new one."""

RETRY: Final = 30.0
"""Seconds between two fetches from an issuer that does not answer."""

_WAIT: Final = FETCH_TIMEOUT + 0.5
"""Seconds to wait for a fetch. The resolver may take longer than the fetch's own timeout."""


class _Fetched(NamedTuple):
    """The last good keys, if there are any, and the clock's time of the next fetch."""

    keys: bytes | None
    due: float
    fault: str | None


class IssuerKeys:
    """Fetches key sets, and keeps the last good ones.

    Args:
        warn: takes one sentence if an issuer stops answering.
        fetch: fetches a key set, as `fetch_https` does.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        warn: Callable[[str], None],
        *,
        fetch: Callable[..., bytes] = fetch_https,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._warn = warn
        self._fetch = fetch
        self._clock = clock
        self._known: dict[str, _Fetched] = {}

    @property
    def is_due(self) -> bool:
        """Whether a key set should be fetched again."""
        return any(known.due <= self._clock() for known in self._known.values())

    def forget_due(self) -> None:
        """Forgets the key sets that are due. After all maps were asked for, no map names them any more."""
        self._known = {url: known for url, known in self._known.items() if known.due > self._clock()}

    async def of(self, issuers: Iterable[IssuerSettings], environ: Mapping[str, str]) -> Mapping[str, bytes | None]:
        """The keys of issuers with a `jwks_url`, by the issuer's name. None if they cannot be fetched.

        Args:
            issuers: of a map.
            environ: variables of the bridge.
        """
        urls = {entry.issuer.name: entry.jwks_url for entry in issuers if entry.jwks_url is not None}
        await asyncio.gather(*(self._renew(name, url, environ) for name, url in urls.items()))
        return {name: self._known[url].keys for name, url in urls.items()}

    async def _renew(self, name: str, url: str, environ: Mapping[str, str]) -> None:
        known = self._known.get(url)
        if known is not None and known.due > self._clock():
            return
        found = await self._fetched(url, environ)
        if isinstance(found, bytes):
            self._known[url] = _Fetched(found, self._clock() + REFRESH, None)
            return
        keys = known.keys if known else None
        if known is None or known.fault != found.detail:
            accepted = "the last good ones are used" if keys else "only tokens of `lattice-bridge token` are accepted"
            self._warn(f"{name}: the issuer's own keys are not available, so {accepted}: {found.detail}")
        self._known[url] = _Fetched(keys, self._clock() + RETRY, found.detail)

    async def _fetched(self, url: str, environ: Mapping[str, str]) -> bytes | BridgeError:
        loop = asyncio.get_running_loop()
        outcome: asyncio.Future[bytes | BridgeError] = loop.create_future()

        def resolve(found: bytes | BridgeError) -> None:
            if not outcome.done():
                outcome.set_result(found)

        def fetch() -> None:
            found: bytes | BridgeError
            try:
                found = self._fetch(url, context=_context(environ))
                parse_key_set(found)
            except BridgeError as error:
                found = error
            except Exception as error:  # a certificate file that cannot be read
                found = Unavailable("keys_unavailable", f"the fetch of the key set failed ({type(error).__name__})")
            with contextlib.suppress(RuntimeError):  # the stack has stopped
                loop.call_soon_threadsafe(resolve, found)

        in_background(fetch)  # not a thread that the stack's end waits for: a resolver cannot be interrupted
        try:
            return await asyncio.wait_for(outcome, _WAIT)
        except TimeoutError:
            return Unavailable("keys_unavailable", "the key set could not be fetched in time")


def _context(environ: Mapping[str, str]) -> ssl.SSLContext | None:
    """The authorities that OpenSSL would read from the bridge's variables; None for the system's own."""
    file, folder = environ.get("SSL_CERT_FILE"), environ.get("SSL_CERT_DIR")
    return ssl.create_default_context(cafile=file, capath=folder) if file or folder else None
