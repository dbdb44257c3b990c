"""One queue with a clock that stands still. What LocalStack's tests recorded on AWS is marked as recorded."""

from __future__ import annotations

import asyncio

import pytest

from lattice_bridge.local.aws.sqs.errors import SqsError
from lattice_bridge.local.aws.sqs.message import Attribute, Outgoing
from lattice_bridge.local.aws.sqs.queue import Counts, Queue
from tests.support.virtual_queues import START, VirtualQueues, bodies, redrive, send


@pytest.fixture
def virtual() -> VirtualQueues:
    return VirtualQueues()


# ---- standard -------------------------------------------------------------------------------------------------------


def test_message_is_received_with_everything_that_was_sent(virtual: VirtualQueues) -> None:
    queue = virtual.standard()
    sent = queue.send(
        Outgoing("body", {"A": Attribute("String", "x")}, sender_id="AIDAME", group="g", trace_header="Root=1")
    )
    virtual.clock.forward(2.5)
    (message,) = queue.receive()
    assert (message.id, message.body, message.md5_of_body) == (sent.message_id, "body", sent.md5_of_body)
    assert message.md5_of_message_attributes == sent.md5_of_attributes
    assert message.message_attributes == {
        "A": {"stringValue": "x", "stringListValues": [], "binaryListValues": [], "dataType": "String"}
    }
    assert message.attributes == {
        "ApproximateReceiveCount": "1",
        "SentTimestamp": str(int(START * 1000)),
        "SenderId": "AIDAME",
        "ApproximateFirstReceiveTimestamp": str(int(START * 1000) + 2500),
        "MessageGroupId": "g",  # a fair queue
        "AWSTraceHeader": "Root=1",
    }


def test_received_message_is_invisible_until_its_timeout(virtual: VirtualQueues) -> None:
    queue = virtual.standard(VisibilityTimeout=10)
    send(queue, "a")
    first = queue.receive()
    virtual.clock.forward(9.9)
    assert queue.receive() == []
    virtual.clock.forward(0.1)
    (again,) = queue.receive()
    assert again.attributes["ApproximateReceiveCount"] == "2"
    assert again.receipt_handle != first[0].receipt_handle
    assert (
        again.attributes["ApproximateFirstReceiveTimestamp"] == first[0].attributes["ApproximateFirstReceiveTimestamp"]
    )


def test_receive_has_a_timeout_of_its_own(virtual: VirtualQueues) -> None:
    queue = virtual.standard()
    send(queue, "a")
    assert bodies(queue.receive(visibility=0)) == ["a"]
    assert bodies(queue.receive(visibility=3600)) == ["a"]
    virtual.clock.forward(3599)
    assert queue.receive() == []
    virtual.clock.forward(1)
    assert bodies(queue.receive()) == ["a"]


def test_visibility_is_changed_from_now(virtual: VirtualQueues) -> None:
    queue = virtual.standard()
    send(queue, "a", "b")
    first, second = queue.receive(10)
    virtual.clock.forward(20)
    queue.change_visibility(first.receipt_handle, 100)
    queue.change_visibility(second.receipt_handle, 0)
    assert bodies(queue.receive()) == ["b"]
    virtual.clock.forward(99)
    assert bodies(queue.receive(visibility=500)) == ["b"]
    virtual.clock.forward(1)
    assert bodies(queue.receive()) == ["a"]


def test_message_is_invisible_for_twelve_hours_at_most(virtual: VirtualQueues) -> None:
    queue = virtual.standard()
    send(queue, "a")
    (message,) = queue.receive()
    virtual.clock.forward(10)
    with pytest.raises(SqsError, match="Total VisibilityTimeout for the message is beyond the limit"):
        queue.change_visibility(message.receipt_handle, 43_200)
    queue.change_visibility(message.receipt_handle, 43_190)


def test_old_handle_of_a_standard_queue_deletes(virtual: VirtualQueues) -> None:
    """Recorded."""
    queue = virtual.standard()
    send(queue, "a")
    (first,) = queue.receive(visibility=0)
    queue.receive(visibility=100)
    queue.delete(first.receipt_handle)
    queue.delete(first.receipt_handle)  # again, as AWS allows
    assert queue.counts() == Counts(0, 0, 0)


def test_handle_after_the_timeout_changes_visibility_in_a_standard_queue(virtual: VirtualQueues) -> None:
    """Recorded: AWS accepts the call."""
    queue = virtual.standard(VisibilityTimeout=1)
    send(queue, "a")
    (message,) = queue.receive()
    virtual.clock.forward(2)
    queue.change_visibility(message.receipt_handle, 5)
    assert queue.counts() == Counts(0, 1, 0)


def test_visibility_of_a_deleted_message_is_refused(virtual: VirtualQueues) -> None:
    """Recorded."""
    queue = virtual.standard()
    send(queue, "a")
    (message,) = queue.receive()
    queue.delete(message.receipt_handle)
    with pytest.raises(SqsError, match="Message does not exist or is not available for visibility timeout change"):
        queue.change_visibility(message.receipt_handle, 5)


def test_delay_of_the_message_replaces_that_of_the_queue(virtual: VirtualQueues) -> None:
    queue = virtual.standard(DelaySeconds=5)
    send(queue, "queue")
    queue.send(Outgoing("message", delay=900))
    queue.send(Outgoing("none", delay=0))
    assert (queue.counts(), queue.next_change()) == (Counts(1, 0, 2), START + 5)
    assert bodies(queue.receive(10)) == ["none"]
    virtual.clock.forward(5)
    assert bodies(queue.receive(10)) == ["queue"]
    virtual.clock.forward(895)
    assert "message" in bodies(queue.receive(10))


def test_new_delay_of_a_standard_queue_is_for_new_messages(virtual: VirtualQueues) -> None:
    queue = virtual.standard(DelaySeconds=5)
    send(queue, "a")
    virtual.queues.set_attributes(queue, {"DelaySeconds": "0"})
    assert queue.receive() == []


def test_message_ends_with_its_retention_also_in_flight(virtual: VirtualQueues) -> None:
    """Recorded."""
    queue = virtual.standard(MessageRetentionPeriod=60, VisibilityTimeout=60)
    send(queue, "a", "b")
    virtual.clock.forward(5)
    queue.receive()
    assert queue.counts() == Counts(1, 1, 0)
    virtual.clock.forward(55)
    assert queue.counts() == Counts(0, 0, 0)
    virtual.clock.forward(100)
    assert queue.receive() == []


def test_too_many_in_flight_is_over_limit() -> None:
    queue = VirtualQueues(in_flight=2).standard()
    send(queue, "a", "b", "c")
    assert bodies(queue.receive(10)) == ["a", "b"]
    with pytest.raises(SqsError, match="2 messages of this queue are in flight"):
        queue.receive()


@pytest.mark.parametrize("handle", ["", "garbage", "ä", "A" * 64, "A" * 100_000])
def test_forged_handle_is_refused(virtual: VirtualQueues, handle: str) -> None:
    queue = virtual.standard()
    for call in (queue.delete, lambda each: queue.change_visibility(each, 1)):
        with pytest.raises(SqsError, match="is not a valid receipt handle") as found:
            call(handle)
        assert (found.value.name, len(str(found.value)) < 200) == ("ReceiptHandleIsInvalid", True)


def test_handle_of_another_queue_is_refused(virtual: VirtualQueues) -> None:
    queue, other = virtual.standard(), virtual.standard("other")
    send(queue, "a")
    send(other, "a")
    (message,) = queue.receive()
    other.receive(visibility=0)
    with pytest.raises(SqsError, match="is not a valid receipt handle"):
        other.delete(message.receipt_handle)
    assert other.counts().visible == 1


# ---- FIFO -----------------------------------------------------------------------------------------------------------


def test_group_is_received_in_order_and_one_batch_has_several_groups(virtual: VirtualQueues) -> None:
    """Recorded: g1-m1, g1-m2, g2-m1."""
    queue = virtual.fifo()
    for body, group in (("g1-m1", "1"), ("g2-m1", "2"), ("g1-m2", "1")):
        send(queue, body, group=group)
    assert bodies(queue.receive(10)) == ["g1-m1", "g1-m2", "g2-m1"]


def test_group_waits_for_its_messages_in_flight(virtual: VirtualQueues) -> None:
    queue = virtual.fifo()
    send(queue, "a1", "a2", "a3", group="a")
    send(queue, "b1", group="b")
    first, second = queue.receive(2)
    assert bodies([first, second]) == ["a1", "a2"]
    assert bodies(queue.receive(10)) == ["b1"]
    queue.delete(second.receipt_handle)
    assert queue.receive(10) == []
    queue.delete(first.receipt_handle)
    assert bodies(queue.receive(10)) == ["a3"]


@pytest.mark.parametrize(("extended", "receivable"), [(0, []), (1, ["foo"]), (2, ["foo", "bar"])])
def test_prefix_of_a_group_is_receivable_after_a_timeout(
    virtual: VirtualQueues, extended: int, receivable: list[str]
) -> None:
    """Trap E29: only the messages before the first invisible one; recorded on AWS."""
    queue = virtual.fifo(VisibilityTimeout=1)
    send(queue, "foo", "bar", "baz")
    received = queue.receive(5)
    queue.change_visibility(received[extended].receipt_handle, 4)
    virtual.clock.forward(2)
    assert bodies(queue.receive(10)) == receivable


def test_group_stays_in_order_when_its_timeouts_end_in_another_order(virtual: VirtualQueues) -> None:
    """Trap E29: moto gives the last message alone here, again and again."""
    queue = virtual.fifo()
    send(queue, "a", "b", "c")
    received = queue.receive(10)
    for message, seconds in zip(received, (30, 20, 10), strict=True):
        queue.change_visibility(message.receipt_handle, seconds)
    virtual.clock.forward(25)
    assert queue.receive(10) == []
    virtual.clock.forward(5)
    assert bodies(queue.receive(10)) == ["a", "b", "c"]


def test_terminated_message_is_first_again(virtual: VirtualQueues) -> None:
    queue = virtual.fifo()
    send(queue, "a", "b")
    (first,) = queue.receive()
    queue.change_visibility(first.receipt_handle, 0)
    assert bodies(queue.receive(10)) == ["a", "b"]


def test_timeout_of_zero_keeps_the_order(virtual: VirtualQueues) -> None:
    """Recorded."""
    queue = virtual.fifo()
    for body, group in (("g1-m1", "1"), ("g2-m1", "2"), ("g2-m2", "2"), ("g3-m1", "3"), ("g1-m2", "1")):
        send(queue, body, group=group)
    assert bodies(queue.receive(3, visibility=0)) == ["g1-m1", "g1-m2", "g2-m1"]
    again = bodies(queue.receive(10))
    assert sorted(again) == ["g1-m1", "g1-m2", "g2-m1", "g2-m2", "g3-m1"]
    assert again.index("g1-m1") < again.index("g1-m2")
    assert again.index("g2-m1") < again.index("g2-m2")


def test_handle_of_a_fifo_queue_expires(virtual: VirtualQueues) -> None:
    """Recorded."""
    queue = virtual.fifo(VisibilityTimeout=1)
    send(queue, "a")
    (message,) = queue.receive()
    virtual.clock.forward(1)
    for call in (queue.delete, lambda each: queue.change_visibility(each, 1)):
        with pytest.raises(SqsError, match="The receipt handle has expired"):
            call(message.receipt_handle)
    (newer,) = queue.receive()
    with pytest.raises(SqsError, match="The receipt handle has expired"):
        queue.delete(message.receipt_handle)
    queue.delete(newer.receipt_handle)
    queue.delete(newer.receipt_handle)


def test_repeated_message_is_stored_once_in_five_minutes(virtual: VirtualQueues) -> None:
    queue = virtual.fifo(ContentBasedDeduplication="false")
    first = queue.send(Outgoing("a", group="g", deduplication_id="1"))
    again = queue.send(Outgoing("other", group="h", deduplication_id="1"))
    assert (again.message_id, again.sequence_number) == (first.message_id, first.sequence_number)
    assert again.md5_of_body != first.md5_of_body  # an SDK compares it with what it sent
    (message,) = queue.receive(10)
    queue.delete(message.receipt_handle)
    virtual.clock.forward(299)
    queue.send(Outgoing("deleted", group="g", deduplication_id="1"))
    assert queue.counts().visible == 0
    virtual.clock.forward(1)
    queue.send(Outgoing("later", group="g", deduplication_id="1"))
    assert bodies(queue.receive()) == ["later"]


def test_content_is_the_deduplication_id(virtual: VirtualQueues) -> None:
    queue = virtual.fifo()
    send(queue, "a", "a", "b")
    found = queue.receive(10)
    assert bodies(found) == ["a", "b"]
    assert found[0].attributes["MessageDeduplicationId"].startswith("ca978112ca1bbdca")  # sha256 of "a"


def test_scope_of_a_group_deduplicates_in_the_group(virtual: VirtualQueues) -> None:
    queue = virtual.fifo(DeduplicationScope="messageGroup", FifoThroughputLimit="perMessageGroupId")
    for group in ("g", "h", "g"):
        send(queue, "a", group=group)
    assert [message.attributes["MessageGroupId"] for message in queue.receive(10)] == ["g", "h"]


def test_sequence_numbers_have_twenty_digits_and_ascend(virtual: VirtualQueues) -> None:
    queue = virtual.fifo()
    numbers = [sent.sequence_number or "" for sent in send(queue, "a", "b", "c")]
    assert numbers == sorted(numbers)
    assert {len(number) for number in numbers} == {20}
    assert [message.attributes["SequenceNumber"] for message in queue.receive(10)] == numbers


def test_delay_of_a_fifo_queue_is_the_queues_and_changes_at_once(virtual: VirtualQueues) -> None:
    queue = virtual.fifo(DelaySeconds=100)
    queue.send(Outgoing("a", group="g", delay=0))
    assert queue.counts().delayed == 1
    virtual.queues.set_attributes(queue, {"DelaySeconds": "10"})
    virtual.clock.forward(10)
    assert bodies(queue.receive()) == ["a"]


def test_same_attempt_receives_the_same_messages(virtual: VirtualQueues) -> None:
    queue = virtual.fifo()
    send(queue, "a", "b")
    first = queue.receive(1, attempt_id="x")
    virtual.clock.forward(20)
    assert queue.receive(1, attempt_id="x") == first
    assert queue.receive(1, attempt_id="y") == []
    virtual.clock.forward(29)  # the repeated receive began the timeout anew
    assert queue.counts().in_flight == 1
    queue.delete(first[0].receipt_handle)
    assert bodies(queue.receive(1, attempt_id="x")) == ["b"]


def test_id_of_an_attempt_is_bounded(virtual: VirtualQueues) -> None:
    with pytest.raises(SqsError, match="ReceiveRequestAttemptId can only include"):
        virtual.fifo().receive(attempt_id="a" * 129)


def test_attempt_ends_with_a_changed_visibility(virtual: VirtualQueues) -> None:
    queue = virtual.fifo()
    send(queue, "a")
    (message,) = queue.receive(attempt_id="x")
    queue.change_visibility(message.receipt_handle, 100)
    assert queue.receive(attempt_id="x") == []


def test_full_fifo_queue_gives_nothing_and_a_wait_does_not_spin() -> None:
    queue = VirtualQueues(in_flight=1).fifo()
    send(queue, "a", group="a")
    send(queue, "b", group="b")
    assert [bodies(queue.receive(10)), queue.receive(10)] == [["a"], []]
    assert asyncio.run(returned(queue, lambda: None)) == [False]


# ---- dead-letter queues ---------------------------------------------------------------------------------------------


def test_message_received_too_often_moves_with_everything(virtual: VirtualQueues) -> None:
    """Recorded: id, attributes and trace header stay, and the count goes on."""
    dead = virtual.standard("dead")
    queue = virtual.standard(RedrivePolicy=redrive(dead, 1), VisibilityTimeout=0)
    queue.send(Outgoing("a", {"A": Attribute("String", "foobar")}, trace_header="Root=1"))
    (first,) = queue.receive()
    assert queue.receive() == []
    (copy,) = dead.receive()
    assert (copy.id, copy.md5_of_message_attributes) == (first.id, first.md5_of_message_attributes)
    assert copy.attributes == {
        **first.attributes,
        "ApproximateReceiveCount": "2",
        "DeadLetterQueueSourceArn": queue.arn,
    }
    assert queue.counts() == Counts(0, 0, 0)


def test_poison_message_does_not_hide_the_one_behind(virtual: VirtualQueues) -> None:
    dead = virtual.fifo("dead.fifo")
    queue = virtual.fifo(RedrivePolicy=redrive(dead, 1), VisibilityTimeout=0)
    send(queue, "poison", "good")
    queue.receive()
    assert bodies(queue.receive()) == ["good"]
    (copy,) = dead.receive()
    assert (copy.body, copy.attributes["MessageGroupId"], len(copy.attributes["SequenceNumber"])) == ("poison", "g", 20)


def test_retention_goes_on_in_a_standard_dead_letter_queue_and_begins_anew_in_a_fifo_one(
    virtual: VirtualQueues,
) -> None:
    for make, suffix, left in ((virtual.standard, "", 0), (virtual.fifo, ".fifo", 1)):
        dead = make(f"dead{suffix}", MessageRetentionPeriod=60)
        queue = make(f"source{suffix}", RedrivePolicy=redrive(dead, 1), VisibilityTimeout=0)
        send(queue, "a")
        virtual.clock.forward(59)
        queue.receive()
        queue.receive()
        assert dead.counts().visible == 1
        virtual.clock.forward(1)
        assert dead.counts().visible == left


def test_message_is_not_lost_without_its_dead_letter_queue(virtual: VirtualQueues) -> None:
    dead = virtual.standard("dead")
    queue = virtual.standard(RedrivePolicy=redrive(dead, 1), VisibilityTimeout=0)
    send(queue, "a")
    virtual.queues.delete("dead")
    assert [bodies(queue.receive()) for _ in range(3)] == [["a"]] * 3


# ---- purge, waiting -------------------------------------------------------------------------------------------------


def test_purge_removes_everything_and_forgets_what_was_sent(virtual: VirtualQueues) -> None:
    """Recorded: also what is in flight, and the deduplication."""
    queue = virtual.fifo()
    send(queue, "a", "b")
    queue.receive()
    queue.purge()
    assert (queue.counts(), virtual.queues.memory_used) == (Counts(0, 0, 0), 0)
    with pytest.raises(SqsError, match=r"Only one PurgeQueue operation on orders\.fifo is allowed every 60 seconds"):
        queue.purge()
    send(queue, "a")
    assert queue.counts().visible == 1
    virtual.clock.forward(60)
    queue.purge()


async def returned(queue: Queue, *calls: object) -> list[bool]:
    """Whether a wait that began before has returned, after each of the calls."""
    waiting = asyncio.ensure_future(queue.wait(START + 3600))
    found = []
    for call in calls:
        await asyncio.sleep(0)
        call()  # type: ignore[operator] # a function
        for _ in range(5):
            await asyncio.sleep(0)
        found.append(waiting.done())
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    return found


def test_wait_ends_with_a_message(virtual: VirtualQueues) -> None:
    queue = virtual.standard()
    assert asyncio.run(returned(queue, queue.counts, lambda: send(queue, "a"))) == [False, True]


def test_wait_ends_when_a_group_becomes_free(virtual: VirtualQueues) -> None:
    queue = virtual.fifo()
    send(queue, "a", "b")
    (first,) = queue.receive()
    assert asyncio.run(returned(queue, lambda: None, lambda: queue.delete(first.receipt_handle))) == [False, True]


def test_wait_ends_when_the_stack_stops(virtual: VirtualQueues) -> None:
    queue = virtual.standard()
    assert asyncio.run(returned(queue, virtual.queues.close)) == [True]


def test_wait_ends_at_the_next_change(virtual: VirtualQueues) -> None:
    queue = virtual.standard()
    queue.send(Outgoing("a", delay=1))

    async def wait() -> None:
        waiting = asyncio.ensure_future(queue.wait(START + 3600))
        await asyncio.sleep(0)
        virtual.clock.forward(2)
        await queue.wait(START + 3600)  # the message is there
        waiting.cancel()

    asyncio.run(wait())
    assert queue.counts().visible == 1
