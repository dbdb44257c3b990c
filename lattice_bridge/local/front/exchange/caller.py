"""The caller that signed a request to API Gateway or a function URL, and the fields that events contain of it.

Rule: the body is part of the signature, unlike with Lattice: neither service takes `UNSIGNED-PAYLOAD`.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Literal

from lattice_bridge.local.front.exchange.exchange import Exchange, session_name
from lattice_bridge.local.front.exchange.http_message import HttpRequest, Signer
from lattice_bridge.local.web.sigv4 import Signed, signer_of


@dataclass(frozen=True, slots=True)
class SignedCaller:
    """A caller whose signature was verified.

    Attributes:
        access_key: that signed.
        signer: its principal.
    """

    access_key: str
    signer: Signer


def signed_caller(
    request: HttpRequest, exchange: Exchange, service: Literal["execute-api", "lambda"]
) -> SignedCaller | None:
    """The caller; None if the request is not signed.

    Args:
        request: with its whole body.
        exchange: with the identities.
        service: for which the request must be signed.

    Raises:
        SignatureRefused: the signature is malformed, for another service or region, stale or wrong.
    """
    path, _, query = request.target.partition("?")
    signed = Signed(request.method, path, query, request.headers)
    payload = sha256(request.body).hexdigest()
    identity = signer_of(
        signed, exchange.identities, service=service, region=exchange.region, payload=payload, now=exchange.now
    )
    if identity is None:
        return None
    signer = identity.signer(session_name(signed, identity))
    exchange.observer.identified(exchange.id, identity.access_key, str(signer.principal))
    return SignedCaller(identity.access_key, signer)


def iam_fields(caller: SignedCaller) -> dict[str, Any]:
    """`requestContext.authorizer.iam` of payload format 2.0."""
    signer = caller.signer
    return {
        "accessKey": caller.access_key,
        "accountId": signer.principal.account,
        "callerId": _user_id(signer),
        "cognitoIdentity": None,
        "principalOrgId": signer.org,
        "userArn": str(signer.principal),
        "userId": _user_id(signer),
    }


def iam_identity(caller: SignedCaller) -> dict[str, Any]:
    """The fields of `requestContext.identity` of payload format 1.0."""
    signer = caller.signer
    return {
        "accessKey": caller.access_key,
        "accountId": signer.principal.account,
        "caller": _user_id(signer),
        "principalOrgId": signer.org,
        "user": _user_id(signer),
        "userArn": str(signer.principal),
    }


def _user_id(signer: Signer) -> str:
    """A unique id in IAM's form: of a role's session, the role's id and the session's name."""
    arn = signer.arn or str(signer.principal)
    unique = base64.b32encode(sha256(arn.encode()).digest()).decode()[:17]
    return f"AROA{unique}:{signer.session}" if signer.session else f"AIDA{unique}"
