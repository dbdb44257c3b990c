"""Events, requests and maps for tests: everything has a harmless default, and a test writes only what it is about."""

from __future__ import annotations

from typing import Any, Final

from lattice_bridge import Caller, Request, TenantMap
from lattice_bridge.identity.principal import parse_arn

ACCOUNT: Final = "111122223333"
SERVICE: Final = f"arn:aws:vpc-lattice:eu-west-1:{ACCOUNT}:service/svc-0a1b2c3d4e5f60718"
VPC: Final = f"arn:aws:ec2:eu-west-1:{ACCOUNT}:vpc/vpc-0a1b2c3d4e5f60718"

MAP: Final = f"""
[tenants]
blue = {{}}
green = {{}}
old = {{ status = "suspended" }}

[[rule]]
id = "blue-api"
role = "arn:aws:iam::{ACCOUNT}:role/blue-api"
tenant = "blue"

[[rule]]
id = "support"
role = "arn:aws:iam::{ACCOUNT}:role/support"
tenants = ["blue", "green"]

[[rule]]
id = "edge"
role = "arn:aws:iam::{ACCOUNT}:role/edge-proxy"
tenants = "*"

[[rule]]
id = "leaver"
role = "arn:aws:iam::{ACCOUNT}:role/leaver"
tenant = "old"

[[rule]]
id = "leaked"
role = "arn:aws:iam::{ACCOUNT}:role/leaked"
deny = true
"""
"""Five roles of one account: one tenant, two to choose from, any, a suspended one, none."""

OPEN: Final = """
[[rule]]
id = "open"
anyone = true
tenants = "*"
accept_risk = "a test"
"""
"""Allows unauthenticated callers."""


def role(name: str, account: str = ACCOUNT, *, session: str = "i-0123", partition: str = "aws") -> str:
    """The principal of a role's session, as Lattice sends it."""
    return f"arn:{partition}:sts::{account}:assumed-role/{name}/{session}"


def v2(principal: str | None = None, /, **fields: Any) -> dict[str, Any]:
    """A V2 event. `fields` replace the event's own; `headers` maps a name to one value or a list."""
    identity = {"sourceVpcArn": VPC}
    if principal is not None:
        identity |= {"type": "AWS_IAM", "principal": principal}
    headers = {"host": "orders.example.com", **fields.pop("headers", {})}
    event = {
        "version": "2.0",
        "path": "/orders",
        "method": "GET",
        "headers": {name: value if isinstance(value, list) else [value] for name, value in headers.items()},
        "requestId": "lattice-1",
        "requestContext": {"serviceArn": SERVICE, "region": "eu-west-1", "identity": identity},
    }
    return {**event, **fields}


def v1(principal: str | None = None, /, **fields: Any) -> dict[str, Any]:
    """A V1 event. `fields` replace the event's own; `headers` are added to Lattice's."""
    headers = {"host": "orders.example.com", "x-amzn-lattice-network": f"SourceVpcArn={VPC}"}
    if principal is not None:
        headers["x-amzn-lattice-identity"] = f"Principal={principal}; Type=AWS_IAM"
    event = {
        "raw_path": "/orders",
        "method": "GET",
        "headers": {**headers, **fields.pop("headers", {})},
        "query_string_parameters": {},
        "body": "",
        "is_base64_encoded": False,
        "request_id": "lattice-1",
    }
    return {**event, **fields}


def request(principal: str | None = None, *headers: tuple[str, str]) -> Request:
    """A parsed request, without going through an event."""
    caller = Caller() if principal is None else Caller(authenticated=True, iam=parse_arn(principal))
    return Request(version=2, method="GET", path="/orders", headers=headers, caller=caller, request_id="lattice-1")


def tenant_map(*more: str) -> TenantMap:
    """`MAP` and what is added to it."""
    return TenantMap.from_toml(MAP + "".join(more))
