"""One `[[rule]]` as it is written: what it may say, what is wrong with it, and the Rule that it becomes.

Rule: a rule that could mean two things, or whose danger nobody acknowledged, is a fault, with what to write instead.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Final, Literal

from pydantic import Field

from lattice_bridge.config.tables.issuer import IssuerTable
from lattice_bridge.config.tables.shape import Table
from lattice_bridge.http import headers as names
from lattice_bridge.identity.principal import BadPrincipal, Principal, parse_arn
from lattice_bridge.message import is_tenant_id
from lattice_bridge.tenancy.name_pattern import Template
from lattice_bridge.tenancy.rules import (
    ANYONE,
    EVERY,
    PREFIX_ENDS,
    SSO_ROLE,
    Allowed,
    Condition,
    ConditionKind,
    Key,
    Rule,
    Taken,
    jwt_key,
    role_key,
)


class SsoTable(Table):
    """`sso = { account = "…", permission_set = "…" }`: a role of IAM Identity Center."""

    account: str
    permission_set: str


class RuleTable(Table):
    """The keys of a `[[rule]]`."""

    id: str = Field(min_length=1, max_length=128)
    # anchors, one a rule (session goes with role; vpc and jwt are anchors where there is no other)
    role: str | None = None
    session: str | None = None
    user: str | None = None
    sso: SsoTable | None = None
    account: str | None = None
    root: str | None = None
    federated_user: str | None = None
    jwt: str | None = None
    anyone: bool = False
    # further conditions
    vpc: str | list[str] | None = None
    org: str | list[str] | None = None
    service: str | list[str] | None = None
    network: str | list[str] | None = None
    # outcomes, one a rule
    tenant: str | None = None
    tenants: list[str] | str | None = None
    tenant_from: Literal["session", "x509_san_uri", "claim"] | None = None
    template: str | None = None
    claim: list[str] | None = None
    claim_is_list: bool = False
    deny: bool = False
    # acknowledgements
    accept_risk: str | None = None
    session_set_by: str | None = None
    x509_set_by: str | None = None
    claim_is_admin_set: str | None = None


ANCHORS: Final = ("role", "user", "sso", "account", "root", "federated_user", "anyone")
OUTCOMES: Final = ("tenant", "tenants", "tenant_from", "deny")
_CONDITIONS: Final[tuple[ConditionKind, ...]] = ("vpc", "org", "service", "network", "jwt")
_WRITABLE: Final = frozenset(
    {
        *("address", "birthdate", "email", "emails", "family_name", "gender", "given_name", "locale", "middle_name"),
        *("name", "nickname", "phone_number", "picture", "preferred_username", "profile", "unique_name", "upn"),
        *("user_metadata", "username", "website", "zoneinfo"),
    }
)
"""Claims that users can often change themselves, or that come to belong to somebody else."""

_ACCOUNT: Final = re.compile(r"(?:(aws(?:-[a-z]+)*):)?([0-9]{12})")
_SESSION: Final = re.compile(r"[A-Za-z0-9_+=,.@-]{2,64}")
_PERMISSION_SET: Final = re.compile(r"[A-Za-z0-9+=,.@_-]{1,32}")
_GRAMMARS: Final[dict[ConditionKind, tuple[re.Pattern[str], str]]] = {
    "vpc": (re.compile(r"(arn:aws[a-z-]*:ec2:[a-z0-9-]+:[0-9]{12}:vpc/)?vpc-[0-9a-f]{8,17}"), "vpc-0b8276c84697e7339"),
    "org": (re.compile(r"o-[a-z0-9]{10,32}"), "o-a1b2c3d4e5"),
    "service": (
        re.compile(r"arn:aws[a-z-]*:vpc-lattice:[a-z0-9-]+:[0-9]{12}:service/svc-[0-9a-z]+"),
        "arn:aws:vpc-lattice:us-east-1:111122223333:service/svc-0a40eebed65f8d69c",
    ),
    "network": (
        re.compile(r"arn:aws[a-z-]*:vpc-lattice:[a-z0-9-]+:[0-9]{12}:servicenetwork/sn-[0-9a-z]+"),
        "arn:aws:vpc-lattice:us-east-1:111122223333:servicenetwork/sn-0bf3f2882e9cc805a",
    ),
    "jwt": (re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}"), "corp"),
}
_COMPARABLE: Final = 1000
"""Tenants among which a misspelt one is looked for: it takes a hundred milliseconds among ten thousand."""
_ROLE_EXAMPLE: Final = "write it as IAM does, as in arn:aws:iam::111122223333:role/blue-api"


def anchors_of(table: RuleTable) -> list[str]:
    """The anchors a rule names. `jwt` is one where there is no other, and then `vpc`."""
    found = [name for name in ANCHORS if getattr(table, name) not in (None, False)]
    return found or next(([name] for name in ("jwt", "vpc") if getattr(table, name) is not None), [])


def faults_of(table: RuleTable, tenants: Collection[str] | None, issuers: Mapping[str, IssuerTable]) -> Iterator[str]:
    """Everything wrong with a rule, given the registered tenants (None if only a registry knows them), and issuers."""
    anchors = anchors_of(table)
    if len(anchors) != 1:
        yield f"needs exactly one of {', '.join(ANCHORS)}, jwt, vpc; has {' and '.join(anchors) or 'none'}"
    outcomes = [name for name in OUTCOMES if getattr(table, name) not in (None, False)]
    if len(outcomes) != 1:
        yield f"needs exactly one of {', '.join(OUTCOMES)}; has {' and '.join(outcomes) or 'none'}"
    for anchor in anchors:
        yield from _ANCHOR_FAULTS[anchor](table)
    if table.session is not None:
        yield from _session_faults(table)
    yield from _condition_faults(table)
    if table.jwt is not None and table.jwt not in issuers:
        yield f'jwt "{table.jwt}" is no issuer of this map; there are {", ".join(issuers) or "none"}'
    yield from _tenant_faults(table, tenants)
    yield from _template_faults(table)
    yield from _claim_faults(table)
    yield from _acknowledgement_faults(table, anchors, issuers.get(table.jwt or ""))


def rule_of(table: RuleTable) -> Rule:
    """The Rule of a table without faults."""
    anchor = anchors_of(table)[0]
    kinds = [kind for kind in _CONDITIONS if getattr(table, kind) is not None and (kind != anchor or _is_arn(table))]
    conditions = tuple(Condition(kind, frozenset(_values(table, kind))) for kind in kinds)
    return Rule(table.id, _KEYS[anchor](table), _outcome(table), conditions)


def _is_arn(table: RuleTable) -> bool:
    """The anchor `vpc` is by id, which is what two spellings have in common; an ARN says more, and that has to hold."""
    return anchors_of(table) == ["vpc"] and _values(table, "vpc")[0].startswith("arn:")


# ---- anchors --------------------------------------------------------------------------------------------------------


def _principal(text: str, kind: str, example: str) -> Iterator[str]:
    """The faults of an ARN that has to name a principal of one kind."""
    try:
        found = parse_arn(text)
    except BadPrincipal as error:
        yield f'{kind} "{text}": {error.detail}; {example}'
        return
    if found.kind != kind:
        yield f'{kind} "{text}" is of the kind {found.kind}; {example}'


def _role_faults(table: RuleTable) -> Iterator[str]:
    role = table.role or ""
    exact = role.removesuffix("*")
    if "*" in exact:
        yield f'role "{role}" has a * that is not at its end; {_ROLE_EXAMPLE}'
        return
    if exact != role and (exact[-1:] not in PREFIX_ENDS or exact[-1:] == ""):
        yield f'role "{role}": a prefix ends in one of {" ".join(PREFIX_ENDS)} before the *, as in role/green-dev-*'
        return
    if exact != role and not table.deny and names.lower(exact.rpartition("/")[2]).startswith(SSO_ROLE):
        yield (
            f'role "{role}": a prefix of a role of IAM Identity Center also matches other permission sets, as '
            'Support_ reads Support_ReadOnly. Fix: write sso = { account = "111122223333", permission_set = "Support" }'
        )
        return
    yield from _principal(exact, "role", _ROLE_EXAMPLE)


def _sso_faults(table: RuleTable) -> Iterator[str]:
    assert table.sso is not None  # it is the anchor
    yield from _account_text(table.sso.account, "sso: account")
    if _PERMISSION_SET.fullmatch(table.sso.permission_set) is None:
        yield f'sso: permission_set "{table.sso.permission_set}" is not the name of one, as in Support'


def _account_text(text: str | None, place: str) -> Iterator[str]:
    if _ACCOUNT.fullmatch(text or "") is None:
        yield f'{place} "{text}" is not twelve digits, as in "111122223333", or "aws-cn:111122223333" elsewhere'


def _no_faults(_table: RuleTable) -> Iterator[str]:
    return iter(())


_ANCHOR_FAULTS: Final[dict[str, Callable[[RuleTable], Iterator[str]]]] = {
    "role": _role_faults,
    "user": lambda table: _principal(
        table.user or "", "user", "write it as IAM does, as in arn:aws:iam::111122223333:user/ann"
    ),
    "root": lambda table: _principal(
        table.root or "", "root", "write it as IAM does, as in arn:aws:iam::111122223333:root"
    ),
    "federated_user": lambda table: _principal(
        table.federated_user or "", "federated-user", "as in arn:aws:sts::111122223333:federated-user/ann"
    ),
    "sso": _sso_faults,
    "account": lambda table: _account_text(table.account, "account"),
    "jwt": _no_faults,  # a condition's faults, as vpc's
    "vpc": _no_faults,
    "anyone": _no_faults,
}


def _split_account(text: str | None) -> tuple[str, str]:
    match = _ACCOUNT.fullmatch(text or "")
    assert match is not None  # faults_of let nothing else through
    return match[1] or "aws", match[2]


def _role_anchor(table: RuleTable) -> Key:
    text = table.role or ""
    role = parse_arn(text.removesuffix("*")).role
    assert role is not None  # faults_of let nothing else through
    if text.endswith("*"):
        return ("role-prefix", *role)
    return role_key(*role) if table.session is None else ("session", *role, table.session)


def _sso_anchor(table: RuleTable) -> Key:
    assert table.sso is not None  # it is the anchor
    return ("sso", *_split_account(table.sso.account), names.lower(table.sso.permission_set))


def _principal_anchor(text: str | None) -> Key:
    found: Principal = parse_arn(text or "")
    name = names.lower(found.name) if found.kind == "user" else found.name
    return (found.kind, found.partition, found.account, name)


_KEYS: Final[dict[str, Callable[[RuleTable], Key]]] = {
    "role": _role_anchor,
    "sso": _sso_anchor,
    "user": lambda table: _principal_anchor(table.user),
    "root": lambda table: _principal_anchor(table.root),
    "federated_user": lambda table: _principal_anchor(table.federated_user),
    "account": lambda table: ("account", *_split_account(table.account)),
    "jwt": lambda table: jwt_key(table.jwt or ""),
    "vpc": lambda table: ("vpc", _values(table, "vpc")[0].rpartition("/")[2]),
    "anyone": lambda _table: ANYONE,
}


def _session_faults(table: RuleTable) -> Iterator[str]:
    if table.role is None or table.role.endswith("*"):
        yield "session goes with a role that is named exactly"
    if _SESSION.fullmatch(table.session or "") is None:
        yield f'session "{table.session}" is not 2 to 64 of A-Z a-z 0-9 _ + = , . @ -'


# ---- conditions -----------------------------------------------------------------------------------------------------


def _values(table: RuleTable, kind: ConditionKind) -> list[str]:
    value = getattr(table, kind)
    return [value] if isinstance(value, str) else list(value or ())


def _condition_faults(table: RuleTable) -> Iterator[str]:
    for kind in _CONDITIONS:
        values = _values(table, kind)
        grammar, example = _GRAMMARS[kind]
        if getattr(table, kind) is not None and not values:
            yield f"{kind} is an empty list: it would never hold"
        for value in values:
            if grammar.fullmatch(value) is None:
                yield f'{kind} "{value}" is not one, as in {example}'
    if table.anyone and table.org is not None:
        yield "org never holds for anyone: a caller that nobody authenticated has no organisation"
    if table.anyone and table.jwt is not None:
        yield "jwt never holds for anyone: a request with a token has a credential"
    if table.deny and table.jwt is not None and anchors_of(table) != ["jwt"]:
        yield "a deny on condition of a token denies nobody who leaves the token out; deny the callers, or the issuer"
    if anchors_of(table) == ["vpc"] and len(_values(table, "vpc")) > 1:
        yield "vpc is what this rule is for: name one, and write a rule for each of the others"


# ---- outcomes -------------------------------------------------------------------------------------------------------


def _outcome(table: RuleTable) -> Allowed | Taken | None:
    if table.deny:
        return None
    if table.tenant_from is not None:
        return Taken(
            table.tenant_from, _template(table), table.jwt or "", tuple(table.claim or ()), is_list=table.claim_is_list
        )
    return _allowed(table)


def _template(table: RuleTable) -> Template:
    return Template.parse(table.template or "{tenant}", spiffe=table.tenant_from == "x509_san_uri")


def _allowed(table: RuleTable) -> Allowed:
    if table.tenants == "*":
        return EVERY
    if table.tenant is not None:
        return frozenset({table.tenant})
    return frozenset(table.tenants or ())


def _tenant_faults(table: RuleTable, tenants: Collection[str] | None) -> Iterator[str]:
    if isinstance(table.tenants, str) and table.tenants != "*":
        yield f'tenants = "{table.tenants}" is neither a list nor "*"; for one tenant write tenant = "{table.tenants}"'
        return
    if table.tenants == []:
        yield "tenants is empty; to refuse these callers write deny = true"
    if isinstance(table.tenants, list) and len(set(table.tenants)) < len(table.tenants):
        yield "tenants names one tenant twice"
    allowed = _allowed(table)
    for tenant in sorted(allowed) if isinstance(allowed, frozenset) else ():
        if tenants is None:
            if not is_tenant_id(tenant):
                yield f"tenant {tenant!r} cannot be a tenant id"
        elif tenant not in tenants:
            near = difflib.get_close_matches(tenant, tenants, 1) if len(tenants) <= _COMPARABLE else []
            yield f"tenant {tenant!r} is not in [tenants]" + (f"; did you mean {near[0]!r}?" if near else "")


def _template_faults(table: RuleTable) -> Iterator[str]:
    if table.tenant_from is None:
        if table.template is not None:
            yield "template says how to read a tenant's name; it goes with tenant_from"
        return
    try:
        _template(table)
    except ValueError as error:
        yield f'template "{table.template or "{tenant}"}" {error}'
    if table.tenant_from == "session" and table.role is None and table.sso is None:
        yield 'tenant_from = "session" goes with role or sso: others have no session'
    if table.tenant_from == "session" and table.session is not None:
        yield 'tenant_from = "session" with one session is one tenant: write tenant = "…"'
    if table.tenant_from == "x509_san_uri" and (table.role is None or table.role.endswith("*")):
        yield 'tenant_from = "x509_san_uri" goes with the role, named exactly, that IAM Roles Anywhere hands out'


def _claim_faults(table: RuleTable) -> Iterator[str]:
    if table.tenant_from != "claim":
        if table.claim is not None:
            yield 'claim says where the tenant stands in a token; it goes with tenant_from = "claim"'
        if table.claim_is_list:
            yield 'claim_is_list says that a claim is a list of tenants; it goes with tenant_from = "claim"'
        return
    if table.jwt is None:
        yield 'tenant_from = "claim" needs the issuer whose claim it is: jwt = "…"'
    if not table.claim or not all(table.claim):
        yield 'tenant_from = "claim" needs the path to it, one element a level: claim = ["custom:tenant_id"]'


# ---- acknowledgements -----------------------------------------------------------------------------------------------


def _acknowledgement_faults(table: RuleTable, anchors: list[str], issuer: IssuerTable | None) -> Iterator[str]:
    needed = {} if table.deny else dict(_acknowledgements(table, anchors, issuer))
    for name, why in needed.items():
        if not (getattr(table, name) or "").strip():
            yield f'{why}; if you mean that, say {"why" if name == "accept_risk" else "who"}: {name} = "…"'
    for name in ("accept_risk", "session_set_by", "x509_set_by", "claim_is_admin_set"):
        if getattr(table, name) is not None and name not in needed:
            yield f"{name} acknowledges nothing here"


def _acknowledgements(table: RuleTable, anchors: list[str], issuer: IssuerTable | None) -> Iterator[tuple[str, str]]:
    """What a rule that lets callers in has to own up to: the name of the key, and why."""
    if "anyone" in anchors:
        yield "accept_risk", "anyone lets callers in that nobody authenticated"
    if "jwt" in anchors and table.tenants == "*":
        yield "accept_risk", "whoever gets a token of the issuer may then name any tenant"
    if "vpc" in anchors:
        yield "accept_risk", "vpc alone lets in everything that runs there"
    if table.session is not None or table.tenant_from == "session":
        yield "session_set_by", "whoever may assume a role chooses its session's name, unless something else does"
    if "federated_user" in anchors:
        yield "session_set_by", "whoever may call GetFederationToken chooses the federated user's name"
    if table.tenant_from == "x509_san_uri":
        yield "x509_set_by", "a role that can be assumed otherwise than by IAM Roles Anywhere may show no certificate"
    if table.tenant_from == "claim" and _is_writable(table.claim or (), issuer):
        yield "claim_is_admin_set", f"users can often change the claim {'/'.join(table.claim or ())} themselves"


def _is_writable(path: Collection[str], issuer: IssuerTable | None) -> bool:
    """Whether users may have written what stands at the path. Cognito lets an app client write a user's custom
    attributes unless it is told otherwise."""
    for element in map(names.lower, path):
        if re.split("[/:]", element)[-1] in _WRITABLE:
            return True
        if element.startswith("custom:") and issuer is not None and issuer.is_cognito:
            return True
    return False
