"""Deliveries of events to the targets of rules: tries, pauses, and dead letters.

Rule: an event that a rule takes is delivered, or is tried again as the target's retry policy says, or becomes a dead
letter. Only its delivery counts: a function that was invoked and fails is the business of Lambda's asynchronous queue.
Source: "Retry policies" and "Using dead-letter queues to process undelivered events" in the EventBridge guide: an error
with status 429 or 5xx is tried again, and every other one is not. Not documented, and assumed here: the pauses (each is
twice the one before, up to 480 seconds, so that 185 end within 24 hours), that every attribute of a dead letter is a
String, and which error codes of the guide's list a function's or a queue's errors have.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import count
from typing import Final, NamedTuple

from lattice_bridge.local.aws.event_bridge.errors import EntryRefused
from lattice_bridge.local.aws.invoke_checks import LambdaError, is_about_the_tenant
from lattice_bridge.local.aws.lambda_service import InvokeRequest, new_request_id
from lattice_bridge.local.aws.sqs.errors import SqsError
from lattice_bridge.local.aws.sqs.message import Attribute, Outgoing
from lattice_bridge.local.aws.sqs.queues import Queues
from lattice_bridge.local.plan.event_target import Target

Invoke = Callable[[InvokeRequest], Awaitable[object]]

SENDER: Final = "AIDALOCALEVENTBRIDGE0"
"""The sender of messages that EventBridge sends to queues."""
MEMORY: Final = 256 * 1024 * 1024
"""Bytes of all events that wait for their delivery."""
_OVERHEAD: Final = 1024
"""Bytes of memory that a delivery takes beside the event."""
_LONGEST_PAUSE: Final = 480.0
_NO_ROUTER: Final = (
    "EventBridge sends no tenant id. Fix: make a bridge the target, and write an [[event_source]] with this function "
    "into its bridge.toml"
)

_logger: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Event:
    """An event that a bus has received.

    Attributes:
        id: of the event, a UUID.
        bus: the name of the bus.
        source, detail_type: of the event.
        text: the event as JSON.
        trace_header: of the sender, or None.
    """

    id: str
    bus: str
    source: str
    detail_type: str
    text: str = field(repr=False)
    trace_header: str | None = None


@dataclass(frozen=True, slots=True)
class Delivery:
    """A try to deliver an event to a target.

    Attributes:
        event: that was delivered.
        rule: the name of the rule that takes the event.
        target: the name of the function or queue.
        milliseconds: that it took.
        error: why it failed; empty if it was delivered.
        outcome: what becomes of the event if it failed, as in `tried again in 4 s`.
        note: what the developer has to fix beside that; empty for nothing.
    """

    event: Event
    rule: str
    target: str
    milliseconds: float
    error: str = ""
    outcome: str = ""
    note: str = ""


class Observer:
    """Receives what happens to events. This one ignores it."""

    def event_delivering(self, event: Event, rule: str, target: str, request_id: str | None) -> None:
        """An event is about to be delivered. A function is invoked with the request id; a queue has none."""

    def event_delivered(self, delivery: Delivery) -> None:
        """A delivery was tried."""

    def event_lost(self, event: Event, why: str) -> None:
        """An event reaches no target."""


class _Failure(Exception):
    """A try that failed.

    Attributes:
        code: as in a dead letter.
        can_retry: whether another try may succeed.
        note: for the developer.
    """

    def __init__(self, code: str, message: str, *, can_retry: bool = False, note: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.can_retry = can_retry
        self.note = note


@dataclass(slots=True)
class _Waiting:
    """An event that is to be delivered.

    Attributes:
        body: what the target receives, or why it cannot receive it.
        received: when the bus received the event.
        retries: tries after the first one.
    """

    event: Event
    rule: str
    rule_arn: str
    target: Target
    body: str | ValueError
    received: float
    retries: int = 0

    @property
    def size(self) -> int:
        return _OVERHEAD + len(self.event.text) + (len(self.body) if isinstance(self.body, str) else 0)


class _Due(NamedTuple):
    time: float
    number: int
    waiting: _Waiting


class Deliveries:
    """The events that wait for their delivery, each until its next try.

    Args:
        invoke: invokes functions.
        queues: of the stack.
        now: seconds since the epoch.
        observer: takes each try.
        memory: bytes of all events that wait.

    Attributes:
        free: bytes of the memory.
    """

    def __init__(
        self, invoke: Invoke, queues: Queues, now: Callable[[], float], observer: Observer, memory: int = MEMORY
    ) -> None:
        self._invoke = invoke
        self._queues = queues
        self._now = now
        self._observer = observer
        self.free = memory
        self._due: list[_Due] = []
        self._numbers = count()

    def __len__(self) -> int:
        return len(self._due)

    @property
    def next(self) -> float | None:
        """When the next try is due; None if no event waits."""
        return self._due[0].time if self._due else None

    def add(self, event: Event, rule: tuple[str, str], target: Target, body: str | ValueError) -> None:
        """Adds a delivery that is due at once.

        Args:
            event: of the bus.
            rule: the name and the ARN of the rule.
            target: of the rule.
            body: what it receives, or why it cannot receive it.

        Raises:
            EntryRefused: too many events wait.
        """
        waiting = _Waiting(event, *rule, target, body, self._now())
        if waiting.size > self.free:
            what = "this local stack keeps no more events that wait for their delivery. Fix: put fewer at a time"
            raise EntryRefused("ThrottlingException", what)
        self.free -= waiting.size
        self._put(waiting, waiting.received)

    def _put(self, waiting: _Waiting, time: float) -> None:
        heappush(self._due, _Due(time, next(self._numbers), waiting))

    def report_waiting(self) -> None:
        """Logs how many events will not be delivered, when the stack stops."""
        if self._due:
            events = "1 event of a bus was" if len(self._due) == 1 else f"{len(self._due)} events of buses were"
            _logger.warning("%s accepted and not delivered", events)

    async def run_due(self) -> None:
        """Makes the tries that are due, in the order of their times."""
        while self._due and self._due[0].time <= self._now():
            waiting = heappop(self._due).waiting
            await asyncio.sleep(0)  # neither a function's queue nor a queue of SQS lets others run meanwhile
            if not await self._is_retried(waiting):
                self.free += waiting.size

    async def _is_retried(self, waiting: _Waiting) -> bool:
        """Tries a delivery. Returns whether it will be tried again."""
        began, pause = self._now(), None
        error = outcome = note = ""
        try:
            await self._deliver(waiting)
        except _Failure as failure:
            error, note = str(failure), failure.note
            exhausted = self._exhausted(waiting) if failure.can_retry else ""
            pause = _pause(waiting.retries) if failure.can_retry and not exhausted else None
            outcome = f"tried again in {pause:g} s" if pause else self._dead_letter(waiting, failure, exhausted)
        milliseconds = (self._now() - began) * 1000
        target = waiting.target.name
        self._observer.event_delivered(
            Delivery(waiting.event, waiting.rule, target, milliseconds, error, outcome, note)
        )
        if pause is not None:
            waiting.retries += 1
            self._put(waiting, self._now() + pause)
        return pause is not None

    def _exhausted(self, waiting: _Waiting) -> str:
        """The limit of the retry policy that allows no other try; empty if there is none."""
        if waiting.retries >= waiting.target.retries:
            return "MaximumRetryAttempts"
        age = self._now() + _pause(waiting.retries) - waiting.received
        return "MaximumEventAgeInSeconds" if age > waiting.target.longest_age else ""

    async def _deliver(self, waiting: _Waiting) -> None:
        """Delivers an event.

        Raises:
            _Failure: the target does not take it.
        """
        request_id = new_request_id() if waiting.target.service == "lambda" else None
        self._observer.event_delivering(waiting.event, waiting.rule, waiting.target.name, request_id)
        if isinstance(waiting.body, ValueError):
            raise _Failure("INVALID_JSON", str(waiting.body))
        try:
            if request_id is not None:
                await self._invoke_function(waiting, waiting.body, request_id)
            else:
                self._send(waiting, waiting.body)
        except _Failure:
            raise
        except Exception as error:  # one event must not end the deliveries
            _logger.warning("%s: %s: %s", waiting.rule, type(error).__name__, error)
            raise _Failure("INTERNAL_ERROR", type(error).__name__) from error

    async def _invoke_function(self, waiting: _Waiting, body: str, request_id: str) -> None:
        trace, arn = waiting.event.trace_header, waiting.target.arn
        try:
            await self._invoke(InvokeRequest(arn, body.encode(), "Event", trace_id=trace, request_id=request_id))
        except LambdaError as error:
            note = _NO_ROUTER if is_about_the_tenant(error) else ""
            can_retry = error.status == 429 or error.status >= 500
            raise _Failure(_CODES.get(error.status, "ERROR_FROM_TARGET"), str(error), can_retry=can_retry, note=note)

    def _send(self, waiting: _Waiting, body: str) -> None:
        queue = self._queues.by_arn(waiting.target.arn)
        if queue is None:
            raise _Failure("NO_RESOURCE", "The specified queue does not exist.")
        trace, group = waiting.event.trace_header, waiting.target.group
        try:
            queue.send(Outgoing(body, group=group, sender_id=SENDER, trace_header=trace))
        except SqsError as error:
            if error.name == "OverLimit":
                raise _Failure("THROTTLING", str(error), can_retry=True) from error
            raise _Failure("INVALID_PARAMETER", str(error)) from error

    def _dead_letter(self, waiting: _Waiting, failure: _Failure, exhausted: str) -> str:
        """Sends a dead letter. Returns what has become of the event."""
        arn = waiting.target.dead_letters
        if arn is None:
            return "dropped: the target has no DeadLetterConfig"
        name = arn.rpartition(":")[2]
        queue = self._queues.by_arn(arn)
        if queue is None:
            return f"dropped: there is no queue {name}"
        attributes = {
            "RULE_ARN": waiting.rule_arn,
            "TARGET_ARN": waiting.target.arn,
            "ERROR_CODE": failure.code,
            "ERROR_MESSAGE": str(failure),
            "RETRY_ATTEMPTS": str(waiting.retries),
            **({"EXHAUSTED_RETRY_CONDITION": exhausted} if exhausted else {}),
        }
        values = {key: Attribute("String", value) for key, value in attributes.items()}
        trace = waiting.event.trace_header
        try:
            queue.send(Outgoing(waiting.event.text, attributes=values, sender_id=SENDER, trace_header=trace))
        except SqsError as error:
            return f"dropped: {name}: {error}"
        return f"it is in {name}"


_CODES: Final = {403: "NO_PERMISSIONS", 404: "NO_RESOURCE", 429: "THROTTLING", 400: "INVALID_PARAMETER"}


def _pause(retries: int) -> float:
    """Seconds before the next try, after so many retries."""
    return min(_LONGEST_PAUSE, 2.0 ** min(retries, 9))
