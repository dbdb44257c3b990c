"""The installed packages that functions import: bytecode, and advice for a missing one."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from lattice_bridge.local.environments.packages import import_advice
from lattice_bridge.local.plan.model import Function
from tests.support.paths import ROOT

PROGRAM = """
import asyncio, sys
from lattice_bridge.local.environments.packages import compile_packages, uncompiled
before = uncompiled()
asyncio.run(compile_packages("0.0.x/0."))
print(len(before), len(uncompiled()))
"""


def test_packages_without_bytecode_are_compiled_once(tmp_path: Path) -> None:
    """uv and editable installations write no bytecode."""
    copy = tmp_path / "lattice_bridge"
    shutil.copytree(ROOT / "lattice_bridge", copy, ignore=shutil.ignore_patterns("__pycache__"))
    for counts in ("1 0", "0 0"):
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM], cwd=tmp_path, env={}, capture_output=True, text=True, check=True
        )
        assert done.stdout.strip() == counts
    assert list(copy.glob("__pycache__/main.*.pyc"))


def test_python_that_writes_no_bytecode_compiles_nothing(tmp_path: Path) -> None:
    copy = tmp_path / "lattice_bridge"
    shutil.copytree(ROOT / "lattice_bridge", copy, ignore=shutil.ignore_patterns("__pycache__"))
    done = subprocess.run([sys.executable, "-B", "-c", PROGRAM], cwd=tmp_path, capture_output=True, check=True)
    assert done.stdout.split() == [b"0", b"0"]
    assert not list(copy.glob("**/__pycache__"))


# ---- advice ----------------------------------------------------------------------------------------------------------


def function(code: Path, handler: str = "app.handler") -> Function:
    return Function("orders", "arn:aws:lambda:us-east-1:123456789012:function:orders", handler, code, {})


def missing(module: str, imported: str = "app") -> str:
    """Returns the message of awslambdaric."""
    return f"Unable to import module '{imported}': No module named '{module}'"


def test_missing_package_gets_an_install_command(tmp_path: Path) -> None:
    advice = import_advice(function(tmp_path), missing("requests.adapters"))
    assert advice is not None
    assert advice.startswith("orders: the module 'requests.adapters' is not installed")
    assert advice.endswith(f"Fix: if the package has the same name: {sys.executable} -m pip install requests")
    assert "\n" not in advice


@pytest.mark.parametrize("place", ["requirements.txt", "api/requirements.txt"])
def test_requirements_file_is_part_of_the_command(tmp_path: Path, place: str) -> None:
    code = tmp_path / "with space"
    (code / "api").mkdir(parents=True)
    (code / place).write_text("requests\n")
    advice = import_advice(function(code, "api.app.handler"), missing("requests", "api.app"))
    assert advice is not None
    assert shlex.split(advice)[-2:] == ["-r", str(code / place)]


@pytest.mark.parametrize(
    ("handler", "module"), [("ap.handler", "ap"), ("api/ap.handler", "api.ap"), ("apis.app.handler", "apis")]
)
def test_misspelt_handler_gets_the_list_of_modules(tmp_path: Path, handler: str, module: str) -> None:
    (tmp_path / "api").mkdir()
    for path in ("app.py", "api/app.py", "api/__init__.py", "notes.txt", "\x1b[2J.py"):
        (tmp_path / path).write_text("")
    advice = import_advice(function(tmp_path, handler), missing(module))
    assert advice is not None
    assert f"Handler {handler!r}: there is no module" in advice
    assert advice.endswith("The folder contains '\\x1b[2J', 'api.app', 'app'.")


def test_folder_without_modules_is_reported(tmp_path: Path) -> None:
    assert str(import_advice(function(tmp_path), missing("app"))).endswith("The folder contains no module at all.")


@pytest.mark.parametrize(
    "message",
    [
        "Unable to import module 'app': cannot import name 'x' from 'y'",
        missing("$(rm -rf ~)"),  # Trap G5: a command is suggested for what can be a module's name only
        missing("--index-url=https://example.com"),
        missing("1requests"),
        missing("réquests"),
        missing("x" * 300),
        missing("own.module"),
        "",
    ],
)
def test_sufficient_message_gets_no_advice(tmp_path: Path, message: str) -> None:
    (tmp_path / "own").mkdir()
    assert import_advice(function(tmp_path), message) is None
