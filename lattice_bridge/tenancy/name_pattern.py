"""Pattern for a tenant's name inside a session name, a SPIFFE id or a claim.

Rule: a pattern contains `{tenant}` once. The characters around the name are compared exactly, and never searched for.
The name is read once: it is not expanded or decoded.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

PLACEHOLDER: Final = "{tenant}"

# The SPIFFE standard: a lower-case trust domain, then segments that are not empty, `.` or `..`; no escapes, no query.
_TRUST_DOMAIN: Final = r"[a-z0-9._-]{1,255}"
_SEGMENT: Final = r"(?!\.{1,2}(?:/|\Z))[A-Za-z0-9._-]+"
_SPIFFE: Final = rf"spiffe://{_TRUST_DOMAIN}(?:/{_SEGMENT})+"
_MAX_SPIFFE: Final = 2048


def is_spiffe_id(text: str) -> bool:
    """Whether the whole string is a SPIFFE id with a path. It is checked before a part of it is read."""
    return len(text) <= _MAX_SPIFFE and re.fullmatch(_SPIFFE, text) is not None


class NamePattern(NamedTuple):
    """A string with one position for a tenant's name.

    Attributes:
        before, after: the characters around the name.
        spiffe: the whole string is a SPIFFE id, and the name is one whole segment of its path.
    """

    before: str
    after: str
    spiffe: bool = False

    @classmethod
    def parse(cls, text: str, *, spiffe: bool = False) -> NamePattern:
        """Parses the value of `template` in a map.

        >>> NamePattern.parse("t-{tenant}").tenant_in("t-blue")
        'blue'

        Raises:
            ValueError: not exactly one `{tenant}`, or another brace; for SPIFFE also if the string is not a SPIFFE id
                with `{tenant}` as a whole segment.
        """
        before, placeholder, after = text.partition(PLACEHOLDER)
        if not placeholder or set("{}") & set(before + after):
            raise ValueError("needs {tenant} once, and no other brace. Fix: write it as in t-{tenant}")
        if spiffe and (
            not is_spiffe_id(f"{before}x{after}")
            or before.count("/") < 3
            or before[-1:] != "/"
            or after[:1] not in ("", "/")
        ):
            raise ValueError(
                "is not a SPIFFE id with {tenant} as a whole segment. Fix: write it as in spiffe://example.org/t/{tenant}"
            )
        return cls(before, after, spiffe)

    def __str__(self) -> str:
        return f"{self.before}{PLACEHOLDER}{self.after}"

    def tenant_in(self, text: str) -> str | None:
        """The name in a string; None if the characters around it differ, or the name is empty."""
        if self.spiffe and not is_spiffe_id(text):
            return None
        end = len(text) - len(self.after)
        if not text.startswith(self.before) or not text.endswith(self.after) or end <= len(self.before):
            return None
        name = text[len(self.before) : end]
        return None if self.spiffe and "/" in name else name
