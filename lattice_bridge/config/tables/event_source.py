"""One `[[event_source]]` as it is written: its keys, its faults, and the source of records that it describes.

Rule: a record leaves its source only for a function, or for a quarantine that nothing reads. So a quarantine is never
an event source, keeps the order that its queue keeps, and is there for a stream, which would stop without it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from typing import ClassVar, Final, Literal

from pydantic import Field

from lattice_bridge.config.event_source import DEFAULT_CONCURRENCY, EventSource, PipeRole
from lattice_bridge.config.options import DEFAULT_TIMEOUT
from lattice_bridge.config.tables.source_arns import (
    QUEUE_FORM,
    SERVICES,
    Service,
    is_bus,
    is_source,
    partition_in,
    queue_fault,
    service_in,
    source_fault,
)
from lattice_bridge.config.tables.table import Path, Reader, Table, function_faults, label
from lattice_bridge.config.words import quoted
from lattice_bridge.errors import Fault
from lattice_bridge.events.record import STREAMS, Claim, ClaimKind, service_of
from lattice_bridge.events.sqs import FIFO
from lattice_bridge.invoke.call import Invocation


class ClaimTable(Table):
    """`claim = { from = "message_group" }`: the place in a record that names its tenant."""

    example: ClassVar = '{ from = "message_group" }'

    kind: ClaimKind = Field(alias="from", description="The part of the record.")
    name: str | None = Field(
        default=None,
        description="The attribute's name: of a message, for attribute; of an item, for key and image. Its type has to "
        "be a string.",
    )
    path: tuple[str, ...] | None = Field(
        default=None,
        strict=False,
        description="The path to a string, one element a level: in the JSON of a body or of data, for body; in an "
        "event's detail, for detail.",
    )


class EventSourceTable(Table):
    """One `[[event_source]]`: a source of records, and the function that receives them. `timeout` is seconds."""

    arn: str = Field(description="The ARN of an SQS queue, a Kinesis stream, a DynamoDB table or an event bus.")
    function: str = Field(description="A Lambda function's name or ARN, with an optional :qualifier.")
    isolated: bool = Field(
        default=True,
        description="Whether the function has tenant isolation. If not, it is invoked without a tenant id.",
    )
    claim: ClaimTable | None = Field(
        default=None,
        description="The place in a record that names its tenant. It chooses one of those that rules allow.",
    )
    invocation: Invocation = Field(
        default="sync",
        description="sync waits for the answer; async counts a record as done once Lambda has accepted the event.",
    )
    concurrency: int = Field(
        default=DEFAULT_CONCURRENCY,
        ge=1,
        le=256,
        description="Records that run at the same time, at most.",
    )
    quarantine: str | None = Field(
        default=None,
        description="The ARN of the queue that receives a copy of each record with a permanent fault. Without one, "
        "such records are reported.",
    )
    on_poison: Literal["block"] | None = Field(
        default=None,
        description="For a stream or a table without quarantine: a record with a permanent fault blocks its shard "
        "until the mapping's retries end, or until it is too old.",
    )
    deaggregate: bool = Field(
        default=False,
        description="For a Kinesis stream: decides the records within an aggregate of the Kinesis Producer Library one "
        "by one. If not, an aggregate is a permanent fault.",
    )
    pipe: PipeRole | None = Field(
        default=None,
        description="How EventBridge Pipes calls the bridge: as a pipe's target or as its enrichment. Without it, the "
        "records come from an event source mapping, or from a rule of the bus.",
    )
    timeout: float = Field(
        default=DEFAULT_TIMEOUT,
        ge=0.25,
        le=900,
        description="Seconds, and never later than the bridge's own deadline.",
    )


def read_event_sources(value: object, reader: Reader) -> tuple[EventSource, ...]:
    """The event sources that the tables describe. Everything wrong with them is added to the reader's faults."""
    written = reader.each(EventSourceTable, value, "event_source")
    sources, seen = {table.arn for table in written.values()}, set[str]()
    for index, table in written.items():
        where = f"event_source {label(dict(table), index)}"
        reader.add(where, ("event_source", index), _faults(table, sources, seen))
        seen.add(table.arn)
    return tuple(map(_event_source, written.values()))


def _event_source(table: EventSourceTable) -> EventSource:
    kept = {name: value for name, value in table if name != "on_poison"}
    return EventSource(**{**kept, "claim": table.claim and _claim(table.claim)})


def _claim(table: ClaimTable) -> Claim:
    return Claim(table.kind, table.name or "", tuple(table.path or ()))


# ---- faults ---------------------------------------------------------------------------------------------------------


def _faults(table: EventSourceTable, sources: Collection[str], seen: Collection[str]) -> Iterator[Fault]:
    """The faults of one table, given all sources of the file, and those before it."""
    service = SERVICES.get(service_in(table.arn) or "")
    if fault := source_fault("arn", table.arn):
        yield Fault(fault, ("arn",))
    elif table.arn in seen:
        what = "another event_source has this arn"
        yield Fault(f"{what}. Fix: write each {service.source.split()[-1] if service else 'source'} once", ("arn",))
    elif is_bus(table.arn) and (other := next((arn for arn in seen if is_bus(arn) and is_source(arn)), None)):
        what = f"{quoted(other)} is an event bus of this file too, and an event does not contain the name of its bus"
        yield Fault(f"{what}. Fix: keep one of them, and deploy another bridge for the other", ("arn",))
    yield from function_faults(table.function)
    yield from _invocation_faults(table, service)
    if table.claim is not None:
        yield from (fault.within("claim", ("claim",)) for fault in _claim_faults(table.claim, service))
    if table.quarantine is not None:
        yield from _quarantine_faults(table.arn, table.quarantine, sources)
    if service is not None:
        yield from _poison_faults(table, service)
        yield from _other_service_faults(table, service)


def _invocation_faults(table: EventSourceTable, service: Service | None) -> Iterator[Fault]:
    """Trap E17."""
    if table.invocation != "async":
        return
    path, fix = ("invocation",), 'write invocation = "sync"'
    ordered = service.source if service is not None and service_of(table.arn) in STREAMS else None
    if service is SERVICES["sqs"] and table.arn.endswith(FIFO):
        ordered = "a FIFO queue"
    if ordered is not None:
        what = f"invocation: async loses the order of {ordered}, since Lambda runs the events at any time"
        yield Fault(f"{what}. Fix: {fix}", path, given=("arn",))
    elif table.pipe == "enrichment":
        what = "invocation: async has no answer, and the answer is what an enrichment returns to its pipe"
        yield Fault(f"{what}. Fix: {fix}", path, given=("pipe",))


def _poison_faults(table: EventSourceTable, service: Service) -> Iterator[Fault]:
    """Trap E22."""
    given = ("arn", "quarantine", "on_poison")
    if table.on_poison is not None and service_of(table.arn) not in STREAMS:
        what = f"on_poison is for a stream or a table, and this is {service.source}"
        yield Fault(f"{what}. Fix: remove it", ("on_poison",), at_key=True, given=given)
    elif table.on_poison is not None and table.quarantine is not None:
        what = "has quarantine and on_poison: a record that is copied to the quarantine blocks nothing"
        yield Fault(f"{what}. Fix: keep one of the two", ("on_poison",), at_key=True, given=given)
    elif service_of(table.arn) in STREAMS and table.on_poison is None and table.quarantine is None:
        what = "has no quarantine, so a record with a permanent fault would block its shard"
        fix = f'write quarantine = "{QUEUE_FORM}", or, if it is to block, on_poison = "block"'
        yield Fault(f"{what}. Fix: {fix}", given=given)


def _other_service_faults(table: EventSourceTable, service: Service) -> Iterator[Fault]:
    """Keys that are for sources of other services."""
    if "deaggregate" in table.model_fields_set and service is not SERVICES["kinesis"]:
        what = f"deaggregate is for a Kinesis stream, and this is {service.source}"
        yield Fault(f"{what}. Fix: remove it", ("deaggregate",), at_key=True, given=("arn",))
    elif table.deaggregate and table.pipe == "enrichment":
        what = "deaggregate: an aggregate has many records, and an enrichment answers for one"
        fix = 'remove it, or make the bridge the target of the pipe and write pipe = "target"'
        yield Fault(f"{what}, so it would block its shard. Fix: {fix}", ("deaggregate",), at_key=True, given=("pipe",))
    if table.pipe is not None and service is SERVICES["events"]:
        what = "pipe: an event bus is not the source of a pipe, and its rules send single events"
        yield Fault(f"{what}. Fix: remove it", ("pipe",), at_key=True, given=("arn",))


def _quarantine_faults(arn: str, quarantine: str, sources: Collection[str]) -> Iterator[Fault]:
    """Traps E25, E28: a record in quarantine stays there until an operator has seen it."""
    path, given = ("quarantine",), ("arn",)
    service, partition = service_in(arn), partition_in(arn)
    if fault := queue_fault("quarantine", quarantine):
        yield Fault(fault, path)
    elif quarantine == arn:
        what = "quarantine is the event source itself, so a record with a permanent fault would come back forever"
        yield Fault(f"{what}. Fix: write another queue", path, given=given)
    elif quarantine in sources:
        what = f"quarantine {quoted(quarantine)} is an event source itself, so its records would be routed again"
        yield Fault(f"{what}. Fix: write a queue that nothing reads", path, given=given)
    elif partition is not None and partition_in(quarantine) != partition:
        what = f"quarantine {quoted(quarantine)} is in another partition than the event source"
        yield Fault(f"{what}. Fix: write a queue in the partition {partition}", path, given=given)
    elif service == "sqs" and arn.endswith(FIFO) and not quarantine.endswith(FIFO):
        what = "quarantine is a standard queue, and the event source is FIFO: the group and the order would be lost"
        yield Fault(f"{what}. Fix: write a queue whose name ends in {FIFO}", path, given=given)
    elif service == "sqs" and quarantine.endswith(FIFO) and not arn.endswith(FIFO):
        what = "quarantine is a FIFO queue, and the event source is a standard queue, whose records need no group"
        yield Fault(f"{what}. Fix: write a standard queue", path, given=given)
    elif service == "events" and quarantine.endswith(FIFO):
        what = "quarantine is a FIFO queue, and an event of a bus has no group"
        yield Fault(f"{what}. Fix: write a standard queue", path, given=given)


# ---- claims ---------------------------------------------------------------------------------------------------------

_ATTRIBUTE: Final = re.compile(r"(?!(?:aws|amazon)\.)(?!\.)(?!.*\.\.)(?!.*\.$)[A-Za-z0-9_.-]{1,256}", re.IGNORECASE)
"""The SQS API reference, "MessageAttributeValue": the names that SQS accepts."""
_MOST_LEVELS: Final = 16
_MOST_CHARACTERS: Final = 256
_OWN_KEYS: Final[Mapping[ClaimKind, tuple[str, str]]] = {
    "attribute": ("name", 'name = "tenant"'),
    "key": ("name", 'name = "tenant"'),
    "image": ("name", 'name = "owner"'),
    "body": ("path", 'path = ["tenant"]'),
    "detail": ("path", 'path = ["tenant"]'),
}
"""Kind of claim → the key that it has besides `from`, and an example."""


def _claim_faults(claim: ClaimTable, service: Service | None) -> Iterator[Fault]:
    """The faults of a claim, given the service of its source; None if the source is not known."""
    if service is not None and claim.kind not in service.claims:
        others = " or ".join(one.source for one in SERVICES.values() if claim.kind in one.claims)
        fix = f"for {service.source}, write {'one of ' if len(service.claims) > 1 else ''}{', '.join(service.claims)}"
        yield Fault(f'from = "{claim.kind}" is for {others}. Fix: {fix}', ("from",), given=("arn",))
        return
    own, example = _OWN_KEYS.get(claim.kind, ("", ""))
    kinds = _OWN_KEYS if service is None else {kind: _OWN_KEYS[kind] for kind in service.claims if kind in _OWN_KEYS}
    for key in ("name", "path"):
        is_there = getattr(claim, key) is not None
        if key == own and not is_there:
            yield Fault(f'from = "{claim.kind}" needs {key}. Fix: write {key} as well, as in {example}', ("from",))
        elif key != own and is_there:
            yield _needless(key, [f'from = "{kind}"' for kind, (its_key, _) in kinds.items() if its_key == key], claim)
    if own == "name" and claim.name is not None:
        yield from _name_faults(claim.kind, claim.name)
    if own == "path" and claim.path is not None:
        yield from _path_faults(claim.path)


def _needless(key: str, uses: Collection[str], claim: ClaimTable) -> Fault:
    """The fault of a key that the claim's kind does not have, given the kinds of this source that have it."""
    if not uses:
        return Fault(f'{key} is not used with from = "{claim.kind}". Fix: remove it', (key,), at_key=True)
    found = " or ".join(uses)
    return Fault(f"{key} is only used with {found}. Fix: remove it, or write {found}", (key,), at_key=True)


def _name_faults(kind: ClaimKind, name: str) -> Iterator[Fault]:
    if kind == "attribute" and _ATTRIBUTE.fullmatch(name) is None:
        fix = "write 1 to 256 of A-Z a-z 0-9 _ - . without AWS. or Amazon. in front"
        yield Fault(f"name {quoted(name)} is not the name of a message attribute. Fix: {fix}", ("name",))
    elif not 1 <= len(name) <= _MOST_CHARACTERS:
        what = "is too long" if name else "is empty"
        yield Fault(f"name {what}. Fix: write 1 to {_MOST_CHARACTERS} characters, as in the item", ("name",))


def _path_faults(elements: tuple[str, ...]) -> Iterator[Fault]:
    if not 1 <= len(elements) <= _MOST_LEVELS:
        fix = f'write 1 to {_MOST_LEVELS} elements, one a level, as in path = ["meta", "tenant"]'
        yield Fault(f"path has {len(elements)} elements. Fix: {fix}", ("path",))
    for index, element in enumerate(elements):
        path: Path = ("path", index)
        if not element:
            yield Fault("path has an empty element. Fix: write the name of a member of the JSON object", path)
        elif len(element) > _MOST_CHARACTERS:
            yield Fault(f"path has an element that is too long. Fix: write {_MOST_CHARACTERS} characters at most", path)
