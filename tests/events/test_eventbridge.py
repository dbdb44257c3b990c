"""Events of classic EventBridge buses."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lattice_bridge.errors import BadRequest
from lattice_bridge.events.batch import batch_of, claimed, payload
from lattice_bridge.events.eventbridge import ANY_BUS, is_event
from lattice_bridge.message import BusEvent
from tests.events.test_kinesis import ANYTHING
from tests.support.examples import examples
from tests.support.stream_records import BUS, BY_DETAIL, published

RECORDED: Final[dict[str, Any]] = {
    "version": "0",
    "id": "6a7e8feb-b491-4cf7-a9f1-bf3703467718",
    "detail-type": "EC2 Instance State-change Notification",
    "source": "aws.ec2",
    "account": "111122223333",
    "time": "2017-12-22T18:43:48Z",
    "region": "us-west-1",
    "resources": ["arn:aws:ec2:us-west-1:123456789012:instance/i-1234567890abcdef0"],
    "detail": {"instance-id": " i-1234567890abcdef0", "state": "terminated"},
}
"""Of the EventBridge guide, "Event structure"."""


def test_recorded_event_is_read() -> None:
    batch = batch_of(RECORDED)
    [record] = batch.records
    assert (batch.caller, record.id, record.source, record.group) == ("bus", RECORDED["id"], ANY_BUS, None)
    assert record.bus_event == BusEvent("111122223333", "aws.ec2", "EC2 Instance State-change Notification")
    assert json.loads(payload(record)) == RECORDED


def test_event_is_of_the_one_bus_of_a_map() -> None:
    """An event does not name its bus."""
    [record] = batch_of(published()).from_bus(BUS).records
    assert (record.source, claimed(record, BY_DETAIL)) == (BUS, "blue")


@pytest.mark.parametrize("event", [None, [], [published()], {**published(), "Records": []}, {"detail": {}}])
def test_other_event_is_no_event_of_a_bus(event: object) -> None:
    assert not is_event(event)


@pytest.mark.parametrize("id_", [None, "", 7])
def test_event_without_an_id_is_refused(id_: object) -> None:
    with pytest.raises(BadRequest, match="the event has no id"):
        batch_of({**published(), "id": id_})


@given(st.dictionaries(st.sampled_from(sorted(RECORDED)), ANYTHING, max_size=4))
@settings(max_examples=examples(150), deadline=None)
def test_any_event_is_read_or_refused(changes: dict[str, Any]) -> None:
    with suppress(BadRequest):
        for record in batch_of({**RECORDED, **changes}).records:
            if record.fault is None:
                with suppress(BadRequest):
                    assert isinstance(claimed(record, BY_DETAIL), str)
