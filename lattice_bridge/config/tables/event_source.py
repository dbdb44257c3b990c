"""One `[[event_source]]` as it is written: its keys, its faults, and the queue that it describes.

Rule: a record leaves a queue only for a function, or for a quarantine that nothing reads. So a quarantine is never an
event source, and keeps the order that its queue keeps.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any, ClassVar, Final, get_args

from pydantic import Field

from lattice_bridge.config.options import DEFAULT_CONCURRENCY, DEFAULT_TIMEOUT, EventSource
from lattice_bridge.config.tables.table import Path, Reader, Table, function_faults, label
from lattice_bridge.config.words import quoted
from lattice_bridge.errors import Fault
from lattice_bridge.events.record import Claim, ClaimKind
from lattice_bridge.events.sqs import FIFO
from lattice_bridge.invoke.call import Invocation

QUEUE_ARN: Final = re.compile(
    r"arn:(?P<partition>aws(?:-[a-z]+)*):sqs:[a-z0-9-]+:[0-9]{12}:(?:[A-Za-z0-9_-]{1,80}|[A-Za-z0-9_-]{1,75}\.fifo)"
)
QUEUE_FORM: Final = "arn:aws:sqs:REGION:ACCOUNT:NAME"


class ClaimTable(Table):
    """`claim = { from = "message_group" }`: the place in a record that names its tenant."""

    example: ClassVar = '{ from = "message_group" }'

    kind: ClaimKind = Field(alias="from", description="The part of the record.")
    name: str | None = Field(
        default=None, description='The message attribute\'s name, for from = "attribute". Its type has to be String.'
    )
    path: tuple[str, ...] | None = Field(
        default=None,
        strict=False,
        description='The path to a string in the JSON body, one element a level, for from = "body".',
    )


class EventSourceTable(Table):
    """One `[[event_source]]`: a queue whose messages the bridge routes. `timeout` is seconds."""

    arn: str = Field(description="The queue's ARN.")
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
    timeout: float = Field(
        default=DEFAULT_TIMEOUT,
        ge=0.25,
        le=900,
        description="Seconds, and never later than the bridge's own deadline.",
    )


def read_event_sources(value: object, reader: Reader) -> tuple[EventSource, ...]:
    """The event sources that the tables describe. Everything wrong with them is added to the reader's faults."""
    later: dict[int, list[Fault]] = {}
    tables: Any = value
    if isinstance(value, list):
        later = {index: list(_later_faults(table)) for index, table in enumerate(value)}
        tables = [_without(table, later[index]) for index, table in enumerate(value)]
    written = reader.each(EventSourceTable, tables, "event_source")
    sources, seen = {table.arn for table in written.values()}, set[str]()
    for index, table in written.items():
        where = f"event_source {label(tables[index], index)}"
        found = (*later[index], *_faults(table, sources, is_repeated=table.arn in seen))
        reader.add(where, ("event_source", index), found)
        seen.add(table.arn)
    return tuple(map(_event_source, written.values()))


def _event_source(table: EventSourceTable) -> EventSource:
    return EventSource(**{**dict(table), "claim": table.claim and _claim(table.claim)})


def _claim(table: ClaimTable) -> Claim:
    return Claim(table.kind, table.name or "", tuple(table.path or ()))


# ---- sources that are not routed yet --------------------------------------------------------------------------------

_LATER_KEYS: Final = {"deaggregate": "Kinesis", "on_poison": "streams"}
_LATER_CLAIMS: Final = {
    "partition_key": "Kinesis",
    "key": "DynamoDB Streams",
    "image": "DynamoDB Streams",
    "detail": "EventBridge",
}
"""Words of an `[[event_source]]` → the sources that they are for."""
_ONLY_QUEUES: Final = "and only SQS queues are routed so far"


def _later_faults(table: object) -> Iterator[Fault]:
    """The words in a table that are for other sources than queues."""
    if not isinstance(table, Mapping):
        return
    for key, service in _LATER_KEYS.items():
        if key in table:
            yield Fault(f"{key} is for {service}, {_ONLY_QUEUES}. Fix: remove it", (key,), at_key=True)
    claim = table.get("claim")
    kind = claim.get("from") if isinstance(claim, Mapping) else None
    if isinstance(kind, str) and kind in _LATER_CLAIMS:
        what = f"claim: from {quoted(kind)} is for {_LATER_CLAIMS[kind]}, {_ONLY_QUEUES}"
        yield Fault(f"{what}. Fix: write one of {', '.join(get_args(ClaimKind))}", ("claim", "from"))


def _without(table: Any, later: Collection[Fault]) -> Any:
    dropped = {fault.path[0] for fault in later if fault.path}
    return {key: value for key, value in table.items() if key not in dropped} if dropped else table


# ---- faults ---------------------------------------------------------------------------------------------------------


def _faults(table: EventSourceTable, sources: Collection[str], *, is_repeated: bool) -> Iterator[Fault]:
    if fault := queue_fault("arn", table.arn):
        yield Fault(fault, ("arn",))
    elif is_repeated:
        yield Fault("another event_source has this arn. Fix: write each queue once", ("arn",))
    yield from function_faults(table.function)
    if table.invocation == "async" and table.arn.endswith(FIFO):
        what = "invocation: async loses the order of a FIFO queue, since Lambda runs the events at any time"
        yield Fault(f'{what}. Fix: write invocation = "sync"', ("invocation",), given=("arn",))
    if table.claim is not None:
        yield from (fault.within("claim", ("claim",)) for fault in _claim_faults(table.claim))
    if table.quarantine is not None:
        yield from _quarantine_faults(table.arn, table.quarantine, sources)


_QUEUE_URL: Final = re.compile(
    r"https?://sqs\.([a-z0-9-]+)\.amazonaws\.com(\.cn)?/([0-9]{12})/([A-Za-z0-9_-]{1,80}(?:\.fifo)?)"
)
_OTHER_ARN: Final = re.compile(r"arn:aws[a-z-]*:([a-z0-9-]+):")


def queue_fault(key: str, arn: str) -> str | None:
    """The fault of a queue's ARN, or None.

    >>> queue_fault("arn", "arn:aws:sqs:eu-west-1:111122223333:orders")
    >>> queue_fault("arn", "https://sqs.eu-west-1.amazonaws.com/111122223333/orders").partition("Fix: ")[2]
    'write arn = "arn:aws:sqs:eu-west-1:111122223333:orders"'
    """
    if QUEUE_ARN.fullmatch(arn) is not None:
        return None
    if url := _QUEUE_URL.fullmatch(arn):
        region, is_chinese, account, name = url.groups()
        partition = "aws-cn" if is_chinese else "aws-us-gov" if region.startswith("us-gov-") else "aws"
        fix = f'write {key} = "arn:{partition}:sqs:{region}:{account}:{name}"'
        return f"{key} {quoted(arn)} is the URL of a queue, not its ARN. Fix: {fix}"
    what = f"{key} {quoted(arn)} is not the ARN of an SQS queue"
    other = _OTHER_ARN.match(arn)
    if key == "arn" and other is not None and other[1] != "sqs":
        what += f", {_ONLY_QUEUES}"
    return f"{what}. Fix: write it in the form {QUEUE_FORM}"


def _quarantine_faults(arn: str, quarantine: str, sources: Collection[str]) -> Iterator[Fault]:
    """Traps E25, E28: a record in quarantine stays there until an operator has seen it."""
    path, given = ("quarantine",), ("arn",)
    own, other = QUEUE_ARN.fullmatch(arn), QUEUE_ARN.fullmatch(quarantine)
    if fault := queue_fault("quarantine", quarantine):
        yield Fault(fault, path)
    elif quarantine == arn:
        what = "quarantine is the event source itself, so a record with a permanent fault would come back forever"
        yield Fault(f"{what}. Fix: write another queue", path, given=given)
    elif quarantine in sources:
        what = f"quarantine {quoted(quarantine)} is an event source itself, so its records would be routed again"
        yield Fault(f"{what}. Fix: write a queue that nothing reads", path, given=given)
    elif own is not None and other is not None and own["partition"] != other["partition"]:
        what = f"quarantine {quoted(quarantine)} is in another partition than the event source"
        yield Fault(f"{what}. Fix: write a queue in the partition {own['partition']}", path, given=given)
    elif own is not None and arn.endswith(FIFO) and not quarantine.endswith(FIFO):
        what = "quarantine is a standard queue, and the event source is FIFO: the group and the order would be lost"
        yield Fault(f"{what}. Fix: write a queue whose name ends in {FIFO}", path, given=given)
    elif own is not None and quarantine.endswith(FIFO) and not arn.endswith(FIFO):
        what = "quarantine is a FIFO queue, and the event source is a standard queue, whose records need no group"
        yield Fault(f"{what}. Fix: write a standard queue", path, given=given)


# ---- claims ---------------------------------------------------------------------------------------------------------

_ATTRIBUTE: Final = re.compile(r"(?!(?:aws|amazon)\.)(?!\.)(?!.*\.\.)(?!.*\.$)[A-Za-z0-9_.-]{1,256}", re.IGNORECASE)
"""The SQS API reference, "MessageAttributeValue": the names that SQS accepts."""
_MOST_LEVELS: Final = 16
_MOST_CHARACTERS: Final = 256
_OWN_KEYS: Final[Mapping[ClaimKind, tuple[str, str]]] = {
    "attribute": ("name", 'name = "tenant"'),
    "body": ("path", 'path = ["tenant"]'),
}
"""Kind of claim → the key that it has besides `from`, and an example."""


def _claim_faults(claim: ClaimTable) -> Iterator[Fault]:
    own = _OWN_KEYS.get(claim.kind, ("", ""))
    for kind, (key, example) in _OWN_KEYS.items():
        is_there = getattr(claim, key) is not None
        if key == own[0] and not is_there:
            yield Fault(f'from = "{kind}" needs {key}. Fix: write {key} as well, as in {example}', ("from",))
        elif key != own[0] and is_there:
            what = f'{key} is only used with from = "{kind}"'
            yield Fault(f'{what}. Fix: remove it, or write from = "{kind}"', (key,), at_key=True)
    if own[0] == "name" and claim.name is not None and _ATTRIBUTE.fullmatch(claim.name) is None:
        fix = "write 1 to 256 of A-Z a-z 0-9 _ - . without AWS. or Amazon. in front"
        yield Fault(f"name {quoted(claim.name)} is not the name of a message attribute. Fix: {fix}", ("name",))
    if own[0] == "path" and claim.path is not None:
        yield from _path_faults(claim.path)


def _path_faults(elements: tuple[str, ...]) -> Iterator[Fault]:
    if not 1 <= len(elements) <= _MOST_LEVELS:
        fix = f'write 1 to {_MOST_LEVELS} elements, one a level, as in path = ["meta", "tenant"]'
        yield Fault(f"path has {len(elements)} elements. Fix: {fix}", ("path",))
    for index, element in enumerate(elements):
        path: Path = ("path", index)
        if not element:
            yield Fault("path has an empty element. Fix: write the name of a member of the JSON body", path)
        elif len(element) > _MOST_CHARACTERS:
            yield Fault(f"path has an element that is too long. Fix: write {_MOST_CHARACTERS} characters at most", path)
