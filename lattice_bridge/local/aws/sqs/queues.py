"""All queues of a stack, by name, and what is between them: dead-letter queues, move tasks, the shared memory.

Rule: a name is enough to find a queue. Its region and account are those of the stack, unless local.toml gives it the
ARN of a deployed queue.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from lattice_bridge.local.aws.budget import MEMORY, Budget
from lattice_bridge.local.aws.sqs.attributes import (
    FIFO_QUEUE,
    QueueAttributes,
    RedrivePolicy,
    check_type,
    parse,
    written,
)
from lattice_bridge.local.aws.sqs.errors import QueueNotFound, SqsError, full, invalid_value
from lattice_bridge.local.aws.sqs.moves import Moves, MoveTask, no_resource
from lattice_bridge.local.aws.sqs.queue import MAX_IN_FLIGHT, Queue, Surroundings

_NAME: Final = re.compile(r"(?=.{1,80}\Z)[A-Za-z0-9_-]+(\.fifo)?")
_MAX_QUEUES: Final = 1000


class Queues:
    """The queues of a stack.

    Args:
        region, account: of the ARNs.
        clock: seconds since the epoch.
        memory: bytes of all messages together.
        in_flight: messages of a queue that can be in flight.

    Attributes:
        closed: whether the stack stops: no receive waits any longer.
    """

    def __init__(
        self,
        region: str,
        account: str,
        clock: Callable[[], float] = time.time,
        *,
        memory: int = MEMORY,
        in_flight: int = MAX_IN_FLIGHT,
    ) -> None:
        self._prefix = f"arn:aws:sqs:{region}:{account}:"
        self._queues: dict[str, Queue] = {}
        self._surroundings = Surroundings(clock, Budget(memory, full), in_flight, self.by_arn)
        self._moves = Moves(self._surroundings)
        self._surroundings.move = self._moves.run
        self._surroundings.budget.sweep = self._sweep
        self.closed = False

    def __iter__(self) -> Iterator[Queue]:
        """The queues by name."""
        return iter([self._queues[name] for name in sorted(self._queues)])

    @property
    def now(self) -> Callable[[], float]:
        """The clock."""
        return self._surroundings.now

    @property
    def memory_used(self) -> int:
        """Bytes that the messages of all queues take."""
        return self._surroundings.budget.used

    # ---- queues -----------------------------------------------------------------------------------------------------

    def create(self, name: str, attributes: Mapping[str, str] | None = None, arn: str | None = None) -> Queue:
        """Creates a queue. If there is one with this name and these attributes, it is returned.

        Args:
            name: of the queue; that of a FIFO queue ends with `.fifo`.
            attributes: by the API's names, as strings. A policy is JSON.
            arn: of a queue that has the ARN of a deployed one; None for one with the stack's region and account.

        Raises:
            SqsError: a name, an attribute or a dead-letter queue that AWS refuses, or a queue with this name has other
                attributes.
        """
        given = attributes or {}
        if _NAME.fullmatch(name) is None:
            what = "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length"
            raise invalid_value("QueueName", name, what)
        is_fifo = check_type(name, given)
        parsed = parse(given, is_fifo=is_fifo)
        queue = self._queues.get(name)
        if queue is not None:
            _check_same(queue, given, parsed)
            return queue
        if len(self._queues) >= _MAX_QUEUES:
            raise SqsError("OverLimit", f"this local stack has {_MAX_QUEUES} queues. Fix: delete some")
        own_arn = arn or self._prefix + name
        self._check_redrive(own_arn, parsed.redrive_policy, is_fifo=is_fifo)
        queue = self._queues[name] = Queue(name, own_arn, parsed, self._surroundings)
        return queue

    def get(self, name: str) -> Queue:
        """Finds a queue.

        Raises:
            QueueNotFound: there is none with this name.
        """
        queue = self._queues.get(name)
        if queue is None:
            raise QueueNotFound
        return queue

    def by_arn(self, arn: str) -> Queue | None:
        """Finds a queue by its ARN; None if it is not one of this stack."""
        queue = self._queues.get(arn.rpartition(":")[2])
        return queue if queue is not None and queue.arn == arn else None

    def set_attributes(self, queue: Queue, given: Mapping[str, str]) -> None:
        """Changes some attributes of a queue.

        Raises:
            SqsError: an attribute or a dead-letter queue that AWS refuses.
        """
        if FIFO_QUEUE in given:
            if queue.is_fifo:
                what = f"Invalid value for the parameter {FIFO_QUEUE}. Reason: Modifying queue type is not supported."
                raise SqsError("InvalidAttributeValue", what)
            raise SqsError("InvalidAttributeName", f"Unknown Attribute {FIFO_QUEUE}.")
        parsed = parse(given, is_fifo=queue.is_fifo, before=queue.attributes)
        if "RedrivePolicy" in given:
            self._check_redrive(queue.arn, parsed.redrive_policy, is_fifo=queue.is_fifo)
        queue.set_attributes(parsed)

    def delete(self, name: str) -> None:
        """Deletes a queue with its messages.

        Raises:
            QueueNotFound: there is none with this name.
        """
        queue = self.get(name)
        del self._queues[name]
        self._moves.forget(queue)
        queue.clear()

    def sources_of(self, queue: Queue) -> list[Queue]:
        """The queues whose dead-letter queue this is."""
        return [
            each for each in self if (policy := each.attributes.redrive_policy) and policy.dead_letter_arn == queue.arn
        ]

    def _check_redrive(self, arn: str, policy: RedrivePolicy | None, *, is_fifo: bool) -> None:
        if policy is None:
            return
        target = self.by_arn(policy.dead_letter_arn)
        reason = None
        if target is None or target.arn == arn:
            reason = "Dead letter target does not exist."
        elif target.is_fifo != is_fifo:
            reason = "Dead-letter queue must be same type of queue as the source."
        elif (allow := target.attributes.redrive_allow_policy) and not allow.allows(arn):
            reason = "The redrive allow policy of the dead-letter queue does not allow this queue."
        if reason is not None:
            raise invalid_value("RedrivePolicy", policy.written(), reason)

    # ---- move tasks -------------------------------------------------------------------------------------------------

    def start_move(self, source_arn: str, destination_arn: str | None, rate: int | None) -> MoveTask:
        """Starts to move the messages of a dead-letter queue.

        Raises:
            SqsError: no such queue, not a dead-letter queue, or a task of it is running.
        """
        source = self._source(source_arn)
        if not self.sources_of(source):
            what = "Source queue must be configured as a Dead Letter Queue."
            raise SqsError("InvalidParameterValueException", what)
        task = self._moves.start(source, destination_arn, rate)
        for queue in self:
            queue.wake()
        return task

    def moves(self, source_arn: str) -> list[MoveTask]:
        """The move tasks of a dead-letter queue, the last one first.

        Raises:
            SqsError: no such queue.
        """
        source = self._source(source_arn)
        self._moves.run(self.now())
        return list(self._moves.of(source))

    def cancel_move(self, handle: str) -> MoveTask:
        """Cancels a running move task.

        Raises:
            SqsError: there is no such task, or it is not running.
        """
        self._moves.run(self.now())
        return self._moves.cancel(handle)

    def _source(self, arn: str) -> Queue:
        queue = self.by_arn(arn)
        if queue is None:
            raise no_resource("SourceArn")
        return queue

    # ---- the whole --------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Ends each wait, as the stack stops."""
        self.closed = True
        for queue in self:
            queue.wake()

    def _sweep(self) -> None:
        now = self.now()
        for queue in self._queues.values():
            queue.advance(now)


def _check_same(queue: Queue, given: Mapping[str, str], parsed: QueueAttributes) -> None:
    """Raises `QueueNameExists` if a queue has another value of a given attribute."""
    present, wanted = written(queue.attributes, is_fifo=queue.is_fifo), written(parsed, is_fifo=queue.is_fifo)
    for name in given:
        if present.get(name) != wanted.get(name):
            what = f"A queue already exists with the same name and a different value for attribute {name}"
            raise SqsError("QueueNameExists", what)
