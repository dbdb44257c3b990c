"""STS, as far as tools call it before anything else: who am I?

Rule: no credentials are issued. A role of this stack has no rights that another key does not have.
Source: botocore's service model of STS 2011-06-15, operation GetCallerIdentity.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import parse_qs
from xml.sax.saxutils import escape

from lattice_bridge.deployment.cloudformation.values import ACCOUNT
from lattice_bridge.local.aws.access_keys import DEVELOPER_KEY
from lattice_bridge.local.aws.endpoint import AwsService
from lattice_bridge.local.aws.protocol import AwsError, AwsRequest, AwsResponse

SERVICE: Final = "sts"

_OPERATION: Final = "GetCallerIdentity"
_NAMESPACE: Final = "https://sts.amazonaws.com/doc/2011-06-15/"
_BODY_LIMIT: Final = 64 * 1024


def sts_api() -> AwsService:
    """Makes STS as a service of the AWS endpoint."""
    return AwsService(_answer, _BODY_LIMIT, for_identities=True)


async def _answer(request: AwsRequest) -> AwsResponse:
    form = request.body[:_BODY_LIMIT].decode("utf-8", "replace") if request.body else request.query
    action = next(iter(parse_qs(form).get("Action", [])), "")
    if action != _OPERATION:
        shown = action if action.isalnum() and action.isascii() else "this request"
        raise AwsError(
            501,
            "NotImplemented",
            f"sts {shown}: this local stack has only {_OPERATION} of STS. Fix: sign with the keys that the stack "
            "accepts; they may call every operation",
        )
    return AwsResponse(200, [("content-type", "text/xml")], _caller_identity(request).encode())


def _caller_identity(request: AwsRequest) -> str:
    key = request.key or DEVELOPER_KEY
    return (
        f'<GetCallerIdentityResponse xmlns="{_NAMESPACE}"><GetCallerIdentityResult><Arn>{escape(key.arn)}</Arn>'
        f"<UserId>{escape(key.user_id)}</UserId><Account>{ACCOUNT}</Account></GetCallerIdentityResult>"
        f"<ResponseMetadata><RequestId>{escape(request.id)}</RequestId></ResponseMetadata></GetCallerIdentityResponse>"
    )
