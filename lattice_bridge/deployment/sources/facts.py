"""Typed values of the event sources in front of the bridge, as a template or a deployed stack has them.

Rule: a value that is not known is None, and is never judged. Nothing is read and nothing is judged here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

from lattice_bridge.config.event_source import EventSource, PipeRole
from lattice_bridge.deployment.iam.policy import Statement
from lattice_bridge.events.record import BUS, STREAMS, service_of

DEFAULT_VISIBILITY: Final = 30.0
"""Seconds; SQS's default."""
DEFAULT_RETENTION: Final = 345_600.0
"""Seconds; SQS's default of four days."""
UNLIMITED: Final = -1
"""Lambda's default for the retries and the age of a stream's records."""


def default_batch(arn: str) -> int:
    """Records of one invocation, by Lambda's default for a source."""
    return 100 if service_of(arn) in STREAMS else 10


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


DEFAULT_RECORD: Final = 1024
"""KiB of the largest record of a Kinesis stream, if no other number is set."""


@dataclass(frozen=True, slots=True)
class Stream:
    """A Kinesis stream, or a DynamoDB table with its stream.

    Attributes:
        label: its name in findings.
        arn: of the Kinesis stream or of the table, as bridge.toml names it.
        records: ARN that is read, which of a table is its stream's; None if the table has no stream.
        view: what a table's stream contains of an item; None for a Kinesis stream, and if it is not known.
        key: ARN of the KMS key of its owner that encrypts it; None for a key of AWS, and if it is not known.
        policy: the statements of its resource policy.
        largest: KiB of the largest record that a Kinesis stream takes; None if it is not known.
    """

    label: str
    arn: str
    records: str | None
    view: str | None = None
    key: str | None = None
    policy: tuple[Statement, ...] = ()
    largest: int | None = DEFAULT_RECORD


@dataclass(frozen=True, slots=True)
class Bus:
    """An event bus, with its label in findings, its ARN, and the statements of its policy."""

    label: str
    arn: str
    policy: tuple[Statement, ...] = ()


@dataclass(frozen=True, slots=True)
class BusRule:
    """A rule of an event bus that sends events to the bridge.

    Attributes:
        label: its name in findings.
        bus: ARN of its bus; None if it is not known.
        function: the name under which it invokes the bridge.
        rewrites: the property that replaces the event by another value; None if there is none.
        is_schedule: whether it sends at times only, and no events of its bus.
        enabled: whether it sends.
    """

    label: str
    bus: str | None
    function: str
    rewrites: str | None = None
    is_schedule: bool = False
    enabled: bool | None = True


@dataclass(frozen=True, slots=True)
class Pipe:
    """A pipe of EventBridge that invokes the bridge.

    Attributes:
        label: its name in findings.
        source: ARN of its source; of a table's stream, the table's.
        role: what the bridge is for it.
        batch_size: records of one invocation, at most.
        is_default_batch: whether the pipe leaves it to EventBridge.
        rewrites: whether a template replaces the records before the bridge.
        waits: whether it waits for the bridge's answer.
        is_enriched: whether another function is its enrichment, and the bridge its target.
    """

    label: str
    source: str
    role: PipeRole
    batch_size: int | None = 1
    is_default_batch: bool = False
    rewrites: bool = False
    waits: bool | None = True
    is_enriched: bool = False


class FailurePlace(NamedTuple):
    """Where Lambda keeps asynchronous events on which the bridge failed.

    Attributes:
        function: the name under which the bridge was invoked.
        destination: ARN; None for nowhere.
        is_known: whether `destination` is.
    """

    function: str
    destination: str | None
    is_known: bool = True


@dataclass(frozen=True, slots=True)
class SourceMapping:
    """An event source mapping.

    Attributes:
        label: its name in findings.
        source: ARN of the queue, the stream or the table.
        batch_size: records of one invocation, at most.
        window: seconds that Lambda collects records.
        reports: whether its response types contain ReportBatchItemFailures.
        filters: whether it has filter criteria.
        enabled: whether it polls.
        retries: attempts for a stream's record after the first one; `UNLIMITED` until it expires.
        max_age: seconds after which Lambda gives up a stream's record; `UNLIMITED` until it expires.
        bisects: whether a stream's batch on which the bridge fails is halved.
        tumbling: seconds of a tumbling window; 0 for none.
        destination: ARN of the place that gets the numbers of a stream's records that were given up; None for none.
        is_destination_known: whether `destination` is.
    """

    label: str
    source: str
    batch_size: int | None = None
    window: float | None = 0.0
    reports: bool | None = False
    filters: bool = False
    enabled: bool | None = True
    retries: int | None = UNLIMITED
    max_age: int | None = UNLIMITED
    bisects: bool | None = False
    tumbling: float | None = 0.0
    destination: str | None = None
    is_destination_known: bool = True


@dataclass(frozen=True, slots=True)
class Line:
    """A configured source with everything between it and the bridge.

    Attributes:
        source: its `[[event_source]]`.
        mappings: those that send its records to the bridge.
        bridge: the function's name in findings.
        timeout: of the bridge, in seconds.
        queue: if the source is one, and was found; otherwise None. The same holds for `stream` and `bus`.
        dead_letters: the queue of its redrive policy; None if it was not found.
        quarantine: the queue that bridge.toml names; None if it was not found.
        loops: the label of a mapping that sends the quarantine's messages to the bridge; None if there is none.
        rivals: what else receives the messages of the queue.
        stream: see `queue`.
        bus: see `queue`.
        rules: the rules of buses that invoke the bridge.
        failures: for each name under which a rule invokes the bridge.
    """

    source: EventSource
    mappings: tuple[SourceMapping, ...]
    bridge: str
    timeout: float | None
    queue: Queue | None = None
    dead_letters: Queue | None = None
    quarantine: Queue | None = None
    loops: str | None = None
    rivals: tuple[str, ...] = ()
    stream: Stream | None = None
    bus: Bus | None = None
    rules: tuple[BusRule, ...] = ()
    failures: tuple[FailurePlace, ...] = ()

    @property
    def name(self) -> str:
        return name_of_source(self.source.arn)

    @property
    def is_bus(self) -> bool:
        return service_of(self.source.arn) == BUS


_NOUNS: Final = {"sqs": "queue", "kinesis": "stream", "dynamodb": "table", BUS: "event bus"}
"""The service in a source's ARN → what the source is."""


def noun_of(arn: str) -> str:
    """What a source is, in a word."""
    return _NOUNS.get(service_of(arn), "source")


def source_of(arn: str) -> str:
    """The ARN of a source in place of that of a table's stream, or of a stream's consumer."""
    return arn.partition({"dynamodb": "/stream/", "kinesis": "/consumer/"}.get(service_of(arn), "\n"))[0]


def name_of_source(arn: str) -> str:
    """The name of a queue, stream, table or bus.

    >>> name_of_source("arn:aws:dynamodb:eu-west-1:111122223333:table/orders/stream/2026-01-01T00:00:00.000")
    'orders'
    """
    whole = arn.split(":", 5)[-1]
    kind, _, name = whole.partition("/")
    return {"event-bus": name, "stream": name.partition("/")[0], "table": name.partition("/")[0]}.get(kind, whole)
