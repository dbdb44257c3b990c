"""The template reader: values as CloudFormation computes them, and errors with their place."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from lattice_bridge.deployment.cloudformation.parameters import parameter_values
from lattice_bridge.deployment.cloudformation.template import read_template, read_translated, resolve
from lattice_bridge.deployment.cloudformation.text import BadTemplate, places_of, read_document
from tests.support.paths import ROOT


def properties(folder: Path, text: str, resource: str = "R", **parameters: str) -> Any:
    path = folder / "template.yaml"
    path.write_text(text)
    return read_template(path, parameters, "eu-west-1").resources[resource].properties


HEAD = """
Mappings:
  Sizes: {orders: {small: 7}}
  Accounts: {123456789012: {x: y}}
Parameters:
  Name: {Type: String, Default: orders}
  Names: {Type: CommaDelimitedList, Default: "a, b"}
  Size: {Type: Number, Default: 3}
  Flag: {Type: String, Default: true, AllowedValues: [true, false]}
  Second: {Type: Number, Default: 1}
  Comma: {Type: String, Default: ","}
Conditions:
  IsProd: !Equals [!Ref Name, prod]
  IsOn: !Equals ["true", !Ref Flag]
  NotProd: !Not [!Condition IsProd]
  Both: !And [!Condition IsProd, !Condition NotProd]
  Either: !Or [!Condition IsProd, !Condition NotProd]
Resources:
  Fn: {Type: "AWS::Serverless::Function", Properties: {FunctionName: !Sub "${Name}-fn", AutoPublishAlias: live}}
  Plain: {Type: "AWS::Lambda::Function", Properties: {}}
  Alias: {Type: "AWS::Lambda::Alias", Properties: {FunctionName: !Ref Fn, Name: green}}
  Version: {Type: "AWS::Lambda::Version", Properties: {FunctionName: !GetAtt Fn.Arn}}
  Role: {Type: "AWS::IAM::Role", Properties: {RoleName: !Sub "${Name}-role"}}
  Policy: {Type: "AWS::IAM::ManagedPolicy"}
  Svc: {Type: "AWS::VpcLattice::Service"}
  Topic: {Type: "AWS::SNS::Topic"}
  Custom: {Type: "Custom::Thing"}
  R:
    Type: Test
    Properties:
      X: """


def condition(written: str) -> str:
    """The template with one more condition, which R.X uses."""
    return HEAD.replace("\nResources:", f"\n  IsOdd: {written}\nResources:") + "!If [IsOdd, 1, 2]"


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
        ("!Base64 text", "dGV4dA=="),
        ("{Fn::Length: !Ref Names}", 2),
        ("{Fn::ToJsonString: {a: !Ref Size, b: [!Ref Name]}}", '{"a":3,"b":["orders"]}'),
        ("!Select [1, !Cidr [10.0.0.0/16, 2, 8]]", "10.0.1.0/24"),
        ("!Select [1, !GetAZs '']", "eu-west-1b"),
        ("!Select [0, !GetAZs {Ref: AWS::Region}]", "eu-west-1a"),
        ("!FindInMap [Accounts, '123456789012', x]", "y"),
        ("!Select [1, !Split ['/', !GetAtt Custom.Name]]", "{Select at R.X is not resolved locally}"),
        ("'{{resolve:ssm:/a/b}}-c'", "{resolve ssm a b is not resolved locally}-c"),
        ("{Fn::GetAtt: Fn.Arn}", FN),
        ("!GetAtt Alias.AliasArn", f"{FN}:green"),
        ("!Ref Version", f"{FN}:1"),
        ("!GetAtt Version.FunctionArn", f"{FN}:1"),
        ("!GetAtt Version.Version", "1"),
        ("!Ref Role", "orders-role"),
        ("!GetAtt Role.Arn", "arn:aws:iam::123456789012:role/orders-role"),
        ("!GetAtt Policy.PolicyArn", "arn:aws:iam::123456789012:policy/Policy"),
        ("!Ref Flag", "true"),
        ("!Sub '${Flag}'", "true"),
        ("!If [IsOn, 1, 2]", 1),
        ("!Select [!Ref Second, !Split [!Ref Comma, 'a,b']]", "b"),
        ("!Select [4, !Split ['-', !Select [2, !Split ['/', !Ref AWS::StackId]]]]", "1234567db123"),
        ("!Select [5, !Split [':', !ImportValue x]]", "{Select at R.X is not resolved locally}"),
        ("!FindInMap [Sizes, large, small, {DefaultValue: 9}]", 9),
        ("2012-99-99", "2012-99-99"),
        ("!Ref Topic", "arn:aws:sns:eu-west-1:123456789012:Topic"),
        ("!GetAtt Custom.Arn", "arn:aws:local:eu-west-1:123456789012:Custom"),
    ],
)
def test_expression_has_the_value_of_cloudformation(tmp_path: Path, expression: str, value: Any) -> None:
    assert properties(tmp_path, HEAD + expression)["X"] == value


def test_lattice_resource_has_a_stable_arn(tmp_path: Path) -> None:
    first = properties(tmp_path, HEAD + "!GetAtt Svc.Arn")["X"]
    assert first == properties(tmp_path, HEAD + "!Ref Svc")["X"]
    assert first.startswith("arn:aws:vpc-lattice:eu-west-1:123456789012:service/svc-")
    assert properties(tmp_path, HEAD + "!GetAtt Svc.Id")["X"] == first.rpartition("/")[2]


@pytest.mark.parametrize(
    ("written", "expression", "pattern"),
    [
        ("ApiGateway::RestApi", "!Ref N", "[a-z][a-z0-9]{9}"),
        ("ApiGateway::RestApi", "!GetAtt N.RootResourceId", "[a-z0-9]{10}"),
        ("ApiGatewayV2::Api", "!GetAtt N.ApiEndpoint", r"https://[a-z0-9]{10}\.execute-api\.eu-west-1\.amazonaws\.com"),
        ("ApiGatewayV2::Stage, Properties: {StageName: prod}", "!Ref N", "prod"),
        ("SQS::Queue", "!Ref N", "https://sqs.eu-west-1.amazonaws.com/123456789012/N"),
        ("SQS::Queue, Properties: {QueueName: q.fifo}", "!GetAtt N.Arn", "arn:aws:sqs:eu-west-1:123456789012:q.fifo"),
        ("SQS::Queue, Properties: {QueueName: q.fifo}", "!GetAtt N.QueueName", "q.fifo"),
        ("DynamoDB::Table", "!Select [1, !Split [':table/', !GetAtt N.Arn]]", "N"),
        ("Lambda::Function", "!Select [1, !Split [':function:', !GetAtt N.Arn]]", "N"),
        ("S3::Bucket", "!GetAtt N.Arn", "arn:aws:s3:::n00"),
        ("StepFunctions::StateMachine", "!Ref N", "arn:aws:states:eu-west-1:123456789012:stateMachine:N"),
        ("Cognito::UserPool", "!Ref N", "eu-west-1_[a-z0-9]{9}"),
        ("Cognito::UserPool", "!GetAtt N.ProviderURL", "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_.{9}"),
        ("EC2::Subnet", "!Ref N", "subnet-[0-9a-f]{17}"),
        ("ElasticLoadBalancingV2::LoadBalancer", "!GetAtt N.DNSName", r"N-\d+\.eu-west-1\.elb\.amazonaws\.com"),
    ],
)
def test_placeholder_has_the_shape_of_the_real_value(
    tmp_path: Path, written: str, expression: str, pattern: str
) -> None:
    """Functions take names out of ARNs, and verify issuers."""
    text = f"Resources:\n  N: {{Type: AWS::{written}}}\n  R: {{Type: T, Properties: {{X: {expression}}}}}"
    assert re.fullmatch(pattern, properties(tmp_path, text)["X"])


def test_resource_with_a_given_id_has_it(tmp_path: Path) -> None:
    path = tmp_path / "template.yaml"
    path.write_text("Resources: {Api: {Type: 'AWS::ApiGatewayV2::Api'}}")
    api = read_template(path, {}, "us-east-1", ids={"Api": "a1b2c3d4e5"}).resources["Api"]
    assert (api.ref, api.attributes["ApiEndpoint"]) == (
        "a1b2c3d4e5",
        "https://a1b2c3d4e5.execute-api.us-east-1.amazonaws.com",
    )


def test_resource_with_a_false_condition_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "template.yaml"
    path.write_text(HEAD + "1\n  Gone: {Type: Test, Condition: IsProd}\n  There: {Type: Test, Condition: NotProd}\n")
    found = read_template(path, {}, "us-east-1").resources
    assert ("Gone" in found, "There" in found) == (False, True)


def test_globals_are_merged_under_the_functions_properties(tmp_path: Path) -> None:
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
        (HEAD + "!Ref Missing", {}, "R.X: Ref Missing: no such parameter or resource. Fix: "),
        (HEAD + "!Ref r.Alias", {}, "no such parameter or resource. Fix: write R, if that is meant"),
        (HEAD + "!GetAtt Missing.Arn", {}, "R.X: GetAtt Missing.Arn: no such resource"),
        (HEAD + "!GetAtt [!Ref AWS::NoValue, Arn]", {}, "R.X: GetAtt AWS::NoValue.Arn: no such resource"),
        (HEAD + "!Sub '${Missing}'", {}, "R.X: Ref Missing"),
        (
            HEAD + "!FindInMap [Colours, large, small]",
            {},
            "R.X: FindInMap: there is no Colours.large.small in Mappings",
        ),
        (HEAD + "!FindInMap [Sizes, large, small]", {}, "R.X: FindInMap: there is no Sizes.large.small in Mappings"),
        (condition("!Not []"), {}, "Conditions.IsOdd: not a condition of "),
        (condition("!Not [!Condition IsProd, !Condition IsOn]"), {}, "Conditions.IsOdd: not a condition of "),
        (condition("!And [!Condition IsProd]"), {}, "Conditions.IsOdd: not a condition of "),
        (condition("!Or []"), {}, "Conditions.IsOdd: not a condition of "),
        (HEAD + "1", {"AWS::AccountId": "1111-2222-3333"}, "AWS::AccountId: '1111-2222-3333' is not 12 digits"),
        (HEAD + "!Sub [a, b]", {}, "R"),
        ("Resources: {R: {Type: T, Properties: text}}", {}, "resource R: malformed"),
        ("Parameters: {P: text}\nResources: {}", {}, "malformed"),
        ("Globals: x\nResources: {R: {Type: 'AWS::Serverless::Function'}}", {}, "malformed"),
        ("Resources: {R: {Type: 'AWS::Serverless::Function', Properties: [x]}}", {}, "malformed"),
        ("Resources: {R: {Type: 'AWS::CloudFormation::Stack', Properties: [x]}}", {}, "malformed"),
        ("Resources: {R: {Type: 'AWS::Serverless::Api', Properties: x}}", {}, "malformed"),
        (
            "Resources: {R: &a {Type: T, Properties: {X: *a}}}",
            {},
            "line 1: with its aliases expanded, this has more",
        ),
        ("Resources: {R: {Type: T}}\nX: " + "[" * 3000, {}, "nested too deeply"),
        ("Resources: {}\nX: " + "1" * 5000, {}, "a number of more than 4,300 digits"),
        (HEAD + "1", {"AWS::Colour": "x"}, "no parameter AWS::Colour"),
        (HEAD + "!If [Nothing, 1, 2]", {}, "no condition Nothing"),
        (HEAD + "!Select [9, [a]]", {}, "R.X: Fn::Select is malformed"),
        (HEAD + "1", {"Nmae": "x"}, "no parameter Nmae in the template; it has Name, Names, Size, Flag"),
        (
            "Parameters: {P: {Type: String, AllowedPattern: 'x{9}'}}\nResources: {}",
            {},
            "parameter P: no value and no default. Fix: --parameter P=…, which has to match x{9}",
        ),
        (HEAD + "!Cidr [10.0.0.0/16, 257, 8]", {}, "R.X: Fn::Cidr is malformed: 257 subnets, and it makes 1 to 256"),
        (HEAD + "!Cidr [10.0.0.0/16, 2, 17]", {}, "R.X: Fn::Cidr is malformed"),
        (HEAD + "{Fn::Length: text}", {}, "R.X: Fn::Length is malformed: the argument is not a list"),
        (
            "Parameters: {P: {Type: String, AllowedValues: [a, b]}}\nResources: {}",
            {"P": "c"},
            "parameter P: 'c' is not one of a, b",
        ),
    ],
)
def test_fault_is_reported_with_its_place(tmp_path: Path, text: str, parameters: dict[str, str], message: str) -> None:
    with pytest.raises(BadTemplate) as caught:
        properties(tmp_path, text, **parameters)
    assert message in str(caught.value)


REPEATED = "Resources:\n  R: {Type: T, Properties: {X: 1}}\n  R: {Type: T, Properties: {X: 2, X: 3}}\n"


def test_last_of_a_repeated_key_is_used_and_named(tmp_path: Path) -> None:
    """CloudFormation does so without a word."""
    assert properties(tmp_path, REPEATED) == {"X": 3}
    notes = read_template(tmp_path / "template.yaml", {}, "us-east-1").notes
    assert notes == tuple(
        (f"{key} occurs twice, and the last one is used, as on AWS", "line 3 of template.yaml") for key in "RX"
    )


def test_check_refuses_a_repeated_key(tmp_path: Path) -> None:
    """A reviewer reads the first one, and CloudFormation deploys the last one."""
    (tmp_path / "template.yaml").write_text(REPEATED)
    with pytest.raises(BadTemplate, match="line 3: R occurs twice"):
        read_translated(tmp_path / "template.yaml", {}, "us-east-1")


def test_yaml_fault_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(
        BadTemplate,
        match=r"not YAML: expected the node content.*, while parsing a flow node that begins at line 1, column ",
    ) as caught:
        properties(tmp_path, "Resources: [")
    assert "\n" not in str(caught.value)
    assert "<unicode string>" not in str(caught.value)


def test_lists_are_added_to_those_of_globals(tmp_path: Path) -> None:
    """As the SAM specification describes."""
    text = """
Globals: {Function: {Layers: [common]}}
Resources: {R: {Type: "AWS::Serverless::Function", Properties: {Layers: [own]}}}
"""
    assert properties(tmp_path, text) == {"Layers": ["common", "own"]}


def test_map_with_a_key_like_a_reference_is_merged(tmp_path: Path) -> None:
    text = """
Globals: {Function: {Environment: {Variables: {A: one}}}}
Resources: {R: {Type: "AWS::Serverless::Function", Properties: {Environment: {Variables: {Refresh: two}}}}}
"""
    assert properties(tmp_path, text) == {"Environment": {"Variables": {"A": "one", "Refresh": "two"}}}


def test_globals_are_merged_once_for_any_number_of_references(tmp_path: Path) -> None:
    """At each reference, they were a million values together, and the template was refused."""
    tags = {f"t{number}": "x" for number in range(1000)}
    function = {"Type": "AWS::Serverless::Function", "Properties": {"FunctionName": "orders"}}
    refers = {"Type": "T", "Properties": {"X": [{"Ref": "F"}] * 1100}}
    template = {"Globals": {"Function": {"Tags": tags}}, "Resources": {"F": function, "R": refers}}
    assert properties(tmp_path, json.dumps(template)) == {"X": ["orders"] * 1100}


def test_name_with_a_placeholder_decides_no_condition_after_it_was_read(tmp_path: Path) -> None:
    path = tmp_path / "template.yaml"
    path.write_text("""
Conditions: {C: !Equals [!GetAtt Q.QueueName, q-123456789012]}
Resources:
  A: {Type: T, Properties: {X: !GetAtt Q.QueueName}}
  Q: {Type: "AWS::SQS::Queue", Properties: {QueueName: !Sub "q-${AWS::AccountId}"}}
  B: {Type: T, Condition: C}
""")
    found = read_translated(path, {}, "us-east-1", deployed=True)
    assert found.resources["A"].properties == {"X": "q-123456789012"}
    assert "B" not in found.resources


def test_nested_conditions_are_decided_once_each(tmp_path: Path) -> None:
    chain = "".join(f"  C{n}: !Or [!Condition C{n - 1}, !Condition C{n - 1}]\n" for n in range(1, 60))
    text = (
        f"Conditions:\n  C0: !Equals [a, b]\n{chain}Resources: {{R: {{Type: T, Properties: {{X: !If [C59, 1, 2]}}}}}}"
    )
    assert properties(tmp_path, text) == {"X": 2}


def test_missing_template_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadTemplate, match="No such file"):
        read_template(tmp_path / "nothing.yaml", {}, "us-east-1")


def test_aliases_that_expand_to_too_many_values_are_refused(tmp_path: Path) -> None:
    levels = [f"  a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 9)}]" for level in range(1, 9)]
    text = "\n".join(["Metadata:", "  a0: &a0 [x]", *levels, "Resources: {R: {Type: Test}}"])
    with pytest.raises(BadTemplate, match=r"line 7: with its aliases expanded, this has more than 100,000 values"):
        properties(tmp_path, text)


def test_json_with_tabs_is_read(tmp_path: Path) -> None:
    text = json.dumps({"Resources": {"R": {"Type": "Test", "Properties": {"X": "a\tb"}}}}, indent="\t")
    assert properties(tmp_path, text) == {"X": "a\tb"}


KNOWN_LATER = (
    HEAD.replace("Sizes: {orders: {small: 7}}", "Sizes: {orders: {small: 7, secret: '{{resolve:ssm:size}}'}}")
    .replace("\nParameters:", "\nParameters:\n  Secret: {Type: String, Default: '{{resolve:ssm:name}}'}")
    .replace(
        "\nResources:",
        """
  Here: !Equals [!Ref AWS::Region, eu-west-1]
  NotHere: !Not [!Condition Here]
  HereOrOn: !Or [!Condition Here, !Condition IsOn]
  HereAndProd: !And [!Equals [!Ref AWS::AccountId, "123456789012"], !Condition IsProd]
Resources:
  Made: {Type: "AWS::CloudFormation::CustomResource"}
  Bucket: {Type: "AWS::S3::Bucket"}
  Nameless: {Type: "AWS::Lambda::Alias", Properties: {FunctionName: !Ref Fn, Name: !Ref AWS::NoValue}}""",
    )
)


def deployed(expression: str, **parameters: str) -> Any:
    given = {name.replace("__", "::"): value for name, value in parameters.items()}
    document = read_document(KNOWN_LATER + expression, "t.yaml")
    return resolve(document, Path("t.yaml"), given, "eu-west-1", deployed=True).resources["R"].properties["X"]


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("!Ref AWS::StackName", "{StackName is not resolved locally}"),
        (
            "!Ref Plain",
            "{StackName is not resolved locally}-Plain-{what CloudFormation appends is not resolved locally}",
        ),
        ("!GetAtt Version.Version", "{the number of Version is not resolved locally}"),
        ("!GetAtt Svc.DnsEntry.DomainName", "{Svc.DnsEntry.DomainName is not resolved locally}"),
        ("'{{resolve:ssm:/a/b}}-c'", "{resolve ssm a b is not resolved locally}-c"),
        ("!Sub '{{resolve:ssm:${Name}}}'", "{resolve ssm orders is not resolved locally}"),
        ("!Join ['', ['{{resolve:ssm:', !Ref Name, '}}']]", "{resolve ssm orders is not resolved locally}"),
        (
            "!Sub '{{resolve:ssm:${AWS::StackName}}}'",
            "{resolve ssm StackName is not resolved locally is not resolved locally}",
        ),
        ("!Ref Secret", "{resolve ssm name is not resolved locally}"),
        ("!FindInMap [Sizes, orders, secret]", "{resolve ssm size is not resolved locally}"),
        ("!Split ['-', !Sub ['${A}-c', {A: !ImportValue a-b}]]", ["{ImportValue a-b is not resolved locally}", "c"]),
        ("!Ref Custom", "{Custom is not resolved locally}"),
        ("!GetAtt Custom.Arn", "{Custom.Arn is not resolved locally}"),
        ("!GetAtt Made.Arn", "{Made.Arn is not resolved locally}"),
        ("!Ref Bucket", "{Bucket is not resolved locally}"),
        ("!Ref Topic", "arn:aws:sns:eu-west-1:123456789012:Topic"),
        ("!Ref Nameless", f"{FN}:{{Nameless.Name is not resolved locally}}"),
        ("!If [NotHere, 1, 2]", 2),
        ("!If [HereOrOn, 1, 2]", 1),
        ("!If [HereAndProd, 1, 2]", 2),
    ],
)
def test_unresolved_value_is_a_marker(expression: str, value: str) -> None:
    assert deployed(expression) == value


def test_given_pseudo_parameters_are_used() -> None:
    given = {"AWS__StackName": "prod", "AWS__AccountId": "111122223333", "AWS__Region": "cn-north-1"}
    assert deployed("!Sub '${AWS::StackName} ${AWS::URLSuffix} ${Fn.Arn}'", **given) == (
        "prod amazonaws.com.cn arn:aws-cn:lambda:cn-north-1:111122223333:function:orders-fn"
    )


@pytest.mark.parametrize(
    ("declared", "value", "fault"),
    [
        ("Type: Number, MinValue: 60, MaxValue: 600", "30", "'30' is not between 60 and 600"),
        ("Type: Number, MaxValue: 600", "601", "'601' is not between -inf and 600"),
        ("Type: Number", "soon", "'soon' is not a number"),
        ("Type: List<Number>", "1,x", "'x' is not a number"),
        ("Type: String, MinLength: 2", "a", "'a' has 1 character, and may have 2 to any number"),
        ("Type: String, MaxLength: 2", "abc", "'abc' has 3 characters, and may have 0 to 2"),
        ("Type: String, AllowedPattern: '[a-z]+'", "a1", "'a1' does not match [a-z]+"),
        ("Type: CommaDelimitedList, AllowedPattern: '[a-z]+'", "a, 1", "'1' does not match [a-z]+"),
        ("Type: CommaDelimitedList, AllowedValues: [a, b]", "a, c", "'c' is not one of a, b"),
    ],
)
def test_disallowed_parameter_value_is_refused(declared: str, value: str, fault: str) -> None:
    with pytest.raises(BadTemplate, match=re.escape(f"parameter P: {fault}")):
        parameter_values({"P": yaml.safe_load(f"{{{declared}}}")}, {"P": value}, deployed=False)


@pytest.mark.parametrize(
    ("declared", "value"),
    [
        ("Type: Number, MinValue: 60, MaxValue: 600", "60"),
        ("Type: List<Number>", "1, 2"),
        ("Type: CommaDelimitedList, AllowedValues: [a, b]", "a, b"),
        ("Type: String, AllowedPattern: '[a-z&&[^x]]+'", "abc"),
        ("Type: String, AllowedPattern: '(?<bad'", "anything"),
        ("Type: String, MinLength: 0, AllowedPattern: '^(a.*)?$'", ""),
    ],
)
def test_allowed_parameter_value_is_accepted(declared: str, value: str) -> None:
    """AWS reads patterns as Java's; one that Python cannot read is not tried here."""
    assert parameter_values({"P": yaml.safe_load(f"{{{declared}}}")}, {"P": value}, deployed=False)


# ---- the two parsers ------------------------------------------------------------------------------------------------

WITHOUT_LIBYAML = """
import json, sys
sys.modules["yaml._yaml"] = None
from pathlib import Path
from lattice_bridge.deployment.cloudformation.text import places_of, read_document
texts = [Path(path).read_text("utf-8") for path in sys.argv[1:]]
print(json.dumps([[read_document(text, "t"), places_of(text)] for text in texts]))
"""


def test_document_and_places_are_those_of_pyyaml_without_libyaml() -> None:
    paths = [ROOT / "template.yaml", *(ROOT / "tests").rglob("template.yaml"), ROOT / "tests/templates/orders.yaml"]
    command = [sys.executable, "-c", WITHOUT_LIBYAML, *map(str, paths)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    texts = [path.read_text("utf-8") for path in paths]
    assert json.loads(done.stdout) == json.loads(
        json.dumps([[read_document(text, "t"), places_of(text)] for text in texts])
    )


def test_text_that_only_pyyaml_reads_is_read() -> None:
    """libyaml refuses both halves of a character of JSON."""
    with pytest.raises(yaml.YAMLError):
        yaml.load('["\\ud83d\\ude00"]', yaml.CSafeLoader)
    assert read_document('{"Resources": {}, "Description": "\\ud83d\\ude00"}', "t")["Resources"] == {}
