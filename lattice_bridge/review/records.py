"""Records of queues, streams and buses: explained one by one, and the event sources that a record almost came from.

Rule: every step is the router's own, and in its order. An explanation contains a record's ids, sender and claim, and
nothing else of its message.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from lattice_bridge.config.event_source import EventSource
from lattice_bridge.errors import BadRequest, BridgeError
from lattice_bridge.events import dynamodb, kinesis
from lattice_bridge.events.batch import Batch, batch_of, in_words
from lattice_bridge.events.record import BUS, Caller, Record, service_of
from lattice_bridge.events.sqs import FIFO
from lattice_bridge.message import BusEvent, Sender
from lattice_bridge.review.explain import Explanation, explain
from lattice_bridge.review.near_misses import MOST_SHOWN, NearMiss, NearMisses, is_one_edit
from lattice_bridge.router import NOT_ALONE, NOT_CONFIGURED, NOT_NOW, is_permanent, payload_of, resolved, subject_of
from lattice_bridge.tenancy.decide import Decision
from lattice_bridge.tenancy.rules import Find, Rules
from lattice_bridge.tenancy.subject import Subject

NO_ID: Final = "-"
"""The id of a record that is described, and not read from an event."""

Outcome = Literal["invoked", "quarantined", "reported"]
OUTCOMES: Final[Mapping[str, Outcome]] = {"done": "invoked", "quarantined": "quarantined", "failed": "reported"}
"""The status in a record's log line → what became of the record."""


@dataclass(frozen=True, slots=True)
class RecordExplanation:
    """What the router does with one record, and why.

    Attributes:
        record: what it is about.
        source: its event source; None if the map has none for it.
        explanation: of the decision; None if no rule was read.
        fault: the reason why no function is invoked; None if one is.
        claim: the tenant that the record asks for; None if it asks for none, or if that was not read.
    """

    record: Record
    source: EventSource | None
    explanation: Explanation | None
    fault: BridgeError | None
    claim: str | None = None

    @property
    def is_permanent(self) -> bool | None:
        """Whether the fault comes again however often the record is tried; None without a fault."""
        return None if self.fault is None else is_permanent(self.fault)

    @property
    def outcome(self) -> Outcome:
        """What becomes of the record: the function gets it, its copy goes to the quarantine, or it is reported as
        failed, so that its source keeps it. For an event of a bus, and for an enrichment, the handler raises then."""
        if self.fault is None:
            return "invoked"
        has_quarantine = self.source is not None and self.source.quarantine is not None
        return "quarantined" if self.is_permanent and has_quarantine else "reported"


class Sources:
    """The event sources of a map.

    Attributes:
        by_arn: the event sources by their ARNs, in the configuration's order.
    """

    def __init__(self, sources: Iterable[EventSource]) -> None:
        self.by_arn: dict[str, EventSource] = {source.arn: source for source in sources}

    def batch_in(self, event: object) -> Batch:
        """The records of an event, as the router reads it.

        Raises:
            BadRequest: they are of a service that is not routed, or one has no id.
        """
        return resolved(batch_of(event), self.by_arn.values())

    def explain_batch(self, batch: Batch, rules: Rules, find: Find | None = None) -> Iterator[RecordExplanation]:
        """Explains what the router does with each record of a batch, also with those that it does not begin.

        Args:
            batch: of `batch_in`.
            rules: the map.
            find: looks up tenants; the map's own if None.
        """
        is_alone = len(batch.records) == 1
        for one in batch.records:
            yield self.explain(one, rules, find, is_alone=is_alone)
        for one in batch.rest:
            yield self.explain(one, rules, find, is_begun=False)

    def explain(
        self, record: Record, rules: Rules, find: Find | None = None, *, is_alone: bool = True, is_begun: bool = True
    ) -> RecordExplanation:
        """Explains what the router does with a record of an event.

        Args:
            record: of the event.
            rules: the map.
            find: looks up tenants; the map's own if None.
            is_alone: the event has no other record.
            is_begun: the router begins the record: it is not in the `rest` of its batch.
        """
        source, explanation = self.by_arn.get(record.source), None
        if not is_begun:
            return RecordExplanation(record, source, None, NOT_NOW)
        if source is None:
            return RecordExplanation(record, None, None, NOT_CONFIGURED)
        if source.pipe == "enrichment" and not is_alone:
            return RecordExplanation(record, source, None, NOT_ALONE)
        try:
            explanation = explain(subject_of(record, source), rules, find)
            explanation.decision.granted()
            payload_of(record, source)
        except BridgeError as fault:
            claim = None if explanation is None else explanation.subject.requested_tenant
            return RecordExplanation(record, source, explanation, fault, claim)
        return RecordExplanation(record, source, explanation, None, explanation.subject.requested_tenant)

    def describe(
        self,
        arn: str,
        sender: Sender | None,
        claim: str | None,
        rules: Rules,
        find: Find | None = None,
        *,
        bus_event: BusEvent | None = None,
    ) -> RecordExplanation:
        """Explains what the router does with a record that is known by its source, its evidence and its claim.

        Args:
            arn: of the event source.
            sender: None if it is not known: no rule for a sender then applies.
            claim: the tenant that the record asks for; None for none.
            rules: the map.
            find: looks up tenants; the map's own if None.
            bus_event: of an event of a bus; None if it is not known: no rule for an account then applies.
        """
        record = _without_content(arn, sender, bus_event)
        source = self.by_arn.get(arn)
        if source is None:
            return RecordExplanation(record, None, None, NOT_CONFIGURED, claim)
        try:
            subject = described_record(source, sender, claim, bus_event)
        except BridgeError as fault:
            return RecordExplanation(record, source, None, fault, claim)
        explanation = explain(subject, rules, find)
        return RecordExplanation(record, source, explanation, explanation.decision.refusal, subject.requested_tenant)

    def decide(self, record: Record, rules: Rules, find: Find | None = None) -> Decision:
        """The decision about a record of an event, or the refusal without one."""
        found = self.explain(record, rules, find)
        decided = found.explanation.decision if found.explanation else None
        return decided if decided is not None and decided.refusal is found.fault else Decision(refusal=found.fault)

    def near(self, arn: str) -> NearMisses:
        """The event sources that were probably meant, for a queue, a stream, a table or a bus that has none."""
        kinds = [(other, kind) for other in self.by_arn if (kind := _difference(arn, other)) is not None]
        kinds.sort(key=lambda found: (_ORDER.index(found[1]), found[0]))
        found = tuple(NearMiss(kind, _TEXTS[kind], None, other, arn) for other, kind in kinds[:MOST_SHOWN])
        return NearMisses(found, max(len(kinds) - MOST_SHOWN, 0))

    def named(self, name: str) -> list[str]:
        """The ARNs of the event sources with a name, as a log line contains it: `orders`, `stream/clicks`."""
        return [arn for arn in self.by_arn if arn.rpartition(":")[2] == name]


def described_record(
    source: EventSource, sender: Sender | None, claim: str | None, bus_event: BusEvent | None = None
) -> Subject:
    """The subject of a record that is known by its evidence and its claim.

    Raises:
        BadRequest: `claim_missing`: its event source has a claim, and the record has none.
    """
    if source.claim is not None and claim is None:
        raise BadRequest("claim_missing", f"the record has no {in_words(source.claim)}")
    requested = claim if source.claim is not None else None
    return Subject(requested_tenant=requested, source=source.arn, sender=sender, bus_event=bus_event)


def _without_content(arn: str, sender: Sender | None, bus_event: BusEvent | None) -> Record:
    caller: Caller = "bus" if service_of(arn) == BUS else "mapping"
    return Record(service_of(arn), NO_ID, arn, {}, sender=sender, bus_event=bus_event, caller=caller)


# ---- event sources that are nearly the record's ----------------------------------------------------------------------

_TEXTS: Final = {
    "fifo": f"{FIFO} at the end of the name",
    "below": "the ARN of its stream or consumer, not its own",
    "name": "the name or URL of the source, not its ARN",
    "region": "another region",
    "account": "another account",
    "place": "another region and account",
    "partition": "another partition",
    "spelling": "one letter apart",
}
_ORDER: Final = tuple(_TEXTS)
_PARTS: Final = {1: "partition", 3: "region", 4: "account", 5: "spelling"}
"""Place in a source's ARN → what differs there."""


def _difference(arn: str, other: str) -> str | None:
    """What differs between two ARNs if one of them was probably meant for the other."""
    owner = kinesis.stream_of(dynamodb.table_of(arn))
    if owner != arn:
        return "below" if owner == other else _difference(owner, other)
    parts, others = arn.split(":"), other.split(":")
    if len(parts) != len(others):
        names = others[-1], others[-1].rpartition("/")[2]
        return "name" if arn in names or arn.endswith(f"/{others[-1]}") else None
    places = list(_places(parts, others))
    if places == [3, 4]:  # as the source of another stage, or of the local stack
        return "place"
    kind = _PARTS.get(places[0]) if len(places) == 1 else None
    if kind != "spelling":
        return kind
    one, two = parts[5], others[5]
    if one.removesuffix(FIFO) == two.removesuffix(FIFO):
        return "fifo"
    return kind if one.lower() == two.lower() or is_one_edit(one, two) else None


def _places(parts: list[str], others: list[str]) -> Iterator[int]:
    return (place for place, (one, two) in enumerate(zip(parts, others, strict=True)) if one != two)
