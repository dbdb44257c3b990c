"""Settings, invoker and bridge, put together.

Rule: the only room that knows all the others. The environment is handed in.
"""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable, Mapping
from typing import Any, Final

from lattice_bridge.bridge import Bridge
from lattice_bridge.errors import BridgeError, InvalidMap, Unavailable
from lattice_bridge.event import method_of
from lattice_bridge.invoke import Boto3Invoker, connect_boto3
from lattice_bridge.reply import problem, render
from lattice_bridge.settings import Settings

MAX_FAULTS: Final = 100
"""Of a configuration, in each of its log lines. `lattice-bridge local` shows them all."""

Handler = Callable[[object, object], dict[str, Any]]


def make_handler(environ: Mapping[str, str], write: Callable[[str], object] = sys.stdout.write) -> Handler:
    """The handler for an environment. A configuration that cannot serve answers 503 to every request, and says why in
    the log at start and with each of them: refusing all is the only safe reading of a map that does not load."""
    try:
        settings = Settings.load(environ)
        invoker = Boto3Invoker(connect_boto3(environ.get("AWS_REGION")))
        for backend in settings.backends:
            invoker.client_for(backend.timeout)
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


def _closed(refusal: BridgeError, write: Callable[[str], object]) -> Handler:
    faults = list(getattr(refusal, "faults", [refusal.detail]))[:MAX_FAULTS]

    def say(request_id: str) -> None:
        line = {
            "level": "ERROR",
            "message": "closed",
            "requestId": request_id,
            "reason": refusal.reason,
            "faults": faults,
        }
        with contextlib.suppress(Exception):  # a log that cannot be written is no reason to raise
            write(json.dumps(line, separators=(",", ":")) + "\n")

    def handler(event: object, context: object) -> dict[str, Any]:
        request_id = str(getattr(context, "aws_request_id", None) or "unknown")
        say(request_id)
        return render(problem(Unavailable(refusal.reason, retry_after=60), request_id), method_of(event))

    say("init")
    return handler
