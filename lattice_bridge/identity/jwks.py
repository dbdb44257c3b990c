"""Signing keys from an issuer's key set: fetched, bounded, kept while the issuer is out of reach.

Rule: the only room that fetches keys. A key that is known never waits: not for a refresh, and not for the fetch that
somebody else's unknown `kid` caused. However many ask, one fetch is in flight, and there is a pause after each.
"""

from __future__ import annotations

import io
import json
import math
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast
from urllib.parse import urlsplit

from lattice_bridge.config.regular_file import BadFile, read_regular_file
from lattice_bridge.errors import BridgeError, Unavailable
from lattice_bridge.runtime.process import after_fork, elapsed, in_background, is_past

MAX_BYTES: Final = 128 * 1024
MAX_KEYS: Final = 64
TIMEOUT: Final = 2.0

_KID: Final = re.compile(r"[A-Za-z0-9._~+/=:@-]{1,256}")
_NUMBER: Final = re.compile(r"[A-Za-z0-9_-]+")
_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})
_RSA_BITS: Final = range(2048, 8192 + 1)

_FAMILIES: Final[Mapping[tuple[str, str | None], tuple[str, ...]]] = {
    ("RSA", None): ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    ("EC", "P-256"): ("ES256",),
    ("EC", "P-384"): ("ES384",),
    ("EC", "P-521"): ("ES512",),
    ("OKP", "Ed25519"): ("EdDSA",),
    ("OKP", "Ed448"): ("EdDSA",),
}
"""`kty` and `crv` → what such a key may sign. `oct` is not among them: a secret that is published signs for anybody."""

_PRIVATE: Final = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"})
"""Members that only a private key or a secret has: RFC 7518, section 6; RFC 8037, section 2; `priv` is ML-DSA's."""


_PUBLIC: Final = "kty, kid, alg, use; of RSA n, e; of EC crv, x, y; of OKP crv, x"


@dataclass(frozen=True, slots=True)
class SigningKey:
    """One public key of a set; has of a PyJWK what `token.verify` looks at.

    Attributes:
        key: the public key, of `cryptography`.
        algorithm_name: what the set says it is for, or None. PyJWK would say RS256 there, whatever the key signs.
    """

    key: Any
    algorithm_name: str | None


# ---- the format -----------------------------------------------------------------------------------------------------


def parse_key_set(data: bytes) -> dict[str | None, SigningKey]:
    """The usable keys of a JWK set (RFC 7517) by `kid`; one without is under None.

    Left out, since the others are none the worse for it: secrets (`oct`), keys with private parts (whoever reads the
    set can sign with them), keys that are not for verifying (`use`, `key_ops`), RSA below 2048 bits or above 8192,
    kinds and algorithms nobody here verifies, and what is malformed. Certificates in a key are not looked at.

    Raises:
        Unavailable: `keys_unavailable`: over 128 KiB or 64 keys, not a JWK set, two keys of one `kid` (which of them is
            meant would be a guess), or none that is usable.
    """
    if len(data) > MAX_BYTES:
        raise _unavailable("the key set is over 128 KiB")
    entries = _entries(data)
    if entries is None:
        raise _unavailable("the key set is not a JWK set")
    if len(entries) > MAX_KEYS:
        raise _unavailable("the key set has over 64 keys")
    keys: dict[str | None, SigningKey] = {}
    for entry in entries:
        key = _usable(entry)
        if key is None:
            continue
        kid = entry.get("kid")
        if kid in keys:
            raise _unavailable("the key set has two keys of one kid")
        keys[kid] = key
    if not keys:
        raise _unavailable("the key set has no usable key")
    return keys


def _entries(data: bytes) -> list[Any] | None:
    try:
        parsed = json.loads(data.decode("utf-8"), object_pairs_hook=_members)
    except (ValueError, RecursionError):
        return None
    keys = parsed.get("keys") if isinstance(parsed, dict) else None
    return keys if isinstance(keys, list) else None


def _members(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a member occurs twice")
    return members


def _usable(entry: Any) -> SigningKey | None:
    if not isinstance(entry, dict) or entry.keys() & _PRIVATE or not _is_for_verifying(entry):
        return None
    kid, kind, curve, stated = (entry.get(name) for name in ("kid", "kty", "crv", "alg"))
    if not (kid is None or (isinstance(kid, str) and _KID.fullmatch(kid))):
        return None
    if not isinstance(kind, str) or not (curve is None or isinstance(curve, str)):
        return None
    algorithms = _FAMILIES.get((kind, curve), ())
    if not algorithms or not (stated is None or stated in algorithms):
        return None
    return _read(entry, algorithms[0], stated)


def _is_for_verifying(entry: dict[str, Any]) -> bool:
    operations = entry.get("key_ops", ["verify"])
    return entry.get("use", "sig") == "sig" and isinstance(operations, list) and "verify" in operations


def _read(entry: dict[str, Any], algorithm: str, stated: str | None) -> SigningKey | None:
    from jwt import PyJWK  # a map without issuers does not pay for it: 100 ms

    # PyJWK reads over characters that are not base64url, so that a damaged key would become another key.
    if not all(isinstance(entry[name], str) and _NUMBER.fullmatch(entry[name]) for name in "nexy" if name in entry):
        return None
    try:
        key = PyJWK(entry, algorithm).key
    except Exception:  # KeyError, TypeError, cryptography's own: its message quotes the key, and says nothing we need
        return None
    if entry["kty"] == "RSA" and key.key_size not in _RSA_BITS:
        return None
    return SigningKey(key, stated)


def read_key_file(path: Path) -> bytes:
    """A key set that is a file.

    Raises:
        BadFile: it is not there, not a regular file, not readable, or over 128 KiB.
    """
    return read_regular_file(path, MAX_BYTES)


def key_file_fault(path: Path) -> str | None:
    """What is wrong with a key set that is a file, if anything: found when the map loads, not with the first token."""
    try:
        return key_set_fault(read_key_file(path))
    except BadFile as error:
        return f"{error.what}. Fix: {error.fix}"


def key_set_fault(data: bytes) -> str | None:
    """What is wrong with a key set that the operator supplies, if anything. Never quotes key material.

    `parse_key_set` leaves a private key out, since an issuer's mistake must not stop the issuer's other keys. Here a
    private key is a fault: the operator can remove it, and if not, it would be deployed with the map.
    """
    if fault := _private_key_fault(data):
        return fault
    try:
        parse_key_set(data)
    except Exception as error:
        return str(error)
    return None


def _private_key_fault(data: bytes) -> str | None:
    if b"PRIVATE KEY" in data:  # the label of PEM (RFC 7468), also in a string within JSON
        return "contains a private key in PEM. Fix: replace the file with a JWK set of public keys"
    private: list[dict[str, Any]] = []

    def note(members: dict[str, Any]) -> dict[str, Any]:
        if "kty" in members and (members.keys() & _PRIVATE or members["kty"] == "oct"):
            private.append(members)
        return members

    try:
        parsed = json.loads(data, object_hook=note)
    except (ValueError, RecursionError):
        return None  # `parse_key_set` refuses it
    if not private:
        return None
    keys = parsed.get("keys") if isinstance(parsed, dict) else None
    numbers = {id(key): number for number, key in enumerate(keys, 1)} if isinstance(keys, list) else {}
    named = "; ".join(_private_key_name(members, numbers.get(id(members))) for members in private[:MAX_KEYS])
    return f"contains private keys or secrets: {named}. Fix: keep only public keys, with these members: {_PUBLIC}"


def _private_key_name(members: Mapping[str, Any], number: int | None) -> str:
    kid = members.get("kid")
    if isinstance(kid, str) and _KID.fullmatch(kid):
        name = f'key "{kid}"'
    else:
        name = "an object that is not in keys" if number is None else f"key number {number}"
    found = sorted(members.keys() & _PRIVATE)
    return f"{name} has {', '.join(found)}" if found else f'{name} has kty "oct"'


# ---- the network ----------------------------------------------------------------------------------------------------


def fetch_https(
    url: str,
    timeout: float = TIMEOUT,
    *,
    context: ssl.SSLContext | None = None,
    loopback_http: bool = False,
) -> bytes:
    """The body at `url`, in `timeout` seconds all told, but for the resolver, which Python cannot interrupt.

    No redirects, no proxy, no cookies, no compression: a key set is one document at one address that the map names.

    Args:
        url: https, without user information.
        timeout: seconds.
        context: how the server must prove who it is; the system's authorities if None.
        loopback_http: lets `http://` through for 127.0.0.1, ::1 and localhost. For tests and the local stack.

    Raises:
        Unavailable: `keys_unavailable`: not such a URL, out of reach, not in time, not status 200, or over 128 KiB.
    """
    deadline = time.monotonic() + timeout
    import http.client  # here, since a start does without

    try:
        return _fetch(url, deadline, context, loopback_http)
    except BridgeError:
        raise
    except (OSError, http.client.HTTPException, ValueError) as error:
        kind = "in time" if isinstance(error, TimeoutError) else "at all"
        raise _unavailable(f"the key set could not be fetched {kind} ({type(error).__name__})") from error


def _fetch(url: str, deadline: float, context: ssl.SSLContext | None, loopback_http: bool) -> bytes:
    parts = urlsplit(url)
    host, plain = parts.hostname, loopback_http and parts.scheme == "http" and parts.hostname in _LOOPBACK
    if not (parts.scheme == "https" or plain) or not host or "@" in parts.netloc or not _is_plain(url):
        raise _unavailable("the key set's URL is not https")
    from http.client import HTTPConnection

    connection = HTTPConnection(host, parts.port or (80 if plain else 443))
    with _connected(host, connection.port, deadline) as raw:
        # http.client would start a time limit at every read; this socket has one for all of them.
        channel = raw if plain else (context or ssl.create_default_context()).wrap_socket(raw, server_hostname=host)
        with channel:
            channel.settimeout(_left(deadline))
            connection.sock = channel
            target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            connection.request("GET", target, headers={"host": parts.netloc, "accept": "application/json"})
            return _body(channel, deadline)


def _is_plain(url: str) -> bool:
    """`urlsplit` takes out line ends and tabs without a word, and would fetch another URL than the map shows."""
    return url.isascii() and url.isprintable() and " " not in url


def _connected(host: str, port: int, deadline: float) -> socket.socket:
    """Tries the addresses in turn, and leaves time for those that follow: an IPv6 route may lead nowhere."""
    addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    failure: OSError = OSError("no address")
    for number, (family, kind, protocol, _, address) in enumerate(addresses):
        raw = socket.socket(family, kind, protocol)
        try:
            raw.settimeout(_left(deadline) / (len(addresses) - number))
            raw.connect(address)
            raw.settimeout(_left(deadline))
        except OSError as error:
            raw.close()
            failure = error
        else:
            return raw
    raise failure


def _body(channel: socket.socket, deadline: float) -> bytes:
    from http.client import HTTPResponse

    with HTTPResponse(cast("socket.socket", _Until(channel, deadline)), method="GET") as response:
        response.begin()
        if response.status != 200:
            raise _unavailable(f"the key set's server answered {response.status}")
        data = response.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise _unavailable("the key set is over 128 KiB")
    return data


class _Until(io.RawIOBase):
    """A socket's reading side with one deadline. A timeout a read would let a server that sends a byte a second hold
    us for two days."""

    def __init__(self, channel: socket.socket, deadline: float) -> None:
        self._channel = channel
        self._deadline = deadline

    def makefile(self, mode: str) -> io.BufferedReader:  # noqa: ARG002 - what HTTPResponse asks a socket for
        return io.BufferedReader(self)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._channel.settimeout(_left(self._deadline))
        return self._channel.recv_into(buffer)


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError("no time left")
    return left


# ---- the memory -----------------------------------------------------------------------------------------------------


class KeySet:
    """One issuer's keys, fetched when first asked for. For any number of threads.

    Fetching is done aside, so that a request whose key is known never waits. Requests wait for a fetch in two cases:
    there are no keys yet, or none younger than `max_stale`; and the key they ask for is unknown, which after a rotation
    is how the new one gets known. Misses are not remembered, so they fill nothing: the pause is what protects the
    issuer from unknown `kid`s.

    Args:
        fetch: the key set's bytes, within `wait` seconds.
        clock: seconds; may jump. The age of keys is counted from when their fetch began.
        refresh: seconds after which keys are fetched anew.
        max_stale: seconds for which the last good keys serve while they cannot be fetched.
        pause: seconds between the beginnings of two fetches, whatever asks for them.
        wait: seconds that a request waits for a fetch at most, should `fetch` not keep to its time.
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
        wait: float = TIMEOUT + 0.5,
        start: Callable[[Callable[[], None]], None] = in_background,
    ) -> None:
        self._fetch = fetch
        self._clock = clock
        self._refresh = refresh
        self._max_stale = max_stale
        self._pause = pause
        self._wait = wait
        self._start = start
        self._changed = threading.Condition()
        self._keys: Mapping[str | None, SigningKey] = {}
        self._since: float | None = None
        self._tried: float | None = None
        self._in_flight = False
        self._failure = ""
        after_fork(self._forget_fetch)

    def _forget_fetch(self) -> None:
        self._changed = threading.Condition()
        if self._in_flight:
            self._in_flight, self._tried = False, None

    def key(self, kid: str | None) -> SigningKey | None:
        """The key of this `kid`, or None if the issuer has none.

        Raises:
            Unavailable: `keys_unavailable`: there are no keys, or they are older than `max_stale`; or none of this
                `kid`, and the issuer could not be asked whether it has a new one.
        """
        now = self._clock()
        keys = self._fresh(now, self._max_stale)
        if kid in keys:
            if not self._fresh(now, self._refresh):
                self._begin(now)
            return keys[kid]
        self._begin(now)
        failure = self.settle()
        keys = self._fresh(self._clock(), self._max_stale)
        if not keys or (kid not in keys and failure):
            again = 1 if self._tried is None else math.ceil(self._tried + self._pause - self._clock())
            raise Unavailable("keys_unavailable", failure or "no answer yet", retry_after=max(1, again))
        return keys.get(kid)

    def begin(self) -> None:
        """Fetches the keys aside, if there are none: for a start, before anybody asks for one."""
        now = self._clock()
        if not self._fresh(now, self._refresh):
            self._begin(now)

    def settle(self, most: float = math.inf) -> str:
        """Waits for a fetch that is under way, `most` seconds at most. Returns why the last one failed; empty if it did
        not."""
        with self._changed:
            is_over = self._changed.wait_for(lambda: not self._in_flight, min(most, self._wait))
            return self._failure or ("" if is_over else "no answer yet")

    def _fresh(self, now: float, limit: float) -> Mapping[str | None, SigningKey]:
        """The keys if they are not older than `limit`. A mapping is replaced, never changed: nobody needs the lock."""
        with self._changed:
            return {} if is_past(self._since, now, limit) else self._keys

    def _begin(self, now: float) -> None:
        with self._changed:
            if self._in_flight or not is_past(self._tried, now, self._pause):
                return
            self._in_flight, self._tried = True, now
        try:
            self._start(lambda: self._replace(now))
        except RuntimeError:  # no more threads
            self._end(None, now, "no thread could be started")

    def _replace(self, began: float) -> None:
        keys, failure = None, "the fetch of the key set failed"
        try:
            keys, failure = parse_key_set(self._fetch()), ""
        except BridgeError as error:
            failure = error.detail
        except Exception as error:
            failure = f"the fetch of the key set failed ({type(error).__name__})"
        finally:
            self._end(keys, began, failure)

    def _end(self, keys: Mapping[str | None, SigningKey] | None, began: float, failure: str) -> None:
        with self._changed:
            if keys is not None:
                self._keys, self._since = keys, began
            self._failure = failure
            self._in_flight = False
            self._changed.notify_all()


def _unavailable(sentence: str) -> Unavailable:
    return Unavailable("keys_unavailable", sentence)
