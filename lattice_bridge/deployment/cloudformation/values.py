"""A template's values: scalars as CloudFormation writes them, and what only a deployed stack knows.

Rule: what is unresolved stays visible inside every text that is made of it. It has neither `:` nor `/`, so a name that
is partly known can still be taken out of an ARN.
"""

from __future__ import annotations

import re
from typing import Final

_TAIL: Final = " is not resolved locally}"
MARKER: Final = re.compile(r"\{[^{}]*" + re.escape(_TAIL))
_DYNAMIC: Final = re.compile(rf"\{{\{{(resolve:(?:[^{{}}]|{MARKER.pattern})*)\}}\}}")


def as_text(value: object) -> str:
    """A scalar as CloudFormation has it in a text: YAML's `yes` is `true`."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def marker(what: str) -> str:
    """The text that stands for a value of a deployed stack.

    Args:
        what: where it would come from, as in `Fn::ImportValue name`.
    """
    plain = re.sub(r"\W+", _blank, what.removeprefix("Fn::").removeprefix("AWS::")).strip()
    return f"{{{plain}{_TAIL}"


def _blank(separator: re.Match[str]) -> str:
    return " " if any(mark in separator[0] for mark in ":/{}") else separator[0]


def unresolved(value: object) -> bool:
    """Whether a value is, or is partly, what only a deployed stack knows."""
    return MARKER.search(str(value)) is not None


def split(text: str, separator: str) -> list[str]:
    """The parts of a text; what is unresolved in it is not taken apart."""
    markers = iter(MARKER.findall(text))
    return [re.sub("\0", lambda _: next(markers), part) for part in MARKER.sub("\0", text).split(separator)]


def without_dynamic(text: str) -> str:
    """A text whose `{{resolve:…}}` are unresolved, as CloudFormation fills them in when it deploys."""
    return _DYNAMIC.sub(lambda match: marker(match[1]), text)
