"""Results of the Lambda authorizers of API Gateway, and their cache."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from lattice_bridge.deployment.iam.policy import Statement

MAX_CACHED: Final = 1000
"""Results of all authorizers (trap D9)."""


@dataclass(frozen=True, slots=True)
class Result:
    """What an authorizer returned.

    Attributes:
        principal: of a policy; empty in a simple response.
        context: for the function behind it.
        statements: of a policy; None in a simple response.
        authorized: of a simple response.
    """

    principal: str
    context: Mapping[str, Any]
    statements: tuple[Statement, ...] | None = None
    authorized: bool = False


class AuthorizerCache:
    """Results of authorizers, each until it expires. The oldest one is dropped for a new one."""

    def __init__(self) -> None:
        self._results: OrderedDict[str, tuple[datetime, Result]] = OrderedDict()

    def get(self, key: str, now: datetime) -> Result | None:
        """Returns a result that has not expired."""
        expires, result = self._results.get(key, (now, None))
        return result if expires > now else None

    def put(self, key: str, result: Result, expires: datetime) -> None:
        """Keeps a result."""
        self._results.pop(key, None)
        while len(self._results) >= MAX_CACHED:
            self._results.popitem(last=False)
        self._results[key] = expires, result
