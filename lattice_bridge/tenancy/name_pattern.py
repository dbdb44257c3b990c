"""Where a tenant's name stands in a session's name or a SPIFFE id.

Rule: text is compared, never searched. One place for the name, read once; what is around it has to be there exactly.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

PLACE: Final = "{tenant}"

# The SPIFFE standard: a lower-case trust domain, then segments that are not empty, `.` or `..`; no escapes, no query.
_TRUST_DOMAIN: Final = r"[a-z0-9._-]{1,255}"
_SEGMENT: Final = r"(?!\.{1,2}(?:/|\Z))[A-Za-z0-9._-]+"
_SPIFFE: Final = re.compile(rf"spiffe://{_TRUST_DOMAIN}(?:/{_SEGMENT})+")
_MAX_SPIFFE: Final = 2048


def is_spiffe_id(text: str) -> bool:
    """Whether the whole text is a SPIFFE id with a path. Checked before anything is read out of it."""
    return len(text) <= _MAX_SPIFFE and _SPIFFE.fullmatch(text) is not None


@dataclass(frozen=True, slots=True)
class Template:
    """A text with one place for a tenant's name.

    Attributes:
        before, after: the text around the place.
        spiffe: the whole text is a SPIFFE id, and the name one whole segment of its path.
    """

    before: str
    after: str
    spiffe: bool = False

    @classmethod
    def parse(cls, text: str, *, spiffe: bool = False) -> Template:
        """A template as it is written in a map, as in `t-{tenant}`.

        Raises:
            ValueError: not exactly one `{tenant}`, another brace, or for SPIFFE not an id with a whole segment for it.
        """
        before, place, after = text.partition(PLACE)
        if not place or set("{}") & set(before + after):
            raise ValueError("has to hold {tenant} once, and no other brace")
        if spiffe and (
            not is_spiffe_id(f"{before}x{after}")
            or before.count("/") < 3
            or before[-1:] != "/"
            or after[:1] not in ("", "/")
        ):
            raise ValueError(
                "has to be a SPIFFE id with {tenant} as a whole segment, as in spiffe://example.org/t/{tenant}"
            )
        return cls(before, after, spiffe)

    def __str__(self) -> str:
        return f"{self.before}{PLACE}{self.after}"

    def tenant_in(self, text: str) -> str | None:
        """What stands in the place; None if the text around it differs, or nothing stands there."""
        if self.spiffe and not is_spiffe_id(text):
            return None
        end = len(text) - len(self.after)
        if not text.startswith(self.before) or not text.endswith(self.after) or end <= len(self.before):
            return None
        name = text[len(self.before) : end]
        return None if self.spiffe and "/" in name else name
