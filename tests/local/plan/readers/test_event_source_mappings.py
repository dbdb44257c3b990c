"""The event source mappings of a template: what is served, what is named, and what AWS refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

from lattice_bridge.deployment.cloudformation.template import read_template
from lattice_bridge.deployment.cloudformation.text import BadTemplate
from lattice_bridge.local.plan.model import Plan
from lattice_bridge.local.plan.queues import EventSourceMapping
from lattice_bridge.local.plan.readers.template import read_plan

ARN = "arn:aws:sqs:us-east-1:123456789012"
FUNCTION = """
  Worker: {Type: AWS::Serverless::Function, Properties: {Handler: a.b, Runtime: python3.13, AutoPublishAlias: live}}
  Orders: {Type: AWS::SQS::Queue}
  Steps: {Type: AWS::SQS::Queue, Properties: {FifoQueue: true}}
"""


def planned(folder: Path, resources: str) -> Plan:
    path = folder / "template.yaml"
    path.write_text(f"Transform: AWS::Serverless-2016-10-31\nResources:{resources}")
    return read_plan(read_template(path, {}, "us-east-1"))


def mapping(properties: str, queue: str = "!GetAtt Orders.Arn") -> str:
    written = f"EventSourceArn: {queue}, FunctionName: !Ref Worker, {properties}"
    return f"{FUNCTION}  M: {{Type: AWS::Lambda::EventSourceMapping, Properties: {{{written}}}}}\n"


def test_mapping_has_the_settings_of_the_template(tmp_path: Path) -> None:
    settings = (
        "BatchSize: 100, MaximumBatchingWindowInSeconds: '5', ScalingConfig: {MaximumConcurrency: 8}, Enabled: false, "
        "FunctionResponseTypes: [ReportBatchItemFailures], "
        """FilterCriteria: {Filters: [{Pattern: '{"body": {"kind": ["order"]}}'}]}"""
    )
    filters = ({"body": {"kind": ["order"]}},)
    expected = EventSourceMapping(
        "M", f"{ARN}:Orders", "Worker", 100, 5.0, 8, reports_failures=True, filters=filters, enabled=False
    )
    assert planned(tmp_path, mapping(settings)).mappings == (expected,)


def test_mapping_without_settings_has_those_of_lambda(tmp_path: Path) -> None:
    assert planned(tmp_path, mapping("")).mappings == (EventSourceMapping("M", f"{ARN}:Orders", "Worker"),)


def test_event_of_sam_becomes_a_mapping_of_the_alias(tmp_path: Path) -> None:
    events = "Events: {Q: {Type: SQS, Properties: {Queue: !GetAtt Steps.Arn, BatchSize: 4}}}"
    (found,) = planned(
        tmp_path, FUNCTION.replace("AutoPublishAlias: live", f"AutoPublishAlias: live, {events}")
    ).mappings
    assert (found.id, found.queue, found.batch_size) == ("WorkerQ", f"{ARN}:Steps.fifo", 4)
    assert found.function == "arn:aws:lambda:us-east-1:123456789012:function:Worker:live"


def test_version_of_a_function_is_a_qualifier(tmp_path: Path) -> None:
    version = "  V: {Type: AWS::Lambda::Version, Properties: {FunctionName: !Ref Worker}}\n"
    plan = planned(tmp_path, mapping("").replace("FunctionName: !Ref Worker", "FunctionName: !Ref V") + version)
    assert plan.mappings[0].function.endswith(":function:Worker:1")
    assert plan.functions["Worker"].aliases == {"live", "1"}


@pytest.mark.parametrize(
    ("source", "what"),
    [
        ("arn:aws:kafka:us-east-1:123456789012:cluster/c/1", "a Kafka cluster"),
        ("arn:aws:mq:us-east-1:123456789012:broker:b:1", "an Amazon MQ broker"),
        ("!ImportValue stream", "an unknown source"),
    ],
)
def test_mapping_of_another_source_is_named(tmp_path: Path, source: str, what: str) -> None:
    plan = planned(tmp_path, mapping("StartingPosition: LATEST", source))
    assert plan.mappings == ()
    assert f"AWS::Lambda::EventSourceMapping of {what}: no record of it invokes the function (M)" in plan.left_out


def test_filter_of_another_part_than_the_body_is_named_and_deletes_nothing(tmp_path: Path) -> None:
    """AWS documents filters of the body only. A filter that is misunderstood would delete messages."""
    text = '{"messageAttributes": {"kind": {"stringValue": ["order"]}}}'
    plan = planned(tmp_path, mapping(f"FilterCriteria: {{Filters: [{{Pattern: '{text}'}}]}}"))
    assert plan.mappings[0].takes("anything")
    assert any("a filter's messageAttributes is not evaluated" in line for line in plan.left_out)


@pytest.mark.parametrize(
    ("properties", "queue", "words"),
    [
        ("BatchSize: 0", "Orders", r"M\.BatchSize: '0' is not from 1 to 10000\. Fix"),
        ("BatchSize: 11", "Orders", "11 needs a batching window. Fix: write MaximumBatchingWindowInSeconds: 1"),
        ("BatchSize: 11", "Steps", r"M\.BatchSize: '11' is not from 1 to 10\."),
        ("MaximumBatchingWindowInSeconds: 1", "Steps", "a FIFO queue has no batching window"),
        ("MaximumBatchingWindowInSeconds: 301", "Orders", "is not from 0 to 300"),
        ("StartingPosition: LATEST", "Orders", r"M\.StartingPosition: is for streams, and the source is a queue"),
        ("ScalingConfig: {MaximumConcurrency: 1}", "Orders", "MaximumConcurrency: '1' is not from 2 to 1000"),
        ("FunctionResponseTypes: [Report]", "Orders", "'Report' is unknown. Fix: write ReportBatchItemFailures"),
        ("FilterCriteria: {Filters: [{Pattern: 'order'}]}", "Orders", r"Filters\[0\]\.Pattern: not JSON"),
        ("FilterCriteria: {Filters: [{Pattern: {body: [a]}}]}", "Orders", "Fix: write JSON in a text"),
        ("""FilterCriteria: {Filters: [{Pattern: '{"body": "a"}'}]}""", "Orders", "must be an object or an array"),
        ("FilterCriteria: {Filters: [{}]}", "Orders", "event source mapping M: malformed"),
    ],
)
def test_mapping_that_aws_refuses_is_an_error(tmp_path: Path, properties: str, queue: str, words: str) -> None:
    with pytest.raises(BadTemplate, match=words):
        planned(tmp_path, mapping(properties, f"!GetAtt {queue}.Arn"))


def test_second_mapping_of_a_queue_to_a_function_is_an_error(tmp_path: Path) -> None:
    second = mapping("").replace("  M:", "  N:").removeprefix(FUNCTION)
    with pytest.raises(BadTemplate, match=r"N: M already maps this queue to this function\. Fix: remove one"):
        planned(tmp_path, mapping("") + second)


BY_KIND = '{"body": {"kind": ["order"]}}'
TEXTS = '{"body": ["ping"]}'


@pytest.mark.parametrize(
    ("patterns", "body", "taken"),
    [
        ([BY_KIND], '{"kind": "order", "n": 1}', True),
        ([BY_KIND], '{"kind": "invoice"}', False),
        ([BY_KIND], "kind: order", False),
        ([BY_KIND], '"order"', False),
        ([TEXTS], "ping", True),
        ([TEXTS], "pong", False),
        ([TEXTS], '{"kind": "ping"}', False),
        ([BY_KIND, TEXTS], "ping", True),
        ([BY_KIND, TEXTS], '{"kind": "order"}', True),
        ([], "anything", True),
    ],
)
def test_body_that_is_not_of_the_filter_s_kind_is_dropped(
    tmp_path: Path, patterns: list[str], body: str, taken: bool
) -> None:
    """ "with-sqs-filtering" in the Lambda guide: JSON is compared with objects, and other texts with texts."""
    filters = ", ".join(f"{{Pattern: '{pattern}'}}" for pattern in patterns)
    (found,) = planned(tmp_path, mapping(f"FilterCriteria: {{Filters: [{filters}]}}")).mappings
    assert found.takes(body) is taken
