"""The tenant map as the hot path sees it: rules, an index over them, the registered tenants.

Rule: no text formats, no I/O, no order. A rule is found by the key of its anchor; where several keys of a caller have
rules, the most specific one owns the request and no broader rule is asked.

A new kind of anchor is a new key function in `KEYS`; a new outcome is a new type in `Outcome`. `tenant.decide` stays.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final

from lattice_bridge.message import Caller

Key = tuple[str, ...]


class Every(Enum):
    """The outcome `tenants = "*"`: any registered tenant."""

    TENANT = "*"


EVERY: Final = Every.TENANT
Allowed = frozenset[str] | Every


@dataclass(frozen=True, slots=True)
class Rule:
    """One `[[rule]]`.

    Attributes:
        id: its name in logs and explanations.
        key: what callers it is for; see `keys_of`.
        allowed: the tenants it gives; None for `deny = true`.
    """

    id: str
    key: Key
    allowed: Allowed | None


ANYONE: Final[Key] = ("anyone",)


def role_key(partition: str, account: str, folded_name: str) -> Key:
    """Every part that tells two roles apart is in the key: partition and account first of all."""
    return ("role", partition, account, folded_name)


def _role(caller: Caller) -> Iterator[Key]:
    role = caller.iam.role if caller.iam else None
    if role is not None:
        yield role_key(*role)


def _anyone(caller: Caller) -> Iterator[Key]:
    """Callers that nobody authenticated. Asked last, and never for a caller that has a credential."""
    if not caller.authenticated:
        yield ANYONE


KEYS: Final[tuple[Callable[[Caller], Iterator[Key]], ...]] = (_role, _anyone)
"""From the most specific anchor to the broadest."""


def keys_of(caller: Caller) -> Iterator[Key]:
    """The keys under which a rule for this caller could stand, the most specific first."""
    for keys in KEYS:
        yield from keys(caller)


@dataclass(frozen=True, slots=True)
class Tenant:
    """A registered tenant. `id` is the string that is sent to Lambda, whoever asked for it."""

    id: str
    active: bool = True


@dataclass(frozen=True, slots=True)
class Rules:
    """Everything a decision needs.

    Attributes:
        header: the tenant header's name, lower case.
        tenants: the registered tenants by id. A closed set.
        owners: key → the one rule that owns callers with it.
        denials: key → the first deny rule of that key.
    """

    header: str
    tenants: Mapping[str, Tenant]
    owners: Mapping[Key, Rule]
    denials: Mapping[Key, Rule]

    @classmethod
    def build(cls, header: str, tenants: Iterable[Tenant], rules: Iterable[Rule]) -> Rules:
        """The index over rules that passed the map's checks: at most one that allows and one that denies a key."""
        owners: dict[Key, Rule] = {}
        denials: dict[Key, Rule] = {}
        for rule in rules:
            (denials if rule.allowed is None else owners).setdefault(rule.key, rule)
        return cls(header, {tenant.id: tenant for tenant in tenants}, owners, denials)

    def denial_of(self, caller: Caller) -> Rule | None:
        return next((self.denials[key] for key in keys_of(caller) if key in self.denials), None)

    def owner_of(self, caller: Caller) -> Rule | None:
        return next((self.owners[key] for key in keys_of(caller) if key in self.owners), None)
