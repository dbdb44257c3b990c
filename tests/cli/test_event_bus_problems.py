"""The problems of event buses that `lattice-bridge local` finds before it serves, and the table of its start."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from lattice_bridge.cli.event_bus_problems import of_buses
from lattice_bridge.cli.local_problems import problems
from lattice_bridge.cli.local_summary import tables
from lattice_bridge.local.definition import Definition, read_definition

ARN: Final = "arn:aws:events:us-east-1:123456789012:event-bus/orders"
TEMPLATE: Final = """
Resources:
  Router:
    Type: AWS::Lambda::Function
    Properties: {Handler: lattice_bridge.main.handler, Runtime: python3.13, Code: ., Timeout: 10}
  Worker:
    Type: AWS::Lambda::Function
    Properties:
      FunctionName: worker
      Handler: app.handler
      Runtime: python3.13
      Code: .
      TenancyConfig: {TenantIsolationMode: PER_TENANT}
  Dead: {Type: AWS::SQS::Queue, Properties: {QueueName: dead}}
  Orders: {Type: AWS::Events::EventBus, Properties: {Name: orders}}
  Placed:
    Type: AWS::Events::Rule
    Properties:
      EventBusName: !Ref Orders
      EventPattern: {source: [shop]}
      Targets: [{Id: router, Arn: !GetAtt Router.Arn, DeadLetterConfig: {Arn: !GetAtt Dead.Arn}}]
  Hourly:
    Type: AWS::Events::Rule
    Properties: {ScheduleExpression: rate(1 hour), State: DISABLED, Targets: [{Id: dead, Arn: !GetAtt Dead.Arn}]}
"""
MAP: Final = """
[[event_source]]
arn = "arn:aws:sqs:us-east-1:123456789012:dead"
function = "worker"
[tenants]
blue = {}
[[rule]]
id = "orders"
source = "arn:aws:sqs:us-east-1:123456789012:dead"
tenants = ["blue"]
"""


def read(folder: Path, template: str = TEMPLATE) -> Definition:
    (folder / "template.yaml").write_text(template, encoding="utf-8")
    (folder / "bridge.toml").write_text(MAP, encoding="utf-8")
    (folder / "app.py").touch()
    return read_definition(folder / "template.yaml", {}, "us-east-1")


def of_bus(folder: Path, arn: str, template: str = TEMPLATE) -> list[str]:
    """The problems of a bridge.toml whose one event source is a bus."""
    definition = read(folder, template)
    (configuration,) = definition.configurations
    assert configuration.settings is not None
    options = configuration.settings.options
    sources = tuple(replace(source, arn=arn) for source in options.event_sources)
    settings = configuration.settings._replace(options=options._replace(event_sources=sources))
    return list(of_buses(definition.plan, [replace(configuration, settings=settings)]))


def found(folder: Path, template: str = TEMPLATE) -> list[str]:
    definition = read(folder, template)
    return problems(definition.plan, definition.configurations)


def test_bus_whose_rule_has_the_bridge_as_target_is_no_problem(tmp_path: Path) -> None:
    assert of_bus(tmp_path, ARN) == []
    assert not [line for line in found(tmp_path) if line.startswith("rule ")]


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (
            "{Id: router, Arn: !GetAtt Router.Arn",
            "{Id: worker, Arn: !GetAtt Worker.Arn",
            "rule Placed: target worker: the function 'worker' has a TenancyConfig, and EventBridge sends no tenant id",
        ),
        (
            "!GetAtt Router.Arn",
            "'arn:aws:lambda:us-east-1:123456789012:function:absent'",
            "rule Placed: target router: ",
        ),
        (
            "{Arn: !GetAtt Dead.Arn}",
            "{Arn: 'arn:aws:sqs:us-east-1:123456789012:none'}",
            "target router: DeadLetterConfig: the template has no queue arn:aws:sqs:us-east-1:123456789012:none; it ",
        ),
        (
            "{Arn: !GetAtt Dead.Arn}",
            "{Arn: 'arn:aws:sqs:us-east-1:999999999999:dead'}",
            'Fix: write Dead = "arn:aws:sqs:us-east-1:999999999999:dead" under [local.ids] in local.toml',
        ),
        (
            "[{Id: dead, Arn: !GetAtt Dead.Arn}]",
            "[{Id: dead, Arn: 'arn:aws:sqs:us-east-1:123456789012:none'}]",
            "rule Hourly: target dead: the template has no queue",
        ),
    ],
)
def test_rule_that_cannot_work_is_a_problem(tmp_path: Path, old: str, new: str, words: str) -> None:
    assert old in TEMPLATE
    assert any(words in line for line in found(tmp_path, TEMPLATE.replace(old, new)))


def test_bus_without_a_rule_for_the_bridge_is_a_problem(tmp_path: Path) -> None:
    (line,) = of_bus(tmp_path, ARN, TEMPLATE.replace("EventBusName: !Ref Orders", "Name: a"))
    assert "no rule of the bus brings its events to Router. Fix: add an AWS::Events::Rule" in line
    (line,) = of_bus(tmp_path, ARN.replace("orders", "default"))
    assert 'event-bus/default": no rule of the bus brings its events to Router' in line


def test_bus_of_another_account_has_its_line_for_local_toml(tmp_path: Path) -> None:
    other = ARN.replace("123456789012", "111122223333")
    (line,) = of_bus(tmp_path, other)
    assert line.endswith(f'no bus with this ARN. Fix: write Orders = "{other}" under [local.ids] in local.toml')


@pytest.mark.parametrize("columns", [80, 120])
def test_buses_and_rules_are_listed(tmp_path: Path, columns: int) -> None:
    printed = tables(read(tmp_path).plan, columns)
    assert max(map(len, printed)) <= columns
    rows = printed[printed.index("Event buses") :]
    assert rows[1].split() == ["bus", "rule", "takes", "targets"]
    text = " ".join(" ".join(rows[2:]).split())
    assert "default Hourly (not enabled) rate(1 hour) dead" in text
    assert 'orders Placed {"source": ["shop"]} Router (dead letters: dead)' in text
