"""`check --template` for services that can send a tenant id by themselves: custom event buses, schedules, state
machines. Cases in tests/templates/native_cases.toml."""

from __future__ import annotations

import tomllib
from pathlib import Path
from textwrap import indent
from typing import Any, Final

import pytest
from click.testing import CliRunner

from lattice_bridge.cli.root import root
from lattice_bridge.config.document import parse_document
from lattice_bridge.config.tables.options import read_options
from lattice_bridge.deployment.checks.run import template_findings
from lattice_bridge.deployment.checks.stack import TemplateFinding
from tests.support.paths import ROOT

FOLDER: Final = ROOT / "tests" / "templates"
CASES: Final[list[dict[str, Any]]] = tomllib.loads((FOLDER / "native_cases.toml").read_text(encoding="utf-8"))["case"]
MAP: Final = (FOLDER / "orders.toml").read_text(encoding="utf-8")


def findings(add: str, edits: list[list[str]] | None = None, base: str = "orders.yaml") -> list[TemplateFinding]:
    """The findings about orders.yaml with texts replaced, and resources added at its end."""
    text = (FOLDER / base).read_text(encoding="utf-8")
    for old, new in edits or []:
        assert old in text, old
        text = text.replace(old, new)
    known = read_options(parse_document(MAP).tables, [])
    return template_findings(FOLDER / base, known, {}, "us-east-1", text=text + indent(add, "  "))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_template_with_a_native_sender_has_exactly_these_findings(case: dict[str, Any]) -> None:
    """Among them Traps E26, E27."""
    found = findings(case["add"], case.get("edits"), case.get("base", "orders.yaml"))
    assert sorted([one.level, one.subject, one.actual] for one in found) == sorted(case["found"])
    for one in found:
        assert one.text == f"{one.subject}: {one.actual}. {one.expected}. Fix: {one.fix}."


def test_case_names_are_unique() -> None:
    names = [case["name"] for case in CASES]
    assert len(set(names)) == len(names) > 20


LEAK: Final = """\
Resources:
  Orders:
    Type: AWS::Lambda::Function
    Properties: {FunctionName: orders, TenancyConfig: {TenantIsolationMode: PER_TENANT}}
  Subscriber:
    Type: AWS::EventsV2::Subscriber
    Properties:
      InvokeConfiguration:
        {TargetArn: !GetAtt Orders.Arn, LambdaParameters: {TenantId: "{% $events[0].Metadata.tenant %}"}}
"""


def test_leak_is_found_with_its_line_and_its_fix_in_a_template_without_a_bridge(tmp_path: Path) -> None:
    """Trap E26: a stack whose bus needs no bridge has no bridge, and that alone is a warning."""
    template = tmp_path / "template.yaml"
    template.write_text(LEAK, encoding="utf-8")
    result = CliRunner().invoke(root, ["check", str(FOLDER / "orders.toml"), "--template", str(template)])
    assert result.exit_code == 1
    line, other, summary = [line for line in result.stdout.splitlines() if line.startswith(str(template))]
    assert line.startswith(f"{template}:5:3: error: Subscriber: TenantId is an expression")
    assert line.endswith("Fix: write BatchConfiguration: {MaxBatchSize: 1}.")
    assert other.startswith(f"{template}:1:1: warning: Resources: no bridge")
    assert summary == f"{template}: 1 error, 1 warning"


def test_isolated_function_without_a_bridge_still_needs_one() -> None:
    text = LEAK.partition("  Subscriber:")[0]
    found = template_findings(FOLDER / "t.yaml", None, {}, "us-east-1", text=text)
    assert [(one.level, one.subject) for one in found if "no bridge" in one.actual] == [("error", "Resources")]


def test_fix_of_a_claim_from_the_data_names_the_condition_key() -> None:
    (one,) = findings(next(case["add"] for case in CASES if "publisher" in case["name"]).partition("Either:")[0])
    assert "events:PutRawEvents" in one.fix
    assert "events:Metadata/tenant" in one.fix
