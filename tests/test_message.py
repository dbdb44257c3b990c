"""The neutral values: what a request says, and which text may be a tenant id."""

from __future__ import annotations

import dataclasses
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lattice_bridge import Caller, Request
from lattice_bridge.errors import BadRequest
from lattice_bridge.http.query import parse_query
from lattice_bridge.message import is_tenant_id


def with_headers(*pairs: tuple[str, str]) -> Request:
    return Request(version=2, method="GET", path="/", headers=pairs)


@pytest.mark.parametrize(
    "text", ["a", "0", "blue", "Blue_1", "a.b:c/d=e+f@g-h", "b" * 256, "550e8400-e29b-41d4-a716-446655440000"]
)
def test_a_tenant_id(text: str) -> None:
    assert is_tenant_id(text)


@pytest.mark.parametrize(
    "value",
    [
        *["", " ", "-a", ".a", "_a", "/a", "a b", " a", "a ", "a\n", "a\r", "a\t", "a\x00", "a#", "a,b", "a;b", "a%20"],
        *['a"b', "a\\b", "a*", "é", "aé", "\u0661", "\u212a", "a\u200b", "b" * 257, None, 1, b"a", ["a"]],
    ],
)
def test_invalid_tenant_id_is_recognised(value: object) -> None:
    """Traps A10, A11, A12, A13."""
    assert not is_tenant_id(value)


def test_a_header_is_found_in_any_case() -> None:
    assert with_headers(("x-a", "1")).header("X-A") == "1"


def test_missing_header_is_none_and_empty_header_is_empty() -> None:
    assert (with_headers().header("x-a"), with_headers(("x-a", "")).header("x-a")) == (None, "")


@pytest.mark.parametrize("values", [("1", "2"), ("1", "1"), ("", "")])
def test_repeated_header_is_refused(values: tuple[str, str]) -> None:
    """Trap A3."""
    with pytest.raises(BadRequest) as error:
        with_headers(*[("x-a", value) for value in values]).header("x-a")
    assert (error.value.status, error.value.reason) == (400, "header_repeated")


def test_headers_of_a_request_do_not_change_with_what_they_came_from() -> None:
    """Trap D8: the names are found once, and their places are those of the values."""
    pairs: Any = [("x-tenant-id", "blue")]
    request = Request(version=2, method="GET", path="/", headers=pairs)
    pairs.insert(0, ("accept", "green"))
    assert (request.header("x-tenant-id"), request.headers) == ("blue", (("x-tenant-id", "blue"),))


def test_headers_of_a_request_may_come_from_an_iterator() -> None:
    pairs: Any = iter([("x-a", "1"), ("x-b", "2")])
    request = Request(version=2, method="GET", path="/", headers=pairs)
    assert (request.header("x-b"), len(request.headers)) == ("2", 2)


def test_a_comma_in_a_header_divides_nothing() -> None:
    """Trap A4."""
    assert with_headers(("x-a", "1,2")).header("x-a") == "1,2"


@pytest.mark.parametrize(
    ("raw", "pairs"),
    [
        ("", ()),
        ("a", (("a", ""),)),
        ("a=", (("a", ""),)),
        ("=a", (("", "a"),)),
        ("&&a=1&", (("a", "1"),)),
        ("a=b=c", (("a", "b=c"),)),
        ("a=1&a=2", (("a", "1"), ("a", "2"))),
        ("a;b=1", (("a;b", "1"),)),
        ("a+b=c+d", (("a+b", "c+d"),)),
        ("a%3Db=c%26d", (("a=b", "c&d"),)),
        ("%c3%a9=%C3%A9", (("é", "é"),)),
        ("a=%FF", (("a", "%FF"),)),
        ("a=%C3", (("a", "%C3"),)),
        ("a=%", (("a", "%"),)),
        ("a=%2", (("a", "%2"),)),
        ("a=%zz%20", (("a", "%zz "),)),
        ("a=%2541", (("a", "%41"),)),
        ("a=%00", (("a", "\x00"),)),
        ("é=☃%20", (("é", "☃ "),)),
    ],
)
def test_a_query_is_decoded_once_and_in_order(raw: str, pairs: tuple[tuple[str, str], ...]) -> None:
    assert parse_query(raw) == pairs


def test_the_last_value_of_a_query_parameter_wins() -> None:
    assert Request(version=2, method="GET", path="/", raw_query="a=1&b=2&a=3").query == {"a": "3", "b": "2"}


@settings(deadline=None)
@given(st.lists(st.tuples(st.text(max_size=8), st.text(max_size=8))))
def test_a_query_that_is_written_is_read_as_itself(pairs: list[tuple[str, str]]) -> None:
    raw = "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in pairs)
    assert parse_query(raw) == tuple(pairs)


def test_caller_is_unauthenticated_by_default() -> None:
    assert (Caller().authenticated, Caller().principal) == (False, None)


def test_values_between_the_steps_cannot_be_changed() -> None:
    """Trap D10."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        with_headers().path = "/other"  # type: ignore[misc]  # that it is frozen is what is tested


def test_a_request_does_not_show_its_event() -> None:
    """Trap D11: a repr ends up in a log sooner or later."""
    assert "secret" not in repr(Request(version=2, method="GET", path="/", event={"body": "secret"}))
