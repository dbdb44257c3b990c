"""Events of classic EventBridge buses: one event → one record; what was published → its event.

Rule: EventBridge writes `account`, so it is evidence. It also keeps everybody else from a `source` that begins with
`aws.`. The publisher writes the rest. An event does not name its bus.
Source: the EventBridge guide's "Events" and "Event structure", and events recorded on AWS.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from lattice_bridge.errors import BadRequest
from lattice_bridge.events.json_claim import value_at
from lattice_bridge.events.record import BUS, Claim, Record
from lattice_bridge.events.stream import malformed
from lattice_bridge.message import BusEvent

ANY_BUS: Final = "event-bus"
"""The source of every event: the one bus of a map."""

_ACCOUNT: Final = re.compile(r"[0-9]{12}")


def is_event(event: object) -> bool:
    """Whether this is an event of a bus."""
    return isinstance(event, Mapping) and "detail-type" in event and "Records" not in event


def records_of(contents: Iterable[object]) -> list[Record]:
    """The records of events, in order.

    Raises:
        BadRequest: `malformed_event`: an event has no id, by which a log line could name it.
    """
    return [_record(content) for content in contents]


def _record(found: object) -> Record:
    content: Mapping[str, Any] = found if isinstance(found, Mapping) else {}
    event_id = content.get("id")
    if not isinstance(event_id, str) or not event_id:
        raise BadRequest("malformed_event", "the event has no id")
    account, source, detail_type = (content.get(name) for name in ("account", "source", "detail-type"))
    if not isinstance(account, str) or _ACCOUNT.fullmatch(account) is None:
        return Record(BUS, event_id, ANY_BUS, content, caller="bus", fault=malformed("account", "EventBridge"))
    if not isinstance(source, str) or not source or not isinstance(detail_type, str):
        return Record(
            BUS, event_id, ANY_BUS, content, caller="bus", fault=malformed("source or detail-type", "EventBridge")
        )
    return Record(BUS, event_id, ANY_BUS, content, caller="bus", bus_event=BusEvent(account, source, detail_type))


def claimed(record: Record, claim: Claim) -> object:
    """The value that a claim names in `detail`; None if there is none.

    The event was parsed before, so a member that occurred twice is not seen. EventBridge itself keeps one of them.

    Raises:
        BadRequest: `claim_unreadable`: a member on the path occurs in another spelling as well.
    """
    return value_at(record.content.get("detail"), claim.path)


def write(
    *,
    event_id: str,
    detail_type: str,
    source: str,
    account: str,
    time: str,
    region: str,
    resources: Sequence[str],
    detail: Any,
) -> dict[str, Any]:
    """The event that EventBridge makes of what was published.

    Args:
        event_id: a UUID.
        detail_type, source, resources, detail: of the publisher.
        account: of the publisher.
        time: RFC 3339, with seconds.
        region: of the bus.
    """
    return {
        "version": "0",
        "id": event_id,
        "detail-type": detail_type,
        "source": source,
        "account": account,
        "time": time,
        "region": region,
        "resources": list(resources),
        "detail": detail,
    }
