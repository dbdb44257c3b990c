"""The configuration of asynchronous invocations in a template: what is served, named, and refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from lattice_bridge.deployment.cloudformation.template import read_template
from lattice_bridge.deployment.cloudformation.text import BadTemplate
from lattice_bridge.local.plan.model import EventInvokeConfig, Plan
from lattice_bridge.local.plan.readers.template import read_plan

QUEUE = "arn:aws:sqs:us-east-1:123456789012:Failures"
AUDIT = "arn:aws:lambda:us-east-1:123456789012:function:Audit"
SAM = "Type: AWS::Serverless::Function, Properties: {Handler: a.b, Runtime: python3.13"
CONFIG = "C: {Type: AWS::Lambda::EventInvokeConfig, Properties: {FunctionName: !Ref Orders, Qualifier: $LATEST"
TOPIC = "arn:aws:sns:us-east-1:123456789012:t"


def planned(folder: Path, *resources: str) -> Plan:
    path = folder / "template.yaml"
    others = ("Failures: {Type: AWS::SQS::Queue}", f"Audit: {{{SAM}}}}}")
    lines = "".join(f"  {resource}\n" for resource in (*resources, *others))
    path.write_text(f"Transform: AWS::Serverless-2016-10-31\nResources:\n{lines}")
    return read_plan(read_template(path, {}, "us-east-1"))


def with_config(folder: Path, properties: str) -> Plan:
    return planned(folder, f"Orders: {{{SAM}}}}}", f"{CONFIG}, {properties}}}}}")


def destination(arn: str, name: str = "OnFailure") -> str:
    return f"DestinationConfig: {{{name}: {{Destination: {arn}}}}}"


def test_configuration_has_the_values_of_the_template(tmp_path: Path) -> None:
    plan = with_config(
        tmp_path,
        "MaximumRetryAttempts: 0, MaximumEventAgeInSeconds: '60', DestinationConfig: "
        "{OnSuccess: {Destination: !GetAtt Audit.Arn}, OnFailure: {Destination: !GetAtt Failures.Arn}}",
    )
    expected = EventInvokeConfig("C", 0, 60, AUDIT, QUEUE)
    assert plan.functions["Orders"].invoke_configs == {"$LATEST": expected}
    assert plan.functions["Audit"].invoke_configs == {}
    assert plan.warnings == ()
    assert not [line for line in plan.left_out if "EventInvokeConfig" in line]


def test_configuration_without_values_has_those_of_lambda(tmp_path: Path) -> None:
    (config,) = with_config(tmp_path, "Tags: []").functions["Orders"].invoke_configs.values()
    assert config == EventInvokeConfig("C", 2, 21_600, "", "")


@pytest.mark.parametrize(("alias", "qualifier"), [("", "$LATEST"), (", AutoPublishAlias: live", "live")])
@pytest.mark.parametrize("events", ["", ", Events: {Q: {Type: SQS, Properties: {Queue: !GetAtt Failures.Arn}}}"])
def test_function_of_sam_has_the_same_configuration_with_and_without_the_translator(
    tmp_path: Path, alias: str, qualifier: str, events: str
) -> None:
    written = "{Type: SQS, Destination: !GetAtt Failures.Arn}"
    config = f"EventInvokeConfig: {{MaximumRetryAttempts: 1, DestinationConfig: {{OnFailure: {written}}}}}"
    plan = planned(tmp_path, f"Orders: {{{SAM}{alias}{events}, {config}}}}}")
    ((name, found),) = plan.functions["Orders"].invoke_configs.items()
    assert (name, found.retries, found.on_failure) == (qualifier, 1, QUEUE)


def test_queue_that_sam_makes_for_a_destination_is_served(tmp_path: Path) -> None:
    config = "EventInvokeConfig: {DestinationConfig: {OnFailure: {Type: SQS}}}"
    plan = planned(tmp_path, f"Orders: {{{SAM}, {config}}}}}")
    (found,) = plan.functions["Orders"].invoke_configs.values()
    assert found.on_failure in {queue.arn for queue in plan.queues}
    assert found.on_failure != QUEUE


@pytest.mark.parametrize(
    "letters", ["DeadLetterQueue: {Type: SQS, TargetArn: !GetAtt Failures.Arn}", "DeadLetterConfig: {TargetArn: %s}"]
)
def test_function_has_its_dead_letter_queue(tmp_path: Path, letters: str) -> None:
    kind = "AWS::Lambda" if "%s" in letters else "AWS::Serverless"
    code = ", Code: ." if "%s" in letters else ""
    text = SAM.replace("AWS::Serverless", kind) + code
    plan = planned(tmp_path, f"Orders: {{{text}, {letters.replace('%s', QUEUE)}}}}}")
    assert plan.functions["Orders"].dead_letters == QUEUE
    assert not [line for line in plan.left_out if "DeadLetter" in line]


@pytest.mark.parametrize(
    ("properties", "fault"),
    [
        ("MaximumRetryAttempts: 3", "C.MaximumRetryAttempts: '3' is not from 0 to 2. Fix: write such a whole number"),
        ("MaximumRetryAttempts: -1", "'-1' is not from 0 to 2"),
        ("MaximumEventAgeInSeconds: 59", "C.MaximumEventAgeInSeconds: '59' is not from 60 to 21600"),
        ("MaximumEventAgeInSeconds: 21601", "'21601' is not from 60 to 21600"),
        (destination("failures"), "C.OnFailure: 'failures' is not an ARN of sqs, lambda, events, sns, s3. Fix: "),
        (destination("arn:aws:s3:::b", "OnSuccess"), "C.OnSuccess: 'arn:aws:s3:::b' is not an ARN of sqs, lambda"),
        (destination("arn:aws:kinesis:us-east-1:1:stream/x"), "is not an ARN of sqs"),
        (destination("!GetAtt Orders.Arn"), "C: Orders is a destination of itself. Fix: write another one"),
        ("DestinationConfig: 7", "C"),
    ],
)
def test_value_that_aws_refuses_is_an_error(tmp_path: Path, properties: str, fault: str) -> None:
    with pytest.raises(BadTemplate) as refused:
        with_config(tmp_path, properties)
    assert fault in str(refused.value)


def test_second_configuration_of_a_qualifier_is_an_error(tmp_path: Path) -> None:
    second = f"Second{CONFIG.removeprefix('C')}}}}}"
    with pytest.raises(BadTemplate, match=r"Second: C already configures Orders:\$LATEST. Fix: remove one"):
        planned(tmp_path, f"Orders: {{{SAM}}}}}", f"{CONFIG}}}}}", second)


@pytest.mark.parametrize(
    ("arn", "sentence"),
    [
        (
            TOPIC,
            "OnFailure is an SNS topic, which is not emulated: nothing is sent there. Fix: to see the records here",
        ),
        ("arn:aws:s3:::bucket", "OnFailure is an S3 bucket, which is not emulated"),
        ("!ImportValue failures", "OnFailure is not known here, so nothing is sent there (C)"),
    ],
)
def test_destination_that_is_not_emulated_is_named_at_each_start(tmp_path: Path, arn: str, sentence: str) -> None:
    plan = with_config(tmp_path, destination(arn))
    (line,) = plan.warnings
    assert line.startswith(sentence)
    assert plan.functions["Orders"].invoke_configs["$LATEST"].on_failure == ""
