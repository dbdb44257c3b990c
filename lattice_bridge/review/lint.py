"""What is legal in a map and probably not meant.

Rule: a warning names a rule or tenant, says what follows from it, and never keeps a map from loading.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal
from urllib.parse import quote

from lattice_bridge.config.tables.rule import RuleTable, anchors_of, rule_of
from lattice_bridge.tenancy.rules import Every, Key, Rule, Rules, Taken, broader_keys

Level = Literal["error", "warning"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing about a map.

    Attributes:
        level: an `error` keeps it from loading, or is a test of its own that fails.
        subject: the rule's or tenant's id, or the table's name, where there is one.
        text: what it is, and what to do.
    """

    level: Level
    subject: str | None
    text: str


_LOOK_ALIKE: Final = str.maketrans({"l": "1", "i": "1", "o": "0", "_": "-", ".": "-"})


def warnings_of(written: list[RuleTable], rules: Rules) -> Iterator[Finding]:
    """The warnings of a map that loads.

    Args:
        written: its rules, as they stand in the file.
        rules: what they became.
    """
    for table in written:
        for text in _of_rule(table, rules):
            yield Finding("warning", table.id, f'rule "{table.id}": {text}')
    yield from _look_alikes(rules)
    yield from _unreached(rules)


def _of_rule(table: RuleTable, rules: Rules) -> Iterator[str]:
    rule, anchors = rule_of(table), anchors_of(table)
    for text in (table.role, table.user):
        if text is not None and text.count("/") > 1:
            yield f'the path in "{text}" is ignored: no event carries it, so another path is the same caller'
    if rule.outcome is None:
        return
    if "anyone" in anchors:
        yield "lets in callers that nobody authenticated"
    if "vpc" in anchors:
        yield "lets in whatever runs in the VPC, unless another rule is for it"
    if "account" in anchors:
        yield "lets in every principal of the account, also those made tomorrow"
    if isinstance(rule.outcome, Every) and anchors[0] not in ("role", "user", "anyone"):
        yield f"lets each of these callers ({anchors[0]}) name any registered tenant"
    if rule.key[0] == "role-prefix" and isinstance(rule.outcome, Every):
        yield "lets every role whose name begins so name any registered tenant"
    if (denial := _shadow(rule, rules)) is not None:
        yield f'is never reached: rule "{denial.id}" denies all its callers'


def _shadow(rule: Rule, rules: Rules) -> Rule | None:
    """A deny without conditions at the rule's own key, or at one that all its callers have."""
    keys: tuple[Key, ...] = (rule.key, *broader_keys(rule.key))
    found = (denial for key in keys for denial in rules.denials.get(key, ()))
    return next((denial for denial in found if not denial.conditions), None)


def _look_alikes(rules: Rules) -> Iterator[Finding]:
    """Ids that a person takes for one another: by case, or by l/1/i, o/0, _/-/. ."""
    groups: dict[str, list[str]] = {}
    for tenant in rules.tenants or sorted(_named(rules)):  # with a registry, those that rules name
        groups.setdefault(tenant.lower().translate(_LOOK_ALIKE), []).append(tenant)
    for alike in groups.values():
        if len(alike) > 1:
            yield Finding("warning", alike[0], f"tenants {', '.join(alike)} are easily taken for one another")


def _unreached(rules: Rules) -> Iterator[Finding]:
    if any(isinstance(rule.outcome, (Every, Taken)) for rule in rules.owners.values()):
        return
    reached = _named(rules)
    for tenant in rules.tenants:
        if tenant not in reached:
            yield Finding("warning", tenant, f"tenant {tenant} is registered, and no rule leads to it")


def _named(rules: Rules) -> set[str]:
    """The tenants that rules name."""
    outcomes = (rule.outcome for rule in rules.owners.values())
    return {tenant for outcome in outcomes if isinstance(outcome, frozenset) for tenant in outcome}


def line_of(text: str, subject: str | None) -> int:
    """The line of the file that a finding is about, for tools that show one: where the subject's name stands first."""
    lines = text.splitlines()
    wanted = f'id = "{subject}"'
    for needle in (wanted, subject or ""):
        for number, line in enumerate(lines, 1):
            if needle and needle in line:
                return number
    return 1


def sarif(findings: Iterable[tuple[Finding, str, int]]) -> Mapping[str, Any]:
    """SARIF 2.1.0, as code hosts take it: one run of the tool.

    Args:
        findings: each with the path of its file and the line in it, counted from 1.
    """
    return {
        "version": "2.1.0",
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "runs": [
            {
                "tool": {"driver": {"name": "lattice-bridge check"}},
                "results": [
                    {
                        "level": finding.level,
                        "message": {"text": finding.text},
                        "locations": [
                            {
                                "physicalLocation": {
                                    "artifactLocation": {"uri": quote(path, errors="surrogateescape")},
                                    "region": {"startLine": line},
                                }
                            }
                        ],
                    }
                    for finding, path, line in findings
                ],
            }
        ],
    }
