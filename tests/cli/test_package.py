"""`lattice-bridge package`: what it refuses, and what it prints."""

from __future__ import annotations

import errno
import json
import os
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import pytest
from click.testing import CliRunner, Result

from lattice_bridge.cli.package import draw
from lattice_bridge.cli.root import root
from lattice_bridge.packaging.archive import Size, Written
from lattice_bridge.packaging.contents import CannotPackage
from lattice_bridge.packaging.install import RUNTIMES
from tests.packaging.test_configuration import MAP
from tests.support.packages import install_a_package

RUNTIME: Final = f"python{sys.version_info.major}.{sys.version_info.minor}"
OTHER: Final = next(one for one in RUNTIMES if one != RUNTIME)
"""A runtime whose Python is not here: without bytecode, the tests are quicker."""

FAILED_TEST: Final = '[[test]]\nprincipal = "arn:aws:sts::111122223333:assumed-role/other/i"\nexpect = "blue"\n'


def no_pip(folder: Path, arch: str, runtime: str, boto3: bool) -> None:
    raise CannotPackage("requirements-lambda.txt: pip did not install what it lists. Fix: check the network")


def run(folder: Path, *arguments: str, text: str = MAP, obj: Any = install_a_package) -> Result:
    """The command, with a folder's bridge.toml."""
    (folder / "bridge.toml").write_text(text, encoding="utf-8")
    words = ["package", str(folder / "bridge.toml"), *arguments]
    return CliRunner(env={"PATH": ""}).invoke(root, words, obj=obj, catch_exceptions=False)


def packaged(folder: Path, *arguments: str) -> dict[str, Any]:
    done = run(folder, "--runtime", OTHER, "--json", *arguments)
    assert done.exit_code == 0, done.output
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_both_architectures_are_built_by_default(tmp_path: Path) -> None:
    found = packaged(tmp_path, "--output", str(tmp_path / "out"))
    assert [Path(one["path"]).name for one in found["built"]] == [
        *("bridge-arm64.zip", "layer-arm64.zip", "bridge-x86_64.zip", "layer-x86_64.zip")
    ]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(
        Path(one["path"]).name for one in found["built"]
    )
    assert [one["zipped"] for one in found["built"]] == [
        (tmp_path / "out" / Path(one["path"]).name).stat().st_size for one in found["built"]
    ]


def test_default_folder_is_dist_in_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    packaged(tmp_path, "--arch", "arm64", "--arch", "arm64")
    assert sorted(path.name for path in (tmp_path / "dist").iterdir()) == ["bridge-arm64.zip", "layer-arm64.zip"]


def test_folder_is_described_without_a_compressed_size(tmp_path: Path) -> None:
    found = packaged(tmp_path, "--folder", str(tmp_path / "to"), "--arch", "x86_64")
    (built,) = found["built"]
    unpacked = sum(path.stat().st_size for path in (tmp_path / "to").rglob("*") if path.is_file())
    assert (built["sha256"], built["zipped"], built["unzipped"]) == (None, None, unpacked)
    assert (tmp_path / "to" / "bridge.json").is_file()


def test_sizes_are_printed_with_the_hash(tmp_path: Path) -> None:
    done = run(tmp_path, "--runtime", RUNTIME, "--arch", "arm64", "--output", str(tmp_path))
    lines = done.stdout.splitlines()
    assert lines[0].startswith(f"{tmp_path}/bridge-arm64.zip: ")
    assert len(lines[0].rpartition("sha256 ")[2]) == 64
    assert lines[1].endswith("  lattice-bridge " + version("lattice-bridge"))
    assert {line.split(maxsplit=1)[1] for line in lines[2:-1]} == {"a 1.0", "bridge.toml"}
    assert lines[-1].startswith(f"{tmp_path}/layer-arm64.zip: ")
    assert "arm64: compiling " in done.stderr


@pytest.mark.parametrize("columns", [80, 120])
def test_terminal_shows_a_table_of_what_is_in_the_zips(
    tmp_path: Path, columns: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    contents = {"cryptography 50.0.2": Size(4_900_000, 14_600_000), "bridge.toml": Size(1_040, 2_493)}
    zips = [
        Written(tmp_path / name, Size(9_637_723, 27_112_062), "a1" * 32, contents)
        for name in ("bridge-arm64.zip", "layer-arm64.zip")
    ]
    draw(zips)
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert [line.split() for line in lines if line.startswith(("contains", "crypto", "bridge.toml"))] == [
        ["contains", "bridge-arm64.zip"],
        ["cryptography", "50.0.2", "4.9", "MB"],
        ["bridge.toml", "1.0", "kB"],
    ]
    assert lines.count("  9.6 MB, unzipped 27.1 MB") == 2
    assert lines.count(f"  sha256 {'a1' * 32}") == 2
    assert max(map(len, lines)) <= columns


@pytest.mark.parametrize(
    "arguments",
    [(), ("--arch", "arm64", "--arch", "x86_64"), ("--arch", "arm64", "--output", "o")],
    ids=["none", "two", "zips as well"],
)
def test_folder_is_for_one_architecture_and_no_zip(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    done = run(tmp_path, "--folder", str(tmp_path / "to"), *arguments)
    assert done.exit_code == 2
    assert "--folder takes one --arch and no --output. Fix: add --arch arm64" in done.stderr


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (MAP.replace("tenant =", "tennant ="), "error: "),
        (MAP + FAILED_TEST, "error: test number 1 "),
        (
            MAP.partition("[tenants]")[1] + MAP.partition("[tenants]")[2],
            "error: no [[backend]] and no [[event_source]]. Fix: ",
        ),
    ],
    ids=["does not load", "test fails", "no backend"],
)
def test_map_with_an_error_is_not_packaged(tmp_path: Path, text: str, fault: str) -> None:
    """A `[[test]]` that fails is an error, as for `compile`: the map decides otherwise than its author expects."""
    done = run(tmp_path, "--output", str(tmp_path / "dist"), text=text)
    assert (done.exit_code, done.stdout) == (1, "")
    assert fault in done.stderr
    assert not (tmp_path / "dist").exists()


def test_failed_installation_is_an_error_without_a_traceback(tmp_path: Path) -> None:
    done = run(tmp_path, "--output", str(tmp_path / "dist"), obj=no_pip)
    assert (done.exit_code, done.stdout) == (1, "")
    assert "error: requirements-lambda.txt: pip did not install what it lists. Fix: " in done.stderr
    assert not (tmp_path / "dist").exists()


def test_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    done = run(tmp_path, "--arch", "arm64", "--output", str(tmp_path / "file" / "dist"))
    assert done.exit_code == 2
    assert f"{tmp_path}/file/dist: Not a directory. Fix: name a folder that you can write" in done.stderr


def test_full_disk_is_reported_without_a_file(tmp_path: Path) -> None:
    """The system names none then."""

    def install(folder: Path, arch: str, runtime: str, boto3: bool) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    done = run(tmp_path, "--output", str(tmp_path / "made"), obj=install)
    assert (done.exit_code, "Error: No space left on device. Fix: " in done.stderr) == (2, True)


def test_interrupted_command_has_the_exit_code_of_shells(tmp_path: Path) -> None:
    """1 would mean that the map has an error."""

    def install(folder: Path, arch: str, runtime: str, boto3: bool) -> None:
        raise KeyboardInterrupt

    assert run(tmp_path, "--output", str(tmp_path / "made"), obj=install).exit_code == 130
    assert not (tmp_path / "made").exists()


def test_missing_bytecode_is_one_line_with_its_cost_and_a_fix(tmp_path: Path) -> None:
    done = run(tmp_path, "--runtime", OTHER, "--arch", "arm64", "--output", str(tmp_path))
    assert done.exit_code == 0
    (warning,) = [line for line in done.stderr.splitlines() if line.startswith("warning: ")]
    assert f"there is no {OTHER} on the PATH" in warning
    assert "ms of CPU" in warning
    assert warning.endswith(f"Fix: put {OTHER} on the PATH, for example with `uv python install {OTHER[6:]}`")


def test_runtime_that_lambda_does_not_have_is_refused_with_those_it_has(tmp_path: Path) -> None:
    done = run(tmp_path, "--runtime", "python3.10")
    assert done.exit_code == 2
    assert "'python3.13'" in done.stderr
