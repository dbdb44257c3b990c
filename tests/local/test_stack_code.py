"""The real stack with code that is not a folder: in the template, in layers, and at a URL."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.support.emulator import Emulator
from tests.support.stack import RunningStack, running, wait_until

TEMPLATE: Final = """
Resources:
  Inline:
    Type: AWS::Serverless::Function
    Properties:
      Handler: index.handler
      Runtime: python3.13
      TenancyConfig: {TenantIsolationMode: PER_TENANT}
      InlineCode: |
        def handler(event, context):
            return [context.tenant_id, __file__.rpartition("/")[2]]
  Model: {Type: "AWS::Serverless::LayerVersion", Properties: {ContentUri: model}}
  Layered:
    Type: AWS::Serverless::Function
    Properties:
      Handler: index.handler
      Runtime: python3.13
      Layers: [!Ref Model]
      InlineCode: |
        import os

        def handler(event, context):
            with open("/opt/model.txt") as file:
                return [file.read(), os.access("/opt", os.W_OK)]
  Elsewhere:
    Type: AWS::Serverless::Function
    Properties: {PackageType: Image, ImageUri: image, TenancyConfig: {TenantIsolationMode: PER_TENANT}}
  Image: {Type: "AWS::Serverless::Function", Properties: {PackageType: Image, ImageUri: image}}
  Gone: {Type: "AWS::Serverless::Function", Properties: {PackageType: Image, ImageUri: image}}
  Targets: {Type: "AWS::VpcLattice::TargetGroup", Properties: {Type: LAMBDA, Targets: [{Id: !GetAtt Image.Arn}]}}
  GoneTargets: {Type: "AWS::VpcLattice::TargetGroup", Properties: {Type: LAMBDA, Targets: [{Id: !GetAtt Gone.Arn}]}}
  Service: {Type: "AWS::VpcLattice::Service", Properties: {AuthType: NONE}}
  Listener:
    Type: AWS::VpcLattice::Listener
    Properties:
      ServiceIdentifier: !Ref Service
      DefaultAction: {Forward: {TargetGroups: [{TargetGroupIdentifier: !Ref Targets}]}}
  Rule:
    Type: AWS::VpcLattice::Rule
    Properties:
      ListenerIdentifier: !Ref Listener
      Priority: 1
      Match: {HttpMatch: {PathMatch: {Match: {Exact: /gone}}}}
      Action: {Forward: {TargetGroups: [{TargetGroupIdentifier: !Ref GoneTargets}]}}
"""
REPLY: Final = {"statusCode": 200, "statusDescription": "200 OK", "isBase64Encoded": False, "headers": {}, "body": "hi"}


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    with Emulator() as server:
        yield server


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, emulator: Emulator) -> Iterator[RunningStack]:
    folder = tmp_path_factory.mktemp("project")
    (folder / "template.yaml").write_text(TEMPLATE, encoding="utf-8")
    (folder / "model").mkdir()
    (folder / "model" / "model.txt").write_text("layer", encoding="utf-8")
    (folder / "local.toml").write_text(f'[local.functions]\nImage = "{emulator.url}/image"\n', encoding="utf-8")
    given = (f"--function=Elsewhere={emulator.url}", "--function=Gone=http://127.0.0.1:1")
    with running(*given, template=folder / "template.yaml") as stack:
        yield stack


def test_code_in_the_template_runs_in_a_process_for_each_tenant(stack: RunningStack) -> None:
    assert [stack.invoke("Inline", tenant=tenant).json() for tenant in ("blue", "green")] == [
        ["blue", "index.py"],
        ["green", "index.py"],
    ]


def test_layers_are_at_opt_and_read_only(stack: RunningStack) -> None:
    if any("Tenants share this machine's /tmp" in line.get("message", "") for line in stack.lines):
        pytest.skip("no private mounts on this machine, so no /opt of a function's own")
    if not Path("/opt").is_dir():
        pytest.skip("no /opt on this machine")
    assert stack.invoke("Layered").json() == ["layer", False]
    assert not Path("/opt/model.txt").exists()


def test_function_at_a_url_gets_the_tenant_of_each_invocation(stack: RunningStack) -> None:
    received = stack.invoke("Elsewhere", {"a": 1}, tenant="blue").json()
    assert (json.loads(received["payload"]), received["x-amz-tenant-id"]) == ({"a": 1}, "blue")
    assert stack.invoke("Elsewhere").status == 400
    shared = [line["message"] for line in stack.lines if "its tenants share the process" in line.get("message", "")]
    assert [line.partition(":")[0] for line in shared] == ["Elsewhere"]


def test_function_at_a_url_answers_a_request_of_the_front(stack: RunningStack, emulator: Emulator) -> None:
    emulator.answer = (200, json.dumps(REPLY).encode(), {})
    try:
        answer = stack.get("/orders")
    finally:
        emulator.answer = None
    assert (answer.status, answer.body) == (200, b"hi")


def test_error_of_a_function_at_a_url_is_a_function_error(stack: RunningStack, emulator: Emulator) -> None:
    emulator.answers[b'{"b": 1}'] = (200, b'{"errorType": "E", "errorMessage": "m"}', {})
    answer = stack.invoke("Elsewhere", {"b": 1}, tenant="blue")
    assert (answer.status, answer.headers["x-amz-function-error"]) == (200, "Unhandled")
    wait_until(lambda: any("Task failed with E" in line for line in stack.output_of("Elsewhere/blue")))


def test_url_without_a_server_is_a_502_with_a_line_in_the_log(stack: RunningStack) -> None:
    assert stack.get("/gone").status == 502
    line = "Gone: http://127.0.0.1:1: Connection refused. Fix: start it, or start the stack without --function Gone="
    wait_until(lambda: line in [found.get("message") for found in list(stack.lines)])
