"""CBOR as AWS's JSON protocols have it: botocore's parser reads what is written, and hostile input is refused."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from botocore.parsers import RpcV2CBORParser
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lattice_bridge.local.aws.cbor import BadCbor, Timestamp, read, written
from tests.support.examples import examples

SCALARS = st.one_of(
    st.booleans(),
    st.integers(-(2**64), 2**64 - 1),
    st.floats(allow_nan=False),
    st.text(st.characters(exclude_categories=["Cs"])),
    st.binary(),
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.one_of(st.lists(inner), st.dictionaries(st.text(max_size=3), inner)), max_leaves=20
)


def read_by_botocore(content: bytes) -> Any:
    parser = RpcV2CBORParser()
    return parser.parse_data_item(parser.get_peekable_stream_from_bytes(content))


@given(VALUES)
@example([None])
@example("a" * 24)
@example(b"a" * 256)
@example([0] * 65_536)
@settings(max_examples=examples(100), deadline=None)
def test_value_is_read_as_it_was_written_here_and_by_botocore(value: Any) -> None:
    """Without None in maps: botocore leaves such members out."""
    content = written(value)
    assert read(content) == value == read_by_botocore(content)


def test_time_is_a_tagged_number_of_milliseconds() -> None:
    """As the SDKs for Java write and read it."""
    content = b"\xc1\x1b" + (1_800_000_000_123).to_bytes(8, "big")
    assert written(Timestamp(1_800_000_000.123)) == content
    assert read(content) == Timestamp(1_800_000_000.123)


@pytest.mark.parametrize(
    ("content", "value"),
    [
        (b"\xbf\x61a\x9f\x01\x02\xff\x61b\xa0\xff", {"a": [1, 2], "b": {}}),
        (b"\x7f\x61a\x62bc\xff", "abc"),
        (b"\x5f\x41a\xff", b"a"),
        (b"\xf9\x3e\x00", 1.5),
        (b"\xfa" + struct.pack(">f", 0.5), 0.5),
        (b"\xf7", None),
    ],
)
def test_forms_without_a_length_and_short_floats_are_read(content: bytes, value: object) -> None:
    """Jackson, and so the SDKs for Java, writes maps and lists that only a break ends."""
    assert read(content) == value


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"\xff", b"\x00\x00", b"\x1c", b"\x1f", b"\x3f", b"\xdf", b"\x61", b"\x41", b"\x81", b"\xa1\x61a"),
        *(b"\x5b" + b"\xff" * 8, b"\x9b" + b"\xff" * 8, b"\xbb" + b"\xff" * 8),  # lengths that are not there
        *(
            b"\x9f",
            b"\xbf",
            b"\x7f",
            b"\x7f\x41a\xff",
            b"\x7f\x7f\xff\xff",
            b"\x81\xff",
            b"\xa1\xff\xff",
            b"\xbf\x61a\xff",
        ),
        *(
            b"\x61\xff",
            b"\xa1\x00\x00",
            b"\xa1\x40\x00",
            b"\xc1\x61a",
            b"\xc1\xf5",
            b"\xc0\x61a",
            b"\xc2\x41a",
            b"\xc1\xff",
        ),
        *(b"\xe0", b"\xf8\x20", b"\xfc", b"\x81" * 100_000 + b"\x00", b"\xc1" * 100_000 + b"\x00", b"\xa1\x61a" * 5000),
        b"\x9f" + b"\xa0" * 200_000 + b"\xff",  # 16 MB of them would take 1 GB
    ],
    ids=lambda content: content[:12].hex(),
)
def test_other_input_is_refused(content: bytes) -> None:
    with pytest.raises(BadCbor):
        read(content)


@given(st.binary(max_size=60))
@settings(max_examples=examples(200), deadline=None)
def test_any_bytes_are_read_or_refused(content: bytes) -> None:
    try:
        value = read(content)
    except BadCbor:
        return
    assert read(written(value)) == value or value != value or "nan" in repr(value)
