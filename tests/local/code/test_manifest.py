"""A function's list of packages, as lines for an installer."""

from __future__ import annotations

from pathlib import Path

import pytest

from lattice_bridge.local.code.manifest import BadManifest, Manifest, find_manifest, read_manifest
from lattice_bridge.local.code.package_cache import key_of


def written(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def requirements(folder: Path, text: str) -> Manifest:
    return read_manifest(written(folder, "requirements.txt", text))


def test_requirements_file_comes_before_pyproject(tmp_path: Path) -> None:
    assert find_manifest(tmp_path) is None
    project = written(tmp_path, "pyproject.toml", "")
    assert find_manifest(tmp_path) == project
    listed = written(tmp_path, "requirements.txt", "")
    assert find_manifest(tmp_path) == listed


def test_comments_and_empty_lines_are_no_requirements(tmp_path: Path) -> None:
    found = requirements(tmp_path, "# ours\n\nflask==3.0  # web\nx @ https://example.com/x.whl#sha256=f00\n")
    assert found.requirements == ("flask==3.0", "x @ https://example.com/x.whl#sha256=f00")
    assert not found.bridge


@pytest.mark.parametrize(
    "line",
    [
        *("lattice-bridge", "lattice_bridge==0.1", "Lattice.Bridge[local]>=1", "lattice-bridge @ file:///x"),
        "lattice-bridge==1 \\\n  --hash=sha256:f00",
    ],
)
def test_lattice_bridge_is_not_installed_but_served(tmp_path: Path, line: str) -> None:
    found = requirements(tmp_path, f"flask\n{line}\n")
    assert (found.requirements, found.bridge) == (("flask",), True)


@pytest.mark.parametrize("line", ["lattice-bridge-extras", "my-lattice-bridge", "latticebridge"])
def test_package_with_a_similar_name_is_installed(tmp_path: Path, line: str) -> None:
    found = requirements(tmp_path, line)
    assert (found.requirements, found.bridge) == ((line,), False)


def test_included_files_are_part_of_the_list(tmp_path: Path) -> None:
    written(tmp_path, "common/base.txt", "-r more.txt\n")
    written(tmp_path, "common/more.txt", "requests\n-r base.txt\n")
    found = requirements(tmp_path, "-r common/base.txt\nflask\n")
    assert found.requirements == ("requests", "flask")
    written(tmp_path, "common/more.txt", "requests==2\n")
    assert key_of(read_manifest(found.path)) != key_of(found)


@pytest.mark.parametrize("local", ["./own", "-e ./own", "own[extra] @ file://FOLDER/own ; python_version > '3'"])
def test_change_of_a_constraint_or_local_package_changes_the_key(tmp_path: Path, local: str) -> None:
    local = local.replace("FOLDER", str(tmp_path))
    limits = written(tmp_path, "limits.txt", "flask<4")
    module = written(tmp_path, "own/own.py", "1")
    path = written(tmp_path, "requirements.txt", f"-c limits.txt\n{local}\nflask\n")
    first = read_manifest(path)
    assert first.requirements == (f"-c {limits}", local, "flask")
    keys = {key_of(first), key_of(read_manifest(path))}
    assert len(keys) == 1
    module.write_text("12")
    keys.add(key_of(read_manifest(path)))
    limits.write_text("flask<3")
    keys.add(key_of(read_manifest(path)))
    assert len(keys) == 3


def test_pyproject_lists_its_dependencies(tmp_path: Path) -> None:
    text = '[project]\nname = "x"\ndependencies = ["flask>=3", "lattice-bridge"]\n'
    found = read_manifest(written(tmp_path, "pyproject.toml", text))
    assert (found.requirements, found.bridge) == (("flask>=3",), True)


def test_pyproject_with_settings_of_tools_alone_lists_nothing(tmp_path: Path) -> None:
    assert read_manifest(written(tmp_path, "pyproject.toml", "[tool.ruff]\n")).requirements == ()


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("pyproject.toml", "[project", "not TOML: "),
        ("pyproject.toml", '[project]\ndependencies = "flask"', "project.dependencies is not a list of strings. Fix: "),
        ("pyproject.toml", '[project]\ndynamic = ["dependencies"]', "not under [project] dependencies"),
        ("pyproject.toml", "[tool.poetry.dependencies]\nflask = '3'", "no other table is read. Fix: list them there"),
        ("requirements.txt", "-r gone.txt", "gone.txt: No such file or directory. Fix: "),
        ("requirements.txt", "-c .", "not a regular file but a folder"),
    ],
)
def test_list_that_cannot_be_read_is_refused(tmp_path: Path, name: str, text: str, message: str) -> None:
    with pytest.raises(BadManifest) as caught:
        read_manifest(written(tmp_path, name, text))
    assert message in str(caught.value)
