"""Rules as decisions use them: conditions, outcomes, the registered tenants, and an index of rules by key.

Rule: no file formats, no I/O, no order, no patterns. A rule is found by the key of its anchor. If several keys of a
caller have rules, the most specific one is the owner of the request, and no broader rule is tried.

To add a condition, add an entry to `FACTS`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from functools import lru_cache
from typing import Final, Literal, NamedTuple

from lattice_bridge.identity.token import claim_at
from lattice_bridge.message import Sender
from lattice_bridge.tenancy.anchors import (
    ANCHORS,
    OF_RECORDS,
    CallerKeys,
    Evidence,
    Key,
    caller_keys,
    keys_of,
    owning_keys,
)
from lattice_bridge.tenancy.name_pattern import NamePattern
from lattice_bridge.tenancy.subject import Subject


class AnyTenant(Enum):
    """The outcome `tenants = "*"`: any registered tenant."""

    TENANT = "*"


ANY_TENANT: Final = AnyTenant.TENANT
Allowed = frozenset[str] | AnyTenant

ConditionKind = Literal["vpc", "org", "service", "network", "jwt", "api", "source"]
NameSource = Literal["session", "x509_san_uri", "claim", "authorizer"]


# ---- conditions -----------------------------------------------------------------------------------------------------


class Condition(NamedTuple):
    """A further condition of a rule: the subject's fact of this kind is one of `values`.

    A missing fact never matches.
    """

    kind: ConditionKind
    values: frozenset[str]

    def holds(self, subject: Subject) -> bool:
        return any(fact in self.values for fact in FACTS[self.kind](subject))

    def may_hold(self, subject: Subject) -> bool:
        """Whether it holds, or the event does not contain the fact. A V1 event contains no service: it must not escape
        a deny rule by that."""
        facts = FACTS[self.kind](subject)
        return not facts or self.holds(subject) or (self.kind == "vpc" and self._names_the_vpc(facts[0]))

    def _names_the_vpc(self, fact: str) -> bool:
        """Whether a value may be the VPC of which only the id is known: a value may be an ARN, which has more."""
        return ":" not in fact and any(value.rpartition("/")[2] == fact for value in self.values)


def _vpc(subject: Subject) -> tuple[str, ...]:
    """Both spellings, since a map may contain either. A private REST API knows the id only."""
    arn = subject.caller.source_vpc_arn
    return (arn, arn.rpartition("/")[2]) if arn else ()


def _if_present(value: str | None) -> tuple[str, ...]:
    return () if value is None else (value,)


FACTS: Final[Mapping[ConditionKind, Callable[[Subject], tuple[str, ...]]]] = {
    "vpc": _vpc,
    "org": lambda subject: _if_present(subject.caller.org_id),
    "service": lambda subject: _if_present(subject.service_arn),
    "network": lambda subject: _if_present(subject.service_network_arn),
    "jwt": lambda subject: tuple(subject.tokens),
    "api": lambda subject: _if_present(subject.api_id),
    "source": lambda subject: _if_present(subject.source),
}
"""Kind of condition → the facts of a subject that are compared with its values."""


# ---- outcomes -------------------------------------------------------------------------------------------------------


class TenantFrom(NamedTuple):
    """The outcome `tenant_from`: the tenant's name is read from the evidence.

    Attributes:
        source: the evidence: the session name of the caller or of a record's sender, a certificate's URI, a token's
            claim, or an authorizer's answer.
        pattern: the position of the name in it.
        issuer: for the source `claim`: the token's issuer.
        claim: for the sources `claim` and `authorizer`: the path to the value, one element a level.
        is_list: the claim is a list of such strings, and the requested tenant chooses one.
    """

    source: NameSource
    pattern: NamePattern
    issuer: str = ""
    claim: tuple[str, ...] = ()
    is_list: bool = False

    def tenants(self, subject: Subject) -> frozenset[str]:
        """The names, read through the pattern. Empty if one of them is missing, is not a string, or does not fit: a
        list that is only partly understood may mean something else to its issuer."""
        value = self.value(subject)
        values = value if self.is_list else [value]
        if not isinstance(values, list):
            return frozenset()
        names: set[str] = set()
        for one in values:
            name = self.pattern.tenant_in(one) if isinstance(one, str) else None
            if name is None:
                return frozenset()
            names.add(name)
        return frozenset(names)

    def value(self, subject: Subject) -> object:
        """The evidence that contains the name; None if it is absent."""
        if self.source == "session":
            return subject.caller.session_name if subject.sender is None else subject.sender.session
        if self.source == "x509_san_uri":
            return subject.caller.x509.san_uri if subject.caller.x509 else None
        if self.source == "authorizer":
            return subject.authorizer.at(self.claim) if subject.authorizer else None
        return claim_at(subject.tokens.get(self.issuer, {}), self.claim)


class Rule(NamedTuple):
    """One `[[rule]]`.

    Attributes:
        id: its name in logs and explanations.
        key: the callers that it is for, see `anchors.ANCHORS`.
        outcome: the tenants that it gives, or the evidence that contains their names; None for `deny = true`.
        conditions: a rule that allows is refused unless all of them hold; a deny rule applies unless one of them is
            known not to hold.
    """

    id: str
    key: Key
    outcome: Allowed | TenantFrom | None
    conditions: tuple[Condition, ...] = ()

    def applies(self, subject: Subject) -> bool:
        """Whether all conditions hold; for a deny rule, whether none is known not to hold."""
        if not self.conditions:
            return True
        if self.outcome is None:
            return all(condition.may_hold(subject) for condition in self.conditions)
        return all(condition.holds(subject) for condition in self.conditions)


# ---- the index ------------------------------------------------------------------------------------------------------


class Tenant(NamedTuple):
    """A registered tenant. `id` is the string that Lambda receives, whatever spelling the caller used."""

    id: str
    active: bool = True


Find = Callable[[str], Tenant | None]
"""Looks up a tenant by its id. Raises `Unavailable` if it has to ask a registry that does not answer."""


class Rules(NamedTuple):
    """Everything that a decision needs from the map.

    Attributes:
        header: the tenant header's name, in lower case.
        tenants: the registered tenants by id. A closed set; empty if a registry is asked instead.
        owners: key → the one rule that allows callers with this key.
        denials: key → the deny rules of this key.
        token_headers: the headers that contain issuers' tokens.
        evidence: the kinds of evidence for which there is a rule that allows.
    """

    header: str
    tenants: Mapping[str, Tenant]
    owners: Mapping[Key, Rule]
    denials: Mapping[Key, tuple[Rule, ...]]
    token_headers: frozenset[str] = frozenset()
    evidence: frozenset[Evidence] = frozenset()

    @classmethod
    def build(
        cls, header: str, tenants: Iterable[Tenant], rules: Iterable[Rule], token_headers: Iterable[str] = ()
    ) -> Rules:
        """Builds the index from rules that passed the map's checks: at most one of them allows a key."""
        owners: dict[Key, Rule] = {}
        denials: dict[Key, tuple[Rule, ...]] = {}
        for rule in rules:
            if rule.outcome is None:
                denials[rule.key] = tuple(sorted((*denials.get(rule.key, ()), rule), key=lambda found: found.id))
            else:
                owners.setdefault(rule.key, rule)
        registered = {tenant.id: tenant for tenant in tenants}
        evidence = frozenset(ANCHORS[name].evidence for name in {key[0] for key in owners})
        return cls(header, registered, owners, denials, frozenset(token_headers), evidence)

    def reading(self, kind: str) -> tuple[str, ...]:
        """The ids of the rules whose anchor or condition is of a kind. Deny rules are among them."""
        every = (*self.owners.values(), *(rule for each in self.denials.values() for rule in each))
        return tuple(rule.id for rule in every if kind in (rule.key[0], *(one.kind for one in rule.conditions)))

    def denial_of(self, subject: Subject) -> Rule | None:
        """A deny rule that applies, at any key of the subject."""
        if not self.denials:
            return None
        evidence = subject.batch_evidence
        keys = keys_of(subject) if evidence is None else _record_keys(*evidence).every
        found = (rule for key in keys for rule in self.denials.get(key, ()))
        return next((rule for rule in found if rule.applies(subject)), None)

    def owner_by_caller(self, subject: Subject) -> Rule | None:
        """The rule of the caller's most specific key that has one, whether or not its conditions hold."""
        return next((self.owners[key] for key in caller_keys(subject).allowing if key in self.owners), None)

    def other_owners(self, subject: Subject) -> list[Rule]:
        """The rule for each of the subject's tokens, for its API's authorizer and for its certificate that has one; for
        a record, the most specific rule for its sender, for its event's account, and for its source."""
        if not subject.has_other_evidence:
            return []
        evidence = subject.batch_evidence
        keys = owning_keys(subject) if evidence is None else _record_keys(*evidence).allowing
        owners = [self.owners[key] for key in keys if key in self.owners]
        if len(owners) < 2:
            return owners
        kinds = [ANCHORS[rule.key[0]].evidence for rule in owners]
        return [
            rule
            for place, (rule, kind) in enumerate(zip(owners, kinds, strict=True))
            if kind not in OF_RECORDS or kind not in kinds[:place]
        ]


@lru_cache(1024)
def _record_keys(source: str, sender: Sender | None) -> CallerKeys:
    """The keys of a record of a batch. Many records have the same. AWS bounds the length of both."""
    subject = Subject(source=source, sender=sender)
    return CallerKeys(tuple(keys_of(subject)), tuple(owning_keys(subject)))
