"""Readers that wait for something to read: a message of a queue, a record of a shard."""

from __future__ import annotations

import asyncio


class Waiters:
    """Those who wait, in one event loop."""

    def __init__(self) -> None:
        self._waiting: set[asyncio.Future[None]] = set()

    async def wait(self, seconds: float) -> None:
        """Returns after `wake`, or after this time."""
        future = asyncio.get_running_loop().create_future()
        self._waiting.add(future)
        try:
            async with asyncio.timeout(max(0.0, seconds)):
                await future
        except TimeoutError:
            pass
        finally:
            self._waiting.discard(future)

    def wake(self) -> None:
        """Ends each wait."""
        for future in self._waiting:
            if not future.done():
                future.set_result(None)
