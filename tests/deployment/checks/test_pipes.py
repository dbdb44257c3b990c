"""`check --template` for pipes before the bridge: queues.yaml with a pipe in place of its mapping."""

from __future__ import annotations

from dataclasses import replace
from textwrap import indent
from typing import Final

import pytest

from lattice_bridge.config.document import parse_document
from lattice_bridge.config.event_source import PipeRole
from lattice_bridge.config.options import Options
from lattice_bridge.config.tables.options import read_options
from lattice_bridge.deployment.checks.run import template_findings
from lattice_bridge.deployment.cloudformation.text import BadTemplate
from tests.support.paths import ROOT

FOLDER: Final = ROOT / "tests" / "templates"
WITH_MAPPING: Final = (FOLDER / "queues.yaml").read_text(encoding="utf-8")
_BEFORE, _MAPPING, _AFTER = WITH_MAPPING.partition("  Mapping:\n")
TEXT: Final = (
    _BEFORE.replace(
        """              - Effect: Allow
                Action: ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"]
                Resource: !GetAtt Orders.Arn
""",
        "",
    )
    + _AFTER.partition("FunctionResponseTypes: [ReportBatchItemFailures]\n")[2]
)
"""Without the mapping, and without the rights that it needs: a pipe has a role of its own."""


def known(pipe: PipeRole | None, arn: str | None = None) -> Options:
    """The options of queues.toml, with `pipe` in their event source, and another source."""
    found = read_options(parse_document((FOLDER / "queues.toml").read_text(encoding="utf-8")).tables, [])
    (source,) = found.event_sources
    return found._replace(event_sources=(replace(source, pipe=pipe, arn=arn or source.arn),))


def findings(options: Options | None, properties: str, text: str = TEXT, more: str = "") -> list[tuple[str, str, str]]:
    add = f"Pipe:\n  Type: AWS::Pipes::Pipe\n  Properties: {{{properties}}}\n{more}"
    found = template_findings(FOLDER / "t.yaml", options, {}, "us-east-1", text=text + indent(add, "  "))
    for one in found:
        assert one.text == f"{one.subject}: {one.actual}. {one.expected}. Fix: {one.fix}."
    return [(one.level, one.subject or "", one.actual) for one in found]


QUEUE: Final = "Source: !GetAtt Orders.Arn"
TARGET: Final = f"{QUEUE}, Target: !Ref BridgeAlias"
ENRICHMENT: Final = f"{QUEUE}, Enrichment: !Ref BridgeAlias, Target: 'arn:aws:sqs:us-east-1:123456789012:answers'"
ONE: Final = "SourceParameters: {SqsQueueParameters: {BatchSize: 1}}"
STREAM: Final = "arn:aws:kinesis:us-east-1:111122223333:stream/clicks"
TABLE: Final = "arn:aws:dynamodb:us-east-1:111122223333:table/orders"


@pytest.mark.parametrize(
    ("pipe", "properties"),
    [
        ("target", TARGET),
        ("target", f"{TARGET}, TargetParameters: {{LambdaFunctionParameters: {{InvocationType: REQUEST_RESPONSE}}}}"),
        ("enrichment", f"{ENRICHMENT}, {ONE}"),
        ("enrichment", f"{ENRICHMENT}, SourceParameters: {{SqsQueueParameters: {{BatchSize: '1'}}}}"),
    ],
)
def test_pipe_that_the_map_expects_has_no_findings(pipe: PipeRole, properties: str) -> None:
    """The bridge's role needs no right to receive the messages."""
    assert findings(known(pipe), properties) == []


def test_pipe_of_another_function_has_no_findings_for_the_bridge() -> None:
    other = "Source: !GetAtt Dead.Arn, Target: 'arn:aws:lambda:us-east-1:123456789012:function:others'"
    assert findings(known(None), other, WITH_MAPPING) == []


@pytest.mark.parametrize(
    ("source", "size", "shown"),
    [
        ("arn:aws:sqs:us-east-1:111122223333:orders", "", "not set, which means 10"),
        (STREAM, "", "not set, which means 100"),
        (f"{TABLE}/stream/2026-11-30T00:00:00.000", "DynamoDBStreamParameters: {BatchSize: 2}", "2"),
        (STREAM, "DynamoDBStreamParameters: {BatchSize: 1}", "not set, which means 100"),
    ],
)
def test_enrichment_of_several_records_is_an_error(source: str, size: str, shown: str) -> None:
    text = f"Source: '{source}', Enrichment: !Ref BridgeAlias, SourceParameters: {{{size}}}"
    found = findings(known("enrichment", source.partition("/stream/2")[0]), text)
    assert ("error", "Pipe", f"the bridge is its enrichment, and BatchSize is {shown}") in found
    assert [one for one in found if one[1] == "Pipe"] == found[:1]


@pytest.mark.parametrize(
    ("pipe", "properties", "actual"),
    [
        (None, TARGET, "the bridge is its target, and the [[event_source]] of orders has no pipe"),
        ("enrichment", TARGET, 'the bridge is its target, and the [[event_source]] of orders has pipe = "enrichment"'),
        (
            "target",
            f"{ENRICHMENT}, {ONE}",
            'the bridge is its enrichment, and the [[event_source]] of orders has pipe = "target"',
        ),
        (
            "target",
            f"{TARGET}, TargetParameters: {{LambdaFunctionParameters: {{InvocationType: FIRE_AND_FORGET}}}}",
            "InvocationType is FIRE_AND_FORGET",
        ),
        (
            "target",
            f"{TARGET}, TargetParameters: {{InputTemplate: '<$.body>'}}",
            "TargetParameters.InputTemplate rewrites the records before the bridge",
        ),
        (
            "target",
            "Source: 'smk://kafka:9092', Target: !Ref BridgeAlias",
            "its source is smk://kafka:9092",
        ),
        (
            "target",
            "Source: 'arn:aws:sqs:us-east-1:111122223333:others', Target: !Ref BridgeAlias",
            "it sends others to the bridge, and bridge.toml has no [[event_source]] for it",
        ),
    ],
)
def test_pipe_that_loses_or_forges_records_is_an_error(pipe: PipeRole | None, properties: str, actual: str) -> None:
    assert ("error", "Pipe", actual) in findings(known(pipe), properties)


@pytest.mark.parametrize(
    ("properties", "actual"),
    [
        (f"{TARGET}, Enrichment: 'arn:aws:lambda:us-east-1:123456789012:function:others'",
         "its enrichment writes the records that the bridge receives as its target"),
        ("Source: !ImportValue q, Target: !Ref BridgeAlias", "Source is {ImportValue q is not resolved locally}"),
        (f"{TARGET}, TargetParameters: {{LambdaFunctionParameters: {{InvocationType: !ImportValue kind}}}}",
         "InvocationType is {ImportValue kind is not resolved locally}"),
    ],
)  # fmt: skip
def test_pipe_that_only_a_person_can_judge_is_a_warning(properties: str, actual: str) -> None:
    assert findings(known("target"), properties) == [("warning", "Pipe", actual)]


def test_batch_size_that_only_a_deployed_stack_knows_is_a_warning() -> None:
    size = "SourceParameters: {SqsQueueParameters: {BatchSize: !ImportValue size}}"
    shown = "the bridge is its enrichment, and BatchSize is {ImportValue size is not resolved locally}"
    assert findings(known("enrichment"), f"{ENRICHMENT}, {size}") == [("warning", "Pipe", shown)]


def test_stream_of_a_table_of_the_template_is_the_tables() -> None:
    table = "Table: {Type: AWS::DynamoDB::Table, Properties: {TableName: orders, StreamSpecification: {}}}\n"
    pipe = "Source: !GetAtt Table.StreamArn, Target: !Ref BridgeAlias"
    found = findings(known("target", TABLE), pipe, more=table)
    assert [one for one in found if one[1] == "Pipe"] == []


def test_pipe_that_the_map_expects_and_the_template_lacks_is_a_warning() -> None:
    found = template_findings(FOLDER / "t.yaml", known("target"), {}, "us-east-1", text=TEXT)
    actual = 'bridge.toml has pipe = "target" for orders, and no pipe sends it to the bridge'
    assert [(one.level, one.subject, one.actual) for one in found] == [("warning", "Bridge", actual)]


def test_mapping_beside_a_pipe_is_an_error() -> None:
    found = findings(known("target"), TARGET, WITH_MAPPING)
    assert found == [("error", "Mapping", 'it sends orders to the bridge, and bridge.toml has pipe = "target" for it')]


def test_batch_size_that_is_no_number_is_refused_with_its_place() -> None:
    with pytest.raises(BadTemplate, match=r"Pipe.SourceParameters: the BatchSize 'one' is not a number"):
        findings(known("enrichment"), f"{ENRICHMENT}, SourceParameters: {{SqsQueueParameters: {{BatchSize: one}}}}")


def test_pipe_straight_onto_an_isolated_function_is_an_error_that_names_the_bridge() -> None:
    """Pipes sends no tenant id."""
    add = indent(f"Pipe: {{Type: AWS::Pipes::Pipe, Properties: {{{QUEUE}, Target: !GetAtt Worker.Arn}}}}", "  ")
    found = template_findings(FOLDER / "t.yaml", known(None), {}, "us-east-1", text=WITH_MAPPING + add)
    one, rival = sorted(found, key=lambda one: one.level)
    assert rival.actual == "it receives messages of orders, as the bridge does"
    assert (one.level, one.subject, one.actual) == ("error", "Worker", "it is the target of a pipe (Pipe)")
    assert 'pipe = "target" in its [[event_source]]' in one.fix


def test_pipe_is_judged_without_a_map_that_loads() -> None:
    """What needs no map is found: the size of an enrichment's batch."""
    found = findings(None, f"{ENRICHMENT}")
    assert [one for one in found if one[1] == "Pipe"] == [
        ("error", "Pipe", "the bridge is its enrichment, and BatchSize is not set, which means 10")
    ]


ROLE: Final = """\
PipeRole:
  Type: AWS::IAM::Role
  Properties:
    AssumeRolePolicyDocument: {Statement: [{Effect: Allow, Principal: {Service: WHO}, Action: sts:AssumeRole}]}
    Policies: [{PolicyName: x, PolicyDocument: {Statement: [{Effect: Allow, Action: lambda:InvokeFunction, Resource: !Ref BridgeAlias}]}}]
"""  # noqa: E501 - a policy


@pytest.mark.parametrize(
    ("role", "who", "found"),
    [
        ("!GetAtt PipeRole.Arn", "pipes.amazonaws.com", []),
        ("!GetAtt PipeRole.Arn", "[pipes.amazonaws.com, lambda.amazonaws.com]",
         [("error", "PipeRole", "lambda.amazonaws.com may assume it")]),
        ("'arn:aws:iam::123456789012:role/other'", "pipes.amazonaws.com",
         [("error", "PipeRole", "lambda:InvokeFunction is allowed on the bridge, bridge")]),
    ],
)  # fmt: skip
def test_role_of_a_pipe_alone_may_invoke_the_bridge(role: str, who: str, found: list[tuple[str, str, str]]) -> None:
    properties = f"{TARGET}, RoleArn: {role}"
    assert findings(known("target"), properties, more=ROLE.replace("WHO", who)) == found
