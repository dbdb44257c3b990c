"""The sentences for refusals of the bridge."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

import pytest

from lattice_bridge.errors import REASONS
from lattice_bridge.local.bridge.refusal_causes import _TEMPLATES, cause, record_cause


def test_every_reason_code_has_a_sentence() -> None:
    assert list(_TEMPLATES) == list(REASONS)


@pytest.mark.parametrize("in_words", [cause, record_cause])
@pytest.mark.parametrize("reason", REASONS)
def test_sentence_is_whole_without_any_other_field(reason: str, in_words: Callable[[str], str]) -> None:
    """A line of an older bridge may lack the detail, the rule or the function."""
    sentence = in_words(reason)
    assert sentence[0].isupper() or sentence.startswith(("the function ", "`isolated`", "bridge.toml"))
    assert not set("{}") & set(sentence)
    assert "  " not in sentence


def test_record_has_no_header() -> None:
    sentences = [record_cause(reason, "d") for reason in ("tenant_not_allowed", "ambiguous", "no_rule")]
    assert [sentence for sentence in sentences if "header" in sentence] == []


def test_record_that_loops_came_from_a_quarantine_and_not_from_a_backend() -> None:
    sentence = record_cause("loop", "the record has been in a quarantine more than 4 times")
    assert sentence.startswith("The record has been in a quarantine more than 4 times. Fix: fix the cause")
    assert "backend" not in sentence


@pytest.mark.parametrize(
    ("sender", "words"),
    [
        ("AROASHOPEXAMPLE12345", 'write a [[rule]] with sender = { role_id = "AROASHOPEXAMPLE12345" }, or'),
        ("AIDAEXAMPLEEXAMPLE12", 'write a [[rule]] with sender = { user_id = "AIDAEXAMPLEEXAMPLE12" }, or'),
        ("111122223333", "write a [[rule]] with its `sender`, or"),
    ],
)
def test_record_without_a_rule_names_its_sender_as_a_rule_does(sender: str, words: str) -> None:
    assert words in record_cause("no_rule", sender=sender)


SERVICES: Final = {"sqs": "queue", "kinesis": "stream", "dynamodb": "table", "events": "bus"}


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("reason", REASONS)
def test_sentence_for_a_record_names_no_other_kind_of_source(reason: str, service: str) -> None:
    sentence = record_cause(reason, "d", "shop", "orders", "AROASHOPEXAMPLE12345", service)
    others = {"queue", "message", "stream", "table", "bus", "sender"} - {SERVICES[service]}
    if service == "sqs":
        others -= {"message", "sender"}
    words = set(re.findall(r"[a-z]+", sentence))
    if reason not in ("quarantine_failed", "wrong_queue", "source_unsupported"):  # of any source
        assert not words & others
    assert not set("{}") & set(sentence.replace("sender = {", "").replace("}", ""))


def test_fix_of_the_bridge_replaces_the_fix_of_the_sentence() -> None:
    assert record_cause("window_unsupported", "no window. Fix: remove it", service="kinesis") == (
        "No window. Fix: remove it"
    )


def test_function_keeps_its_spelling() -> None:
    assert cause("backend_raised", "errorType KeyError", function="orders:live").startswith(
        "orders:live failed (errorT"
    )


def test_unknown_reason_is_its_detail_or_itself() -> None:
    assert (cause("newer", "a {detail}"), cause("newer")) == ("A {detail}", "Newer")
