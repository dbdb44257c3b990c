"""A running stack as the inspector's server uses it: it serves requests while a person's click is worked on."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator, Mapping
from types import SimpleNamespace
from typing import Any, Final

from lattice_bridge.local.aws.sqs.queues import Queues
from lattice_bridge.local.bridge.configuration import BridgeConfiguration
from lattice_bridge.local.inspector.entry import Content, Entry, Invoked
from lattice_bridge.local.inspector.live import Inspection, Maps, Parts, RunningStack
from lattice_bridge.local.inspector.server import Inspector
from lattice_bridge.local.inspector.timeline import Timeline

LIMIT: Final = 20.0
"""Seconds after which a test fails, if the loop is blocked."""


class Work:
    """Something that takes long: it ends when the event loop allows it."""

    def __init__(self) -> None:
        self._begun, self._may_end = threading.Event(), threading.Event()

    def run(self) -> None:
        """Works, and fails if the loop does nothing meanwhile."""
        self._begun.set()
        assert self._may_end.wait(LIMIT), "the event loop was blocked"

    async def begun(self) -> None:
        assert await asyncio.to_thread(self._begun.wait, LIMIT)

    def end(self) -> None:
        self._may_end.set()


async def get(inspector: Inspector, port: int, path: str) -> Any:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    lines = [f"GET {path} HTTP/1.1", f"host: 127.0.0.1:{port}", f"authorization: Bearer {inspector.token}"]
    writer.write("".join(f"{line}\r\n" for line in [*lines, "connection: close", ""]).encode())
    _, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    return json.loads(body)


def test_stack_serves_while_an_entry_is_explained_and_what_comes_later_is_not_in_it() -> None:
    work, timeline = Work(), Timeline()
    content = Content(invocations=[Invoked("orders", "i1", b"{}", 1.0)])
    timeline.add(Entry("lattice", "shop", "/", "id", 1.0, content=content))

    def decide(_entry: Entry) -> Mapping[str, Any] | None:
        work.run()
        return {"documents": []}

    async def scenario() -> Any:
        inspector = Inspector(timeline, decide, "template.yaml")
        server = await inspector.start()
        asked = asyncio.create_task(get(inspector, server.port, "/api/entries/1"))
        await work.begun()
        assert (await get(inspector, server.port, "/api/state"))["title"] == "template.yaml"
        content.invocations.append(Invoked("later", "i2", b"{}", 1.0))
        work.end()
        found = await asked
        await server.stop()
        return found

    found = asyncio.run(scenario())
    assert found["decision"] == {"documents": []}
    assert [one["function"] for one in found["invocations"]] == ["orders"]


def test_stack_serves_while_the_rules_of_a_large_map_are_listed() -> None:
    work = Work()

    class Large(tuple[BridgeConfiguration, ...]):
        def __iter__(self) -> Iterator[BridgeConfiguration]:
            work.run()
            return iter(())

    nothing = SimpleNamespace(functions={})
    parts = Parts(
        *("http://127.0.0.1:1", "http://127.0.0.1:2", "us-east-1", dict, lambda: Maps(Large(), 1.0, {})),
        *(nothing, Queues("us-east-1", "123456789012"), (), (), (), tuple, list),  # type: ignore[arg-type]  # a stack without any function or stream
    )

    async def scenario() -> Mapping[str, Any]:
        asked = asyncio.create_task(RunningStack(Inspection(), parts).runs())
        await work.begun()
        work.end()
        return await asked

    assert asyncio.run(scenario())["map"] == []
