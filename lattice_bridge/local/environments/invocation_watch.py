"""Waits for the end of an environment's invocation: its response and what follows it, the process's end, or a timeout.

Rule: a response is passed on only after the process has asked for the next invocation. Otherwise the client's next
request could find this environment busy, and start another.

A timer for each invocation, which its response cancels, costs as much as the rest of the wait. So an environment has
one timer, which starts again if it ends too early.
"""

from __future__ import annotations

import asyncio
from typing import Final

RETURN_TIMEOUT: Final = 5.0
"""Seconds from the response of a process until it asks for the next invocation."""


class InvocationWatch:
    """The wait of one environment, for one invocation at a time.

    Args:
        timeout: seconds in which the function has to respond.
        loop: in which the environment runs.
    """

    def __init__(self, timeout: float, loop: asyncio.AbstractEventLoop) -> None:
        self._timeout = timeout
        self._loop = loop
        self._responded: float | None = None
        self._ended: asyncio.Future[None] | None = None
        """None while there is no invocation."""
        self._deadline = 0.0
        """Of the response; after it, of the process's request for the next invocation."""
        self._timer: asyncio.TimerHandle | None = None

    async def wait(self) -> float:
        """Waits for the end of an invocation that was dispatched now. Returns the seconds until its response, or until
        the end of the wait if it has none."""
        began, self._responded = self._loop.time(), None
        self._ended, self._deadline = self._loop.create_future(), began + self._timeout
        if self._timer is None:
            self._start(self._timeout)
        try:
            await self._ended
        finally:
            self._ended = None
        return (self._loop.time() if self._responded is None else self._responded) - began

    def respond(self) -> None:
        """Takes the process's response."""
        self._responded = self._loop.time()
        self._deadline = self._responded + RETURN_TIMEOUT

    def end(self, _: object = None) -> None:
        """Ends the wait: the process has responded and asked for the next invocation, or has ended."""
        if self._ended is not None and not self._ended.done():
            self._ended.set_result(None)

    def close(self) -> None:
        """Stops the timer."""
        if self._timer is not None:
            self._timer.cancel()

    def _start(self, seconds: float) -> None:
        """Starts the timer. It ends before any deadline that a response or the next invocation can set meanwhile."""
        self._timer = self._loop.call_later(min(seconds, self._timeout, RETURN_TIMEOUT), self._check)

    def _check(self) -> None:
        self._timer = None
        if self._ended is None:
            return  # the next invocation starts the timer
        left = self._deadline - self._loop.time()
        if left > 0:
            self._start(left)
        else:
            self.end()
