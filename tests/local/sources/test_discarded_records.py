"""The on-failure destination: what it gets, and what the log says if it gets nothing. `test_shard_lane` has when."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lattice_bridge.local.aws.sqs.queues import Queues
from lattice_bridge.local.aws.stream import StreamRecord
from lattice_bridge.local.sources.discarded_records import Discarded, FailureDestination
from tests.support.fake_stream import CLICKS

ARN = "arn:aws:sqs:us-east-1:123456789012"
RECORD = StreamRecord(7, "k", 1_790_000_000.0, {"kinesis": {"data": "c2VjcmV0"}}, 6)
DISCARDED = Discarded("shard-0", [RECORD], "RetryAttemptsExhausted", 1, "id-1", "Unhandled")


def sent(destination: str) -> tuple[tuple[str, str], list[str]]:
    """What the mapping receives, and the bodies that the queue `failed` has."""
    queues = Queues("us-east-1", "123456789012")
    queues.create("failed")
    queues.create("failed.fifo", {"FifoQueue": "true"})
    mapping = replace(CLICKS, on_failure=destination)
    result = FailureDestination(mapping, queues, lambda: 1_790_000_000.0).send(DISCARDED)
    return result, [message.body for message in queues.get("failed").receive(10)]


def test_queue_gets_the_place_of_the_batch_and_nothing_of_its_content() -> None:
    """Trap E24: only a destination in S3 has the records, and the stack has none."""
    result, (body,) = sent(f"{ARN}:failed")
    assert result == ("failed", "")
    assert "c2VjcmV0" not in body


@pytest.mark.parametrize(
    ("destination", "words"),
    [
        ("", "The mapping has no on-failure destination"),
        (f"{ARN}:gone", f"The queue {ARN}:gone of OnFailure does not exist. Fix: add it to the template"),
        (f"{ARN}:failed.fifo", "The queue failed.fifo of OnFailure refuses their record: "),
    ],
)
def test_record_that_no_queue_has_is_explained(destination: str, words: str) -> None:
    (name, fault), bodies = sent(destination)
    assert (name, bodies) == ("", [])
    assert fault.startswith(words)
