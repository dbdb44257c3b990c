"""Departures of an event from what EventBridge sends to the target of a rule.

Rule: the members and their types are checked.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from lattice_bridge.testing.departure import Departures, Fields, Known

EVENTS: Final = Known("observed", "Events of EventBridge")

_FORMS: Final[Mapping[str, tuple[re.Pattern[str], str]]] = {
    "version": (re.compile("0"), "0, as a string"),
    "id": (re.compile("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"), "a UUID"),
    "detail-type": (re.compile(".{1,128}", re.DOTALL), "1 to 128 characters"),
    "source": (re.compile(".{1,256}", re.DOTALL), "1 to 256 characters"),
    "account": (re.compile("[0-9]{12}"), "12 digits, as a string"),
    "time": (re.compile("[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z"), "as in 2025-11-21T00:00:00Z"),
    "region": (re.compile("[a-z]{2,4}(-[a-z]+)+-[0-9]"), "as in eu-west-1"),
}
_SOMETIMES: Final = "replay-name"
"""Of an event that is sent again from an archive."""


def of_bus_event(event: Fields, found: Departures) -> None:
    """Adds the departures of an event of a bus."""
    for key in event:
        if key not in (*_FORMS, "resources", "detail", _SOMETIMES):
            found.key(event, str(key), "no such key", EVENTS)
    for key, (pattern, sends) in _FORMS.items():
        value = event.get(key)
        if not isinstance(value, str) or pattern.fullmatch(value) is None:
            found.key(event, key, sends, EVENTS)
    resources = event.get("resources")
    if not isinstance(resources, list) or not all(isinstance(one, str) for one in resources):
        found.key(event, "resources", "a list of strings, always there", EVENTS)
    if not isinstance(event.get("detail"), Mapping):
        found.key(event, "detail", "an object, always there", EVENTS)
