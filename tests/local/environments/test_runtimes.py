"""How the process of each runtime starts, and why it cannot."""

from __future__ import annotations

import json
import os
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from lattice_bridge.local.code.dependencies import choose
from lattice_bridge.local.environments.runtimes import (
    NODE_CLIENT,
    CannotStart,
    command,
    lambda_shell,
    launch,
    restarts,
    runtime_notes,
    start_fault,
    variables,
)
from lattice_bridge.local.plan.model import Function, Plan

HERE: Final = {"x86_64": "x86_64", "amd64": "x86_64", "aarch64": "arm64", "arm64": "arm64"}.get(os.uname().machine)
MACHINES: Final = {"x86_64": 62, "arm64": 183}
HAS_NODE: Final = pytest.mark.skipif(shutil.which("node") is None, reason="this machine has no Node.js")


def function(code: Path, runtime: str = "provided.al2023", handler: str = "app.handler") -> Function:
    return Function(
        "orders", "arn:aws:lambda:us-east-1:123456789012:function:orders", handler, code, {}, runtime=runtime
    )


def written(path: Path, content: str | bytes, mode: int = 0o755) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    path.chmod(mode)
    return path


def elf(machine: str) -> bytes:
    """The beginning of a program for Linux."""
    return b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x02\x00" + MACHINES[machine].to_bytes(2, "little") + bytes(44)


# ---- provided --------------------------------------------------------------------------------------------------------


def test_bootstrap_of_the_code_is_started_before_that_of_a_layer(tmp_path: Path) -> None:
    """Of the layers, the last one counts."""
    code, first, second = (tmp_path / name for name in ("code", "first", "second"))
    of_first, of_second = (written(layer / "bootstrap", "#!/usr/bin/env sh\n") for layer in (first, second))
    layered = replace(function(code), layers=(first, second))
    assert command(layered) == (str(of_second),)
    assert command(replace(layered, layers=(second, first))) == (str(of_first),)
    assert command(replace(layered, code=first, layers=(second,))) == (str(of_first),)


@pytest.mark.parametrize(
    ("first_line", "begins"),
    [
        ("#!/bin/sh", ["--posix"]),
        ("#! /bin/sh -e", ["--posix", "-e"]),
        ("#!/bin/bash", None),
        ("#!/usr/bin/env sh", None),
    ],
)
def test_shell_of_a_bootstrap_is_that_of_lambda(tmp_path: Path, first_line: str, begins: list[str] | None) -> None:
    """On Lambda, /bin/sh is bash, and the tutorial's script sets pipefail, which Debian's /bin/sh does not know."""
    program = written(tmp_path / "bootstrap", f"{first_line}\n")
    dash, bash = written(tmp_path / "dash", ""), written(tmp_path / "bash", "")
    expected = () if begins is None else (str(bash), *begins)
    assert lambda_shell(program, str(bash), dash) == expected
    assert lambda_shell(program, None, dash) == lambda_shell(program, str(bash), bash) == ()


@pytest.mark.parametrize(
    ("content", "mode", "fault"),
    [
        (None, 0, "there is no file 'bootstrap' in '{code}', which Runtime provided.al2023 starts. Fix: build the "),
        ("#!/bin/sh\n", 0o644, "'{code}/bootstrap' is not executable. Fix: chmod +x {code}/bootstrap"),
        ("echo\n", 0o755, "'{code}/bootstrap' is neither a script with '#!' in its first line nor a program for Linux"),
        ("#!/bin/sh\r\n", 0o755, r"'{code}/bootstrap' names the interpreter '/bin/sh\r' in its first line, which is "),
        ("#! /no/such -x\n", 0o755, "'{code}/bootstrap' names the interpreter '/no/such' in its first line, which is "),
        (b"", 0o755, "'{code}/bootstrap' is neither"),
        (b"MZ\x90", 0o755, "'{code}/bootstrap' is neither"),
    ],
)
def test_bootstrap_that_cannot_start_has_a_fault_with_its_fix(
    tmp_path: Path, content: str | bytes | None, mode: int, fault: str
) -> None:
    if content is not None:
        written(tmp_path / "bootstrap", content, mode)
    found = start_fault(function(tmp_path))
    assert found is not None
    assert found.startswith(fault.format(code=tmp_path))
    assert "Fix: " in found


@pytest.mark.skipif(sys.platform != "linux" or HERE not in MACHINES, reason="no machine of Lambda's architectures")
def test_bootstrap_of_another_architecture_names_both(tmp_path: Path) -> None:
    assert HERE is not None
    (other,) = MACHINES.keys() - {HERE}
    path = written(tmp_path / "bootstrap", elf(HERE))
    assert command(function(tmp_path)) == (str(path),)
    path.write_bytes(elf(other))
    found = start_fault(function(tmp_path)) or "emulated"
    assert found == "emulated" or found.startswith(
        f"{str(path)!r} is a program for Linux on {other}, and this machine is Linux on {HERE}. "
        "Fix: build it for this machine, or write a command for provided.al2023 in [local.runtimes] of local.toml"
    )


def test_zip_has_no_fault_until_it_is_unpacked(tmp_path: Path) -> None:
    assert start_fault(function(written(tmp_path / "code.zip", b""))) is None


# ---- Node.js ---------------------------------------------------------------------------------------------------------


def manager(folder: Path, program: str) -> Path:
    """Makes a `node` of a version manager, which needs HOME to find the program."""
    version = f'["{program}", "v4.3.0"]'
    return written(folder / "node", f'#!/bin/sh\n[ -n "$HOME" ] && [ "$1" = -p ] && echo \'{version}\'\n')


def test_node_of_a_version_manager_is_replaced_by_the_program_behind_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A function does not get the variables of this shell that the manager needs."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(manager(tmp_path / "shims", "/real/node").parent))
    node = function(tmp_path, "nodejs22.x")
    assert command(node) == ("/real/node", str(NODE_CLIENT), "app.handler")
    assert list(runtime_notes([node, node])) == ["Runtime nodejs22.x runs on this machine's node v4.3.0"]
    assert list(runtime_notes([replace(node, runtime="nodejs4.x"), function(tmp_path)])) == []


def test_machine_without_node_is_a_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """PATH has the layers' `bin` folders, as on Lambda."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    node = function(tmp_path, "nodejs22.x")
    assert start_fault(node) == (
        "Runtime nodejs22.x needs Node.js, and there is no program 'node' on PATH. "
        "Fix: install Node.js, or write a command for nodejs22.x in [local.runtimes] of local.toml"
    )
    layer = tmp_path / "layer"
    manager(layer / "bin", "/layer/node")
    layered = replace(node, layers=(layer,))
    assert (variables(layered)["PATH"], command(layered)[0]) == (f"{tmp_path}:{layer}/bin", "/layer/node")


def test_node_that_does_not_start_is_a_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = written(tmp_path / "a b" / "node", "#!/bin/sh\nexit 1\n")
    monkeypatch.setenv("PATH", str(broken.parent))
    node = function(tmp_path, "nodejs22.x")
    assert start_fault(node) == (
        f"{str(broken)!r} does not start Node.js (CalledProcessError). Fix: try `'{broken}' --version`"
    )
    assert list(runtime_notes([node])) == []


@HAS_NODE
@pytest.mark.parametrize(
    ("native", "package", "official"),
    [
        ("rapid-client.node", '{"bin": {"aws-lambda-ric": "./index.mjs"}}', True),
        ("build/Release/rapid-client.node", '{"bin": {"aws-lambda-ric": "index.mjs"}}', True),
        (None, '{"bin": {"aws-lambda-ric": "./index.mjs"}}', False),
        ("rapid-client.node", '{"bin": {"aws-lambda-ric": "./missing.mjs"}}', False),
        ("rapid-client.node", '{"bin": []}', False),
        ("rapid-client.node", "[]", False),
    ],
)
def test_official_client_is_used_if_npm_has_compiled_it(
    tmp_path: Path, native: str | None, package: str, official: bool
) -> None:
    folder = tmp_path / "node_modules" / "aws-lambda-ric"
    client = written(folder / "index.mjs", "")
    written(folder / "package.json", package)
    if native is not None:
        written(folder / native, "")
    assert command(function(tmp_path, "nodejs22.x"))[1:] == (str(client if official else NODE_CLIENT), "app.handler")


def test_packages_are_installed_for_python_only(tmp_path: Path) -> None:
    """A repository may have a requirements.txt beside the code of another language."""
    written(tmp_path / "requirements.txt", "requests", 0o644)
    functions = {runtime: function(tmp_path, runtime) for runtime in ("python3.13", "nodejs22.x", "provided.al2023")}
    chosen = choose(Plan(tmp_path, "us-east-1", functions, (), ()), lambda _: None, reload=False).functions
    listed = {name: found.dependencies.manifest is not None for name, found in chosen.items()}
    assert listed == {"python3.13": True, "nodejs22.x": False, "provided.al2023": False}


# ---- commands --------------------------------------------------------------------------------------------------------


def test_command_is_found_on_path_or_from_the_task_root(tmp_path: Path) -> None:
    program = written(tmp_path / "bin" / "run", "#!/bin/sh\n")
    java = replace(function(tmp_path, "java21"), command=("sh", "run", "-x"))
    assert command(java) == (shutil.which("sh"), "run", "-x")
    assert command(replace(java, command=("bin/run",))) == (str(program),)
    assert start_fault(replace(java, command=("no-such-program",))) == (
        "the command for java21 begins with 'no-such-program', which is no program on PATH. "
        "Fix: install it, or correct the command in [local.runtimes] of local.toml"
    )
    with pytest.raises(CannotStart):
        launch(replace(java, command=("./run",)))


def test_command_replaces_the_client_of_a_known_runtime(tmp_path: Path) -> None:
    other = replace(function(tmp_path, "python3.13"), command=("sh",))
    assert json.loads(launch(other))["command"] == [shutil.which("sh")]
    assert "command" not in json.loads(launch(function(tmp_path, "python3.13")))


# ---- variables -------------------------------------------------------------------------------------------------------


def test_variables_are_lambdas_for_each_runtime(tmp_path: Path) -> None:
    code, first, second = (tmp_path / name for name in ("code", "first", "second"))
    for layer in (first, second):
        for name in ("lib", "nodejs/node_modules", "nodejs/node22/node_modules", "python"):
            (layer / name).mkdir(parents=True)
    node = replace(function(code, "nodejs22.x"), layers=(first, second), command=("sh",))
    assert variables(node) == {
        "PATH": os.environ["PATH"],
        "AWS_EXECUTION_ENV": "AWS_Lambda_nodejs22.x",
        "NODE_PATH": f"{second}/nodejs/node22/node_modules:{first}/nodejs/node22/node_modules"
        f":{second}/nodejs/node_modules:{first}/nodejs/node_modules",
    }
    assert json.loads(launch(node))["variables"]["LD_LIBRARY_PATH"] == f"{code}:{code}/lib:{second}/lib:{first}/lib"
    assert variables(function(code)) == {"PATH": os.environ["PATH"]}
    python = replace(function(code, "python3.13"), layers=(first, second))
    assert json.loads(launch(python))["folders"] == [f"{second}/python", f"{first}/python"]
    other = replace(python, command=("sh",))
    assert json.loads(launch(other))["variables"]["PYTHONPATH"] == f"{second}/python:{first}/python"
    assert variables(python)["PYTHONDONTWRITEBYTECODE"] == "1"


# ---- restarts --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("runtime", "changed"),
    [
        ("python3.13", {"app.py", "data.json", "layer"}),
        ("nodejs22.x", {"app.mjs", "data.json", "native.node"}),
        ("provided.al2023", {"app.py", "app.mjs", "data.json", "native.node", "bootstrap", "layer"}),
    ],
)
def test_files_of_the_runtime_restart_a_function(runtime: str, changed: set[str]) -> None:
    paths = {name: Path("/code", name) for name in ("app.py", "app.mjs", "data.json", "native.node", "bootstrap")}
    paths |= {"build": Path("/code/target/release/orders"), "other": Path("/elsewhere/app.py")}
    paths |= {"layer": Path("/layer/python/shared.py")}
    found = replace(function(Path("/code"), runtime), layers=(Path("/layer"),))
    assert {name for name, path in paths.items() if restarts(found, path)} == changed
    with_command = replace(found, command=("sh",))
    assert {name for name, path in paths.items() if restarts(with_command, path)} == paths.keys() - {"other"}
