"""The benchmark runs. What it measures is no test's business: machines differ."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import goals
from benchmarks.batch import ARN, STREAM_ARN, TABLE_ARN, record
from benchmarks.contenders import FRESH, INVOKE, OURS, POST, POWERTOOLS, REMEMBERED
from benchmarks.request import TENANT
from benchmarks.responder import WRONG, answer_to
from benchmarks.table import Table
from tests.support.paths import ROOT


def test_quick_run_of_the_warm_request_shows_every_peer(tmp_path: Path) -> None:
    written = tmp_path / "results.md"
    environ = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}
    command = [sys.executable, "-m", "benchmarks.run", "--quick", "--only", "warm", "--output", str(written)]
    subprocess.run(command, cwd=ROOT, env=environ, check=True, capture_output=True, timeout=90)
    rows = {line.split(" | ")[0].removeprefix("| ") for line in written.read_text(encoding="utf-8").splitlines()}
    assert {OURS, REMEMBERED, FRESH, INVOKE, POWERTOOLS, POST} <= rows
    assert "warm, IAM principal: CPU over Powertools with boto3" in rows


def test_goal_is_reached_at_its_bound_and_missed_over_it() -> None:
    table = goals.table({"warm over POST": 1.8, "6 MB peak": 3.01})
    assert [row[-1] for row in table.rows] == ["✓", "✗"]


def test_goal_that_was_not_measured_is_not_shown() -> None:
    assert not goals.table({}).rows


def test_markdown_has_a_line_for_each_row_and_the_note_below() -> None:
    assert Table("T", ("", "b"), [("one", "1")], "note").markdown() == (
        "## T\n\n|  | b |\n| --- | ---: |\n| one | 1 |\n\nnote\n"
    )


@pytest.mark.parametrize(("tenant", "answer"), [(TENANT, b"null"), ("another", WRONG)])
@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": ")])
@pytest.mark.parametrize("arn", [ARN, STREAM_ARN, TABLE_ARN])
def test_responder_reports_a_record_of_another_tenant(
    arn: str, tenant: str, answer: bytes, separators: tuple[str, str]
) -> None:
    payload = json.dumps({"Records": [record(arn, 0)]}, separators=separators).encode()
    assert answer_to(payload, tenant.encode()) == answer
