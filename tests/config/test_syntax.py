"""Texts that are not TOML: each has a place and a fix. wrong_maps.toml has the common mistakes."""

from __future__ import annotations

import tomllib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lattice_bridge.config.syntax import syntax_fault
from lattice_bridge.errors import Fault
from tests.config.test_any_configuration import WHOLE
from tests.support.examples import examples


def fault_of(text: str) -> Fault | None:
    try:
        tomllib.loads(text)
    except ValueError as error:
        return syntax_fault(text, error)
    return None


pieces = st.text("[]{}=,.\"'#:\n\r\\ ab1é-", max_size=4)
texts = st.text("[]{}=,.\"'#:\n\\ ab1é-", max_size=30) | st.builds(
    lambda at, length, piece: WHOLE[:at] + piece + WHOLE[at + length :],
    st.integers(0, len(WHOLE)),
    st.integers(0, 5),
    pieces,
)


@settings(max_examples=examples(300), deadline=None)
@given(texts)
def test_any_text_that_is_not_toml_has_a_place_and_a_fix(text: str) -> None:
    fault = fault_of(text)
    if fault is None:
        return
    assert fault.text.startswith("not TOML: ")
    assert "Fix: " in fault.text
    assert "toml.io" not in fault.text, "tomllib has a message that we do not explain"
    lines = text.replace("\r\n", "\n").split("\n")
    assert fault.line is not None
    assert fault.column is not None
    assert 1 <= fault.line <= len(lines)
    assert 1 <= fault.column <= len(lines[fault.line - 1]) + 1


@pytest.mark.parametrize(
    "text", ["secret_key = hunter2", 'secret_key = "hunter2', "secret_key hunter2", "secret_key: hunter2"]
)
def test_value_of_a_secret_is_not_quoted(text: str) -> None:
    fault = fault_of(f"{text}\n")
    assert fault is not None
    assert "hunter2" not in fault.text


@pytest.mark.parametrize(
    "text",
    [
        "secret_key\thunter2",
        "secret_key\u00a0hunter2",
        '"secret_key": "hunter2"',
        '"secret_key" "hunter2"',
        "'secret_key': 'hunter2'",
        '[[identity]]\nx = { "secret_key": "hunter2" }',
        'secret_key = "a"hunter2=b"',
    ],
)
def test_value_of_a_secret_that_is_not_written_as_in_toml_is_not_quoted(text: str) -> None:
    """Trap G14: a file that was JSON or YAML, or whose columns are aligned with tabs."""
    fault = fault_of(f"{text}\n")
    assert fault is not None
    assert "hunter2" not in fault.text


@pytest.mark.parametrize("text", ["[a\x1b[2J\n", "a\x1b[2J: b\n", "a = b\x1b[2J\n", "\u202ea b\n"])
def test_explanation_contains_no_control_character_of_the_file(text: str) -> None:
    """Trap D11: a map's faults are also in tracebacks and in the log of the deployed bridge."""
    fault = fault_of(text)
    assert fault is not None
    assert fault.text.isprintable()


def test_line_of_very_many_spaces_is_explained_at_once_and_in_few_words() -> None:
    """Trap D9: a configuration that is not TOML is refused in a background thread of a bridge that serves requests. The
    time of the explanation may not be the square of the line's length: 50,000 spaces took more than a minute."""
    for text in ("a" + " " * 1_000_000 + "b\n", "[" + "a" * 1_000_000 + "\n"):
        fault = fault_of(text)
        assert fault is not None
        assert len(fault.text) < 500


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("a = 1\r\nb = x\r\n", (2, 5), 'x has no quotes. Fix: write b = "x"'),
        ("[]\n", (1, 1), "a header has no name"),
        ("[a.]\n", (1, 1), "is not the name of a table"),
        ("[a] b = 1\n", (1, 1), "begin a new line after [a]"),
        ("a = {x = 1}\n[a.b]\n", (2, 4), "b cannot be added to a table that is written elsewhere"),
        ('"a = 1\n', (1, 1), "a key begins with a quote and does not end with one"),
        ('a = """x\n', (1, 5), 'begins with """ and does not end'),
        ("a = 1 b = 2\n", (1, 7), "b is on the line of a. Fix: begin a new line"),
        ("a = {x = 1, x = 2}\n", (1, 13), "x is in line 1 already"),
        ("a = {x = 1,}\n", (1, 11), "a comma before } ends an inline table"),
        ("a = {x = 1 y = 2}\n", (1, 12), "a comma is missing in an inline table"),
        ("= 1\n", (1, 1), "a key is missing before ="),
        ("a == 1\n", (1, 4), "a is followed by two ="),
        ("a = null\n", (1, 5), "leave the line out"),
        ("]\n", (1, 1), "] closes nothing"),
        ("- blue\n", (1, 1), "as in YAML"),
        ('a = "\x01"\n', (1, 6), "the control character U+0001"),
        ('a = "x"y"\n', (1, 8), "the value of a has ended before this"),
        ('"a" : "b"\n', (1, 5), 'a is followed by :, as in YAML. Fix: write a = "b"'),
        ("my key = 1\n", (1, 1), "the key my key contains a space"),
        ("a = " + "9" * 5000, (1, 1), "too many digits"),
    ],
)
def test_mistake_is_explained_at_its_place(text: str, place: tuple[int, int], words: str) -> None:
    fault = fault_of(text)
    assert fault is not None
    assert (fault.line, fault.column) == place
    assert words in fault.text
