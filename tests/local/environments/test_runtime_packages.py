"""The stack's own packages that functions may import: Lambda's, the bridge's, and no others."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from lattice_bridge.local.environments.runtime_packages import BRIDGE, installed, search_path
from lattice_bridge.local.environments.storage import LAUNCHER
from lattice_bridge.local.plan.model import Dependencies, Function
from tests.support.paths import ROOT

PROGRAM = """
import json, runpy, sys
launcher, places, *names = sys.argv[1:]
runpy.run_path(launcher)["search"](json.loads(places))
from importlib import import_module, metadata
found = {}
for name in names:
    try:
        found[name] = metadata.version(name[1:]) if name[0] == "=" else import_module(name).__file__
    except (ImportError, metadata.PackageNotFoundError) as error:
        found[name] = type(error).__name__
json.dump([found, sys.path[0], callable(exit), len(list(metadata.distributions(path=["/"])))], sys.stdout)
"""


def searched(function: Function, *names: str) -> Any:
    command = [sys.executable, "-P", "-S", "-c", PROGRAM, str(LAUNCHER), search_path(function), *names]
    done = subprocess.run(command, cwd=function.code, capture_output=True, text=True, check=True, env={})
    return json.loads(done.stdout)


def test_runtime_is_boto3_and_the_runtime_client() -> None:
    found = installed(with_bridge=False)
    assert {"boto3", "botocore", "s3transfer", "jmespath", "dateutil", "six", "urllib3"} <= set(found.modules)
    assert {"awslambdaric", "runtime_client", "simplejson", "snapshot_restore_py"} <= set(found.modules)
    assert not {"lattice_bridge", "pydantic", "fastapi", "click", "pip", "yaml"} & set(found.modules)


def test_bridge_adds_its_requirements_and_no_extra() -> None:
    found = installed(with_bridge=True)
    added = set(found.modules) - set(installed(with_bridge=False).modules)
    assert {"lattice_bridge", "pydantic", "pydantic_core", "jwt", "cryptography", "_cffi_backend"} <= added
    assert not {"fastapi", "click", "yaml", "rich", "hypothesis", "uvicorn"} & added
    assert {"cffi", "pyjwt", "boto3"} <= set(found.distributions)


def test_requirements_of_the_bridge_are_those_of_the_project() -> None:
    assert list(BRIDGE) == tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]


@pytest.fixture(scope="module")
def function(tmp_path_factory: pytest.TempPathFactory) -> Function:
    """Has a module of its own, packages of its own, and among them one that Lambda has too."""
    folder = tmp_path_factory.mktemp("function")
    for name in ("code/own.py", "packages/listed.py", "packages/jmespath.py", "code/listed.py"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).touch()
    dependencies = Dependencies(folders=(folder / "packages",))
    return Function("f", "arn", "own.handler", folder / "code", {}, dependencies=dependencies)


def test_function_imports_its_own_first_and_then_lambdas(function: Function) -> None:
    names = ("own", "listed", "jmespath", "six", "fastapi", "pip", "pydantic", "lattice_bridge")
    found, first, has_exit, _ = searched(function, *names)
    code, packages = function.code, function.dependencies.folders[0]
    assert (found["own"], found["listed"]) == (str(code / "own.py"), str(code / "listed.py"))
    assert found["jmespath"] == str(packages / "jmespath.py")
    assert found["six"] == str(Path(installed(with_bridge=False).modules["six"], "six.py"))
    assert {found[name] for name in names[4:]} == {"ModuleNotFoundError"}
    assert (first, has_exit) == (str(code), True)


def test_metadata_is_found_for_lambdas_packages_alone(function: Function) -> None:
    """OpenTelemetry asks for the version of botocore before it instruments it."""
    found, _, _, elsewhere = searched(function, "=botocore", "=python_dateutil", "=fastapi")
    assert found["=botocore"][0].isdigit()
    assert found["=python_dateutil"][0].isdigit()
    assert (found["=fastapi"], elsewhere) == ("PackageNotFoundError", 0)
