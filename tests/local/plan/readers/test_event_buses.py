"""The event buses and rules of a template: names, patterns, schedules, targets, and what AWS refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lattice_bridge.deployment.cloudformation.template import read_template
from lattice_bridge.deployment.cloudformation.text import BadTemplate
from lattice_bridge.local.plan.model import Plan
from lattice_bridge.local.plan.readers.template import read_plan

QUEUE = "\n  Kept: {Type: AWS::SQS::Queue, Properties: {QueueName: kept}}\n"
ARN = "arn:aws:sqs:eu-west-1:123456789012:kept"


def planned(folder: Path, resources: str, ids: dict[str, str] | None = None, head: str = "") -> Plan:
    path = folder / "template.yaml"
    path.write_text(f"{head}Resources:{QUEUE}{resources}")
    return read_plan(read_template(path, {}, "eu-west-1", ids=ids or {}))


def rule(properties: str) -> str:
    return f"  R: {{Type: AWS::Events::Rule, Properties: {{{properties}}}}}\n"


TAKES = "EventPattern: {source: [shop]}"
BUS = "  Orders: {Type: AWS::Events::EventBus, Properties: {Name: orders, Description: all}}\n"


def test_rule_on_a_bus_of_the_template(tmp_path: Path) -> None:
    target = "{Id: kept, Arn: !GetAtt Kept.Arn, RetryPolicy: {MaximumRetryAttempts: '3'}, InputPath: $.detail}"
    properties = f"Name: placed, EventBusName: !Ref Orders, {TAKES}, Targets: [{target}], State: DISABLED"
    plan = planned(tmp_path, BUS + rule(properties))
    (bus,), (found,) = plan.event_buses, plan.event_rules
    assert (bus.name, bus.arn, bus.description) == (
        "orders",
        "arn:aws:events:eu-west-1:123456789012:event-bus/orders",
        "all",
    )
    assert (found.id, found.name, found.bus, found.enabled, found.schedule) == ("R", "placed", "orders", False, None)
    assert found.pattern == '{"source":["shop"]}'
    (kept,) = found.targets
    assert (kept.id, kept.arn, kept.retries) == ("kept", ARN, 3)
    assert plan.left_out == ()


@pytest.mark.parametrize("name", ["!GetAtt Orders.Arn", "!Ref Orders", "orders"])
def test_rule_names_its_bus_by_name_or_arn(tmp_path: Path, name: str) -> None:
    assert planned(tmp_path, BUS + rule(f"EventBusName: {name}, {TAKES}")).event_rules[0].bus == "orders"


def test_bus_with_a_deployed_arn_has_its_name(tmp_path: Path) -> None:
    """bridge.toml then names the same bus here and in the deployed stack."""
    arn = "arn:aws:events:eu-central-1:111122223333:event-bus/prod"
    plan = planned(tmp_path, BUS + rule(f"EventBusName: !Ref Orders, {TAKES}"), {"Orders": arn})
    assert (plan.event_buses[0].name, plan.event_buses[0].arn, plan.event_rules[0].bus) == ("prod", arn, "prod")


def test_rule_without_a_bus_is_on_the_default_bus_and_has_its_logical_id_as_name(tmp_path: Path) -> None:
    (found,) = planned(tmp_path, rule("ScheduleExpression: rate(5 minutes)")).event_rules
    assert (found.bus, found.name, found.schedule, found.pattern) == ("default", "R", "rate(5 minutes)", None)


def test_template_with_rules_and_a_queue_only_is_served(tmp_path: Path) -> None:
    path = tmp_path / "template.yaml"
    path.write_text(f"Resources:\n{rule(TAKES)}")
    assert read_plan(read_template(path, {}, "eu-west-1")).event_rules


@pytest.mark.parametrize(
    ("properties", "words"),
    [
        (f"{TAKES}, EventBusName: elsewhere", "its bus is not in the template, so it takes no events (R)"),
        (f"{TAKES}, Targets: [{{Id: a, Arn: 'arn:aws:sns:eu-west-1:123456789012:t'}}]", "a topic gets no events (R)"),
        (f"{TAKES}, Targets: [{{Id: a, Arn: 'arn:aws:codebuild:eu-west-1:1:t'}}]", "a target of codebuild gets no"),
        (f"{TAKES}, Targets: [{{Id: a, Arn: !ImportValue x}}]", "a target that is not known here gets no events (R)"),
        ("EventPattern: {source: [!ImportValue x]}", "its pattern or schedule is not known here"),
        (f"{TAKES}, Other: 1", "property Other has no effect (R)"),
    ],
)
def test_part_that_is_not_served_is_named(tmp_path: Path, properties: str, words: str) -> None:
    assert any(words in line for line in planned(tmp_path, rule(properties)).left_out)


@pytest.mark.parametrize(
    ("resources", "words"),
    [
        (rule("Name: a"), "R: neither EventPattern nor ScheduleExpression. Fix: write one of them"),
        (
            rule("EventPattern: {source: shop}"),
            r'R\.EventPattern\.source: "source" must be an object or an array\. Fix',
        ),
        (rule("EventPattern: '{'"), r"R\.EventPattern: not JSON"),
        (rule("ScheduleExpression: rate(1 minutes)"), r"R\.ScheduleExpression: 'rate\(1 minutes\)' is not a schedule"),
        (rule("ScheduleExpression: cron(0 10 * * * *)"), r"R\.ScheduleExpression: cron has the days"),
        (BUS + rule("ScheduleExpression: rate(1 day), EventBusName: orders"), "only rules of the default bus have"),
        (rule(f"{TAKES}, State: 'ON'"), r"R\.State: 'ON' is unknown\. Fix: write DISABLED or ENABLED"),
        (rule(f"{TAKES}, Name: a b"), r"R\.Name: 'a b' is not a name"),
        (rule(f"{TAKES}, Targets: [{{Id: a, Arn: kept}}]"), r"R\.Targets\[0\]: .* Provided Arn is not in correct"),
        (rule(f"{TAKES}, Targets: [{{Arn: '{ARN}'}}]"), "rule R: malformed"),
        (rule(f"{TAKES}, Targets: [{', '.join([f'{{Id: a, Arn: {ARN!r}}}'] * 2)}]"), r"Targets\[1\]\.Id: 'a' occurs"),
        (rule(f"{TAKES}, Targets: [{', '.join([f'{{Id: a, Arn: {ARN!r}}}'] * 6)}]"), "6 targets. Fix: write up to 5"),
        (BUS + BUS.replace("Orders", "Same"), "event bus Same: Orders has the name orders too. Fix: rename one"),
        (BUS.replace("name: orders", "Name: default").replace("Name: orders", "Name: default"), "the default bus has"),
        (rule(f"{TAKES}, Name: a") + rule(f"{TAKES}, Name: a").replace("R:", "S:", 1), "rule S: R has the name a"),
    ],
)
def test_value_that_aws_refuses_is_an_error(tmp_path: Path, resources: str, words: str) -> None:
    with pytest.raises(BadTemplate, match=words):
        planned(tmp_path, resources)


SAM = """
  Worker:
    Type: AWS::Serverless::Function
    Properties:
      Handler: app.worker
      Runtime: python3.13
      CodeUri: code
      Events:
        Placed:
          Type: EventBridgeRule
          Properties: {EventBusName: !Ref Orders, Pattern: {source: [shop]}, RetryPolicy: {MaximumRetryAttempts: 2}}
        Older: {Type: CloudWatchEvent, Properties: {Pattern: {detail-type: [x]}, Input: '{"a": 1}'}}
        Hourly: {Type: Schedule, Properties: {Schedule: rate(1 hour), Enabled: false}}
"""


def test_events_of_sam_are_rules(tmp_path: Path) -> None:
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "app.py").write_text("")
    plan = planned(tmp_path, BUS + SAM, head="Transform: AWS::Serverless-2016-10-31\n")
    worker = plan.functions["Worker"].arn
    assert {(one.bus, one.pattern, one.schedule, one.enabled) for one in plan.event_rules} == {
        ("orders", '{"source":["shop"]}', None, True),
        ("default", '{"detail-type":["x"]}', None, True),
        ("default", None, "rate(1 hour)", False),
    }
    targets = [target for one in plan.event_rules for target in one.targets]
    assert [target.arn for target in targets] == [worker] * 3
    assert {target.retries for target in targets} == {2, 185}
    assert [json.loads(target.given["Input"]) for target in targets if "Input" in target.given] == [{"a": 1}]
