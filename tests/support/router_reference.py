"""A second router, written from docs/queues.md: one record after the other, slow, and as obvious as possible.

Rule: it imports nothing that decides or routes. A batch is described by plain values, of which the router's own event
and rules are made in `tests/support/router_batches.py`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Literal

Outcome = Literal["done", "throttled", "raised", "unreadable", "reported", "too_large"]
"""What happens to an Invoke."""

FAULTS = {
    "throttled": "throttled",
    "raised": "backend_raised",
    "unreadable": "backend_unreadable",
    "reported": "backend_reported",
    "too_large": "request_too_large",
}


@dataclass(frozen=True)
class Message:
    """One record. `claimed` is the value at the place that the source's claim names; None if there is none."""

    number: int
    sender: str
    session: str
    group: str | None
    claimed: str | None
    hops: int = 0
    outcome: Outcome = "done"
    is_broken: bool = False


@dataclass(frozen=True)
class Allows:
    """A rule: for a sender, one session of it, or the queue. `tenants` is None for deny; `*` is any."""

    kind: Literal["session", "sender", "source"]
    name: str
    tenants: frozenset[str] | Literal["*"] | None
    only_from: str | None = None


@dataclass(frozen=True)
class Batch:
    """A batch, and the world that it comes into. `seconds` is what each Invoke takes, and `left` what Lambda leaves."""

    queue: str
    is_configured: bool
    has_claim: bool
    has_quarantine: bool
    stores: bool
    concurrency: int
    tenants: dict[str, bool]
    rules: tuple[Allows, ...]
    messages: tuple[Message, ...]
    seconds: float = 0.0
    left: float = 30.0


@dataclass
class Result:
    """What a router did. `records`: status and reason by number; `ran`: number and tenant, in order; `stored` too."""

    records: dict[int, tuple[str, str]] = field(default_factory=dict)
    ran: list[tuple[int, str]] = field(default_factory=list)
    stored: list[tuple[int, str, str | None]] = field(default_factory=list)

    @property
    def failed(self) -> list[int]:
        return [number for number, (status, _) in self.records.items() if status == "failed"]


def route(batch: Batch) -> Result:
    """What the router has to do with a batch."""
    result, time = Result(), batch.left - 0.5 - 0.0002 * len(batch.messages)
    for lane in lanes(batch):
        blocked = False
        for message in lane:
            if blocked:
                result.records[message.number] = ("failed", "behind_failed")
                continue
            time, status, reason = one(batch, message, time, result)
            result.records[message.number] = (status, reason)
            blocked = status == "failed"
    return result


def lanes(batch: Batch) -> list[list[Message]]:
    """The messages of a group in one list, for a FIFO queue; each message alone, for any other."""
    found: list[list[Message]] = []
    for message in batch.messages:
        same = [lane for lane in found if lane[0].group == message.group]
        if batch.queue.endswith(".fifo") and same:
            same[0].append(message)
        else:
            found.append([message])
    return found


def one(batch: Batch, message: Message, time: float, result: Result) -> tuple[float, str, str]:
    """The time that is left after a message, its status, and the reason."""
    if not batch.is_configured:
        return time, "failed", "source_not_configured"
    if time < 0.25:
        return time, "failed", "no_time_left"
    if message.hops > 4:
        return time, "failed", "loop"
    tenant, fault = decided(batch, message)
    if fault is None:
        assert tenant is not None
        result.ran.append((message.number, tenant))
        time -= batch.seconds
        if message.outcome == "done":
            return time, "done", "ok"
        fault = FAULTS[message.outcome]
        if message.outcome != "too_large":
            return time, "failed", fault
    if not batch.has_quarantine:
        return time, "failed", fault
    if time < 1.5:
        return time, "failed", "no_time_left"
    result.stored.append((message.number, fault, tenant))
    return (time, "quarantined", fault) if batch.stores else (time, "failed", "quarantine_failed")


def decided(batch: Batch, message: Message) -> tuple[str | None, str | None]:
    """The tenant, or the permanent fault."""
    if message.is_broken:
        return None, "malformed_event"
    if batch.has_claim and message.claimed is None:
        return None, "claim_missing"
    asked = message.claimed if batch.has_claim else None
    if asked is not None and not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._:/=+@-]{0,255}", asked):
        return None, "tenant_malformed"
    names = {"session": f"{message.sender}:{message.session}", "sender": message.sender, "source": batch.queue}
    mine = [rule for rule in batch.rules if names[rule.kind] == rule.name]
    if any(rule.tenants is None and rule.only_from in (None, batch.queue) for rule in mine):
        return None, "denied"
    by_kind = {rule.kind: rule for rule in reversed(mine) if rule.tenants is not None}
    by_sender, by_source = by_kind.get("session") or by_kind.get("sender"), by_kind.get("source")
    owners = [rule for rule in (by_sender, by_source) if rule is not None]
    if not owners:
        return None, "no_rule"
    if any(rule.only_from not in (None, batch.queue) for rule in owners):
        return None, "condition_failed"
    named = [set(rule.tenants) for rule in owners if rule.tenants is not None and rule.tenants != "*"]
    return chosen(batch, asked, set.intersection(*named) if named else None)


def chosen(batch: Batch, asked: str | None, allowed: set[str] | None) -> tuple[str | None, str | None]:
    """The tenant that is asked for, or the only one. `allowed` is None for any."""
    if allowed is not None and not allowed:
        return None, "conflict"
    if asked is None:
        candidates = set(batch.tenants) if allowed is None else allowed
        if len(candidates) != 1:
            return None, "ambiguous"
        [asked] = candidates
    elif allowed is not None and asked not in allowed:
        return None, "tenant_not_allowed"
    if asked not in batch.tenants:
        return None, "tenant_unknown"
    return (asked, None) if batch.tenants[asked] else (None, "tenant_suspended")
