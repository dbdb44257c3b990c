"""Publishes events to the bus: good ones, poison, and one on which the function fails."""

from __future__ import annotations

import json
from typing import Any

ORDERS = (
    {"tenant": "blue", "quantity": 2},
    {"tenant": "green", "quantity": 3},
    {"quantity": 1},  # no tenant: quarantined
    {"tenant": "red", "quantity": 1},  # suspended: quarantined
    {"tenant": "purple", "quantity": 1},  # no such tenant: quarantined
    {"tenant": "blue", "quantity": 0},  # the function fails: tried twice more, then in the OnFailure queue
)
"""The `detail` of each event."""


def publish(events: Any) -> list[str]:
    """Publishes all of them. Returns the ids that EventBridge gave to the events."""
    entry = {"EventBusName": "shop", "Source": "shop", "DetailType": "Order placed"}
    answer = events.put_events(Entries=[{**entry, "Detail": json.dumps(order)} for order in ORDERS])
    if answer["FailedEntryCount"]:
        raise RuntimeError("EventBridge took only a part of the events: a publisher has to send the others again")
    return [one["EventId"] for one in answer["Entries"]]


if __name__ == "__main__":
    import boto3

    publish(boto3.client("events"))
