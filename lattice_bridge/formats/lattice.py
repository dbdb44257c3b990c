"""`lattice`: the event as Lattice sent it, in the version it came in.

Rule: nothing is changed but headers, and credentials in the query. What Lattice adds one day, the backend sees that
day.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from lattice_bridge.formats.forwarded import Forwarded

_PATH_AND_MAP: Final = {1: ("raw_path", "query_string_parameters"), 2: ("path", "queryStringParameters")}


def event(forwarded: Forwarded) -> dict[str, Any]:
    """The event, with our headers in place of the client's. Names keep the spelling they came in."""
    request, ours = forwarded.request, forwarded.ours
    given = request.event.get("headers") or {}
    kept = {name: value for name, value in given.items() if forwarded.passes(name)}
    added = ours if request.version == 1 else {name: [value] for name, value in ours.items()}
    return {**request.event, **_changed_query(forwarded), "headers": {**kept, **added}}


def _changed_query(forwarded: Forwarded) -> dict[str, Any]:
    """Path and query map less what stays here; empty if nothing does. The map repeats the query of the path."""
    event: Mapping[str, Any] = forwarded.request.event
    in_path, in_map = _PATH_AND_MAP[forwarded.request.version]
    changed: dict[str, Any] = {}
    path, mark, raw = event[in_path].partition("?")
    if mark and (kept := forwarded.query(raw)) != raw:
        changed[in_path] = f"{path}?{kept}" if kept else path
    query = event.get(in_map)
    if isinstance(query, Mapping) and not all(map(forwarded.passes_in_query, query)):
        changed[in_map] = {name: value for name, value in query.items() if forwarded.passes_in_query(name)}
    return changed
