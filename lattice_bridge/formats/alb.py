"""`alb`: what an Application Load Balancer would have sent, with multi-value headers on.

Rule: as in AWS's "Lambda functions as targets for your Application Load Balancer". Query names and values are as
sent, still encoded: a load balancer does not decode them, and frameworks count on it.
"""

from __future__ import annotations

from typing import Any, Final

from lattice_bridge.formats import gateway, maps
from lattice_bridge.formats.forwarded import Forwarded
from lattice_bridge.http.headers import fold
from lattice_bridge.message import split_query

_ONLY_A_BALANCER: Final = ("x-amzn-oidc-", "x-amzn-mtls-")
"""What a load balancer says of whom it authenticated. Backends behind one trust it; here it comes from a client."""


def event(forwarded: Forwarded) -> dict[str, Any]:
    """Lists of values; no context but the target group, so whom Lattice vouches for is in the headers of V1.

    Cannot be said: how repeated query names interleave, and whether a name without a value had a `=`.
    """
    request = forwarded.request
    headers = (pair for pair in gateway.headers(forwarded) if not fold(pair[0]).startswith(_ONLY_A_BALANCER))
    who = gateway.identity_headers(request.caller).items()
    return {
        "requestContext": {"elb": {"targetGroupArn": request.target_group_arn or ""}},
        "httpMethod": request.method,
        "path": request.path,
        "multiValueQueryStringParameters": maps.lists(split_query(request.raw_query)),
        "multiValueHeaders": maps.lists((*maps.one_cookie_line(tuple(headers)), *who)),
        "body": request.text,
        "isBase64Encoded": request.is_base64,
    }
