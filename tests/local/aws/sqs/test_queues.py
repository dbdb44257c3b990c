"""All queues of a stack: names, attributes, redrive policies, move tasks, memory."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest

from lattice_bridge.local.aws.sqs.errors import SqsError
from lattice_bridge.local.aws.sqs.message import Outgoing
from lattice_bridge.local.aws.sqs.queue import Queue
from tests.support.virtual_queues import ACCOUNT, REGION, VirtualQueues, bodies, redrive, send


@pytest.fixture
def virtual() -> VirtualQueues:
    return VirtualQueues()


def fault(virtual: VirtualQueues, name: str, attributes: Mapping[str, str] | None = None) -> str:
    with pytest.raises(SqsError) as found:
        virtual.queues.create(name, attributes)
    return f"{found.value.name}: {found.value}"


def test_queue_is_found_by_name_and_arn(virtual: VirtualQueues) -> None:
    queue = virtual.standard("orders")
    assert queue.arn == f"arn:aws:sqs:{REGION}:{ACCOUNT}:orders"
    assert queue.url_path == f"/{ACCOUNT}/orders"
    assert virtual.queues.get("orders") is queue is virtual.queues.by_arn(queue.arn)
    assert virtual.queues.by_arn("arn:aws:sqs:eu-west-1:999999999999:orders") is None
    assert virtual.queues.by_arn("orders") is None


@pytest.mark.parametrize("name", ["", "a b", "a" * 81, "../a", "a.b", "é", "a\n", ".fifo"])
def test_name_with_another_character_is_refused(virtual: VirtualQueues, name: str) -> None:
    assert "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length" in fault(
        virtual, name
    )


def test_name_and_type_agree(virtual: VirtualQueues) -> None:
    assert "The name of a FIFO queue can only end with .fifo" in fault(virtual, "a", {"FifoQueue": "true"})
    assert "Fix: set FifoQueue to true" in fault(virtual, "a.fifo")
    assert fault(virtual, "a", {"FifoQueue": "false"}) == "InvalidAttributeName: Unknown Attribute FifoQueue."


def test_same_attributes_give_the_same_queue(virtual: VirtualQueues) -> None:
    """Recorded on AWS: only the attributes that are given are compared."""
    queue = virtual.standard("a", DelaySeconds=5)
    assert virtual.standard("a") is queue is virtual.standard("a", DelaySeconds=5)
    assert fault(virtual, "a", {"DelaySeconds": "6"}) == (
        "QueueNameExists: A queue already exists with the same name and a different value for attribute DelaySeconds"
    )
    virtual.queues.set_attributes(queue, {"DelaySeconds": "6"})
    assert virtual.standard("a", DelaySeconds=6) is queue


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("VisibilityTimeout", "43201"),
        ("VisibilityTimeout", "-1"),
        ("VisibilityTimeout", "1.5"),
        ("VisibilityTimeout", "²"),
        ("MaximumMessageSize", "1023"),
        ("MaximumMessageSize", "1048577"),
        ("MessageRetentionPeriod", "59"),
        ("MessageRetentionPeriod", "9" * 5000),
        ("DelaySeconds", "901"),
        ("ReceiveMessageWaitTimeSeconds", "21"),
        ("SqsManagedSseEnabled", "yes"),
        ("Policy", "{"),
        ("Policy", "[" * 10_000),
        ("RedrivePolicy", "[]"),
    ],
)
def test_value_outside_of_its_range_is_refused(virtual: VirtualQueues, name: str, value: str) -> None:
    found = fault(virtual, "a", {name: value})
    assert found.startswith(f"InvalidAttributeValue: Invalid value for the parameter {name}. Reason: Must be")
    assert len(found) < 200


def test_unknown_attribute_and_those_of_fifo_queues_are_refused(virtual: VirtualQueues) -> None:
    """Recorded on AWS."""
    assert fault(virtual, "a", {"Foo": "1"}) == "InvalidAttributeName: Unknown Attribute Foo."
    assert "Unknown Attribute ContentBasedDeduplication" in fault(virtual, "a", {"ContentBasedDeduplication": "true"})
    for name in ("DeduplicationScope", "FifoThroughputLimit"):
        assert f"You can specify the {name} only when FifoQueue is set to true" in fault(virtual, "a", {name: "x"})


def test_high_throughput_needs_the_scope_of_a_group(virtual: VirtualQueues) -> None:
    given = {"FifoQueue": "true", "FifoThroughputLimit": "perMessageGroupId"}
    assert "requires the value messageGroup for DeduplicationScope" in fault(virtual, "a.fifo", given)


def test_type_of_a_queue_cannot_be_changed(virtual: VirtualQueues) -> None:
    """Recorded on AWS."""
    with pytest.raises(SqsError, match="Modifying queue type is not supported"):
        virtual.queues.set_attributes(virtual.fifo(), {"FifoQueue": "true"})
    with pytest.raises(SqsError, match="Unknown Attribute FifoQueue"):
        virtual.queues.set_attributes(virtual.standard(), {"FifoQueue": "true"})


def test_two_kinds_of_encryption_exclude_each_other(virtual: VirtualQueues) -> None:
    """Recorded on AWS."""
    given = {"KmsMasterKeyId": "key", "SqsManagedSseEnabled": "true"}
    assert "You can use one type of server-side encryption (SSE) at one time" in fault(virtual, "a", given)
    assert not virtual.standard("b", KmsMasterKeyId="key").attributes.sqs_managed_sse_enabled


# ---- redrive policies -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("policy", "reason"),
    [
        ({"maxReceiveCount": 1}, "mandatory attribute: deadLetterTargetArn"),
        ({"deadLetterTargetArn": "DEAD"}, "mandatory attribute: maxReceiveCount"),
        ({"deadLetterTargetArn": "DEAD", "maxReceiveCount": 0}, "a whole number from 1 to 1000"),
        ({"deadLetterTargetArn": "DEAD", "maxReceiveCount": "1001"}, "a whole number from 1 to 1000"),
        ({"deadLetterTargetArn": "DEAD", "maxReceiveCount": True}, "a whole number from 1 to 1000"),
        ({"deadLetterTargetArn": "dummy", "maxReceiveCount": 1}, "Dead letter target does not exist"),
        ({"deadLetterTargetArn": "DEAD.fifo", "maxReceiveCount": 1}, "must be same type of queue as the source"),
        ({"deadLetterTargetArn": "closed", "maxReceiveCount": 1}, "redrive allow policy"),
    ],
)
def test_redrive_policy_that_aws_refuses_is_refused(
    virtual: VirtualQueues, policy: dict[str, object], reason: str
) -> None:
    virtual.fifo("DEAD.fifo")
    virtual.standard("DEAD")
    virtual.standard("closed", RedriveAllowPolicy='{"redrivePermission": "denyAll"}')
    name = str(policy.get("deadLetterTargetArn"))
    if name in ("DEAD", "DEAD.fifo", "closed"):
        policy = {**policy, "deadLetterTargetArn": virtual.queues.get(name).arn}
    assert reason in fault(virtual, "a", {"RedrivePolicy": json.dumps(policy)})


def test_allow_policy_names_its_sources(virtual: VirtualQueues) -> None:
    arn = f"arn:aws:sqs:{REGION}:{ACCOUNT}:a"
    allow = json.dumps({"redrivePermission": "byQueue", "sourceQueueArns": [arn]})
    dead = virtual.standard("dead", RedriveAllowPolicy=allow)
    assert "redrive allow policy" in fault(virtual, "b", {"RedrivePolicy": redrive(dead, 1)})
    assert virtual.queues.sources_of(dead) == []
    queue = virtual.standard("a", RedrivePolicy=redrive(dead, 1))
    assert virtual.queues.sources_of(dead) == [queue]
    virtual.queues.set_attributes(queue, {"RedrivePolicy": ""})
    assert virtual.queues.sources_of(dead) == []


@pytest.mark.parametrize(
    "policy",
    [
        '{"redrivePermission": "x"}',
        '{"redrivePermission": "byQueue"}',
        '{"redrivePermission": "allowAll", "sourceQueueArns": ["a"]}',
        '{"redrivePermission": "byQueue", "sourceQueueArns": [1]}',
    ],
)
def test_allow_policy_that_aws_refuses_is_refused(virtual: VirtualQueues, policy: str) -> None:
    assert "RedriveAllowPolicy is invalid" in fault(virtual, "a", {"RedriveAllowPolicy": policy})


# ---- move tasks -----------------------------------------------------------------------------------------------------


def filled(virtual: VirtualQueues, *sent: str) -> tuple[Queue, Queue]:
    """A queue, and its dead-letter queue with these messages."""
    dead = virtual.standard("dead")
    queue = virtual.standard("source", RedrivePolicy=redrive(dead, 1))
    send(queue, *sent)
    queue.receive(10, visibility=0)
    queue.receive(10)
    assert dead.counts().visible == len(sent)
    return queue, dead


def test_move_task_gives_messages_back_as_new_ones(virtual: VirtualQueues) -> None:
    queue, dead = filled(virtual, "a", "b")
    old = dead.message_ids()
    virtual.queues.start_move(dead.arn, None, None)
    found = queue.receive(10)
    assert bodies(found) == ["a", "b"]
    assert {message.attributes["ApproximateReceiveCount"] for message in found} == {"1"}
    assert not any("DeadLetterQueueSourceArn" in message.attributes or message.id in old for message in found)
    (task,) = virtual.queues.moves(dead.arn)
    assert (task.status, task.moved, task.total) == ("COMPLETED", 2, 2)


def test_move_task_has_a_rate_and_can_be_cancelled(virtual: VirtualQueues) -> None:
    _, dead = filled(virtual, "a", "b", "c", "d")
    other = virtual.standard("other")
    task = virtual.queues.start_move(dead.arn, other.arn, 1)
    assert (other.counts().visible, other.next_change()) == (1, virtual.clock.now + 1)
    with pytest.raises(SqsError, match="There is already a task running"):
        virtual.queues.start_move(dead.arn, None, None)
    virtual.clock.forward(1)
    assert other.counts().visible == 2
    assert virtual.queues.cancel_move(task.handle).moved == 2
    virtual.clock.forward(100)
    assert (other.counts().visible, dead.counts().visible) == (2, 2)
    with pytest.raises(SqsError, match="Task does not exist"):
        virtual.queues.cancel_move(task.handle)


def test_move_task_without_a_source_fails_and_loses_nothing(virtual: VirtualQueues) -> None:
    """Recorded on AWS: CouldNotDetermineMessageSource."""
    queue, dead = filled(virtual, "a")
    dead.send(Outgoing("sent here"))
    virtual.queues.start_move(dead.arn, None, None)
    assert bodies(queue.receive(10)) == ["a"]
    (task,) = virtual.queues.moves(dead.arn)
    assert (task.status, task.failure, task.moved) == ("FAILED", "CouldNotDetermineMessageSource", 1)
    assert bodies(dead.receive(10)) == ["sent here"]


def test_move_task_that_aws_refuses_is_refused(virtual: VirtualQueues) -> None:
    """Recorded on AWS."""
    queue, dead = filled(virtual)
    fifo = virtual.fifo()
    with pytest.raises(SqsError, match="Source queue must be configured as a Dead Letter Queue"):
        virtual.queues.start_move(queue.arn, None, None)
    for source, destination, text in (
        ("arn:aws:sqs:x", None, "SourceArn parameter doesn't exist"),
        (dead.arn, "arn:aws:sqs:x", "DestinationArn parameter doesn't exist"),
        (dead.arn, fifo.arn, "another queue of the same type"),
        (dead.arn, dead.arn, "another queue of the same type"),
    ):
        with pytest.raises(SqsError, match=text):
            virtual.queues.start_move(source, destination, None)


@pytest.mark.parametrize("handle", ["", "x", "W10=", "e30=", "bnVsbA==", "eyJ0YXNrSWQiOjEsInNvdXJjZUFybiI6MX0="])
def test_forged_task_handle_is_refused(virtual: VirtualQueues, handle: str) -> None:
    with pytest.raises(SqsError, match=r"TaskHandle is invalid|SourceArn parameter doesn't exist"):
        virtual.queues.cancel_move(handle)


# ---- memory ---------------------------------------------------------------------------------------------------------


def test_memory_of_all_queues_is_bounded() -> None:
    virtual = VirtualQueues(memory=100_000)
    first, second = virtual.standard("a"), virtual.fifo("b.fifo")
    long = ["x" * 1000 + str(number) for number in range(100)]
    send(first, *long[:20])
    with pytest.raises(SqsError, match=r"keeps 0 MiB of messages in all its queues\. Fix: delete messages") as refused:
        send(second, *long)
    assert refused.value.name == "OverLimit"
    assert virtual.queues.memory_used <= 100_000
    first.purge()
    send(second, "fits")
    virtual.queues.delete("b.fifo")
    assert virtual.queues.memory_used == 0


def test_full_memory_is_swept_of_what_has_expired_in_other_queues() -> None:
    virtual = VirtualQueues(memory=10_000)
    idle, busy = virtual.standard("idle", MessageRetentionPeriod=60), virtual.standard("busy")
    send(idle, "x" * 8000)
    virtual.clock.forward(60)
    send(busy, "x" * 8000)
    assert busy.counts().visible == 1


def test_body_that_takes_more_memory_than_bytes_counts_as_such(virtual: VirtualQueues) -> None:
    queue = virtual.standard()
    send(queue, "a" * 1000 + "\U0001f600")
    assert virtual.queues.memory_used > 4000
