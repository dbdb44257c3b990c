"""What a backend is told, before it is put into a format; and which headers it is told.

Rule: what the backend reads as ours is ours. Every spelling of a reserved header is dropped, then ours is set. The
caller's credentials stay here, in headers as in the query.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Final

from lattice_bridge.config.options import Scheme
from lattice_bridge.errors import BadRequest, LoopDetected
from lattice_bridge.formats.assumptions import FORWARDED_SCHEME
from lattice_bridge.http import headers as names
from lattice_bridge.message import Pairs, Request, parse_query

MAX_HOPS: Final = 4

_HOPS: Final = re.compile(r"[0-9]{1,2}")


@dataclass(frozen=True, slots=True)
class Forwarded:
    """A request on its way to a backend.

    Attributes:
        request: as it came, less `secrets` in its query. They still are in its `event`.
        tenant: that was decided on, also in `ours`; None for an event that is only put into another format.
        request_id: Lattice's, or Lambda's; also in `ours`.
        ours: headers that the bridge sets, by name.
        reserved: header names, folded, that no client may write.
        secrets: names of query parameters, folded, that stay here.
        keep: credentials that are passed on all the same.
        now: seconds since 1970, for formats that tell the time when Lattice does not.
        scheme: `https` or `http`, for formats that tell it: Lattice does not, and a client's word is a client's.
    """

    request: Request
    tenant: str | None
    request_id: str
    ours: Mapping[str, str]
    reserved: frozenset[str]
    secrets: frozenset[str] = frozenset()
    keep: frozenset[str] = frozenset()
    now: float = 0.0
    scheme: Scheme = FORWARDED_SCHEME

    def passes(self, name: str) -> bool:
        """Whether a client's header goes on, by its name as the event spells it.

        On V1 the `x-amzn-lattice-*` headers are Lattice's own word, spelled so; all others can only be a client's.
        """
        folded, lowered = names.fold(name), names.lower(name)
        if folded.startswith(names.LATTICE_PREFIX):
            return self.request.version == 1 and folded == lowered
        return folded not in self.reserved or lowered in self.keep

    def passes_in_query(self, name: str) -> bool:
        """Whether a query parameter goes on, by its name: as it is, and decoded once."""
        read = [name, *(decoded for decoded, _ in parse_query(name))] if "%" in name else [name]
        return not any(names.fold(one) in self.secrets for one in read)

    def query(self, raw: str) -> str:
        """The parameters of a raw query string that go on. They keep their bytes."""
        if "%" not in raw and "amz" not in names.lower(raw):  # nothing to decode, nothing to leave out
            return raw
        parts = raw.split("&")
        kept = [part for part in parts if all(self.passes_in_query(name) for name, _ in parse_query(part))]
        return raw if len(kept) == len(parts) else "&".join(kept)

    def headers(self) -> Pairs:
        """The client's headers that go on, in order, then ours."""
        return (*(pair for pair in self.request.headers if self.passes(pair[0])), *self.ours.items())


Dialect = Callable[[Forwarded], dict[str, Any]]
"""A format: what the backend receives, with the body as `request.content` has it under `body`."""


def forward(
    request: Request,
    *,
    tenant: str,
    tenant_header: str,
    request_id: str,
    keep: frozenset[str],
    credentials: frozenset[str],
    now: float,
    scheme: Scheme,
) -> Forwarded:
    """The request without credentials in its query, with the decided tenant, its id, and how often it has passed the
    bridge.

    Raises:
        LoopDetected: the request has passed the bridge too often.
        BadRequest: its count of passes is not a number.
    """
    ours = {names.REQUEST_ID: request_id, names.HOPS: str(_hops(request) + 1), tenant_header: tenant}
    reserved = _reserved(tenant_header, credentials)
    found = Forwarded(request, tenant, request_id, ours, reserved, names.QUERY_CREDENTIALS, keep, now, scheme)
    raw_query = found.query(request.raw_query)
    return found if raw_query == request.raw_query else replace(found, request=replace(request, raw_query=raw_query))


@lru_cache(16)
def _reserved(tenant_header: str, credentials: frozenset[str]) -> frozenset[str]:
    """What no client may write: our own names, whatever reads as the tenant's, credentials, and hop-by-hop headers."""
    ours = {names.REQUEST_ID, names.HOPS, tenant_header}
    return names.TENANT_NAMES.union(ours, names.CREDENTIALS, credentials, names.HOP_BY_HOP)


def _hops(request: Request) -> int:
    """How often the request has passed the bridge: a function behind it may call the service it is behind."""
    value = request.header(names.HOPS)
    if value is None:
        return 0
    if _HOPS.fullmatch(value) is None:
        raise BadRequest("malformed_header", f"header {names.HOPS} is not a count")
    if int(value) >= MAX_HOPS:
        raise LoopDetected("loop", f"the request has passed the bridge {value} times")
    return int(value)
