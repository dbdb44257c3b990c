"""Bytecode for Lambda: the same bytes each time, read by Lambda's Python without a look at the source."""

from __future__ import annotations

import importlib.util
import platform
import sys
from pathlib import Path
from typing import Final

import pytest

from lattice_bridge.packaging.bytecode import Compiler, compiled, compiler_for
from lattice_bridge.packaging.contents import CannotPackage, contents
from tests.support.packages import PACKAGE, installed

RUNTIME: Final = f"python{sys.version_info.major}.{sys.version_info.minor}"
THIS: Final = Compiler(sys.executable, platform.python_version(), str(sys.implementation.cache_tag))


def test_bytecode_is_the_same_bytes_whatever_the_folder(tmp_path: Path) -> None:
    found = []
    for name in ("one", "another"):
        files = contents(installed(tmp_path / name, "a", PACKAGE), boto3=False)
        (tmp_path / name / "a" / "x.py").write_text("x = {'a', 'b', 'c', 'd'}\nassert 'e' not in {'f', 'g', 'h'}\n")
        found.append({name: file.path.read_bytes() for name, file in compiled(files, tmp_path / name, THIS).items()})
    assert found[0] == found[1]
    assert set(found[0]) == {importlib.util.cache_from_source(name) for name in ("a.py", "a/x.py")}


def test_bytecode_is_read_though_the_zip_changed_the_sources_time(tmp_path: Path) -> None:
    files = contents(installed(tmp_path, "a", ["a.py"]), boto3=False)
    (cached,) = compiled(files, tmp_path, THIS).values()
    assert cached.path.read_bytes()[4:8] == (1).to_bytes(4, "little")  # hash-based, and not checked


def test_module_that_does_not_compile_is_refused(tmp_path: Path) -> None:
    files = contents(installed(tmp_path, "a", ["a.py"]), boto3=False)
    (tmp_path / "a.py").write_text("def", encoding="utf-8")
    with pytest.raises(CannotPackage, match=r"did not compile every module. Fix: choose another --runtime(?s:.*)a\.py"):
        compiled(files, tmp_path, THIS)


def test_module_of_the_current_folder_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Trap G4: the folder of bridge.toml may be another person's."""
    files = contents(installed(tmp_path / "to", "a", ["a.py"]), boto3=False)
    (tmp_path / "compileall.py").write_text("raise SystemExit('run')", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert compiled(files, tmp_path / "to", THIS)


def test_python_that_builds_compiles_for_its_own_runtime() -> None:
    assert compiler_for(RUNTIME) == THIS


def program(path: Path, *lines: str) -> str:
    path.write_text("\n".join(["#!/bin/sh", *lines]), encoding="utf-8")
    path.chmod(0o755)
    return str(path)


def test_first_python_of_the_runtimes_release_compiles(tmp_path: Path) -> None:
    """A shim of pyenv fails if no such Python is chosen; PyPy has other bytecode."""
    missing, shim = str(tmp_path / "missing"), program(tmp_path / "shim", "exit 127")
    other = program(tmp_path / "pypy", "echo pypy39 3.99.1")
    right = program(tmp_path / "python3.99", "echo cpython-399 3.99.1")
    found = compiler_for("python3.99", [missing, shim, other, sys.executable, right, "not reached"])
    assert found == Compiler(right, "3.99.1", "cpython-399")


def test_no_python_of_the_runtimes_release_is_none(tmp_path: Path) -> None:
    assert compiler_for("python3.99") is None
