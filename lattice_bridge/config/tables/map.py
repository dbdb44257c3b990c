"""The tables of a tenant map: read into Rules, or refused with every fault in them.

Rule: reading is strict. An unknown key, a rule that could mean two things, or a tenant that is not registered refuses
the whole map. A condition that were ignored could allow a caller, so nothing is ignored.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import Field

from lattice_bridge.config.document import Document
from lattice_bridge.config.map_settings import MapSettings, RegistrySettings, key_file_fault
from lattice_bridge.config.tables.jwt import JwtTable, jwt_faults, same_issuer_faults, source_of
from lattice_bridge.config.tables.outcome import TENANT_ID_GRAMMAR, acknowledgement_faults, outcome_faults, outcome_of
from lattice_bridge.config.tables.record_anchors import RECORD_KEYS
from lattice_bridge.config.tables.rule import (
    anchor_faults,
    anchors_of,
    condition_faults,
    conditions_of,
)
from lattice_bridge.config.tables.rule_table import RuleTable, SenderTable
from lattice_bridge.config.tables.table import OwnNames, Reader, Table, label, unknown_key
from lattice_bridge.config.words import listed, quoted, shown_key
from lattice_bridge.errors import Fault
from lattice_bridge.http import headers as names
from lattice_bridge.message import is_tenant_id
from lattice_bridge.tenancy.anchors import Key
from lattice_bridge.tenancy.rules import Condition, Rule, Rules, Tenant

TABLES: Final = frozenset({"header", "jwt", "registry", "rule", "tenants", "test"})
ELSEWHERE: Final = frozenset(
    {"alb", "apigateway", "backend", "event_source", "function_url", "invoker", "lattice", "log", "map", "reply"}
)
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
    api: str | None = Field(default=None, description="The id of the API that the request came through.")
    authorizer: dict[str, Any] = Field(
        default_factory=dict, description='What the API\'s authorizer returned, as in { claims = { tenant = "blue" } }.'
    )
    client_cert: str | None = Field(
        default=None, description="The subject of the certificate that API Gateway verified."
    )
    claims: dict[str, dict[str, Any]] = Field(
        default_factory=dict, description="The claims of a verified token, by its issuer's name."
    )
    source: str | None = Field(default=None, description="The arn of the [[event_source]] that the record came from.")
    sender: SenderTable | None = Field(
        default=None, description='The record\'s sender, as in { role_id = "AROA…", session = "…" }.'
    )
    event_account: str | None = Field(default=None, description="The account in which the event was published.")
    bus_source: str | None = Field(default=None, description="The event's source.")
    detail_type: str | None = Field(default=None, description="The event's detail-type.")
    claim: str | None = Field(default=None, description="The tenant that the record asks for.")


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


def read_map(document: Document, folder: Path) -> MapFile:
    """Reads a map. First each table's keys and types are checked, then its meaning. A key that cannot be read hides no
    other fault, neither in its table nor in others.

    Args:
        document: in TOML; the tables in `ELSEWHERE` are ignored.
        folder: the folder that a `jwks_file` is relative to.

    Raises:
        InvalidMap: with every fault found.
    """
    tables, reader = document.tables, Reader()
    own = OwnNames(tables)
    _find_unknown_tables(tables, reader)
    issuers = _issuers(tables, folder, reader)
    around = _surroundings(tables, issuers, reader)
    tenants = reader.named(TenantTable, tables.get("tenants", {}), "tenants")
    reader.add("tenants", ("tenants",), _tenant_faults(tenants))
    written = reader.each(RuleTable, tables.get("rule", []), "rule")
    tests = reader.each(TestTable, tables.get("test", []), "test")
    _find_missing_tenants(tables, written, reader)
    _find_missing_sources(tables, written, reader)
    rules = _rules(written, issuers, tables, own, reader)
    if reader.faults:
        raise document.invalid(reader.faults)
    registered = (Tenant(name, entry.status == "active") for name, entry in tenants.items())
    built = Rules.build(around.header, registered, rules, around.token_headers)
    return MapFile(around, built, list(written.values()), list(tests.values()))


def _find_unknown_tables(tables: Mapping[str, Any], reader: Reader) -> None:
    unknown = [unknown_key(name, TABLES | ELSEWHERE) for name in tables if name not in TABLES | ELSEWHERE]
    reader.faults += unknown
    reader.unread_tables |= {f"[{near}]" for fault in unknown for near in fault.given}
    if not TABLES & set(tables):
        reader.faults.append(Fault("the map is empty, so the file may be cut off. Fix: write [tenants] and a [[rule]]"))


# ---- header, issuers, registry, tenants -----------------------------------------------------------------------------


def _issuers(tables: Mapping[str, Any], folder: Path, reader: Reader) -> dict[str, JwtTable]:
    issuers = reader.named(JwtTable, tables.get("jwt", {}), "jwt")
    for name, issuer in issuers.items():
        if issuer.jwks_file is not None and (fault := key_file_fault(folder / issuer.jwks_file)):
            what = f"jwks_file {quoted(issuer.jwks_file)}: {fault}"
            reader.add(f"jwt {quoted(name)}", ("jwt", name), [Fault(what, ("jwks_file",))])
    return issuers


def _surroundings(tables: Mapping[str, Any], issuers: Mapping[str, JwtTable], reader: Reader) -> MapSettings:
    header = reader.fit(HeaderTable, tables.get("header", {}), "header", ("header",)) or HeaderTable()
    reader.add("header", ("header",), _header_faults(header))
    name = names.lower(header.name)
    for key, table in issuers.items():
        reader.add(f"jwt {quoted(key)}", ("jwt", key), jwt_faults(key, table, name))
    for key, fault in same_issuer_faults(issuers):
        reader.add(f"jwt {quoted(key)}", ("jwt", key), [fault])
    registry = None
    if "registry" in tables:
        registry = reader.fit(RegistryTable, tables["registry"], "registry", ("registry",))
    if registry is not None:
        reader.add("registry", ("registry",), _registry_faults(registry, tables))
    sources = tuple(source_of(key, table) for key, table in issuers.items())
    return MapSettings(name, sources, RegistrySettings(**registry.model_dump()) if registry else None)


def _header_faults(header: HeaderTable) -> Iterator[Fault]:
    name = names.lower(header.name)
    if not names.is_token(name) or names.fold(name) != name:
        plain = re.sub(r"[^a-z0-9-]+", "-", name).strip("-")
        fix = f"write letters, digits and -, as in {plain or 'x-tenant-id'}"
        yield Fault(f"name {quoted(header.name)} is not a header name. Fix: {fix}", ("name",))
    elif names.has_other_meaning(name):
        fix = "write a name of your own, as in x-tenant-id"
        yield Fault(f"name {quoted(header.name)} has another meaning. Fix: {fix}", ("name",))


def _registry_faults(registry: RegistryTable, tables: Mapping[str, Any]) -> Iterator[Fault]:
    if "tenants" in tables:
        yield Fault("the map has [tenants] as well. Fix: keep one of the two")
    if _TABLE_NAME.fullmatch(registry.dynamodb_table) is None:
        what = f"dynamodb_table {quoted(registry.dynamodb_table)} is not the name or ARN of a table"
        fix = "write a name of 3 to 255 of A-Z a-z 0-9 _ . -, or the table's ARN"
        yield Fault(f"{what}. Fix: {fix}", ("dynamodb_table",))
    if registry.max_stale < registry.ttl:
        what = f"max_stale is shorter than ttl. Fix: write at least max_stale = {registry.ttl:g}"
        yield Fault(what, ("max_stale",), given=("ttl",))


def _tenant_faults(tenants: Iterable[str]) -> Iterator[Fault]:
    for name in tenants:
        if not is_tenant_id(name):
            yield Fault(f"{quoted(name)} is not a tenant id. Fix: write {TENANT_ID_GRAMMAR}", (name,), at_key=True)


def _find_missing_tenants(tables: Mapping[str, Any], written: Mapping[int, RuleTable], reader: Reader) -> None:
    """One fault for a map without tenants, instead of one for each rule that names one."""
    if {"tenants", "registry"} & set(tables) or "[tenants]" in reader.unread_tables:
        return
    named = dict.fromkeys(name for table in written.values() for name in named_tenants(table) if is_tenant_id(name))
    if named:
        lines = ", ".join(f"{shown_key(name)} = {{}}" for name in list(named)[:3])
        what = f"no [tenants]: rules name {listed(named)}"
        reader.faults.append(Fault(f"{what}. Fix: write [tenants], and below it a line for each, as in {lines}"))
        reader.unread_tables.add("[tenants]")


def _find_missing_sources(tables: Mapping[str, Any], written: Mapping[int, RuleTable], reader: Reader) -> None:
    """One fault for a file without event sources, instead of one for each rule for records."""
    sources = tables.get("event_source", [])
    is_read = isinstance(sources, list) and all(
        isinstance(one, Mapping) and isinstance(one.get("arn"), str) for one in sources
    )
    if not is_read:  # the faults of these tables are found by `read_options`
        reader.unread_tables.add("[event_source]")
    if sources != [] or "[event_source]" in reader.unread_tables:
        return
    of_records = [table.id for table in written.values() if any(getattr(table, key) for key in RECORD_KEYS)]
    if of_records:
        what = f"no [[event_source]]: rule {quoted(of_records[0])} is for records, so it never applies"
        reader.faults.append(Fault(f"{what}. Fix: write one with arn and function, or remove the rule"))
        reader.unread_tables.add("[event_source]")


def named_tenants(table: RuleTable) -> list[str]:
    """The tenants that a rule lists."""
    several = table.tenants if isinstance(table.tenants, list) else []
    return [*([table.tenant] if table.tenant else []), *several]


# ---- rules ----------------------------------------------------------------------------------------------------------


def rule_of(table: RuleTable) -> Rule:
    """The rule of a table without faults."""
    return Rule(table.id, anchors_of(table)[0].key(table), outcome_of(table), conditions_of(table))


def _rules(
    written: Mapping[int, RuleTable],
    issuers: Mapping[str, JwtTable],
    tables: Mapping[str, Any],
    own: OwnNames,
    reader: Reader,
) -> list[Rule]:
    tenants = _registered(tables)
    rules: dict[int, Rule] = {}
    for index, table in written.items():
        found = (
            *anchor_faults(table, own),
            *condition_faults(table, own),
            *outcome_faults(table, tenants, own),
            *acknowledgement_faults(table, issuers),
        )
        where = f"rule {label(tables['rule'][index], index)}" if found else ""
        is_good = reader.add(where, ("rule", index), found)
        if is_good:
            rules[index] = rule_of(table)
    for index, fault in (*_repeated_ids(written), *_same_callers_faults(rules)):
        reader.add(f"rule {quoted(written[index].id)}", ("rule", index), [fault])
    return list(rules.values())


def _registered(tables: Mapping[str, Any]) -> Collection[str] | None:
    """The registered tenants' names, also of those whose table has faults; None if only a registry has them."""
    if "registry" in tables:
        return None
    return set(tables["tenants"]) if isinstance(tables.get("tenants"), Mapping) else set()


def _repeated_ids(rules: Mapping[int, RuleTable]) -> Iterator[tuple[int, Fault]]:
    seen: set[str] = set()
    for index, rule in rules.items():
        if rule.id in seen:
            fix = "give each rule its own, since explanations name it"
            yield index, Fault(f"another rule has this id. Fix: {fix}", ("id",))
        seen.add(rule.id)


def _same_callers_faults(rules: Mapping[int, Rule]) -> Iterator[tuple[int, Fault]]:
    """Two rules that allow the same callers: the map does not say which one decides. A deny rule beside a rule that
    allows is clear, and the quickest way to lock a caller out, so it must not keep the map from loading."""
    seen: dict[tuple[Key, tuple[Condition, ...] | None], Rule] = {}
    for index, rule in rules.items():
        first = seen.setdefault((rule.key, rule.conditions if rule.outcome is None else None), rule)
        if first is not rule:
            yield index, Fault(f"rule {quoted(first.id)} is for the same callers. Fix: make one rule of the two")
