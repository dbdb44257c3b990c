"""A departure, and the list of those of an event."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, NamedTuple

Evidence = Literal["documented", "observed", "assumed"]
Fields = Mapping[str, Any]


class Known(NamedTuple):
    """How well something is known, and the row or heading of docs/wire.md that says so."""

    evidence: Evidence
    row: str


@dataclass(frozen=True, slots=True)
class Departure:
    """One difference between an event and what Lattice, or another front, sends.

    Attributes:
        where: a JSON pointer (RFC 6901) into the event; for an absent field, where it would be. Empty: the whole event.
        found: the value in the event, as JSON in ASCII, shortened; or `absent`.
        sends: what is sent instead.
        evidence: how well that is known.
        row: the row or heading of docs/wire.md with the evidence.
        refused: whether the bridge refuses the event for it.
    """

    where: str
    found: str
    sends: str
    evidence: Evidence
    row: str
    refused: bool = False


class Words(str):
    """A description or a name, which is shown without quotes; other strings are values of the event."""

    __slots__ = ()


ABSENT: Final = Words("absent")


@dataclass(slots=True)
class Departures:
    """The list of departures, and the place in the event to which the next one belongs."""

    all: list[Departure] = field(default_factory=list)
    under: str = ""

    def inside(self, *keys: str) -> Departures:
        """The same list, for a place inside this one."""
        return Departures(self.all, self.under + "".join(map(_step, keys)))

    def add(self, value: object, sends: str, known: Known, *, refused: bool = False) -> None:
        """Adds a departure at this place."""
        self.all.append(Departure(self.under, _shown(value), sends, known.evidence, known.row, refused))

    def key(self, of: Fields, key: str, sends: str, known: Known, *, refused: bool = False) -> None:
        """Adds a departure of a key of an object. The key may be absent."""
        self.inside(str(key)).add(of.get(key, ABSENT), sends, known, refused=refused)


def _step(key: str) -> str:
    return "/" + key.replace("~", "~0").replace("/", "~1")


_SHOWN: Final = 80


def _shown(value: object) -> str:
    if isinstance(value, str) and len(value) > _SHOWN:
        value = type(value)(value[:_SHOWN])
    try:
        text = json.dumps(value, default=repr)
    except (ValueError, RecursionError, TypeError):
        return f"a {type(value).__name__}"
    text = text[1:-1] if isinstance(value, Words) else text
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
