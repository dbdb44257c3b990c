"""One record of a batch, as the steps after its format see it: its place in an order, its evidence, its claim.

Rule: no field name of an event occurs here. `source` and `sender` are evidence, because AWS wrote them. The sender
wrote what a claim reads: it chooses a tenant, and allows none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from lattice_bridge.errors import BadRequest
from lattice_bridge.message import Sender

ClaimKind = Literal["message_group", "attribute", "body", "partition_key", "key", "image", "detail"]
"""The parts of a record that a claim can read."""


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
    """One record of a batch. It is not changed; it is not frozen, because that makes it five times as slow to build.

    Attributes:
        id: its name in the batch response.
        source: ARN of the queue.
        group: the message group, whose records run one after the other; None if the source keeps no order.
        sender: that the source authenticated; None if it authenticated none.
        trace: the X-Ray trace header of the sender; None for none.
        receive_count: how often the source has delivered it, about; None if the record does not contain it.
        content: the record as the source wrote it.
        fault: why the record cannot be used; None if it can.
    """

    id: str
    source: str
    content: Mapping[str, Any]
    group: str | None = None
    sender: Sender | None = None
    trace: str | None = None
    receive_count: int | None = None
    fault: BadRequest | None = None
