"""The tenant map as the hot path sees it: rules, an index over them, the registered tenants.

Rule: no text formats, no I/O, no order, no patterns. A rule is found by the key of its anchor; where several keys of a
caller have rules, the most specific one owns the request and no broader rule is asked.

A new kind of anchor is a new function in `KEYS`, a new condition a new entry in `_SEEN`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from typing import Final, Literal

from lattice_bridge.http.headers import lower
from lattice_bridge.identity.bearer import Tokens
from lattice_bridge.identity.principal import Principal
from lattice_bridge.identity.token import claim_at
from lattice_bridge.message import Caller, Request
from lattice_bridge.tenancy.name_pattern import Template

Key = tuple[str, ...]


class Every(Enum):
    """The outcome `tenants = "*"`: any registered tenant."""

    TENANT = "*"


EVERY: Final = Every.TENANT
Allowed = frozenset[str] | Every

ConditionKind = Literal["vpc", "org", "service", "network", "jwt"]
TakenFrom = Literal["session", "x509_san_uri", "claim"]


@dataclass(frozen=True, slots=True)
class Condition:
    """A further condition: what the request has of this kind is one of `values`. What it does not have is none."""

    kind: ConditionKind
    values: frozenset[str]

    def holds(self, request: Request, tokens: Tokens) -> bool:
        return any(seen in self.values for seen in _SEEN[self.kind](request, tokens))

    def may_hold(self, request: Request, tokens: Tokens) -> bool:
        """Whether it holds, or the request does not say: a V1 event names no service, and escapes no deny by that."""
        return not _SEEN[self.kind](request, tokens) or self.holds(request, tokens)


@dataclass(frozen=True, slots=True)
class Taken:
    """The outcome `tenant_from`: the tenant's name stands in something the caller carries.

    Attributes:
        source: in what.
        template: where in it.
        issuer, claim: whose token, and the path to the claim in it, one element a level; for the source `claim`.
        is_list: the claim is a list of such texts, and the header chooses among them.
    """

    source: TakenFrom
    template: Template
    issuer: str = ""
    claim: tuple[str, ...] = ()
    is_list: bool = False

    def tenants(self, caller: Caller, tokens: Tokens) -> frozenset[str]:
        """The names, each in the template's place for it. None of them if one is absent, is no text, or does not fit:
        a list that is half understood may be another list than its issuer meant."""
        found = self._found(caller, tokens)
        texts = found if self.is_list else [found]
        if not isinstance(texts, list):
            return frozenset()
        names = [self.template.tenant_in(text) if isinstance(text, str) else None for text in texts]
        return frozenset() if None in names else frozenset(name for name in names if name is not None)

    def _found(self, caller: Caller, tokens: Tokens) -> object:
        if self.source == "session":
            return caller.session_name
        if self.source == "x509_san_uri":
            return caller.x509.san_uri if caller.x509 else None
        return claim_at(tokens.get(self.issuer, {}), self.claim)


@dataclass(frozen=True, slots=True)
class Rule:
    """One `[[rule]]`.

    Attributes:
        id: its name in logs and explanations.
        key: what callers it is for; see `keys_of`.
        outcome: the tenants it gives, or where their name is taken from; None for `deny = true`.
        conditions: for an owner, all have to hold, or its answer is no; a deny applies unless one is known not to hold.
    """

    id: str
    key: Key
    outcome: Allowed | Taken | None
    conditions: tuple[Condition, ...] = ()

    def applies(self, request: Request, tokens: Tokens) -> bool:
        """Whether its conditions hold; for a deny, whether none is known not to."""
        if self.outcome is None:
            return all(condition.may_hold(request, tokens) for condition in self.conditions)
        return all(condition.holds(request, tokens) for condition in self.conditions)


# ---- anchors: the keys under which a rule for a caller can stand ----------------------------------------------------

ANYONE: Final[Key] = ("anyone",)

ONLY_BY_NAME: Final = ("root", "federated-user")
"""Principals that only a rule naming them lets in: an account's other rules mean its roles and users. A deny of the
account denies them all the same."""

PREFIX_ENDS: Final = "-_.@=+,"
"""What a prefix of a role's name has to end in: `tenant-a*` would be for tenant-admin too."""

_DELIMITER: Final = re.compile(f"[{re.escape(PREFIX_ENDS)}]")
SSO_ROLE: Final = "awsreservedsso_"
"""How the names of IAM Identity Center's roles begin, folded."""
_SSO: Final = re.compile(rf"{SSO_ROLE}(.+)_[0-9a-f]{{16}}")


def role_key(partition: str, account: str, folded_name: str) -> Key:
    """Every part that tells two roles apart is in the key: partition and account first of all."""
    return ("role", partition, account, folded_name)


def _session(caller: Caller) -> Iterator[Key]:
    if caller.iam and caller.iam.role and caller.session_name is not None:
        yield ("session", *caller.iam.role, caller.session_name)


def _role(caller: Caller) -> Iterator[Key]:
    if caller.iam and caller.iam.role:
        yield role_key(*caller.iam.role)


def _sso_role(caller: Caller) -> Iterator[Key]:
    """IAM Identity Center makes one role a permission set and account: `AWSReservedSSO_SET_` and 16 hex digits."""
    if caller.iam and caller.iam.role:
        partition, account, name = caller.iam.role
        if match := _SSO.fullmatch(name):
            yield ("sso", partition, account, match[1])


def _role_prefix(caller: Caller) -> Iterator[Key]:
    """From the longest prefix that ends in a delimiter to the shortest; a role's name has 64 characters at most."""
    if caller.iam and caller.iam.role:
        partition, account, name = caller.iam.role
        for delimiter in reversed(list(_DELIMITER.finditer(name))):
            yield ("role-prefix", partition, account, name[: delimiter.end()])


def _other_principal(caller: Caller) -> Iterator[Key]:
    if caller.iam and not caller.iam.role:
        name = lower(caller.iam.name) if caller.iam.kind == "user" else caller.iam.name
        yield (caller.iam.kind, caller.iam.partition, caller.iam.account, name)


def _account(caller: Caller) -> Iterator[Key]:
    if caller.iam:
        yield ("account", caller.iam.partition, caller.iam.account)


def _vpc(caller: Caller) -> Iterator[Key]:
    if caller.source_vpc_arn:
        yield ("vpc", caller.source_vpc_arn.rpartition("/")[2])


def _anyone(caller: Caller) -> Iterator[Key]:
    """Callers that nobody authenticated. Asked last; a request with a token has a credential, and is not asked for."""
    if not caller.authenticated:
        yield ANYONE


KEYS: Final[tuple[Callable[[Caller], Iterator[Key]], ...]] = (
    _session,
    _role,
    _sso_role,
    _role_prefix,
    _other_principal,
    _account,
    _vpc,
    _anyone,
)
"""From the most specific anchor to the broadest."""


def keys_of(caller: Caller) -> tuple[Key, ...]:
    """The keys under which a rule for this caller can be, the most specific first.

    They are cached by all that they depend on. A caller whose names are longer than AWS's own is not cached, so that
    the cache is bounded in bytes as well as in entries.
    """
    named = len(caller.session_name or "") + len(caller.source_vpc_arn or "")
    return (_cached_keys if named <= _LONGEST_CACHED else _keys)(
        caller.authenticated, caller.iam, caller.session_name, caller.source_vpc_arn
    )


def _keys(
    authenticated: bool, iam: Principal | None, session_name: str | None, source_vpc_arn: str | None
) -> tuple[Key, ...]:
    caller = Caller(authenticated, iam, session_name, source_vpc_arn=source_vpc_arn)
    return tuple(key for keys in KEYS for key in keys(caller))


_LONGEST_CACHED: Final = 512
"""Characters of a session's name, which has 64 at most, and of a VPC's ARN. A principal's parts are bounded by its
grammar."""
_cached_keys = lru_cache(1024)(_keys)


def broader_keys(key: Key) -> Iterator[Key]:
    """The broader keys that every caller with `key` has as well."""
    kind, *parts = key
    if kind in ("session", "role", "role-prefix", "sso"):
        partition, account, name, *session = parts
        named = f"awsreservedsso_{name}_{'0' * 16}" if kind == "sso" else name
        iam = Principal(partition, account, "role", named)
        caller = Caller(authenticated=True, iam=iam, session_name=session[0] if session else None)
    elif kind in ("user", "root", "federated-user"):
        partition, account, name = parts
        caller = Caller(authenticated=True, iam=Principal(partition, account, kind, name))  # type: ignore[arg-type] # a kind, as said
    else:
        return
    own = False
    for found in keys_of(caller):
        if own:
            yield found
        own = own or found == key


# ---- what conditions look at ----------------------------------------------------------------------------------------


def jwt_key(issuer: str) -> Key:
    """The key of rules for whoever has a token of an issuer."""
    return ("jwt", issuer)


def _both_vpc_spellings(request: Request, _tokens: Tokens) -> tuple[str, ...]:
    arn = request.caller.source_vpc_arn
    return (arn, arn.rpartition("/")[2]) if arn else ()


def _given(value: str | None) -> tuple[str, ...]:
    return () if value is None else (value,)


_SEEN: Final[Mapping[ConditionKind, Callable[[Request, Tokens], tuple[str, ...]]]] = {
    "vpc": _both_vpc_spellings,
    "org": lambda request, _tokens: _given(request.caller.org_id),
    "service": lambda request, _tokens: _given(request.service_arn),
    "network": lambda request, _tokens: _given(request.service_network_arn),
    "jwt": lambda _request, tokens: tuple(tokens),
}


# ---- the index ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Tenant:
    """A registered tenant. `id` is the string that is sent to Lambda, whoever asked for it."""

    id: str
    active: bool = True


Find = Callable[[str], Tenant | None]
"""Looks a tenant up by its id. May raise `Unavailable`, if it has to ask, and nobody answers."""


@dataclass(frozen=True, slots=True)
class Rules:
    """Everything a decision needs.

    Attributes:
        header: the tenant header's name, lower case.
        tenants: the registered tenants by id. A closed set; empty if a registry is asked instead.
        owners: key → the one rule that owns callers with it.
        denials: key → the deny rules of that key.
        token_headers: the headers in which issuers' tokens stand.
        knows_callers: some rule is for callers that Lattice names, and not for tokens alone.
    """

    header: str
    tenants: Mapping[str, Tenant]
    owners: Mapping[Key, Rule]
    denials: Mapping[Key, tuple[Rule, ...]]
    token_headers: frozenset[str] = frozenset()
    knows_callers: bool = False

    @classmethod
    def build(
        cls, header: str, tenants: Iterable[Tenant], rules: Iterable[Rule], token_headers: Iterable[str] = ()
    ) -> Rules:
        """The index over rules that passed the map's checks: at most one that allows a key."""
        owners: dict[Key, Rule] = {}
        denials: dict[Key, tuple[Rule, ...]] = {}
        for rule in rules:
            if rule.outcome is None:
                denials[rule.key] = tuple(sorted((*denials.get(rule.key, ()), rule), key=lambda found: found.id))
            else:
                owners.setdefault(rule.key, rule)
        registered = {tenant.id: tenant for tenant in tenants}
        knows_callers = any(key[0] not in ("jwt", *ANYONE) for key in owners)
        return cls(header, registered, owners, denials, frozenset(token_headers), knows_callers)

    def denial_of(self, request: Request, tokens: Tokens) -> Rule | None:
        """A deny rule that applies, at whichever key of the request."""
        if not self.denials:
            return None
        found = (rule for key in keys_for(request, tokens) for rule in self.denials.get(key, ()))
        return next((rule for rule in found if rule.applies(request, tokens)), None)

    def owner_by_caller(self, request: Request, tokens: Tokens) -> Rule | None:
        """The rule of the caller's most specific key that has one, whether or not its conditions hold."""
        iam = request.caller.iam
        own = iam.kind if iam is not None and iam.kind in ONLY_BY_NAME else None
        keys = (key for key in _caller_keys(request, tokens) if own in (None, key[0]))
        return next((self.owners[key] for key in keys if key in self.owners), None)

    def owners_by_tokens(self, tokens: Tokens) -> list[Rule]:
        """The rule for each of the request's tokens that has one."""
        return [self.owners[key] for key in map(jwt_key, tokens) if key in self.owners]


def keys_for(request: Request, tokens: Tokens) -> Iterator[Key]:
    """Every key under which a rule for the request could stand: its caller's, then one for each of its tokens."""
    yield from _caller_keys(request, tokens)
    yield from map(jwt_key, tokens)


def _caller_keys(request: Request, tokens: Tokens) -> Iterator[Key]:
    """The caller's keys. `anyone` is for those that have no credential at all, and a token is one."""
    return (key for key in keys_of(request.caller) if key != ANYONE or not tokens)
