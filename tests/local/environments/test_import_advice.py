"""What the stack advises when a function's module cannot be imported."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import pytest

from lattice_bridge.local.environments.import_advice import import_advice
from lattice_bridge.local.plan.model import Function


def function(code: Path, handler: str = "app.handler") -> Function:
    return Function("orders", "arn:aws:lambda:us-east-1:123456789012:function:orders", handler, code, {})


def missing(module: str, imported: str = "app") -> str:
    """As awslambdaric has it."""
    return f"Unable to import module '{imported}': No module named '{module}'"


def test_module_that_is_not_installed_is_to_be_installed(tmp_path: Path) -> None:
    advice = import_advice(function(tmp_path), missing("requests.adapters"))
    assert advice is not None
    assert advice.startswith("orders: the module 'requests.adapters' is not installed")
    assert advice.endswith(f"Fix: if the package has the same name: {sys.executable} -m pip install requests")
    assert "\n" not in advice


@pytest.mark.parametrize("place", ["requirements.txt", "api/requirements.txt"])
def test_requirements_beside_the_handler_or_in_its_folder_are_named(tmp_path: Path, place: str) -> None:
    code = tmp_path / "with space"
    (code / "api").mkdir(parents=True)
    (code / place).write_text("requests\n")
    advice = import_advice(function(code, "api.app.handler"), missing("requests", "api.app"))
    assert advice is not None
    assert shlex.split(advice)[-2:] == ["-r", str(code / place)]


@pytest.mark.parametrize(
    ("handler", "module"), [("ap.handler", "ap"), ("api/ap.handler", "api.ap"), ("apis.app.handler", "apis")]
)
def test_misspelt_handler_is_told_which_modules_there_are(tmp_path: Path, handler: str, module: str) -> None:
    (tmp_path / "api").mkdir()
    for path in ("app.py", "api/app.py", "api/__init__.py", "notes.txt", "\x1b[2J.py"):
        (tmp_path / path).write_text("")
    advice = import_advice(function(tmp_path, handler), missing(module))
    assert advice is not None
    assert f"Handler {handler!r}: there is no module" in advice
    assert advice.endswith("The folder has '\\x1b[2J', 'api.app', 'app'.")


def test_wrong_folder_is_said_to_have_no_module(tmp_path: Path) -> None:
    assert str(import_advice(function(tmp_path), missing("app"))).endswith("The folder has no module at all.")


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
def test_message_that_says_enough_has_no_advice(tmp_path: Path, message: str) -> None:
    (tmp_path / "own").mkdir()
    assert import_advice(function(tmp_path), message) is None
