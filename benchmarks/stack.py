"""The local stack under eight clients: requests a second, and the share of the processors that each process takes."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.environment import ROOT
from benchmarks.section import Bench, Section
from benchmarks.side_by_side import spread
from benchmarks.soak import Stack, listening
from benchmarks.table import Table

CLIENTS: Final = 8
ROUNDS, REQUESTS = 9, 1_000
CLIENT: Final = "the client"
FRONT: Final = "the stack: front, Lambda API, Runtime API"
PROCESSES: Final = {"stack": FRONT, "BridgeFunction": "the bridge"}
"""Names in the table. All others are environments of functions."""
FUNCTIONS: Final = "the functions"


@dataclass(frozen=True, slots=True)
class Load:
    """One round.

    Attributes:
        requests: how many.
        seconds: by the clock.
        cpu: seconds of each process.
    """

    requests: int
    seconds: float
    cpu: Mapping[str, float]

    @property
    def rate(self) -> float:
        """Requests a second."""
        return self.requests / self.seconds


class LoadedStack:
    """A running stack with its clients."""

    def __init__(self, stack: Stack, client: subprocess.Popen[str]) -> None:
        self._stack = stack
        self._client = client

    def run(self, requests: int) -> Load:
        """Makes requests from all clients.

        Raises:
            AssertionError: an answer was not the tenant's own.
        """
        assert self._client.stdin is not None
        assert self._client.stdout is not None
        before = self._stack.processor_seconds()
        self._client.stdin.write(f"{requests}\n")
        self._client.stdin.flush()
        line = self._client.stdout.readline()
        if not line:
            raise RuntimeError("the client ended before it answered")
        found = json.loads(line)
        after = self._stack.processor_seconds()
        assert not found["wrong"], f"{found['wrong']} answers were not the tenant's own"
        cpu = {CLIENT: found["cpu"], FUNCTIONS: 0.0}
        for name, seconds in after.items():
            named = PROCESSES.get(name, FUNCTIONS)
            cpu[named] = cpu.get(named, 0.0) + seconds - before.get(name, 0.0)
        return Load(requests, found["seconds"], cpu)


@contextmanager
def loaded(checkout: Path = ROOT) -> Iterator[LoadedStack]:
    """A stack of a checkout, with environments that have started."""
    stack = Stack()
    with listening(["--parameter", "AuthType=NONE"], stack.drop, checkout) as (stack.pid, addresses):
        command = [sys.executable, "-m", "benchmarks.stack_client", addresses["front"], str(CLIENTS)]
        with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as client:
            try:
                found = LoadedStack(stack, client)
                found.run(50 * CLIENTS)
                yield found
            finally:
                client.kill()


def run(bench: Bench) -> Section:
    with loaded() as stack:
        found = [stack.run(CLIENTS * 4 if bench.quick else REQUESTS) for _ in range(bench.few(ROUNDS))]
    rate = statistics.median(one.rate for one in found)
    return Section([_rates(found), _processes(found)], {"stack, µs a request": 1e6 / rate})


def _rates(found: Sequence[Load]) -> Table:
    title = f"The local stack, {CLIENTS} clients, {len(found)} rounds of {found[0].requests}"
    return Table(title, ("", "median", "range"), [("requests/s", *spread([one.rate for one in found]))])


def _processes(found: Sequence[Load]) -> Table:
    rows = [(name, *_shares(name, found)) for name in (FRONT, PROCESSES["BridgeFunction"], FUNCTIONS, CLIENT)]
    columns = ("", "CPU ms a request, median", "range", "% of a processor", "% of what all of them take")
    note = (
        f"By the clock, on {os.cpu_count()} processors, which the client shares. Two tenants, GET /isolated, log lines "
        "read and dropped. Shares count user and system time."
    )
    return Table("The share of each process", columns, rows, note)


def _shares(name: str, found: Sequence[Load]) -> tuple[str, ...]:
    spent = [one.cpu.get(name, 0.0) for one in found]
    each = [seconds * 1000 / one.requests for seconds, one in zip(spent, found, strict=True)]
    processor = statistics.median(seconds / one.seconds for seconds, one in zip(spent, found, strict=True))
    part = statistics.median(seconds / sum(one.cpu.values()) for seconds, one in zip(spent, found, strict=True))
    return (*spread(each, 2), f"{processor:.0%}", f"{part:.0%}")
