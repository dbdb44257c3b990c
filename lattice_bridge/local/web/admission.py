"""Admits or refuses HTTP requests for the stack's servers, by their address and by the web page that sent them.

Rule: only requests of this machine are admitted. A web page can make a browser connect to a loopback port, also under
the page's own host name if its DNS record points here (DNS rebinding). It cannot choose the headers Host, Origin and
Sec-Fetch-Site.
Sources: RFC 9112 §3.2 (request target and Host), RFC 9110 §7.2 (Host), RFC 6454 §7 (Origin), W3C Fetch Metadata.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import Final

from lattice_bridge.local.web.printable import printable

Headers = Sequence[tuple[str, str]]

_ADMITTING: Final = frozenset({b"host", b"origin", b"sec-fetch-site"})
"""The headers that an admission depends on."""

_AUTHORITY: Final = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::[0-9]{0,5})?")
"""`host[:port]`. Of RFC 3986's registered names, those that DNS and `/etc/hosts` can contain."""
_ABSOLUTE: Final = re.compile(r"https?://(?P<authority>[^/?#]*)(?P<rest>.*)", re.IGNORECASE | re.DOTALL)
_ORIGIN: Final = re.compile(r"https?://(?P<authority>.*)", re.DOTALL)
_OWN_SITES: Final = ("same-origin", "same-site", "none")
_LOOPBACK_NAMES: Final = "localhost, *.localhost, 127.0.0.0/8, [::1]"
_SHOWN: Final = 200
_LONGEST_ADDRESS: Final = 64


class Refused(Exception):
    """A request that is not served.

    Attributes:
        status: of the response. The message is its text.
        cause: the text for the stack's log.
        reason: a short code for the stack's log.
    """

    def __init__(self, status: int, message: str, cause: str | None = None, *, reason: str = "not_served") -> None:
        super().__init__(message)
        self.status = status
        self.cause = message if cause is None else cause
        self.reason = reason

    @property
    def body(self) -> bytes:
        """The body of the response."""
        return f"{self}\n".encode()

    @property
    def headers(self) -> Headers:
        """The headers of the response that describe the body, names in lower case."""
        return [("content-type", "text/plain; charset=utf-8")]


@dataclass(slots=True)
class Address:
    """The address of a request.

    Attributes:
        target: path and query as sent, or `*`.
        authority: `host[:port]` as sent.
        host: without the port and a dot at its end, in lower case.
    """

    target: str
    authority: str
    host: str


def admit(method: str, target: str, headers: Sequence[tuple[bytes, bytes]], own_names: Collection[str]) -> Address:
    """Admits a request, and reads its address.

    Args:
        method: as sent.
        target: as sent.
        headers: all; names in lower case.
        own_names: further host names that are admitted, in lower case.

    Raises:
        Refused: 400, the target or the Host header is malformed; 403, it is not for this machine, or a page of another
            site sent it.
    """
    deciding = [pair for pair in headers if pair[0] in _ADMITTING]
    if len(deciding) == 1 and method != "CONNECT" and target.startswith("/") and "#" not in target:
        (name, value), *_ = deciding  # as a tool sends it: the checks below pass if Host is a name of this machine
        if name == b"host" and (host := _loopback_host(value)):
            return Address(target, value.decode("latin-1"), host)
    decoded = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in deciding]
    address = address_of(method, target, decoded)
    check_admitted(address, decoded, own_names)
    return address


def _loopback_host(authority: bytes) -> str | None:
    """The host of a Host header, if it is this machine and short; None for any other."""
    return _known_loopback_host(authority) if len(authority) <= _LONGEST_ADDRESS else None


@lru_cache(256)
def _known_loopback_host(authority: bytes) -> str | None:
    """All requests of a client name the same host, so it is checked once."""
    host = _host_of(authority.decode("latin-1"))
    return host if host and _is_own(host, ()) else None


def address_of(method: str, target: str, headers: Headers) -> Address:
    """Reads the address of a request. Its target may have any form of RFC 9112.

    Args:
        method: as sent.
        target: as sent.
        headers: those that an admission depends on, or all; names in lower case.

    Raises:
        Refused: 400, the target or the Host header is malformed.
    """
    if method == "CONNECT":
        raise Refused(400, "Bad Request: CONNECT: this server is not a proxy. Fix: send another method")
    hosts = [value for name, value in headers if name == "host"]
    if len(hosts) != 1:  # without it, a page of another site looks like a tool
        raise Refused(400, f"Bad Request: the Host header occurs {len(hosts)} times. Fix: send it once")
    authority = hosts[0]
    if "#" in target:
        raise Refused(400, "Bad Request: a fragment (#) in the request target. Fix: send the target without it")
    if target.startswith("/"):
        pass
    elif absolute := _ABSOLUTE.fullmatch(target):
        authority = absolute["authority"]  # it replaces Host: RFC 9112 §3.2.2
        rest = absolute["rest"]
        target = rest if rest.startswith("/") else "*" if method == "OPTIONS" and not rest else f"/{rest}"
    elif (target, method) != ("*", "OPTIONS"):
        raise Refused(
            400,
            f"Bad Request: {method} {quoted(target)}: the request target is neither a path nor an http URL. "
            "Fix: send a path, which begins with /; * is for OPTIONS only",
        )
    host = _host_of(authority)
    if host is None:
        raise Refused(400, f"Bad Request: Host {quoted(authority)} is malformed. Fix: send NAME or NAME:PORT")
    return Address(target, authority, host)


def check_admitted(address: Address, headers: Headers, own_names: Collection[str]) -> None:
    """Checks that a request is for this machine, and that no page of another site sent it.

    Args:
        address: of the request.
        headers: those of the request that an admission depends on, or all; names in lower case.
        own_names: further host names that are admitted, in lower case.

    Raises:
        Refused: 403.
    """
    if not _is_own(address.host, own_names):
        raise Refused(
            403,
            f"Forbidden: Host {quoted(address.authority)} is not a name of this server. "
            f"It admits {', '.join([_LOOPBACK_NAMES, *sorted(own_names)])}. Fix: use one of them"
            + (", or set it as the CustomDomainName of a service in the template" if own_names else ""),
        )
    if len(headers) == 1 and headers[0][0] == "host":
        return  # no browser sent it
    for origin in [value for name, value in headers if name == "origin"]:
        match = _ORIGIN.fullmatch(origin)
        host = _host_of(match["authority"]) if match else None
        if host is None or not _is_own(host, own_names):
            raise Refused(
                403,
                f"Forbidden: Origin {quoted(origin)}: a page of another site may not use this stack. "
                "Fix: serve the page from localhost, or send the request without a browser",
            )
    for site in [value for name, value in headers if name == "sec-fetch-site"]:
        if site not in _OWN_SITES:
            raise Refused(
                403,
                f"Forbidden: Sec-Fetch-Site {quoted(site)}: a page of another site may not use this stack. Fix: serve "
                "the page from the host name that it sends requests to (localhost and 127.0.0.1 are two sites)",
            )


def refusal_line(request: str, refusal: Refused) -> str:
    """Describes a refused request in one line for the log, without control characters, and without the query.

    Args:
        request: method and target, as far as they are known. A query may contain credentials.
        refusal: with its status and cause.
    """
    request = request.partition("?")[0]
    shown = request if len(request) <= _SHOWN else f"{request[:_SHOWN]}…"
    return printable(f"{shown}: {refusal.status}: {refusal.cause}")


def quoted(value: str) -> str:
    """Quotes a client's value for a message: shortened, and without control characters."""
    return ascii(value if len(value) <= _SHOWN else f"{value[:_SHOWN]}...")


def _host_of(authority: str) -> str | None:
    match = _AUTHORITY.fullmatch(authority)
    return match["host"].lower().removesuffix(".") if match else None


def _is_own(host: str, own_names: Collection[str]) -> bool:
    if host in own_names or host == "localhost" or host.endswith(".localhost"):
        return True
    return len(host) <= _LONGEST_ADDRESS and _is_loopback_address(host)


@lru_cache(256)
def _is_loopback_address(host: str) -> bool:
    try:
        if host.startswith("["):
            return IPv6Address(host[1:-1]) == IPv6Address("::1")
        return IPv4Address(host).is_loopback
    except AddressValueError:
        return False
