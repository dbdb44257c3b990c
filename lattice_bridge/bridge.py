"""The way of a request: this file is the architecture.

Rule: steps in order, one `except`, no decisions of its own.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Collection, Iterable
from typing import Final

from lattice_bridge.config.backend import Backend, Backends
from lattice_bridge.config.tenant_map import TenantMap
from lattice_bridge.errors import BridgeError, Forbidden, Misconfigured
from lattice_bridge.formats import reply
from lattice_bridge.formats.assumptions import FORWARDED_SCHEME, SET_COOKIE
from lattice_bridge.formats.event import Scheme
from lattice_bridge.formats.payload import ASYNC_LIMIT, SYNC_LIMIT, encode, load_format
from lattice_bridge.formats.recognise import method_of, parse_event, request_id_of
from lattice_bridge.garbage import no_collection
from lattice_bridge.invoke.call import Call, Invoke
from lattice_bridge.message import Request, Response
from lattice_bridge.telemetry import NAMESPACE, Circumstances, Record, lines, to_stdout
from lattice_bridge.tenancy.decide import Decision

MARGIN: Final = 0.5
"""Seconds of the bridge's own time kept back to build and send the reply."""

_AMPLE: Final = 900.0
"""Seconds a Lambda function can have at most: assumed when the context does not say."""


class Bridge:
    """A Lambda handler between VPC Lattice and tenant-isolated functions. Never raises; safe to share by threads.

    Args:
        tenant_map: who may run as which tenant.
        invoke: runs one invocation, see `invoke.Invoke`.
        backends: the functions behind the bridge.
        services: ARNs of the Lattice services events may come from; empty for any. V1 events do not say where they
            come from, so a list refuses them all.
        set_cookie: where a reply carries cookies.
        drop_headers: names of a backend's headers that do not reach the caller, in lower case.
        scheme: what clients speak with Lattice, for formats that say it.
        write: takes the log and metric lines.
        log_level: log lines below it are not written; `AWS_LAMBDA_LOG_LEVEL`'s words. Metric lines always are.
        namespace: of the metrics.
        clock: monotonic seconds.
        cold: whether its first request is the execution environment's.
    """

    def __init__(
        self,
        tenant_map: TenantMap,
        invoke: Invoke,
        *,
        backends: Iterable[Backend],
        services: Collection[str] = (),
        set_cookie: reply.SetCookie = SET_COOKIE,
        drop_headers: Collection[str] = (),
        scheme: Scheme = FORWARDED_SCHEME,
        write: Callable[[str], object] = to_stdout,
        log_level: str = "INFO",
        namespace: str = NAMESPACE,
        clock: Callable[[], float] = time.perf_counter,
        cold: bool = True,
    ) -> None:
        self.tenant_map = tenant_map
        self.invoke = invoke
        self.backends = Backends(backends)
        for backend in self.backends:  # what a format needs is loaded now, not while its first request waits
            load_format(backend.payload)
        self.services = frozenset(services)
        self.set_cookie = set_cookie
        self.drop_headers = frozenset(drop_headers)
        self.scheme = scheme
        self._write = write
        self._log_level = log_level
        self._namespace = namespace
        self._clock = clock
        self._cold = cold

    def __call__(self, event: object, context: object) -> reply.Reply:
        """One request: a Lattice event in, a reply that Lattice accepts out, whatever happens in between."""
        record, request_id = Record(self._clock), id_for(event, context)
        try:
            answer = self._serve(event, context, request_id, record)
        except Exception as error:
            record.refusal = (error if isinstance(error, BridgeError) else _bug(error)).without_frames()
            error.__traceback__ = None
            answer = reply.render(reply.problem(record.refusal, request_id), method_of(event))
        record.status = answer["statusCode"]
        self._report(record, request_id)
        return answer

    def _serve(self, event: object, context: object, request_id: str, record: Record) -> reply.Reply:
        record.step("parse")
        record.request = request = parse_event(event)
        self._check_service(request)
        record.step("decide")
        record.decision = decision = self.tenant_map.decide(request)
        tenant = _tenant(decision)
        backend = self.backends.serving(request.path)
        record.backend = backend.path
        record.step("encode")
        payload = self._encode(request, tenant, backend, request_id)
        record.step("invoke")
        answer = self.invoke(_call(backend, tenant, payload, context))
        record.step("reply")
        response = reply.ACCEPTED if backend.invocation == "async" else _decoded(answer)
        return reply.render(response, request.method, self.set_cookie, self.drop_headers)

    def _encode(self, request: Request, tenant: str, backend: Backend, request_id: str) -> bytes:
        return encode(
            request,
            tenant=tenant,
            tenant_header=self.tenant_map.rules.header,
            request_id=request_id,
            keep=backend.keep_headers,
            credentials=self.tenant_map.rules.token_headers,
            limit=ASYNC_LIMIT if backend.invocation == "async" else SYNC_LIMIT,
            payload=backend.payload,
            now=time.time(),
            scheme=self.scheme,
        )

    def _check_service(self, request: Request) -> None:
        if self.services and request.service_arn not in self.services:
            raise Forbidden("service_not_allowed", "the event is not from a service in [lattice] services")

    def _report(self, record: Record, request_id: str) -> None:
        cold, self._cold = self._cold, False
        around = Circumstances(request_id, cold, self.tenant_map.sha256, time.time())
        with contextlib.suppress(Exception):  # a log that cannot be written is no reason to fail the request
            self._write(lines(record, around, self._log_level, self._namespace))


def _tenant(decision: Decision) -> str:
    if decision.refusal is not None:
        raise decision.refusal
    if decision.tenant is None:
        raise Forbidden("no_rule", "the decision names no tenant")
    return decision.tenant


def _call(backend: Backend, tenant: str, payload: bytes, context: object) -> Call:
    """A function without tenant isolation is invoked without a tenant id: Lambda refuses it one."""
    return Call(
        function=backend.function,
        tenant=tenant if backend.isolated else None,
        payload=payload,
        invocation=backend.invocation,
        timeout=backend.timeout,
        left=_left(context),
    )


def _decoded(answer: bytes) -> Response:
    """For a large answer without the collector, which takes longer than parsing it. Nothing of what was parsed is left
    when it is resumed."""
    with no_collection() if len(answer) > _LARGE else contextlib.nullcontext():
        return reply.decode(answer)


_LARGE: Final = 64 * 1024


def id_for(event: object, context: object) -> str:
    """Lattice's id of the request, so that both logs can be joined; otherwise Lambda's."""
    return request_id_of(event) or str(getattr(context, "aws_request_id", None) or "unknown")


def _left(context: object) -> float:
    """Seconds until the bridge must answer."""
    remaining = getattr(context, "get_remaining_time_in_millis", None)
    return (remaining() / 1000 if callable(remaining) else _AMPLE) - MARGIN


def _bug(error: Exception) -> BridgeError:
    """Only its type and place: a message may quote the request."""
    frame = error.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    place = f" at {frame.tb_frame.f_code.co_name}:{frame.tb_lineno}" if frame else ""
    return Misconfigured("internal", f"{type(error).__name__}{place}")
