"""One Lambda Invoke as one signed POST, with the standard library alone.

Rule: every check comes before the first byte is sent. Once a byte is sent, the request is never sent again. Lambda's
answers have the same meaning as through boto3: the same tests run against both invokers.
"""

from __future__ import annotations

import contextlib
import json
import ssl
import time
from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from hashlib import sha256
from typing import Any, Final

from lattice_bridge.errors import BackendFailed, BridgeError, InvalidMap, TimedOut, Unavailable
from lattice_bridge.http.client import Connection, ConnectionPool, Endpoint, TlsSession, connect
from lattice_bridge.http.http1 import Answer, AnswerTooLarge, BadAnswer
from lattice_bridge.invoke.call import (
    Call,
    CredentialsExpired,
    DidNotRun,
    LambdaError,
    bridge_error,
    function_error,
    trace_header,
)
from lattice_bridge.invoke.credentials import BotocoreCredentials, CredentialProvider, from_environment
from lattice_bridge.invoke.endpoint import endpoint_of, region_of
from lattice_bridge.invoke.request import InvokeHeads
from lattice_bridge.invoke.retry import SHORTEST, retried

ANSWER_LIMIT: Final = 6_291_556 + 4096
"""Bytes that an answer's body may have: Lambda's limit for a payload, and more for its own error messages."""

WARM_TIMEOUT: Final = 1.0
"""Seconds for the connection that a start opens before the first request."""

_CONNECTING: Final = SHORTEST / 4


class DirectInvoker:
    """Invokes functions with signed requests over kept connections. Thread-safe.

    Args:
        endpoint: of Lambda.
        region: for the signature.
        credentials: read for each attempt.
        renew: forgets cached credentials.
        environ: read for each call, for the trace header, which Lambda's loop detection needs.
        context: for TLS; the system's authorities if None.
        clock: monotonic seconds.
        now: seconds of the wall clock.
        pause: waits for a number of seconds.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        region: str,
        credentials: CredentialProvider,
        *,
        environ: Mapping[str, str],
        renew: Callable[[], None] = lambda: None,
        context: ssl.SSLContext | None = None,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._endpoint = endpoint
        self._context = context or (ssl.create_default_context() if endpoint.secure else None)
        self._credentials = credentials
        self._environ = environ
        self._renew = renew
        self._clock = clock
        self._now = now
        self._pause = pause
        self._heads = InvokeHeads(endpoint, region)
        self._pool = ConnectionPool(now)
        self._session = TlsSession(now)

    def __call__(self, call: Call) -> bytes:
        """Invokes the function, and returns its whole payload.

        Raises:
            BridgeError: see `errors`. After `connection_lost` and `backend_timeout`, the function may have run.
        """
        digest = sha256(call.payload).hexdigest()
        deadline = self._clock() + call.left
        try:
            return self._attempt(call, digest, deadline)
        except (DidNotRun, CredentialsExpired) as refusal:
            return retried(
                refusal,
                partial(self._attempt, call, digest, deadline),
                deadline,
                connecting=_CONNECTING,
                renew=self._renew,
                clock=self._clock,
                pause=self._pause,
            )

    def warm(self) -> None:
        """Makes the day's signing key and opens a connection before the first request, if that takes no longer than
        `WARM_TIMEOUT`. Not for an environment that is copied: each copy would have the same connection."""
        with contextlib.suppress(BridgeError, OSError):
            self._head(Call("warm", None, b"", "sync", timeout=1, left=1), "")  # signed and not sent
            self._pool.put(self._connect(self._clock() + WARM_TIMEOUT))

    def close(self) -> None:
        """Closes the idle connections."""
        self._pool.close()

    def _attempt(self, call: Call, digest: str, deadline: float) -> bytes:
        call.on_request_id("")  # not the id of an earlier attempt
        head = self._head(call, digest)
        now = self._time_with(call, deadline)  # first: a kept connection that is put back unused would seem young
        connection = self._pool.take()
        if connection is None:
            connection, now = self._connected(call, deadline)
        try:
            until = now + call.timeout
            answer = _exchange(connection, head, call.payload, until if until < deadline else deadline)
        finally:
            self._pool.put(connection)  # closes it, unless the whole answer was read
        return _payload(answer, call)

    def _head(self, call: Call, digest: str) -> bytes:
        trace = trace_header(call.trace, self._environ)
        return self._heads.head(call, digest, self._credentials(), _timestamp(int(self._now())), trace)

    def _time_with(self, call: Call, deadline: float) -> float:
        """The time, if enough is left for the call."""
        now = self._clock()
        left = deadline - now
        if left < SHORTEST and left < call.timeout:
            raise TimedOut(
                "no_time_left", f"{max(left, 0):.3f} s are left of the bridge's own time; nothing was invoked"
            )
        return now

    def _connected(self, call: Call, deadline: float) -> tuple[Connection, float]:
        """A new connection, and the time."""
        try:
            connection = self._connect(deadline)
        except ssl.SSLCertVerificationError as error:  # another attempt would fail as well
            raise Unavailable(
                "unreachable", f"no connection to Lambda: {error.verify_message}", retry_after=1
            ) from error
        except OSError as error:
            raise DidNotRun("unreachable", f"no connection to Lambda: {type(error).__name__}") from error
        try:
            return connection, self._time_with(call, deadline)
        except TimedOut:
            self._pool.put(connection)
            raise

    def _connect(self, deadline: float) -> Connection:
        return connect(self._endpoint, self._context, ANSWER_LIMIT, deadline, self._clock, self._session)


@lru_cache(2)
def _timestamp(second: int) -> str:
    return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(second))


def direct_invoker(environ: Mapping[str, str], **options: Any) -> DirectInvoker:
    """The invoker for an environment, with the variables that AWS SDKs read.

    Args:
        environ: of the process.
        options: DirectInvoker's clocks and pause.

    Raises:
        InvalidMap: no region, a malformed endpoint, a file of authorities that cannot be read, or a proxy.
    """
    region = region_of(environ)
    endpoint = endpoint_of(region, environ)
    _check_no_proxy(endpoint, environ)
    botocore = BotocoreCredentials()
    return DirectInvoker(
        endpoint,
        region,
        from_environment(environ, botocore),
        environ=environ,
        renew=botocore.forget,
        context=_tls_context(environ) if endpoint.secure else None,
        **options,
    )


def _tls_context(environ: Mapping[str, str]) -> ssl.SSLContext:
    """A context with the trusted certificate authorities: the file in AWS_CA_BUNDLE or REQUESTS_CA_BUNDLE, or the
    system's. (botocore brings its own list.)"""
    name = next((name for name in ("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE") if environ.get(name)), None)
    try:
        return ssl.create_default_context(cafile=environ[name] if name else None)
    except OSError as error:
        fault = f"{name}: {environ[name or '']}: {error.strerror or error}. Fix: name a file of certificates in PEM"
        raise InvalidMap([fault]) from error


def _check_no_proxy(endpoint: Endpoint, environ: Mapping[str, str]) -> None:
    """A configured proxy is not bypassed silently.

    Raises:
        InvalidMap: the environment names a proxy for this endpoint.
    """
    scheme = "https_proxy" if endpoint.secure else "http_proxy"
    name = next((name for name in (scheme, scheme.upper()) if environ.get(name)), None)
    if name is None:
        return
    # Here: it is large, and only needed with a proxy.
    from urllib.request import proxy_bypass_environment  # type: ignore[attr-defined] # missing in typeshed

    without = environ.get("no_proxy") or environ.get("NO_PROXY") or ""
    if not proxy_bypass_environment(endpoint.host, {"no": without}):
        raise InvalidMap(
            [f'{name} is set, and the direct invoker uses no proxy. Fix: write invoker = "boto3", or unset it']
        )


# ---- answers --------------------------------------------------------------------------------------------------------


def _exchange(connection: Connection, head: bytes, body: bytes, until: float) -> Answer:
    try:
        return connection.exchange_head(head, body, until)
    except AnswerTooLarge as error:
        raise BackendFailed("reply_too_large", "the answer is over Lambda's own limit") from error
    except TimeoutError as error:
        raise TimedOut("backend_timeout", "no answer within the time; the function may have run") from error
    except (OSError, BadAnswer) as error:
        raise BackendFailed("connection_lost", f"{type(error).__name__}; the function may have run") from error


def _payload(answer: Answer, call: Call) -> bytes:
    call.on_request_id(answer.headers.get("x-amzn-requestid", ""))
    if answer.status >= 300:
        raise bridge_error(_lambda_error(answer))
    if "x-amz-function-error" in answer.headers:
        raise function_error(answer.body)
    return b"" if call.invocation == "async" else answer.body


def _lambda_error(answer: Answer) -> LambdaError:
    """Reads code and message from the places that botocore reads."""
    try:
        body = json.loads(answer.body)
    except (ValueError, RecursionError):
        body = None
    fields: Mapping[str, Any] = body if isinstance(body, dict) else {}
    throttle = fields.get("Reason")
    code = answer.headers.get("x-amzn-errortype") or fields.get("code") or fields.get("Code") or fields.get("__type")
    return LambdaError(
        status=answer.status,
        code=str(code or answer.status).partition(":")[0].rpartition("#")[2],
        message=str(fields.get("message") or fields.get("Message") or ""),
        throttle=throttle if isinstance(throttle, str) else None,
        retry_after=answer.headers.get("retry-after", ""),
    )
