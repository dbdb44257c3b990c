"""The zips: what is in them, and that their bytes depend on names and contents, and on nothing else."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import sys
import zipfile
from collections.abc import Iterable
from importlib.metadata import Distribution, distribution, distributions
from pathlib import Path
from typing import Final

import click
import pytest
from click.testing import CliRunner
from packaging.requirements import Requirement

from lattice_bridge.config.document import parse_document
from lattice_bridge.testing import Issuer
from tests.support.builders import MAP
from tools.package import (
    LAYER_PREFIX,
    LIMIT,
    UNZIPPED_LIMIT,
    UPLOAD_LIMIT,
    build,
    check_size,
    configuration,
    main,
    show_packages,
)
from tools.package_bytecode import compiled, interpreter
from tools.package_configure import configure
from tools.package_contents import BROUGHT_BY_LAMBDA, File, canonical, contents
from tools.package_install import MACHINES, PYTHONS, ROOT, platforms
from tools.package_zip import Size, sizes, write_folder, write_zip

PACKAGED: Final = ["a.py", "a/lib.so", "a/x.py"]
PACKAGE: Final = (
    *PACKAGED,
    *("a/x.pyi", "a/_x.pyx", "a/x.h", "a/py.typed", "a/__pycache__/x.cpython-313.pyc"),
    *("a/tests/test_x.py", "a/b/test/x.py", "bin/a", "../../bin/a"),
)
RECORDED: Final = ("METADATA", "licenses/LICENSE", "licenses/AUTHORS.md", "NOTICE.txt", "sboms/sbom.json")
NOT_RECORDED: Final = ("RECORD", "WHEEL", "INSTALLER", "REQUESTED", "direct_url.json", "entry_points.txt")


def install(folder: Path, name: str, files: Iterable[str], *, modified: float = 1e9) -> list[Distribution]:
    """A package in the folder, as pip leaves one; returns all that are there."""
    metadata = f"{name.replace('-', '_')}-1.0.dist-info"
    every = [*files, *(f"{metadata}/{file}" for file in (*RECORDED, *NOT_RECORDED))]
    for file in every:
        path = folder / file.removeprefix("../../")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"x = {file!r}\n", encoding="utf-8")
    (folder / metadata / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n", encoding="utf-8"
    )
    (folder / metadata / "RECORD").write_text("".join(f"{file},,\n" for file in every), encoding="utf-8")
    for path in folder.rglob("*"):
        os.utime(path, (modified, modified))
    return list(distributions(path=[str(folder)]))


def names(archive: Path) -> list[str]:
    with zipfile.ZipFile(archive) as file:
        return file.namelist()


# ---- what is in it --------------------------------------------------------------------------------------------------


def test_files_unused_at_run_time_are_left_out(tmp_path: Path) -> None:
    found = contents(install(tmp_path, "a", PACKAGE), boto3=False)
    assert sorted(name for name in found if ".dist-info" not in name) == PACKAGED


def test_scanner_files_are_kept_and_build_records_dropped(tmp_path: Path) -> None:
    found = contents(install(tmp_path, "a", PACKAGE), boto3=False)
    assert {name for name in found if ".dist-info" in name} == {f"a-1.0.dist-info/{name}" for name in RECORDED}


def test_folders_not_deployed_are_left_out(tmp_path: Path) -> None:
    files = [
        *("lattice_bridge/main.py", "lattice_bridge/formats/alb.py", "lattice_bridge/tenancy/name_pattern.py"),
        *(f"lattice_bridge/{name}/x.py" for name in ("cli", "deployment", "local", "testing")),
        *("lattice_bridge/testing/events.zip", "lattice_bridge/__main__.py", "_lattice_bridge_pytestplugin.py"),
    ]
    found = contents(install(tmp_path, "lattice-bridge", files), boto3=True)
    assert [name for name in found if ".dist-info" not in name] == files[:3]


def test_boto3_and_its_dependencies_are_left_out(tmp_path: Path) -> None:
    for name in (*BROUGHT_BY_LAMBDA, "a"):
        installed = install(tmp_path, name, [f"{name}.py"])
    without = {file.package for file in contents(installed, boto3=False).values()}
    with_it = {file.package for file in contents(installed, boto3=True).values()}
    assert (without, len(with_it)) == ({"a 1.0"}, len(BROUGHT_BY_LAMBDA) + 1)


def test_package_is_known_under_each_spelling_of_its_name(tmp_path: Path) -> None:
    assert contents(install(tmp_path, "Python.Dateutil", ["dateutil.py"]), boto3=False) == {}


def test_left_out_packages_are_dependencies_of_boto3_alone() -> None:
    ours = [Requirement(text) for text in distribution("lattice-bridge").requires or () if "extra ==" not in text]
    rest = [requirement for requirement in ours if requirement.name != "boto3"]
    assert needed([Requirement("boto3")]) - needed(rest) == BROUGHT_BY_LAMBDA


def test_bridge_needs_the_same_packages_on_each_of_lambdas_pythons() -> None:
    """pip asks this Python what the other one needs."""
    ours = [Requirement(text) for text in distribution("lattice-bridge").requires or () if "extra ==" not in text]
    found = {frozenset(needed(ours, python)) for python in PYTHONS}
    assert len(found) == 1


def needed(requirements: Iterable[Requirement], python: str = PYTHONS[0]) -> set[str]:
    """The names of these packages and of what they need, in Lambda."""
    found: set[str] = set()
    left = list(requirements)
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


# ---- its bytes ------------------------------------------------------------------------------------------------------


def test_two_zips_of_the_same_contents_are_the_same_bytes(tmp_path: Path) -> None:
    one = contents(install(tmp_path / "one", "a", PACKAGE, modified=1e9), boto3=False)
    two = contents(install(tmp_path / "two", "a", reversed(PACKAGE), modified=1.5e9), boto3=False)
    (tmp_path / "two" / "a" / "x.py").chmod(0o600)
    write_zip(one, tmp_path / "one.zip")
    write_zip(dict(reversed(two.items())), tmp_path / "two.zip")
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "two.zip").read_bytes()


def test_zip_modes_are_readable_and_libraries_executable(tmp_path: Path) -> None:
    write_zip(contents(install(tmp_path / "one", "a", PACKAGE), boto3=False), tmp_path / "one.zip")
    with zipfile.ZipFile(tmp_path / "one.zip") as file:
        modes = {entry.filename: entry.external_attr >> 16 for entry in file.infolist()}
    assert (modes["a.py"], modes["a/lib.so"]) == (0o100644, 0o100755)


def test_layer_has_the_python_prefix(tmp_path: Path) -> None:
    files = contents(install(tmp_path / "one", "a", PACKAGE), boto3=False)
    write_zip(files, tmp_path / "layer.zip", LAYER_PREFIX)
    assert names(tmp_path / "layer.zip") == sorted(f"python/{name}" for name in files)


def test_folder_holds_what_a_zip_does(tmp_path: Path) -> None:
    """`sam build` zips it."""
    files = contents(install(tmp_path / "one", "a", PACKAGE), boto3=False)
    write_folder(files, tmp_path / "folder")
    found = {path for path in (tmp_path / "folder").rglob("*") if path.is_file()}
    assert found == {tmp_path / "folder" / name for name in files}


def test_bytecode_is_the_same_bytes_whatever_the_folder(tmp_path: Path) -> None:
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    found = []
    for name in ("one", "another"):
        files = contents(install(tmp_path / name, "a", PACKAGE), boto3=False)
        (tmp_path / name / "a" / "x.py").write_text("x = {'a', 'b', 'c', 'd'}\nassert 'e' not in {'f', 'g', 'h'}\n")
        found.append({name: file.path.read_bytes() for name, file in compiled(files, tmp_path / name, python).items()})
    assert found[0] == found[1]
    assert set(found[0]) == {importlib.util.cache_from_source(name) for name in ("a.py", "a/x.py")}


def test_bytecode_is_read_though_the_zip_changed_the_sources_time(tmp_path: Path) -> None:
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    files = contents(install(tmp_path, "a", ["a.py"]), boto3=False)
    (cached,) = compiled(files, tmp_path, python).values()
    assert cached.path.read_bytes()[4:8] == (1).to_bytes(4, "little")  # hash-based, and not checked


def test_bytecode_for_a_python_that_is_not_here_is_refused() -> None:
    with pytest.raises(click.ClickException, match=r"needs python3\.99 on the PATH"):
        interpreter("3.99")


# ---- its size -------------------------------------------------------------------------------------------------------


def test_zip_is_named_with_its_size_and_hash(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = contents(install(tmp_path / "one", "a", PACKAGE), boto3=False)
    build(tmp_path / "one.zip", files, boto3=False)
    data = (tmp_path / "one.zip").read_bytes()
    unzipped = sum(file.path.stat().st_size for file in files.values())
    printed = f"one.zip: {len(data):,} bytes, {unzipped:,} unzipped, sha256 {hashlib.sha256(data).hexdigest()}\n"
    assert capsys.readouterr().out == printed


def test_each_package_is_named_with_its_size_the_largest_first(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    install(tmp_path / "one", "a", ["a.py"])
    files = contents(install(tmp_path / "one", "larger", ["b.py", "c.py", "d.py"]), boto3=False)
    write_zip(files, tmp_path / "one.zip")
    show_packages(tmp_path / "one.zip", files)
    printed = capsys.readouterr().out.splitlines()
    assert [line.split()[2:] for line in printed] == [["larger", "1.0"], ["a", "1.0"]]


def test_sizes_of_packages_add_up_to_the_zip(tmp_path: Path) -> None:
    files = contents(install(tmp_path / "one", "a", PACKAGE), boto3=False)
    write_zip(files, tmp_path / "one.zip", LAYER_PREFIX)
    (found,) = sizes(tmp_path / "one.zip", files, LAYER_PREFIX).values()
    assert found.unzipped == sum(file.path.stat().st_size for file in files.values())


@pytest.mark.parametrize(
    ("size", "boto3"),
    [(Size(LIMIT + 1), False), (Size(UPLOAD_LIMIT + 1), True), (Size(1, UNZIPPED_LIMIT + 1), True)],
    ids=["ten megabytes", "an upload", "unzipped"],
)
def test_zip_over_a_limit_is_an_error(size: Size, boto3: bool) -> None:
    with pytest.raises(click.ClickException, match=r"^bridge\.zip: [0-9,]+ bytes"):
        check_size("bridge.zip", size, boto3=boto3)


def test_zip_at_its_limits_is_accepted() -> None:
    check_size("bridge.zip", Size(LIMIT, UNZIPPED_LIMIT), boto3=False)
    check_size("bridge.zip", Size(UPLOAD_LIMIT, UNZIPPED_LIMIT), boto3=True)


# ---- the configuration ----------------------------------------------------------------------------------------------


def test_compiled_configuration_is_packaged(tmp_path: Path) -> None:
    configure(ROOT / "bridge.toml", tmp_path)
    text = (tmp_path / "bridge.toml").read_text(encoding="utf-8")
    assert parse_document(text, (tmp_path / "bridge.json").read_text(encoding="utf-8")).compiled is not None


def test_configuration_is_packaged_as_bridge_toml(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(MAP, encoding="utf-8")
    (tmp_path / "to").mkdir()
    found = configuration(tmp_path / "mine.toml", tmp_path / "to")
    assert found["bridge.toml"] == File(tmp_path / "to" / "bridge.toml", "bridge.toml")
    assert set(found) == {"bridge.toml", "bridge.json"}


def test_key_sets_of_the_configuration_are_packaged(tmp_path: Path) -> None:
    with_key_set(tmp_path, "keys/corp.json")
    (tmp_path / "to").mkdir()
    assert "keys/corp.json" in configuration(tmp_path / "bridge.toml", tmp_path / "to")


@pytest.mark.parametrize("name", ["../corp.json", "keys/../../corp.json"])
def test_key_set_that_is_not_beside_the_map_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "map" / "keys").mkdir(parents=True)
    with_key_set(tmp_path / "map", name)
    assert f'jwt "corp": jwks_file "{name}" is not beside the map. Fix: ' in refusal(tmp_path / "map", tmp_path)


def test_key_set_behind_a_link_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    """Trap G6: a file from elsewhere on the development machine would be deployed."""
    (tmp_path / "map").mkdir()
    with_key_set(tmp_path / "map", "corp.json")
    (tmp_path / "map" / "corp.json").rename(tmp_path / "elsewhere.json")
    (tmp_path / "map" / "corp.json").symlink_to("../elsewhere.json")
    said = 'jwt "corp": jwks_file "corp.json" is a symbolic link out of the folder of bridge.toml. Fix: '
    assert said in refusal(tmp_path / "map", tmp_path)


def test_key_set_in_a_linked_folder_elsewhere_is_refused(tmp_path: Path) -> None:
    """Trap G6."""
    (tmp_path / "map").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "map" / "keys").symlink_to("../elsewhere")
    with_key_set(tmp_path / "map", "keys/corp.json")
    assert "a symbolic link out of the folder" in refusal(tmp_path / "map", tmp_path)


def test_key_set_behind_a_link_within_the_folder_is_packaged_as_a_file(tmp_path: Path) -> None:
    with_key_set(tmp_path, "corp-2.json")
    (tmp_path / "corp.json").symlink_to("corp-2.json")
    text = (tmp_path / "bridge.toml").read_text(encoding="utf-8").replace("corp-2.json", "corp.json")
    (tmp_path / "bridge.toml").write_text(text, encoding="utf-8")
    (tmp_path / "to").mkdir()
    configure(tmp_path / "bridge.toml", tmp_path / "to")
    packaged = tmp_path / "to" / "corp.json"
    assert (packaged.is_symlink(), packaged.read_bytes()) == (False, (tmp_path / "corp-2.json").read_bytes())


def test_configuration_that_is_a_link_is_packaged_as_a_file(tmp_path: Path) -> None:
    (tmp_path / "bridge.toml").symlink_to(ROOT / "bridge.toml")
    (tmp_path / "to").mkdir()
    configure(tmp_path / "bridge.toml", tmp_path / "to")
    packaged = tmp_path / "to" / "bridge.toml"
    assert (packaged.is_symlink(), packaged.read_bytes()) == (False, (ROOT / "bridge.toml").read_bytes())


@pytest.mark.parametrize(
    "secret",
    [{"kty": "EC", "crv": "P-256", "kid": "old", "d": "c2VjcmV0"}, {"kty": "oct", "kid": "old", "k": "c2VjcmV0"}],
    ids=["private", "symmetric"],
)
def test_key_set_with_a_private_key_is_not_packaged(tmp_path: Path, secret: dict[str, str]) -> None:
    """Trap G6."""
    with_key_set(tmp_path, "corp.json")
    keys = json.loads((tmp_path / "corp.json").read_text(encoding="utf-8"))["keys"]
    (tmp_path / "corp.json").write_text(json.dumps({"keys": [*keys, secret]}), encoding="utf-8")
    said = refusal(tmp_path, tmp_path / "to")
    assert 'jwt "corp": jwks_file "corp.json": contains private keys or secrets: key "old" has ' in said
    assert "c2VjcmV0" not in said


def test_private_key_in_pem_is_not_packaged(tmp_path: Path) -> None:
    """Trap G6."""
    with_key_set(tmp_path, "corp.json")
    (tmp_path / "corp.json").write_text("-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n", encoding="utf-8")
    said = refusal(tmp_path, tmp_path / "to")
    assert 'jwt "corp": jwks_file "corp.json": contains a private key in PEM.' in said
    assert "c2VjcmV0" not in said


@pytest.mark.parametrize("name", ["bridge.toml", "corp.json"])
@pytest.mark.parametrize("target", ["pipe", "/dev/zero"])
def test_only_regular_files_are_packaged(tmp_path: Path, name: str, target: str) -> None:
    """Trap G4: a pipe would be waited for without end, and a device be read without end."""
    with_key_set(tmp_path, "corp.json")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / name).unlink()
    (tmp_path / name).symlink_to(target)
    assert "not a regular file" in refusal(tmp_path, tmp_path / "to")


def refusal(folder: Path, to: Path) -> str:
    """What is said of a folder's bridge.toml that is not packaged. Nothing is written then."""
    to.mkdir(exist_ok=True)
    before = sorted(to.rglob("*"))
    with pytest.raises(click.ClickException) as caught:
        configure(folder / "bridge.toml", to)
    assert sorted(to.rglob("*")) == before
    return caught.value.message


def with_key_set(folder: Path, name: str) -> None:
    """A bridge.toml whose issuer's keys are in a file."""
    with Issuer() as issuer:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(json.dumps(issuer.jwks), encoding="utf-8")
        text = MAP + issuer.table(jwks_url=None, jwks_file=name)
    (folder / "bridge.toml").write_text(text, encoding="utf-8")


@pytest.mark.parametrize(
    ("text", "fault"),
    [("[rules]\n", "rules: unknown key"), ('{"format":1}\n', "changed after `lattice-bridge compile`")],
)
def test_configuration_that_does_not_load_is_not_packaged(tmp_path: Path, text: str, fault: str) -> None:
    (tmp_path / "bad.toml").write_text(text, encoding="utf-8")
    with pytest.raises(click.ClickException, match=fault):
        configure(tmp_path / "bad.toml", tmp_path)
    assert not (tmp_path / "bridge.toml").exists()


def test_compiled_configuration_is_refused(tmp_path: Path) -> None:
    configure(ROOT / "bridge.toml", tmp_path)
    with pytest.raises(click.ClickException, match="is compiled already"):
        configure(tmp_path / "bridge.json", tmp_path)


# ---- the command ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("arch", MACHINES)
def test_wheels_with_the_fewest_needs_come_first(arch: str) -> None:
    machine = MACHINES[arch]
    assert platforms(arch, "3.13") == [
        f"{kind}_{machine}" for kind in ("manylinux2014", "manylinux_2_17", "manylinux_2_28")
    ]


def test_python_3_11_of_lambda_has_an_older_c_library() -> None:
    assert platforms("arm64", "3.11") == ["manylinux2014_aarch64", "manylinux_2_17_aarch64"]


def test_folder_is_for_one_architecture(tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["--folder", str(tmp_path)])
    assert (done.exit_code, "add --arch arm64 or --arch x86_64" in done.output) == (2, True)


def test_python_that_lambda_does_not_have_is_refused() -> None:
    assert CliRunner().invoke(main, ["--python", "3.10"]).exit_code == 2
