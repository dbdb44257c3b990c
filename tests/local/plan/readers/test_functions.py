"""The functions of a template: where their code and layers are, what runs them, and why one is not run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from lattice_bridge.deployment.cloudformation.template import read_template
from lattice_bridge.local.plan.model import Function, Plan
from lattice_bridge.local.plan.readers.functions import Runners
from lattice_bridge.local.plan.readers.template import read_plan

SERVICE = """
  Service: {Type: "AWS::VpcLattice::Service", Properties: {Name: orders}}
  Listener:
    Type: AWS::VpcLattice::Listener
    Properties: {ServiceIdentifier: !Ref Service, DefaultAction: {FixedResponse: {StatusCode: 404}}}
  Other: {Type: "AWS::Serverless::Function", Properties: {Handler: a.b, Runtime: python3.13}}
"""
POWERTOOLS = "arn:aws:lambda:eu-west-1:017000801446:layer:AWSLambdaPowertoolsPythonV3-python313-x86_64:7"


def planned(folder: Path, resources: str, runners: Runners | None = None) -> Plan:
    path = folder / "template.yaml"
    path.write_text(f"Resources:{SERVICE}{resources}", encoding="utf-8")
    return read_plan(read_template(path, {}, "us-east-1"), runners=runners or Runners())


def function(properties: str, kind: str = "Serverless") -> str:
    return f"  Fn:\n    Type: AWS::{kind}::Function\n    Properties: {{{properties}}}\n"


def read(folder: Path, properties: str, kind: str = "Serverless", runners: Runners | None = None) -> Function:
    return planned(folder, function(properties, kind), runners).functions["Fn"]


def refusal(folder: Path, properties: str, kind: str = "Serverless", runners: Runners | None = None) -> str:
    plan = planned(folder, function(properties, kind), runners)
    assert "Fn" not in plan.functions
    return plan.not_run["Fn"]


# ---- code -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "code"),
    [("Serverless", "CodeUri: ./src"), ("Serverless", "CodeUri: src/"), ("Lambda", "Code: src")],
)
def test_code_is_a_folder_beside_the_template(tmp_path: Path, kind: str, code: str) -> None:
    """`aws cloudformation package` takes a path as Code of AWS::Lambda::Function too."""
    (tmp_path / "src").mkdir()
    assert read(tmp_path, f"Handler: a.b, Runtime: nodejs22.x, {code}", kind).code == tmp_path / "src"


@pytest.mark.parametrize("kind", ["Serverless", "Lambda"])
def test_code_that_is_missing_is_the_folder_of_the_template(tmp_path: Path, kind: str) -> None:
    assert read(tmp_path, "Handler: a.b, Runtime: python3.13", kind).code == tmp_path


@pytest.mark.parametrize("name", ["code.zip", "code.jar", "app.py"])
def test_code_can_be_a_file(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    assert read(tmp_path, f"Handler: a.b, Runtime: python3.13, CodeUri: {name}").code == tmp_path / name


@pytest.mark.parametrize(
    ("kind", "code"),
    [("Serverless", "CodeUri: gone, InlineCode: 'a = 1'"), ("Lambda", "Code: {ZipFile: 'a = 1'}")],
)
def test_inline_code_is_in_the_plan(tmp_path: Path, kind: str, code: str) -> None:
    """CodeUri may come from Globals."""
    found = read(tmp_path, f"Handler: index.b, Runtime: python3.13, {code}", kind)
    assert (found.inline, found.code) == ("a = 1", tmp_path)


@pytest.mark.parametrize(
    ("kind", "code", "reason"),
    [
        ("Serverless", "CodeUri: s3://bucket/key", "its code is in S3, and nothing is downloaded"),
        ("Serverless", "CodeUri: {Bucket: b, Key: k}", "its code is in S3, and nothing is downloaded"),
        ("Lambda", "Code: {S3Bucket: b, S3Key: k}", "its code is in S3, and nothing is downloaded"),
        ("Lambda", "Code: [x]", "its code is neither a local path nor inline"),
        ("Serverless", "CodeUri: gone", 'there is no folder "gone"'),
        ("Serverless", "CodeUri: /dev/zero", 'there is no folder "/dev/zero"'),
        ("Serverless", "CodeUri: gone.zip", 'there is no file "gone.zip"'),
        ("Serverless", f"CodeUri: {'x' * 5000}", 'there is no folder "xxx'),
        ("Serverless", "PackageType: Image", "it is a container image"),
        ("Serverless", "ImageUri: registry/image", "it is a container image"),
        ("Lambda", "Code: {ImageUri: registry/image}", "it is a container image"),
    ],
)
def test_code_elsewhere_is_not_run_with_a_reason_and_a_fix(tmp_path: Path, kind: str, code: str, reason: str) -> None:
    found = refusal(tmp_path, f"Handler: a.b, Runtime: python3.13, {code}", kind)
    assert found.startswith(reason)
    assert ". Fix: " in found


def test_reason_is_not_repeated_among_the_parts_that_are_left_out(tmp_path: Path) -> None:
    plan = planned(tmp_path, function("Handler: a.b, Runtime: python3.13, CodeUri: gone"))
    assert not [line for line in plan.left_out if "Fn" in line]


# ---- runtimes -------------------------------------------------------------------------------------------------------


def test_longest_prefix_of_a_runtime_chooses_the_command(tmp_path: Path) -> None:
    commands = {"java": ("old",), "java21": ("new", "{handler}"), "ruby": ("x",)}
    found = read(tmp_path, "Handler: a.B, Runtime: java21", runners=Runners(commands))
    assert (found.runner, found.command) == ("command", ("new", "{handler}"))
    assert read(tmp_path, "Handler: a.B, Runtime: java17", runners=Runners(commands)).command == ("old",)
    assert read(tmp_path, "Handler: a.b, Runtime: python3.13", runners=Runners(commands)).runner == "python"


@pytest.mark.parametrize(
    ("properties", "commands", "reason"),
    [
        ("Handler: a.b, Runtime: java21", {}, 'Runtime java21 has no command. Fix: write java21 = ["COMMAND", …]'),
        ("Handler: a.b", {}, "it has no Runtime. Fix: "),
        ("Runtime: nodejs22.x", {}, "it has no Handler. Fix: "),
        ("Runtime: java21", {"java": ("x", "{handler}")}, "it has no Handler. Fix: "),
        ("Handler: a.b, Runtime: java21, InlineCode: x", {"java": ("x",)}, "Lambda has no inline code for "),
    ],
)  # fmt: skip
def test_function_that_nothing_starts_is_not_run(
    tmp_path: Path, properties: str, commands: Mapping[str, tuple[str, ...]], reason: str
) -> None:
    assert refusal(tmp_path, properties, runners=Runners(commands)).startswith(reason)


@pytest.mark.parametrize(
    ("properties", "runner"), [("Runtime: provided.al2023", "provided"), ("Runtime: java21", "command")]
)
def test_function_whose_command_takes_no_handler_needs_none(tmp_path: Path, properties: str, runner: str) -> None:
    assert read(tmp_path, properties, runners=Runners({"java": ("run",)})).runner == runner


@pytest.mark.parametrize("properties", ["PackageType: Image", "Runtime: java21, CodeUri: s3://b/k", "CodeUri: gone"])
def test_function_at_a_url_needs_no_code_and_no_runtime(tmp_path: Path, properties: str) -> None:
    runners = Runners(urls={"Fn": "http://127.0.0.1:9002"})
    plan = planned(tmp_path, function(f"FunctionName: orders, {properties}"), runners)
    assert (plan.functions["orders"].runner, plan.functions["orders"].url) == ("url", "http://127.0.0.1:9002")


# ---- layers ---------------------------------------------------------------------------------------------------------


def with_layers(layers: str) -> str:
    return (
        "  Common: {Type: AWS::Serverless::LayerVersion, Properties: {ContentUri: layers/common}}\n"
        "  Own: {Type: AWS::Lambda::LayerVersion, Properties: {LayerName: own-name, Content: own.zip}}\n"
        "  Far: {Type: AWS::Lambda::LayerVersion, Properties: {Content: {S3Bucket: b, S3Key: k}}}\n"
        f"{function(f'Handler: a.b, Runtime: python3.13, Layers: {layers}')}"
    )


@pytest.mark.parametrize(
    "own",
    [
        "!Ref Own",
        "!Sub 'arn:aws:lambda:${AWS::Region}:${AWS::AccountId}:layer:own-name:3'",
        "!GetAtt Own.LayerVersionArn",
    ],
)
def test_layers_of_the_template_are_paths_in_their_order(tmp_path: Path, own: str) -> None:
    found = planned(tmp_path, with_layers(f"[{own}, !Ref Common]"))
    assert found.functions["Fn"].layers == (tmp_path / "own.zip", tmp_path / "layers" / "common")
    assert found.functions["Fn"].remote_layers == ()
    assert found.layers == {"Common": tmp_path / "layers" / "common", "Own": tmp_path / "own.zip"}


def test_layer_in_aws_is_named_and_not_loaded(tmp_path: Path) -> None:
    found = planned(tmp_path, with_layers(f"[{POWERTOOLS}, !Ref Far]"))
    assert (found.functions["Fn"].layers, found.functions["Fn"].remote_layers) == ((), (POWERTOOLS,))
    assert f"the layer {POWERTOOLS} is in AWS, and not loaded (Fn)" in found.left_out
    assert "a layer is not loaded: its content is in S3, and nothing is downloaded (Far)" in found.left_out


def test_layer_of_another_account_is_not_that_of_the_template(tmp_path: Path) -> None:
    other = "arn:aws:lambda:us-east-1:999999999999:layer:own-name:3"
    assert planned(tmp_path, with_layers(f"[{other}]")).functions["Fn"].remote_layers == (other,)
