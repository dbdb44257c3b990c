"""Why a request runs as the tenant it does, or does not.

Rule: the decision is `decide`'s. This only looks at what it looked at, and says so.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from lattice_bridge.bearer import NO_TOKENS, Tokens
from lattice_bridge.message import Request
from lattice_bridge.rules import Every, Key, Rule, Rules, Taken, keys_for
from lattice_bridge.tenant import Decision, decide


@dataclass(frozen=True, slots=True)
class Explanation:
    """Everything that mattered for one decision.

    Attributes:
        caller: the principal in its one spelling, or that nobody authenticated it.
        looked_for: the keys of the caller, from the most specific to the broadest, each with its rule, or None.
        denied_by: the deny rule that applied.
        owner: the rule that the request belongs to, and the one that would be asked if it were not there.
        allows: what the owner gives, in words.
        header: the tenant header's value, or None.
        decision: the outcome.
    """

    caller: str
    looked_for: tuple[tuple[Key, str | None], ...]
    denied_by: str | None
    owner: str | None
    runner_up: str | None
    allows: str | None
    header: str | None
    decision: Decision


def explain(request: Request, rules: Rules, tokens: Tokens = NO_TOKENS) -> Explanation:
    """The explanation of `decide(request, rules, tokens)`."""
    caller = request.caller
    keys, by_tokens = list(keys_for(request, tokens)), rules.owners_by_tokens(tokens)
    owners = [rules.owners[key] for key in keys if key in rules.owners and rules.owners[key] not in by_tokens]
    denial = rules.denial_of(request, tokens)
    decision = decide(request, rules, tokens)
    if decision.reason in ("no_rule", "no_credential"):
        owners, by_tokens = [], []
    headers = [value for name, value in request.headers if name == rules.header]
    return Explanation(
        caller=caller.principal or "a caller that nobody authenticated",
        looked_for=tuple((key, _id(rules.owners.get(key))) for key in keys),
        denied_by=_id(denial),
        owner=", ".join(rule.id for rule in (*owners[:1], *by_tokens)) or None,
        runner_up=_id(owners[1]) if len(owners) > 1 else None,
        allows="; and ".join(_allows(rule, request, tokens) for rule in (*owners[:1], *by_tokens)) or None,
        header=headers[0] if headers else None,
        decision=decision,
    )


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
        name = rule.outcome.tenant(request.caller, tokens)
        return f"{name or 'nothing'}, from {rule.outcome.source} by {_written(rule.outcome)}"
    return ", ".join(sorted(rule.outcome or ()))


def _written(taken: Taken) -> str:
    return f'"{taken.template}"'
