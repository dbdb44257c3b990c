"""Nested stacks with a local template: resources, parameters, outputs, and their limits."""

from __future__ import annotations

from pathlib import Path

import pytest

from lattice_bridge.deployment.cloudformation.template import Template, read_template

OUTER = """
Resources:
  Orders:
    Type: AWS::CloudFormation::Stack
    Properties:
      TemplateURL: orders/template.yaml
      Parameters: {Stage: prod, Names: [a, b]}
  R:
    Type: T
    Properties:
      Url: !GetAtt Orders.Outputs.Url
      Queue: !Sub "${Orders.Outputs.Queue}!"
"""
INNER = """
Parameters:
  Stage: {Type: String}
  Names: {Type: CommaDelimitedList}
Resources:
  Fn:
    Type: AWS::Serverless::Function
    Properties:
      Handler: a.b
      Runtime: python3.13
      CodeUri: src
      Environment: {Variables: {SELF: !GetAtt Fn.Arn, QUEUE: !GetAtt Queue.QueueName}}
  Here: {Type: "AWS::Lambda::Function", Properties: {Handler: a.b}}
  Queue: {Type: "AWS::SQS::Queue"}
Outputs:
  Url: {Value: !Sub "https://${Stage}.example.com"}
  Queue: {Value: !Ref Queue}
"""


def read(folder: Path, outer: str, inner: str = INNER) -> Template:
    (folder / "orders").mkdir()
    (folder / "orders/template.yaml").write_text(inner)
    (folder / "template.yaml").write_text(outer)
    return read_template(folder / "template.yaml", {}, "us-east-1")


@pytest.mark.parametrize(
    ("kind", "location"),
    [("AWS::CloudFormation::Stack", "TemplateURL"), ("AWS::Serverless::Application", "Location")],
)
def test_resources_of_a_nested_stack_are_served(tmp_path: Path, kind: str, location: str) -> None:
    found = read(tmp_path, OUTER.replace("AWS::CloudFormation::Stack", kind).replace("TemplateURL", location))
    assert list(found.resources) == ["Orders-Fn", "Orders-Here", "Orders-Queue", "R"]
    function = found.resources["Orders-Fn"]
    arn = "arn:aws:lambda:us-east-1:123456789012:function:Orders-Fn"
    assert (function.id, function.arn) == ("Orders-Fn", arn)
    assert function.properties["Environment"]["Variables"] == {"SELF": arn, "QUEUE": "Orders-Queue"}
    assert found.notes == ()


def test_code_of_a_nested_stack_is_relative_to_its_template(tmp_path: Path) -> None:
    found = read(tmp_path, OUTER).resources
    assert found["Orders-Fn"].properties["CodeUri"] == "orders/src"
    assert found["Orders-Here"].properties["Code"] == "orders"


def test_parameters_and_outputs_pass(tmp_path: Path) -> None:
    assert read(tmp_path, OUTER).resources["R"].properties == {
        "Url": "https://prod.example.com",
        "Queue": "https://sqs.us-east-1.amazonaws.com/123456789012/Orders-Queue!",
    }


def test_nested_template_is_translated_too(tmp_path: Path) -> None:
    inner = INNER.replace("      CodeUri: src\n", "      CodeUri: src\n      FunctionUrlConfig: {AuthType: NONE}\n")
    found = read(tmp_path, OUTER, inner).resources
    assert found["Orders-FnUrl"].type == "AWS::Lambda::Url"
    assert found["Orders-Fn"].properties["Code"] == "orders/src"


def test_file_of_a_nested_stack_is_one_of_the_template(tmp_path: Path) -> None:
    """Its change makes another plan."""
    assert [path.name for path in read(tmp_path, OUTER).files] == ["template.yaml"]


@pytest.mark.parametrize(
    ("location", "reason"),
    [
        ("gone.yaml", "No such file"),
        ("https://s3.amazonaws.com/b/t.yaml", "its template is not a local file"),
        ("../outside.yaml", "outside of"),
        ("{Ref: AWS::Region}", "No such file"),
    ],
)
def test_stack_that_cannot_be_read_is_named(tmp_path: Path, location: str, reason: str) -> None:
    """Trap G4: a template of a stranger reads nothing outside of its folder."""
    (tmp_path / "outside.yaml").write_text(INNER)
    folder = tmp_path / "project"
    folder.mkdir()
    found = read(folder, OUTER.replace("orders/template.yaml", location))
    ((sentence, place),) = found.notes
    assert place == "Orders"
    assert sentence.startswith("a nested stack is not served: ")
    assert reason in sentence
    assert found.resources["R"].properties["Url"] == "{Orders.Outputs.Url is not resolved locally}"


def test_stack_that_nests_itself_is_bounded(tmp_path: Path) -> None:
    """Trap D9: two stacks at each level would be endless."""
    again = "{Type: AWS::CloudFormation::Stack, Properties: {TemplateURL: template.yaml}}"
    (tmp_path / "template.yaml").write_text(f"Resources: {{A: {again}, B: {again}, F: {{Type: T}}}}")
    found = read_template(tmp_path / "template.yaml", {}, "us-east-1")
    assert len([name for name in found.resources if name.endswith("F")]) == 21
    assert {sentence for sentence, _ in found.notes} == {
        "a nested stack is not served: more than 4 levels or 20 nested stacks"
    }


def test_stack_that_needs_its_own_output_gets_a_marker(tmp_path: Path) -> None:
    outer = OUTER.replace("Stage: prod", "Stage: !GetAtt Orders.Outputs.Url")
    url = read(tmp_path, outer).resources["R"].properties["Url"]
    assert url == "https://{Orders.Outputs.Url is not resolved locally}.example.com"


def test_missing_output_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Exception, match="a nested stack has no output Url; it has Other"):
        read(tmp_path, OUTER, INNER.replace("  Url:", "  Other:").replace("  Queue: {Value: !Ref Queue}\n", ""))
