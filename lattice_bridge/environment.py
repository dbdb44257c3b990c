"""The environment of a handler: where its configuration is, how it is reloaded, and where its lines go.

Rule: the bridge and the authorizer start here, so that both load, reload and refuse a configuration in the same way.
The environment variables are an argument.
"""

from __future__ import annotations

import contextlib
import gc
import time
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from lattice_bridge.config.location import Location
from lattice_bridge.config.reload import ActiveConfiguration, Handler, ReloadingHandler, ReloadResult
from lattice_bridge.config.settings import Settings
from lattice_bridge.config.tenant_map import TenantMap
from lattice_bridge.errors import BridgeError, InvalidMap, Unavailable
from lattice_bridge.runtime.process import elapsed
from lattice_bridge.telemetry import NAMESPACE, LogContext, RequestLog, lines, namespace_of, reload_lines

RETRY_AFTER: Final = 30
"""Seconds after which a client should try again while no configuration is active."""


class Environment(NamedTuple):
    """What surrounds the handlers of one process.

    Attributes:
        variables: the environment variables.
        location: of the configuration.
        namespace: of the metrics.
        write: takes the log and metric lines.
    """

    variables: Mapping[str, str]
    location: Location
    namespace: str
    write: Callable[[str], object]

    @property
    def log_level(self) -> str:
        """The lowest level of the log lines that are written."""
        return self.variables.get("AWS_LAMBDA_LOG_LEVEL", "INFO")

    @property
    def is_lambda(self) -> bool:
        """Whether the process is an execution environment of Lambda, and so lasts."""
        return "AWS_LAMBDA_INITIALIZATION_TYPE" in self.variables

    @property
    def is_warm(self) -> bool:
        """Whether connections may be opened before the first request.

        With SnapStart, a start is copied. It opens nothing: each copy would have the same connection.
        """
        return self.variables.get("AWS_LAMBDA_INITIALIZATION_TYPE") in ("on-demand", "provisioned-concurrency")

    def settings(self, text: str, previous: TenantMap | None, *, needs_backend: bool = True) -> Settings:
        """The settings in a text of the configuration. Arguments as for `Settings.from_text`."""
        return Settings.from_text(
            text,
            name=self.location.name,
            compiled=self.location.read_compiled(),
            function=self.location.function,
            folder=self.location.folder,
            previous=previous,
            region=self.location.region,
            needs_backend=needs_backend,
        )

    def keep(self, tenant_map: TenantMap) -> None:
        """Prepares a map that serves from now on."""
        if self.is_warm:
            tenant_map.warm()
        if self.is_lambda:
            gc.freeze()  # the collector need not visit objects that are used until the end, such as a large map


Build = Callable[[str, ActiveConfiguration | None], ActiveConfiguration]
"""Makes a configuration that serves of a text, given the one that it replaces."""

Write = Callable[[str], object]
"""Takes log and metric lines."""

Closed = Callable[[Unavailable, Write, str], Handler]
"""Makes the handler that serves while no configuration is active, given the refusal, and the namespace of metrics."""


def handler_of(
    variables: Mapping[str, str],
    write: Write,
    builder: Callable[[Environment], Build],
    closed: Closed,
    clock: Callable[[], float] = elapsed,
) -> Handler:
    """A handler that reloads its configuration, and refuses every event while none loads.

    Args:
        variables: of the process.
        write: takes the log and metric lines.
        builder: makes the builder of the environment's configurations.
        closed: makes the handler that refuses.
        clock: seconds; may jump.
    """

    def refusing(refusal: BridgeError) -> Handler:
        faults = refusal.messages if isinstance(refusal, InvalidMap) else (refusal.detail,)
        return closed(
            Unavailable(refusal.reason, faults[0] if faults else "", retry_after=RETRY_AFTER), write, namespace
        )

    namespace = NAMESPACE
    try:
        namespace = namespace_of(variables)
        location = Location.from_environment(variables)
    except InvalidMap as error:  # no reload could fix this
        _report(write, namespace, ReloadResult(None, None, error))
        return refusing(error)
    build = builder(Environment(variables, location, namespace, write))
    return ReloadingHandler(
        location.store, build, refusing, lambda result: _report(write, namespace, result), clock=clock
    )


def log_refused(refusal: Unavailable, request_id: str, write: Write, namespace: str) -> None:
    """Writes the usual two lines of a request that is refused because no configuration is active, so that the usual
    alarms see it."""
    record = RequestLog()
    record.refusal, record.status = refusal, refusal.status
    with contextlib.suppress(Exception):  # a failed write to the log must not fail the request
        around = LogContext(request_id, cold=False, map_sha256=None, now=time.time())
        write(lines(record, around, namespace=namespace))


def _report(write: Write, namespace: str, result: ReloadResult) -> None:
    with contextlib.suppress(Exception):
        write(reload_lines(result.before, result.after, result.refusal, time.time(), namespace))
