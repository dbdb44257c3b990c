"""The zip: its bytes depend on names and contents, and on nothing else."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import click
import pytest

from lattice_bridge.document import parse_document
from tools.package import ROOT, configure, write_zip


def unpacked(folder: Path, *, modified: float) -> Path:
    for name, text in (
        ("b/x.py", "1"),
        ("a.py", "2"),
        ("b/lib.so", "3"),
        ("bin/tool", "4"),
        ("lattice_bridge/testing/events.zip", "6"),
        ("lattice_bridge/local/stack.py", "7"),
        ("_lattice_bridge_pytestplugin.py", "8"),
        ("c.dist-info/RECORD", "5"),
    ):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        os.utime(path, (modified, modified))
    return folder


def test_two_zips_of_the_same_contents_are_the_same_bytes(tmp_path: Path) -> None:
    write_zip(unpacked(tmp_path / "one", modified=1e9), tmp_path / "one.zip")
    write_zip(unpacked(tmp_path / "two", modified=1.5e9), tmp_path / "two.zip")
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "two.zip").read_bytes()


def test_a_zip_holds_no_scripts_nothing_for_tests_and_no_record_of_where_it_was_made(tmp_path: Path) -> None:
    write_zip(unpacked(tmp_path / "one", modified=1e9), tmp_path / "one.zip")
    with zipfile.ZipFile(tmp_path / "one.zip") as file:
        assert file.namelist() == ["a.py", "b/lib.so", "b/x.py"]
        assert file.getinfo("b/lib.so").external_attr >> 16 == 0o755


def test_what_bridge_toml_compiles_to_is_beside_it(tmp_path: Path) -> None:
    configure(ROOT / "bridge.toml", tmp_path)
    text = (tmp_path / "bridge.toml").read_text(encoding="utf-8")
    assert parse_document(text, (tmp_path / "bridge.json").read_text(encoding="utf-8")).compiled is not None


def test_a_configuration_that_does_not_load_is_not_packaged(tmp_path: Path) -> None:
    (tmp_path / "bad.toml").write_text("[rules]\n", encoding="utf-8")
    with pytest.raises(click.ClickException, match="rules: unknown key"):
        configure(tmp_path / "bad.toml", tmp_path)
