"""The cost of a decision with sixteen rules and with 105,000, and the cost of building such an index."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from functools import partial

from benchmarks.cpu import microseconds
from benchmarks.memory import resident
from benchmarks.section import Bench, Section
from benchmarks.table import Table
from lattice_bridge.identity.principal import parse_arn
from lattice_bridge.message import Caller
from lattice_bridge.tenancy.anchors import role_key
from lattice_bridge.tenancy.decide import decide
from lattice_bridge.tenancy.rules import Rule, Rules, Tenant
from lattice_bridge.tenancy.subject import Subject

ROUNDS, CALLS = 15, 2_000


def rules(exact: int, prefixes: int) -> Rules:
    """An index as a loaded map has it, without the text it was read from."""
    made = [
        Rule(f"r{number}", role_key("aws", f"{number % 500:012d}", f"role-{number}"), frozenset({"blue"}))
        for number in range(exact)
    ]
    made += [
        Rule(f"p{number}", ("role-prefix", "aws", f"{number % 500:012d}", f"team-{number}-"), frozenset({"blue"}))
        for number in range(prefixes)
    ]
    return Rules.build("x-tenant-id", [Tenant("blue")], made)


def subject(role: str) -> Subject:
    principal = parse_arn(f"arn:aws:sts::000000000007:assumed-role/{role}/i-0123456789")
    return Subject(Caller(authenticated=True, iam=principal, session_name=principal.session))


def run(bench: Bench) -> Section:
    """In a process of its own, so that what the map takes does not stay."""
    command = [sys.executable, "-m", "benchmarks.rules", str(bench.few(ROUNDS))]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    return Section([Table(found["title"], ("", "CPU µs, median", "over 16 rules"), found["rows"])])


def main() -> None:
    before = resident()
    began = time.process_time()
    large = rules(100_000, 5_000)
    built = time.process_time() - began
    grown = resident() - before
    small = rules(8, 8)
    calls: dict[str, tuple[Rules, Subject]] = {
        "16 rules, exact role": (small, subject("role-7")),
        "105,000 rules, exact role": (large, subject("role-7")),
        "16 rules, prefix": (small, subject("team-7-a-b-c-d")),
        "105,000 rules, prefix": (large, subject("team-7-a-b-c-d")),
        "16 rules, no rule": (small, subject("a-b-c-d-e-f-g-h")),
        "105,000 rules, no rule": (large, subject("a-b-c-d-e-f-g-h")),
    }
    decisions = {name: partial(decide, one, found) for name, (found, one) in calls.items()}
    for decision in decisions.values():
        microseconds(decision, CALLS)
    rounds = [{name: microseconds(call, CALLS) for name, call in decisions.items()} for _ in range(int(sys.argv[1]))]
    rows = []
    for name in calls:
        like = f"16 rules,{name.rpartition(',')[2]}"
        median = statistics.median(found[name] for found in rounds)
        over = statistics.median(found[name] - found[like] for found in rounds)
        rows.append((name, f"{median:.2f}", f"{over:+.2f}"))
    title = f"A decision alone; {built:.2f} s and {grown:.0f} MiB to build an index of 105,000 rules"
    print(json.dumps({"title": title, "rows": rows}))


if __name__ == "__main__":
    main()
