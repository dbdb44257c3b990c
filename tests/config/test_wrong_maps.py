"""wrong_maps.toml: every message about a wrong map, with its line and column."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any, Final

import pytest

from lattice_bridge.review.check import findings_of

FILE: Final = Path(__file__).parent / "wrong_maps.toml"
CASES: Final[list[dict[str, Any]]] = tomllib.loads(FILE.read_text(encoding="utf-8"))["case"]


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_wrong_map_has_exactly_these_faults(case: dict[str, Any]) -> None:
    """Trap D3: all faults at once, and none that only follows from another."""
    errors = [finding for finding in findings_of(case["map"]) if finding.level == "error"]
    assert [f"{finding.line}:{finding.column}: {finding.text}" for finding in errors] == case["faults"]


def test_table_has_enough_rows_with_suggestions_and_syntax() -> None:
    faults = [fault for case in CASES for fault in case["faults"]]
    suggested, syntax = (sum(part in fault for fault in faults) for part in ("did you mean", "not TOML"))
    assert len(CASES) >= 40
    assert suggested >= 15
    assert syntax >= 15


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_each_message_gives_a_fix_or_a_suggestion(case: dict[str, Any]) -> None:
    for fault in case["faults"]:
        assert re.search(r"Fix: |did you mean |known keys: |gets ", fault), fault
