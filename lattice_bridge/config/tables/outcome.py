"""The outcome of a `[[rule]]` as it is written, and the risks that the rule has to acknowledge.

Rule: a rule has one outcome. If a caller could choose what the outcome reads, the rule names who sets it instead.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Final

from lattice_bridge.config.tables.jwt import JwtTable
from lattice_bridge.config.tables.record_anchors import RECORD_KEYS
from lattice_bridge.config.tables.rule import WRITTEN_ANCHORS, anchors_of, is_for_records
from lattice_bridge.config.tables.rule_table import Acknowledgement, RuleTable, WrittenAnchor
from lattice_bridge.config.tables.table import OwnNames, Path
from lattice_bridge.config.words import quoted
from lattice_bridge.errors import Fault
from lattice_bridge.http import headers as names
from lattice_bridge.message import is_tenant_id
from lattice_bridge.tenancy.name_pattern import NamePattern
from lattice_bridge.tenancy.rules import ANY_TENANT, Allowed, TenantFrom

OUTCOMES: Final = ("tenant", "tenants", "tenant_from", "deny")


def outcome_of(table: RuleTable) -> Allowed | TenantFrom | None:
    """The outcome of a rule without faults."""
    if table.deny:
        return None
    if table.tenant_from is not None:
        claim = tuple((table.path if table.tenant_from == "authorizer" else table.claim) or ())
        return TenantFrom(table.tenant_from, _pattern(table), table.jwt or "", claim, is_list=table.claim_is_list)
    return _allowed(table)


def outcome_faults(table: RuleTable, tenants: Collection[str] | None, own: OwnNames) -> Iterator[Fault]:
    """Everything wrong with the outcome of a rule.

    Args:
        table: the rule.
        tenants: the registered tenants; None if the map does not list them.
        own: the names in the map.
    """
    found = [name for name in OUTCOMES if getattr(table, name) not in (None, False)]
    if len(found) != 1:
        written = " and ".join(found) or "none"
        fix = f"write exactly one of {', '.join(OUTCOMES)}"
        yield Fault(f"has {written} as its outcome. Fix: {fix}", given=OUTCOMES)
    yield from _tenant_faults(table, tenants, own)
    if table.tenant_from not in (None, "session") and is_for_records(table):
        what = f'tenant_from = "{table.tenant_from}" reads a request, and the rule is for records'
        fix = f"write tenants = [{own.tenant()}], and in the [[event_source]] a claim that chooses one of them"
        yield Fault(f"{what}. Fix: {fix}", ("tenant_from",), given=tuple(WRITTEN_ANCHORS))
        return
    yield from _template_faults(table, own)
    yield from _claim_faults(table, own)
    yield from _authorizer_faults(table)


# ---- tenants that the rule names ------------------------------------------------------------------------------------


def _allowed(table: RuleTable) -> Allowed:
    if table.tenants == "*":
        return ANY_TENANT
    if table.tenant is not None:
        return frozenset({table.tenant})
    return frozenset(table.tenants or ())


def _tenant_faults(table: RuleTable, tenants: Collection[str] | None, own: OwnNames) -> Iterator[Fault]:
    if isinstance(table.tenants, str) and table.tenants != "*":
        fix = f"for one tenant, write tenant = {quoted(table.tenants)}"
        yield Fault(f'tenants = {quoted(table.tenants)} is neither a list nor "*". Fix: {fix}', ("tenants",))
        return
    if table.tenants == []:
        yield Fault("tenants is empty. Fix: to refuse these callers, write deny = true", ("tenants",))
    if table.tenant is not None:
        yield from _tenant_fault(table.tenant, ("tenant",), tenants, own)
    seen: set[str] = set()
    for index, tenant in enumerate(table.tenants if isinstance(table.tenants, list) else ()):
        if tenant in seen:
            yield Fault(f"tenants contains {quoted(tenant)}, one tenant twice. Fix: write it once", ("tenants", index))
        else:
            yield from _tenant_fault(tenant, ("tenants", index), tenants, own)
        seen.add(tenant)


def _tenant_fault(tenant: str, path: Path, tenants: Collection[str] | None, own: OwnNames) -> Iterator[Fault]:
    if tenants is None:
        if not is_tenant_id(tenant):
            yield Fault(f"tenant {quoted(tenant)} is not a tenant id. Fix: write {TENANT_ID_GRAMMAR}", path)
    elif tenant not in tenants:
        near = own.nearest_tenant(tenant)
        if near is not None:
            fix = f"; did you mean {quoted(near)}?"
        elif tenant == "*":
            fix = '. Fix: for every registered tenant, write tenants = "*", without brackets'
        else:
            fix = ". Fix: register it there, or write another tenant"
        yield Fault(f"tenant {quoted(tenant)} is not in [tenants]{fix}", path, given=("[tenants]",))


TENANT_ID_GRAMMAR: Final = "1 to 256 of A-Z a-z 0-9 . _ : / = + @ -, the first a letter or digit"


# ---- tenants that the evidence names --------------------------------------------------------------------------------


def _pattern(table: RuleTable) -> NamePattern:
    return NamePattern.parse(table.template or "{tenant}", spiffe=table.tenant_from == "x509_san_uri")


def _template_faults(table: RuleTable, own: OwnNames) -> Iterator[Fault]:
    if table.tenant_from is None:
        if table.template is not None:
            what = "template is only used with tenant_from. Fix: remove it, or write tenant_from"
            yield Fault(what, ("template",), at_key=True, given=("tenant_from",))
        return
    try:
        _pattern(table)
    except ValueError as error:
        yield Fault(f"template {quoted(table.template or '{tenant}')}: {error}", ("template",), given=("tenant_from",))
    where, path = f'tenant_from = "{table.tenant_from}"', ("tenant_from",)
    sends_as_role = table.sender is not None and table.sender.role_id is not None
    if table.tenant_from == "session" and table.role is None and table.sso is None and not sends_as_role:
        fix = 'write role, sso or sender = { role_id = "AROA…" } as the anchor'
        yield Fault(f"{where}: only a role has sessions. Fix: {fix}", path, given=("role", "sso", "sender"))
    if table.tenant_from == "session" and _names_a_session(table):
        fix = f"write tenant = {own.tenant()} instead"
        yield Fault(f"{where}: one session is one tenant. Fix: {fix}", path, given=("session", "sender"))
    if table.tenant_from == "x509_san_uri" and (table.role is None or table.role.endswith("*")):
        fix = "write the role that IAM Roles Anywhere gives out"
        yield Fault(f"{where} needs a role that is named exactly. Fix: {fix}", path, given=("role",))


def _names_a_session(table: RuleTable) -> bool:
    return (table.session if table.sender is None else table.sender.session) is not None


def _claim_faults(table: RuleTable, own: OwnNames) -> Iterator[Fault]:
    if table.tenant_from != "claim":
        for name in ("claim", "claim_is_list"):
            if getattr(table, name) not in (None, False):
                what = f'{name} is only used with tenant_from = "claim". Fix: remove it, or write tenant_from'
                yield Fault(what, (name,), at_key=True, given=("tenant_from",))
        return
    if table.jwt is None:
        fix = f"write jwt = {own.issuer()}"
        yield Fault(
            f'tenant_from = "claim" needs the issuer of the token. Fix: {fix}', ("tenant_from",), given=("jwt",)
        )
    if not table.claim or not all(table.claim):
        fix = 'write one element a level, as in claim = ["…"]'
        what = f'tenant_from = "claim" needs the path to the claim. Fix: {fix}'
        yield Fault(what, ("tenant_from",) if table.claim is None else ("claim",), given=("claim",))


def _authorizer_faults(table: RuleTable) -> Iterator[Fault]:
    if table.tenant_from != "authorizer":
        if table.path is not None:
            what = 'path is only used with tenant_from = "authorizer". Fix: remove it, or write tenant_from'
            yield Fault(what, ("path",), at_key=True, given=("tenant_from",))
        return
    if [anchor.name for anchor in anchors_of(table)] != ["api"]:
        fix = 'write the API\'s id as the anchor, as in api = "a1b2c3d4e5", and no other anchor'
        what = f'tenant_from = "authorizer" needs the API whose authorizer answers. Fix: {fix}'
        yield Fault(what, ("tenant_from",), given=tuple(WRITTEN_ANCHORS))
    if not table.path or not all(table.path):
        fix = 'write one element a level, as in path = ["claims", "custom:tenant_id"] or path = ["tenantId"]'
        what = f'tenant_from = "authorizer" needs the path to the value. Fix: {fix}'
        yield Fault(what, ("tenant_from",) if table.path is None else ("path",), given=("path",))


# ---- acknowledgements -----------------------------------------------------------------------------------------------

_ACKNOWLEDGEMENTS: Final = {
    "accept_risk": 'if this is intended, set accept_risk = "reason"',
    "session_set_by": 'if something else chooses it, set session_set_by = "what chooses it"',
    "x509_set_by": 'if only IAM Roles Anywhere can assume it, set x509_set_by = "what ensures this"',
    "authorizer_set_by": 'if no caller chooses it, set authorizer_set_by = "what sets it, and from which evidence"',
    "client_cert_issued_by": 'if only its holder gets one, set client_cert_issued_by = "what ensures this"',
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


def acknowledgement_faults(table: RuleTable, issuers: Mapping[str, JwtTable]) -> Iterator[Fault]:
    """The risks of a rule that it does not acknowledge, and acknowledgements without a risk. Without one anchor, the
    risks are not known."""
    anchors = anchors_of(table)
    if len(anchors) != 1:
        return
    needed = {} if table.deny else dict(_risks(table, anchors[0], issuers.get(table.jwt or "")))
    for name, risk in needed.items():
        if not (getattr(table, name) or "").strip():
            path = () if getattr(table, name) is None else (name,)
            yield Fault(f"{risk}. Fix: {_ACKNOWLEDGEMENTS[name]}", path, given=(name, *_GIVE_RISKS))
    for name in _ACKNOWLEDGEMENTS:
        if getattr(table, name) is not None and name not in needed:
            what = f"{name} acknowledges nothing here. Fix: remove it"
            yield Fault(what, (name,), at_key=True, given=(*WRITTEN_ANCHORS, *_GIVE_RISKS))


_GIVE_RISKS: Final = ("session", "sender", "bus_source", "detail_type", "claim", "path", *OUTCOMES)
"""Keys on which the risks of a rule depend."""


def _risks(table: RuleTable, anchor: WrittenAnchor, issuer: JwtTable | None) -> Iterator[Acknowledgement]:
    """What a rule that allows has to acknowledge: the key, and the risk."""
    yield from anchor.risks(table)
    if _names_a_session(table) or table.tenant_from == "session":
        yield "session_set_by", "the caller who assumes a role chooses the name of its session"
    if anchor.name in RECORD_KEYS:  # of requests' evidence nothing is read
        return
    if table.tenant_from == "x509_san_uri":
        yield "x509_set_by", "a role that can be assumed in another way gives no certificate to check"
    if table.tenant_from == "claim" and _is_user_writable(table.claim or (), issuer):
        yield "claim_is_admin_set", f"users can often change the claim {'/'.join(table.claim or ())}"
    if table.tenant_from == "authorizer":
        path = table.path or ()
        yield "authorizer_set_by", "a Lambda authorizer can return what a caller wrote into a header"
        if _is_user_writable(path, issuer) or any(names.lower(part).startswith("custom:") for part in path):
            yield "claim_is_admin_set", f"users can often change the claim {'/'.join(path)}"


def _is_user_writable(path: Collection[str], issuer: JwtTable | None) -> bool:
    """Whether users may be able to change the claim. Cognito lets an app client write a user's custom attributes by
    default."""
    for element in map(names.lower, path):
        if re.split("[/:]", element)[-1] in _USER_WRITABLE:
            return True
        if element.startswith("custom:") and issuer is not None and issuer.is_cognito:
            return True
    return False
