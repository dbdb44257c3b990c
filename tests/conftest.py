"""The order of the tests, and the settings of all properties.

Rules: files that start processes run first, so that no processor waits for a long file at the end.

A failed property is reported with the example that failed first. Shrinking takes up to five minutes, and a test
that takes two is ended without its example. To shrink: `pytest TEST --hypothesis-profile shrink --timeout 0`, which
begins with the example that failed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hypothesis import Phase, settings

from tests.support.paths import ROOT

if TYPE_CHECKING:
    import pytest

STARTS_PROCESSES: Final = ("local", "packaging", "testing", "cli")

settings.register_profile("shrink", report_multiple_bugs=False, deadline=None)  # no property measures time
settings.register_profile("tests", settings.get_profile("shrink"), phases=(Phase.explicit, Phase.reuse, Phase.generate))
settings.load_profile("tests")  # pytest loads the profile of its option later


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Moves the folders in STARTS_PROCESSES to the front; otherwise keeps the order."""
    items.sort(key=lambda item: item.path.relative_to(ROOT / "tests").parts[0] not in STARTS_PROCESSES)
