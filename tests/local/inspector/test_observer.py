"""Several observers of one stack."""

from __future__ import annotations

from lattice_bridge.local.inspector.observer import Observers, StackObserver


class Heard(StackObserver):
    """Takes one of the reports."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, str]] = []

    def function_output(self, label: str, line: str) -> None:
        self.heard.append((label, line))


class HeardOther(StackObserver):
    """Takes another one."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    def invoking(self, request_id: str, function: str, trace_id: str) -> None:
        self.heard.append(request_id)


def test_each_observer_takes_its_reports_and_no_other_is_called() -> None:
    one, two, other = Heard(), Heard(), HeardOther()
    every = Observers(one, other, two)
    every.function_output("orders#1", "a line")
    every.invoking("r1", "orders", "Root=1-a")
    every.authorizing("r1", "Root=1-a")  # no observer takes it
    assert (one.heard, two.heard, other.heard) == ([("orders#1", "a line")], [("orders#1", "a line")], ["r1"])
    assert every.invoking == other.invoking
