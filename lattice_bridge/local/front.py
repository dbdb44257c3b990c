"""The front: HTTP in, as VPC Lattice takes it; events out, as its LAMBDA target groups send them.

Rule: what a client sends is either passed on exactly, or refused with the reason in plain words.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import replace
from datetime import UTC, datetime
from email.utils import formatdate
from typing import Any, Final

from lattice_bridge.assumptions import FRONT_FUNCTION_FAILED, FRONT_FUNCTION_THROTTLED, FRONT_FUNCTION_TIMED_OUT
from lattice_bridge.local import routing, wire
from lattice_bridge.local.authorization import NotAuthorized, authorize
from lattice_bridge.local.console import Console
from lattice_bridge.local.identities import Identity
from lattice_bridge.local.plan import SOURCE_VPC, Plan, Service, TargetGroup
from lattice_bridge.local.protocol import TARGET
from lattice_bridge.local.service import LambdaError, LambdaService, Order
from lattice_bridge.local.sigv4 import SignatureRefused, Signed, session_of, verify
from lattice_bridge.payload import SYNC_LIMIT

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

DRAIN_SECONDS: Final = 1.0


class Refused(Exception):
    """A request that does not reach a function. The message is the response's text."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Front:
    """An ASGI application that is VPC Lattice's data plane for one plan.

    Args:
        plan: services, rules, target groups.
        service: invokes the targets.
        identities: who may sign, by access key.
        console: is told why a function's answer was refused.
        now: the clock that signatures are compared with.
    """

    def __init__(
        self,
        plan: Plan,
        service: LambdaService,
        identities: Mapping[str, Identity],
        console: Console,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._plan = plan
        self._service = service
        self._identities = identities
        self._console = console
        self._now = now

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request_id = str(uuid.uuid4())
        whole = False
        try:
            request = _head(scope)
            body = await _body(receive)
            whole = True
            response = await self._serve(replace(request, body=body), request_id)
        except Refused as refusal:
            if not whole:
                await _drain(receive, scope)
            response = wire.HttpResponse(
                refusal.status, [("content-type", "text/plain; charset=utf-8")], f"{refusal}\n".encode()
            )
        await _send(response, scope["method"], request_id, send, close=not whole)

    async def _serve(self, request: wire.HttpRequest, request_id: str) -> wire.HttpResponse:
        service = self._service_for(request)
        signer = self._authenticate(request, service)
        path = request.target.partition("?")[0]
        action = routing.action_for(service, request.method, path, request.headers)
        if action.status is not None:
            return wire.HttpResponse(action.status)
        group = routing.choose(action)
        payload = _to_payload(request, self._origin(service, group, request_id), signer, group)
        return await self._invoke(group, payload, request.method)

    def _service_for(self, request: wire.HttpRequest) -> Service:
        hosts = [value for name, value in request.headers if name == "host"]
        if len(hosts) != 1:  # uvicorn lets a second one through
            raise Refused(400, f"Bad Request: the Host header occurs {len(hosts)} times")
        host = hosts[0].rpartition(":")[0].lower() or hosts[0].lower()
        for service in self._plan.services:
            if service.domain in (None, host, hosts[0].lower()):
                return service
        known = ", ".join(str(service.domain) for service in self._plan.services)
        raise Refused(404, f"Not Found: no service has the host name {host}; there are {known}")

    def _authenticate(self, request: wire.HttpRequest, service: Service) -> wire.Signer | None:
        path, _, query = request.target.partition("?")
        signed = Signed(request.method, path, query, request.headers)
        try:
            identity = verify(signed, self._identities, region=self._plan.region, now=self._now())
            signer = identity.signer(session_of(signed, identity)) if identity else None
        except SignatureRefused as error:
            raise Refused(403, str(error)) from error
        try:
            authorize(service, request, signer)
        except NotAuthorized as error:
            raise Refused(403, error.answer) from error
        return signer

    def _origin(self, service: Service, group: TargetGroup, request_id: str) -> wire.Origin:
        return wire.Origin(
            request_id=request_id,
            epoch_microseconds=time.time_ns() // 1000,
            region=self._plan.region,
            service_arn=service.arn,
            service_network_arn=service.network_arn,
            target_group_arn=group.arn,
            source_vpc_arn=service.arn.replace(":vpc-lattice:", ":ec2:").rpartition(":")[0] + f":vpc/{SOURCE_VPC}",
        )

    async def _invoke(self, group: TargetGroup, payload: bytes, method: str) -> wire.HttpResponse:
        try:
            outcome = await self._service.invoke(Order(group.function, payload))
        except LambdaError as error:
            self._console.warn(f"front: Lambda refused to invoke {group.function}: {error.code}: {error}")
            status = FRONT_FUNCTION_THROTTLED if error.status == 429 else FRONT_FUNCTION_FAILED
            raise Refused(
                status, "Bad Gateway" if status == FRONT_FUNCTION_FAILED else "Service Unavailable"
            ) from error
        assert outcome is not None  # an invocation of type RequestResponse has one
        if outcome.timed_out:
            raise Refused(FRONT_FUNCTION_TIMED_OUT, "Gateway Timeout")
        if outcome.error is not None:
            self._console.warn(f"front: {group.function} failed: {outcome.payload[:500].decode('utf-8', 'replace')}")
            raise Refused(FRONT_FUNCTION_FAILED, "Bad Gateway")
        try:
            return wire.http_response(outcome.payload, method)
        except wire.BadReply as error:
            self._console.warn(f"front: {group.function} answered what Lattice does not take: {error}")
            raise Refused(FRONT_FUNCTION_FAILED, "Bad Gateway") from error


def _to_payload(
    request: wire.HttpRequest, origin: wire.Origin, signer: wire.Signer | None, group: TargetGroup
) -> bytes:
    event = wire.event_v1(request, origin, signer) if group.version == 1 else wire.event_v2(request, origin, signer)
    payload = wire.to_json(event)
    if len(payload) > SYNC_LIMIT:
        raise Refused(413, f"Content Too Large: the event is {len(payload)} bytes of JSON; Lambda takes {SYNC_LIMIT}")
    return payload


# ---- HTTP -----------------------------------------------------------------------------------------------------------


def _head(scope: Scope) -> wire.HttpRequest:
    if scope["http_version"] not in ("1.0", "1.1"):
        raise Refused(400, f"Bad Request: HTTP/{scope['http_version']}; this front speaks HTTP/1.1")
    headers = [(name.decode("latin-1"), _text(value)) for name, value in scope["headers"]]
    for name, value in headers:
        if name == "upgrade":
            raise Refused(
                400,
                f"Bad Request: no upgrade to {value[:64]}; a Lambda target takes one request and gives one response",
            )
        if name == "transfer-encoding" and value.strip().lower() != "chunked":
            raise Refused(400, f"Bad Request: transfer-encoding {value[:64]}; this front takes chunked only")
        if name == "content-type" and value.lower().startswith("application/grpc"):
            raise Refused(400, "Bad Request: no gRPC to a Lambda target; Lattice routes gRPC to HTTP targets only")
        if name == "content-length" and value.isdigit() and int(value) > wire.BODY_LIMIT:
            raise Refused(413, f"Content Too Large: {value} bytes; a Lambda target takes {wire.BODY_LIMIT}")
    client = scope.get("client") or ("127.0.0.1", 0)
    return wire.HttpRequest(scope["method"], _target(scope), headers, b"", client[0])


def _target(scope: Scope) -> str:
    """Path and query as sent. Of an absolute URL, which HTTP/1.1 servers have to take, what follows the authority."""
    sent = scope[TARGET].decode("latin-1")
    if "#" in sent:
        raise Refused(400, "Bad Request: a fragment (#) in the request target; clients keep it to themselves")
    if sent.startswith("/") or sent == "*":
        return str(sent)
    query = scope["query_string"].decode("latin-1")
    return str(scope["raw_path"].decode("latin-1")) + (f"?{query}" if query else "")


def _text(value: bytes) -> str:
    """A header's bytes as text. HTTP does not say in which encoding; UTF-8 where it fits, else one byte a character."""
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value.decode("latin-1")


async def _body(receive: Receive) -> bytes:
    """The whole body. A Lambda target cannot be streamed to: what does not end within 6 MB is refused."""
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Refused(400, "Bad Request: the connection closed before the body was complete")
        chunks.append(message.get("body", b""))
        size += len(chunks[-1])
        if size > wire.BODY_LIMIT:
            raise Refused(
                413, f"Content Too Large: streamed past {wire.BODY_LIMIT} bytes; a Lambda target takes no more"
            )
        if not message.get("more_body"):
            return b"".join(chunks)


async def _drain(receive: Receive, scope: Scope) -> None:
    """Reads on for a moment, and throws away: a client that is still sending would get a reset, not the reason."""
    if any(name == b"expect" for name, _ in scope["headers"]):
        return  # it waits for a go-ahead before it sends
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(DRAIN_SECONDS):
            message = await receive()
            while message["type"] == "http.request" and message.get("more_body"):
                message = await receive()


async def _send(response: wire.HttpResponse, method: str, request_id: str, send: Send, *, close: bool) -> None:
    given = [pair for pair in response.headers if pair[0] not in ("x-amzn-requestid", "date")]
    headers = [(name.encode("latin-1"), value.encode("utf-8")) for name, value in given]
    headers.append((b"x-amzn-requestid", request_id.encode()))
    headers.append((b"date", formatdate(time.time(), usegmt=True).encode()))
    if response.status not in (204, 304):
        headers.append((b"content-length", str(len(response.body)).encode()))
    if close:
        headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if method == "HEAD" else response.body})
