"""Move tasks: the messages of a dead-letter queue go back to their queues, or to another one.

Rule: the clock moves a task: what is due is done before the next operation of any queue. A task without a rate moves
everything at once, where AWS takes some time.
Source: the API reference of StartMessageMoveTask, and what LocalStack's tests recorded on AWS.
"""

from __future__ import annotations

import base64
import binascii
import json
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from lattice_bridge.local.aws.sqs.errors import SqsError
from lattice_bridge.local.aws.sqs.queue import Queue, Surroundings

_KEPT: Final = 10
"""Tasks of a queue that are listed."""


@dataclass(slots=True, eq=False)
class MoveTask:
    """A move task.

    Attributes:
        id: a UUID.
        source: the dead-letter queue.
        destination_arn: of the queue; None for the queue from which each message came.
        rate: messages a second; None for no limit.
        started: seconds since the epoch.
        total: how many messages there were at its start.
        moved: how many are moved.
        status: `RUNNING`, `COMPLETED`, `CANCELLED` or `FAILED`.
        failure: why it failed.
    """

    id: str
    source: Queue
    destination_arn: str | None
    rate: int | None
    started: float
    total: int
    moved: int = 0
    status: str = "RUNNING"
    failure: str | None = None

    @property
    def handle(self) -> str:
        """As the API names the task."""
        return base64.b64encode(json.dumps({"taskId": self.id, "sourceArn": self.source.arn}).encode()).decode("ascii")


class Moves:
    """The move tasks of a stack."""

    def __init__(self, surroundings: Surroundings) -> None:
        self._surroundings = surroundings
        self._tasks: dict[str, list[MoveTask]] = {}
        self._running: list[MoveTask] = []

    def start(self, source: Queue, destination_arn: str | None, rate: int | None) -> MoveTask:
        """Starts a task.

        Raises:
            SqsError: the destination does not exist or has another type, or a task of this source is running.
        """
        total = source.counts().visible  # and the end of what is due of a task before
        if destination_arn is not None:
            destination = self._surroundings.by_arn(destination_arn)
            if destination is None:
                raise no_resource("DestinationArn")
            if destination.is_fifo != source.is_fifo or destination is source:
                what = "DestinationArn must be another queue of the same type as the source."
                raise SqsError("InvalidParameterValueException", what)
        if any(task.source is source for task in self._running):
            what = "Only one active task is allowed for a source queue arn at a given time."
            raise SqsError("InvalidParameterValueException", f"There is already a task running. {what}")
        task = MoveTask(str(uuid.uuid4()), source, destination_arn, rate, self._surroundings.now(), total)
        self._tasks.setdefault(source.arn, []).insert(0, task)
        del self._tasks[source.arn][_KEPT:]
        self._running.append(task)
        return task

    def of(self, source: Queue) -> Iterable[MoveTask]:
        """The tasks of a dead-letter queue, the last one first."""
        return self._tasks.get(source.arn, [])

    def cancel(self, handle: str) -> MoveTask:
        """Cancels a running task.

        Raises:
            SqsError: not the handle of a task, or of one that is not running.
        """
        try:
            found = json.loads(base64.b64decode(handle, validate=True))
            task_id, arn = found["taskId"], found["sourceArn"]
        except (binascii.Error, ValueError, KeyError, TypeError, RecursionError):
            raise SqsError("InvalidParameterValueException", "Value for parameter TaskHandle is invalid.") from None
        if not isinstance(arn, str) or self._surroundings.by_arn(arn) is None:
            raise no_resource("SourceArn")
        for task in self._running:
            if task.id == task_id:
                self._end(task, "CANCELLED")
                return task
        raise SqsError("ResourceNotFoundException", "Task does not exist.")

    def forget(self, source: Queue) -> None:
        """Ends the tasks of a queue that is deleted."""
        self._running = [task for task in self._running if task.source is not source]
        self._tasks.pop(source.arn, None)

    def run(self, now: float) -> float | None:
        """Moves what is due. Returns when there will be more, or None."""
        if not self._running:
            return None
        times = [time for task in list(self._running) if (time := self._run(task, now)) is not None]
        return min(times, default=None)

    def _run(self, task: MoveTask, now: float) -> float | None:
        task.source.advance(now)
        while task.status == "RUNNING":
            due = task.started if task.rate is None else task.started + task.moved / task.rate
            if due > now:
                return due
            stored = task.source.first_visible() if task.moved < task.total else None
            if stored is None:
                self._end(task, "COMPLETED")
                break
            target = self._surroundings.by_arn(task.destination_arn or stored.came_from or "")
            if target is None or target is task.source or target.is_fifo != task.source.is_fifo:
                task.failure = "CouldNotDetermineMessageSource"
                self._end(task, "FAILED")
                break
            task.source.move_to(target, stored)
            task.moved += 1
        return None

    def _end(self, task: MoveTask, status: str) -> None:
        task.status = status
        self._running.remove(task)


def no_resource(parameter: str) -> SqsError:
    """The error for an ARN that names no queue of the stack."""
    what = f"The resource that you specified for the {parameter} parameter doesn't exist."
    return SqsError("ResourceNotFoundException", what)
