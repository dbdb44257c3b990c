"""A zip that is a function's code, and zips that are not unpacked."""

from __future__ import annotations

import stat
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

import pytest

from lattice_bridge.config.regular_file import MIB
from lattice_bridge.local.code.code_folders import CodeFolders
from lattice_bridge.local.code.code_zip import MAX_ENTRIES, BadArchive, unpack
from lattice_bridge.local.plan.model import Function, Plan


def entry(name: str, kind: int = stat.S_IFREG, mode: int = 0o644) -> ZipInfo:
    info = ZipInfo(name)
    info.external_attr = (kind | mode) << 16
    info.compress_type = ZIP_DEFLATED
    return info


def zipped(folder: Path, *entries: tuple[ZipInfo, bytes | str]) -> Path:
    path = folder / "code.zip"
    with ZipFile(path, "w") as opened:
        for info, content in entries:
            opened.writestr(info, content)
    return path


def link(name: str, destination: str) -> tuple[ZipInfo, str]:
    return entry(name, stat.S_IFLNK, 0o777), destination


def test_zip_is_unpacked_read_only(tmp_path: Path) -> None:
    path = zipped(
        tmp_path,
        (entry("app.py"), "import own"),
        (entry("bin/tool", mode=0o755), "#!"),
        (ZipInfo("plain/"), b""),
        link("own.py", "lib/own.py"),
        (entry("lib/own.py"), "1"),
    )
    unpack(path, tmp_path / "code")
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in (tmp_path / "code").rglob("*")}
    assert modes == {
        "app.py": 0o444,
        "bin": 0o555,
        "tool": 0o555,
        "plain": 0o555,
        "own.py": 0o444,
        "lib": 0o555,
    }
    assert (tmp_path / "code" / "own.py").read_text() == "1"


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ([(entry("../evil.py"), "x")], "'../evil.py' is outside of the folder"),
        ([(entry("a/../../evil.py"), "x")], "is outside of the folder"),
        ([(entry("/etc/evil.py"), "x")], "is outside of the folder"),
        ([link("out", "/etc")], "the link 'out' leads to '/etc', outside"),
        ([link("out", "../..")], "outside. Fix: remove it"),
        ([link("here", "."), link("there", "here/../..")], "outside. Fix: remove it"),
        ([link("d", "/tmp"), (entry("d/x.py"), "x")], "cannot be unpacked: "),
        ([(entry("d/x"), "x"), link("d", "/tmp")], "cannot be unpacked: "),
        ([(entry("a"), "x"), (entry("a/b"), "x")], "cannot be unpacked: "),
        ([(entry("pipe", stat.S_IFIFO), "")], "'pipe' is neither a file nor a folder nor a link"),
        ([(entry("disk", stat.S_IFBLK), "")], "is neither a file nor a folder nor a link"),
        ([link("long", "x/" * 3000)], "a link with too long a path"),
    ],
)
def test_unsafe_entry_is_refused(tmp_path: Path, entries: list[tuple[ZipInfo, str]], message: str) -> None:
    """Trap G11: a template that someone sends names a zip that writes into the developer's home."""
    with pytest.raises(BadArchive) as caught:
        unpack(zipped(tmp_path, *entries), tmp_path / "code")
    assert message in str(caught.value)
    assert "Fix: " in str(caught.value)
    assert not list(tmp_path.rglob("evil.py"))


def test_entry_that_occurs_twice_is_refused(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="Duplicate name"):
        path = zipped(tmp_path, (entry("app.py"), "1"), (entry("app.py"), "2"))
    with pytest.raises(BadArchive, match="File exists"):
        unpack(path, tmp_path / "code")


def test_zip_that_grows_beyond_the_quota_is_refused(tmp_path: Path) -> None:
    """Trap G4: the bytes that are unpacked count, and not the size that the zip states."""
    zeros = bytes(600 * 1024)
    path = zipped(tmp_path, (entry("zeros"), zeros), (entry("more"), zeros))
    assert path.stat().st_size < 10_000
    with pytest.raises(BadArchive, match="over 1 MiB unpacked, which Lambda refuses"):
        unpack(path, tmp_path / "code", max_bytes=MIB)


def test_zip_with_too_many_entries_is_refused_before_they_are_parsed(tmp_path: Path) -> None:
    """Trap G4."""
    path = tmp_path / "code.zip"
    path.write_bytes(b"PK\x01\x02" * (MAX_ENTRIES + 1))
    with pytest.raises(BadArchive, match="more than 100000 files"):
        unpack(path, tmp_path / "code")


def test_entry_over_the_quota_is_not_inflated_to_its_end(tmp_path: Path) -> None:
    """Trap G11: 64 MiB of zeros are 64 KB in a zip, and would be in memory before they are counted."""
    path = zipped(tmp_path, (entry("zeros"), bytes(64 * MIB)))
    tracemalloc.start()
    try:
        with pytest.raises(BadArchive, match="over 1 MiB unpacked"):
            unpack(path, tmp_path / "code", max_bytes=MIB)
        assert tracemalloc.get_traced_memory()[1] < 16 * MIB
    finally:
        tracemalloc.stop()


def test_zip_with_too_many_folders_is_refused(tmp_path: Path) -> None:
    """Trap G11: one entry of 4 KB has up to 2,000 folders in its path, and a zip has 100,000 entries."""
    entries = [(entry(f"{number}/{'a/' * 400}x"), "") for number in range(4)]
    with pytest.raises(BadArchive, match="more than 1000 folders"):
        unpack(zipped(tmp_path, *entries), tmp_path / "code", max_folders=1000)
    assert len(list((tmp_path / "code").rglob("*"))) < 1000


def as_text(path: Path) -> None:
    path.write_text("not a zip")


def as_folder(path: Path) -> None:
    path.mkdir()


@pytest.mark.parametrize(("make", "message"), [(as_text, "not a zip file"), (as_folder, "but a folder")])
def test_file_that_is_no_zip_is_refused(tmp_path: Path, make: Callable[[Path], None], message: str) -> None:
    make(tmp_path / "code.zip")
    with pytest.raises(BadArchive, match=message):
        unpack(tmp_path / "code.zip", tmp_path / "code")


def test_each_version_of_a_zip_is_unpacked_once(tmp_path: Path) -> None:
    """An environment that still runs the old version keeps its code."""
    path = zipped(tmp_path, (entry("app.py"), "1"))
    functions = {name: Function(name, "arn", "app.handler", path, {}) for name in ("one", "two")}
    functions["folder"] = Function("folder", "arn", "app.handler", tmp_path, {})
    plan, zips = Plan(tmp_path, "us-east-1", functions, (), ()), CodeFolders(tmp_path)
    first = zips.made(plan)
    assert first == zips.made(plan)
    assert {function.code for function in first.functions.values()} == {tmp_path / "code-1", tmp_path}
    zipped(tmp_path, (entry("app.py"), "longer"))
    second = zips.made(plan).functions["one"].code
    path.write_bytes(b"no zip")
    with pytest.raises(BadArchive):
        zips.made(plan)
    assert [folder.joinpath("app.py").read_text() for folder in (tmp_path / "code-1", second)] == ["1", "longer"]
