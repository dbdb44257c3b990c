"""Bootstrap: makes the bridge's handler of an environment from configuration, invoker and bridge.

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
from lattice_bridge.environment import Environment, handler_of
from lattice_bridge.errors import BridgeError
from lattice_bridge.formats.recognise import method_of
from lattice_bridge.formats.reply import problem, render
from lattice_bridge.invoke.call import Invoke
from lattice_bridge.invoke.direct import WARM_TIMEOUT, DirectInvoker, direct_invoker
from lattice_bridge.runtime.process import elapsed, in_background
from lattice_bridge.telemetry import to_stdout

if TYPE_CHECKING:
    from lattice_bridge.invoke.boto3 import Boto3Invoker


def make_handler(
    environ: Mapping[str, str],
    write: Callable[[str], object] = to_stdout,
    *,
    clock: Callable[[], float] = elapsed,
) -> Handler:
    """The bridge's handler for an environment.

    While no configuration loads, it answers 503 to every request and logs the reason: no tenant can be decided without
    a map.

    Args:
        environ: of the process.
        write: takes the log and metric lines.
        clock: seconds; may jump.
    """
    return handler_of(environ, write, lambda environment: _Builder(environment).build, _refused, id_for, clock)


class _Builder:
    """Makes the bridges of one environment. They share the invokers, and so their connections."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._direct: DirectInvoker | None = None
        self._boto3: Boto3Invoker | None = None

    def build(self, text: str, replaced: ActiveConfiguration | None) -> ActiveConfiguration:
        """Makes a configuration that serves of its text."""
        previous = replaced.handler if replaced is not None and isinstance(replaced.handler, Bridge) else None
        settings = self._environment.settings(text, previous.tenant_map if previous else None)
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
            write=self._environment.write,
            log_level=self._environment.log_level,
            log_caller=settings.options.log_caller,
            namespace=self._environment.namespace,
            cold=previous is None,
        )
        self._environment.keep(settings.tenant_map)
        return ActiveConfiguration(bridge, sha256_of(text), settings.options.refresh)

    def _invoker_for(self, settings: Settings) -> Invoke:
        if settings.options.invoker == "direct":
            return self._direct_invoker()
        from lattice_bridge.invoke.boto3 import Boto3Clients, Boto3Invoker

        if self._boto3 is None:
            clients = Boto3Clients(self._environment.variables.get("AWS_REGION"))
            self._boto3 = Boto3Invoker(clients, renew=clients.renew)
        for backend in settings.options.backends:
            self._boto3.client_for(backend.timeout)
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


def _refused(refusal: BridgeError, event: object, context: object) -> dict[str, Any]:
    return render(problem(refusal, id_for(event, context)), method_of(event))
