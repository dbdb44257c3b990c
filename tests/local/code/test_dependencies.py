"""The place of a function's code and packages, in the documented order."""

from __future__ import annotations

import os
from dataclasses import replace
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import pytest

from lattice_bridge.local.code.dependencies import BadDependencies, choose, provide
from lattice_bridge.local.code.package_cache import InstallFailed, PackageCache
from lattice_bridge.local.plan.model import BRIDGE_HANDLER, Dependencies, Function, Plan
from lattice_bridge.local.plan.readers.sam_build import OUTPUT
from tests.support.paths import ROOT

BUILT = "Resources: {Orders: {Type: AWS::Serverless::Function, Properties: {CodeUri: Orders}}, Other: {Type: X}}"


def planned(folder: Path, handler: str = "app.handler", code: str = "src") -> Plan:
    """A plan of one function, whose code exists."""
    path = folder / code
    if path.suffix == ".zip":
        path.touch()
    else:
        path.mkdir(exist_ok=True)
    function = Function("orders", "arn:aws:lambda:…:orders", handler, path, {}, logical_id="Orders")
    return Plan(folder, "us-east-1", {"orders": function}, (), ())


def build(folder: Path, *files: str, template: str = BUILT) -> Path:
    """An output of `sam build`, made after all sources."""
    output = folder / OUTPUT
    (output / "Orders").mkdir(parents=True)
    for name in files:
        (output / "Orders" / name).write_bytes(b"not a library")
    (output / "template.yaml").write_text(template)
    later = (folder / "src").stat().st_mtime + 100
    os.utime(output / "template.yaml", (later, later))
    return output / "Orders"


def chosen(plan: Plan, *, reload: bool = False) -> tuple[Function, list[str]]:
    said: list[str] = []
    return choose(plan, said.append, reload=reload).functions["orders"], said


# ---- the order ------------------------------------------------------------------------------------------------------


def test_zip_contains_its_packages(tmp_path: Path) -> None:
    plan = planned(tmp_path, code="orders.zip")
    (tmp_path / "requirements.txt").write_text("flask")
    assert chosen(plan)[0].dependencies == Dependencies("zip")


def test_newer_output_of_sam_build_is_used(tmp_path: Path) -> None:
    plan = planned(tmp_path)
    (tmp_path / "src" / "requirements.txt").write_text("flask")
    output = build(tmp_path, "app.py", f"own{EXTENSION_SUFFIXES[-1]}.txt")
    function, said = chosen(plan)
    assert (function.code, function.dependencies.built, function.dependencies.folders) == (output, "sam build", ())
    assert said == ["orders: runs from .aws-sam/build/Orders, the output of `sam build`"]


def test_older_output_of_sam_build_is_not_used(tmp_path: Path) -> None:
    plan = planned(tmp_path)
    build(tmp_path, "app.py")
    for hidden in (".venv", "__pycache__", "env"):
        (tmp_path / "src" / hidden).mkdir()
        (tmp_path / "src" / hidden / "new.py").touch()
        (tmp_path / "src" / "env" / "pyvenv.cfg").touch() if hidden == "env" else None
        os.utime(tmp_path / "src" / hidden / "new.py", (1e10, 1e10))
    assert chosen(plan)[0].dependencies.built == "sam build"
    (tmp_path / "src" / "app.py").touch()
    os.utime(tmp_path / "src" / "app.py", (1e10, 1e10))
    function, said = chosen(plan)
    assert function.code == tmp_path / "src"
    assert said == ["orders: the output of `sam build` is not used: app.py is newer. Fix: run `sam build` again"]


@pytest.mark.parametrize("name", ["core.cpython-27-x86_64-linux-gnu.so", "core.cpython-313-darwin.so", "core.abi3.so"])
def test_output_for_another_machine_is_not_used(tmp_path: Path, name: str) -> None:
    """`sam build` makes what Lambda runs, which may be arm64 and another Python."""
    plan = planned(tmp_path)
    build(tmp_path, name)
    function, (line,) = chosen(plan)
    assert function.code == tmp_path / "src"
    assert f"{name} is for another platform or Python version. Fix: to run it here, build it for Python 3." in line


def test_bridge_built_for_another_machine_is_served_by_the_installed_one_without_a_word(tmp_path: Path) -> None:
    plan = planned(tmp_path, BRIDGE_HANDLER)
    build(tmp_path, "core.cpython-313-darwin.so")
    function, said = chosen(plan)
    assert (function.dependencies, said) == (Dependencies(bridge=True), [])


def test_output_of_sam_build_is_not_used_with_reload(tmp_path: Path) -> None:
    """A change of the sources would have no effect until the next `sam build`."""
    plan = planned(tmp_path)
    (tmp_path / "src" / "app.py").touch()
    build(tmp_path, "app.py")
    assert chosen(plan, reload=True)[0].code == tmp_path / "src"


def test_output_of_sam_build_is_used_with_reload_if_the_sources_cannot_run(tmp_path: Path) -> None:
    """The only other choice would be a function that never starts."""
    plan = planned(tmp_path)
    output = build(tmp_path, "app.py")
    function, said = chosen(plan, reload=True)
    assert function.code == output
    assert said[0].endswith("the output of `sam build`. After a change, run `sam build` again")


@pytest.mark.parametrize(
    ("runtime", "source", "built"),
    [
        ("provided.al2023", "Cargo.toml", "bootstrap"),
        ("nodejs22.x", "app.ts", "app.js"),
        ("java21", "pom.xml", "lib.jar"),
    ],
)
def test_output_of_sam_build_runs_for_every_runtime(tmp_path: Path, runtime: str, source: str, built: str) -> None:
    """Trees that a build writes beside the sources are not newer sources. Only Python has a list of packages here."""
    plan = planned(tmp_path)
    command = ("java", "{code}") if runtime == "java21" else ()
    function = replace(plan.functions["orders"], runtime=runtime, command=command)
    for name in (source, "requirements.txt"):
        (tmp_path / "src" / name).touch()
    output = build(tmp_path, built)
    if runtime != "nodejs22.x":
        (tmp_path / "src" / "target").mkdir()
        (tmp_path / "src" / "target" / "new").touch()
        os.utime(tmp_path / "src" / "target" / "new", (1e10, 1e10))
    found, said = chosen(replace(plan, functions={"orders": function}))
    assert (found.code, found.dependencies) == (output, Dependencies("sam build"))
    assert said == ["orders: runs from .aws-sam/build/Orders, the output of `sam build`"]
    assert found.command == (("java", str(output)) if command else ())


@pytest.mark.parametrize("has_bootstrap", [False, True])
def test_custom_runtime_without_a_program_runs_from_the_output_with_reload(tmp_path: Path, has_bootstrap: bool) -> None:
    plan = planned(tmp_path)
    function = replace(plan.functions["orders"], runtime="provided.al2023")
    if has_bootstrap:
        (tmp_path / "src" / "bootstrap").touch()
    output = build(tmp_path, "data.bin")
    found, _ = chosen(replace(plan, functions={"orders": function}), reload=True)
    assert found.code == (tmp_path / "src" if has_bootstrap else output)


def test_bootstrap_for_another_machine_is_not_used(tmp_path: Path) -> None:
    plan = planned(tmp_path)
    function = replace(plan.functions["orders"], runtime="provided.al2023")
    (build(tmp_path) / "bootstrap").write_bytes(b"\x7fELF" + bytes(14) + b"\xf3\x00")  # RISC-V
    found, (line,) = chosen(replace(plan, functions={"orders": function}))
    assert found.code == tmp_path / "src"
    assert "not used: bootstrap is for another platform. Fix: to run it here, build it for " in line


@pytest.mark.parametrize("newer", [False, True])
def test_layer_runs_from_the_output_of_sam_build(tmp_path: Path, newer: bool) -> None:
    plan, layer = planned(tmp_path), tmp_path / "layer"
    layer.mkdir()
    (layer / "requirements.txt").write_text("flask")
    build(tmp_path, template="Resources: {Common: {Type: X, Properties: {ContentUri: Orders}}}")
    if newer:
        os.utime(layer / "requirements.txt", (1e10, 1e10))
    function = replace(plan.functions["orders"], layers=(layer,))
    found, (line,) = chosen(replace(plan, functions={"orders": function}, layers={"Common": layer}))
    assert found.layers == (layer if newer else tmp_path / OUTPUT / "Orders",)
    assert line.startswith("layer Common: the output of `sam build` is not" if newer else "layer Common: runs from ")


@pytest.mark.parametrize("changed", [{"inline": "x"}, {"url": "http://127.0.0.1:1"}])
def test_code_in_the_template_or_at_a_url_has_no_packages(tmp_path: Path, changed: dict[str, str]) -> None:
    """The folder of such a function is that of the template, which may list packages for something else."""
    plan = planned(tmp_path)
    (tmp_path / "src" / "requirements.txt").write_text("flask")
    build(tmp_path, "app.py")
    function = replace(plan.functions["orders"], **changed)  # type: ignore[arg-type] # one of two strings
    assert chosen(replace(plan, functions={"orders": function})) == (function, [])


@pytest.mark.parametrize(
    "template", ["Resources: [", "Resources: {Orders: {Properties: {CodeUri: gone}}}", "Resources: {Orders: x}"]
)
def test_strange_output_of_sam_build_is_not_used(tmp_path: Path, template: str) -> None:
    plan = planned(tmp_path)
    build(tmp_path, "app.py", template=template)
    assert chosen(plan)[0].code == tmp_path / "src"


def test_list_of_packages_is_that_of_the_code_folder(tmp_path: Path) -> None:
    plan = planned(tmp_path)
    (tmp_path / "requirements.txt").write_text("flask")  # of the project, not of the function
    assert chosen(plan)[0].dependencies == Dependencies()
    (tmp_path / "src" / "pyproject.toml").write_text("")
    assert chosen(plan)[0].dependencies == Dependencies(manifest=tmp_path / "src" / "pyproject.toml")


# ---- the bridge -----------------------------------------------------------------------------------------------------


def test_bridge_without_code_is_the_installed_one(tmp_path: Path) -> None:
    """The user's own pyproject.toml is beside bridge.toml, and is not the bridge's."""
    plan = planned(tmp_path, BRIDGE_HANDLER)
    (tmp_path / "src" / "pyproject.toml").write_text("[project]\ndependencies = ['flask']")
    assert chosen(plan)[0].dependencies == Dependencies(bridge=True)


def test_checkout_that_is_installed_has_the_installed_packages() -> None:
    function = Function("orders", "arn", BRIDGE_HANDLER, ROOT, {})
    assert chosen(Plan(ROOT, "us-east-1", {"orders": function}, (), ()))[0].dependencies == Dependencies(bridge=True)


def test_packaged_bridge_brings_its_own_packages(tmp_path: Path) -> None:
    """A package that the zip lacks is missing here too."""
    plan = planned(tmp_path, BRIDGE_HANDLER)
    (tmp_path / "src" / "lattice_bridge").mkdir()
    assert chosen(plan)[0].dependencies == Dependencies()


# ---- the packages ---------------------------------------------------------------------------------------------------


def installs(requirements: Path, target: Path, folder: Path) -> None:
    (target / "listed.txt").write_text(requirements.read_text())


def fails(requirements: Path, target: Path, folder: Path) -> None:
    raise InstallFailed("ERROR: No matching distribution found for flask==99")


def refused(folder: Path, text: str) -> str:
    plan = choose(planned(folder), print, reload=False)
    (folder / "src" / "requirements.txt").write_text(text)
    plan = choose(plan, print, reload=False)
    with pytest.raises(BadDependencies) as caught:
        provide(plan, PackageCache(folder / "cache", fails, print), print, install=True)
    return str(caught.value)


def test_listed_packages_are_installed(tmp_path: Path) -> None:
    plan = planned(tmp_path)
    (tmp_path / "src" / "requirements.txt").write_text("flask\nlattice-bridge\n")
    said: list[str] = []
    cache = PackageCache(tmp_path / "cache", installs, said.append)
    found = provide(choose(plan, said.append, reload=False), cache, said.append, install=True)
    dependencies = found.functions["orders"].dependencies
    (folder,) = dependencies.folders
    assert (folder / "listed.txt").read_text() == "flask\n"
    assert dependencies.bridge
    assert [line.partition(":")[0] for line in said] == ["orders", "orders"]


def test_no_install_uses_what_is_cached_and_reports_the_rest(tmp_path: Path) -> None:
    plan = planned(tmp_path)
    path = tmp_path / "src" / "requirements.txt"
    path.write_text("flask\n")
    said: list[str] = []
    cache = PackageCache(tmp_path / "cache", installs, lambda _: None)
    plan = choose(plan, said.append, reload=False)
    assert provide(plan, cache, said.append, install=False).functions["orders"].dependencies.folders == ()
    assert said == [f"orders: the packages of {path} are not installed (--no-install)"]
    provide(plan, cache, said.append, install=True)
    assert len(provide(plan, cache, said.append, install=False).functions["orders"].dependencies.folders) == 1
    assert len(said) == 1


def test_list_without_packages_needs_no_environment(tmp_path: Path) -> None:
    plan = planned(tmp_path)
    (tmp_path / "src" / "requirements.txt").write_text("# none\n")
    cache = PackageCache(tmp_path / "cache", fails, print)
    assert provide(choose(plan, print, reload=False), cache, print, install=True).functions["orders"].code
    assert not (tmp_path / "cache").exists()


def test_failed_installation_names_function_and_file(tmp_path: Path) -> None:
    assert refused(tmp_path, "flask==99").splitlines() == [
        f"orders: the packages of {tmp_path}/src/requirements.txt cannot be installed:",
        "ERROR: No matching distribution found for flask==99",
        "Fix: correct the file, or start with --no-install",
    ]


def test_list_that_cannot_be_read_names_the_function(tmp_path: Path) -> None:
    assert refused(tmp_path, "-r gone.txt").startswith(f"orders: {tmp_path}/src/gone.txt: No such file")
