"""One Lambda Invoke: what is asked, what Lambda's answers mean, and what may be sent again.

Rule: the same for every invoker, and the last door for a tenant id. A request that may have run is never sent again:
only `DidNotRun` is, and only what provably did not run is that.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from lattice_bridge.errors import (
    BackendFailed,
    BridgeError,
    LoopDetected,
    Misconfigured,
    TimedOut,
    TooLarge,
    Unavailable,
)
from lattice_bridge.message import is_tenant_id

if TYPE_CHECKING:
    from lattice_bridge.config.backend import Invocation

RETRY_PAUSES: Final = (0.1, 0.3)
SHORTEST: Final = 0.25
"""Seconds below which no invocation is begun."""

TYPES: Final[Mapping[str, str]] = {"sync": "RequestResponse", "async": "Event"}
_MAX_RETRY_AFTER: Final = 3600


@dataclass(frozen=True, slots=True)
class Call:
    """One invocation.

    Attributes:
        function: name or ARN, with an optional `:qualifier`.
        tenant: the tenant id, or None for a function without tenant isolation.
        payload: the event, JSON.
        invocation: `sync` waits for the answer; `async` is accepted at once.
        timeout: seconds the backend may take.
        left: seconds until the bridge must have answered; retries and slow connections count against it.
    """

    function: str
    tenant: str | None
    payload: bytes
    invocation: Invocation
    timeout: float
    left: float


Invoke = Callable[[Call], bytes]
"""The seam: answers with the function's payload (empty when async), or raises a BridgeError."""


class DidNotRun(Unavailable):
    """Refused before the function was started: safe to send again.

    Attributes:
        asked: the seconds that Lambda asked to wait, or None. The caller is told a second where Lambda said nothing.
    """

    def __init__(self, reason: str, detail: str, *, asked: int | None = None) -> None:
        super().__init__(reason, detail, retry_after=1 if asked is None else asked)
        self.asked = asked


class Expired(Misconfigured):
    """Refused before the function was started, because of credentials that were good once."""


def tenant_to_send(call: Call) -> str | None:
    """The last door: the tenant id as it may be sent, or None for a function without tenant isolation.

    Neither boto3 nor HTTP checks anything of it: blanks at the ends vanish on the wire, and " blue" would become blue.

    Raises:
        Misconfigured: `tenant_id_rejected`: it is not a tenant id.
    """
    if call.tenant is not None and not is_tenant_id(call.tenant):
        raise Misconfigured("tenant_id_rejected", "the decided tenant is not a tenant id; nothing was invoked")
    return call.tenant


# ---- what is sent again ---------------------------------------------------------------------------------------------


def persist(
    attempt: Callable[[float], bytes],
    left: float,
    *,
    connecting: float,
    renew: Callable[[], None],
    clock: Callable[[], float] = time.monotonic,
    pause: Callable[[float], None] = time.sleep,
) -> bytes:
    """What the attempt returns; one that raises DidNotRun is made again, after a pause, up to two times; one that
    raises Expired once, with the credentials that there are by then.

    Args:
        attempt: gets the deadline, in seconds of `clock`.
        left: seconds until the deadline.
        connecting: seconds that connecting may take of an attempt in a hurry; without them there is no other attempt.
        renew: forgets the credentials that are remembered.
        clock: monotonic seconds.
        pause: waits for some seconds.

    Raises:
        BridgeError: of the last attempt.
    """
    deadline = clock() + left
    pauses, renewals = iter(RETRY_PAUSES), iter([renew])
    while True:
        try:
            return attempt(deadline)
        except DidNotRun as refusal:
            wait = next(pauses, None)
            if wait is None or (refusal.asked or 0) > wait or clock() + wait + SHORTEST + connecting >= deadline:
                raise
            _pause(wait, pause)
        except Expired:
            renewal = next(renewals, None)
            if renewal is None or clock() + SHORTEST + connecting >= deadline:
                raise
            renewal()


def _pause(wait: float, pause: Callable[[float], None]) -> None:
    import random  # here, since a start does without

    pause(wait * random.uniform(0.5, 1.0))  # noqa: S311 - jitter, not a secret


# ---- what Lambda answers --------------------------------------------------------------------------------------------

_BY_CODE: Final[Mapping[str, tuple[type[BridgeError], str]]] = {
    "ResourceNotFoundException": (Misconfigured, "function_not_found"),
    "AccessDeniedException": (Misconfigured, "access_denied"),
    "UnrecognizedClientException": (Misconfigured, "access_denied"),
    "InvalidSignatureException": (Misconfigured, "access_denied"),
    "ExpiredTokenException": (Misconfigured, "access_denied"),
    "RequestTooLargeException": (TooLarge, "request_too_large"),
    "SerializedRequestEntityTooLargeException": (TooLarge, "request_too_large"),
    "RecursiveInvocationException": (LoopDetected, "loop"),
}

_NOT_RUN: Final = (400, 401, 403)
"""Statuses that say that Lambda looked at the request and ran nothing."""


@dataclass(frozen=True, slots=True)
class Refused:
    """An answer that is an error of Lambda's own, not of the function.

    Attributes:
        status: of HTTP.
        code: the exception's name.
        message: may hold anything, and goes nowhere.
        throttle: Lambda's reason for a throttle, or None.
        retry_after: the header's text, or empty.
    """

    status: int
    code: str = ""
    message: str = ""
    throttle: str | None = None
    retry_after: str = ""


def refusal_for_answer(answer: Refused) -> BridgeError:
    """What an error of Lambda means for the caller."""
    detail = f"Lambda answered {answer.status} {answer.code}"
    if answer.status == 429:
        detail += f", reason {answer.throttle or 'not given'}"
        return DidNotRun("throttled", detail, asked=_seconds(answer.retry_after))
    if answer.code == "ExpiredTokenException" and answer.status in _NOT_RUN:
        return Expired("access_denied", detail)
    if answer.code in _BY_CODE:
        refusal, reason = _BY_CODE[answer.code]
        return refusal(reason, detail)
    if answer.code == "InvalidParameterValueException" and "tenant" in answer.message.lower():
        return Misconfigured("tenancy_mismatch", f"{detail}; compare `isolated` with the function's TenancyConfig")
    if answer.code.startswith(("KMS", "Invalid")):  # 502 to Lambda, but nothing gets better by waiting
        return Misconfigured("invoke_rejected", detail)
    if answer.status >= 500 or answer.status == 409:  # 409: the function is being changed or not yet active
        return Unavailable("unreachable", detail, retry_after=1)
    return Misconfigured("invoke_rejected", detail)


def _seconds(text: str) -> int | None:
    """The seconds that were asked for; a date, which RFC 9110 also allows and Lambda does not send, is not read."""
    return min(int(text[:9]), _MAX_RETRY_AFTER) if text.isascii() and text.isdigit() else None


def function_error(payload: bytes) -> BridgeError:
    """What an answer with `X-Amz-Function-Error` means, whatever the header's value. A payload that looks like an error
    without it may be an answer. The error's type goes to the log; its message may hold anything, and goes nowhere."""
    try:
        answer = json.loads(payload)
        kind = answer.get("errorType")
    except (ValueError, AttributeError, RecursionError):
        kind = None
    if kind == "Sandbox.Timedout":  # Lambda's own word for a function that ran past its timeout
        return TimedOut("backend_timeout", "the function ran into its own timeout")
    return BackendFailed("backend_raised", f"errorType {kind[:128]}" if isinstance(kind, str) else "no errorType")
