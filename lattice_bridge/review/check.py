"""Check of a configuration before it is deployed: its faults, the tests in it that fail, and its warnings.

Rule: the faults are found by the code that loads the map. A warning never keeps a map from loading.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from lattice_bridge.config.document import Document, parse_document
from lattice_bridge.config.settings import NO_RULE
from lattice_bridge.config.tables.map import ELSEWHERE, read_map, rule_of
from lattice_bridge.config.tables.options import read_options
from lattice_bridge.config.tables.rule import RuleTable, anchors_of
from lattice_bridge.config.tenant_map import HERE, TenantMap
from lattice_bridge.errors import InvalidMap
from lattice_bridge.review.finding import Finding
from lattice_bridge.review.map_tests import every_tenant, failed_tests
from lattice_bridge.tenancy.anchors import Key, broader_keys
from lattice_bridge.tenancy.rules import AnyTenant, Rule, Rules, TenantFrom


def findings_of(text: str, folder: Path = HERE) -> list[Finding]:
    """Everything that is wrong with a configuration, and everything in it that is probably not intended.

    Errors keep it from loading, except those of `[[test]]` tables. No AWS service is called: with a registry, a test
    treats every tenant as registered. For a compiled configuration, the only finding is that it does not load. A map
    may be a file of its own: a file without any of the other tables needs no backend.

    Args:
        text: TOML, or a compiled configuration.
        folder: the folder that a `jwks_file` is relative to.
    """
    try:
        document = parse_document(text)
    except InvalidMap as error:
        return _errors(error.faults)
    if document.compiled is not None:
        return _of_compiled(document, folder)
    return [*_errors(_option_faults(document)), *_of_map(document, folder)]


def _option_faults(document: Document) -> list[str]:
    faults: list[str] = []
    options = read_options(document.tables, faults)
    if ELSEWHERE & set(document.tables):
        if not options.backends and not faults:
            faults.append('no [[backend]]. Fix: write one with function = "…"')
        if not document.tables.get("rule"):
            faults.append(NO_RULE)
    return faults


def _of_map(document: Document, folder: Path) -> list[Finding]:
    try:
        read = read_map(document.tables, folder)
    except InvalidMap as error:
        return _errors(error.faults)
    find = every_tenant if read.around.registry else None
    issuers = [source.issuer.name for source in read.around.issuers]
    return [*failed_tests(read.tests, read.rules, issuers, find), *_warnings(read.written, read.rules)]


def _of_compiled(document: Document, folder: Path) -> list[Finding]:
    try:
        TenantMap.from_document(document, folder)
    except InvalidMap as error:
        return _errors(error.faults)
    return []


def _errors(faults: list[str] | tuple[str, ...]) -> list[Finding]:
    return [Finding("error", _rule_in(fault), fault) for fault in faults]


def _rule_in(fault: str) -> str | None:
    """The id of the rule that a fault begins with."""
    return fault.split('"')[1] if fault.startswith('rule "') else None


# ---- warnings -------------------------------------------------------------------------------------------------------


def _warnings(written: list[RuleTable], rules: Rules) -> Iterator[Finding]:
    for table in written:
        for text in _rule_warnings(table, rules):
            yield Finding("warning", table.id, f'rule "{table.id}": {text}')
    yield from _similar_tenants(rules)
    yield from _unreached_tenants(rules)


def _rule_warnings(table: RuleTable, rules: Rules) -> Iterator[str]:
    for anchor in anchors_of(table):
        yield from anchor.warnings(table)
    rule = rule_of(table)
    if rule.outcome is not None and (denial := _denial_of_all(rule, rules)) is not None:
        yield f'is never reached, since rule "{denial.id}" denies all its callers. Fix: remove one of the two'


def _denial_of_all(rule: Rule, rules: Rules) -> Rule | None:
    """A deny rule without conditions at the rule's own key, or at a key that all its callers have."""
    keys: tuple[Key, ...] = (rule.key, *broader_keys(rule.key))
    found = (denial for key in keys for denial in rules.denials.get(key, ()))
    return next((denial for denial in found if not denial.conditions), None)


_SIMILAR: Final = str.maketrans({"l": "1", "i": "1", "o": "0", "_": "-", ".": "-"})


def _similar_tenants(rules: Rules) -> Iterator[Finding]:
    """Tenant ids that a person may confuse: they differ only by case, or by l/1/i, o/0, _/-/. ."""
    groups: dict[str, list[str]] = {}
    for tenant in rules.tenants or sorted(_named_tenants(rules)):  # with a registry, those that rules name
        groups.setdefault(tenant.lower().translate(_SIMILAR), []).append(tenant)
    for similar in groups.values():
        if len(similar) > 1:
            yield Finding("warning", similar[0], f"tenants {', '.join(similar)} are easy to confuse")


def _unreached_tenants(rules: Rules) -> Iterator[Finding]:
    if any(isinstance(rule.outcome, (AnyTenant, TenantFrom)) for rule in rules.owners.values()):
        return
    reached = _named_tenants(rules)
    for tenant in rules.tenants:
        if tenant not in reached:
            yield Finding("warning", tenant, f"tenant {tenant} is registered, but no rule allows it")


def _named_tenants(rules: Rules) -> set[str]:
    """The tenants that rules name."""
    outcomes = (rule.outcome for rule in rules.owners.values())
    return {tenant for outcome in outcomes if isinstance(outcome, frozenset) for tenant in outcome}
