"""A configuration's text and the environment -> settings, checked once.

Rule: everything that can be wrong with a configuration is found at start, and all of it at once. What reads TOML, and
finds the faults in it, is imported for TOML alone: a compiled configuration starts without.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from lattice_bridge.config.backend import function_fault
from lattice_bridge.config.compiled import options_of
from lattice_bridge.config.document import Document, parse_document
from lattice_bridge.config.location import FUNCTION_VARIABLE, Place
from lattice_bridge.config.options import Options
from lattice_bridge.config.tenant_map import HERE, TenantMap
from lattice_bridge.errors import InvalidMap

NO_RULE: Final = "no [[rule]]: nobody could get in; a file that was cut off, or emptied?"


@dataclass(frozen=True, slots=True)
class Settings:
    """A bridge's whole configuration.

    Attributes:
        tenant_map: who may run as which tenant.
        options: the functions behind the bridge, and how it serves them.
    """

    tenant_map: TenantMap
    options: Options

    @classmethod
    def load(cls, environ: Mapping[str, str]) -> Settings:
        """From where the environment says, once.

        Raises:
            InvalidMap: with every fault found.
            Unavailable: it is not there, or cannot be read.
        """
        place = Place.of(environ)
        text, twin = place.read(), place.twin()
        return cls.from_text(text, twin=twin, function=place.function, folder=place.folder, region=place.region)

    @classmethod
    def from_text(
        cls,
        text: str,
        *,
        twin: str | None = None,
        function: str | None = None,
        folder: Path = HERE,
        previous: TenantMap | None = None,
        region: str | None = None,
    ) -> Settings:
        """From the text of a configuration.

        Args:
            text: TOML, or what `lattice-bridge compile` made of it.
            twin: what may have been compiled of this very text.
            function: replaces the function of the backend with path `/`, which is added if there is none.
            folder: what a `jwks_file` is relative to.
            previous: the map that this configuration's replaces.
            region: of a registry; boto3's own if None.

        Raises:
            InvalidMap: with every fault found, of the settings and of the map.
        """
        document, faults = parse_document(text, twin), list[str]()
        options = _options(document, faults).with_function(function)
        if function and (fault := function_fault(function)):
            faults.append(f"{FUNCTION_VARIABLE}: {fault}")
        if not options.backends and not faults:
            faults.append(f'no [[backend]]; write one with function = "…", or set {FUNCTION_VARIABLE}')
        try:
            tenant_map = TenantMap.from_document(document, folder, previous=previous, region=region)
        except InvalidMap as error:
            raise InvalidMap([*faults, *error.faults]) from error
        if not (tenant_map.rules.owners or tenant_map.rules.denials):
            faults.append(NO_RULE)
        if faults:
            raise InvalidMap(faults)
        return cls(tenant_map, options)


def _options(document: Document, faults: list[str]) -> Options:
    if document.compiled is not None:
        return options_of(document.compiled)
    from lattice_bridge.config.tables.options import read_options

    return read_options(document.tables, faults)
