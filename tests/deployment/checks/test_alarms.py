"""Alarms of a template beside bridge.toml: none watches what is no more, and no backend is left out."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

from lattice_bridge.config.options import Backend
from lattice_bridge.config.settings import Settings
from lattice_bridge.deployment.checks.alarms import alarms_as_said
from lattice_bridge.deployment.cloudformation.read import read_translated
from tests.support.paths import ROOT

TEMPLATE: Final = (ROOT / "template.yaml").read_text(encoding="utf-8")
BACKENDS: Final = Settings.load({"LAMBDA_TASK_ROOT": str(ROOT)}).options.backends


def of(path: Path, text: str, *backends: Backend) -> list[tuple[str, str | None, str]]:
    path.write_text(text, encoding="utf-8")
    template = read_translated(path, {}, "us-east-1")
    return [(one.level, one.subject, one.wrong) for one in alarms_as_said(template, backends or BACKENDS)]


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
            "Dimensions: [{ Name: Backend, Value: nobody }, { Name: Reason, Value: keys_unavailable }]",
            [
                (
                    "error",
                    "DependencyAlarm",
                    'it watches Errors of the backend "nobody", which bridge.toml does not have',
                )
            ],
            id="a path among several metrics",
        ),
        pytest.param('{"Schema": {"Name"', '{"Schema"; {"Name"', [], id="a rule that is no JSON"),
    ],
)
def test_alarms_and_backends_agree(old: str, new: str, expected: list[tuple[str, str, str]], tmp_path: Path) -> None:
    assert old in TEMPLATE
    assert of(tmp_path / "t.yaml", TEMPLATE.replace(old, new, 1) if old else TEMPLATE) == expected


def test_a_backend_more_needs_its_alarm_and_its_place_in_the_rule(tmp_path: Path) -> None:
    found = of(tmp_path / "t.yaml", TEMPLATE, *BACKENDS, Backend("/orders", "orders:live"))
    assert [(level, subject) for level, subject, _ in found] == [("warning", "Resources"), ("error", "TenantsRule")]


@pytest.mark.parametrize("namespace", ["AWS/Other", "Theirs"])
def test_an_alarm_on_somebody_elses_metrics_is_told_nothing(namespace: str, tmp_path: Path) -> None:
    ours = "Namespace: !Ref MetricsNamespace\n      MetricName: Latency\n"
    assert TEMPLATE.count(ours) == 3
    theirs = TEMPLATE.replace(ours, f"Namespace: {namespace}\n      MetricName: Latency\n")
    assert of(tmp_path / "t.yaml", theirs.replace("Value: /isolated }", "Value: /theirs }")) == []


def test_the_namespace_is_the_bridges_own(tmp_path: Path) -> None:
    text = TEMPLATE.replace("Value: /isolated }", "Value: /orders }").replace("Default: LatticeBridge", "Default: Ours")
    assert [level for level, *_ in of(tmp_path / "t.yaml", text)] == ["error", "warning"]
