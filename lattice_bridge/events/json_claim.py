"""The claim in a JSON text that a sender wrote: in a message's body, a record's data, an event's detail.

Rule: a text that two readers could read differently is refused: a member that occurs twice, or in two spellings.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Final

from lattice_bridge.errors import BadRequest

MOST_LEVELS: Final = 500
"""Levels of a text that is read. Python's reader takes a thousand, less those of its caller. At the end of the stack,
anything that happens to run there fails, such as a callback of the garbage collector."""

_BRACKETS: Final = re.compile(r'"(?:[^"\\]++|\\.)*+"?|([\[{])|([\]}])', re.DOTALL)
"""The strings of a JSON text, and its brackets: an opening one, or a closing one."""
_STEPS: Final = {None: 0, 1: 1, 2: -1}
"""The group of `_BRACKETS` that matched → the levels that it adds."""


def is_too_deep(text: str) -> bool:
    """Whether a JSON text has more than `MOST_LEVELS` objects and lists within one another.

    >>> is_too_deep("[" * MOST_LEVELS + "]" * MOST_LEVELS), is_too_deep("[" * MOST_LEVELS + "{}")
    (False, True)
    """
    if text.count("[") + text.count("{") <= MOST_LEVELS:  # nearly always
        return False
    levels = 0
    for found in _BRACKETS.finditer(text):
        levels += _STEPS[found.lastindex]
        if levels > MOST_LEVELS:
            return True
    return False


def value_in(text: str | bytes, path: Iterable[str]) -> object:
    """The value at a path in a JSON text, one element a level; None if it is not there.

    >>> value_in('{"meta": {"tenant": "blue"}}', ("meta", "tenant"))
    'blue'

    Args:
        text: JSON. Bytes are UTF-8.
        path: names of members.

    Raises:
        BadRequest: `claim_unreadable`: the text is not JSON in which every member has one value, it has more than
            `MOST_LEVELS` levels, or a member on the path occurs in another spelling as well.
    """
    try:
        # Decoded here: json would also guess UTF-16, which is no JSON for others.
        written = text.decode() if isinstance(text, bytes) else text
        if is_too_deep(written):
            raise BadRequest("claim_unreadable", f"the body has more than {MOST_LEVELS} levels")
        value = _DECODER.decode(written)
    except (ValueError, RecursionError) as error:
        raise BadRequest("claim_unreadable", "the body is not JSON, or a member occurs twice in it") from error
    return value_at(value, path)


def value_at(value: object, path: Iterable[str]) -> object:
    """As `value_in`, for a text that is already parsed."""
    for name in path:
        value = _member(value, name)
    return value


def _member(value: object, name: str) -> object:
    """Some readers of JSON ignore case: for them `tenant` and `Tenant` are one member that occurs twice."""
    if not isinstance(value, dict):
        return None
    folded = name.casefold()
    if any(other.casefold() == folded for other in value if other != name):
        raise BadRequest("claim_unreadable", "a member on the claim's path occurs in two spellings")
    return value.get(name)


def members(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """The members of an object. Two readers of a repeated member could take different values, and so different tenants.

    Raises:
        ValueError: a member occurs twice.
    """
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a member occurs twice")
    return found


def no_constant(name: str) -> object:
    """Refuses what Python's reader takes beside JSON.

    Raises:
        ValueError: always.
    """
    raise ValueError(f"{name} is not JSON")


# Made once: `json.loads` makes a decoder for each text. Long integers are slow to read, and floats are not; no claim is
# a number.
_DECODER: Final = json.JSONDecoder(object_pairs_hook=members, parse_constant=no_constant, parse_int=float)
