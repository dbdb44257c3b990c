"""Queues in front of the bridge: each mistake in a template has its own finding, and a right template has none."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable, Iterator
from textwrap import indent
from typing import Any, Final

import pytest

from lattice_bridge.config.document import parse_document
from lattice_bridge.config.options import Options
from lattice_bridge.config.tables.options import read_options
from lattice_bridge.deployment.checks.run import findings_of, template_findings
from lattice_bridge.deployment.checks.stack import MapNeeds, TemplateFinding
from lattice_bridge.deployment.cloudformation.template import resolve
from lattice_bridge.deployment.cloudformation.text import BadTemplate, malformed, read_document
from lattice_bridge.errors import Fault
from tests.support.paths import ROOT

FOLDER: Final = ROOT / "tests" / "templates"
CASES: Final[list[dict[str, Any]]] = tomllib.loads((FOLDER / "queues_cases.toml").read_text(encoding="utf-8"))["case"]
REGION: Final = "us-east-1"
QUARANTINE: Final = "orders-quarantine"
ORDERS: Final = "arn:aws:sqs:us-east-1:111122223333:orders"


def edited(name: str, edits: list[list[str]], add: str = "") -> str:
    text = (FOLDER / name).read_text(encoding="utf-8")
    for old, new in edits:
        assert old in text, old
        text = text.replace(old, new, 1)
    return text + indent(add, "  ")


def options(edits: list[list[str]], name: str = "queues.toml") -> Options:
    """The options of a map, edited."""
    faults: list[Fault] = []
    found = read_options(parse_document(edited(name, edits)).tables, faults)
    assert faults == []
    return found


def findings(case: dict[str, Any]) -> list[TemplateFinding]:
    return template_findings(
        FOLDER / "queues.yaml",
        options(case.get("map", [])),
        case.get("parameters", {}),
        REGION,
        text=edited("queues.yaml", case.get("edits", []), case.get("add", "")),
        needs=MapNeeds(trusted_sources=tuple((ORDERS, rule) for rule in case.get("trusted", ()))),
    )


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_template_with_a_queue_has_exactly_these_findings(case: dict[str, Any]) -> None:
    found = findings(case)
    assert sorted([one.level, one.subject, one.actual] for one in found) == sorted(case["found"])
    for one in found:
        assert one.text == f"{one.subject}: {one.actual}. {one.expected}. Fix: {one.fix}."


@pytest.mark.parametrize(("suffix", "counts"), [("", True), (".fifo", False)])
def test_retention_of_a_fifo_dead_letter_queue_counts_anew(suffix: str, counts: bool) -> None:
    """SQS keeps the time of sending for standard queues only."""
    case = next(one for one in CASES if one["name"] == "short retentions")
    names = [[f"QueueName: {name}\n", f"QueueName: {name}{suffix}\n"] for name in ("orders", "orders-dead", QUARANTINE)]
    arns = [[f':{name}"', f':{name}{suffix}"'] for name in ("orders", QUARANTINE)]
    found = findings({"edits": [*case["edits"], *names], "map": [*arns, ["timeout = 20", "timeout = 1"]]})
    told = {one.subject: "counts from the time" in one.expected for one in found if "Retention" in one.actual}
    assert told == {"Dead": counts, "Quarantine": False}


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("VisibilityTimeout: 180", "VisibilityTimeout: soon", "Orders.VisibilityTimeout: 'soon' is not a number"),
        ("VisibilityTimeout: 180", "VisibilityTimeout: .inf", "Orders.VisibilityTimeout: inf is not a number"),
        (
            "orders-dead\n      MessageRetentionPeriod: 1209600",
            "orders-dead\n      MessageRetentionPeriod: -1",
            "Dead.MessageRetentionPeriod: -1 is not a number",
        ),
    ],
)
def test_malformed_number_is_refused_with_its_place(old: str, new: str, fault: str) -> None:
    with pytest.raises(BadTemplate) as caught:
        findings({"edits": [[old, new]]})
    assert fault in str(caught.value)


def test_two_bridges_need_one_mapping_and_one_role_with_rights() -> None:
    """A template may have a bridge for requests beside the one for queues."""
    second = """
Second:
  Type: AWS::Lambda::Function
  Properties: {FunctionName: second, Handler: lattice_bridge.main.handler, Timeout: 30, Role: !GetAtt SecondRole.Arn}
SecondRole:
  Type: AWS::IAM::Role
  Properties:
    Policies:
      - PolicyName: backends
        PolicyDocument: {Statement: [{Effect: Allow, Action: "lambda:InvokeFunction", Resource: !GetAtt Worker.Arn}]}
"""
    assert findings({"add": second}) == []


def test_event_of_sam_is_read_as_its_mapping() -> None:
    """The role that SAM makes has a managed policy of AWS, which allows to receive messages."""
    text = """
Transform: AWS::Serverless-2016-10-31
Resources:
  Bridge:
    Type: AWS::Serverless::Function
    Properties:
      {FunctionName: bridge, Handler: lattice_bridge.main.handler, Runtime: python3.13, Timeout: 30, CodeUri: s3://b/k,
       AutoPublishAlias: live,
       Policies: [{Statement: {Effect: Allow, Action: "lambda:InvokeFunction", Resource: !GetAtt Worker.Arn}},
         {Statement: {Effect: Allow, Action: "sqs:SendMessage", Resource: !GetAtt Quarantine.Arn}}],
       Events: {Orders: {Type: SQS, Properties: {Queue: !GetAtt Queue.Arn, BatchSize: 5}}}}
  Worker:
    Type: AWS::Lambda::Function
    Properties: {FunctionName: orders-worker, TenancyConfig: {TenantIsolationMode: PER_TENANT}}
  Queue:
    Type: AWS::SQS::Queue
    Properties: {QueueName: orders, VisibilityTimeout: 180, RedrivePolicy: {maxReceiveCount: 5}}
  Quarantine: {Type: AWS::SQS::Queue, Properties: {QueueName: orders-quarantine, MessageRetentionPeriod: 1209600}}
"""
    found = template_findings(FOLDER / "t.yaml", options([]), {}, REGION, text=text)
    assert [
        (one.level, one.subject, one.actual) for one in found if "sqs" in one.text.lower() or "its " in one.text
    ] == [
        ("error", "BridgeOrders", "its FunctionResponseTypes do not contain ReportBatchItemFailures"),
    ]


def places(value: Any, *path: str | int) -> Iterator[tuple[str | int, ...]]:
    """The paths in a value where an intrinsic function may be."""
    items: Iterable[tuple[str | int, Any]] = value.items() if isinstance(value, dict) else enumerate(value)
    for key, entry in items:
        yield (*path, key)
        if isinstance(entry, dict | list) and not str(next(iter(entry), "")).startswith(("Ref", "Fn::")):
            yield from places(entry, *path, key)


@pytest.mark.parametrize("name", ["queues", "streams", "buses"])
def test_value_that_another_stack_exports_is_never_malformed(name: str) -> None:
    path = FOLDER / f"{name}.yaml"
    whole = json.dumps(read_document(path.read_text(encoding="utf-8"), path.name))
    known, tried = options([], f"{name}.toml"), 0
    for resource in sorted({*json.loads(whole)["Resources"]} - {"Worker", "WorkerRole", "BridgeAlias"}):
        for place in places(json.loads(whole)["Resources"][resource]["Properties"]):
            document, tried = json.loads(whole), tried + 1
            parent = document["Resources"][resource]["Properties"]
            for key in place[:-1]:
                parent = parent[key]
            parent[place[-1]] = {"Fn::ImportValue": "x"}
            template = resolve(document, path, {}, REGION, deployed=True)
            with malformed(f"{resource} {place}"):
                list(findings_of(template, known))
    assert tried > 40


def test_case_names_are_unique() -> None:
    names = [case["name"] for case in CASES]
    assert len(set(names)) == len(names) > 50
