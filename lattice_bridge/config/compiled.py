"""A map's tenants and rules as JSON that loads in a fraction of the time: for maps of many thousand rules.

Rule: what is written here was checked when it was compiled, and is sealed (document.py). So it is only put together
again; a rule that could not have come out of `rule_table` is not looked for.

A rule stands where the parts of its key lead, one level a part. Accounts and outcomes are said once, not once a rule,
and JSON's reader keeps one copy of each: 105,000 rules are 4.5 MB.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from lattice_bridge.config.code_hash import code_hash
from lattice_bridge.config.document import FORMAT, Document, sealed
from lattice_bridge.config.map_settings import MapSettings
from lattice_bridge.config.options import Options
from lattice_bridge.errors import InvalidMap
from lattice_bridge.runtime.process import no_collection
from lattice_bridge.tenancy.name_pattern import Template
from lattice_bridge.tenancy.rules import EVERY, SSO_ROLE, Allowed, Condition, Every, Key, Rule, Rules, Taken, Tenant
from lattice_bridge.version import __version__

_WRITTEN_OUT: Final = frozenset({"rule", "tenants", "test"})
"""Tables that are not kept as they were written. The others are, for `diff`."""


def compile_map(document: Document, around: MapSettings, rules: Rules, options: Options) -> str:
    """A compiled document.

    Args:
        document: the configuration as it was written.
        around: what its map became, beside
        rules: the tenants and rules.
        options: what its other tables became.
    """
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
            "tables": {name: table for name, table in document.tables.items() if name not in _WRITTEN_OUT},
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
        InvalidMap: it is sealed, and not of this format all the same.
    """
    with _of_another_make():
        return Options.from_json(compiled["options"])


def map_of(compiled: Mapping[str, Any]) -> tuple[MapSettings, Rules]:
    """The map of a compiled document.

    Raises:
        InvalidMap: it is sealed, and not of this format all the same.
    """
    with _of_another_make(), no_collection():
        around = MapSettings.from_json(compiled["around"])
        return around, Rules.build(around.header, _tenants(compiled), _rules(compiled), around.token_headers)


# ---- writing --------------------------------------------------------------------------------------------------------


class _Numbered:
    """Values that are written once and referred to by number."""

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
    """`[id, outcome, conditions]`, the latter two by number; those at the end are left out where there are none."""
    leaf: list[Any] = [rule.id]
    if rule.outcome is not None:
        leaf.append(outcomes.number(rule.outcome, _outcome(rule.outcome)))
    if rule.conditions:
        written = [[condition.kind, sorted(condition.values)] for condition in rule.conditions]
        leaf += [*([None] if rule.outcome is None else []), conditions.number(rule.conditions, written)]
    return leaf


def _outcome(outcome: Allowed | Taken) -> Any:
    if isinstance(outcome, Every):
        return outcome.value
    if isinstance(outcome, Taken):
        template = [outcome.template.before, outcome.template.after, outcome.template.spiffe]
        return {
            "from": outcome.source,
            "template": template,
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
        if outcome is not None and key[0] == "role-prefix" and key[3].startswith(SSO_ROLE):
            raise ValueError("a prefix for several permission sets, which older versions compiled")
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


def _outcome_of(written: Any) -> Allowed | Taken:
    if written == EVERY.value:
        return EVERY
    if isinstance(written, list):
        return frozenset(written)
    before, after, spiffe = written["template"]
    return Taken(
        written["from"],
        Template(before, after, spiffe),
        written["issuer"],
        tuple(written["claim"]),
        is_list=written["list"],
    )


@contextmanager
def _of_another_make() -> Iterator[None]:
    try:
        yield
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, RecursionError) as error:
        raise InvalidMap([f"a compiled map of another make ({type(error).__name__}): compile it again"]) from error
