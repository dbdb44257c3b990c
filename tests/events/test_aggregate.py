"""Aggregates of the Kinesis Producer Library: what is read, and what is refused."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lattice_bridge.errors import BadRequest
from lattice_bridge.events.aggregate import MAGIC, MOST_PARTS, Part, is_aggregate, parts_of
from lattice_bridge.testing.aggregates import aggregate, field, integer, sealed, varint
from tests.support.examples import examples

ONE = field(3, integer(1, 0) + field(3, b"data"))
KEY = field(1, b"key")


def test_records_are_read_with_their_keys_in_order() -> None:
    data = aggregate([("a", b"1"), ("b", b""), ("a", b"3" * 300)])
    assert is_aggregate(data)
    assert parts_of(data) == [Part("a", None, b"1"), Part("b", None, b""), Part("a", None, b"3" * 300)]


def test_explicit_hash_key_is_read() -> None:
    assert parts_of(aggregate([("a", b"1")], hash_keys=["340282366920938463463374607431768211455"])) == [
        Part("a", "340282366920938463463374607431768211455", b"1")
    ]


@pytest.mark.parametrize("data", [b"", MAGIC, MAGIC + b"\0" * 15, MAGIC + b"\0" * 16, b"x" + sealed(KEY + ONE)])
def test_data_without_magic_number_and_md5_is_no_aggregate(data: bytes) -> None:
    assert not is_aggregate(data)


@pytest.mark.parametrize(
    "message",
    [
        pytest.param(b"", id="no record"),
        pytest.param(KEY, id="keys only"),
        pytest.param(ONE, id="a key that is not in the table"),
        pytest.param(KEY + field(3, field(3, b"data")), id="no partition key"),
        pytest.param(KEY + field(3, integer(1, 0)), id="no data"),
        pytest.param(KEY + field(3, integer(1, 0) * 2 + field(3, b"")), id="two partition keys"),
        pytest.param(KEY + field(3, integer(1, 0) + field(3, b"a") + field(3, b"b")), id="two values"),
        pytest.param(KEY + field(3, integer(1, 0) + integer(3, 1)), id="data of another type"),
        pytest.param(KEY + field(3, field(1, b"a") + field(3, b"")), id="key of another type"),
        pytest.param(KEY + field(3, integer(1, 0) + integer(2, 0) + field(3, b"")), id="hash key that is not there"),
        pytest.param(KEY + ONE + field(4, b"more"), id="unknown field"),
        pytest.param(KEY + ONE + integer(1, 1), id="number for a key"),
        pytest.param(KEY + field(3, integer(1, 0) + field(3, b"") + field(5, b"")), id="unknown field of a record"),
        pytest.param(field(1, b"") + ONE, id="empty key"),
        pytest.param(field(1, b"k" * 257) + ONE, id="key that is too long"),
        pytest.param(field(1, b"\xff") + ONE, id="key that is no UTF-8"),
        pytest.param(
            KEY + field(2, b"1" * 40) + field(3, integer(1, 0) + integer(2, 0) + field(3, b"")), id="hash key too long"
        ),
        pytest.param(KEY + ONE[:-1], id="cut off"),
        pytest.param(KEY + varint(3 << 3 | 2) + varint(1 << 40), id="length beyond the message"),
        pytest.param(KEY + b"\xff" * 11, id="endless integer"),
        pytest.param(KEY + varint(3 << 3 | 1) + b"\0" * 8, id="fixed 64 bits"),
        pytest.param(KEY + ONE * (MOST_PARTS + 1), id="too many records"),
    ],
)
def test_aggregate_that_another_reader_could_read_differently_is_refused(message: bytes) -> None:
    """Trap E18."""
    with pytest.raises(BadRequest, match="aggregate_unreadable"):
        parts_of(sealed(message))


@given(st.lists(st.tuples(st.text(min_size=1, max_size=20), st.binary(max_size=50)), min_size=1, max_size=20))
@settings(max_examples=examples(100), deadline=None)
def test_what_was_aggregated_is_what_is_read(records: list[tuple[str, bytes]]) -> None:
    data = aggregate(records)
    assert is_aggregate(data)
    assert [(part.partition_key, part.data) for part in parts_of(data)] == records


@given(st.binary(max_size=60))
@settings(max_examples=examples(300), deadline=None)
def test_any_message_is_read_or_refused(message: bytes) -> None:
    with suppress(BadRequest):
        assert all(part.partition_key for part in parts_of(sealed(message)))
