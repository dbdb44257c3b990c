"""The map's file format: tables in, Rules out, or every fault in them at once.

Rule: strict. An unknown key, a rule that could mean two things, a tenant nobody registered: the whole map is refused.
A condition that is silently ignored would let somebody in, so nothing is ignored.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import Field

from lattice_bridge.config.map_settings import MapSettings, RegistrySettings, key_file_fault
from lattice_bridge.config.tables.issuer import IssuerTable, issuer_faults, source_of
from lattice_bridge.config.tables.rule import RuleTable, faults_of, rule_of
from lattice_bridge.config.tables.shape import Table, fit, fit_each, fit_named, unknown_key
from lattice_bridge.config.tables.test import TestTable
from lattice_bridge.errors import InvalidMap
from lattice_bridge.http import headers as names
from lattice_bridge.message import is_tenant_id
from lattice_bridge.tenancy.rules import Condition, Key, Rule, Rules, Tenant

TABLES: Final = frozenset({"header", "jwt", "registry", "rule", "tenants", "test"})
ELSEWHERE: Final = frozenset({"backend", "invoker", "lattice", "map", "reply"})
"""Tables of bridge.toml that settings.py reads."""

_TABLE_NAME: Final = re.compile(
    r"(arn:aws[a-z-]*:dynamodb:[a-z0-9-]+:[0-9]{12}:table/)?[A-Za-z0-9_.-]{3,255}"
)  # GetItem takes either


class HeaderTable(Table):
    """`[header]`."""

    name: str = "x-tenant-id"


class TenantTable(Table):
    """What stands behind a name in `[tenants]`."""

    status: Literal["active", "suspended"] = "active"


class RegistryTable(Table):
    """`[registry]`: the tenants are items of a DynamoDB table. `ttl` and `max_stale` are seconds."""

    dynamodb_table: str
    ttl: float = Field(default=60, ge=1, le=3600)
    max_stale: float = Field(default=3600, ge=0, le=86400)


@dataclass(frozen=True, slots=True)
class MapFile:
    """A map's tables without faults, and the rules that they became."""

    around: MapSettings
    rules: Rules
    written: list[RuleTable]
    tests: list[TestTable]


def read_map(tables: Mapping[str, Any], folder: Path) -> MapFile:
    """Shape first, table by table, then sense: what does not fit is left out, and the rest is still looked at.

    Args:
        tables: by name; `ELSEWHERE`'s are passed over.
        folder: what a `jwks_file` is relative to.

    Raises:
        InvalidMap: with every fault found.
    """
    faults = [unknown_key(name, name, TABLES | ELSEWHERE) for name in tables if name not in TABLES | ELSEWHERE]
    if not TABLES & set(tables):
        faults.append("the map is empty: a file that was cut off, or emptied? Write [tenants] and a [[rule]]")
    issuers = _issuers(tables, folder, faults)
    around = _surroundings(tables, issuers, faults)
    tenants = fit_named(TenantTable, tables.get("tenants", {}), "tenants", faults)
    written = fit_each(RuleTable, tables.get("rule", []), "rule", faults)
    tests = fit_each(TestTable, tables.get("test", []), "test", faults)
    faults += [*_tenant_faults(tenants), *_repeated_ids(written)]
    rules = _rules(written, _known(tables), issuers, faults)
    if faults:
        raise InvalidMap(faults)
    registered = (Tenant(name, entry.status == "active") for name, entry in tenants.items())
    return MapFile(around, Rules.build(around.header, registered, rules, around.token_headers), written, tests)


def _issuers(tables: Mapping[str, Any], folder: Path, faults: list[str]) -> dict[str, IssuerTable]:
    issuers = fit_named(IssuerTable, tables.get("jwt", {}), "jwt", faults)
    for name, issuer in issuers.items():
        if issuer.jwks_file is not None and (fault := key_file_fault(folder / issuer.jwks_file)):
            faults.append(f'jwt "{name}": jwks_file "{issuer.jwks_file}": {fault}')
    return issuers


def _surroundings(tables: Mapping[str, Any], issuers: Mapping[str, IssuerTable], faults: list[str]) -> MapSettings:
    header = fit(HeaderTable, tables.get("header", {}), "header", faults) or HeaderTable()
    name = names.lower(header.name)
    faults += [*_header_faults(header), *issuer_faults(issuers, name)]
    registry = fit(RegistryTable, tables["registry"], "registry", faults) if "registry" in tables else None
    if registry is not None:
        faults += _registry_faults(registry, tables)
    sources = tuple(source_of(key, table) for key, table in issuers.items())
    return MapSettings(name, sources, RegistrySettings(**registry.model_dump()) if registry else None)


def _known(tables: Mapping[str, Any]) -> Collection[str] | None:
    """The registered tenants' names, also of those whose table has faults; None if only a registry knows them."""
    if "registry" in tables:
        return None
    return set(tables["tenants"]) if isinstance(tables.get("tenants"), Mapping) else set()


def _rules(
    written: list[RuleTable], known: Collection[str] | None, issuers: Mapping[str, IssuerTable], faults: list[str]
) -> list[Rule]:
    rules: list[Rule] = []
    for table in written:
        found = list(faults_of(table, known, issuers))
        faults += [f'rule "{table.id}": {fault}' for fault in found]
        if not found:
            rules.append(rule_of(table))
    faults += _same_anchor_faults(rules)
    return rules


def _header_faults(header: HeaderTable) -> Iterator[str]:
    name = names.lower(header.name)
    if not names.is_token(name) or names.fold(name) != name:
        yield f'header: name "{header.name}" is not a header name; write letters, digits and -, as in x-tenant-id'
    elif names.has_other_meaning(name):
        yield f'header: name "{header.name}" has another meaning; write one of your own, as in x-tenant-id'


def _registry_faults(registry: RegistryTable, tables: Mapping[str, Any]) -> Iterator[str]:
    if "tenants" in tables:
        yield "registry: the map has [tenants] as well; which of the two counts would be a guess: keep one"
    if _TABLE_NAME.fullmatch(registry.dynamodb_table) is None:
        yield f'registry: dynamodb_table "{registry.dynamodb_table}" is neither a table\'s name nor its ARN'
    if registry.max_stale < registry.ttl:
        yield "registry: max_stale is shorter than ttl; it is how long a tenant is believed while nobody answers"


def _tenant_faults(tenants: Mapping[str, TenantTable]) -> Iterator[str]:
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
