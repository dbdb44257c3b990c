"""The sentences for refusals of the bridge."""

from __future__ import annotations

import pytest

from lattice_bridge.errors import REASONS
from lattice_bridge.local.refusal_causes import _TEMPLATES, cause


def test_every_reason_code_has_a_sentence() -> None:
    assert list(_TEMPLATES) == list(REASONS)


@pytest.mark.parametrize("of_record", [False, True])
@pytest.mark.parametrize("reason", REASONS)
def test_sentence_is_whole_without_any_other_field(reason: str, of_record: bool) -> None:
    """A line of an older bridge may lack the detail, the rule or the function."""
    sentence = cause(reason, of_record=of_record)
    assert sentence[0].isupper() or sentence.startswith(("the function ", "`isolated`", "bridge.toml"))
    assert not set("{}") & set(sentence)
    assert "  " not in sentence


def test_record_has_no_header() -> None:
    sentences = [cause(reason, "d", of_record=True) for reason in ("tenant_not_allowed", "ambiguous", "no_rule")]
    assert [sentence for sentence in sentences if "header" in sentence] == []


def test_function_keeps_its_spelling() -> None:
    assert cause("backend_raised", "errorType KeyError", function="orders:live").startswith(
        "orders:live failed (errorT"
    )


def test_unknown_reason_is_its_detail_or_itself() -> None:
    assert (cause("newer", "a {detail}"), cause("newer")) == ("A {detail}", "Newer")
