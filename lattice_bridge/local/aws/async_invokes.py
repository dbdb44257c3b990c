"""Lambda's queue of asynchronous invocations: runs each event, tries again, gives up, and reports where it went.

Rule: an event that was accepted ends in one of three ways: the function has run it, its destination or its dead-letter
queue has it, or the log says that it is lost.

Retries, in the words of the Lambda guide ("How Lambda handles errors and retries with asynchronous invocation"): an
error of the function, also a timeout, is tried again after one minute and after two. A throttle (429) and a service
error (5xx) do not count as tries. They are repeated after 1, 2, 4, … seconds, five minutes at most, until the event is
too old. That an event is given up as soon as its next try would be too late is recorded on AWS by LocalStack's tests
(`test_maxeventage`), and so are the members of a record and the attributes of a dead letter. Not shown by any source,
and assumed here:
* An event that no function has answered has neither `responseContext` nor `responsePayload` in its record, as recorded
  for a function without concurrency, and the count of its invocations is 0.
* A refusal that a repetition cannot change (the template no longer has the function) ends the event at once.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final, Literal, Protocol

from lattice_bridge.local.aws.invoke_checks import LambdaError, parse_payload
from lattice_bridge.local.aws.lambda_service import InvokeRequest, new_trace_id, throttled
from lattice_bridge.local.environments.environment import InvocationResult
from lattice_bridge.local.plan.model import EventInvokeConfig, Function
from lattice_bridge.local.web.printable import printable

Condition = Literal["Success", "RetriesExhausted", "EventAgeExceeded"]
Invoke = Callable[[InvokeRequest], Awaitable[InvocationResult | None]]
Find = Callable[[str, str | None], tuple[Function, str]]

RETRY_SECONDS: Final = 60.0
"""The pause before the second try of a function that failed. The pause before the third is twice as long."""
MOST_BACK_OFF: Final = 300.0
"""The longest pause after a throttle or a service error, in seconds."""
MEMORY: Final = 256 * 1024 * 1024
"""Bytes of all events that wait or run, by the measure of `_OVERHEAD`."""
RUNNING: Final = 8
"""Events of one function that run at the same time. So the slow events of one function delay no other's."""

_OVERHEAD: Final = 8 * 1024
"""Bytes of memory that an event takes beside its payload."""
LATEST: Final = "$LATEST"
"""The qualifier of an invocation that names none, and the version that runs here for each alias."""
_DETAIL_TYPES: Final = "Lambda Function Invocation Result - "
_MOST_MESSAGE: Final = 1024
"""Bytes of an error's message in a dead letter, as documented."""

_logger: Final = logging.getLogger(__name__)


@dataclass(slots=True)
class Event:
    """An accepted event.

    Attributes:
        request: with the same request id, tenant and trace in each try.
        arn: of the function, with the qualifier; `$LATEST` if the request names none.
        accepted: seconds since the epoch.
        runs: how often the function has run it.
        refusals: throttles and service errors since it ran last.
        result: of the last try; None if the function did not run.
        error: why the last try was refused; None if the function has run.
    """

    request: InvokeRequest
    arn: str
    accepted: float
    runs: int = 0
    refusals: int = 0
    result: InvocationResult | None = None
    error: LambdaError | None = None

    @property
    def name(self) -> str:
        """The function's name, with the alias or version that the request names."""
        return self.arn.partition(":function:")[2].removesuffix(f":{LATEST}")

    @property
    def failure(self) -> str:
        """Why the last try failed, in one line; empty if it succeeded or if there was none."""
        if self.error is not None:
            return printable(str(self.error))
        if self.result is None or self.result.error is None:
            return ""
        return self.result.description or "the function failed without a message"

    @property
    def size(self) -> int:
        """Bytes of memory that it takes."""
        return len(self.request.payload) + _OVERHEAD


def next_step(event: Event, config: EventInvokeConfig, now: float, retry_seconds: float) -> float | Condition:
    """What follows a try: the seconds until the next one, or how the event has ended.

    Args:
        event: after the try.
        config: of the function.
        now: seconds since the epoch.
        retry_seconds: the pause before the second try of a function that failed.
    """
    if event.error is not None:
        if event.error.status < 500 and event.error.status != 429:
            return "RetriesExhausted"
        pause = float(min(MOST_BACK_OFF, 2 ** (event.refusals - 1)))
    elif not event.failure:
        return "Success"
    elif event.runs > config.retries:
        return "RetriesExhausted"
    else:
        pause = retry_seconds * event.runs
    return "EventAgeExceeded" if now + pause - event.accepted > config.max_age else pause


@dataclass(frozen=True, slots=True)
class Ended:
    """An event that has ended, as its destination and its dead-letter queue receive it.

    Attributes:
        event: that ended.
        condition: how it ended.
        time: seconds since the epoch.
    """

    event: Event
    condition: Condition
    time: float

    @property
    def record(self) -> str:
        """The record as JSON. The payloads are in it as they were sent: a number of theirs keeps its digits."""
        event, result = self.event, self.event.result
        context = {
            "requestId": event.request.request_id,
            "functionArn": event.arn,
            "condition": self.condition,
            "approximateInvokeCount": event.runs,
        }
        members = {
            "version": '"1.0"',
            "timestamp": json.dumps(_timestamp(self.time)),
            "requestContext": json.dumps(context),
            "requestPayload": _as_json(event.request.payload or b"{}"),
        }
        if result is not None:
            error = {} if result.error is None else {"functionError": result.error}
            response = {"statusCode": 200, "executedVersion": LATEST, **error}
            members |= {"responseContext": json.dumps(response), "responsePayload": _as_json(result.payload or b"null")}
        return "{" + ", ".join(f'"{name}": {value}' for name, value in members.items()) + "}"

    @property
    def detail_type(self) -> str:
        """The detail type of the record on an event bus."""
        return f"{_DETAIL_TYPES}{'Success' if self.condition == 'Success' else 'Failure'}"

    @property
    def error_code(self) -> int:
        """The HTTP status of the last try: that of a function's error is 200."""
        return 200 if self.event.error is None else self.event.error.status

    @property
    def error_message(self) -> str:
        """The beginning of the error's message, without control characters."""
        event = self.event
        message = str(event.error) if event.error else event.result.error_type_and_message()[1] if event.result else ""
        return printable(message, keep="\t\n").encode()[:_MOST_MESSAGE].decode("utf-8", "ignore")


def _timestamp(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _as_json(payload: bytes) -> str:
    """A payload as it is; as a string if it is not JSON, such as the NaN of a Python function."""
    try:
        parse_payload(payload, "RequestResponse")
    except LambdaError:
        return json.dumps(payload.decode("utf-8", "replace"))
    return payload.decode()


class Undelivered(Exception):
    """A destination does not take a record. The message contains the reason."""


class Destinations(Protocol):
    """Takes events that have ended."""

    async def send(self, arn: str, ended: Ended) -> None:
        """Sends the record of an event to a destination.

        Raises:
            Undelivered: the destination does not take it.
        """

    async def keep(self, arn: str, ended: Ended) -> None:
        """Sends an event to a dead-letter queue.

        Raises:
            Undelivered: the queue does not take it.
        """


@dataclass(frozen=True, slots=True)
class Delivery:
    """The end of an event at one destination.

    Attributes:
        arn: of the destination, or of the dead-letter queue.
        fault: why it does not have it; empty if it does.
    """

    arn: str
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Try:
    """A try to run an event, for the log.

    Attributes:
        function: its name, with the alias if the invocation names one.
        tenant: of the invocation; empty without one.
        request_id: of the invocation.
        number: 1 for the first. A try that was refused has the number of the next.
        most: the highest number that the function's configuration allows.
        milliseconds: that it took.
        error: why it failed; empty if it succeeded.
        pause: seconds until the next try; None if the event has ended.
        condition: how the event has ended; empty if it has not.
        deliveries: where its record went.
    """

    function: str
    tenant: str
    request_id: str
    number: int
    most: int
    milliseconds: float
    error: str = ""
    pause: float | None = None
    condition: Condition | Literal[""] = ""
    deliveries: tuple[Delivery, ...] = ()

    @property
    def is_lost(self) -> bool:
        """Whether the event failed, and nothing has it."""
        failed = self.condition not in ("", "Success")
        return failed and all(delivery.fault for delivery in self.deliveries)

    @property
    def has_fault(self) -> bool:
        """Whether a destination does not have the record."""
        return any(delivery.fault for delivery in self.deliveries)


class Observer(Protocol):
    """Takes each try, when it has ended."""

    def tried(self, one: Try) -> None: ...


class AsyncInvokes:
    """The queue of a stack.

    Args:
        find: finds a function by its name and a qualifier.
        invoke: runs an invocation, and waits for its end.
        destinations: take the events that have ended.
        now: seconds since the epoch.
        observer: takes each try.
        retry_seconds: the pause before the second try of a function that failed.
        memory: bytes of all events.
    """

    def __init__(
        self,
        find: Find,
        invoke: Invoke,
        destinations: Destinations,
        now: Callable[[], float],
        observer: Observer,
        *,
        retry_seconds: float = RETRY_SECONDS,
        memory: int = MEMORY,
    ) -> None:
        self._find = find
        self._invoke = invoke
        self._destinations = destinations
        self._now = now
        self._observer = observer
        self._retry_seconds = retry_seconds
        self._memory = memory
        self._used = 0
        self._tasks: dict[asyncio.Task[None], Event] = {}
        self._slots: dict[str, asyncio.Semaphore] = defaultdict(lambda: asyncio.Semaphore(RUNNING))
        self._closed = False

    def accept(self, request: InvokeRequest, arn: str) -> None:
        """Accepts an invocation that Lambda has checked. Its client context is dropped, as Lambda does.

        Args:
            request: of the invocation.
            arn: of the function, with the qualifier that the request names.

        Raises:
            LambdaError: 429, the events that wait take all the memory that the stack gives them.
        """
        trace = request.trace_id or new_trace_id()
        kept = replace(request, type="RequestResponse", client_context=None, trace_id=trace)
        event = Event(kept, arn if _qualifier(arn) else f"{arn}:{LATEST}", self._now())
        if self._closed:
            raise throttled("the stack stops")
        if self._used + event.size > self._memory:
            raise throttled(
                f"{len(self._tasks)} asynchronous invocations are waiting, and take {self._memory // 1024**2} MiB. "
                "Fix: wait until some have ended, or lower MaximumEventAgeInSeconds"
            )
        self._used += event.size
        task = asyncio.create_task(self._live(event))
        self._tasks[task] = event
        task.add_done_callback(self._forget)

    def _forget(self, task: asyncio.Task[None]) -> None:
        self._used -= self._tasks.pop(task).size

    async def close(self) -> None:
        """Ends all events, as the stack stops, and logs how many are lost."""
        names = Counter(event.name for event in self._tasks.values())
        if count := names.total():
            lost = "1 asynchronous invocation is" if count == 1 else f"{count} asynchronous invocations are"
            of = ", ".join(f"{number} of {name}" for name, number in sorted(names.items()))
            _logger.warning("%s lost, because the stack stops: %s", lost, of)
        self._closed, tasks = True, [*self._tasks]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # ---- one event --------------------------------------------------------------------------------------------------

    async def _live(self, event: Event) -> None:
        """Runs an event until it ends."""
        pause: float | None = 0.0
        while pause is not None:
            await asyncio.sleep(pause)
            async with self._slots[event.name.partition(":")[0]]:
                pause = await self._try(event)

    async def _try(self, event: Event) -> float | None:
        """Tries to run an event. Returns the seconds until the next try; None if it has ended."""
        began, function = self._now(), self._function(event)
        # Of now: a change of the template applies to the events that wait.
        config = _DEFAULT if function is None else function.invoke_configs.get(_qualifier(event.arn), _DEFAULT)
        number = event.runs + 1
        step: float | Condition = "EventAgeExceeded"
        if began - event.accepted <= config.max_age:
            await self._run(event)
            step = next_step(event, config, self._now(), self._retry_seconds)
        one = Try(
            event.name,
            event.request.tenant or "",
            event.request.request_id,
            number,
            max(number, config.retries + 1),
            (self._now() - began) * 1000,
            event.failure,
        )
        if not isinstance(step, str):
            self._observer.tried(replace(one, pause=step))
            event.result = None  # it may have six megabytes
            return step
        dead_letters = "" if function is None else function.dead_letters
        deliveries = await self._delivered(Ended(event, step, self._now()), config, dead_letters)
        self._observer.tried(replace(one, condition=step, deliveries=deliveries))
        return None

    async def _run(self, event: Event) -> None:
        try:
            event.result, event.error = await self._invoke(event.request), None
        except LambdaError as error:
            event.error = error
        except Exception as error:  # one event must not end without a line
            _logger.warning("%s: %s: %s", event.name, type(error).__name__, error)
            event.error = LambdaError(500, "ServiceException", type(error).__name__)
        event.runs += event.error is None
        event.refusals = 0 if event.error is None else event.refusals + 1

    async def _delivered(self, ended: Ended, config: EventInvokeConfig, dead_letters: str) -> tuple[Delivery, ...]:
        """Sends an event that has ended to the destinations that want it."""
        succeeded = ended.condition == "Success"
        sending = [(config.on_success if succeeded else config.on_failure, self._destinations.send)]
        sending += [] if succeeded else [(dead_letters, self._destinations.keep)]
        found = []
        for target, send in sending:
            if target:
                try:
                    await send(target, ended)
                    found.append(Delivery(target))
                except Undelivered as error:
                    found.append(Delivery(target, printable(str(error))))
        return tuple(found)

    def _function(self, event: Event) -> Function | None:
        """The function of an event; None if the template no longer has it."""
        try:
            return self._find(event.request.function, event.request.qualifier)[0]
        except LambdaError:
            return None


_DEFAULT: Final = EventInvokeConfig()


def _qualifier(arn: str) -> str:
    """The qualifier in the ARN of a function; empty if it has none."""
    return arn.partition(":function:")[2].partition(":")[2]
