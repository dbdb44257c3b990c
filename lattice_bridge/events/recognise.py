"""Tells events with records from HTTP events.

Rule: one member decides, so that no event has two ways. It is imported by every start, and imports nothing.
"""

from __future__ import annotations

from collections.abc import Mapping


def source_of(event: object) -> str | None:
    """The service that an event's records are from, as in `aws:sqs`; empty if they do not say; None for an event
    without records."""
    records = event.get("Records") if isinstance(event, Mapping) else None
    if not isinstance(records, list):
        return None
    first = records[0] if records else None
    source = first.get("eventSource") if isinstance(first, Mapping) else None
    return source if isinstance(source, str) else ""
