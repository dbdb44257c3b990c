"""The inspector's real server with sample entries, for tests of the page and for work on it.

Rule: only the stack behind it is made up. The timeline, the masking, the headers and the API are the real ones.

    python -m tests.support.inspector_sample [PORT]
"""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from copy import copy
from typing import Any, Final, Self, TypeVar

from lattice_bridge.local.inspector.detail import Decide
from lattice_bridge.local.inspector.entry import Entry
from lattice_bridge.local.inspector.server import Inspector
from lattice_bridge.local.inspector.timeline import Timeline
from lattice_bridge.local.web.admission import Refused
from lattice_bridge.local.web.server import HttpServer
from tests.support import inspector_data as data
from tests.support.builders import role, v2
from tests.support.paths import ROOT

PAGE: Final = ROOT / "lattice_bridge" / "local" / "inspector" / "page"
TOKEN: Final = "a-token-for-tests"  # of a server that has nothing but samples
EXAMPLE: Final = "curl http://127.0.0.1:8080/ \\\n  -H 'x-tenant-id: blue'"
MOVED: Final = {"moved": 1, "left": 1, "why": "a message of a stream has no queue to go to"}
AT_MOST_SECONDS: Final = 20.0
LATE_SECONDS: Final = 0.2

Found = TypeVar("Found")


class Stack:
    """The stack behind a sample: it notes what it is asked, and answers. If it `is_late`, a replay begins later."""

    front = "http://127.0.0.1:8080"
    aws = "http://127.0.0.1:9001"
    header = "x-tenant-id"

    def __init__(self, add: Callable[[data.Made], None], decide: Decide, timeline: Timeline) -> None:
        self.asked: list[tuple[str, Any]] = []
        self.is_late = False
        self.refusal: str | None = None
        self.found = data.runs()
        self._add = add
        self._decide = decide
        self._timeline = timeline

    @property
    def identities(self) -> list[dict[str, str]]:
        keys = {"blue-api": "LOCALBLUEAPI", "green-api": "LOCALGREENAPI", "support": "LOCALSUPPORT"}
        return [{"name": name, "access_key": key} for name, key in keys.items()]

    def example(self) -> str | None:
        return EXAMPLE

    async def replay(self, entry: Entry, changes: Mapping[str, Any]) -> int:
        """Adds an entry like the original. If a tenant is asked for, it is the tenant."""
        self._note("replay", changes)
        if changes.get("method") == "BREAK":
            raise Refused(400, f"method: {data.SCRIPT} is not a method. Fix: write letters")
        fresh = copy(entry)
        fresh.at, fresh.replay_of, fresh.ms, fresh.cold = time.time(), entry.n, 8.8, False
        made = data.Made(fresh, self._decide(entry))
        if tenant := changes.get("tenant"):
            fresh.tenant, fresh.status, fresh.outcome, fresh.reason = tenant, 200, "ok", "ok"
            event = v2(role("support"), headers={"x-tenant-id": tenant})
            made = data.of_http(fresh, event, {"tenant": tenant, "orders": []})
        if self.is_late:
            asyncio.get_running_loop().call_later(LATE_SECONDS, self._add, made)
        else:
            self._add(made)
        return len(self._timeline) + self.is_late

    def curl(self, _entry: Entry) -> None:
        if self.refusal is not None:
            raise Refused(409, self.refusal)

    async def runs(self, log: str = "") -> Mapping[str, Any]:
        self._note("runs", log)
        shown = [{**one, "log": one["log"] if _label(one) == log else []} for one in self.found["environments"]]
        return {**self.found, "environments": shown}

    def messages(self, queue: str, after: int) -> Mapping[str, Any]:
        self._note("messages", (queue, after))
        return data.messages(queue, after)

    def redrive(self, queue: str) -> Mapping[str, Any]:
        self._note("redrive", queue)
        return MOVED

    def _note(self, what: str, given: Any) -> None:
        if self.refusal is not None:
            raise Refused(409, self.refusal)
        self.asked.append((what, given))


def _label(one: data.Document) -> str:
    tenant = "" if one["tenant"] is None else f"/{one['tenant']}"
    return f"{one['function']}{tenant}#{one['slot']}"


class Sample:
    """A running server with entries. The timeline belongs to its event loop, in a thread."""

    def __init__(
        self,
        made: Iterable[data.Made] = (),
        *,
        mode: str = "live",
        port: int = 0,
        pace: float = 0.01,
        kept: int = 10_000,
    ) -> None:
        self.timeline = Timeline(kept)
        self.stack = Stack(self._add, self._decide, self.timeline)
        live, title = (self.stack, "template.yaml") if mode == "live" else (None, "recording.jsonl")
        self.inspector = Inspector(self.timeline, self._decide, title, live, pause=pace)
        self.inspector.token = TOKEN
        self._decisions: dict[int, Mapping[str, Any] | None] = {}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._server: HttpServer = self._run(self.inspector.start, port)
        self.port = self._server.port
        self.origin = f"http://127.0.0.1:{self.port}"
        self.url = f"{self.origin}/#token={TOKEN}"
        self.add(*made)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.break_off()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def add(self, *made: data.Made) -> None:
        """Adds entries, as the capture does when they begin."""

        def add() -> None:
            for one in made:
                self._add(one)

        self._do(add)

    def change(self, n: int, **values: Any) -> None:
        """Changes an entry, as the capture does when it ends."""

        def change() -> None:
            entry = self.timeline.get(n)
            assert entry is not None
            for name, value in values.items():
                setattr(entry, name, value)
            self.timeline.changed(entry)

        self._do(change)

    def asked(self, what: str) -> list[Any]:
        """What the page has asked the stack."""
        return [given for name, given in self.stack.asked if name == what]

    def break_off(self) -> None:
        """Ends the streams, and accepts no more."""
        self._run(self._server.stop)

    def resume(self) -> None:
        """Accepts connections again, at the same port."""
        self._server = self._run(self.inspector.start, self.port)

    def _add(self, made: data.Made) -> None:
        self._decisions[self.timeline.add(made.entry)] = made.decision

    def _decide(self, entry: Entry) -> Mapping[str, Any] | None:
        return self._decisions[entry.n]

    def _do(self, function: Callable[[], None]) -> None:
        async def call() -> None:
            function()

        self._run(call)

    def _run(self, function: Callable[..., Awaitable[Found]], *arguments: Any) -> Found:
        async def call() -> Found:
            return await function(*arguments)

        return asyncio.run_coroutine_threadsafe(call(), self._loop).result(AT_MOST_SECONDS)


def main(port: int) -> None:
    with Sample(data.entries(time.time()), port=port, pace=0.1) as sample:
        print(sample.url, flush=True)  # noqa: T201 - a command for people
        while True:
            time.sleep(3600)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 8081)
