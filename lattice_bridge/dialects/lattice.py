"""`lattice`: the event as Lattice sent it, in the version it came in.

Rule: nothing but headers is touched. What Lattice adds one day, the backend sees that day.
"""

from __future__ import annotations

from typing import Any

from lattice_bridge.dialects.forwarded import Forwarded


def event(forwarded: Forwarded) -> dict[str, Any]:
    """The event, with our headers in place of the client's. Names keep the spelling they came in."""
    request, ours = forwarded.request, forwarded.ours
    given = request.event.get("headers") or {}
    kept = {name: value for name, value in given.items() if forwarded.passes(name)}
    added = ours if request.version == 1 else {name: [value] for name, value in ours.items()}
    return {**request.event, "headers": {**kept, **added}}
