"""A stack's definition: the files that it is read from, with local.toml and what a template includes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from lattice_bridge.local.code.dependencies import choose
from lattice_bridge.local.definition import DoesNotLoad, read_definition, reread
from lattice_bridge.local.local_file import BadLocalFile
from lattice_bridge.local.plan.readers.sam_build import OUTPUT
from tests.support.stack import ONE_FUNCTION

URL = "http://127.0.0.1:9002"
INCLUDING = """
Resources:
  Fn:
    Type: AWS::Serverless::Function
    Properties:
      Handler: a.b
      Runtime: python3.13
      Environment: {Variables: {Fn::Transform: {Name: AWS::Include, Parameters: {Location: variables.yaml}}}}
  Machine: {Type: "AWS::StepFunctions::StateMachine"}
  Nested: {Type: "AWS::CloudFormation::Stack", Properties: {TemplateURL: nested.yaml}}
  Api: {Type: "AWS::Serverless::Api", Properties: {StageName: prod, DefinitionUri: api.yaml}}
"""


@pytest.fixture
def template(tmp_path: Path) -> Path:
    (tmp_path / "template.yaml").write_text(ONE_FUNCTION.replace("python3.13", "java21"), encoding="utf-8")
    return tmp_path / "template.yaml"


def test_local_toml_beside_the_template_is_read(template: Path) -> None:
    local = template.with_name("local.toml")
    local.write_text('[local.runtimes]\njava = ["java", "{handler}"]\n', encoding="utf-8")
    found = read_definition(template, {}, "us-east-1")
    assert found.plan.functions["Function"].command == ("java", "{handler}")
    assert local in found.files


def test_local_toml_that_does_not_exist_is_followed(template: Path) -> None:
    """With `--reload`, a new file is active at once."""
    found = read_definition(template, {}, "us-east-1", urls={"Function": URL})
    assert template.with_name("local.toml") in found.files


def test_url_of_the_command_line_comes_before_that_of_the_file(template: Path) -> None:
    """One may have the function's name, and the other its logical id."""
    template.write_text(template.read_text().replace("Handler:", "FunctionName: orders, Handler:"), encoding="utf-8")
    template.with_name("local.toml").write_text(f'[local.functions]\norders = "{URL}"\n', encoding="utf-8")
    assert read_definition(template, {}, "us-east-1").plan.functions["orders"].url == URL
    found = read_definition(template, {}, "us-east-1", urls={"Function": f"{URL}/a"})
    assert found.plan.functions["orders"].url == f"{URL}/a"


def test_function_of_the_command_line_that_does_not_exist_is_refused(template: Path) -> None:
    with pytest.raises(BadLocalFile) as caught:
        read_definition(template, {}, "us-east-1", urls={"Funktion": URL})
    assert str(caught.value) == '--function Funktion: the template has no such function; did you mean "Function"?'


def test_changed_local_toml_that_does_not_load_keeps_the_old_definition(template: Path) -> None:
    template.with_name("local.toml").write_text("[local.runtime]\n", encoding="utf-8")
    with pytest.raises(DoesNotLoad, match=r"local\.toml:1:8: local: runtime: unknown key; did you mean runtimes\?"):
        reread(lambda: read_definition(template, {}, "us-east-1"), lambda found: found)


def test_new_output_of_sam_build_is_followed_if_the_function_needs_it(template: Path) -> None:
    text = template.read_text().replace("java21", "provided.al2023")
    template.write_text(text, encoding="utf-8")
    found = read_definition(template, {}, "us-east-1")
    found = replace(found, plan=choose(found.plan, print, reload=True))
    assert template.parent / OUTPUT / "template.yaml" in found.files


def test_files_that_a_template_reads_are_sources(tmp_path: Path) -> None:
    """`--reload` follows them."""
    (tmp_path / "template.yaml").write_text(INCLUDING)
    (tmp_path / "variables.yaml").write_text("A: included")
    (tmp_path / "nested.yaml").write_text("Resources: {}")
    (tmp_path / "api.yaml").write_text("openapi: 3.0.1\npaths: {}")
    found = read_definition(tmp_path / "template.yaml", {}, "us-east-1")
    assert found.plan.functions["Fn"].environment == {"A": "included"}
    names = {"template.yaml", "variables.yaml", "nested.yaml", "api.yaml", "local.toml", "identities.toml"}
    assert {path.name for path in found.sources} == names
