"""The problems of mappings of streams that `lattice-bridge local` finds before it serves."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from lattice_bridge.cli.local_problems import problems
from lattice_bridge.local.definition import read_definition
from tests.cli.test_queue_problems import MAP
from tests.cli.test_queue_problems import TEMPLATE as QUEUES

ARN: Final = "arn:aws:kinesis:us-east-1:123456789012:stream/clicks"
FAILED: Final = "arn:aws:sqs:us-east-1:123456789012:failed"
TEMPLATE: Final = f"""{QUEUES}
  Failed: {{Type: AWS::SQS::Queue, Properties: {{QueueName: failed}}}}
  Clicks: {{Type: AWS::Kinesis::Stream, Properties: {{Name: clicks}}}}
  S:
    Type: AWS::Lambda::EventSourceMapping
    Properties:
      EventSourceArn: !GetAtt Clicks.Arn
      FunctionName: !Ref Router
      StartingPosition: LATEST
      MaximumRetryAttempts: 3
      DestinationConfig: {{OnFailure: {{Destination: {FAILED}}}}}
      FunctionResponseTypes: [ReportBatchItemFailures, ]
"""


def found(folder: Path, template: str = TEMPLATE, *, source: str = ARN, quarantine: str | None = FAILED) -> list[str]:
    """The problems of a template with a bridge that has the event sources of a queue and of a stream."""
    (folder / "template.yaml").write_text(template, encoding="utf-8")
    (folder / "bridge.toml").write_text(MAP, encoding="utf-8")
    (folder / "app.py").touch()
    definition = read_definition(folder / "template.yaml", {}, "us-east-1")
    (configuration,) = definition.configurations
    settings = configuration.settings
    assert settings is not None
    (queue,) = settings.options.event_sources
    sources = (queue, replace(queue, arn=source, claim=None, quarantine=quarantine)) if source else (queue,)
    with_stream = settings._replace(options=settings.options._replace(event_sources=sources))
    return problems(definition.plan, [replace(configuration, settings=with_stream)])


def test_stream_with_a_mapping_and_an_event_source_has_no_problem(tmp_path: Path) -> None:
    assert found(tmp_path) == []


def test_isolated_function_behind_a_mapping_needs_a_router(tmp_path: Path) -> None:
    """Lambda refuses each Invoke without a tenant id, and the shard is blocked until its records expire."""
    head, _, tail = TEMPLATE.rpartition("!Ref Router")
    line, _ = found(tmp_path, f"{head}!Ref Worker{tail}")
    assert line == (
        "event source mapping S: the function 'worker' has a TenancyConfig, and a mapping sends no tenant id: Lambda "
        f'refuses every batch. Fix: map the stream to a bridge, and write [[event_source]] with arn = "{ARN}" '
        'and function = "worker" into its bridge.toml'
    )


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (
            "      MaximumRetryAttempts: 3\n",
            "      TumblingWindowInSeconds: 60\n",
            "it does not run: TumblingWindowInSeconds: a bridge refuses events of tumbling windows, because their "
            "state would be that of several tenants, and the stack has none. Fix: remove TumblingWindowInSeconds",
        ),
        (
            f"Destination: {FAILED}",
            "Destination: 'arn:aws:sns:us-east-1:123456789012:topic'",
            "it does not run: DestinationConfig.OnFailure: 'arn:aws:sns:us-east-1:123456789012:topic' is an SNS topic, "
            "and the stack sends to standard queues only. Fix: write the ARN of an AWS::SQS::Queue, or remove the "
            "mapping's DestinationConfig",
        ),
        (
            f"Destination: {FAILED}",
            f"Destination: {FAILED}-x",
            f"DestinationConfig.OnFailure: the template has no queue {FAILED}-x; Failed is {FAILED} here. "
            f'Fix: write Failed = "{FAILED}-x" under [local.ids] in local.toml, or the other ARN',
        ),
        (
            "[ReportBatchItemFailures, ]",
            "[]",
            "Router reports records that failed, and Lambda takes them as done. "
            "Fix: write FunctionResponseTypes: [ReportBatchItemFailures]",
        ),
    ],
)
def test_mapping_that_cannot_work_is_a_problem(tmp_path: Path, old: str, new: str, words: str) -> None:
    """Trap E13, E20: reported failures are lost without the response type, and a router refuses tumbling windows."""
    assert found(tmp_path, TEMPLATE.replace(old, new)) == [f"event source mapping S: {words}"]


def test_mapping_of_a_function_that_is_not_in_the_template_is_a_problem(tmp_path: Path) -> None:
    head, _, tail = TEMPLATE.rpartition("!Ref Router")
    assert found(tmp_path, f"{head}Ruter{tail}", source="") == [
        "event source mapping S: the template has no function 'Ruter'; did you mean 'Router'?"
    ]


def test_stream_and_bridge_toml_have_to_agree(tmp_path: Path) -> None:
    other = ARN.replace("clicks", "other")
    assert found(tmp_path, source=other) == [
        f'event source mapping S: bridge.toml of Router has no [[event_source]] with arn = "{ARN}", so every batch '
        "fails. Fix: add one, or write the ARN that it has into [local.ids] of local.toml",
        f'bridge.toml: [[event_source]] arn = "{other}": no event source mapping brings its records to Router. '
        "Fix: add one to the template",
    ]


def test_stream_of_a_table_is_found_by_the_table(tmp_path: Path) -> None:
    table = "arn:aws:dynamodb:us-east-1:123456789012:table/orders"
    template = TEMPLATE.replace("!GetAtt Clicks.Arn", f"'{table}/stream/2026-01-01T00:00:00.000'")
    assert found(tmp_path, template, source=table) == []


def test_quarantine_that_the_template_does_not_have_is_a_problem(tmp_path: Path) -> None:
    (line,) = found(tmp_path, quarantine=f"{FAILED}-x")
    assert line.startswith(f'bridge.toml: [[event_source]] arn = "{ARN}": quarantine: the template has no queue')
