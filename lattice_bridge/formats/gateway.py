"""Fields that events of API Gateway and load balancers have, found in a request that came through Lattice.

Rule: nothing is invented. A field that cannot be found is empty, and docs/wire.md §4 lists all of them. Where a client
can write, only what Lattice is known to add behind it is believed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from ipaddress import ip_address
from time import gmtime
from typing import Final

from lattice_bridge.errors import BadRequest
from lattice_bridge.formats import event as parts
from lattice_bridge.http.headers import fold
from lattice_bridge.message import Pairs, Request

STAGE: Final = "$default"
"""A stage that is not part of the path. serverless-wsgi and Powertools remove any other stage from the path."""

PROTOCOL: Final = "HTTP/1.1"
"""Lattice's events do not contain the protocol of the client. No framework uses it."""

UNKNOWN_ADDRESS: Final = "0.0.0.0"  # noqa: S104 - nothing is bound to it
"""The address for "no address" (RFC 1122): frameworks parse this field."""

_LONGEST_ADDRESS: Final = 45
"""Characters of an IPv6 address that ends in an IPv4 address."""

_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_FOR, _PROTO, _PORT = "x-forwarded-for", "x-forwarded-proto", "x-forwarded-port"
_FORWARDED: Final = (_FOR, _PROTO, _PORT)
_PORT_NUMBER: Final = re.compile(r"[1-9][0-9]{0,4}")


# ---- the client and the host ----------------------------------------------------------------------------------------


def source_ip(request: Request) -> str:
    """The address that Lattice saw: the right-most in `x-forwarded-for`. A client can write those before it."""
    lines = [value for name, value in request.headers if name == _FOR]
    text = lines[-1].rpartition(",")[2].strip(" \t") if lines else ""
    return text if len(text) <= _LONGEST_ADDRESS and _is_address(text) else UNKNOWN_ADDRESS


@lru_cache(1024)
def _is_address(text: str) -> bool:
    """Whether a text is an IP address. Cached, as clients come again; bounded by `_LONGEST_ADDRESS` (trap D9)."""
    if "%" in text:  # a zone of IPv6, which `ip_address` accepts with any text
        return False
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def domain_name(request: Request) -> str:
    """The host of the request, without a port; empty if the event has none.

    Raises:
        BadRequest: there are two, which V1 joins by a comma: each framework would choose another one.
    """
    return _host_and_port(request)[0]


def user_agent(request: Request) -> str:
    """As sent; empty if there is none."""
    return ", ".join(value for name, value in request.headers if name == "user-agent")


def _host_and_port(request: Request) -> tuple[str, str]:
    host = request.header("host") or ""
    if "," in host:
        raise BadRequest("header_repeated", "header host has two values")
    name, colon, number = host.rpartition(":")
    is_port = colon and _PORT_NUMBER.fullmatch(number) and int(number) < 65536
    return (name, number) if is_port else (host, "")


def forwarded_headers(request: Request, headers: Pairs, scheme: parts.Scheme) -> Pairs:
    """The headers with `x-forwarded-*` as API Gateway and a load balancer write them: one line each.

    Lattice joins addresses with `,`, they with `, `, and frameworks split there. The port is the one in `host`, or the
    scheme's. A client's header whose name reads as one of these is dropped, so that CGI does not join it with ours.

    Args:
        request: as it came from Lattice.
        headers: those of its headers that are forwarded.
        scheme: of the listener. Lattice's events do not contain it, and a client's word is not believed.
    """
    others = [pair for pair in headers if fold(pair[0]) not in _FORWARDED]
    lines = (value for name, value in request.headers if name == _FOR)
    addresses = ", ".join(part.strip(" \t") for line in lines for part in line.split(","))
    port = _host_and_port(request)[1] or ("443" if scheme == "https" else "80")
    added = ((_FOR, addresses), (_PROTO, scheme), (_PORT, port))
    return (*others, *(pair for pair in added if pair[1]))


# ---- the path -------------------------------------------------------------------------------------------------------

_DECODED: Final = re.compile(r"[\x00-\x20\x7f?#]")
"""Characters that a path as sent cannot contain."""


def encoded_path(value: object) -> object:
    """A path that API Gateway decoded, as one that can have been sent.

    HTTP APIs are reported to decode it, and a request for `/a%20b` must not be refused. A `%` stays: whether it
    was sent as `%25` cannot be known.

    >>> encoded_path("/a b?c")
    '/a%20b%3Fc'
    """
    if not isinstance(value, str) or len(value) > parts.MAX_TARGET:
        return value
    return _DECODED.sub(lambda match: f"%{ord(match[0]):02X}", value)


# ---- the API, the time, the values of repeated names ----------------------------------------------------------------


def account(request: Request) -> str:
    """The account of the Lattice service; empty in a V1 event, which does not name the service."""
    return parts.arn_field(request.service_arn, 4)


def api_id(request: Request) -> str:
    """The API's id; for a Lattice event the service's, `svc-…`, or empty."""
    return request.api_id or parts.arn_field(request.service_arn, 5).rpartition("/")[2]


def log_time(microseconds: int) -> str:
    """The time as in access logs: `12/Mar/2020:19:03:58 +0000`. Not strftime, whose months depend on the locale.

    >>> log_time(1_584_039_838_000_000)
    '12/Mar/2020:19:03:58 +0000'
    """
    at = gmtime(microseconds // 1_000_000)
    return f"{at.tm_mday:02}/{_MONTHS[at.tm_mon - 1]}/{at.tm_year}:{at.tm_hour:02}:{at.tm_min:02}:{at.tm_sec:02} +0000"


def values_of(single: object, multi: object, field: str, faults: parts.Faults) -> object:
    """The map to read, of a map with one value for each name and a map with all of them.

    If an event has both, they must agree: a reader of one would otherwise see another value than a reader of the other.
    AWS's examples have now the first of several values in the single map and now the last.
    """
    if multi is None or single is None:
        return single if multi is None else multi
    if not isinstance(single, Mapping) or not isinstance(multi, Mapping):
        faults.add("malformed_event", f"{field} is not an object")
        return None
    lists = {name: values if isinstance(values, list) else [values] for name, values in multi.items()}
    if single.keys() != lists.keys() or not all(single[name] in values for name, values in lists.items()):
        faults.add("malformed_event", f"{field} has other values than its multi-value map")
    return multi
