"""Words in messages: values as TOML writes them, and the nearest known name for a wrong one.

Rule: a value of a file is untrusted. It is shortened, and none of its characters acts on a terminal.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from typing import Final

MOST: Final = 80
"""Characters of a value that a message quotes."""

_MOST_LISTED: Final = 40

_MOST_COMPARED: Final = 1000
"""Names that a wrong one is compared with: ten thousand take a hundred milliseconds."""


def quoted(value: object) -> str:
    r"""A value as TOML writes it, shortened.

    >>> quoted("a\x1bb"), quoted(True), quoted(["x", 1])
    ('"a\\u001bb"', 'true', '["x", 1]')
    """
    return visible(_written(value, 3), MOST)


def visible(text: str, most: int) -> str:
    r"""A text that quotes a file, shortened, and with escapes for all characters that are not printable.

    >>> visible("a\x1bb", 80), visible("abcdef", 4)
    ('a\\u001bb', 'abc…')
    """
    text = text if len(text) <= most else f"{text[: most - 1]}…"
    return "".join(one if one.isprintable() else f"\\u{ord(one):04x}" for one in text)


def _written(value: object, levels: int) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return json.dumps(value[: MOST + 1], ensure_ascii=False)
    if isinstance(value, Mapping | list | tuple):
        if not levels:
            return "…"
        if isinstance(value, Mapping):
            pairs = (f"{shown_key(key)} = {_written(item, levels - 1)}" for key, item in list(value.items())[:MOST])
            return f"{{ {', '.join(pairs)} }}" if value else "{}"
        return f"[{', '.join(_written(item, levels - 1) for item in value[:MOST])}]"
    return str(value)[: MOST + 1]


def nearest(word: str, known: Collection[str], cutoff: float = 0.6) -> str | None:
    """The known name that was probably meant, or None.

    A name that differs only by case is nearest. Of very many names, those of a similar length with the same first or
    last letter are compared.

    Args:
        word: the wrong name.
        known: the names that exist.
        cutoff: the least similarity, from 0 to 1. The default accepts two mistakes in a word of five letters.

    >>> nearest("Blue", ["blau", "blue"]), nearest("gren", ["blue", "green"]), nearest("acme", ["blue"])
    ('blue', 'green', None)
    """
    import difflib  # here: a map without faults needs no suggestion

    lowered = word[: 2 * MOST].casefold()
    names: dict[str, str] = {}
    for name in known:
        if name != word:
            names.setdefault(name.casefold(), name)
    if lowered in names:
        return names[lowered]
    candidates: Iterable[str] = names
    if len(names) > _MOST_COMPARED and lowered:
        candidates = [name for name in names if name and _is_similar(name, lowered)][:_MOST_COMPARED]
    found = difflib.get_close_matches(lowered, candidates, 1, cutoff)
    return names[found[0]] if found else None


def _is_similar(name: str, word: str) -> bool:
    return abs(len(name) - len(word)) <= 2 and (name[0] == word[0] or name[-1] == word[-1])


def suggestion(word: str, known: Collection[str], else_fix: str | None = None) -> str:
    """The end of a message about a wrong value: `; did you mean "blue"?`, or a fix that lists what is accepted.

    Args:
        word: the wrong name.
        known: the names that would be accepted.
        else_fix: the fix if none of them is near; by default, a list of them.
    """
    near = nearest(word, known)
    if near is not None:
        return f"; did you mean {quoted(near)}?"
    return f". Fix: {else_fix or f'write one of {listed(known)}'}"


def shown(name: str) -> str:
    """A name as it is, or quoted if it is not one word."""
    return name if name and all(one.isprintable() and not one.isspace() for one in name) else quoted(name)


def shown_key(name: str) -> str:
    """A key as TOML writes it."""
    return name if name.isascii() and name.replace("-", "").replace("_", "").isalnum() else quoted(name)


def listed(names: Iterable[str]) -> str:
    """Names with commas, at most forty of them."""
    found = sorted(names)
    more = f" and {len(found) - _MOST_LISTED} more" if len(found) > _MOST_LISTED else ""
    return ", ".join(shown(name) for name in found[:_MOST_LISTED]) + more
