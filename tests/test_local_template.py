"""Templates: what CloudFormation would compute, and errors that say where."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lattice_bridge.local.template import BadTemplate, read_template


def properties(folder: Path, text: str, resource: str = "R", **parameters: str) -> Any:
    path = folder / "template.yaml"
    path.write_text(text)
    return read_template(path, parameters, "eu-west-1").resources[resource].properties


HEAD = """
Mappings:
  Sizes: {orders: {small: 7}}
Parameters:
  Name: {Type: String, Default: orders}
  Names: {Type: CommaDelimitedList, Default: "a, b"}
  Size: {Type: Number, Default: 3}
Conditions:
  IsProd: !Equals [!Ref Name, prod]
  NotProd: !Not [!Condition IsProd]
  Both: !And [!Condition IsProd, !Condition NotProd]
  Either: !Or [!Condition IsProd, !Condition NotProd]
Resources:
  Fn: {Type: "AWS::Serverless::Function", Properties: {FunctionName: !Sub "${Name}-fn", AutoPublishAlias: live}}
  Plain: {Type: "AWS::Lambda::Function", Properties: {}}
  Alias: {Type: "AWS::Lambda::Alias", Properties: {FunctionName: !Ref Fn, Name: green}}
  Svc: {Type: "AWS::VpcLattice::Service"}
  R:
    Type: Test
    Properties:
      X: """

FN = "arn:aws:lambda:eu-west-1:123456789012:function:orders-fn"


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("!Ref Name", "orders"),
        ("!Ref Names", ["a", "b"]),
        ("!Ref Size", 3),
        ("!Ref AWS::Region", "eu-west-1"),
        ("!Ref Fn", "orders-fn"),
        ("!Ref Plain", "Plain"),
        ("!Ref Fn.Alias", f"{FN}:live"),
        ("!Ref Alias", f"{FN}:green"),
        ("!GetAtt Fn.Arn", FN),
        ("!GetAtt [Fn, Arn]", FN),
        ("{Fn::GetAtt: [Fn, Arn]}", FN),
        ("!Sub '${Name}/${AWS::AccountId}/${Fn.Arn}/${Fn}/${!Kept}'", f"orders/123456789012/{FN}/orders-fn/${{Kept}}"),
        ("!Sub ['${Mine}-${Name}', {Mine: !Ref Size}]", "3-orders"),
        ("!Join ['-', [a, !Ref Name]]", "a-orders"),
        ("!Select [1, !Split ['/', 'a/b/c']]", "b"),
        ("!If [IsProd, yes-it-is, !Ref Name]", "orders"),
        ("!If [Either, 1, 2]", 1),
        ("!If [Both, 1, 2]", 2),
        ("{A: !If [NotProd, !Ref AWS::NoValue, 1], B: 2}", {"B": 2}),
        ("[!Ref AWS::NoValue, 1]", [1]),
        ("!FindInMap [Sizes, !Ref Name, small]", 7),
        ("!Base64 text", "{Fn::Base64 is not resolved locally}"),
    ],
)
def test_an_expression_has_the_value_that_cloudformation_gives_it(tmp_path: Path, expression: str, value: Any) -> None:
    assert properties(tmp_path, HEAD + expression)["X"] == value


def test_a_lattice_resource_has_an_arn_that_stays_the_same(tmp_path: Path) -> None:
    first = properties(tmp_path, HEAD + "!GetAtt Svc.Arn")["X"]
    assert first == properties(tmp_path, HEAD + "!Ref Svc")["X"]
    assert first.startswith("arn:aws:vpc-lattice:eu-west-1:123456789012:service/svc-")
    assert properties(tmp_path, HEAD + "!GetAtt Svc.Id")["X"] == first.rpartition("/")[2]


def test_a_resource_whose_condition_is_false_is_not_there(tmp_path: Path) -> None:
    path = tmp_path / "template.yaml"
    path.write_text(HEAD + "1\n  Gone: {Type: Test, Condition: IsProd}\n  There: {Type: Test, Condition: NotProd}\n")
    found = read_template(path, {}, "us-east-1").resources
    assert ("Gone" in found, "There" in found) == (False, True)


def test_globals_are_merged_under_a_functions_own_properties(tmp_path: Path) -> None:
    text = """
Globals:
  Function:
    Timeout: 9
    Environment: {Variables: {A: "1", B: "2"}}
Resources:
  R:
    Type: AWS::Serverless::Function
    Properties:
      Environment: {Variables: {B: !Sub "${AWS::Region}"}}
"""
    assert properties(tmp_path, text) == {"Timeout": 9, "Environment": {"Variables": {"A": "1", "B": "eu-west-1"}}}


@pytest.mark.parametrize(
    ("text", "parameters", "message"),
    [
        ("Resources: [", {}, "not YAML"),
        ("a: 1", {}, "no Resources"),
        ("Resources: {R: {}}", {}, "resource R: no Type"),
        (HEAD + "!Ref Nobody", {}, "R.X: Ref Nobody: no such parameter or resource"),
        (HEAD + "!GetAtt Nobody.Arn", {}, "R.X: GetAtt Nobody.Arn: no such resource"),
        (HEAD + "!Sub '${Nobody}'", {}, "R.X: Ref Nobody"),
        (HEAD + "!FindInMap [Sizes, large, small]", {}, "R.X: Fn::FindInMap is malformed"),
        (HEAD + "!Sub [a, b]", {}, "R"),
        ("Resources: {R: {Type: T, Properties: text}}", {}, "resource R: malformed"),
        ("Parameters: {P: text}\nResources: {}", {}, "malformed"),
        ("Resources: {R: &a {Type: T, Properties: {X: *a}}}", {}, "resource R: malformed"),
        (HEAD + "!If [Nothing, 1, 2]", {}, "no condition Nothing"),
        (HEAD + "!Select [9, [a]]", {}, "R.X: Fn::Select is malformed"),
        (HEAD + "1", {"Nmae": "x"}, "no parameter Nmae in the template; it has Name, Names, Size"),
        (
            "Parameters: {P: {Type: String}}\nResources: {}",
            {},
            "parameter P has no default; give it with --parameter P=…",
        ),
        (
            "Parameters: {P: {Type: String, AllowedValues: [a, b]}}\nResources: {}",
            {"P": "c"},
            "parameter P: 'c' is not one of a, b",
        ),
    ],
)
def test_a_fault_is_named_with_its_place(tmp_path: Path, text: str, parameters: dict[str, str], message: str) -> None:
    with pytest.raises(BadTemplate) as caught:
        properties(tmp_path, text, **parameters)
    assert message in str(caught.value)


def test_a_template_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadTemplate, match="No such file"):
        read_template(tmp_path / "nothing.yaml", {}, "us-east-1")
