"""Trust in the local signing key: copies of a bridge's configuration, in which this key is beside each issuer's own.

Rule: the copies are in the running stack's own folder, and end with it. No file of the project changes, and no setting
of the deployed code is for this: a bridge that `lattice-bridge local` did not start reads its own configuration, whose
key sets do not contain the local key. A copy changes the places of the keys, and nothing else of the map.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol

from lattice_bridge.config.location import CONFIG_VARIABLE
from lattice_bridge.config.map_settings import IssuerSettings, read_key_file
from lattice_bridge.config.regular_file import BadFile
from lattice_bridge.errors import BridgeError, InvalidMap
from lattice_bridge.identity.jwks import parse_key_set
from lattice_bridge.local.bridge.configuration import (
    BridgeConfiguration,
    bridges_of,
    read_configuration,
    with_key_files,
)
from lattice_bridge.local.bridge.issuer_keys import IssuerKeys
from lattice_bridge.local.bridge.signing_key import KeyFault, algorithm_of, key_folder, local_key
from lattice_bridge.local.plan.model import Function, Plan

_NAME: Final = "bridge.json"


class Log(Protocol):
    """Takes lines for the developer."""

    def warning(self, text: str) -> None:
        """Takes one line."""


class TrustedPlan(NamedTuple):
    """A plan whose bridges trust the local key.

    Attributes:
        plan: in which LATTICE_BRIDGE_CONFIG of such a bridge names its copy.
        changed: names of the bridges whose copy is not the one before.
    """

    plan: Plan
    changed: frozenset[str]


class LocalTrust:
    """Makes the copies, and renews them.

    Args:
        folder: belongs to the running stack. Environments can read it.
        log: for the developer.
        environ: of the stack; it names the folder of the local keys.
        issuer_keys: fetches the issuers' own keys.
    """

    def __init__(
        self,
        folder: Path,
        log: Log,
        environ: Mapping[str, str] = os.environ,
        issuer_keys: IssuerKeys | None = None,
    ) -> None:
        self._folder = folder
        self._log = log
        self._environ = environ
        self._issuer_keys = issuer_keys or IssuerKeys(log.warning)
        self._copies: dict[str, Mapping[Path, bytes]] = {}
        self._numbers: dict[str, int] = {}
        self._said: dict[str, str] = {}

    @property
    def is_due(self) -> bool:
        """Whether the keys of an issuer should be fetched again, with `applied`."""
        return self._issuer_keys.is_due

    async def applied(self, plan: Plan) -> TrustedPlan:
        """Makes or renews the copies for a plan, as the template has it.

        A bridge reads its own configuration if this does not load, is not a file or has no issuers. If a configuration
        stops loading later, the last good copy stays, as a bridge keeps its last good map.
        """
        functions, copies = dict(plan.functions), dict[str, Mapping[Path, bytes]]()
        for bridge in bridges_of(plan):
            configuration = await asyncio.to_thread(read_configuration, bridge)
            folder = self._folder_of(bridge)
            if contents := await self._contents(configuration, folder, plan.folder):
                copies[bridge.name] = contents
                variables = {**bridge.environment, CONFIG_VARIABLE: str(folder / _NAME)}
                functions[bridge.name] = replace(bridge, environment=variables)
        # After all maps were read and all keys fetched: a running bridge reads its copy at any time.
        for name, contents in copies.items():
            before = self._copies.get(name, {})
            await asyncio.to_thread(_write, {path: new for path, new in contents.items() if before.get(path) != new})
        names = copies.keys() | self._copies.keys()
        changed = frozenset(name for name in names if copies.get(name) != self._copies.get(name))
        self._copies = copies
        self._issuer_keys.forget_due()
        return TrustedPlan(replace(plan, functions=functions), changed)

    def _folder_of(self, bridge: Function) -> Path:
        """The folder of a bridge's copies. It stays the same as long as the stack runs: a running bridge of the
        definition before would read the map of another one in it."""
        return self._folder / str(self._numbers.setdefault(bridge.name, len(self._numbers)))

    async def _contents(
        self, configuration: BridgeConfiguration, folder: Path, project: Path
    ) -> Mapping[Path, bytes] | None:
        """The files of a copy. None if the bridge reads its own configuration."""
        name, before = configuration.function.name, self._copies.get(configuration.function.name)
        if configuration.settings is None:
            if before is not None:
                faults = "; ".join(configuration.faults)
                self._say(name, f"{configuration.address} does not load, so the last good one stays active: {faults}")
            return before
        try:
            contents = await self._copied(configuration, folder, project)
        except (KeyFault, InvalidMap, BadFile) as error:  # a file may have changed since it was checked
            self._say(name, f"tokens of `lattice-bridge token` are not accepted: {error}")
            return before
        self._said.pop(name, None)
        return contents

    async def _copied(
        self, configuration: BridgeConfiguration, folder: Path, project: Path
    ) -> Mapping[Path, bytes] | None:
        issuers = configuration.issuers
        if not issuers:
            return None
        keys = key_folder(self._environ)
        fetched = await self._issuer_keys.of(issuers, configuration.function.environment)
        contents: dict[Path, bytes] = {}
        for entry in issuers:
            own = fetched[entry.issuer.name] if entry.jwks_file is None else _in_file(entry, configuration.folder)
            public = (await asyncio.to_thread(local_key, algorithm_of(entry.issuer), keys, project)).public
            contents[folder / _file_of(entry)] = self._merged(entry.issuer.name, own, public)
        files = {entry.issuer.name: _file_of(entry) for entry in issuers}
        # The last one: it names the others.
        contents[folder / _NAME] = with_key_files(configuration.document, configuration.folder, files).encode()
        return contents

    def _merged(self, issuer: str, own: bytes | None, public: Mapping[str, str]) -> bytes:
        """The issuer's usable keys, and the local key."""
        theirs = [] if own is None else [entry for entry in json.loads(own)["keys"] if _is_usable(entry)]
        merged = _key_set([*(entry for entry in theirs if entry.get("kid") != public["kid"]), public])
        try:
            parse_key_set(merged)
        except BridgeError as error:  # there is no place for another key
            self._say(issuer, f"tokens of `lattice-bridge token --issuer {issuer}` are not accepted: {error.detail}")
            return _key_set(theirs)
        return merged

    def _say(self, subject: str, text: str) -> None:
        """Warns once, and again if the text changes."""
        if self._said.get(subject) != text:
            self._said[subject] = text
            self._log.warning(f"{subject}: {text}")


def _file_of(entry: IssuerSettings) -> str:
    return f"keys-of-{entry.issuer.name}.json"


def _in_file(entry: IssuerSettings, folder: Path) -> bytes:
    return read_key_file(folder / (entry.jwks_file or ""))


def _is_usable(entry: Any) -> bool:
    """Whether the bridge would use a key. A set in a file may not contain others, such as secrets, which the bridge
    leaves out of a set that it fetches."""
    try:
        parse_key_set(_key_set([entry]))
    except BridgeError:
        return False
    return True


def _key_set(entries: list[Any]) -> bytes:
    return json.dumps({"keys": entries}).encode()


def _write(contents: Mapping[Path, bytes]) -> None:
    """Replaces each file as a whole: a bridge may read it at the same time."""
    for path, content in contents.items():
        path.parent.mkdir(exist_ok=True)
        new = path.with_suffix(".new")
        new.write_bytes(content)
        new.replace(path)
