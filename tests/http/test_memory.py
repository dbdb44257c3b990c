"""A memory is bounded, and answers only for an equal key."""

from __future__ import annotations

from lattice_bridge.http.memory import Memory


def test_entry_over_the_bound_in_characters_is_not_kept() -> None:
    """Trap D9."""
    memory = Memory[str, str](entries=10, characters=5)
    memory.keep("fits", "yes", characters=5)
    memory.keep("long", "no", characters=6)
    assert memory == {"fits": "yes"}


def test_full_memory_begins_anew() -> None:
    """Trap D9."""
    memory = Memory[int, int](entries=100, characters=5)
    for number in range(1000):
        memory.keep(number, number, characters=1)
        assert len(memory) <= 100
        assert memory.get(number) == number
