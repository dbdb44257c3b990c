"""Contenders in processes of their own, in turns: noise of the machine affects all of them.

Rule: CPU time of the contender's process, not the clock's; ratios are taken within a round, and the median is of them.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.environment import ROOT, like_lambda

LIMIT: Final = 600.0
"""Seconds after which contenders are stopped, however far they are."""


@dataclass(frozen=True, slots=True)
class Contender:
    """A process to measure.

    Attributes:
        name: of `contenders.CONTENDERS`.
        environ: of the process.
        checkout: the folder whose `benchmarks` and `lattice_bridge` it runs.
    """

    name: str
    environ: Mapping[str, str]
    checkout: Path = ROOT


@dataclass(frozen=True, slots=True)
class Cost:
    """What a request cost in one round.

    Attributes:
        cpu: microseconds.
        rate: requests a second.
        peak: MiB of the process, the highest so far.
        resident: MiB of the process, after the round.
        crossed: answers of another tenant.
    """

    cpu: float
    rate: float
    peak: float
    resident: float = 0.0  # contenders of older commits measure neither this nor the next
    crossed: float = 0


@dataclass(frozen=True, slots=True)
class Measured:
    """All rounds.

    Attributes:
        rounds: each with a cost for each contender.
        idle: MiB of each before the first.
    """

    rounds: Sequence[Mapping[str, Cost]]
    idle: Mapping[str, float]

    def cpu(self, name: str) -> list[float]:
        return [one[name].cpu for one in self.rounds]

    def rate(self, name: str) -> list[float]:
        return [one[name].rate for one in self.rounds]

    def ratio(self, name: str, other: str) -> float:
        """CPU of one over that of another: the median of the rounds' ratios."""
        return statistics.median(one[name].cpu / one[other].cpu for one in self.rounds)

    def grown(self, name: str) -> float:
        """MiB at the peak over idle."""
        return max(one[name].peak for one in self.rounds) - self.idle[name]


def spread(values: Sequence[float], digits: int = 0) -> tuple[str, str]:
    """The median, and the range from lowest to highest, without spaces."""
    low, high = f"{min(values):,.{digits}f}", f"{max(values):,.{digits}f}"
    return f"{statistics.median(values):,.{digits}f}", f"{low}–{high}"


def measure(url: str, folders: Mapping[str, tuple[str, Path]], rounds: int, requests: int) -> Measured:
    """Runs contenders of this checkout in turns.

    Args:
        url: of the responder.
        folders: for each label a contender and what was packaged for it.
        rounds: how many.
        requests: of each contender in each.
    """
    peers = {label: Contender(name, like_lambda(url, folder)) for label, (name, folder) in folders.items()}
    return take_turns(peers, rounds, requests)


def take_turns(contenders: Mapping[str, Contender], rounds: int, requests: int) -> Measured:
    """Runs contenders in turns, every other round backwards.

    Args:
        contenders: by their labels.
        rounds: how many.
        requests: of each contender in each.
    """
    with ExitStack() as stack:
        peers = {label: stack.enter_context(running(contender)) for label, contender in contenders.items()}
        idle = {label: peer.ready() for label, peer in peers.items()}
        found = []
        for number in range(rounds):
            order = list(peers) if number % 2 == 0 else list(reversed(peers))
            found.append({label: peers[label].run(requests) for label in order})
    return Measured(found, idle)


class Peer:
    """A running contender."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def ready(self) -> float:
        """Waits for its start. Returns the MiB that it has."""
        return self._answer()["peak"]

    def run(self, requests: int) -> Cost:
        """Lets it make requests, and waits for the end of them."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{requests}\n")
        self._process.stdin.flush()
        return Cost(**self._answer())

    def _answer(self) -> dict[str, float]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self._process.args!r} ended before it answered")
        answer: dict[str, float] = json.loads(line)
        return answer


@contextmanager
def running(contender: Contender, limit: float = LIMIT) -> Iterator[Peer]:
    """Starts a contender, and ends it after the block or after `limit` seconds."""
    command = [sys.executable, "-m", "benchmarks.peer", contender.name]
    with subprocess.Popen(
        command,
        cwd=contender.checkout,  # which is first on the path: before the package that is installed
        env=contender.environ,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        timer = threading.Timer(limit, process.kill)
        timer.start()
        try:
            yield Peer(process)
        finally:
            timer.cancel()
            process.kill()
