"""The configuration of a bridge in a plan, read as the bridge itself reads it.

Rule: only a file is read. For a configuration in S3 or SSM the stack would have to sign with the developer's own
credentials.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from lattice_bridge.config.compiled import compile_document, map_of
from lattice_bridge.config.document import Document, parse_document, sealed
from lattice_bridge.config.location import CONFIG_VARIABLE, Location
from lattice_bridge.config.map_settings import IssuerSettings, MapSettings
from lattice_bridge.config.settings import Settings
from lattice_bridge.config.tables.map import read_map
from lattice_bridge.errors import BridgeError, InvalidMap
from lattice_bridge.local.code.code_zip import BadArchive, unpack
from lattice_bridge.local.plan.model import BRIDGE_HANDLER, OWN_HANDLERS, Function, Plan

_EMPTY: Final = Document({}, "")


@dataclass(frozen=True, slots=True)
class BridgeConfiguration:
    """The configuration of one bridge.

    Attributes:
        function: the bridge.
        address: of the configuration, as LATTICE_BRIDGE_CONFIG has it.
        file: the configuration; None if it is not a file.
        settings: None if the configuration does not load, or is not a file.
        document: its content, if it loads.
        issuers: of its tokens.
        faults: the reasons why it does not load.
    """

    function: Function
    address: str
    file: Path | None = None
    settings: Settings | None = None
    document: Document = _EMPTY
    issuers: tuple[IssuerSettings, ...] = ()
    faults: tuple[str, ...] = ()

    @property
    def folder(self) -> Path:
        """The folder that a `jwks_file` is relative to."""
        return Path() if self.file is None else self.file.parent

    @property
    def files(self) -> Iterator[Path]:
        """The files that the configuration was read from: its own, and its issuers' keys."""
        if self.file is not None:
            yield self.file
        yield from (self.folder / entry.jwks_file for entry in self.issuers if entry.jwks_file is not None)

    @property
    def written_rules(self) -> list[Mapping[str, Any]]:
        """The `[[rule]]` tables; none if the configuration is compiled or does not load."""
        rules: list[Mapping[str, Any]] = self.document.tables.get("rule", [])
        return rules


def bridges_of(plan: Plan) -> list[Function]:
    """The functions of a plan that read a map: bridges, and the map as an authorizer. A function with another handler
    may read its configuration in its own way."""
    return [function for function in plan.functions.values() if function.handler in OWN_HANDLERS]


def read_configuration(bridge: Function) -> BridgeConfiguration:
    """Reads a bridge's configuration. That of a bridge in a zip has paths within the zip."""
    if not bridge.code.is_file():
        return _read(bridge)
    with TemporaryDirectory(prefix="lattice-bridge-") as parent:
        code = Path(parent).resolve() / "code"
        try:
            unpack(bridge.code, code)
        except BadArchive as error:
            return BridgeConfiguration(bridge, bridge.code.name, faults=(str(error),))
        found = _read(replace(bridge, code=code))
    within = found.file is not None and found.file.is_relative_to(code)
    file = bridge.code / found.file.relative_to(code) if found.file and within else found.file
    faults = tuple(fault.replace(str(code), str(bridge.code)) for fault in found.faults)
    return replace(found, function=bridge, file=file, faults=faults)


def _read(bridge: Function) -> BridgeConfiguration:
    address = bridge.environment.get(CONFIG_VARIABLE) or "bridge.toml"
    file = None
    try:
        location = Location.from_environment({**bridge.environment, "LAMBDA_TASK_ROOT": str(bridge.code)})
        file = location.file
        if file is None:
            return BridgeConfiguration(bridge, address)
        text = location.read()
        settings = Settings.from_text(
            text,
            compiled=location.read_compiled(),
            function=location.function,
            folder=location.folder,
            region=location.region,
            name=location.name,
            needs_backend=bridge.handler == BRIDGE_HANDLER,
        )
        document = parse_document(text, name=location.name)
        issuers = issuers_of(document, location.folder)
    except BridgeError as error:
        faults = error.messages if isinstance(error, InvalidMap) else (error.detail,)
        return BridgeConfiguration(bridge, address, file, faults=tuple(faults))
    return BridgeConfiguration(bridge, address, file, settings, document, issuers)


def read_configurations(plan: Plan) -> list[BridgeConfiguration]:
    """Reads the configuration of each bridge of a plan."""
    return [read_configuration(bridge) for bridge in bridges_of(plan)]


# ---- issuers --------------------------------------------------------------------------------------------------------


def issuers_of(document: Document, folder: Path) -> tuple[IssuerSettings, ...]:
    """The token issuers of a map.

    Raises:
        InvalidMap: with every fault found.
    """
    if not document.tables.get("jwt"):
        return ()
    if document.compiled is not None:
        return map_of(document.compiled)[0].issuers
    return read_map(document, folder).around.issuers


def with_key_files(document: Document, folder: Path, files: Mapping[str, str]) -> str:
    """A configuration, compiled, whose issuers have their keys in other files.

    Args:
        document: of a configuration that loads.
        folder: the folder that a `jwks_file` is relative to.
        files: issuer's name → its new `jwks_file`.

    Raises:
        InvalidMap: with every fault found.
    """
    compiled = document.compiled or parse_document(compile_document(document, folder)).compiled or {}
    around = MapSettings.from_json(compiled["around"])
    issuers = tuple(IssuerSettings(entry.issuer, None, files[entry.issuer.name]) for entry in around.issuers)
    changed = MapSettings(around.header, issuers, around.registry)
    return sealed({**compiled, "around": changed.to_json()})
