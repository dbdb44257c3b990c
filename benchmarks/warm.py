"""A warm V2 request with a body of 1 KB: the bridge, an alternative without it, and the parts of both."""

from __future__ import annotations

from benchmarks import configuration
from benchmarks.contenders import BOTO3, DIRECT, FRESH, INVOKE, OURS, OWN, POST, POWERTOOLS, REMEMBERED
from benchmarks.section import Bench, Section
from benchmarks.side_by_side import measure, spread
from benchmarks.table import Table

NAMES = (OURS, REMEMBERED, FRESH, BOTO3, OWN, DIRECT, INVOKE, POWERTOOLS, POST)


def run(bench: Bench) -> Section:
    shipped = configuration.shipped(bench.folder / "shipped")
    issuer = configuration.with_issuer(bench.folder / "issuer")
    folders = {name: (name, issuer if name in (REMEMBERED, FRESH) else shipped) for name in NAMES}
    rounds, requests = bench.few(45), 20 if bench.quick else 200
    found = measure(bench.url, folders, rounds, requests)
    rows = [
        (
            name,
            *spread(found.cpu(name)),
            f"{found.ratio(name, POWERTOOLS):.2f}",
            f"{found.ratio(name, POST):.2f}",
            f"{found.ratio(name, INVOKE):.2f}",
        )
        for name in NAMES
    ]
    columns = ("", "CPU µs, median", "range", "over Powertools", "over POST", "over boto3")
    note = (
        "The bridge writes its log and metric line for each request; the peer with Powertools writes none, and "
        "believes the tenant header. After waiting for an answer, code runs slower than in a loop that never "
        "waits: the parts add up to less than the whole."
    )
    table = Table(f"A warm request, 1 KB, {rounds} rounds of {requests}", columns, rows, note)
    return Section(
        [table],
        {
            "warm over Powertools": found.ratio(OURS, POWERTOOLS),
            "warm over POST": found.ratio(OURS, POST),
            "remembered over Powertools": found.ratio(REMEMBERED, POWERTOOLS),
        },
    )
