"""Names of headers: what is one, and what reads as another."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lattice_bridge.http import headers as names


@pytest.mark.parametrize("name", ["a", "X-A", "x_a", "!#$%&'*+.^`|~09"])
def test_a_token(name: str) -> None:
    assert names.is_token(name)


@pytest.mark.parametrize("name", ["", " ", "a b", "a:", "a\n", "\na", "a\x00", "é", "\u212a", "(a)", "a/b", "a,b", '"'])
def test_not_a_token(name: str) -> None:
    """Trap A17."""
    assert not names.is_token(name)


def test_lower_case_is_asciis_alone() -> None:
    """Trap A11."""
    assert names.lower("\u212a\u0130AZ") == "\u212a\u0130az"


@pytest.mark.parametrize("name", ["X_Tenant_ID", "x-tenant_id", "X-TENANT-ID"])
def test_a_folded_name_is_what_a_careless_reader_sees(name: str) -> None:
    """Trap A6."""
    assert names.fold(name) == "x-tenant-id"


@pytest.mark.parametrize("code", [*range(9), *range(10, 32), 127])
def test_a_control_character_is_neither_clean_nor_sendable(code: int) -> None:
    """Traps A10, A17."""
    assert not names.is_clean(f"a{chr(code)}b")
    assert not names.is_sendable(f"a{chr(code)}b")


@pytest.mark.parametrize("value", ["", "\t", "a b", "é", "☃", "\U0001f600"])
def test_a_tab_and_any_letter_are_clean_and_sendable(value: str) -> None:
    assert names.is_clean(value)
    assert names.is_sendable(value)


def test_half_a_surrogate_pair_cannot_be_sent() -> None:
    assert not names.is_sendable("\ud800")


@given(st.text())
def test_folding_twice_is_folding_once(text: str) -> None:
    assert names.fold(names.fold(text)) == names.fold(text)


@given(st.text())
def test_what_is_a_token_is_ascii_and_printable(text: str) -> None:
    assert not names.is_token(text) or (text.isascii() and text.isprintable() and " " not in text)


def test_every_name_here_is_written_folded() -> None:
    for name in names.TENANT_NAMES | names.CREDENTIALS | names.HOP_BY_HOP | names.SINGLE | {names.HOPS, names.IDENTITY}:
        assert name == names.fold(name)
