"""Lambda's invoke service: checks an invocation, and runs it or passes it to the queue of asynchronous ones.

Rule: every invoker gets the same treatment: the front, the bridge through its SDK, a person with the AWS CLI.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from lattice_bridge.deployment.cloudformation.values import ACCOUNT
from lattice_bridge.local.aws.invoke_checks import (
    InvocationType,
    LambdaError,
    check_tenant,
    chosen_qualifier,
    parse_function_name,
    parse_payload,
)
from lattice_bridge.local.code.import_advice import import_advice
from lattice_bridge.local.environments.environment import InvocationResult
from lattice_bridge.local.environments.external import ExternalFunctions, Unreachable
from lattice_bridge.local.environments.pool import EnvironmentPool, QuotaReached
from lattice_bridge.local.environments.runtime_api import Invocation
from lattice_bridge.local.plan.model import Function

_logger: Final = logging.getLogger(__name__)


def new_request_id() -> str:
    """Makes a request id as Lambda does: a random UUID. The module `uuid` takes three times as long."""
    digits = os.urandom(16).hex()
    variant = "89ab"[int(digits[16], 16) & 3]  # RFC 9562 §4.1
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:]}"


def new_trace_id() -> str:
    """Makes a trace id as Lambda does for a caller without one: `Root=1-SECONDS-96 bits`, not sampled."""
    digits = os.urandom(20).hex()
    return f"Root=1-{int(time.time()):08x}-{digits[:24]};Parent={digits[24:]};Sampled=0"


@dataclass(frozen=True, slots=True)
class InvokeRequest:
    """A request to invoke a function.

    Attributes:
        function: name, partial ARN or ARN, with an optional qualifier.
        payload: JSON; empty is `{}`.
        type: as in `X-Amz-Invocation-Type`.
        tenant: as sent, or None.
        qualifier: from the query, or None.
        trace_id, client_context: passed on to the function.
        request_id: a UUID, which the function and its log receive too, also with each retry.
    """

    function: str
    payload: bytes
    type: InvocationType = "RequestResponse"
    tenant: str | None = None
    qualifier: str | None = None
    trace_id: str | None = None
    client_context: str | None = None
    request_id: str = field(default_factory=new_request_id)


def find_function(
    text: str, functions: Mapping[str, Function], region: str, qualifier: str | None = None
) -> tuple[Function, str]:
    """Returns the function that an Invoke names, and its ARN with the qualifier.

    Args:
        text: name, partial ARN or ARN, with an optional qualifier.
        functions: of the stack, by name.
        region: of the stack.
        qualifier: from the query, or None.

    Raises:
        LambdaError: 400, malformed; 404, the stack does not have the function, or the function not this qualifier.
    """
    name = parse_function_name(text)
    function = functions.get(name.name)
    elsewhere = name.region not in (None, region) or name.account not in (None, ACCOUNT)
    arn = f"arn:aws:lambda:{region}:{ACCOUNT}:function:{name.name}"
    if function is None or elsewhere:
        raise LambdaError(404, "ResourceNotFoundException", f"Function not found: {arn}")
    chosen = chosen_qualifier(name, qualifier)
    if chosen not in (None, "$LATEST", *function.aliases):
        raise LambdaError(404, "ResourceNotFoundException", f"Function not found: {arn}:{chosen}")
    return function, f"{arn}:{chosen}" if chosen else arn


class InvokeObserver:
    """Receives what happens to invocations, of every invoker. This one ignores it."""

    def invocation_began(self, function: Function, request: InvokeRequest) -> None:
        """A function is about to run, or to be queued. It is called again for each try of a queued invocation."""

    def invocation_ended(self, request: InvokeRequest, result: InvocationResult) -> None:
        """A function has run."""

    def invocation_refused(self, request: InvokeRequest, error: LambdaError) -> None:
        """Lambda has refused an invocation, before or after it has begun."""


class LambdaService:
    """Invokes the functions of a plan.

    Args:
        functions: by name. Others may be set; an invocation that has begun ends with the function that it found.
        region: of the stack.
        environments: run the invocations.
        external: run those of functions that have a URL.
        observer: receives each invocation.

    Attributes:
        accept: queues an asynchronous invocation of a function's ARN. The stack sets it, since the queue itself invokes
            through this service.
    """

    def __init__(
        self,
        functions: Mapping[str, Function],
        region: str,
        environments: EnvironmentPool,
        external: ExternalFunctions,
        observer: InvokeObserver,
    ) -> None:
        self.functions = functions
        self._region = region
        self._environments = environments
        self._external = external
        self._observer = observer
        self._advice: dict[str, str] = {}
        self.accept: Callable[[InvokeRequest, str], None] = _not_queued

    def find(self, text: str, qualifier: str | None = None) -> tuple[Function, str]:
        """Returns the function that a request names, and its ARN; see `find_function`.

        Raises:
            LambdaError: 400 or 404.
        """
        return find_function(text, self.functions, self._region, qualifier)

    async def invoke(self, request: InvokeRequest) -> InvocationResult | None:
        """Runs or queues an invocation. Returns None for a queued invocation and for a dry run.

        Raises:
            LambdaError: Lambda refuses the invocation.
        """
        try:
            result = await self._invoke(request)
        except LambdaError as error:
            self._observer.invocation_refused(request, error)
            raise
        if result is not None:
            self._observer.invocation_ended(request, result)
        return result

    async def _invoke(self, request: InvokeRequest) -> InvocationResult | None:
        function, arn = self.find(request.function, request.qualifier)
        check_tenant(function.isolated, request.tenant)
        parse_payload(request.payload, request.type)
        if request.type == "DryRun":
            return None
        self._observer.invocation_began(function, request)
        if request.type == "Event":
            self.accept(request, arn)
            return None
        return await self._run(function, request, arn)

    async def _run(self, function: Function, request: InvokeRequest, arn: str) -> InvocationResult:
        invocation = Invocation(
            request_id=request.request_id,
            payload=request.payload or b"{}",
            arn=arn,
            tenant=request.tenant,
            trace_id=request.trace_id or new_trace_id(),
            client_context=request.client_context,
        )
        try:
            runs = self._external if function.runner == "url" else self._environments
            result = await runs.run(function, invocation)
        except QuotaReached as error:
            raise throttled(str(error)) from error
        except Unreachable as error:
            _logger.warning("%s: %s", function.name, error)
            raise LambdaError(502, "ServiceException", "The function does not answer at its URL.") from error
        except (OSError, ValueError) as error:  # its folder is gone, or a variable contains a null character
            _logger.warning("%s: cannot be started: %s", function.name, error)
            raise LambdaError(500, "ServiceException", "The function's process cannot be started.") from error
        if result.error is not None:
            self._advise(function, result)
        return result

    def _advise(self, function: Function, result: InvocationResult) -> None:
        """Logs advice once for each function, and again if it changes."""
        advice = import_advice(function, *result.error_type_and_message())
        if advice is not None and self._advice.get(function.name) != advice:
            self._advice[function.name] = advice
            _logger.warning("%s", advice)


def throttled(message: str) -> LambdaError:
    """The error for an invocation that Lambda throttles."""
    return LambdaError(
        429, "TooManyRequestsException", f"Rate Exceeded: {message}", "ConcurrentInvocationLimitExceeded"
    )


def _not_queued(_request: InvokeRequest, _arn: str) -> None:
    raise LambdaError(500, "ServiceException", "this stack has no queue of asynchronous invocations")
