"""Warnings about event sources: those whose records no rule allows, and claims that choose nothing.

Rule: only the rules that can apply to a source's records count. A rule with a condition on other sources is none of
them, and neither is a rule for evidence that the records of its service do not have.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from lattice_bridge.config.event_source import EventSource
from lattice_bridge.config.tables.source_arns import SERVICES, service_in
from lattice_bridge.config.words import quoted
from lattice_bridge.errors import Fault
from lattice_bridge.tenancy.anchors import ANCHORS, Evidence, source_key
from lattice_bridge.tenancy.rules import Allowed, AnyTenant, Rule, Rules, TenantFrom

_BESIDE: Final[dict[str | None, tuple[Evidence, str]]] = {
    "sqs": ("sender", "sender"),
    "events": ("event-account", "event_account"),
}
"""The service of a source → the evidence that its records have beside it, and the anchor for that."""


def source_warnings(sources: Iterable[EventSource], rules: Rules) -> Iterator[Fault]:
    """What is probably not intended in a configuration's event sources.

    Args:
        sources: in the configuration's order.
        rules: the map beside them.
    """
    for index, source in enumerate(sources):
        evidence, _ = _BESIDE.get(service_in(source.arn), (None, ""))
        owners = [(rule, ANCHORS[rule.key[0]].evidence) for rule in rules.owners.values()]
        by_source = [rule for rule, kind in owners if kind == "source" and rule.key[1] == source.arn]
        others = [rule for rule, kind in owners if kind == evidence and _may_apply(rule, source)]
        for fault in _warnings(source, by_source, others, rules):
            yield fault.within(f"event_source {quoted(source.arn)}", ("event_source", index))


def _may_apply(rule: Rule, source: EventSource) -> bool:
    return all(source.arn in condition.values for condition in rule.conditions if condition.kind == "source")


def _warnings(source: EventSource, by_source: list[Rule], others: list[Rule], rules: Rules) -> Iterator[Fault]:
    denial = next((rule for rule in rules.denials.get(source_key(source.arn), ()) if not rule.conditions), None)
    service = service_in(source.arn)
    if denial is not None:
        yield Fault(
            f"rule {quoted(denial.id)} denies all its records, so none is processed. Fix: remove one of the two",
            ("arn",),
        )
        return
    if not by_source and not others:
        _, anchor = _BESIDE.get(service, (None, ""))
        fix = f"write a [[rule]] with source = {quoted(source.arn)}{f', or with {anchor}' if anchor else ''}"
        yield Fault(f"no rule allows its records, so every one is refused. Fix: {fix}", ("arn",))
        return
    choices = [number for allowed in _given(by_source, others) if (number := _number(allowed, rules))]
    if source.claim is not None and max(choices, default=0) <= 1:
        what = (
            "claim chooses nothing: each rule for these records allows one tenant, and a record without it is refused"
        )
        yield Fault(f"{what}. Fix: remove claim", ("claim",), at_key=True)
    elif source.claim is None and min(choices, default=0) > 1:
        ids = ", ".join(quoted(rule.id) for rule in (by_source or others)[:3])
        what = f"no claim chooses one of the tenants that rule {ids} allows, so every record is refused as ambiguous"
        example = SERVICES[service or "sqs"].claim
        yield Fault(f"{what}. Fix: write claim, as in claim = {example}", ("arn",))


def _given(by_source: list[Rule], others: list[Rule]) -> Iterator[Allowed | None]:
    """The tenants that the records of one sender, or of one part of the events, may choose from; None for one that the
    evidence names."""
    of_source = [_tenants(rule) for rule in by_source]
    yield from of_source
    has_rule_for_all = any(rule.key[0] == "source" for rule in by_source)
    for allowed in map(_tenants, others):
        if not has_rule_for_all:
            yield allowed
        yield from (_both(allowed, one) for one in of_source)


def _both(one: Allowed | None, other: Allowed | None) -> Allowed | None:
    if one is None or other is None:
        return None
    if isinstance(one, AnyTenant):
        return other
    return one if isinstance(other, AnyTenant) else one & other


def _tenants(rule: Rule) -> Allowed | None:
    return None if isinstance(rule.outcome, TenantFrom) else rule.outcome


def _number(allowed: Allowed | None, rules: Rules) -> int:
    """How many tenants there are to choose from. A registry may have any number."""
    if allowed is None:
        return 1
    return (len(rules.tenants) or 2) if isinstance(allowed, AnyTenant) else len(allowed)
