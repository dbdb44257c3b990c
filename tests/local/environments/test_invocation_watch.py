"""The wait for an invocation, with a clock of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import SimpleNamespace

from lattice_bridge.local.environments.invocation_watch import RETURN_TIMEOUT, InvocationWatch


class Clock:
    """The clock and the timers of a loop.

    Attributes:
        now: seconds.
        timers: when each timer ends that was started, and what it calls.
    """

    def __init__(self) -> None:
        self.now = 100.0
        self.timers: list[tuple[float, Callable[[], None]]] = []

    def time(self) -> float:
        return self.now

    def create_future(self) -> asyncio.Future[None]:
        return asyncio.get_running_loop().create_future()

    def call_later(self, seconds: float, function: Callable[[], None]) -> SimpleNamespace:
        self.timers.append((self.now + seconds, function))
        return SimpleNamespace(cancel=lambda: None)

    async def run(self, until: float) -> None:
        """Ends the timers one after the other."""
        while self.timers[-1][0] <= until:
            self.now, end = self.timers[-1]
            end()
            await asyncio.sleep(0)
            if self.timers[-1][0] <= self.now:
                break
        self.now = until


async def begun(watch: InvocationWatch) -> asyncio.Task[float]:
    waiting = asyncio.create_task(watch.wait())
    await asyncio.sleep(0)
    return waiting


def watch_of(timeout: float, clock: Clock) -> InvocationWatch:
    return InvocationWatch(timeout, clock)  # type: ignore[arg-type] # the loop's part


def test_function_that_does_not_respond_ends_the_wait_at_its_timeout() -> None:
    async def run() -> None:
        clock = Clock()
        waiting = await begun(watch_of(12, clock))
        await clock.run(111.9)
        assert not waiting.done()
        await clock.run(112)
        assert await waiting == 12

    asyncio.run(run())


def test_process_that_hangs_after_its_response_is_awaited_for_a_while() -> None:
    """A function may run for 15 minutes: its client does not wait so long for a process that has responded."""

    async def run() -> None:
        clock = Clock()
        waiting = await begun(watch := watch_of(900, clock))
        await clock.run(101)
        watch.respond()
        await clock.run(101 + RETURN_TIMEOUT - 0.1)
        assert not waiting.done()
        await clock.run(101 + RETURN_TIMEOUT)
        assert await waiting == 1

    asyncio.run(run())


def test_invocations_share_one_timer_and_each_has_the_whole_time() -> None:
    async def run() -> None:
        clock = Clock()
        watch = watch_of(3, clock)
        for _ in range(5):
            waiting = await begun(watch)
            watch.respond()
            watch.end()
            await waiting
            clock.now += 0.5
        assert len(clock.timers) == 1
        waiting = await begun(watch)
        await clock.run(clock.now + 2.9)
        assert not waiting.done()
        await clock.run(clock.now + 0.1)
        await waiting

    asyncio.run(run())
