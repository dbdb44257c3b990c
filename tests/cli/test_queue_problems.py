"""The problems of queues that `lattice-bridge local` finds before it serves."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

from lattice_bridge.cli.local_problems import problems
from lattice_bridge.local.definition import read_definition

ARN: Final = "arn:aws:sqs:us-east-1:123456789012"
TEMPLATE: Final = """
Resources:
  Router:
    Type: AWS::Serverless::Function
    Properties: {Handler: lattice_bridge.main.handler, Runtime: python3.13, CodeUri: ., Timeout: 10}
  Worker:
    Type: AWS::Serverless::Function
    Properties:
      FunctionName: worker
      Handler: app.handler
      Runtime: python3.13
      CodeUri: .
      TenancyConfig: {TenantIsolationMode: PER_TENANT}
  Orders: {Type: AWS::SQS::Queue, Properties: {QueueName: orders, VisibilityTimeout: 60}}
  M:
    Type: AWS::Lambda::EventSourceMapping
    Properties:
      EventSourceArn: !GetAtt Orders.Arn
      FunctionName: !Ref Router
      FunctionResponseTypes: [ReportBatchItemFailures]
"""
MAP: Final = f"""
[[event_source]]
arn = "{ARN}:orders"
function = "worker"
claim = {{ from = "attribute", name = "tenant" }}
[tenants]
blue = {{}}
green = {{}}
[[rule]]
id = "orders"
source = "{ARN}:orders"
tenants = ["blue", "green"]
accept_risk = "only our own service may send to this queue"
"""


def found(folder: Path, template: str = TEMPLATE, map_: str = MAP) -> list[str]:
    (folder / "template.yaml").write_text(template, encoding="utf-8")
    (folder / "bridge.toml").write_text(map_, encoding="utf-8")
    (folder / "app.py").touch()
    definition = read_definition(folder / "template.yaml", {}, "us-east-1")
    return problems(definition.plan, definition.configurations)


def without_map(template: str) -> str:
    """The template with a function of another handler in place of the bridge."""
    return template.replace("lattice_bridge.main.handler", "app.handler")


def test_queue_with_a_mapping_and_an_event_source_has_no_problem(tmp_path: Path) -> None:
    assert found(tmp_path) == []


def test_isolated_function_behind_a_mapping_needs_a_router(tmp_path: Path) -> None:
    """Lambda refuses each Invoke without a tenant id, and the messages go to the dead-letter queue."""
    (line,) = found(tmp_path, without_map(TEMPLATE.replace("!Ref Router", "!Ref Worker")))
    assert line == (
        "event source mapping M: the function 'worker' has a TenancyConfig, and a mapping sends no tenant id: Lambda "
        f'refuses every batch. Fix: map the queue to a bridge, and write [[event_source]] with arn = "{ARN}:orders" '
        'and function = "worker" into its bridge.toml'
    )


def test_visibility_timeout_below_the_function_s_is_a_problem(tmp_path: Path) -> None:
    (line,) = found(tmp_path, TEMPLATE.replace("VisibilityTimeout: 60", "VisibilityTimeout: 9"))
    assert line == (
        "event source mapping M: VisibilityTimeout of Orders is 9 s, and Timeout of Router is 10 s, so Lambda refuses "
        "the mapping. Fix: write VisibilityTimeout: 60 (6 times the timeout, and the window)"
    )


def test_mapping_to_a_bridge_has_to_report_failures(tmp_path: Path) -> None:
    """Trap E13: Lambda deletes the records that the bridge reports."""
    (line,) = found(tmp_path, TEMPLATE.replace("FunctionResponseTypes: [ReportBatchItemFailures]", "BatchSize: 5"))
    assert line.endswith("Fix: write FunctionResponseTypes: [ReportBatchItemFailures]")


@pytest.mark.parametrize(
    ("old", "new", "lines"),
    [
        (
            "!GetAtt Orders.Arn",
            f"{ARN}:order",
            [
                f"event source mapping M: the template has no queue {ARN}:order; Orders is {ARN}:orders here. "
                f'Fix: write Orders = "{ARN}:order" under [local.ids] in local.toml, or the other ARN',
                f'event source mapping M: bridge.toml of Router has no [[event_source]] with arn = "{ARN}:order", so '
                "every record is reported as failed. "
                "Fix: add one, or write the ARN that it has into [local.ids] of local.toml",
                f'bridge.toml: [[event_source]] arn = "{ARN}:orders": no event source mapping brings its messages to '
                "Router. Fix: add one to the template",
            ],
        ),
        (
            "!Ref Router",
            "Ruter",
            [
                "event source mapping M: the template has no function 'Ruter'; did you mean 'Router'?",
                f'bridge.toml: [[event_source]] arn = "{ARN}:orders": no event source mapping brings its messages to '
                "Router. Fix: add one to the template",
            ],
        ),
    ],
)
def test_mapping_of_another_queue_or_function_is_a_problem(
    tmp_path: Path, old: str, new: str, lines: list[str]
) -> None:
    assert found(tmp_path, TEMPLATE.replace(old, new)) == lines


def test_queue_of_the_deployed_stack_in_bridge_toml_leads_to_local_toml(tmp_path: Path) -> None:
    deployed = MAP.replace(ARN, "arn:aws:sqs:eu-west-1:111122223333")
    lines = found(tmp_path, map_=deployed)
    fix = 'Fix: write Orders = "arn:aws:sqs:eu-west-1:111122223333:orders" under [local.ids] in local.toml'
    assert [fix in line for line in lines] == [False, True]
    (tmp_path / "local.toml").write_text('[local.ids]\nOrders = "arn:aws:sqs:eu-west-1:111122223333:orders"\n')
    assert found(tmp_path, map_=deployed) == []


def test_quarantine_that_the_template_does_not_have_is_a_problem(tmp_path: Path) -> None:
    with_quarantine = MAP.replace('function = "worker"\n', f'function = "worker"\nquarantine = "{ARN}:set-aside"\n')
    (line,) = found(tmp_path, map_=with_quarantine)
    assert f"quarantine: the template has no queue {ARN}:set-aside; it has {ARN}:orders" in line


def test_function_of_an_event_source_is_compared_with_the_template(tmp_path: Path) -> None:
    (line,) = found(tmp_path, TEMPLATE.replace("      TenancyConfig: {TenantIsolationMode: PER_TENANT}\n", ""))
    assert line == (
        f"bridge.toml: [[event_source]] arn = \"{ARN}:orders\": the function 'worker' does not have a TenancyConfig. "
        "Fix: write isolated = false, or change the template"
    )
