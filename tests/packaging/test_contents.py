"""The files that are packaged."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from importlib.metadata import distribution
from pathlib import Path
from typing import Final

import pytest
from packaging.requirements import Requirement

from lattice_bridge.config.code_hash import FILE, NOT_DEPLOYED, hash_of
from lattice_bridge.packaging.contents import (
    BROUGHT_BY_LAMBDA,
    PACKAGE,
    CannotPackage,
    canonical,
    contents,
    own_code,
)
from lattice_bridge.packaging.install import RUNTIMES
from tests.support import packages
from tests.support.packages import PACKAGED, RECORDED, installed

OURS: Final = [Requirement(text) for text in distribution("lattice-bridge").requires or () if "extra ==" not in text]

# ---- of a dependency ------------------------------------------------------------------------------------------------


def test_files_unused_at_run_time_are_left_out(tmp_path: Path) -> None:
    found = contents(installed(tmp_path, "a", packages.PACKAGE), boto3=False)
    assert sorted(name for name in found if ".dist-info" not in name) == PACKAGED


def test_scanner_files_are_kept_and_build_records_dropped(tmp_path: Path) -> None:
    found = contents(installed(tmp_path, "a", packages.PACKAGE), boto3=False)
    assert {name for name in found if ".dist-info" in name} == {f"a-1.0.dist-info/{name}" for name in RECORDED}


def test_boto3_and_its_dependencies_are_left_out(tmp_path: Path) -> None:
    for name in (*BROUGHT_BY_LAMBDA, "a"):
        found = installed(tmp_path, name, [f"{name}.py"])
    without = {file.package for file in contents(found, boto3=False).values()}
    with_it = {file.package for file in contents(found, boto3=True).values()}
    assert (without, len(with_it)) == ({"a 1.0"}, len(BROUGHT_BY_LAMBDA) + 1)


def test_package_is_known_under_each_spelling_of_its_name(tmp_path: Path) -> None:
    assert contents(installed(tmp_path, "Python.Dateutil", ["dateutil.py"]), boto3=False) == {}


def test_left_out_packages_are_dependencies_of_boto3_alone() -> None:
    rest = [requirement for requirement in OURS if requirement.name != "boto3"]
    assert needed([Requirement("boto3")]) - needed(rest) == BROUGHT_BY_LAMBDA


def test_bridge_needs_the_same_packages_on_each_runtime() -> None:
    """pip asks this Python what the other one needs."""
    found = {frozenset(needed(OURS, runtime)) for runtime in RUNTIMES}
    assert len(found) == 1


# ---- of the bridge --------------------------------------------------------------------------------------------------


def copy_of_the_package(folder: Path) -> Path:
    return Path(shutil.copytree(PACKAGE, folder / "lattice_bridge", ignore=shutil.ignore_patterns("__pycache__")))


def test_code_of_the_bridge_is_what_its_hash_covers(tmp_path: Path) -> None:
    """Trap G6: no other file of the folder is packaged, and no development tool."""
    package = copy_of_the_package(tmp_path)
    for name in (".env", "keys.json", "config/secret.pem", "testing/secret.py"):
        (package / name).write_text("x = 'secret'", encoding="utf-8")
    found = own_code(tmp_path / "to", package)
    code = {name.removeprefix("lattice_bridge/") for name in found if name.startswith("lattice_bridge/")}
    assert {"main.py", "formats/alb.py", "tenancy/name_pattern.py", FILE} <= code
    assert {Path(name).suffix for name in code} == {".py", ".sha256"}
    assert not {name for name in code if name.partition("/")[0] in NOT_DEPLOYED}
    digest = (tmp_path / "to" / "lattice_bridge" / FILE).read_text(encoding="ascii")
    assert digest == hash_of(tmp_path / "to" / "lattice_bridge") == hash_of(PACKAGE)


def test_metadata_of_the_bridge_is_packaged(tmp_path: Path) -> None:
    names = {Path(name).name for name in own_code(tmp_path) if ".dist-info/" in name}
    assert names == {"METADATA", "LICENSE"}


def test_code_that_was_changed_after_it_was_installed_is_refused(tmp_path: Path) -> None:
    package = copy_of_the_package(tmp_path)
    (package / FILE).write_text(hash_of(package), encoding="ascii")  # as in a wheel
    assert own_code(tmp_path / "to", package)
    with (package / "main.py").open("a", encoding="utf-8") as file:
        file.write("# changed\n")
    with pytest.raises(CannotPackage, match=r"changed after it was installed\. Fix: install lattice-bridge again"):
        own_code(tmp_path / "to", package)


def test_module_that_is_a_link_out_of_the_package_is_refused(tmp_path: Path) -> None:
    """Trap G6: a file from elsewhere on the development machine would be deployed."""
    package = copy_of_the_package(tmp_path)
    (tmp_path / "elsewhere.py").write_text("secret = 1", encoding="utf-8")
    (package / "linked.py").symlink_to(tmp_path / "elsewhere.py")
    with pytest.raises(CannotPackage, match=r"linked\.py: a symbolic link out of the package"):
        own_code(tmp_path / "to", package)


def test_wheel_that_is_installed_as_links_is_packaged(tmp_path: Path) -> None:
    """As `uv --link-mode symlink` does; the hash of the wheel shows that the bytes are the right ones."""
    package = copy_of_the_package(tmp_path)
    (package / FILE).write_text(hash_of(package), encoding="ascii")
    (package / "main.py").rename(tmp_path / "cached.py")
    (package / "main.py").symlink_to(tmp_path / "cached.py")
    own_code(tmp_path / "to", package)
    assert not (tmp_path / "to" / "lattice_bridge" / "main.py").is_symlink()


# ---- helpers --------------------------------------------------------------------------------------------------------


def needed(requirements: Iterable[Requirement], runtime: str = RUNTIMES[0]) -> set[str]:
    """The names of these packages and of what they need, in Lambda."""
    found: set[str] = set()
    left = list(requirements)
    python = runtime.removeprefix("python")
    while left:
        requirement = left.pop()
        name = canonical(requirement.name)
        if name not in found:
            found.add(name)
            asked = map(Requirement, distribution(name).requires or ())
            left += [one for one in asked if one.marker is None or one.marker.evaluate(in_lambda(python))]
        for extra in requirement.extras:
            asked = map(Requirement, distribution(name).requires or ())
            left += [one for one in asked if one.marker and one.marker.evaluate({**in_lambda(python), "extra": extra})]
    return found


def in_lambda(python: str) -> dict[str, str]:
    return {
        "python_version": python,
        "python_full_version": f"{python}.0",
        "implementation_name": "cpython",
        "platform_python_implementation": "CPython",
        "sys_platform": "linux",
        "extra": "",
    }
