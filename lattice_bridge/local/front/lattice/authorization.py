"""Authorizes a request by the auth policies of its service and service network.

Rule: as "How authorization works" in https://docs.aws.amazon.com/vpc-lattice/latest/ug/auth-policies.html describes:
each policy must allow the request, an explicit deny in any policy overrides every allow, and where AuthType is AWS_IAM
without a policy, nothing is allowed.
"""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import unquote

from lattice_bridge.formats.assumptions import FRONT_POLICY_PATH_IS_DECODED, FRONT_POLICY_QUERY_NAMES_HAVE_CASE
from lattice_bridge.local.front.exchange.http_message import HttpRequest, Signer
from lattice_bridge.local.front.lattice.events import query_pairs
from lattice_bridge.local.plan.auth_policy import (
    HEADER_KEY,
    INVOKE,
    PRINCIPAL_TYPES,
    QUERY_KEY,
    RESOURCE_TAG,
    RequestContext,
    evaluate,
)
from lattice_bridge.local.plan.model import SOURCE_VPC, Service


class NotAuthorized(Exception):
    """A request that the auth policies do not allow. The message names the policy and the statement that decided.

    Attributes:
        response: the text that Lattice sends to the client.
    """

    def __init__(self, reason: str, response: str) -> None:
        super().__init__(reason)
        self.response = response


def authorize(service: Service, request: HttpRequest, signer: Signer | None) -> None:
    """Returns if the auth policies allow a request.

    Args:
        service: with its own policies and its service network's.
        request: as sent.
        signer: the authenticated caller; None if the request is not signed.

    Raises:
        NotAuthorized: one of the policies does not allow it.
    """
    if not service.policies:
        return
    context = _request_context(service, request, signer)
    found = [(policy, evaluate(policy, context)) for policy in service.policies]
    user = "anonymous" if signer is None else signer.principal
    # Word for word as in captured responses. An explicit deny of a network was never captured: it is by analogy.
    response = (
        f"AccessDeniedException: User: {user} is not authorized to perform: {INVOKE} on resource: {context.resource}"
    )
    for policy, (effect, reason) in found:
        if effect == "Deny":
            raise NotAuthorized(reason, f"{response} with an explicit deny in a {policy.level}-based policy")
    for policy, (effect, reason) in found:
        if effect != "Allow":
            raise NotAuthorized(reason, f"{response} because no {policy.level}-based policy allows the {INVOKE} action")


def _request_context(service: Service, request: HttpRequest, signer: Signer | None) -> RequestContext:
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
    keys |= {RESOURCE_TAG + name.lower(): (value,) for name, value in service.tags.items()}
    for name, value in request.headers:
        # The key has one value. Which one it is if the header occurs twice is not documented.
        keys[HEADER_KEY + name] = None if HEADER_KEY + name in keys else (value,)
    query: dict[str, list[str]] = {}
    for name, value in query_pairs(request.target):
        query.setdefault(name if FRONT_POLICY_QUERY_NAMES_HAVE_CASE else name.lower(), []).append(value)
    keys |= {QUERY_KEY + name: tuple(values) for name, values in query.items()}
    keys |= {f"aws:{name}": (value,) for name, value in _principal_keys(signer)}
    return RequestContext(signer.principal if signer else None, service.arn + path, keys)


def _principal_keys(signer: Signer | None) -> Iterator[tuple[str, str]]:
    """Gives the global condition keys of the principal. Source: reference_policies_condition-keys.html."""
    if signer is None:
        yield "principaltype", "Anonymous"
        return
    yield "principaltype", PRINCIPAL_TYPES[signer.principal.kind]
    yield "principalarn", signer.arn or str(signer.principal)
    yield "principalaccount", signer.principal.account
    yield "principalisawsservice", "false"
    if signer.org is not None:
        yield "principalorgid", signer.org
    if signer.principal.kind == "user":
        yield "username", signer.principal.name
