"""Explanation of a decision, and of the ways to a tenant.

Rule: the decision is `decide`'s. An explanation only shows what the decision read.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from lattice_bridge.errors import BridgeError
from lattice_bridge.identity.token import Tokens
from lattice_bridge.message import Request
from lattice_bridge.tenancy.anchors import ANCHORS, OF_RECORDS, Key, keys_of
from lattice_bridge.tenancy.decide import Decision, decide
from lattice_bridge.tenancy.rules import Allowed, AnyTenant, Find, Rule, Rules, TenantFrom
from lattice_bridge.tenancy.subject import Subject, evidence_of, subject_of


@dataclass(frozen=True, slots=True)
class Explanation:
    """Everything that mattered for one decision.

    Attributes:
        subject: what was decided about.
        keys: the keys of the caller, from the most specific to the broadest, each with the id of its rule, or None.
        denied_by: the id of the deny rule that applied.
        next_rule: the id of the rule that would decide if the caller's owner did not exist.
        header: the tenant header's value, or None.
        decision: the outcome.
        sources: for the caller and then each token, if the map has a rule for it: the rule's id, and the tenants that
            it allows, in words. They are intersected.
    """

    subject: Subject
    keys: tuple[tuple[Key, str | None], ...]
    denied_by: str | None
    next_rule: str | None
    header: str | None
    decision: Decision
    sources: tuple[tuple[str, str], ...]


def explain(subject: Subject, rules: Rules, find: Find | None = None) -> Explanation:
    """Explains `decide(subject, rules, find)`."""
    return _explanation(subject, decide(subject, rules, find), rules, subject.requested_tenant)


def explain_request(request: Request, rules: Rules, tokens: Tokens, find: Find | None = None) -> Explanation:
    """Explains the decision for an HTTP request, also if one of its headers is refused before any rule is read."""
    try:
        return explain(subject_of(request, tokens, rules.header, rules.token_headers), rules, find)
    except BridgeError as refusal:
        header = next((value for name, value in request.headers if name == rules.header), None)
        return _explanation(evidence_of(request, tokens), Decision(refusal=refusal), rules, header)


def _explanation(subject: Subject, decision: Decision, rules: Rules, header: str | None) -> Explanation:
    keys = tuple(keys_of(subject))
    by_caller, owners = _owners(subject, rules, decision)
    return Explanation(
        subject=subject,
        keys=tuple((key, _id(rules.owners.get(key))) for key in keys),
        denied_by=_id(rules.denial_of(subject)),
        next_rule=_id(_next(by_caller, keys, subject, rules)) if by_caller else None,
        header=header,
        decision=decision,
        sources=tuple((rule.id, _allowed_tenants(rule, subject)) for rule in owners),
    )


def _owners(subject: Subject, rules: Rules, decision: Decision) -> tuple[Rule | None, list[Rule]]:
    """The owner by the caller, and all owners. None if a kind of evidence that is present has no rule, since the
    decision then read no other rule."""
    if decision.reason in ("no_rule", "no_credential"):
        return None, []
    by_caller, by_others = rules.owner_by_caller(subject), rules.other_owners(subject)
    return by_caller, [rule for rule in (by_caller, *by_others) if rule is not None]


def _next(owner: Rule, keys: Iterable[Key], subject: Subject, rules: Rules) -> Rule | None:
    """The owner if `owner` did not exist, by the same index: an account's rule, for one, is not for its root."""
    rest = {key: rules.owners[key] for key in keys if key in rules.owners and key != owner.key}
    return rules._replace(owners=rest).owner_by_caller(subject)


def ways_to(tenant: str, rules: Rules) -> Iterator[tuple[Rule, str]]:
    """Every rule that can lead to a tenant, and its condition in words."""
    for rule in rules.owners.values():
        asks = "claim" if ANCHORS[rule.key[0]].evidence in OF_RECORDS else "header"
        if isinstance(rule.outcome, AnyTenant):
            yield rule, f"if the {asks} names it, as any registered tenant"
        elif isinstance(rule.outcome, TenantFrom):
            yield rule, f'if {rule.outcome.source} fits "{rule.outcome.pattern}"'
        elif rule.outcome is not None and tenant in rule.outcome:
            alone = len(rule.outcome) == 1
            yield rule, "always" if alone else f"if the {asks} chooses it, of {', '.join(sorted(rule.outcome))}"


def key_in_words(key: Key) -> str:
    """A key for people.

    >>> key_in_words(("role", "aws", "111122223333", "blue-api"))
    'role blue-api of 111122223333'
    >>> key_in_words(("event-account-part", "111122223333", "shop", ""))
    'event-account 111122223333, bus_source shop'
    """
    kind, *parts = key
    if kind == "sender-session":
        return f"sender {parts[0]}, session {parts[1]}"
    if kind.endswith("-part"):
        named = zip(("bus_source", "detail_type"), parts[1:], strict=True)
        return ", ".join([f"{kind[:-5]} {parts[0]}", *(f"{name} {part}" for name, part in named if part)])
    if len(parts) < 2:
        return " ".join(key)
    partition, account, *names = parts
    where = account if partition == "aws" else f"{partition}:{account}"
    return f"{kind} {', session '.join(names)} of {where}" if names and names[0] else f"{kind} {where}"


def _id(rule: Rule | None) -> str | None:
    return None if rule is None else rule.id


def _allowed_tenants(rule: Rule, subject: Subject) -> str:
    failed = [condition.kind for condition in rule.conditions if not condition.holds(subject)]
    if failed:
        return f"nothing: its condition on {', '.join(failed)} does not hold, and no broader rule is tried"
    if isinstance(rule.outcome, TenantFrom):
        names = ", ".join(sorted(rule.outcome.tenants(subject))) or "nothing"
        return f"{names}, {in_words(rule.outcome)}"
    return in_words(rule.outcome)


def in_words(outcome: Allowed | TenantFrom | None) -> str:
    """The tenants that a rule allows, whatever the request.

    >>> in_words(frozenset({"green", "blue"}))
    'blue, green'
    """
    if isinstance(outcome, AnyTenant):
        return "any registered tenant"
    if isinstance(outcome, TenantFrom):
        return f'from {outcome.source} by "{outcome.pattern}"'
    return ", ".join(sorted(outcome or ()))
