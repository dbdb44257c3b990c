"""The decision: Subject -> Decision, with its reason.

Rule: the only place that turns evidence into a tenant. Everything that no rule allows is refused. The requested tenant
grants nothing: it chooses one of the tenants that the evidence allows.
"""

from __future__ import annotations

from collections.abc import MutableMapping, Sequence
from dataclasses import astuple, dataclass, field
from typing import Any, Final, NamedTuple

from lattice_bridge.errors import BadRequest, BridgeError, Forbidden, Unauthenticated
from lattice_bridge.http.memory import Memory
from lattice_bridge.message import is_tenant_id
from lattice_bridge.tenancy.anchors import AWS_SOURCES
from lattice_bridge.tenancy.rules import ANY_TENANT, Allowed, AnyTenant, Find, Rule, Rules, TenantFrom
from lattice_bridge.tenancy.subject import BatchEvidence, RequestEvidence, Subject


@dataclass(slots=True)
class Decision:
    """The answer for one subject. It is not changed; it is not frozen, because that makes it slow to build.

    Attributes:
        tenant: the registry's own spelling of the tenant; None if refused.
        rule: the id of the rule that decided, also if it refused; None if no rule was reached.
        refusal: the reason of the refusal; None if allowed.
        chosen_by: what selected the tenant: the `rule`, because it allows only one, the `header`, or a record's
            `claim`.
        subject: what was refused, for the log line; None if allowed, or if the request was refused before.

    >>> decision = Decision(refusal=Forbidden("no_rule"))
    >>> decision.allowed, decision.reason, decision.status
    (False, 'no_rule', 403)
    """

    tenant: str | None = None
    rule: str | None = None
    refusal: BridgeError | None = None
    chosen_by: str | None = None
    subject: Subject | None = field(default=None, repr=False, compare=False)  # contains claims, so it is never printed

    @property
    def allowed(self) -> bool:
        return self.refusal is None and self.tenant is not None

    @property
    def reason(self) -> str:
        """`allowed`, or the refusal's code from `errors.REASONS`."""
        return "allowed" if self.refusal is None else self.refusal.reason

    @property
    def status(self) -> int:
        """The HTTP status that the caller would get for the decision alone; 200 if allowed."""
        return 200 if self.refusal is None else self.refusal.status

    def granted(self) -> str:
        """The tenant.

        Raises:
            BridgeError: the refusal.
        """
        if self.refusal is not None:
            raise self.refusal
        if self.tenant is None:
            raise Forbidden("no_rule", "the decision names no tenant")
        return self.tenant


class Entitlement(NamedTuple):
    """What evidence gives: steps 2 to 4 of a decision. It is the same for all records and requests with it.

    Attributes:
        rule: the owner.
        tenants: that all owners allow.
    """

    rule: Rule
    tenants: Allowed


Entitlements = MutableMapping[BatchEvidence | RequestEvidence, Entitlement]
"""What was found with one map for the records of one batch, or for requests. That of a batch ends with it, so that it
has no more entries than the batch has records; that of requests is a `RequestEntitlements`."""


class RequestEntitlements(Memory[Any, Entitlement]):
    """What was found for requests with one map. It belongs to the map and ends with it, so that no other map is asked
    by it (trap D8). Neither refusals are in it, nor whether a tenant is registered and active: that is asked each time.

    The entitlement of a caller whose names are longer than those of AWS is not kept (trap D9).
    """

    def __init__(self) -> None:
        super().__init__(entries=1024, characters=_LONGEST_NAMES)

    def __setitem__(self, evidence: RequestEvidence, found: Entitlement) -> None:
        self.keep(evidence, found, _characters(evidence))

    def __reduce__(self) -> tuple[type[RequestEntitlements], tuple[()]]:
        """A copy of the map, as one that is sent to another process, finds them anew."""
        return RequestEntitlements, ()


_LONGEST_NAMES: Final = 2048
"""Characters of what names a caller, and the service, network and API of its request. The grammar of ARNs bounds a
principal."""


def _characters(evidence: RequestEvidence) -> int:
    caller, _, *came_through = evidence
    certificate = () if caller.x509 is None else astuple(caller.x509)
    names = (caller.session_name, caller.org_id, caller.source_vpc_arn, *certificate, *came_through)
    return sum(len(name) for name in names if name)


def decide(
    subject: Subject, rules: Rules, find: Find | None = None, entitlements: Entitlements | None = None
) -> Decision:
    """Decides which tenant a subject may run as. Never raises for a refusal.

    1. A requested tenant that is not a tenant id is refused.
    2. A deny rule that applies wins.
    3. For each kind of evidence (the caller, each token, an API's authorizer, a certificate; a record's sender, source
       and account of an event), the most specific rule is the owner of the request.
    4. The owners have to agree: the tenants that they allow are intersected.
    5. The requested tenant chooses one of them. If it is not one of them, the request is refused, even if only one
       tenant is allowed.
    6. The tenant has to be registered and active.

    Args:
        subject: the evidence, and the tenant that the caller asks for.
        rules: the map.
        find: looks up tenants; the map's own if None. It is called once, for a tenant that the rules allow.
        entitlements: what these rules gave for subjects that were decided before. What they give for this one is added
            to them, unless it is a refusal.

    >>> from lattice_bridge.identity.principal import parse_arn
    >>> from lattice_bridge.message import Caller
    >>> from lattice_bridge.tenancy.anchors import role_key
    >>> from lattice_bridge.tenancy.rules import Tenant
    >>> rule = Rule("api", role_key("aws", "111122223333", "api"), frozenset({"blue", "green"}))
    >>> rules = Rules.build("x-tenant-id", [Tenant("blue"), Tenant("green")], [rule])
    >>> caller = Caller(authenticated=True, iam=parse_arn("arn:aws:sts::111122223333:assumed-role/api/i-1"))
    >>> decide(Subject(caller, requested_tenant="green"), rules).tenant
    'green'
    >>> decide(Subject(caller), rules).reason
    'ambiguous'
    """
    return _decided(subject, rules, find or rules.tenants.get, {} if entitlements is None else entitlements)


def _decided(subject: Subject, rules: Rules, find: Find, known: Entitlements) -> Decision:
    rule: Rule | None = None
    try:
        _check_requested_tenant(subject)
        evidence = subject.request_evidence if subject.source is None else subject.batch_evidence
        found = None if evidence is None else known.get(evidence)
        if found is None:
            if (rule := rules.denial_of(subject)) is not None:
                raise Forbidden("denied", f"rule {rule.id} denies the caller")
            owners = _owners(subject, rules)
            rule = owners[0]
            found = Entitlement(rule, _agreed(subject, owners))
            if evidence is not None:
                known[evidence] = found
        rule = found.rule
        tenant = _registered(_select(subject, found.tenants, rules), find)
        return Decision(tenant, rule.id, chosen_by=_chosen_by(subject))
    except BridgeError as refusal:
        return Decision(None, rule.id if rule else None, refusal, subject=subject)


def _chosen_by(subject: Subject) -> str:
    if subject.requested_tenant is None:
        return "rule"
    return "header" if subject.source is None else "claim"


def _check_requested_tenant(subject: Subject) -> None:
    """V1 joins two headers to `a,b`, which is not a tenant id either."""
    if subject.requested_tenant is not None and not is_tenant_id(subject.requested_tenant):
        allowed = "1 to 256 of A-Z a-z 0-9 . _ : / = + @ -, the first a letter or digit"
        raise BadRequest("tenant_malformed", f"the requested tenant is not a tenant id. Fix: send {allowed}")


def _owners(subject: Subject, rules: Rules) -> list[Rule]:
    """The owner by the caller, and the owner by each other evidence. At least one.

    Evidence that is absent decides nothing, and neither does evidence of a kind that the map has no rules for: each
    issuer's tokens are a kind. If evidence is present and the map has rules for its kind, but none for this caller, the
    request is refused.
    """
    if subject.has_unverified_credential:
        raise Unauthenticated("no_credential", "the request is signed, but the platform authenticated no caller")
    if subject.batch_evidence is not None:
        return _owners_of_record(subject, rules)
    by_caller, others = rules.owner_by_caller(subject), rules.other_owners(subject)
    if subject.caller.authenticated and by_caller is None and ("caller" in rules.evidence or not others):
        raise Forbidden("no_rule", "no rule matches the caller's principal")
    owners = [rule for rule in (by_caller, *others) if rule is not None]
    if subject.has_other_evidence:
        _refuse_unmatched(subject, rules, others, has_owner=bool(owners))
    if not owners:
        raise Unauthenticated(
            "no_credential", "the caller has no credential that a rule is for, and no rule has `anyone`"
        )
    return owners


def _owners_of_record(subject: Subject, rules: Rules) -> list[Rule]:
    """As `_owners`, for a subject without the evidence that only requests have."""
    owners = rules.other_owners(subject)
    if not owners:
        raise Forbidden("no_rule", f"no rule is for {_unmatched(subject)}")
    return owners


def _refuse_unmatched(subject: Subject, rules: Rules, others: Sequence[Rule], *, has_owner: bool) -> None:
    """Refuses evidence that no rule is for, if the map has rules for its kind or if there is no other."""
    matched = {rule.key[0] for rule in others}
    has_answer, has_certificate = subject.authorizer is not None, subject.client_cert is not None
    if has_answer and "api" not in matched and ("authorizer" in rules.evidence or not has_owner):
        raise Forbidden("no_rule", "no rule is for what an authorizer of the API verified")
    if has_certificate and "client-cert" not in matched and ("certificate" in rules.evidence or not has_owner):
        raise Forbidden("no_rule", "no rule is for the subject of the client's certificate")
    if not has_owner:
        raise Forbidden("no_rule", f"no rule is for {_unmatched(subject)}")


def _unmatched(subject: Subject) -> str:
    if subject.source is None:
        return "tokens of the issuer"
    if subject.bus_event is None:
        return "the record's source" if subject.sender is None else "the record's sender or source"
    if subject.bus_event.source.startswith(AWS_SOURCES):
        return "events of this AWS service. Fix: write one with event_account or source, and bus_source"
    return "the event's account or bus"


def _given(subject: Subject, rule: Rule) -> Allowed:
    """The tenants that a rule gives a subject. If it gives none, no broader rule is tried."""
    if not rule.applies(subject):
        raise Forbidden("condition_failed", f"a further condition of rule {rule.id} does not hold")
    if not isinstance(rule.outcome, TenantFrom):
        return frozenset() if rule.outcome is None else rule.outcome
    tenants = rule.outcome.tenants(subject)
    if not tenants or not all(map(is_tenant_id, tenants)):
        source = f"{rule.outcome.source} {'/'.join(rule.outcome.claim)}".strip()
        if rule.outcome.value(subject) is None:
            raise Forbidden("source_mismatch", f"rule {rule.id} takes the tenant from {source}, which is missing")
        raise Forbidden("source_mismatch", f"{source} does not fit the template of rule {rule.id}")
    return tenants


def _agreed(subject: Subject, owners: Sequence[Rule]) -> Allowed:
    """The tenants that every owner allows. Without an owner, none."""
    allowed: Allowed = ANY_TENANT if owners else frozenset()
    for rule in owners:
        given = _given(subject, rule)
        if isinstance(allowed, AnyTenant):
            allowed = given
        elif not isinstance(given, AnyTenant):
            allowed &= given
    if not isinstance(allowed, AnyTenant) and not allowed:
        raise Forbidden("conflict", f"rules {', '.join(rule.id for rule in owners)} have no tenant in common")
    return allowed


def _select(subject: Subject, allowed: Allowed, rules: Rules) -> str:
    requested = subject.requested_tenant
    if requested is None:
        candidates = rules.tenants if isinstance(allowed, AnyTenant) else allowed
        if len(candidates) != 1:
            raise Forbidden("ambiguous", "several tenants are allowed, and the caller asks for none")
        return next(iter(candidates))
    if not isinstance(allowed, AnyTenant) and requested not in allowed:
        raise Forbidden("tenant_not_allowed", "the requested tenant is not among those that the caller may choose")
    return requested


def _registered(requested: str, find: Find) -> str:
    """The registry's own string. The string that the caller sent is only compared with it."""
    tenant = find(requested)
    if tenant is None or tenant.id != requested:
        raise Forbidden("tenant_unknown", "the tenant is not registered")
    if not tenant.active:
        raise Forbidden("tenant_suspended", "the tenant is suspended")
    return tenant.id
