"""One Lambda Invoke through boto3.

Rule: boto3 is configured to send a request once. By default, botocore repeats a synchronous invocation after a read
timeout, and the backend runs twice.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from typing import Any, Final, Protocol

from lattice_bridge.aws import MAX_CONNECTIONS, boto3_session, code_of
from lattice_bridge.errors import BackendFailed, BridgeError, InvalidMap, Misconfigured, TimedOut
from lattice_bridge.invoke.call import (
    INVOCATION_TYPES,
    Call,
    CredentialsExpired,
    DidNotRun,
    LambdaError,
    bridge_error,
    checked_tenant,
    function_error,
    trace_header,
)
from lattice_bridge.invoke.retry import SHORTEST, retried
from lattice_bridge.runtime.process import after_fork

CONNECT_TIMEOUT: Final = 2.0


class LambdaClient(Protocol):
    """The used part of boto3's Lambda client."""

    meta: Any

    def invoke(self, **arguments: Any) -> Mapping[str, Any]: ...


class Boto3Invoker:
    """Invokes functions through boto3. Thread-safe.

    boto3 sets its read timeout per client, not per call. So there is a client per timeout: the backends' own, and whole
    seconds below them for requests with little time left. Threads may share a client, but must not make one at the same
    time.

    Args:
        connect: makes a client for a read timeout in seconds.
        renew: makes `connect` find credentials anew.
        clock: monotonic seconds.
        pause: waits for a number of seconds.
    """

    def __init__(
        self,
        connect: Callable[[float], LambdaClient],
        *,
        renew: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._connect = connect
        self._forget = renew
        self._clock = clock
        self._pause = pause
        self._clients: dict[float, LambdaClient] = {}
        self._lock = threading.Lock()
        after_fork(self._forget_clients)

    def __call__(self, call: Call) -> bytes:
        """Invokes the function, and returns its whole payload.

        Raises:
            BridgeError: see `errors`. After `connection_lost` and `backend_timeout`, the function may have run.
        """
        arguments = _arguments(call)
        deadline = self._clock() + call.left

        def attempt() -> bytes:
            call.on_request_id("")  # not the id of an earlier attempt
            client = self.client_for(time_for(call.timeout, deadline - self._clock()))
            try:
                _invoking.trace = call.trace
                return _read(client.invoke(**arguments), call)
            except BridgeError:
                raise  # of the function, whose answer was read
            except Exception as error:
                call.on_request_id(_request_id(getattr(error, "response", None)))
                raise error_for(error) from error

        try:
            return attempt()
        except (DidNotRun, CredentialsExpired) as refusal:
            return retried(
                refusal,
                attempt,
                deadline,
                connecting=connect_time(SHORTEST),
                renew=self._renew,
                clock=self._clock,
                pause=self._pause,
            )

    def _renew(self) -> None:
        with self._lock:
            self._forget()
            self._clients = {}

    def _forget_clients(self) -> None:
        self._clients, self._lock = {}, threading.Lock()

    def client_for(self, timeout: float) -> LambdaClient:
        """The client with this read timeout, made once a process: after a fork, the parent goes on using the
        connections. A start calls it too, because Lambda gives the init phase a whole processor."""
        client = self._clients.get(timeout)
        if client is None:
            with self._lock:
                client = self._clients.get(timeout) or self._connect(timeout)
                self._clients[timeout] = client
        return client


def connect_time(read: float) -> float:
    """The connect timeout beside a read timeout, in seconds, for each address: two, or a quarter of a short one."""
    return min(CONNECT_TIMEOUT, read / 4)


def time_for(timeout: float, left: float) -> float:
    """The read timeout, in seconds, with which connecting and reading together end in time.

    It is the backend's own if that fits, or the most whole seconds that fit, or a half or a quarter of a second: few
    values, because each needs a client.

    Raises:
        TimedOut: less time is left than any invocation takes.
    """
    most = max(left - CONNECT_TIMEOUT, left * 0.8)  # with its connect timeout, this fills the time that is left
    if timeout <= most:
        return timeout
    fitting = float(math.floor(most)) or next((part for part in (0.5, SHORTEST) if part <= most), 0.0)
    if fitting <= 0:
        raise TimedOut("no_time_left", f"{max(left, 0):.3f} s are left of the bridge's own time; nothing was invoked")
    return fitting


class Boto3Clients:
    """Makes boto3 clients that send a request once.

    A forked child finds credentials anew: those of botocore have locks, which a thread of the parent may hold.

    Args:
        region: boto3's own if None.
        environ: read for each call, for the `Lineage` of a trace header. boto3 itself reads the process's.

    Raises:
        Misconfigured: when called: this boto3 is too old to send a tenant id.
    """

    def __init__(self, region: str | None = None, environ: Mapping[str, str] | None = None) -> None:
        self._region = region
        self._environ = environ or {}
        self._session: Any = None
        self.renew()
        after_fork(self._forget)

    def _forget(self) -> None:
        self._session = None

    def renew(self) -> None:
        """Makes the next clients find credentials anew."""
        try:
            self._session = boto3_session(self._region)  # imports boto3, a fifth of a start is without it
        except ImportError as error:
            raise InvalidMap([f'invoker = "boto3": {code_of(error)}']) from error

    def __call__(self, read_timeout: float) -> LambdaClient:
        """Makes a client with a read timeout, in seconds."""
        from botocore import __version__
        from botocore.config import Config

        if self._session is None:
            self.renew()
        config = Config(
            connect_timeout=connect_time(read_timeout),
            read_timeout=read_timeout,
            retries={"total_max_attempts": 1, "mode": "standard"},
            tcp_keepalive=True,
            max_pool_connections=MAX_CONNECTIONS,
        )
        client: LambdaClient = self._session.client("lambda", config=config)
        check_knows_tenants(client.meta.service_model.operation_model("Invoke").input_shape.members, __version__)
        client.meta.events.register("before-call.lambda.Invoke", self._add_trace)
        return client

    def _add_trace(self, params: Mapping[str, Any], **_: Any) -> None:
        """Sets the header before botocore does, which leaves one that is there."""
        trace = trace_header(_invoking.trace, self._environ)
        if trace is not None:
            params["headers"]["X-Amzn-Trace-Id"] = trace


class _Invoking(threading.local):
    """The call that this thread is making. boto3 has no parameter for the trace header, and calls a hook in the thread
    of the call."""

    trace: str | None = None


_invoking: Final = _Invoking()


def check_knows_tenants(members: Mapping[str, object], version: str) -> None:
    """Checks that `TenantId` is a parameter of boto3's Invoke.

    Raises:
        Misconfigured: it is not. boto3 would refuse each request, or drop the tenant id.
    """
    if "TenantId" not in members:
        raise Misconfigured(
            "boto3_too_old",
            f"boto3 {version} cannot send a tenant id, and the one in Lambda's runtime may be older. "
            "Fix: package boto3 1.41 or later with the function",
        )


def _arguments(call: Call) -> dict[str, Any]:
    arguments: dict[str, Any] = {
        "FunctionName": call.function,
        "InvocationType": INVOCATION_TYPES[call.invocation],
        "Payload": call.payload,
    }
    tenant = checked_tenant(call)
    if tenant is not None:
        arguments["TenantId"] = tenant
    return arguments


def _read(response: Mapping[str, Any], call: Call) -> bytes:
    call.on_request_id(_request_id(response))
    with closing(response["Payload"]) as stream:
        payload = bytes(stream.read())  # to its end, so that nothing is left on the connection
    if "FunctionError" in response:
        raise function_error(payload)
    return b"" if call.invocation == "async" else payload


def _request_id(response: object) -> str:
    """Lambda's request id, in a response of boto3 or of its ClientError; empty if there is none."""
    meta = response.get("ResponseMetadata") if isinstance(response, Mapping) else None
    found = meta.get("RequestId") if isinstance(meta, Mapping) else None
    return found if isinstance(found, str) else ""


def error_for(error: Exception) -> BridgeError:
    """The error that the caller gets for an exception of boto3."""
    from botocore import exceptions as boto

    if isinstance(error, boto.ClientError):
        return bridge_error(_lambda_error(error.response))
    if isinstance(error, boto.ReadTimeoutError):
        return TimedOut("backend_timeout", "no answer within the read timeout; the function may have run")
    # Not ProxyConnectionError: urllib3 also raises it if a proxy closes the connection after the request was sent.
    if isinstance(error, (boto.ConnectTimeoutError, boto.EndpointConnectionError)):
        return DidNotRun("unreachable", f"no connection to Lambda: {type(error).__name__}")
    if isinstance(error, (boto.NoCredentialsError, boto.PartialCredentialsError, boto.CredentialRetrievalError)):
        return Misconfigured("access_denied", f"no credentials to sign with: {type(error).__name__}")
    if isinstance(error, (boto.HTTPClientError, boto.ResponseStreamingError, boto.IncompleteReadError, OSError)):
        return BackendFailed("connection_lost", f"{type(error).__name__}; the function may have run")
    return Misconfigured("invoke_rejected", f"boto3 raised {type(error).__name__}")


def _lambda_error(response: Mapping[str, Any]) -> LambdaError:
    error, meta = response.get("Error", {}), response.get("ResponseMetadata", {})
    return LambdaError(
        status=meta.get("HTTPStatusCode", 0),
        code=str(error.get("Code", "")),
        message=str(error.get("Message", "")),
        throttle=response.get("Reason"),
        retry_after=meta.get("HTTPHeaders", {}).get("retry-after", ""),
    )
