"""The data plane of VPC Lattice: takes HTTP requests, invokes the function of a LAMBDA target group, and responds.

Rule: a request is either passed on exactly as sent, or refused with the reason.
"""

from __future__ import annotations

import asyncio
import re
import shlex
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import formatdate
from typing import Any, Protocol

from lattice_bridge.formats.assumptions import FRONT_FUNCTION_FAILED, FRONT_FUNCTION_THROTTLED, FRONT_FUNCTION_TIMED_OUT
from lattice_bridge.formats.payload import SYNC_LIMIT
from lattice_bridge.local.aws.invoke_checks import LambdaError
from lattice_bridge.local.aws.lambda_service import InvokeRequest, LambdaService, new_trace_id
from lattice_bridge.local.environments.environment import InvocationResult
from lattice_bridge.local.front import lattice as wire
from lattice_bridge.local.front.authorization import NotAuthorized, authorize
from lattice_bridge.local.front.identities import SESSION_NAME, SESSION_PREFIX, Identity
from lattice_bridge.local.front.recorder import Recorder, without_credentials
from lattice_bridge.local.plan.listener_rules import Action, TargetGroup, action_for, choose_target_group
from lattice_bridge.local.plan.model import SOURCE_VPC, Plan, Service, service_for
from lattice_bridge.local.web.admission import Address, Refused, quoted
from lattice_bridge.local.web.server import ADDRESS, Receive, Scope, Send, drain
from lattice_bridge.local.web.sigv4 import SignatureRefused, Signed, lattice_signer


@dataclass(frozen=True, slots=True)
class AnsweredRequest:
    """A request that the front has answered.

    Attributes:
        id: Lattice's id of the request.
        method: as sent.
        path: as sent, without the query, which can contain credentials.
        status: of the response.
        milliseconds: from the head of the request to the response.
        refusal: the front's own, or None.
        fixed: why the listener answered with a status and invoked no function; None if it did not.
    """

    id: str
    method: str
    path: str
    status: int
    milliseconds: float
    refusal: Refused | None = None
    fixed: str | None = None


class RequestObserver(Protocol):
    """Receives what happens to the requests of the front."""

    def invoking(self, request_id: str, function: str, trace_id: str) -> None:
        """The front invokes a target for a request. The trace id is that of the invocation."""

    def answered(self, request: AnsweredRequest) -> None:
        """The front has a response for a request. It is called once for each, also if the client has gone."""


class LatticeDataPlane:
    """Serves one plan as VPC Lattice does, as an ASGI application.

    Attributes:
        plan, identities: may be replaced while requests are served.

    Args:
        plan: services, rules, target groups.
        service: invokes the functions.
        identities: that may sign, by access key.
        observer: receives each request.
        recorder: records each request that a function has got; None to record none.
        now: the time in UTC, with which signatures are compared.
    """

    def __init__(
        self,
        plan: Plan,
        service: LambdaService,
        identities: Mapping[str, Identity],
        observer: RequestObserver,
        recorder: Recorder | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.plan = plan
        self._service = service
        self.identities = identities
        self._observer = observer
        self._recorder = recorder
        self._now = now

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        began = time.perf_counter()
        method, path = scope["method"], scope[ADDRESS].target.partition("?")[0]
        answered = AnsweredRequest(str(uuid.uuid4()), method, path, 500, 0.0)
        body_read = False
        try:
            request = _head(scope)
            body = await _body(receive)
            body_read = True
            service = self._service_for(scope[ADDRESS])
            response, fixed = await self._serve(replace(request, body=body), service, answered.id)
            answered = replace(answered, status=response.status, fixed=fixed)
        except Refused as refusal:
            answered = replace(answered, status=refusal.status, refusal=refusal)
            response = wire.HttpResponse(refusal.status, refusal.headers, refusal.body)
        finally:
            self._observer.answered(replace(answered, milliseconds=(time.perf_counter() - began) * 1000))
        if not body_read:
            await drain(receive, scope)
        await _send(response, method, answered.id, send, close=not body_read)

    async def _serve(
        self, request: wire.HttpRequest, service: Service, request_id: str
    ) -> tuple[wire.HttpResponse, str | None]:
        """Returns the response, and the sentence of `AnsweredRequest.fixed`."""
        signer = self._authenticate(request, service)
        path = request.target.partition("?")[0]
        action = action_for(service.rules, request.method, path, request.headers)
        if action.status is not None:
            return wire.HttpResponse(action.status), _fixed(action, service)
        group = choose_target_group(action)
        origin = origin_of(service, group, request_id)
        payload = _to_payload(_event(request, origin, signer, group))
        result = await self._invoke(group, payload, request_id)
        if self._recorder is not None:
            event = _event(without_credentials(request), origin, signer, group)
            await asyncio.to_thread(self._recorder.write, event, request, result)
        return _to_response(result, group, request.method), None

    def _service_for(self, address: Address) -> Service:
        """Returns the service with this host name, at the listener with this port."""
        services = self.plan.services
        if (found := service_for(services, address.authority.lower())) is not None:
            return found
        if not services:
            raise Refused(404, "Not Found: the template has no service that takes HTTP requests", reason="no_service")
        known = ", ".join(service.names[0] for service in services)
        raise Refused(
            404,
            f"Not Found: no service has the host name {quoted(address.host)}; there are {known}. "
            f"Fix: send one of them, as in curl -H {shlex.quote(f'Host: {services[0].names[0]}')}",
            reason="no_service",
        )

    def _authenticate(self, request: wire.HttpRequest, service: Service) -> wire.Signer | None:
        path, _, query = request.target.partition("?")
        signed = Signed(request.method, path, query, request.headers)
        try:
            identity = lattice_signer(signed, self.identities, region=self.plan.region, now=self._now())
            signer = identity.signer(session_name(signed, identity)) if identity else None
        except SignatureRefused as error:
            raise Refused(403, str(error), reason="signature_refused") from error
        try:
            authorize(service, request, signer)
        except NotAuthorized as error:
            raise Refused(403, error.response, f"{error}; {_advice(service, signer)}", reason="auth_policy") from error
        return signer

    async def _invoke(self, group: TargetGroup, payload: bytes, request_id: str) -> InvocationResult:
        trace_id = new_trace_id()
        self._observer.invoking(request_id, group.function, trace_id)
        try:
            result = await self._service.invoke(InvokeRequest(group.function, payload, trace_id=trace_id))
        except LambdaError as error:
            cause = f"Lambda refused to invoke {group.function}: {error.code}: {error}"
            if error.status == 429:
                raise Refused(
                    FRONT_FUNCTION_THROTTLED, "Service Unavailable", cause, reason="function_throttled"
                ) from error
            raise Refused(FRONT_FUNCTION_FAILED, "Bad Gateway", cause, reason="invoke_refused") from error
        assert result is not None  # an invocation of type RequestResponse has one
        return result


def _advice(service: Service, signer: wire.Signer | None) -> str:
    """Names the caller that an auth policy refused, and the fix."""
    if any(policy.name is None for policy in service.policies):
        fix = "write an AWS::VpcLattice::AuthPolicy for it"
    else:
        fix = "change the policy, or sign as another caller" if signer else "sign it, or change the policy"
    return f"the caller is {signer.principal}. Fix: {fix}" if signer else f"the request is not signed. Fix: {fix}"


def _fixed(action: Action, service: Service) -> str:
    if action is service.rules[-1].action:
        return f"no listener rule of the service {service.name} matches, and its default action invokes no function"
    return f"the listener rule of the service {service.name} that matches invokes no function"


def origin_of(service: Service, group: TargetGroup, request_id: str) -> wire.Origin:
    """What Lattice adds to a request: the service that received it, the target group, the source VPC, and the time."""
    return wire.Origin(
        request_id=request_id,
        epoch_microseconds=time.time_ns() // 1000,
        service_arn=service.arn,
        service_network_arn=service.network_arn,
        target_group_arn=group.arn,
        source_vpc_arn=service.arn.replace(":vpc-lattice:", ":ec2:").rpartition(":")[0] + f":vpc/{SOURCE_VPC}",
    )


def session_name(request: Signed, identity: Identity) -> str:
    """Returns the session's name: the identity's own, or the one of `x-amz-security-token: session=NAME`.

    On AWS, the caller of AssumeRole chooses the session's name. Here the header does.

    Raises:
        SignatureRefused: the name is not one that IAM allows.
    """
    token = next(iter(request.values("x-amz-security-token")), "")
    if not token.startswith(SESSION_PREFIX):
        return identity.session
    session = token.removeprefix(SESSION_PREFIX)
    if re.fullmatch(SESSION_NAME, session) is None:
        raise SignatureRefused(
            "InvalidSignatureException: x-amz-security-token is not session=NAME",
            "write a NAME of 2 to 64 of A-Z a-z 0-9 _ + = , . @ -",
        )
    return session


def _event(
    request: wire.HttpRequest, origin: wire.Origin, signer: wire.Signer | None, group: TargetGroup
) -> dict[str, Any]:
    return wire.event_v1(request, origin, signer) if group.version == 1 else wire.event_v2(request, origin, signer)


def _to_payload(event: Mapping[str, Any]) -> bytes:
    payload = wire.to_json(event)
    if len(payload) > SYNC_LIMIT:
        raise Refused(413, f"Content Too Large: the event is {len(payload)} bytes of JSON; Lambda takes {SYNC_LIMIT}")
    return payload


def _to_response(result: InvocationResult, group: TargetGroup, method: str) -> wire.HttpResponse:
    if result.timed_out:
        cause = f"{group.function} timed out. Fix: make it faster, or raise its Timeout in the template"
        raise Refused(FRONT_FUNCTION_TIMED_OUT, "Gateway Timeout", cause, reason="function_timeout")
    if result.error is not None:
        cause = f"{group.function} failed: {result.description}"
        raise Refused(FRONT_FUNCTION_FAILED, "Bad Gateway", cause, reason="function_failed")
    try:
        return wire.http_response(result.payload, method)
    except wire.BadReply as error:
        cause = f"the response of {group.function} is not one that Lattice accepts: {error}"
        raise Refused(FRONT_FUNCTION_FAILED, "Bad Gateway", cause, reason="not_a_reply") from error


# ---- HTTP -----------------------------------------------------------------------------------------------------------


def _head(scope: Scope) -> wire.HttpRequest:
    if scope["http_version"] not in ("1.0", "1.1"):
        raise Refused(400, f"Bad Request: HTTP/{scope['http_version']}; this front speaks HTTP/1.1 only")
    headers = [(name.decode("latin-1"), _text(value)) for name, value in scope["headers"]]
    if _asks_for_websocket(headers):
        raise Refused(400, "Bad Request: no WebSocket; a Lambda target takes one request and gives one response")
    for name, value in headers:
        if name == "transfer-encoding" and value.strip().lower() != "chunked":
            raise Refused(400, f"Bad Request: transfer-encoding {value[:64]}; this front takes chunked only")
        if name == "content-type" and value.lower().startswith("application/grpc"):
            raise Refused(400, "Bad Request: no gRPC to a Lambda target; Lattice routes gRPC to HTTP targets only")
        if name == "content-length" and value.isdigit() and int(value) > wire.BODY_LIMIT:
            raise Refused(413, f"Content Too Large: {value} bytes; a Lambda target takes {wire.BODY_LIMIT}")
    client = scope.get("client") or ("127.0.0.1", 0)
    return wire.HttpRequest(scope["method"], scope[ADDRESS].target, headers, b"", client[0])


def _asks_for_websocket(headers: wire.Pairs) -> bool:
    """Whether a request is the handshake of a WebSocket, which would get a plain response without a reason.

    Every other upgrade is ignored, as RFC 9110 §7.8 allows: Java's HttpClient and `curl --http2` offer `h2c` with each
    request, and continue without it.
    """
    offered = [token.strip().lower() for name, value in headers if name == "upgrade" for token in value.split(",")]
    return "websocket" in offered and "upgrade" in wire.connection_options(headers)


def _text(value: bytes) -> str:
    """Decodes a header's value. HTTP defines no encoding: UTF-8 if it is valid, else one byte is one character."""
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value.decode("latin-1")


async def _body(receive: Receive) -> bytes:
    """Reads the whole body. A Lambda target takes no stream: a body of more than 6 MB is refused."""
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
                413, f"Content Too Large: over {wire.BODY_LIMIT} bytes were streamed; a Lambda target takes no more"
            )
        if not message.get("more_body"):
            return b"".join(chunks)


async def _send(response: wire.HttpResponse, method: str, request_id: str, send: Send, *, close: bool) -> None:
    given = [pair for pair in response.headers if pair[0] not in ("x-amzn-requestid", "date")]
    headers = [(name.encode("latin-1"), value.encode("utf-8")) for name, value in given]
    headers.append((b"x-amzn-requestid", request_id.encode()))
    headers.append((b"date", formatdate(time.time(), usegmt=True).encode()))
    if response.status not in (204, 304) and method != "HEAD":  # the length of a GET's body is not known
        headers.append((b"content-length", str(len(response.body)).encode()))
    if close:
        headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if method == "HEAD" else response.body})
