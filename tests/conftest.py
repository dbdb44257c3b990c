"""The order of the tests: files that start processes first, so that no processor waits for a long file at the end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tests.support.paths import ROOT

if TYPE_CHECKING:
    import pytest

STARTS_PROCESSES: Final = ("local", "packaging", "testing", "cli")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Moves the folders in STARTS_PROCESSES to the front; otherwise keeps the order."""
    items.sort(key=lambda item: item.path.relative_to(ROOT / "tests").parts[0] not in STARTS_PROCESSES)
