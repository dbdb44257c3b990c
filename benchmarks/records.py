"""Records of queues, streams and tables: CPU for each, and the clock's time of a batch with groups side by side."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Final

from benchmarks import configuration
from benchmarks.batch import ARN, FIFO_ARN, STREAM_ARN, TABLE_ARN
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
    STREAM_BARE,
    STREAM_BARE_THREADS,
    STREAM_ONE,
    STREAM_SIXTEEN,
    TABLE_BARE,
    TABLE_BARE_THREADS,
    TABLE_ONE,
    TABLE_SIXTEEN,
)
from benchmarks.responder import Manner, responding
from benchmarks.section import Bench, Section
from benchmarks.side_by_side import Measured, measure, spread
from benchmarks.table import Table

ROUNDS, RECORDS = 15, 400
CONCURRENCY: Final = 16
DELAY: Final = 0.05
"""Seconds that the function of a group needs."""


_PEERS: Final = (
    ("record over invoke", ARN, 1, ONE, BARE),
    ("record over invoke, 16", ARN, CONCURRENCY, SIXTEEN, BARE_THREADS),
    ("Kinesis record over invoke", STREAM_ARN, 1, STREAM_ONE, STREAM_BARE),
    ("Kinesis record over invoke, 16", STREAM_ARN, CONCURRENCY, STREAM_SIXTEEN, STREAM_BARE_THREADS),
    ("DynamoDB record over invoke", TABLE_ARN, 1, TABLE_ONE, TABLE_BARE),
    ("DynamoDB record over invoke, 16", TABLE_ARN, CONCURRENCY, TABLE_SIXTEEN, TABLE_BARE_THREADS),
)
"""The name of a difference, the source and its concurrency, the router, and the invoker alone."""


def run(bench: Bench) -> Section:
    cpu, costs = _cpu(bench)
    groups, wall = _groups(bench, configuration.with_source(bench.folder / "groups", FIFO_ARN, CONCURRENCY))
    return Section([cpu, groups], {**costs, **wall})


def _cpu(bench: Bench) -> tuple[Table, dict[str, float]]:
    rounds, records = bench.few(ROUNDS), BATCH * 2 if bench.quick else RECORDS
    found = measure(bench.url, _folders(bench.folder), rounds, records)
    over = {name: _over(found, ours, peer) for name, _, _, ours, peer in _PEERS}
    shown = {ours: f"{over[name]:.0f}" for name, _, _, ours, _ in _PEERS}
    rows = [
        (name, *spread(found.cpu(name)), shown.get(name, ""), f"{found.ratio(name, RECORDS_POWERTOOLS):.2f}")
        for name in found.idle
    ]
    columns = ("", "CPU µs a record, median", "range", "µs over the invoker", "over Powertools")
    note = (
        "Records are of a standard queue, of a Kinesis stream, whose data names the tenant in JSON, or of a DynamoDB "
        "table, whose key does; Powertools reads the queue. The router writes a log line for each record and a metric "
        "line for each batch, and decides each record by a rule; Powertools does neither. With "
        f"{CONCURRENCY}, the invoker is measured in as many threads as the batch has records: threads that wait for "
        "answers cost time of their own, without a router too."
    )
    table = Table(f"Records of 1 KB in batches of {BATCH}, {rounds} rounds of {records}", columns, rows, note)
    return table, {
        **over,
        "record over Powertools": max(found.ratio(name, RECORDS_POWERTOOLS) for name in (ONE, SIXTEEN)),
    }


def _folders(base: Path) -> dict[str, tuple[str, Path]]:
    """For each contender itself, and what is packaged for it."""
    found: dict[str, tuple[str, Path]] = {}
    for number, (_, arn, concurrency, ours, peer) in enumerate(_PEERS):
        folder = configuration.with_source(base / f"records-{number}", arn, concurrency)
        found |= {ours: (ours, folder), peer: (peer, folder)}
    return found | {RECORDS_POWERTOOLS: (RECORDS_POWERTOOLS, base / "records-0")}


def _over(found: Measured, name: str, peer: str) -> float:
    """Microseconds of one more than of another: the median of the rounds' differences."""
    return statistics.median(one[name].cpu - one[peer].cpu for one in found.rounds)


def _groups(bench: Bench, folder: Path) -> tuple[Table, dict[str, float]]:
    names, rounds = (GROUPS_OURS, GROUPS_POWERTOOLS), bench.few(5)
    with responding(Manner(delay=DELAY)) as url:
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
