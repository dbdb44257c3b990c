"""Distinguishes events with records from HTTP events.

Rule: the members of the event decide, so that no event has two ways. What no HTTP front sends is never answered as a
request: a source of events takes each answer as a success, and the event would be lost. Every start imports this file,
so it imports nothing.
"""

from __future__ import annotations

from collections.abc import Mapping


def source_of(event: object) -> str | None:
    """The service that an event's records are from, as in `aws:sqs`; empty if they do not name one; None for an
    event that may be a request.

    A list is what EventBridge Pipes sends. An event of Kafka or Amazon MQ has one `eventSource` for all its records,
    and one of EventBridge has a `detail-type`.
    """
    if isinstance(event, list):
        return _text(event[0], "eventSource") if event else ""
    if not isinstance(event, (dict, Mapping)):  # a dict first: asking an abstract class takes longer
        return None
    records = event.get("Records")
    if isinstance(records, list):
        return _text(records[0], "eventSource") if records else ""
    if "eventSource" in event:
        return _text(event, "eventSource")
    return _text(event, "source") if "detail-type" in event else None


def _text(found: object, name: str) -> str:
    value = found.get(name) if isinstance(found, Mapping) else None
    return value if isinstance(value, str) else ""
