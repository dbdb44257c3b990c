"""Expressions by which API Gateway reads a value of a request, as in `method.request.header.x-tenant-id`.

Rule: an expression becomes one value, whether a REST API or an HTTP API wrote it. An unknown one is refused.
Sources: "Parameter mapping source reference for REST APIs" and "Lambda authorizers for HTTP APIs" of the API Gateway
guide.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

Place = Literal["header", "querystring", "path", "context", "stageVariables", "literal"]

_NAME: Final = r"(?P<name>[A-Za-z0-9._$!#%&*+^`|~-]+)"
_REST: Final = re.compile(
    rf"method\.request\.(?P<multi>multivalue)?(?P<place>header|querystring|path)\.{_NAME}", re.ASCII
)
_HTTP: Final = re.compile(rf"\$request\.(?P<place>header|querystring|path)\.{_NAME}", re.ASCII)
_OTHER: Final = re.compile(r"\$?(?P<place>context|stageVariables)\.(?P<name>[A-Za-z0-9._$!#%&*+^`|~:-]+)", re.ASCII)
"""With a colon, which names of Cognito's claims have. Public projects deploy mappings from
`context.authorizer.claims.custom:company`."""
_BRACKETS: Final = re.compile(r"\$?(context\.[A-Za-z0-9._:-]+)\[(['\"])([A-Za-z0-9_:-]+)\2\]", re.ASCII)


class BadSource(ValueError):
    """Not an expression that is served. The message says what is accepted."""


@dataclass(frozen=True, slots=True)
class Source:
    """One place of a request.

    Attributes:
        place: the part of the request.
        name: of the header, parameter or variable, a header's in lower case; of a literal, its value.
        multi: all values of a repeated name, joined by a comma; otherwise the last one.
        written: the expression.
    """

    place: Place
    name: str
    multi: bool = False
    written: str = ""

    @property
    def described(self) -> str:
        """For people, as in `header x-tenant-id`."""
        words = {"querystring": "query parameter", "path": "path parameter", "stageVariables": "stage variable"}
        return f"{words.get(self.place, self.place)} {self.name}"


def parse_source(text: str) -> Source:
    """Parses an expression.

    >>> parse_source("method.request.header.X-Tenant-Id").described
    'header x-tenant-id'
    >>> parse_source("'blue'").described
    'literal blue'

    Raises:
        BadSource: unknown, or a part of the body, which is not served.
    """
    if len(text) > 1 and text[0] == text[-1] == "'":
        return Source("literal", text[1:-1], written=text)
    match = _REST.fullmatch(text) or _HTTP.fullmatch(text) or _OTHER.fullmatch(text)
    if match is None and (brackets := _BRACKETS.fullmatch(text)):
        fix = f"{brackets[1]}.{brackets[3]}"
        raise BadSource(f"{text!r} is not served: brackets are for code and templates of bodies. Fix: write {fix}")
    if match is None:
        known = "method.request.header.NAME, method.request.querystring.NAME, method.request.path.NAME"
        raise BadSource(f"{text!r} is not served; there are {known}, context.NAME, stageVariables.NAME and 'TEXT'")
    place, name = match["place"], match["name"]
    return Source(place, name.lower() if place == "header" else name, bool(match.groupdict().get("multi")), text)  # type: ignore[arg-type] # the expressions contain no other place


_VARIABLE: Final = re.compile(r"\$\{stageVariables\.([A-Za-z0-9_]+)\}")


def with_variables(text: str, variables: Mapping[str, str]) -> str:
    """A text with the stage variables in it. An unknown one is empty."""
    return _VARIABLE.sub(lambda match: variables.get(match[1], ""), text)
