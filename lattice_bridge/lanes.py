"""Lanes: work that is done one after the other within a lane, and side by side in different lanes.

Rule: nothing runs on after `run` has returned. Threads wait for the next `run`; none is started for a single lane.
"""

from __future__ import annotations

import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterable
from functools import partial
from queue import SimpleQueue
from typing import Generic, TypeVar

from lattice_bridge.runtime.process import after_fork, in_background

Lane = TypeVar("Lane")

_Task = tuple[Callable[[], BaseException | None], "_Workers"]
_Inbox = SimpleQueue[_Task | None]
"""By which an idle thread receives its next task; None ends the thread."""


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
            Exception: the first one that `work` raised, after all calls have ended. A lane that another thread has not
                begun by then is still worked on.
        """
        waiting = deque(lanes)
        helpers = min(concurrency, len(waiting)) - 1
        if helpers <= 0:
            for lane in waiting:
                work(lane)
            return
        turns, workers = _Turns(waiting, work), _Workers(helpers + 1)
        missing = helpers - self._start((turns, workers), helpers)
        error = turns()
        workers.leave(error, 1 + missing)
        workers.wait()
        if workers.errors:
            raise error or workers.errors[0]

    def _start(self, task: _Task, wanted: int) -> int:
        """Gives a task to so many idle threads, or new ones. Returns how many have it."""
        for started in range(wanted):
            try:
                inbox = self._idle.pop()
            except IndexError:
                inbox = SimpleQueue()
                try:
                    self._start_thread(partial(_take_tasks, inbox, self._idle))
                except (RuntimeError, MemoryError):  # no more threads can be started
                    return started
            inbox.put(task)
        return wanted

    def _forget_threads(self) -> None:
        self._idle.clear()


class _Turns(Generic[Lane]):
    """Lanes that several threads work on: each takes the next one until none is left."""

    def __init__(self, waiting: deque[Lane], work: Callable[[Lane], object]) -> None:
        self._waiting = waiting
        self._work = work

    def __call__(self) -> BaseException | None:
        """Works until no lane is left. Returns the first error; the lanes after it are worked on as well."""
        first: BaseException | None = None
        while self._waiting:
            try:
                lane = self._waiting.popleft()
            except IndexError:  # another thread took the last one
                break
            try:
                self._work(lane)
            except BaseException as error:
                first = first or error
        return first


class _Workers:
    """The threads that have not ended their part of a run. The last one wakes the caller, which sleeps once: a wake-up
    for each thread costs more than a short record.

    Attributes:
        errors: of the threads that have ended.

    Args:
        number: of the threads, the calling one included.
    """

    def __init__(self, number: int) -> None:
        self.errors: list[BaseException] = []
        self._number = number
        self._lock = threading.Lock()
        self._ended = threading.Lock()
        self._ended.acquire()

    def leave(self, error: BaseException | None, number: int = 1) -> None:
        """Ends the part of so many threads, the first of which has this error."""
        with self._lock:
            if error is not None:
                self.errors.append(error)
            self._number -= number
            is_last = self._number == 0
        if is_last:
            self._ended.release()

    def wait(self) -> None:
        """Returns when all have ended. It is called once."""
        self._ended.acquire()


def _take_tasks(inbox: _Inbox, idle: list[_Inbox]) -> None:
    """The work of a thread. It refers to the list and not to its `Lanes`, so that it ends with them."""
    while (task := inbox.get()) is not None:
        turns, workers = task
        error = turns()
        del task, turns  # they refer to a batch, and the next one may be hours away
        idle.append(inbox)  # first, so that the next run finds this thread
        workers.leave(error)
        del workers, error


def _end(idle: list[_Inbox]) -> None:
    while idle:
        idle.pop().put(None)
