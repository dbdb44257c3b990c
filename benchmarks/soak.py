"""The whole stack under load: time to the first answer, requests a second, memory before and after, cost of each step.

Bounded by a number of requests, on the loopback, and stops what it started.
"""

from __future__ import annotations

import http.client
import json
import os
import signal
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

import click
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parent.parent
TENANTS = ("BlueTenant", "GreenTenant")
TICKS = os.sysconf("SC_CLK_TCK")
STEPS = ("parse", "decide", "encode", "invoke", "reply", "total")


@dataclass
class Stack:
    pid: int = 0
    front: str = ""
    milliseconds: list[dict[str, float]] = field(default_factory=list)

    def read(self, stream: IO[str]) -> None:
        """Keeps the steps of the bridge's log lines, and nothing else, so that memory here stays small."""
        for text in stream:
            line = json.loads(text).get("object", {})
            if line.get("reason") == "ok" and "tenant" in line:
                self.milliseconds.append(line["milliseconds"])

    def drop(self, stream: IO[str]) -> None:
        """Reads the log to its end, and keeps nothing."""
        for _ in stream:
            pass

    def resident(self) -> tuple[int, int]:
        """KiB of the stack's process, and of all its environments together."""
        own, others = 0, 0
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                pages = int((entry / "statm").read_text().split()[1])
            except OSError:
                continue
            own += pages * 4 if int(entry.name) == self.pid else 0
            others += pages * 4 if parent == self.pid else 0
        return own, others

    def processor_seconds(self) -> dict[str, float]:
        """Processor time so far, of the stack's own process and of the environments of each function."""
        found = {"stack": _processor_seconds(self.pid)}
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                environ = (entry / "environ").read_bytes().decode("utf-8", "replace").split("\0")
            except OSError:
                continue
            variables = dict(pair.partition("=")[::2] for pair in environ)
            if parent == self.pid and (name := variables.get("AWS_LAMBDA_FUNCTION_NAME")):
                found[name] = found.get(name, 0.0) + _processor_seconds(int(entry.name))
        return found


def _processor_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


@contextmanager
def listening(
    arguments: Sequence[str], read: Callable[[IO[str]], None], checkout: Path = ROOT
) -> Iterator[tuple[int, dict[str, str]]]:
    """Starts a checkout's stack on free ports, and yields its process id and its addresses. `read` reads its log."""
    command = [sys.executable, "-m", "lattice_bridge", "local", "--json-logs", "--port", "0", "--lambda-port", "0"]
    process = subprocess.Popen([*command, *arguments], cwd=checkout, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    lines = map(json.loads, iter(process.stdout.readline, ""))
    addresses = next(line for line in lines if "front" in line)  # warnings may come first
    reader = threading.Thread(target=read, args=(process.stdout,))
    reader.start()
    try:
        yield process.pid, addresses
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(timeout=30)
        reader.join()
        process.stdout.close()


@contextmanager
def running() -> Iterator[Stack]:
    stack = Stack()
    with listening(["--parameter", "AuthType=NONE"], stack.read) as (stack.pid, addresses):
        stack.front = addresses["front"]
        yield stack


def client(front: str, requests: int, offset: int) -> int:
    """Requests in turn for each tenant, over one connection. Returns how many were answered by another's process."""
    address = urlsplit(front)
    connection = http.client.HTTPConnection(str(address.hostname), address.port, timeout=60)
    wrong = 0
    for number in range(requests):
        tenant = TENANTS[(number + offset) % 2]
        connection.request("GET", "/isolated", headers={"x-tenant-id": tenant})
        response = connection.getresponse()
        wrong += json.loads(response.read()).get("tenant_id") != tenant
    connection.close()
    return wrong


def load(stack: Stack, threads: int, requests: int) -> tuple[float, int]:
    """Requests a second, and the number of wrong answers."""
    began = time.perf_counter()
    with ThreadPoolExecutor(threads) as pool:
        wrong = sum(pool.map(lambda number: client(stack.front, requests // threads, number), range(threads)))
    return requests / (time.perf_counter() - began), wrong


@click.command()
@click.option("--requests", default=20_000, show_default=True, help="How many, in the long run.")
def main(requests: int) -> None:
    """Measure the whole stack."""
    began = time.perf_counter()
    with running() as stack:
        serving = time.perf_counter() - began
        idle = stack.resident()
        client(stack.front, 1, 0)
        first = time.perf_counter() - began
        one = stack.resident()
        client(stack.front, 100, 0)
        stack.milliseconds.clear()
        alone, _ = load(stack, 1, 500)
        time.sleep(0.2)
        steps = list(stack.milliseconds)
        together, wrong = load(stack, 8, requests // 2)
        before, began_with = stack.resident(), stack.processor_seconds()
        more, also_wrong = load(stack, 8, requests // 2)
        after, ended_with = stack.resident(), stack.processor_seconds()
    table = Table(title=f"The whole stack, {requests} requests of two tenants, Python {sys.version.split()[0]}")
    table.add_column("")
    table.add_column("", justify="right")
    table.add_row("command to listening", f"{serving * 1000:.0f} ms")
    table.add_row("command to first answer (bridge and backend cold)", f"{first * 1000:.0f} ms")
    table.add_row("resident, listening", f"{idle[0] / 1024:.0f} MiB")
    table.add_row("resident, one bridge and one backend", f"{one[0] / 1024:.0f} + {one[1] / 1024:.0f} MiB")
    table.add_row("requests a second, one client", f"{alone:.0f}")
    table.add_row("requests a second, eight clients", f"{together:.0f}, then {more:.0f}")
    for name, seconds in ended_with.items():
        spent = (seconds - began_with.get(name, 0.0)) * 1000 / (requests // 2)
        table.add_row(f"processor ms a request, eight clients: {name}", f"{spent:.2f}")
    table.add_row(
        "the stack's own process, half way and at the end", f"{before[0] / 1024:.1f}, {after[0] / 1024:.1f} MiB"
    )
    table.add_row("answers from another tenant's process", f"{wrong + also_wrong}")
    for step in STEPS:
        table.add_row(f"bridge: {step}, median ms (one client)", f"{statistics.median(s[step] for s in steps):.3f}")
    Console().print(table)
    sys.exit(1 if wrong + also_wrong else 0)


if __name__ == "__main__":
    main()
