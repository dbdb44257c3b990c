"""One Lambda Invoke: the call, and the meaning of Lambda's answers.

Rule: the same for every invoker, and the last check of a tenant id. Only an answer that proves that the function did
not run becomes `DidNotRun`, which may be sent again.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple
from urllib.parse import quote

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

Invocation = Literal["sync", "async"]

INVOCATION_TYPES: Final[Mapping[Invocation, str]] = {"sync": "RequestResponse", "async": "Event"}
"""Lambda's names, as in `x-amz-invocation-type`."""

_MAX_RETRY_AFTER: Final = 3600


def _ignore(_request_id: str) -> None:
    pass


@dataclass(slots=True)
class Call:
    """One invocation. It is not changed; it is not frozen, because that makes it five times as slow to build.

    Attributes:
        function: name or ARN, with an optional `:qualifier`.
        tenant: the tenant id, or None for a function without tenant isolation.
        payload: the event, JSON.
        invocation: `sync` waits for the answer; `async` returns when Lambda has accepted the event.
        timeout: seconds the backend may take.
        left: seconds until the bridge must have answered; retries and slow connections count against it.
        trace: the X-Ray trace header of the event that the call is for, untrusted; None to pass on the bridge's own.
        on_request_id: receives an empty string when an attempt begins, and Lambda's request id when Lambda answers. The
            id is untrusted.
    """

    function: str
    tenant: str | None
    payload: bytes
    invocation: Invocation
    timeout: float
    left: float
    trace: str | None = field(default=None, repr=False)
    on_request_id: Callable[[str], object] = field(default=_ignore, compare=False, repr=False)


Invoke = Callable[[Call], bytes]
"""Runs a call: returns the function's payload (empty when async), or raises a BridgeError."""


class DidNotRun(Unavailable):
    """Refused before the function was started: safe to send again.

    Attributes:
        asked: the seconds that Lambda asked to wait, or None. The caller gets 1 where Lambda asked for none.
    """

    def __init__(self, reason: str, detail: str, *, asked: int | None = None) -> None:
        super().__init__(reason, detail, retry_after=1 if asked is None else asked)
        self.asked = asked


class CredentialsExpired(Misconfigured):
    """Refused before the function was started, because the credentials have expired."""


def checked_tenant(call: Call) -> str | None:
    """The tenant id to send, or None for a function without tenant isolation.

    Neither boto3 nor HTTP checks it: spaces at its ends are lost on the way, and " blue" would become blue.

    Raises:
        Misconfigured: `tenant_id_rejected`: it is not a tenant id.
    """
    if call.tenant is not None and not is_tenant_id(call.tenant):
        raise Misconfigured("tenant_id_rejected", "the decided tenant is not a tenant id; nothing was invoked")
    return call.tenant


# ---- the trace header -----------------------------------------------------------------------------------------------

_TRACE_SAFE: Final = "-=;:+&[]{}\"',"  # botocore's, so that the header is the same
_UNQUOTED: Final = re.compile(rf"[A-Za-z0-9_.~{re.escape(_TRACE_SAFE)}]*")  # most headers; `quote` takes longer
_TRACE: Final = re.compile(r"[A-Za-z]{1,16}=[A-Za-z0-9.:|_/+-]{0,200}(;[A-Za-z]{1,16}=[A-Za-z0-9.:|_/+-]{0,200}){0,7}")
_ROOT: Final = re.compile(r"(^|;)Root=1-[0-9a-f]{8}-[0-9a-f]{24}(;|$)")
_LINEAGE: Final = "Lineage="


def trace_header(given: str | None, environ: Mapping[str, str]) -> str | None:
    """The value of `X-Amzn-Trace-Id` for a call, as it is sent; None for no header.

    A call for a message continues the trace of its sender. The `Lineage` in it is the bridge's own if it has one.
    Lambda counts in it how often a chain of functions came round, and a message that goes round would bring back its
    old count (trap E28).

    Args:
        given: the trace header of the event that the call is for. It is ignored if it is not one: it is the sender's
            word, and becomes a header line.
        environ: of the process.
    """
    own = environ.get("_X_AMZN_TRACE_ID")
    if own and "AWS_LAMBDA_FUNCTION_NAME" not in environ:
        own = None
    if given is None or _TRACE.fullmatch(given) is None or _ROOT.search(given) is None:
        return _quoted(own) if own else None
    lineage = next((part for part in (own or "").split(";") if part.startswith(_LINEAGE)), None)
    parts = given.split(";")
    if lineage is not None:
        parts = [*(part for part in parts if not part.startswith(_LINEAGE)), lineage]
    return _quoted(";".join(parts))


def _quoted(header: str) -> str:
    return header if _UNQUOTED.fullmatch(header) is not None else quote(header, safe=_TRACE_SAFE)


# ---- Lambda's answers -----------------------------------------------------------------------------------------------

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
"""Statuses with which Lambda refuses a request before it runs anything."""


class LambdaError(NamedTuple):
    """An answer that is an error of Lambda itself, not of the function.

    Attributes:
        status: of HTTP.
        code: the exception's name.
        message: untrusted; never logged or returned.
        throttle: Lambda's reason for a throttle, or None.
        retry_after: the header's value, or empty.
    """

    status: int
    code: str = ""
    message: str = ""
    throttle: str | None = None
    retry_after: str = ""


def bridge_error(answer: LambdaError) -> BridgeError:
    """The error that the caller gets for an error of Lambda."""
    detail = f"Lambda answered {answer.status} {answer.code}"
    if answer.status == 429:
        detail += f", reason {answer.throttle or 'not given'}"
        return DidNotRun("throttled", detail, asked=_seconds(answer.retry_after))
    if answer.code == "ExpiredTokenException" and answer.status in _NOT_RUN:
        return CredentialsExpired("access_denied", detail)
    if answer.code in _BY_CODE:
        kind, reason = _BY_CODE[answer.code]
        return kind(reason, detail)
    if answer.code == "InvalidParameterValueException" and "tenant" in answer.message.lower():
        return Misconfigured("tenancy_mismatch", f"{detail}; compare `isolated` with the function's TenancyConfig")
    if answer.code.startswith(("KMS", "Invalid")):  # a status of 502, but no later attempt would succeed
        return Misconfigured("invoke_rejected", detail)
    if answer.status >= 500 or answer.status == 409:  # 409: the function is being changed, or is not yet active
        return Unavailable("unreachable", detail, retry_after=1)
    return Misconfigured("invoke_rejected", detail)


def _seconds(header: str) -> int | None:
    """The seconds of `Retry-After`. RFC 9110 also allows a date; Lambda does not send one, and it is ignored."""
    return min(int(header[:9]), _MAX_RETRY_AFTER) if header.isascii() and header.isdigit() else None


_MAX_BRACKETS: Final = 10_000
"""Opening brackets of an error that is read. Two million in 6 MB take seconds of a processor and 170 MB, while the
records of other tenants wait: a function's code may be one tenant's own."""


def function_error(payload: bytes) -> BridgeError:
    """The error for an answer with `X-Amz-Function-Error`, whatever that header's value is.

    The payload's `errorType` goes to the log. Its message is untrusted, and is neither logged nor returned.
    """
    try:
        is_read = payload.count(b"[") + payload.count(b"{") <= _MAX_BRACKETS
        kind = json.loads(payload).get("errorType") if is_read else None
    except (ValueError, AttributeError, RecursionError):
        kind = None
    if kind == "Sandbox.Timedout":  # Lambda's own error type, for a function that ran past its timeout
        return TimedOut("backend_timeout", "the function ran into its own timeout")
    return BackendFailed("backend_raised", f"errorType {kind[:128]}" if isinstance(kind, str) else "no errorType")
