"""Who may run as which tenant: a map, and what it has to ask the world outside.

Rule: what decides is `tenant.decide`; this brings it the tokens' claims and the tenants.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from lattice_bridge.bearer import NO_TOKENS, Bearers, Tokens
from lattice_bridge.compiled import rules_of
from lattice_bridge.document import Document, parse_document, sha256_of
from lattice_bridge.errors import BridgeError, InvalidMap
from lattice_bridge.issuer_table import issuer_of, key_set_of
from lattice_bridge.keys import KeySet
from lattice_bridge.lint import Finding, warnings_of
from lattice_bridge.map_file import RegistryTable, Surroundings, read_map, read_surroundings
from lattice_bridge.map_test import every_tenant, run
from lattice_bridge.message import Request
from lattice_bridge.registry import DynamoDbTable, Registry
from lattice_bridge.rules import Find, Rules
from lattice_bridge.shape import parse_toml, read_text
from lattice_bridge.tenant import Decision, decide

HERE: Final = Path()


@dataclass(frozen=True, slots=True)
class Lookups:
    """What a map asks outside. A map that replaces another takes over what both ask: an issuer or a registry that is
    out of reach just then would otherwise be out of reach for everybody, and not for newcomers alone.

    Attributes:
        key_sets: by their URLs.
        registry: with the table it was made of; None if the map lists its tenants.
    """

    key_sets: Mapping[str, KeySet] = field(default_factory=dict)
    registry: tuple[RegistryTable, Registry] | None = None


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
        bearers: Bearers | None = None,
        lookups: Lookups | None = None,
    ) -> None:
        self.rules = rules
        self.sha256 = sha256
        self._bearers = bearers
        self.lookups = lookups or Lookups()
        registry = self.lookups.registry
        self.find: Find = rules.tenants.get if registry is None else registry[1].find

    @staticmethod
    def findings(text: str, folder: Path = HERE) -> list[Finding]:
        """What is wrong with a map, what is probably not meant, and which of its own tests do not hold.

        Errors keep it from loading, but for those of `[[test]]` tables. An empty list is a clean map. Nothing outside
        is asked: with a registry, a test takes every tenant for registered. Of a compiled map there is nothing more to
        say than whether it loads.
        """
        try:
            document = parse_document(text)
            if document.compiled is not None:
                TenantMap.from_document(document, folder)
                return []
            read = read_map(document.tables, folder)
        except InvalidMap as error:
            return [Finding("error", _subject(fault), fault) for fault in error.faults]
        find = every_tenant if read.around.registry else None
        return [*run(read.tests, read.rules, read.around.issuers, find), *warnings_of(read.written, read.rules)]

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
            read = read_map(document.tables, folder)
            around, rules = read.around, read.rules
        else:
            around = read_surroundings(document.tables, folder)
            rules = rules_of(document.compiled, around.header, around.token_headers)
        known = previous.lookups if previous else Lookups()
        bearers, key_sets = _bearers(around, folder, known.key_sets)
        registry = _registry(around.registry, known, region)
        return cls(rules, document.sha256, bearers, Lookups(key_sets, registry))

    def decide(self, request: Request) -> Decision:
        """Whose request it is. Never raises; a refusal is a Decision that is not `allowed`."""
        try:
            tokens = self.tokens_of(request)
        except BridgeError as refusal:
            return Decision(refusal=refusal)
        return decide(request, self.rules, tokens, self.find)

    def tokens_of(self, request: Request) -> Tokens:
        """The request's tokens, verified.

        Raises:
            BridgeError: one is there and does not verify, or the keys for it cannot be had.
        """
        return NO_TOKENS if self._bearers is None else self._bearers.tokens_of(request)


def _bearers(
    around: Surroundings, folder: Path, known: Mapping[str, KeySet]
) -> tuple[Bearers | None, dict[str, KeySet]]:
    """The readers of tokens, and the key sets that have a URL. What was remembered of tokens is not taken over: it was
    verified for another map's algorithms."""
    key_sets = {
        table.jwks_url: known.get(table.jwks_url) or key_set_of(table, folder)
        for table in around.issuers.values()
        if table.jwks_url is not None
    }
    issuers = [
        (issuer_of(name, table), (key_sets.get(table.jwks_url or "") or key_set_of(table, folder)).key)
        for name, table in around.issuers.items()
    ]
    return (Bearers(issuers, time.time) if issuers else None), key_sets


def _registry(table: RegistryTable | None, known: Lookups, region: str | None) -> tuple[RegistryTable, Registry] | None:
    if table is None:
        return None
    if known.registry is not None and known.registry[0] == table:
        return known.registry
    parts = table.dynamodb_table.split(":")
    own = parts[3] if len(parts) > 1 else region  # an ARN is only answered in its own region
    items = DynamoDbTable(table.dynamodb_table, own)
    return table, Registry(items, ttl=table.ttl, max_stale=table.max_stale)


def _subject(fault: str) -> str | None:
    """The rule's id that a fault begins with."""
    return fault.split('"')[1] if fault.startswith('rule "') else None
