"""Typed values of a queue in front of the bridge, as a template or a deployed stack has them.

Rule: a value that is not known is None, and is never judged. Nothing is read and nothing is judged here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

from lattice_bridge.config.options import EventSource
from lattice_bridge.deployment.iam.policy import Statement

DEFAULT_VISIBILITY: Final = 30.0
"""Seconds; SQS's default."""
DEFAULT_RETENTION: Final = 345_600.0
"""Seconds; SQS's default of four days."""
DEFAULT_BATCH: Final = 10
"""Records; the default of an event source mapping of a queue."""


class Redrive(NamedTuple):
    """A redrive policy: the ARN of the dead-letter queue, and the receives after which a message moves there."""

    target: str | None
    receives: int | None


@dataclass(frozen=True, slots=True)
class Queue:
    """A queue.

    Attributes:
        label: its name in findings.
        arn: as a mapping or bridge.toml names it.
        visibility: seconds of its visibility timeout.
        retention: seconds for which it keeps a message.
        redrive: None if it has no dead-letter queue.
        key: ARN of the KMS key of its owner that encrypts it; None for a key of AWS, and if it is not known.
        policy: the statements of its queue policy.
        is_redrive_known: whether `redrive` is.
    """

    label: str
    arn: str
    visibility: float | None = DEFAULT_VISIBILITY
    retention: float | None = DEFAULT_RETENTION
    redrive: Redrive | None = None
    key: str | None = None
    policy: tuple[Statement, ...] = ()
    is_redrive_known: bool = True

    @property
    def name(self) -> str:
        return self.arn.rpartition(":")[2]


@dataclass(frozen=True, slots=True)
class SourceMapping:
    """An event source mapping.

    Attributes:
        label: its name in findings.
        source: ARN of the queue or stream.
        batch_size: records of one invocation, at most.
        window: seconds that Lambda collects records.
        reports: whether its response types contain ReportBatchItemFailures.
        filters: whether it has filter criteria.
        enabled: whether it polls.
    """

    label: str
    source: str
    batch_size: int | None = DEFAULT_BATCH
    window: float | None = 0.0
    reports: bool | None = False
    filters: bool = False
    enabled: bool | None = True


@dataclass(frozen=True, slots=True)
class Line:
    """A configured queue with everything between it and the bridge.

    Attributes:
        source: its `[[event_source]]`.
        mappings: those that send its messages to the bridge.
        bridge: the function's name in findings.
        timeout: of the bridge, in seconds.
        queue: None if it was not found.
        dead_letters: the queue of its redrive policy; None if it was not found.
        quarantine: the queue that bridge.toml names; None if it was not found.
        loops: the label of a mapping that sends the quarantine's messages to the bridge; None if there is none.
    """

    source: EventSource
    mappings: tuple[SourceMapping, ...]
    bridge: str
    timeout: float | None
    queue: Queue | None = None
    dead_letters: Queue | None = None
    quarantine: Queue | None = None
    loops: str | None = None

    @property
    def name(self) -> str:
        return self.source.arn.rpartition(":")[2]
