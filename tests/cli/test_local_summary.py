"""The summary that `lattice-bridge local` prints at its start."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from lattice_bridge.cli.local_summary import addresses, left_out, left_out_in_short, tables, warnings
from lattice_bridge.deployment.cloudformation.template import read_template
from lattice_bridge.local.plan.readers.template import read_plan
from tests.cli.test_local_commands import ALLOWED, BRIDGE
from tests.local.plan.readers.test_tables import ORDERS
from tests.support.paths import ROOT


@pytest.mark.parametrize(
    ("policy", "callers"),
    [(ALLOWED, "anyone"), ('Principal: {AWS: "arn:aws:iam::111122223333:role/blue-api"}, Action: "*"', "policy")],
)
def test_callers_that_a_service_admits_are_listed(policy: str, callers: str, tmp_path: Path) -> None:
    (tmp_path / "template.yaml").write_text(BRIDGE.replace(ALLOWED, policy), encoding="utf-8")
    found = read_plan(read_template(tmp_path / "template.yaml", {}, "us-east-1"))
    assert [line.split()[-1] for line in tables(found) if "any *" in line] == [callers]


@pytest.mark.parametrize(
    "template", ["template.yaml", "tests/functions/template.yaml", "tests/frameworks/template.yaml"]
)
@pytest.mark.parametrize(("columns", "most"), [(80, 80), (120, 120), (300, 120)])
def test_table_fits_the_terminal(template: str, columns: int, most: int) -> None:
    plan = read_plan(read_template(ROOT / template, {}, "us-east-1"))
    printed = tables(plan, columns)
    assert max(map(len, printed)) <= most
    rows = [line.split()[0] for line in printed if line.strip()]
    assert set(plan.functions) <= set(rows), "no name is folded"


def test_way_in_is_a_heading_and_the_priority_of_its_rules_is_listed() -> None:
    plan = read_plan(read_template(ROOT / "template.yaml", {}, "us-east-1"))
    title, header, _, *rows = tables(plan)
    assert (title, header.split()[:2]) == ("Lattice lattice-bridge", ["order", "requests"])
    assert [row.split()[0] for row in rows[:2]] == ["10", "default"]


ASYNC: Final = """
Resources:
  Orders:
    Type: AWS::Serverless::Function
    Properties:
      Handler: a.b
      Runtime: python3.13
      AutoPublishAlias: live
      EventInvokeConfig:
        MaximumRetryAttempts: 1
        MaximumEventAgeInSeconds: 90
        DestinationConfig: {OnSuccess: {Type: Lambda, Destination: !GetAtt Audit.Arn}}
  Audit:
    Type: AWS::Serverless::Function
    Properties: {Handler: a.b, Runtime: python3.13, DeadLetterQueue: {Type: SQS, TargetArn: !GetAtt Dead.Arn}}
  Dead: {Type: AWS::SQS::Queue}
"""


def test_configured_asynchronous_invocations_are_a_table(tmp_path: Path) -> None:
    (tmp_path / "template.yaml").write_text(ASYNC, encoding="utf-8")
    *_, first, second, _ = tables(read_plan(read_template(tmp_path / "template.yaml", {}, "us-east-1")), 80)
    assert first.split() == ["Orders:live", "2", "90", "s", "Audit", "-", "-"]
    assert second.split() == ["Audit", "3", "21600", "s", "-", "-", "Dead"]


MANY: Final = """
Resources:
  Api: {Type: "AWS::ApiGatewayV2::Api", Properties: {ProtocolType: HTTP, Name: shop-of-the-whole-company}}
  Stage: {Type: "AWS::ApiGatewayV2::Stage", Properties: {ApiId: !Ref Api, StageName: $default, AutoDeploy: true}}
"""
ROUTE: Final = """
  OrdersOfCustomersFunction{n}:
    Type: AWS::Lambda::Function
    Properties: {{Handler: orders.handlers.customers.handler, Runtime: python3.13, Code: .}}
  Behind{n}:
    Type: AWS::ApiGatewayV2::Integration
    Properties:
      ApiId: !Ref Api
      IntegrationType: AWS_PROXY
      IntegrationUri: !GetAtt OrdersOfCustomersFunction{n}.Arn
      PayloadFormatVersion: "2.0"
  Route{n}:
    Type: AWS::ApiGatewayV2::Route
    Properties: {{ApiId: !Ref Api, RouteKey: "GET /customers/{{id}}/o{n}", Target: !Sub "integrations/${{Behind{n}}}"}}
"""


def test_forty_routes_have_a_line_each_in_80_columns(tmp_path: Path) -> None:
    """What all routes or functions have in common is not repeated: the way in, and that environments are shared."""
    template = MANY + "".join(ROUTE.format(n=number) for number in range(40))
    (tmp_path / "template.yaml").write_text(template, encoding="utf-8")
    printed = tables(read_plan(read_template(tmp_path / "template.yaml", {}, "us-east-1")), 80)
    routes, functions = "\n".join(printed).split("Functions\n")
    assert len([line for line in routes.splitlines() if line]) == 3 + 40
    assert "environments" not in functions
    assert max(map(len, printed)) <= 80


def test_template_without_a_way_in_has_no_table_of_routes(tmp_path: Path) -> None:
    function = 'Fn: {Type: "AWS::Lambda::Function", Properties: {Handler: a.b, Runtime: python3.13, Code: .}}'
    (tmp_path / "template.yaml").write_text(f"Resources:\n  {function}\n", encoding="utf-8")
    assert tables(read_plan(read_template(tmp_path / "template.yaml", {}, "us-east-1")))[0] == "Functions"


def test_what_is_not_emulated_is_one_line_and_a_list() -> None:
    plan = read_plan(read_template(ROOT / "template.yaml", {}, "us-east-1"))
    title, *listed = left_out(plan)
    assert title == "In the template, but not emulated here:"
    (line, empty) = left_out_in_short(plan)
    assert line == f"{len(listed)} parts are not emulated; `lattice-bridge local --plan` lists them."
    assert (len(line) <= 80, empty) == (True, "")
    assert left_out_in_short(replace(plan, left_out=("a",)))[0].startswith("1 part is not emulated; ")
    assert left_out_in_short(replace(plan, left_out=())) == left_out(replace(plan, left_out=())) == []


def test_assumptions_about_the_template_are_warnings() -> None:
    plan = read_plan(read_template(ROOT / "template.yaml", {}, "us-east-1"))
    assert warnings(plan) == []
    assert warnings(replace(plan, warnings=("a (b)",))) == ["warning: a (b)", ""]


def test_url_of_the_front_is_last() -> None:
    assert addresses("http://front", "http://lambda")[-1] == "HTTP front    http://front  (Ctrl-C stops the stack)"


def test_inspector_is_among_the_addresses_if_it_runs() -> None:
    assert addresses("http://front", "http://aws", "http://inspector/#token=t") == [
        "AWS endpoint  http://aws",
        "Inspector     http://inspector/#token=t",
        "HTTP front    http://front  (Ctrl-C stops the stack)",
    ]


def test_streams_are_listed_with_their_shards(tmp_path: Path) -> None:
    template = tmp_path / "template.yaml"
    template.write_text("""
Resources:
  Orders: {Type: "AWS::Kinesis::Stream", Properties: {Name: orders, ShardCount: 2, RetentionPeriodHours: 48}}
  Clicks: {Type: "AWS::Kinesis::Stream", Properties: {StreamModeDetails: {StreamMode: ON_DEMAND}}}
""")
    printed = tables(read_plan(read_template(template, {}, "us-east-1")))
    at = printed.index("Streams")
    assert [line.split() for line in printed[at + 1 : at + 5] if "─" not in line] == [
        ["stream", "invokes", "shards", "keeps", "records", "for"],
        ["Clicks", "-", "on", "demand", "24", "h"],
        ["orders", "-", "2", "48", "h"],
    ]


def test_tables_of_dynamodb_are_listed_with_key_stream_and_time_to_live(tmp_path: Path) -> None:
    (tmp_path / "template.yaml").write_text(f"Resources:{ORDERS}{SIMPLE}", encoding="utf-8")
    plan = read_plan(read_template(tmp_path / "template.yaml", {}, "us-east-1"))
    printed = tables(plan, 80)
    title = printed.index("DynamoDB tables")
    assert [line.split() for line in printed[title + 1 :] if line and "─" not in line] == [
        ["table", "invokes", "key", "stream", "expires", "by"],
        ["Carts", "-", "id", "(S)", "-", "-"],
        ["orders", "-", "tenant", "(S),", "at", "(N)", "NEW_AND_OLD_IMAGES", "ends"],
    ]
    assert max(map(len, printed)) <= 80


READ: Final = """
Resources:
  Fn: {Type: "AWS::Lambda::Function", Properties: {Handler: a.b, Runtime: python3.13, Code: .}}
  Gn: {Type: "AWS::Lambda::Function", Properties: {Handler: a.b, Runtime: python3.13, Code: .}}
  Clicks: {Type: "AWS::Kinesis::Stream", Properties: {Name: clicks}}
  A:
    Type: AWS::Lambda::EventSourceMapping
    Properties:
      EventSourceArn: !GetAtt Clicks.Arn
      FunctionName: !Ref Fn
      StartingPosition: LATEST
      BatchSize: 50
      MaximumBatchingWindowInSeconds: 5
      ParallelizationFactor: 4
      FilterCriteria: {Filters: [{Pattern: '{"data": {"kind": ["a"]}}'}]}
  B:
    Type: AWS::Lambda::EventSourceMapping
    Properties: {EventSourceArn: !GetAtt Clicks.Arn, FunctionName: !Ref Gn, StartingPosition: LATEST, Enabled: false}
  C:
    Type: AWS::Lambda::EventSourceMapping
    Properties:
      EventSourceArn: !GetAtt Orders.StreamArn
      FunctionName: !Ref Fn
      StartingPosition: LATEST
      TumblingWindowInSeconds: 60
"""


def test_streams_and_tables_show_what_reads_them(tmp_path: Path) -> None:
    (tmp_path / "template.yaml").write_text(f"{READ.rstrip()}{ORDERS}", encoding="utf-8")
    printed = tables(read_plan(read_template(tmp_path / "template.yaml", {}, "us-east-1")), 80)
    text = " ".join(" ".join(printed).split())
    assert "clicks Fn (batches of 50, 5 s, 4 at a time, 1 24 h filtered) Gn (not enabled)" in text
    assert "orders Fn (does not run)" in text
    assert max(map(len, printed)) <= 80


SIMPLE: Final = "\n  Carts: {Type: AWS::Serverless::SimpleTable}\n"
