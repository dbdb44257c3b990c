"""The files whose change restarts environments, and the end of watching them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest
from watchfiles import Change

from lattice_bridge.local.environments.pool import restarting
from lattice_bridge.local.environments.runtimes import NODE_CLIENT
from lattice_bridge.local.plan.model import Function
from tests.support.paths import ROOT
from tests.support.stack import allowed

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
        *(("nodejs22.x/node_modules", True), ("nodejs22.x/node_modules/.package-lock.json", True)),
        *(("nodejs22.x/node_modules/a/node_modules", False), ("python3.13/node_modules", False)),
        *(("provided.al2023/bootstrap", True), ("provided.al2023/.git/index", False), ("elsewhere/app.py", False)),
        *(("provided.al2023/bootstrap~", False), (str(NODE_CLIENT), True)),
    ],
)
def test_files_of_functions_restart_them_and_recorded_requests_do_not(path: str, restarts: bool) -> None:
    """The folder of recorded requests may be inside a function's own: each request would end its environment."""
    watched = restarting(lambda: FUNCTIONS, Path("/code/python3.13/rec"))
    assert watched(Change.added, str(Path("/code", path))) is restarts


FEW_WATCHES: Final = "echo 3 > /proc/sys/user/max_inotify_watches"
WATCHES: Final = """
import asyncio, sys
from pathlib import Path
from lattice_bridge.local.environments.pool import EnvironmentPool, watch
from lattice_bridge.local.plan.model import Function
function = Function("orders", "arn", "app.handler", Path(sys.argv[1]), {}, runtime="nodejs22.x")
asyncio.run(watch(lambda: [function], EnvironmentPool(None, limit=1, idle_seconds=1), print))
"""


@pytest.mark.skipif(
    not allowed("unshare", "-U", "-r", "sh", "-c", FEW_WATCHES), reason="needs a user namespace with a limit"
)
def test_limit_of_watched_folders_is_reported(tmp_path: Path) -> None:
    for number in range(5):
        (tmp_path / "node_modules" / str(number)).mkdir(parents=True)
    command = ("unshare", "-U", "-r", "sh", "-c", f'{FEW_WATCHES} && exec "$0" "$@"', sys.executable)
    done = subprocess.run([*command, "-c", WATCHES, str(tmp_path)], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.startswith("changes of code are not followed: OS file watch limit reached"), done.stderr
    assert done.stdout.endswith(". Fix: sysctl fs.inotify.max_user_watches=1048576\n")
