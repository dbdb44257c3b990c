"""Versions and hashes of third-party wheels: only reviewed files are deployed."""

from __future__ import annotations

import hashlib
import re
import tomllib
import zipfile
from importlib.metadata import distribution
from pathlib import Path

import click
import pytest
from packaging.requirements import Requirement

from tests.packaging.test_package import needed
from tools.lock import locked, written
from tools.package_contents import canonical
from tools.package_install import BUILD, LAMBDA, MACHINES, PYTHONS, ROOT, install_reviewed

NO_HASH = "0" * 64


def pins(file: Path) -> dict[str, set[str]]:
    """The hashes of each `name==version` in a requirements file."""
    entries = re.findall(
        r"^(\S+==\S+)((?: \\\n    --hash=sha256:[0-9a-f]{64})+)$", file.read_text("utf-8"), re.MULTILINE
    )
    return {pin: set(re.findall("[0-9a-f]{64}", hashes)) for pin, hashes in entries}


def wheel(folder: Path, name: str, *requires: str) -> str:
    """Writes a wheel with one module. Returns its SHA-256."""
    metadata = f"{name}-1.0.dist-info"
    files = {
        f"{name}.py": "x = 1\n",
        f"{metadata}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n"
        + "".join(f"Requires-Dist: {one}\n" for one in requires),
        f"{metadata}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    files[f"{metadata}/RECORD"] = "".join(f"{file},,\n" for file in (*files, f"{metadata}/RECORD"))
    path = folder / f"{name}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for file, text in files.items():
            archive.writestr(file, text)
    return hashlib.sha256(path.read_bytes()).hexdigest()


def requirements(folder: Path, *lines: str) -> Path:
    """A requirements file for the wheels of a folder, without a registry."""
    path = folder / "requirements.txt"
    path.write_text("\n".join(["--no-index", f"--find-links {folder}", *lines]) + "\n", encoding="utf-8")
    return path


# ---- the files ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("file", [LAMBDA, BUILD], ids=lambda file: file.name)
def test_committed_file_is_as_written_and_names_no_host(file: Path) -> None:
    assert file.read_text(encoding="utf-8") == written(pins(file))


@pytest.mark.parametrize("file", [LAMBDA, BUILD], ids=lambda file: file.name)
def test_versions_are_those_of_the_constraints(file: Path) -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    known = {f"{canonical(name)}=={version}" for name, _, version in (line.partition("==") for line in lines)}
    assert pins(file).keys() <= known


def test_what_is_packaged_is_all_that_the_bridge_needs() -> None:
    ours = [Requirement(text) for text in distribution("lattice-bridge").requires or () if "extra ==" not in text]
    assert {pin.partition("==")[0] for pin in pins(LAMBDA)} == needed(ours)


def test_what_builds_the_wheel_is_all_that_its_backend_needs() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    asked = [Requirement(text) for text in project["build-system"]["requires"]]
    assert {pin.partition("==")[0] for pin in pins(BUILD)} == needed(asked)


def test_package_with_compiled_code_has_a_hash_for_each_machine() -> None:
    """One for all Pythons, or one for each of them."""
    of_machines = {pin: len(hashes) for pin, hashes in pins(LAMBDA).items() if len(hashes) > 1}
    assert set(of_machines.values()) <= {len(MACHINES), len(MACHINES) * len(PYTHONS)}
    assert {pin.partition("==")[0] for pin in of_machines} == {"cffi", "cryptography", "pydantic-core"}


# ---- installing -----------------------------------------------------------------------------------------------------


def test_wheel_with_the_listed_hash_is_installed(tmp_path: Path) -> None:
    file = requirements(tmp_path, f"thing==1.0 --hash=sha256:{NO_HASH} --hash=sha256:{wheel(tmp_path, 'thing')}")
    install_reviewed([file], tmp_path / "to")
    assert (tmp_path / "to" / "thing.py").is_file()


def test_wheel_with_another_hash_is_refused(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A registry sends another file than the one that was reviewed."""
    digest = wheel(tmp_path, "thing")
    file = requirements(tmp_path, f"thing==1.0 --hash=sha256:{NO_HASH}")
    with pytest.raises(click.ClickException, match=r"^requirements\.txt: pip did not install .* run `make lock`"):
        install_reviewed([file], tmp_path / "to")
    said = capfd.readouterr().err
    assert all(word in said for word in ("thing==1.0", NO_HASH, digest))
    assert not (tmp_path / "to" / "thing.py").exists()


@pytest.mark.parametrize("requires", ["other", "other==1.0"])
def test_wheel_that_is_needed_and_not_listed_is_refused(tmp_path: Path, requires: str) -> None:
    """The dependencies of the bridge have changed without `make lock`."""
    wheel(tmp_path, "other")
    file = requirements(tmp_path, f"thing==1.0 --hash=sha256:{wheel(tmp_path, 'thing', requires)}")
    with pytest.raises(click.ClickException, match="pip did not install"):
        install_reviewed([file], tmp_path / "to")
    assert not (tmp_path / "to").exists()


def test_version_without_a_hash_is_refused(tmp_path: Path) -> None:
    wheel(tmp_path, "thing")
    with pytest.raises(click.ClickException, match="pip did not install"):
        install_reviewed([requirements(tmp_path, "thing==1.0")], tmp_path / "to")


# ---- the tool -------------------------------------------------------------------------------------------------------


def test_tool_writes_what_is_needed_with_its_hashes(tmp_path: Path) -> None:
    thing, other = wheel(tmp_path, "thing", "other_one>=0.5"), wheel(tmp_path, "other_one")
    found = locked(["thing"], requirements(tmp_path, "thing==1.0", "other.one==1.0"))
    assert found == {"thing==1.0": {thing}, "other-one==1.0": {other}}


def test_what_the_tool_writes_is_what_the_packaging_reads(tmp_path: Path) -> None:
    wheel(tmp_path, "thing", "other")
    wheel(tmp_path, "other")
    text = written(locked(["thing"], requirements(tmp_path)))
    install_reviewed([requirements(tmp_path, *text.splitlines())], tmp_path / "to")
    assert {path.name for path in (tmp_path / "to").glob("*.py")} == {"thing.py", "other.py"}


def test_missing_version_is_an_error(tmp_path: Path) -> None:
    wheel(tmp_path, "thing")
    with pytest.raises(click.ClickException, match=r"pip finds no versions that fit requirements\.txt"):
        locked(["thing"], requirements(tmp_path, "thing==2.0"))
