"""Advice for a function whose module cannot be imported."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from lattice_bridge.local.environments.import_advice import import_advice
from lattice_bridge.local.plan.model import Dependencies, Function


def function(code: Path, handler: str = "app.handler") -> Function:
    return Function("orders", "arn:aws:lambda:us-east-1:123456789012:function:orders", handler, code, {})


def missing(module: str, imported: str = "app") -> str:
    """Returns the message of awslambdaric."""
    return f"Unable to import module '{imported}': No module named '{module}'"


ELSEWHERE: Final = Path("/elsewhere/pyproject.toml")


@pytest.mark.parametrize(
    ("dependencies", "text"),
    [
        (
            Dependencies(),
            "no requirements.txt lists it, so the import fails on Lambda too. Fix: write the package into",
        ),
        (
            Dependencies(manifest=ELSEWHERE, folders=(Path("/cache"),)),
            "none of its packages contains it, so the import fails on Lambda too. Fix: write the package into "
            "/elsewhere/pyproject.toml (it may have another name than 'requests')",
        ),
        (Dependencies(manifest=ELSEWHERE), "are not installed. Fix: if it is listed there, start without --no-install"),
        (Dependencies("zip"), "is not in the zip, so the import fails on Lambda too. Fix: add its package to the zip"),
        (Dependencies("sam build", ELSEWHERE), "(it may have another name than 'requests'), and run `sam build` again"),
    ],
)
def test_missing_package_gets_the_place_to_write_it_into(tmp_path: Path, dependencies: Dependencies, text: str) -> None:
    advice = import_advice(replace(function(tmp_path), dependencies=dependencies), missing("requests.adapters"))
    assert advice is not None
    assert advice.startswith("orders: the module 'requests.adapters' is not ")
    assert text in advice
    assert "\n" not in advice


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
        missing("$(rm -rf ~)"),  # Trap G5: only what can be a module's name is called a package
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
