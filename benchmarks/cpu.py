"""CPU time of a call, which a shared machine disturbs less than the clock's."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping

from benchmarks.side_by_side import spread


def in_turns(calls: Mapping[str, Callable[[], object]], peer: str, rounds: int, number: int) -> list[tuple[str, ...]]:
    """A row a call: its name, the median and the range of its microseconds, and the median ratio to the peer's.

    They take turns, `rounds` times, `number` calls each: the machine is shared.
    """
    for call in calls.values():
        microseconds(call, number)
    measured = [{name: microseconds(call, number) for name, call in calls.items()} for _ in range(rounds)]
    ratios = {name: statistics.median(one[name] / one[peer] for one in measured) for name in calls}
    return [(name, *spread([one[name] for one in measured], 1), f"{ratios[name]:.2f}") for name in calls]


def microseconds(call: Callable[[], object], calls: int) -> float:
    """Microseconds of CPU a call, over `calls` of them."""
    began = time.process_time()
    for _ in range(calls):
        call()
    return (time.process_time() - began) / calls * 1e6
