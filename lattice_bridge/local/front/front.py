"""The front: takes HTTP requests, and answers each by the way in that has its host name.

Rule: a request is either passed on exactly as sent, or refused with the reason.
"""

from __future__ import annotations

import shlex
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import formatdate
from functools import lru_cache
from typing import Any, Final

from lattice_bridge.local.aws.lambda_service import LambdaService, new_request_id
from lattice_bridge.local.front import function_url, load_balancer
from lattice_bridge.local.front.apigateway import http_api, json_refused, rest_api
from lattice_bridge.local.front.exchange.authorizer_cache import AuthorizerCache
from lattice_bridge.local.front.exchange.exchange import (
    Answer,
    AnsweredRequest,
    Exchange,
    ReceivedRequest,
    RequestObserver,
)
from lattice_bridge.local.front.exchange.http_message import HttpRequest, HttpResponse, Pairs, connection_options
from lattice_bridge.local.front.exchange.identities import Identity
from lattice_bridge.local.front.exchange.recorder import Recorder
from lattice_bridge.local.front.exchange.token_keys import TokenKeys
from lattice_bridge.local.front.lattice import events as wire
from lattice_bridge.local.front.lattice import service as lattice_service
from lattice_bridge.local.plan.function_url import FunctionUrl
from lattice_bridge.local.plan.http_api import HttpApi, HttpDomain
from lattice_bridge.local.plan.load_balancer import LoadBalancer
from lattice_bridge.local.plan.model import Plan, Service, WayIn, way_in_for
from lattice_bridge.local.plan.rest_api import RestApi
from lattice_bridge.local.web.admission import Address, Refused, quoted
from lattice_bridge.local.web.incoming import BodyTooLarge, ClientGone, IncomingRequest


@dataclass(frozen=True, slots=True)
class Kind:
    """How one kind of way in is served.

    Attributes:
        serve: answers a request, or raises Refused.
        body_limit: bytes of a request's body.
        refused: words a refusal of the front, such as one for a body over the limit, as this kind does.
    """

    serve: Callable[[HttpRequest, Any, Exchange], Awaitable[Answer]]
    body_limit: int
    refused: Callable[[Refused], Refused] = lambda refusal: refusal


_KINDS: Final[Mapping[type, Kind]] = {
    Service: Kind(lattice_service.serve, wire.BODY_LIMIT),
    RestApi: Kind(rest_api.serve, rest_api.BODY_LIMIT, rest_api.refused),
    HttpApi: Kind(http_api.serve, http_api.BODY_LIMIT, json_refused.refused),
    HttpDomain: Kind(http_api.serve_domain, http_api.BODY_LIMIT, json_refused.refused),
    FunctionUrl: Kind(function_url.serve, function_url.BODY_LIMIT, json_refused.refused),
    LoadBalancer: Kind(load_balancer.serve, load_balancer.BODY_LIMIT, load_balancer.refused),
}


_FAILED: Final = Answer(HttpResponse(500))
"""What is logged of a request that ends with a fault of the stack. The server responds."""


class Front:
    """Serves every way in of a plan, as an application of `HttpServer`.

    Attributes:
        plan, identities: may be replaced while requests are served.

    Args:
        plan: with its ways in.
        service: invokes the functions.
        identities: that may sign, by access key.
        observer: receives each request.
        recorder: records each request that a function has got; None to record none.
        now: the time in UTC, with which signatures are compared.
        tokens: the keys that verify tokens.
    """

    def __init__(
        self,
        plan: Plan,
        service: LambdaService,
        identities: Mapping[str, Identity],
        observer: RequestObserver,
        recorder: Recorder | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        tokens: TokenKeys | None = None,
    ) -> None:
        self._plan = plan
        self._service = service
        self.identities = identities
        self._observer = observer
        self._recorder = recorder
        self._now = now
        self._tokens = tokens or TokenKeys()
        self._authorizers = AuthorizerCache()

    @property
    def plan(self) -> Plan:
        """The plan that is served."""
        return self._plan

    @plan.setter
    def plan(self, plan: Plan) -> None:
        """Serves another plan. Cached results of authorizers are forgotten, as after a deployment on AWS. An authorizer
        that still runs has decided by the old map: its result goes into the old cache."""
        self._plan = plan
        self._authorizers = AuthorizerCache()

    async def __call__(self, incoming: IncomingRequest) -> None:
        began = time.perf_counter()
        request_id, method, path = new_request_id(), incoming.method, incoming.address.target.partition("?")[0]
        body_read, way_in, kind, answer, refusal, request = False, None, None, _FAILED, None, None
        try:
            way_in = self._way_in(incoming.address)
            kind = _KINDS[type(way_in)]
            headers = _headers_of(incoming, kind.body_limit)
            body = await _body(incoming, kind.body_limit)
            body_read = True
            request = _request(incoming, headers, body)
            self._received(request_id, way_in, request, incoming)
            answer = await kind.serve(request, way_in, self._exchange(request_id))
        except Refused as error:
            refusal = kind.refused(error) if kind else error
            answer = Answer(HttpResponse(refusal.status, refusal.headers, refusal.body))
        finally:
            if request is None:
                unread = _request(incoming, _decoded_headers(incoming), b"")
                self._received(request_id, way_in, unread, incoming, body_read=False)
            response, milliseconds = answer.response, (time.perf_counter() - began) * 1000
            facts = (request_id, method, path, response.status, milliseconds, refusal, answer.fixed, answer.tenant)
            self._observer.answered(AnsweredRequest(*facts, response))
        if not body_read:
            await incoming.discard()
        body = b"" if method == "HEAD" else response.body  # the length of a GET's body is not known
        await incoming.respond(response.status, _response_headers(response, request_id, close=not body_read), body)

    def _received(
        self,
        request_id: str,
        way_in: WayIn | None,
        request: HttpRequest,
        incoming: IncomingRequest,
        *,
        body_read: bool = True,
    ) -> None:
        client = incoming.client or (request.client_address, 0)
        version = incoming.http_version
        self._observer.received(ReceivedRequest(request_id, way_in, request, version, client, time.time(), body_read))

    def _exchange(self, request_id: str) -> Exchange:
        region, now = self.plan.region, self._now()
        return Exchange(
            request_id,
            region,
            self.identities,
            now,
            self._service,
            self._observer,
            self._recorder,
            self._tokens,
            self.plan.folder,
            self._authorizers,
        )

    def _way_in(self, address: Address) -> WayIn:
        """Returns the way in with this host name, at this port."""
        ways = self.plan.ways_in
        if (found := way_in_for(ways, address.authority.lower())) is not None:
            return found
        if not ways:
            raise Refused(404, "Not Found: the template has no way in for HTTP requests", reason="no_way_in")
        known = ", ".join(way.names[0] for way in ways)
        raise Refused(
            404,
            f"Not Found: nothing has the host name {quoted(address.host)}; there are {known}. "
            f"Fix: send one of them, as in curl -H {shlex.quote(f'Host: {ways[0].names[0]}')}",
            reason="no_way_in",
        )


# ---- HTTP -----------------------------------------------------------------------------------------------------------


def _headers_of(incoming: IncomingRequest, body_limit: int) -> Pairs:
    """Reads the headers of a request that can be served.

    Raises:
        Refused: it cannot, whatever its body is.
    """
    if incoming.http_version not in ("1.0", "1.1"):
        raise Refused(400, f"Bad Request: HTTP/{incoming.http_version}; this front speaks HTTP/1.1 only")
    headers = _decoded_headers(incoming)
    if _asks_for_websocket(headers):
        raise Refused(400, "Bad Request: no WebSocket; a Lambda target takes one request and gives one response")
    for name, value in headers:
        if name == "transfer-encoding" and value.strip().lower() != "chunked":
            raise Refused(400, f"Bad Request: transfer-encoding {value[:64]}; this front takes chunked only")
        if name == "content-type" and value.lower().startswith("application/grpc"):
            raise Refused(400, "Bad Request: no gRPC; a Lambda target takes one request and gives one response")
        if name == "content-length" and value.isdigit() and int(value) > body_limit:
            raise Refused(413, f"Content Too Large: {value} bytes; a Lambda target takes {body_limit} here")
    return headers


def _decoded_headers(incoming: IncomingRequest) -> Pairs:
    return [(name.decode("latin-1"), _text(value)) for name, value in incoming.headers]


def _request(incoming: IncomingRequest, headers: Pairs, body: bytes) -> HttpRequest:
    client = incoming.client or ("127.0.0.1", 0)
    names = [name.decode("latin-1") for name, _ in incoming.sent_headers]
    spelled = {name.lower(): name for name in reversed(names)}
    return HttpRequest(incoming.method, incoming.address.target, headers, body, client[0], spelled)


def _asks_for_websocket(headers: Pairs) -> bool:
    """Whether a request is the handshake of a WebSocket, which would get a plain response without a reason.

    Every other upgrade is ignored, as RFC 9110 §7.8 allows: Java's HttpClient and `curl --http2` offer `h2c` with each
    request, and continue without it.
    """
    offered = [token.strip().lower() for name, value in headers if name == "upgrade" for token in value.split(",")]
    return "websocket" in offered and "upgrade" in connection_options(headers)


def _text(value: bytes) -> str:
    """Decodes a header's value. HTTP defines no encoding: UTF-8 if it is valid, else one byte is one character."""
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value.decode("latin-1")


async def _body(incoming: IncomingRequest, limit: int) -> bytes:
    """Reads the whole body. A Lambda target takes no stream: a body over the limit is refused."""
    try:
        return await incoming.body(limit)
    except ClientGone:
        raise Refused(400, "Bad Request: the connection closed before the body was complete") from None
    except BodyTooLarge:
        raise Refused(
            413, f"Content Too Large: over {limit} bytes were streamed; a Lambda target takes no more here"
        ) from None


def _response_headers(response: HttpResponse, request_id: str, *, close: bool) -> list[tuple[bytes, bytes]]:
    given = [pair for pair in response.headers if pair[0] not in ("x-amzn-requestid", "date")]
    headers = [(name.encode("latin-1"), value.encode("utf-8")) for name, value in given]
    headers.append((b"x-amzn-requestid", request_id.encode()))
    headers.append((b"date", _date(int(time.time()))))
    if close:
        headers.append((b"connection", b"close"))
    return headers


@lru_cache(1)
def _date(seconds: int) -> bytes:
    """The value of the Date header, which is the same for all responses of a second."""
    return formatdate(seconds, usegmt=True).encode()
