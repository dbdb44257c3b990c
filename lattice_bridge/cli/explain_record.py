"""The part of an explanation that is about a record, or an event of a bus: as JSON, and for a terminal.

Rule: ids, the evidence, the claim and the names of functions and sources are shown; of the content, nothing is.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from lattice_bridge.cli import show
from lattice_bridge.config.options import EventSource
from lattice_bridge.config.tables.source_arns import SERVICES
from lattice_bridge.config.words import quoted
from lattice_bridge.events.record import BUS, STREAMS, Claim, service_of
from lattice_bridge.review.near_misses import NOT_KNOWN
from lattice_bridge.review.records import NO_ID, RecordExplanation
from lattice_bridge.tenancy.anchors import AWS_SOURCES

Document = dict[str, Any]

UNREAD: Final = dict.fromkeys(
    (
        *("id", "source", "group", "sender", "event_account", "bus_source", "detail_type", "claim", "claim_from"),
        *("function", "service", "pipe"),
        *("outcome", "permanent", "quarantine", "fix"),
    )
)
"""The keys of `record` in an explanation as JSON."""


def described(explained: RecordExplanation) -> Document:
    """The value of `record` in an explanation as JSON."""
    record, source = explained.record, explained.source
    sender = record.sender
    account, bus_source, detail_type = record.bus_event or (None, None, None)
    return {
        **UNREAD,
        "id": record.name,
        "source": record.source,
        "group": record.group,
        "sender": None if sender is None else ":".join(part for part in sender if part is not None),
        "event_account": account or None,
        "bus_source": bus_source or None,
        "detail_type": detail_type or None,
        "service": record.service or None,
        "pipe": None if source is None else source.pipe,
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
    path = "/".join(claim.path)
    return {
        "message_group": "the message group",
        "attribute": f"the attribute {claim.name}",
        "body": f"the member {path} of the body",
        "partition_key": "the partition key",
        "key": f"the key {claim.name}",
        "image": f"the attribute {claim.name} of the images",
        "detail": f"the member {path} of the detail",
    }[claim.kind]


# ---- what to write instead ------------------------------------------------------------------------------------------

_SENT: Final = "the sender has to write"
_BESIDE: Final = {"sqs": "sender", BUS: "account"}
"""The service → the evidence that its records have beside their source."""


def _fix(explained: RecordExplanation) -> str | None:
    """What allows a record with this fault, if that is meant; None without a fault, or if nothing in the map does."""
    source, reason = explained.source, explained.fault.reason if explained.fault else None
    if source is None and explained.record.caller == "bus":
        return "write an [[event_source]] with the ARN of the event bus, or delete its rule"
    if source is None and not explained.record.source.startswith("arn:"):
        return "write the source's ARN"
    if source is None:
        return f"write an [[event_source]] with arn = {quoted(explained.record.source)}, or delete its mapping"
    place = claim_in_words(source.claim) if source.claim else ""
    return {
        "no_rule": _rule_for(explained, source),
        "claim_missing": f"{_SENT} the tenant into {place}; or remove claim, if the evidence gives one tenant",
        "claim_unreadable": f"{_SENT} the tenant's id into {place}, as a string",
        "tenant_malformed": f"{_SENT} a tenant's id alone into {place}",
        "tenant_not_allowed": f"add the tenant to the rule; or {_SENT} one of those that it allows",
        "images_differ": f"{_SENT} the same tenant into {place} before and after a change; or read a key instead",
        "aggregated": "write deaggregate = true in the [[event_source]]",
        "ambiguous": f"add claim to the [[event_source]], as in claim = {SERVICES[service_of(source.arn)].claim}",
        "conflict": f"let the rules for the {_BESIDE.get(explained.record.service, 'sender')} and for the source allow "
        "one tenant in common",
        "tenant_suspended": "activate the tenant, then send the copies in the quarantine back to their source",
    }.get(reason or "")


def _rule_for(explained: RecordExplanation, source: EventSource) -> str:
    sender, event = explained.record.sender, explained.record.bus_event
    by_source = f"a [[rule]] with source = {quoted(source.arn)}"
    if event is not None and event.account:
        is_of_aws = event.source.startswith(AWS_SOURCES)
        part = f" and bus_source = {quoted(event.source)}" if is_of_aws else ""
        return f"write a [[rule]] with event_account = {quoted(event.account)}{part}, or {by_source}{part}"
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
        yield _GROUPS.get(record["service"], "group"), record["group"]
    for name, label in _EVIDENCE.get(record["service"], {}).items():
        missing = (NOT_KNOWN, "dim") if name in unknown else ("none", "dim")
        yield label, (record[name], "bold") if record[name] else missing


_GROUPS: Final = {"kinesis": "partition key", "dynamodb": "item"}
_EVIDENCE: Final = {
    "sqs": {"sender": "sender"},
    BUS: {"event_account": "account", "bus_source": "bus source", "detail_type": "detail type"},
}
"""The service → the evidence that its records have beside their source, and how it is called for people."""


def claim_fact(record: Document, unknown: set[str]) -> show.Cell:
    """The row about the tenant that the record asks for."""
    if record["function"] is None:
        return "not read: no [[event_source]] is for it", "dim"
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
        yield "then", "the handler raises the error, so the source keeps every record of the batch"
        return
    if record["permanent"] is None:
        yield "then", f"{record['function']} is invoked with the record alone"
        return
    kind = "permanent fault" if record["permanent"] else "transient fault"
    if record["outcome"] == "quarantined":
        yield "then", f"{kind}: a copy is stored in {record['quarantine']}, and {_done(record)}"
    elif record["service"] == BUS:
        until = "Lambda tries it twice more, and then sends it to the OnFailure destination of the router"
        yield "then", f"{kind}{_NONE_IF[record['permanent']]}: the handler raises it; {until}"
    elif record["pipe"] == "enrichment":
        yield "then", f"{kind}{_NONE_IF[record['permanent']]}: the handler raises it, so the pipe tries it again"
    elif record["service"] in STREAMS:
        until = "as often as the mapping is configured to, and with all records behind it"
        yield "then", f"{kind}{_NONE_IF[record['permanent']]}: reported as failed, so Lambda delivers it again, {until}"
    elif record["permanent"]:
        yield "then", f"{kind}, and there is no quarantine: reported as failed, until it is in the dead-letter queue"
    else:
        yield "then", f"{kind}: reported as failed, so the queue delivers it again"


_NONE_IF: Final = {True: ", and there is no quarantine", False: ""}


def _done(record: Document) -> str:
    """What becomes of a record of which there is a copy."""
    if record["service"] == BUS:
        return "the event counts as done"
    if record["pipe"] == "enrichment":
        return "the pipe drops the record"
    return "Lambda goes on behind it" if record["service"] in STREAMS else "the queue deletes the record"
