"""Evaluates the resource policy of a REST API.

Rule: as "How API Gateway resource policies affect authorization workflow" describes it. Callers' own IAM policies are
not known here: a signed caller of the API's account needs no allow, as if its own policy allowed everything.
"""

from __future__ import annotations

from collections.abc import Mapping

from lattice_bridge.local.front.apigateway.lambda_authorizer import INVOKE, KNOWN_KEYS
from lattice_bridge.local.front.exchange.http_message import Signer
from lattice_bridge.local.plan.auth_policy import PRINCIPAL_TYPES, RequestContext, decide
from lattice_bridge.local.plan.rest_api import RestApi


class NotAllowed(Exception):
    """The resource policy does not allow a request. The message is for the stack's log.

    Attributes:
        response: the text that API Gateway sends to the client.
    """

    def __init__(self, message: str, response: str) -> None:
        super().__init__(message)
        self.response = response


def check_policy(
    api: RestApi, arn: str, keys: Mapping[str, tuple[str, ...]], signer: Signer | None, *, signed: bool
) -> None:
    """Returns if the resource policy allows a request, or if the API has none.

    Args:
        api: with its policy.
        arn: of the method.
        keys: condition keys of the request.
        signer: the authenticated caller.
        signed: the method's authorization is AWS_IAM.

    Raises:
        NotAllowed: a statement denies it, or none allows it.
    """
    if api.policy is None:
        return
    principal = signer.principal if signer else None
    found = dict(keys)
    if signer is not None:
        found["aws:principaltype"] = (PRINCIPAL_TYPES[signer.principal.kind],)
        found["aws:principalarn"] = (signer.arn or str(signer.principal),)
        found["aws:principalaccount"] = (signer.principal.account,)
        if signer.org:
            found["aws:principalorgid"] = (signer.org,)
    decision = decide(api.policy, RequestContext(principal, arn, found, action=INVOKE, known=KNOWN_KEYS))
    if decision.effect == "Allow":
        return
    who = str(principal) if principal else "anonymous"
    said = f"User: {who} is not authorized to perform: {INVOKE} on resource: {_masked(arn, api.account)}"
    if decision.effect == "Deny":
        raise NotAllowed(
            f"{decision.which} of the resource policy of {api.name} denies it", f"{said} with an explicit deny"
        )
    if signed and principal is not None and principal.account == api.account:
        return
    raise NotAllowed(f"no statement of the resource policy of {api.name} allows {who} to call {arn}", said)


def _masked(arn: str, account: str) -> str:
    """The ARN as API Gateway shows it, without the beginning of the account."""
    return arn.replace(f":{account}:", f":********{account[-4:]}:")
