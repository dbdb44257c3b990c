"""Decides whether the auth policies of a service and of its service network allow a request.

Rule: as "How authorization works" has it in
https://docs.aws.amazon.com/vpc-lattice/latest/ug/auth-policies.html: each policy has to allow the request, an explicit
deny in any policy overrides every allow, and where AuthType is AWS_IAM without a policy nothing is allowed. What cannot
be decided here never admits a request: an Allow that depends on it does not allow, a Deny that depends on it denies.

Statements are evaluated as https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements.html has it.
AWS also evaluates the caller's identity-based policies. identities.toml has none: they are left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final, TypeAlias
from urllib.parse import unquote

from lattice_bridge.deployment.iam.policy import Statement, condition_holds
from lattice_bridge.formats.assumptions import FRONT_POLICY_PATH_IS_DECODED, FRONT_POLICY_QUERY_NAMES_HAVE_CASE
from lattice_bridge.identity.principal import BadPrincipal, Principal, parse_arn
from lattice_bridge.local.front.lattice import HttpRequest, Signer, query_pairs
from lattice_bridge.local.plan.plan import SOURCE_VPC, AuthPolicy, Service

_Truth: TypeAlias = bool | None
"""None: not decided here."""

_INVOKE: Final = "vpc-lattice-svcs:Invoke"
_HEADER: Final = "vpc-lattice-svcs:requestheader/"
_QUERY: Final = "vpc-lattice-svcs:requestquerystring/"
_RESOURCE_TAG: Final = "aws:resourcetag/"
PRINCIPAL_TAG: Final = "aws:principaltag/"
"""How the keys begin that no request has here: identities.toml has no tags."""
_PRINCIPAL_TYPES: Final = {
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


class NotAuthorized(Exception):
    """A request that the auth policies do not allow. The message says which policy and statement decided.

    Attributes:
        answer: what Lattice tells the client.
    """

    def __init__(self, reason: str, answer: str) -> None:
        super().__init__(reason)
        self.answer = answer


@dataclass(frozen=True, slots=True)
class _Call:
    """What policies can ask about a request.

    Attributes:
        principal: who signed it; None if nobody did.
        resource: the service's ARN and the path.
        keys: condition keys in lower case, with their values; None where Lattice's is not known. A key that is not
            here is absent from the request, if it is a known one.
    """

    principal: Principal | None
    resource: str
    keys: Mapping[str, tuple[str, ...] | None]


def authorize(service: Service, request: HttpRequest, signer: Signer | None) -> None:
    """Returns if the auth policies allow a request.

    Raises:
        NotAuthorized: one of them does not.
    """
    call = _call(service, request, signer)
    found = [(policy, _decision(policy, call)) for policy in service.policies]
    user = "anonymous" if signer is None else signer.principal
    # Word for word what captured responses say; the explicit deny of a network is by analogy with a service's.
    answer = f"AccessDeniedException: User: {user} is not authorized to perform: {_INVOKE} on resource: {call.resource}"
    for policy, (effect, reason) in found:
        if effect == "Deny":
            raise NotAuthorized(reason, f"{answer} with an explicit deny in a {policy.level}-based policy")
    for policy, (effect, reason) in found:
        if effect != "Allow":
            raise NotAuthorized(reason, f"{answer} because no {policy.level}-based policy allows the {_INVOKE} action")


def admits(policies: Iterable[AuthPolicy]) -> str:
    """Whom policies admit, in two words: "anyone", "signed only", "nobody", or "by policy" where that depends."""
    found = {_admits(policy) for policy in policies}
    return next((whom for whom in ("nobody", "by policy", "signed only") if whom in found), "anyone")


def undecided(statement: Statement) -> Iterator[str]:
    """The parts of a statement that cannot be decided here, whatever the request."""
    for kind, name in statement.principals:
        if kind == "AWS" and _names(name, Principal("aws", "0" * 12, "root", "")) is None:
            yield f"Principal {name}"
    patterns = statement.resources if statement.not_resources is None else statement.not_resources
    yield from (f"the variable in Resource {pattern}" for pattern in patterns if "${" in pattern)
    for operator, key, values in statement.conditions:
        if not _is_known(key) or condition_holds(operator, values, ("0",)) is None:
            yield f"the condition {operator} on {key}"


def _admits(policy: AuthPolicy) -> str:
    if not policy.statements:
        return "nobody"
    one = policy.statements[0]
    everybody = ("*", "*") in one.principals and not one.all_but and "*" in one.resources and one.names_action(_INVOKE)
    if len(policy.statements) > 1 or one.effect == "Deny" or not everybody:
        return "by policy"
    if not one.conditions:
        return "anyone"
    if any(key != "aws:principaltype" for _, key, _ in one.conditions):
        return "by policy"
    types = {
        kind: all(condition_holds(operator, values, (kind,)) for operator, _, values in one.conditions)
        for kind in (*_PRINCIPAL_TYPES.values(), "Anonymous")
    }
    return "signed only" if not types.pop("Anonymous") and all(types.values()) else "by policy"


# ---- the request ----------------------------------------------------------------------------------------------------


def _call(service: Service, request: HttpRequest, signer: Signer | None) -> _Call:
    path = request.target.partition("?")[0]
    path = unquote(path) if FRONT_POLICY_PATH_IS_DECODED else path
    region, account = service.arn.split(":")[3:5]
    lattice = {
        "port": str(service.port),
        "requestmethod": request.method,
        "requestpath": path,
        "servicearn": service.arn,
        "servicenetworkarn": service.network_arn,
        "sourcevpc": SOURCE_VPC,
        "sourcevpcowneraccount": account,
    }
    keys: dict[str, tuple[str, ...] | None] = {f"vpc-lattice-svcs:{name}": (value,) for name, value in lattice.items()}
    keys["aws:securetransport"] = (str(service.encrypted).lower(),)
    keys |= {"aws:requestedregion": (region,), "aws:resourceaccount": (account,)}
    keys |= {_RESOURCE_TAG + name.lower(): (value,) for name, value in service.tags.items()}
    for name, value in request.headers:
        # The key has one value: which, if the header occurs twice, is not documented.
        keys[_HEADER + name] = None if _HEADER + name in keys else (value,)
    query: dict[str, list[str]] = {}
    for name, value in query_pairs(request.target):
        query.setdefault(name if FRONT_POLICY_QUERY_NAMES_HAVE_CASE else name.lower(), []).append(value)
    keys |= {_QUERY + name: tuple(values) for name, values in query.items()}
    keys |= {f"aws:{name}": (value,) for name, value in _of_signer(signer)}
    return _Call(signer.principal if signer else None, service.arn + path, keys)


def _of_signer(signer: Signer | None) -> Iterator[tuple[str, str]]:
    """Global condition keys of the principal: reference_policies_condition-keys.html."""
    if signer is None:
        yield "principaltype", "Anonymous"
        return
    yield "principaltype", _PRINCIPAL_TYPES[signer.principal.kind]
    yield "principalarn", signer.arn or str(signer.principal)
    yield "principalaccount", signer.principal.account
    yield "principalisawsservice", "false"
    if signer.org is not None:
        yield "principalorgid", signer.org
    if signer.principal.kind == "user":
        yield "username", signer.principal.name


# ---- policies and statements ----------------------------------------------------------------------------------------


def _decision(policy: AuthPolicy, call: _Call) -> tuple[str, str]:
    """`Allow`, `Deny`, or `""` where nothing allows the request, with the reason."""
    owner = f"the service{' network' if policy.level == 'network' else ''} {policy.owner}"
    if policy.name is None:
        return "", f"AuthType of {owner} is AWS_IAM, and the template has no auth policy for it"
    found = [
        (one, f"statement {one.sid!r}" if one.sid else f"statement {number}", _applies(one, call))
        for number, one in enumerate(policy.statements, 1)
    ]
    of_policy = f"of the auth policy {policy.name} of {owner}"
    for one, which, truth in found:
        if one.effect == "Deny" and truth is not False:
            because = "" if truth else f", as {_doubt(one)} is not decided here"
            return "Deny", f"{which} {of_policy} denies it{because}"
    for one, which, truth in found:
        if one.effect == "Allow" and truth:
            return "Allow", f"{which} {of_policy} allows it"
    for one, which, truth in found:
        if one.effect == "Allow" and truth is None:
            return "", f"{which} {of_policy} does not allow it, as {_doubt(one)} is not decided here"
    return "", f"no statement {of_policy} allows it"


def _doubt(statement: Statement) -> str:
    return ", ".join(undecided(statement)) or "a condition on a key with several values, or without a number,"


def _applies(statement: Statement, call: _Call) -> _Truth:
    return _all(
        _is_for(statement, call.principal),
        statement.names_action(_INVOKE),
        statement.names_resource(call.resource) or (None if statement.may_name_resource(call.resource) else False),
        *(
            condition_holds(operator, values, found) if _is_known(key) and found is not None else None
            for operator, key, values in statement.conditions
            for found in (call.keys.get(key, ()),)
        ),
    )


def _is_known(key: str) -> bool:
    return key in _KNOWN or key.startswith((_HEADER, _QUERY, _RESOURCE_TAG, PRINCIPAL_TAG))


def _is_for(statement: Statement, principal: Principal | None) -> _Truth:
    """Whether the Principal element is for the caller: by its own name, its role's, or its account's.

    reference_policies_elements_notprincipal.html: a Deny spares a caller only if all of its names are listed. An Allow
    with NotPrincipal is not recommended, and not explained; here one listed name is enough to be no part of it.
    """
    listed = [_any(_is_named(one, name) for one in statement.principals) for name in _levels(principal)]
    if not statement.all_but:
        return _any(listed)
    return _not(_all(*listed) if statement.effect == "Deny" else _any(listed))


def _levels(principal: Principal | None) -> Iterator[Principal | None]:
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
    """Whether an entry under `AWS` is exactly this principal; an account's number is its root."""
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
