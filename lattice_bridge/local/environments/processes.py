"""Ending processes, and those they started.

Rule: nothing that an environment started outlives it, or at the latest the stack. A handler may fork, its child may
leave the process group, and may even shed the mark in its environment: then it is found as the stack's own child.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

MARK: Final = "LATTICE_BRIDGE_STACK"
"""Environment variable that every process of a stack carries: `NAMESPACE.PID.STACK/NUMBER.`, both being the stack's.

A pid means nothing in another PID namespace: containers show their processes to the machine's `/proc`.
"""

_PR_SET_CHILD_SUBREAPER: Final = 36
_ROUNDS: Final = 50
"""Generations of children that are killed. A process that forks faster than it is killed must not hold up the stop."""


def stack_mark(pid: int) -> str:
    """What the marks of a stack's processes begin with. The stack's PID namespace is this process's own."""
    return f"{_pid_namespace()}.{pid}."


def adopt_orphans() -> None:
    """Makes this process the parent of those whose own has died, so that they can be found. Linux only."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def kill_group(pid: int) -> None:
    """Kills a process and its group, as Lambda does: without asking."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def kill_marked(mark: str) -> None:
    """Kills every process whose mark begins with `mark`. Linux only; elsewhere finds none."""
    for pid, found in _marks():
        if found.startswith(mark):
            _end(pid)


def kill_left_behind() -> None:
    """Kills what belongs to stacks that were killed themselves, and could not clean up."""
    for pid, found in _marks():
        namespace, stack, *_ = [*found.split(".", 2), ""]
        if namespace == _pid_namespace() and stack.isdigit() and not Path("/proc", stack).exists():
            _end(pid)


def kill_strangers(mark: str) -> None:
    """Kills this process's children that do not carry `mark`: they were adopted, and shed it."""

    def is_stranger(pid: int) -> bool:
        found = _mark_of(pid)
        return found is not None and not found.startswith(mark)

    _end_all(lambda: [pid for pid in _children() if is_stranger(pid)])


def kill_children() -> None:
    """Kills this process's children, dead ones included: the last that is done."""
    _end_all(_children)


def _end_all(find: Callable[[], list[int]]) -> None:
    """Kills until none is found: the children of a process that was killed are this process's from then on."""
    for _ in range(_ROUNDS):
        pids = find()
        if not pids:
            return
        for pid in pids:
            _end(pid)


def _children() -> list[int]:
    with contextlib.suppress(OSError):
        return [int(pid) for pid in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()]
    return []


def _pid_namespace() -> str:
    """Its name, as in `pid:[4026531836]`; empty where there is none."""
    with contextlib.suppress(OSError):
        return str(Path("/proc/self/ns/pid").readlink())
    return ""


def _marks() -> Iterator[tuple[int, str]]:
    """Every process that carries a mark. None if `/proc` counts processes as another namespace does: its numbers are
    not those that `kill` takes here."""
    if not _proc_is_ours():
        return
    for entry in Path("/proc").glob("[0-9]*"):
        if found := _mark_of(int(entry.name)):
            yield int(entry.name), found


def _proc_is_ours() -> bool:
    with contextlib.suppress(OSError):
        return str(Path("/proc/self").readlink()) == str(os.getpid())
    return False


def _mark_of(pid: int) -> str | None:
    """A process's mark, empty if it has none; None if that cannot be told.

    A process is dead, or not ours to look at, or has no environment at all: one that has just been started looks so for
    a moment, between the kernel's letting its parent go on and the new program's getting its own.
    """
    try:
        environ = Path(f"/proc/{pid}/environ").read_bytes()
        dead = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0] == b"Z"
    except OSError:
        return None
    found = next((field for field in environ.split(b"\0") if field.startswith(f"{MARK}=".encode())), b"")
    return None if dead or not environ else found.partition(b"=")[2].decode("utf-8", "replace")


def _end(pid: int) -> None:
    """Kills, and if it is our child, takes note of its death."""
    if pid == os.getpid():
        return
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, signal.SIGKILL)
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, 0)
