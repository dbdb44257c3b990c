"""The lines of execution environments, and the memory that they take."""

from __future__ import annotations

from lattice_bridge.local.inspector import logs
from lattice_bridge.local.inspector.logs import LAST_LINES, MAX_LOG, MAX_LOGS, Logs


def test_invocation_has_the_lines_since_the_last_one() -> None:
    found = Logs()
    for line in ("one", "two"):
        found.add("orders#1", line)
    found.add("orders#2", "of another environment")
    assert found.take("orders#1") == ["one", "two"]
    assert found.take("orders#1") == []
    found.add("orders#1", "three")
    assert found.take("orders#1") == ["three"]
    assert found.take("orders#3") == []


def test_last_lines_of_a_flood_are_those_of_the_invocation() -> None:
    found = Logs()
    for number in range(1000):
        found.add("orders#1", f"{number:01000}")
    lines = found.take("orders#1")
    assert sum(map(len, lines)) <= MAX_LOG
    assert lines == [f"{number:01000}" for number in range(1000 - len(lines), 1000)]


def test_ended_invocation_leaves_the_last_lines() -> None:
    found = Logs()
    for number in range(200):
        found.add("orders#1", str(number))
    assert len(found.take("orders#1")) == 200
    found.add("orders#1", "new")
    assert found.take("orders#1") == ["new"]
    assert found.size < logs._LOG + (LAST_LINES + 2) * (logs._LINE + 3)


def test_a_hundred_thousand_environments_take_bounded_memory() -> None:
    """A stack runs for weeks, and each tenant has an environment of its own."""
    found = Logs()
    for number in range(100_000):
        found.add(f"orders/t{number}#1", "x" * 500)
        if number % 1000 == 0:
            assert found.size <= MAX_LOGS
    assert found.take("orders/t99999#1") == ["x" * 500]
    assert found.take("orders/t0#1") == []
