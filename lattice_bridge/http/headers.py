"""Header names that have a meaning for the bridge, and the grammar of names and values.

Rule: nothing here interprets a value. Names are compared folded: ASCII lower case, `_` and other punctuation read as
`-`, since servers behind a proxy may read them so (oauth2-proxy CVE-2025-64484).
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

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


def fold(name: str) -> str:
    """The name as a careless reader sees it: CGI and WSGI read `-` as `_`, and PHP also reads `.` as `_`.

    >>> fold("X_Tenant.Id")
    'x-tenant-id'
    """
    return _cached_fold(name) if len(name) <= _CACHED_LENGTH else _fold(name)


def lower_token(name: str) -> str | None:
    """The name in lower case; None if it is not a header name."""
    return _cached_lower_token(name) if len(name) <= _CACHED_LENGTH else _lower_token(name)


def _fold(name: str) -> str:
    return _NOT_PLAIN.sub("-", lower(name))


def _lower_token(name: str) -> str | None:
    return lower(name) if is_token(name) else None


# Requests use the same header names again and again. The caches are bounded in entries and in length of a name.
_CACHED_LENGTH: Final = 64
_cached_fold = lru_cache(1024)(_fold)
_cached_lower_token = lru_cache(1024)(_lower_token)


def has_other_meaning(name: str) -> bool:
    """Whether a header name, in lower case, already has a meaning, and so cannot carry the tenant or a token."""
    return name in _OTHER_MEANING or (name.startswith(_OTHER_PREFIXES) and name not in TENANT_NAMES)


def is_clean(value: str) -> bool:
    """Whether a request's header value is free of control characters; a tab is allowed."""
    return _CONTROL.search(value) is None


def is_sendable(value: str) -> bool:
    """Whether a value can be written to the wire: no control characters, no lone surrogates."""
    return _UNSENDABLE.search(value) is None
