"""Event patterns: what matches, and what AWS refuses."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import hypothesis
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from moto.events.models import EventPattern

from lattice_bridge.local.plan.event_pattern import BadPattern, check_pattern, matches, parse_pattern

EVENT = {"kind": "order", "price": 12.5, "paid": True, "note": None, "to": {"city": "Bern"}, "tags": ["a", "b"]}
EVENT |= {"from_ip": "10.0.0.1", "star": "a*\\b", "a.b": "c", "none": [], "street": "Straße"}

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
    ({"$or": [{"to": {"city": ["Basel"]}}, {"kind": ["order"]}], "$or2": [{"exists": False}]}, True),
    ({"kind": [{"anything-but": {"equals-ignore-case": ["ORDER", "a"]}}]}, False),
    ({"kind": [{"anything-but": {"wildcard": ["*x", "o*r"]}}]}, False),
    ({"kind": [{"anything-but": 1}]}, True),
    ({"note": [{"anything-but": "order"}]}, True),
    ({"price": [{"anything-but": {"prefix": "1"}}]}, True),
    ({"tags": [{"anything-but": "a"}]}, True),
    ({"tags": [{"anything-but": ["a", "b"]}]}, False),
    ({"from_ip": [{"cidr": "10.0.0.7/24"}]}, True),
    ({"from_ip": [{"cidr": "10.0.1.0/24"}]}, False),
    ({"kind": [{"cidr": "0.0.0.0/0"}]}, False),
    ({"kind": [{"wildcard": "*"}]}, True),
    ({"kind": [{"wildcard": "or*der"}]}, True),
    ({"kind": [{"wildcard": "ord*der"}]}, False),
    ({"kind": [{"wildcard": ""}]}, False),
    ({"star": [{"wildcard": "a\\*\\\\b"}]}, True),
    ({"kind": [{"prefix": ""}]}, True),
    ({"price": [{"prefix": ""}]}, False),
    ({"to": {"city": ["Bern"], "$or": [{"zip": [3000]}, {"zip": [{"exists": False}]}]}}, True),
    ({"to.city": ["Bern"]}, True),
    ({"a.b": ["c"]}, True),
    ({"a": {"b": ["c"]}}, True),
    ({"none": [{"exists": True}]}, False),
    ({"none": [{"exists": False}]}, True),
    ({"street": [{"equals-ignore-case": "STRASSE"}]}, False),
]


@pytest.mark.parametrize(("pattern", "expected"), CASES, ids=lambda value: json.dumps(value)[:60])
def test_pattern_matches_an_event(pattern: dict[str, Any], expected: bool) -> None:
    assert matches(check_pattern(pattern), EVENT) is expected


def test_one_object_of_an_array_matches_the_whole_pattern() -> None:
    pattern = check_pattern({"items": {"sku": ["a"], "size": ["xl"]}})
    assert matches(pattern, {"items": [{"sku": "b"}, {"sku": "a", "size": "xl"}]})
    assert not matches(pattern, {"items": [{"sku": "a"}, {"size": "xl"}]})


@pytest.mark.parametrize(
    ("pattern", "event", "expected"),
    [
        ({"state": {"status": ["on"]}}, {"state.status": "on"}, True),
        ({"state.status": ["on"]}, {"state": {"status": "on"}}, True),
        ({"state": {"status": ["on"]}}, {"state.status": {"status": "on"}}, False),
        ({"state.status": {"status": ["on"]}}, {"state": {"status": "on"}}, False),
        ({"a": {"b": {"c": [1]}, "d": [2]}}, {"a.b": {"c": 1}, "a": {"d": 2}}, True),
    ],
)
def test_name_with_a_dot_is_a_path(pattern: Any, event: Any, expected: bool) -> None:
    """The first four were recorded on AWS."""
    assert matches(check_pattern(pattern), event) is expected


def test_or_beside_a_field_of_an_array_chooses_in_the_same_element() -> None:
    pattern = check_pattern({"items": {"sku": ["a"]}, "$or": [{"items": {"size": ["xl"]}}, {"items": {"size": ["s"]}}]})
    assert matches(pattern, {"items": [{"sku": "a", "size": "s"}]})
    assert not matches(pattern, {"items": [{"sku": "a", "size": "m"}, {"sku": "b", "size": "s"}]})


def test_conditions_of_a_field_in_or_replace_those_before_it() -> None:
    pattern = check_pattern({"a": [1], "$or": [{"a": [2]}, {"b": [3]}]})
    assert matches(pattern, {"a": 2})
    assert not matches(pattern, {"a": 1})
    assert matches(pattern, {"a": 1, "b": 3})


def test_field_is_absent_in_the_element_that_another_field_has_chosen_and_otherwise_in_all() -> None:
    event = {"items": [{"sku": "a"}, {"sku": "b", "zone": 1, "area": 1}]}
    assert matches(check_pattern({"items": {"sku": ["a"], "zone": [{"exists": False}]}}), event)
    assert not matches(check_pattern({"items": {"sku": ["b"], "zone": [{"exists": False}]}}), event)
    assert not matches(check_pattern({"items": {"area": [{"exists": False}], "sku": ["a"]}}), event)
    deep = check_pattern({"items": {"x": {"y": [{"exists": False}]}}})
    assert not matches(deep, {"items": [{"sku": "a"}, {"x": {"y": 1}}]})
    assert matches(deep, {"items": [{"sku": "a"}, {"x": {"z": 1}}]})


REFUSED = [
    ([], "the pattern: Filter is not an object. Fix: write"),
    ({}, "the pattern: Empty objects are not allowed"),
    ({"body": {}}, r"the pattern\.body: Empty objects"),
    ({"body": "order"}, r"""the pattern\.body: "body" must be an object or an array. Fix: write the value as a list"""),
    ({"body": []}, "Empty arrays are not allowed"),
    ({"body": [["order"]]}, "Match value must be String, number, true, false, or null"),
    ({"body": [{}]}, "Match expression name not found"),
    ({"body": [{"prefix": "a", "suffix": "b"}]}, "Only one key allowed in match expression"),
    ({"body": [{"starts": "a"}]}, "Unrecognized match type starts. Fix: write one of anything-but, cidr, equals-i"),
    ({"body": [{"prefix": 1}]}, "prefix match pattern must be a string"),
    ({"body": [{"prefix": {"suffix": "a"}}]}, "Unsupported prefix pattern: suffix"),
    ({"body": [{"suffix": {"equals-ignore-case": 1}}]}, "equals-ignore-case match pattern must be a string"),
    ({"body": [{"exists": "true"}]}, "exists match pattern must be either true or false. Fix"),
    ({"body": [{"numeric": 1}]}, "Value of numeric must be an array"),
    ({"body": [{"numeric": []}]}, "Invalid member in numeric match"),
    ({"body": [{"numeric": [">", "1"]}]}, "Value of > must be numeric"),
    ({"body": [{"numeric": [">"]}]}, "Value of > must be numeric"),
    ({"body": [{"numeric": ["=", True]}]}, "Value of equals must be numeric"),
    ({"body": [{"numeric": ["!", 1]}]}, "Unrecognized numeric range operator: !"),
    ({"body": [{"numeric": ["<", 1, ">", 0]}]}, "Too many elements in numeric expression"),
    ({"body": [{"numeric": [">", 0, ">", 0]}]}, "Bad numeric range operator: >"),
    ({"body": [{"numeric": [">", 0, "<", 1, "<", 2]}]}, "Too many terms"),
    ({"body": [{"numeric": [">", 1, "<", 1]}]}, "Bottom must be less than top"),
    ({"body": [{"anything-but": {"exists": True}}]}, "Unsupported anything-but pattern: exists"),
    ({"body": [{"anything-but": []}]}, "mixed type is not supported"),
    ({"body": [{"anything-but": ["a", 1]}]}, "mixed type is not supported"),
    ({"body": [{"anything-but": [None]}]}, r"start\|null\|boolean is not supported"),
    ({"body": [{"anything-but": None}]}, "Value of anything-but must be an array or single string/number value"),
    ({"body": [{"anything-but": {"prefix": ""}}]}, "Null prefix/suffix not allowed"),
    ({"body": [{"anything-but": {"suffix": [1]}}]}, "prefix/suffix match pattern must be a string"),
    ({"body": [{"anything-but": {"equals-ignore-case": 1}}]}, r"number\|start\|null\|boolean is not supported"),
    ({"body": [{"anything-but": {"wildcard": "a**b"}}]}, "Consecutive wildcard characters at pos 2"),
    ({"body": [{"wildcard": 1}]}, "wildcard match pattern must be a string"),
    ({"body": [{"wildcard": "a\\b"}]}, "Invalid escape character at pos 2"),
    ({"body": [{"wildcard": "*:*:*:*:*:bus/*"}]}, "Rule is too complex .* Fix: write up to 5 wildcards"),
    ({"body": [{"cidr": "10.0.0.0"}]}, "Malformed CIDR, one '/' required"),
    ({"body": [{"cidr": "10.0.0.0/x"}]}, "mask bits must be an integer"),
    ({"body": [{"cidr": "10.0.0.0/32"}]}, "IPv4 mask bits must be < 32"),
    ({"body": [{"cidr": "::/128"}]}, "IPv6 mask bits must be < 128"),
    ({"body": [{"cidr": "10.0.0/8"}]}, "Nonstandard IP address: 10.0.0"),
    ({"body": [{"cidr": ["10.0.0.0/8"]}]}, "prefix match pattern must be a string"),
    ({"$or": [{"a": ["x"]}, {"b": "y"}]}, r"the pattern\.\$or\[1\]\.b: \"b\" must be"),
]
"""The reasons are those that AWS was recorded with, or those of Event Ruler."""


@pytest.mark.parametrize(("pattern", "words"), REFUSED, ids=lambda value: str(value)[:60])
def test_pattern_that_aws_refuses_is_refused_with_its_place(pattern: object, words: str) -> None:
    with pytest.raises(BadPattern, match=words):
        check_pattern(pattern)


@pytest.mark.parametrize("text", ["", "{", "{'a': ['b']}", '{"a": [NaN]}', "[" * 100_000, '{"a":' * 5_000])
def test_text_that_is_no_json_is_refused(text: str) -> None:
    with pytest.raises(BadPattern, match=r"the pattern: (not JSON|more than)"):
        parse_pattern(text)


# ---- hostile patterns and events ------------------------------------------------------------------------------------


def test_pattern_that_is_too_deep_is_refused() -> None:
    pattern: dict[str, Any] = {"a": ["x"]}
    for _ in range(200):
        pattern = {"a": pattern}
    with pytest.raises(BadPattern, match="levels"):
        check_pattern(pattern)


def test_product_of_alternatives_is_refused() -> None:
    pattern = {f"{index}": {"$or": [{"a": [1]}, {"b": [1]}]} for index in range(40)}
    with pytest.raises(BadPattern, match="more than 1000 combinations"):
        check_pattern(pattern)


def test_repeated_wildcards_take_no_exponential_time() -> None:
    """With a backtracking matcher, one of these comparisons takes longer than the suite."""
    pattern = check_pattern({"a": [{"wildcard": "*a*a*a*a*b"}] * 200})
    assert not matches(pattern, {"a": ["a" * 20_000] * 3})


def test_arrays_of_several_fields_are_not_multiplied() -> None:
    pattern = check_pattern({name: {"x": [1]} for name in "abcdefgh"})
    event = {name: [{"x": 1 if name != "h" else 2}] * 300 for name in "abcdefgh"}
    assert not matches(pattern, event)


def test_event_that_is_nested_deeper_than_the_stack_is_read() -> None:
    event: Any = "x"
    for _ in range(100_000):
        event = [event]
    assert matches(check_pattern({"a": ["x"]}), {"a": event})


# ---- moto -----------------------------------------------------------------------------------------------------------

PAIRS: Final = 300
"""Pairs in a run of the suite. LATTICE_BRIDGE_PATTERN_PAIRS has another number; 10,000 need --timeout=0."""
NAMES = st.sampled_from(["a", "b"])
TEXTS = st.sampled_from(["", "a", "ab", "B", "aB*", "10.0.0.1", "10.0.1.9", "x\ny"])
NUMBERS = st.sampled_from([-1, 0, 1, 2, 1.0, 1.5, 3e2])
LEAVES = st.one_of(TEXTS, NUMBERS, st.sampled_from([True, False, None]))


def one_or_list(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return values | st.lists(values, min_size=1, max_size=2)


def operator(name: str, operand: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return operand.map(lambda value: {name: value})


AFFIXES = st.sampled_from(["a", "ab", "B", "*", "x"])
CASES_OF_TEXT = operator("equals-ignore-case", TEXTS)
GLOBS = st.sampled_from(["*", "a*", "*b", "a*b", "*a*", "x*y", "aB\\*"])
RANGES = st.one_of(
    st.builds(lambda sign, bound: [sign, bound], st.sampled_from(["=", "<", "<=", ">", ">="]), NUMBERS),
    st.builds(lambda low, high: [">=", low, "<", high], st.sampled_from([-1, 0]), st.sampled_from([1, 300])),
)
CONDITIONS = st.one_of(
    LEAVES,
    operator("prefix", TEXTS | CASES_OF_TEXT),
    operator("suffix", TEXTS | CASES_OF_TEXT),
    CASES_OF_TEXT,
    operator("wildcard", GLOBS),
    operator("cidr", st.sampled_from(["10.0.0.0/24", "10.0.0.9/16"])),
    operator("numeric", RANGES),
    operator("exists", st.booleans()),
    operator("anything-but", one_or_list(TEXTS) | one_or_list(NUMBERS)),
    operator("anything-but", operator("prefix", one_or_list(AFFIXES)) | operator("suffix", one_or_list(AFFIXES))),
    operator("anything-but", operator("equals-ignore-case", one_or_list(TEXTS))),
    operator("anything-but", operator("wildcard", one_or_list(GLOBS))),
)


def objects(leaves: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    deep = st.dictionaries(NAMES, leaves, max_size=2)
    return st.dictionaries(NAMES, leaves | deep, min_size=1, max_size=2)


FIELDS = st.dictionaries(NAMES, st.lists(CONDITIONS, min_size=1, max_size=3), min_size=1, max_size=2)
OBJECTS = st.dictionaries(NAMES, st.lists(CONDITIONS, min_size=1, max_size=3) | FIELDS, min_size=1, max_size=2)
PATTERNS = OBJECTS | st.builds(
    lambda fields, alternatives: {**fields, "$or": alternatives},
    OBJECTS | st.just({}),
    st.lists(OBJECTS, min_size=2, max_size=3),
)
ELEMENTS = LEAVES | st.dictionaries(NAMES, LEAVES, max_size=2)
EVENTS = objects(LEAVES | st.lists(ELEMENTS, max_size=3))


def _parts_of(value: Any) -> Iterator[Any]:
    yield value
    for part in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _parts_of(part)


def _has_operator(pattern: Any, *names: str) -> bool:
    return any(isinstance(part, dict) and any(name in part for name in names) for part in _parts_of(pattern))


def _has(value: Any, wanted: Callable[[Any], bool]) -> bool:
    return any(wanted(part) for part in _parts_of(value))


def _paths(pattern: Any, path: str = "") -> Iterator[str]:
    for name, below in pattern.items():
        if isinstance(below, dict):
            yield from _paths(below, f"{path}.{name}")
        elif name != "$or":
            yield f"{path}.{name}"


def _repeats_a_field(pattern: Any) -> bool:
    inside = {path for alternative in pattern["$or"] for path in _paths(alternative)}
    return bool(inside & set(_paths(pattern)))


DIFFERENCES: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "moto compares with Python's ==, to which true is 1 and false is 0; AWS compares types": lambda pattern, event: (
        _has([pattern, event], lambda one: isinstance(one, bool))
    ),
    "moto does not look into objects of an array; AWS was recorded to find their fields": lambda _, event: _has(
        event, lambda one: isinstance(one, list) and any(isinstance(each, dict) for each in one)
    ),
    "an empty array or object exists in moto; AWS was recorded to find no value": lambda _, event: _has(
        event, lambda one: one in ([], {})
    ),
    "moto refuses host bits in a cidr, silently; Event Ruler ignores them": lambda pattern, _: _has_operator(
        pattern, "cidr"
    ),
    "moto requires the conditions of a field in $or and those beside it; in Event Ruler the later ones replace the "
    "others": lambda pattern, _: "$or" in pattern and _repeats_a_field(pattern),
    "moto's wildcard does not match a line break": lambda pattern, event: (
        _has_operator(pattern, "wildcard") and "\\n" in json.dumps(event)
    ),
}
"""Why a pair may have another result than in moto → whether this can be so for a pattern and an event."""


@settings(max_examples=int(os.environ.get("LATTICE_BRIDGE_PATTERN_PAIRS", PAIRS)), deadline=None)
@given(PATTERNS, EVENTS)
def test_pattern_matches_as_in_moto_or_the_difference_is_explained(pattern: Any, event: Any) -> None:
    ours = matches(check_pattern(pattern), event)
    theirs = EventPattern.load(json.dumps(pattern)).matches_event(event)
    hypothesis.event(f"{'same' if ours is theirs else 'other'} result, {'match' if ours else 'no match'}")
    if ours is not theirs:
        assert [reason for reason, applies in DIFFERENCES.items() if applies(pattern, event)], (ours, theirs)
