"""All figures, in one run: `make bench`. They go to the terminal and to benchmarks/RESULTS.md."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Final

import click
from rich.console import Console

from benchmarks import (
    authorizer,
    body,
    goals,
    payloads,
    queues,
    records,
    rules,
    size,
    stack,
    start,
    threads,
    tls,
    tokens,
    warm,
)
from benchmarks.cpu import microseconds
from benchmarks.responder import responding
from benchmarks.section import Bench, Section
from benchmarks.table import Table

RESULTS: Final = Path(__file__).with_name("RESULTS.md")
SECTIONS: Final[Mapping[str, Callable[[Bench], Section]]] = {
    "warm": warm.run,
    "start": start.run,
    "tls": tls.run,
    "body": body.run,
    "payloads": payloads.run,
    "size": size.run,
    "threads": threads.run,
    "rules": rules.run,
    "tokens": tokens.run,
    "authorizer": authorizer.run,
    "records": records.run,
    "queues": queues.run,
    "stack": stack.run,
}
_HOW: Final = """# What the bridge costs

Written by `make bench`. CPU time of one process, in rounds whose contenders take turns; a ratio is the median of the
rounds' ratios, and holds better than microseconds do. Each contender is a process of its own with Lambda's variables
and a session token, and calls a responder in yet another process, over HTTP on the loopback, or over HTTPS where the
table says so. The bridge runs as packaged, with its configuration compiled and its log on.
"""


def machine() -> Sequence[str]:
    """What the figures depend on, and nothing that names the machine."""
    packages = ", ".join(f"{name} {version(name)}" for name in ("boto3", "aws-lambda-powertools"))
    loop = f"a loop of 1,000,000 additions: {_loop():.0f} ms"
    return [f"Python {sys.version.split()[0]}", f"{os.cpu_count()} cores", _processor(), packages, loop]


def _loop() -> float:
    """Milliseconds of CPU of a plain loop, the best of three: how slow this machine is now."""

    def loop() -> None:
        total = 0
        for number in range(1_000_000):
            total += number

    return min(microseconds(loop, 1) for _ in range(3)) / 1000


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return "unknown processor"
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, "unknown processor")


def markdown(tables: Sequence[Table]) -> str:
    facts = "".join(f"* {fact}\n" for fact in machine())
    return "\n".join([_HOW, facts, *(table.markdown() for table in tables)])


@click.command()
@click.option("--quick", is_flag=True, help="See that everything works; the figures mean nothing.")
@click.option("--only", type=click.Choice(list(SECTIONS)), multiple=True, help="Some parts; writes no file.")
@click.option(
    "--python", default=sys.executable, help="The Python that starts are measured with, such as Lambda's python3.13."
)
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), help="Where to write, in any case.")
def main(quick: bool, only: tuple[str, ...], python: str, output: Path | None) -> None:
    """Measure, and show what is to be reached."""
    began, progress = time.monotonic(), Console(stderr=True)
    tables: list[Table] = []
    ratios: dict[str, float] = {}
    names = only or tuple(SECTIONS)
    with responding() as url, tempfile.TemporaryDirectory() as folder:
        for number, name in enumerate(names, 1):
            progress.print(f"{time.monotonic() - began:4.0f} s  {number}/{len(names)}  {name}", highlight=False)
            section = SECTIONS[name](Bench(url, Path(folder), quick, python))
            tables += section.tables
            ratios |= section.ratios
    reached = goals.table(ratios, quick=quick)
    shown = [*([reached] if reached.rows else []), *tables]
    if output is None and not quick and not only:
        output = RESULTS
    if output is not None:
        output.write_text(markdown(shown), encoding="utf-8")
    console = Console()
    console.width = console.width if console.is_terminal else 120
    for table in reversed(shown):  # what was to be reached stands last, where a terminal ends
        console.print(table.drawn(), "")
    console.print(f"{', '.join(machine())}; {time.monotonic() - began:.0f} s", highlight=False)


if __name__ == "__main__":
    main()
