"""One contender in a process of its own: `python -m benchmarks.peer NAME`.

Each line in says how many requests to make, each line out what they cost. Between its turns it does nothing.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

from benchmarks.contenders import CONTENDERS, THREADS
from benchmarks.memory import forget_peak, peak, resident

UNCOUNTED = 2 * THREADS
"""Requests before all others, for what is done once."""


def main() -> None:
    out = sys.stdout
    # Log lines are written as Lambda's runtime writes them: at once, a system call each.
    sys.stdout = Path(os.devnull).open("w", encoding="utf-8", buffering=1)  # noqa: SIM115 - as long as the process
    name = sys.argv[1]
    batch = CONTENDERS[name]()
    if "6 MB" not in name:
        batch(UNCOUNTED)
    forget_peak()
    print(json.dumps({"peak": peak()}), file=out, flush=True)
    for line in sys.stdin:
        number = int(line)
        cpu, wall = time.process_time(), time.perf_counter()
        crossed = batch(number)
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        found = {"cpu": cpu / number * 1e6, "rate": number / wall, "peak": peak()}
        found |= {"resident": resident(), "crossed": crossed}
        print(json.dumps(found), file=out, flush=True)


if __name__ == "__main__":
    main()
