"""Messages about wrong values: our words, no secret, and one fault for one mistake."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import Field
from pydantic_core._pydantic_core import list_all_errors  # the oracle; it has no public name

from lattice_bridge.config.tables.event_source import ClaimTable, EventSourceTable
from lattice_bridge.config.tables.jwt import JwtTable
from lattice_bridge.config.tables.map import HeaderTable, RegistryTable, TenantTable, TestTable
from lattice_bridge.config.tables.options import (
    AlbTable,
    ApiGatewayTable,
    BackendTable,
    FunctionUrlTable,
    LatticeTable,
    MapTable,
    ReplyTable,
)
from lattice_bridge.config.tables.rule_table import RuleTable, SenderTable, SsoTable
from lattice_bridge.config.tables.table import Reader, Table, fields_of
from lattice_bridge.config.words import MOST, listed, nearest, quoted
from lattice_bridge.review.check import findings_of
from tests.config.test_any_configuration import to_toml, toml_values
from tests.support.examples import examples

PLACES: Final[dict[str, type[Table]]] = {
    "[header]": HeaderTable,
    "[tenants.blue]": TenantTable,
    "[jwt.corp]": JwtTable,
    "[registry]": RegistryTable,
    "[[rule]]": RuleTable,
    "[rule.sso]": SsoTable,
    "[rule.sender]": SenderTable,
    "[[test]]": TestTable,
    "[[backend]]": BackendTable,
    "[[event_source]]": EventSourceTable,
    "[event_source.claim]": ClaimTable,
    "[lattice]": LatticeTable,
    "[reply]": ReplyTable,
    "[apigateway]": ApiGatewayTable,
    "[alb]": AlbTable,
    "[function_url]": FunctionUrlTable,
    "[map]": MapTable,
}
KEYS: Final = [(header, key) for header, model in PLACES.items() for key in fields_of(model)]


def fragments() -> Iterator[str]:
    """The constant parts of every message that pydantic has."""
    for error in list_all_errors():
        for part in re.split(r"\{[^}]*\}", error["message_template_python"]):
            if len(part.split()) > 2:
                yield part.strip()


PYDANTIC: Final = re.compile(
    "|".join(map(re.escape, sorted(set(fragments()))))
    + r"|[Ii]nput should|Field required|pydantic|NoneType|\bdict\b|\bstr\b|\bfloat\b|\bbool\b|list\[",
    re.IGNORECASE,
)


def texts(header: str, key: str, value: Any) -> list[str]:
    outer = header[1:].partition(".")[0]
    prefix = f"[[{outer}]]\n" if outer in ("rule", "event_source") and "." in header else ""
    return [finding.text for finding in findings_of(f"{prefix}{header}\n{key} = {to_toml(value)}\n")]


@settings(max_examples=examples(300), deadline=None)
@given(st.sampled_from(KEYS), toml_values)
@example(("[[rule]]", "vpc"), [5])
@example(("[[rule]]", "tenants"), True)
@example(("[[backend]]", "timeout"), float("nan"))
@example(("[[test]]", "claims"), {"corp": 1})
@example(("[registry]", "ttl"), [])
def test_no_message_has_the_words_of_pydantic(place: tuple[str, str], value: Any) -> None:
    written = to_toml(value)
    for text in texts(*place, value):
        ours = text.replace(quoted(value), "").replace(written, "")
        found = PYDANTIC.search(ours)
        assert found is None or found[0] in written, text


def test_words_of_pydantic_are_recognised() -> None:
    assert all(PYDANTIC.search(words) for words in ("Input should be a valid string", "Field required"))


@pytest.mark.parametrize(("header", "key"), KEYS)
def test_wrong_value_has_one_message_that_names_its_key(header: str, key: str) -> None:
    """Such an array is a wrong value for every key."""
    found = [text for text in texts(header, key, [[1, "x"]]) if f"{key}: " in text]
    assert len(found) == 1, found
    assert '[1, "x"]' in found[0]
    assert "Fix: write " in found[0]


def test_missing_keys_of_one_table_are_all_named() -> None:
    found = [finding.text for finding in findings_of("[jwt.corp]\nheader = 5\n")]
    assert [re.findall(r"has no (\w+)|(header): ", text) for text in found] != []
    assert sum("has no issuer" in text or "has no audience" in text or "header: 5" in text for text in found) == 3


class TwoNames(Table):
    """A table with a check that has no words of ours."""

    names: list[str] = Field(min_length=2)


def test_value_that_pydantic_refuses_for_another_reason_never_loads() -> None:
    """Trap D3: a key that cannot be read gets a default, so there has to be a fault."""
    reader = Reader()
    reader.fit(TwoNames, {"names": ["one"]}, "names", ("names",))
    (fault,) = reader.faults
    assert fault.text.startswith("names: names: cannot be read. Fix: ")


def test_path_of_a_megabyte_is_refused_at_once_and_in_few_words() -> None:
    """Trap D9: a reload is in a background thread of a bridge that serves requests. Its time may not be the square of a
    value's length: a path of 50,000 letters took half a minute."""
    text = f'[[backend]]\nfunction = "f"\npath = "{"x" * 1_000_000}"\n'
    (fault,) = [finding.text for finding in findings_of(text) if "whole segments" in finding.text]
    assert len(fault) < 500


def test_only_the_first_of_very_many_unknown_tenants_are_compared_with_all_tenants() -> None:
    """Trap D9: each comparison takes up to a hundred milliseconds."""
    rule = '[[rule]]\nid = "{0}"\nrole = "arn:aws:iam::444455556666:role/r{0}"\ntenant = "t{0}x"\n'
    text = "[tenants]\n" + "".join(f"t{n} = {{}}\n" for n in range(30)) + "".join(map(rule.format, range(30)))
    unknown = [finding.text for finding in findings_of(text) if "is not in [tenants]" in finding.text]
    assert len(unknown) == 30
    assert sum("did you mean" in one for one in unknown) == 20


# ---- words ----------------------------------------------------------------------------------------------------------


@settings(max_examples=examples(100), deadline=None)
@given(toml_values | st.text())
def test_quoted_value_is_short_and_acts_on_no_terminal(value: Any) -> None:
    assert len(quoted("x" * 500)) <= MOST
    assert quoted(value).isprintable()


def test_override_of_the_direction_of_writing_is_escaped() -> None:
    assert quoted("blue\u202e") == '"blue\\u202e"'


@pytest.mark.parametrize(
    ("word", "known", "near"),
    [
        ("tennant", ["tenant", "tenants"], "tenant"),
        ("BLUE", ["blue", "blues"], "blue"),
        ("acme", ["blue", "green"], None),
        ("", ["blue"], None),
        ("blue", ["blue"], None),
        ("tenant-0999x", [f"tenant-{number:04}" for number in range(3000)], "tenant-0999"),
    ],
)
def test_nearest_name_is_the_one_that_was_meant(word: str, known: list[str], near: str | None) -> None:
    assert nearest(word, known) == near


def test_long_list_of_names_is_cut() -> None:
    assert listed(map(str, range(50))).endswith(" and 10 more")
