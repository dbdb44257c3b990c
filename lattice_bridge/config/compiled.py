"""Compiled maps: tenants and rules as JSON, written by `lattice-bridge compile`, that loads faster than TOML.

Rule: a map is checked before it is compiled, and sealed (document.py). So the reader puts it together again, and does
not repeat the checks.

The parts of a rule's key are the levels of nested objects. Accounts and outcomes are written once, not once a rule, and
JSON's reader keeps one copy of each: 105,000 rules are 4.5 MB.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from lattice_bridge.config.code_hash import code_hash
from lattice_bridge.config.document import FORMAT, Document, sealed
from lattice_bridge.config.map_settings import MapSettings
from lattice_bridge.config.options import Options
from lattice_bridge.errors import Fault, InvalidMap
from lattice_bridge.runtime.process import no_collection
from lattice_bridge.tenancy.anchors import ANCHORS, Key
from lattice_bridge.tenancy.name_pattern import NamePattern
from lattice_bridge.tenancy.rules import ANY_TENANT, Allowed, AnyTenant, Condition, Rule, Rules, Tenant, TenantFrom
from lattice_bridge.version import __version__

_NOT_KEPT: Final = frozenset({"rule", "tenants", "test"})
"""Tables that are not kept as they were written. The others are kept, for `diff`."""


def compile_document(document: Document, folder: Path) -> str:
    """Compiles a document in TOML.

    Args:
        document: parsed.
        folder: the folder that a `jwks_file` is relative to.

    Raises:
        InvalidMap: with every fault found. A map that does not load is not compiled.
    """
    # Imported here: pydantic takes longer than the rest of a start, and a compiled map starts without it.
    from lattice_bridge.config.tables.map import read_map
    from lattice_bridge.config.tables.options import read_options

    faults: list[Fault] = []
    options = read_options(document.tables, faults)
    try:
        read = read_map(document, folder)
    except InvalidMap as error:
        raise document.invalid([*faults, *error.found]) from error
    if faults:
        raise document.invalid(faults)
    return _compiled(document, read.around, read.rules, options)


def _compiled(document: Document, around: MapSettings, rules: Rules, options: Options) -> str:
    outcomes, conditions = _Numbered(), _Numbered()
    owners: dict[str, Any] = {}
    for key, rule in sorted(rules.owners.items()):
        _set(owners, key, _leaf(rule, outcomes, conditions))
    denials: dict[str, Any] = {}
    for key, found in sorted(rules.denials.items()):
        _set(denials, key, [_leaf(rule, outcomes, conditions) for rule in found])
    return sealed(
        {
            "format": FORMAT,
            "compiled_by": f"lattice-bridge {__version__}",
            "code": code_hash(),
            "source": document.sha256,
            "tables": {name: table for name, table in document.tables.items() if name not in _NOT_KEPT},
            "options": options.to_json(),
            "around": around.to_json(),
            "tenants": sorted(tenant.id for tenant in rules.tenants.values() if tenant.active),
            "suspended": sorted(tenant.id for tenant in rules.tenants.values() if not tenant.active),
            "outcomes": outcomes.values,
            "conditions": conditions.values,
            "owners": owners,
            "denials": denials,
        }
    )


def options_of(compiled: Mapping[str, Any]) -> Options:
    """The options of a compiled document.

    Raises:
        InvalidMap: the document is sealed, but not of this format.
    """
    with _refusing_another_format():
        return Options.from_json(compiled["options"])


def map_of(compiled: Mapping[str, Any]) -> tuple[MapSettings, Rules]:
    """The map of a compiled document.

    Raises:
        InvalidMap: the document is sealed, but not of this format.
    """
    with _refusing_another_format(), no_collection():
        around = MapSettings.from_json(compiled["around"])
        return around, Rules.build(around.header, _tenants(compiled), _rules(compiled), around.token_headers)


# ---- writing --------------------------------------------------------------------------------------------------------


class _Numbered:
    """Values that are written once, and referred to by number."""

    def __init__(self) -> None:
        self.values: list[Any] = []
        self._numbers: dict[object, int] = {}

    def number(self, identity: object, value: Any) -> int:
        if identity not in self._numbers:
            self._numbers[identity] = len(self.values)
            self.values.append(value)
        return self._numbers[identity]


def _set(node: dict[str, Any], key: Key, leaf: list[Any]) -> None:
    for part in key[:-1]:
        node = node.setdefault(part, {})
    node[key[-1]] = leaf


def _leaf(rule: Rule, outcomes: _Numbered, conditions: _Numbered) -> list[Any]:
    """`[id, outcome, conditions]`, the latter two by number. The last ones are left out if the rule has none."""
    leaf: list[Any] = [rule.id]
    if rule.outcome is not None:
        leaf.append(outcomes.number(rule.outcome, _outcome(rule.outcome)))
    if rule.conditions:
        written = [[condition.kind, sorted(condition.values)] for condition in rule.conditions]
        leaf += [*([None] if rule.outcome is None else []), conditions.number(rule.conditions, written)]
    return leaf


def _outcome(outcome: Allowed | TenantFrom) -> Any:
    if isinstance(outcome, AnyTenant):
        return outcome.value
    if isinstance(outcome, TenantFrom):
        pattern = [outcome.pattern.before, outcome.pattern.after, outcome.pattern.spiffe]
        return {
            "from": outcome.source,
            "template": pattern,
            "issuer": outcome.issuer,
            "claim": list(outcome.claim),
            "list": outcome.is_list,
        }
    return sorted(outcome)


# ---- reading --------------------------------------------------------------------------------------------------------


def _tenants(compiled: Mapping[str, Any]) -> Iterator[Tenant]:
    yield from (Tenant(name) for name in compiled["tenants"])
    yield from (Tenant(name, active=False) for name in compiled["suspended"])


def _rules(compiled: Mapping[str, Any]) -> Iterator[Rule]:
    outcomes = [_outcome_of(written) for written in compiled["outcomes"]]
    conditions = [
        tuple(Condition(kind, frozenset(values)) for kind, values in written) for written in compiled["conditions"]
    ]

    def rule(key: Key, leaf: list[Any]) -> Rule:
        outcome = outcomes[leaf[1]] if len(leaf) > 1 and leaf[1] is not None else None
        if outcome is not None and not ANCHORS[key[0]].may_allow(key):
            raise ValueError("an older version compiled a rule that may not allow")
        return Rule(leaf[0], key, outcome, conditions[leaf[2]] if len(leaf) > 2 else ())

    for key, leaf in _leaves(compiled["owners"], ()):
        if len(leaf) < 2 or leaf[1] is None:
            raise ValueError("an owner without an outcome")
        yield rule(key, leaf)
    for key, leaves in _leaves(compiled["denials"], ()):
        for leaf in leaves:
            yield rule(key, leaf)


def _leaves(node: Mapping[str, Any], key: Key) -> Iterator[tuple[Key, list[Any]]]:
    for part, below in node.items():
        if isinstance(below, list):
            yield (*key, part), below
        else:
            yield from _leaves(below, (*key, part))


def _outcome_of(written: Any) -> Allowed | TenantFrom:
    if written == ANY_TENANT.value:
        return ANY_TENANT
    if isinstance(written, list):
        return frozenset(written)
    before, after, spiffe = written["template"]
    return TenantFrom(
        written["from"],
        NamePattern(before, after, spiffe),
        written["issuer"],
        tuple(written["claim"]),
        is_list=written["list"],
    )


@contextmanager
def _refusing_another_format() -> Iterator[None]:
    try:
        yield
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, RecursionError) as error:
        fault = f"the compiled map has another format ({type(error).__name__}). Fix: compile it again"
        raise InvalidMap([fault]) from error
