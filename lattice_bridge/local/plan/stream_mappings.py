"""Event source mappings that read streams, as values.

Rule: values only. `readers.event_source_mappings` makes them from a template.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from lattice_bridge.events.sqs import FIFO
from lattice_bridge.local.plan.event_pattern import Pattern, matches

StartingPosition = Literal["LATEST", "TRIM_HORIZON", "AT_TIMESTAMP"]

SERVICES: Final = ("dynamodb", "kinesis")
"""The services in the ARNs of streams."""
FOREVER: Final = -1
"""A number of retries or an age without a limit: a record is tried until the stream has deleted it."""
DATA: Final = "data"
"""The key of a filter that is compared with the data of a Kinesis record."""


@dataclass(frozen=True, slots=True)
class StreamMapping:
    """An event source mapping: Lambda reads the shards of a stream, and invokes a function with batches of records.

    Attributes:
        id: its logical id.
        stream: ARN of the stream.
        function: that it invokes, as a name or ARN, with an optional alias.
        start: the first record that it reads of a shard that exists when the mapping begins.
        start_time: of AT_TIMESTAMP, in seconds since the epoch.
        batch_size: the highest number of records of an invocation.
        window: seconds for which it waits until a batch is full; 0 to invoke at once.
        lanes: batches of a shard that are in flight at the same time (`ParallelizationFactor`).
        bisects: a batch that has failed as a whole is delivered in halves (`BisectBatchOnFunctionError`).
        maximum_retries: of a batch; FOREVER for no limit.
        maximum_age: of a record, in seconds; FOREVER for no limit.
        on_failure: ARN of the destination that gets a record of discarded batches; empty for none.
        reports_failures: the function's answer names the records that failed (`ReportBatchItemFailures`).
        filters: a record has to match one of them; no filter if empty.
        tumbling_window: seconds of `TumblingWindowInSeconds`; 0 for none.
        enabled: whether it reads.
    """

    id: str
    stream: str
    function: str
    start: StartingPosition
    start_time: float = 0.0
    batch_size: int = 100
    window: float = 0.0
    lanes: int = 1
    bisects: bool = False
    maximum_retries: int = FOREVER
    maximum_age: int = FOREVER
    on_failure: str = ""
    reports_failures: bool = False
    filters: tuple[Pattern, ...] = ()
    tumbling_window: int = 0
    enabled: bool = True

    @property
    def service(self) -> str:
        """The service of the stream, as in its ARN."""
        return self.stream.split(":")[2]

    @property
    def stream_name(self) -> str:
        """The name of the stream, or of the table whose changes it has."""
        return self.stream.partition("/")[2].partition("/")[0]

    @property
    def source(self) -> str:
        """ARN of the stream or table, as an `[[event_source]]` of bridge.toml has it."""
        return self.stream.partition("/stream/")[0]

    @property
    def function_arn(self) -> str:
        """ARN of the function, in the region and account of the stream if the mapping has only its name."""
        if self.function.startswith("arn:"):
            return self.function
        _, partition, _, region, account, *_ = self.stream.split(":")
        return f"arn:{partition}:lambda:{region}:{account}:function:{self.function}"

    @property
    def faults(self) -> tuple[str, ...]:
        """Why the stack does not run it, each with a fix; empty if it does."""
        return tuple(self._faults())

    def _faults(self) -> Iterator[str]:
        if self.tumbling_window:
            yield (
                "TumblingWindowInSeconds: a bridge refuses events of tumbling windows, because their state would be "
                "that of several tenants, and the stack has none. Fix: remove TumblingWindowInSeconds"
            )
        kind = self.on_failure.split(":")[2] if self.on_failure.count(":") > 1 else ""
        if self.on_failure and (kind != "sqs" or self.on_failure.endswith(FIFO)):
            what = {"s3": "an S3 bucket", "sns": "an SNS topic", "sqs": "a FIFO queue"}.get(kind, "no queue")
            yield (
                f"DestinationConfig.OnFailure: {self.on_failure!r} is {what}, and the stack sends to standard queues "
                "only. Fix: write the ARN of an AWS::SQS::Queue, or remove the mapping's DestinationConfig"
            )

    def takes(self, record: Mapping[str, Any]) -> bool:
        """Whether a record is passed to the function. Lambda skips the others.

        A filter of a Kinesis stream is compared with the record's data. Lambda drops data that is not JSON. A filter of
        a table is compared with the whole record.
        """
        return not self.filters or any(_matches(pattern, record) for pattern in self.filters)


def _matches(pattern: Pattern, record: Mapping[str, Any]) -> bool:
    kinesis = record.get("kinesis")
    if kinesis is None:
        return matches(pattern, record)
    if DATA not in pattern:
        return True
    data = _json(kinesis[DATA])
    return data is not None and matches(pattern, {DATA: data})


def _json(data: str) -> Any:
    """The data of a Kinesis record; None if it is not JSON with fields."""
    try:
        found = json.loads(base64.b64decode(data))
    except (ValueError, RecursionError, binascii.Error):
        return None
    return found if isinstance(found, dict | list) else None
