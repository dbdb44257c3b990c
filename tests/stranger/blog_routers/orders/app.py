"""The isolated function: it runs an order, and fails on one of no piece."""

import json


def handler(event, context):
    print(json.dumps({"ran": event["order"], "tenant": context.tenant_id}))
    if event["quantity"] < 1:
        raise ValueError("an order has at least one piece")
