"""A counter in an execution environment, behind a REST API, and an authorizer."""

import json

counter = 0


def standard(event, context):
    """Counts for all callers together: no tenant has an environment of its own."""
    headers = {name.lower(): value for name, value in event["headers"].items()}
    return counted(headers.get("x-tenant-id"), isolation_enabled=False)


def isolated(event, context):
    """Counts for the tenant of the environment."""
    return counted(context.tenant_id, isolation_enabled=True)


def counted(tenant, **more):
    global counter
    counter += 1
    body = {"counter": counter, "tenant_id": tenant, **more}
    return {"statusCode": 200, "headers": {"Content-Type": "application/json"}, "body": json.dumps(body)}


def echo(event, context):
    """The event."""
    return {"statusCode": 200, "body": json.dumps(event)}


def authorizer(event, context):
    """Allows `Bearer TENANT`, and names the tenant in the context."""
    scheme, _, tenant = event["headers"]["Authorization"].partition(" ")
    if scheme != "Bearer":
        raise Exception("Unauthorized")
    effect = "Allow" if tenant != "suspended" else "Deny"
    statement = {"Action": "execute-api:Invoke", "Effect": effect, "Resource": event["methodArn"]}
    document = {"Version": "2012-10-17", "Statement": [statement]}
    return {"principalId": tenant, "policyDocument": document, "context": {"tenantId": tenant}}
