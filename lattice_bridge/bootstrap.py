"""Configuration, invoker and bridge, put together.

Rule: the only room that knows all the others. The environment is handed in.
"""

from __future__ import annotations

import contextlib
import gc
import threading
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from lattice_bridge.bridge import Bridge, id_for
from lattice_bridge.clock import elapsed, in_background
from lattice_bridge.config.document import sha256_of
from lattice_bridge.config.location import Place
from lattice_bridge.config.reload import Following, Handler, InForce, Look
from lattice_bridge.config.settings import Settings
from lattice_bridge.errors import BridgeError, InvalidMap, Unavailable
from lattice_bridge.formats.recognise import method_of
from lattice_bridge.formats.reply import problem, render
from lattice_bridge.invoke.call import Invoke
from lattice_bridge.invoke.direct import WARMING, DirectInvoker, direct_invoker
from lattice_bridge.telemetry import NAMESPACE, Circumstances, Record, lines, look_lines, namespace_of, to_stdout

if TYPE_CHECKING:
    from lattice_bridge.invoke.boto3 import Boto3Invoker

RETRY_AFTER: Final = 30
"""Seconds after which to come again to a bridge without a configuration."""


def make_handler(
    environ: Mapping[str, str],
    write: Callable[[str], object] = to_stdout,
    *,
    clock: Callable[[], float] = elapsed,
) -> Handler:
    """The handler for an environment. Without a configuration that can serve, it answers 503 to every request, and says
    why in the log: refusing all is the only safe reading of a map that does not load."""
    namespace = NAMESPACE
    try:
        namespace = namespace_of(environ)
        place = Place.of(environ)
    except InvalidMap as error:  # nothing that a later look could mend
        _report(write, namespace, Look(None, None, error))
        return _closed(error, write, namespace)
    return Following(
        place.source,
        _Builder(place, environ, write, namespace).build,
        lambda refusal: _closed(refusal, write, namespace),
        lambda look: _report(write, namespace, look),
        clock=clock,
    )


class _Builder:
    """Makes bridges for one environment. They share invokers, and with them their connections."""

    def __init__(
        self, place: Place, environ: Mapping[str, str], write: Callable[[str], object], namespace: str
    ) -> None:
        self._place = place
        self._environ = environ
        self._write = write
        self._namespace = namespace
        self._direct: DirectInvoker | None = None
        self._boto3: Boto3Invoker | None = None
        kind = environ.get("AWS_LAMBDA_INITIALIZATION_TYPE")
        self._lasts = kind is not None
        # A start that is kept as an image and copied opens nothing: each copy would find the same connection.
        self._warm = kind in ("on-demand", "provisioned-concurrency")

    def build(self, text: str, replaced: InForce | None) -> InForce:
        """What serves with a configuration's text."""
        previous = replaced.handler if replaced is not None and isinstance(replaced.handler, Bridge) else None
        settings = Settings.from_text(
            text,
            twin=self._place.twin(),
            function=self._place.function,
            folder=self._place.folder,
            previous=previous.tenant_map if previous else None,
            region=self._place.region,
        )
        bridge = Bridge(
            settings.tenant_map,
            self._invoker_for(settings),
            backends=settings.options.backends,
            services=settings.options.services,
            set_cookie=settings.options.set_cookie,
            drop_headers=settings.options.drop_headers,
            scheme=settings.options.scheme,
            write=self._write,
            log_level=self._environ.get("AWS_LAMBDA_LOG_LEVEL", "INFO"),
            namespace=self._namespace,
            cold=previous is None,
        )
        if self._warm:
            settings.tenant_map.warm()
        if self._lasts:
            gc.freeze()  # what serves until the end need not be looked through for garbage, least of all a large map
        return InForce(bridge, sha256_of(text), settings.options.refresh)

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
                _within(WARMING, self._direct.warm)
        return self._direct


def _within(seconds: float, work: Callable[[], None]) -> None:
    """Waits for work that may not come to an end, as a resolver may not, so long and no longer."""
    done = threading.Event()

    def doing() -> None:
        work()
        done.set()

    with contextlib.suppress(RuntimeError):  # no more threads: then without
        in_background(doing)
        done.wait(seconds)


def _report(write: Callable[[str], object], namespace: str, look: Look) -> None:
    with contextlib.suppress(Exception):  # a log that cannot be written is no reason to raise
        write(look_lines(look.before, look.after, look.refusal, time.time(), namespace))


def _closed(refusal: BridgeError, write: Callable[[str], object], namespace: str) -> Handler:
    """The usual two lines a request, so that the usual alarms see it."""
    faults = getattr(refusal, "faults", (refusal.detail,))
    closed = Unavailable(refusal.reason, faults[0] if faults else "", retry_after=RETRY_AFTER)

    def handler(event: object, context: object) -> dict[str, Any]:
        record, request_id = Record(), id_for(event, context)
        record.refusal, record.status = closed, closed.status
        with contextlib.suppress(Exception):
            around = Circumstances(request_id, cold=False, map_sha256=None, now=time.time())
            write(lines(record, around, namespace=namespace))
        return render(problem(closed, request_id), method_of(event))

    return handler
