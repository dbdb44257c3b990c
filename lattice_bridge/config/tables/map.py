"""The tables of a tenant map: read into Rules, or refused with every fault in them.

Rule: reading is strict. An unknown key, a rule that could mean two things, or a tenant that is not registered refuses
the whole map. A condition that were ignored could allow a caller, so nothing is ignored.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import Field

from lattice_bridge.config.map_settings import MapSettings, RegistrySettings, key_file_fault
from lattice_bridge.config.tables.jwt import JwtTable, jwt_faults, source_of
from lattice_bridge.config.tables.outcome import TENANT_ID_GRAMMAR, acknowledgement_faults, outcome_faults, outcome_of
from lattice_bridge.config.tables.rule import RuleTable, anchor_faults, anchors_of, condition_faults, conditions_of
from lattice_bridge.config.tables.table import Table, fit, fit_each, fit_named, unknown_key
from lattice_bridge.errors import InvalidMap
from lattice_bridge.http import headers as names
from lattice_bridge.message import is_tenant_id
from lattice_bridge.tenancy.anchors import Key
from lattice_bridge.tenancy.rules import Condition, Rule, Rules, Tenant

TABLES: Final = frozenset({"header", "jwt", "registry", "rule", "tenants", "test"})
ELSEWHERE: Final = frozenset({"backend", "invoker", "lattice", "log", "map", "reply"})
"""Tables of bridge.toml that `options.py` reads."""

_TABLE_NAME: Final = re.compile(
    r"(arn:aws[a-z-]*:dynamodb:[a-z0-9-]+:[0-9]{12}:table/)?[A-Za-z0-9_.-]{3,255}"
)  # GetItem accepts both


class HeaderTable(Table):
    """`[header]`."""

    name: str = Field(default="x-tenant-id", description="Lower-case letters, digits and -.")


class TenantTable(Table):
    """The value of a name in `[tenants]`."""

    status: Literal["active", "suspended"] = Field(
        default="active", description="A suspended tenant is registered, and its requests are refused."
    )


class RegistryTable(Table):
    """`[registry]`: the tenants are items of a DynamoDB table. `ttl` and `max_stale` are seconds."""

    dynamodb_table: str = Field(description='Its name or ARN. Its key is `tenant`; `status` has to be "active".')
    ttl: float = Field(default=60, ge=1, le=3600, description="Seconds after which a tenant is looked up again.")
    max_stale: float = Field(
        default=3600,
        ge=0,
        le=86400,
        description="Seconds for which the last answer is used while the table does not answer.",
    )


class TestTable(Table):
    """One `[[test]]`: a subject, and the decision that is expected for it. `review` runs it."""

    __test__ = False  # for pytest

    expect: str = Field(min_length=1, description="A tenant, `refused`, or `refused: REASON`.")
    principal: str | None = Field(default=None, description="The ARN that Lattice authenticated.")
    session: str | None = Field(default=None, description="Its session's name, if the ARN does not contain it.")
    header: str | None = Field(default=None, description="The tenant header's value.")
    vpc: str | None = Field(default=None, description="The source VPC's ARN.")
    org: str | None = Field(default=None, description="The caller's organisation.")
    service: str | None = Field(default=None, description="The Lattice service's ARN.")
    network: str | None = Field(default=None, description="The service network's ARN.")
    x509_san_uri: str | None = Field(default=None, description="The URI in the certificate.")
    claims: dict[str, dict[str, Any]] = Field(
        default_factory=dict, description="The claims of a verified token, by its issuer's name."
    )


@dataclass(frozen=True, slots=True)
class MapFile:
    """A map's tables without faults, and the rules that they describe.

    Attributes:
        around: the tenant header, the issuers and the registry.
        rules: the rules as decisions use them.
        written: the rules as the file has them.
        tests: the map's own tests.
    """

    around: MapSettings
    rules: Rules
    written: list[RuleTable]
    tests: list[TestTable]


def read_map(tables: Mapping[str, Any], folder: Path) -> MapFile:
    """Reads a map. First each table's keys and types are checked, then its meaning. A table that does not fit is left
    out, so that the faults of the others are found as well.

    Args:
        tables: by name; those in `ELSEWHERE` are ignored.
        folder: the folder that a `jwks_file` is relative to.

    Raises:
        InvalidMap: with every fault found.
    """
    faults = [unknown_key(name, name, TABLES | ELSEWHERE) for name in tables if name not in TABLES | ELSEWHERE]
    if not TABLES & set(tables):
        faults.append("the map is empty, so the file may be cut off. Fix: write [tenants] and a [[rule]]")
    issuers = _issuers(tables, folder, faults)
    around = _surroundings(tables, issuers, faults)
    tenants = fit_named(TenantTable, tables.get("tenants", {}), "tenants", faults)
    written = fit_each(RuleTable, tables.get("rule", []), "rule", faults)
    tests = fit_each(TestTable, tables.get("test", []), "test", faults)
    faults += [*_tenant_faults(tenants), *_repeated_ids(written)]
    rules = _rules(written, _registered(tables), issuers, faults)
    if faults:
        raise InvalidMap(faults)
    registered = (Tenant(name, entry.status == "active") for name, entry in tenants.items())
    return MapFile(around, Rules.build(around.header, registered, rules, around.token_headers), written, tests)


# ---- header, issuers, registry, tenants -----------------------------------------------------------------------------


def _issuers(tables: Mapping[str, Any], folder: Path, faults: list[str]) -> dict[str, JwtTable]:
    issuers = fit_named(JwtTable, tables.get("jwt", {}), "jwt", faults)
    for name, issuer in issuers.items():
        if issuer.jwks_file is not None and (fault := key_file_fault(folder / issuer.jwks_file)):
            faults.append(f'jwt "{name}": jwks_file "{issuer.jwks_file}": {fault}')
    return issuers


def _surroundings(tables: Mapping[str, Any], issuers: Mapping[str, JwtTable], faults: list[str]) -> MapSettings:
    header = fit(HeaderTable, tables.get("header", {}), "header", faults) or HeaderTable()
    name = names.lower(header.name)
    faults += [*_header_faults(header), *jwt_faults(issuers, name)]
    registry = fit(RegistryTable, tables["registry"], "registry", faults) if "registry" in tables else None
    if registry is not None:
        faults += _registry_faults(registry, tables)
    sources = tuple(source_of(key, table) for key, table in issuers.items())
    return MapSettings(name, sources, RegistrySettings(**registry.model_dump()) if registry else None)


def _header_faults(header: HeaderTable) -> Iterator[str]:
    name = names.lower(header.name)
    if not names.is_token(name) or names.fold(name) != name:
        yield f'header: name "{header.name}" is not a header name. Fix: write letters, digits and -, as in x-tenant-id'
    elif names.has_other_meaning(name):
        yield f'header: name "{header.name}" has another meaning. Fix: write a name of your own, as in x-tenant-id'


def _registry_faults(registry: RegistryTable, tables: Mapping[str, Any]) -> Iterator[str]:
    if "tenants" in tables:
        yield "registry: the map has [tenants] as well. Fix: keep one of the two"
    if _TABLE_NAME.fullmatch(registry.dynamodb_table) is None:
        yield (
            f'registry: dynamodb_table "{registry.dynamodb_table}" is not the name or ARN of a table. Fix: write one, '
            "as in tenants"
        )
    if registry.max_stale < registry.ttl:
        yield "registry: max_stale is shorter than ttl. Fix: write at least the ttl"


def _tenant_faults(tenants: Mapping[str, TenantTable]) -> Iterator[str]:
    for name in tenants:
        if not is_tenant_id(name):
            yield f"tenants: {name!r} is not a tenant id. Fix: write {TENANT_ID_GRAMMAR}"


def _registered(tables: Mapping[str, Any]) -> Collection[str] | None:
    """The registered tenants' names, also of those whose table has faults; None if only a registry has them."""
    if "registry" in tables:
        return None
    return set(tables["tenants"]) if isinstance(tables.get("tenants"), Mapping) else set()


# ---- rules ----------------------------------------------------------------------------------------------------------


def rule_of(table: RuleTable) -> Rule:
    """The rule of a table without faults."""
    return Rule(table.id, anchors_of(table)[0].key(table), outcome_of(table), conditions_of(table))


def _rules(
    written: list[RuleTable], tenants: Collection[str] | None, issuers: Mapping[str, JwtTable], faults: list[str]
) -> list[Rule]:
    rules: list[Rule] = []
    for table in written:
        found = [
            *anchor_faults(table),
            *condition_faults(table, issuers),
            *outcome_faults(table, tenants),
            *acknowledgement_faults(table, issuers),
        ]
        faults += [f'rule "{table.id}": {fault}' for fault in found]
        if not found:
            rules.append(rule_of(table))
    faults += _same_callers_faults(rules)
    return rules


def _repeated_ids(rules: list[RuleTable]) -> Iterator[str]:
    seen: set[str] = set()
    for rule in rules:
        if rule.id in seen:
            yield f'rule "{rule.id}": another rule has this id. Fix: give each rule its own, since explanations name it'
        seen.add(rule.id)


def _same_callers_faults(rules: list[Rule]) -> Iterator[str]:
    """Two rules that allow the same callers: the map does not say which one decides. A deny rule beside a rule that
    allows is clear, and the quickest way to lock a caller out, so it must not keep the map from loading."""
    seen: dict[tuple[Key, tuple[Condition, ...] | None], Rule] = {}
    for rule in rules:
        first = seen.setdefault((rule.key, rule.conditions if rule.outcome is None else None), rule)
        if first is not rule:
            yield f'rule "{rule.id}": rule "{first.id}" is for the same callers. Fix: make one rule of the two'
