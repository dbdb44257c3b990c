"""Every kind of line that the bridge writes, for docs/reference.md, written by the bridge itself.

Rule: only times are replaced, because the bridge reads the wall clock itself.
"""

from __future__ import annotations

import os
import re
from itertools import count
from pathlib import Path
from typing import Any

from lattice_bridge import Bridge
from lattice_bridge.bootstrap import make_handler
from lattice_bridge.config.options import Backend
from lattice_bridge.errors import BackendFailed
from lattice_bridge.invoke.call import Call
from tests.support.builders import MAP, role, tenant_map, v2
from tests.support.records import BY_ATTRIBUTE, STORED, Functions, World, record, source

_TIMES = (
    (r'"timestamp":"[^"]+"', '"timestamp":"2026-11-21T09:00:00.000+00:00"'),
    (r'"Timestamp":\d+', '"Timestamp":1795251600000'),
)


class _Clock:
    """Advances by half a millisecond at each reading."""

    def __init__(self) -> None:
        self._looks = count()

    def __call__(self) -> float:
        return next(self._looks) * 0.0005


def samples(folder: Path) -> dict[str, list[str]]:
    """Titles → lines: one to read, and one for CloudWatch. The configurations are written into `folder`."""
    served = _request(v2(role("blue-api"), path="/orders?id=7"))
    refused = _request(v2(role("edge-proxy"), headers={"x-tenant-id": "unknown"}))
    failed = _request(v2(role("blue-api")), BackendFailed("backend_raised", "errorType KeyError"))
    return {
        "A request that was served, the first of its environment": served,
        "… that was refused: the caller sees a bare 403": refused,
        "… whose function failed. Look for `lambdaRequestId` in the log of `function`": failed,
        **_records(),
        **_reloads(folder),
    }


def _records() -> dict[str, list[str]]:
    """A batch of three records: done, failed, quarantined."""
    raised = BackendFailed("backend_raised", "errorType KeyError")
    sources = source(BY_ATTRIBUTE, STORED, "concurrency = 1")
    world = World(sources, functions=Functions({2: raised}), clock=_Clock())
    world(record(1, "blue"), record(2, "green"), record(3, "red"))
    lines = _timeless("".join(world.written))
    return {
        "A record that was processed": [lines[0], lines[3]],
        "… whose function failed: the queue keeps it": [lines[1], lines[4]],
        "… that is in the quarantine": [lines[2], lines[5]],
    }


def markdown(folder: Path) -> str:
    """The section of the page."""
    return "\n\n".join("\n".join([f"{name}:", "", "```json", *lines, "```"]) for name, lines in samples(folder).items())


def _request(event: dict[str, Any], failure: Exception | None = None) -> list[str]:
    def invoke(call: Call) -> bytes:
        call.on_request_id("4f0e6a58-7d4b-4c0f-9a53-0c5c1d8e2f11")
        if failure is not None:
            raise failure
        return b'{"statusCode":200,"headers":{"content-type":"text/plain"},"body":"hello"}'

    written: list[str] = []
    backends = [Backend("/", "orders:live")]
    Bridge(tenant_map(), invoke, backends=backends, write=written.append, clock=_Clock())(event, None)
    return _timeless("".join(written))


def _reloads(folder: Path) -> dict[str, list[str]]:
    """A start without a good configuration, and a request to it; then a good one, another good one, and a bad one."""
    file, written, now = folder / "bridge.toml", list[str](), [0.0]
    environ = {"LAMBDA_TASK_ROOT": str(folder), "AWS_REGION": "eu-west-1"}

    def after(text: str, seconds: float) -> list[str]:
        file.write_text(text, encoding="utf-8")
        os.utime(file, (now[0], now[0]))  # a file that was written just now is left for the next reload
        now[0] += seconds
        if len(known) == 0:
            known.append(make_handler(environ, written.append, clock=lambda: now[0]))
        else:
            known[0](v2(role("blue-api")), None)
        text, written[:] = "".join(written), []
        return _timeless(re.sub(r'"(total|Latency|Overhead)":[0-9.]+', r'"\1":0.5', text))

    known: list[Any] = []
    good = '[[backend]]\nfunction = "orders:live"\n' + MAP
    start = after(good + "[[rule]]\n", 0)
    asked = after(good + "[[rule]]\n", 1)
    better = after(good, 10)
    newer = after(good.replace("old = {", "older = {").replace('"old"', '"older"'), 1000)
    worse = after(good.replace("blue = {}", "blue = 5"), 1000)
    return {
        "A start without a configuration that loads": start,
        "… and a request, which is answered with 503": asked,
        "A configuration becomes active": better[:2],
        "… and replaces another": newer[:2],
        "A configuration with a fault; the one before stays active": worse[:2],
    }


def _timeless(text: str) -> list[str]:
    for pattern, replacement in _TIMES:
        text = re.sub(pattern, replacement, text)
    return text.splitlines()
