"""Any sequence of calls on queues with a dead-letter queue, compared with a model that a person can read.

The model keeps every message that was sent, in a list, and searches all of it in each step. Its rules are those of the
engine's docstrings.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, multiple, rule

from lattice_bridge.local.aws.sqs.errors import SqsError
from lattice_bridge.local.aws.sqs.message import Message, Outgoing
from lattice_bridge.local.aws.sqs.queue import Counts, Queue
from tests.support.examples import examples
from tests.support.virtual_queues import VirtualQueues, redrive

VISIBILITY, RETENTION, MOST_RECEIVES, FIVE_MINUTES = 30, 600, 2, 300
LIMITS, TIMEOUTS = st.sampled_from([1, 2, 10]), st.sampled_from([None, 0, 5])
SECONDS = st.sampled_from([0, 5, 10, 29, 30, 31, 100, 295])


@dataclass
class Known:
    """A message of the model.

    Attributes:
        place: `queue`, `dead`, `deleted` or `expired`.
        visible_at: when it can be received.
        handles: the handle of each receive, in order.
        position: in its place: grows with each arrival there.
    """

    id: str
    body: str
    group: str | None
    kept_since: float
    visible_at: float
    position: int
    place: str = "queue"
    receives: int = 0
    delayed: bool = False
    handles: list[str] = field(default_factory=list)


class Machine(RuleBasedStateMachine):
    """A queue and its dead-letter queue. A subclass has the kind."""

    fifo = False
    handles = Bundle("handles")

    def __init__(self) -> None:
        super().__init__()
        virtual = VirtualQueues()
        self.virtual, self.clock = virtual, virtual.clock
        make = virtual.fifo if self.fifo else virtual.standard
        suffix = ".fifo" if self.fifo else ""
        self.dead = make(f"dead{suffix}", MessageRetentionPeriod=RETENTION)
        policy = redrive(self.dead, MOST_RECEIVES)
        self.queue = make(f"queue{suffix}", RedrivePolicy=policy, MessageRetentionPeriod=RETENTION)
        self.known: dict[str, Known] = {}
        self.accepted: dict[str, tuple[float, str]] = {}
        self.arrivals = 0

    # ---- calls ------------------------------------------------------------------------------------------------------

    @rule(group=st.sampled_from("xy"), delay=st.sampled_from([None, None, 0, 5]), count=st.integers(1, 4))
    def send(self, group: str, delay: int | None, count: int) -> None:
        for _ in range(count):
            self.send_one(str(len(self.known)), group, None if self.fifo else delay)

    @rule(body=st.integers(0, 3), group=st.sampled_from("xy"))
    def send_again(self, body: int, group: str) -> None:
        self.send_one(str(body), group, None)

    def send_one(self, body: str, group: str, delay: int | None) -> None:
        sent = self.queue.send(Outgoing(body, group=group, delay=delay))
        ends, first = self.accepted.get(body, (0.0, ""))
        now = self.clock.now
        if self.fifo and now < ends:
            assert sent.message_id == first
            return
        assert sent.message_id not in self.known
        self.accepted[body] = (now + FIVE_MINUTES, sent.message_id)
        arrival, visible_at = self.arrive(), now + (delay or 0)
        self.known[sent.message_id] = Known(sent.message_id, body, group, now, visible_at, arrival, delayed=bool(delay))

    @rule(target=handles, limit=LIMITS, visibility=TIMEOUTS, dead=st.sampled_from([False, False, True]))
    def receive(self, limit: int, visibility: int | None, dead: bool) -> object:
        queue, place = (self.dead, "dead") if dead else (self.queue, "queue")
        before = {key: (each.place, each.visible_at) for key, each in self.known.items()}
        found = queue.receive(limit, visibility)
        if not dead:
            self.dead_letters(limit)
        self.check_received(found, place, before, limit)
        for message in found:
            known = self.known[message.id]
            known.receives += 1
            known.handles.append(message.receipt_handle)
            known.visible_at = self.clock.now + (VISIBILITY if visibility is None else visibility)
            assert (message.body, message.attributes["ApproximateReceiveCount"]) == (known.body, str(known.receives))
            assert message.attributes.get("DeadLetterQueueSourceArn") == (self.queue.arn if dead else None)
        return multiple(*((message.id, message.receipt_handle) for message in found))

    @rule(handle=consumes(handles))
    def delete(self, handle: tuple[str, str]) -> None:
        if self.refuses(handle, lambda queue: queue.delete(handle[1]), also_deleted=False):
            return
        known = self.known[handle[0]]
        if known.place in ("queue", "dead"):
            known.place = "deleted"

    @rule(handle=handles, seconds=SECONDS)
    def change_visibility(self, handle: tuple[str, str], seconds: int) -> None:
        known = self.known[handle[0]]
        if self.refuses(handle, lambda queue: queue.change_visibility(handle[1], seconds), also_deleted=True):
            return
        known.visible_at = self.clock.now + seconds

    @rule(seconds=SECONDS)
    def wait(self, seconds: int) -> None:
        self.clock.forward(seconds)
        self.expire()

    # ---- the model's rules ------------------------------------------------------------------------------------------

    def arrive(self) -> int:
        self.arrivals += 1
        return self.arrivals

    def expire(self) -> None:
        for known in self.known.values():
            if known.place in ("queue", "dead") and known.kept_since + RETENTION <= self.clock.now:
                known.place = "expired"

    def in_place(self, place: str) -> list[Known]:
        return sorted((each for each in self.known.values() if each.place == place), key=lambda each: each.position)

    def receivable(self, place: str) -> list[Known]:
        """What can be received, in any order of groups; of a FIFO group, up to the first invisible message."""
        found, blocked = [], set()
        for known in self.in_place(place):
            if known.visible_at > self.clock.now:
                blocked.add(known.group)
            elif not self.fifo or known.group not in blocked:
                found.append(known)
        return found

    def dead_letters(self, limit: int) -> None:
        """Moves what the engine has moved: never a message with fewer receives, and no other than a receivable one."""
        moved = set(self.dead.message_ids())
        for known in self.receivable("queue"):
            if known.id in moved:
                assert known.receives >= MOST_RECEIVES
                known.place, known.position = "dead", self.arrive()
                if self.fifo:
                    known.kept_since = self.clock.now
        assert moved <= {each.id for each in self.in_place("dead")}
        self.expire()

    def check_received(
        self, found: list[Message], place: str, before: dict[str, tuple[str, float]], limit: int
    ) -> None:
        could = {each.id: each for each in self.receivable(place)}
        ids = [message.id for message in found]
        assert len(set(ids)) == len(ids) <= limit
        assert set(ids) <= set(could), "a message that is invisible, deleted, expired or behind another one"
        for message_id in ids:
            assert before[message_id] == (place, could[message_id].visible_at)
        left = [each for each in could.values() if each.id not in ids and not self.is_poison(each, place)]
        taken_groups = {could[each].group for each in ids}
        if len(ids) < limit:
            # A FIFO group from which a poison message was moved may give its rest in the next receive.
            assert all(self.fifo and each.group in taken_groups for each in left), "a message was withheld"
        if self.fifo:
            self.check_order(ids, could)

    def is_poison(self, known: Known, place: str) -> bool:
        return place == "queue" and known.receives >= MOST_RECEIVES

    def check_order(self, ids: list[str], could: dict[str, Known]) -> None:
        """Of each group, the first receivable ones, in order."""
        for group in {could[each].group for each in ids}:
            received = [each for each in ids if could[each].group == group]
            expected = [each.id for each in could.values() if each.group == group]
            assert received == expected[: len(received)]

    def refuses(self, handle: tuple[str, str], call: Callable[[Queue], None], *, also_deleted: bool) -> bool:
        """Makes the call in the queue of the handle, and checks whether it has to be refused."""
        known = self.known[handle[0]]
        receive = known.handles.index(handle[1])
        queue = self.queue if receive < MOST_RECEIVES else self.dead
        is_moved = known.place == "dead" and queue is self.queue
        is_gone = is_moved or known.place in ("deleted", "expired")
        is_old = known.handles[-1] != handle[1] or known.visible_at <= self.clock.now
        expected = (is_gone and also_deleted) or (self.fifo and not is_gone and is_old)
        try:
            call(queue)
        except SqsError:
            assert expected
            return True
        assert not expected
        return is_moved

    # ---- what always holds ------------------------------------------------------------------------------------------

    @invariant()
    def counts_agree(self) -> None:
        """So no message is lost, and none is twice: the engine has what the model has in each place and state."""
        now = self.clock.now
        for queue, place in ((self.queue, "queue"), (self.dead, "dead")):
            present = self.in_place(place)
            hidden = [each for each in present if each.visible_at > now]
            delayed = [each for each in hidden if each.delayed and not each.receives]
            expected = Counts(len(present) - len(hidden), len(hidden) - len(delayed), len(delayed))
            assert queue.counts() == expected
            assert sorted(queue.message_ids()) == sorted(each.id for each in present)

    def teardown(self) -> None:
        self.clock.forward(RETENTION + FIVE_MINUTES)
        self.queue.counts()
        self.dead.counts()
        assert self.virtual.queues.memory_used == 0


class FifoMachine(Machine):
    fifo = True


class StandardMachine(Machine):
    fifo = False


TestStandardQueue = StandardMachine.TestCase
TestStandardQueue.settings = settings(max_examples=examples(40), stateful_step_count=40, deadline=None)
TestFifoQueue = FifoMachine.TestCase
TestFifoQueue.settings = settings(max_examples=examples(60), stateful_step_count=40, deadline=None)
