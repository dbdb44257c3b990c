"""What Lambda does with an invocation before and after a function runs.

Rule: the same for everybody who invokes: the front, the bridge through its SDK, a person with the AWS CLI.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, NoReturn

from lattice_bridge.deployment.cloudformation.values import ACCOUNT
from lattice_bridge.formats.assumptions import ASYNC_RETRY_SECONDS
from lattice_bridge.formats.payload import ASYNC_LIMIT, SYNC_LIMIT
from lattice_bridge.local.console import Console
from lattice_bridge.local.environments.environment import Outcome
from lattice_bridge.local.environments.import_advice import IMPORT_ERROR, import_advice
from lattice_bridge.local.environments.pool import Environments, QuotaReached
from lattice_bridge.local.environments.runtime_api import Invocation
from lattice_bridge.local.environments.tenancy import tenancy_fault
from lattice_bridge.local.plan.plan import Function

InvocationType = Literal["RequestResponse", "Event", "DryRun"]

QUEUE_LIMIT: Final = 1000
WORKERS: Final = 8

_NAME: Final = re.compile(
    r"(?:arn:aws[a-zA-Z-]*:lambda:)?(?:(?P<region>[a-z]{2}(?:-[a-z]+)+-[0-9]):)?(?:(?P<account>[0-9]{12}):)?"
    r"(?:function:)?(?P<name>[a-zA-Z0-9_-]{1,64})(?::(?P<qualifier>\$LATEST|[a-zA-Z0-9_-]+))?"
)


class LambdaError(Exception):
    """An invocation that Lambda refuses.

    Attributes:
        status: of the HTTP answer.
        code: `X-Amzn-ErrorType`.
        reason: of a throttle, or None.
    """

    def __init__(self, status: int, code: str, message: str, reason: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Order:
    """A request to invoke.

    Attributes:
        function: name, partial ARN or ARN, with an optional qualifier.
        payload: JSON; empty is `{}`.
        type: as in `X-Amz-Invocation-Type`.
        tenant: as sent, or None.
        qualifier: from the query, or None.
        trace_id, client_context: passed on to the function.
    """

    function: str
    payload: bytes
    type: InvocationType = "RequestResponse"
    tenant: str | None = None
    qualifier: str | None = None
    trace_id: str | None = None
    client_context: str | None = None


class LambdaService:
    """Invokes the functions of a plan."""

    def __init__(
        self, functions: Mapping[str, Function], region: str, environments: Environments, console: Console
    ) -> None:
        self._functions = functions
        self._region = region
        self._environments = environments
        self._console = console
        self._advice: dict[str, str] = {}
        self._queue: asyncio.Queue[tuple[Function, Order, str]] = asyncio.Queue(QUEUE_LIMIT)

    async def invoke(self, order: Order) -> Outcome | None:
        """Runs or queues an invocation; None if there is nothing to wait for.

        Raises:
            LambdaError: refused.
        """
        function, arn = self._resolve(order)
        if fault := tenancy_fault(function.isolated, order.tenant):
            raise LambdaError(400, *fault)
        _check_payload(order)
        if order.type == "DryRun":
            return None
        if order.type == "Event":
            self._enqueue(function, order, arn)
            return None
        return await self._run(function, order, arn)

    async def work(self) -> None:
        """Takes queued invocations, until cancelled."""
        async with asyncio.TaskGroup() as workers:
            for _ in range(WORKERS):
                workers.create_task(self._worker())

    def _resolve(self, order: Order) -> tuple[Function, str]:
        match = _NAME.fullmatch(order.function)
        if match is None:
            raise LambdaError(400, "ValidationException", f"{order.function!r} is not a function name or ARN")
        function = self._functions.get(match["name"])
        elsewhere = match["region"] not in (None, self._region) or match["account"] not in (None, ACCOUNT)
        arn = f"arn:aws:lambda:{self._region}:{ACCOUNT}:function:{match['name']}"
        if function is None or elsewhere:
            raise LambdaError(404, "ResourceNotFoundException", f"Function not found: {arn}")
        if None not in (match["qualifier"], order.qualifier) and match["qualifier"] != order.qualifier:
            message = "The derived qualifier from the function name does not match the specified qualifier."
            raise LambdaError(400, "InvalidParameterValueException", message)
        qualifier = match["qualifier"] or order.qualifier
        if qualifier not in (None, "$LATEST", *function.aliases):
            raise LambdaError(404, "ResourceNotFoundException", f"Function not found: {arn}:{qualifier}")
        return function, f"{arn}:{qualifier}" if qualifier else arn

    def _enqueue(self, function: Function, order: Order, arn: str) -> None:
        try:
            self._queue.put_nowait((function, order, arn))
        except asyncio.QueueFull:
            raise _throttled(f"{QUEUE_LIMIT} asynchronous invocations are waiting") from None

    async def _worker(self) -> None:
        while True:
            function, order, arn = await self._queue.get()
            for pause in (*ASYNC_RETRY_SECONDS, None):
                if await self._succeeds(function, order, arn):
                    break
                if pause is None:
                    self._console.warn(f"{function.name}: asynchronous invocation dropped after three tries")
                    break
                await asyncio.sleep(pause)

    async def _succeeds(self, function: Function, order: Order, arn: str) -> bool:
        try:
            return (await self._run(function, order, arn)).error is None
        except LambdaError:
            return False
        except Exception as error:  # a worker outlives whatever one invocation does
            self._console.warn(f"{function.name}: {type(error).__name__}: {error}")
            return False

    def report_waiting(self) -> None:
        """Says what was accepted and will not be done, when the stack stops."""
        if count := self._queue.qsize():
            self._console.warn(f"{count} asynchronous invocations were accepted and not run")

    async def _run(self, function: Function, order: Order, arn: str) -> Outcome:
        invocation = Invocation(
            request_id=str(uuid.uuid4()),
            payload=order.payload or b"{}",
            arn=arn,
            tenant=order.tenant,
            trace_id=order.trace_id or _new_trace_id(),
            client_context=order.client_context,
        )
        try:
            outcome = await self._environments.run(function, invocation)
        except QuotaReached as error:
            raise _throttled(str(error)) from error
        except (OSError, ValueError) as error:  # its folder is gone, or a variable cannot be one
            self._console.warn(f"{function.name}: cannot be started: {error}")
            raise LambdaError(500, "ServiceException", "The function's process cannot be started.") from error
        if outcome.error is not None:
            self._advise(function, outcome)
        return outcome

    def _advise(self, function: Function, outcome: Outcome) -> None:
        """Once for each function, until something else is wrong with it."""
        kind, message = outcome.error_type_and_message()
        advice = import_advice(function, message) if kind == IMPORT_ERROR else None
        if advice is not None and self._advice.get(function.name) != advice:
            self._advice[function.name] = advice
            self._console.warn(advice)


def _throttled(message: str) -> LambdaError:
    return LambdaError(
        429, "TooManyRequestsException", f"Rate Exceeded: {message}", "ConcurrentInvocationLimitExceeded"
    )


def _check_payload(order: Order) -> None:
    limit = ASYNC_LIMIT if order.type == "Event" else SYNC_LIMIT
    if len(order.payload) > limit:
        message = f"Request must be smaller than {limit} bytes for the InvokeFunction operation"
        raise LambdaError(413, "RequestTooLargeException", message)
    try:
        json.loads((order.payload or b"{}").decode("utf-8"), parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        message = f"Could not parse request body into json: {type(error).__name__}"
        raise LambdaError(400, "InvalidRequestContentException", message) from error


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _new_trace_id() -> str:
    """As Lambda makes one when the caller has none: `Root=1-SECONDS-96 bits`, not sampled."""
    return f"Root=1-{int(time.time()):08x}-{uuid.uuid4().hex[:24]};Parent={uuid.uuid4().hex[:16]};Sampled=0"
