"""Why a request runs as the tenant it does, or does not.

Rule: the decision is `decide`'s. This only looks at what it looked at, and says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from lattice_bridge.identity.bearer import NO_TOKENS, Tokens
from lattice_bridge.message import Request
from lattice_bridge.tenancy.decide import Decision, decide
from lattice_bridge.tenancy.rules import Every, Find, Key, Rule, Rules, Taken, keys_for


@dataclass(frozen=True, slots=True)
class Explanation:
    """Everything that mattered for one decision.

    Attributes:
        caller: the principal in its one spelling, or that nobody authenticated it.
        looked_for: the keys of the caller, from the most specific to the broadest, each with its rule, or None.
        denied_by: the deny rule that applied.
        runner_up: the rule that would be asked if the one by the caller were not there.
        header: the tenant header's value, or None.
        decision: the outcome.
        sources: for each source of identity that the map has a rule for, the caller and then each token: the rule's id,
            and what it allows, in words. What they allow is intersected.
    """

    caller: str
    looked_for: tuple[tuple[Key, str | None], ...]
    denied_by: str | None
    runner_up: str | None
    header: str | None
    decision: Decision
    sources: tuple[tuple[str, str], ...]


def explain(request: Request, rules: Rules, tokens: Tokens = NO_TOKENS, find: Find | None = None) -> Explanation:
    """The explanation of `decide(request, rules, tokens, find)`."""
    keys = tuple(keys_for(request, tokens))
    decision = decide(request, rules, tokens, find)
    by_caller, owners = _owners(request, rules, tokens, decision)
    headers = [value for name, value in request.headers if name == rules.header]
    sources = tuple((rule.id, _allows(rule, request, tokens)) for rule in owners)
    return Explanation(
        caller=request.caller.principal or "a caller that nobody authenticated",
        looked_for=tuple((key, _id(rules.owners.get(key))) for key in keys),
        denied_by=_id(rules.denial_of(request, tokens)),
        runner_up=_id(_next(by_caller, keys, request, rules, tokens)) if by_caller else None,
        header=headers[0] if headers else None,
        decision=decision,
        sources=sources,
    )


def _owners(request: Request, rules: Rules, tokens: Tokens, decision: Decision) -> tuple[Rule | None, list[Rule]]:
    """The rule by the caller, and with those by the tokens. None where a source that is there has no rule: no other
    source's rule was asked then."""
    if decision.reason in ("no_rule", "no_credential"):
        return None, []
    by_caller, by_tokens = rules.owner_by_caller(request, tokens), rules.owners_by_tokens(tokens)
    return by_caller, [rule for rule in (by_caller, *by_tokens) if rule is not None]


def _next(owner: Rule, keys: Iterable[Key], request: Request, rules: Rules, tokens: Tokens) -> Rule | None:
    """Whom the rules themselves would ask without the owner: they know that an account's rule is not for its root."""
    rest = {key: rules.owners[key] for key in keys if key in rules.owners and key != owner.key}
    return replace(rules, owners=rest).owner_by_caller(request, tokens)


def ways_to(tenant: str, rules: Rules) -> Iterator[tuple[Rule, str]]:
    """Every rule that can lead to a tenant, and how."""
    for rule in rules.owners.values():
        if isinstance(rule.outcome, Every):
            yield rule, "the header may name it, as it may any registered tenant"
        elif isinstance(rule.outcome, Taken):
            yield rule, f"if {rule.outcome.source} fits {_written(rule.outcome)}"
        elif rule.outcome is not None and tenant in rule.outcome:
            alone = len(rule.outcome) == 1
            yield rule, "always" if alone else f"if the header chooses it, of {', '.join(sorted(rule.outcome))}"


def _id(rule: Rule | None) -> str | None:
    return None if rule is None else rule.id


def _allows(rule: Rule, request: Request, tokens: Tokens) -> str:
    failed = [condition.kind for condition in rule.conditions if not condition.holds(request, tokens)]
    if failed:
        return f"nothing: its condition on {', '.join(failed)} does not hold, and no broader rule is asked"
    if isinstance(rule.outcome, Every):
        return "any registered tenant"
    if isinstance(rule.outcome, Taken):
        names = rule.outcome.tenants(request.caller, tokens)
        return f"{', '.join(sorted(names)) or 'nothing'}, from {rule.outcome.source} by {_written(rule.outcome)}"
    return ", ".join(sorted(rule.outcome or ()))


def _written(taken: Taken) -> str:
    return f'"{taken.template}"'
