"""One record of a batch, as the steps after its format see it: its place in an order, its evidence, its claim.

Rule: no field name of an event occurs here. `source`, `sender` and `bus_event` are evidence, because AWS wrote them,
apart from what is said there. The sender wrote what a claim reads: it chooses a tenant, and allows none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple

from lattice_bridge.errors import BadRequest
from lattice_bridge.message import BusEvent, Sender

ClaimKind = Literal["message_group", "attribute", "body", "partition_key", "key", "image", "detail"]
"""The parts of a record that a claim can read."""

Caller = Literal["mapping", "pipe", "bus"]

BUS: Final = "events"
STREAMS: Final = frozenset({"kinesis", "dynamodb"})
"""The services that deliver again everything after a record that failed."""
CLAIMS: Final[Mapping[str, tuple[ClaimKind, ...]]] = {
    "sqs": ("message_group", "attribute", "body"),
    "kinesis": ("partition_key", "body"),
    "dynamodb": ("key", "image"),
    BUS: ("detail",),
}
"""The service in a source's ARN → the parts of its records that a claim can read."""


def service_of(arn: str) -> str:
    """The service in an ARN; empty if this is none.

    >>> service_of("arn:aws:kinesis:eu-west-1:111122223333:stream/clicks")
    'kinesis'
    """
    parts = arn.split(":", 3)
    return parts[2] if len(parts) == 4 else ""


@dataclass(frozen=True, slots=True)
class Claim:
    """The place in a record that names its tenant.

    Attributes:
        kind: the part of the record.
        name: of the attribute, for the kinds `attribute`, `key` and `image`.
        path: to the value, one element a level, for the kinds `body` and `detail`.
    """

    kind: ClaimKind
    name: str = ""
    path: tuple[str, ...] = ()


@dataclass(slots=True)
class Record:
    """One record of a batch, or one event of a bus.

    It is not changed; it is not frozen, because that makes it five times as slow to build.

    Attributes:
        service: that it is from, as in an ARN.
        id: its name in the batch response.
        source: ARN of the queue, the stream or the table; `eventbridge.ANY_BUS` for an event, which names no bus.
        content: the record as the source wrote it.
        group: records with one group run one after the other: a message group, a partition key, an item's key. None if
            the source keeps no order.
        sender: that the source authenticated; None if it authenticated none.
        bus_event: the origin of an event of a bus; None for others.
        trace: the X-Ray trace header of the sender; None for none.
        receive_count: how often the source has delivered it, about; None if the record does not contain it.
        caller: what calls us with it: an event source mapping, EventBridge Pipes, or a rule of an event bus.
        data: what the producer put, if `content` contains it encoded; None if it does not, or if it cannot be decoded.
        part: its place in an aggregate whose id it has; None if it is whole.
        fault: why the record cannot be used; None if it can.
    """

    service: str
    id: str
    source: str
    content: Mapping[str, Any]
    group: str | None = None
    sender: Sender | None = None
    bus_event: BusEvent | None = None
    trace: str | None = None
    receive_count: int | None = None
    caller: Caller = "mapping"
    data: bytes | None = None
    part: int | None = None
    fault: BadRequest | None = None

    @property
    def name(self) -> str:
        """Its own id: that of an aggregate, and the place in it."""
        return self.id if self.part is None else f"{self.id}:{self.part}"


class Stored(NamedTuple):
    """What the copy in a quarantine has of a record.

    Attributes:
        body: of the message. It is not empty.
        attributes: of the message, in the form of a record of SQS.
        group: whose order a FIFO quarantine keeps; None for none.
    """

    body: str
    attributes: Mapping[str, Any] = {}
    group: str | None = None
