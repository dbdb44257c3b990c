"""The parts of the stack that something can be sent to again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from lattice_bridge.local.aws.event_bridge.buses import EventBuses
from lattice_bridge.local.aws.kinesis.streams import KinesisStreams
from lattice_bridge.local.aws.lambda_service import LambdaService
from lattice_bridge.local.aws.sqs.queues import Queues
from lattice_bridge.local.front.exchange.identities import Identity


@dataclass(frozen=True, slots=True)
class Targets:
    """The parts.

    Attributes:
        front: its URL.
        region: for which requests are signed.
        identities: returns those that may sign, by access key.
        header: returns the header with which a caller asks for a tenant; None if no map is active.
        service: invokes functions.
        queues, streams, buses: of the stack.
    """

    front: str
    region: str
    identities: Callable[[], Mapping[str, Identity]]
    header: Callable[[], str | None]
    service: LambdaService
    queues: Queues
    streams: KinesisStreams
    buses: EventBuses

    @property
    def port(self) -> int:
        """The port of the front."""
        return int(self.front.rpartition(":")[2])
