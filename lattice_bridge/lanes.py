"""Lanes: work that is done one after the other within a lane, and side by side in different lanes.

Rule: nothing runs on after `run` has returned. Threads wait for the next `run`; none is started for a single lane.

A thread calls the next one as it begins a lane, while others wait. If the caller woke all of them, each would ask for
the interpreter's lock at once, and every system call of a short record would switch threads.
"""

from __future__ import annotations

import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterable
from functools import partial
from queue import SimpleQueue
from typing import Any, Generic, TypeVar

from lattice_bridge.runtime.process import after_fork, in_background

Lane = TypeVar("Lane")

_Inbox = SimpleQueue["_Run[Any] | None"]
"""By which an idle thread receives its next run; None ends the thread."""


class Lanes:
    """Threads that work on lanes. Any number of threads may call `run` at the same time, each with lanes of its own.

    A thread that was started waits for the next run, also while Lambda freezes the execution environment. In a forked
    child there are none, and it starts its own.

    Args:
        start: runs its argument in a thread; raises RuntimeError if no more can be started.
    """

    def __init__(self, start: Callable[[Callable[[], None]], None] = in_background) -> None:
        self._start_thread = start
        self._idle: list[_Inbox] = []
        after_fork(self._forget_threads)
        weakref.finalize(self, _end, self._idle)

    def run(self, lanes: Iterable[Lane], work: Callable[[Lane], object], concurrency: int) -> None:
        """Calls `work` once with each lane, for up to `concurrency` lanes at the same time, and returns when all calls
        have ended.

        The calling thread works as well. If no more threads can be started, the others do the work.

        Args:
            lanes: are begun in this order.
            work: processes one lane.
            concurrency: at least 1.

        Raises:
            Exception: the first one that `work` raised, after all calls have ended. The lanes after it are worked on as
                well, unless the calling thread works alone from the start.
        """
        waiting = deque(lanes)
        helpers = min(concurrency, len(waiting)) - 1
        if helpers <= 0:
            for lane in waiting:
                work(lane)
            return
        run = _Run(waiting, work, helpers, self._start)
        error = run.work()
        run.leave(error)
        run.wait()
        if run.errors:
            raise error or run.errors[0]

    def _start(self, run: _Run[Any]) -> bool:
        """Gives a run to an idle thread, or to a new one. Returns whether there is one."""
        try:
            inbox = self._idle_or_new()
            inbox.put(run)
        except (RuntimeError, MemoryError):  # no more threads can be started
            return False
        return True

    def _idle_or_new(self) -> _Inbox:
        try:
            return self._idle.pop()
        except IndexError:
            inbox: _Inbox = SimpleQueue()
            self._start_thread(partial(_take_runs, inbox, self._idle))
            return inbox

    def _forget_threads(self) -> None:
        self._idle.clear()


class _Run(Generic[Lane]):
    """Lanes that several threads work on: each takes the next one until none is left.

    The last thread that ends wakes the caller, which sleeps once: a wake-up for each costs more than a short record.

    Attributes:
        errors: of the threads that have ended.

    Args:
        waiting: the lanes, in order.
        work: processes one lane.
        helpers: threads beside the calling one, at most.
        start: gives the run to another thread, which calls `work` and `leave`; False if there is none.
    """

    def __init__(
        self,
        waiting: deque[Lane],
        work: Callable[[Lane], object],
        helpers: int,
        start: Callable[[_Run[Any]], bool],
    ) -> None:
        self.errors: list[BaseException] = []
        self._waiting = waiting
        self._work = work
        self._helpers = helpers
        self._start = start
        self._working = 1
        self._lock = threading.Lock()
        self._ended = threading.Lock()
        self._ended.acquire()

    def work(self) -> BaseException | None:
        """Works until no lane is left. Returns the first error; the lanes after it are worked on as well."""
        first: BaseException | None = None
        while self._waiting:
            try:
                lane = self._waiting.popleft()
            except IndexError:  # another thread took the last one
                break
            if self._waiting and self._helpers:
                self._call_helper()
            try:
                self._work(lane)
            except BaseException as error:
                first = first or error
        return first

    def _call_helper(self) -> None:
        with self._lock:
            if self._helpers == 0:  # another thread called the last one
                return
            self._helpers -= 1
            self._working += 1
        if not self._start(self):
            with self._lock:
                self._helpers = 0
                self._working -= 1

    def leave(self, error: BaseException | None) -> None:
        """Ends the part of a thread, which had this error."""
        with self._lock:
            if error is not None:
                self.errors.append(error)
            self._working -= 1
            is_last = self._working == 0
        if is_last:
            self._ended.release()

    def wait(self) -> None:
        """Returns when all have ended. It is called once."""
        self._ended.acquire()


def _take_runs(inbox: _Inbox, idle: list[_Inbox]) -> None:
    """The work of a thread. It refers to the list and not to its `Lanes`, so that it ends with them."""
    while (run := inbox.get()) is not None:
        error = run.work()
        idle.append(inbox)  # first, so that the next run finds this thread
        run.leave(error)
        del run, error  # they refer to a batch, and the next one may be hours away


def _end(idle: list[_Inbox]) -> None:
    while idle:
        idle.pop().put(None)
