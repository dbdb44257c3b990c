"""Untrusted strings made safe for a terminal.

Rule: names and messages may quote a caller, a template or a file name. No character of them moves the cursor, changes
the window's title, or reverses the direction of writing. The commands and the local stack print through this module.
"""

from __future__ import annotations


def printable(text: str, *, keep: str = "") -> str:
    r"""The text, with each character that is not printable written as Python writes it, such as `\x1b` or `\u202e`.

    Not printable are C0 and C1 controls, DEL, line separators, lone surrogates, spaces other than U+0020, and all
    format characters (Unicode category Cf): a right-to-left override shows one tenant's name as another's.

    Args:
        text: a string from any source.
        keep: characters that stay as they are, such as a tab.
    """
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() or one in keep else _escaped(one) for one in text)


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
