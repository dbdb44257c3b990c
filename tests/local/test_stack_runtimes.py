"""Functions of several runtimes side by side in one stack: Python, Node.js, and a shell script as `bootstrap`."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from lattice_bridge.local.environments.peer_process import is_supported
from tests.support.paths import ROOT
from tests.support.stack import RunningStack, running, wait_until

FUNCTIONS: Final = ROOT / "tests" / "functions" / "runtimes"
PYTHON: Final = pytest.param("python")
NODE: Final = pytest.param(
    "node", marks=pytest.mark.skipif(shutil.which("node") is None, reason="this machine has no Node.js")
)
SHELL: Final = pytest.param(
    "shell", marks=pytest.mark.skipif(shutil.which("curl") is None, reason="this machine has no curl")
)
each_runtime: Final = pytest.mark.parametrize("function", [PYTHON, NODE, SHELL])


@pytest.fixture(scope="module")
def code(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the functions, which a test may change."""
    folder = tmp_path_factory.mktemp("runtimes") / "project"
    shutil.copytree(FUNCTIONS, folder, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "unstarted").mkdir()
    (folder / "unstarted" / "bootstrap").write_text("#!/bin/sh\n", encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def stack(code: Path) -> Iterator[RunningStack]:
    with running("--reload", template=code / "template.yaml") as stack:
        yield stack


@each_runtime
def test_tenants_run_side_by_side_with_state_of_their_own(stack: RunningStack, function: str) -> None:
    answers = [stack.invoke(function, {}, tenant).json() for tenant in ("blue", "green", "blue")]
    assert [(answer["tenant"], answer["count"]) for answer in answers] == [("blue", 1), ("green", 1), ("blue", 2)]
    assert answers[0]["pid"] == answers[2]["pid"] != answers[1]["pid"]
    wait_until(lambda: len(stack.output_of(f"{function}/blue#1")) == 2)
    assert "serves blue" in stack.output_of(f"{function}/blue#1")[0]


@each_runtime
def test_process_that_ends_is_reported_and_replaced(stack: RunningStack, function: str) -> None:
    answer = stack.invoke(function, {"do": "crash"}, "crashing")
    assert (answer.status, answer.headers["x-amz-function-error"]) == (200, "Unhandled")
    assert answer.json()["errorType"] == "Runtime.ExitError"
    assert answer.json()["errorMessage"].endswith(" Error: Runtime exited with error: exit status 3")
    assert stack.invoke(function, {}, "crashing").json()["count"] == 1


@each_runtime
def test_process_that_hangs_is_ended_after_the_timeout(stack: RunningStack, function: str) -> None:
    before = set(stack.processes())
    answer = stack.invoke(f"{function}-short", {"do": "hang"}, "blue").json()
    assert answer["errorType"] == "Sandbox.Timedout"
    assert answer["errorMessage"].endswith("Task timed out after 1.00 seconds")
    wait_until(lambda: set(stack.processes()) <= before)


@pytest.mark.parametrize(
    ("function", "expected", "keys"),
    [
        pytest.param("python", "ValueError", {"requestId", "stackTrace"}),
        pytest.param("node", "TypeError", {"trace"}, marks=NODE.marks),
        pytest.param("shell", "Refused", set[str](), marks=SHELL.marks),
    ],
)
def test_error_has_the_form_of_its_runtime(stack: RunningStack, function: str, expected: str, keys: set[str]) -> None:
    """The process serves the next invocation."""
    stack.invoke(function, {}, "failing")
    answer = stack.invoke(function, {"do": "fail"}, "failing")
    assert answer.headers["x-amz-function-error"] == "Unhandled"
    error = answer.json()
    assert (error.pop("errorType"), error.pop("errorMessage")) == (expected, "not today")
    assert error.keys() == keys
    assert stack.invoke(function, {}, "failing").json()["count"] == 2


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        pytest.param("python-init", "RuntimeError"),
        pytest.param("node-init", "RangeError", marks=NODE.marks),
        pytest.param("shell-init", "NoDatabase", marks=SHELL.marks),
    ],
)
def test_error_of_the_init_phase_is_the_answer(stack: RunningStack, function: str, expected: str) -> None:
    answer = stack.invoke(function, {}, "blue")
    assert answer.headers["x-amz-function-error"] == "Unhandled"
    assert (answer.json()["errorType"], answer.json()["errorMessage"]) == (expected, "no database")


@each_runtime
@pytest.mark.skipif(not is_supported(), reason="this machine does not tell which process has a connection")
def test_process_of_another_tenant_cannot_take_an_event(stack: RunningStack, function: str) -> None:
    """Trap G8: although a shell's own `curl` may."""
    address = stack.invoke(function, {}, "robbed").json()["address"]
    assert stack.invoke("python", {"do": "steal", "from": address}, "thief").json()["status"] == 403
    assert stack.invoke(function, {}, "robbed").json()["count"] == 2


@pytest.mark.parametrize("function", [SHELL])
def test_program_starts_with_the_signals_of_a_shell(stack: RunningStack, function: str) -> None:
    """Python ignores SIGPIPE and SIGXFSZ, and the program that replaces it would inherit that: `yes | head` would not
    end. A shell that runs the tests in the background makes all of its children ignore others."""
    ignored = int(stack.invoke(function, {}, "signals").json()["ignored"], 16)
    assert [number for number in (signal.SIGPIPE, signal.SIGXFSZ) if ignored >> number - 1 & 1] == []


def test_process_that_cannot_start_is_named_at_the_start_and_by_an_invocation(stack: RunningStack, code: Path) -> None:
    """The function is served after the next build."""
    program = code / "unstarted" / "bootstrap"
    fault = f"{str(program)!r} is not executable. Fix: chmod +x {program}"
    assert [line["message"] for line in stack.lines if line.get("level") == "error"] == [f"unstarted: {fault}"]
    answer = stack.invoke("unstarted", {}, "blue").json()
    assert (answer["errorType"], answer["errorMessage"].partition(" Error: ")[2]) == (
        "Runtime.InvalidEntrypoint",
        fault,
    )
    program.chmod(0o755)
    assert stack.invoke("unstarted", {}, "blue").json()["errorType"] == "Runtime.ExitError"


@pytest.mark.parametrize(
    ("function", "file"),
    [
        pytest.param("python", "app.py"),
        pytest.param("node", "app.mjs", marks=NODE.marks),
        pytest.param("shell", "bootstrap", marks=SHELL.marks),
    ],
)
def test_changed_code_restarts_only_its_own_function(stack: RunningStack, code: Path, function: str, file: str) -> None:
    """A build puts a new file in the place of the old one."""
    other = "python" if function == "shell" else "shell"
    pid = stack.invoke(other, {}, "reloaded").json()["pid"] if shutil.which("curl") else None
    assert stack.invoke(function, {}, "reloaded").json()["word"] == "first"
    path = code / function / file
    built = path.with_name("new")
    built.write_text(path.read_text().replace("first", "second"))
    built.chmod(path.stat().st_mode)
    built.rename(path)
    wait_until(lambda: stack.invoke(function, {}, "reloaded").json()["word"] == "second")
    if pid is not None:
        assert stack.invoke(other, {}, "reloaded").json()["pid"] == pid
