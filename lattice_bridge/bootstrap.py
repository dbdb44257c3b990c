"""Bootstrap: makes the handler of an environment from configuration, invoker, and the two lines of work.

Rule: the only module that imports all parts of the bridge. The environment is an argument.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from lattice_bridge.bridge import Bridge, id_for
from lattice_bridge.config.document import sha256_of
from lattice_bridge.config.reload import ActiveConfiguration, Handler
from lattice_bridge.config.settings import Settings
from lattice_bridge.environment import Environment, handler_of, log_refused
from lattice_bridge.errors import Unavailable
from lattice_bridge.events.recognise import source_of
from lattice_bridge.formats.recognise import method_of
from lattice_bridge.formats.reply import problem, render
from lattice_bridge.invoke.call import Invoke
from lattice_bridge.invoke.direct import WARM_TIMEOUT, DirectInvoker, direct_invoker
from lattice_bridge.runtime.process import elapsed, in_background
from lattice_bridge.telemetry import to_stdout

if TYPE_CHECKING:  # imported if the configuration needs them: a start does not wait for the others
    from lattice_bridge.config.event_source import EventSource
    from lattice_bridge.config.tenant_map import TenantMap
    from lattice_bridge.invoke.boto3 import Boto3Invoker
    from lattice_bridge.lanes import Lanes
    from lattice_bridge.quarantine import Quarantine
    from lattice_bridge.router import Router


def make_handler(
    environ: Mapping[str, str],
    write: Callable[[str], object] = to_stdout,
    *,
    clock: Callable[[], float] = elapsed,
) -> Handler:
    """The handler for an environment. Events with records go to the router, all others to the bridge.

    While no configuration loads, it answers 503 to every request, reports every record, and logs the reason: no tenant
    can be decided without a map.

    Args:
        environ: of the process.
        write: takes the log and metric lines.
        clock: seconds; may jump.
    """
    return handler_of(environ, write, lambda environment: _Builder(environment).build, _closed, clock)


class Lines:
    """A handler with both lines of work.

    Attributes:
        bridge: serves HTTP events.

    Args:
        bridge: serves HTTP events.
        make_router: makes the router. Its modules are imported then: at the start if the map has event sources,
            otherwise by the first event with records, all of which it reports.
        has_sources: whether the map has event sources.
    """

    def __init__(self, bridge: Bridge, make_router: Callable[[], Router], *, has_sources: bool) -> None:
        self.bridge = bridge
        self._make_router = make_router
        self._router = make_router() if has_sources else None

    @property
    def router(self) -> Router:
        """Serves events with records."""
        if self._router is None:
            self._router = self._make_router()
        return self._router

    def __call__(self, event: object, context: object) -> dict[str, Any]:
        """Serves one event."""
        return self.bridge(event, context) if source_of(event) is None else self.router(event, context)


class _Builder:
    """Makes the handlers of one environment. They share the invokers, and so their connections, and the threads and the
    quarantine of the routers."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._direct: DirectInvoker | None = None
        self._boto3: Boto3Invoker | None = None
        self._of_routers: tuple[Lanes, Quarantine] | None = None

    def build(self, text: str, replaced: ActiveConfiguration | None) -> ActiveConfiguration:
        """Makes a configuration that serves of its text."""
        previous = replaced.handler.bridge if replaced is not None and isinstance(replaced.handler, Lines) else None
        settings = self._environment.settings(text, previous.tenant_map if previous else None)
        invoke = self._invoker_for(settings)
        bridge = Bridge(
            settings.tenant_map,
            invoke,
            backends=settings.options.backends,
            services=settings.options.services,
            apis=settings.options.apis,
            target_groups=settings.options.target_groups,
            function_url=settings.options.function_url,
            set_cookie=settings.options.set_cookie,
            drop_headers=settings.options.drop_headers,
            scheme=settings.options.scheme,
            write=self._environment.write,
            log_level=self._environment.log_level,
            log_caller=settings.options.log_caller,
            namespace=self._environment.namespace,
            cold=previous is None,
        )
        sources = settings.options.event_sources
        lines = Lines(bridge, lambda: self._router(settings.tenant_map, invoke, sources), has_sources=bool(sources))
        self._environment.keep(settings.tenant_map)
        return ActiveConfiguration(lines, sha256_of(text), settings.options.refresh)

    def _router(self, tenant_map: TenantMap, invoke: Invoke, sources: tuple[EventSource, ...]) -> Router:
        from lattice_bridge.lanes import Lanes
        from lattice_bridge.quarantine import Quarantine
        from lattice_bridge.router import Router

        self._of_routers = self._of_routers or (Lanes(), Quarantine())
        lanes, quarantine = self._of_routers
        return Router(
            tenant_map,
            invoke,
            sources=sources,
            lanes=lanes,
            quarantine=quarantine,
            write=self._environment.write,
            log_level=self._environment.log_level,
            namespace=self._environment.namespace,
        )

    def _invoker_for(self, settings: Settings) -> Invoke:
        if settings.options.invoker == "direct":
            return self._direct_invoker()
        from lattice_bridge.invoke.boto3 import Boto3Clients, Boto3Invoker

        if self._boto3 is None:
            variables = self._environment.variables
            clients = Boto3Clients(variables.get("AWS_REGION"), variables)
            self._boto3 = Boto3Invoker(clients, renew=clients.renew)
        backends, sources = settings.options.backends, settings.options.event_sources
        for timeout in {one.timeout for one in backends} | {one.timeout for one in sources}:
            self._boto3.client_for(timeout)
        return self._boto3

    def _direct_invoker(self) -> DirectInvoker:
        if self._direct is None:
            self._direct = direct_invoker(self._environment.variables)
            if self._environment.is_warm:
                _within(WARM_TIMEOUT, self._direct.warm)
        return self._direct


def _within(seconds: float, work: Callable[[], None]) -> None:
    """Runs work that may hang, as a resolver may, and waits for it no longer than so many seconds."""
    done = threading.Event()

    def doing() -> None:
        work()
        done.set()

    with contextlib.suppress(RuntimeError):  # no more threads: the work is left out
        in_background(doing)
        done.wait(seconds)


def _closed(refusal: Unavailable, write: Callable[[str], object], namespace: str) -> Handler:
    """Refuses every event. A queue would delete the records for which it gets a 503, so they are reported."""

    def handler(event: object, context: object) -> dict[str, Any]:
        if source_of(event) is not None:
            from lattice_bridge.router import refuse_records

            return refuse_records(event, context, refusal, write, namespace)
        request_id = id_for(event, context)
        log_refused(refusal, request_id, write, namespace)
        return render(problem(refusal, request_id), method_of(event))

    return handler
