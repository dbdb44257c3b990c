"""The process of a local stack: how long its start may take."""

from __future__ import annotations

from pathlib import Path

import pytest

from lattice_bridge.local.environments.manifest import Manifest
from lattice_bridge.local.environments.package_cache import PackageCache
from lattice_bridge.testing.stack_process import INSTALL_SECONDS, more_seconds


def installs(requirements: Path, target: Path, folder: Path) -> None:
    (target / "listed.py").touch()


def test_start_that_installs_packages_gets_more_time(tmp_path: Path) -> None:
    """The lines are those that the cache prints."""
    said: list[str] = []
    manifest = Manifest(tmp_path / "requirements.txt", ("flask",), bridge=False)
    PackageCache(tmp_path / "cache", installs, said.append).make(manifest, "orders")
    assert more_seconds([{"message": said[0]}]) == INSTALL_SECONDS


@pytest.mark.parametrize("lines", [[], [{"message": "stopping"}], [{"environment": "orders#1", "line": "hello"}]])
def test_other_start_gets_no_more_time(lines: list[dict[str, str]]) -> None:
    assert more_seconds(lines) == 0
