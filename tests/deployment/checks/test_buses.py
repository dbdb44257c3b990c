"""An event bus in front of the bridge: each mistake in a template has its own finding, a right template none."""

from __future__ import annotations

import tomllib
from typing import Any, Final

import pytest

from lattice_bridge.deployment.checks.run import template_findings
from lattice_bridge.deployment.checks.stack import MapNeeds, TemplateFinding
from tests.deployment.checks.test_queues import FOLDER, REGION, edited, options

CASES: Final[list[dict[str, Any]]] = tomllib.loads((FOLDER / "buses_cases.toml").read_text(encoding="utf-8"))["case"]
SHOP: Final = "arn:aws:events:us-east-1:111122223333:event-bus/shop"


def findings(case: dict[str, Any]) -> list[TemplateFinding]:
    return template_findings(
        FOLDER / "buses.yaml",
        options(case.get("map", []), "buses.toml"),
        {},
        REGION,
        text=edited("buses.yaml", case.get("edits", []), case.get("add", "")),
        needs=MapNeeds(trusted_sources=tuple((SHOP, rule) for rule in case.get("trusted", ()))),
    )


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_template_with_a_bus_has_exactly_these_findings(case: dict[str, Any]) -> None:
    found = findings(case)
    assert sorted([one.level, one.subject, one.actual] for one in found) == sorted(case["found"])
    for one in found:
        assert one.text == f"{one.subject}: {one.actual}. {one.expected}. Fix: {one.fix}."


SAM: Final = """
Transform: AWS::Serverless-2016-10-31
Resources:
  Bridge:
    Type: AWS::Serverless::Function
    Properties:
      {FunctionName: bridge, Handler: lattice_bridge.main.handler, Runtime: python3.13, Timeout: 30, CodeUri: s3://b/k,
       AutoPublishAlias: live, FAILURES
       Policies: [{Statement: {Effect: Allow, Action: "lambda:InvokeFunction", Resource: !GetAtt Worker.Arn}},
         {Statement: {Effect: Allow, Action: "sqs:SendMessage", Resource: !GetAtt Quarantine.Arn}}],
       Events: {
         Sales: {Type: EventBridgeRule, Properties: {EventBusName: shop, Pattern: {source: [shop]}}},
         Returns: {Type: CloudWatchEvent, Properties: {Pattern: {source: [shop]}}},
         Nightly: {Type: Schedule, Properties: {Schedule: rate(1 day), Input: "{}"}},
         Later: {Type: ScheduleV2, Properties: {ScheduleExpression: rate(1 day)}}}}
  Worker:
    Type: AWS::Lambda::Function
    Properties: {FunctionName: worker, TenancyConfig: {TenantIsolationMode: PER_TENANT}}
  Quarantine: {Type: AWS::SQS::Queue, Properties: {QueueName: quarantine, MessageRetentionPeriod: 1209600}}
"""
KEEPS: Final = (
    "EventInvokeConfig: {DestinationConfig: {OnFailure: {Type: SQS, Destination: arn:aws:sqs:us-east-1:1:f}}},"
)


@pytest.mark.parametrize(
    ("failures", "expected"),
    [
        (KEEPS, set()),
        ("", {("Bridge", "it has no OnFailure destination, and receives events of shop as bridge:live")}),
        ("DeadLetterQueue: {Type: SQS, TargetArn: 'arn:aws:sqs:us-east-1:1:dead'},", set()),
    ],
)
def test_events_of_sam_are_read_as_their_rules(failures: str, expected: set[tuple[str, str]]) -> None:
    """Each of them has a permission of its own, which SAM writes."""
    text = SAM.replace("FAILURES", failures)
    found = template_findings(FOLDER / "t.yaml", options([], "buses.toml"), {}, REGION, text=text)
    own = ("Bridge", "BridgeLater", "BridgeNightly", "BridgeReturns", "BridgeSales")
    assert {(one.subject, one.actual) for one in found if one.level == "error" and one.subject in own} == {
        ("BridgeLater", "it invokes the bridge, bridge"),
        ("BridgeReturns", "it sends events of the bus default, and bridge.toml has shop"),
        ("BridgeNightly", "Input rewrites the event before the bridge"),
        *expected,
    }
