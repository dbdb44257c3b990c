"""Reset of objects in a forked child process.

Rule: an object that holds connections, a lock, or the mark of a thread's work gives them up in the child. The parent
goes on using its connections, so two processes would read each other's answers (trap D15). Its threads do not exist in
the child, so a lock that they hold is never released there, and a task that they run never ends.

Lambda itself does not fork. A handler may, and so may other users of the package, as gunicorn does with --preload.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable

_methods: list[weakref.WeakMethod[Callable[[], None]]] = []


def in_child(method: Callable[[], None]) -> None:
    """Calls a bound method in every child process that is forked while its object lives."""
    _methods[:] = [known for known in _methods if known() is not None]
    _methods.append(weakref.WeakMethod(method))


def _run() -> None:
    for known in _methods:
        method = known()
        if method is not None:
            method()


os.register_at_fork(after_in_child=_run)
