"""A million requests of 64 tenants through the bridge's handler in 32 threads: `make bridgesoak`.

Rule: the first answer of another tenant ends the run. Memory is compared with what the process had after a tenth of the
requests, when everything that is made once was made.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import click
from rich.console import Console

from benchmarks import configuration
from benchmarks.contenders import SOAK, TENANTS, THREADS
from benchmarks.environment import like_lambda
from benchmarks.responder import responding
from benchmarks.side_by_side import Contender, Cost, running
from benchmarks.table import Table

BATCHES: Final = 100
FLAT: Final = 0.05
"""The part by which memory may grow or shrink."""


@dataclass(frozen=True, slots=True)
class Soaked:
    """What was measured.

    Attributes:
        requests: that were made.
        asked: that were to be made.
        seconds: by the clock.
        batches: the cost of each batch, in order.
    """

    requests: int
    asked: int
    seconds: float
    batches: Sequence[Cost]

    @property
    def settled(self) -> float:
        """MiB after a tenth of the requests."""
        return self.batches[len(self.batches) // 10].resident

    @property
    def growth(self) -> float:
        """The largest change of memory since then, as a part of it; negative if it shrank."""
        changes = [(one.resident - self.settled) / self.settled for one in self.batches[len(self.batches) // 10 :]]
        return max(changes, key=abs)

    def table(self) -> Table:
        cpu, rate = sum(one.cpu for one in self.batches) / len(self.batches), self.requests / self.seconds
        cut = "" if self.requests >= self.asked else f" of {self.asked:,}: the time was up"
        return Table(
            f"The bridge, {THREADS} threads, {TENANTS} tenants, {self.seconds:.0f} s",
            ("", ""),
            [
                ("requests", f"{self.requests:,}{cut}"),
                ("answers of another tenant", "0"),  # the first would have ended the run
                ("requests/s", f"{rate:,.0f}"),
                ("CPU µs a request", f"{cpu:,.0f}"),
                ("resident MiB after a tenth, at the end", f"{self.settled:.1f}, {self.batches[-1].resident:.1f}"),
                (f"largest change since then; at most ±{FLAT:.0%}", f"{self.growth:+.1%}"),
            ],
        )


def soak(requests: int, limit: float, console: Console) -> Soaked:
    """Makes the requests, and shows how far they are.

    Raises:
        RuntimeError: an answer was of another tenant, or no answer; the process has written which.
    """
    each = max(requests // BATCHES // THREADS, 1) * THREADS
    with tempfile.TemporaryDirectory() as folder, responding() as url:
        packaged = configuration.with_tenants(Path(folder) / "soak", TENANTS)
        with running(Contender(SOAK, like_lambda(url, packaged)), limit + 60) as peer:
            peer.ready()
            began, batches = time.monotonic(), list[Cost]()
            while len(batches) * each < requests and time.monotonic() - began < limit:
                batches.append(peer.run(each))
                line = f"{len(batches) * each:>9,} of {requests:,}  {batches[-1].rate:,.0f}/s"
                seconds = time.monotonic() - began
                console.print(f"{seconds:5.0f} s  {line}  {batches[-1].resident:.1f} MiB", highlight=False)
    return Soaked(len(batches) * each, max(requests, each), seconds, batches)


@click.command()
@click.option("--requests", default=1_000_000, show_default=True, help="How many.")
@click.option("--limit", default=3600.0, show_default=True, help="Seconds after which no more are made.")
def main(requests: int, limit: float) -> None:
    """Send requests of many tenants through one bridge, and compare each answer's tenant and the memory."""
    found = soak(requests, limit, Console(stderr=True))
    Console().print(found.table().drawn())
    sys.exit(abs(found.growth) > FLAT)


if __name__ == "__main__":
    main()
