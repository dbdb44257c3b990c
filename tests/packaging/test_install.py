"""Installing for Lambda's machines: only wheels, and only those with a listed hash."""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path
from typing import Final

import pytest

from lattice_bridge.packaging.contents import BROUGHT_BY_LAMBDA, CannotPackage
from lattice_bridge.packaging.install import LAMBDA, MACHINES, install_reviewed, listed, platforms

NO_HASH: Final = "0" * 64

# ---- which wheels ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("arch", MACHINES)
def test_wheels_with_the_fewest_needs_come_first(arch: str) -> None:
    machine = MACHINES[arch]
    assert platforms(arch, "python3.13") == [
        f"{kind}_{machine}" for kind in ("manylinux2014", "manylinux_2_17", "manylinux_2_28")
    ]


def test_python_3_11_of_lambda_has_an_older_c_library() -> None:
    assert platforms("arm64", "python3.11") == ["manylinux2014_aarch64", "manylinux_2_17_aarch64"]


def test_boto3_is_not_installed_if_it_is_not_packaged() -> None:
    """It is most of the files, and pip would download it for each architecture."""
    every, without = listed(boto3=True), listed(boto3=False)
    assert every == LAMBDA.read_text(encoding="utf-8")
    names = {line.partition("==")[0] for line in every.splitlines() if "==" in line}
    kept = {line.partition("==")[0] for line in without.splitlines() if "==" in line}
    assert names - kept == BROUGHT_BY_LAMBDA
    assert without.count("--hash=") < every.count("--hash=")


# ---- their hashes ---------------------------------------------------------------------------------------------------


def test_wheel_with_the_listed_hash_is_installed(tmp_path: Path) -> None:
    file = requirements(tmp_path, f"thing==1.0 --hash=sha256:{NO_HASH} --hash=sha256:{wheel(tmp_path, 'thing')}")
    install_reviewed(file, tmp_path / "to")
    assert (tmp_path / "to" / "thing.py").is_file()


def test_conflict_with_this_environment_is_not_shown(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """The wheels are for Lambda. Packages of this environment need other versions, which is no fault."""
    file = requirements(tmp_path, f"pydantic==1.0 --hash=sha256:{wheel(tmp_path, 'pydantic')}")
    install_reviewed(file, tmp_path / "to")
    assert capfd.readouterr() == ("", "")


def test_wheel_with_another_hash_is_refused(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A registry sends another file than the one that was reviewed."""
    digest = wheel(tmp_path, "thing")
    file = requirements(tmp_path, f"thing==1.0 --hash=sha256:{NO_HASH}")
    with pytest.raises(CannotPackage, match=r"^requirements\.txt: pip did not install .* run `make lock`"):
        install_reviewed(file, tmp_path / "to")
    said = capfd.readouterr().err
    assert all(word in said for word in ("thing==1.0", NO_HASH, digest))
    assert not (tmp_path / "to" / "thing.py").exists()


def test_wheel_that_is_needed_and_not_listed_is_refused(tmp_path: Path) -> None:
    """The dependencies of the bridge have changed without `make lock`."""
    wheel(tmp_path, "other")
    file = requirements(tmp_path, f"thing==1.0 --hash=sha256:{wheel(tmp_path, 'thing', 'other==1.0')}")
    with pytest.raises(CannotPackage, match="pip did not install"):
        install_reviewed(file, tmp_path / "to")
    assert not (tmp_path / "to").exists()


def test_version_without_a_hash_is_refused(tmp_path: Path) -> None:
    wheel(tmp_path, "thing")
    with pytest.raises(CannotPackage, match="pip did not install"):
        install_reviewed(requirements(tmp_path, "thing==1.0"), tmp_path / "to")


# ---- helpers --------------------------------------------------------------------------------------------------------


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
