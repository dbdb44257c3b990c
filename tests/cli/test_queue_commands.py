"""The commands for queues that `lattice-bridge local` prints, each of them decided as the bridge would decide it."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Final

import pytest

from lattice_bridge.cli.local_summary import tables
from lattice_bridge.cli.queue_commands import queue_commands
from lattice_bridge.local.definition import Definition, read_definition

TEMPLATE: Final = """
Resources:
  Router:
    Type: AWS::Serverless::Function
    Properties: {Handler: lattice_bridge.main.handler, Runtime: python3.13, CodeUri: .}
  Dead: {Type: AWS::SQS::Queue, Properties: {QueueName: dead}}
  Orders:
    Type: AWS::SQS::Queue
    Properties:
      QueueName: orders
      RedrivePolicy: {deadLetterTargetArn: !GetAtt Dead.Arn, maxReceiveCount: 3}
  M:
    Type: AWS::Lambda::EventSourceMapping
    Properties: {EventSourceArn: !GetAtt Orders.Arn, FunctionName: !Ref Router}
"""
FIFO: Final = """
  Steps: {Type: AWS::SQS::Queue, Properties: {FifoQueue: true}}
  N:
    Type: AWS::Lambda::EventSourceMapping
    Properties: {EventSourceArn: !GetAtt Steps.Arn, FunctionName: !Ref Plain}
  Plain:
    Type: AWS::Serverless::Function
    Properties: {Handler: app.handler, Runtime: python3.13, CodeUri: .}
"""
SOURCE: Final = '[[event_source]]\narn = "arn:aws:sqs:us-east-1:123456789012:orders"\nfunction = "worker"\n'
TENANTS: Final = '[tenants]\nred = { status = "suspended" }\nblue = {}\ngreen = {}\n'
RULE: Final = (
    '[[rule]]\nid = "orders"\nsource = "arn:aws:sqs:us-east-1:123456789012:orders"\ntenants = ["blue", "green"]\n'
    'accept_risk = "only our own service may send to this queue"\n'
)
SENDER: Final = '[[rule]]\nid = "service"\nsender = { role_id = "AROAEXAMPLE123456789" }\ntenants = ["blue", "green"]\n'


def definition_of(folder: Path, map_: str, template: str = TEMPLATE) -> Definition:
    (folder / "template.yaml").write_text(template, encoding="utf-8")
    (folder / "bridge.toml").write_text(map_, encoding="utf-8")
    return read_definition(folder / "template.yaml", {}, "us-east-1")


def printed(folder: Path, map_: str, template: str = TEMPLATE) -> list[str]:
    definition = definition_of(folder, map_, template)
    assert [one.faults for one in definition.configurations] == [()]
    return list(queue_commands(definition, "http://127.0.0.1:9001"))


def options(command: str) -> dict[str, str]:
    words = shlex.split(command)
    first = words.index("send-message") + 1
    return dict(zip(words[first::2], words[first + 1 :: 2], strict=True))


@pytest.mark.parametrize(
    ("claim", "expected"),
    [
        (
            '{ from = "attribute", name = "tenant" }',
            ("--message-attributes", '{"tenant": {"DataType": "String", "StringValue": "blue"}}'),
        ),
        ('{ from = "message_group" }', ("--message-group-id", "blue")),
        ('{ from = "body", path = ["meta", "tenant"] }', ("--message-body", '{"meta": {"tenant": "blue"}}')),
    ],
)
def test_message_has_a_claim_that_the_map_allows(tmp_path: Path, claim: str, expected: tuple[str, str]) -> None:
    about, command = printed(tmp_path, f"{SOURCE}claim = {claim}\n{TENANTS}{RULE}")
    assert about == "  # to the queue orders, which invokes Router, runs as blue (rule orders)"
    assert command.startswith("  AWS_ACCESS_KEY_ID=local AWS_SECRET_ACCESS_KEY=local aws sqs send-message ")
    given = options(command)
    assert given["--queue-url"] == "http://127.0.0.1:9001/123456789012/orders"
    assert given[expected[0]] == expected[1]
    json.loads(given["--message-body"])


def test_sender_of_a_rule_signs_the_message(tmp_path: Path) -> None:
    claim = 'claim = { from = "message_group" }\n'
    about, command = printed(tmp_path, f"{SOURCE}{claim}{TENANTS}{SENDER}")
    assert "sent by AROAEXAMPLE123456789:local, runs as blue (rule service)" in about
    key = "AWS_ACCESS_KEY_ID=LOCALAROAEXAMPLE123456789 AWS_SECRET_ACCESS_KEY=aroaexample123456789"
    assert command.startswith(f"  {key} aws sqs")


def test_queue_whose_records_are_refused_has_the_reason_and_no_command(tmp_path: Path) -> None:
    (line,) = printed(tmp_path, f"{SOURCE}{TENANTS}{RULE}")
    assert line.startswith("No record of the queue orders is allowed yet: ambiguous: ")


def test_fifo_queue_of_a_plain_function_has_a_group_and_an_id_of_each_run(tmp_path: Path) -> None:
    claim = 'claim = { from = "message_group" }\n'
    *_, about, command = printed(tmp_path, f"{SOURCE}{claim}{TENANTS}{RULE}", TEMPLATE + FIFO)
    assert about == "  # to the queue Steps.fifo, which invokes Plain"
    assert "--message-group-id 1" in command
    assert command.endswith('--message-deduplication-id "$(date +%s)"')


def test_queue_of_an_isolated_function_gets_no_command(tmp_path: Path) -> None:
    """Lambda refuses every batch, and the start says so."""
    isolated = FIFO.replace("Handler: app.handler", "TenancyConfig: {TenantIsolationMode: PER_TENANT}, Handler: a.b")
    lines = printed(tmp_path, f"{SOURCE}{TENANTS}{RULE}", TEMPLATE + isolated)
    assert [line for line in lines if "Steps" in line] == []


def test_queues_are_a_table_with_what_reads_them(tmp_path: Path) -> None:
    found = tables(definition_of(tmp_path, f"{SOURCE}{TENANTS}{RULE}").plan, 80)
    begin = found.index("Queues")
    rows = [re.split(r"\s{2,}", line) for line in found[begin + 3 :] if line]
    assert rows == [["dead", "-", "30 s", "-"], ["orders", "Router (batches of 10)", "30 s", "dead after 3"]]
