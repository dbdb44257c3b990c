"""Functions that run elsewhere on this machine: invocations go to a URL, in the protocol of Lambda's runtime interface
emulator (RIE).

Rule: one invocation at a time for each URL, because RIE has one process. Its tenants share this process, so it receives
the tenant id of each invocation, and the stack says that they share it.
Source: github.com/aws/aws-lambda-runtime-interface-emulator, cmd/aws-lambda-rie/handlers.go. The body of the answer is
the result, or the error as JSON; the status of both is 200 in most versions.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import re
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from ipaddress import AddressValueError, IPv4Address
from typing import Final

from lattice_bridge.http.client import Endpoint, connect
from lattice_bridge.http.http1 import Answer, AnswerTooLarge, BadAnswer
from lattice_bridge.local.environments.environment import InvocationResult
from lattice_bridge.local.environments.runtime_api import RESPONSE_LIMIT, Invocation, error_json, too_large
from lattice_bridge.local.plan.model import Function

PATH: Final = "/2015-03-31/functions/function/invocations"
"""RIE's path, if a URL has none."""

_URL: Final = re.compile(r"http://(?P<host>localhost|127\.[0-9.]+|\[::1\])(?::(?P<port>[0-9]{1,5}))?(?P<path>/[!-~]*)?")
_ERROR_KEYS: Final = frozenset({"errorType", "errorMessage", "stackTrace", "requestId", "cause", "trace"})
"""The members of an error as Lambda's runtime clients write it."""


class Unreachable(Exception):
    """The function at a URL did not take an invocation, or its answer cannot be read. The message has a fix."""


def url_fault(url: str) -> str | None:
    """Returns what is wrong with the URL of a function, with a fix; None if it can be used.

    An invocation contains what a tenant sent, so it stays on this machine.
    """
    if _endpoint(url) is None:
        return (
            "is not an http URL on this machine. Fix: write http://127.0.0.1:PORT. To reach another machine or a "
            "container, publish its port here"
        )
    return None


def _endpoint(url: str) -> Endpoint | None:
    found = _URL.fullmatch(url)
    if found is None or not _is_loopback(found["host"]) or not 0 < int(found["port"] or 80) < 65536:
        return None
    path = found["path"] or "/"
    return Endpoint(False, found["host"].strip("[]"), int(found["port"] or 80), PATH if path == "/" else path)


def _is_loopback(host: str) -> bool:
    try:
        return host in ("localhost", "[::1]") or IPv4Address(host).is_loopback
    except AddressValueError:
        return False


class ExternalFunctions:
    """Runs the invocations of functions that have a URL.

    Args:
        show: takes a function's label and a line about an invocation that failed.
    """

    def __init__(self, show: Callable[[str, str], None]) -> None:
        self._show = show
        self._locks: dict[str, asyncio.Lock] = {}

    async def run(self, function: Function, invocation: Invocation) -> InvocationResult:
        """Runs an invocation, after those that wait for the same URL.

        Raises:
            Unreachable: it did not run, or its end is not known.
        """
        async with self._locks.setdefault(function.url, asyncio.Lock()):
            began = time.monotonic()
            result = await self._run(function, invocation)
            result = replace(result, milliseconds=(time.monotonic() - began) * 1000)
        if result.error is not None:
            tenant = f"/{invocation.tenant}" if invocation.tenant is not None else ""
            self._show(f"{function.name}{tenant}", result.failure_line(invocation))
        return result

    async def _run(self, function: Function, invocation: Invocation) -> InvocationResult:
        tenant = invocation.tenant or ""
        if tenant != tenant.strip(" "):  # HTTP drops them, and " blue" would run as blue
            raise Unreachable("the tenant id has a space at an end, which no header can carry. Fix: send it without")
        try:
            answer = await _in_thread(lambda: _post(function, invocation))
        except TimeoutError:
            message = f"RequestId: {invocation.request_id} Error: Task timed out after {function.timeout:.2f} seconds"
            return InvocationResult(error_json("Sandbox.Timedout", message), "Unhandled", timed_out=True)
        except AnswerTooLarge:
            return InvocationResult(too_large(), "Unhandled")
        except BadAnswer as error:
            raise Unreachable(f"{function.url}: {error}. Fix: name something that speaks RIE's protocol") from error
        except OSError as error:
            fix = f"start it, or start the stack without --function {function.name}="
            raise Unreachable(f"{function.url}: {error.strerror or error}. Fix: {fix}") from error
        return _result(function, answer)


def _post(function: Function, invocation: Invocation) -> Answer:
    endpoint = _endpoint(function.url)
    assert endpoint is not None  # checked where it was read
    headers = {
        "host": endpoint.authority,
        "content-type": "application/json",
        "x-amzn-requestid": invocation.request_id,
        "x-amz-tenant-id": invocation.tenant,
        "x-amzn-trace-id": invocation.trace_id,
        "x-amz-client-context": _base64(invocation.client_context),
        "connection": "close",
    }
    deadline = time.monotonic() + function.timeout
    with contextlib.closing(connect(endpoint, None, RESPONSE_LIMIT, deadline)) as connection:
        sent = {name: value for name, value in headers.items() if value is not None}
        return connection.exchange("POST", endpoint.path, sent, invocation.payload, deadline)


def _base64(text: str | None) -> str | None:
    return None if text is None else base64.b64encode(text.encode()).decode("ascii")


def _result(function: Function, answer: Answer) -> InvocationResult:
    """The result in an answer. An error has the header of Lambda's API, or the members that runtime clients write."""
    if "x-amz-function-error" in answer.headers or _is_error(answer.body):
        return InvocationResult(answer.body, "Unhandled")
    if answer.status != 200:
        text = answer.body[:200].decode("utf-8", "replace")
        message = f"{function.url} answered {answer.status}: {text}"
        return InvocationResult(error_json("Runtime.Unknown", message), "Unhandled")
    return InvocationResult(answer.body)


def _is_error(body: bytes) -> bool:
    try:
        error = json.loads(body)
    except (ValueError, RecursionError):
        return False
    return isinstance(error, dict) and {"errorType", "errorMessage"} <= error.keys() <= _ERROR_KEYS


async def _in_thread(call: Callable[[], Answer]) -> Answer:
    """Runs a blocking call. The stack's end does not wait for its thread, as it would for one of the executor."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Answer] = loop.create_future()

    def finish(answer: Answer | None, error: Exception | None) -> None:
        if not future.done():
            if answer is not None:
                future.set_result(answer)
            else:
                future.set_exception(error or RuntimeError("no answer"))

    def work() -> None:
        answer = error = None
        try:
            answer = call()
        except Exception as caught:
            error = caught
        with contextlib.suppress(RuntimeError):  # the stack has ended
            loop.call_soon_threadsafe(finish, answer, error)

    threading.Thread(target=work, daemon=True).start()
    return await future
