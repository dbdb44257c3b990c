"""The part of an explanation that is about a record of a queue: as JSON, and for a terminal.

Rule: ids, the sender, the claim and the names of functions and queues are shown; of the message itself, nothing is.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from lattice_bridge.cli import show
from lattice_bridge.config.options import EventSource
from lattice_bridge.config.words import quoted
from lattice_bridge.events.record import Claim
from lattice_bridge.review.near_misses import NOT_KNOWN
from lattice_bridge.review.records import NO_ID, RecordExplanation

Document = dict[str, Any]

UNREAD: Final = dict.fromkeys(
    (
        *("id", "source", "group", "sender", "claim", "claim_from", "function"),
        *("outcome", "permanent", "quarantine", "fix"),
    )
)
"""The keys of `record` in an explanation as JSON."""


def described(explained: RecordExplanation) -> Document:
    """The value of `record` in an explanation as JSON."""
    record, source = explained.record, explained.source
    sender = record.sender
    return {
        **UNREAD,
        "id": record.id,
        "source": record.source,
        "group": record.group,
        "sender": None if sender is None else ":".join(part for part in sender if part is not None),
        "claim": explained.claim,
        "claim_from": None if source is None or source.claim is None else claim_in_words(source.claim),
        "function": None if source is None else source.function,
        "outcome": explained.outcome,
        "permanent": explained.is_permanent,
        "quarantine": None if source is None else source.quarantine,
        "fix": _fix(explained),
    }


def claim_in_words(claim: Claim) -> str:
    """The place that a claim reads.

    >>> claim_in_words(Claim("body", path=("meta", "tenant")))
    'the member meta/tenant of the body'
    """
    if claim.kind == "message_group":
        return "the message group"
    return (
        f"the attribute {claim.name}" if claim.kind == "attribute" else f"the member {'/'.join(claim.path)} of the body"
    )


# ---- what to write instead ------------------------------------------------------------------------------------------

_SENT: Final = "the sender has to write"


def _fix(explained: RecordExplanation) -> str | None:
    """What allows a record with this fault, if that is meant; None without a fault, or if nothing in the map does."""
    source, reason = explained.source, explained.fault.reason if explained.fault else None
    if source is None and not explained.record.source.startswith("arn:"):
        return "write the queue's ARN"
    if source is None:
        return f"write an [[event_source]] with arn = {quoted(explained.record.source)}, or delete its mapping"
    place = claim_in_words(source.claim) if source.claim else ""
    return {
        "no_rule": _rule_for(explained, source),
        "claim_missing": f"{_SENT} the tenant into {place}; or remove claim, if the evidence gives one tenant",
        "claim_unreadable": f"{_SENT} the tenant's id into {place}, as a string",
        "tenant_malformed": f"{_SENT} a tenant's id alone into {place}",
        "tenant_not_allowed": f"add the tenant to the rule; or {_SENT} one of those that it allows",
        "ambiguous": 'add claim to the [[event_source]], as in claim = { from = "message_group" }',
        "conflict": "let the rules for the sender and for the source allow one tenant in common",
        "tenant_suspended": "activate the tenant, then send the copies in the quarantine back to their queue",
    }.get(reason or "")


def _rule_for(explained: RecordExplanation, source: EventSource) -> str:
    sender = explained.record.sender
    by_source = f"a [[rule]] with source = {quoted(source.arn)}"
    if sender is None or not sender.id.startswith(("AROA", "AIDA")):
        return f"write {by_source}"
    key = "role_id" if sender.id.startswith("AROA") else "user_id"
    return f"write a [[rule]] with sender = {{ {key} = {quoted(sender.id)} }}, or {by_source}"


# ---- for people -----------------------------------------------------------------------------------------------------


def evidence_facts(record: Document, unknown: set[str]) -> Iterator[tuple[show.Cell, show.Cell]]:
    """The rows about what a decision read."""
    if record["id"] not in (None, NO_ID):
        yield "record", (record["id"], "bold")
    if record["source"] is None:
        return
    yield "source", (record["source"], "bold")
    if record["group"] is not None:
        yield "group", record["group"]
    missing = (NOT_KNOWN, "dim") if "sender" in unknown else ("none", "dim")
    yield "sender", (record["sender"], "bold") if record["sender"] else missing


def claim_fact(record: Document, unknown: set[str]) -> show.Cell:
    """The row about the tenant that the record asks for."""
    if record["function"] is None:
        return "not read: the queue has no event source", "dim"
    if record["claim"] is not None:
        return f"{record['claim']}, from {record['claim_from']}"
    if record["claim_from"] is None:
        return "not read: the event source has no claim", "dim"
    return (NOT_KNOWN if "record_claim" in unknown else f"none that was read from {record['claim_from']}"), "dim"


def outcome_facts(record: Document) -> Iterator[tuple[show.Cell, show.Cell]]:
    """The rows about what becomes of the record."""
    if record["fix"]:
        yield "to allow it", (record["fix"], "green")
    if record["outcome"] == "raised":
        yield "then", "the handler raises the error, so the queue keeps every message of the batch"
        return
    if record["permanent"] is None:
        yield "then", f"{record['function']} is invoked with the record alone"
        return
    kind = "permanent fault" if record["permanent"] else "transient fault"
    if record["outcome"] == "quarantined":
        yield "then", f"{kind}: a copy is stored in {record['quarantine']}, and the queue deletes the record"
    elif record["permanent"]:
        yield "then", f"{kind}, and there is no quarantine: reported as failed, until it is in the dead-letter queue"
    else:
        yield "then", f"{kind}: reported as failed, so the queue delivers it again"
