"""Differences between two maps: for the callers of their rules, in their other tables, and for recorded
requests and records.

Rule: nothing that could allow a caller is left out. Rules are compared by their values, and not by their descriptions.
A caller without a rule of its own gets what a broader rule gives, as in a decision.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from lattice_bridge.errors import BridgeError
from lattice_bridge.events.recognise import source_of
from lattice_bridge.events.record import Record
from lattice_bridge.message import Request
from lattice_bridge.review.explain import key_in_words
from lattice_bridge.review.map_tests import described_outcome
from lattice_bridge.review.records import Sources
from lattice_bridge.review.requests import parse_any
from lattice_bridge.tenancy.anchors import ANCHORS, Key, broader_keys, broader_owning_keys
from lattice_bridge.tenancy.decide import Decision
from lattice_bridge.tenancy.rules import AnyTenant, Condition, Rule, Rules, TenantFrom

REFUSED: Final = "refused"

_COMPARED_OTHERWISE: Final = frozenset({"rule", "tenants", "test"})


@dataclass(frozen=True, slots=True)
class Change:
    """A difference for some callers, in a table, or for one request or record.

    Attributes:
        kind: a caller `gains` access, `loses` it, or access `changes` in another way.
        subject: the callers' key, the tenant, the table's key, or the request: method, path and id; or the record's id.
        before, after: in words.
    """

    kind: str
    subject: str
    before: str
    after: str


# ---- rules ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Access:
    """The access of the callers with a key.

    Attributes:
        denied: a deny rule refuses all of them.
        owner: the rule that gives them its outcome if its conditions hold.
        denials: the conditions of deny rules that refuse some of their requests.
        by_origin: without an owner, the rules that apply if the request comes from a certain place, such as a VPC.
    """

    denied: bool
    owner: Rule | None
    denials: frozenset[tuple[Condition, ...]]
    by_origin: tuple[Rule, ...] = ()

    @property
    def is_none(self) -> bool:
        return self.denied or (self.owner is None and not self.by_origin)

    @property
    def value(self) -> object:
        """Equal for two accesses that are the same to the callers."""
        if self.is_none:
            return None
        owners = self.by_origin if self.owner is None else (self.owner,)
        return frozenset(
            (rule.key if rule in self.by_origin else None, rule.outcome, rule.conditions) for rule in owners
        ), self.denials


def changed_rules(old: Rules, new: Rules) -> Iterator[Change]:
    """The callers whose access differs, by the keys of both maps' rules; and the tenants that are added, removed or
    suspended, for callers who ask for them."""
    for key in dict.fromkeys((*old.owners, *old.denials, *new.owners, *new.denials)):
        before, after = _access(key, old), _access(key, new)
        if before.value != after.value:
            yield Change(_kind(before, after), key_in_words(key), _described(before), _described(after))
    for name in dict.fromkeys((*old.tenants, *new.tenants)):
        was, is_now = _state(name, old), _state(name, new)
        if was != is_now:
            yield Change(_kind_of_words(was, is_now), f"requests for {name}", was, is_now)


def _access(key: Key, rules: Rules) -> _Access:
    keys = (key, *broader_keys(key))
    denials = [rule for found in keys for rule in rules.denials.get(found, ())]
    anchor = ANCHORS[key[0]]
    owner = next((rules.owners[found] for found in (key, *broader_owning_keys(key)) if found in rules.owners), None)
    by_origin: tuple[Rule, ...] = ()
    if owner is None and anchor.evidence == "caller" and not anchor.is_exclusive and anchor.example is not None:
        by_origin = tuple(rule for found, rule in sorted(rules.owners.items()) if _is_origin(found))
    return _Access(
        denied=any(not rule.conditions for rule in denials),
        owner=owner,
        denials=frozenset(rule.conditions for rule in denials if rule.conditions),
        by_origin=by_origin,
    )


def _is_origin(key: Key) -> bool:
    """Whether the key says where a caller comes from, and no principal's name."""
    anchor = ANCHORS[key[0]]
    return anchor.evidence == "caller" and anchor.example is None


def _kind(before: _Access, after: _Access) -> str:
    if before.is_none or after.is_none:
        return "gains" if before.is_none else "loses"
    if before.owner is None or after.owner is None:
        return "changes"
    more, less = _covers(after, before), _covers(before, after)
    return "changes" if more == less else "gains" if more else "loses"


def _covers(wide: _Access, narrow: _Access) -> bool:
    """Whether `wide` gives every request the tenants that `narrow` gives it. False if that cannot be known."""
    if wide.owner is None or narrow.owner is None or not wide.denials <= narrow.denials:
        return False
    conditions = narrow.owner.conditions
    if not all(
        any(one.kind == each.kind and one.values <= each.values for one in conditions) for each in wide.owner.conditions
    ):
        return False
    more, less = wide.owner.outcome, narrow.owner.outcome
    if isinstance(more, frozenset) and isinstance(less, frozenset):
        return less <= more
    return isinstance(more, AnyTenant) or more == less


def _described(access: _Access) -> str:
    if access.denied:
        return f"{REFUSED}: denied"
    denials = "".join(f", denied {_conditions(one)}" for one in sorted(access.denials, key=str))
    if access.owner is not None:
        return _outcome(access.owner) + denials
    by_origin = (f", but from {rule.key[-1]}: {_outcome(rule)}" for rule in access.by_origin)
    return REFUSED + "".join(by_origin) + (denials if access.by_origin else "")


def _state(name: str, rules: Rules) -> str:
    tenant = rules.tenants.get(name)
    if tenant is None:
        return f"{REFUSED}: not registered"
    return "active" if tenant.active else f"{REFUSED}: suspended"


def _outcome(rule: Rule) -> str:
    if isinstance(rule.outcome, AnyTenant):
        tenants = "any registered tenant"
    elif isinstance(rule.outcome, TenantFrom):
        tenants = _tenant_from(rule.outcome)
    else:
        tenants = ", ".join(sorted(rule.outcome or ()))
    return f"{tenants}{f' {_conditions(rule.conditions)}' if rule.conditions else ''}"


def _tenant_from(outcome: TenantFrom) -> str:
    path = json.dumps(outcome.claim, ensure_ascii=False)
    if outcome.source == "authorizer":
        return f"{path} of the API's authorizer as {outcome.pattern}"
    if outcome.source != "claim":
        return f"{outcome.source} as {outcome.pattern}"
    return f"claim {path} of {outcome.issuer}{', a list,' if outcome.is_list else ''} as {outcome.pattern}"


def _conditions(conditions: Iterable[Condition]) -> str:
    described = (f"{condition.kind} {' or '.join(sorted(condition.values))}" for condition in conditions)
    return f"if {' and '.join(described)}"


# ---- other tables ---------------------------------------------------------------------------------------------------


def changed_tables(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Change]:
    """The differences in the tables that are neither rules nor tenants: issuers, the registry, accepted events,
    backends, event sources. A whole event source that is added or removed is one difference."""
    sources, others = _functions_of(old), _functions_of(new)
    added_or_removed = sources.keys() ^ others.keys()
    for arn in dict.fromkeys((*sources, *others)):
        if arn in added_or_removed:
            was, is_now = sources.get(arn, _NO_SOURCE), others.get(arn, _NO_SOURCE)
            yield Change(_kind_of_words(was, is_now), f"records of {arn}", was, is_now)
    before, after = (dict(_values(tables, added_or_removed)) for tables in (old, new))
    for place in dict.fromkeys((*before, *after)):
        if before.get(place) != after.get(place):
            yield Change("changes", place, before.get(place, "not written"), after.get(place, "not written"))


_NO_SOURCE: Final = f"{REFUSED}: no event source"


def _functions_of(tables: Mapping[str, Any]) -> dict[str, str]:
    """The ARN of each event source → what gets its records, in words."""
    return {source["arn"]: f"to {source['function']}" for source in tables.get("event_source", ())}


def _values(tables: Mapping[str, Any], left_out: Collection[str]) -> Iterator[tuple[str, str]]:
    """The values of the tables by their places, without the event sources with these ARNs."""
    for name, table in tables.items():
        if name == "event_source":
            yield from _flat(name, [source for source in table if source["arn"] not in left_out])
        elif name not in _COMPARED_OTHERWISE:
            yield from _flat(name, table)


def _flat(place: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for key, below in value.items():
            yield from _flat(f"{place}.{key}", below)
    elif isinstance(value, list) and value and all(isinstance(item, Mapping) for item in value):
        for item in value:  # backends, which differ by their paths, and event sources, which differ by their ARNs
            yield from _flat(f"{place} {item.get('arn') or item.get('path', '/')}", item)
    else:
        yield place, json.dumps(value, ensure_ascii=False, default=str)


# ---- requests -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two maps, as its bridge and its router decide.

    Attributes:
        sources: its event sources, by which it reads an event with records.
        decide: decides a request or a record. Whether the map accepts it is for this function to say.
    """

    sources: Sources
    decide: Callable[[Request | Record], Decision]


def changed_decisions(events: Iterable[object], old: Side, new: Side) -> Iterator[Change | None]:
    """For each request, and each record of a batch, the difference between the maps' decisions, or None. What is not an
    event is left out, since both maps refuse it."""
    for number, event in enumerate(events, 1):
        try:
            found = list(_named(event, number, old, new))
        except BridgeError:
            continue
        for subject, one, other in found:
            before, after = described_outcome(old.decide(one)), described_outcome(new.decide(other))
            yield Change(_kind_of_words(before, after), subject, before, after) if before != after else None


def _named(
    event: object, number: int, old: Side, new: Side
) -> Iterator[tuple[str, Request | Record, Request | Record]]:
    """The request or the records in an event, each in words, and as each map reads it."""
    if source_of(event) is not None:
        for one, other in _pairs(old.sources.batch_in(event).records, new.sources.batch_in(event).records):
            name = other.name if one.part is None else one.name
            yield f"event {name}" if one.caller == "bus" else f"record {name} of {_name_in(one.source)}", one, other
        return
    request = parse_any(event)
    yield f"{request.method} {request.path} ({request.request_id or f'event number {number}'})", request, request


def _pairs(records: Sequence[Record], others: Sequence[Record]) -> Iterator[tuple[Record, Record]]:
    """The same record as two maps read it. If only one of them splits an aggregate, the other has the whole of it for
    each record in it. Records behind `MOST_PARTS` are left out: none of them is decided in this batch."""
    left, right = _by_id(records), _by_id(others)
    for found, same in zip(left, right, strict=False):
        one, other = (found * len(same) if len(found) == 1 else found), (same * len(found) if len(same) == 1 else same)
        yield from zip(one, other, strict=True)


def _by_id(records: Sequence[Record]) -> list[list[Record]]:
    """The records, with those of one aggregate together."""
    found: list[list[Record]] = []
    for record in records:
        if record.part:  # all but the first one, whose number is 0
            found[-1].append(record)
        else:
            found.append([record])
    return found


def _name_in(arn: str) -> str:
    return arn.rpartition(":")[2].rpartition("/")[2]


def _kind_of_words(before: str, after: str) -> str:
    if before.startswith(REFUSED):
        return "changes" if after.startswith(REFUSED) else "gains"
    return "loses" if after.startswith(REFUSED) else "changes"
