"""The outcome of a `[[rule]]` as it is written, and the risks that the rule has to acknowledge.

Rule: a rule has one outcome. If a caller could choose what the outcome reads, the rule names who sets it instead.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterator, Mapping
from typing import Final

from lattice_bridge.config.tables.jwt import JwtTable
from lattice_bridge.config.tables.rule import Acknowledgement, RuleTable, anchors_of
from lattice_bridge.http import headers as names
from lattice_bridge.message import is_tenant_id
from lattice_bridge.tenancy.name_pattern import NamePattern
from lattice_bridge.tenancy.rules import ANY_TENANT, Allowed, TenantFrom

OUTCOMES: Final = ("tenant", "tenants", "tenant_from", "deny")

_MAX_COMPARED: Final = 1000
"""Tenants that a misspelt one is compared with: with ten thousand, it takes a hundred milliseconds."""


def outcome_of(table: RuleTable) -> Allowed | TenantFrom | None:
    """The outcome of a rule without faults."""
    if table.deny:
        return None
    if table.tenant_from is not None:
        claim = tuple(table.claim or ())
        return TenantFrom(table.tenant_from, _pattern(table), table.jwt or "", claim, is_list=table.claim_is_list)
    return _allowed(table)


def outcome_faults(table: RuleTable, tenants: Collection[str] | None) -> Iterator[str]:
    """Everything wrong with the outcome of a rule, given the registered tenants (None if only a registry has them)."""
    found = [name for name in OUTCOMES if getattr(table, name) not in (None, False)]
    if len(found) != 1:
        written = " and ".join(found) or "none"
        yield f"has {written} as its outcome. Fix: write exactly one of {', '.join(OUTCOMES)}"
    yield from _tenant_faults(table, tenants)
    yield from _template_faults(table)
    yield from _claim_faults(table)


# ---- tenants that the rule names ------------------------------------------------------------------------------------


def _allowed(table: RuleTable) -> Allowed:
    if table.tenants == "*":
        return ANY_TENANT
    if table.tenant is not None:
        return frozenset({table.tenant})
    return frozenset(table.tenants or ())


def _tenant_faults(table: RuleTable, tenants: Collection[str] | None) -> Iterator[str]:
    if isinstance(table.tenants, str) and table.tenants != "*":
        yield (
            f'tenants = "{table.tenants}" is neither a list nor "*". Fix: for one tenant, write '
            f'tenant = "{table.tenants}"'
        )
        return
    if table.tenants == []:
        yield "tenants is empty. Fix: to refuse these callers, write deny = true"
    if isinstance(table.tenants, list) and len(set(table.tenants)) < len(table.tenants):
        yield "tenants contains one tenant twice. Fix: write it once"
    allowed = _allowed(table)
    for tenant in sorted(allowed) if isinstance(allowed, frozenset) else ():
        if tenants is None:
            if not is_tenant_id(tenant):
                yield f"tenant {tenant!r} is not a tenant id. Fix: write {TENANT_ID_GRAMMAR}"
        elif tenant not in tenants:
            near = difflib.get_close_matches(tenant, tenants, 1) if len(tenants) <= _MAX_COMPARED else []
            fix = f"; did you mean {near[0]!r}?" if near else ". Fix: register it there, or write another tenant"
            yield f"tenant {tenant!r} is not in [tenants]{fix}"


TENANT_ID_GRAMMAR: Final = "1 to 256 of A-Z a-z 0-9 . _ : / = + @ -, the first a letter or digit"


# ---- tenants that the evidence names --------------------------------------------------------------------------------


def _pattern(table: RuleTable) -> NamePattern:
    return NamePattern.parse(table.template or "{tenant}", spiffe=table.tenant_from == "x509_san_uri")


def _template_faults(table: RuleTable) -> Iterator[str]:
    if table.tenant_from is None:
        if table.template is not None:
            yield "template is only used with tenant_from. Fix: remove it, or write tenant_from"
        return
    try:
        _pattern(table)
    except ValueError as error:
        yield f'template "{table.template or "{tenant}"}": {error}'
    where = f'tenant_from = "{table.tenant_from}"'
    if table.tenant_from == "session" and table.role is None and table.sso is None:
        yield f"{where}: only a role has sessions. Fix: write role or sso as the anchor"
    if table.tenant_from == "session" and table.session is not None:
        yield f'{where}: one session is one tenant. Fix: write tenant = "…" instead'
    if table.tenant_from == "x509_san_uri" and (table.role is None or table.role.endswith("*")):
        yield f"{where} needs a role that is named exactly. Fix: write the role that IAM Roles Anywhere gives out"


def _claim_faults(table: RuleTable) -> Iterator[str]:
    if table.tenant_from != "claim":
        for name in ("claim", "claim_is_list"):
            if getattr(table, name) not in (None, False):
                yield f'{name} is only used with tenant_from = "claim". Fix: remove it, or write tenant_from'
        return
    if table.jwt is None:
        yield 'tenant_from = "claim" needs the issuer of the token. Fix: write jwt = "…"'
    if not table.claim or not all(table.claim):
        yield (
            'tenant_from = "claim" needs the path to the claim. Fix: write one element a level, as in '
            'claim = ["custom:tenant_id"]'
        )


# ---- acknowledgements -----------------------------------------------------------------------------------------------

_ACKNOWLEDGEMENTS: Final = {
    "accept_risk": 'if this is intended, set accept_risk = "reason"',
    "session_set_by": 'if something else chooses it, set session_set_by = "what chooses it"',
    "x509_set_by": 'if only IAM Roles Anywhere can assume it, set x509_set_by = "what ensures this"',
    "claim_is_admin_set": 'if they cannot change it here, set claim_is_admin_set = "what ensures this"',
}
"""Key → the fix that asks for it."""

_USER_WRITABLE: Final = frozenset(
    {
        *("address", "birthdate", "email", "emails", "family_name", "gender", "given_name", "locale", "middle_name"),
        *("name", "nickname", "phone_number", "picture", "preferred_username", "profile", "unique_name", "upn"),
        *("user_metadata", "username", "website", "zoneinfo"),
    }
)
"""Claims that users can often change, or that may later belong to another person."""


def acknowledgement_faults(table: RuleTable, issuers: Mapping[str, JwtTable]) -> Iterator[str]:
    """The risks of a rule that it does not acknowledge, and acknowledgements without a risk."""
    needed = {} if table.deny else dict(_risks(table, issuers.get(table.jwt or "")))
    for name, risk in needed.items():
        if not (getattr(table, name) or "").strip():
            yield f"{risk}. Fix: {_ACKNOWLEDGEMENTS[name]}"
    for name in _ACKNOWLEDGEMENTS:
        if getattr(table, name) is not None and name not in needed:
            yield f"{name} acknowledges nothing here. Fix: remove it"


def _risks(table: RuleTable, issuer: JwtTable | None) -> Iterator[Acknowledgement]:
    """What a rule that allows has to acknowledge: the key, and the risk."""
    for anchor in anchors_of(table):
        yield from anchor.risks(table)
    if table.session is not None or table.tenant_from == "session":
        yield "session_set_by", "the caller who assumes a role chooses the name of its session"
    if table.tenant_from == "x509_san_uri":
        yield "x509_set_by", "a role that can be assumed in another way gives no certificate to check"
    if table.tenant_from == "claim" and _is_user_writable(table.claim or (), issuer):
        yield "claim_is_admin_set", f"users can often change the claim {'/'.join(table.claim or ())}"


def _is_user_writable(path: Collection[str], issuer: JwtTable | None) -> bool:
    """Whether users may be able to change the claim. Cognito lets an app client write a user's custom attributes by
    default."""
    for element in map(names.lower, path):
        if re.split("[/:]", element)[-1] in _USER_WRITABLE:
            return True
        if element.startswith("custom:") and issuer is not None and issuer.is_cognito:
            return True
    return False
