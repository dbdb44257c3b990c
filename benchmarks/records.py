"""Records of queues: CPU for each record, and the clock's time of a batch whose groups run side by side."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Final

from benchmarks import configuration
from benchmarks.batch import ARN, FIFO_ARN
from benchmarks.contenders import (
    BARE,
    BARE_THREADS,
    BATCH,
    GROUPS,
    GROUPS_OURS,
    GROUPS_POWERTOOLS,
    ONE,
    RECORDS_POWERTOOLS,
    SIXTEEN,
)
from benchmarks.responder import responding
from benchmarks.section import Bench, Section
from benchmarks.side_by_side import Measured, measure, spread
from benchmarks.table import Table

ROUNDS, RECORDS = 15, 400
CONCURRENCY: Final = 16
DELAY: Final = 0.05
"""Seconds that the function of a group needs."""


def run(bench: Bench) -> Section:
    one = configuration.with_queue(bench.folder / "one", ARN, 1)
    many = configuration.with_queue(bench.folder / "many", ARN, CONCURRENCY)
    cpu, costs = _cpu(bench, one, many)
    groups, wall = _groups(bench, configuration.with_queue(bench.folder / "groups", FIFO_ARN, CONCURRENCY))
    return Section([cpu, groups], {**costs, **wall})


def _cpu(bench: Bench, one: Path, many: Path) -> tuple[Table, dict[str, float]]:
    folders = {name: (name, one) for name in (ONE, SIXTEEN, BARE, BARE_THREADS, RECORDS_POWERTOOLS)}
    folders[SIXTEEN] = (SIXTEEN, many)
    rounds, records = bench.few(ROUNDS), BATCH * 2 if bench.quick else RECORDS
    found = measure(bench.url, folders, rounds, records)
    over = {name: _over(found, name, peer) for name, peer in ((ONE, BARE), (SIXTEEN, BARE_THREADS))}
    rows = [
        (
            name,
            *spread(found.cpu(name)),
            f"{over[name]:.0f}" if name in over else "",
            f"{found.ratio(name, RECORDS_POWERTOOLS):.2f}",
        )
        for name in folders
    ]
    columns = ("", "CPU µs a record, median", "range", "µs over the invoker", "over Powertools")
    note = (
        "The router writes a log line for each record and a metric line for each batch, and decides each record by "
        f"the queue's rule; Powertools does neither. With {CONCURRENCY}, the invoker is measured in as many threads as "
        "the batch has records: threads that wait for answers cost time of their own, without a router too."
    )
    table = Table(
        f"Records of 1 KB, batches of {BATCH} of a standard queue, {rounds} rounds of {records}", columns, rows, note
    )
    return table, {
        "record over invoke": over[ONE],
        "record over invoke, 16": over[SIXTEEN],
        "record over Powertools": max(found.ratio(name, RECORDS_POWERTOOLS) for name in (ONE, SIXTEEN)),
    }


def _over(found: Measured, name: str, peer: str) -> float:
    """Microseconds of one more than of another: the median of the rounds' differences."""
    return statistics.median(one[name].cpu - one[peer].cpu for one in found.rounds)


def _groups(bench: Bench, folder: Path) -> tuple[Table, dict[str, float]]:
    names, rounds = (GROUPS_OURS, GROUPS_POWERTOOLS), bench.few(5)
    with responding(DELAY) as url:
        found = measure(url, {name: (name, folder) for name in names}, rounds, GROUPS)
    ratio = statistics.median(one[GROUPS_POWERTOOLS].rate / one[GROUPS_OURS].rate for one in found.rounds)
    rows = [
        (name, *spread([GROUPS / rate * 1000 for rate in found.rate(name)]), shown)
        for name, shown in ((GROUPS_OURS, f"{ratio:.3f}"), (GROUPS_POWERTOOLS, "1"))
    ]
    title = f"A batch of {GROUPS} records of as many groups, a function of {DELAY * 1000:.0f} ms, {rounds} rounds"
    note = f"By the clock. The router has concurrency {CONCURRENCY}; Powertools works on one record after the other."
    return Table(title, ("", "ms a batch, median", "range", "over Powertools"), rows, note), {
        "100 groups over Powertools": ratio
    }
