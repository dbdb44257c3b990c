"""What a new map changes: for its rules' callers, and for requests that were really made.

Rule: a request is decided by each map as the bridge would; nothing is concluded from how the maps are written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from lattice_bridge.errors import BridgeError
from lattice_bridge.event import parse_event
from lattice_bridge.map_test import outcome_of
from lattice_bridge.message import Request
from lattice_bridge.rules import Every, Key, Rule, Rules, Taken
from lattice_bridge.tenant import Decision


@dataclass(frozen=True, slots=True)
class Change:
    """What differs for some callers, or for one request.

    Attributes:
        kind: they gain access, lose it, or have it otherwise.
        subject: the callers' key, or the request's id.
        before, after: in words.
    """

    kind: str
    subject: str
    before: str
    after: str


def changed_rules(old: Rules, new: Rules, in_words: Callable[[Key], str]) -> Iterator[Change]:
    """The callers whose rule gives something else, by the keys of both maps' rules; and the tenants that come, go, or
    are suspended, for whoever asks for them."""
    keys = dict.fromkeys((*old.owners, *old.denials, *new.owners, *new.denials))
    for key in keys:
        before, after = _given(key, old), _given(key, new)
        if before != after:
            yield Change(_kind(before, after), in_words(key), before, after)
    for name in dict.fromkeys((*old.tenants, *new.tenants)):
        before, after = _state(name, old), _state(name, new)
        if before != after:
            yield Change(_kind(before, after), f"whoever asks for {name}", before, after)


def changed_decisions(
    events: Iterable[object], old: Callable[[Request], Decision], new: Callable[[Request], Decision]
) -> Iterator[Change]:
    """The events that the maps decide differently. What is no event is the same to both, and is passed over."""
    for number, event in enumerate(events, 1):
        try:
            request = parse_event(event)
        except BridgeError:
            continue
        before, after = outcome_of(old(request)), outcome_of(new(request))
        if before != after:
            yield Change(_kind(before, after), request.request_id or f"event number {number}", before, after)


NOTHING: Final = "refused"


def _kind(before: str, after: str) -> str:
    if before.startswith(NOTHING):
        return "changes" if after.startswith(NOTHING) else "gains"
    return "loses" if after.startswith(NOTHING) else "changes"


def _given(key: Key, rules: Rules) -> str:
    """What a key's own rules give, in words; a broader rule may give more."""
    denials = [rule for rule in rules.denials.get(key, ()) if not rule.conditions]
    if denials:
        return f"{NOTHING}: denied"
    owner = rules.owners.get(key)
    some = "".join(f", denied {_conditions(rule)}" for rule in rules.denials.get(key, ()))
    return (NOTHING if owner is None else _outcome(owner)) + some


def _state(name: str, rules: Rules) -> str:
    tenant = rules.tenants.get(name)
    if tenant is None:
        return f"{NOTHING}: not registered"
    return "active" if tenant.active else f"{NOTHING}: suspended"


def _outcome(rule: Rule) -> str:
    if isinstance(rule.outcome, Every):
        gives = "any registered tenant"
    elif isinstance(rule.outcome, Taken):
        gives = f"{rule.outcome.source} {'/'.join(rule.outcome.claim)} as {rule.outcome.template}".replace("  ", " ")
    else:
        gives = ", ".join(sorted(rule.outcome or ()))
    return f"{gives}{f' {_conditions(rule)}' if rule.conditions else ''}"


def _conditions(rule: Rule) -> str:
    said = (f"{condition.kind} {' or '.join(sorted(condition.values))}" for condition in rule.conditions)
    return f"if {' and '.join(said)}"
