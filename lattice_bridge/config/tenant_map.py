"""Who may run as which tenant: a map, and what it has to ask the world outside.

Rule: what decides is `tenant.decide`; this brings it the tokens' claims and the tenants.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from lattice_bridge.config.compiled import map_of
from lattice_bridge.config.document import Document, parse_document, parse_toml, read_text, sha256_of
from lattice_bridge.config.surroundings import IssuerSource, RegistrySource, Surroundings
from lattice_bridge.errors import BridgeError, InvalidMap
from lattice_bridge.identity.token import NO_TOKENS, TokenReader, Tokens
from lattice_bridge.message import Request
from lattice_bridge.tenancy.decide import Decision, decide
from lattice_bridge.tenancy.rules import Find, Rules
from lattice_bridge.tenancy.subject import subject_of

if TYPE_CHECKING:  # imported when a map has issuers or a registry: a start without them does not wait for it
    from lattice_bridge.identity.jwks import KeySet
    from lattice_bridge.tenancy.registry import Registry

HERE: Final = Path()
WARMING: Final = 2.5
"""Seconds that a start waits for keys, whatever the number of issuers: Lambda gives it ten in all."""


@dataclass(frozen=True, slots=True)
class Lookups:
    """What a map asks outside. A map that replaces another takes over what both ask: an issuer or a registry that is
    out of reach just then would otherwise be out of reach for everybody, and not for newcomers alone.

    Attributes:
        key_sets: by their URLs.
        registry: with what it was made of; None if the map lists its tenants.
    """

    key_sets: Mapping[str, KeySet] = field(default_factory=dict)
    registry: tuple[RegistrySource, Registry] | None = None


class TenantMap:
    """Who may run as which tenant.

    Attributes:
        rules: the map as decisions use it.
        sha256: of the text it was read from, as hex; None if it was not read from text.
        find: a tenant by its id; may ask a registry.
        lookups: what it asks outside.
    """

    def __init__(
        self,
        rules: Rules,
        sha256: str | None = None,
        token_reader: TokenReader | None = None,
        lookups: Lookups | None = None,
    ) -> None:
        self.rules = rules
        self.sha256 = sha256
        self._token_reader = token_reader
        self.lookups = lookups or Lookups()
        registry = self.lookups.registry
        self.find: Find = rules.tenants.get if registry is None else registry[1].find

    @classmethod
    def from_file(cls, path: str | Path) -> TenantMap:
        """The map in a file: TOML, which may be a whole bridge.toml, or what `lattice-bridge compile` made of one.

        Raises:
            InvalidMap: with every fault found.
        """
        return cls.from_document(parse_document(read_text(path)), Path(path).parent)

    @classmethod
    def from_toml(cls, text: str, folder: Path = HERE) -> TenantMap:
        """The map in TOML text: `[header]`, `[tenants]` or `[registry]`, `[jwt]` and `[[rule]]`; settings.py's tables
        are passed over.

        Args:
            text: TOML.
            folder: what a `jwks_file` is relative to.

        Raises:
            InvalidMap: with every fault found, each with its rule, what is wrong, and what to write instead.
        """
        return cls.from_document(Document(parse_toml(text), sha256_of(text)), folder)

    @classmethod
    def from_document(
        cls,
        document: Document,
        folder: Path = HERE,
        *,
        previous: TenantMap | None = None,
        region: str | None = None,
    ) -> TenantMap:
        """The map in a document.

        Args:
            document: parsed.
            folder: what a `jwks_file` is relative to.
            previous: the map that this one replaces.
            region: of a registry that does not say; boto3's own if None.

        Raises:
            InvalidMap: with every fault found.
        """
        if document.compiled is None:
            from lattice_bridge.config.tables.map import (
                read_map,  # here: it takes longer than the rest of the bridge together
            )

            read = read_map(document.tables, folder)
            around, rules = read.around, read.rules
        else:
            around, rules = map_of(document.compiled)
            _check_key_files(around, folder)
        lookups = _taken_over(around, folder, previous.lookups if previous else Lookups(), region)
        return cls(rules, document.sha256, _token_reader(around, folder, lookups.key_sets), lookups)

    def warm(self) -> None:
        """Connects and fetches what can be had before a request needs it, as far as it can be had soon."""
        if self.lookups.registry is not None:
            self.lookups.registry[1].warm()
        for key_set in self.lookups.key_sets.values():
            key_set.begin()
        until = time.monotonic() + WARMING
        for key_set in self.lookups.key_sets.values():
            key_set.settle(max(0.0, until - time.monotonic()))

    def decide(self, request: Request) -> Decision:
        """Decides which tenant a request runs as. Never raises; a refusal is a Decision that is not `allowed`."""
        try:
            tokens = self.tokens_of(request)
            subject = subject_of(request, tokens, self.rules.header, self.rules.token_headers)
        except BridgeError as refusal:
            return Decision(refusal=refusal)
        return decide(subject, self.rules, self.find)

    def tokens_of(self, request: Request) -> Tokens:
        """The request's tokens, verified.

        Raises:
            BridgeError: one is there and does not verify, or the keys for it cannot be had.
        """
        return NO_TOKENS if self._token_reader is None else self._token_reader.tokens_in(request.header)


def _check_key_files(around: Surroundings, folder: Path) -> None:
    """A file may have changed since its map was compiled.

    Raises:
        InvalidMap: one of them holds no key set.
    """
    named = [(source.issuer.name, source.jwks_file) for source in around.issuers if source.jwks_file is not None]
    if not named:
        return
    from lattice_bridge.identity.jwks import key_file_fault

    found = [(name, file, key_file_fault(folder / file)) for name, file in named]
    faults = [f'jwt "{name}": jwks_file "{file}": {fault}' for name, file, fault in found if fault]
    if faults:
        raise InvalidMap(faults)


def _taken_over(around: Surroundings, folder: Path, known: Lookups, region: str | None) -> Lookups:
    key_sets = {
        url: known.key_sets.get(url) or _key_set(source, folder)
        for source in around.issuers
        if (url := source.jwks_url) is not None
    }
    return Lookups(key_sets, _registry(around.registry, known, region))


def _key_set(source: IssuerSource, folder: Path) -> KeySet:
    """An issuer's keys: from a URL, asked when the first token comes, or from a file, read when it does."""
    from lattice_bridge.identity.jwks import KeySet, fetch_https, read_key_file

    url, file = source.jwks_url, folder / (source.jwks_file or "")
    return KeySet(lambda: read_key_file(file)) if url is None else KeySet(lambda: fetch_https(url))


def _token_reader(around: Surroundings, folder: Path, key_sets: Mapping[str, KeySet]) -> TokenReader | None:
    """The readers of tokens. What others remembered of tokens is not taken over: it was verified for their algorithms
    and audience."""
    issuers = [
        (source.issuer, (key_sets.get(source.jwks_url or "") or _key_set(source, folder)).key)
        for source in around.issuers
    ]
    return TokenReader(issuers, time.time) if issuers else None


def _registry(
    source: RegistrySource | None, known: Lookups, region: str | None
) -> tuple[RegistrySource, Registry] | None:
    if source is None:
        return None
    if known.registry is not None and known.registry[0] == source:
        return known.registry
    from lattice_bridge.tenancy.registry import DynamoDbTable, Registry

    parts = source.dynamodb_table.split(":")
    own = parts[3] if len(parts) > 1 else region  # an ARN is only answered in its own region
    items = DynamoDbTable(source.dynamodb_table, own)
    return source, Registry(items, warm=items.connect, ttl=source.ttl, max_stale=source.max_stale)
