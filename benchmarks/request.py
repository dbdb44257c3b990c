"""The request that is measured: the same for all peers."""

from __future__ import annotations

from typing import Any

PRINCIPAL = "arn:aws:sts::111122223333:assumed-role/blue-api/i-0c7f5a1e"
TENANT = "BlueTenant"

EVENT: dict[str, Any] = {
    "version": "2.0",
    "path": "/isolated/orders/17?expand=lines&expand=customer",
    "method": "POST",
    "headers": {
        "host": ["orders.example"],
        "content-type": ["application/json"],
        "user-agent": ["python-httpx/0.28"],
        "x-forwarded-for": ["10.0.3.17"],
        "accept": ["*/*"],
        "x-tenant-id": [TENANT],
    },
    "queryStringParameters": {"expand": ["lines", "customer"]},
    "body": "x" * 1024,
    "requestContext": {
        "serviceNetworkArn": "arn:aws:vpc-lattice:us-east-1:123456789012:servicenetwork/sn-0bf3f2882e9cc805a",
        "serviceArn": "arn:aws:vpc-lattice:us-east-1:123456789012:service/svc-0a40eebed65f8d69c",
        "targetGroupArn": "arn:aws:vpc-lattice:us-east-1:123456789012:targetgroup/tg-6d0ecf831eec9f09",
        "identity": {
            "sourceVpcArn": "arn:aws:ec2:us-east-1:123456789012:vpc/vpc-0b8276c84697e7339",
            "type": "AWS_IAM",
            "principal": PRINCIPAL,
            "principalOrgID": "o-a1b2c3d4e5",
            "sessionName": "i-0c7f5a1e",
        },
        "region": "us-east-1",
        "timeEpoch": "1696331543569690",
    },
    "requestId": "0e3bd8c8-6ef7-4f0d-8b0a-4f4b1d6f1f00",
}
"""V2, 1 KB. It names the tenant in a header as well, since that is all that the peer with Powertools goes by."""

LARGE_BODY = 6_000_000
"""Characters of base64, of 4.5 MB: with the event around it, just below the 6 MiB that Lambda takes."""


class Context:
    """The context that Lambda passes beside the event."""

    aws_request_id = "8f5a7b1c-0000-4000-8000-000000000000"

    def get_remaining_time_in_millis(self) -> int:
        return 30_000


def by_token(token: str) -> dict[str, Any]:
    """The event of a caller that has a token and that Lattice did not authenticate."""
    context = EVENT["requestContext"]
    identity = {"sourceVpcArn": context["identity"]["sourceVpcArn"]}
    headers = {**EVENT["headers"], "authorization": [f"Bearer {token}"]}
    return {**EVENT, "headers": headers, "requestContext": {**context, "identity": identity}}


def of_tenant(number: int) -> dict[str, Any]:
    """The event of a tenant with a role of its own."""
    context = EVENT["requestContext"]
    principal = f"arn:aws:sts::111122223333:assumed-role/api-{number}/i-0c7f5a1e"
    headers = {**EVENT["headers"], "x-tenant-id": [f"tenant-{number}"]}
    identity = {**context["identity"], "principal": principal}
    return {**EVENT, "headers": headers, "requestContext": {**context, "identity": identity}}


def large() -> dict[str, Any]:
    """An event with a large body, made without more memory than the body itself."""
    headers = {**EVENT["headers"], "content-type": ["application/octet-stream"]}
    return {**EVENT, "headers": headers, "body": "QUJD" * (LARGE_BODY // 4), "isBase64Encoded": True}
