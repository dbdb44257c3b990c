"""Hypothesis strategies for tests of functions behind VPC Lattice. Needs the extra `testing`.

Rule: each strategy shrinks towards the simplest value of its kind.

batches     batches: events of queues, streams, tables and buses
requests    events, requests, Sent: events as Lattice sends them
who         callers, principals
ids         tenant_ids, not_tenant_ids
replies     backend_replies: answers of functions
maps        maps, WrittenMap: tenant maps
anything    anything, Nested: values that a handler must survive
"""

from __future__ import annotations

try:
    import hypothesis  # noqa: F401 - to name the package to install, instead of a traceback
except ImportError as error:
    raise ImportError(
        "lattice_bridge.testing.strategies needs Hypothesis; pip install 'lattice-bridge[testing]' brings it"
    ) from error

from lattice_bridge.testing.strategies.anything import Nested, anything
from lattice_bridge.testing.strategies.batches import batches
from lattice_bridge.testing.strategies.ids import not_tenant_ids, tenant_ids
from lattice_bridge.testing.strategies.maps import WrittenMap, maps
from lattice_bridge.testing.strategies.replies import backend_replies
from lattice_bridge.testing.strategies.requests import Sent, events, requests
from lattice_bridge.testing.strategies.who import callers, principals

__all__ = [
    "Nested",
    "Sent",
    "WrittenMap",
    "anything",
    "backend_replies",
    "batches",
    "callers",
    "events",
    "maps",
    "not_tenant_ids",
    "principals",
    "requests",
    "tenant_ids",
]
