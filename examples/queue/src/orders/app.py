"""Counts a tenant's orders: one message at a time, each once.

The bridge invokes this function with one record, in the shape that Lambda gives to any function behind a queue. The
tenant is in the context, where Lambda puts it: a message cannot change it.
"""

from __future__ import annotations

import json
from typing import Any

KEPT = 1000

done: dict[str, int] = {}
"""Id of a message → the number of its order. Memory forgets: a real function keeps the ids in a table of the tenant."""


def handler(event: dict[str, Any], context: Any) -> None:
    (record,) = event["Records"]
    message = record["messageId"]
    if message in done:  # SQS delivers a message again if it was not deleted in time
        print(f"{context.tenant_id}: order {done[message]} again, nothing to do")
        return
    order = json.loads(record["body"])
    if order["quantity"] < 1:
        raise ValueError("an order has at least one piece")  # delivered again, then to the dead-letter queue
    done[message] = len(done) + 1
    if len(done) > KEPT:
        del done[next(iter(done))]
    print(f"{context.tenant_id}: order {done[message]}, {order['quantity']} pieces")
