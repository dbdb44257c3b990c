"""Counts a tenant's orders: one event at a time, each once.

The bridge invokes this function with the event, as a rule of the bus would. The tenant is in the context, where Lambda
puts it: an event cannot change it.
"""

from __future__ import annotations

from typing import Any

KEPT = 1000

done: dict[str, int] = {}
"""Id of an event → the number of its order. Memory forgets: a real function keeps the ids in a table of the tenant."""


def handler(event: dict[str, Any], context: Any) -> None:
    if event["id"] in done:  # EventBridge and Lambda may deliver an event twice
        print(f"{context.tenant_id}: order {done[event['id']]} again, nothing to do")
        return
    if event["detail"]["quantity"] < 1:
        raise ValueError("an order has at least one piece")  # Lambda tries the event twice more, then it is in Failed
    done[event["id"]] = len(done) + 1
    if len(done) > KEPT:
        del done[next(iter(done))]
    print(f"{context.tenant_id}: order {done[event['id']]}, {event['detail']['quantity']} pieces")
