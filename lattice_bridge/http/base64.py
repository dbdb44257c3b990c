"""Bodies that arrive as base64, and usually leave as base64.

Rule: the alphabet is checked once, on arrival, and nothing is decoded before a caller asks for bytes. So a body of 6 MB
that is forwarded unchanged is neither decoded nor copied.
"""

from __future__ import annotations

import binascii
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

_ALPHABET: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_PIECE: Final = 1 << 16
"""Characters that are checked or written at a time. With all of them at once, the body would be in memory twice."""


@dataclass(frozen=True, slots=True)
class Base64:
    """A string that is base64 (RFC 4648 §4, padded). Made by `checked`."""

    text: str

    @classmethod
    def checked(cls, text: str) -> Base64 | None:
        """The string as a value; None if it is not base64. Costs half of what decoding costs.

        >>> Base64.checked("aGk=").decoded(), Base64.checked("aGk")
        (b'hi', None)
        """
        found = cls(text)
        padding = 2 if text.endswith("==") else 1 if text.endswith("=") else 0
        if len(text) % 4 or not text.isascii():
            return None
        left = len(text) - padding
        for piece in found.pieces():
            if piece[: max(left, 0)].translate(None, _ALPHABET):
                return None
            left -= len(piece)
        return found

    def decoded(self) -> bytes:
        """The bytes."""
        return binascii.a2b_base64(self.text)

    def pieces(self) -> Iterator[bytes]:
        """The string as ASCII, one piece at a time."""
        for start in range(0, len(self.text), _PIECE):
            yield self.text[start : start + _PIECE].encode("ascii")
