"""Messages inside a queue, and the order in which they can be received.

Rule of a standard queue: a message that becomes visible is behind all others that are. AWS promises no order; in this
one no message waits for ever behind one that is received again and again.
Rule of a FIFO queue (trap E29): of a group, only the messages before the first invisible one can be received. So a
later message never overtakes an earlier one, also if their timeouts end in another order.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from enum import Enum
from itertools import islice, takewhile
from typing import Protocol

from lattice_bridge.local.aws.sqs.message import Outgoing


class State(Enum):
    """Where a message is."""

    VISIBLE = "visible"
    IN_FLIGHT = "in flight"
    DELAYED = "delayed"


@dataclass(slots=True, eq=False)
class Stored:
    """A message in a queue.

    Attributes:
        number: of the message in this queue, ascending.
        id: a UUID.
        outgoing: as sent.
        md5_of_body, md5_of_attributes: hexadecimal.
        size: bytes in the budget.
        sent: seconds since the epoch.
        kept_since: the beginning of its retention, in seconds since the epoch.
        state: where it is.
        revision: grows with each receive and each change of its visibility.
        receives: how often it was received, also from the queue before.
        first_received: milliseconds since the epoch; None before the first receive.
        last_received: seconds since the epoch.
        came_from: the ARN of the queue whose dead-letter queue this is; None for a message that was sent here.
    """

    number: int
    id: str
    outgoing: Outgoing
    md5_of_body: str
    md5_of_attributes: str | None
    size: int
    sent: float
    kept_since: float
    state: State = State.VISIBLE
    revision: int = 0
    receives: int = 0
    first_received: int | None = None
    last_received: float = 0.0
    came_from: str | None = None


class Order(Protocol):
    """The messages of a queue in the order in which they can be received. Its owner sets their states."""

    def add(self, stored: Stored) -> None:
        """Adds a new message."""

    def changed(self, stored: Stored) -> None:
        """Follows a change of a message's state."""

    def remove(self, stored: Stored) -> None:
        """Removes a message, in any state."""

    def first(self, limit: int) -> list[Stored]:
        """Returns messages that can be received now, in order: some, if there are any.

        The caller makes each one invisible, or removes it, before it asks again.
        """


class StandardOrder:
    """The order of a standard queue."""

    def __init__(self) -> None:
        self._visible: OrderedDict[int, Stored] = OrderedDict()

    def add(self, stored: Stored) -> None:
        self.changed(stored)

    def changed(self, stored: Stored) -> None:
        if stored.state is State.VISIBLE:
            self._visible[stored.number] = stored
        else:
            self._visible.pop(stored.number, None)

    def remove(self, stored: Stored) -> None:
        self._visible.pop(stored.number, None)

    def first(self, limit: int) -> list[Stored]:
        return list(islice(self._visible.values(), limit))


_Group = OrderedDict[int, Stored]
"""The messages of a group, in order. Of a dict, access to the first item takes time that grows with removed ones."""


class FifoOrder:
    """The order of a FIFO queue: groups take turns, and a receive empties one group before the next one."""

    def __init__(self) -> None:
        self._groups: dict[str, _Group] = {}
        self._ready: OrderedDict[str, None] = OrderedDict()
        """The groups whose first message is visible."""

    def add(self, stored: Stored) -> None:
        self._groups.setdefault(_group_of(stored), OrderedDict())[stored.number] = stored
        self.changed(stored)

    def changed(self, stored: Stored) -> None:
        name = _group_of(stored)
        if next(iter(self._groups[name].values())).state is State.VISIBLE:
            self._ready.setdefault(name)
        else:
            self._ready.pop(name, None)

    def remove(self, stored: Stored) -> None:
        name = _group_of(stored)
        group = self._groups[name]
        del group[stored.number]
        if group:
            self.changed(next(iter(group.values())))
        else:
            del self._groups[name]
            self._ready.pop(name, None)

    def first(self, limit: int) -> list[Stored]:
        """Of one group: the visible messages before its first invisible one."""
        if not self._ready:
            return []
        group = self._groups[next(iter(self._ready))]
        return list(islice(takewhile(_is_visible, group.values()), limit))


def _is_visible(stored: Stored) -> bool:
    return stored.state is State.VISIBLE


def _group_of(stored: Stored) -> str:
    return stored.outgoing.group or ""
