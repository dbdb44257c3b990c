"""Near misses: the rules, tenants and conditions that a request almost fitted.

Rule: for the operator only. Nothing here is deployed, and nothing is sent to a caller: a near miss names other callers
and tenants. A map is read once, whatever its size, and the number of results is bounded.
"""

from __future__ import annotations

import json
import reprlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from lattice_bridge.message import is_tenant_id
from lattice_bridge.review.explain import Explanation, key_in_words
from lattice_bridge.tenancy.anchors import ANCHORS, ANYONE, Key, caller_keys, other_keys
from lattice_bridge.tenancy.rules import FACTS, AnyTenant, Rule, Rules, TenantFrom
from lattice_bridge.tenancy.subject import Subject

MOST_SHOWN: Final = 5
"""Rules that differ in one part of their key from the caller. A role may have thousands of rules for its sessions."""
NOT_KNOWN: Final = "not in the log line"

_NAMES_SHOWN: Final = 5
_VALUE_LENGTH: Final = 200


@dataclass(frozen=True, slots=True)
class NearMiss:
    """Something that a request almost fitted.

    Attributes:
        kind: a word for programs, such as `account`.
        text: what differs, for people.
        rule: the id of the rule; None for a tenant or a token.
        expected, actual: the two values.
    """

    kind: str
    text: str
    rule: str | None
    expected: str
    actual: str


class _Refused(NamedTuple):
    """A refused request.

    Attributes:
        subject: what was refused.
        requested: the tenant that the caller asks for, or that its rules gave; empty if none is known.
        owners: the rules for its caller and its tokens.
        rules: the map.
        unknown: see `near_misses`.
    """

    subject: Subject
    requested: str
    owners: list[Rule]
    rules: Rules
    unknown: Collection[str]


class NearMisses(NamedTuple):
    """The near misses of one request.

    Attributes:
        found: the nearest first.
        left_out: the number of further rules for similar callers.
    """

    found: tuple[NearMiss, ...] = ()
    left_out: int = 0


def near_misses(explanation: Explanation, rules: Rules, unknown: Collection[str] = ()) -> NearMisses:
    """The near misses of a decision that refused, or that a broader rule made.

    Args:
        explanation: of the decision.
        rules: the map.
        unknown: the facts that are not known of the request, as a log line lacks them: kinds of conditions, `session`,
            `x509_san_uri`, `claim`, `header`.
    """
    if explanation.denied_by is not None:
        return NearMisses()
    subject, decision = explanation.subject, explanation.decision
    others = sorted(_other_keys(subject, rules, unknown), key=lambda miss: (_RANKS[miss.kind], miss.rule or ""))
    shown = tuple(others[:MOST_SHOWN])
    if not decision.allowed:
        owners = [rule for rule in (rules.owner_by_caller(subject), *rules.other_owners(subject)) if rule]
        given = (name for rule in owners for name in sorted(_tenants(rule, subject) or ()))
        refused = _Refused(subject, explanation.header or next(given, ""), owners, rules, unknown)
        of_reason = _OF_REASONS.get(decision.reason)
        shown = (*_excluded(subject, rules), *(of_reason(refused) if of_reason else ()), *shown)
    return NearMisses(shown, len(others) - MOST_SHOWN if len(others) > MOST_SHOWN else 0)


def is_one_edit(one: str, other: str) -> bool:
    """Whether two different strings differ by one letter that is missing, added or another, or by two that are swapped.

    >>> is_one_edit("blue-api", "bleu-api"), is_one_edit("blue-api", "blue-apis"), is_one_edit("blue", "green")
    (True, True, False)
    """
    short, long = sorted((one, other), key=len)
    if len(long) - len(short) > 1 or one == other:
        return False
    same = next((place for place, letter in enumerate(short) if letter != long[place]), len(short))
    if len(short) < len(long):
        return short[same:] == long[same + 1 :]
    swapped = short[same : same + 2] == long[same : same + 2][::-1] and short[same + 2 :] == long[same + 2 :]
    return swapped or short[same + 1 :] == long[same + 1 :]


def shortened(value: object) -> str:
    """A value of any type as JSON of bounded length. A string is written without quotes."""
    try:
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    except RecursionError:  # claims may be nested to any depth
        text = reprlib.repr(value)
    return text if len(text) <= _VALUE_LENGTH else f"{text[:_VALUE_LENGTH]}…"


def alternatives(names: Iterable[str]) -> str:
    """`blue or green`, with a bound."""
    found = list(names)
    more = [f"{len(found) - _NAMES_SHOWN} more"] if len(found) > _NAMES_SHOWN else []
    return " or ".join([*map(shortened, found[:_NAMES_SHOWN]), *more])


# ---- rules for similar callers --------------------------------------------------------------------------------------

_TEXTS: Final = {
    "spelling": "one letter apart",
    "account": "another account",
    "partition": "another partition",
    "session": "a session of the role",
    "principal": "another kind of principal",
}
_RANKS: Final = {kind: rank for rank, kind in enumerate(_TEXTS)}
_NAMED: Final = frozenset({"role", "user", "federated-user"})
_PARTITION, _ACCOUNT, _NAME, _SESSION = 1, 2, 3, 4
_SENDER_SESSION = 2


def _other_keys(subject: Subject, rules: Rules, unknown: Collection[str]) -> Iterator[NearMiss]:
    """Rules whose key differs from one of the caller's in one part, and is more specific than the owner's."""
    iam = subject.caller.iam
    any_session = ("session", *iam.role, "") if "session" in unknown and iam is not None and iam.role else None
    keys = _keys_before_the_owner(subject, rules)
    similar = _Similar(keys if any_session is None else (*keys, any_session))
    seen: set[str] = set()
    for key, rule in rules.owners.items():
        found = similar.to(key) if ANCHORS[key[0]].evidence in ("caller", "sender") else None
        if found is not None and rule.id not in seen:
            seen.add(rule.id)
            kind, own = found
            actual = NOT_KNOWN if own == any_session else key_in_words(own)
            yield NearMiss(kind, _TEXTS[kind], rule.id, key_in_words(key), actual)


def _keys_before_the_owner(subject: Subject, rules: Rules) -> tuple[Key, ...]:
    if subject.source is not None:
        senders = tuple(key for key in other_keys(subject) if ANCHORS[key[0]].evidence == "sender")
        return senders[: next((place for place, key in enumerate(senders) if key in rules.owners), None)]
    owner, keys = rules.owner_by_caller(subject), caller_keys(subject).every
    return keys if owner is None else keys[: keys.index(owner.key)]


class _Similar:
    """An index of keys by all their parts but one. A key of the map needs as many look-ups as it has parts.

    Args:
        keys: the caller's, of which there may be dozens: a role's name has many prefixes.
    """

    def __init__(self, keys: Iterable[Key]) -> None:
        self._keys = frozenset(keys)
        self._without: dict[tuple[int, Key], dict[int, list[Key]]] = {}
        for key in self._keys:
            for place, part in enumerate(key):
                self._without.setdefault((place, _cut(key, place)), {}).setdefault(len(part), []).append(key)

    def to(self, key: Key) -> tuple[str, Key] | None:
        """The nearest key of the caller, and what differs. None if there is none, or if the key is the caller's own."""
        if key in self._keys:
            return None
        found = [one for place in range(len(key)) for one in self._at(place, key)]
        return min(found, key=lambda one: _RANKS[one[0]], default=None)

    def _at(self, place: int, key: Key) -> Iterator[tuple[str, Key]]:
        by_length = self._without.get((place, _cut(key, place)))
        if by_length is None:
            return
        length = len(key[place])
        for own in (one for near in (length - 1, length, length + 1) for one in by_length.get(near, ())):
            if place != 0 and is_one_edit(own[place], key[place]):
                yield "spelling", own
        own = next(iter(by_length.values()))[0]
        if (kind := _kind(place, key, own)) is not None:
            yield kind, own


def _kind(place: int, key: Key, own: Key) -> str | None:
    """What differs, if any difference at this place makes a near miss."""
    has_name = len(key) > _NAME and key[_NAME] != ""
    if place == 0:
        return "principal" if {key[0], own[0]} <= _NAMED else None
    if place == _PARTITION and has_name:
        return "partition"
    if place == _ACCOUNT and has_name:
        return "account"
    return "session" if place == (_SESSION if key[0] != "sender-session" else _SENDER_SESSION) else None


def _cut(key: Key, place: int) -> Key:
    return (*key[:place], *key[place + 1 :])


def _excluded(subject: Subject, rules: Rules) -> Iterator[NearMiss]:
    """Rules that seem to include the caller, and do not."""
    keys = caller_keys(subject)
    for key in keys.every:
        if key not in keys.allowing and (rule := rules.owners.get(key)) is not None:
            own = keys.allowing[0]
            yield NearMiss(
                "excluded",
                f"{own[0].replace('-', ' ')} needs a rule of its own",
                rule.id,
                key_in_words(key),
                key_in_words(own),
            )
    anyone = rules.owners.get(ANYONE)
    if (
        anyone is not None
        and subject.source is None
        and not subject.caller.authenticated
        and (subject.has_other_evidence or subject.has_unverified_credential)
    ):
        actual = _credential(subject)
        yield NearMiss("excluded", "anyone is for callers without one", anyone.id, "no credential", actual)


def _credential(subject: Subject) -> str:
    """The credential because of which `anyone` does not apply, in words."""
    if subject.tokens:
        return "a token"
    if subject.authorizer is not None:
        return "an authorizer's answer"
    return "a certificate" if subject.client_cert is not None else "a signature that the platform did not verify"


# ---- the owner's conditions and tenants -----------------------------------------------------------------------------


def _failed_conditions(refused: _Refused) -> Iterator[NearMiss]:
    for rule in refused.owners:
        for condition in rule.conditions:
            if not condition.holds(refused.subject):
                facts = FACTS[condition.kind](refused.subject)
                actual = facts[0] if facts else _absent(condition.kind, refused)
                text = f"condition {condition.kind} does not hold"
                yield NearMiss("condition", text, rule.id, alternatives(sorted(condition.values)), shortened(actual))


def _unfit_sources(refused: _Refused) -> Iterator[NearMiss]:
    for rule in refused.owners:
        outcome = rule.outcome
        if isinstance(outcome, TenantFrom) and not all(map(is_tenant_id, outcome.tenants(refused.subject) or ("",))):
            value = outcome.value(refused.subject)
            actual = _absent(outcome.source, refused) if value is None else shortened(value)
            text = f"{outcome.source} {'/'.join(outcome.claim)}".strip() + " does not fit the template"
            expected = f"{'a list of ' if outcome.is_list else ''}{outcome.pattern}"
            yield NearMiss("source", text, rule.id, expected, actual)


def _not_allowed(refused: _Refused) -> Iterator[NearMiss]:
    requested = refused.requested
    for rule in refused.owners:
        names = _tenants(rule, refused.subject)
        if names is not None and requested not in names:
            nearest = sorted(names, key=lambda name: (not _is_similar(name, requested), name))
            text = "the rule does not allow the tenant"
            yield NearMiss("tenant", text, rule.id, alternatives(nearest), shortened(requested))


def _not_chosen(refused: _Refused) -> Iterator[NearMiss]:
    if refused.subject.source is not None:
        text, actual, asks = "the record asks for no tenant", "no claim", "record_claim"
    else:
        text, actual, asks = "the caller chose no tenant", f"no {refused.rules.header}", "header"
    for rule in refused.owners:
        names = _tenants(rule, refused.subject)
        expected = "any registered tenant" if names is None else alternatives(sorted(names))
        yield NearMiss("choice", text, rule.id, expected, NOT_KNOWN if asks in refused.unknown else actual)


def _in_conflict(refused: _Refused) -> Iterator[NearMiss]:
    allowed = [(rule, names) for rule in refused.owners if (names := _tenants(rule, refused.subject)) is not None]
    for rule, names in allowed:
        others = "; ".join(alternatives(sorted(theirs)) for other, theirs in allowed if other is not rule)
        yield NearMiss("conflict", "the rules have no tenant in common", rule.id, alternatives(sorted(names)), others)


def _unknown_tenant(refused: _Refused) -> Iterator[NearMiss]:
    similar = [name for name in refused.rules.tenants if _is_similar(name, refused.requested)]
    expected = alternatives(similar) if similar else "a registered tenant"
    yield NearMiss("unknown", "the tenant is not registered", None, expected, shortened(refused.requested))


def _suspended(refused: _Refused) -> Iterator[NearMiss]:
    yield NearMiss("suspended", f"tenant {shortened(refused.requested)}", None, "active", "suspended")


_OF_REASONS: Final[Mapping[str, Callable[[_Refused], Iterator[NearMiss]]]] = {
    "ambiguous": _not_chosen,
    "condition_failed": _failed_conditions,
    "conflict": _in_conflict,
    "source_mismatch": _unfit_sources,
    "tenant_not_allowed": _not_allowed,
    "tenant_suspended": _suspended,
    "tenant_unknown": _unknown_tenant,
}
"""Reason → the near misses of requests that are refused for it."""


def _absent(fact: str, refused: _Refused) -> str:
    return NOT_KNOWN if fact in refused.unknown else "absent"


def _tenants(rule: Rule, subject: Subject) -> frozenset[str] | None:
    """The tenants that a rule allows; None for any."""
    if isinstance(rule.outcome, TenantFrom):
        return rule.outcome.tenants(subject)
    return None if isinstance(rule.outcome, AnyTenant) else rule.outcome


def _is_similar(name: str, requested: str) -> bool:
    return name != requested and (name.lower() == requested.lower() or is_one_edit(name, requested))
