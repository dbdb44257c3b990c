"""Zips and folders: their bytes depend on names and contents, and on nothing else."""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path

import pytest

from lattice_bridge.packaging.archive import (
    UNZIPPED_LIMIT,
    UPLOAD_LIMIT,
    Size,
    check_size,
    write_folder,
    write_zip,
)
from lattice_bridge.packaging.contents import CannotPackage, File, contents
from tests.support.packages import PACKAGE, installed


def files(folder: Path, *, modified: float = 1e9) -> dict[str, File]:
    return contents(installed(folder, "a", PACKAGE, modified=modified), boto3=False)


def test_two_zips_of_the_same_contents_are_the_same_bytes(tmp_path: Path) -> None:
    one, two = files(tmp_path / "one", modified=1e9), files(tmp_path / "two", modified=1.5e9)
    (tmp_path / "two" / "a" / "x.py").chmod(0o600)
    write_zip(one, tmp_path / "one.zip")
    write_zip(dict(reversed(two.items())), tmp_path / "two.zip")
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "two.zip").read_bytes()


def test_zip_modes_are_readable_and_libraries_executable(tmp_path: Path) -> None:
    write_zip(files(tmp_path / "one"), tmp_path / "one.zip")
    with zipfile.ZipFile(tmp_path / "one.zip") as file:
        modes = {entry.filename: entry.external_attr >> 16 for entry in file.infolist()}
    assert (modes["a.py"], modes["a/lib.so"]) == (0o100644, 0o100755)


def test_folder_holds_what_a_zip_does(tmp_path: Path) -> None:
    """`sam build` zips it."""
    found = files(tmp_path / "one")
    write_folder(found, tmp_path / "folder")
    written = {path for path in (tmp_path / "folder").rglob("*") if path.is_file()}
    assert written == {tmp_path / "folder" / name for name in found}


def test_folder_that_contains_something_is_refused(tmp_path: Path) -> None:
    """A key beside the map would be deployed."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "id_rsa").write_text("secret", encoding="utf-8")
    with pytest.raises(CannotPackage, match=r"is not empty, and all of it would be deployed\. Fix: "):
        write_folder(files(tmp_path / "one"), tmp_path / "folder")
    assert [path.name for path in (tmp_path / "folder").iterdir()] == ["id_rsa"]


def test_folder_that_lambda_would_not_accept_is_not_written(tmp_path: Path) -> None:
    found = files(tmp_path / "one")
    with found["a.py"].path.open("r+b") as file:
        file.truncate(UNZIPPED_LIMIT + 1)
    with pytest.raises(CannotPackage, match="bytes unzipped, and Lambda accepts"):
        write_folder(found, tmp_path / "folder")
    assert not (tmp_path / "folder").exists()


def test_empty_folder_is_filled(tmp_path: Path) -> None:
    """`sam build` has made it."""
    (tmp_path / "folder").mkdir()
    write_folder(files(tmp_path / "one"), tmp_path / "folder")
    assert (tmp_path / "folder" / "a.py").is_file()


def test_zip_is_described_by_its_size_and_hash(tmp_path: Path) -> None:
    found = files(tmp_path / "one")
    written = write_zip(found, tmp_path / "one.zip", "python/")
    data = (tmp_path / "one.zip").read_bytes()
    unzipped = sum(file.path.stat().st_size for file in found.values())
    assert (written.size, written.sha256) == (Size(len(data), unzipped), hashlib.sha256(data).hexdigest())
    assert written.packages["a 1.0"].unzipped == unzipped


def test_largest_package_is_first(tmp_path: Path) -> None:
    installed(tmp_path / "one", "a", ["a.py"])
    found = contents(installed(tmp_path / "one", "larger", ["b.py", "c.py", "d.py"]), boto3=False)
    assert [*write_zip(found, tmp_path / "one.zip").packages] == ["larger 1.0", "a 1.0"]
    assert [*write_folder(found, tmp_path / "folder").packages] == ["larger 1.0", "a 1.0"]


def test_zip_that_cannot_be_completed_replaces_nothing(tmp_path: Path) -> None:
    (tmp_path / "one.zip").write_text("the last one", encoding="utf-8")
    found = {**files(tmp_path / "one"), "z.py": File(tmp_path / "missing", "z 1.0")}
    with pytest.raises(FileNotFoundError):
        write_zip(found, tmp_path / "one.zip")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "one.zip"]
    assert (tmp_path / "one.zip").read_text(encoding="utf-8") == "the last one"


@pytest.mark.parametrize("size", [Size(UPLOAD_LIMIT + 1), Size(1, UNZIPPED_LIMIT + 1)], ids=["an upload", "unzipped"])
def test_package_over_a_limit_of_lambda_is_refused(size: Size) -> None:
    with pytest.raises(CannotPackage, match=r"^bridge\.zip: [0-9,]+ bytes .* Lambda accepts [0-9,]+\. Fix: "):
        check_size(Path("bridge.zip"), size)


def test_package_at_the_limits_of_lambda_is_accepted() -> None:
    check_size(Path("bridge.zip"), Size(UPLOAD_LIMIT, UNZIPPED_LIMIT))
