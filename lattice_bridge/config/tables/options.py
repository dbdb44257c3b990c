"""The tables of bridge.toml that are no map's: what they may say, what is wrong with them, and the Options they become.

Rule: all of it at once, and at start.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, Literal

from pydantic import Field

from lattice_bridge.config.backend import DEFAULT_TIMEOUT, Backend, Invocation, function_fault
from lattice_bridge.config.options import DEFAULT_REFRESH, Options
from lattice_bridge.config.tables.shape import Table, fit, fit_each
from lattice_bridge.formats.assumptions import FORWARDED_SCHEME, SET_COOKIE
from lattice_bridge.formats.event import Payload, Scheme
from lattice_bridge.http import headers as names

_SERVICE: Final = re.compile(r"arn:aws(-[a-z]+)*:vpc-lattice:[a-z0-9-]+:[0-9]{12}:service/svc-[0-9a-z]+")
_SEGMENT: Final = r"[!-)+-.0->@-~]+"  # visible ASCII without / ? and *
_PATH: Final = re.compile(rf"/({_SEGMENT}(/{_SEGMENT})*)?")


class BackendTable(Table):
    """One `[[backend]]`. `timeout` is seconds."""

    path: str = "/"
    function: str
    isolated: bool = True
    payload: Payload = "lattice"
    invocation: Invocation = "sync"
    timeout: float = Field(default=DEFAULT_TIMEOUT, ge=0.25, le=900)
    keep_headers: tuple[Literal["authorization", "x-amz-security-token"], ...] = Field(default=(), strict=False)


class LatticeTable(Table):
    """`[lattice]`: which events are taken, and how replies are written."""

    services: tuple[str, ...] = Field(default=(), strict=False)
    set_cookie: Literal["cookies", "headers"] = SET_COOKIE
    scheme: Scheme = FORWARDED_SCHEME


class ReplyTable(Table):
    """`[reply]`: what of a backend's reply does not reach the caller."""

    drop_headers: tuple[str, ...] = Field(default=(), strict=False)


class TopTable(Table):
    """What stands at the top, outside of any table."""

    invoker: Literal["direct", "boto3"] = "direct"


class FollowTable(Table):
    """`[map]`: how a configuration is kept up with. `refresh` is the seconds between two looks at its source."""

    refresh: float = Field(default=DEFAULT_REFRESH, ge=5, le=86400)


def read_options(tables: Mapping[str, Any], faults: list[str]) -> Options:
    """What the tables come to, with what is wrong with them added to `faults`."""
    lattice = fit(LatticeTable, tables.get("lattice", {}), "lattice", faults) or LatticeTable()
    reply = fit(ReplyTable, tables.get("reply", {}), "reply", faults) or ReplyTable()
    follow = fit(FollowTable, tables.get("map", {}), "map", faults) or FollowTable()
    named = {key: tables[key] for key in TopTable.model_fields if key in tables}
    top = fit(TopTable, named, "bridge.toml", faults) or TopTable()
    written = fit_each(BackendTable, tables.get("backend", []), "backend", faults)
    backends = tuple(
        Backend(**{**table.model_dump(), "keep_headers": frozenset(table.keep_headers)}) for table in written
    )
    faults += [
        *_backend_faults(backends),
        *_service_faults(lattice.services),
        *_drop_headers_faults(reply.drop_headers),
    ]
    return Options(
        backends=backends,
        services=frozenset(lattice.services),
        set_cookie=lattice.set_cookie,
        drop_headers=frozenset(map(names.lower, reply.drop_headers)),
        scheme=lattice.scheme,
        refresh=follow.refresh,
        invoker=top.invoker,
    )


def _backend_faults(backends: Iterable[Backend]) -> Iterator[str]:
    seen: set[str] = set()
    for backend in backends:
        place = f'backend "{backend.path}"'
        if _PATH.fullmatch(backend.path) is None or {".", ".."} & set(backend.path.split("/")):
            yield f"{place}: path starts with / and is whole segments, as in /orders: no / at its end, no *, ?, . or .."
        if backend.path in seen:
            yield f"{place}: another backend has this path"
        seen.add(backend.path)
        if fault := function_fault(backend.function):
            yield f"{place}: {fault}"


def _service_faults(services: Iterable[str]) -> Iterator[str]:
    yield from (fault for service in services if (fault := service_fault(service)) is not None)


def service_fault(arn: str) -> str | None:
    """What is wrong with an entry of `[lattice] services`, if anything."""
    is_arn = _SERVICE.fullmatch(arn) is not None
    return None if is_arn else f'lattice: services: "{arn}" is not the ARN of a VPC Lattice service'


def _drop_headers_faults(dropped: Iterable[str]) -> Iterator[str]:
    for name in dropped:
        if not names.is_token(name):
            yield f'reply: drop_headers: "{name}" is not a header name. Fix: write one, such as set-cookie'
        elif names.lower(name) == "content-type":
            yield 'reply: drop_headers: a browser guesses the type without "content-type". Fix: leave it out'
