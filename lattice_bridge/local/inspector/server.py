"""The inspector's server: its page, and the API with which the page reads and replays what happened.

Rules:
* Only the page can use the API. Its token is in the fragment of the URL, which a browser sends to no server, and the
  page sends it as a header. There is no cookie, so a page of another site can add nothing to a request of its own.
* No other origin reads a response: there is no CORS header, and a page of another port of this machine is refused too.
* The page runs no script and loads nothing but the files beside it, whatever a request contained: see HEADERS.
* A slow page costs bounded memory: if an entry changes twice before it is sent, it is sent once.
* Each start has an origin of its own, since a browser keeps service workers and caches by origin: one that another
  server has left at this port cannot read the token.

The API is the page's own, and may change with it.
Source: WHATWG HTML §9.2 (event streams), CSP Level 3, W3C Fetch Metadata.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import re
import secrets
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol
from urllib.parse import parse_qs, unquote

from lattice_bridge.config.regular_file import MIB, read_regular_file
from lattice_bridge.local.inspector.timeline import Timeline
from lattice_bridge.local.web.admission import Refused, quoted
from lattice_bridge.local.web.incoming import BodyTooLarge, ClientGone, IncomingRequest
from lattice_bridge.local.web.server import HttpServer
from lattice_bridge.version import __version__

if TYPE_CHECKING:  # the start of the stack does not wait for it
    from lattice_bridge.local.inspector.copies import Signing
    from lattice_bridge.local.inspector.detail import Decide
    from lattice_bridge.local.inspector.entry import Entry

PAGE: Final = Path(__file__).with_name("page")
HEADERS: Final = (
    (
        "content-security-policy",
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-resource-policy", "same-origin"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cache-control", "no-store"),
)
"""The headers of every response."""
MAX_HEAD: Final = 64 * 1024
"""Bytes of a target and all headers together. A browser also sends the cookies of the other ports of this machine."""
MAX_BODY: Final = 24 * MIB
"""Bytes of a replay's body: 10 MB, the most that a way in takes, as hex."""
MAX_SMALL_BODY: Final = 64 * 1024
MAX_STREAMS: Final = 8
"""Open streams. A browser itself has six connections to a server, for all of its tabs together."""
MESSAGE_ENTRIES: Final = 500
MESSAGE_SECONDS: Final = 0.1
PING_SECONDS: Final = 15.0

_TYPES: Final = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_MAX_FILE: Final = MIB
_BEARER: Final = "Bearer "
_LABEL_BYTES: Final = 4
"""Random bytes of the host name. It is no secret."""
_JSON: Final = [(b"content-type", b"application/json")]
_STREAM: Final = [(b"content-type", b"text/event-stream; charset=utf-8")]


class Live(Protocol):
    """What only a running stack has: it replays, and shows what runs. Each method may raise Refused."""

    @property
    def front(self) -> str:
        """The URL of the front."""

    @property
    def aws(self) -> str:
        """The URL of the AWS endpoint."""

    @property
    def identities(self) -> list[dict[str, str]]:
        """The identities that may sign: name and access key."""

    @property
    def header(self) -> str | None:
        """The header with which a caller asks for a tenant."""

    def example(self) -> str | None:
        """A command that sends a request which the active map allows; None if there is none."""

    async def replay(self, entry: Entry, changes: Mapping[str, Any]) -> int:
        """Sends an entry again. Returns the number of the new entry."""

    def curl(self, entry: Entry) -> Signing | None:
        """How the command for an entry signs; None for a request without a signature."""

    async def runs(self, log: str = "") -> Mapping[str, Any]:
        """The environments, the maps, the queues and the streams.

        Args:
            log: the label of the environment whose last lines are shown, as in `orders/blue#1`; empty for none.
        """

    def messages(self, queue: str, after: int) -> Mapping[str, Any]:
        """The messages of a queue. Nothing in it changes."""

    def redrive(self, queue: str) -> Mapping[str, Any]:
        """Sends the messages of a dead-letter queue or a quarantine back. Returns how many were moved, how many are
        left, and why."""


class Inspector:
    """The inspector of a stack or of a file, as an application of `HttpServer`.

    Args:
        timeline: that the page shows.
        decide: explains an entry.
        title: of the page: the template, or the file that is shown.
        live: of a running stack; None for a file, which is only read.
        pause: seconds between two messages of a stream.
        ping: seconds after which a stream without news shows that it lives.

    Attributes:
        token: that a request of the API has to have.
    """

    def __init__(
        self,
        timeline: Timeline,
        decide: Decide,
        title: str,
        live: Live | None = None,
        *,
        pause: float = MESSAGE_SECONDS,
        ping: float = PING_SECONDS,
    ) -> None:
        self._timeline = timeline
        self._decide = decide
        self._title = title
        self._live = live
        self._pause = pause
        self._ping = ping
        self._streams = 0
        self._name = f"{secrets.token_hex(_LABEL_BYTES)}.localhost"
        self._port = 0
        self.token = secrets.token_urlsafe(32)

    async def start(self, port: int = 0) -> HttpServer:
        """Listens on a port, or on a free one if it is 0.

        Raises:
            PortTaken: the port is in use, or may not be used.
        """
        server = await HttpServer.start(self, port, max_head=MAX_HEAD, headers=HEADERS)
        self._port = server.port
        return server

    @property
    def url(self) -> str:
        """The URL for the browser, of an inspector that has started. Its token is in the fragment, which is never sent
        over the network. Its host name is new at each start: browsers resolve all names of `.localhost` to this
        machine (RFC 6761 §6.3)."""
        return f"http://{self._name}:{self._port}/#token={self.token}"

    async def __call__(self, incoming: IncomingRequest) -> None:
        request = _Request(incoming)
        try:
            if not request.path.startswith("/api/"):
                media_type, content = self._file(request)
                await incoming.respond(200, [(b"content-type", media_type.encode())], content)
                return
            self._check(request)
            answer = await self._answer(request)
        except Refused as refusal:
            if not request.is_read:
                await incoming.discard()
            more = refusal.more if isinstance(refusal, _Refused) else ()
            closing = () if request.is_read else ((b"connection", b"close"),)
            await incoming.respond(refusal.status, [*_JSON, *more, *closing], _json({"error": str(refusal)}))
            return
        if isinstance(answer, Mapping):
            await incoming.respond(200, _JSON, _json(answer))
            return
        self._streams += 1  # nothing was awaited since `_stream` has checked the limit
        try:
            await incoming.respond(200, _STREAM, answer)
        finally:
            self._streams -= 1

    # ---- who may ask ------------------------------------------------------------------------------------------------

    def _check(self, request: _Request) -> None:
        """Checks that the page itself sends a request of the API.

        Raises:
            Refused: 403 for a page of another origin, 401 without the token.
        """
        own = f"http://{request.authority}"
        if any(origin != own for origin in request.headers("origin")):
            raise Refused(403, "Origin: a page of another origin may not use the inspector. Fix: open its own URL")
        if any(site not in ("same-origin", "none") for site in request.headers("sec-fetch-site")):
            raise Refused(
                403, "Sec-Fetch-Site: a page of another origin may not use the inspector. Fix: open its own URL"
            )
        given = request.headers("authorization")
        expected = f"{_BEARER}{self.token}".encode()
        if len(given) != 1 or not hmac.compare_digest(given[0].encode("latin-1"), expected):
            what = "the token is missing or wrong"  # the message does not say which of the two
            more = ((b"www-authenticate", b"Bearer"),)
            raise _Refused(401, f"Authorization: {what}. Fix: open the URL that the stack has printed", more)

    # ---- the page ---------------------------------------------------------------------------------------------------

    def _file(self, request: _Request) -> tuple[str, bytes]:
        """A file of the page, with its media type. Only files that the folder has are compared: no path is built."""
        request.check_method("GET", "HEAD")
        name = "index.html" if request.path == "/" else request.path.removeprefix("/")
        files = {path.name: path for path in PAGE.iterdir() if path.suffix in _TYPES}
        if name not in files:
            raise Refused(404, f"{quoted(request.path)}: the inspector has no such page. Fix: open /")
        return _TYPES[files[name].suffix], read_regular_file(files[name], _MAX_FILE)

    # ---- the API ----------------------------------------------------------------------------------------------------

    async def _answer(self, request: _Request) -> Mapping[str, Any] | AsyncGenerator[bytes, None]:
        """The answer to a request of the API."""
        for pattern, method, handle in _ROUTES:
            if match := re.fullmatch(pattern, request.path):
                request.check_method(method)
                return await handle(self, request, *match.groups())
        raise Refused(
            404, f"{quoted(request.path)}: the inspector's API has no such path. Fix: open the inspector's page"
        )

    async def _state(self, _request: _Request) -> Mapping[str, Any]:
        live = self._live
        return {
            "version": __version__,
            "mode": "file" if live is None else "live",
            "title": self._title,
            "front": None if live is None else live.front,
            "aws": None if live is None else live.aws,
            "can_replay": live is not None,
            "kept": self._timeline.max_entries,
            "identities": [] if live is None else live.identities,
            "header": None if live is None else live.header,
            "example": None if live is None else live.example(),
        }

    async def _stream(self, request: _Request) -> AsyncGenerator[bytes, None]:
        after = request.number("after")
        if self._streams >= MAX_STREAMS:
            raise Refused(429, f"stream: {MAX_STREAMS} pages are open. Fix: close one")
        # If `after` is larger than our last change, it comes from an earlier stack.
        return self._events(after if after <= self._timeline.change else 0)

    async def _events(self, after: int) -> AsyncGenerator[bytes, None]:
        """What is newer than a change, and then what comes."""
        timeline = self._timeline
        while True:
            change, until = timeline.cleared
            if change > after:
                after = change
                yield _event("cleared", {"change": change, "until": until})
            entries, seen = timeline.since(after, MESSAGE_ENTRIES)
            after = seen
            if entries:
                yield _event("entries", {"change": seen, "entries": [entry.summary() for entry in entries]})
                await asyncio.sleep(self._pause)
                continue
            try:
                await asyncio.wait_for(timeline.wait(after), self._ping)
            except TimeoutError:
                yield _event("ping", {"change": after})

    async def _entry(self, _request: _Request, number: str) -> Mapping[str, Any]:
        # To mask and to explain a large content takes a second. The stack serves requests meanwhile.
        return await asyncio.to_thread(_detail, self._found(number).copied(), self._decide, self._live is not None)

    async def _copy(self, request: _Request, number: str) -> Mapping[str, Any]:
        from lattice_bridge.local.inspector import copies  # here: see above

        entry, form, live = self._found(number), request.parameter("as"), self._live
        front, signing = ("http://127.0.0.1:8080", None) if live is None else (live.front, live.curl(entry))
        return await asyncio.to_thread(copies.copied, entry.copied(), form, front, signing)  # see `_entry`

    async def _clear(self, request: _Request) -> Mapping[str, Any]:
        await request.body(MAX_SMALL_BODY)
        return {"until": self._timeline.clear()}

    async def _replay(self, request: _Request) -> Mapping[str, Any]:
        live = self._running()
        changes = await request.json(MAX_BODY)
        number = changes.get("n")
        if not isinstance(number, int) or isinstance(number, bool):
            raise Refused(400, "n: the number of an entry is missing. Fix: write the entry's n")
        return {"n": await live.replay(self._found(str(number)), changes)}

    async def _runs(self, request: _Request) -> Mapping[str, Any]:
        return await self._running().runs(request.parameter("log"))

    async def _messages(self, request: _Request, queue: str) -> Mapping[str, Any]:
        return self._running().messages(unquote(queue), request.number("after"))

    async def _redrive(self, request: _Request, queue: str) -> Mapping[str, Any]:
        await request.body(MAX_SMALL_BODY)
        return self._running().redrive(unquote(queue))

    def _running(self) -> Live:
        if self._live is None:
            raise Refused(
                409, "file: no stack runs, and a file is only read. Fix: run `lattice-bridge local --inspect`"
            )
        return self._live

    def _found(self, number: str) -> Entry:
        entry = self._timeline.get(int(number)) if len(number) < 16 else None
        if entry is None:
            kept = self._timeline.max_entries
            raise Refused(404, f"entry {number[:16]}: it is not kept. The last {kept} entries are. Fix: send it again")
        return entry


def _detail(entry: Entry, decide: Decide, is_live: bool) -> dict[str, Any]:
    from lattice_bridge.local.inspector.detail import detail  # here: see above

    found = detail(entry, decide)
    if is_live and (came_in := found["came_in"]) and came_in["kind"] == "record":
        from lattice_bridge.local.inspector.replay import editable

        came_in["edit"] = editable(entry)
    return found


_Handle = Callable[..., Awaitable[Mapping[str, Any] | AsyncGenerator[bytes, None]]]
_NUMBER: Final = "([0-9]+)"
_NAME: Final = "([^/]+)"
_ROUTES: Final[tuple[tuple[str, str, _Handle], ...]] = (
    ("/api/state", "GET", Inspector._state),
    ("/api/stream", "GET", Inspector._stream),
    (f"/api/entries/{_NUMBER}", "GET", Inspector._entry),
    (f"/api/entries/{_NUMBER}/copy", "GET", Inspector._copy),
    ("/api/clear", "POST", Inspector._clear),
    ("/api/replay", "POST", Inspector._replay),
    ("/api/runs", "GET", Inspector._runs),
    (f"/api/queues/{_NAME}/messages", "GET", Inspector._messages),
    (f"/api/queues/{_NAME}/redrive", "POST", Inspector._redrive),
)


# ---- HTTP -----------------------------------------------------------------------------------------------------------


class _Refused(Refused):
    """A refusal whose response has further headers."""

    def __init__(self, status: int, message: str, more: tuple[tuple[bytes, bytes], ...]) -> None:
        super().__init__(status, message)
        self.more = more


class _Request:
    """A request, read as far as its answer needs it.

    Attributes:
        path: as sent, without the query.
        authority: `host[:port]` as sent.
        is_read: whether the body was read to its end.
    """

    def __init__(self, incoming: IncomingRequest) -> None:
        self._incoming = incoming
        self._method = incoming.method
        self.path, _, self._query = incoming.address.target.partition("?")
        self.authority = incoming.address.authority
        self.is_read = not any(name in (b"content-length", b"transfer-encoding") for name, _ in incoming.headers)

    def headers(self, name: str) -> list[str]:
        """The values of a header."""
        return [value.decode("latin-1") for key, value in self._incoming.headers if key == name.encode()]

    def check_method(self, *allowed: str) -> None:
        """Raises Refused, 405, if the method is not one of these."""
        if self._method not in allowed:
            more = ((b"allow", ", ".join(allowed).encode()),)
            raise _Refused(405, f"{quoted(self._method)}: not for this path. Fix: send {allowed[0]}", more)

    def parameter(self, name: str) -> str:
        """The value of a parameter of the query; empty if there is none."""
        found: list[str] = parse_qs(self._query).get(name, [""])  # the head's limit is one of the query too
        return found[-1]

    def number(self, name: str) -> int:
        """A parameter of the query that is a number; 0 if there is none.

        Raises:
            Refused: 400, it is something else.
        """
        value = self.parameter(name)
        if re.fullmatch("[0-9]{0,15}", value) is None:
            raise Refused(400, f"{name}: {quoted(value)} is not a number. Fix: write digits only")
        return int(value or 0)

    async def body(self, limit: int) -> bytes:
        """Reads the body.

        Raises:
            Refused: 413, it is larger than the limit.
        """
        too_large = Refused(413, f"body: over {limit} bytes. Fix: send less")
        if any(len(value) > 15 or int(value) > limit for value in self.headers("content-length") if value.isdecimal()):
            raise too_large
        try:
            body = await self._incoming.body(limit)
        except BodyTooLarge:
            raise too_large from None
        except ClientGone:
            raise Refused(400, "body: the connection closed before it was complete") from None
        self.is_read = True
        return body

    async def json(self, limit: int) -> Mapping[str, Any]:
        """Reads the body as a JSON object.

        Raises:
            Refused: 400, it is something else; 413, it is larger than the limit.
        """
        try:
            found = json.loads(await self.body(limit))
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            raise Refused(400, 'body: not a JSON object. Fix: send one, as in {"n": 1}')
        return found


def _json(value: Mapping[str, Any]) -> bytes:
    """In ASCII: a lone surrogate of a request stays an escape."""
    return json.dumps(value, separators=(",", ":")).encode("ascii")


def _event(kind: str, value: Mapping[str, Any]) -> bytes:
    """A message of an event stream. JSON has no line break."""
    return b"id: %d\nevent: %s\ndata: %s\n\n" % (value["change"], kind.encode(), _json(value))
