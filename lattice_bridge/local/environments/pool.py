"""Which environment runs an invocation: reuse, quota, reaping.

Rule: the key of an environment is (function, tenant) and nothing ever changes it. There is no way to get at an
environment but by its key.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from lattice_bridge.local.environments.environment import Environment, Outcome, Surroundings
from lattice_bridge.local.environments.processes import kill_strangers
from lattice_bridge.local.environments.runtime_api import Invocation
from lattice_bridge.local.plan.model import Function

Key = tuple[str, str | None]

REAP_INTERVAL: Final = 1.0


class QuotaReached(Exception):
    """As many environments exist, busy or idle, as may."""


class Environments:
    """All environments of a stack.

    Args:
        around: what they have in common.
        limit: how many may exist at once, busy or idle, as Lambda counts tenant environments.
        idle_seconds: after which an idle one is ended.
    """

    def __init__(self, around: Surroundings, *, limit: int, idle_seconds: float) -> None:
        self._around = around
        self._limit = limit
        self._idle_seconds = idle_seconds
        self._idle: dict[Key, list[Environment]] = {}
        self._all: dict[Key, set[Environment]] = {}
        self._started = 0
        self._endings: dict[Environment, asyncio.Task[None]] = {}
        self._closed = False
        self._starting = asyncio.Semaphore(max(2, os.cpu_count() or 2))

    def __len__(self) -> int:
        return sum(len(environments) for environments in self._all.values())

    def __iter__(self) -> Iterator[Environment]:
        for environments in self._all.values():
            yield from environments

    async def run(self, function: Function, invocation: Invocation) -> Outcome:
        """Runs an invocation in an environment of its tenant: an idle one, or a new one.

        Raises:
            QuotaReached: there is no idle one and no room for a new one.
        """
        environment = self._take((function.name, invocation.tenant)) or await self._start(function, invocation.tenant)
        try:
            return await environment.run(invocation)
        finally:
            self._put_back(environment)

    def mark_stale(self, functions: Iterable[str]) -> int:
        """Ends the idle environments of these functions, and lets the busy ones finish. Returns how many there were."""
        names = set(functions)
        concerned = [environment for environment in self if environment.function.name in names]
        for environment in concerned:
            environment.stale = True
        self._end_idle(lambda environment: environment.stale)
        return len(concerned)

    async def reap(self) -> None:
        """Ends what has been idle for too long, until cancelled."""
        while True:
            await asyncio.sleep(REAP_INTERVAL)
            self._end_idle(self._has_outlived)

    def _has_outlived(self, environment: Environment) -> bool:
        return not environment.usable or time.monotonic() - environment.idle_since > self._idle_seconds

    async def close(self) -> None:
        """Ends all, busy or not."""
        self._closed = True
        self._idle.clear()
        for environment in list(self):
            self._end_soon(environment)
        await asyncio.gather(*self._endings.values())

    def _take(self, key: Key) -> Environment | None:
        """The one used last: the others get a chance to be idle for long enough."""
        waiting = self._idle.get(key, [])
        while waiting:
            environment = waiting.pop()
            if environment.usable:
                return environment
            self._end_soon(environment)
        return None

    async def _start(self, function: Function, tenant: str | None) -> Environment:
        while len(self) >= self._limit and self._endings and not self._closed:
            await asyncio.wait(self._endings.values(), return_when=asyncio.FIRST_COMPLETED)
        if self._closed or len(self) >= self._limit:
            raise QuotaReached(f"{len(self)} of {self._limit} environments exist")
        key = (function.name, tenant)
        siblings = self._all.setdefault(key, set())
        taken = {environment.slot for environment in siblings}
        slot = next(number for number in range(1, len(taken) + 2) if number not in taken)
        self._started += 1
        environment = Environment(function, tenant, slot, self._started, self._around)
        siblings.add(environment)
        try:
            # A burst of cold starts takes turns: all at once, each would be too slow for the init phase's limit.
            async with self._starting:
                await environment.start()
        except BaseException:
            self._end_soon(environment)
            raise
        return environment

    def _put_back(self, environment: Environment) -> None:
        if self._closed or not environment.usable:
            self._end_soon(environment)
            return
        environment.idle_since = time.monotonic()
        self._idle.setdefault((environment.function.name, environment.tenant), []).append(environment)

    def _end_idle(self, when: Callable[[Environment], bool]) -> None:
        for key, waiting in list(self._idle.items()):
            for environment in [environment for environment in waiting if when(environment)]:
                waiting.remove(environment)
                self._end_soon(environment)
            if not waiting:
                del self._idle[key]

    def _end_soon(self, environment: Environment) -> None:
        """Its place counts as taken until it is gone."""
        known = environment in self._all.get((environment.function.name, environment.tenant), ())
        if known and environment not in self._endings:
            self._endings[environment] = asyncio.ensure_future(self._end(environment))

    async def _end(self, environment: Environment) -> None:
        key = (environment.function.name, environment.tenant)
        try:
            await environment.stop()
            await asyncio.to_thread(kill_strangers, self._around.stack_id)
        finally:
            found = self._all.get(key, set())
            found.discard(environment)
            if not found:
                self._all.pop(key, None)
            self._endings.pop(environment, None)
