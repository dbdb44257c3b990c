"""The event buses of a stack as destinations of asynchronous invocations.

Rule: the event is one of Lambda, whose source is `lambda`, so PutEvents would accept it from any client too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lattice_bridge.local.aws.async_invokes import Undelivered
from lattice_bridge.local.aws.event_bridge.buses import Entry, EventBuses
from lattice_bridge.local.aws.event_bridge.errors import EntryRefused


class DestinationBuses:
    """Puts the records of asynchronous invocations on buses.

    Args:
        buses: of the stack.
    """

    def __init__(self, buses: EventBuses) -> None:
        self._buses = buses

    def put(self, bus: str, entry: Mapping[str, Any]) -> None:
        """Puts an event on a bus; see `destinations.Buses`.

        Raises:
            Undelivered: there is no such bus, or it refuses the event.
        """
        if self._buses.find(bus) is None:
            raise Undelivered("the stack has no such event bus")
        resources = tuple(entry.get("Resources") or ())
        found = Entry(entry["Source"], entry["DetailType"], entry["Detail"], bus, entry.get("Time"), resources)
        try:
            self._buses.put(found)
        except EntryRefused as error:
            raise Undelivered(f"{error.code}: {error}") from error
