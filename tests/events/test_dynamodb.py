"""Events of DynamoDB Streams: the recorded event of the Lambda guide, and what cannot be used."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lattice_bridge.errors import BadRequest
from lattice_bridge.events.batch import batch_of, claimed, payload
from lattice_bridge.events.dynamodb import records_of
from lattice_bridge.events.record import Claim
from tests.events.test_kinesis import ANYTHING
from tests.support.examples import examples
from tests.support.stream_records import BY_IMAGE, BY_ITEM_KEY, TABLE, change, number_of

RECORDED: Final[dict[str, Any]] = {
    "eventID": "1",
    "eventVersion": "1.0",
    "dynamodb": {
        "Keys": {"Id": {"N": "101"}},
        "NewImage": {"Message": {"S": "New item!"}, "Id": {"N": "101"}},
        "StreamViewType": "NEW_AND_OLD_IMAGES",
        "SequenceNumber": "111",
        "SizeBytes": 26,
    },
    "awsRegion": "us-west-2",
    "eventName": "INSERT",
    "eventSourceARN": "arn:aws:dynamodb:us-west-2:111122223333:table/TestTable/stream/2015-05-11T21:21:33.291",
    "eventSource": "aws:dynamodb",
}
"""Of the Lambda guide, "Process DynamoDB records with Lambda"."""


def test_recorded_event_is_read() -> None:
    [record] = batch_of({"Records": [RECORDED]}).records
    assert (record.id, record.source, record.fault) == (
        "111",
        "arn:aws:dynamodb:us-west-2:111122223333:table/TestTable",
        None,
    )
    assert record.group == '{"Id":{"N":"101"}}'
    assert json.loads(payload(record)) == {"Records": [RECORDED]}
    assert claimed(record, Claim("image", "Message")) == "New item!"


def test_each_stream_of_a_table_is_of_the_table() -> None:
    [record] = records_of([change(1)])
    assert record.source == TABLE


@pytest.mark.parametrize(
    ("keys", "reason"),
    [
        ({"id": {"S": "1"}}, "claim_missing"),
        ({"tenant": {"N": "1"}}, "claim_unreadable"),
        ({"tenant": {"B": "Ymx1ZQ=="}}, "claim_unreadable"),
        ({"tenant": "blue"}, "claim_unreadable"),
        ({"tenant": {"S": 7}}, "claim_unreadable"),
        ({"tenant": {"S": None}}, "claim_missing"),
        ({"Tenant": {"S": "blue"}}, "claim_missing"),
    ],
)
def test_key_that_is_no_string_names_no_tenant(keys: dict[str, Any], reason: str) -> None:
    """Trap E2. Names of attributes are case-sensitive in DynamoDB, so there are no two spellings of one."""
    [record] = records_of([change(1, key=keys)])
    with pytest.raises(BadRequest, match=reason):
        claimed(record, BY_ITEM_KEY)


OTHERS: Final[dict[str, list[Any]]] = {
    "Keys": [None, {}, [], "x"],
    "NewImage": [None, [], "x"],
    "OldImage": [None, [], "x"],
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in OTHERS.items() for value in values])
def test_record_with_a_field_that_dynamodb_does_not_write_has_a_fault(name: str, value: object) -> None:
    """Trap E6."""
    content = change(1, new={"owner": {"S": "blue"}})
    content["dynamodb"][name] = value
    [record] = records_of([content])
    assert record.fault is not None
    assert record.fault.reason == "malformed_event"


@pytest.mark.parametrize(
    "changes", [{"eventName": "UPSERT"}, {"eventName": ["INSERT"]}, {"eventSource": "aws:sqs"}, {"eventSourceARN": 7}]
)
def test_record_of_another_kind_has_a_fault(changes: dict[str, Any]) -> None:
    """Trap E5."""
    [record] = records_of([{**change(1), **changes}])
    assert (record.id, record.fault is None) == (number_of(1), False)


@pytest.mark.parametrize("content", [None, "x", {}, {"dynamodb": None}, {"dynamodb": {"SequenceNumber": ""}}])
def test_record_without_a_sequence_number_cannot_be_reported(content: object) -> None:
    """Trap E12."""
    with pytest.raises(BadRequest, match="record 1 of the event has no sequence number"):
        records_of([content])


@given(st.lists(st.dictionaries(st.sampled_from(sorted(RECORDED)), ANYTHING) | ANYTHING, max_size=3), st.booleans())
@settings(max_examples=examples(150), deadline=None)
def test_any_event_is_read_or_refused(contents: list[Any], keep: bool) -> None:
    changed = [{**RECORDED, **one} if keep and isinstance(one, dict) else one for one in contents]
    with suppress(BadRequest):
        for record in records_of(changed):
            for claim in (BY_ITEM_KEY, BY_IMAGE):
                if record.fault is None:
                    with suppress(BadRequest):
                        assert isinstance(claimed(record, claim), str)
