"""The part of an explanation that is about a record, or an event of a bus, for a terminal.

Rule: ids, the evidence, the claim and the names of functions and sources are shown; of the content, nothing is.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from lattice_bridge.cli import show
from lattice_bridge.events.record import BUS, STREAMS
from lattice_bridge.review.document import Document
from lattice_bridge.review.near_misses import NOT_KNOWN
from lattice_bridge.review.records import NO_ID


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
