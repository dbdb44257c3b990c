"""All event source mappings of a stack: starts them, replaces them after a change, and stops them.

Rule: messages are in the queues only. If a mapping ends, the messages that it has received are visible again later. A
mapping of a stream goes on at its position, as long as the template has it with the same stream and starting position.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass

from lattice_bridge.local.aws.sqs.queues import Queues
from lattice_bridge.local.plan.queues import EventSourceMapping
from lattice_bridge.local.plan.stream_mappings import StreamMapping
from lattice_bridge.local.sources.delivery import Invoke, Observer
from lattice_bridge.local.sources.discarded_records import FailureDestination
from lattice_bridge.local.sources.poller import Poller
from lattice_bridge.local.sources.shard_lane import Function
from lattice_bridge.local.sources.stream_poller import Progress, StreamPoller, Streams


class EventSources:
    """The mappings that poll.

    Args:
        queues: of the stack.
        streams: of the stack.
        invoke: invokes functions.
        now: seconds since the epoch.
        observer: takes each batch.

    Attributes:
        progress: how far each mapping of a stream has read it, by what makes it another mapping.
    """

    def __init__(
        self, queues: Queues, streams: Streams, invoke: Invoke, now: Callable[[], float], observer: Observer
    ) -> None:
        self._queues = queues
        self._streams = streams
        self._invoke = invoke
        self._now = now
        self._observer = observer
        self._polling: dict[str, _Polling] = {}
        self._finishing: dict[Poller | StreamPoller, asyncio.Task[None]] = {}
        self.progress: dict[tuple[object, ...], Progress] = {}

    def replace(self, mappings: Iterable[EventSourceMapping | StreamMapping]) -> None:
        """Runs these mappings from now on. One that stays the same goes on; one that is gone ends after its batches.

        A mapping of a stream that has `faults` does not run.
        """
        every = [*mappings]
        kept = {_identity(mapping) for mapping in every if isinstance(mapping, StreamMapping)}
        self.progress = {identity: one for identity, one in self.progress.items() if identity in kept}
        wanted = {mapping.id: mapping for mapping in every if mapping.enabled and not _faults(mapping)}
        for name, running in list(self._polling.items()):
            if wanted.get(name) != running.mapping:
                del self._polling[name]
                self._finish_soon(running)
        for name, mapping in wanted.items():
            if name not in self._polling:
                poller = self._poller(mapping)
                self._polling[name] = _Polling(mapping, poller, asyncio.create_task(poller.run()))

    def positions(self, stream: str) -> list[dict[str, int]]:
        """For each mapping that reads a stream: the numbers up to which all records are done, by shard.

        Args:
            stream: its ARN.
        """
        found = [one for identity, one in self.progress.items() if identity[1] == stream]
        return [{shard: min(lanes) for shard, lanes in one.positions.items()} for one in found]

    def _poller(self, mapping: EventSourceMapping | StreamMapping) -> Poller | StreamPoller:
        if isinstance(mapping, EventSourceMapping):
            return Poller(mapping, self._queues, self._invoke, self._now, self._observer)
        identity = _identity(mapping)
        if identity not in self.progress:
            self.progress[identity] = Progress.beginning(mapping, self._streams(mapping.stream))
        failures = FailureDestination(mapping, self._queues, self._now)
        function = Function(self._invoke, self._now, self._observer, failures)
        return StreamPoller(mapping, self.progress[identity], self._streams, function)

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

    mapping: EventSourceMapping | StreamMapping
    poller: Poller | StreamPoller
    task: asyncio.Task[None]


async def _finish(running: _Polling) -> None:
    with suppress(asyncio.CancelledError):
        await running.task
    await running.poller.finish()


def _faults(mapping: EventSourceMapping | StreamMapping) -> tuple[str, ...]:
    return mapping.faults if isinstance(mapping, StreamMapping) else ()


def _identity(mapping: StreamMapping) -> tuple[object, ...]:
    """What makes a mapping another one. CloudFormation replaces it after such a change, and updates it after others."""
    return mapping.id, mapping.stream, mapping.start, mapping.start_time
