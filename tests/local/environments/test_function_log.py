"""The log of an execution environment, written to as its process does."""

from __future__ import annotations

import asyncio
import os

from lattice_bridge.local.environments.function_log import FunctionLog


def test_output_of_an_invocation_is_that_until_its_end() -> None:
    """A process may print between two invocations: a thread of it, or what it has started."""

    async def run() -> None:
        log = FunctionLog(lambda _: None)
        log.begin()
        os.write(log.write_end, b"first\n")
        log.finish()
        output = log.output
        os.write(log.write_end, b"between\n")
        log.drain()
        log.begin()
        os.write(log.write_end, b"second\n")
        log.finish()
        assert (b"".join(output), b"".join(log.output)) == (b"first\n", b"second\n")
        log.close()

    asyncio.run(run())
