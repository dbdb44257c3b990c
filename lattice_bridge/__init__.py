"""A Lambda function in front of tenant-isolated Lambda functions: it decides which tenant each request runs as.

It does the same for each message of a queue.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lattice_bridge.bridge import Bridge
    from lattice_bridge.config.tenant_map import TenantMap
    from lattice_bridge.errors import BridgeError
    from lattice_bridge.formats.recognise import parse_event
    from lattice_bridge.message import Caller, Request, Response
    from lattice_bridge.router import Router
    from lattice_bridge.tenancy.decide import Decision

__all__ = ["Bridge", "BridgeError", "Caller", "Decision", "Request", "Response", "Router", "TenantMap", "parse_event"]

_HOMES = {
    "Bridge": "bridge",
    "BridgeError": "errors",
    "Caller": "message",
    "Decision": "tenancy.decide",
    "Request": "message",
    "Response": "message",
    "Router": "router",
    "TenantMap": "config.tenant_map",
    "parse_event": "formats.recognise",
}
"""Name → module that is imported at its first use: a bridge needs no router, the commands need few of them, and the
entry points pause the garbage collector first."""


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    # Not kept here: a test may have replaced the class in its module, and puts it back there only.
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
