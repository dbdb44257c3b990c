"""Anchors that a map can have, compared with what reads rules independently, and with the page that explains them."""

from __future__ import annotations

import re

from lattice_bridge.config.tables.record_anchors import PARTS
from lattice_bridge.config.tables.rule import WRITTEN_ANCHORS
from lattice_bridge.testing.strategies.maps import _ANCHORS
from tests.support.decision_reference import ANCHOR_NAMES
from tests.support.paths import ROOT


def test_reference_of_decisions_knows_every_anchor() -> None:
    assert set(ANCHOR_NAMES) == set(WRITTEN_ANCHORS)
    of_both = [name for name, anchor in WRITTEN_ANCHORS.items() if anchor.is_condition]
    assert list(ANCHOR_NAMES[-len(of_both) :]) == of_both


def test_strategy_makes_maps_with_every_anchor() -> None:
    assert {name.rstrip("*") for name in _ANCHORS} - {"session", "sender-session"} == set(WRITTEN_ANCHORS)


def test_page_explains_every_anchor() -> None:
    page = (ROOT / "docs" / "tenants.md").read_text(encoding="utf-8")
    table = page.partition("\n| anchor | for |\n")[2].partition("\n\n")[0]
    assert set(re.findall(r"`(\w+) = ", table)) - {"session", *PARTS} == set(WRITTEN_ANCHORS)
