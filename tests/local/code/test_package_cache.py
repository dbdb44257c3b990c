"""The cached environments: complete or absent, and each installed once."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from lattice_bridge.local.code.manifest import Manifest
from lattice_bridge.local.code.package_cache import (
    BadCache,
    InstallFailed,
    PackageCache,
    cache_folder,
    error_lines,
    is_open,
    is_replaceable,
    key_of,
)


def manifest(folder: Path, *requirements: str) -> Manifest:
    return Manifest(folder / "requirements.txt", requirements, bridge=False)


def installs(requirements: Path, target: Path, folder: Path) -> None:
    """An installer that writes a module with the lines that it was given."""
    (target / "listed.py").write_text(repr([requirements.read_text(), str(folder)]))


def fails(requirements: Path, target: Path, folder: Path) -> None:
    (target / "half.py").write_text("")
    raise InstallFailed("ERROR: no matching distribution")


def is_interrupted(requirements: Path, target: Path, folder: Path) -> None:
    (target / "half.py").write_text("")
    raise KeyboardInterrupt


def test_packages_are_installed_once(tmp_path: Path) -> None:
    said: list[str] = []
    cache = PackageCache(tmp_path / "cache", installs, said.append)
    wanted = manifest(tmp_path, "flask", "requests")
    assert cache.find(wanted) is None
    folder = cache.make(wanted, "orders, bills")
    assert (folder / "listed.py").read_text() == repr(["flask\nrequests\n", str(tmp_path)])
    assert PackageCache(tmp_path / "cache", fails, said.append).make(wanted, "orders") == folder
    assert cache.find(wanted) == folder
    assert len(said) == 2
    assert said[0] == f"orders, bills: installing the packages of {wanted.path} (once) …"
    assert said[1].startswith("orders, bills: installed in ")


def test_other_list_gets_another_environment(tmp_path: Path) -> None:
    cache = PackageCache(tmp_path / "cache", installs, lambda _: None)
    assert cache.make(manifest(tmp_path, "flask==3"), "a") != cache.make(manifest(tmp_path, "flask==2"), "a")


@pytest.mark.parametrize(("installer", "error"), [(fails, InstallFailed), (is_interrupted, KeyboardInterrupt)])
def test_failed_installation_leaves_nothing(
    tmp_path: Path, installer: Callable[[Path, Path, Path], None], error: type[BaseException]
) -> None:
    cache = PackageCache(tmp_path / "cache", installer, lambda _: None)
    with pytest.raises(error):
        cache.make(manifest(tmp_path, "flask"), "orders")
    assert list((tmp_path / "cache").iterdir()) == []


def test_two_stacks_install_the_same_list_once(tmp_path: Path) -> None:
    """The second one waits for the first, and uses its environment."""
    began, may_end, waits = threading.Event(), threading.Event(), threading.Event()
    runs: list[str] = []

    def slow(requirements: Path, target: Path, folder: Path) -> None:
        runs.append("once")
        began.set()
        assert may_end.wait(20)
        installs(requirements, target, folder)

    def said(line: str) -> None:
        if "waiting" in line:
            waits.set()

    wanted = manifest(tmp_path, "flask")
    found: list[Path] = []
    stacks = [
        threading.Thread(target=lambda: found.append(PackageCache(tmp_path / "c", slow, said).make(wanted, "a")))
        for _ in range(2)
    ]
    stacks[0].start()
    assert began.wait(20)
    stacks[1].start()
    assert waits.wait(20)
    may_end.set()
    for stack in stacks:
        stack.join(20)
    assert (runs, found) == (["once"], [tmp_path / "c" / key_of(wanted)] * 2)


def test_leftovers_of_a_killed_stack_are_removed_later(tmp_path: Path) -> None:
    cache = PackageCache(tmp_path / "cache", installs, lambda _: None)
    cache.make(manifest(tmp_path, "first"), "orders")
    old, fresh = tmp_path / "cache" / "a.1.new", tmp_path / "cache" / "a.2.new"
    for folder in (old, fresh):
        (folder / "packages").mkdir(parents=True)
    os.utime(old, (0, 0))
    cache.make(manifest(tmp_path, "second"), "orders")
    assert (old.exists(), fresh.exists()) == (False, True)


def test_cache_that_others_may_write_to_is_refused(tmp_path: Path) -> None:
    """Trap G13: its packages run with the rights of the person who starts the stack."""
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache").chmod(0o777)
    with pytest.raises(BadCache, match="Fix: set XDG_CACHE_HOME to a folder of your own"):
        PackageCache(tmp_path / "cache", installs, lambda _: None).make(manifest(tmp_path, "flask"), "orders")


OWN: Final = os.getuid()
OTHER: Final = OWN + 1


@pytest.mark.parametrize(
    ("owner", "mode", "open_", "replaceable"),
    [
        (OWN, 0o700, False, False),
        (OWN, 0o755, False, False),
        (OWN, 0o775, True, False),
        (OWN, 0o757, True, True),
        (OWN, 0o1777, True, False),
        (OTHER, 0o700, True, True),
        (OTHER, 0o1777, True, True),
    ],
)
def test_owner_and_mode_tell_who_may_put_code_into_the_cache(
    *, owner: int, mode: int, open_: bool, replaceable: bool
) -> None:
    """Trap G13: each of owner, group and others alone is enough."""
    found = os.stat_result((mode, 0, 0, 0, owner, 0, 0, 0, 0, 0))
    assert (is_open(found), is_replaceable(found)) == (open_, replaceable)


@pytest.mark.parametrize("mode", [0o1777, 0o777])
def test_cache_that_others_may_replace_is_refused(mode: int, tmp_path: Path) -> None:
    """Trap G13: who may write to the parent of a folder may put another one in its place. In a sticky parent, as /tmp
    is, they may not."""
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared").chmod(mode)
    cache = PackageCache(tmp_path / "shared" / "packages", installs, lambda _: None)
    if mode == 0o1777:
        assert cache.make(manifest(tmp_path, "flask"), "orders").is_dir()
        return
    with pytest.raises(BadCache, match="shared: another user owns it or may write to it"):
        cache.make(manifest(tmp_path, "flask"), "orders")


def test_cache_that_cannot_be_made_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BadCache, match=r"file/cache: Not a directory. Fix: set XDG_CACHE_HOME"):
        PackageCache(tmp_path / "file" / "cache", installs, lambda _: None).find(manifest(tmp_path, "flask"))


def test_cache_is_where_the_xdg_specification_has_it() -> None:
    assert cache_folder({"XDG_CACHE_HOME": "/var/c"}) == Path("/var/c/lattice-bridge/packages")
    for ignored in ({}, {"XDG_CACHE_HOME": ""}, {"XDG_CACHE_HOME": "relative"}):
        assert cache_folder(ignored) == Path.home() / ".cache" / "lattice-bridge" / "packages"


# ---- pip ------------------------------------------------------------------------------------------------------------


def test_error_lines_contain_no_password() -> None:
    """The URL of a private index often contains a token."""
    output = "Collecting x\nERROR: Could not fetch https://user:s3@cret@pip.example.com/simple/x\n  note: more\n"
    assert error_lines(output) == "ERROR: Could not fetch https://pip.example.com/simple/x"


def test_output_without_an_error_line_is_shown_at_its_end() -> None:
    assert error_lines("\n".join(f"line {number}" for number in range(30))).splitlines()[0] == "line 20"
