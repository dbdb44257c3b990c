"""docs/reference.md shows every kind of line that the bridge writes."""

from __future__ import annotations

import json
from pathlib import Path

from tests.support.log_samples import markdown, samples
from tests.support.paths import ROOT
from tests.support.written import assert_written


def test_the_page_shows_the_lines_as_they_are_written(tmp_path: Path) -> None:
    assert_written(ROOT / "docs" / "reference.md", "log lines", markdown(tmp_path))


def test_each_happening_has_one_line_to_read_and_one_to_count(tmp_path: Path) -> None:
    for lines in samples(tmp_path).values():
        log, metric = map(json.loads, lines)
        assert log["message"] in ("request", "map", "closed")
        assert metric["_aws"]["CloudWatchMetrics"][0]["Namespace"] == "LatticeBridge"
