"""bridge.toml and the environment -> settings, checked once.

Rule: everything that can be wrong with a configuration is found here, at start, and all of it at once.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import Field

from lattice_bridge.assumptions import SET_COOKIE
from lattice_bridge.backend import DEFAULT_TIMEOUT, Backend
from lattice_bridge.document import parse_document
from lattice_bridge.errors import InvalidMap
from lattice_bridge.lint import Finding
from lattice_bridge.map_file import ELSEWHERE
from lattice_bridge.place import FUNCTION_VARIABLE, Place
from lattice_bridge.reply import SetCookie
from lattice_bridge.shape import Table, fit, fit_each
from lattice_bridge.tenant_map import HERE, TenantMap

# Lambda's NamespacedFunctionName (botocore's service model): a name, a partial ARN or an ARN, each with a qualifier.
_FUNCTION: Final = re.compile(
    r"(arn:(aws[a-zA-Z-]*):lambda:)?([a-z]{2,4}(-[a-z]+)+-[0-9]:)?([0-9]{12}:)?(function:)?[a-zA-Z0-9_-]{1,64}"
    r"(:(\$LATEST|[a-zA-Z0-9_-]{1,128}))?"
)
_SERVICE: Final = re.compile(r"arn:aws(-[a-z]+)*:vpc-lattice:[a-z0-9-]+:[0-9]{12}:service/svc-[0-9a-z]+")
NO_RULE: Final = "no [[rule]]: nobody could get in; a file that was cut off, or emptied?"
_SEGMENT: Final = r"[!-)+-.0->@-~]+"  # visible ASCII without / ? and *
_PATH: Final = re.compile(rf"/({_SEGMENT}(/{_SEGMENT})*)?")


class BackendTable(Table):
    """One `[[backend]]`. `timeout` is seconds."""

    path: str = "/"
    function: str
    isolated: bool = True
    payload: Literal["lattice"] = "lattice"
    invocation: Literal["sync", "async"] = "sync"
    timeout: float = Field(default=DEFAULT_TIMEOUT, ge=0.25, le=900)
    keep_headers: tuple[Literal["authorization", "x-amz-security-token"], ...] = Field(default=(), strict=False)


class TopTable(Table):
    """Keys that stand before all tables."""

    invoker: Literal["direct", "boto3"] = "direct"


class LatticeTable(Table):
    """`[lattice]`: which events are taken, and how replies are written."""

    services: tuple[str, ...] = Field(default=(), strict=False)
    set_cookie: Literal["cookies", "headers"] = SET_COOKIE


class FollowTable(Table):
    """`[map]`: how a configuration is kept up with. `refresh` is the seconds between two looks at its source."""

    refresh: float = Field(default=60, ge=5, le=86400)


@dataclass(frozen=True, slots=True)
class Written:
    """The tables of a configuration that are no map's, by their shape."""

    top: TopTable
    lattice: LatticeTable
    follow: FollowTable
    backends: list[BackendTable]

    @classmethod
    def read(cls, tables: Mapping[str, Any], faults: list[str]) -> Written:
        """What fits; what does not is added to `faults`."""
        keys = {key: tables[key] for key in TopTable.model_fields if key in tables}
        return cls(
            fit(TopTable, keys, "bridge.toml", faults) or TopTable(),
            fit(LatticeTable, tables.get("lattice", {}), "lattice", faults) or LatticeTable(),
            fit(FollowTable, tables.get("map", {}), "map", faults) or FollowTable(),
            fit_each(BackendTable, tables.get("backend", []), "backend", faults),
        )


@dataclass(frozen=True, slots=True)
class Settings:
    """A bridge's whole configuration.

    Attributes:
        tenant_map: who may run as which tenant.
        backends: at least one.
        services: ARNs of the Lattice services events may come from; empty for any.
        set_cookie: where a reply carries cookies.
        refresh: seconds between two looks at where the configuration came from.
        invoker: how functions are invoked: signed and sent here, or by boto3.
    """

    tenant_map: TenantMap
    backends: tuple[Backend, ...]
    services: frozenset[str] = frozenset()
    set_cookie: SetCookie = SET_COOKIE
    refresh: float = FollowTable().refresh
    invoker: Literal["direct", "boto3"] = "direct"

    @classmethod
    def load(cls, environ: Mapping[str, str]) -> Settings:
        """From where the environment says, once.

        Raises:
            InvalidMap: with every fault found.
            Unavailable: it is not there, or cannot be read.
        """
        place = Place.of(environ)
        return cls.from_text(place.read(), function=place.function, folder=place.folder, region=place.region)

    @classmethod
    def from_text(
        cls,
        text: str,
        *,
        function: str | None = None,
        folder: Path = HERE,
        previous: TenantMap | None = None,
        region: str | None = None,
    ) -> Settings:
        """From the text of a configuration.

        Args:
            text: TOML, or what `lattice-bridge compile` made of it.
            function: replaces the function of the backend with path `/`, which is added if there is none.
            folder: what a `jwks_file` is relative to.
            previous: the map that this configuration's replaces.
            region: of a registry; boto3's own if None.

        Raises:
            InvalidMap: with every fault found, of the settings and of the map.
        """
        document, faults = parse_document(text), list[str]()
        written = Written.read(document.tables, faults)
        backends = _backends(written.backends, function)
        faults += _faults(backends, written.lattice.services, any_written="backend" in document.tables)
        try:
            tenant_map = TenantMap.from_document(document, folder, previous=previous, region=region)
        except InvalidMap as error:
            raise InvalidMap([*faults, *error.faults]) from error
        if not (tenant_map.rules.owners or tenant_map.rules.denials):
            faults.append(NO_RULE)
        if faults:
            raise InvalidMap(faults)
        services, set_cookie = frozenset(written.lattice.services), written.lattice.set_cookie
        return cls(tenant_map, tuple(backends), services, set_cookie, written.follow.refresh, written.top.invoker)

    @staticmethod
    def findings(text: str, folder: Path = HERE) -> list[Finding]:
        """As `TenantMap.findings`, with what is wrong with the rest of the file. A map may stand alone: a file that has
        none of the other tables is not asked for a backend."""
        found = TenantMap.findings(text, folder)
        try:
            document = parse_document(text)
        except InvalidMap:
            return found
        faults: list[str] = []
        written = Written.read(document.tables, faults)
        if ELSEWHERE & set(document.tables):
            faults += _faults(_backends(written.backends), written.lattice.services, any_written=True)
            faults += [] if document.compiled or document.tables.get("rule") else [NO_RULE]
        return [*(Finding("error", None, fault) for fault in faults), *found]


def _backends(tables: list[BackendTable], function: str | None = None) -> list[Backend]:
    backends = [Backend(**_fields(table)) for table in tables]
    if not function:
        return backends
    if not any(backend.path == "/" for backend in backends):
        backends.append(Backend("/", function))
    return [replace(backend, function=function) if backend.path == "/" else backend for backend in backends]


def _fields(table: BackendTable) -> dict[str, Any]:
    return {**table.model_dump(), "keep_headers": frozenset(table.keep_headers)}


def _faults(backends: list[Backend], services: Iterable[str], *, any_written: bool) -> Iterator[str]:
    if not backends and not any_written:
        yield f'no [[backend]]; write one with function = "…", or set {FUNCTION_VARIABLE}'
    seen: set[str] = set()
    for backend in backends:
        place = f'backend "{backend.path}"'
        if _PATH.fullmatch(backend.path) is None or {".", ".."} & set(backend.path.split("/")):
            yield f"{place}: path starts with / and is whole segments, as in /orders: no / at its end, no *, ?, . or .."
        if backend.path in seen:
            yield f"{place}: another backend has this path"
        seen.add(backend.path)
        if _FUNCTION.fullmatch(backend.function) is None:
            yield f'{place}: function "{backend.function}" is not a Lambda function name or ARN'
    for service in services:
        if _SERVICE.fullmatch(service) is None:
            yield f'lattice: services: "{service}" is not the ARN of a VPC Lattice service'
