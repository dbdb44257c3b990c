"""Lambda's Runtime API, for one execution environment.

Rule: one invocation at a time. The process asks for the next one, and its response belongs to the invocation that it
received last.
Source: the Lambda developer guide, "Using the Lambda runtime API". Headers are those that awslambdaric reads.

The API has no secret, as Lambda's has none: runtime clients cannot send one. The possible values of
AWS_LAMBDA_RUNTIME_API were measured with awslambdaric 4.2.2. Its native client, libcurl, accepts `HOST:PORT/SECRET` and
`SECRET@HOST:PORT` for `next`, `response` and `error`. Its Python client sends `init/error`, and cannot connect with
either (`InvalidURL: nonnumeric port`, `Name or service not known`): each error of an init phase would be lost.
Instead, each environment admits the connections of its own process only.
"""

from __future__ import annotations

import asyncio
import json
import weakref
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from lattice_bridge.local.environments.peer_process import Address
from lattice_bridge.local.web.incoming import IncomingRequest, WholeApplication

RESPONSE_LIMIT: Final = 6_291_556
"""Bytes of a response, from Lambda's own error message: 100 more than 6 MiB."""

MAX_HEAD: Final = 2 * 1024 * 1024
"""Bytes of a head. awslambdaric repeats an error, up to 1 MiB of it, in `Lambda-Runtime-Function-XRay-Error-Cause`."""

_RUNTIME: Final = "/2018-06-01/runtime"
_INVOCATION: Final = f"{_RUNTIME}/invocation"
_NEXT: Final = ("GET", f"{_INVOCATION}/next")
_INIT_ERROR: Final = ("POST", f"{_RUNTIME}/init/error")
_ACCEPTED: Final = b'{"status":"OK"}'
_JSON: Final = (b"content-type", b"application/json")
_FOREIGN: Final = b'{"errorType":"Forbidden","errorMessage":"This Runtime API serves its own environment only."}'


@dataclass(slots=True)
class Invocation:
    """An invocation as a process receives it.

    Attributes:
        request_id: a UUID.
        payload: JSON.
        arn: the function's, with the qualifier of the request.
        tenant: the tenant id, or None.
        trace_id: `X-Amzn-Trace-Id`, or None.
        client_context: JSON, or None.
    """

    request_id: str
    payload: bytes
    arn: str
    tenant: str | None = None
    trace_id: str | None = None
    client_context: str | None = None

    def headers(self, deadline_ms: int) -> list[tuple[bytes, bytes]]:
        """Returns the headers of the response to `next`. The deadline is in milliseconds since the epoch."""
        fields = (
            (b"lambda-runtime-aws-request-id", self.request_id),
            (b"lambda-runtime-deadline-ms", str(deadline_ms)),
            (b"lambda-runtime-invoked-function-arn", self.arn),
            (b"lambda-runtime-trace-id", self.trace_id),
            (b"lambda-runtime-aws-tenant-id", self.tenant),
            (b"lambda-runtime-client-context", self.client_context),
        )
        return [_JSON, *[(name, value.encode("latin-1")) for name, value in fields if value is not None]]


@dataclass(slots=True)
class FunctionResponse:
    """The response of a process to an invocation.

    Attributes:
        payload: the function's result, or the error as JSON.
        failed: the process reported an error, or its result was too large.
    """

    payload: bytes
    failed: bool = False


class Answer(NamedTuple):
    """A response of the API."""

    status: int
    body: bytes = b""
    headers: Sequence[tuple[bytes, bytes]] = ()


class RuntimeApi:
    """The Runtime API of one process.

    Attributes:
        ready: done once the process has finished its init, or its last invocation, and asks for the next.
        init_error: done once the process has reported an error of its init phase.

    Args:
        admits: whether the connection between a client's and the server's address belongs to the process.
        progressed: is called with the current invocation's response, done or not, after the process has responded, and
            after it has asked for the next invocation.
    """

    def __init__(
        self,
        admits: Callable[[Address, Address], Awaitable[bool]],
        progressed: Callable[[asyncio.Future[FunctionResponse]], None],
    ) -> None:
        self._admits = admits
        self._progressed = progressed
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting: deque[IncomingRequest] = deque()
        """Requests for an invocation, which have no response yet."""
        self._dispatched: deque[Answer] = deque()
        """Responses that no request has got yet."""
        self._current: Invocation | None = None
        self._response: asyncio.Future[FunctionResponse] | None = None
        self.init_error: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._admitted: weakref.WeakSet[Any] = weakref.WeakSet()
        self._checks: dict[asyncio.Task[None], IncomingRequest] = {}

    @property
    def app(self) -> WholeApplication:
        """The API as an application of `HttpServer`."""
        return WholeApplication(self._serve, RESPONSE_LIMIT)

    def _serve(self, request: IncomingRequest, body: bytes | None) -> None:
        """Answers a request of an admitted connection. Its other end stays the same, so it is checked once."""
        if request.connection in self._admitted:
            self._answer(request, body)
        else:
            check = asyncio.ensure_future(self._check(request, body))
            self._checks[check] = request
            check.add_done_callback(self._checks.pop)

    async def _check(self, request: IncomingRequest, body: bytes | None) -> None:
        """Admits or refuses a connection with its first request."""
        if request.client and request.server and await self._admits(request.client, request.server):
            self._admitted.add(request.connection)
            self._answer(request, body)
        else:
            request.send(403, (), _FOREIGN)

    def _answer(self, request: IncomingRequest, body: bytes | None) -> None:
        method, path = request.method, request.address.target.partition("?")[0]
        start, _, operation = path.rpartition("/")
        before, _, request_id = start.rpartition("/")
        if (method, path) == _NEXT:
            self._next(request)
        elif (method, path) == _INIT_ERROR:
            self._take_init_error(request, body)
        elif (method, before) == ("POST", _INVOCATION) and operation in ("response", "error"):
            self._take(request_id, request, body, failed=operation == "error")
        else:
            request.send(404, (), b'{"errorType":"NotFound"}')

    def dispatch(self, invocation: Invocation, deadline_ms: int) -> asyncio.Future[FunctionResponse]:
        """Hands an invocation to the process. The caller awaits the response before it dispatches the next one.

        Args:
            invocation: for the process.
            deadline_ms: milliseconds since the epoch. A cold start does not count against the function's timeout.
        """
        self._current = invocation
        self._response = asyncio.get_running_loop().create_future()
        self.ready = asyncio.get_running_loop().create_future()
        self._dispatched.append(Answer(200, invocation.payload, invocation.headers(deadline_ms)))
        self._hand_out()
        return self._response

    def close(self) -> None:
        """Ends the request of a process that waits for an invocation, and those whose connections are being checked."""
        for check, request in self._checks.items():
            if check.cancel():
                request.send(410, (), b"")
        self._dispatched.append(Answer(410))
        self._hand_out()

    def _next(self, request: IncomingRequest) -> None:
        self._waiting = deque([each for each in self._waiting if not each.is_gone])
        self._waiting.append(request)
        if not self.ready.done():
            self.ready.set_result(None)
            if self._response is not None:
                self._progressed(self._response)
        self._hand_out()

    def _hand_out(self) -> None:
        """Answers a waiting request. One whose client has gone gets nothing: its invocation would be lost."""
        while self._waiting and self._dispatched:
            request = self._waiting.popleft()
            if not request.is_gone:
                answer = self._dispatched.popleft()
                request.send(answer.status, answer.headers, answer.body)

    def _take(self, request_id: str, request: IncomingRequest, body: bytes | None, *, failed: bool) -> None:
        current = self._current
        if current is None or self._response is None or request_id != current.request_id:
            request.send(400, (), b'{"errorType":"InvalidRequestID"}')
            return
        self._current = None
        response = FunctionResponse(too_large(), failed=True) if body is None else FunctionResponse(body, failed)
        if not self._response.done():
            self._response.set_result(response)
            self._progressed(self._response)
        request.send(413 if body is None else 202, (), _ACCEPTED)

    def _take_init_error(self, request: IncomingRequest, body: bytes | None) -> None:
        if body is None:
            body = error_json("Runtime.Unknown", "the error of the init phase was too large")
        if not self.init_error.done():
            self.init_error.set_result(body)
        request.send(202, (), _ACCEPTED)


def too_large() -> bytes:
    """The error for a response over the limit, in Lambda's own words."""
    return error_json(
        "Function.ResponseSizeTooLarge",
        f"Response payload size exceeded maximum allowed payload size ({RESPONSE_LIMIT} bytes).",
    )


def error_json(error_type: str, message: str, **more: Any) -> bytes:
    """Writes an error in the form in which Lambda returns it to the caller of a function."""
    return json.dumps({"errorType": error_type, "errorMessage": message, **more}).encode()
