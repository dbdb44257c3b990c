"""The Lambda between Amazon VPC Lattice and tenant-isolated Lambda functions."""

from lattice_bridge.bridge import Bridge
from lattice_bridge.errors import BridgeError
from lattice_bridge.event import parse_event
from lattice_bridge.message import Caller, Request, Response
from lattice_bridge.tenant import Decision
from lattice_bridge.tenant_map import TenantMap

__all__ = ["Bridge", "BridgeError", "Caller", "Decision", "Request", "Response", "TenantMap", "parse_event"]
