"""Alarms of a template beside bridge.toml: each watches an existing backend, and each backend is watched."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

from lattice_bridge.config.options import Backend, Options
from lattice_bridge.config.settings import Settings
from lattice_bridge.deployment.checks.backends import alarm_findings
from lattice_bridge.deployment.checks.stack import stack_of
from lattice_bridge.deployment.cloudformation.template import read_translated
from tests.support.paths import ROOT

TEMPLATE: Final = (ROOT / "template.yaml").read_text(encoding="utf-8")
BACKENDS: Final = Settings.load({"LAMBDA_TASK_ROOT": str(ROOT)}).options.backends


def of(path: Path, text: str, *backends: Backend) -> list[tuple[str, str | None, str]]:
    path.write_text(text, encoding="utf-8")
    stack = stack_of(read_translated(path, {}, "us-east-1"), Options(backends or BACKENDS))
    return [(one.level, one.subject, one.actual) for one in alarm_findings(stack)]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        pytest.param("", "", [], id="the project's own"),
        pytest.param(
            "{ Name: Backend, Value: /isolated }",
            "{ Name: Backend, Value: /orders }",
            [
                (
                    "error",
                    "IsolatedLatencyAlarm",
                    'it watches Latency of the backend "/orders", which bridge.toml does not have',
                ),
                ("warning", "Resources", 'no alarm watches Latency of the backend "/isolated"'),
            ],
            id="a path that is no more",
        ),
        pytest.param(
            '["/isolated", "/history"]',
            '["/isolated", "/standard"]',
            [
                (
                    "error",
                    "TenantsRule",
                    'it counts the tenants of "/standard", which is no isolated backend of bridge.toml'
                    ' and not "/history", which is isolated',
                )
            ],
            id="tenants of another path",
        ),
        pytest.param(
            "Dimensions: [{ Name: Backend, Value: none }, { Name: Reason, Value: keys_unavailable }]",
            "Dimensions: [{ Name: Backend, Value: absent }, { Name: Reason, Value: keys_unavailable }]",
            [
                (
                    "error",
                    "DependencyAlarm",
                    'it watches Errors of the backend "absent", which bridge.toml does not have',
                )
            ],
            id="a path among several metrics",
        ),
        pytest.param(
            "Dimensions: [{ Name: Backend, Value: none }, { Name: Reason, Value: keys_unavailable }]",
            "Dimensions: [{ Name: Backend, Value: authorizer }, { Name: Reason, Value: keys_unavailable }]",
            [],
            id="the map as an authorizer",
        ),
        pytest.param('{"Schema": {"Name"', '{"Schema"; {"Name"', [], id="a rule that is no JSON"),
    ],
)
def test_alarms_and_backends_agree(old: str, new: str, expected: list[tuple[str, str, str]], tmp_path: Path) -> None:
    assert old in TEMPLATE
    assert of(tmp_path / "t.yaml", TEMPLATE.replace(old, new, 1) if old else TEMPLATE) == expected


def test_new_backend_needs_an_alarm_and_its_place_in_the_tenants_rule(tmp_path: Path) -> None:
    found = of(tmp_path / "t.yaml", TEMPLATE, *BACKENDS, Backend("/orders", "orders:live"))
    assert [(level, subject) for level, subject, _ in found] == [("warning", "Resources"), ("error", "TenantsRule")]


@pytest.mark.parametrize("namespace", ["AWS/Other", "Theirs"])
def test_alarm_on_other_metrics_is_ignored(namespace: str, tmp_path: Path) -> None:
    ours = "Namespace: !Ref MetricsNamespace\n      MetricName: Latency\n"
    assert TEMPLATE.count(ours) == 3
    theirs = TEMPLATE.replace(ours, f"Namespace: {namespace}\n      MetricName: Latency\n")
    assert of(tmp_path / "t.yaml", theirs.replace("Value: /isolated }", "Value: /theirs }")) == []


def test_namespace_is_read_from_the_bridge(tmp_path: Path) -> None:
    text = TEMPLATE.replace("Value: /isolated }", "Value: /orders }").replace("Default: LatticeBridge", "Default: Ours")
    assert [level for level, *_ in of(tmp_path / "t.yaml", text)] == ["error", "warning"]
