"""Bytecode of installed packages."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from tests.support.paths import ROOT

PROGRAM = """
import asyncio, sys
from lattice_bridge.local.code.bytecode import compile_packages, uncompiled
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
