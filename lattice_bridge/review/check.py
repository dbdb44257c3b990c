"""Check of a configuration before it is deployed: its faults, the tests in it that fail, and its warnings.

Rule: the faults are found by the code that loads the map. A warning never keeps a map from loading.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from lattice_bridge.config.document import Document, parse_document
from lattice_bridge.config.options import Options
from lattice_bridge.config.positions import located
from lattice_bridge.config.settings import missing_faults
from lattice_bridge.config.tables.map import ELSEWHERE, MapFile, named_tenants, read_map, rule_of
from lattice_bridge.config.tables.options import read_options
from lattice_bridge.config.tables.rule import anchors_of
from lattice_bridge.config.tables.rule_table import RuleTable
from lattice_bridge.config.tenant_map import HERE, TenantMap
from lattice_bridge.config.words import quoted
from lattice_bridge.errors import Fault, InvalidMap
from lattice_bridge.review.finding import Finding, Level
from lattice_bridge.review.map_tests import every_tenant, failed_tests
from lattice_bridge.review.source_warnings import source_warnings
from lattice_bridge.tenancy.anchors import Key, broader_keys
from lattice_bridge.tenancy.rules import AnyTenant, Rule, Rules, TenantFrom

_OF_AN_AUTHORIZER: Final = frozenset({"apigateway", "log", "map"})
"""Tables that are enough for the map as a Lambda authorizer, which invokes nothing."""


def findings_of(text: str, folder: Path = HERE) -> list[Finding]:
    """Everything that is wrong with a configuration, and everything in it that is probably not intended.

    Errors keep it from loading, except those of `[[test]]` tables. No AWS service is called: with a registry, a test
    treats every tenant as registered. For a compiled configuration, the only finding is that it does not load. A map
    may be a file of its own: a file without any of the other tables needs no backend, and neither does a file with
    those of a Lambda authorizer alone.

    Args:
        text: TOML, or a compiled configuration.
        folder: the folder that a `jwks_file` is relative to.
    """
    try:
        document = parse_document(text)
    except InvalidMap as error:
        return _errors(error)
    if document.compiled is not None:
        return _of_compiled(document, folder)
    return _of_map(document, folder)


def _of_map(document: Document, folder: Path) -> list[Finding]:
    faults: list[Fault] = []
    options = read_options(document.tables, faults)
    if others := ELSEWHERE & set(document.tables):
        faults += missing_faults(document, needs_backend=not others <= _OF_AN_AUTHORIZER)
    try:
        read = read_map(document, folder)
    except InvalidMap as error:
        return _errors(document.invalid([*faults, *error.found]), document.tables)
    sources = None if faults else options.event_sources
    failed = [*faults, *failed_tests(read, sources, every_tenant if read.around.registry else None)]
    warnings = [*_warnings(read), *(_unlisted_apis(read, options) if ELSEWHERE & set(document.tables) else ())]
    warnings += () if sources is None else source_warnings(sources, read.rules)
    levels: tuple[tuple[Level, Iterable[Fault]], ...] = (("error", failed), ("warning", warnings))
    return [
        _finding(level, fault, document.tables) for level, found in levels for fault in located(found, document.text)
    ]


def _of_compiled(document: Document, folder: Path) -> list[Finding]:
    try:
        TenantMap.from_document(document, folder)
    except InvalidMap as error:
        return _errors(error)
    return []


def _errors(error: InvalidMap, tables: Mapping[str, Any] = MappingProxyType({})) -> list[Finding]:
    return [_finding("error", fault, tables) for fault in error.found]


def _finding(level: Level, fault: Fault, tables: Mapping[str, Any]) -> Finding:
    subject = _subject(fault.path or (), tables)
    return Finding(level, subject, fault.text, line=fault.line or 1, column=fault.column or 1)


def _subject(path: tuple[str | int, ...], tables: Mapping[str, Any]) -> str | None:
    """The id of the rule or tenant at a path, or else the name of the table."""
    if len(path) > 1 and path[0] == "rule" and isinstance(path[1], int):
        table = tables["rule"][path[1]]
        found = table.get("id") if isinstance(table, Mapping) else None
        return found if isinstance(found, str) else None
    if len(path) > 1 and path[0] == "tenants":
        return str(path[1])
    return str(path[0]) if path else None


# ---- warnings -------------------------------------------------------------------------------------------------------


def _warnings(read: MapFile) -> Iterator[Fault]:
    for index, table in enumerate(read.written):
        for fault in _rule_warnings(table, read.rules):
            yield fault.within(f"rule {quoted(table.id)}", ("rule", index))
    yield from _similar_tenants(read)
    yield from _unreached_tenants(read.rules)


def _rule_warnings(table: RuleTable, rules: Rules) -> Iterator[Fault]:
    for anchor in anchors_of(table):
        yield from (Fault(text, (anchor.name,)) for text in anchor.warnings(table))
    rule = rule_of(table)
    if rule.outcome is not None and (denial := _denial_of_all(rule, rules)) is not None:
        yield Fault(
            f"is never reached, since rule {quoted(denial.id)} denies all its callers. Fix: remove one of the two"
        )


def _denial_of_all(rule: Rule, rules: Rules) -> Rule | None:
    """A deny rule without conditions at the rule's own key, or at a key that all its callers have."""
    keys: tuple[Key, ...] = (rule.key, *broader_keys(rule.key))
    found = (denial for key in keys for denial in rules.denials.get(key, ()))
    return next((denial for denial in found if not denial.conditions), None)


def _unlisted_apis(read: MapFile, options: Options) -> Iterator[Fault]:
    """Rules for an API from which no event is accepted."""
    for index, table in enumerate(read.written):
        for api in table.values("api"):
            if api not in options.apis:
                what = f"api {quoted(api)} is not in [apigateway] apis, so every event of it is refused"
                fault = Fault(f"{what}. Fix: list it there, or correct the id", ("api",))
                yield fault.within(f"rule {quoted(table.id)}", ("rule", index))


_SIMILAR: Final = str.maketrans({"l": "1", "i": "1", "o": "0", "_": "-", ".": "-"})


def _similar_tenants(read: MapFile) -> Iterator[Fault]:
    """Tenant ids that a person may confuse: they differ only by case, or by l/1/i, o/0, _/-/. ."""
    groups: dict[str, list[str]] = {}
    for tenant in read.rules.tenants or sorted(_named_tenants(read.rules)):  # with a registry, those that rules name
        groups.setdefault(tenant.lower().translate(_SIMILAR), []).append(tenant)
    for similar in groups.values():
        if len(similar) > 1:
            path = _path_of(similar[0], read)
            yield Fault(f"tenants {', '.join(similar)} are easy to confuse", path, at_key=True)


def _path_of(tenant: str, read: MapFile) -> tuple[str | int, ...]:
    """The path of a tenant, or else of the first rule that names it."""
    if tenant in read.rules.tenants:
        return "tenants", tenant
    return next(("rule", index) for index, table in enumerate(read.written) if tenant in named_tenants(table))


def _unreached_tenants(rules: Rules) -> Iterator[Fault]:
    if any(isinstance(rule.outcome, (AnyTenant, TenantFrom)) for rule in rules.owners.values()):
        return
    reached = _named_tenants(rules)
    for tenant in rules.tenants:
        if tenant not in reached:
            path = ("tenants", tenant)
            yield Fault(f"tenant {tenant} is registered, but no rule allows it", path, at_key=True)


def _named_tenants(rules: Rules) -> set[str]:
    """The tenants that rules name."""
    outcomes = (rule.outcome for rule in rules.owners.values())
    return {tenant for outcome in outcomes if isinstance(outcome, frozenset) for tenant in outcome}
