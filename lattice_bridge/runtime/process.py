"""This process: how much time has passed, its secret, background threads, forks, and the garbage collector.

Rule: nothing here waits. A background thread never keeps the process alive, a pause of the collector always ends, and
an object that holds connections, a lock or the mark of a thread's work gives them up in a forked child.
"""

from __future__ import annotations

import gc
import os
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from types import MethodType
from typing import Any, Final, cast

# ---- forks ----------------------------------------------------------------------------------------------------------

_Owner = weakref.ReferenceType[object]
_Resets = dict[int, tuple[_Owner, Callable[[Any], None]]]
_resets: Final[_Resets] = {}
"""By the reference's identity, so that threads that add and remove some lose none: each change is one step of the
dict."""


def after_fork(method: Callable[[], None]) -> None:
    """Calls a bound method in every child process that is forked while its object exists.

    The parent goes on using its connections, so two processes would read each other's answers (trap D15). The parent's
    threads do not exist in the child: a lock that one of them holds is never released there, and its work never ends.
    Lambda itself does not fork. A handler may fork, and so may other users of the package, such as gunicorn --preload.
    """
    bound = cast("MethodType", method)
    # Not `weakref.WeakMethod`: at the interpreter's end, its own callback can fail, which prints an error.
    owner = weakref.ref(bound.__self__, _forget)
    _resets[id(owner)] = (owner, bound.__func__)


def _forget(owner: _Owner, resets: _Resets = _resets) -> None:
    resets.pop(id(owner), None)  # at the interpreter's end, the module's own name is gone


def _reset() -> None:
    for reference, function in list(_resets.values()):
        owner = reference()
        if owner is not None:
            function(owner)


os.register_at_fork(after_in_child=_reset)


# ---- a secret -------------------------------------------------------------------------------------------------------


@cache
def process_secret() -> bytes:
    """32 random bytes, made at the first call. They are never written anywhere, and end with the process."""
    return os.urandom(32)


# ---- threads --------------------------------------------------------------------------------------------------------


def in_background(work: Callable[[], None]) -> None:
    """Runs `work` in a thread of its own. In Lambda the thread is frozen between events and continues in the next.

    Raises:
        RuntimeError: no more threads can be started.
    """
    threading.Thread(target=work, name="lattice-bridge-background", daemon=True).start()


# ---- time -----------------------------------------------------------------------------------------------------------


class Elapsed:
    """Seconds that have passed, for ages. The value is never below what either clock shows, and never goes back.

    A monotonic clock may stand still while an execution environment is frozen, and the wall clock may be set back. With
    only one of them, an old answer could stay young and a suspended tenant active.

    Args:
        wall: the wall clock, in seconds.
        steady: the monotonic clock, in seconds.
    """

    def __init__(self, wall: Callable[[], float] = time.time, steady: Callable[[], float] = time.monotonic) -> None:
        self._wall = wall
        self._steady = steady
        self._lock = threading.Lock()
        self._seen = (wall(), steady())
        self._total = 0.0
        after_fork(self._replace_lock)

    def _replace_lock(self) -> None:
        self._lock = threading.Lock()

    def __call__(self) -> float:
        """Seconds since this object was made."""
        with self._lock:
            now = (self._wall(), self._steady())
            self._total += max(0.0, now[0] - self._seen[0], now[1] - self._seen[1])
            self._seen = now
            return self._total


elapsed = Elapsed()


def is_past(since: float | None, now: float, span: float) -> bool:
    """Reports whether `span` seconds have passed since `since`.

    True as well if `since` is None, or after `now`: a clock that was set back by an hour must not postpone a check by
    an hour.

    >>> is_past(100, now=160, span=60), is_past(100, now=159, span=60), is_past(100, now=99, span=60)
    (True, False, True)
    """
    return since is None or not 0 <= now - since < span


MARGIN: Final = 0.5
"""Seconds of the handler's own time that it keeps to build and send its answer."""

_LONGEST: Final = 900.0
"""Seconds that a Lambda function can run at most. Assumed if the context contains no deadline."""


def time_left(context: object) -> float:
    """Seconds until the handler must begin to answer, by the context that Lambda gave it."""
    remaining = getattr(context, "get_remaining_time_in_millis", None)
    return (remaining() / 1000 if callable(remaining) else _LONGEST) - MARGIN


# ---- the garbage collector ------------------------------------------------------------------------------------------


class _CollectorPauses:
    """Counts the threads that want the collector paused. The first one pauses it, and the last one resumes it.

    Without the count, a thread that found the collector paused could pause it again after another thread had resumed
    it, and it would stay off.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._wanted = 0
        self._was_on = True
        after_fork(self._end_all)

    def begin(self) -> None:
        with self._lock:
            if self._wanted == 0:
                self._was_on = gc.isenabled()
                gc.disable()
            self._wanted += 1

    def end(self) -> None:
        with self._lock:
            self._wanted -= 1
            if self._wanted == 0 and self._was_on:
                gc.enable()

    def _end_all(self) -> None:
        """The parent's other threads end no pause in the child."""
        self._lock = threading.Lock()
        if self._wanted:
            self._wanted = 0
            if self._was_on:
                gc.enable()


_pauses = _CollectorPauses()


@contextmanager
def no_collection() -> Iterator[None]:
    """Pauses the garbage collector for all threads, while many objects are made.

    Each collection visits every object that was made so far, so the beginning of a large document would be visited
    again and again. Reference counts go on freeing what is dropped.
    """
    _pauses.begin()
    try:
        yield
    finally:
        _pauses.end()
