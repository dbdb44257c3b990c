"""Queues of the local SQS whose clock stands still until a test moves it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from lattice_bridge.local.aws.sqs.message import Message, Outgoing, Sent
from lattice_bridge.local.aws.sqs.queue import Queue
from lattice_bridge.local.aws.sqs.queues import Queues

REGION: Final = "eu-west-1"
ACCOUNT: Final = "111122223333"
START: Final = 1_800_000_000.0


@dataclass
class Clock:
    """A clock that a test moves."""

    now: float = START

    def __call__(self) -> float:
        return self.now

    def forward(self, seconds: float) -> None:
        self.now += seconds


@dataclass
class VirtualQueues:
    """Queues with a clock."""

    clock: Clock = field(default_factory=Clock)
    memory: int = 1024**3
    in_flight: int = 120_000

    def __post_init__(self) -> None:
        self.queues = Queues(REGION, ACCOUNT, self.clock, memory=self.memory, in_flight=self.in_flight)

    def standard(self, name: str = "orders", **attributes: object) -> Queue:
        return self.queues.create(name, {key: str(value) for key, value in attributes.items()})

    def fifo(self, name: str = "orders.fifo", **attributes: object) -> Queue:
        given = {"FifoQueue": "true", "ContentBasedDeduplication": "true"}
        return self.queues.create(name, given | {key: str(value) for key, value in attributes.items()})


def redrive(target: Queue, count: int) -> str:
    """A redrive policy."""
    return f'{{"deadLetterTargetArn": "{target.arn}", "maxReceiveCount": {count}}}'


def send(queue: Queue, *bodies: str, group: str | None = None) -> list[Sent]:
    """Sends bodies; to a FIFO queue in the group `g`, if no other is given."""
    group = group or ("g" if queue.is_fifo else None)
    return [queue.send(Outgoing(body, group=group)) for body in bodies]


def bodies(messages: list[Message]) -> list[str]:
    return [message.body for message in messages]
