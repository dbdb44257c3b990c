"""bridge.toml and the environment -> settings, checked once.

Rule: everything that can be wrong with a configuration is found here, at start, and all of it at once.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import Field

from lattice_bridge.assumptions import SET_COOKIE
from lattice_bridge.backend import DEFAULT_TIMEOUT, Backend
from lattice_bridge.errors import InvalidMap
from lattice_bridge.reply import SetCookie
from lattice_bridge.shape import Table, fit, fit_each, parse_toml, read_text
from lattice_bridge.tenant_map import HERE, TenantMap

CONFIG_VARIABLE: Final = "LATTICE_BRIDGE_CONFIG"
FUNCTION_VARIABLE: Final = "LATTICE_BRIDGE_FUNCTION"

# Lambda's NamespacedFunctionName (botocore's service model): a name, a partial ARN or an ARN, each with a qualifier.
_FUNCTION: Final = re.compile(
    r"(arn:(aws[a-zA-Z-]*):lambda:)?([a-z]{2,4}(-[a-z]+)+-[0-9]:)?([0-9]{12}:)?(function:)?[a-zA-Z0-9_-]{1,64}"
    r"(:(\$LATEST|[a-zA-Z0-9_-]{1,128}))?"
)
_SERVICE: Final = re.compile(r"arn:aws(-[a-z]+)*:vpc-lattice:[a-z0-9-]+:[0-9]{12}:service/svc-[0-9a-z]+")
_SEGMENT: Final = r"[!-)+-.0->@-~]+"  # visible ASCII without / ? and *
_PATH: Final = re.compile(rf"/({_SEGMENT}(/{_SEGMENT})*)?")


class _Backend(Table):
    path: str = "/"
    function: str
    isolated: bool = True
    payload: Literal["lattice"] = "lattice"
    invocation: Literal["sync", "async"] = "sync"
    timeout: float = Field(default=DEFAULT_TIMEOUT, ge=0.25, le=900)
    keep_headers: tuple[Literal["authorization", "x-amz-security-token"], ...] = Field(default=(), strict=False)


class _Top(Table):
    invoker: Literal["direct", "boto3"] = "direct"


class _Lattice(Table):
    services: tuple[str, ...] = Field(default=(), strict=False)
    set_cookie: Literal["cookies", "headers"] = SET_COOKIE


@dataclass(frozen=True, slots=True)
class Settings:
    """A bridge's whole configuration.

    Attributes:
        tenant_map: who may run as which tenant.
        backends: at least one.
        services: ARNs of the Lattice services events may come from; empty for any.
        set_cookie: where a reply carries cookies.
        invoker: how functions are invoked: signed and sent here, or by boto3.
    """

    tenant_map: TenantMap
    backends: tuple[Backend, ...]
    services: frozenset[str] = frozenset()
    set_cookie: SetCookie = SET_COOKIE
    invoker: Literal["direct", "boto3"] = "direct"

    @classmethod
    def load(cls, environ: Mapping[str, str]) -> Settings:
        """From the file that LATTICE_BRIDGE_CONFIG names (default: bridge.toml in LAMBDA_TASK_ROOT, else here).

        Raises:
            InvalidMap: with every fault found.
        """
        path = Path(environ.get("LAMBDA_TASK_ROOT", "."), environ.get(CONFIG_VARIABLE) or "bridge.toml")
        return cls.from_toml(read_text(path), function=environ.get(FUNCTION_VARIABLE), folder=path.parent)

    @classmethod
    def from_toml(cls, text: str, *, function: str | None = None, folder: Path = HERE) -> Settings:
        """From the text of a bridge.toml.

        Args:
            text: TOML.
            function: replaces the function of the backend with path `/`, which is added if there is none.
            folder: what a `jwks_file` is relative to.

        Raises:
            InvalidMap: with every fault found, of the settings and of the map.
        """
        tables, faults = parse_toml(text), list[str]()
        lattice = fit(_Lattice, tables.get("lattice", {}), "lattice", faults) or _Lattice()
        top = (
            fit(_Top, {key: tables[key] for key in _Top.model_fields if key in tables}, "bridge.toml", faults) or _Top()
        )
        backends = _backends(fit_each(_Backend, tables.get("backend", []), "backend", faults), function)
        faults += _faults(backends, lattice.services, any_written="backend" in tables)
        try:
            tenant_map = TenantMap.from_tables(tables, hashlib.sha256(text.encode()).hexdigest(), folder)
        except InvalidMap as error:
            raise InvalidMap([*faults, *error.faults]) from error
        if not (tenant_map.rules.owners or tenant_map.rules.denials):
            faults.append("no [[rule]]: nobody could get in; a file that was cut off, or emptied?")
        if faults:
            raise InvalidMap(faults)
        return cls(tenant_map, tuple(backends), frozenset(lattice.services), lattice.set_cookie, top.invoker)


def _backends(tables: list[_Backend], function: str | None) -> list[Backend]:
    backends = [Backend(**_fields(table)) for table in tables]
    if not function:
        return backends
    if not any(backend.path == "/" for backend in backends):
        backends.append(Backend("/", function))
    return [replace(backend, function=function) if backend.path == "/" else backend for backend in backends]


def _fields(table: _Backend) -> dict[str, Any]:
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
