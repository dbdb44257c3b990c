"""The files whose change restarts environments."""

from __future__ import annotations

from pathlib import Path

import pytest
from watchfiles import Change

from lattice_bridge.local.environments.pool import restarting
from lattice_bridge.local.environments.runtimes import NODE_CLIENT
from lattice_bridge.local.plan.model import Function

FUNCTIONS = [
    Function(runtime, "arn", "app.handler", Path("/code", runtime), {}, runtime=runtime)
    for runtime in ("python3.13", "nodejs22.x", "provided.al2023")
]


@pytest.mark.parametrize(
    ("path", "restarts"),
    [
        *(("python3.13/app.py", True), ("python3.13/bridge.toml", True), ("python3.13/notes.txt", False)),
        *(("python3.13/rec/0001-get.json", False), ("python3.13/recorder.py", True), ("python3.13/rec.json", True)),
        *(("nodejs22.x/app.mjs", True), ("nodejs22.x/package.json", True), ("nodejs22.x/app.py", False)),
        *(("nodejs22.x/node_modules/express/index.js", False), ("nodejs22.x/.git/index.json", False)),
        *(("provided.al2023/bootstrap", True), ("provided.al2023/.git/index", False), ("elsewhere/app.py", False)),
        *(("provided.al2023/bootstrap~", False), (str(NODE_CLIENT), True)),
    ],
)
def test_files_of_functions_restart_them_and_recorded_requests_do_not(path: str, restarts: bool) -> None:
    """The folder of recorded requests may be inside a function's own: each request would end its environment."""
    watched = restarting(lambda: FUNCTIONS, Path("/code/python3.13/rec"))
    assert watched(Change.added, str(Path("/code", path))) is restarts
