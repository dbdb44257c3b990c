"""The build: the same bytes each time, in any folder."""

from __future__ import annotations

import json
import zipfile
from importlib.util import cache_from_source
from pathlib import Path

import pytest

from lattice_bridge.packaging.build import LAYER_PREFIX, Request, build_folder, build_zips
from lattice_bridge.packaging.bytecode import Compiler
from lattice_bridge.packaging.contents import CannotPackage
from lattice_bridge.testing import Issuer
from tests.packaging.test_bytecode import RUNTIME, THIS
from tests.packaging.test_configuration import MAP
from tests.support.packages import install_a_package, installed


def request(beside: Path, text: str = MAP, compiler: Compiler | None = None) -> tuple[Request, list[str]]:
    """A request, and the progress that it receives."""
    said: list[str] = []
    return Request(text, beside, RUNTIME, compiler, False, said.append, install_a_package), said


def names(archive: Path) -> list[str]:
    with zipfile.ZipFile(archive) as file:
        return file.namelist()


def test_two_builds_in_different_folders_are_the_same_bytes(tmp_path: Path) -> None:
    """With bytecode. The zip and the layer."""
    built = []
    for name in ("one", "another/folder"):
        asked, _ = request(tmp_path, compiler=THIS)
        written = build_zips(asked, ["arm64"], tmp_path / name)
        built.append({one.path.name: one.path.read_bytes() for one in written})
    assert [*built[0]] == ["bridge-arm64.zip", "layer-arm64.zip"]
    assert built[0] == built[1]
    found = names(tmp_path / "one" / "bridge-arm64.zip")
    assert {cache_from_source(name) for name in found if name.endswith(".py")} <= set(found)


def test_build_without_a_compiler_has_no_bytecode(tmp_path: Path) -> None:
    asked, said = request(tmp_path)
    bridge, layer = build_zips(asked, ["x86_64"], tmp_path)
    found = names(bridge.path)
    assert {"lattice_bridge/main.py", "lattice_bridge/authorizer.py", "a/x.py", "bridge.toml", "bridge.json"} <= set(
        found
    )
    assert not [name for name in found if name.endswith(".pyc")]
    assert said == [
        f"x86_64: installing the dependencies for {RUNTIME}",
        f"x86_64: writing {bridge.path} and layer-x86_64.zip",
    ]
    configuration = {"bridge.toml", "bridge.json"}
    assert sorted(names(layer.path)) == sorted(f"{LAYER_PREFIX}{name}" for name in set(found) - configuration)


def test_folder_has_the_contents_of_the_zip(tmp_path: Path) -> None:
    asked, _ = request(tmp_path)
    (bridge, _layer) = build_zips(asked, ["arm64"], tmp_path)
    build_folder(asked, "arm64", tmp_path / "folder")
    with zipfile.ZipFile(bridge.path) as file:
        zipped = {name: file.read(name) for name in file.namelist()}
    unpacked = (path for path in (tmp_path / "folder").rglob("*") if path.is_file())
    assert {path.relative_to(tmp_path / "folder").as_posix(): path.read_bytes() for path in unpacked} == zipped


def test_folder_that_contains_something_is_refused_before_anything_is_installed(tmp_path: Path) -> None:
    (tmp_path / "bridge.toml").write_text(MAP, encoding="utf-8")
    asked, said = request(tmp_path)
    with pytest.raises(CannotPackage, match="is not empty"):
        build_folder(asked, "arm64", tmp_path)
    assert said == []


def test_dependencies_that_the_last_architecture_does_not_have_leave_nothing_written(tmp_path: Path) -> None:
    def install(folder: Path, arch: str, runtime: str, boto3: bool) -> None:
        if arch == "x86_64":
            raise CannotPackage("no such wheel")
        install_a_package(folder, arch, runtime, boto3)

    asked = Request(MAP, tmp_path, RUNTIME, None, False, lambda _: None, install)
    with pytest.raises(CannotPackage, match="no such wheel"):
        build_zips(asked, ["arm64", "x86_64"], tmp_path / "dist")
    assert not (tmp_path / "dist").exists()


def test_key_set_with_the_name_of_a_module_is_refused(tmp_path: Path) -> None:
    """It would replace the code of the bridge, or of what it imports."""

    def install(folder: Path, arch: str, runtime: str, boto3: bool) -> None:
        installed(folder, "a", ["keys.json"])

    with Issuer() as issuer:
        (tmp_path / "keys.json").write_text(json.dumps(issuer.jwks), encoding="utf-8")
        text = MAP + issuer.table(jwks_url=None, jwks_file="keys.json")
    asked = Request(text, tmp_path, RUNTIME, None, False, lambda _: None, install)
    with pytest.raises(CannotPackage, match=r"^keys\.json: a key set with the name of a module. Fix: rename it"):
        build_zips(asked, ["arm64"], tmp_path / "dist")
    assert not (tmp_path / "dist").exists()
