"""The real stack: what each function's code and packages are, and what it records."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest

from lattice_bridge.local.code.manifest import read_manifest
from lattice_bridge.local.code.package_cache import PackageCache, cache_folder
from lattice_bridge.testing import LocalStack, all_events
from tests.support.stack import RunningStack, wait_until

FORGETS = "import fastapi\ndef handler(event, context): return 0\n"
LISTED = "import listed\ndef handler(event, context): return listed.__file__\n"
ZIPPED = """
import os
def handler(event, context):
    return [os.getcwd(), oct(os.stat("data.txt").st_mode), open("data.txt").read()]
"""
SERVED = """
def handler(event, context):
    return {"statusCode": 201, "headers": {"set-cookie": "sEcret", "x-a": "b"}, "body": event["path"]}
"""
FUNCTIONS = {"forgets": "forgets", "listed": "listed", "zipped": "zipped.zip", "served": "served", "built": "built"}
TEMPLATE = """
Globals: {Function: {Runtime: python3.13, Handler: app.handler}}
Resources:
FUNCTIONS
  Targets:
    Type: AWS::VpcLattice::TargetGroup
    Properties: {Type: LAMBDA, Config: {LambdaEventStructureVersion: V2}, Targets: [{Id: !GetAtt Fserved.Arn}]}
  Service: {Type: "AWS::VpcLattice::Service", Properties: {Name: s, AuthType: NONE}}
  Listener:
    Type: AWS::VpcLattice::Listener
    Properties:
      ServiceIdentifier: !Ref Service
      Protocol: HTTP
      DefaultAction: {Forward: {TargetGroups: [{TargetGroupIdentifier: !Ref Targets}]}}
"""


def write_project(folder: Path) -> Path:
    for name, code in {"forgets": FORGETS, "listed": LISTED, "served": SERVED, "built": FORGETS}.items():
        (folder / name).mkdir()
        (folder / name / "app.py").write_text(code)
    (folder / "listed" / "requirements.txt").write_text("listed==1\n")
    with ZipFile(folder / "zipped.zip", "w") as opened:
        opened.writestr("app.py", ZIPPED)
        opened.writestr("data.txt", "in the zip")
    output = folder / ".aws-sam" / "build"
    (output / "Fbuilt").mkdir(parents=True)
    (output / "Fbuilt" / "app.py").write_text("def handler(event, context): return __file__\n")
    (output / "template.yaml").write_text("Resources: {Fbuilt: {Properties: {CodeUri: Fbuilt}}}")
    rows = (
        f"  F{name}: {{Type: 'AWS::Serverless::Function', Properties: {{FunctionName: {name}, CodeUri: {code}}}}}"
        for name, code in FUNCTIONS.items()
    )
    (folder / "template.yaml").write_text(TEMPLATE.replace("FUNCTIONS", "\n".join(rows)))
    return folder / "template.yaml"


def installs(requirements: Path, target: Path, folder: Path) -> None:
    (target / "listed.py").touch()


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("project")


@pytest.fixture(scope="module")
def stack(project: Path) -> Iterator[RunningStack]:
    """With an environment in the cache already, so that nothing is asked of a package index."""
    template = write_project(project)
    with pytest.MonkeyPatch.context() as environ:
        environ.setenv("XDG_CACHE_HOME", str(project / "cache"))
        manifest = read_manifest(project / "listed" / "requirements.txt")
        PackageCache(cache_folder({"XDG_CACHE_HOME": str(project / "cache")}), installs, print).make(manifest, "listed")
        with LocalStack(template, options=["--record", str(project / "recorded")]) as started:
            process = started.process
            yield RunningStack(process.popen, process.front_url, process.lambda_url, process.lines)


def messages(stack: RunningStack) -> list[Any]:
    return [line.get("message", "") for line in stack.lines]


def test_package_of_the_stack_is_not_a_functions(stack: RunningStack) -> None:
    """The stack's Python has FastAPI. On Lambda, the function would fail."""
    assert stack.invoke("forgets").json()["errorType"] == "Runtime.ImportModuleError"
    wait_until(lambda: any("forgets: the module 'fastapi' is not in" in message for message in messages(stack)))


def test_listed_package_comes_from_the_cache(stack: RunningStack, project: Path) -> None:
    found = stack.invoke("listed").json()
    assert Path(found).is_relative_to(project / "cache" / "lattice-bridge" / "packages")
    assert not any("installing" in message for message in messages(stack))


def test_zip_is_unpacked_into_the_stacks_folder_and_read_only(stack: RunningStack) -> None:
    folder, mode, data = stack.invoke("zipped").json()
    assert "lattice-bridge-stack-" in folder
    assert (mode, data) == ("0o100444", "in the zip")


def test_output_of_sam_build_is_run(stack: RunningStack, project: Path) -> None:
    assert stack.invoke("built").json() == str(project / ".aws-sam" / "build" / "Fbuilt" / "app.py")
    assert "built: runs from .aws-sam/build/Fbuilt, the output of `sam build`" in messages(stack)


def test_requests_are_recorded_without_credentials(stack: RunningStack, project: Path) -> None:
    """The files are there when the response is."""
    answer = stack.get("/orders?X-Amz-Signature=sEcret&a=1", {"cookie": "sEcret", "x-tenant-id": "blue"})
    assert (answer.status, answer.body) == (201, b"/orders?X-Amz-Signature=sEcret&a=1")
    (case,) = all_events(folder=project / "recorded")
    assert (case.name, case.event["path"]) == ("0001-get-orders", "/orders?a=1")
    assert case.event["headers"]["x-tenant-id"] == ["blue"]
    assert case.expected["reply"]["headers"] == {"x-a": "b"}
    assert "sEcret" not in json.dumps([case.event, {**case.expected["reply"], "body": ""}])
