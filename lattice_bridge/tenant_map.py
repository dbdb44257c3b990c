"""The map's file format: TOML in, Rules out, or every fault in it at once.

Rule: strict. An unknown key, a rule that could mean two things, a tenant nobody registered: the whole map is refused.
A condition that is silently ignored would let somebody in, so nothing is ignored.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from lattice_bridge import headers as names
from lattice_bridge.bearer import NO_TOKENS, Bearers, Tokens
from lattice_bridge.errors import BridgeError, InvalidMap
from lattice_bridge.issuer_table import IssuerTable, check_key_file, issuer_faults, issuer_of, keys_of
from lattice_bridge.lint import Finding, warnings_of
from lattice_bridge.map_test import TestTable, run
from lattice_bridge.message import Request, is_tenant_id
from lattice_bridge.rule_table import RuleTable, faults_of, rule_of
from lattice_bridge.rules import Condition, Key, Rule, Rules, Tenant
from lattice_bridge.shape import Table, fit, fit_each, fit_named, parse_toml, read_text, unknown_key
from lattice_bridge.tenant import Decision, decide

TABLES: Final = frozenset({"header", "jwt", "rule", "tenants", "test"})
HERE: Final = Path()
ELSEWHERE: Final = frozenset({"backend", "invoker", "lattice"})
"""Tables and keys of bridge.toml that settings.py reads."""


class _Header(Table):
    name: str = "x-tenant-id"


class _Tenant(Table):
    status: Literal["active", "suspended"] = "active"


class TenantMap:
    """Who may run as which tenant.

    Attributes:
        rules: the map as decisions use it.
        sha256: of the text it was read from, as hex; None if it was not read from text.
    """

    def __init__(self, rules: Rules, sha256: str | None = None, bearers: Bearers | None = None) -> None:
        self.rules = rules
        self.sha256 = sha256
        self._bearers = bearers

    @staticmethod
    def findings(text: str, folder: Path = HERE) -> list[Finding]:
        """What is wrong with a map in TOML text, what is probably not meant, and which of its own tests do not hold.

        Errors keep it from loading, but for those of `[[test]]` tables. An empty list is a clean map.
        """
        try:
            read = _read(parse_toml(text), folder)
        except InvalidMap as error:
            return [Finding("error", _subject(fault), fault) for fault in error.faults]
        return [*run(read.tests, read.rules, read.issuers), *warnings_of(read.written, read.rules)]

    @classmethod
    def from_file(cls, path: str | Path) -> TenantMap:
        """The map in a TOML file, which may be a whole bridge.toml.

        Raises:
            InvalidMap: with every fault found.
        """
        return cls.from_toml(read_text(path), Path(path).parent)

    @classmethod
    def from_toml(cls, text: str, folder: Path = HERE) -> TenantMap:
        """The map in TOML text: `[header]`, `[tenants]`, `[jwt]` and `[[rule]]`; settings.py's tables are passed over.

        Args:
            text: TOML.
            folder: what a `jwks_file` is relative to.

        Raises:
            InvalidMap: with every fault found, each with its rule, what is wrong, and what to write instead.
        """
        return cls.from_tables(parse_toml(text), hashlib.sha256(text.encode()).hexdigest(), folder)

    @classmethod
    def from_tables(cls, tables: Mapping[str, Any], sha256: str | None = None, folder: Path = HERE) -> TenantMap:
        """The map in a TOML document that has been parsed.

        Raises:
            InvalidMap: with every fault found.
        """
        read = _read(tables, folder)
        issuers = [(issuer_of(name, table), keys_of(table, folder)) for name, table in read.issuers.items()]
        return cls(read.rules, sha256, Bearers(issuers, time.time) if issuers else None)

    def decide(self, request: Request) -> Decision:
        """Whose request it is. Never raises; a refusal is a Decision that is not `allowed`."""
        try:
            tokens = self.tokens_of(request)
        except BridgeError as refusal:
            return Decision(refusal=refusal)
        return decide(request, self.rules, tokens)

    def tokens_of(self, request: Request) -> Tokens:
        """The request's tokens, verified.

        Raises:
            BridgeError: one is there and does not verify, or the keys for it cannot be had.
        """
        return NO_TOKENS if self._bearers is None else self._bearers.tokens_of(request)


@dataclass(frozen=True, slots=True)
class _Read:
    """A map's tables, and the rules that they became."""

    rules: Rules
    written: list[RuleTable]
    tests: list[TestTable]
    issuers: dict[str, IssuerTable]


def _read(tables: Mapping[str, Any], folder: Path) -> _Read:
    """Shape first, table by table, then sense: what does not fit is left out, and the rest is still looked at."""
    faults = [unknown_key(name, name, TABLES | ELSEWHERE) for name in tables if name not in TABLES | ELSEWHERE]
    if not TABLES & set(tables):
        faults.append("the map is empty: a file that was cut off, or emptied? Write [tenants] and a [[rule]]")
    header = fit(_Header, tables.get("header", {}), "header", faults) or _Header()
    tenants = fit_named(_Tenant, tables.get("tenants", {}), "tenants", faults)
    written = fit_each(RuleTable, tables.get("rule", []), "rule", faults)
    tests = fit_each(TestTable, tables.get("test", []), "test", faults)
    faults += [*_header_faults(header), *_tenant_faults(tenants), *_repeated_ids(written)]
    issuers = fit_named(IssuerTable, tables.get("jwt", {}), "jwt", faults)
    faults += issuer_faults(issuers, names.lower(header.name))
    for name, issuer in issuers.items():
        faults += [f'jwt "{name}": {fault}' for fault in check_key_file(issuer, folder)]
    known = set(tables["tenants"]) if isinstance(tables.get("tenants"), Mapping) else set()
    rules: list[Rule] = []
    for table in written:
        found = list(faults_of(table, known, issuers))
        faults += [f'rule "{table.id}": {fault}' for fault in found]
        if not found:
            rules.append(rule_of(table))
    faults += _same_anchor_faults(rules)
    if faults:
        raise InvalidMap(faults)
    registered = (Tenant(name, entry.status == "active") for name, entry in tenants.items())
    token_headers = {names.lower(issuer.header) for issuer in issuers.values()}
    built = Rules.build(names.lower(header.name), registered, rules, token_headers)
    return _Read(built, written, tests, issuers)


def _subject(fault: str) -> str | None:
    """The rule's id that a fault begins with."""
    return fault.split('"')[1] if fault.startswith('rule "') else None


def _header_faults(header: _Header) -> Iterator[str]:
    name = names.lower(header.name)
    if not names.is_token(name) or names.fold(name) != name:
        yield f'header: name "{header.name}" is not a header name; write letters, digits and -, as in x-tenant-id'
    elif names.has_other_meaning(name):
        yield f'header: name "{header.name}" has another meaning; write one of your own, as in x-tenant-id'


def _tenant_faults(tenants: Mapping[str, _Tenant]) -> Iterator[str]:
    for name in tenants:
        if not is_tenant_id(name):
            yield (
                f"tenants: {name!r} cannot be a tenant id; write 1 to 256 of A-Z a-z 0-9 . _ : / = + @ -, "
                "the first a letter or digit"
            )


def _repeated_ids(rules: list[RuleTable]) -> Iterator[str]:
    seen: set[str] = set()
    for rule in rules:
        if rule.id in seen:
            yield f'rule "{rule.id}": another rule has this id; ids are how a decision is explained, give each its own'
        seen.add(rule.id)


def _same_anchor_faults(rules: list[Rule]) -> Iterator[str]:
    """Two rules for the same callers: which one would decide is nobody's guess. A deny beside an allow is clear, and
    the quickest way to shut somebody out: it must not keep the map from loading."""
    seen: dict[tuple[Key, tuple[Condition, ...] | None], Rule] = {}
    for rule in rules:
        first = seen.setdefault((rule.key, rule.conditions if rule.outcome is None else None), rule)
        if first is not rule:
            yield f'rule "{rule.id}": rule "{first.id}" is for the same callers; make one rule of the two'
