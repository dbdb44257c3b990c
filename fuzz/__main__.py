"""Runs the strategies of lattice_bridge.testing against the bridge, for longer than tests may take: `make fuzz`.

Rule: bounded by examples and by seconds, in two processes. For a failure, the command that repeats it is printed.
"""

from __future__ import annotations

import secrets
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from multiprocessing import get_context

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from fuzz.rounds import Outcome, Round
from fuzz.targets import TARGETS, run_named

PROCESSES = 2


def rounds(names: tuple[str, ...], examples: int, seed: int) -> Iterator[Round]:
    """All rounds, spread evenly: if the time is up, each target has tried about the same part of its examples."""
    total = sum(TARGETS[name].thousandths for name in names)
    planned: list[tuple[float, str, int]] = []
    for name in names:
        share = TARGETS[name]
        left = wanted = -(-examples * share.thousandths // total)
        while left:
            size = min(left, share.at_once)
            left -= size
            planned.append(((wanted - left) / wanted, name, size))
    for number, (_, name, size) in enumerate(sorted(planned)):
        yield Round(name, seed + number, size)


def fuzz(todo: list[Round], seconds: float, progress: Progress) -> list[Outcome]:
    """Runs rounds until all are done, the time is up, or one has failed."""
    until = time.monotonic() + seconds
    totals = Counter[str]()
    for one in todo:
        totals[one.target] += one.examples
    bars = {name: progress.add_task(name, total=total) for name, total in totals.items()}
    found: list[Outcome] = []
    ahead, running = iter(todo), set[Future[Outcome]]()
    with ProcessPoolExecutor(PROCESSES, mp_context=get_context("spawn")) as pool:
        while True:
            go_on = time.monotonic() < until and not any(outcome.failure for outcome in found)
            while go_on and len(running) < PROCESSES and (following := next(ahead, None)) is not None:
                running.add(pool.submit(run_named, following))
            if not running:
                return found
            done, running = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                found.append(future.result())
                progress.advance(bars[found[-1].round.target], found[-1].examples)


def report(found: list[Outcome], console: Console, seconds: float, asked: int) -> None:
    """Prints one line for each target, and the failures."""
    table = Table()
    for title in ("target", "examples", "rounds", "a second of one processor"):
        table.add_column(title, justify="left" if title == "target" else "right")
    for name in dict.fromkeys(outcome.round.target for outcome in found):
        of = [outcome for outcome in found if outcome.round.target == name]
        tried, spent = sum(outcome.examples for outcome in of), sum(outcome.seconds for outcome in of)
        table.add_row(name, f"{tried:,}", str(len(of)), f"{tried / spent:,.0f}")
    console.print(table)
    tried = sum(outcome.examples for outcome in found)
    cut = "" if tried >= asked else f", of {asked:,}: the time was up, or a round failed"
    console.print(f"{tried:,} examples in {seconds:.0f} s{cut}", highlight=False)
    for outcome in found:
        if outcome.failure:
            console.print(
                f"\n{outcome.round.target} failed; again, with its shrinking:  {outcome.round.command}\n",
                soft_wrap=True,
            )
            console.print(outcome.failure, markup=False, highlight=False, soft_wrap=True)


@click.command()
@click.option("--examples", default=100_000, show_default=True, help="The number of examples, over all targets.")
@click.option("--seconds", default=300.0, show_default=True, help="No round begins after so many seconds.")
@click.option("--only", type=click.Choice(list(TARGETS)), multiple=True, help="Only these targets.")
@click.option(
    "--seed",
    type=int,
    help="The seed of the first round; the others count on from it. By default another one each time.",
)
def main(examples: int, seconds: float, only: tuple[str, ...], seed: int | None) -> None:
    """Try examples, and print failures. Exits with 1 if there are any."""
    console, began = Console(), time.monotonic()
    seed = secrets.randbelow(10**9) if seed is None else seed
    todo = list(rounds(only or tuple(TARGETS), examples, seed))
    console.print(f"{examples:,} examples, at most {seconds:.0f} s, seed {seed}", highlight=False)
    columns = (TextColumn("{task.description:17}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        found = fuzz(todo, seconds, progress)
    report(found, console, time.monotonic() - began, examples)
    sys.exit(1 if any(outcome.failure for outcome in found) else 0)


if __name__ == "__main__":
    main()
