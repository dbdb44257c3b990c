"""One departure, how well what it stands on is known, and the list that they are put on.

Rule: each piece of evidence names its row or heading of docs/wire.md §1, and a test looks there for it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, NamedTuple

Evidence = Literal["documented", "observed", "assumed"]
Fields = Mapping[str, Any]


class Known(NamedTuple):
    """How well something is known, and the row or heading of docs/wire.md §1 that says so."""

    evidence: Evidence
    row: str


VERSIONS: Final = Known("documented", "Which version")
NAMES: Final = Known("observed", "Which version")
PATH: Final = Known("observed", "path")
QUERY_MAP: Final = Known("observed", "query map")
HEADER_NAMES: Final = Known("observed", "header names")
HEADER_VALUES: Final = Known("observed", "header values")
HTTP_NAMES: Final = Known("documented", "header names")
HTTP_VALUES: Final = Known("documented", "header values")
COOKIES: Final = Known("observed", "cookies")
EMPTY_BODY: Final = Known("observed", "empty body")
FLAG: Final = Known("observed", "base64 flag")
WHICH_BODIES: Final = Known("documented", "When the local front makes an event")
CONNECTION: Final = Known("assumed", "When the local front makes an event")
REQUEST_ID: Final = Known("observed", "request id")
TIME: Final = Known("observed", "time")
FORWARDED_FOR: Final = Known("observed", "x-forwarded-for")
LIMITS: Final = Known("assumed", "upper limits")
CALLER: Final = Known("observed", "Who is calling")
CALLER_KEYS: Final = Known("documented", "Who is calling")


@dataclass(frozen=True, slots=True)
class Departure:
    """One difference between an event and what Lattice sends.

    Attributes:
        where: a JSON pointer (RFC 6901) into the event; of what is absent, where it would be. Empty: the whole event.
        found: what stands there, as JSON in ASCII, shortened; or `absent`.
        sends: what Lattice sends.
        evidence: how well that is known.
        row: the row or heading of docs/wire.md §1 with the evidence.
        refused: whether the bridge refuses the event for it.
    """

    where: str
    found: str
    sends: str
    evidence: Evidence
    row: str
    refused: bool = False


class Said(str):
    """What is found, in words or as a name, rather than as a value."""

    __slots__ = ()


ABSENT: Final = Said("absent")


@dataclass(slots=True)
class Found:
    """Departures, under a place of the event."""

    all: list[Departure] = field(default_factory=list)
    under: str = ""

    def inside(self, *keys: str) -> Found:
        """The same list, for what is at a place under this one."""
        return Found(self.all, self.under + "".join(map(_step, keys)))

    def add(self, value: object, sends: str, known: Known, *, refused: bool = False) -> None:
        """Something at this place."""
        self.all.append(Departure(self.under, _shown(value), sends, known.evidence, known.row, refused))

    def key(self, of: Fields, key: str, sends: str, known: Known, *, refused: bool = False) -> None:
        """A key of an object, which may be absent."""
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
    text = text[1:-1] if isinstance(value, Said) else text
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
