"""32 threads in one environment, each with a tenant of its own. The tenant of every answer is checked."""

from __future__ import annotations

from benchmarks import configuration
from benchmarks.contenders import MANY, MANY_POWERTOOLS, THREADS
from benchmarks.section import Bench, Section
from benchmarks.side_by_side import measure, spread
from benchmarks.table import Table


def run(bench: Bench) -> Section:
    folder = configuration.with_tenants(bench.folder / "threads", THREADS)
    names = (MANY, MANY_POWERTOOLS)
    rounds, requests = bench.few(9), THREADS * (2 if bench.quick else 30)
    found = measure(bench.url, {name: (name, folder) for name in names}, rounds, requests)
    rows = [
        (
            name,
            *spread(found.rate(name)),
            *spread(found.cpu(name)),
            f"{found.ratio(name, MANY_POWERTOOLS):.2f}",
            f"{sum(one[name].crossed for one in found.rounds):.0f}",
        )
        for name in names
    ]
    columns = ("", "requests/s", "range", "CPU µs", "range", "over Powertools", "crossed")
    title = f"{THREADS} threads and as many tenants, {rounds} rounds of {requests}"
    note = (
        "By the clock, and beside the responder's own process on the same processors. An answer of the bridge for "
        "another tenant would end the run. Powertools keeps the current event in its class, where threads overwrite it."
    )
    return Section(
        [Table(title, columns, rows, note)], {"32 threads over Powertools": found.ratio(MANY, MANY_POWERTOOLS)}
    )
