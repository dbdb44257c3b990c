"""One Lambda Invoke.

Rule: the only room that talks to Lambda, and the last door for a tenant id. A request that may have run is never sent
again: botocore on its own repeats a synchronous invocation after a read timeout, and the backend then runs twice.
"""

from __future__ import annotations

import json
import math
import random
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

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
    from lattice_bridge.backend import Invocation

CONNECT_TIMEOUT: Final = 2.0
RETRY_PAUSES: Final = (0.1, 0.3)
MAX_CONNECTIONS: Final = 64

SHORTEST: Final = 0.25
_TYPES: Final[Mapping[str, str]] = {"sync": "RequestResponse", "async": "Event"}
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


class LambdaClient(Protocol):
    """What is used of boto3's Lambda client."""

    meta: Any

    def invoke(self, **arguments: Any) -> Mapping[str, Any]: ...


class Boto3Invoker:
    """Invokes through boto3.

    boto3 sets its read timeout per client, not per call, so there is a client per timeout: the backends' own, and whole
    seconds below them for a bridge that is short of time. Clients may be used by several threads; making one may not.

    Args:
        connect: a client for a read timeout in seconds.
        clock: monotonic seconds.
        pause: waits for some seconds.
    """

    def __init__(
        self,
        connect: Callable[[float], LambdaClient],
        *,
        clock: Callable[[], float] = time.monotonic,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._connect = connect
        self._clock = clock
        self._pause = pause
        self._clients: dict[float, LambdaClient] = {}
        self._lock = threading.Lock()

    def __call__(self, call: Call) -> bytes:
        """The function's answer, read to its end.

        Raises:
            BridgeError: see `errors`; `connection_lost` and `backend_timeout` leave open whether the function ran.
        """
        arguments = _arguments(call)
        deadline = self._clock() + call.left
        pauses = iter(RETRY_PAUSES)
        while True:
            client = self.client_for(time_for(call.timeout, deadline - self._clock()))
            try:
                return _read(client.invoke(**arguments), call)
            except BridgeError:
                raise  # the function ran: its answer was read
            except Exception as error:
                refusal = refusal_for(error)
                pause = next(pauses, None)
                if pause is None or not self._may_retry(refusal, pause, deadline):
                    raise refusal from error
            self._pause(pause * random.uniform(0.5, 1.0))  # noqa: S311 - jitter, not a secret

    def client_for(self, timeout: float) -> LambdaClient:
        """The client with this read timeout, made once. Called at init as well, where Lambda gives a whole core."""
        client = self._clients.get(timeout)
        if client is None:
            with self._lock:
                client = self._clients.get(timeout) or self._connect(timeout)
                self._clients[timeout] = client
        return client

    def _may_retry(self, refusal: BridgeError, pause: float, deadline: float) -> bool:
        """Only what provably did not run, only if Lambda does not ask for a longer pause, only within the deadline."""
        return (
            isinstance(refusal, DidNotRun)
            and (refusal.asked or 0) <= pause
            and self._clock() + pause + SHORTEST + connect_time(SHORTEST) < deadline
        )


class DidNotRun(Unavailable):
    """Refused before the function was started: safe to send again.

    Attributes:
        asked: the seconds that Lambda asked to wait, or None. The caller is told a second where Lambda said nothing.
    """

    def __init__(self, reason: str, detail: str, *, asked: int | None = None) -> None:
        super().__init__(reason, detail, retry_after=1 if asked is None else asked)
        self.asked = asked


def connect_time(read: float) -> float:
    """Seconds to connect in, beside a read timeout: two, or a quarter of a short one. Counts for each address tried."""
    return min(CONNECT_TIMEOUT, read / 4)


def time_for(timeout: float, left: float) -> float:
    """The read timeout to use, so that connecting and reading together end in time.

    The backend's own if it fits, otherwise the most whole seconds that do, or a half or quarter of one: few values,
    since each is a client.

    Raises:
        TimedOut: less is left than any invocation takes.
    """
    most = max(left - CONNECT_TIMEOUT, left * 0.8)  # the read timeout whose connect time fills what is left
    if timeout <= most:
        return timeout
    fitting = float(math.floor(most)) or next((part for part in (0.5, SHORTEST) if part <= most), 0.0)
    if fitting <= 0:
        raise TimedOut("no_time_left", f"{max(left, 0):.3f} s are left of the bridge's own time; nothing was invoked")
    return fitting


def connect_boto3(region: str | None = None) -> Callable[[float], LambdaClient]:
    """Makes boto3 clients that send a request once and wait as long as they are told.

    Raises:
        Misconfigured: this boto3 is too old to send a tenant id.
    """
    import boto3  # here, since a start without boto3 costs a fifth of one with it
    from botocore.config import Config

    session = boto3.session.Session(region_name=region)

    def connect(read_timeout: float) -> LambdaClient:
        config = Config(
            connect_timeout=connect_time(read_timeout),
            read_timeout=read_timeout,
            retries={"total_max_attempts": 1, "mode": "standard"},
            tcp_keepalive=True,
            max_pool_connections=MAX_CONNECTIONS,
        )
        client: LambdaClient = session.client("lambda", config=config)
        check_knows_tenants(client.meta.service_model.operation_model("Invoke").input_shape.members, boto3.__version__)
        return client

    return connect


def check_knows_tenants(members: Mapping[str, object], version: str) -> None:
    """Looks for `TenantId` among the parameters of boto3's Invoke.

    Raises:
        Misconfigured: boto3's Invoke has no `TenantId`; it would refuse each request, or worse, drop it.
    """
    if "TenantId" not in members:
        raise Misconfigured(
            "boto3_too_old",
            f"boto3 {version} cannot send a tenant id; package boto3 1.41 or later with the function "
            "(the one that Lambda's runtime brings may be older)",
        )


def _arguments(call: Call) -> dict[str, Any]:
    arguments: dict[str, Any] = {
        "FunctionName": call.function,
        "InvocationType": _TYPES[call.invocation],
        "Payload": call.payload,
    }
    if call.tenant is not None:
        # boto3 checks nothing of it: blanks at the ends vanish on the wire, and " blue" would become blue.
        if not is_tenant_id(call.tenant):
            raise Misconfigured("tenant_id_rejected", "the decided tenant is not a tenant id; nothing was invoked")
        arguments["TenantId"] = call.tenant
    return arguments


def _read(response: Mapping[str, Any], call: Call) -> bytes:
    with closing(response["Payload"]) as stream:
        payload = bytes(stream.read())  # to its end, so that the connection carries nothing over to the next request
    if "FunctionError" in response:  # by its presence: a payload that looks like an error may be an answer
        raise _function_error(payload)
    if call.invocation == "async":
        return b""
    return payload


def _function_error(payload: bytes) -> BridgeError:
    """The error's type goes to the log; its message may hold anything, and goes nowhere."""
    try:
        answer = json.loads(payload)
        kind = answer.get("errorType")
    except (ValueError, AttributeError, RecursionError):
        kind = None
    if kind == "Sandbox.Timedout":  # Lambda's own word for a function that ran past its timeout
        return TimedOut("backend_timeout", "the function ran into its own timeout")
    return BackendFailed("backend_raised", f"errorType {kind[:128]}" if isinstance(kind, str) else "no errorType")


# ---- what boto3 raises ----------------------------------------------------------------------------------------------

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


def refusal_for(error: Exception) -> BridgeError:
    """What an exception out of boto3 means for the caller."""
    from botocore import exceptions as boto

    if isinstance(error, boto.ClientError):
        return _refusal_for_answer(error.response)
    if isinstance(error, boto.ReadTimeoutError):
        return TimedOut("backend_timeout", "no answer within the read timeout; the function may have run")
    if isinstance(error, (boto.ConnectTimeoutError, boto.EndpointConnectionError, boto.ProxyConnectionError)):
        return DidNotRun("unreachable", f"no connection to Lambda: {type(error).__name__}")
    if isinstance(error, (boto.NoCredentialsError, boto.PartialCredentialsError, boto.CredentialRetrievalError)):
        return Misconfigured("access_denied", f"no credentials to sign with: {type(error).__name__}")
    if isinstance(error, (boto.HTTPClientError, boto.ResponseStreamingError, boto.IncompleteReadError, OSError)):
        return BackendFailed("connection_lost", f"{type(error).__name__}; the function may have run")
    return Misconfigured("invoke_rejected", f"boto3 raised {type(error).__name__}")


def _refusal_for_answer(response: Mapping[str, Any]) -> BridgeError:
    error, meta = response.get("Error", {}), response.get("ResponseMetadata", {})
    code, message, status = str(error.get("Code", "")), str(error.get("Message", "")), meta.get("HTTPStatusCode", 0)
    detail = f"Lambda answered {status} {code}"
    if status == 429:
        detail += f", reason {response.get('Reason', 'not given')}"
        return DidNotRun("throttled", detail, asked=_retry_after(meta.get("HTTPHeaders", {})))
    if code in _BY_CODE:
        refusal, reason = _BY_CODE[code]
        return refusal(reason, detail)
    if code == "InvalidParameterValueException" and "tenant" in message.lower():
        return Misconfigured("tenancy_mismatch", f"{detail}; compare `isolated` with the function's TenancyConfig")
    if code.startswith(("KMS", "Invalid")):  # 502 to Lambda, but nothing gets better by waiting
        return Misconfigured("invoke_rejected", detail)
    if status >= 500 or status == 409:  # 409: the function is being changed or not yet active
        return Unavailable("unreachable", detail, retry_after=1)
    return Misconfigured("invoke_rejected", detail)


def _retry_after(headers: Mapping[str, str]) -> int | None:
    """The seconds that were asked for; a date, which RFC 9110 also allows and Lambda does not send, is not read."""
    value = headers.get("retry-after", "")
    return min(int(value[:9]), _MAX_RETRY_AFTER) if value.isascii() and value.isdigit() else None
