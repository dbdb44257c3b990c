"""One Lambda Invoke as one signed POST over a kept-open connection.

Rule: nothing is sent that could still be refused here, and once a byte is sent, nothing is sent again. The answers mean
what they mean through boto3: the same tests run against both.
"""

from __future__ import annotations

import contextlib
import json
import ssl
import time
from collections.abc import Callable, Mapping
from functools import lru_cache
from hashlib import sha256
from typing import Any, Final
from urllib.parse import quote

from lattice_bridge.errors import BackendFailed, BridgeError, InvalidMap, Misconfigured, TimedOut, Unavailable
from lattice_bridge.http.client import Connection, Idle, connect
from lattice_bridge.http.http1 import Answer, AnswerTooLarge, BadAnswer
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
from lattice_bridge.invoke.credentials import Chain, Source, from_environment
from lattice_bridge.invoke.endpoint import Endpoint, endpoint_of, region_of
from lattice_bridge.invoke.signing import Credentials, Signer
from lattice_bridge.version import __version__

ANSWER_LIMIT: Final = 6_291_556 + 4096
"""Bytes of an answer that are read. Lambda's own limit is the first number; the rest is for its own error texts."""

WARMING: Final = 1.0
"""Seconds that a first connection may take, before anybody waits for it."""

_CONNECTING: Final = SHORTEST / 4
_TRACE_SAFE: Final = "-=;:+&[]{}\"',"  # botocore's, so that the header is what it would be


class DirectInvoker:
    """Invokes with the standard library alone. Safe to share by threads: a connection has one request at a time.

    Args:
        endpoint: of Lambda.
        region: it is signed for.
        credentials: asked for each attempt.
        renew: forgets credentials that are remembered.
        environ: looked at for each call for the trace header, which Lambda's loop detection needs.
        context: for TLS; the system's authorities if None.
        clock: monotonic seconds.
        now: the wall clock's seconds.
        pause: waits for some seconds.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        region: str,
        credentials: Source,
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
        self._signer = Signer(region, "lambda")
        self._idle = Idle(now)

    def __call__(self, call: Call) -> bytes:
        """The function's answer, read to its end.

        Raises:
            BridgeError: see `errors`; `connection_lost` and `backend_timeout` leave open whether the function ran.
        """
        digest = sha256(call.payload).hexdigest()

        def attempt(deadline: float) -> bytes:
            return _payload(self._send(call, digest, deadline), call)

        return persist(
            attempt, call.left, connecting=_CONNECTING, renew=self._renew, clock=self._clock, pause=self._pause
        )

    def warm(self) -> None:
        """Makes the day's signing key, and opens a connection for the first request, if that can be done soon. Not for
        an environment that is copied."""
        with contextlib.suppress(BridgeError, OSError):
            self._request(Call("warm", None, b"", "sync", timeout=1, left=1), "")  # signed, and not sent
            connection = connect(self._endpoint, self._context, ANSWER_LIMIT, self._clock() + WARMING, self._clock)
            self._idle.put(connection)

    def close(self) -> None:
        """Closes the connections that wait."""
        self._idle.close()

    def _send(self, call: Call, digest: str, deadline: float) -> Answer:
        path, headers = self._request(call, digest)
        self._check_time(call, deadline)
        connection = self._idle.take() or self._connected(deadline)
        try:
            self._check_time(call, deadline)
            until = min(deadline, self._clock() + call.timeout)
            return _exchange(connection, path, headers, call.payload, until)
        finally:
            self._idle.put(connection)  # which closes it, unless all is well

    def _request(self, call: Call, digest: str) -> tuple[str, dict[str, str]]:
        timestamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(self._now()))
        path, headers = signed_request(call, digest, self._endpoint, self._signer, self._credentials(), timestamp)
        return path, {**headers, **self._unsigned()}

    def _unsigned(self) -> dict[str, str]:
        headers = {"user-agent": f"lattice-bridge/{__version__}"}
        trace = self._environ.get("_X_AMZN_TRACE_ID")
        if trace and "AWS_LAMBDA_FUNCTION_NAME" in self._environ:
            headers["x-amzn-trace-id"] = quote(trace, safe=_TRACE_SAFE)
        return headers

    def _check_time(self, call: Call, deadline: float) -> None:
        left = deadline - self._clock()
        if left < min(SHORTEST, call.timeout):
            raise TimedOut(
                "no_time_left", f"{max(left, 0):.3f} s are left of the bridge's own time; nothing was invoked"
            )

    def _connected(self, deadline: float) -> Connection:
        try:
            return connect(self._endpoint, self._context, ANSWER_LIMIT, deadline, self._clock)
        except ssl.SSLCertVerificationError as error:  # nothing gets better by trying again
            raise Unavailable(
                "unreachable", f"no connection to Lambda: {error.verify_message}", retry_after=1
            ) from error
        except OSError as error:
            raise DidNotRun("unreachable", f"no connection to Lambda: {type(error).__name__}") from error


def signed_request(
    call: Call, digest: str, endpoint: Endpoint, signer: Signer, credentials: Credentials, timestamp: str
) -> tuple[str, dict[str, str]]:
    """An invocation as Lambda's API wants it: path, and headers with their signature.

    Args:
        call: what is invoked.
        digest: sha256 of its payload, as hex.
        endpoint: where it is sent.
        signer: for the region and `lambda`.
        credentials: who signs.
        timestamp: now, in UTC, as `YYYYMMDDTHHMMSSZ`.

    Raises:
        Misconfigured: `tenant_id_rejected` or `invoke_rejected`: not to be sent.
    """
    headers = {"host": endpoint.authority, "x-amz-invocation-type": TYPES[call.invocation]}
    tenant = tenant_to_send(call)
    if tenant is not None:
        headers["x-amz-tenant-id"] = tenant
    path = f"{endpoint.path}{path_of(call.function)}"
    return path, signer.sign(path, headers, digest, credentials, timestamp)


@lru_cache(256)
def path_of(function: str) -> str:
    """The path of a function's Invoke: the name or ARN is one segment, whatever is in it.

    Raises:
        Misconfigured: `invoke_rejected`: a name that a path cannot carry.
    """
    if function in ("", ".", ".."):
        raise Misconfigured("invoke_rejected", "the backend's function has no name; nothing was invoked")
    return f"/2015-03-31/functions/{quote(function, safe='-._~')}/invocations"


def direct_invoker(environ: Mapping[str, str], **options: Any) -> DirectInvoker:
    """The invoker for an environment, as AWS SDKs read it.

    Args:
        environ: of the process.
        options: DirectInvoker's clocks and pause.

    Raises:
        InvalidMap: no region, an endpoint that is none, authorities that cannot be read, or a proxy.
    """
    region = region_of(environ)
    endpoint = endpoint_of(region, environ)
    _check_no_proxy(endpoint, environ)
    chain = Chain()
    return DirectInvoker(
        endpoint,
        region,
        from_environment(environ, chain),
        environ=environ,
        renew=chain.forget,
        context=_trust(environ) if endpoint.secure else None,
        **options,
    )


def _trust(environ: Mapping[str, str]) -> ssl.SSLContext:
    """Whom TLS believes. botocore brings a list of authorities with it; here it is the system's, or the file named."""
    name = next((name for name in ("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE") if environ.get(name)), None)
    try:
        return ssl.create_default_context(cafile=environ[name] if name else None)
    except OSError as error:
        raise InvalidMap([f"{name}: {environ[name or '']}: {error.strerror or error}"]) from error


def _check_no_proxy(endpoint: Endpoint, environ: Mapping[str, str]) -> None:
    """A proxy that somebody set up is not gone around in silence."""
    scheme = "https_proxy" if endpoint.secure else "http_proxy"
    name = next((name for name in (scheme, scheme.upper()) if environ.get(name)), None)
    if name is None:
        return
    # Only needed here, and large.
    from urllib.request import proxy_bypass_environment  # type: ignore[attr-defined] # typeshed does not know it

    without = environ.get("no_proxy") or environ.get("NO_PROXY") or ""
    if not proxy_bypass_environment(endpoint.host, {"no": without}):
        raise InvalidMap([f'{name} is set, and the direct invoker uses no proxy; write invoker = "boto3"'])


# ---- what comes back ------------------------------------------------------------------------------------------------


def _exchange(connection: Connection, path: str, headers: Mapping[str, str], body: bytes, until: float) -> Answer:
    try:
        return connection.exchange(path, headers, body, until)
    except ValueError:  # its text quotes the header, which may be a token
        raise Misconfigured("invoke_rejected", "a header or path with a line end; nothing was invoked") from None
    except AnswerTooLarge as error:
        raise BackendFailed("reply_too_large", "the answer is over what Lambda may answer") from error
    except TimeoutError as error:
        raise TimedOut("backend_timeout", "no answer within the time; the function may have run") from error
    except (OSError, BadAnswer) as error:
        raise BackendFailed("connection_lost", f"{type(error).__name__}; the function may have run") from error


def _payload(answer: Answer, call: Call) -> bytes:
    if answer.status >= 300:
        raise refusal_for_answer(_refused(answer))
    if "x-amz-function-error" in answer.headers:
        raise function_error(answer.body)
    return b"" if call.invocation == "async" else answer.body


def _refused(answer: Answer) -> Refused:
    """Code and message stand where botocore finds them."""
    try:
        body = json.loads(answer.body)
    except (ValueError, RecursionError):
        body = None
    fields: Mapping[str, Any] = body if isinstance(body, dict) else {}
    throttle = fields.get("Reason")
    code = answer.headers.get("x-amzn-errortype") or fields.get("code") or fields.get("Code") or fields.get("__type")
    return Refused(
        status=answer.status,
        code=str(code or answer.status).partition(":")[0].rpartition("#")[2],
        message=str(fields.get("message") or fields.get("Message") or ""),
        throttle=throttle if isinstance(throttle, str) else None,
        retry_after=answer.headers.get("retry-after", ""),
    )
