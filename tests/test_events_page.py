"""docs/events.md: its subscriber is safe, and its statements about expressions and policies hold."""

from __future__ import annotations

import json
import re
from textwrap import indent
from typing import Final

from lattice_bridge.deployment.checks.native_senders import SCHEDULE, SUBSCRIBER
from lattice_bridge.deployment.checks.run import template_findings
from lattice_bridge.deployment.checks.stack import PIPE
from lattice_bridge.deployment.checks.state_machines import STATE_MACHINE
from tests.support.cfn_lint import lint
from tests.support.paths import ROOT

TEXT: Final = (ROOT / "docs" / "events.md").read_text(encoding="utf-8")
(SNIPPET,) = re.findall(r"^```yaml\n(.*?)^```", TEXT, re.DOTALL | re.MULTILINE)
ROLE: Final = (
    "Type: AWS::IAM::Role, Properties: {AssumeRolePolicyDocument: {Version: '2012-10-17', Statement: "
    "[{Effect: Allow, Principal: {Service: SERVICE.amazonaws.com}, Action: sts:AssumeRole}]}}"
)
TEMPLATE: Final = f"""\
Resources:
  Bus: {{Type: AWS::EventsV2::EventBus, Properties: {{Name: orders}}}}
  DeadLetters: {{Type: AWS::SQS::Queue}}
  DeliveryRole: {{{ROLE.replace("SERVICE", "events")}}}
  OrdersRole: {{{ROLE.replace("SERVICE", "lambda")}}}
  Orders:
    Type: AWS::Lambda::Function
    Properties:
      FunctionName: orders
      Handler: app.handler
      Runtime: python3.13
      Role: !GetAtt OrdersRole.Arn
      Code: {{S3Bucket: code-bucket, S3Key: code.zip}}
      TenancyConfig: {{TenantIsolationMode: PER_TENANT}}
{indent(SNIPPET, "  ")}"""


def actuals(text: str) -> list[tuple[str, str]]:
    found = template_findings(ROOT / "template.yaml", None, {}, "us-east-1", text=text)
    return [(one.level, one.actual) for one in found if one.subject == "Subscriber"]


def test_subscriber_of_the_page_is_safe() -> None:
    assert actuals(TEMPLATE) == []
    assert lint(TEMPLATE) == []


def test_subscriber_of_the_page_in_batches_leaks_and_cfn_lint_accepts_it() -> None:
    """Trap E26: why `check` has a finding of its own."""
    leaking = re.sub(r" +BatchConfiguration.*\n", "", TEMPLATE)
    assert actuals(leaking) == [("error", "TenantId is an expression, and MaxBatchSize is not set, which means 10")]
    assert lint(leaking) == []


def test_counting_expressions_of_the_page_have_the_findings_that_it_states() -> None:
    """Trap E26."""
    counts, completed = re.findall(r"`((?:and )?\$count\(.*?)`", TEXT)
    written = 'TenantId: "{% $events.Metadata.tenant %}"'
    assert TEMPLATE.count(written) == 1
    levels = []
    for condition in (counts, f"{counts} {completed}"):
        expression = f"{{% {condition} ? $events[0].Metadata.tenant : $error('mixed') %}}"
        text = TEMPLATE.replace("MaxBatchSize: 1 }", "MaxBatchSize: 10 }").replace(written, f'TenantId: "{expression}"')
        levels += [level for level, _ in actuals(text)]
    assert levels == ["error", "warning"]


def test_policy_of_the_page_pins_the_metadata_that_the_subscriber_reads() -> None:
    (policy,) = [json.loads(one) for one in re.findall(r"^```json\n(.*?)^```", TEXT, re.DOTALL | re.MULTILINE)]
    ((key, value),) = policy["Condition"]["StringEquals"].items()
    assert (policy["Action"], key, value) == ("events:PutRawEvents", "events:Metadata/tenant", "blue")
    assert "$events.Metadata.tenant" in SNIPPET


def test_table_of_findings_has_each_type_that_is_judged() -> None:
    rows = TEXT.partition("## What check finds\n")[2]
    assert [kind for kind in (SUBSCRIBER, SCHEDULE, STATE_MACHINE, PIPE) if f"| `{kind}`" not in rows] == []
