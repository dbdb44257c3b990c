"""Ends processes, and the processes that they started.

Rule: no process that an environment started outlives the environment, or at the latest the stack. A handler may fork,
and its child may leave the process group and remove the mark from its environment: then the child is found as one of
the stack's own children.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Final

MARK: Final = "LATTICE_BRIDGE_STACK"
"""Environment variable of every process of a stack: `NAMESPACE.PID.STACK/NUMBER.`, with the stack's namespace and pid.

A pid means nothing in another PID namespace, and the machine's `/proc` shows the processes of containers.
"""

STOP_SECONDS: Final = 20.0
"""Seconds in which a stack must stop by itself. It gives two of them to requests that are running."""

_PR_SET_CHILD_SUBREAPER: Final = 36
_ROUNDS: Final = 50
"""Generations of children that are killed. A process that forks faster than it is killed must not delay the stop."""


def stack_mark(pid: int) -> str:
    """Returns the beginning of the marks of a stack's processes. The stack is in this process's own PID namespace."""
    return f"{_pid_namespace()}.{pid}."


def adopt_orphans() -> None:
    """Makes this process the parent of descendants whose own parent has died, so that it can find them. Linux only."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def kill_group(pid: int) -> None:
    """Kills a process and its group with SIGKILL, as Lambda does."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def kill_marked(mark: str) -> None:
    """Kills every process whose mark begins with `mark`. On other systems than Linux, it finds none."""
    for pid, found in _marks():
        if found.startswith(mark):
            _end(pid)


def kill_left_behind() -> None:
    """Kills the processes of stacks that were killed themselves, and could not clean up."""
    for pid, found in _marks():
        namespace, stack, *_ = [*found.split(".", 2), ""]
        if namespace == _pid_namespace() and stack.isdigit() and not Path("/proc", stack).exists():
            _end(pid)


def kill_unmarked_children(mark: str) -> None:
    """Kills this process's children whose mark does not begin with `mark`: they were adopted, and removed theirs.

    An installation of packages, which this process has started, has its stack's mark without a number.
    """

    def is_unmarked(pid: int) -> bool:
        found = _mark_of(pid)
        return found not in (None, stack_mark(os.getpid())) and not found.startswith(mark)

    _end_all(lambda: [pid for pid in _children() if is_unmarked(pid)])


def kill_session(leader: int) -> None:
    """Kills and reaps this process's children that are in the session of an ended process: they were adopted.

    A shell that is killed leaves the program that it waits for, which is killed with it, and which nothing else reaps.
    """
    _end_all(lambda: [pid for pid in _children() if pid != leader and _session_of(pid) == leader])


def kill_children() -> None:
    """Kills this process's children, and reaps the dead ones. It is the last step of a stop."""
    _end_all(_children)


def resident(pid: int) -> int | None:
    """Bytes of memory that a process has; None if it has ended, or the system does not say. Linux only.

    Pages that it shares with others, such as those of libraries, count too.
    """
    with contextlib.suppress(OSError, ValueError):
        return int(Path(f"/proc/{pid}/statm").read_bytes().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return None


def _end_all(find: Callable[[], list[int]]) -> None:
    """Kills until none is found: the children of a killed process become this process's children."""
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
    """Returns the namespace's name, as in `pid:[4026531836]`; empty on a system without namespaces."""
    with contextlib.suppress(OSError):
        return str(Path("/proc/self/ns/pid").readlink())
    return ""


def _marks() -> Iterator[tuple[int, str]]:
    """Gives every process that has a mark.

    Gives none if `/proc` belongs to another PID namespace: to `kill`, its numbers mean other processes.
    """
    if not _proc_is_own():
        return
    for entry in Path("/proc").glob("[0-9]*"):
        if found := _mark_of(int(entry.name)):
            yield int(entry.name), found


def _proc_is_own() -> bool:
    with contextlib.suppress(OSError):
        return str(Path("/proc/self").readlink()) == str(os.getpid())
    return False


def _mark_of(pid: int) -> str | None:
    """Returns a process's mark, empty if it has none; None if that is unknown.

    It is unknown for a process that is dead, that belongs to another user, or that has no environment at all. A process
    that was just started has none for a moment, until the kernel has loaded its program. Before, between fork(2) and
    exec(2), it has that of this process: to kill it for that would be to kill an environment that starts.
    """
    try:
        environ = Path(f"/proc/{pid}/environ").read_bytes()
        dead = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0] == b"Z"
    except OSError:
        return None
    found = next((field for field in environ.split(b"\0") if field.startswith(f"{MARK}=".encode())), b"")
    return None if dead or environ in (b"", _own_environ()) else found.partition(b"=")[2].decode("utf-8", "replace")


@cache
def _own_environ() -> bytes:
    """The environment that this process was started with: it has no mark, and `/proc` does not show later changes."""
    with contextlib.suppress(OSError):
        return Path("/proc/self/environ").read_bytes()
    return b""


def _session_of(pid: int) -> int | None:
    """Returns the session of a process, also of a dead one that was not reaped; None if there is no such process."""
    with contextlib.suppress(OSError):
        return int(Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[3])
    return None


def _end(pid: int) -> None:
    """Kills a process, and reaps it if it is this process's child."""
    if pid == os.getpid():
        return
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, signal.SIGKILL)
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, 0)
