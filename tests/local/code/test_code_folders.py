"""The folders that a stack makes of code, and the commands that name them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from zipfile import ZipFile

import pytest

from lattice_bridge.local.code.code_folders import CodeFolders
from lattice_bridge.local.plan.model import Function, Plan

FUNCTION = Function("orders", "arn", "index.handler", Path(), {}, runtime="python3.13")


def made(folders: CodeFolders, function: Function) -> Function:
    return folders.made(Plan(Path(), "us-east-1", {"orders": function}, (), ())).functions["orders"]


@pytest.mark.parametrize(("runtime", "name"), [("python3.13", "index.py"), ("nodejs22.x", "index.js")])
@pytest.mark.parametrize("command", [(), ("run",)])
def test_inline_code_is_written_as_lambda_does(
    tmp_path: Path, runtime: str, name: str, command: tuple[str, ...]
) -> None:
    """Each version has a folder: an environment that still runs the old one keeps it."""
    folders, function = CodeFolders(tmp_path), replace(FUNCTION, code=tmp_path, runtime=runtime, command=command)
    first, again, second = (made(folders, replace(function, inline=text)) for text in ("ä", "ä", "b"))
    assert first == again
    assert [(found.code / name).read_text() for found in (first, second)] == ["ä", "b"]


def test_single_file_is_the_only_one_of_its_folder(tmp_path: Path) -> None:
    (tmp_path / "bootstrap").write_text("#!/bin/sh")
    (tmp_path / "bootstrap").chmod(0o755)
    found = made(CodeFolders(tmp_path), replace(FUNCTION, code=tmp_path / "bootstrap"))
    assert [(path.name, path.stat().st_mode & 0o777) for path in found.code.iterdir()] == [("bootstrap", 0o555)]


def test_layers_are_unpacked_and_merged_once(tmp_path: Path) -> None:
    with ZipFile(tmp_path / "layer.zip", "w") as archive:
        archive.writestr("python/a.py", "zip")
    (tmp_path / "folder" / "python").mkdir(parents=True)
    (tmp_path / "folder" / "python" / "b.py").touch()
    folders = CodeFolders(tmp_path)
    function = replace(FUNCTION, code=tmp_path, layers=(tmp_path / "layer.zip", tmp_path / "folder"))
    found = made(folders, function)
    assert found == made(folders, function)
    unpacked, folder, merged = found.layers
    assert [path.name for path in (unpacked / "python").iterdir()] == ["a.py"]
    assert folder == tmp_path / "folder"
    assert sorted(path.name for path in (merged / "python").iterdir()) == ["a.py", "b.py"]


@pytest.mark.parametrize("count", [0, 1])
def test_fewer_than_two_layers_need_no_merged_folder(tmp_path: Path, count: int) -> None:
    layers = (tmp_path,) * count
    assert made(CodeFolders(tmp_path), replace(FUNCTION, code=tmp_path, layers=layers)).layers == layers


def test_command_gets_the_handler_and_the_folder_of_the_code(tmp_path: Path) -> None:
    function = replace(FUNCTION, code=tmp_path, command=("java", "-cp", "{code}/*:{code}", "Client", "{handler}"))
    assert made(CodeFolders(tmp_path), function).command[2:] == (f"{tmp_path}/*:{tmp_path}", "Client", "index.handler")
