"""A server of the inspector's page with sample entries, for tests of the page and for work on it.

Rule: it has the headers, the token and the API of the real server, so that what the page does here it does there.

    python -m tests.support.inspector_sample [PORT]
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable, Iterable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final, Self
from urllib.parse import parse_qs, unquote, urlsplit

from tests.support import inspector_data as data
from tests.support.builders import role, v2
from tests.support.paths import ROOT

PAGE: Final = ROOT / "lattice_bridge" / "local" / "inspector" / "page"
TOKEN: Final = "a-token-for-tests"  # of a server that has nothing but samples
TYPES: Final = {".html": "text/html; charset=utf-8", ".css": "text/css; charset=utf-8", ".js": "text/javascript"}
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
AT_MOST: Final = 500
"""Entries of one message of the stream."""


class Sample:
    """The entries, what was asked, and a running server. If it `is_late`, a replay arrives after its answer."""

    def __init__(
        self, details: Iterable[data.Document] = (), *, mode: str = "live", port: int = 0, pace: float = 0.01
    ) -> None:
        self.details: dict[int, data.Document] = {}
        self.changes: list[data.Document] = []
        self.mode = mode
        self.pace = pace
        self.runs = data.runs()
        self.asked: list[tuple[str, Any]] = []
        self.cleared: tuple[int, int] | None = None
        self.is_down = False
        self.is_late = False
        self.token = TOKEN
        self.condition = threading.Condition()
        for one in details:
            self.add(one)
        self._server = ThreadingHTTPServer(("127.0.0.1", port), _handler_of(self))
        self._server.daemon_threads = True
        self.origin = f"http://127.0.0.1:{self._server.server_address[1]}"
        self.url = f"{self.origin}/#token={TOKEN}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.break_off()
        self._server.shutdown()
        self._server.server_close()

    def add(self, detail: data.Document) -> None:
        self.details[detail["summary"]["n"]] = detail
        self.change([detail["summary"]])

    def change(self, summaries: Iterable[data.Document]) -> None:
        with self.condition:
            for one in summaries:
                self.changes.append(one)
                self.details.setdefault(one["n"], data.detail(one))
            self.condition.notify_all()

    def clear(self) -> int:
        with self.condition:
            until = max((one["n"] for one in self.changes), default=0)
            self.cleared = (len(self.changes), until)
            self.condition.notify_all()
            return until

    def break_off(self) -> None:
        """Ends the streams, and accepts no more until `is_down` is false again."""
        with self.condition:
            self.is_down = True
            self.condition.notify_all()

    def state(self) -> data.Document:
        is_live = self.mode == "live"
        identities = [("blue-api", "LOCALBLUEAPI"), ("green-api", "LOCALGREENAPI"), ("support", "LOCALSUPPORT")]
        return {
            "version": "0.6.0",
            "mode": self.mode,
            "title": "template.yaml" if is_live else "recording.jsonl",
            "front": "http://127.0.0.1:8080" if is_live else None,
            "aws": "http://127.0.0.1:9001" if is_live else None,
            "can_replay": is_live,
            "kept": 10_000,
            "identities": [{"name": name, "access_key": key} for name, key in identities],
            "header": "x-tenant-id",
        }

    def replay(self, given: data.Document) -> data.Document:
        """Adds an entry like the original. If a tenant is asked for, it is the tenant."""
        original = self.details[given["n"]]
        n = max(self.details) + 1
        changes = {"n": n, "at": time.time(), "replay_of": given["n"], "ms": 8.8, "cold": False}
        if given.get("tenant"):
            changes |= {"tenant": given["tenant"], "status": 200, "outcome": "ok", "reason": "ok"}
        fresh = {**original, "summary": {**original["summary"], **changes}}
        if given.get("tenant") and original["decision"]:
            event = v2(role("support"), headers={"x-tenant-id": given["tenant"]})
            answer = {"tenant": given["tenant"], "orders": []}
            fresh = data.http_detail(fresh["summary"], event, answer)
        if self.is_late:
            threading.Timer(0.2, self.add, [fresh]).start()
        else:
            self.add(fresh)
        return {"n": n}


def _handler_of(sample: Sample) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # the head and the body are two writes

        def do_GET(self) -> None:
            path = urlsplit(self.path).path
            if path.startswith("/api/"):
                self.api(path.removeprefix("/api/"), None)
                return
            file = PAGE / (path.removeprefix("/") or "index.html")
            if file.parent != PAGE or not file.is_file():
                self.answer(404, {"error": "no such file"})
            else:
                self.send(200, TYPES[file.suffix], file.read_bytes())

        def do_POST(self) -> None:
            given = json.loads(self.rfile.read(int(self.headers["content-length"])))
            self.api(urlsplit(self.path).path.removeprefix("/api/"), given)

        def api(self, path: str, given: Any) -> None:
            if self.headers["authorization"] != f"Bearer {sample.token}":
                self.answer(401, {"error": "Authorization: not this start's token. Fix: open the printed URL"})
                return
            if path != "stream":
                sample.asked.append((path, given))
            query = {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}
            parts = [unquote(part) for part in path.split("/")]
            if path == "stream":
                self.stream(int(query["after"]))
            elif parts[0] == "entries" and len(parts) == 2:
                found = sample.details.get(int(parts[1]))
                self.answer(200 if found else 404, found or {"error": f"entry {parts[1]}: it was dropped"})
            else:
                self.answer(*_ANSWERS[parts[0]](sample, parts, given, query))

        def stream(self, after: int) -> None:
            if sample.is_down:
                self.answer(503, {"error": "down"})
                return
            self.close_connection = True
            self.send_response(200)
            self.common("text/event-stream", None)
            is_cleared = sample.cleared is not None
            while not sample.is_down:
                with sample.condition:
                    if len(sample.changes) <= after and (sample.cleared is not None) == is_cleared:
                        sample.condition.wait(5)
                    part = sample.changes[after : after + AT_MOST]
                    after += len(part)
                    cleared, is_cleared = (None if is_cleared else sample.cleared), sample.cleared is not None
                event = ("entries", {"change": after, "entries": part}) if part else ("ping", {})
                if cleared:
                    event = ("cleared", {"change": cleared[0], "until": cleared[1]})
                try:
                    self.wfile.write(f"id: {after}\nevent: {event[0]}\ndata: {json.dumps(event[1])}\n\n".encode())
                except OSError:
                    return
                time.sleep(sample.pace)

        def answer(self, status: int, value: Any) -> None:
            self.send(status, "application/json", json.dumps(value).encode())

        def send(self, status: int, content_type: str, content: bytes) -> None:
            self.send_response(status)
            self.common(content_type, len(content))
            self.wfile.write(content)

        def common(self, content_type: str, length: int | None) -> None:
            self.send_header("content-type", content_type)
            if length is not None:
                self.send_header("content-length", str(length))
            for name, value in _HEADERS.items():
                self.send_header(name, value)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name in http.server
            pass

    return Handler


_HEADERS: Final = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cache-control": "no-store",
}

Answer = tuple[int, Any]


def _replayed(sample: Sample, _parts: list[str], given: Any, _query: dict[str, str]) -> Answer:
    if given.get("method") == "BREAK":
        return 400, {"error": f"method: {data.SCRIPT} is not a method. Fix: write letters"}
    return 200, sample.replay(given)


def _of_queue(_sample: Sample, parts: list[str], given: Any, query: dict[str, str]) -> Answer:
    if given is not None:
        return 200, {"moved": 2}
    found = data.messages(parts[1])
    return 200, {"messages": found[1:] if "after" in query else found[:1], "more": "after" not in query}


def _copied(sample: Sample, parts: list[str], _given: Any, query: dict[str, str]) -> Answer:
    return 200, {"text": f"{query['as']} of {parts[1]}", "name": f"entry-{parts[1]}.json"}


_ANSWERS: Final[dict[str, Callable[[Sample, list[str], Any, dict[str, str]], Answer]]] = {
    "state": lambda sample, *_: (200, sample.state()),
    "runs": lambda sample, *_: (200, sample.runs),
    "clear": lambda sample, *_: (200, {"until": sample.clear()}),
    "entries": _copied,
    "replay": _replayed,
    "queues": _of_queue,
}


def main(port: int) -> None:
    with Sample(data.details(time.time()), port=port, pace=0.1) as sample:
        print(sample.url, flush=True)  # noqa: T201 - a command for people
        while True:
            time.sleep(3600)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 8081)
