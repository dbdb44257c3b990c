"""Settings of a bridge: a configuration's text and the environment in, checked values out.

Rule: a start finds every fault of a configuration, and all of them at once. The modules that read and check TOML are
imported for TOML alone; a start with a compiled configuration does not need them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from lattice_bridge.config.compiled import options_of
from lattice_bridge.config.document import Document, parse_document
from lattice_bridge.config.location import FUNCTION_VARIABLE, Location
from lattice_bridge.config.options import Options, function_fault
from lattice_bridge.config.tenant_map import HERE, TenantMap
from lattice_bridge.errors import Fault, InvalidMap


class Settings(NamedTuple):
    """A bridge's whole configuration.

    Attributes:
        tenant_map: decides the tenant of a request.
        options: the functions behind the bridge, and how it invokes them.
    """

    tenant_map: TenantMap
    options: Options

    @classmethod
    def load(cls, environ: Mapping[str, str]) -> Settings:
        """Loads the configuration at the location that the environment names.

        Raises:
            InvalidMap: with every fault found.
            Unavailable: it is not there, or cannot be read.
        """
        location = Location.from_environment(environ)
        return cls.from_text(
            location.read(),
            name=location.name,
            compiled=location.read_compiled(),
            function=location.function,
            folder=location.folder,
            region=location.region,
        )

    @classmethod
    def from_text(
        cls,
        text: str,
        *,
        name: str = "bridge.toml",
        compiled: str | None = None,
        function: str | None = None,
        folder: Path = HERE,
        previous: TenantMap | None = None,
        region: str | None = None,
        needs_backend: bool = True,
    ) -> Settings:
        """Loads the text of a configuration.

        Args:
            text: TOML, or the output of `lattice-bridge compile`.
            name: of the text, for messages.
            compiled: a compiled configuration, used if this code compiled it from this text.
            function: replaces the function of the backend with path `/`, which is added if there is none.
            folder: a `jwks_file` is relative to it.
            previous: the map that is replaced.
            region: of a registry; boto3's own if None.
            needs_backend: whether a configuration without a backend and without an event source is refused. An
                authorizer invokes nothing.

        Raises:
            InvalidMap: with every fault found, of the settings and of the map.
        """
        document, faults = parse_document(text, compiled, name), list[Fault]()
        options = _options(document, faults).with_function(function)
        if function and (fault := function_fault(function)):
            faults.append(Fault(f"{FUNCTION_VARIABLE}: {fault}", None))
        faults += missing_faults(document, function, needs_backend=needs_backend)
        try:
            tenant_map = TenantMap.from_document(document, folder, previous=previous, region=region)
        except InvalidMap as error:
            raise document.invalid([*faults, *error.found]) from error
        if faults:
            raise document.invalid(faults)
        return cls(tenant_map, options)


def missing_faults(document: Document, function: str | None = None, *, needs_backend: bool = True) -> Iterator[Fault]:
    """The tables that a handler cannot serve without. A misspelt one has a fault of its own.

    Args:
        document: the configuration.
        function: of the default backend, if the environment names it.
        needs_backend: whether the handler invokes functions, for requests or for records.
    """
    compiled = document.compiled
    has_rule = compiled is not None and bool(compiled.get("owners") or compiled.get("denials"))
    invokes = ("backend", "event_source")
    has_function = bool(function) or any(document.tables.get(name, []) != [] for name in invokes)
    if needs_backend and not has_function and not any(_is_misspelt(name, document) for name in invokes):
        what = "no [[backend]] and no [[event_source]]"
        yield Fault(f'{what}. Fix: write one with function = "…", or set {FUNCTION_VARIABLE}')
    if not has_rule and document.tables.get("rule", []) == [] and not _is_misspelt("rule", document):
        yield Fault("no [[rule]]: no caller is allowed. Fix: write one; was the file cut off or emptied?")


def _is_misspelt(name: str, document: Document) -> bool:
    """Whether the document probably contains a table under another name."""
    if document.compiled is not None:
        return False
    from lattice_bridge.config.tables.map import ELSEWHERE, TABLES
    from lattice_bridge.config.words import nearest

    known = TABLES | ELSEWHERE
    return name in {nearest(key, known) for key in document.tables if key not in known}


def _options(document: Document, faults: list[Fault]) -> Options:
    if document.compiled is not None:
        return options_of(document.compiled)
    from lattice_bridge.config.tables.options import read_options

    return read_options(document.tables, faults)
