"""For tests of what stands behind VPC Lattice, with the bridge or without it. Needs the extra `testing`.

Rule: what is here is what the bridge and its local stack do themselves, handed out; see docs/testing.md.

events        the event that Lattice makes of a request      corpus   events and replies as files
replies       what Lattice would not take of a reply         fakes, issuer   servers that a test scripts
departures    what Lattice would not send as an event        stack    the local stack, in a process of its own
strategies    Hypothesis; imported by its own name, since the rest needs no Hypothesis
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from lattice_bridge.testing.builders import lattice_event, lattice_headers
from lattice_bridge.testing.corpus import Case, all_events, load_event
from lattice_bridge.testing.replies import assert_valid_reply

if TYPE_CHECKING:
    from lattice_bridge.testing.fakes import FakeLambda
    from lattice_bridge.testing.issuer import Issuer
    from lattice_bridge.testing.stack import LocalStack

__all__ = [
    "Case",
    "FakeLambda",
    "Issuer",
    "LocalStack",
    "all_events",
    "assert_valid_reply",
    "lattice_event",
    "lattice_headers",
    "load_event",
]

_SERVERS = {"FakeLambda": "fakes", "Issuer": "issuer", "LocalStack": "stack"}
"""Loaded when first asked for: most tests ask for none, and they take as long to import as the rest."""


def __getattr__(name: str) -> Any:
    if name not in _SERVERS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_SERVERS[name]}"), name)
