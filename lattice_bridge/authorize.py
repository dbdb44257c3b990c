"""The path of an authorizer's event: event, request, decision, answer.

Rule: it answers with a tenant only for a decision that allows one. If it cannot decide, it raises: API Gateway then
answers 500 and caches nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from typing import Any, Final, NoReturn

from lattice_bridge.config.document import sha256_of
from lattice_bridge.config.options import LoggedCaller
from lattice_bridge.config.reload import ActiveConfiguration, Handler
from lattice_bridge.config.tenant_map import TenantMap
from lattice_bridge.environment import Build, Environment, handler_of, log_refused
from lattice_bridge.errors import Unavailable, refusal_for
from lattice_bridge.formats import authorizer as form
from lattice_bridge.runtime.process import elapsed
from lattice_bridge.telemetry import NAMESPACE, LogContext, RequestLog, to_stdout, write_lines

SIMPLE_VARIABLE: Final = "LATTICE_BRIDGE_SIMPLE_RESPONSES"
"""Must have the value of the HTTP API's `EnableSimpleResponses`, which no event contains."""

BACKEND: Final = "authorizer"
"""Takes the place of a backend's path in log and metric lines. A path begins with `/`."""


class AuthorizerFailure(Exception):
    """Ends an invocation without an answer. The message is all that API Gateway reads, and no client receives it."""


class Authorizer:
    """A Lambda authorizer of type REQUEST. Threads may share it.

    Args:
        tenant_map: decides which tenant a request runs as.
        apis: ids of the APIs that events may come from.
        simple: the value of SIMPLE_VARIABLE.
        write: receives the log and metric lines.
        log_level: the lowest level of the log lines that are written. Metric lines are always written.
        log_caller: what the log line of a refused request contains of its caller.
        namespace: of the metrics.
        clock: monotonic seconds.
        cold: whether its first request is the first one of the execution environment.
    """

    def __init__(
        self,
        tenant_map: TenantMap,
        *,
        apis: Collection[str],
        simple: str | None = None,
        write: Callable[[str], object] = to_stdout,
        log_level: str = "INFO",
        log_caller: LoggedCaller = "key",
        namespace: str = NAMESPACE,
        clock: Callable[[], float] = time.perf_counter,
        cold: bool = True,
    ) -> None:
        self.tenant_map = tenant_map
        self.apis = frozenset(apis)
        self._simple = simple
        self._write = write
        self._log_level = log_level
        self._log_caller = log_caller
        self._namespace = namespace
        self._clock = clock
        self._cold = cold

    def __call__(self, event: object, context: object) -> dict[str, Any]:
        """Answers one event of an authorizer.

        Raises:
            AuthorizerFailure: `Unauthorized`, for which a REST API answers 401; or no decision is possible.
        """
        record, simple = RequestLog(self._clock), form.is_simple(event, self._simple)
        record.backend = BACKEND
        try:
            answer = self._decide(event, record, simple=simple)
            record.status = 200
        except Exception as error:
            record.refusal = refusal_for(error)
            record.status, answer = form.status_of(record.refusal, event), form.deny(simple=simple)
        self._report(record, id_for(event, context))
        if record.status in (401, 500):
            _fail(record.status)
        return answer

    def _decide(self, event: object, record: RequestLog, *, simple: bool) -> dict[str, Any]:
        record.step("parse")
        record.request = request = form.parse(event, self.apis)
        record.step("decide")
        record.decision = decision = self.tenant_map.decide(request)
        return form.allow(request, decision.granted(), simple=simple)

    def _report(self, record: RequestLog, request_id: str) -> None:
        cold, self._cold = self._cold, False
        around = LogContext(request_id, cold, self.tenant_map.sha256, time.time(), self._log_caller)
        write_lines(self._write, record, around, self._log_level, self._namespace)


def id_for(event: object, context: object) -> str:
    """API Gateway's id of the request, so that both logs can be joined; Lambda's id if there is none."""
    return form.request_id_of(event) or str(getattr(context, "aws_request_id", None) or "unknown")


def _fail(status: int) -> NoReturn:
    """The runtime logs the error with its traceback, so it has no cause and no detail. The log line has the reason."""
    raise AuthorizerFailure("Unauthorized" if status == 401 else "no decision is possible; the log line has the reason")


def make_authorizer(
    environ: Mapping[str, str],
    write: Callable[[str], object] = to_stdout,
    *,
    clock: Callable[[], float] = elapsed,
) -> Handler:
    """The authorizer's handler for an environment. While no configuration loads, it raises for every event.

    Args:
        environ: of the process.
        write: takes the log and metric lines.
        clock: seconds; may jump.
    """
    return handler_of(environ, write, _builder, _closed, clock)


def _builder(environment: Environment) -> Build:
    def build(text: str, replaced: ActiveConfiguration | None) -> ActiveConfiguration:
        previous = replaced.handler if replaced is not None and isinstance(replaced.handler, Authorizer) else None
        settings = environment.settings(text, previous.tenant_map if previous else None, needs_backend=False)
        authorizer = Authorizer(
            settings.tenant_map,
            apis=settings.options.apis,
            simple=environment.variables.get(SIMPLE_VARIABLE),
            write=environment.write,
            log_level=environment.log_level,
            log_caller=settings.options.log_caller,
            namespace=environment.namespace,
            cold=previous is None,
        )
        environment.keep(settings.tenant_map)
        return ActiveConfiguration(authorizer, sha256_of(text), settings.options.refresh)

    return build


def _closed(refusal: Unavailable, write: Callable[[str], object], namespace: str) -> Handler:
    def handler(event: object, context: object) -> dict[str, Any]:
        log_refused(refusal, id_for(event, context), write, namespace)
        _fail(500)

    return handler
