"""The contents of a wheel and an sdist that are built in a checkout with secrets."""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import Final

import pytest

from lattice_bridge.cli.init import FRAMEWORKS
from lattice_bridge.config.code_hash import code_hash, hash_of
from lattice_bridge.packaging.contents import own_code
from lattice_bridge.packaging.install import LAMBDA
from lattice_bridge.version import __version__
from tests.support.paths import ROOT
from tests.testing.test_strangers_project import environment, run

SECRETS: Final = (
    *(".env", ".aws/credentials", "id_rsa", "identities.toml", "key.pem", "samconfig.toml", "notes.md", "prod.json"),
    *("lattice_bridge/.env", "lattice_bridge/identities.toml", "lattice_bridge/keys.json", "lattice_bridge/secret.pem"),
    *("lattice_bridge/project/identities.toml", "lattice_bridge/project/.env", "lattice_bridge/project/none/.env"),
    *("lattice_bridge/project/samconfig.toml", "lattice_bridge/project/none/key.pem"),
    *("events/.env", "events/identities.toml", "events/v2/key.pem", "tests/x.pem", "docs/.env", "tools/token.txt"),
    "lattice_bridge/packaging/token.txt",
)
PROJECT: Final = (
    *("bridge.toml", "template.yaml", "Makefile", "pytest.ini", "gitignore"),
    *(f"{framework}/requirements.txt" for framework in FRAMEWORKS if framework != "none"),
)
"""Of the project that `lattice-bridge init` writes, the files that are not Python's."""
SECRET: Final = "hunter2, which must not be published"
NAME: Final = f"lattice_bridge-{__version__}"


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the checkout, without .gitignore: what is not listed is left out even if git does not ignore it."""
    folder = tmp_path_factory.mktemp("copy") / "checkout"
    unneeded = (".git", ".gitignore", ".venv", ".*_cache", ".hypothesis", "__pycache__", "dist", "build")
    shutil.copytree(ROOT, folder, ignore=shutil.ignore_patterns(*unneeded))
    for name in SECRETS:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(SECRET, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def wheel(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built("wheel", checkout, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def sdist(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built("sdist", checkout, tmp_path_factory.mktemp("sdist"))


def test_wheel_contains_the_package_the_plugin_and_the_corpus(wheel: Path) -> None:
    """Trap G6."""
    names = [name for name in files_of(wheel) if ".dist-info/" not in name]
    others = {name for name in names if not (name.startswith("lattice_bridge/") and name.endswith(".py"))}
    assert others == {
        *("_lattice_bridge_pytestplugin.py", "lattice_bridge/code.sha256", "lattice_bridge/py.typed"),
        *("lattice_bridge/packaging/requirements-lambda.txt", "lattice_bridge/testing/events.zip"),
        "lattice_bridge/local/environments/node_client.mjs",
        *(
            f"lattice_bridge/local/inspector/page/{file.name}"
            for file in (ROOT / "lattice_bridge/local/inspector/page").iterdir()
        ),
        *(f"lattice_bridge/project/{name}" for name in PROJECT),
    }


def test_wheel_contains_the_hash_of_the_code_that_it_was_built_from(wheel: Path) -> None:
    """A checkout compiles configurations that a wheel of the same code reads."""
    assert files_of(wheel)["lattice_bridge/code.sha256"].decode() == code_hash() == hash_of(ROOT / "lattice_bridge")


def test_sdist_contains_what_a_wheel_is_built_from(sdist: Path) -> None:
    """Trap G6."""
    files = files_of(sdist)
    names = [name.removeprefix(f"{NAME}/") for name in files]
    assert {name.partition("/")[0] for name in names} == {
        *("CHANGELOG.md", "LICENSE", "PKG-INFO", "README.md", "pyproject.toml"),
        *("_lattice_bridge_pytestplugin.py", "events", "hatch_build.py", "lattice_bridge"),
    }
    kinds = {(name.partition("/")[0], Path(name).suffix) for name in names if "/" in name}
    assert kinds == {
        *(("events", ".json"), ("events", ".toml")),
        *(("lattice_bridge", ".py"), ("lattice_bridge", ".txt"), ("lattice_bridge", ".typed")),
        *(("lattice_bridge", kind) for kind in (".mjs", ".html", ".css", ".js")),
        *(("lattice_bridge", Path(name).suffix) for name in PROJECT),
    }
    assert {f"lattice_bridge/project/{name}" for name in PROJECT} <= set(names)
    assert not contain_secret(files)


def test_wheel_that_is_built_of_an_sdist_is_the_same(sdist: Path, wheel: Path, tmp_path: Path) -> None:
    with tarfile.open(sdist) as file:
        file.extractall(tmp_path, filter="data")
    assert files_of(built("wheel", tmp_path / NAME, tmp_path)) == files_of(wheel)


def test_secrets_of_the_checkout_are_not_packaged(checkout: Path, wheel: Path, tmp_path: Path) -> None:
    """Trap G6: neither in the wheel, nor in what `package` takes from a checkout."""
    files = files_of(wheel)
    assert not contain_secret(files)
    assert not contain_secret(files_in(io.BytesIO(files["lattice_bridge/testing/events.zip"])))
    deployed = own_code(tmp_path, checkout / "lattice_bridge")
    assert not contain_secret({name: file.path.read_bytes() for name, file in deployed.items()})


def test_wheel_is_packaged_as_its_checkout_is(checkout: Path, wheel: Path, tmp_path: Path) -> None:
    """`lattice-bridge package` gives the same zip, and installs the same dependencies, in both."""
    with zipfile.ZipFile(wheel) as file:
        file.extractall(tmp_path)
    assert (tmp_path / "lattice_bridge" / "packaging" / LAMBDA.name).read_bytes() == LAMBDA.read_bytes()
    found = []
    for name, package in (("one", checkout / "lattice_bridge"), ("two", tmp_path / "lattice_bridge")):
        code = own_code(tmp_path / name, package)
        found.append({name: file.path.read_bytes() for name, file in code.items()})
    assert found[0] == found[1]
    assert not [name for name in found[0] if name.startswith("lattice_bridge/project/")]


def test_corpus_in_the_wheel_is_events_and_their_map(wheel: Path) -> None:
    names = files_in(io.BytesIO(files_of(wheel)["lattice_bridge/testing/events.zip"])).keys()
    assert {name for name in names if not name.endswith(".json")} == {"decisions.toml"}
    assert {f"events/{name}" for name in names} == {
        path.relative_to(ROOT).as_posix() for path in (ROOT / "events").rglob("*.*") if path.is_file()
    }


@pytest.mark.parametrize(
    ("name", "link", "target"),
    [
        ("lattice_bridge/linked.py", "lattice_bridge/linked.py", "wheel"),
        ("lattice_bridge/more/linked.py", "lattice_bridge/more", "sdist"),
        ("events/v2/linked.json", "events/v2/linked.json", "wheel"),
        ("events/v2/linked.json", "events/v2/linked.json", "sdist"),
    ],
)
def test_link_is_refused(checkout: Path, tmp_path: Path, name: str, link: str, target: str) -> None:
    """Trap G6."""
    shutil.copytree(checkout, tmp_path / "checkout", ignore=shutil.ignore_patterns("tests", "docs", "benchmarks"))
    (tmp_path / "elsewhere").mkdir()
    elsewhere = tmp_path / "elsewhere" / Path(name).name
    elsewhere.write_text(f'"{SECRET}"\n', encoding="utf-8")
    (tmp_path / "checkout" / link).symlink_to(elsewhere if link == name else elsewhere.parent)
    command = [sys.executable, "-m", "hatchling", "build", "--target", target, "--directory", str(tmp_path)]
    done = subprocess.run(
        command, cwd=tmp_path / "checkout", env=environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    assert f"{name} is a symbolic link" in done.stderr


def built(target: str, folder: Path, output: Path) -> Path:
    run([sys.executable, "-m", "hatchling", "build", "--target", target, "--directory", str(output)], folder)
    (archive,) = output.glob("*.whl" if target == "wheel" else "*.tar.gz")
    return archive


def files_of(archive: Path) -> dict[str, bytes]:
    """The name of each file in a wheel or an sdist, and its bytes."""
    if archive.suffix == ".whl":
        return files_in(io.BytesIO(archive.read_bytes()))
    with tarfile.open(archive) as file:
        found = {member.name: file.extractfile(member) for member in file.getmembers()}
        return {name: stream.read() for name, stream in found.items() if stream is not None}


def files_in(archive: io.BytesIO) -> dict[str, bytes]:
    with zipfile.ZipFile(archive) as file:
        return {name: file.read(name) for name in file.namelist()}


def contain_secret(files: dict[str, bytes]) -> list[str]:
    return [name for name, data in files.items() if SECRET.encode() in data]
