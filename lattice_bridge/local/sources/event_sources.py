"""All event source mappings of a stack: starts them, replaces them after a change, and stops them.

Rule: messages are in the queues only. If a mapping ends, the messages that it has received are visible again later.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass

from lattice_bridge.local.aws.sqs.queues import Queues
from lattice_bridge.local.plan.queues import EventSourceMapping
from lattice_bridge.local.sources.delivery import Observer
from lattice_bridge.local.sources.poller import Invoke, Poller


class EventSources:
    """The mappings that poll.

    Args:
        queues: of the stack.
        invoke: invokes functions.
        now: seconds since the epoch.
        observer: takes each batch.
    """

    def __init__(self, queues: Queues, invoke: Invoke, now: Callable[[], float], observer: Observer) -> None:
        self._queues = queues
        self._invoke = invoke
        self._now = now
        self._observer = observer
        self._polling: dict[str, _Polling] = {}
        self._finishing: dict[Poller, asyncio.Task[None]] = {}

    def replace(self, mappings: Iterable[EventSourceMapping]) -> None:
        """Runs these mappings from now on. One that stays the same goes on; one that is gone ends after its batches."""
        wanted = {mapping.id: mapping for mapping in mappings if mapping.enabled}
        for name, running in list(self._polling.items()):
            if wanted.get(name) != running.mapping:
                del self._polling[name]
                self._finish_soon(running)
        for name, mapping in wanted.items():
            if name not in self._polling:
                poller = Poller(mapping, self._queues, self._invoke, self._now, self._observer)
                self._polling[name] = _Polling(mapping, poller, asyncio.create_task(poller.run()))

    def _finish_soon(self, running: _Polling) -> None:
        running.task.cancel()
        finishing = asyncio.create_task(_finish(running))
        self._finishing[running.poller] = finishing
        finishing.add_done_callback(lambda _: self._finishing.pop(running.poller, None))

    async def close(self) -> None:
        """Stops polling, and ends the batches that are in flight."""
        pollers = [*(running.poller for running in self._polling.values()), *self._finishing]
        tasks = [*(running.task for running in self._polling.values()), *self._finishing.values()]
        self._polling.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, *(poller.stop() for poller in pollers), return_exceptions=True)


@dataclass(frozen=True, slots=True)
class _Polling:
    """A mapping that polls, and the task that does it."""

    mapping: EventSourceMapping
    poller: Poller
    task: asyncio.Task[None]


async def _finish(running: _Polling) -> None:
    with suppress(asyncio.CancelledError):
        await running.task
    await running.poller.finish()
