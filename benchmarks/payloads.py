"""The cost of writing a request in each payload format.

Encoding alone; CPU time, in rounds whose formats take turns. The peer is Lattice's own event, as received.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final, get_args

from benchmarks.cpu import in_turns
from benchmarks.request import EVENT, TENANT
from benchmarks.section import Bench, Section
from benchmarks.table import Table
from lattice_bridge import parse_event
from lattice_bridge.formats.event import Payload
from lattice_bridge.formats.payload import encode

ROUNDS, CALLS = 15, 1000
PEER: Final = "lattice"


def contenders() -> dict[str, Callable[[], object]]:
    request = parse_event(EVENT)
    write = partial(encode, request, tenant=TENANT, tenant_header="x-tenant-id", request_id="r-1", now=1.0)
    # `lattice-v2` of a V2 event is `lattice`.
    names = [name for name in get_args(Payload) if name != "lattice-v2"]
    return {name: partial(write, payload=name) for name in names}


def run(bench: Bench) -> Section:
    number, rounds = 20 if bench.quick else CALLS, bench.few(ROUNDS)
    rows = in_turns(contenders(), PEER, rounds, number)
    columns = ("payload", "CPU µs, median", "range", f"over {PEER}")
    return Section([Table(f"A request of 1 KB written for a backend, {rounds} rounds of {number}", columns, rows)])
