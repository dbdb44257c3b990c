"""Counts the orders of a tenant. Prints each attempt before it reads the order, and each order that it has processed.

The receipt of an attempt is for the test, which makes a failed message visible again without waiting.
"""

import json
from collections import Counter

processed = Counter()
"""Tenant → its orders in this execution environment. There is one tenant: Lambda shares no environment."""


def handler(event, context):
    (record,) = event["Records"]
    show("attempt", context, record, receipt=record["receiptHandle"])
    order = json.loads(record["body"])
    if order["quantity"] < 1:
        raise ValueError("an order has at least one piece")
    processed[context.tenant_id] += 1
    show("processed", context, record, counts=processed)


def show(step, context, record, **more):
    group = record["attributes"].get("MessageGroupId")
    line = {"step": step, "tenant": context.tenant_id, "id": record["messageId"], "group": group}
    print(json.dumps({**line, "bytes": len(record["body"]), **more}))
