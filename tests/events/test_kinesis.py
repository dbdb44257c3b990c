"""Events of Kinesis: the recorded event of the Lambda guide, what a claim reads, and what cannot be used."""

from __future__ import annotations

import base64
import json
from contextlib import suppress
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lattice_bridge.errors import BadRequest
from lattice_bridge.events.batch import batch_of, claimed, payload
from lattice_bridge.events.kinesis import deaggregated, records_of
from lattice_bridge.events.record import Claim
from lattice_bridge.testing.aggregates import aggregate
from tests.support.examples import examples
from tests.support.stream_records import BY_DATA, BY_KEY, STREAM, number_of, put

RECORDED: Final[dict[str, Any]] = {
    "kinesis": {
        "kinesisSchemaVersion": "1.0",
        "partitionKey": "1",
        "sequenceNumber": "49590338271490256608559692538361571095921575989136588898",
        "data": "SGVsbG8sIHRoaXMgaXMgYSB0ZXN0Lg==",
        "approximateArrivalTimestamp": 1545084650.987,
    },
    "eventSource": "aws:kinesis",
    "eventVersion": "1.0",
    "eventID": "shardId-000000000006:49590338271490256608559692538361571095921575989136588898",
    "eventName": "aws:kinesis:record",
    "invokeIdentityArn": "arn:aws:iam::111122223333:role/lambda-role",
    "awsRegion": "us-east-2",
    "eventSourceARN": "arn:aws:kinesis:us-east-2:111122223333:stream/lambda-stream",
}
"""Of the Lambda guide, "Process Amazon Kinesis Data Streams records with Lambda"."""


def test_recorded_event_is_read() -> None:
    [record] = batch_of({"Records": [RECORDED]}).records
    assert (record.id, record.source, record.group, record.fault) == (
        RECORDED["kinesis"]["sequenceNumber"],
        RECORDED["eventSourceARN"],
        "1",
        None,
    )
    assert json.loads(payload(record)) == {"Records": [RECORDED]}
    assert (record.sender, record.trace, record.receive_count, record.name) == (None, None, None, record.id)


def test_data_is_decoded_once() -> None:
    """Base64 of 6 MB takes milliseconds. The claim and the records of an aggregate use what was decoded."""
    reads: list[object] = []

    class Fields(dict[str, Any]):
        def get(self, key: str, default: Any = None) -> Any:
            reads.append(key)
            return super().get(key, default)

    content = put(1, data=b'{"tenant": "green"}')
    content["kinesis"] = Fields(content["kinesis"])
    [record] = records_of([content])
    assert (claimed(record, BY_DATA), record.data) == ("green", b'{"tenant": "green"}')
    assert reads.count("data") == 1
    [whole] = records_of([put(2, data=aggregate([("a", b"1"), ("b", b"22")]))])
    assert [part.data for part in deaggregated(whole)] == [b"1", b"22"]


def test_event_of_a_consumer_is_of_its_stream() -> None:
    """Enhanced fan-out: the ARN in the event is the consumer's."""
    [record] = records_of([put(1, arn=f"{STREAM}/consumer/reader:1764493200")])
    assert record.source == STREAM


def test_record_of_a_pipe_is_flat() -> None:
    content = put(1, "blue", b'{"tenant": "green"}')
    flat = {**content.pop("kinesis"), **content}
    [record] = batch_of([flat]).records
    assert (record.id, record.group, record.caller) == (number_of(1), "blue", "pipe")
    assert [claimed(record, claim) for claim in (BY_KEY, BY_DATA)] == ["blue", "green"]
    assert json.loads(payload(record)) == [flat]


@pytest.mark.parametrize("number", [None, "", "x", "-1", "+1", "１", "9" * 129, 7])
def test_record_without_a_sequence_number_cannot_be_reported(number: object) -> None:
    """Trap E12."""
    content = put(1)
    content["kinesis"]["sequenceNumber"] = number
    with pytest.raises(BadRequest, match="record 2 of the event has no sequence number"):
        records_of([put(0), content])


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("data", value) for value in (None, 7, "e30", "e30=\n", "e3_=", "é", "e30==", "=e30", "e3==0")),
        *(("partitionKey", value) for value in (None, "", 7)),
    ],
)
def test_record_with_a_field_that_kinesis_does_not_write_has_a_fault(field: str, value: object) -> None:
    """Trap E6."""
    content = put(1)
    content["kinesis"][field] = value
    [record] = records_of([content])
    assert record.fault is not None
    assert record.fault.reason == "malformed_event"
    assert field in record.fault.detail


@pytest.mark.parametrize(
    ("changes", "id_"),
    [({"eventSource": "aws:sqs"}, number_of(1)), ({"eventSourceARN": None}, number_of(1)), ({}, number_of(1))],
)
def test_record_of_another_service_among_those_of_a_stream_has_a_fault(changes: dict[str, Any], id_: str) -> None:
    """Trap E5."""
    [record] = records_of([{**put(1), **changes}])
    assert record.id == id_
    assert (record.fault is None) == (not changes)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"{}", "claim_missing"),
        (b'"blue"', "claim_missing"),
        (b"", "claim_unreadable"),
        (b'{"tenant": null}', "claim_missing"),
        (b'{"tenant": ["blue"]}', "claim_unreadable"),
        (b'{"tenant": "blue", "tenant": "blue"}', "claim_unreadable"),
        (b'{"tenant": "blue", "TENANT": "green"}', "claim_unreadable"),
        ('{"tenant": "blue"}'.encode("utf-16"), "claim_unreadable"),
        (b'\xef\xbb\xbf{"tenant": "blue"}', "claim_unreadable"),
        (b'{"tenant": NaN}', "claim_unreadable"),
        (b"[" * 200_000, "claim_unreadable"),
    ],
)
def test_data_that_two_readers_could_read_differently_names_no_tenant(data: bytes, reason: str) -> None:
    """Traps E2, E6."""
    [record] = records_of([put(1, "x", data)])
    with pytest.raises(BadRequest, match=reason):
        claimed(record, BY_DATA)


def test_data_that_only_begins_like_an_aggregate_is_a_record() -> None:
    """AWS's own readers look at the MD5 as well."""
    data = aggregate([("a", b"1")])[:-1] + b"\0"
    [record] = records_of([put(1, "x", data)])
    assert record.fault is None
    assert deaggregated(record) == [record]


def test_records_of_an_aggregate_have_its_id_and_a_name_of_their_own() -> None:
    [whole] = records_of([put(1, "x", aggregate([("a", b"1"), ("b", b"22"), ("a", b"")], hash_keys=["7"]))])
    parts = deaggregated(whole)
    assert [part.id for part in parts] == [number_of(1)] * 3
    assert [part.name for part in parts] == [f"{number_of(1)}:{place}" for place in range(3)]
    assert [part.group for part in parts] == ["a", "b", "a"]
    assert [part.content["kinesis"]["data"] for part in parts] == ["MQ==", "MjI=", ""]
    assert parts[0].content["kinesis"]["explicitHashKey"] == "7"
    assert parts[0].content["eventID"] == whole.content["eventID"]


@given(st.text(min_size=1, max_size=256), st.binary(max_size=200))
@settings(max_examples=examples(100), deadline=None)
def test_what_was_put_is_what_is_read(key: str, data: bytes) -> None:
    [record] = records_of([put(1, key, data)])
    assert record.fault is None
    assert claimed(record, BY_KEY) == record.group == key
    assert base64.b64decode(json.loads(payload(record))["Records"][0]["kinesis"]["data"]) == data


ANYTHING: Final = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@given(st.lists(st.dictionaries(st.sampled_from(sorted(RECORDED)), ANYTHING) | ANYTHING, max_size=3), st.booleans())
@settings(max_examples=examples(150), deadline=None)
def test_any_event_is_read_or_refused(contents: list[Any], keep: bool) -> None:
    changed = [{**RECORDED, **one} if keep and isinstance(one, dict) else one for one in contents]
    with suppress(BadRequest):
        for record in records_of(changed):
            for claim in (BY_KEY, BY_DATA, Claim("body")):
                if record.fault is None:
                    with suppress(BadRequest):
                        assert isinstance(claimed(record, claim), str)
