"""A body of 6 MB, in base64: CPU, and memory at the peak over what was resident between requests."""

from __future__ import annotations

from benchmarks import configuration
from benchmarks.contenders import LARGE, LARGE_POWERTOOLS
from benchmarks.request import LARGE_BODY
from benchmarks.section import Bench, Section
from benchmarks.side_by_side import measure, spread
from benchmarks.table import Table


def run(bench: Bench) -> Section:
    shipped = configuration.shipped(bench.folder / "body")
    names = (LARGE, LARGE_POWERTOOLS)
    rounds, requests = bench.few(11), 5
    found = measure(bench.url, {name: (name, shipped) for name in names}, rounds, requests)
    bodies = {name: found.grown(name) * 2**20 / LARGE_BODY for name in names}
    rows = [
        (
            name,
            *spread([value / 1000 for value in found.cpu(name)], 1),
            f"{found.ratio(name, LARGE_POWERTOOLS):.2f}",
            f"{found.idle[name]:.0f}",
            f"{found.grown(name):.1f}",
            f"{bodies[name]:.1f}",
        )
        for name in names
    ]
    columns = ("", "CPU ms, median", "range", "over Powertools", "idle MiB", "peak over idle", "in bodies")
    note = "The event is made before: one body of the peak is the event's own, as Lambda's runtime hands it over."
    return Section(
        [Table(f"A base64 body of 6,000,000 characters, {rounds} rounds of {requests}", columns, rows, note)],
        {"6 MB over Powertools": found.ratio(LARGE, LARGE_POWERTOOLS), "6 MB peak": bodies[LARGE]},
    )
