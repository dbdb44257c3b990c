"""The process of a local stack: how long its start may take."""

from __future__ import annotations

from typing import Any

import pytest

from lattice_bridge.testing.stack_process import INSTALL_SECONDS, more_seconds


@pytest.mark.parametrize(
    ("line", "seconds"),
    [
        ({"message": "orders: installing …", "installing": True}, INSTALL_SECONDS),  # as tests/cli/test_local.py has it
        ({"message": "stopping"}, 0),
        ({"environment": "orders#1", "line": "installing"}, 0),
    ],
)
def test_start_that_installs_packages_gets_more_time(line: dict[str, Any], seconds: float) -> None:
    assert more_seconds([]) == 0
    assert more_seconds([line]) == seconds
