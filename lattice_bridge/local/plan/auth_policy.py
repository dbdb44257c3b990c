"""Evaluates the auth policies of VPC Lattice, statement by statement.

Rule: an element that cannot be decided here never admits a request. An Allow that depends on it does not allow, and a
Deny that depends on it denies.

Statements are evaluated as https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements.html describes.
AWS also evaluates the caller's identity-based policies. identities.toml has none, so they are left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final, Literal, NamedTuple, TypeAlias

from lattice_bridge.deployment.iam.policy import Statement, condition_holds
from lattice_bridge.identity.principal import BadPrincipal, Principal, parse_arn

_Truth: TypeAlias = bool | None
"""None: not decided here."""

INVOKE: Final = "vpc-lattice-svcs:Invoke"
"""The action that every request asks for."""

HEADER_KEY: Final = "vpc-lattice-svcs:requestheader/"
QUERY_KEY: Final = "vpc-lattice-svcs:requestquerystring/"
RESOURCE_TAG: Final = "aws:resourcetag/"
PRINCIPAL_TAG: Final = "aws:principaltag/"
"""Prefixes of condition keys, in lower case. No request has a principal tag here: identities.toml has no tags."""
PRINCIPAL_TYPES: Final = {
    "assumed-role": "AssumedRole",
    "federated-user": "FederatedUser",
    "role": "AssumedRole",
    "root": "Account",
    "user": "User",
}
"""`aws:PrincipalType`: reference_policies_variables.html, "Principal key values"."""
_KNOWN: Final = frozenset(
    {
        *(f"vpc-lattice-svcs:{name}" for name in ("port", "requestmethod", "requestpath", "servicearn")),
        *(f"vpc-lattice-svcs:{name}" for name in ("servicenetworkarn", "sourcevpc", "sourcevpcowneraccount")),
        *(f"aws:principal{name}" for name in ("type", "arn", "account", "orgid", "isawsservice")),
        *("aws:username", "aws:securetransport", "aws:requestedregion", "aws:resourceaccount"),
    }
)
"""Condition keys whose value, or absence, is known of every request, in lower case."""


@dataclass(frozen=True, slots=True)
class AuthPolicy:
    """The auth policy of a service or service network whose `AuthType` is AWS_IAM.

    Attributes:
        level: the resource that it belongs to, as Lattice's messages name it.
        owner: logical id of the service or service network.
        name: logical id of the auth policy; None if the template has none, and then nothing is allowed.
        statements: of the policy.
    """

    level: Literal["network", "service"]
    owner: str
    name: str | None
    statements: tuple[Statement, ...] = ()


@dataclass(frozen=True, slots=True)
class RequestContext:
    """The facts about a request that policies can test. IAM's documentation calls them the request context.

    Attributes:
        principal: the signer; None if the request is not signed.
        resource: the service's ARN and the path.
        keys: condition keys in lower case, with their values. A value of None means that Lattice's value is not known.
            A known key that is not in the mapping is absent from the request.
        action: the action that the request asks for.
        known: the keys whose value or absence is known, for another service than Lattice; None for Lattice's keys.
    """

    principal: Principal | None
    resource: str
    keys: Mapping[str, tuple[str, ...] | None]
    action: str = INVOKE
    known: frozenset[str] | None = None

    def is_known(self, key: str) -> bool:
        """Whether a key's value, or absence, is known of every request."""
        return _is_known(key) if self.known is None else key in self.known


def admitted_callers(policies: Iterable[AuthPolicy]) -> str:
    """Describes the callers that policies admit: "anyone", "signed only", "none", or "by policy" if it depends."""
    found = {_admitted(policy) for policy in policies}
    return next((callers for callers in ("none", "by policy", "signed only") if callers in found), "anyone")


def undecided(statement: Statement) -> Iterator[str]:
    """Gives the parts of a statement that cannot be decided here, for any request."""
    for kind, name in statement.principals:
        if kind == "AWS" and _names(name, Principal("aws", "0" * 12, "root", "")) is None:
            yield f"Principal {name}"
    patterns = statement.resources if statement.not_resources is None else statement.not_resources
    yield from (f"the variable in Resource {pattern}" for pattern in patterns if "${" in pattern)
    for operator, key, values in statement.conditions:
        if not _is_known(key) or condition_holds(operator, values, ("0",)) is None:
            yield f"the condition {operator} on {key}"


def _admitted(policy: AuthPolicy) -> str:
    if not policy.statements:
        return "none"
    one = policy.statements[0]
    unrestricted = (
        ("*", "*") in one.principals and not one.all_but and "*" in one.resources and one.names_action(INVOKE)
    )
    if len(policy.statements) > 1 or one.effect == "Deny" or not unrestricted:
        return "by policy"
    if not one.conditions:
        return "anyone"
    if any(key != "aws:principaltype" for _, key, _ in one.conditions):
        return "by policy"
    types = {
        kind: all(condition_holds(operator, values, (kind,)) for operator, _, values in one.conditions)
        for kind in (*PRINCIPAL_TYPES.values(), "Anonymous")
    }
    return "signed only" if not types.pop("Anonymous") and all(types.values()) else "by policy"


# ---- policies and statements ----------------------------------------------------------------------------------------


def evaluate(policy: AuthPolicy, context: RequestContext) -> tuple[str, str]:
    """Returns the policy's effect, `Allow`, `Deny` or `""` if nothing allows the request, and the reason."""
    owner = f"the service{' network' if policy.level == 'network' else ''} {policy.owner}"
    if policy.name is None:
        return "", f"AuthType of {owner} is AWS_IAM, and the template has no auth policy for it"
    of_policy = f"of the auth policy {policy.name} of {owner}"
    decision = decide(policy.statements, context)
    if decision.statement is None:
        return "", f"no statement {of_policy} allows it"
    which, doubt = f"{decision.which} {of_policy}", _doubt(decision.statement)
    if decision.effect == "Deny":
        return "Deny", f"{which} denies it{'' if decision.certain else f', as {doubt} is not decided here'}"
    if decision.effect == "Allow":
        return "Allow", f"{which} allows it"
    return "", f"{which} does not allow it, as {doubt} is not decided here"


class PolicyDecision(NamedTuple):
    """What statements decide about a request.

    Attributes:
        effect: `Allow`, `Deny`, or `""` if nothing allows it.
        which: the name of the statement that decided, for messages; empty if no statement is about the request.
        statement: the statement that decided. If none did, one that would allow it if the stack could decide its parts.
        certain: whether the stack could decide every part of the statement.
    """

    effect: Literal["Allow", "Deny", ""]
    which: str = ""
    statement: Statement | None = None
    certain: bool = True


def decide(statements: Iterable[Statement], context: RequestContext) -> PolicyDecision:
    """Evaluates statements: an explicit deny first, then an allow."""
    found = [
        (f"statement {one.sid!r}" if one.sid else f"statement {number}", one, _applies(one, context))
        for number, one in enumerate(statements, 1)
    ]
    for which, one, truth in found:
        if one.effect == "Deny" and truth is not False:
            return PolicyDecision("Deny", which, one, truth is True)
    for which, one, truth in found:
        if one.effect == "Allow" and truth:
            return PolicyDecision("Allow", which, one)
    for which, one, truth in found:
        if one.effect == "Allow" and truth is None:
            return PolicyDecision("", which, one, certain=False)
    return PolicyDecision("")


def _doubt(statement: Statement) -> str:
    return ", ".join(undecided(statement)) or "a condition on a key with several values, or without a number,"


def _applies(statement: Statement, context: RequestContext) -> _Truth:
    return _all(
        _names_caller(statement, context.principal),
        statement.names_action(context.action),
        statement.names_resource(context.resource)
        or (None if statement.may_name_resource(context.resource) else False),
        *(
            condition_holds(operator, values, found) if context.is_known(key) and found is not None else None
            for operator, key, values in statement.conditions
            for found in (context.keys.get(key, ()),)
        ),
    )


def _is_known(key: str) -> bool:
    return key in _KNOWN or key.startswith((HEADER_KEY, QUERY_KEY, RESOURCE_TAG, PRINCIPAL_TAG))


def _names_caller(statement: Statement, principal: Principal | None) -> _Truth:
    """Whether the Principal element names the caller: by its own name, its role's, or its account's.

    reference_policies_elements_notprincipal.html: a Deny does not apply to a caller if all of its names are listed.
    The page does not explain an Allow with NotPrincipal; here one listed name is enough to exclude the caller.
    """
    listed = [_any(_is_named(one, name) for one in statement.principals) for name in _names_of(principal)]
    if not statement.all_but:
        return _any(listed)
    return _not(_all(*listed) if statement.effect == "Deny" else _any(listed))


def _names_of(principal: Principal | None) -> Iterator[Principal | None]:
    yield principal
    if principal is None:
        return
    if principal.kind == "assumed-role":
        yield replace(principal, kind="role", session=None)
    if principal.kind != "root":
        yield replace(principal, kind="root", name="", session=None)


def _is_named(written: tuple[str, str], principal: Principal | None) -> _Truth:
    kind, name = written
    if kind == "*":
        return True
    return kind == "AWS" and principal is not None and _names(name, principal)


def _names(name: str, principal: Principal) -> _Truth:
    """Whether an entry under `AWS` is exactly this principal. An account id means the account's root."""
    if name.isascii() and name.isdigit() and len(name) == 12:
        return principal.kind == "root" and principal.account == name
    try:
        found = parse_arn(name)
    except BadPrincipal:
        return None
    return found == principal or (found.kind == principal.kind == "role" and found.role == principal.role)


# ---- true, false, or not decided here -------------------------------------------------------------------------------


def _all(*truths: _Truth) -> _Truth:
    return False if False in truths else None if None in truths else True


def _any(truths: Iterable[_Truth]) -> _Truth:
    return _not(_all(*map(_not, truths)))


def _not(truth: _Truth) -> _Truth:
    return None if truth is None else not truth
