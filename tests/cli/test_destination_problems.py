"""The faults of destinations that `lattice-bridge local` finds before it serves."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

from lattice_bridge.cli.local_problems import problems
from lattice_bridge.local.definition import read_definition

SQS: Final = "arn:aws:sqs:us-east-1:123456789012"
TEMPLATE: Final = """
Resources:
  Orders:
    Type: AWS::Serverless::Function
    Properties:
      Handler: app.handler
      Runtime: python3.13
      CodeUri: .
      AutoPublishAlias: live
      DeadLetterQueue: {Type: SQS, TargetArn: !GetAtt Failures.Arn}
      EventInvokeConfig:
        DestinationConfig:
          OnSuccess: {Type: Lambda, Destination: !GetAtt Audit.Arn}
          OnFailure: {Type: SQS, Destination: !GetAtt Failures.Arn}
  Audit: {Type: AWS::Serverless::Function, Properties: {Handler: app.handler, Runtime: python3.13, CodeUri: .}}
  Failures: {Type: AWS::SQS::Queue}
  Steps: {Type: AWS::SQS::Queue, Properties: {FifoQueue: true}}
"""


def found(folder: Path, old: str = "", new: str = "") -> list[str]:
    assert old in TEMPLATE
    (folder / "template.yaml").write_text(TEMPLATE.replace(old, new) if old else TEMPLATE, encoding="utf-8")
    (folder / "app.py").touch()
    definition = read_definition(folder / "template.yaml", {}, "us-east-1")
    return problems(definition.plan, definition.configurations)


def test_destinations_of_the_template_have_no_problem(tmp_path: Path) -> None:
    assert found(tmp_path) == []


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (
            "Destination: !GetAtt Failures.Arn",
            f"Destination: {SQS}:failures",
            f"Orders.EventInvokeConfig.OnFailure: the template has no queue {SQS}:failures; Failures is "
            f'{SQS}:Failures here. Fix: write Failures = "{SQS}:failures" under [local.ids] in local.toml, or the '
            "other ARN",
        ),
        (
            "Destination: !GetAtt Failures.Arn",
            "Destination: !GetAtt Steps.Arn",
            "Orders.EventInvokeConfig.OnFailure: Steps is FIFO, and Lambda sends to standard queues only. Fix: write "
            "the ARN of another queue",
        ),
        (
            "TargetArn: !GetAtt Failures.Arn",
            "TargetArn: !GetAtt Steps.Arn",
            "Orders: dead-letter queue: Steps is FIFO, and Lambda sends to standard queues only. Fix: write the ARN of "
            "another queue",
        ),
        (
            "Destination: !GetAtt Audit.Arn",
            "Destination: arn:aws:lambda:us-east-1:123456789012:function:Audits",
            "Orders.EventInvokeConfig.OnSuccess: the template has no function 'Audits'; did you mean 'Audit'?",
        ),
        (
            "Audit: {Type: AWS::Serverless::Function, Properties: {",
            "Audit: {Type: AWS::Serverless::Function, Properties: {TenancyConfig: {TenantIsolationMode: PER_TENANT}, ",
            "Orders.EventInvokeConfig.OnSuccess: the function 'Audit' has a TenancyConfig, and a destination sends no "
            "tenant id: Lambda refuses every record. Fix: write the ARN of a queue, or of a function without a "
            "TenancyConfig",
        ),
        (
            "  Failures:",
            "  C: {Type: AWS::Lambda::EventInvokeConfig, Properties: {FunctionName: !Ref Orders, Qualifier: old}}\n"
            "  Failures:",
            "C: the function 'Orders' has no alias or version 'old', so the configuration applies to nothing. Fix: "
            "write one of $LATEST, live as Qualifier",
        ),
    ],
)
def test_destination_that_takes_no_record_is_a_problem_with_its_place(
    tmp_path: Path, old: str, new: str, expected: str
) -> None:
    assert found(tmp_path, old, new) == [expected]


def test_event_bus_is_not_compared_with_the_template(tmp_path: Path) -> None:
    """The account's default bus is in no template."""
    bus = "Destination: arn:aws:events:us-east-1:123456789012:event-bus/default"
    assert found(tmp_path, "Destination: !GetAtt Failures.Arn", bus) == []
