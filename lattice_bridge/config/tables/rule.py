"""One `[[rule]]`: the callers or records that it is for, and its further conditions.

Rule: a rule that could mean two things, or whose risk was not acknowledged, is a fault. The fault says what to write.

An anchor is one record in `WRITTEN_ANCHORS`, and one key of `RuleTable` whose description is its documentation.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from lattice_bridge.config.tables.record_anchors import EVENT_ACCOUNT, PARTS, RECORD_KEYS, SENDER, SOURCE, part_faults
from lattice_bridge.config.tables.rule_table import SESSION_NAME, Acknowledgement, RuleTable, WrittenAnchor
from lattice_bridge.config.tables.source_arns import QUEUE_FORM, SERVICES, is_bus, service_in, source_fault
from lattice_bridge.config.tables.table import OwnNames
from lattice_bridge.config.words import listed, quoted, suggestion
from lattice_bridge.errors import Fault
from lattice_bridge.http import headers as names
from lattice_bridge.identity.principal import BadPrincipal, Principal, parse_arn
from lattice_bridge.tenancy.anchors import (
    ANYONE,
    PREFIX_ENDS,
    SSO_ROLE,
    Key,
    api_key,
    client_cert_key,
    jwt_key,
    principal_key,
    role_key,
)
from lattice_bridge.tenancy.rules import Condition, ConditionKind

# ---- roles ----------------------------------------------------------------------------------------------------------

_PERMISSION_SET: Final = re.compile(r"[A-Za-z0-9+=,.@_-]{1,32}")
_ANY_TENANT: Final = "each of these callers may name any registered tenant"


def _role_faults(table: RuleTable, own: OwnNames) -> Iterator[Fault]:
    role = table.role or ""
    exact = role.removesuffix("*")
    if "*" in exact:
        fix = f"write it as IAM does, as in {own.arn('role', role.replace('*', ''))}"
        yield Fault(f"role {quoted(role)} has a * that is not at its end. Fix: {fix}", ("role",))
    elif exact != role and (exact[-1:] not in PREFIX_ENDS or exact[-1:] == ""):
        example = f", as in {exact}-*" if exact[-1:].isalnum() else ""
        fix = f"end it in one of {' '.join(PREFIX_ENDS)} before the *{example}"
        yield Fault(f"role {quoted(role)}: the prefix does not end in a delimiter. Fix: {fix}", ("role",))
    elif exact != role and not table.deny and names.lower(exact.rpartition("/")[2]).startswith(SSO_ROLE):
        what = "a prefix of a role of IAM Identity Center also matches other permission sets"
        account, permission_set = _sso_of(exact)
        fix = f'write sso = {{ account = "{account}", permission_set = "{permission_set}" }}'
        yield Fault(
            f"role {quoted(role)}: {what}, such as {permission_set}_ReadOnly. Fix: {fix}", ("role",), given=("deny",)
        )
    else:
        yield from _principal_faults(exact, "role", own)
    if table.session is not None:
        yield from _session_faults(table, own)


def _sso_of(prefix: str) -> tuple[str, str]:
    """The account and the permission set that a prefix of a role of IAM Identity Center names."""
    account = re.search(r"[0-9]{12}", prefix)
    name = prefix.rpartition("/")[2][len(SSO_ROLE) :].strip("_")
    return account[0] if account else "ACCOUNT", name or "NAME"


def _session_faults(table: RuleTable, own: OwnNames) -> Iterator[Fault]:
    if table.role is None or table.role.endswith("*"):
        fix = "write the role's whole name" if table.role else f'write role = "{own.arn("role", "")}" as well'
        yield Fault(f"session needs a role that is named exactly. Fix: {fix}", ("session",), given=("role",))
    if SESSION_NAME.fullmatch(table.session or "") is None:
        fix = "write 2 to 64 of A-Z a-z 0-9 _ + = , . @ -"
        yield Fault(f"session {quoted(table.session)} is not a session name. Fix: {fix}", ("session",))


def _role_key(table: RuleTable) -> Key:
    text = table.role or ""
    role = parse_arn(text.removesuffix("*")).role
    assert role is not None  # no faults
    if text.endswith("*"):
        return ("role-prefix", *role)
    return role_key(*role) if table.session is None else ("session", *role, table.session)


def _role_warnings(table: RuleTable) -> Iterator[str]:
    yield from _path_warning(table.role)
    if table.tenants == "*" and (table.role or "").endswith("*"):
        yield "every role whose name begins like this may name any registered tenant"


def _path_warning(arn: str | None) -> Iterator[str]:
    """Trap B5."""
    if arn is not None and arn.count("/") > 1:
        start, _, rest = arn.partition("/")
        yield (
            f'the path in "{arn}" is ignored: events contain no path, so the same name with another path matches too. '
            f'Fix: write "{start}/{rest.rpartition("/")[2]}"'
        )


def _sso_faults(table: RuleTable, own: OwnNames) -> Iterator[Fault]:
    assert table.sso is not None  # it is the anchor
    for fault in _account_faults(table.sso.account, own):
        yield fault.within("sso", ("sso",))
    if _PERMISSION_SET.fullmatch(table.sso.permission_set) is None:
        fix = "write 1 to 32 of A-Z a-z 0-9 + = , . @ _ -"
        found = quoted(table.sso.permission_set)
        yield Fault(f"sso: permission_set {found} is not the name of one. Fix: {fix}", ("sso", "permission_set"))


def _sso_key(table: RuleTable) -> Key:
    assert table.sso is not None  # it is the anchor
    return ("sso", *_split_account(table.sso.account), names.lower(table.sso.permission_set))


# ---- other principals -----------------------------------------------------------------------------------------------

_ACCOUNT: Final = re.compile(r"(?:(aws(?:-[a-z]+)*):)?([0-9]{12})")


def _principal_faults(text: str | None, kind: str, own: OwnNames) -> Iterator[Fault]:
    """The faults of an ARN that has to name a principal of one kind."""
    key, service = (kind.replace("-", "_"), "sts" if kind == "federated-user" else "iam")
    fix = (
        f"write it as {service.upper() if service == 'sts' else 'IAM'} does, as in {own.arn(kind, text or '', service)}"
    )
    try:
        found = parse_arn(text or "")
    except BadPrincipal as error:
        yield Fault(f"{key} {quoted(text or '')}: {error.detail}. Fix: {fix}", (key,))
        return
    if found.kind != kind:
        other = found.kind.replace("-", "_")
        fix = (
            f"write {other} = {quoted(text)}, or a {kind} {fix.removeprefix('write it ')}"
            if other in WRITTEN_ANCHORS
            else fix
        )
        yield Fault(f"{key} {quoted(text or '')} is of the kind {found.kind}. Fix: {fix}", (key,))


def _principal_key(text: str | None) -> Key:
    found: Principal = parse_arn(text or "")
    return principal_key(found)


def _user_warnings(table: RuleTable) -> Iterator[str]:
    return _path_warning(table.user)


def _account_faults(text: str | None, own: OwnNames) -> Iterator[Fault]:
    if _ACCOUNT.fullmatch(text or "") is None:
        digits = re.sub("[^0-9]", "", text or "")
        example = digits if len(digits) == 12 else own.partition_and_account[1]
        fix = f'write account = "{example}", or "aws-cn:{example}" in another partition'
        yield Fault(f"account {quoted(text or '')} is not twelve digits. Fix: {fix}", ("account",))


def _split_account(text: str | None) -> tuple[str, str]:
    match = _ACCOUNT.fullmatch(text or "")
    assert match is not None  # no faults
    return match[1] or "aws", match[2]


def _federated_user_risks(_table: RuleTable) -> Iterator[Acknowledgement]:
    yield "session_set_by", "the caller of GetFederationToken chooses the federated user's name"


def _account_warnings(table: RuleTable) -> Iterator[str]:
    if not table.deny:
        yield "allows every principal of the account, also those that are created later"
    yield from _any_tenant_warnings(table)


def _any_tenant_warnings(table: RuleTable) -> Iterator[str]:
    if table.tenants == "*":
        yield _ANY_TENANT


# ---- callers that are not named -------------------------------------------------------------------------------------


def _anyone_faults(table: RuleTable, _own: OwnNames) -> Iterator[Fault]:
    if table.org is not None:
        what = "org never holds for anyone, since an unauthenticated caller has no organisation"
        yield Fault(f"{what}. Fix: remove it", ("org",), at_key=True)
    if table.jwt is not None:
        what = "jwt never holds for anyone, since a token is a credential"
        yield Fault(f"{what}. Fix: remove one of the two", ("jwt",), at_key=True)


def _anyone_risks(_table: RuleTable) -> Iterator[Acknowledgement]:
    yield "accept_risk", "anyone = true admits unauthenticated callers"


def _anyone_warnings(table: RuleTable) -> Iterator[str]:
    if not table.deny:
        yield "allows unauthenticated callers"


def _jwt_risks(table: RuleTable) -> Iterator[Acknowledgement]:
    if table.tenants == "*":
        yield "accept_risk", "every caller with a token of the issuer may name any tenant"


def _api_risks(table: RuleTable) -> Iterator[Acknowledgement]:
    if table.tenants == "*":
        yield "accept_risk", "every caller that the API's authorizer verified may name any tenant"


def _api_warnings(table: RuleTable) -> Iterator[str]:
    if not table.deny and table.tenant_from is None:
        yield "allows every caller that an authorizer of the API verified"
    yield from _any_tenant_warnings(table)


_SUBJECT: Final = re.compile(
    r"[A-Za-z][A-Za-z0-9.-]*=[^,=\\\x00-\x1f\x7f]+(?:, ?[A-Za-z][A-Za-z0-9.-]*=[^,=\\\x00-\x1f\x7f]+)*"
)
"""A distinguished name. A value with a comma, an equals sign or a backslash is refused: how API Gateway escapes them is
not documented, so such a name could be another one's."""


def _client_cert_faults(table: RuleTable, _own: OwnNames) -> Iterator[Fault]:
    """Trap F7: a subject is not a SPIFFE id, and is not read as one."""
    text = table.client_cert or ""
    if text.startswith("spiffe:"):
        what = f"client_cert {quoted(text)} is a SPIFFE id, which API Gateway does not pass on"
        yield Fault(f"{what}. Fix: write the certificate's subject, as in CN=blue,O=Example", ("client_cert",))
    elif len(text) > 1024 or _SUBJECT.fullmatch(text) is None:
        fix = "write the whole subject as in the event, as in CN=blue,O=Example; no value may contain , = or \\"
        yield Fault(f"client_cert {quoted(text)} is not the subject of a certificate. Fix: {fix}", ("client_cert",))


def _client_cert_risks(_table: RuleTable) -> Iterator[Acknowledgement]:
    yield "client_cert_issued_by", "every authority in the API's truststore can issue a certificate with this subject"


def _vpc_key(table: RuleTable) -> Key:
    """The VPC's id, which both spellings contain. An ARN stays a condition as well, see `conditions_of`."""
    return ("vpc", table.values("vpc")[0].rpartition("/")[2])


def _vpc_risks(_table: RuleTable) -> Iterator[Acknowledgement]:
    yield "accept_risk", "vpc alone allows everything that runs there"


def _vpc_warnings(table: RuleTable) -> Iterator[str]:
    if not table.deny:
        yield "allows everything that runs in the VPC, unless another rule is for it"
    yield from _any_tenant_warnings(table)


# ---- the table ------------------------------------------------------------------------------------------------------

WRITTEN_ANCHORS: Final[Mapping[str, WrittenAnchor]] = {
    anchor.name: anchor
    for anchor in (
        WrittenAnchor("role", _role_key, _role_faults, warnings=_role_warnings),
        WrittenAnchor(
            "user",
            lambda table: _principal_key(table.user),
            lambda table, own: _principal_faults(table.user, "user", own),
            warnings=_user_warnings,
        ),
        WrittenAnchor("sso", _sso_key, _sso_faults, warnings=_any_tenant_warnings),
        WrittenAnchor(
            "account",
            lambda table: ("account", *_split_account(table.account)),
            lambda table, own: _account_faults(table.account, own),
            warnings=_account_warnings,
        ),
        WrittenAnchor(
            "root",
            lambda table: _principal_key(table.root),
            lambda table, own: _principal_faults(table.root, "root", own),
            warnings=_any_tenant_warnings,
        ),
        WrittenAnchor(
            "federated_user",
            lambda table: _principal_key(table.federated_user),
            lambda table, own: _principal_faults(table.federated_user, "federated-user", own),
            _federated_user_risks,
            _any_tenant_warnings,
        ),
        WrittenAnchor(
            "client_cert",
            lambda table: client_cert_key(table.client_cert or ""),
            _client_cert_faults,
            _client_cert_risks,
            _any_tenant_warnings,
        ),
        SENDER,
        EVENT_ACCOUNT,
        WrittenAnchor("anyone", lambda _table: ANYONE, _anyone_faults, _anyone_risks, _anyone_warnings),
        SOURCE,
        WrittenAnchor(
            "jwt",
            lambda table: jwt_key(table.jwt or ""),
            risks=_jwt_risks,
            warnings=_any_tenant_warnings,
            is_condition=True,
        ),
        WrittenAnchor(
            "api",
            lambda table: api_key(table.values("api")[0]),
            risks=_api_risks,
            warnings=_api_warnings,
            is_condition=True,
        ),
        WrittenAnchor("vpc", _vpc_key, risks=_vpc_risks, warnings=_vpc_warnings, is_condition=True),
    )
}
"""The anchors by their keys. Those that are conditions come last: the first of them is the anchor if there is no
other."""


def anchors_of(table: RuleTable) -> list[WrittenAnchor]:
    """The anchors that a rule names. One, if the rule has no faults."""
    found = [one for one in WRITTEN_ANCHORS.values() if getattr(table, one.name) not in (None, False)]
    return [one for one in found if not one.is_condition] or found[:1]


def is_for_records(table: RuleTable) -> bool:
    """Whether the one anchor of a rule is of records, so that no request matches it."""
    return [anchor.name in RECORD_KEYS for anchor in anchors_of(table)] == [True]


def anchor_faults(table: RuleTable, own: OwnNames) -> Iterator[Fault]:
    """Everything wrong with the anchor of a rule."""
    anchors = anchors_of(table)
    event_faults = list(_event_faults(table, own))
    yield from event_faults
    if len(anchors) != 1 and (anchors or not event_faults):
        found = " and ".join(anchor.name for anchor in anchors) or "none"
        fix = f"write exactly one of {', '.join(WRITTEN_ANCHORS)}"
        yield Fault(f"has {found} as its anchor. Fix: {fix}", given=tuple(WRITTEN_ANCHORS))
    for anchor in anchors:
        yield from anchor.faults(table, own)
    if table.session is not None and table.sender is not None:
        fix = f"write it inside of sender, as in {{ role_id = …, session = {quoted(table.session)} }}"
        yield Fault(f"session is for a role that calls. Fix: {fix}", ("session",), at_key=True, given=("sender",))
    elif table.session is not None and table.role is None:
        yield from _session_faults(table, own)


def _event_faults(table: RuleTable, own: OwnNames) -> Iterator[Fault]:
    """Keys of events, in a rule or a file that is not for any."""
    found = [key for key in ("event_account", *PARTS) if getattr(table, key) is not None]
    if found and own.event_sources and not any(map(is_bus, own.event_sources)):
        what = f"{found[0]} is for events of a bus, and no [[event_source]] of this file is an event bus"
        yield Fault(f"{what}. Fix: write one, or remove it", (found[0],), at_key=True, given=("[event_source]",))
        return
    for key in (key for key in PARTS if getattr(table, key) is not None):
        yield from part_faults(key, getattr(table, key))
        anchors = [anchor.name for anchor in anchors_of(table)]
        if anchors == ["event_account"] or (anchors == ["source"] and any(map(is_bus, table.values("source")))):
            continue
        bus = next(filter(is_bus, own.event_sources), "arn:aws:events:REGION:ACCOUNT:event-bus/NAME")
        what = f"{key} narrows event_account, or source if that is an event bus"
        others = [name for name in anchors if name != "source"]
        fix = f"write source = {quoted(bus)}{' instead of ' + ' and '.join(others) if others else ''}"
        yield Fault(f"{what}. Fix: {fix}, or remove {key}", (key,), at_key=True, given=tuple(WRITTEN_ANCHORS))


# ---- conditions -----------------------------------------------------------------------------------------------------

_GRAMMARS: Final[Mapping[ConditionKind, tuple[re.Pattern[str], str]]] = {
    "vpc": (re.compile(r"(arn:aws[a-z-]*:ec2:[a-z0-9-]+:[0-9]{12}:vpc/)?vpc-[0-9a-f]{8,17}"), "vpc-ID"),
    "org": (re.compile(r"o-[a-z0-9]{10,32}"), "o-ID"),
    "service": (
        re.compile(r"arn:aws[a-z-]*:vpc-lattice:[a-z0-9-]+:[0-9]{12}:service/svc-[0-9a-z]+"),
        "arn:aws:vpc-lattice:REGION:ACCOUNT:service/svc-ID",
    ),
    "network": (
        re.compile(r"arn:aws[a-z-]*:vpc-lattice:[a-z0-9-]+:[0-9]{12}:servicenetwork/sn-[0-9a-z]+"),
        "arn:aws:vpc-lattice:REGION:ACCOUNT:servicenetwork/sn-ID",
    ),
    "jwt": (re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}"), "letters, digits, - and _"),
    "api": (re.compile(r"[a-z0-9]{8,16}"), "a1b2c3d4e5"),
    "source": (re.compile(".*", re.DOTALL), QUEUE_FORM),  # `_source_faults` checks it
}
"""Kind → its grammar, and its form."""


def condition_faults(table: RuleTable, own: OwnNames) -> Iterator[Fault]:
    """Everything wrong with the further conditions of a rule, given the names of the map's issuers and event
    sources."""
    kinds = [kind for kind in _GRAMMARS if getattr(table, kind) is not None]
    if not kinds:  # most rules have none, and a map may have 100,000 rules
        return
    for kind in kinds:
        yield from _value_faults(kind, table)
    yield from _issuer_faults(table, own)
    yield from _source_faults(table, own)
    anchors = [anchor.name for anchor in anchors_of(table)]
    if len(anchors) == 1:
        yield from _never_faults(anchors[0], kinds)
    for kind in kinds:
        if anchors == [kind] and len(table.values(kind)) > 1:
            fix = "write one value, and a rule for each of the others"
            yield Fault(f"{kind} is the anchor of this rule. Fix: {fix}", (kind,), given=tuple(WRITTEN_ANCHORS))


def _value_faults(kind: ConditionKind, table: RuleTable) -> Iterator[Fault]:
    grammar, form = _GRAMMARS[kind]
    values = table.values(kind)
    if not values:
        fix = f"remove it, or write a value of the form {form}"
        yield Fault(f"{kind} is an empty list, which never holds. Fix: {fix}", (kind,))
    for index, value in enumerate(values):
        if grammar.fullmatch(value) is None:
            path = (kind, index) if isinstance(getattr(table, kind), list) else (kind,)
            yield Fault(f"{kind} {quoted(value)} is not a valid value. Fix: write it in the form {form}", path)


def _issuer_faults(table: RuleTable, own: OwnNames) -> Iterator[Fault]:
    if table.jwt is None or is_for_records(table):
        return
    if table.jwt not in own.issuers and _GRAMMARS["jwt"][0].fullmatch(table.jwt):
        add = f"write one of {', '.join(own.issuers)}" if own.issuers else f"add the table [jwt.{table.jwt}]"
        hint = suggestion(table.jwt, own.issuers, add)
        yield Fault(f"jwt {quoted(table.jwt)} is not an issuer of this map{hint}", ("jwt",), given=("[jwt]",))
    if table.deny and [anchor.name for anchor in anchors_of(table)] != ["jwt"]:
        what = "jwt: a deny rule with this condition does not apply to a caller who leaves the token out"
        fix = "deny the callers without it, or deny the issuer alone"
        yield Fault(f"{what}. Fix: {fix}", ("jwt",), at_key=True, given=("deny", *WRITTEN_ANCHORS))


def _source_faults(table: RuleTable, own: OwnNames) -> Iterator[Fault]:
    """Sources that this file does not route, and those whose records do not have what the anchor is about."""
    anchor = next((anchor.name for anchor in anchors_of(table)), None)
    for index, arn in enumerate(table.values("source")):
        path = ("source", index) if isinstance(table.source, list) else ("source",)
        if fault := source_fault("source", arn):
            yield Fault(fault, path)
        elif arn not in own.event_sources:
            near = own.nearest_event_source(arn)
            hint = f"; did you mean {quoted(near)}?" if near else f". Fix: write one of {listed(own.event_sources)}"
            what = f"source {quoted(arn)} is not the arn of an [[event_source]]{hint}"
            yield Fault(what, path, given=("[event_source]",))
        elif service_in(arn) != _SERVICE_OF_ANCHOR.get(anchor or "", service_in(arn)):
            what = f"source {quoted(arn)} is {SERVICES[service_in(arn) or ''].source}, whose records have no {anchor}"
            yield Fault(f"{what}. Fix: remove it, or remove {anchor}", path, given=tuple(WRITTEN_ANCHORS))


_SERVICE_OF_ANCHOR: Final = {"sender": "sqs", "event_account": "events"}
"""Anchor → the service whose records have it."""


def _never_faults(anchor: str, kinds: Iterable[ConditionKind]) -> Iterator[Fault]:
    """Conditions on what the rule's subjects do not have: a request has no source, and a record nothing else."""
    is_of_records = anchor in RECORD_KEYS
    for kind in kinds:
        if kind != anchor and (kind in RECORD_KEYS) != is_of_records:
            what = f"{kind} never holds for {'a record' if is_of_records else 'a request'}"
            fix = "remove it" if is_of_records else "remove it, and write another rule for the records"
            yield Fault(f"{what}. Fix: {fix}", (kind,), at_key=True, given=tuple(WRITTEN_ANCHORS))


def conditions_of(table: RuleTable) -> tuple[Condition, ...]:
    """The conditions of a rule without faults: all but its anchor. If the anchor `vpc` is written as an ARN, which
    contains more than its key does, the whole ARN has to match as well."""
    anchor = anchors_of(table)[0].name
    found = (kind for kind in _GRAMMARS if getattr(table, kind) is not None)
    kept = (kind for kind in found if kind != anchor or (kind == "vpc" and table.values(kind)[0].startswith("arn:")))
    return tuple(Condition(kind, frozenset(table.values(kind))) for kind in kept)
