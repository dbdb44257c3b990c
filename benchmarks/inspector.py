"""The inspector's cost: processor time of the stack for a request: without it, with it, with a reader. And its start.

Three stacks run at the same time, and get the same requests in alternating rounds. So a shared machine disturbs all of
them alike. The median of the rounds counts. The starts alternate too.
"""

from __future__ import annotations

import http.client
import statistics
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

import click
from rich.console import Console
from rich.table import Table

from benchmarks.soak import Stack, _processor_seconds, client, listening, load

LEAST_RATE = 0.85
"""Requests a second of eight clients with the inspector and its reader, over those without it."""
MOST_START = 30.0
"""Milliseconds that the start may take longer, and processor milliseconds."""


class Reader:
    """Reads the inspector's stream as the page does, until it is closed."""

    def __init__(self, url: str) -> None:
        address, self.bytes = urlsplit(url), 0
        self._connection = http.client.HTTPConnection("127.0.0.1", address.port)  # only browsers resolve its name
        token = address.fragment.removeprefix("token=")
        self._connection.request("GET", "/api/stream?after=0", headers={"authorization": f"Bearer {token}"})
        self._response = self._connection.getresponse()
        assert self._response.status == 200, self._response.read()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        while chunk := self._response.read1(65536):
            self.bytes += len(chunk)


@contextmanager
def running(*, inspect: bool) -> Iterator[tuple[Stack, str]]:
    """A stack, and the URL of its inspector."""
    stack = Stack()
    arguments = ["--parameter", "AuthType=NONE", *(["--inspect"] if inspect else [])]
    with listening(arguments, stack.read) as (stack.pid, addresses):
        stack.front = addresses["front"]
        yield stack, addresses.get("inspector", "")


def _drain(stream: IO[str]) -> None:
    for _ in stream:
        pass


def _started(*arguments: str) -> tuple[float, float]:
    """Milliseconds from the command to its addresses, and processor milliseconds of all threads until then."""
    began = time.perf_counter()
    with listening(["--parameter", "AuthType=NONE", *arguments], _drain) as (pid, _):
        waited = time.perf_counter() - began
        spent = sum(int(path.read_text().split()[0]) for path in Path(f"/proc/{pid}/task").glob("*/schedstat"))
    return waited * 1000, spent / 1e6


def starts(rounds: int) -> bool:
    """Measures the start, in turns. Returns whether it is within the aim."""
    kinds: dict[str, list[str]] = {"without": [], "inspect": ["--inspect"]}
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in kinds}
    for number in range(rounds + 1):
        for name in [*kinds][:: -1 if number % 2 else 1]:
            measured = _started(*kinds[name])
            if number:  # the first one fills caches
                found[name].append(measured)
    table = Table(title=f"The stack's start, {rounds} of each in turns, medians")
    for column in ("", "ms to its addresses", "processor ms until then"):
        table.add_column(column, justify="right" if column else "left")
    wall, spent = ({name: statistics.median(one[at] for one in found[name]) for name in kinds} for at in (0, 1))
    for name in kinds:
        table.add_row(name, f"{wall[name]:.0f}", f"{spent[name]:.0f}")
    more = [kind["inspect"] - kind["without"] for kind in (wall, spent)]
    table.add_row("difference", *(f"{one:+.0f}" for one in more))
    Console().print(table)
    return max(more) <= MOST_START


@click.command()
@click.option("--requests", default=1000, show_default=True, help="Of each stack in each round.")
@click.option("--rounds", default=8, show_default=True)
@click.option("--start-rounds", default=15, show_default=True, help="Starts of each kind; 0 for none.")
def main(requests: int, rounds: int, start_rounds: int) -> None:
    """Measure what the inspector costs."""
    is_quick = not start_rounds or starts(start_rounds)
    with ExitStack() as started:
        stacks = {
            name: started.enter_context(running(inspect=name != "without"))
            for name in ("without", "captured", "captured and read")
        }
        reader = Reader(stacks["captured and read"][1])
        for stack, _ in stacks.values():
            load(stack, 8, 400)  # environments are there
        found: dict[str, list[tuple[float, float]]] = {name: [] for name in stacks}
        for number in range(rounds):
            order = list(stacks.items())
            for name, (stack, _) in order[number % 3 :] + order[: number % 3]:
                before = _processor_seconds(stack.pid)
                rate, wrong = load(stack, 8, requests)
                assert not wrong
                found[name].append(((_processor_seconds(stack.pid) - before) * 1000 / requests, rate))
        resident = {name: stack.resident()[0] / 1024 for name, (stack, _) in stacks.items()}
        began = time.perf_counter()
        client(stacks["captured and read"][0].front, 1, 0)
        alone = (time.perf_counter() - began) * 1000
    table = Table(
        title=f"The inspector's cost, {rounds} rounds of {requests} requests, Python {sys.version.split()[0]}"
    )
    for column in ("", "processor ms of the stack", "over without", "requests a second", "resident MiB"):
        table.add_column(column, justify="right" if column else "left")
    spent, rates = ({name: statistics.median(one[at] for one in found[name]) for name in found} for at in (0, 1))
    for name in found:
        over = spent[name] / spent["without"]
        table.add_row(name, f"{spent[name]:.3f}", f"{over:.3f}", f"{rates[name]:.0f}", f"{resident[name]:.0f}")
    Console().print(table)
    print(f"read by the reader: {reader.bytes / 1024:.0f} KiB; one request with a new connection: {alone:.1f} ms")
    sys.exit(0 if is_quick and rates["captured and read"] >= LEAST_RATE * rates["without"] else 1)


if __name__ == "__main__":
    main()
