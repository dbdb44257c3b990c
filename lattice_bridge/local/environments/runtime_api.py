"""Lambda's Runtime API, for one execution environment.

Rule: one invocation at a time. The process asks for the next one, and its answer belongs to the one it was given.
Source: the Lambda developer guide, "Using the Lambda runtime API"; headers as awslambdaric reads them.

The API has no secret, as Lambda's has none: a runtime client has no place for one. What AWS_LAMBDA_RUNTIME_API may
contain was measured with awslambdaric 4.2.2. Its native client, libcurl, takes `HOST:PORT/SECRET` and
`SECRET@HOST:PORT` for `next`, `response` and `error`. Its Python client sends `init/error`, and cannot connect with
either (`InvalidURL: nonnumeric port`, `Name or service not known`): each error of an init phase would be lost.
Instead, whoever serves the API says which connections it admits; an environment admits those of its own process.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from lattice_bridge.local.environments.peer_process import Address
from lattice_bridge.local.web.server import Receive, Scope, Send

RESPONSE_LIMIT: Final = 6_291_556
"""Bytes of an answer, as Lambda's own error message has it: 100 more than 6 MiB."""

MAX_HEAD: Final = 2 * 1024 * 1024
"""Bytes of a head. awslambdaric repeats an error, up to 1 MiB of it, in `Lambda-Runtime-Function-XRay-Error-Cause`."""

_ACCEPTED: Final = b'{"status":"OK"}'
_FOREIGN: Final = b'{"errorType":"Forbidden","errorMessage":"This Runtime API serves its own environment only."}'


@dataclass(frozen=True, slots=True)
class Invocation:
    """What a process is given.

    Attributes:
        request_id: a UUID.
        payload: JSON.
        arn: the function's, with the qualifier it was invoked by.
        tenant: the tenant id, or None.
        trace_id: `X-Amzn-Trace-Id`, or None.
        client_context: JSON, or None.
        deadline_ms: milliseconds since the epoch; set when it is handed over, since a cold start is not the function's
            own time.
    """

    request_id: str
    payload: bytes
    arn: str
    tenant: str | None = None
    trace_id: str | None = None
    client_context: str | None = None
    deadline_ms: int = 0

    def headers(self) -> dict[str, str]:
        fields = {
            "Lambda-Runtime-Aws-Request-Id": self.request_id,
            "Lambda-Runtime-Deadline-Ms": str(self.deadline_ms),
            "Lambda-Runtime-Invoked-Function-Arn": self.arn,
            "Lambda-Runtime-Trace-Id": self.trace_id,
            "Lambda-Runtime-Aws-Tenant-Id": self.tenant,
            "Lambda-Runtime-Client-Context": self.client_context,
        }
        return {name: value for name, value in fields.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Answer:
    """What a process said.

    Attributes:
        payload: its answer, or the error as JSON.
        failed: the process reported an error, or its answer was too large.
    """

    payload: bytes
    failed: bool = False


class RuntimeApi:
    """The API one process talks to.

    Attributes:
        asking: done once the process has finished its init, or its last invocation, and asks for the next.
        init_error: done once the process has reported that it cannot start.

    Args:
        admits: whether the connection between a client's and our own address belongs to the process.
    """

    def __init__(self, admits: Callable[[Address, Address], Awaitable[bool]]) -> None:
        self._admits = admits
        self.asking: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._given: asyncio.Queue[Invocation | None] = asyncio.Queue()
        self._current: Invocation | None = None
        self._answer: asyncio.Future[Answer] | None = None
        self.init_error: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        runtime = "/2018-06-01/runtime"
        self._routes = Starlette(
            routes=[
                Route(f"{runtime}/invocation/next", self._next, methods=["GET"]),
                Route(f"{runtime}/invocation/{{request_id}}/response", self._response, methods=["POST"]),
                Route(f"{runtime}/invocation/{{request_id}}/error", self._error, methods=["POST"]),
                Route(f"{runtime}/init/error", self._init_error, methods=["POST"]),
            ]
        )

    async def app(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The API as an ASGI application."""
        if await self._admits(scope["client"], scope["server"]):
            await self._routes(scope, receive, send)
        else:
            await Response(_FOREIGN, status_code=403)(scope, receive, send)

    def give(self, invocation: Invocation) -> asyncio.Future[Answer]:
        """Hands an invocation to the process. To be awaited before the next is given."""
        self._current = invocation
        self._answer = asyncio.get_running_loop().create_future()
        self.asking = asyncio.get_running_loop().create_future()
        self._given.put_nowait(invocation)
        return self._answer

    def close(self) -> None:
        """Lets a process that waits for work go."""
        self._given.put_nowait(None)

    async def _next(self, _request: Request) -> Response:
        if not self.asking.done():
            self.asking.set_result(None)
        invocation = await self._given.get()
        if invocation is None:
            return Response(status_code=410)
        return Response(invocation.payload, media_type="application/json", headers=invocation.headers())

    async def _response(self, request: Request) -> Response:
        return await self._read(request, failed=False)

    async def _error(self, request: Request) -> Response:
        return await self._read(request, failed=True)

    async def _read(self, request: Request, *, failed: bool) -> Response:
        try:
            answer, status = Answer(await _body(request), failed=failed), 202
        except _TooLarge:
            answer, status = Answer(_too_large(), failed=True), 413
        except ClientDisconnect:
            return Response()  # the process died in the middle of its answer: how it died is the answer
        return self._answered(request, answer, status)

    def _answered(self, request: Request, answer: Answer, status: int) -> Response:
        current = self._current
        if current is None or self._answer is None or request.path_params["request_id"] != current.request_id:
            return Response(b'{"errorType":"InvalidRequestID"}', status_code=400)
        self._current = None
        if not self._answer.done():
            self._answer.set_result(answer)
        return Response(_ACCEPTED, status_code=status)

    async def _init_error(self, request: Request) -> Response:
        try:
            body = await _body(request)
        except (_TooLarge, ClientDisconnect):
            body = error_json("Runtime.Unknown", "the error of the init phase was too large, or broke off")
        if not self.init_error.done():
            self.init_error.set_result(body)
        return Response(_ACCEPTED, status_code=202)


class _TooLarge(Exception):
    pass


async def _body(request: Request) -> bytes:
    """The whole body; one over the limit is read to its end and thrown away, so that the process can go on."""
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size <= RESPONSE_LIMIT:
            chunks.append(chunk)
    if size > RESPONSE_LIMIT:
        raise _TooLarge
    return b"".join(chunks)


def _too_large() -> bytes:
    return error_json(
        "Function.ResponseSizeTooLarge",
        f"Response payload size exceeded maximum allowed payload size ({RESPONSE_LIMIT} bytes).",
    )


def error_json(error_type: str, message: str, **more: Any) -> bytes:
    """An error in the form that Lambda gives it to the caller of a function."""
    return json.dumps({"errorType": error_type, "errorMessage": message, **more}).encode()
