"""`lattice-bridge local`, up to the point where it would serve: packages that cannot be provided."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import pytest

from lattice_bridge.cli.local import with_packages
from lattice_bridge.deployment.cloudformation.template import read_template
from lattice_bridge.local.environments.dependencies import BadDependencies, choose
from lattice_bridge.local.log_writer import LogWriter
from lattice_bridge.local.plan.reader import read_plan
from tests.support.commands import read
from tests.support.stack import ONE_FUNCTION


@pytest.fixture
def template(tmp_path: Path) -> Path:
    (tmp_path / "template.yaml").write_text(ONE_FUNCTION)
    (tmp_path / "app.py").touch()
    return tmp_path / "template.yaml"


def test_list_of_packages_that_cannot_be_read_ends_the_start(template: Path, tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("-r gone\x1b[2J.txt\n")
    done = read("local", "-t", str(template))
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.startswith(f"Error: Function: {tmp_path}/gone\\x1b[2J.txt: No such file or directory. Fix: ")


def test_failed_installation_shows_the_lines_of_pip(
    template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """pip itself, which refuses a folder that does not exist without asking an index."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "requirements.txt").write_text("./gone\n")
    plan = read_plan(read_template(template, {}, "us-east-1"))
    with (
        (tmp_path / "log").open("w") as stream,
        closing(LogWriter(stream, as_json=True)) as log,
        pytest.raises(BadDependencies) as caught,
    ):
        with_packages(choose(plan, print, reload=False), log, install=True)
    first, *middle, last = str(caught.value).splitlines()
    assert first == f"Function: the packages of {tmp_path}/requirements.txt cannot be installed:"
    assert all(line.startswith("ERROR: ") for line in middle)
    assert "./gone" in middle[0]
    assert last == "Fix: correct the file, or start with --no-install"
    assert list((tmp_path / "cache" / "lattice-bridge" / "packages").iterdir()) == []
    (line,) = map(json.loads, (tmp_path / "log").read_text().splitlines())
    assert (line["installing"], line["message"].partition(":")[0]) == (True, "Function")
