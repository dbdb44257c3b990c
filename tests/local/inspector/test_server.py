"""The inspector's server: who may use its API, what every response contains, and the stream of entries."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import re
import threading
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import pytest

from lattice_bridge.local.front.exchange.http_message import HttpRequest
from lattice_bridge.local.inspector.entry import Content, Entry, HttpIn
from lattice_bridge.local.inspector.server import HEADERS, MAX_SMALL_BODY, MAX_STREAMS, Inspector
from lattice_bridge.local.inspector.timeline import Timeline
from lattice_bridge.local.web.admission import Refused
from tests.support.incoming import Incoming

Found = TypeVar("Found")
HOSTILE = "/<script>alert(1)</script>\x1b[2J\u202e"


class Live:
    """A stack that answers with what it was asked."""

    front = "http://127.0.0.1:8080"
    aws = "http://127.0.0.1:9001"
    header = "x-tenant-id"

    def __init__(self) -> None:
        self.replayed: list[tuple[int, Mapping[str, Any]]] = []

    @property
    def identities(self) -> list[dict[str, str]]:
        return [{"name": "blue-api", "access_key": "LOCALBLUEAPI"}]

    async def replay(self, entry: Entry, changes: Mapping[str, Any]) -> int:
        self.replayed.append((entry.n, changes))
        return 7

    def curl(self, _entry: Entry) -> None: ...

    def example(self) -> str:
        return "curl http://127.0.0.1:8080/"

    async def runs(self, log: str = "") -> Mapping[str, Any]:
        return {"queues": [], "log": log}

    def messages(self, queue: str, after: int) -> Mapping[str, Any]:
        if queue != "orders/x.fifo":
            raise Refused(404, f"{queue}: no such queue. Fix: use orders/x.fifo")
        return {"messages": [], "more": bool(after)}

    def redrive(self, _queue: str) -> Mapping[str, Any]:
        return {"moved": 3, "left": 0, "why": None}


@dataclass(frozen=True)
class Answer:
    """A response that was read."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Served:
    """An inspector with its server, in a thread of its own."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self.timeline, self.live = Timeline(), Live()
        self.inspector = Inspector(self.timeline, lambda _entry: None, "template.yaml", self.live, pause=0, ping=0.01)
        self._server = self.run(self.inspector.start, 0)
        self.port = self._server.port

    def run(self, function: Callable[..., Awaitable[Found]], *arguments: Any) -> Found:
        async def call() -> Found:
            return await function(*arguments)

        return asyncio.run_coroutine_threadsafe(call(), self._loop).result(20)

    def do(self, function: Callable[..., Found], *arguments: Any) -> Found:
        """Calls something of the timeline, in its event loop."""

        async def call() -> Found:
            return function(*arguments)

        return self.run(call)

    def close(self) -> None:
        self.run(self._server.stop)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def open(
        self, method: str, target: str, headers: Mapping[str, str] | None = None, body: bytes | Iterable[bytes] = b""
    ) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
        """A connection, and the response on it; with the token, unless the headers have their own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        given = {"authorization": f"Bearer {self.inspector.token}", **(headers or {})}
        given = {name: value for name, value in given.items() if value}
        connection.request(method, target, body or None, given, encode_chunked=True)
        return connection, connection.getresponse()

    def ask(self, *arguments: Any, **named: Any) -> Answer:
        """A whole response; of a stream, only its head."""
        connection, response = self.open(*arguments, **named)
        with contextlib.closing(connection), contextlib.closing(response):
            is_stream = response.headers.get_content_type() == "text/event-stream"
            return Answer(response.status, response.headers, b"" if is_stream else response.read())

    def json(self, method: str, target: str, body: Any = None) -> Any:
        answer = self.ask(method, target, None, b"" if body is None else json.dumps(body).encode())
        assert answer.status == 200, answer.body
        return answer.json


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    found = Served()
    yield found
    found.close()


def entry_of(path: str = "/orders", **fields: Any) -> Entry:
    content = Content(HttpIn(HttpRequest("GET", path, [("host", "shop")])))
    return Entry("lattice", "shop", path, "id", 1.5, method="GET", content=content, **fields)


# ---- who may use it -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", ["/api/state", "/api/stream", "/api/entries/1", "/api/none", "/api/", "/api/runs"])
@pytest.mark.parametrize(
    "authorization",
    ["", "Bearer", "Bearer ", "Bearer wrong", "Basic {token}", "bearer {token}", "{token}", "Bearer {token} "],
)
def test_wrong_or_missing_token_gets_nothing(served: Served, target: str, authorization: str) -> None:
    """Trap G2: also a path that does not exist answers so, and nothing redirects."""
    sent = authorization.format(token=f"{served.inspector.token[:-1]}é")
    response = served.ask("GET", target, {"authorization": sent})
    assert (response.status, response.headers["www-authenticate"]) == (401, "Bearer")
    assert response.json == {
        "error": "Authorization: the token is missing or wrong. Fix: open the URL that the stack has printed"
    }


@pytest.mark.parametrize("name", ["token", "access_token", "authorization"])
def test_token_in_the_query_is_not_accepted(served: Served, name: str) -> None:
    """Trap G2: a query is in logs, in the history, and in Referer."""
    target = f"/api/state?{name}={served.inspector.token}"
    assert served.ask("GET", target, {"authorization": ""}).status == 401


def test_repeated_token_is_not_accepted(served: Served) -> None:
    """Trap G2."""
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", served.port, timeout=20)) as connection:
        connection.putrequest("GET", "/api/state")
        for _ in range(2):
            connection.putheader("authorization", f"Bearer {served.inspector.token}")
        connection.endheaders()
        with contextlib.closing(connection.getresponse()) as response:
            assert response.status == 401


def test_token_is_new_at_each_start_and_only_in_the_fragment(served: Served) -> None:
    """Trap G2: a browser sends a fragment to no server."""
    other = Inspector(served.timeline, lambda _entry: None, "template.yaml")
    assert other.token != served.inspector.token
    assert len(other.token) == 43
    assert served.inspector.url.endswith(f":{served.port}/#token={served.inspector.token}")


def test_each_start_has_an_origin_of_its_own(served: Served) -> None:
    """Trap G2: a service worker that another server has left at this port would get the page, and read its token."""
    other = Inspector(served.timeline, lambda _entry: None, "template.yaml")
    name = re.fullmatch(r"http://([0-9a-f]{8}\.localhost):[0-9]+/#.*", served.inspector.url)
    assert name is not None
    assert f"//{name[1]}:" not in other.url
    host = f"{name[1]}:{served.port}"
    assert served.ask("GET", "/", {"host": host, "authorization": ""}).status == 200
    assert served.ask("GET", "/api/state", {"host": host, "origin": f"http://{host}"}).status == 200
    another = f"http://00000000.localhost:{served.port}"
    assert served.ask("GET", "/api/state", {"host": host, "origin": another}).status == 403


OWN = "http://127.0.0.1:{port}"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"host": "evil.example"}, 403),
        ({"host": "127.0.0.1.evil.example:{port}"}, 403),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "http://127.0.0.1:3000"}, 403),
        ({"origin": "http://localhost:{port}"}, 403),
        ({"origin": "https://127.0.0.1:{port}"}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
        ({"origin": OWN, "sec-fetch-site": "same-origin"}, 200),
        ({"sec-fetch-site": "none"}, 200),
        ({}, 200),
    ],
)
@pytest.mark.parametrize(("method", "target"), [("GET", "/api/state"), ("POST", "/api/clear")])
def test_only_its_own_page_uses_the_api(
    served: Served, headers: dict[str, str], status: int, method: str, target: str
) -> None:
    """Trap G2: not a page of another site, and not one of another port of this machine, even with the token."""
    given = {name: value.format(port=served.port) for name, value in headers.items()}
    assert served.ask(method, target, given).status == status


# ---- what every response contains -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "target", "headers", "status"),
    [
        ("GET", "/api/state", {}, 200),
        ("GET", "/api/stream", {}, 200),
        ("GET", "/api/state", {"authorization": ""}, 401),
        ("GET", "/api/none", {}, 404),
        ("GET", "/none", {}, 404),
        ("DELETE", "/", {}, 405),
        ("GET", "/api/state", {"host": "evil.example"}, 403),
        ("GET", "/api/state", {"x-long": "a" * 80_000}, 431),
        ("GET", "/" + "a" * 80_000, {}, 414),
        ("GET", "*", {}, 400),
    ],
)
def test_every_response_keeps_scripts_and_other_origins_out(
    served: Served, method: str, target: str, headers: dict[str, str], status: int
) -> None:
    """Trap G2: also a refusal, which quotes what was sent."""
    response = served.ask(method, target, {"origin": OWN.format(port=served.port), **headers})
    found = {name.lower(): value for name, value in response.headers.items()}
    assert response.status == status
    assert found.items() >= dict(HEADERS).items()
    assert not any(name.startswith("access-control-") or name in ("set-cookie", "location") for name in found)


def test_policy_allows_no_inline_script_and_no_frame() -> None:
    """Trap G2."""
    policy = dict(part.split(" ", 1) for part in dict(HEADERS)["content-security-policy"].split("; "))
    assert policy["default-src"] == policy["frame-ancestors"] == policy["form-action"] == policy["base-uri"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"


def test_preflight_is_refused(served: Served) -> None:
    """Trap G2: no page of another origin may send the token's header."""
    asked = {"access-control-request-method": "GET", "access-control-request-headers": "authorization"}
    response = served.ask("OPTIONS", "/api/state", {"authorization": "", "origin": "http://localhost:3000", **asked})
    assert response.status == 403
    assert response.headers["access-control-allow-origin"] is None


@pytest.mark.parametrize(
    "head", [b"".join(b"x-%d: 1\r\n" % number for number in range(10_000)), b"a:\r\n" * 40_000], ids=["small", "empty"]
)
def test_thousands_of_headers_are_refused(served: Served, head: bytes) -> None:
    """Trap G2."""

    async def ask() -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
        token = f"authorization: Bearer {served.inspector.token}\r\n".encode()
        writer.write(b"GET /api/state HTTP/1.1\r\nhost: localhost\r\n" + token + head + b"\r\n")
        status = await reader.readline()
        writer.close()
        return status

    assert asyncio.run(ask()).split()[1] in (b"400", b"431")


@pytest.mark.parametrize(
    ("method", "target", "allowed"),
    [
        ("POST", "/", "GET, HEAD"),
        ("POST", "/api/state", "GET"),
        ("GET", "/api/clear", "POST"),
        ("GET", "/api/replay", "POST"),
        ("GET", "/api/queues/orders/redrive", "POST"),
        ("PUT", "/api/entries/1", "GET"),
    ],
)
def test_other_method_is_not_allowed(served: Served, method: str, target: str, allowed: str) -> None:
    """Trap G2: what changes something is no GET, which an image of another page could send."""
    response = served.ask(method, target)
    assert (response.status, response.headers["allow"]) == (405, allowed)


@pytest.mark.parametrize(
    "target",
    [
        *("/none", "/api", "/page/index.html", "/../server.py", "/%2e%2e/server.py", "/..%2fserver.py", "//"),
        *("/server.py", "/api/entries/x", "/api/entries/1/copy/2", "/api/entries/99999", f"/api/entries/{'9' * 99}"),
        *("/api/queues/a/b/c", "/api/queues/none/messages"),
    ],
)
def test_unknown_path_is_not_found(served: Served, target: str) -> None:
    """Trap G2: no path is built from what was sent."""
    response = served.ask("GET", target)
    assert response.status == 404
    assert "Fix: " in response.json["error"]


# ---- bodies ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("target", ["/api/clear", "/api/queues/orders/redrive"])
def test_body_over_the_limit_is_refused(served: Served, target: str, chunked: bool) -> None:
    """Trap G2."""
    body = b"a" * (MAX_SMALL_BODY + 1)
    response = served.ask("POST", target, {}, [body] if chunked else body)
    assert (response.status, response.headers["connection"]) == (413, "close")


@pytest.mark.parametrize("body", ["", "[]", "null", "{", "[" * 100_000, '{"n": "1"}', '{"n": true}', "{}"])
def test_replay_without_a_number_is_a_bad_request(served: Served, body: str) -> None:
    response = served.ask("POST", "/api/replay", None, body.encode())
    assert response.status == 400
    assert "Fix: " in response.json["error"]


# ---- the answers ----------------------------------------------------------------------------------------------------


def test_state_of_a_stack(served: Served) -> None:
    found = served.json("GET", "/api/state")
    assert found.pop("version")
    assert found == {
        "mode": "live",
        "title": "template.yaml",
        "front": "http://127.0.0.1:8080",
        "aws": "http://127.0.0.1:9001",
        "can_replay": True,
        "kept": 10_000,
        "identities": [{"name": "blue-api", "access_key": "LOCALBLUEAPI"}],
        "header": "x-tenant-id",
        "example": "curl http://127.0.0.1:8080/",
    }


def test_cookies_of_other_ports_do_not_keep_the_page_out(served: Served) -> None:
    """A browser sends the cookies of a host to each of its ports."""
    assert served.ask("GET", "/", {"cookie": "; ".join(f"c{n}={'a' * 4000}" for n in range(12))}).status == 200


def test_file_is_only_read() -> None:
    """Neither a replay nor a queue exists without a stack."""
    served = Served()
    served.inspector._live = None
    try:
        state = served.json("GET", "/api/state")
        assert (state["mode"], state["can_replay"], state["front"], state["identities"]) == ("file", False, None, [])
        for method, target in (("GET", "/api/runs"), ("POST", "/api/queues/a/redrive"), ("POST", "/api/replay")):
            assert served.ask(method, target, {}, b'{"n": 1}').status == 409
    finally:
        served.close()


def test_hostile_entry_is_json_and_nothing_else(served: Served) -> None:
    """Trap G2: a path of a request is data on the way to the page, in ASCII, and never a page itself."""
    number = served.do(served.timeline.add, entry_of(HOSTILE))
    response = served.ask("GET", f"/api/entries/{number}")
    body = response.body
    assert response.headers["content-type"] == "application/json"
    assert body.isascii()
    assert b"\x1b" not in body
    assert json.loads(body)["summary"]["path"] == HOSTILE


def test_replay_and_queues_reach_the_stack(served: Served) -> None:
    number = served.do(served.timeline.add, entry_of())
    changes = {"n": number, "method": "PUT", "headers": [["a", None]]}
    assert served.json("POST", "/api/replay", changes) == {"n": 7}
    assert served.live.replayed[-1] == (number, changes)
    assert served.json("GET", "/api/runs") == {"queues": [], "log": ""}
    assert served.json("GET", "/api/runs?log=orders%2Fblue%231") == {"queues": [], "log": "orders/blue#1"}
    assert served.json("GET", "/api/queues/orders%2Fx.fifo/messages?after=4") == {"messages": [], "more": True}
    assert served.json("POST", "/api/queues/orders/redrive") == {"moved": 3, "left": 0, "why": None}
    assert served.ask("GET", "/api/queues/orders%2Fx.fifo/messages?after=-1").status == 400


# ---- the stream -----------------------------------------------------------------------------------------------------


class Stream:
    """An open stream of the API."""

    def __init__(self, served: Served, after: int = 0) -> None:
        self._connection, self._response = served.open("GET", f"/api/stream?after={after}")
        assert self._response.status == 200
        self.media_type = self._response.headers["content-type"]

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._response.close()
        self._connection.close()

    def next(self, kind: str = "entries") -> Any:
        """The next message of a kind."""
        while True:
            fields = {}
            while line := self._response.readline().decode().rstrip("\n"):
                name, _, value = line.partition(": ")
                fields[name] = value
            if fields["event"] == kind:
                found = json.loads(fields["data"])
                assert fields["id"] == str(found["change"])
                return found


def test_stream_sends_what_is_kept_and_then_what_changes() -> None:
    served = Served()
    try:
        entry = entry_of("/a")
        served.do(served.timeline.add, entry)
        with Stream(served) as stream:
            assert stream.media_type == "text/event-stream; charset=utf-8"
            first = stream.next()
            assert [(one["n"], one["state"]) for one in first["entries"]] == [(1, "running")]
            stream.next("ping")
            entry.state = "ended"
            served.do(served.timeline.changed, entry)
            second = stream.next()
            assert [(one["n"], one["state"]) for one in second["entries"]] == [(1, "ended")]
        with Stream(served, second["change"]) as stream:
            served.do(served.timeline.add, entry_of("/b"))
            assert [one["path"] for one in stream.next()["entries"]] == ["/b"]
        with Stream(served, 999_999) as stream:
            assert len(stream.next()["entries"]) == 2, "a change of an earlier stack"
    finally:
        served.close()


def test_cleared_list_is_cleared_in_open_pages() -> None:
    served = Served()
    try:
        served.do(served.timeline.add, entry_of())
        with Stream(served) as stream:
            stream.next()
            assert served.json("POST", "/api/clear", {}) == {"until": 1}
            assert stream.next("cleared")["until"] == 1
            served.do(served.timeline.add, entry_of("/b"))
            assert [one["n"] for one in stream.next()["entries"]] == [2]
        assert served.ask("GET", "/api/entries/1").status == 404
    finally:
        served.close()


def test_message_has_a_bounded_number_of_entries() -> None:
    served = Served()
    try:
        for _ in range(1100):
            served.do(served.timeline.add, entry_of())
        with Stream(served) as stream:
            assert [len(stream.next()["entries"]) for _ in range(3)] == [500, 500, 100]
    finally:
        served.close()


def test_streams_have_a_limit_and_end_with_their_pages(served: Served) -> None:
    streams = [Stream(served) for _ in range(MAX_STREAMS)]
    for stream in streams:
        stream.next("ping")
    assert served.ask("GET", "/api/stream").status == 429
    for stream in streams:
        stream.close()
    statuses = (served.ask("GET", "/api/stream").status for _ in range(1000))
    assert 200 in statuses, "the next ping finds that the reader has gone"


def test_stream_counts_before_its_first_message() -> None:
    """Its limit is checked and counted at once: none is open twice while a slow reader has not read yet."""

    async def run() -> list[int]:
        inspector = Inspector(Timeline(), lambda _entry: None, "template.yaml")
        statuses, never = list[int](), asyncio.Event()
        headers = {"authorization": f"Bearer {inspector.token}"}

        class Slow(Incoming):
            async def respond(self, status: int, _headers: object, _body: object) -> None:
                statuses.append(status)
                await never.wait()

        def asking() -> asyncio.Task[None]:
            return asyncio.create_task(inspector(Slow("GET", "/api/stream", headers)))

        asked = [asking() for _ in range(MAX_STREAMS + 1)]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        for task in asked:
            task.cancel()
        await asyncio.gather(*asked, return_exceptions=True)
        asked = [asking()]
        await asyncio.sleep(0)
        asked[0].cancel()
        return statuses

    assert asyncio.run(run()) == [*[200] * MAX_STREAMS, 429, 200]
