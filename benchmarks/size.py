"""Ten rules and a hundred thousand: a warm request through the whole handler, and what the large map costs to load."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

from benchmarks import configuration
from benchmarks.contenders import OURS
from benchmarks.environment import like_lambda
from benchmarks.section import Bench, Section
from benchmarks.side_by_side import Measured, measure, spread
from benchmarks.table import Table

FEW, MANY = 10, 100_000

_LOADING: Final = """
import json, os, time
from benchmarks.memory import resident
from lattice_bridge.config.settings import Settings

before, began = resident(), time.process_time()
settings = Settings.load(os.environ)
print(json.dumps({"seconds": time.process_time() - began, "MiB": resident() - before}))
"""


def load(folder: Path) -> dict[str, Any]:
    """Seconds of CPU and MiB that stay, of loading a packaged configuration in a fresh process."""
    command, environ = [sys.executable, "-c", _LOADING], like_lambda("http://localhost", folder)
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def run(bench: Bench) -> Section:
    few = configuration.with_rules(bench.folder / "few", FEW)
    number = 1_000 if bench.quick else MANY
    many = configuration.with_rules(bench.folder / "many", number)
    rounds, requests = bench.few(25), 20 if bench.quick else 400
    found = measure(bench.url, {_named(FEW): (OURS, few), _named(number): (OURS, many)}, rounds, requests)
    return Section(
        [_warm(found, f"{rounds} rounds of {requests}"), _loaded(many, number, bench)],
        {"100,000 rules over 10": found.ratio(_named(number), _named(FEW))},
    )


def _named(number: int) -> str:
    return f"{number:,} rules"


def _warm(found: Measured, rounds: str) -> Table:
    rows = [
        (name, *spread(found.cpu(name)), f"{found.ratio(name, _named(FEW)):.3f}", f"{found.idle[name]:.0f}")
        for name in found.idle
    ]
    columns = ("", "CPU µs, median", "range", "over 10 rules", "resident MiB")
    return Table(f"A warm request with few rules and with many, {rounds}", columns, rows)


def _loaded(many: Path, number: int, bench: Bench) -> Table:
    compiled = [load(many) for _ in range(bench.few(5))]
    (many / "bridge.json").unlink()
    toml = [load(many) for _ in range(bench.few(3))]
    rows = [
        (name, *spread([one["seconds"] for one in found], 2), f"{max(one['MiB'] for one in found):.0f}")
        for name, found in (("compiled", compiled), ("TOML", toml))
    ]
    columns = ("", "CPU s, median", "range", "MiB that stay")
    tenants = min(number, configuration.TENANTS)
    return Table(f"{number:,} rules and {tenants:,} tenants, loaded in a fresh process", columns, rows)
