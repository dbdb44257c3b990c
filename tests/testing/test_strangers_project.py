"""Other people's projects: each has a virtual environment with the wheel and its extras, and its own tests.

Rule: of this repository, an environment contains only the wheel, and otherwise only the requirements of its extras.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import venv
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from importlib.metadata import Distribution, PathDistribution, distribution
from pathlib import Path
from typing import Final

import pytest
from packaging.requirements import Requirement

from lattice_bridge.testing.corpus import all_events, all_replies, load_event
from tests.support.paths import ROOT

STRANGER: Final = ROOT / "tests" / "stranger"
PLUGIN: Final = ROOT / "_lattice_bridge_pytestplugin.py"
POWERTOOLS: Final = "aws-lambda-powertools"
README: Final = (ROOT / "README.md").read_text(encoding="utf-8")
SHOWN: Final = [
    step
    for block in re.findall(r"^```console\n(.*?)^```", README, re.DOTALL | re.MULTILINE)
    for step in re.findall(r"^\$ ((?:.*\\\n)*.*)\n((?:(?!\$ ).*\n)*)", block, re.MULTILINE)
]
"""The README's commands, in order, each with the output that it shows."""
COMMANDS: Final = [command for command, _ in SHOWN]
FIXTURES: Final = re.findall(r"^@pytest\.fixture.*\ndef (\w+)", PLUGIN.read_text(encoding="utf-8"), re.MULTILINE)


class Installed:
    """A virtual environment with the wheel.

    If it extends another one, it is a copy with the packages of more extras: pip would find the wheel installed.
    """

    def __init__(self, folder: Path, wheel: Path, extras: str, extended: Installed | None = None) -> None:
        self.folder = folder
        self.python = folder / "bin" / "python"
        if extended is None:
            venv.create(folder, symlinks=True)
        else:
            shutil.copytree(extended.folder, folder, symlinks=True, dirs_exist_ok=True)
            for script in (folder / "bin").glob("lattice-*"):
                script.write_text(script.read_text("utf-8").replace(str(extended.folder), str(folder)), "utf-8")
        (self.site,) = folder.glob("lib/python3*/site-packages")
        link(needed(metadata_of(wheel), extras.split(",")), self.site)
        link({POWERTOOLS, *needed(distribution(POWERTOOLS), ())}, self.site)
        if extended is None:
            # `pip --python` is this program too, after half a second.
            pip = [str(self.python), str(distribution("pip").locate_file("pip/__pip-runner__.py")), "--isolated"]
            options = ["install", "--no-index", "--quiet", "--disable-pip-version-check"]
            run([*pip, *options, f"{wheel}[{extras}]"], folder)

    def pytest(self, project: str, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
        """A run of the project's tests, of a copy of it. A warning is an error, as in many a stranger's project."""
        copy = folder / project
        if not copy.exists():
            shutil.copytree(STRANGER / project, copy, ignore=shutil.ignore_patterns("__pycache__"))
        command = [str(self.python), "-m", "pytest", "-W", "error", "-p", "no:cacheprovider", "-ra", *arguments]
        return subprocess.run(command, cwd=copy, env=environment(), capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    run([sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)], ROOT)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def plain(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    return Installed(tmp_path_factory.mktemp("plain"), wheel, "testing")


@pytest.fixture(scope="module")
def full(wheel: Path, plain: Installed, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """What the second command of the README installs."""
    (extras,) = re.findall(r"^pip install '\.\./lattice-bridge\[([a-z,]+)\]'$", "\n".join(COMMANDS), re.MULTILINE)
    return Installed(tmp_path_factory.mktemp("full"), wheel, extras, plain)


# ---- the wheel ------------------------------------------------------------------------------------------------------


def test_project_imports_the_wheel(plain: Installed, tmp_path: Path) -> None:
    program = (
        "import lattice_bridge.testing, _lattice_bridge_pytestplugin as p; print(lattice_bridge.__file__, p.__file__)"
    )
    found = run([str(plain.python), "-c", program], tmp_path).split()
    assert [Path(path).is_relative_to(plain.site) and not Path(path).is_symlink() for path in found] == [True, True]


def test_wheel_has_two_top_level_modules_and_no_tests(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as file:
        tops = {name.partition("/")[0] for name in file.namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == {
        "_lattice_bridge_pytestplugin.py",
        "lattice_bridge",
    }


def test_corpus_in_the_wheel_has_the_same_events(plain: Installed, wheel: Path, tmp_path: Path) -> None:
    """At each start, pytest reads the list of files of every package with a plugin."""
    with zipfile.ZipFile(wheel) as file:
        assert "lattice_bridge/testing/events.zip" in file.namelist()
        assert not [name for name in file.namelist() if name.endswith(".json")]
    program = (
        "from lattice_bridge.testing.corpus import *; import sys;"
        "sys.stdout.write(repr([all_events(), all_replies(), load_event('v2/query-repeated')]))"
    )
    ours = repr([all_events(), all_replies(), load_event("v2/query-repeated")])
    assert run([str(plain.python), "-c", program], tmp_path) == ours


def test_two_builds_are_identical(wheel: Path, tmp_path: Path) -> None:
    run([sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(tmp_path)], ROOT)
    assert (tmp_path / wheel.name).read_bytes() == wheel.read_bytes()


# ---- tests of the projects ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("project", "tests"), [("handler", 50), ("powertools", 10), ("tenants", 100)], ids=lambda value: str(value)
)
def test_extra_testing_is_sufficient(plain: Installed, tmp_path: Path, project: str, tests: int) -> None:
    done = plain.pytest(project, tmp_path)
    assert passed(done) >= tests


def test_stack_needs_the_extra_local(full: Installed, tmp_path: Path) -> None:
    done = full.pytest("bridge", tmp_path)
    assert passed(done) >= 9


def test_stack_does_not_need_the_extra_template(full: Installed) -> None:
    program = (
        "import sys; sys.modules['samtranslator'] = None; from lattice_bridge.cli import main;"
        "sys.argv = ['lattice-bridge', 'local', '--plan']; main()"
    )
    assert "app.handler" in run([str(full.python), "-c", program], STRANGER / "bridge")


def test_missing_extra_local_is_an_error_with_a_fix(plain: Installed, tmp_path: Path) -> None:
    done = plain.pytest("bridge", tmp_path)
    assert done.returncode == 1
    assert re.search(r"needs packages that are not installed: [a-z, ]*uvicorn", done.stdout)
    assert "pip install 'lattice-bridge[local,testing]'" in done.stdout
    assert re.search(r"local_queue: the local stack needs packages that are not installed", done.stdout)
    assert "9 passed" in done.stdout


def test_own_events_replace_the_corpus(plain: Installed, tmp_path: Path) -> None:
    done = plain.pytest("handler", tmp_path, "--lattice-events", "captured", "-v")
    assert passed(done) >= 5
    assert re.findall(r"\[(v2/.*)\] PASSED", done.stdout) == ["v2/body-webhook"] * 2


@pytest.mark.parametrize("fixture", FIXTURES)
def test_every_fixture_is_used_by_a_project(fixture: str) -> None:
    texts = [path.read_text(encoding="utf-8") for path in STRANGER.rglob("test_*.py")]
    assert any(re.search(rf"^def test_\w+\(.*\b{fixture}\b.*\)", text, re.MULTILINE) for text in texts)


def test_every_snippet_for_the_readers_is_run() -> None:
    text = (ROOT / "docs" / "testing.md").read_text(encoding="utf-8")
    sections = [part for part in text.split("\n## ") if part.startswith(("My handler", "I use", "I test"))]
    theirs = "\0".join(path.read_text(encoding="utf-8") for path in sorted(STRANGER.rglob("*.py")))
    snippets = [
        block for part in sections for block in re.findall(r"^```python\n(.*?)^```", part, re.DOTALL | re.MULTILINE)
    ]
    pieces = [piece.strip("\n") for snippet in snippets for piece in snippet.split("\n\n\n")]
    assert len(sections) == 6
    assert len(pieces) >= 12
    assert [piece for piece in pieces if piece not in theirs] == []


def test_fixtures_are_found() -> None:
    assert {"lattice_event", "fake_lambda", "bridge", "token_issuer", "local_stack", "local_queue"} <= set(FIXTURES)


# ---- a project of one's own, as in the README ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def outputs(full: Installed, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What the README's commands print in an empty folder, in its order. `full` has run the first two in its way:
    it makes the environment, and installs the wheel, without a network."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    variables = {**environment(), "PATH": f"{full.python.parent}:{os.environ['PATH']}", "PORT": port}
    folder = tmp_path_factory.mktemp("own")
    found = {}
    with ExitStack() as stack:
        for command in COMMANDS[2:]:
            given = command.replace("localhost:8080", f"localhost:{port}")
            process = stack.enter_context(started(given, folder, variables))
            if command == "lattice-bridge local":
                assert process.stdout is not None
                found[command] = next((line for line in process.stdout if f":{port}" in line), "")
                assert found[command], "the stack ended"
                stack.callback(process.send_signal, signal.SIGINT)
            else:
                found[command], _ = process.communicate(timeout=100)
                assert process.returncode == 0, found[command]
    return found


def started(command: str, folder: Path, variables: Mapping[str, str]) -> subprocess.Popen[str]:
    shell = ["/bin/sh", "-c", f"exec {command}"]
    return subprocess.Popen(
        shell, cwd=folder, env=dict(variables), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


@pytest.mark.parametrize(("command", "shown"), SHOWN[2:], ids=lambda text: " ".join(text.split()[:4]))
def test_command_of_the_readme_prints_what_it_shows(outputs: dict[str, str], command: str, shown: str) -> None:
    """`…` is any text."""
    pattern = re.escape(shown.strip()).replace("…", ".*")
    assert re.search(pattern, outputs[command], re.DOTALL)


def test_six_commands_lead_to_an_answer_as_ones_own_tenant(outputs: dict[str, str]) -> None:
    """From an empty folder with Python and the wheel: an environment, the package, a project, its tests, the stack."""
    environment_, install, *rest = COMMANDS[:6]
    assert environment_ == "python3 -m venv .venv && . .venv/bin/activate"
    assert install.startswith("pip install ")
    assert [command.partition(" --aws")[0] for command in rest] == [
        *("lattice-bridge init", "python -m pytest", "lattice-bridge local", "curl"),
    ]
    assert re.search(r"=+ [0-9]+ passed in ", outputs["python -m pytest"])
    assert json.loads(outputs[rest[-1]]) == {"tenant": "blue", "request": 1}


# ---- helpers --------------------------------------------------------------------------------------------------------


def passed(done: subprocess.CompletedProcess[str]) -> int:
    """Returns the number of passed tests, after checking that all passed."""
    assert done.returncode == 0, done.stdout + done.stderr
    found = re.search(r"=+ (\d+) passed in [\d.]+s", done.stdout)
    assert found, done.stdout
    return int(found[1])


def run(command: list[str], folder: Path) -> str:
    done = subprocess.run(command, cwd=folder, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def environment() -> dict[str, str]:
    """Returns the environment without variables that point to this repository's Python."""
    ours = ("AWS_", "COV", "PYTEST", "PYTHON", "VIRTUAL_ENV", "LATTICE_")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)}


def metadata_of(wheel: Path) -> Distribution:
    name = "-".join(wheel.name.split("-")[:2])
    return PathDistribution(zipfile.Path(wheel, f"{name}.dist-info/"))


def needed(package: Distribution, extras: Iterable[str]) -> set[str]:
    """Returns the names of a package's requirements with these extras, and of their requirements."""
    found: set[str] = set()
    left = list(asked_for(package, extras))
    while left:
        requirement = left.pop()
        if requirement.name not in found or requirement.extras:
            left += asked_for(distribution(requirement.name), requirement.extras)
        found.add(requirement.name)
    return found


def asked_for(package: Distribution, extras: Iterable[str]) -> Iterator[Requirement]:
    for requirement in map(Requirement, package.requires or ()):
        marker = requirement.marker
        if marker is None or any(marker.evaluate({"extra": extra}) for extra in ("", *extras)):
            yield requirement


def link(names: Iterable[str], site: Path) -> None:
    """Installs packages as links to those of this environment, quickly and without a network."""
    for name in names:
        found = distribution(name)
        tops = {file.parts[0] for file in found.files or ()} - {"..", "__pycache__"}
        for top in tops - {path.name for path in site.iterdir()}:
            (site / top).symlink_to(str(found.locate_file(top)))
