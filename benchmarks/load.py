"""What a map of 105,000 rules costs to load, as TOML and compiled: each in a fresh process, as at a cold start."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from lattice_bridge.compiling import compile_document
from lattice_bridge.document import parse_document

EXACT, PREFIXES, TENANTS, ACCOUNTS = 100_000, 5_000, 10_000, 500
ROUNDS: Final = 5

_CHILD: Final = """
import json, resource, sys, time
from lattice_bridge.settings import Settings

def resident():
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * resource.getpagesize() / 2**20

before, began = resident(), time.process_time()
settings = Settings.load({"LATTICE_BRIDGE_CONFIG": sys.argv[1]})
seconds = time.process_time() - began
print(json.dumps({"seconds": seconds, "MiB": resident() - before, "rules": len(settings.tenant_map.rules.owners)}))
"""


def written() -> str:
    """A bridge.toml: most rules for one role, some for the roles of a team."""
    lines = ['[[backend]]\nfunction = "orders"\n[tenants]', *(f"tenant-{number} = {{}}" for number in range(TENANTS))]
    for number in range(EXACT + PREFIXES):
        name = f"service-{number}" if number < EXACT else f"team-{number}-*"
        role = f"arn:aws:iam::{number % ACCOUNTS:012d}:role/{name}"
        lines.append(f'[[rule]]\nid = "rule-{number}"\nrole = "{role}"\ntenant = "tenant-{number % TENANTS}"')
    return "\n".join(lines)


def load(path: Path) -> dict[str, Any]:
    """Seconds of CPU, MiB that stay, rules."""
    done = subprocess.run([sys.executable, "-c", _CHILD, str(path)], capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        toml, compiled = Path(folder, "bridge.toml"), Path(folder, "bridge.json")
        toml.write_text(written(), encoding="utf-8")
        document = parse_document(toml.read_text(encoding="utf-8"))
        compiled.write_text(compile_document(document, Path()), encoding="utf-8")
        table = Table(title="105,000 rules and 10,000 tenants, loaded in a fresh process")
        for column in ("", "file MiB", "CPU s, median", "lowest – highest", "MiB that stay"):
            table.add_column(column, justify="left" if not column else "right")
        for name, path, rounds in (("compiled", compiled, ROUNDS), ("TOML", toml, 2)):
            found = [load(path) for _ in range(rounds)]
            seconds = [one["seconds"] for one in found]
            table.add_row(
                name,
                f"{path.stat().st_size / 2**20:.1f}",
                f"{statistics.median(seconds):.2f}",
                f"{min(seconds):.2f} – {max(seconds):.2f}",
                f"{statistics.median(one['MiB'] for one in found):.0f}",
            )
        Console().print(table)


if __name__ == "__main__":
    main()
