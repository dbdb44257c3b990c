"""The summary that `lattice-bridge local` prints at its start."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from lattice_bridge.cli.local_summary import addresses, commands, left_out, left_out_in_short, tables
from lattice_bridge.deployment.cloudformation.template import read_template
from lattice_bridge.local.front.identities import read_identities
from lattice_bridge.local.plan.reader import read_plan
from tests.support.paths import ROOT

BRIDGE: Final = """
Resources:
  Bridge:
    Type: AWS::Serverless::Function
    Properties: {Handler: lattice_bridge.main.handler, Runtime: python3.13, CodeUri: .}
  Group: {Type: "AWS::VpcLattice::TargetGroup", Properties: {Type: LAMBDA, Targets: [{Id: !GetAtt Bridge.Arn}]}}
  Service: {Type: "AWS::VpcLattice::Service", Properties: {Name: orders, AuthType: AWS_IAM}}
  Policy:
    Type: AWS::VpcLattice::AuthPolicy
    Properties:
      ResourceIdentifier: !Ref Service
      Policy: {Statement: [{Effect: Allow, Principal: "*", Action: "*", Resource: "*"}]}
  Listener:
    Type: AWS::VpcLattice::Listener
    Properties:
      ServiceIdentifier: !Ref Service
      DefaultAction: {Forward: {TargetGroups: [{TargetGroupIdentifier: !Ref Group, Weight: 1}]}}
"""
MAP: Final = '[[backend]]\nfunction = "orders"\n[tenants]\nblue = {}\n'
RULE: Final = '[[rule]]\nid = "blue"\nrole = "arn:aws:iam::111122223333:role/blue-api"\ntenant = "blue"\n'
ALLOWED: Final = 'Principal: "*", Action: "*"'
NO_RULE: Final = "403, because no rule names it. Fix: write identities.toml"


@pytest.mark.parametrize(
    ("tables", "expected"),
    [(MAP + RULE, [False, True]), (MAP + RULE.replace("blue-api", "other"), [True, True]), ("[", [False, False])],
    ids=["one has a rule", "none has", "a map that does not load"],
)
def test_identity_without_a_rule_is_reported(tables: str, expected: list[bool], tmp_path: Path) -> None:
    (tmp_path / "template.yaml").write_text(BRIDGE, encoding="utf-8")
    (tmp_path / "bridge.toml").write_text(tables, encoding="utf-8")
    found = read_plan(read_template(tmp_path / "template.yaml", {}, "us-east-1"))
    printed = commands(found, read_identities(None), "http://front", "http://lambda")
    assert [NO_RULE in line for line in printed if line.startswith("  # ")] == expected


def test_fault_of_the_map_has_its_place(tmp_path: Path) -> None:
    (tmp_path / "template.yaml").write_text(BRIDGE, encoding="utf-8")
    (tmp_path / "bridge.toml").write_text(MAP + RULE.replace('"blue"', '"bleu"'), encoding="utf-8")
    found = read_plan(read_template(tmp_path / "template.yaml", {}, "us-east-1"))
    printed = list(commands(found, read_identities(None), "http://front", "http://lambda"))
    assert any("  - bridge.toml:8:10: rule " in line for line in printed)


def test_identity_refused_by_the_auth_policy_is_reported(tmp_path: Path) -> None:
    principal = 'Principal: {AWS: "arn:aws:iam::111122223333:role/blue-api"}, Action: "*"'
    assert ALLOWED in BRIDGE
    (tmp_path / "template.yaml").write_text(BRIDGE.replace(ALLOWED, principal), encoding="utf-8")
    (tmp_path / "bridge.toml").write_text(MAP + RULE, encoding="utf-8")
    found = read_plan(read_template(tmp_path / "template.yaml", {}, "us-east-1"))
    printed = list(commands(found, read_identities(None), "http://front", "http://lambda"))
    reason = "403, because no statement of the auth policy Policy of the service Service allows it"
    assert f"Unsigned: {reason}" in printed
    assert [line for line in printed if line.startswith("  # ")] == [
        "  # arn:aws:iam::111122223333:role/blue-api",
        f"  # arn:aws:iam::111122223333:role/green-api: {reason}",
    ]
    assert [line.split()[-1] for line in tables(found) if "default" in line] == ["policy"]


def test_command_to_paste_is_quoted(tmp_path: Path) -> None:
    """Trap G5."""
    function = BRIDGE.replace(
        "  Group:",
        "  Orders:\n    Type: AWS::Serverless::Function\n    Properties: {FunctionName: $(id), Handler: app.handler, "
        "Runtime: python3.13, CodeUri: ., TenancyConfig: {TenantIsolationMode: PER_TENANT}}\n  Group:",
        1,
    ).replace("AuthType: AWS_IAM", "AuthType: NONE")
    (tmp_path / "template.yaml").write_text(function, encoding="utf-8")
    text = MAP.replace("[tenants]", "path = \"/a';id;'\"\n[tenants]") + RULE
    (tmp_path / "bridge.toml").write_text(text, encoding="utf-8")
    found = read_plan(read_template(tmp_path / "template.yaml", {}, "us-east-1"))
    printed = list(commands(found, read_identities(None), "http://front", "http://lambda"))
    curls = [line.strip() for line in printed if line.startswith("  curl ")]
    assert all(shlex.join(shlex.split(line)) == line for line in curls)
    assert {shlex.split(line)[-1] for line in curls} == {"http://front/a';id;'"}
    assert not [line for line in printed if "$(id)" in line]


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


def test_what_is_not_emulated_is_one_line_and_a_list() -> None:
    plan = read_plan(read_template(ROOT / "template.yaml", {}, "us-east-1"))
    title, *listed = left_out(plan)
    assert title == "In the template, but not emulated here:"
    (line, empty) = left_out_in_short(plan)
    assert line == f"{len(listed)} parts are not emulated; `lattice-bridge local --plan` lists them."
    assert (len(line) <= 80, empty) == (True, "")
    assert left_out_in_short(replace(plan, left_out=("a",)))[0].startswith("1 part is not emulated; ")
    assert left_out_in_short(replace(plan, left_out=())) == left_out(replace(plan, left_out=())) == []


def test_url_of_the_front_is_last() -> None:
    assert addresses("http://front", "http://lambda")[-1] == "Lattice front  http://front  (Ctrl-C stops the stack)"
