"""Header names that have a meaning for the bridge, and the grammar of names and values.

Rule: nothing here interprets a value. Names are compared folded: ASCII lower case, `_` and other punctuation read as
`-`, since servers behind a proxy may read them so (oauth2-proxy CVE-2025-64484).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from lattice_bridge.http.memory import Memory

LATTICE_PREFIX: Final = "x-amzn-lattice-"
IDENTITY: Final = "x-amzn-lattice-identity"
NETWORK: Final = "x-amzn-lattice-network"

REQUEST_ID: Final = "x-request-id"
HOPS: Final = "x-lattice-bridge-hops"

TENANT_NAMES: Final = frozenset({"x-tenant-id", "x-amz-tenant-id", "x-amzn-tenant-id"})
"""Headers from which backends are known to read a tenant. The last one is a typo in AWS's documentation, which some
code will have copied."""

CREDENTIALS: Final = frozenset({"authorization", "x-amz-security-token"})

QUERY_CREDENTIALS: Final = frozenset({"x-amz-credential", "x-amz-security-token", "x-amz-signature"})
"""Query parameters of a presigned URL that prove who the caller is (trap A15), folded. `X-Amz-Date` and the other
parameters are not secret."""

HOP_BY_HOP: Final = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
"""Headers that describe one connection (RFC 9110 §7.6.1). They are never forwarded."""

SINGLE: Final = frozenset(
    {
        "age",
        "content-location",
        "content-range",
        "content-type",
        "date",
        "etag",
        "expires",
        "last-modified",
        "location",
        "retry-after",
    }
)
"""Response headers that RFC 9110 defines as one value: two different values cannot be joined."""

_OTHER_MEANING: Final = frozenset(
    {
        *("accept", "accept-encoding", "content-encoding", "content-length", "content-type", "cookie", "host", "range"),
        *("user-agent", HOPS, REQUEST_ID, *CREDENTIALS, *HOP_BY_HOP),
    }
)
_OTHER_PREFIXES: Final = ("x-amz", "x-forwarded-", "sec-")

_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_LOWER: Final = str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ", "abcdefghijklmnopqrstuvwxyz")
_CONTROL: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_UNSENDABLE: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\ud800-\udfff]")
_NOT_PLAIN: Final = re.compile(r"[^a-z0-9-]")


def is_token(name: str) -> bool:
    """Whether `name` can be a header name or a method: a token of RFC 9110, which is ASCII."""
    return _TOKEN.fullmatch(name) is not None


def lower(text: str) -> str:
    """ASCII lower case. `str.lower` maps the Kelvin sign to `k`, which would make two names equal.

    >>> lower("X-Tenant-Id")
    'x-tenant-id'
    """
    return text.lower() if text.isascii() else text.translate(_LOWER)


def may_be_presigned(raw_query: str) -> bool:
    """Whether a query may have a parameter of a presigned URL. Without `amz` and escapes, it need not be parsed.

    >>> may_be_presigned("id=7"), may_be_presigned("X-Amz-Date=1"), may_be_presigned("x%2Damz-date=1")
    (False, True, True)
    """
    return "%" in raw_query or "amz" in lower(raw_query)


def fold(name: str) -> str:
    """The name as a careless reader sees it: CGI and WSGI read `-` as `_`, and PHP also reads `.` as `_`.

    >>> fold("X_Tenant.Id")
    'x-tenant-id'
    """
    found = FOLDED_NAMES.get(name)
    if found is None:
        found = _NOT_PLAIN.sub("-", lower(name))
        FOLDED_NAMES.keep(name, found, len(name))
    return found


def lower_token(name: str) -> str | None:
    """The name in lower case; None if it is not a header name."""
    found = LOWER_NAMES.get(name)
    if found is None and is_token(name):
        found = lower(name)
        LOWER_NAMES.keep(name, found, len(name))
    return found


# Requests use the same header names again and again.
FOLDED_NAMES: Final = Memory[str, str](entries=1024, characters=64)
LOWER_NAMES: Final = Memory[str, str](entries=1024, characters=64)


# ---- all headers of a message ---------------------------------------------------------------------------------------

REMEMBERED_NAMES: Final = 2048
"""Characters of a list of names that is remembered. Clients and frameworks send the same names in the same order."""


class HeaderNames(NamedTuple):
    """What the names of a message's headers give, whatever their values are.

    Attributes:
        lower: in ASCII lower case, in order.
        characters: of all of them.
        are_distinct: none occurs twice, in whatever case.
        has_lattice: one is `x-amzn-lattice-*`.
    """

    lower: tuple[str, ...]
    characters: int
    are_distinct: bool
    has_lattice: bool


HEADER_NAMES: Final = Memory[tuple[str, ...], HeaderNames](entries=512, characters=REMEMBERED_NAMES)


def header_names(given: tuple[str, ...]) -> HeaderNames | None:
    """What the names give, in the order and in the case of the message; None if one of them is not a header name."""
    found = HEADER_NAMES.get(given)
    if found is None:
        if not all(isinstance(name, str) and is_token(name) for name in given):
            return None
        lowered, characters = tuple(map(lower, given)), sum(map(len, given))
        has_lattice = any(name.startswith(LATTICE_PREFIX) for name in lowered)
        found = HeaderNames(lowered, characters, len(set(lowered)) == len(lowered), has_lattice)
        HEADER_NAMES.keep(given, found, characters)
    return found


def plain_values(headers: Mapping[str, Any], limit: int) -> list[str] | None:
    """The value of each header, in order, if no value needs a decision.

    Most messages are so: each value is one string of printable ASCII, alone or as the only one of a list. All are
    checked together. The values of other messages are for the caller to read one by one, so that it finds the fault,
    and the header that has it.

    Args:
        headers: names with values of any type.
        limit: characters that all values together may have.

    >>> plain_values({"Accept": "*/*", "X-Id": ["7"]}, 100)
    ['*/*', '7']
    >>> plain_values({"X-Id": ["7", "8"]}, 100), plain_values({"X-Id": "\\t"}, 100), plain_values({"X-Id": "7"}, 0)
    (None, None, None)
    """
    values = [entry[0] if isinstance(entry, list) and len(entry) == 1 else entry for entry in headers.values()]
    try:
        together = "".join(values)
    except TypeError:
        return None
    is_plain = len(together) <= limit and together.isascii() and not together.encode().translate(None, _PRINTABLE)
    return values if is_plain else None


_PRINTABLE: Final = bytes(range(0x20, 0x7F))
"""Deleting these and seeing what is left takes a fifth of the time of a pattern, or of `str.isprintable`."""


# ---- one name or value ----------------------------------------------------------------------------------------------


def has_other_meaning(name: str) -> bool:
    """Whether a header name, in lower case, already has a meaning, and so cannot carry the tenant or a token."""
    return name in _OTHER_MEANING or (name.startswith(_OTHER_PREFIXES) and name not in TENANT_NAMES)


def is_clean(value: str) -> bool:
    """Whether a request's header value is free of control characters; a tab is allowed."""
    return _CONTROL.search(value) is None


def is_sendable(value: str) -> bool:
    """Whether a value can be written to the wire: no control characters, no lone surrogates."""
    return _UNSENDABLE.search(value) is None
