"""Event patterns: what matches, and what AWS refuses."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from moto.events.models import EventPattern

from lattice_bridge.local.plan.event_pattern import BadPattern, check_pattern, matches

EVENT = {"kind": "order", "price": 12.5, "paid": True, "note": None, "to": {"city": "Bern"}, "tags": ["a", "b"]}

CASES = [
    ({"kind": ["order"]}, True),
    ({"kind": ["invoice", "order"]}, True),
    ({"kind": ["Order"]}, False),
    ({"kind": ["order"], "paid": [False]}, False),
    ({"price": [12.5]}, True),
    ({"price": ["12.5"]}, False),
    ({"paid": [True]}, True),
    ({"paid": [1]}, False),
    ({"note": [None]}, True),
    ({"absent": [None]}, False),
    ({"to": {"city": ["Bern"]}}, True),
    ({"to": {"street": [{"exists": False}]}}, True),
    ({"from": {"city": [{"exists": False}]}}, True),
    ({"from": {"city": ["Bern"]}}, False),
    ({"tags": ["b"]}, True),
    ({"tags": ["c"]}, False),
    ({"kind": [{"prefix": "ord"}]}, True),
    ({"kind": [{"prefix": "Ord"}]}, False),
    ({"kind": [{"prefix": {"equals-ignore-case": "Ord"}}]}, True),
    ({"price": [{"prefix": "12"}]}, False),
    ({"kind": [{"suffix": "der"}]}, True),
    ({"kind": [{"suffix": {"equals-ignore-case": "DER"}}]}, True),
    ({"kind": [{"equals-ignore-case": "ORDER"}]}, True),
    ({"kind": [{"wildcard": "o*r"}]}, True),
    ({"kind": [{"wildcard": "o*d"}]}, False),
    ({"kind": [{"wildcard": "o\\*r"}]}, False),
    ({"kind": [{"anything-but": "order"}]}, False),
    ({"kind": [{"anything-but": ["a", "b"]}]}, True),
    ({"kind": [{"anything-but": {"prefix": "inv"}}]}, True),
    ({"kind": [{"anything-but": {"suffix": ["x", "der"]}}]}, False),
    ({"absent": [{"anything-but": "order"}]}, False),
    ({"price": [{"numeric": [">", 12, "<=", 12.5]}]}, True),
    ({"price": [{"numeric": ["<", 12]}]}, False),
    ({"paid": [{"numeric": ["=", 1]}]}, False),
    ({"kind": [{"exists": True}]}, True),
    ({"kind": [{"exists": False}]}, False),
    ({"to": [{"exists": True}]}, False),
    ({"$or": [{"kind": ["invoice"]}, {"price": [{"numeric": [">", 1]}]}]}, True),
    ({"$or": [{"kind": ["invoice"]}, {"price": [1]}], "paid": [True]}, False),
    ({"kind": ["order"], "to": {"$or": [{"city": ["Basel"]}, {"city": ["Bern"]}]}}, True),
]


@pytest.mark.parametrize(("pattern", "expected"), CASES, ids=lambda value: json.dumps(value)[:60])
def test_pattern_matches_an_event(pattern: dict[str, Any], expected: bool) -> None:
    assert matches(check_pattern(pattern), EVENT) is expected


def test_one_object_of_an_array_matches_the_whole_pattern() -> None:
    pattern = check_pattern({"items": {"sku": ["a"], "size": ["xl"]}})
    assert matches(pattern, {"items": [{"sku": "b"}, {"sku": "a", "size": "xl"}]})
    assert not matches(pattern, {"items": [{"sku": "a"}, {"size": "xl"}]})


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ([], "not an object"),
        ({}, "not an object"),
        ({"body": {}}, r"the pattern\.body: not an object"),
        ({"body": "order"}, "not a list of accepted values"),
        ({"body": []}, "not a list of accepted values"),
        ({"body": [["order"]]}, "a list in a list"),
        ({"body": [{"prefix": "a", "suffix": "b"}]}, "one operator, and this one has 2"),
        (
            {"body": [{"starts": "a"}]},
            "'starts' is unknown. Fix: write one of anything-but, equals-ignore-case, exists",
        ),
        ({"body": [{"prefix": 1}]}, "prefix does not accept"),
        ({"body": [{"exists": "true"}]}, "exists does not accept"),
        ({"body": [{"numeric": [">", "1"]}]}, "numeric does not accept"),
        ({"body": [{"numeric": [">"]}]}, "numeric does not accept"),
        ({"body": [{"numeric": ["!", 1]}]}, "numeric does not accept"),
        ({"body": [{"anything-but": {"exists": True}}]}, "anything-but does not accept"),
        ({"body": [{"anything-but": []}]}, "anything-but does not accept"),
        ({"$or": [{"a": ["x"]}, {"b": "y"}]}, r"\$or\[1\]\.b: not a list"),
    ],
)
def test_pattern_that_aws_refuses_is_refused_with_its_place(pattern: object, words: str) -> None:
    with pytest.raises(BadPattern, match=words):
        check_pattern(pattern)


def test_pattern_that_is_too_deep_is_refused() -> None:
    pattern: dict[str, Any] = {"a": ["x"]}
    for _ in range(100):
        pattern = {"a": pattern}
    with pytest.raises(BadPattern, match="levels"):
        check_pattern(pattern)


LEAVES = st.sampled_from(["", "a", "ab", "b", 1, 2])
CONDITIONS = st.one_of(
    LEAVES,
    st.builds(lambda text: {"prefix": text}, st.sampled_from(["a", "b"])),
    st.builds(lambda text: {"suffix": text}, st.sampled_from(["a", "b"])),
    st.builds(lambda text: {"anything-but": text}, st.sampled_from(["a", "b", 1])),
    st.builds(lambda flag: {"exists": flag}, st.booleans()),
    st.builds(lambda sign, bound: {"numeric": [sign, bound]}, st.sampled_from(["<", ">=", "="]), st.integers(0, 3)),
)
FIELDS = st.dictionaries(st.sampled_from("xyz"), st.lists(CONDITIONS, min_size=1, max_size=2), min_size=1)


@given(FIELDS, st.dictionaries(st.sampled_from("xyz"), LEAVES))
def test_flat_pattern_matches_as_in_moto(pattern: dict[str, Any], event: Any) -> None:
    """moto evaluates patterns of EventBridge with code of its own."""
    assert matches(check_pattern(pattern), event) is EventPattern.load(json.dumps(pattern)).matches_event(event)
