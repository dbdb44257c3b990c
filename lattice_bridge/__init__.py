"""A Lambda function in front of tenant-isolated Lambda functions: it decides which tenant each request runs as."""

from lattice_bridge.bridge import Bridge
from lattice_bridge.config.tenant_map import TenantMap
from lattice_bridge.errors import BridgeError
from lattice_bridge.formats.recognise import parse_event
from lattice_bridge.message import Caller, Request, Response
from lattice_bridge.tenancy.decide import Decision

__all__ = ["Bridge", "BridgeError", "Caller", "Decision", "Request", "Response", "TenantMap", "parse_event"]
