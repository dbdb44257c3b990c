"""The values that parameter mappings and authorizers of API Gateway read from a request.

Rule: a value is a client's only if its source is. `context` contains what API Gateway and authorizers wrote.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from lattice_bridge.formats.assumptions import FRONT_MAPPED_VALUE
from lattice_bridge.local.front.exchange.http_message import Pairs
from lattice_bridge.local.plan.parameters import Source


@dataclass(frozen=True, slots=True)
class Parameters:
    """The places of one request.

    Attributes:
        headers: names in lower case.
        query: decoded.
        path: path parameters, as sent.
        stage_variables: of the stage.
        context: gives the request context of the event.
    """

    headers: Pairs
    query: Pairs
    path: Mapping[str, str]
    stage_variables: Mapping[str, str]
    context: Callable[[], Mapping[str, Any]]

    def value(self, source: Source) -> str | None:
        """The value at a source; None if the request has none there."""
        if source.place == "literal":
            return source.name
        if source.place == "path":
            return self.path.get(source.name)
        if source.place == "stageVariables":
            return self.stage_variables.get(source.name)
        if source.place == "context":
            return self._context_value(source.name)
        pairs = self.headers if source.place == "header" else self.query
        values = [value for name, value in pairs if name == source.name]
        if not values:
            return None
        return ",".join(values) if source.multi else values[FRONT_MAPPED_VALUE]

    def _context_value(self, name: str) -> str | None:
        found: Any = self.context()
        for part in name.split("."):
            found = found.get(part) if isinstance(found, Mapping) else None
        return as_string(found) if isinstance(found, str | int | float) else None


def as_string(value: str | float) -> str:
    """A value of an authorizer's context as API Gateway passes it on: as a string.

    >>> as_string(True), as_string(7), as_string("blue")
    ('true', '7', 'blue')
    """
    if isinstance(value, bool):
        return str(value).lower()
    return str(value)
