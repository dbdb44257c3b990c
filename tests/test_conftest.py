"""The settings of all properties."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st


def test_failed_property_is_reported_without_shrinking(pytestconfig: pytest.Config) -> None:
    """Shrinking a slow property takes longer than a test may take, and then its example is lost."""
    tried: list[list[int]] = []

    @settings(settings.get_profile("tests"), database=None)
    @given(numbers=st.lists(st.integers(), min_size=50))
    def fails(numbers: list[int]) -> None:
        tried.append(numbers)
        assert sum(numbers) == 0.5

    with pytest.raises(AssertionError, match="assert"):
        fails()
    assert len(tried) <= 3
    if pytestconfig.getoption("--hypothesis-profile") is None:
        assert settings.default is not None
        assert settings.default.phases == settings.get_profile("tests").phases
