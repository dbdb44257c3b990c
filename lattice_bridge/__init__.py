"""The Lambda between Amazon VPC Lattice, or SQS, and tenant-isolated Lambda functions."""

from typing import TYPE_CHECKING, Any

from lattice_bridge.bridge import Bridge
from lattice_bridge.config.tenant_map import TenantMap
from lattice_bridge.errors import BridgeError
from lattice_bridge.formats.recognise import parse_event
from lattice_bridge.message import Caller, Request, Response
from lattice_bridge.tenancy.decide import Decision

if TYPE_CHECKING:
    from lattice_bridge.router import Router

__all__ = ["Bridge", "BridgeError", "Caller", "Decision", "Request", "Response", "Router", "TenantMap", "parse_event"]


def __getattr__(name: str) -> Any:
    """Imports the router when it is first used: the start of a bridge without queues does not wait for it."""
    if name == "Router":
        from lattice_bridge.router import Router

        return Router
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
