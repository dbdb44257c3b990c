"""Query strings and percent-encoding.

Rule: a query is split before it is decoded, and decoded once. An escape that cannot be decoded stays as sent.
"""

from __future__ import annotations

from urllib.parse import quote, unquote_to_bytes

Pairs = tuple[tuple[str, str], ...]


def parse_query(raw: str) -> Pairs:
    """Decoded `(name, value)` pairs of a raw query string, in order.

    A `+` stays a `+`: only HTML forms use it for a space, see `parse_form_query`. An escape that is not two hex digits,
    and a name or value whose bytes are not UTF-8, stay as sent. Empty parts (`a=1&&b=2`) are skipped.

    >>> parse_query("id=7&id=8&name=J%C3%BCrgen+K&flag&bad=%zz")
    (('id', '7'), ('id', '8'), ('name', 'Jürgen+K'), ('flag', ''), ('bad', '%zz'))
    """
    return tuple((_decode(name, "+"), _decode(value, "+")) for name, value in split_query(raw))


def parse_form_query(raw: str) -> Pairs:
    """Decoded pairs as of an HTML form: a `+` is a space. API Gateway decodes queries so (captured in aws-cdk #19827).

    >>> parse_form_query("name=J%C3%BCrgen+K")
    (('name', 'Jürgen K'),)
    """
    return tuple((_decode(name, " "), _decode(value, " ")) for name, value in split_query(raw))


def split_query(raw: str) -> Pairs:
    """`(name, value)` pairs of a raw query string, in order, still encoded.

    >>> split_query("a=%20&a=b=c")
    (('a', '%20'), ('a', 'b=c'))
    """
    parts = (part.partition("=") for part in raw.split("&") if part)
    return tuple((name, value) for name, _, value in parts)


def escape(text: str, *, form: bool = False) -> str:
    """A name or value of a query, percent-encoded.

    Args:
        text: decoded. `parse_query` reads it back, and with `form` also `parse_form_query`.
        form: also encodes `+`, which a form's reader takes for a space.
    """
    return quote(text, safe="-._~!$'()*,;:@/?" if form else "-._~!$'()*,;:@/?+", errors="surrogatepass")


def _decode(text: str, plus: str) -> str:
    if "%" not in text:
        return text.replace("+", plus)
    try:
        return unquote_to_bytes(text.replace("+", plus)).decode("utf-8")
    except UnicodeError:  # bytes that are not UTF-8, or a lone surrogate in a hand-made event
        return text
