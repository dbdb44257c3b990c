"""docs/reference.md shows every kind of line that the bridge writes."""

from __future__ import annotations

import json
from pathlib import Path

from tests.support.log_samples import markdown, samples
from tests.support.paths import ROOT
from tests.support.written import assert_written


def test_page_shows_the_written_lines(tmp_path: Path) -> None:
    assert_written(ROOT / "docs" / "reference.md", "log lines", markdown(tmp_path))


def test_each_sample_has_a_log_line_and_a_metric_line(tmp_path: Path) -> None:
    for lines in samples(tmp_path).values():
        log, metric = map(json.loads, lines)
        assert log["message"] in ("request", "record", "map", "closed")
        assert metric["_aws"]["CloudWatchMetrics"][0]["Namespace"] == "LatticeBridge"
