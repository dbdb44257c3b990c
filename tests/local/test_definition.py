"""The files that a definition is read from."""

from __future__ import annotations

from pathlib import Path

from lattice_bridge.local.definition import read_definition

TEMPLATE = """
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


def test_files_that_a_template_reads_are_sources(tmp_path: Path) -> None:
    """`--reload` follows them."""
    (tmp_path / "template.yaml").write_text(TEMPLATE)
    (tmp_path / "variables.yaml").write_text("A: included")
    (tmp_path / "nested.yaml").write_text("Resources: {}")
    (tmp_path / "api.yaml").write_text("openapi: 3.0.1\npaths: {}")
    found = read_definition(tmp_path / "template.yaml", {}, "us-east-1")
    assert found.plan.functions["Fn"].environment == {"A": "included"}
    names = {"template.yaml", "variables.yaml", "nested.yaml", "api.yaml", "identities.toml"}
    assert {path.name for path in found.sources} == names
