"""Ending processes, and those they started.

Rule: nothing that an environment started outlives it. A handler may fork, and its child may leave the process group;
the mark in its environment stays.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Final

MARK: Final = "LATTICE_BRIDGE_STACK"
"""Environment variable that every process of a stack carries: `STACK/NUMBER`."""


def kill_group(pid: int) -> None:
    """Kills a process and its group, as Lambda does: without asking."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def kill_marked(mark: str) -> int:
    """Kills every process that carries `mark`, or a mark that begins with it. Linux only; elsewhere finds none."""
    found = [pid for pid in marked(mark) if pid != os.getpid()]
    for pid in found:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)
    return len(found)


def marked(mark: str) -> Iterator[int]:
    """The ids of processes that carry `mark`."""
    wanted = f"{MARK}={mark}".encode()
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if any(field.startswith(wanted) for field in (entry / "environ").read_bytes().split(b"\0")):
                yield int(entry.name)
