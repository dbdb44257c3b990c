"""This checkout beside another commit, in the same rounds: `make bench-against COMMIT=…`.

Rule: both run the same contenders, in turns with each other and with the same peers. Each packages its own
configuration and its own code: what one has compiled, the other would ignore.
"""

from __future__ import annotations

import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

import click
from rich.console import Console

from benchmarks import start
from benchmarks.certificates import Certificates
from benchmarks.contenders import (
    DIRECT,
    LARGE,
    LARGE_POWERTOOLS,
    MANY,
    MANY_POWERTOOLS,
    OURS,
    OWN,
    POST,
    POWERTOOLS,
    REMEMBERED,
    THREADS,
)
from benchmarks.environment import ROOT, like_lambda
from benchmarks.responder import Manner, responding
from benchmarks.side_by_side import Contender, Measured, take_turns
from benchmarks.size import FEW
from benchmarks.size import MANY as RULES
from benchmarks.stack import FRONT, PROCESSES, Load, loaded
from benchmarks.table import Table

BEFORE, AFTER = "before", "after"

_CONFIGURATION: Final = """
import sys
from pathlib import Path
from benchmarks import configuration
getattr(configuration, sys.argv[1])(Path(sys.argv[2]), *map(int, sys.argv[3:]))
"""
_PACKAGE: Final = """
import sys
from pathlib import Path
from benchmarks.configuration import SHIPPED
from lattice_bridge.packaging.build import Request, build_folder
from lattice_bridge.packaging.bytecode import compiler_for
from tests.support.packages import install_from_here
folder, runtime = Path(sys.argv[1]), sys.argv[2]
text = SHIPPED.read_text(encoding="utf-8")
request = Request(text, folder.parent, runtime, compiler_for(runtime), False, lambda _: None, install_from_here)
build_folder(request, "x86_64", folder)
"""


class Line(NamedTuple):
    """One line of the table.

    Attributes:
        label: what is measured.
        contender: by its name in both commits.
        peer: the contender, or the label of another line, that it is compared with.
        packaged: a function of `benchmarks.configuration`, and its arguments.
    """

    label: str
    contender: str
    peer: str
    packaged: tuple[str, ...] = ("shipped",)


@dataclass(frozen=True, slots=True)
class Group:
    """Lines whose contenders take turns.

    Attributes:
        rounds: how many.
        requests: of each contender in each round.
        lines: of the table.
        manner: of the responder. It has a certificate if the URL is to be HTTPS.
    """

    rounds: int
    requests: int
    lines: Sequence[Line]
    manner: Manner = field(default_factory=Manner)


_TLS: Final = "to be made"
_FEW, _MANY = (f"warm, {number:,} rules" for number in (FEW, RULES))
GROUPS: Final[Mapping[str, Group]] = {
    "warm": Group(
        45,
        200,
        [
            Line("warm, IAM principal, over Powertools", OURS, POWERTOOLS),
            Line("the same over POST", OURS, POST),
            Line("warm, remembered token, over Powertools", REMEMBERED, POWERTOOLS, ("with_issuer",)),
            Line("the bridge without its invoke, over POST", OWN, POST),
            Line("the direct invoker alone, over POST", DIRECT, POST),
        ],
    ),
    "tls": Group(45, 200, [Line("warm over TLS, over Powertools", OURS, POWERTOOLS)], Manner(certificate=_TLS)),
    "handshake": Group(
        15,
        50,
        [Line("a new TLS connection each, over Powertools", OURS, POWERTOOLS)],
        Manner(certificate=_TLS, keeps=False),
    ),
    "body": Group(11, 5, [Line("6 MB, over Powertools", LARGE, LARGE_POWERTOOLS)]),
    "threads": Group(
        9,
        THREADS * 30,
        [Line(f"{THREADS} threads, over Powertools", MANY, MANY_POWERTOOLS, ("with_tenants", str(THREADS)))],
    ),
    "rules": Group(
        25,
        400,
        [
            Line(_FEW, OURS, _FEW, ("with_rules", str(FEW))),
            Line(f"{_MANY}, over {FEW}", OURS, _FEW, ("with_rules", str(RULES))),
        ],
    ),
}


class Comparison:
    """Both checkouts, and a folder for what they package.

    Args:
        checkouts: `BEFORE` and `AFTER`.
        folder: empty.
        quick: only to see that everything works.
    """

    def __init__(self, checkouts: Mapping[str, Path], folder: Path, *, quick: bool) -> None:
        self._checkouts = checkouts
        self._folder = folder
        self._quick = quick
        self._packaged: dict[tuple[str, tuple[str, ...]], Path] = {}

    def few(self, number: int) -> int:
        return 2 if self._quick else number

    def cpu(self, group: Group) -> list[tuple[str, ...]]:
        """The rows of a group: microseconds, and ratios."""
        manner, trusted = group.manner, None
        if manner.certificate:
            made = Certificates.made_in(self._folder / "tls")
            manner, trusted = Manner(certificate=str(made.server), keeps=manner.keeps), made.root
        with responding(manner) as url:
            contenders = {
                key(which, line.contender, line.packaged): Contender(
                    line.contender, like_lambda(url, self._configuration(which, line.packaged), trusted), root
                )
                for line in group.lines
                for which, root in self._checkouts.items()
            }
            names = {line.label for line in group.lines}
            for peer in {line.peer for line in group.lines} - names:
                environ = like_lambda(url, self._configuration(AFTER, group.lines[0].packaged), trusted)
                contenders[key(AFTER, peer)] = Contender(peer, environ)
            found = take_turns(contenders, self.few(group.rounds), THREADS if self._quick else group.requests)
        return [row(line, group.lines, found) for line in group.lines]

    def starts(self) -> list[tuple[str, ...]]:
        """Milliseconds of a fresh process to its first answer."""
        folders = start.peer_folders(self._folder / "peers")
        programs = {name: start.PROGRAMS[name] for name in (start.BUILT_BY_SAM, start.POWERTOOLS, start.CLIENT)}
        for which, root in self._checkouts.items():
            folders[which], programs[which] = self._folder / f"start-{which}", start.PROGRAMS[start.PACKAGED]
            _run_in(root, _PACKAGE, str(folders[which]), start.runtime_of())
            start.as_unzipped(folders[which])
        with responding() as url:
            environs = {name: like_lambda(url, folders[name]) for name in programs}
            found = start.rounds_of(programs, folders, environs, self.few(start.ROUNDS))

        def over(which: str, peer: str) -> str:
            return f"{statistics.median(one[which] / one[peer] for one in found):.3f}"

        cost = {which: f"{statistics.median(one[which] for one in found):,.0f} ms" for which in (BEFORE, AFTER)}
        return [
            (f"start, over {words}", *cost.values(), over(AFTER, BEFORE), over(BEFORE, peer), over(AFTER, peer))
            for words, peer in (
                ("Powertools as `sam build` packages it", start.BUILT_BY_SAM),
                ("Powertools", start.POWERTOOLS),
                ("a boto3 client", start.CLIENT),
            )
        ]

    def stacks(self) -> list[tuple[str, ...]]:
        """Both local stacks run at the same time, and are asked in turns."""
        with ExitStack() as running:
            stacks = {which: running.enter_context(loaded(root)) for which, root in self._checkouts.items()}
            rounds: list[dict[str, Load]] = []
            for number in range(self.few(9)):
                order = list(stacks) if number % 2 == 0 else list(reversed(stacks))
                rounds.append({which: stacks[which].run(32 if self._quick else 1_000) for which in order})
        measures: dict[str, Callable[[Load], float]] = {
            "local stack, eight clients: requests/s": lambda load: load.rate,
            f"CPU ms of {FRONT}": lambda load: load.cpu[FRONT] * 1000 / load.requests,
            "CPU ms of the bridge's environments": lambda load: (
                load.cpu[PROCESSES["BridgeFunction"]] * 1000 / load.requests
            ),
        }
        return [_stack_row(words, measure, rounds) for words, measure in measures.items()]

    def _configuration(self, which: str, packaged: tuple[str, ...]) -> Path:
        """The folder with what a checkout has packaged, made once."""
        made = self._packaged.get((which, packaged))
        if made is None:
            made = self._packaged[which, packaged] = self._folder / f"{which}-{len(self._packaged)}"
            sizes = (str(min(int(size), 1_000)) if self._quick else size for size in packaged[1:])
            _run_in(self._checkouts[which], _CONFIGURATION, packaged[0], str(made), *sizes)
        return made


def _run_in(checkout: Path, program: str, *arguments: str) -> None:
    # In the checkout, which is first on the path: before the package that is installed.
    environ = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}
    subprocess.run([sys.executable, "-c", program, *arguments], cwd=checkout, env=environ, check=True)


def key(which: str, contender: str, packaged: tuple[str, ...] = ()) -> str:
    """The label of a process. A peer that is the same for both has packaged nothing of its own."""
    return f"{which}: {contender}: {' '.join(packaged)}"


def row(line: Line, lines: Sequence[Line], found: Measured) -> tuple[str, ...]:
    """A row of the table. If the peer is one of the other lines, each checkout is compared with its own."""
    before, after = (key(which, line.contender, line.packaged) for which in (BEFORE, AFTER))
    beside = next((one for one in lines if one.label == line.peer), None)
    peers = {
        which: key(AFTER, line.peer) if beside is None else key(which, beside.contender, beside.packaged)
        for which in (BEFORE, AFTER)
    }
    return (
        line.label,
        *(f"{statistics.median(found.cpu(name)):,.0f} µs" for name in (before, after)),
        f"{found.ratio(after, before):.3f}",
        *(f"{found.ratio(name, peers[which]):.3f}" for which, name in ((BEFORE, before), (AFTER, after))),
    )


def _stack_row(words: str, measure: Callable[[Load], float], rounds: Sequence[Mapping[str, Load]]) -> tuple[str, ...]:
    medians = (statistics.median(measure(one[which]) for one in rounds) for which in (BEFORE, AFTER))
    ratio = statistics.median(measure(one[AFTER]) / measure(one[BEFORE]) for one in rounds)
    return (words, *(f"{median:,.2f}" for median in medians), f"{ratio:.3f}", "", "")


@contextmanager
def checked_out(commit: str, folder: Path) -> Iterator[Path]:
    """A worktree of a commit, which is removed after the block."""
    root = folder / "checkout"
    added = subprocess.run(["git", "worktree", "add", "--quiet", "--detach", str(root), commit], cwd=ROOT)
    if added.returncode:
        raise click.BadParameter(f"git has no {commit}. Fix: name a commit of this repository, such as HEAD~1")
    try:
        yield root
    finally:
        subprocess.run(["git", "worktree", "remove", "--force", str(root)], cwd=ROOT, check=True)


PARTS: Final = (*GROUPS, "start", "stack")


def compare(commit: str, parts: Sequence[str], progress: Console, *, quick: bool) -> Table:
    """Measures the parts in turn, and shows which one it is at."""
    rows: list[tuple[str, ...]] = []
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder, checked_out(commit, Path(folder)) as root:
        both = Comparison({BEFORE: root, AFTER: ROOT}, Path(folder), quick=quick)
        for number, part in enumerate(parts, 1):
            progress.print(f"{time.monotonic() - began:4.0f} s  {number}/{len(parts)}  {part}", highlight=False)
            rows += {"start": both.starts, "stack": both.stacks}.get(part, lambda part=part: both.cpu(GROUPS[part]))()
    columns = ("", BEFORE, AFTER, "after over before", f"{BEFORE} over the peer", f"{AFTER} over the peer")
    note = "CPU for each request, medians; a ratio is the median of the rounds' ratios. Both take turns with the peers."
    return Table(f"This checkout after {commit}", columns, rows, note)


@click.command()
@click.argument("commit")
@click.option("--quick", is_flag=True, help="See that everything works; the figures mean nothing.")
@click.option("--only", type=click.Choice(PARTS), multiple=True, help="Some parts.")
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), help="A file for the table, in Markdown.")
def main(commit: str, quick: bool, only: tuple[str, ...], output: Path | None) -> None:
    """Measure this checkout and COMMIT side by side."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # or it would end without removing the worktree
    table = compare(commit, only or PARTS, Console(stderr=True), quick=quick)
    console = Console()
    console.width = console.width if console.is_terminal else 120
    console.print(table.drawn())
    if output is not None:
        output.write_text(table.markdown(), encoding="utf-8")


if __name__ == "__main__":
    main()
