"""Warnings about event sources: queues whose records no rule allows, and claims that choose nothing.

Rule: only the rules that can apply to a queue's records count. A rule with a condition on other queues is none of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from lattice_bridge.config.options import EventSource
from lattice_bridge.config.words import quoted
from lattice_bridge.errors import Fault
from lattice_bridge.tenancy.anchors import ANCHORS, source_key
from lattice_bridge.tenancy.rules import Allowed, AnyTenant, Rule, Rules, TenantFrom


def source_warnings(sources: Iterable[EventSource], rules: Rules) -> Iterator[Fault]:
    """What is probably not intended in a configuration's event sources.

    Args:
        sources: in the configuration's order.
        rules: the map beside them.
    """
    senders = [rule for rule in rules.owners.values() if ANCHORS[rule.key[0]].evidence == "sender"]
    for index, source in enumerate(sources):
        by_source = rules.owners.get(source_key(source.arn))
        applying = [rule for rule in senders if _may_apply(rule, source)]
        for fault in _warnings(source, by_source, applying, rules):
            yield fault.within(f"event_source {quoted(source.arn)}", ("event_source", index))


def _may_apply(rule: Rule, source: EventSource) -> bool:
    return all(source.arn in condition.values for condition in rule.conditions if condition.kind == "source")


def _warnings(source: EventSource, by_source: Rule | None, senders: list[Rule], rules: Rules) -> Iterator[Fault]:
    denial = next((rule for rule in rules.denials.get(source_key(source.arn), ()) if not rule.conditions), None)
    if denial is not None:
        yield Fault(
            f"rule {quoted(denial.id)} denies all its records, so none is processed. Fix: remove one of the two",
            ("arn",),
        )
        return
    if by_source is None and not senders:
        fix = f"write a [[rule]] with source = {quoted(source.arn)}, or with sender"
        yield Fault(f"no rule allows its records, so every one is refused. Fix: {fix}", ("arn",))
        return
    choices = [number for allowed in _given(by_source, senders) if (number := _number(allowed, rules))]
    if source.claim is not None and max(choices, default=0) <= 1:
        what = (
            "claim chooses nothing: each rule for these records allows one tenant, and a record without it is refused"
        )
        yield Fault(f"{what}. Fix: remove claim", ("claim",), at_key=True)
    elif source.claim is None and min(choices, default=0) > 1:
        ids = ", ".join(quoted(rule.id) for rule in ([by_source] if by_source else senders)[:3])
        what = f"no claim chooses one of the tenants that rule {ids} allows, so every record is refused as ambiguous"
        yield Fault(f'{what}. Fix: write claim, as in claim = {{ from = "message_group" }}', ("arn",))


def _given(by_source: Rule | None, senders: list[Rule]) -> Iterator[Allowed | None]:
    """The tenants that each sender's records may choose from; None for one that the evidence names."""
    of_source = None if by_source is None else _tenants(by_source)
    if by_source is not None:
        yield of_source
    for rule in senders:
        of_sender = _tenants(rule)
        yield of_sender if by_source is None else _both(of_sender, of_source)


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
