"""What a new map changes: for its rules' callers, in its other tables, and for requests that were really made.

Rule: nothing that could let somebody in is left out. Rules are compared by what they are, not by how they are told, and
a caller without a rule of its own is given what a broader one gives, as a decision would.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from lattice_bridge.config.tables.test import outcome_of
from lattice_bridge.errors import BridgeError
from lattice_bridge.formats.recognise import parse_event
from lattice_bridge.message import Request
from lattice_bridge.tenancy.decide import Decision
from lattice_bridge.tenancy.rules import ONLY_BY_NAME, Condition, Every, Key, Rule, Rules, Taken, broader_keys

NOTHING: Final = "refused"

_NO_PRINCIPAL: Final = ("anyone", "jwt", "vpc")
_COMPARED_OTHERWISE: Final = frozenset({"rule", "tenants", "test"})


@dataclass(frozen=True, slots=True)
class Change:
    """What differs for some callers, in a table, or for one request.

    Attributes:
        kind: somebody `gains` access, `loses` it, or it `changes` otherwise.
        subject: the callers' key, the tenant, the table's key, or the request's id.
        before, after: in words.
    """

    kind: str
    subject: str
    before: str
    after: str


# ---- rules ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Given:
    """What the callers with a key are given.

    Attributes:
        denied: whatever else; the owner is of no account then.
        owner: whose outcome they have, if its conditions hold.
        unless: what denies some of their requests.
        by_vpc: what they are given without an owner, if they come from there.
    """

    denied: bool
    owner: Rule | None
    unless: frozenset[tuple[Condition, ...]]
    by_vpc: tuple[Rule, ...] = ()

    @property
    def is_nothing(self) -> bool:
        return self.denied or (self.owner is None and not self.by_vpc)

    @property
    def value(self) -> object:
        """Equal for what is the same to the callers."""
        if self.is_nothing:
            return None
        owners = self.by_vpc if self.owner is None else (self.owner,)
        return frozenset(
            (rule.key if rule in self.by_vpc else None, rule.outcome, rule.conditions) for rule in owners
        ), self.unless


def changed_rules(old: Rules, new: Rules, in_words: Callable[[Key], str]) -> Iterator[Change]:
    """The callers who are given something else, by the keys of both maps' rules; and the tenants that come, go, or are
    suspended, for whoever asks for them."""
    for key in dict.fromkeys((*old.owners, *old.denials, *new.owners, *new.denials)):
        before, after = _given(key, old), _given(key, new)
        if before.value != after.value:
            yield Change(_kind(before, after), in_words(key), _told(before), _told(after))
    for name in dict.fromkeys((*old.tenants, *new.tenants)):
        was, is_now = _state(name, old), _state(name, new)
        if was != is_now:
            yield Change(_kind_of_words(was, is_now), f"whoever asks for {name}", was, is_now)


def _given(key: Key, rules: Rules) -> _Given:
    keys = (key, *broader_keys(key))
    denials = [rule for found in keys for rule in rules.denials.get(found, ())]
    by_name = key[0] in ONLY_BY_NAME
    owner = next((rules.owners[found] for found in (keys[:1] if by_name else keys) if found in rules.owners), None)
    elsewhere = owner is not None or by_name or key[0] in _NO_PRINCIPAL
    return _Given(
        denied=any(not rule.conditions for rule in denials),
        owner=owner,
        unless=frozenset(rule.conditions for rule in denials if rule.conditions),
        by_vpc=() if elsewhere else tuple(rule for found, rule in sorted(rules.owners.items()) if found[0] == "vpc"),
    )


def _kind(before: _Given, after: _Given) -> str:
    if before.is_nothing or after.is_nothing:
        return "gains" if before.is_nothing else "loses"
    if before.owner is None or after.owner is None:
        return "changes"
    more, less = _covers(after, before), _covers(before, after)
    return "changes" if more == less else "gains" if more else "loses"


def _covers(wide: _Given, narrow: _Given) -> bool:
    """Whether each request that is given a tenant by `narrow` is given it by `wide`, too; False if nobody can say."""
    if wide.owner is None or narrow.owner is None or not wide.unless <= narrow.unless:
        return False
    asked = narrow.owner.conditions
    if not all(
        any(one.kind == each.kind and one.values <= each.values for one in asked) for each in wide.owner.conditions
    ):
        return False
    gives, gave = wide.owner.outcome, narrow.owner.outcome
    if isinstance(gives, frozenset) and isinstance(gave, frozenset):
        return gave <= gives
    return isinstance(gives, Every) or gives == gave


def _told(given: _Given) -> str:
    if given.denied:
        return f"{NOTHING}: denied"
    unless = "".join(f", denied {_conditions(one)}" for one in sorted(given.unless, key=str))
    if given.owner is not None:
        return _outcome(given.owner) + unless
    by_vpc = (f", but from {rule.key[-1]}: {_outcome(rule)}" for rule in given.by_vpc)
    return NOTHING + "".join(by_vpc) + (unless if given.by_vpc else "")


def _state(name: str, rules: Rules) -> str:
    tenant = rules.tenants.get(name)
    if tenant is None:
        return f"{NOTHING}: not registered"
    return "active" if tenant.active else f"{NOTHING}: suspended"


def _outcome(rule: Rule) -> str:
    if isinstance(rule.outcome, Every):
        gives = "any registered tenant"
    elif isinstance(rule.outcome, Taken):
        gives = _taken(rule.outcome)
    else:
        gives = ", ".join(sorted(rule.outcome or ()))
    return f"{gives}{f' {_conditions(rule.conditions)}' if rule.conditions else ''}"


def _taken(taken: Taken) -> str:
    if taken.source != "claim":
        return f"{taken.source} as {taken.template}"
    path = json.dumps(taken.claim, ensure_ascii=False)
    return f"claim {path} of {taken.issuer}{', a list,' if taken.is_list else ''} as {taken.template}"


def _conditions(conditions: Iterable[Condition]) -> str:
    said = (f"{condition.kind} {' or '.join(sorted(condition.values))}" for condition in conditions)
    return f"if {' and '.join(said)}"


# ---- other tables ---------------------------------------------------------------------------------------------------


def changed_tables(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Change]:
    """What differs in the tables that are neither rules nor tenants: whose tokens count, where tenants are looked up,
    which events are taken, which functions stand behind a path."""
    before, after = dict(_facts(old)), dict(_facts(new))
    for place in dict.fromkeys((*before, *after)):
        if before.get(place) != after.get(place):
            yield Change("changes", place, before.get(place, "not said"), after.get(place, "not said"))


def _facts(tables: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, table in tables.items():
        if name not in _COMPARED_OTHERWISE:
            yield from _flat(name, table)


def _flat(place: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for key, below in value.items():
            yield from _flat(f"{place}.{key}", below)
    elif isinstance(value, list) and value and all(isinstance(item, Mapping) for item in value):
        for item in value:  # backends, which are told apart by their paths
            yield from _flat(f"{place} {item.get('path', '/')}", item)
    else:
        yield place, json.dumps(value, ensure_ascii=False, default=str)


# ---- requests -------------------------------------------------------------------------------------------------------


def changed_decisions(
    events: Iterable[object], old: Callable[[Request], Decision], new: Callable[[Request], Decision]
) -> Iterator[Change | None]:
    """For each event, what the maps decide differently, or None. What is no event is the same to both, and left out."""
    for number, event in enumerate(events, 1):
        try:
            request = parse_event(event)
        except BridgeError:
            continue
        before, after = outcome_of(old(request)), outcome_of(new(request))
        subject = request.request_id or f"event number {number}"
        yield Change(_kind_of_words(before, after), subject, before, after) if before != after else None


def _kind_of_words(before: str, after: str) -> str:
    if before.startswith(NOTHING):
        return "changes" if after.startswith(NOTHING) else "gains"
    return "loses" if after.startswith(NOTHING) else "changes"
