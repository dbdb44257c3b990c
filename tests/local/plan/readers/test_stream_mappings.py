"""The event source mappings of streams in a template: what is served, what is named, and what AWS refuses."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from lattice_bridge.deployment.cloudformation.text import BadTemplate
from lattice_bridge.local.plan.model import Plan
from lattice_bridge.local.plan.stream_mappings import StreamMapping
from tests.local.plan.readers.test_event_source_mappings import planned

ARN = "arn:aws:kinesis:us-east-1:123456789012:stream/clicks"
TABLE = "arn:aws:dynamodb:us-east-1:123456789012:table/orders/stream/2026-01-01T00:00:00.000"
FUNCTION = """
  Worker: {Type: AWS::Serverless::Function, Properties: {Handler: a.b, Runtime: python3.13}}
  Clicks: {Type: AWS::Kinesis::Stream, Properties: {Name: clicks, ShardCount: 1}}
"""


def mapped(folder: Path, properties: str = "", *, start: str = "LATEST", stream: str = "!GetAtt Clicks.Arn") -> Plan:
    written = f"EventSourceArn: {stream}, FunctionName: !Ref Worker, StartingPosition: {start}, {properties}"
    return planned(folder, f"{FUNCTION}  M: {{Type: AWS::Lambda::EventSourceMapping, Properties: {{{written}}}}}\n")


def test_mapping_has_the_settings_of_the_template(tmp_path: Path) -> None:
    settings = (
        "BatchSize: 500, MaximumBatchingWindowInSeconds: 5, ParallelizationFactor: 10, TumblingWindowInSeconds: 30, "
        "BisectBatchOnFunctionError: true, MaximumRetryAttempts: 3, MaximumRecordAgeInSeconds: '3600', "
        "StartingPositionTimestamp: 1790000000.5, Enabled: false, FunctionResponseTypes: [ReportBatchItemFailures], "
        "DestinationConfig: {OnFailure: {Destination: 'arn:aws:sqs:us-east-1:123456789012:failed'}}, "
        """FilterCriteria: {Filters: [{Pattern: '{"data": {"kind": ["order"]}}'}]}"""
    )
    plan = mapped(tmp_path, settings, start="AT_TIMESTAMP")
    assert plan.mappings == ()
    assert plan.stream_mappings == (
        StreamMapping(
            "M",
            ARN,
            "Worker",
            start="AT_TIMESTAMP",
            start_time=1_790_000_000.5,
            batch_size=500,
            window=5.0,
            lanes=10,
            bisects=True,
            maximum_retries=3,
            maximum_age=3600,
            on_failure="arn:aws:sqs:us-east-1:123456789012:failed",
            reports_failures=True,
            filters=({"data": {"kind": ["order"]}},),
            tumbling_window=30,
            enabled=False,
        ),
    )


def test_mapping_without_settings_has_those_of_lambda(tmp_path: Path) -> None:
    (found,) = mapped(tmp_path, stream=TABLE).stream_mappings
    assert found == StreamMapping("M", TABLE, "Worker", "LATEST")
    assert (found.batch_size, found.maximum_retries, found.maximum_age, found.lanes) == (100, -1, -1, 1)


@pytest.mark.parametrize(
    ("stream", "name", "source"),
    [(ARN, "clicks", ARN), (TABLE, "orders", "arn:aws:dynamodb:us-east-1:123456789012:table/orders")],
)
def test_stream_has_the_name_and_the_arn_of_an_event_source(
    tmp_path: Path, stream: str, name: str, source: str
) -> None:
    (found,) = mapped(tmp_path, stream=stream).stream_mappings
    assert (found.stream_name, found.source) == (name, source)
    assert found.function_arn == "arn:aws:lambda:us-east-1:123456789012:function:Worker"


def test_consumer_of_a_stream_reads_the_stream(tmp_path: Path) -> None:
    plan = mapped(tmp_path, stream=f"{ARN}/consumer/ours:1790000000")
    assert plan.stream_mappings[0].stream == ARN
    assert any(line.startswith("a consumer of a stream: records are read from the stream") for line in plan.left_out)


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (
            f"{{Type: Kinesis, Properties: {{Stream: '{ARN}', StartingPosition: TRIM_HORIZON, BatchSize: 7}}}}",
            StreamMapping("WorkerE", ARN, "Worker", "TRIM_HORIZON", batch_size=7),
        ),
        (
            f"{{Type: DynamoDB, Properties: {{Stream: '{TABLE}', StartingPosition: LATEST, MaximumRetryAttempts: 2, "
            "DestinationConfig: {OnFailure: {Type: SQS, Destination: 'arn:aws:sqs:us-east-1:123456789012:f'}}}}",
            StreamMapping(
                *("WorkerE", TABLE, "Worker", "LATEST"),
                maximum_retries=2,
                on_failure="arn:aws:sqs:us-east-1:123456789012:f",
            ),
        ),
    ],
    ids=["Kinesis", "DynamoDB"],
)
def test_event_of_sam_becomes_a_mapping(tmp_path: Path, event: str, expected: StreamMapping) -> None:
    resources = FUNCTION.replace("Runtime: python3.13", f"Runtime: python3.13, Events: {{E: {event}}}")
    assert planned(tmp_path, resources).stream_mappings == (expected,)


@pytest.mark.parametrize(
    ("properties", "words"),
    [
        ("BatchSize: 10001", r"M\.BatchSize: '10001' is not from 1 to 10000\. Fix"),
        ("MaximumBatchingWindowInSeconds: 301", "is not from 0 to 300"),
        ("ParallelizationFactor: 11", r"M\.ParallelizationFactor: '11' is not from 1 to 10\. Fix"),
        ("MaximumRetryAttempts: -2", r"M\.MaximumRetryAttempts: '-2' is not from -1 to 10000\. Fix"),
        (
            "MaximumRecordAgeInSeconds: 59",
            r"'59' is not -1, and not from 60 to 604800\. Fix",
        ),
        ("MaximumRecordAgeInSeconds: 604801", "is not from -1 to 604800"),
        ("TumblingWindowInSeconds: 901", "is not from 0 to 900"),
        ("FunctionResponseTypes: [Report]", "'Report' is unknown. Fix: write ReportBatchItemFailures"),
        (
            "ScalingConfig: {MaximumConcurrency: 2}",
            r"M\.ScalingConfig: is for queues, and the source",
        ),
        ("StartingPositionTimestamp: 1", r"M\.StartingPositionTimestamp: belongs to AT_TIMESTAMP\. Fix"),
        ("FilterCriteria: {Filters: [{Pattern: 'order'}]}", r"Filters\[0\]\.Pattern: not JSON"),
        ("""FilterCriteria: {Filters: [{Pattern: '{"data": ["a"]}'}]}""", "only data that is JSON can be filtered"),
    ],
)
def test_mapping_that_aws_refuses_is_an_error(tmp_path: Path, properties: str, words: str) -> None:
    with pytest.raises(BadTemplate, match=words):
        mapped(tmp_path, properties)


@pytest.mark.parametrize(
    ("start", "stream", "words"),
    [
        (
            "Latest",
            ARN,
            r"StartingPosition: 'Latest' is unknown\. Fix: write LATEST or TRIM_HORIZON or AT_TIMESTAMP",
        ),
        ("''", ARN, r"M\.StartingPosition: '' is unknown"),
        ("AT_TIMESTAMP", TABLE, r"'AT_TIMESTAMP' is unknown\. Fix: write LATEST or TRIM_HORIZON$"),
        ("AT_TIMESTAMP", ARN, "StartingPositionTimestamp: belongs to AT_TIMESTAMP. Fix: write both"),
        ("LATEST", TABLE.partition("/stream/")[0], r"is not the ARN of a stream\. Fix: .*!GetAtt Table\.StreamArn"),
        ("LATEST", "arn:aws:kinesis:us-east-1:123456789012:clicks", r"Fix: write it as in !GetAtt Stream\.Arn"),
    ],
)
def test_start_or_stream_that_aws_refuses_is_an_error(tmp_path: Path, start: str, stream: str, words: str) -> None:
    with pytest.raises(BadTemplate, match=words):
        mapped(tmp_path, start=start, stream=stream)


def test_start_time_that_is_no_time_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(BadTemplate, match=r"'yesterday' is no time\. Fix: write seconds since 1970"):
        mapped(tmp_path, "StartingPositionTimestamp: yesterday", start="AT_TIMESTAMP")


def test_second_mapping_of_a_stream_to_a_function_is_an_error(tmp_path: Path) -> None:
    second = "EventSourceArn: !GetAtt Clicks.Arn, FunctionName: !Ref Worker, StartingPosition: LATEST"
    resources = "".join(
        f"  {name}: {{Type: AWS::Lambda::EventSourceMapping, Properties: {{{second}}}}}\n" for name in "MN"
    )
    with pytest.raises(BadTemplate, match=r"N: M already maps this stream to this function\. Fix: remove one"):
        planned(tmp_path, FUNCTION + resources)


# ---- filters --------------------------------------------------------------------------------------------------------


def filtered(folder: Path, pattern: str, stream: str = ARN) -> StreamMapping:
    (found,) = mapped(folder, f"FilterCriteria: {{Filters: [{{Pattern: '{pattern}'}}]}}", stream=stream).stream_mappings
    return found


def put(data: bytes) -> dict[str, Any]:
    return {"kinesis": {"partitionKey": "1", "data": base64.b64encode(data).decode()}}


@pytest.mark.parametrize(
    ("data", "taken"),
    [
        (b'{"kind": "order", "n": 1}', True),
        (b'{"kind": "invoice"}', False),
        (b'[{"kind": "order"}]', True),
        (b"kind: order", False),
        (b'"order"', False),
        (b"\xff\xfe", False),
    ],
)
def test_data_that_is_not_json_is_dropped_by_a_filter(tmp_path: Path, data: bytes, taken: bool) -> None:
    """ "with-kinesis-filtering" in the Lambda guide: the data has to be JSON, or Lambda drops the record."""
    assert filtered(tmp_path, '{"data": {"kind": ["order"]}}').takes(put(data)) is taken


def test_filter_of_another_part_than_the_data_is_named_and_drops_nothing(tmp_path: Path) -> None:
    plan = mapped(tmp_path, """FilterCriteria: {Filters: [{Pattern: '{"partitionKey": ["2"]}'}]}""")
    assert plan.stream_mappings[0].takes(put(b"anything"))
    assert any("a filter's partitionKey is not evaluated" in line for line in plan.left_out)


CHANGE = {
    "eventName": "INSERT",
    "dynamodb": {
        "ApproximateCreationDateTime": 1_790_000_000.0,
        "Keys": {"id": {"S": "1"}},
        "NewImage": {"id": {"S": "1"}, "kind": {"S": "us-1-order"}, "count": {"N": "42"}},
    },
}


@pytest.mark.parametrize(
    ("pattern", "taken"),
    [
        ({"dynamodb": {"Keys": {"id": {"S": ["1"]}}}}, True),
        ({"dynamodb": {"NewImage": {"kind": {"S": [{"prefix": "us-1"}]}}}}, True),
        ({"dynamodb": {"NewImage": {"kind": ["us-1-order"]}}}, False),
        ({"dynamodb": {"NewImage": {"other": [{"exists": False}]}}}, True),
        ({"dynamodb": {"NewImage": {"count": {"N": [{"numeric": [">", 1]}]}}}}, False),
        ({"dynamodb": {"NewImage": {"count": {"N": [{"anything-but": "101"}]}}}}, True),
        ({"dynamodb": {"ApproximateCreationDateTime": [{"numeric": [">", 0]}]}}, True),
        ({"eventName": ["INSERT", "MODIFY"]}, True),
        ({"eventName": ["REMOVE"]}, False),
    ],
    ids=str,
)
def test_filter_of_a_table_is_compared_with_the_whole_record(
    tmp_path: Path, pattern: dict[str, Any], taken: bool
) -> None:
    """Captured on AWS: attributes have their types, numbers are texts, and `eventName` is compared too."""
    assert filtered(tmp_path, json.dumps(pattern), TABLE).takes(CHANGE) is taken
