"""One Lambda Invoke through boto3.

Rule: boto3 is told to send a request once: botocore on its own repeats a synchronous invocation after a read timeout,
and the backend then runs twice.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from typing import Any, Final, Protocol

from lattice_bridge.aws import code_of
from lattice_bridge.errors import BackendFailed, BridgeError, InvalidMap, Misconfigured, TimedOut
from lattice_bridge.invoke.call import (
    SHORTEST,
    TYPES,
    Call,
    DidNotRun,
    Refused,
    function_error,
    persist,
    refusal_for_answer,
    tenant_to_send,
)
from lattice_bridge.runtime.process import after_fork

CONNECT_TIMEOUT: Final = 2.0
MAX_CONNECTIONS: Final = 64


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
        renew: makes `connect` look for credentials anew.
        clock: monotonic seconds.
        pause: waits for some seconds.
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
        """The function's answer, read to its end.

        Raises:
            BridgeError: see `errors`; `connection_lost` and `backend_timeout` leave open whether the function ran.
        """
        arguments = _arguments(call)

        def attempt(deadline: float) -> bytes:
            client = self.client_for(time_for(call.timeout, deadline - self._clock()))
            try:
                return _read(client.invoke(**arguments), call)
            except BridgeError:
                raise  # the function ran: its answer was read
            except Exception as error:
                raise refusal_for(error) from error

        return persist(
            attempt,
            call.left,
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
        connections. Called at init as well, where Lambda gives a whole core."""
        client = self._clients.get(timeout)
        if client is None:
            with self._lock:
                client = self._clients.get(timeout) or self._connect(timeout)
                self._clients[timeout] = client
        return client


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


class Boto3Clients:
    """Makes boto3 clients that send a request once and wait as long as they are told.

    Args:
        region: boto3's own if None.

    Raises:
        Misconfigured: when called: this boto3 is too old to send a tenant id.
    """

    def __init__(self, region: str | None = None) -> None:
        self._region = region
        self.renew()

    def renew(self) -> None:
        """The next clients look for credentials anew."""
        try:
            import boto3  # here, since a start without boto3 costs a fifth of one with it
        except ImportError as error:
            raise InvalidMap([f'invoker = "boto3": {code_of(error)}']) from error

        self._session = boto3.session.Session(region_name=self._region)

    def __call__(self, read_timeout: float) -> LambdaClient:
        """A client for a read timeout in seconds."""
        from botocore import __version__
        from botocore.config import Config

        config = Config(
            connect_timeout=connect_time(read_timeout),
            read_timeout=read_timeout,
            retries={"total_max_attempts": 1, "mode": "standard"},
            tcp_keepalive=True,
            max_pool_connections=MAX_CONNECTIONS,
        )
        client: LambdaClient = self._session.client("lambda", config=config)
        check_knows_tenants(client.meta.service_model.operation_model("Invoke").input_shape.members, __version__)
        return client


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
        "InvocationType": TYPES[call.invocation],
        "Payload": call.payload,
    }
    tenant = tenant_to_send(call)
    if tenant is not None:
        arguments["TenantId"] = tenant
    return arguments


def _read(response: Mapping[str, Any], call: Call) -> bytes:
    with closing(response["Payload"]) as stream:
        payload = bytes(stream.read())  # to its end, so that the connection carries nothing over to the next request
    if "FunctionError" in response:
        raise function_error(payload)
    return b"" if call.invocation == "async" else payload


def refusal_for(error: Exception) -> BridgeError:
    """What an exception out of boto3 means for the caller."""
    from botocore import exceptions as boto

    if isinstance(error, boto.ClientError):
        return refusal_for_answer(_refused(error.response))
    if isinstance(error, boto.ReadTimeoutError):
        return TimedOut("backend_timeout", "no answer within the read timeout; the function may have run")
    # Not ProxyConnectionError: urllib3 also says so of a proxy that hangs up after the request was sent.
    if isinstance(error, (boto.ConnectTimeoutError, boto.EndpointConnectionError)):
        return DidNotRun("unreachable", f"no connection to Lambda: {type(error).__name__}")
    if isinstance(error, (boto.NoCredentialsError, boto.PartialCredentialsError, boto.CredentialRetrievalError)):
        return Misconfigured("access_denied", f"no credentials to sign with: {type(error).__name__}")
    if isinstance(error, (boto.HTTPClientError, boto.ResponseStreamingError, boto.IncompleteReadError, OSError)):
        return BackendFailed("connection_lost", f"{type(error).__name__}; the function may have run")
    return Misconfigured("invoke_rejected", f"boto3 raised {type(error).__name__}")


def _refused(response: Mapping[str, Any]) -> Refused:
    error, meta = response.get("Error", {}), response.get("ResponseMetadata", {})
    return Refused(
        status=meta.get("HTTPStatusCode", 0),
        code=str(error.get("Code", "")),
        message=str(error.get("Message", "")),
        throttle=response.get("Reason"),
        retry_after=meta.get("HTTPHeaders", {}).get("retry-after", ""),
    )
