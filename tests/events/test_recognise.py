"""Events with records, and all other events."""

from __future__ import annotations

from typing import Any

import pytest

from lattice_bridge.events.recognise import source_of
from tests.support.builders import v1, v2


@pytest.mark.parametrize(
    "event", [v1(), v2(), {}, None, [], "Records", {"Records": {}}, {"Records": None}, {"records": []}]
)
def test_event_without_records_has_no_source(event: Any) -> None:
    assert source_of(event) is None


@pytest.mark.parametrize("records", [[], [None], [{}], [{"eventSource": 5}], [{"EventSource": "aws:sns"}]])
def test_records_that_do_not_say_where_they_are_from_have_an_empty_source(records: list[Any]) -> None:
    """Trap E5: SNS writes `EventSource`. Such an event is never answered as if it were an HTTP event."""
    assert source_of({"Records": records}) == ""


def test_first_record_says_where_all_are_from() -> None:
    assert source_of({"Records": [{"eventSource": "aws:sqs"}, {"eventSource": "aws:kinesis"}]}) == "aws:sqs"


def test_event_with_marks_of_a_request_and_of_records_is_one_of_records() -> None:
    """Trap E5: one member decides, so that no event has two ways."""
    assert source_of({**v2(), "Records": [{"eventSource": "aws:sqs"}]}) == "aws:sqs"
