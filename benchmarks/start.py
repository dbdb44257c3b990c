"""A fresh process to its first answer: CPU of the whole process, the interpreter's own start included."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Final

from benchmarks import configuration
from benchmarks.environment import like_lambda
from benchmarks.request import EVENT
from benchmarks.section import Bench, Section
from benchmarks.side_by_side import spread
from benchmarks.table import Table

_FIRST_ANSWER: Final = """
import sys
from MODULE import handler
class Context:
    aws_request_id = "8f5a7b1c-0000-4000-8000-000000000000"
    def get_remaining_time_in_millis(self):
        return 30_000
sys.exit(handler(EVENT, Context())["statusCode"] != 200)
"""


def _first_answer(module: str) -> str:
    return _FIRST_ANSWER.replace("MODULE", module).replace("EVENT", repr(EVENT))


COMPILED: Final = "the bridge, as packaged"
TOML: Final = "the bridge, TOML alone"
POWERTOOLS: Final = "Powertools' resolver and boto3"
CLIENT: Final = "import boto3, and a Lambda client; no request"
INTERPRETER: Final = "the interpreter alone"
PROGRAMS: Final = {
    COMPILED: _first_answer("lattice_bridge.main"),
    TOML: _first_answer("lattice_bridge.main"),
    POWERTOOLS: _first_answer("benchmarks.powertools"),
    CLIENT: 'import boto3; boto3.client("lambda")',
    INTERPRETER: "pass",
}
ROUNDS: Final = 15


def milliseconds(program: str, environ: dict[str, str]) -> float:
    """CPU of a process from its start to its end, in user and kernel."""
    command = [sys.executable, "-c", program]
    with subprocess.Popen(command, env=environ, stdout=subprocess.DEVNULL) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"a start ended with {process.returncode}: {program}")
    return (usage.ru_utime + usage.ru_stime) * 1000


def _measured(url: str, folders: dict[str, Path], rounds: int) -> list[dict[str, float]]:
    environs = {name: like_lambda(url, folder) for name, folder in folders.items()}
    names = list(PROGRAMS)
    for name in names:
        milliseconds(PROGRAMS[name], environs[name])  # writes bytecode, and brings files into memory
    return [
        {name: milliseconds(PROGRAMS[name], environs[name]) for name in (names if number % 2 == 0 else names[::-1])}
        for number in range(rounds)
    ]


def run(bench: Bench) -> Section:
    packaged = configuration.shipped(bench.folder / "start")
    toml = configuration.toml_alone(bench.folder / "start-toml")
    found = _measured(bench.url, {name: toml if name == TOML else packaged for name in PROGRAMS}, bench.few(ROUNDS))

    def ratio(name: str, other: str) -> float:
        return statistics.median(one[name] / one[other] for one in found)

    rows = []
    for name in PROGRAMS:
        more = statistics.median(one[name] - one[INTERPRETER] for one in found)
        over = (f"{ratio(name, POWERTOOLS):.2f}", f"{ratio(name, CLIENT):.2f}")
        rows.append((name, *spread([one[name] for one in found]), f"{more:.0f}", *over))
    columns = (
        "",
        "CPU ms, median",
        "range",
        "over the interpreter",
        "over Powertools",
        "over boto3's client",
    )
    note = (
        "User and system time of the whole process, from its start to its end. Ratios are of the whole; the fourth "
        "column is without the interpreter. All contenders have bytecode; none uses TLS: the responder does not."
    )
    return Section(
        [Table(f"Start to the first answer, {len(found)} rounds", columns, rows, note)],
        {"start over Powertools": ratio(COMPILED, POWERTOOLS), "start over boto3": ratio(COMPILED, CLIENT)},
    )
