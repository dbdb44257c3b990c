"""Bytes that came as base64, and mostly go on as base64.

Rule: checked at the door, decoded for whoever asks. A body of 6 MB that a backend is to get as it came costs neither
the decoding nor another copy.
"""

from __future__ import annotations

import binascii
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

_ALPHABET: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_PIECE: Final = 1 << 16
"""Characters that are looked at or written at once: the whole would be held twice."""


@dataclass(frozen=True, slots=True)
class Base64:
    """A text that is base64 (RFC 4648 §4, padded). Made by `checked`."""

    text: str

    @classmethod
    def checked(cls, text: str) -> Base64 | None:
        """The text as a value; None if it is not base64. Half as dear as decoding."""
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
        """The text in ASCII, a piece at a time."""
        for start in range(0, len(self.text), _PIECE):
            yield self.text[start : start + _PIECE].encode("ascii")
