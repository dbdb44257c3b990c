"""Maps of git revisions."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from lattice_bridge.cli.git_revision import is_revision, read_revision
from lattice_bridge.config.regular_file import BadFile
from tests.support.builders import MAP
from tests.support.commands import read, written


def git(folder: Path, *words: str) -> None:
    environ = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.com"]
    subprocess.run(["git", *identity, *words], cwd=folder, check=True, capture_output=True, env=environ)


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two commits: `old` has another map than HEAD. The work tree has a third one."""
    folder = tmp_path_factory.mktemp("repository")
    (folder / "maps").mkdir()
    git(folder, "init", "--quiet")
    for name, text in (("old", MAP), ("new", MAP.replace('tenant = "blue"', 'tenant = "green"'))):
        written(folder / "maps" / "bridge.toml", text)
        git(folder, "add", ".")
        git(folder, "commit", "--quiet", "--message", name)
        git(folder, "tag", name)
    written(
        folder / "maps" / "bridge.toml",
        MAP + '[[rule]]\nid = "x"\nroot = "arn:aws:iam::111122223333:root"\ntenant = "blue"\n',
    )
    return folder


@pytest.fixture
def inside(repository: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(repository)
    return repository


def test_file_is_read_as_the_revision_has_it(inside: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = read_revision("old:maps/bridge.toml", 10_000)
    assert (found.content.decode(), found.folder) == (MAP, inside / "maps")
    monkeypatch.chdir(inside / "maps")
    assert read_revision("old:maps/bridge.toml", 10_000).folder == inside / "maps"
    assert read_revision("old:./bridge.toml", 10_000) == (MAP.encode(), Path())


def test_maps_of_revisions_are_compared(inside: Path) -> None:
    assert "blue\tgreen" in read("diff", "old:maps/bridge.toml", "HEAD:maps/bridge.toml").output
    assert "gains\troot" in read("diff", "old:maps/bridge.toml", "maps/bridge.toml").output
    assert read("diff", "old:maps/bridge.toml", "-", stdin=MAP).output == "no change\n"
    assert read("check", "HEAD:maps/bridge.toml").output.startswith(
        "HEAD:maps/bridge.toml: 5 rules, 3 tenants, no tests: "
    )
    assert read("who", "blue", "--map", "old:maps/bridge.toml").exit_code == 0


def test_name_of_a_file_is_no_revision(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    written(tmp_path / "HEAD:map.toml", MAP)
    assert (is_revision("HEAD:map.toml"), is_revision("HEAD:other.toml"), is_revision("map.toml")) == (
        False,
        True,
        False,
    )
    assert read("check", "HEAD:map.toml").exit_code == 0


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("HEAD:nothing.toml", "no such revision or path in the git repository. Fix: write a path from"),
        ("nothing:maps/bridge.toml", "no such revision or path in the git repository"),
        ("HEAD:maps", "not a file but a folder"),
        ("--output=made:maps/bridge.toml", "no such revision or path"),
        ("--textconv:x", "no such revision or path"),
        ("HEAD:a\nHEAD:maps/bridge.toml", "not a file's name"),
        ("HEAD:\0", "not a file's name"),
    ],
)
def test_revision_that_is_none_is_named_and_no_option_of_git(inside: Path, name: str, what: str) -> None:
    """Traps G4, G5: the name reaches git on its standard input."""
    before = sorted(inside.rglob("made*"))
    with pytest.raises(BadFile, match=what):
        read_revision(name, 10_000)
    assert sorted(inside.rglob("made*")) == before == []


def test_file_over_the_limit_is_not_read(inside: Path) -> None:
    """Trap G4."""
    with pytest.raises(BadFile, match="over 0 KiB"):
        read_revision("old:maps/bridge.toml", 100)


def test_folder_that_is_no_repository_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    done = read("diff", "HEAD:bridge.toml", "bridge.toml")
    assert (done.exit_code, "HEAD:bridge.toml: no such file, and not in a git repository. Fix: " in done.stderr) == (
        2,
        True,
    )
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "no such file, and git is not installed" in read("check", "HEAD:bridge.toml").stderr
