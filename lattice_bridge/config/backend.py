"""Which backend serves a path.

Rule: whole segments of the path as sent. `/a` serves `/a` and `/a/b`, not `/ab`; `%2F` is not a slash.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, Literal

from lattice_bridge.errors import NotFound
from lattice_bridge.formats.event import Payload

Invocation = Literal["sync", "async"]

DEFAULT_TIMEOUT: Final = 28.0


# Lambda's NamespacedFunctionName (botocore's service model): a name, a partial ARN or an ARN, each with a qualifier.
_FUNCTION: Final = re.compile(
    r"(arn:(aws[a-zA-Z-]*):lambda:)?([a-z]{2,4}(-[a-z]+)+-[0-9]:)?([0-9]{12}:)?(function:)?[a-zA-Z0-9_-]{1,64}"
    r"(:(\$LATEST|[a-zA-Z0-9_-]{1,128}))?"
)


def function_fault(function: str) -> str | None:
    """What is wrong with a function's name, if anything."""
    return None if _FUNCTION.fullmatch(function) else f'function "{function}" is not a Lambda function name or ARN'


@dataclass(frozen=True, slots=True)
class Backend:
    """One `[[backend]]`.

    Attributes:
        path: the prefix it serves; `/` serves what no longer prefix does.
        function: name or ARN, with an optional `:qualifier`.
        isolated: the function has tenant isolation on. If not, it is invoked without a tenant id, and learns the
            tenant from the tenant header like any other function.
        payload: the format of what it receives, see docs/backends.md.
        invocation: wait for the answer, or say 202 at once.
        timeout: seconds to wait for the answer.
        keep_headers: credentials that are passed on instead of dropped.
    """

    path: str
    function: str
    isolated: bool = True
    payload: Payload = "lattice"
    invocation: Invocation = "sync"
    timeout: float = DEFAULT_TIMEOUT
    keep_headers: frozenset[str] = frozenset()

    def serves(self, path: str) -> bool:
        return path == self.path or path.startswith(self.path if self.path.endswith("/") else self.path + "/")


class Backends:
    """All backends, asked from the longest prefix to the shortest."""

    def __init__(self, backends: Iterable[Backend]) -> None:
        self._by_length = sorted(backends, key=lambda backend: len(backend.path), reverse=True)

    def __iter__(self) -> Iterator[Backend]:
        return iter(self._by_length)

    def serving(self, path: str) -> Backend:
        """The backend with the longest prefix of `path`.

        Raises:
            NotFound: there is none.
        """
        for backend in self._by_length:
            if backend.serves(path):
                return backend
        raise NotFound("no_backend", 'no [[backend]] serves the path; one with path = "/" would')
