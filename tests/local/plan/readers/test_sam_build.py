"""The output of `sam build`: the folders of functions, also of those in nested stacks."""

from __future__ import annotations

from pathlib import Path

import pytest

from lattice_bridge.deployment.cloudformation.template import read_template
from lattice_bridge.local.plan.readers.sam_build import OUTPUT, BadBuild, built_folders
from lattice_bridge.local.plan.readers.template import read_plan

OUTER = """
Transform: AWS::Serverless-2016-10-31
Resources:
  Fn: {Type: "AWS::Serverless::Function", Properties: {Handler: app.handler, Runtime: python3.13, CodeUri: OUTER}}
  App: {Type: "AWS::Serverless::Application", Properties: {Location: NESTED}}
"""
INNER = """
Transform: AWS::Serverless-2016-10-31
Resources:
  Fn: {Type: "AWS::Serverless::Function", Properties: {Handler: app.handler, Runtime: python3.13, CodeUri: CODE}}
"""


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_functions_of_nested_stacks_have_the_ids_of_the_plan(tmp_path: Path) -> None:
    write(tmp_path / "template.yaml", OUTER.replace("OUTER", "src").replace("NESTED", "app/template.yaml"))
    write(tmp_path / "app" / "template.yaml", INNER.replace("CODE", "src"))
    output = tmp_path / OUTPUT
    write(output / "template.yaml", OUTER.replace("OUTER", "Fn").replace("NESTED", "App/template.yaml"))
    write(output / "App" / "template.yaml", INNER.replace("CODE", "Fn"))
    for code in ("src", "app/src", OUTPUT / "Fn", OUTPUT / "App" / "Fn"):
        write(tmp_path / code / "app.py", "")
    plan = read_plan(read_template(tmp_path / "template.yaml", {}, "us-east-1"))
    assert sorted(one.logical_id for one in plan.functions.values()) == ["App-Fn", "Fn"]
    assert built_folders(tmp_path) == {"Fn": output / "Fn", "App-Fn": output / "App" / "Fn"}


def test_template_outside_of_the_output_is_not_read(tmp_path: Path) -> None:
    write(tmp_path / "app" / "template.yaml", INNER.replace("CODE", "."))
    write(tmp_path / OUTPUT / "template.yaml", OUTER.replace("OUTER", ".").replace("NESTED", "../../app/template.yaml"))
    assert set(built_folders(tmp_path)) == {"Fn"}


def test_stack_that_contains_itself_ends(tmp_path: Path) -> None:
    write(tmp_path / OUTPUT / "template.yaml", OUTER.replace("OUTER", ".").replace("NESTED", "template.yaml"))
    assert len(built_folders(tmp_path)) == 5


def test_broken_template_is_named(tmp_path: Path) -> None:
    write(tmp_path / OUTPUT / "template.yaml", OUTER.replace("OUTER", ".").replace("NESTED", "App/template.yaml"))
    write(tmp_path / OUTPUT / "App" / "template.yaml", "a: [")
    with pytest.raises(BadBuild, match=r"App/template\.yaml"):
        built_folders(tmp_path)
