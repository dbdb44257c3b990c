"""One event source mapping of a stream: follows its shards, and runs the lanes of each.

Rule: a shard is read after its parents have been read to their end. The progress of a mapping outlives the poller: a
mapping that has changed, or that is enabled again, goes on where it was.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from lattice_bridge.local.aws.stream import Shard, Stream
from lattice_bridge.local.plan.stream_mappings import StreamMapping
from lattice_bridge.local.sources.shard_lane import Function, Lane

FOLLOW_SECONDS: Final = 1.0
"""Seconds between two looks for new shards, and for a stream that is not there yet."""

Streams = Callable[[str], Stream | None]
"""Returns the stream with an ARN; None if there is none."""


@dataclass(slots=True)
class Progress:
    """How far a mapping has read its stream.

    Attributes:
        positions: by the shard's id, for each of its lanes: the sequence number up to which the records are done.
        ended: ids of the shards that were read to their end.
        in_use: held by the poller that moves the positions. The next one waits until the last invocation has ended.
    """

    positions: dict[str, list[int]] = field(default_factory=dict)
    ended: set[str] = field(default_factory=set)
    in_use: asyncio.Lock = field(default_factory=asyncio.Lock)

    @classmethod
    def beginning(cls, mapping: StreamMapping, stream: Stream | None) -> Progress:
        """The progress of a mapping that begins now.

        LATEST is the end of each shard that exists now. A shard, and a stream, that is made later is read from its
        first record: all of its records are newer than the mapping.
        """
        shards = stream.shards() if stream is not None and mapping.start == "LATEST" else ()
        return cls({shard.id: [shard.last_number] * mapping.lanes for shard in shards})

    def of_shard(self, shard: str, lanes: int) -> list[int]:
        """The positions of a shard's lanes. If their number has changed, all begin at the lowest one."""
        found = self.positions.setdefault(shard, [0] * lanes)
        if len(found) != lanes:
            self.positions[shard] = found = [min(found)] * lanes
        return found


@dataclass(frozen=True, slots=True)
class _Reading:
    """A shard that is read.

    Attributes:
        lanes: of the shard.
        tasks: that run the lanes.
    """

    lanes: tuple[Lane, ...]
    tasks: tuple[asyncio.Task[None], ...]

    def cancel(self) -> None:
        """Stops reading. Invocations that are in flight go on."""
        for task in self.tasks:
            task.cancel()


class StreamPoller:
    """Runs one event source mapping of a stream.

    Args:
        mapping: that it runs.
        progress: that it goes on with.
        streams: of the stack. The mapping's stream may be made later, or again.
        function: that it delivers to.
    """

    def __init__(self, mapping: StreamMapping, progress: Progress, streams: Streams, function: Function) -> None:
        self._mapping = mapping
        self._progress = progress
        self._streams = streams
        self._function = function
        self._reading: dict[str, _Reading] = {}
        self._left: list[_Reading] = []

    async def run(self) -> None:
        """Reads the stream, until cancelled. It then ends after the invocations that are in flight."""
        async with self._progress.in_use:
            try:
                while True:
                    stream = self._streams(self._mapping.stream)
                    self._follow({shard.id: shard for shard in stream.shards()} if stream is not None else {})
                    tasks = [task for reading in self._reading.values() for task in reading.tasks if not task.done()]
                    if tasks:
                        await asyncio.wait(tasks, timeout=FOLLOW_SECONDS, return_when=asyncio.FIRST_COMPLETED)
                    else:
                        await asyncio.sleep(FOLLOW_SECONDS)
            finally:
                for shard in list(self._reading):
                    self._leave(shard)
                await self.finish()

    async def finish(self) -> None:
        """Waits for the invocations that are in flight."""
        lanes = [lane for reading in (*self._reading.values(), *self._left) for lane in reading.lanes]
        await asyncio.gather(*(lane.finish() for lane in lanes))

    async def stop(self) -> None:
        """Ends the invocations that are in flight. Their records are not done."""
        for reading in (*self._reading.values(), *self._left):
            for lane in reading.lanes:
                lane.stop()
        await self.finish()

    def _follow(self, shards: Mapping[str, Shard]) -> None:
        """Starts and ends the reading of shards, as they are now."""
        progress = self._progress
        for name, shard in shards.items():
            is_ahead = shard.last_number < max(progress.positions.get(name, [0]))
            if is_ahead or (name in progress.ended and not shard.is_closed):  # the stream was deleted and made again
                self._leave(name)
                progress.positions.pop(name, None)
                progress.ended.discard(name)
        for name, reading in list(self._reading.items()):
            if all(task.done() for task in reading.tasks):
                progress.ended.add(name)
                del self._reading[name]
            elif name not in shards:
                self._leave(name)
            else:
                for lane in reading.lanes:
                    lane.shard = shards[name]
        for name, shard in shards.items():
            is_due = all(parent not in shards or parent in progress.ended for parent in shard.parents)
            if is_due and name not in self._reading and name not in progress.ended:
                self._reading[name] = self._begin(shard)

    def _begin(self, shard: Shard) -> _Reading:
        positions = self._progress.of_shard(shard.id, self._mapping.lanes)
        lanes = tuple(
            Lane(self._mapping, shard, positions, index, self._function) for index in range(self._mapping.lanes)
        )
        return _Reading(lanes, tuple(asyncio.create_task(lane.run()) for lane in lanes))

    def _leave(self, shard: str) -> None:
        if (reading := self._reading.pop(shard, None)) is not None:
            reading.cancel()
            self._left.append(reading)
