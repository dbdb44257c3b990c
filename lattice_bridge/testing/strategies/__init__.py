"""Hypothesis strategies for what stands behind VPC Lattice. Needs the extra `testing`.

Rule: each strategy shrinks towards the plainest of its kind.

requests    events, requests, Sent: what Lattice sends
who         callers, principals
ids         tenant_ids, not_tenant_ids
replies     backend_replies: what functions answer
maps        maps, WrittenMap: who may run as which tenant
anything    anything, Nested: what a handler has to survive
"""

from __future__ import annotations

try:
    import hypothesis  # noqa: F401 - to say what to install, rather than a traceback of ours
except ImportError as error:
    raise ImportError(
        "lattice_bridge.testing.strategies needs Hypothesis; pip install 'lattice-bridge[testing]' brings it"
    ) from error

from lattice_bridge.testing.strategies.anything import Nested, anything
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
    "callers",
    "events",
    "maps",
    "not_tenant_ids",
    "principals",
    "requests",
    "tenant_ids",
]
