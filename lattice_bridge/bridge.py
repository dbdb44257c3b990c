"""The path of an HTTP request: event, request, decision, invocation, reply.

Rule: this file contains the steps in order and one `except`. The decisions are made elsewhere.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable
from typing import Final

from lattice_bridge.config.options import Backend, Backends, LoggedCaller
from lattice_bridge.config.tenant_map import TenantMap
from lattice_bridge.errors import Forbidden, refusal_for
from lattice_bridge.formats import reply
from lattice_bridge.formats.assumptions import FORWARDED_SCHEME, SET_COOKIE
from lattice_bridge.formats.event import Scheme
from lattice_bridge.formats.front import LATTICE, Front, front_of
from lattice_bridge.formats.payload import ASYNC_LIMIT, SYNC_LIMIT, encode, load_format
from lattice_bridge.formats.recognise import Enabled, module_of, receive
from lattice_bridge.invoke.call import Call, Invoke
from lattice_bridge.message import Request, Response
from lattice_bridge.runtime.process import no_collection, time_left
from lattice_bridge.telemetry import NAMESPACE, LogContext, RequestLog, to_stdout, write_lines


class Bridge:
    """A Lambda handler between VPC Lattice, or API Gateway, a load balancer or a function URL, and tenant-isolated
    functions. It never raises, and threads may share it.

    Args:
        tenant_map: decides which tenant a request runs as.
        invoke: runs one invocation, see `invoke.Invoke`.
        backends: the functions behind the bridge.
        services: ARNs of the Lattice services that events may come from; empty for any. V1 events contain no service,
            so a list refuses all of them.
        apis: ids of the REST and HTTP APIs that events may come from; empty for none.
        target_groups: ARNs of the load balancers' target groups that events may come from; empty for none.
        function_url: whether events may come from the function's own URL.
        set_cookie: the part of a reply to Lattice that contains its cookies.
        drop_headers: names of a backend's headers that the bridge drops from replies, in lower case.
        scheme: the scheme that clients use with Lattice, for payload formats that contain it.
        write: receives the log and metric lines.
        log_level: the lowest level of the log lines that are written, as in `AWS_LAMBDA_LOG_LEVEL`. Metric lines are
            always written.
        log_caller: what the log line of a refused request contains of its caller.
        namespace: of the metrics.
        clock: monotonic seconds.
        cold: whether its first request is the first one of the execution environment.
    """

    def __init__(
        self,
        tenant_map: TenantMap,
        invoke: Invoke,
        *,
        backends: Iterable[Backend],
        services: Collection[str] = (),
        apis: Collection[str] = (),
        target_groups: Collection[str] = (),
        function_url: bool = False,
        set_cookie: reply.SetCookie = SET_COOKIE,
        drop_headers: Collection[str] = (),
        scheme: Scheme = FORWARDED_SCHEME,
        write: Callable[[str], object] = to_stdout,
        log_level: str = "INFO",
        log_caller: LoggedCaller = "key",
        namespace: str = NAMESPACE,
        clock: Callable[[], float] = time.perf_counter,
        cold: bool = True,
    ) -> None:
        self.tenant_map = tenant_map
        self.invoke = invoke
        self.backends = Backends(backends)
        for backend in self.backends:  # a format is loaded now, so that its first request does not wait for it
            load_format(backend.payload)
        self.enabled = Enabled(frozenset(services), frozenset(apis), frozenset(target_groups), function_url)
        for name in self.enabled.formats:
            module_of(name)
        self.set_cookie = set_cookie
        self.drop_headers = frozenset(drop_headers)
        self.scheme = scheme
        self._write = write
        self._log_level = log_level
        self._log_caller = log_caller
        self._bearer = "authorization" in tenant_map.rules.token_headers
        self._namespace = namespace
        self._clock = clock
        self._cold = cold

    @property
    def services(self) -> frozenset[str]:
        """ARNs of the Lattice services that events may come from; empty for any."""
        return self.enabled.services

    def __call__(self, event: object, context: object) -> reply.Reply:
        """Answers one event with a reply that its front accepts, also if a step fails."""
        record, front = RequestLog(self._clock), front_of(event, self.enabled)
        request_id = id_for(event, context, front)
        try:
            answer = self._serve(event, context, front, request_id, record)
        except Exception as error:
            record.refusal = refusal_for(error)
            problem = reply.problem(record.refusal, request_id, bearer=self._bearer)
            answer = front.render(problem, front.method_of(event), event)
        record.status = answer["statusCode"]
        self._report(record, request_id)
        return answer

    def _serve(self, event: object, context: object, front: Front, request_id: str, record: RequestLog) -> reply.Reply:
        record.step("parse")
        record.request = request = receive(event, self.enabled)
        check_service(request, self.enabled.services)
        record.step("decide")
        record.decision = decision = self.tenant_map.decide(request)
        tenant = decision.granted()
        backend = self.backends.serving(request.path)
        record.backend = backend.path
        record.step("encode")
        payload = self._encode(request, tenant, backend, request_id)
        record.step("invoke")
        record.function = backend.function
        answer = self.invoke(_call(backend, tenant, payload, context, record))
        record.step("reply")
        response = reply.ACCEPTED if backend.invocation == "async" else _decoded(answer)
        return front.render(response, request.method, event, self.set_cookie, self.drop_headers)

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

    def _report(self, record: RequestLog, request_id: str) -> None:
        cold, self._cold = self._cold, False
        around = LogContext(request_id, cold, self.tenant_map.sha256, time.time(), self._log_caller)
        write_lines(self._write, record, around, self._log_level, self._namespace)


def check_service(request: Request, services: Collection[str]) -> None:
    """Refuses a Lattice event that is not from one of the services; an empty collection allows all.

    Raises:
        Forbidden: the event is from another service, or names none, as a V1 event does.
    """
    if services and request.source == "lattice" and request.service_arn not in services:
        raise Forbidden("service_not_allowed", "the event is not from a service in [lattice] services")


def _call(backend: Backend, tenant: str, payload: bytes, context: object, record: RequestLog) -> Call:
    """A function without tenant isolation is invoked without a tenant id, since Lambda refuses one."""
    return Call(
        function=backend.function,
        tenant=tenant if backend.isolated else None,
        payload=payload,
        invocation=backend.invocation,
        timeout=backend.timeout,
        left=time_left(context),
        on_request_id=record.set_lambda_request_id,
    )


def _decoded(answer: bytes) -> Response:
    """A large answer is decoded without the garbage collector, which takes longer than the parser. No parsed object is
    left when it is resumed."""
    if len(answer) <= _LARGE:
        return reply.decode(answer)
    with no_collection():
        return reply.decode(answer)


_LARGE: Final = 64 * 1024


def id_for(event: object, context: object, front: Front = LATTICE) -> str:
    """The front's id of the request, so that both logs can be joined; Lambda's id if there is none."""
    return front.request_id_of(event) or str(getattr(context, "aws_request_id", None) or "unknown")
