"""Bootstrap: makes the handler of an environment from configuration, invoker and bridge.

Rule: the only module that imports all parts of the bridge. The environment is an argument.
"""

from __future__ import annotations

import contextlib
import gc
import threading
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from lattice_bridge.bridge import Bridge, id_for
from lattice_bridge.config.document import sha256_of
from lattice_bridge.config.location import Location
from lattice_bridge.config.reload import ActiveConfiguration, Handler, ReloadingHandler, ReloadResult
from lattice_bridge.config.settings import Settings
from lattice_bridge.errors import BridgeError, InvalidMap, Unavailable
from lattice_bridge.formats.recognise import method_of
from lattice_bridge.formats.reply import problem, render
from lattice_bridge.invoke.call import Invoke
from lattice_bridge.invoke.direct import WARM_TIMEOUT, DirectInvoker, direct_invoker
from lattice_bridge.runtime.process import elapsed, in_background
from lattice_bridge.telemetry import NAMESPACE, LogContext, RequestLog, lines, namespace_of, reload_lines, to_stdout

if TYPE_CHECKING:
    from lattice_bridge.invoke.boto3 import Boto3Invoker

RETRY_AFTER: Final = 30
"""The `Retry-After` of a bridge without a configuration, in seconds."""


def make_handler(
    environ: Mapping[str, str],
    write: Callable[[str], object] = to_stdout,
    *,
    clock: Callable[[], float] = elapsed,
) -> Handler:
    """The handler for an environment.

    While no configuration loads, it answers 503 to every request and logs the reason: no tenant can be decided without
    a map.

    Args:
        environ: of the process.
        write: takes the log and metric lines.
        clock: seconds; may jump.
    """
    namespace = NAMESPACE
    try:
        namespace = namespace_of(environ)
        location = Location.from_environment(environ)
    except InvalidMap as error:  # no reload could fix this
        _report(write, namespace, ReloadResult(None, None, error))
        return _closed(error, write, namespace)
    return ReloadingHandler(
        location.store,
        _Builder(location, environ, write, namespace).build,
        lambda refusal: _closed(refusal, write, namespace),
        lambda result: _report(write, namespace, result),
        clock=clock,
    )


class _Builder:
    """Makes the bridges of one environment. They share the invokers, and so their connections."""

    def __init__(
        self, location: Location, environ: Mapping[str, str], write: Callable[[str], object], namespace: str
    ) -> None:
        self._location = location
        self._environ = environ
        self._write = write
        self._namespace = namespace
        self._direct: DirectInvoker | None = None
        self._boto3: Boto3Invoker | None = None
        kind = environ.get("AWS_LAMBDA_INITIALIZATION_TYPE")
        self._lasts = kind is not None
        # With SnapStart, a start is copied. It opens nothing: each copy would have the same connection.
        self._warm = kind in ("on-demand", "provisioned-concurrency")

    def build(self, text: str, replaced: ActiveConfiguration | None) -> ActiveConfiguration:
        """Makes a configuration that serves of its text."""
        previous = replaced.handler if replaced is not None and isinstance(replaced.handler, Bridge) else None
        settings = Settings.from_text(
            text,
            name=self._location.name,
            compiled=self._location.read_compiled(),
            function=self._location.function,
            folder=self._location.folder,
            previous=previous.tenant_map if previous else None,
            region=self._location.region,
        )
        bridge = Bridge(
            settings.tenant_map,
            self._invoker_for(settings),
            backends=settings.options.backends,
            services=settings.options.services,
            apis=settings.options.apis,
            target_groups=settings.options.target_groups,
            function_url=settings.options.function_url,
            set_cookie=settings.options.set_cookie,
            drop_headers=settings.options.drop_headers,
            scheme=settings.options.scheme,
            write=self._write,
            log_level=self._environ.get("AWS_LAMBDA_LOG_LEVEL", "INFO"),
            log_caller=settings.options.log_caller,
            namespace=self._namespace,
            cold=previous is None,
        )
        if self._warm:
            settings.tenant_map.warm()
        if self._lasts:
            gc.freeze()  # the collector need not visit objects that are used until the end, such as a large map
        return ActiveConfiguration(bridge, sha256_of(text), settings.options.refresh)

    def _invoker_for(self, settings: Settings) -> Invoke:
        if settings.options.invoker == "direct":
            return self._direct_invoker()
        from lattice_bridge.invoke.boto3 import Boto3Clients, Boto3Invoker

        if self._boto3 is None:
            clients = Boto3Clients(self._environ.get("AWS_REGION"))
            self._boto3 = Boto3Invoker(clients, renew=clients.renew)
        for backend in settings.options.backends:
            self._boto3.client_for(backend.timeout)
        return self._boto3

    def _direct_invoker(self) -> DirectInvoker:
        if self._direct is None:
            self._direct = direct_invoker(self._environ)
            if self._warm:
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


def _report(write: Callable[[str], object], namespace: str, result: ReloadResult) -> None:
    with contextlib.suppress(Exception):  # a failed write to the log must not fail the request
        write(reload_lines(result.before, result.after, result.refusal, time.time(), namespace))


def _closed(refusal: BridgeError, write: Callable[[str], object], namespace: str) -> Handler:
    """A handler that answers 503 to every request, with the usual two lines, so that the usual alarms see it."""
    faults = refusal.messages if isinstance(refusal, InvalidMap) else (refusal.detail,)
    closed = Unavailable(refusal.reason, faults[0] if faults else "", retry_after=RETRY_AFTER)

    def handler(event: object, context: object) -> dict[str, Any]:
        record, request_id = RequestLog(), id_for(event, context)
        record.refusal, record.status = closed, closed.status
        with contextlib.suppress(Exception):
            around = LogContext(request_id, cold=False, map_sha256=None, now=time.time())
            write(lines(record, around, namespace=namespace))
        return render(problem(closed, request_id), method_of(event))

    return handler
