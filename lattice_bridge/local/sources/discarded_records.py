"""The on-failure destination of a mapping: a queue gets a record about each batch that is discarded.

Rule: the record has the place of the batch in its stream, and nothing of the batch's content.
Source: "Retain discarded batch records" in the Lambda guide, and records captured on AWS.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from lattice_bridge.local.aws.sqs.errors import SqsError
from lattice_bridge.local.aws.sqs.message import Outgoing
from lattice_bridge.local.aws.sqs.queues import Queues
from lattice_bridge.local.aws.stream import StreamRecord
from lattice_bridge.local.plan.stream_mappings import StreamMapping
from lattice_bridge.local.sources.delivery import Condition

_INFO: Final[Mapping[str, tuple[str, str]]] = {
    "dynamodb": ("DDBStreamBatchInfo", "seconds"),
    "kinesis": ("KinesisBatchInfo", "milliseconds"),
}
"""Service → the member about the batch, and the precision of the times in it."""


@dataclass(frozen=True, slots=True)
class Discarded:
    """Records that are discarded together.

    Attributes:
        shard: the id of their shard.
        records: in order.
        condition: why they are discarded.
        invocations: how often the function was invoked with them.
        request_id: of the last invocation.
        function_error: the value of `X-Amz-Function-Error` in its response; None for none.
    """

    shard: str
    records: Sequence[StreamRecord]
    condition: Condition
    invocations: int
    request_id: str
    function_error: str | None = None


class FailureDestination:
    """Sends the records about discarded batches of a mapping.

    Args:
        mapping: whose destination it is.
        queues: of the stack.
        now: seconds since the epoch.
    """

    def __init__(self, mapping: StreamMapping, queues: Queues, now: Callable[[], float]) -> None:
        self._mapping = mapping
        self._queues = queues
        self._now = now

    def send(self, discarded: Discarded) -> tuple[str, str]:
        """Sends the record about a batch.

        As on AWS, a batch is discarded also if its record cannot be sent.

        Returns:
            The name of the queue that has the record, and an empty text. Or an empty name, and why no queue has it.
        """
        arn = self._mapping.on_failure
        if not arn:
            return "", "The mapping has no on-failure destination. Fix: write DestinationConfig with a queue's ARN"
        queue = self._queues.by_arn(arn)
        if queue is None:
            return "", f"The queue {arn} of OnFailure does not exist. Fix: add it to the template"
        try:
            queue.send(Outgoing(json.dumps(self._record(discarded))))
        except SqsError as error:
            return "", f"The queue {queue.name} of OnFailure refuses their record: {error}"
        return queue.name, ""

    def _record(self, discarded: Discarded) -> dict[str, Any]:
        member, precision = _INFO[self._mapping.service]
        first, last = discarded.records[0], discarded.records[-1]
        record: dict[str, Any] = {
            "requestContext": {
                "requestId": discarded.request_id,
                "functionArn": self._mapping.function_arn,
                "condition": discarded.condition,
                "approximateInvokeCount": max(1, discarded.invocations),  # 1 was captured without any invocation
            }
        }
        if discarded.condition == "RetryAttemptsExhausted":
            record["responseContext"] = {
                "statusCode": 200,
                "executedVersion": "$LATEST",
                "functionError": discarded.function_error,
            }
        return record | {
            "version": "1.0",
            "timestamp": _time(self._now(), "milliseconds"),
            member: {
                "shardId": discarded.shard,
                "startSequenceNumber": str(first.number),
                "endSequenceNumber": str(last.number),
                "approximateArrivalOfFirstRecord": _time(first.arrived, precision),
                "approximateArrivalOfLastRecord": _time(last.arrived, precision),
                "batchSize": len(discarded.records),
                "streamArn": self._mapping.stream,
            },
        }


def _time(seconds: float, precision: str) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec=precision).replace("+00:00", "Z")
