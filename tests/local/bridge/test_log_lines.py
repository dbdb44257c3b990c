"""The bridge's log lines, as the stack reads them."""

from __future__ import annotations

from typing import Any, Final

import pytest

from lattice_bridge.local.bridge.log_lines import (
    is_record,
    is_request,
    json_object,
    record_words,
    request_words,
    service_and_name,
    total_milliseconds,
)
from tests.support.log_samples import samples

LINE: Final[dict[str, Any]] = {
    "message": "request",
    "requestId": "r1",
    "status": 200,
    "reason": "ok",
    "milliseconds": {"total": 1.5},
}
RECORD: Final[dict[str, Any]] = LINE | {"message": "record", "status": "done", "id": None}


def test_each_line_of_the_bridge_is_known(tmp_path: Any) -> None:
    lines = [json_object(line) or {} for pair in samples(tmp_path).values() for line in pair]
    assert sum(map(is_request, lines)) == 4
    assert sum(map(is_record, lines)) == 3


@pytest.mark.parametrize("missing", LINE)
def test_line_without_a_member_is_none_of_the_bridge(missing: str) -> None:
    assert is_request(LINE)
    assert not is_request({name: value for name, value in LINE.items() if name != missing})
    assert is_record(RECORD)
    assert not is_record({name: value for name, value in RECORD.items() if name != missing})


@pytest.mark.parametrize("total", [None, "1", 1e300, 10**400, []])
def test_time_that_is_none_is_zero(total: object) -> None:
    assert total_milliseconds({"milliseconds": {"total": total}}) == 0.0


def test_words_are_empty_if_nothing_was_refused() -> None:
    assert request_words(LINE) == record_words(RECORD) == ""


def test_words_of_a_record_name_its_copy() -> None:
    words = record_words(RECORD | {"reason": "claim_missing", "detail": "no tenant", "status": "quarantined"})
    assert words.startswith("No tenant. Fix: ")
    assert words.endswith(". A copy is in the quarantine")


def test_source_has_its_service() -> None:
    sources = ("orders", "stream/clicks", "table/items", "event-bus/shop")
    assert [service_and_name(source) for source in sources] == [
        *[("sqs", "orders"), ("kinesis", "clicks"), ("dynamodb", "items"), ("events", "shop")],
    ]
