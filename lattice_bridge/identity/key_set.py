"""The signing keys of one token issuer: fetched over HTTPS, and cached while the issuer is out of reach.

Rule: a known key never waits, neither for a refresh nor for the fetch that another caller's unknown `kid` caused. The
address of a key set comes from the map alone: no token and no redirect chooses another.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from typing import Final
from urllib.parse import urlsplit

from lattice_bridge.errors import BridgeError, Unavailable
from lattice_bridge.http.client import Endpoint, connect
from lattice_bridge.http.http1 import Answer, AnswerTooLarge, BadAnswer
from lattice_bridge.identity.jwks import MAX_BYTES, SigningKey, parse_key_set
from lattice_bridge.runtime.cache import Failed, StaleIfErrorCache
from lattice_bridge.runtime.process import elapsed, in_background

FETCH_TIMEOUT: Final = 2.0
_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})
_HEADERS: Final = {"accept": "application/json", "accept-encoding": "identity"}

_SET: Final = "set"
"""The cache's one key: a key set is fetched and replaced as a whole."""


# ---- fetching -------------------------------------------------------------------------------------------------------


def fetch_https(
    url: str,
    timeout: float = FETCH_TIMEOUT,
    *,
    context: ssl.SSLContext | None = None,
    loopback_http: bool = False,
) -> bytes:
    """Fetches the key set at `url`. Follows no redirect and uses no proxy.

    Args:
        url: https, without user information.
        timeout: seconds for connecting, sending and reading together. Only the resolver may take longer: Python cannot
            interrupt it.
        context: verifies the server's certificate; the system's authorities if None.
        loopback_http: accepts `http://` for 127.0.0.1, ::1 and localhost. For tests and the local stack.

    Raises:
        Unavailable: `keys_unavailable`: not such a URL, out of reach, not in time, not status 200, over 128 KiB, or an
            answer without Content-Length or chunks, whose end is unknown.
    """
    deadline = time.monotonic() + timeout
    try:
        endpoint, target = _endpoint_of(url, loopback_http)
        answer = _get(endpoint, target, deadline, context)
    except BridgeError:
        raise
    except AnswerTooLarge as error:
        raise _unavailable("the key set is over 128 KiB") from error
    except TimeoutError as error:
        raise _unavailable("the key set could not be fetched in time (TimeoutError)") from error
    except BadAnswer as error:
        raise _unavailable(f"the answer of the key set's server cannot be read: {error}") from error
    except (OSError, ValueError) as error:
        raise _unavailable(f"the key set could not be fetched ({type(error).__name__})") from error
    if answer.status != 200:
        raise _unavailable(f"the key set's server answered {answer.status}")
    return answer.body


def _endpoint_of(url: str, loopback_http: bool) -> tuple[Endpoint, str]:
    """The server and the request target of a URL."""
    parts = urlsplit(url)
    host = parts.hostname
    is_plain = loopback_http and parts.scheme == "http" and host in _LOOPBACK
    # `urlsplit` removes line ends and tabs silently, and the URL that is fetched would not be the one in the map.
    is_clean = url.isascii() and url.isprintable() and " " not in url and "@" not in parts.netloc
    if not (parts.scheme == "https" or is_plain) or not host or not is_clean:
        raise _unavailable("the key set's URL is not https")
    endpoint = Endpoint(not is_plain, host, parts.port or (80 if is_plain else 443))
    return endpoint, (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


def _get(endpoint: Endpoint, target: str, deadline: float, context: ssl.SSLContext | None) -> Answer:
    trust = (context or ssl.create_default_context()) if endpoint.secure else None
    with closing(connect(endpoint, trust, MAX_BYTES, deadline)) as connection:
        return connection.exchange("GET", target, {"host": endpoint.authority, **_HEADERS}, b"", deadline)


def _unavailable(detail: str) -> Unavailable:
    return Unavailable("keys_unavailable", detail)


# ---- caching --------------------------------------------------------------------------------------------------------


class KeySet:
    """One issuer's keys, fetched when the first key is asked for. Any number of threads may use it.

    A fetch runs in the background. A request waits for it in two cases: there are no keys, or none younger than
    `max_stale`; or the request's key is unknown, as a new key is after a rotation. Unknown key ids are not cached, so
    callers cannot fill the cache. The pause protects the issuer from requests with unknown ids.

    Args:
        fetch: returns the key set's bytes, within `wait` seconds.
        clock: seconds; may jump. The age of keys is counted from the beginning of their fetch.
        refresh: seconds after which keys are fetched again.
        max_stale: seconds for which the last good keys are used while they cannot be fetched.
        pause: seconds between two fetches, whatever asks for them.
        wait: seconds that a request waits for a fetch at most, even if `fetch` takes longer.
        start: runs the fetch.
    """

    def __init__(
        self,
        fetch: Callable[[], bytes],
        *,
        clock: Callable[[], float] = elapsed,
        refresh: float = 3600,
        max_stale: float = 86400,
        pause: float = 30,
        wait: float = FETCH_TIMEOUT + 0.5,
        start: Callable[[Callable[[], None]], None] = in_background,
    ) -> None:
        self._refresh = refresh
        self._cache = StaleIfErrorCache[str, Mapping[str | None, SigningKey]](
            lambda _: _parsed(fetch),
            ttl=refresh,
            max_stale=max_stale,
            pause=pause,
            pause_after="fetch",
            wait=wait,
            clock=clock,
            start=start,
        )

    def key(self, kid: str | None) -> SigningKey | None:
        """The key of this `kid`, or None if the issuer has no such key.

        Raises:
            Unavailable: `keys_unavailable`: there are no keys, or they are older than `max_stale`; or none has this
                `kid`, and the issuer cannot be asked for a new one.
        """
        keys = self._cache.held(_SET) or {}
        if kid in keys:
            self.prefetch()
            return keys[kid]
        outcome = self._cache.fetch(_SET)
        keys = self._cache.held(_SET) or {}
        if not keys or (kid not in keys and isinstance(outcome, Failed)):
            detail = outcome.detail if isinstance(outcome, Failed) else "no key set is young enough"
            raise Unavailable("keys_unavailable", detail, retry_after=self._cache.retry_after())
        return keys.get(kid)

    def prefetch(self) -> None:
        """Fetches the keys in the background, if there are none or they are older than `refresh`."""
        if self._cache.held(_SET, self._refresh) is None:
            self._cache.prefetch(_SET)

    def settle(self, seconds: float) -> None:
        """Waits for a fetch that runs, at most so many seconds."""
        self._cache.settle(_SET, seconds)


def _parsed(fetch: Callable[[], bytes]) -> Mapping[str | None, SigningKey]:
    try:
        return parse_key_set(fetch())
    except BridgeError:
        raise
    except Exception as error:
        raise _unavailable(f"the fetch of the key set failed ({type(error).__name__})") from error
