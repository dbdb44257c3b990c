"""The commands for records that `lattice-bridge local` prints, each of them decided as the bridge would decide it."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Final

import pytest

from lattice_bridge.cli.local_summary import tables
from lattice_bridge.cli.source_commands import source_commands
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
    return list(source_commands(definition, "http://127.0.0.1:9001"))


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


# ---- streams, tables and buses --------------------------------------------------------------------------------------

STREAMS: Final = """
Resources:
  Router:
    Type: AWS::Serverless::Function
    Properties: {Handler: lattice_bridge.main.handler, Runtime: python3.13, CodeUri: .}
  Clicks: {Type: AWS::Kinesis::Stream, Properties: {Name: clicks}}
  Items:
    Type: AWS::DynamoDB::Table
    Properties:
      TableName: items
      BillingMode: PAY_PER_REQUEST
      AttributeDefinitions: [{AttributeName: tenant, AttributeType: S}, {AttributeName: id, AttributeType: N}]
      KeySchema: [{AttributeName: tenant, KeyType: HASH}, {AttributeName: id, KeyType: RANGE}]
      StreamSpecification: {StreamViewType: NEW_IMAGE}
  Orders: {Type: AWS::Events::EventBus, Properties: {Name: orders}}
  Dead: {Type: AWS::SQS::Queue, Properties: {QueueName: dead}}
  OfClicks:
    Type: AWS::Lambda::EventSourceMapping
    Properties:
      EventSourceArn: !GetAtt Clicks.Arn
      FunctionName: !Ref Router
      StartingPosition: LATEST
      FilterCriteria: {Filters: [{Pattern: '{"data": {"kind": ["it''s"], "n": [{"numeric": [">", 3]}]}}'}]}
  OfItems:
    Type: AWS::Lambda::EventSourceMapping
    Properties: {EventSourceArn: !GetAtt Items.StreamArn, FunctionName: !Ref Router, StartingPosition: LATEST}
  Placed:
    Type: AWS::Events::Rule
    Properties:
      EventBusName: !Ref Orders
      EventPattern: {source: [shop], detail-type: [{prefix: Order}], detail: {meta: {total: [{exists: true}]}}}
      Targets: [{Id: router, Arn: !GetAtt Router.Arn}]
"""
ARNS: Final = {
    "clicks": "arn:aws:kinesis:us-east-1:123456789012:stream/clicks",
    "items": "arn:aws:dynamodb:us-east-1:123456789012:table/items",
    "orders": "arn:aws:events:us-east-1:123456789012:event-bus/orders",
}
POISON: Final = 'quarantine = "arn:aws:sqs:us-east-1:123456789012:dead"\n'


def of_source(name: str, claim: str, anchor: str = "", tenants: str = TENANTS) -> str:
    risk = "" if anchor.startswith("event_account") and "bus_source" not in anchor else 'accept_risk = "ours"\n'
    return (
        f'[[event_source]]\narn = "{ARNS[name]}"\nfunction = "worker"\n{claim}\n{POISON}{tenants}'
        f'[[rule]]\nid = "shop"\n{anchor or f"""source = "{ARNS[name]}" """}\ntenants = ["blue", "green"]\n{risk}'
    )


def of_kind(lines: list[str], kind: str) -> tuple[str, list[str]]:
    """The description, and the words of the command."""
    index = next(number for number, line in enumerate(lines) if f"the {kind} " in line)
    return lines[index], shlex.split(lines[index + 1])


def value(words: list[str], option: str) -> str:
    return words[words.index(option) + 1]


@pytest.mark.parametrize(
    ("claim", "key", "data"),
    [
        ('claim = { from = "partition_key" }', "blue", {"kind": "it's", "n": 4}),
        (
            'claim = { from = "body", path = ["meta", "tenant"] }',
            "1",
            {"kind": "it's", "n": 4, "meta": {"tenant": "blue"}},
        ),
    ],
)
def test_record_of_a_stream_has_the_claim_and_passes_the_filter(
    tmp_path: Path, claim: str, key: str, data: dict[str, object]
) -> None:
    """Trap G5: data of a template is quoted."""
    about, words = of_kind(printed(tmp_path, of_source("clicks", claim), STREAMS), "stream")
    assert about == "  # to the stream clicks, which invokes Router, runs as blue (rule shop)"
    assert value(words, "--partition-key") == key
    assert words[:2] == ["printf", "%s"]
    assert json.loads(words[2]) == data
    assert value(words, "--data") == "fileb:///dev/stdin"


def test_item_of_a_table_has_its_key_and_the_claim_and_another_time_at_each_run(tmp_path: Path) -> None:
    """DynamoDB makes no record of an item that does not change."""
    claim = 'claim = { from = "image", name = "owner" }'
    about, words = of_kind(printed(tmp_path, of_source("items", claim), STREAMS), "table")
    assert about == "  # to the table items, which invokes Router, runs as blue (rule shop)"
    assert json.loads(value(words, "--item")) == {
        "tenant": {"S": "1"},
        "id": {"N": "1"},
        "owner": {"S": "blue"},
        "sent": {"N": "$(date +%s)"},
    }


@pytest.mark.parametrize("name", ["tenant", "owner"])
def test_claim_that_the_stream_of_a_table_does_not_contain_is_the_reason(tmp_path: Path, name: str) -> None:
    template = STREAMS.replace("NEW_IMAGE", "OLD_IMAGE")
    lines = printed(tmp_path, of_source("items", f'claim = {{ from = "image", name = "{name}" }}'), template)
    assert lines == [
        f"No change of the table items is allowed yet: claim_missing: the record has no attribute {name} in its images"
    ]


@pytest.mark.parametrize(
    ("anchor", "source"),
    [
        ('event_account = "123456789012"', "shop"),
        ('event_account = "123456789012"\nbus_source = "shop"', "shop"),
    ],
)
def test_event_of_a_bus_has_the_claim_and_matches_the_pattern(tmp_path: Path, anchor: str, source: str) -> None:
    claim = 'claim = { from = "detail", path = ["meta", "tenant"] }'
    about, words = of_kind(printed(tmp_path, of_source("orders", claim, anchor), STREAMS), "bus")
    assert about == "  # to the bus orders, which invokes Router, runs as blue (rule shop)"
    (entry,) = json.loads(value(words, "--entries"))
    assert json.loads(entry.pop("Detail")) == {"meta": {"total": "1", "tenant": "blue"}}
    assert entry == {"EventBusName": "orders", "Source": source, "DetailType": "Order"}


def test_event_of_a_rule_for_a_deployed_account_shows_how_the_local_bus_gets_it(tmp_path: Path) -> None:
    claim = 'claim = { from = "detail", path = ["tenant"] }'
    map_ = of_source("orders", claim, 'event_account = "111122223333"')
    refused, fix = printed(tmp_path, map_, STREAMS)
    assert refused.startswith("No event of the bus orders is allowed yet: no_rule: ")
    arn = "arn:aws:events:us-east-1:111122223333:event-bus/orders"
    assert f'Fix: write Orders = "{arn}" under [local.ids] in local.toml' in fix
    (tmp_path / "local.toml").write_text(f'[local.ids]\nOrders = "{arn}"\n')
    (about, _) = printed(tmp_path, map_.replace(ARNS["orders"], arn), STREAMS)
    assert about == "  # to the bus orders, which invokes Router, runs as blue (rule shop)"


def test_pattern_that_no_simple_event_matches_is_the_reason(tmp_path: Path) -> None:
    template = STREAMS.replace("{exists: true}", "{cidr: 10.0.0.0/8}")
    claim = 'claim = { from = "detail", path = ["tenant"] }'
    lines = printed(tmp_path, of_source("orders", claim), template)
    assert lines == [
        "No command for the bus orders: the pattern of its rule would not take the event that is made here."
    ]


def test_tenant_that_the_aws_cli_would_read_from_a_file_is_not_in_a_command(tmp_path: Path) -> None:
    """Trap G5: a tenant id may begin with file:// and the AWS CLI replaces such a parameter by the file's content."""
    tenants = '[tenants]\n"file://blue" = {}\nblue = {}\ngreen = {}\n'
    map_ = of_source("clicks", 'claim = { from = "partition_key" }', tenants=tenants)
    map_ = map_.replace('["blue", "green"]', '["file://blue", "green"]')
    about, words = of_kind(printed(tmp_path, map_, STREAMS), "stream")
    assert "runs as green" in about
    assert value(words, "--partition-key") == "green"


def test_bridge_whose_map_does_not_load_gets_no_command(tmp_path: Path) -> None:
    definition = definition_of(tmp_path, "[[rule]]\n", STREAMS)
    assert list(source_commands(definition, "http://127.0.0.1:9001")) == []


def test_table_gets_no_command_where_tables_are_not_served(tmp_path: Path) -> None:
    """The extra `dynamodb` is not installed: the stack answers each call with 501, and reports it as a problem."""
    definition = definition_of(tmp_path, of_source("items", 'claim = { from = "image", name = "owner" }'), STREAMS)
    usual, without = (
        list(source_commands(definition, "http://127.0.0.1:9001", has_tables)) for has_tables in (lambda: True, bool)
    )
    assert [line for line in usual if "put-item" in line]
    assert without == [line for line in usual if "put-item" not in line and "the table" not in line]


def test_sources_that_nothing_reads_get_a_command_each(tmp_path: Path) -> None:
    template = STREAMS.partition("  OfClicks:")[0]
    lines = printed(tmp_path, of_source("clicks", 'claim = { from = "partition_key" }'), template)
    assert [line.strip() for line in lines[::2]] == [
        "# to the queue dead, which no mapping reads",
        "# to the stream clicks, which no mapping reads",
        "# to the table items, which no mapping reads",
        "# to the bus orders, of which no rule invokes a function",
    ]


def test_queues_are_a_table_with_what_reads_them(tmp_path: Path) -> None:
    found = tables(definition_of(tmp_path, f"{SOURCE}{TENANTS}{RULE}").plan, 80)
    begin = found.index("Queues")
    rows = [re.split(r"\s{2,}", line) for line in found[begin + 3 :] if line]
    assert rows == [["dead", "-", "30 s", "-"], ["orders", "Router (batches of 10)", "30 s", "dead after 3"]]
