"""What a template has and the stack does not do.

Rule: one line a subject, however many resources it concerns; a list that nobody reads to its end names nothing.
"""

from __future__ import annotations

from collections.abc import Iterator


class LeftOut:
    """Collects sentences, each with the resources it is about."""

    def __init__(self) -> None:
        self._found: dict[str, list[str]] = {}

    def add(self, what: str, resource: str) -> None:
        self._found.setdefault(what, []).append(resource)

    def __iter__(self) -> Iterator[str]:
        for what, resources in self._found.items():
            yield f"{what} ({', '.join(resources)})"
