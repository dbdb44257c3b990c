"""The tenant map: a map's rules, with the key sets and the registry that it needs.

Rule: `tenancy.decide` decides. This module provides the tokens' claims and the tenants.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from lattice_bridge.config.compiled import map_of
from lattice_bridge.config.document import Document, parse_document, parse_toml, read_text, sha256_of
from lattice_bridge.config.map_settings import (
    IssuerSettings,
    MapSettings,
    RegistrySettings,
    key_file_fault,
    read_key_file,
)
from lattice_bridge.errors import BridgeError, InvalidMap
from lattice_bridge.identity.token import NO_TOKENS, Issuer, TokenReader, Tokens
from lattice_bridge.message import Request
from lattice_bridge.tenancy.decide import Decision, RequestEntitlements, decide
from lattice_bridge.tenancy.rules import Find, Rules
from lattice_bridge.tenancy.subject import subject_of

if TYPE_CHECKING:  # imported if a map has issuers or a registry: a start without them does not wait for it
    from lattice_bridge.identity.key_set import KeySet
    from lattice_bridge.tenancy.registry import Registry

HERE: Final = Path()
WARM_TIMEOUT: Final = 2.5
"""Seconds that a start waits for the keys of all issuers together. Lambda gives a start ten seconds in all."""


class Lookups(NamedTuple):
    """The key sets and the registry of a map, with their caches.

    A map that replaces another takes over those that both use. Otherwise an issuer or a registry that is out of reach
    at that moment would be so for all callers, not only for new ones.

    Attributes:
        key_sets: by URL.
        registry: with its settings; None if the map lists its tenants.
    """

    key_sets: Mapping[str, KeySet] = {}
    registry: tuple[RegistrySettings, Registry] | None = None


class TenantMap:
    """Decides which tenant a request runs as.

    Attributes:
        sha256: of the text that it was read from, as hex; None if it was not read from text.
        find: finds a tenant by its id; may read the registry.
        lookups: the key sets and the registry.

    >>> from lattice_bridge import parse_event
    >>> from lattice_bridge.testing import lattice_event
    >>> role = "arn:aws:iam::111122223333:role/blue-api"
    >>> tenant_map = TenantMap.from_toml(f'''
    ... [tenants]
    ... blue = {{}}
    ... [[rule]]
    ... id = "blue-api"
    ... role = "{role}"
    ... tenant = "blue"
    ... ''')
    >>> tenant_map.decide(parse_event(lattice_event(principal=role))).tenant
    'blue'
    """

    def __init__(
        self,
        rules: Rules,
        sha256: str | None = None,
        token_reader: TokenReader | None = None,
        lookups: Lookups | None = None,
    ) -> None:
        self._rules = rules
        self.sha256 = sha256
        self._token_reader = token_reader
        self.lookups = lookups or Lookups()
        self._entitlements = RequestEntitlements()
        registry = self.lookups.registry
        self.find: Find = rules.tenants.get if registry is None else registry[1].find

    @classmethod
    def from_file(cls, path: str | Path) -> TenantMap:
        """Reads the map in a file: TOML, which may be a whole bridge.toml, or the output of `lattice-bridge compile`.

        Raises:
            InvalidMap: with every fault found.
        """
        return cls.from_document(parse_document(read_text(path), name=str(path)), Path(path).parent)

    @classmethod
    def from_toml(cls, text: str, folder: Path = HERE) -> TenantMap:
        """Reads the map in TOML: `[header]`, `[tenants]` or `[registry]`, `[jwt]` and `[[rule]]`. Ignores the tables of
        `Settings`.

        Args:
            text: TOML.
            folder: a `jwks_file` is relative to it.

        Raises:
            InvalidMap: with every fault found, each with its place, its rule, the fault, and the fix.
        """
        return cls.from_document(Document(parse_toml(text), sha256_of(text), text=text), folder)

    @classmethod
    def from_document(
        cls,
        document: Document,
        folder: Path = HERE,
        *,
        previous: TenantMap | None = None,
        region: str | None = None,
    ) -> TenantMap:
        """Reads the map in a document.

        Args:
            document: parsed.
            folder: a `jwks_file` is relative to it.
            previous: the map that is replaced.
            region: of a registry without a region of its own; boto3's own if None.

        Raises:
            InvalidMap: with every fault found.
        """
        if document.compiled is None:
            from lattice_bridge.config.tables.map import (
                read_map,  # here: its import takes longer than the rest of the bridge together
            )

            read = read_map(document, folder)
            settings, rules = read.around, read.rules
        else:
            settings, rules = map_of(document.compiled)
            _check_key_files(settings, folder)
        lookups = _taken_over(settings, folder, previous.lookups if previous else Lookups(), region)
        return cls(rules, document.sha256, _token_reader(settings, folder, lookups.key_sets), lookups)

    @property
    def rules(self) -> Rules:
        """The tenants and rules. They cannot be replaced: what was found for callers was found with them."""
        return self._rules

    @property
    def issuers(self) -> tuple[Issuer, ...]:
        """The issuers of `[jwt]`."""
        return () if self._token_reader is None else self._token_reader.issuers

    def warm(self) -> None:
        """Connects to the registry and fetches the key sets. Waits for them for `WARM_TIMEOUT` seconds at most."""
        if self.lookups.registry is not None:
            self.lookups.registry[1].warm()
        for key_set in self.lookups.key_sets.values():
            key_set.prefetch()
        until = time.monotonic() + WARM_TIMEOUT
        for key_set in self.lookups.key_sets.values():
            key_set.settle(max(0.0, until - time.monotonic()))

    def decide(self, request: Request) -> Decision:
        """Decides which tenant a request runs as. Never raises; a refusal is a Decision that is not `allowed`."""
        try:
            tokens = self.tokens_of(request)
            subject = subject_of(request, tokens, self._rules.header, self._rules.token_headers)
        except BridgeError as refusal:
            return Decision(refusal=refusal)
        return decide(subject, self._rules, self.find, self._entitlements)

    def tokens_of(self, request: Request, now: float | None = None) -> Tokens:
        """The request's tokens, verified.

        Args:
            request: whose headers have them.
            now: seconds since the epoch at which they must be valid, to explain a request of the past; None for the
                clock's.

        Raises:
            BridgeError: a token does not verify, or its issuer's keys are not available.
        """
        return NO_TOKENS if self._token_reader is None else self._token_reader.tokens_in(request.header, now)


def _check_key_files(settings: MapSettings, folder: Path) -> None:
    """Checks the key files of a compiled map, which may have changed since.

    Raises:
        InvalidMap: a file is not a key set.
    """
    named = [(entry.issuer.name, entry.jwks_file) for entry in settings.issuers if entry.jwks_file is not None]
    found = [(name, file, key_file_fault(folder / file)) for name, file in named]
    faults = [f'jwt "{name}": jwks_file "{file}": {fault}' for name, file, fault in found if fault]
    if faults:
        raise InvalidMap(faults)


def _taken_over(settings: MapSettings, folder: Path, known: Lookups, region: str | None) -> Lookups:
    key_sets = {
        url: known.key_sets.get(url) or _key_set(entry, folder)
        for entry in settings.issuers
        if (url := entry.jwks_url) is not None
    }
    return Lookups(key_sets, _registry(settings.registry, known, region))


def _key_set(entry: IssuerSettings, folder: Path) -> KeySet:
    """An issuer's keys, from a URL or a file. They are fetched when the first token needs them."""
    from lattice_bridge.identity.key_set import KeySet, fetch_https

    url, file = entry.jwks_url, folder / (entry.jwks_file or "")
    return KeySet(lambda: read_key_file(file)) if url is None else KeySet(lambda: fetch_https(url))


def _token_reader(settings: MapSettings, folder: Path, key_sets: Mapping[str, KeySet]) -> TokenReader | None:
    """The readers of tokens. The verified tokens of the previous map are not taken over: they were verified for its
    algorithms and audience."""
    issuers = [
        (entry.issuer, (key_sets.get(entry.jwks_url or "") or _key_set(entry, folder)).key)
        for entry in settings.issuers
    ]
    return TokenReader(issuers, time.time) if issuers else None


def _registry(
    settings: RegistrySettings | None, known: Lookups, region: str | None
) -> tuple[RegistrySettings, Registry] | None:
    if settings is None:
        return None
    if known.registry is not None and known.registry[0] == settings:
        return known.registry
    from lattice_bridge.tenancy.registry import DynamoDbTable, Registry

    parts = settings.dynamodb_table.split(":")
    own = parts[3] if len(parts) > 1 else region  # a table is only found in the region of its ARN
    items = DynamoDbTable(settings.dynamodb_table, own)
    return settings, Registry(items, warm=items.connect, ttl=settings.ttl, max_stale=settings.max_stale)
