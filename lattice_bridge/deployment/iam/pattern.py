"""Patterns in policies: `*`, `?` and variables.

Rule: in time that grows with their length alone, whoever wrote them.
"""

from __future__ import annotations

import re
from typing import Final

_VARIABLE: Final = re.compile(r"\$\{[^}]*\}")


def is_pattern(text: str) -> bool:
    """It may be for more than itself."""
    return "*" in text or "?" in text or "${" in text


def matches(pattern: str, text: str) -> bool:
    """Whether a policy's pattern is for the text: `*` is any characters, `?` is one.

    The last star alone is tried again with more: what an earlier one takes is never of use to a later one. So a pattern
    full of stars takes no more than length times length, where a regular expression takes years.
    """
    at = place = 0
    star, taken = -1, 0
    while place < len(text):
        if at < len(pattern) and pattern[at] == "*":
            star, taken = at, place
            at += 1
        elif at < len(pattern) and pattern[at] in ("?", text[place]):
            at, place = at + 1, place + 1
        elif star >= 0:
            taken += 1
            at, place = star + 1, taken
        else:
            return False
    return not pattern[at:].strip("*")


def matches_arn(pattern: str, text: str) -> bool:
    """Whether an ARN is like a pattern: the six parts are compared one by one. Anything else is like none."""
    parts, others = pattern.split(":", 5), text.split(":", 5)
    return len(parts) == len(others) == 6 and all(map(matches, parts, others))


def may_match(pattern: str, text: str) -> bool:
    """What a policy variable comes to may be anything."""
    return matches(_VARIABLE.sub("*", pattern), text)


def covers(pattern: str, beginning: str) -> bool:
    """It is for whatever begins like this: a star at its end takes all that follows."""
    return pattern.endswith("*") and matches(pattern, beginning)
