"""Whose request is it: Request -> Decision, with the why.

Rule: the only place that turns an identity into a tenant. Whatever is not allowed here in so many words is refused.
The tenant header never grants anything; it chooses among the tenants that the caller's rule allows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from lattice_bridge.errors import BadRequest, BridgeError, Forbidden, Unauthenticated
from lattice_bridge.http import headers as names
from lattice_bridge.identity.bearer import NO_TOKENS, Tokens
from lattice_bridge.message import Request, is_tenant_id
from lattice_bridge.tenancy.rules import EVERY, Allowed, Every, Find, Rule, Rules, Taken


@dataclass(frozen=True, slots=True)
class Decision:
    """The answer for one request.

    Attributes:
        tenant: the registry's own spelling of the tenant; None when refused.
        rule: the id of the rule that decided, also of the one that refused; None when none was reached.
        refusal: why not; None when allowed.
        chosen_by: what picked the tenant: the `rule`, because it allows one, or the `header`.

    >>> decision = Decision(refusal=Forbidden("no_rule"))
    >>> decision.allowed, decision.reason, decision.status
    (False, 'no_rule', 403)
    """

    tenant: str | None = None
    rule: str | None = None
    refusal: BridgeError | None = None
    chosen_by: str | None = None

    @property
    def allowed(self) -> bool:
        return self.refusal is None and self.tenant is not None

    @property
    def reason(self) -> str:
        """`allowed`, or the refusal's code from `errors.REASONS`."""
        return "allowed" if self.refusal is None else self.refusal.reason

    @property
    def status(self) -> int:
        """The HTTP status the caller would get for the decision alone; 200 when allowed."""
        return 200 if self.refusal is None else self.refusal.status


def decide(request: Request, rules: Rules, tokens: Tokens = NO_TOKENS, find: Find | None = None) -> Decision:
    """The tenant this request may run as, given its verified tokens, and where tenants are found: among the map's own,
    unless `find` says otherwise. It is asked for a tenant that the rules allow, and once.

    1. Headers that could be taken for a reserved one are refused; so is a tenant header that is repeated or malformed.
    2. A deny rule that matches wins.
    3. In each source of identity (whom Lattice names, each token), the most specific rule owns the request.
    4. The sources must agree: the tenants they allow are intersected.
    5. The header chooses within what is left. A header outside it is refused, even if only one tenant is left.
    6. The tenant must be registered and active.
    """
    rule: Rule | None = None
    try:
        wanted = tenant_header(request, rules)
        if (rule := rules.denial_of(request, tokens)) is not None:
            raise Forbidden("denied", f"rule {rule.id} denies the caller")
        owners = _owners(request, rules, tokens)
        rule = owners[0]
        tenant = _registered(_choose(wanted, _agreed(request, owners, tokens), rules), find or rules.tenants.get)
        return Decision(tenant, rule.id, chosen_by="header" if wanted is not None else "rule")
    except BridgeError as refusal:
        return Decision(None, rule.id if rule else None, refusal)


def tenant_header(request: Request, rules: Rules) -> str | None:
    """The tenant id that the client asks for, or None. Opaque: never decoded, never trimmed.

    Raises:
        BadRequest: it is there twice, even with one value; under a spelling that another reader might take for it;
            or is not a tenant id (`a,b` is what V1 makes of two headers).
    """
    header = rules.header
    reserved = _reserved(header, rules.token_headers)
    for name, _ in request.headers:
        folded = names.fold(name)
        if folded != name and (folded in reserved or folded.startswith(names.LATTICE_PREFIX)):
            raise BadRequest("reserved_spelling", f"header {name[:64]} reads as {folded[:64]}")
    value = request.header(header)
    if value is not None and not is_tenant_id(value):
        raise BadRequest("tenant_malformed", f"header {header} is not 1 to 256 of A-Z a-z 0-9 . _ : / = + @ -")
    return value


@lru_cache(16)
def _reserved(header: str, token_headers: frozenset[str]) -> frozenset[str]:
    return names.TENANT_NAMES | token_headers | {header, names.HOPS}


def _owners(request: Request, rules: Rules, tokens: Tokens) -> list[Rule]:
    """The rule that owns the request in each of its sources: whom Lattice names, and each token. At least one.

    A source that is absent says nothing, and so does one that the map has no rules for. One that is present, and that
    the map has rules for but none for this one, is a no.
    """
    if not request.caller.authenticated and _is_signed(request):
        raise Unauthenticated("no_credential", "the request is signed, and Lattice vouches for nobody")
    by_caller, by_tokens = rules.owner_by_caller(request, tokens), rules.owners_by_tokens(tokens)
    if request.caller.authenticated and by_caller is None and (rules.knows_callers or not by_tokens):
        raise Forbidden("no_rule", "no rule matches the caller's principal")
    owners = [rule for rule in (by_caller, *by_tokens) if rule is not None]
    if not owners:
        if tokens:
            raise Forbidden("no_rule", "no rule is for tokens of the issuer")
        raise Unauthenticated(
            "no_credential", "the caller has no credential that a rule is for, and no rule has `anyone`"
        )
    return owners


def _is_signed(request: Request) -> bool:
    """A credential that is present and that nobody verified is not an absent one: `anyone` is not for it."""
    in_query = any(names.lower(name) == "x-amz-signature" for name, _ in request.query_all)
    return in_query or any(name == "authorization" and "aws4-" in names.lower(value) for name, value in request.headers)


def _given(request: Request, rule: Rule, tokens: Tokens) -> Allowed:
    """The tenants that a rule gives for a request. No fall-through: a broader rule is not asked if this says no."""
    if not rule.applies(request, tokens):
        raise Forbidden("condition_failed", f"a further condition of rule {rule.id} does not hold")
    if not isinstance(rule.outcome, Taken):
        return frozenset() if rule.outcome is None else rule.outcome
    tenants = rule.outcome.tenants(request.caller, tokens)
    if not tenants or not all(map(is_tenant_id, tenants)):
        raise Forbidden("source_mismatch", f"{rule.outcome.source} does not fit the template of rule {rule.id}")
    return tenants


def _agreed(request: Request, owners: Sequence[Rule], tokens: Tokens) -> Allowed:
    """What every source allows. Fail closed: no source, no tenant."""
    allowed: Allowed = EVERY if owners else frozenset()
    for rule in owners:
        given = _given(request, rule, tokens)
        if isinstance(allowed, Every):
            allowed = given
        elif not isinstance(given, Every):
            allowed &= given
    if not isinstance(allowed, Every) and not allowed:
        raise Forbidden("conflict", f"rules {', '.join(rule.id for rule in owners)} have no tenant in common")
    return allowed


def _choose(wanted: str | None, allowed: Allowed, rules: Rules) -> str:
    if wanted is None:
        candidates = rules.tenants if isinstance(allowed, Every) else allowed
        if len(candidates) != 1:
            raise Forbidden("ambiguous", "several tenants are allowed and the header chose none")
        return next(iter(candidates))
    if not isinstance(allowed, Every) and wanted not in allowed:
        raise Forbidden("tenant_not_allowed", "the tenant in the header is not among those the caller may choose")
    return wanted


def _registered(wanted: str, find: Find) -> str:
    """The registry's own string. What the caller sent is compared with it and then forgotten."""
    tenant = find(wanted)
    if tenant is None or tenant.id != wanted:
        raise Forbidden("tenant_unknown", "the tenant is not registered")
    if not tenant.active:
        raise Forbidden("tenant_suspended", "the tenant is suspended")
    return tenant.id
