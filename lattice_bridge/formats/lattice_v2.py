"""`lattice-v2`: what a target group of event structure V2 would have sent.

Rule: docs/wire.md §1. Source: Lambda functions as targets in VPC Lattice, and captures where they differ.
"""

from __future__ import annotations

from typing import Any

from lattice_bridge.formats import gateway, maps
from lattice_bridge.formats.forwarded import Forwarded


def event(forwarded: Forwarded) -> dict[str, Any]:
    """A list a header and a query name; keys absent where there is nothing to say.

    Cannot be said, since V1 does not: the service, its network, the target group. Their keys are there and empty, since
    typed readers (of Rust and TypeScript) require them, and `serviceArn` is what tells the event from API Gateway's. A
    header that V1 joined stays joined.
    """
    request = forwarded.request
    found: dict[str, Any] = {
        "version": "2.0",
        "path": request.target,
        "method": request.method,
        "headers": maps.lists(maps.one_cookie_line(forwarded.headers())),
        "queryStringParameters": maps.lists(request.query_all),
        "body": request.text,
        "isBase64Encoded": request.is_base64,
        "requestContext": {
            "serviceNetworkArn": request.service_network_arn or "",
            "serviceArn": request.service_arn or "",
            "targetGroupArn": request.target_group_arn or "",
            "identity": gateway.identity(request.caller),
            "region": gateway.region(request),
            "timeEpoch": str(gateway.microseconds(forwarded)),
        },
        "requestId": forwarded.request_id,
    }
    return {key: value for key, value in found.items() if value}
