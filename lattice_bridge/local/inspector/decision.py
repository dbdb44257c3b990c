"""The decision of a bridge about an entry, explained for the inspector's page.

Rule: what the bridge itself has found out counts. Its issuers' keys and its registry are not asked a second time: the
answers may be others by now, they would keep the stack waiting, and a stack needs no network. The reason in the
bridge's log line contains those answers. Whatever an event contains, an explanation ends, and raises nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from lattice_bridge.config.settings import Settings
from lattice_bridge.config.words import quoted
from lattice_bridge.errors import BridgeError, Unauthenticated, Unavailable
from lattice_bridge.events.recognise import source_of
from lattice_bridge.identity.token import Tokens
from lattice_bridge.local.bridge.configuration import BridgeConfiguration
from lattice_bridge.local.inspector.entry import Entry
from lattice_bridge.message import Request
from lattice_bridge.review.document import Explainer
from lattice_bridge.review.records import Sources
from lattice_bridge.review.token_misses import accepted_tokens
from lattice_bridge.tenancy.rules import Tenant

MOST_RECORDS: Final = 20
"""Records of one entry that are explained: the parts of an aggregate."""
_OF_RECORDS: Final = frozenset({"queue", "stream", "table", "bus"})
_OF_TOKENS: Final[Mapping[str, type[BridgeError]]] = {
    "token_invalid": Unauthenticated,
    "keys_unavailable": Unavailable,
}
"""Reason code → the error with which a bridge refuses a request because of its token."""


def decide(entry: Entry) -> Mapping[str, Any] | None:
    """The decision about an entry, as `detail` shows it. None if no bridge handled it, or if it is no longer known.

    Args:
        entry: of the timeline. Its reason, and the log line in its content, are the bridge's own.
    """
    content, configuration = entry.content, entry.configuration
    decider = None if content is None else content.decider
    event = decider.payload if decider is not None else content.built_event if content is not None else None
    if content is None or configuration is None or event is None:
        return None
    record_id = entry.id if entry.way in _OF_RECORDS else None
    line = {"reason": entry.reason, **(content.line or {})}
    return decision_of(event, configuration, record_id, entry.at, line)


def decision_of(
    event: bytes,
    configuration: BridgeConfiguration,
    record_id: str | None,
    at: float,
    line: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The decision about a request, or about one record of a batch.

    Args:
        event: that the bridge received.
        configuration: of the bridge.
        record_id: of the record; None for a request, and for all records of a batch.
        at: seconds since the epoch: when the bridge received it.
        line: the bridge's log line about it, or as much of it as is known.
    """
    found: dict[str, Any] = {"documents": [], "same_map": None, "map": configuration.address, "error": None}
    if configuration.file is not None:
        found["map"] = configuration.file.name
    line = line or {}
    try:
        if configuration.settings is None:
            return {**found, "error": _not_loaded(configuration)}
        found["same_map"] = _is_same_map(configuration, line)
        return {**found, **_explained(event, _explainer(configuration.settings, at, line), record_id)}
    except Exception as error:  # the page shows everything else of the entry
        return {**found, "error": f"decision: it cannot be explained ({type(error).__name__}). Fix: report this"}


def _not_loaded(configuration: BridgeConfiguration) -> str:
    if configuration.faults:
        return f"{configuration.address}: does not load, so nothing was decided by it: {configuration.faults[0]}"
    return (
        f"{configuration.address}: not a file, so the map is not known here. Fix: use a map in a file, or run "
        "`lattice-bridge explain --map FILE` on the event"
    )


def _is_same_map(configuration: BridgeConfiguration, line: Mapping[str, Any]) -> bool | None:
    """Whether the bridge decided by this very map. The copy of a map with issuers (`bridge.trust`) has another hash."""
    settings, then = configuration.settings, line.get("map")
    if then is None or settings is None or configuration.issuers:
        return None
    return bool(settings.tenant_map.sha256 == then)


def _explainer(settings: Settings, at: float, line: Mapping[str, Any]) -> Explainer:
    tenant_map, options = settings
    reason, detail = line.get("reason"), str(line.get("detail") or "")

    def tokens_of(request: Request) -> Tokens:
        if (error := _OF_TOKENS.get(str(reason))) is not None:
            raise error(str(reason), detail)
        return accepted_tokens(request, tenant_map.issuers)

    def find(tenant: str) -> Tenant | None:
        if reason == "registry_unavailable":
            raise Unavailable(reason, detail)
        return None if reason == "tenant_unknown" else Tenant(tenant, active=reason != "tenant_suspended")

    has_registry = tenant_map.lookups.registry is not None
    return Explainer(
        tenant_map,
        options.enabled,
        Sources(options.event_sources),
        find=find if has_registry else None,
        tokens_of=tokens_of if tenant_map.issuers else None,
        now=at,
        with_conditions=True,
    )


def _explained(event: bytes, explainer: Explainer, record_id: str | None) -> dict[str, Any]:
    try:
        found = json.loads(event)
    except (ValueError, RecursionError):
        return {
            "error": "event: not JSON that can be read, so the bridge did not decide. Fix: send it as the front does"
        }
    return of_event(found, explainer, record_id)


def of_event(event: object, explainer: Explainer, record_id: str | None = None) -> dict[str, Any]:
    """The documents of an event, and a note if some are left out.

    Args:
        event: parsed.
        explainer: of the map.
        record_id: of the record; None for a request, and for all records of a batch.
    """
    if source_of(event) is None:
        return {"documents": [explainer.of_event(event)], "error": None}
    try:
        batch = explainer.sources.batch_in(event)
    except BridgeError:
        return {"documents": explainer.of_batch(event), "error": None}  # one, of the whole batch
    begun = len(batch.records)
    every = [*enumerate((*batch.records, *batch.rest))]
    chosen = [one for one in every if record_id in (None, one[1].id, one[1].name)]
    if not chosen and len(every) == 1:  # an event of a bus may have another id
        chosen = every
    if not chosen:
        what = "no record" if record_id is None else f"no record with the id {quoted(record_id)}"
        return {"documents": [], "error": f"event: it has {what}. Fix: read the event itself"}
    shown = [
        explainer.of_record(record, is_alone=begun == 1, is_begun=place < begun)
        for place, record in chosen[:MOST_RECORDS]
    ]
    left_out = len(chosen) - len(shown)
    note = f"event: left out here are {left_out} of {len(chosen)} records. Fix: run `lattice-bridge explain`"
    return {"documents": shown, "error": note if left_out else None}
