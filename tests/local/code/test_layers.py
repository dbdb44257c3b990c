"""Layers: one merged folder, and layers that cannot be used."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from lattice_bridge.local.code.layers import layer_fault, merge
from lattice_bridge.local.plan.model import Function

POWERTOOLS = "arn:aws:lambda:eu-west-1:017000801446:layer:AWSLambdaPowertoolsPythonV3-python313-x86_64:7"


def files(folder: Path, *names: str) -> Path:
    """A folder whose files contain its name."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(folder.name)
    return folder


def function(folder: Path, runtime: str = "python3.13", **more: object) -> Function:
    found = Function("orders", "arn", "app.handler", folder / "src", {}, runtime=runtime)
    return replace(found, **more)  # type: ignore[arg-type] # of mixed fields


def test_later_layer_overwrites_files_of_an_earlier_one(tmp_path: Path) -> None:
    one = files(tmp_path / "one", "python/shared/a.py", "python/shared/b.py", "bin/tool", "kind")
    two = files(tmp_path / "two", "python/shared/b.py", "python/own/c.py", "kind/inner")
    merge([one, tmp_path / "gone", two], tmp_path / "opt")
    found = {name: (tmp_path / "opt" / name).read_text() for name in ("python/shared/a.py", "python/shared/b.py")}
    assert found == {"python/shared/a.py": "one", "python/shared/b.py": "two"}
    assert (tmp_path / "opt/python/own/c.py").read_text() == (tmp_path / "opt/kind/inner").read_text() == "two"
    assert (tmp_path / "opt/bin/tool").read_text() == "one"


def test_change_of_a_layer_is_a_change_of_the_merged_folder(tmp_path: Path) -> None:
    one, two = files(tmp_path / "one", "python/a.py"), files(tmp_path / "two", "python/own/b.py")
    merge([one, two], tmp_path / "opt")
    (one / "python/a.py").write_text("changed")
    files(two, "python/own/new.py")
    assert (tmp_path / "opt/python/a.py").read_text() == "changed"
    assert (tmp_path / "opt/python/own/new.py").read_text() == "two"


@pytest.mark.parametrize(
    ("names", "fault"),
    [
        ([], "does not exist. Fix: build it, or correct its ContentUri"),
        (["requirements.txt"], "lists packages in requirements.txt, and does not contain them. Fix: run `sam build`"),
        (["python/requirements.txt"], "lists packages in python/requirements.txt, and does not contain them. Fix: "),
        (["python/requirements.txt", "python/a-1.dist-info/RECORD"], None),
        (["requirements.txt", "python/lib/python3.13/site-packages/a-1.dist-info/RECORD"], None),
        (["package.json"], 'lists "uuid" in package.json, and does not contain it. Fix: run `sam build`'),
        (["nodejs/package.json", "nodejs/node_modules/uuid/index.js"], None),
        (["nodejs/package.json", "nodejs/node22/node_modules/uuid/index.js"], None),
        (["python/a.py"], None),
    ],
)
def test_layer_that_has_to_be_built_is_a_fault(tmp_path: Path, names: list[str], fault: str | None) -> None:
    layer = files(tmp_path / "layer", *names)
    for path in layer.rglob("package.json"):
        path.write_text('{"dependencies": {"uuid": "^9"}}')
    found = layer_fault(function(tmp_path, layers=(layer,)))
    assert (found is None) == (fault is None)
    assert fault is None or f"the layer {str(layer)!r} {fault}" in str(found)


@pytest.mark.parametrize(
    ("listed", "arn", "runtime", "is_fault"),
    [
        ("", POWERTOOLS, "python3.13", True),
        ("aws_lambda_powertools[tracer]>=3", POWERTOOLS, "python3.13", False),
        ("", "{{resolve:ssm:/aws/service/powertools/python/x86_64/python3.13/latest}}", "python3.13", True),
        ("", POWERTOOLS, "provided.al2023", False),
        ("", POWERTOOLS.replace("Powertools", "Other"), "python3.13", False),
    ],
)
def test_managed_layer_whose_package_is_not_listed_is_a_fault(
    tmp_path: Path, listed: str, arn: str, runtime: str, is_fault: bool
) -> None:
    files(tmp_path / "src", "requirements.txt").joinpath("requirements.txt").write_text(listed)
    found = layer_fault(function(tmp_path, runtime, remote_layers=(arn,)))
    assert (found is not None) == is_fault
    assert not is_fault or "Fix: for the local run, write aws-lambda-powertools into " in str(found)


def test_managed_layer_of_node_and_of_code_in_the_template_has_its_own_fix(tmp_path: Path) -> None:
    arn = "arn:aws:lambda:eu-west-1:094274105915:layer:AWSLambdaPowertoolsTypeScriptV2:29"
    found = layer_fault(function(tmp_path, "nodejs22.x", remote_layers=(arn,)))
    assert str(found).endswith(f"run `npm install @aws-lambda-powertools/…` in '{tmp_path}/src'")
    found = layer_fault(function(tmp_path, remote_layers=(POWERTOOLS,), inline="x"))
    assert str(found).endswith("move the code into a folder whose requirements.txt lists aws-lambda-powertools")
