"""The files whose change restarts environments."""

from __future__ import annotations

from pathlib import Path

import pytest
from watchfiles import Change

from lattice_bridge.local.environments.pool import restarting


@pytest.mark.parametrize(
    ("path", "restarts"),
    [
        *(("/code/app.py", True), ("/code/bridge.toml", True), ("/code/data.json", True), ("/code/notes.txt", False)),
        *(("/code/rec/0001-get.json", False), ("/code/recorder.py", True), ("/code/rec.json", True)),
    ],
)
def test_recorded_requests_restart_nothing(path: str, restarts: bool) -> None:
    """The folder may be inside a function's own: each request would end its environment."""
    assert restarting(Path("/code/rec"))(Change.added, path) is restarts
