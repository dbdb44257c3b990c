"""Positions in TOML, compared with tomllib's reading of the same text."""

from __future__ import annotations

import tomllib
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lattice_bridge.config.positions import entries_of, first_below, located
from lattice_bridge.errors import Fault
from tests.config.test_any_configuration import WHOLE, to_toml
from tests.support.examples import examples

TEXT: Final = '''# a comment with [[rule]] and = "x"
a.b = 1 # another
"q\\"k" = """one
two = "" three"""""
empty = []
[t.u]
list = [ 1, "a]", { k = [ 2 ], z.w = 'x' }, # ]
  1979-05-27 07:32:00, ]
[[rule]]
id = "é漢😀"
sso = { account = "1", 'permission set' = 2 }
[rule.sub]
x = 0x1F
[[rule]]
id = "y"
[[rule.test]]
e = 1e3
'''


def paths_in(value: Any, path: tuple[str | int, ...] = ()) -> dict[tuple[str | int, ...], Any]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    found = {path: value} if path else {}
    for key, inner in items:
        found |= paths_in(inner, (*path, key))
    return found


@pytest.mark.parametrize("text", [TEXT, TEXT.replace("\n", "\r\n"), WHOLE], ids=["every form", "CRLF", "a map"])
def test_every_path_of_tomllib_has_the_place_of_its_value(text: str) -> None:
    tables = paths_in(tomllib.loads(text))
    entries = entries_of(text)
    assert set(entries) == set(tables)
    for path, entry in entries.items():
        if isinstance(path[-1], str):
            assert text[entry.key :].lstrip("\"'").startswith(path[-1][:1]), path
        if not isinstance(tables[path], dict | list):
            end = text.find("\n", entry.value) if '"""' not in text[entry.value : entry.value + 3] else None
            rest = text[entry.value : end]
            ends = (at for at in range(1, len(rest) + 1) if _parsed(rest[:at]) == [tables[path]])
            assert next(ends, None) is not None, path


def _parsed(value: str) -> list[Any]:
    try:
        return [tomllib.loads(f"v = {value}")["v"]]
    except ValueError:
        return []


keys = st.text(st.characters(codec="utf-8", exclude_categories=["C"]), max_size=4)
values = st.recursive(
    st.text(max_size=5) | st.integers(-9, 9) | st.booleans() | st.dates(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=examples(80), deadline=None)
@given(st.dictionaries(keys, values, max_size=4))
def test_any_value_has_the_paths_of_tomllib(tables: dict[str, Any]) -> None:
    text = "".join(f"{to_toml({key: value})[1:-1]}\n" for key, value in tables.items())
    assert set(entries_of(text)) == set(paths_in(tomllib.loads(text)))


@settings(max_examples=examples(80), deadline=None)
@given(st.text("[]{}=,.\"'#\n\\ ab1", max_size=40))
def test_text_that_is_not_toml_ends_the_walk(text: str) -> None:
    for entry in entries_of(text).values():
        assert 0 <= entry.key <= len(text)


@pytest.mark.parametrize(
    ("fault", "place"),
    [
        (Fault("", ("rule", 0, "id")), (10, 6)),
        (Fault("", ("rule", 0, "id"), at_key=True), (10, 1)),
        (Fault("", ("rule", 0, "sso", "account")), (11, 19)),
        (Fault("", ("rule", 0, "no such key")), (9, 1)),
        (Fault("", ("t", "u", "list", 1)), (7, 13)),
        (Fault("", ("t",), at_key=True), (6, 2)),
        (Fault("", ()), (1, 1)),
        (Fault("", line=3, column=4), (3, 4)),
        (Fault("", None), (None, None)),
    ],
)
def test_fault_has_its_line_and_column(fault: Fault, place: tuple[int | None, int | None]) -> None:
    (found,) = located([fault], TEXT)
    assert (found.line, found.column) == place


def test_faults_are_in_the_order_of_the_file() -> None:
    faults = [Fault("", ("rule", 1)), Fault("", ("a", "b")), Fault("", None)]
    assert [fault.path for fault in located(faults, TEXT)] == [None, ("a", "b"), ("rule", 1)]


@pytest.mark.parametrize(
    ("text", "place"),
    [("a = [[[1]]]", (1, 6)), ("b = 1\na = {x = {y = {}}}", (2, 10)), ("a.b.c = 1", (1, 5)), ("a = 1", (1, 1))],
)
def test_first_value_below_two_levels_has_a_place(text: str, place: tuple[int, int]) -> None:
    assert first_below(text, 2) == place
