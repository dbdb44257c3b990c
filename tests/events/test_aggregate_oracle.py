"""Aggregates as AWS's own library for Python reads and writes them: where ours reads one, theirs reads the same."""

from __future__ import annotations

import base64
import sys
from typing import Any, Final

from hypothesis import given, settings
from hypothesis import strategies as st

from lattice_bridge.events.kinesis import deaggregated, records_of
from lattice_bridge.testing.aggregates import aggregate, field, integer, sealed, varint
from tests.support.examples import examples
from tests.support.stream_records import put

_PATH: Final = list(sys.path)
from aws_kinesis_agg.aggregator import RecordAggregator  # noqa: E402 - between the lines that keep sys.path
from aws_kinesis_agg.deaggregator import deaggregate_records  # noqa: E402 - as above

sys.path[:] = _PATH  # the library adds its own folder, whose modules have common names

PAIRS: Final = st.lists(
    st.tuples(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20), st.binary(max_size=50)),
    min_size=1,
    max_size=8,
)


def read(content: dict[str, Any]) -> list[dict[str, Any]] | None:
    """The records that ours finds; None if it refuses the aggregate, or takes the data for a plain record."""
    [whole] = records_of([content])
    parts = deaggregated(whole)
    if parts[0].part is None or any(part.fault for part in parts):
        return None
    return [dict(part.content) for part in parts]


def assert_same(content: dict[str, Any]) -> bool:
    """Compares the two, and returns whether ours reads the aggregate.

    Theirs gives a record without an explicit hash key the first one of the table, and ours gives it none.
    """
    ours = read(content)
    if ours is None:
        return False
    theirs = deaggregate_records([content])
    assert len(theirs) == len(ours)
    for one, other in zip(ours, theirs, strict=True):
        mine, their = one["kinesis"], {**other["kinesis"], "data": other["kinesis"]["data"].decode()}
        hash_key = mine.pop("explicitHashKey", None)
        assert hash_key in (None, their.pop("explicitHashKey"))
        assert mine == their
        assert {**one, "kinesis": 0} == {**other, "kinesis": 0}
    return True


@given(PAIRS, st.lists(st.integers(0, 2**128 - 1).map(str), max_size=1))
@settings(max_examples=examples(30), deadline=None)
def test_aggregate_of_the_kit_is_read_alike(pairs: list[tuple[str, bytes]], hash_keys: list[str]) -> None:
    """Trap E18."""
    assert assert_same(put(1, "x", aggregate(pairs, hash_keys)))


@given(PAIRS)
@settings(max_examples=examples(20), deadline=None)
def test_aggregate_of_aws_is_read_alike(pairs: list[tuple[str, bytes]]) -> None:
    """Trap E18: theirs adds an explicit hash key to each record."""
    written = RecordAggregator()
    for key, data in pairs:
        written.add_user_record(key, data)
    _, _, data = written.clear_and_get().get_contents()
    content = put(1, "x", data)
    assert assert_same(content)
    found = read(content)
    assert found is not None
    assert [(one["kinesis"]["partitionKey"], base64.b64decode(one["kinesis"]["data"])) for one in found] == pairs


SMALL: Final = st.sampled_from([0, 1, 2, 3, 4, 5, 7, 0x80, 2**31, 2**63])
RECORD: Final = st.lists(
    st.one_of(
        st.builds(integer, st.sampled_from([1, 2, 1, 2, 5]), SMALL),
        st.builds(field, st.sampled_from([3, 3, 3, 4, 1, 6]), st.binary(max_size=4)),
    ),
    max_size=4,
).map(b"".join)
MESSAGE: Final = st.lists(
    st.one_of(
        st.builds(field, st.just(1), st.sampled_from([b"blue", b"green", "é".encode(), b"\xff", b""])),
        st.builds(field, st.just(2), st.sampled_from([b"7", b"", b"340282366920938463463374607431768211455"])),
        st.builds(field, st.just(3), st.builds(lambda key, data: integer(1, key) + field(3, data), SMALL, st.binary())),
        st.builds(field, st.just(3), RECORD),
        st.builds(field, st.sampled_from([4, 9]), st.binary(max_size=4)),
        st.builds(lambda tag, rest: varint(tag) + rest, SMALL, st.binary(max_size=9)),
    ),
    max_size=6,
).map(b"".join)


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A true aggregate's message with a few bytes replaced, inserted or removed."""
    message = bytearray(aggregate(draw(PAIRS), draw(st.sampled_from([(), ("7",)])))[4:-16])
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.integers(0, len(message)))
        message[place : place + draw(st.integers(0, 2))] = draw(st.binary(max_size=2))
    return bytes(message)


@given(MESSAGE | mutated())
@settings(max_examples=examples(100), deadline=None)
def test_message_that_ours_reads_is_read_alike_by_aws(message: bytes) -> None:
    """Trap E18: what one reader takes for blue, and another for green, is refused. Ours refuses more."""
    assert_same(put(1, "x", sealed(message)))
