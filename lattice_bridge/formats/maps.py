"""Pairs -> the maps that formats have for headers and queries.

Rule: no name has a meaning here. What a kind of map cannot say is said at its function.
"""

from __future__ import annotations

from lattice_bridge.message import Pairs


def lists(pairs: Pairs) -> dict[str, list[str]]:
    """Every value of a name, in order. How different names interleave is lost."""
    found: dict[str, list[str]] = {}
    for name, value in pairs:
        found.setdefault(name, []).append(value)
    return found


def joined(pairs: Pairs) -> dict[str, str]:
    """A name's values joined by `,`. Two values and one with a comma are the same then."""
    return {name: ",".join(values) for name, values in lists(pairs).items()}


def first(pairs: Pairs) -> dict[str, str]:
    """A name's first value; the others are lost."""
    return {name: values[0] for name, values in lists(pairs).items()}


def last(pairs: Pairs) -> dict[str, str]:
    """A name's last value; the others are lost."""
    return dict(pairs)


def one_cookie_line(headers: Pairs) -> Pairs:
    """The headers with several `cookie` lines made one, as RFC 9113 §8.2.3 has it. A comma would end up in a cookie."""
    cookies = [value for name, value in headers if name == "cookie"]
    if len(cookies) < 2:
        return headers
    return (*(pair for pair in headers if pair[0] != "cookie"), ("cookie", "; ".join(cookies)))
