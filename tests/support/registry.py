"""Items, a clock and refusals, for the tests of the registry and of its table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import pytest

from lattice_bridge.errors import Unavailable
from lattice_bridge.tenancy.registry import Registry

ACTIVE: Final[Mapping[str, Any]] = {"S": "active"}
SUSPENDED: Final[Mapping[str, Any]] = {"S": "suspended"}


class Clock:
    """Seconds that a test sets."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def item(name: str, status: Any = ACTIVE) -> dict[str, Any]:
    """An item as DynamoDB returns it."""
    return {"tenant": {"S": name}, "status": status}


def unavailable(registry: Registry, name: str) -> Unavailable:
    """The refusal that `find` raises."""
    with pytest.raises(Unavailable) as caught:
        registry.find(name)
    assert (caught.value.reason, caught.value.status) == ("registry_unavailable", 503)
    return caught.value
