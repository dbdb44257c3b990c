"""Powertools over the corpus: what it reads otherwise than we do, as docs/testing.md says."""

from __future__ import annotations

from tests.support.paths import ROOT
from tests.support.powertools_reads import differences, table
from tests.support.written import assert_written


def test_the_page_says_what_powertools_reads_otherwise() -> None:
    assert_written(ROOT / "docs" / "testing.md", "powertools", table())


def test_path_and_method_are_read_alike() -> None:
    assert not {asked for asked, *_ in differences()} & {"path", "method"}


def test_powertools_models_accept_v1_and_refuse_lists_of_v2() -> None:
    """So people copy fixtures that no service sends."""
    refused = {asked: names for asked, _, theirs, names in differences() if theirs == "raises ValidationError"}
    assert "v2/header-strings" not in refused["`VpcLatticeV2Model`"]
    assert len(refused["`VpcLatticeV2Model`"]) > 75
    assert refused["`VpcLatticeModel`"] == ["v1/body-absent", "v1/query-map-absent"]
