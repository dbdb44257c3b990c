"""Settings, invoker and bridge, put together.

Rule: the only room that knows all the others. The environment is handed in.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from lattice_bridge.bridge import Bridge, id_for
from lattice_bridge.errors import BridgeError, InvalidMap, Unavailable
from lattice_bridge.event import method_of
from lattice_bridge.invoke import Invoke
from lattice_bridge.invoke_boto3 import Boto3Invoker, connect_boto3
from lattice_bridge.invoke_direct import direct_invoker
from lattice_bridge.reply import problem, render
from lattice_bridge.settings import Settings
from lattice_bridge.telemetry import Circumstances, Record, lines, to_stdout

MAX_FAULTS: Final = 100
"""Of a configuration, in its log line. `lattice-bridge local` shows them all."""

Handler = Callable[[object, object], dict[str, Any]]


def make_handler(environ: Mapping[str, str], write: Callable[[str], object] = to_stdout) -> Handler:
    """The handler for an environment. A configuration that cannot serve answers 503 to every request, and says why in
    the log at start and with each of them: refusing all is the only safe reading of a map that does not load."""
    try:
        settings = Settings.load(environ)
        invoker = _invoker(settings, environ)
    except Exception as error:
        refusal = error if isinstance(error, BridgeError) else InvalidMap([f"{type(error).__name__}: {error}"])
        return _closed(refusal, write)
    return Bridge(
        settings.tenant_map,
        invoker,
        backends=settings.backends,
        services=settings.services,
        set_cookie=settings.set_cookie,
        write=write,
        log_level=environ.get("AWS_LAMBDA_LOG_LEVEL", "INFO"),
    )


def _invoker(settings: Settings, environ: Mapping[str, str]) -> Invoke:
    if settings.invoker == "direct":
        return direct_invoker(environ)
    invoker = Boto3Invoker(connect_boto3(environ.get("AWS_REGION")))
    for backend in settings.backends:
        invoker.client_for(backend.timeout)
    return invoker


def _closed(refusal: BridgeError, write: Callable[[str], object]) -> Handler:
    """Every fault once, at init; then the usual two lines a request, so that the usual alarms see it."""
    faults = list(getattr(refusal, "faults", [refusal.detail]))[:MAX_FAULTS]
    opening = {"level": "ERROR", "message": "closed", "reason": refusal.reason, "faults": faults}
    closed = Unavailable(refusal.reason, faults[0] if faults else "", retry_after=60)

    def handler(event: object, context: object) -> dict[str, Any]:
        record, request_id = Record(), id_for(event, context)
        record.refusal, record.status = closed, closed.status
        with contextlib.suppress(Exception):  # a log that cannot be written is no reason to raise
            write(lines(record, Circumstances(request_id, cold=False, map_sha256=None, now=time.time())))
        return render(problem(closed, request_id), method_of(event))

    with contextlib.suppress(Exception):
        write(json.dumps(opening, separators=(",", ":")) + "\n")
    return handler
