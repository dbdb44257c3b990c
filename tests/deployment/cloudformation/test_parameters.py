"""Stand-ins for parameters without a value, for the local stack."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from lattice_bridge.deployment.cloudformation.parameters import parameter_values, stand_ins
from lattice_bridge.deployment.cloudformation.template import read_template, read_translated
from lattice_bridge.deployment.cloudformation.text import BadTemplate


@pytest.mark.parametrize(
    ("name", "declared", "pattern"),
    [
        ("BucketName", "Type: String", "bucket-name"),
        ("Stage", "Type: String, AllowedValues: [dev, prod]", "dev"),
        ("Debug", "Type: String, AllowedValues: [true, false]", "true"),
        ("NotificationEmail", "Type: String", "user@example.com"),
        ("RoleArn", "Type: String", "arn:aws:local:us-east-1:123456789012:role-arn"),
        ("UserPoolArn", "Type: String", "arn:aws:cognito-idp:us-east-1:123456789012:userpool/us-east-1_[0-9A-Za-z]+"),
        ("CognitoUserPoolId", "Type: String", "us-east-1_[0-9A-Za-z]+"),
        ("Code", "Type: String, AllowedPattern: '[0-9]{12}'", "123456789012"),
        ("Long", "Type: String, MinLength: 20", "long0{16}"),
        ("Short", "Type: String, MaxLength: 3", "sho|1|..."),
        ("Count", "Type: Number", "1"),
        ("Seconds", "Type: Number, MinValue: 60", "60"),
        ("Few", "Type: Number, MinValue: -5, MaxValue: 0", "-5"),
        ("Vpc", "Type: AWS::EC2::VPC::Id", "vpc-[0-9a-f]{17}"),
        ("Subnets", "Type: List<AWS::EC2::Subnet::Id>", "subnet-[0-9a-f]{17},subnet-[0-9a-f]{17}"),
        ("Zone", "Type: AWS::Route53::HostedZone::Id", "Z[0-9A-Z]+"),
        ("Key", "Type: AWS::EC2::KeyPair::KeyName", "local-key"),
        ("Image", "Type: AWS::SSM::Parameter::Value<AWS::EC2::Image::Id>", "/local/Image"),
        ("Names", "Type: CommaDelimitedList", "names"),
    ],
)
def test_stand_in_fits_the_type_and_the_constraints(name: str, declared: str, pattern: str) -> None:
    declaration = {name: yaml.safe_load(f"{{{declared}}}")}
    found = stand_ins(declaration, {})
    assert re.fullmatch(pattern, found[name])
    assert parameter_values(declaration, found, deployed=False)  # it is accepted


def test_parameter_that_has_a_value_gets_no_stand_in() -> None:
    assert stand_ins({"A": {"Type": "String"}, "B": {"Type": "String", "Default": ""}}, {"A": "a"}) == {}


def test_pattern_that_no_stand_in_matches_leaves_the_parameter_without_one() -> None:
    """The reader then says which parameter has no value."""
    assert stand_ins({"A": {"Type": "String", "AllowedPattern": "x{9}"}}, {}) == {}


def test_stand_ins_of_hostile_parameters_are_bounded() -> None:
    """Trap D9: a length of a billion makes no string of a billion characters, and a million parameters no million."""
    declared = {f"P{n}": {"Type": "String", "MinLength": 10**9} for n in range(1000)}
    assert stand_ins(declared, {}) == {}
    assert len(stand_ins({f"P{n}": {"Type": "String"} for n in range(1000)}, {})) == 200


TEMPLATE = """
Parameters:
  Name: {Type: String}
  Secret: {Type: String, NoEcho: true}
Resources:
  R: {Type: T, Properties: {Name: !Ref Name, Secret: !Ref Secret}}
"""


def test_stand_in_is_named_and_the_value_of_a_hidden_one_is_not(tmp_path: Path) -> None:
    path = tmp_path / "template.yaml"
    path.write_text(TEMPLATE)
    sentence = "a parameter without a value has a stand-in. Fix: --parameter NAME=VALUE gives it one"
    found = read_template(path, {}, "us-east-1")
    assert found.notes == ((sentence, "Name=name"), (sentence, "Secret"))
    assert found.resources["R"].properties["Name"] == "name"


def test_check_makes_no_stand_in(tmp_path: Path) -> None:
    path = tmp_path / "template.yaml"
    path.write_text(TEMPLATE)
    with pytest.raises(BadTemplate, match=r"parameter Name: no value and no default\. Fix: --parameter Name="):
        read_translated(path, {}, "us-east-1")
