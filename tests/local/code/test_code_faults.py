"""The faults of a function's code that are visible before it runs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from lattice_bridge.local.code.code_faults import code_fault
from lattice_bridge.local.plan.model import Function


def function(folder: Path, runtime: str, handler: str = "app.handler", **more: object) -> Function:
    found = Function("orders", "arn", handler, folder, {}, runtime=runtime)
    return replace(found, **more)  # type: ignore[arg-type] # of mixed fields


def write(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


@pytest.mark.parametrize(
    ("lock", "installed", "command"),
    [
        ("package-lock.json", "", "npm ci"),
        ("app.js", "", "npm install"),
        ("app.js", "node_modules/uuid/index.js", None),
    ],
)
def test_packages_of_node_that_are_not_installed_are_a_fault(
    tmp_path: Path, lock: str, installed: str, command: str | None
) -> None:
    """npm runs scripts of packages, so the developer starts it."""
    write(tmp_path, "src/app.js", f"src/{lock}", *([installed] if installed else []))
    (tmp_path / "src/package.json").write_text('{"dependencies": {"uuid": "^9"}}')
    found = code_fault(function(tmp_path / "src", "nodejs22.x"))
    fault = f"package.json lists \"uuid\", which is not installed. Fix: run `{command}` in '{tmp_path}/src'"
    assert found == (f"orders: {fault}" if command else None)


@pytest.mark.parametrize(
    "text", ["[", "[1]", '{"dependencies": 1}', '{"dependencies": {}}', '{"devDependencies": {"a": ""}}']
)
def test_package_json_without_dependencies_is_no_fault(tmp_path: Path, text: str) -> None:
    write(tmp_path, "app.js").joinpath("package.json").write_text(text)
    assert code_fault(function(tmp_path, "nodejs22.x")) is None


@pytest.mark.parametrize("place", [None, "src", "layer"])
def test_sources_of_a_custom_runtime_need_a_bootstrap_in_code_or_layer(tmp_path: Path, place: str | None) -> None:
    write(tmp_path, "src/Cargo.toml", "layer/bin/tool", *([f"{place}/bootstrap"] if place else []))
    found = code_fault(function(tmp_path / "src", "provided.al2023", layers=(tmp_path / "layer",)))
    what = "has only sources (Cargo.toml), and Runtime provided.al2023 runs a file bootstrap. Fix: run `sam build`"
    assert (found is None) == (place is not None)
    assert place is not None or what in str(found)


@pytest.mark.parametrize(
    ("runtime", "source", "command"),
    [
        ("provided.al2023", "Cargo.toml", ()),
        ("java21", "pom.xml", ("/usr/bin/java",)),
        ("dotnet8", "a.csproj", ("dotnet",)),
    ],
)
def test_sources_that_have_to_be_built_ask_for_sam_build(
    tmp_path: Path, runtime: str, source: str, command: tuple[str, ...]
) -> None:
    found = code_fault(function(write(tmp_path, source), runtime, command=command))
    assert f"has only sources ({source})" in str(found)
    assert "Fix: run `sam build` beside the template" in str(found)


@pytest.mark.parametrize("command", [("dotnet", "run"), ("mvn", "exec:java")])
def test_command_that_builds_the_sources_itself_is_no_fault(tmp_path: Path, command: tuple[str, ...]) -> None:
    assert code_fault(function(write(tmp_path, "pom.xml", "a.csproj"), "dotnet8", command=command)) is None


@pytest.mark.parametrize(("handler", "is_fault"), [("index.handler", False), ("app.handler", True)])
def test_handler_of_inline_code_is_in_the_file_index(tmp_path: Path, handler: str, is_fault: bool) -> None:
    found = code_fault(function(tmp_path, "nodejs22.x", handler, inline="x"))
    fault = 'orders: Handler "app.handler": inline code is in the file index.js. Fix: write Handler: index.NAME'
    assert found == (fault if is_fault else None)
