"""What a decision costs with sixteen rules and with 105,000, and what such a map costs to load and to keep."""

from __future__ import annotations

import resource
import statistics
import time
from functools import partial

from rich.console import Console
from rich.table import Table

from benchmarks.cpu import microseconds
from lattice_bridge.arn import parse_arn
from lattice_bridge.message import Caller, Request
from lattice_bridge.rules import Rule, Rules, Tenant, role_key
from lattice_bridge.tenant import decide

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


def request(role: str) -> Request:
    principal = parse_arn(f"arn:aws:sts::000000000007:assumed-role/{role}/i-0123456789")
    caller = Caller(authenticated=True, iam=principal, session_name=principal.session)
    return Request(version=2, method="GET", path="/", headers=(("host", "h"), ("accept", "*/*")), caller=caller)


def main() -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.process_time()
    large = rules(100_000, 5_000)
    built = time.process_time() - began
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    small = rules(8, 8)
    calls: dict[str, tuple[Rules, Request]] = {
        "16 rules, exact role": (small, request("role-7")),
        "105,000 rules, exact role": (large, request("role-7")),
        "16 rules, prefix": (small, request("team-7-a-b-c-d")),
        "105,000 rules, prefix": (large, request("team-7-a-b-c-d")),
        "16 rules, no rule": (small, request("a-b-c-d-e-f-g-h")),
        "105,000 rules, no rule": (large, request("a-b-c-d-e-f-g-h")),
    }
    decisions = {name: partial(decide, one, found) for name, (found, one) in calls.items()}
    for decision in decisions.values():
        microseconds(decision, CALLS)
    rounds = [{name: microseconds(call, CALLS) for name, call in decisions.items()} for _ in range(ROUNDS)]
    table = Table(title=f"A decision, CPU; {built:.2f} s and {grown:.0f} MiB to build 105,000 rules")
    for column in ("", "median µs", "over 16 rules"):
        table.add_column(column, justify="left" if not column else "right")
    for name in calls:
        like = f"16 rules,{name.rpartition(',')[2]}"
        median = statistics.median(found[name] for found in rounds)
        over = statistics.median(found[name] - found[like] for found in rounds)
        table.add_row(name, f"{median:.2f}", f"{over:+.2f}")
    Console().print(table)


if __name__ == "__main__":
    main()
