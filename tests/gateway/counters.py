"""A counter in an execution environment, behind a REST API, and an authorizer."""

import json
from typing import Any

counter = 0


def standard(event: Any, context: Any) -> dict[str, Any]:
    """Counts for all callers together: no tenant has an environment of its own."""
    headers = {name.lower(): value for name, value in event["headers"].items()}
    return counted(headers.get("x-tenant-id"), isolation_enabled=False)


def isolated(event: Any, context: Any) -> dict[str, Any]:
    """Counts for the tenant of the environment."""
    return counted(context.tenant_id, isolation_enabled=True)


def counted(tenant: str | None, **more: Any) -> dict[str, Any]:
    global counter
    counter += 1
    body = {"counter": counter, "tenant_id": tenant, **more}
    return {"statusCode": 200, "headers": {"Content-Type": "application/json"}, "body": json.dumps(body)}


def echo(event: Any, context: Any) -> dict[str, Any]:
    """Returns the event."""
    return {"statusCode": 200, "body": json.dumps(event)}


def authorizer(event: Any, context: Any) -> dict[str, Any]:
    """Allows `Bearer TENANT`, and names the tenant in the context."""
    scheme, _, tenant = event["headers"]["Authorization"].partition(" ")
    if scheme != "Bearer":
        raise ValueError("Unauthorized")
    effect = "Allow" if tenant != "suspended" else "Deny"
    statement = {"Action": "execute-api:Invoke", "Effect": effect, "Resource": event["methodArn"]}
    document = {"Version": "2012-10-17", "Statement": [statement]}
    return {"principalId": tenant, "policyDocument": document, "context": {"tenantId": tenant}}
