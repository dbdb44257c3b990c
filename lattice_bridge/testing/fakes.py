"""A fake of Lambda's Invoke API on a loopback port: answers as a test says, and records the calls.

Rule: no function runs here. The fake refuses the requests that Lambda itself would refuse, with the checks and messages
of the local stack's Lambda API. The test decides about everything else.
"""

from __future__ import annotations

import json
import re
import threading
import uuid
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import parse_qs, unquote, urlsplit

from lattice_bridge.errors import BridgeError
from lattice_bridge.events.answer import response
from lattice_bridge.events.batch import batch_of
from lattice_bridge.events.recognise import source_of
from lattice_bridge.formats.recognise import format_of, parse_as
from lattice_bridge.invoke.call import Invoke
from lattice_bridge.invoke.direct import DirectInvoker, direct_invoker
from lattice_bridge.local.aws.invoke_checks import (
    STATUS,
    InvocationType,
    LambdaError,
    check_tenant,
    chosen_qualifier,
    parse_function_name,
    parse_invocation_type,
    parse_payload,
    parse_qualifier,
    single_tenant,
)
from lattice_bridge.local.web.printable import printable
from lattice_bridge.testing.boto_session import boto_session
from lattice_bridge.testing.loopback import LoopbackHandler, LoopbackServer

REGION: Final = "us-east-1"

_MAKING_CLIENT: Final = threading.Lock()
"""boto3's session makes clients in one thread at a time."""

_PATH: Final = re.compile(r"/2015-03-31/functions/([^/]+)/invocations")


@dataclass(frozen=True, slots=True)
class Invocation:
    """One request to invoke a function that passed Lambda's own checks.

    Attributes:
        function: its bare name, also if the request had an ARN.
        qualifier: alias or version, or None.
        tenant: the tenant id, or None.
        payload: the function's event, decoded from JSON; `{}` if there was none.
        headers: as sent, names in lower case.
        invocation_type: RequestResponse, Event or DryRun.
    """

    function: str
    qualifier: str | None
    tenant: str | None
    payload: Any
    headers: Mapping[str, str] = field(repr=False)
    invocation_type: InvocationType = "RequestResponse"

    @property
    def records(self) -> list[str]:
        """The ids of the records in the payload: of messages of a queue, or the sequence numbers of records of a
        stream; of an event of a bus, its id. The router sends one. Empty for another payload."""
        if source_of(self.payload) is None:
            return []
        try:
            return [record.id for record in batch_of(self.payload).records]
        except BridgeError:
            return []


@dataclass(frozen=True, slots=True)
class _Response:
    status: int
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class _Script:
    """A scripted response; None means no response until the end. `runs`: the function answers, not Lambda itself."""

    respond: Callable[[Invocation], _Response | None]
    runs: bool = True


_ScriptKey = tuple[str | None, str | None]
"""The function and the record that a script is for; None for all."""


class UnscriptedCalls(AssertionError):
    """Functions were invoked that had no reply. The message lists the calls, and the fix."""


class FakeLambda:
    """A Lambda that a test scripts, for every client that invokes over HTTP: boto3, the AWS CLI, the bridge.

    >>> import json
    >>> with FakeLambda(isolated={"orders"}) as fake:
    ...     fake.reply({"total": 12}, "orders")
    ...     answer = fake.client().invoke(FunctionName="orders", TenantId="blue", Payload=b"{}")
    ...     json.load(answer["Payload"]), fake.calls[0].tenant
    ({'total': 12}, 'blue')

    A script for one function (`orders`, or `orders:live` for one qualifier) takes precedence over a script for all
    functions, such as `fake.reply({})`. A script for one record (`record="…"`: the id of a message or an event, or the
    sequence number of a record of a stream) takes precedence over both. A later script replaces an earlier one. A call
    without a script gets a function error, and the end of the `with` block raises UnscriptedCalls, unless another error
    ends the block. An asynchronous call needs no script: no client reads the reply.

    Args:
        isolated: the functions with tenant isolation: an invocation of these without a tenant id is refused, and an
            invocation of any other function with one, as Lambda does. None: neither is checked.
    """

    def __init__(self, isolated: Collection[str] | None = None) -> None:
        self._isolated = None if isolated is None else frozenset(_named(function)[0] for function in isolated)
        self._scripts: dict[_ScriptKey, _Script] = {}
        self._calls: list[Invocation] = []
        self._unscripted: list[Invocation] = []
        self._lock = threading.Lock()
        self._server: LoopbackServer | None = None
        self._invoker: DirectInvoker | None = None
        self._clients: list[Any] = []

    def __enter__(self) -> Self:
        fake: FakeLambda = self

        class Handler(_Handler):
            fake_lambda = fake

        self._server = LoopbackServer(Handler)
        self._server.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._invoker is not None:
            self._invoker.close()
        for client in self._clients:
            client.close()
        self._started().stop()
        if self._unscripted and kind is None:
            known = [function for function, record in self._scripts if function is not None and record is None]
            raise UnscriptedCalls(_report(self._unscripted, known))

    # ---- clients ----

    @property
    def url(self) -> str:
        """The URL for `endpoint_url` and AWS_ENDPOINT_URL_LAMBDA."""
        return self._started().url

    @property
    def environ(self) -> dict[str, str]:
        """Environment variables by which boto3, the AWS CLI and the bridge find the fake, with useless keys."""
        return {
            "AWS_ENDPOINT_URL_LAMBDA": self.url,
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_SESSION_TOKEN": "testing",
        }

    def client(self, **config: Any) -> Any:
        """Makes a boto3 client of the fake.

        It makes one attempt a call, and waits 5 seconds for the response. `config` are arguments of botocore's Config
        that change this.
        """
        from botocore.config import Config  # a quarter of a second, which only tests with a client pay

        options = {"retries": {"total_max_attempts": 1}, "connect_timeout": 5, "read_timeout": 5, "proxies": {}}
        with _MAKING_CLIENT:
            session = boto_session("testing", "testing", REGION, "testing")
            client = session.client("lambda", endpoint_url=self.url, config=Config(**{**options, **config}))
        self._clients.append(client)
        return client

    @property
    def invoke(self) -> Invoke:
        """The bridge's own invoker, for `Bridge(tenant_map, fake.invoke, backends=…)`."""
        if self._invoker is None:
            self._invoker = direct_invoker(self.environ)
        return self._invoker

    # ---- scripts ----

    def reply(self, payload: Any, function: str | None = None, *, record: str | None = None) -> None:
        """Makes a function return a value, written as JSON. Bytes are returned as they are."""
        self._script(_always(_success(payload)), function, record)

    def reports(self, function: str | None = None, *, record: str | None = None) -> None:
        """Makes a function report the records that it gets as failed: `batchItemFailures` with their ids."""

        def answered(call: Invocation) -> _Response:
            return _success(response(call.records))

        self._script(_Script(answered), function, record)

    def answer(self, function: str | None, respond: Callable[[Invocation], Any]) -> None:
        """Makes a function return the result of `respond` for each call, or fail with the error that it raises."""

        def answered(call: Invocation) -> _Response:
            try:
                return _success(respond(call))
            except Exception as error:
                return _failure(type(error).__name__, str(error))

        self._script(_Script(answered), function)

    def raises(
        self, error_type: str, message: str = "", function: str | None = None, *, record: str | None = None
    ) -> None:
        """Makes a function fail: status 200 with `X-Amz-Function-Error`.

        `Sandbox.Timedout` is Lambda's error type of a function that ran past its timeout.
        """
        self._script(_always(_failure(error_type, message)), function, record)

    def refuses(
        self,
        status: int,
        code: str,
        message: str = "",
        headers: Mapping[str, str] | None = None,
        function: str | None = None,
        *,
        record: str | None = None,
    ) -> None:
        """Makes Lambda refuse, so that no function runs: `404, "ResourceNotFoundException"`.

        A 429 has its reason and a `Retry-After` of a second, unless `headers` replace it.
        """
        self._script(_always(_refusal(status, code, message, headers or {}), runs=False), function, record)

    def hangs(self, function: str | None = None, *, record: str | None = None) -> None:
        """Makes a function hang until the client gives up or the fake ends. An asynchronous call is accepted."""
        self._script(_Script(lambda _: None), function, record)

    # ---- calls ----

    @property
    def calls(self) -> list[Invocation]:
        """The calls in the order of their arrival, without requests that Lambda itself would have refused."""
        with self._lock:
            return list(self._calls)

    # ---- inside ----

    def _started(self) -> LoopbackServer:
        if self._server is None:
            raise RuntimeError("FakeLambda has not been started. Fix: write `with FakeLambda() as fake:`")
        return self._server

    def _script(self, script: _Script, function: str | None, record: str | None = None) -> None:
        if function is not None:
            name, qualifier = _named(function)
            function = f"{name}:{qualifier}" if qualifier else name
        with self._lock:
            self._scripts[function, record] = script

    def serve(self, path: str, headers: Mapping[str, list[str]], body: bytes) -> _Response | None:
        """Returns the response to one POST. The server calls it."""
        try:
            call = self._accepted(path, headers, body)
        except LambdaError as error:
            return _refusal(error.status, error.code, str(error), {})
        with self._lock:
            self._calls.append(call)
            functions = (f"{call.function}:{call.qualifier}", call.function, None)
            keys = [(function, record) for record in (*call.records, None) for function in functions]
            script = next((self._scripts[key] for key in keys if key in self._scripts), _UNSCRIPTED)
            if script is _UNSCRIPTED and call.invocation_type == "RequestResponse":
                self._unscripted.append(call)
        if script.runs and call.invocation_type != "RequestResponse":
            return _Response(STATUS[call.invocation_type], {}, b"")  # the client does not wait for the function
        return script.respond(call)

    def _accepted(self, path: str, headers: Mapping[str, list[str]], body: bytes) -> Invocation:
        """Checks a request as Lambda does, in its order."""
        if not any(value.startswith("AWS4-HMAC-SHA256 ") for value in headers.get("authorization", [])):
            raise LambdaError(403, "MissingAuthenticationTokenException", "Missing Authentication Token.")
        parts = urlsplit(path)
        found = _PATH.fullmatch(parts.path)
        if found is None:
            raise LambdaError(404, "UnknownOperationException", f"POST {parts.path}: this fake has Invoke only")
        invocation_type = parse_invocation_type(headers.get("x-amz-invocation-type", ["RequestResponse"])[0])
        tenant = single_tenant(headers.get("x-amz-tenant-id", []))
        asked = parse_qualifier(parse_qs(parts.query, keep_blank_values=True).get("Qualifier", [None])[0])
        function = parse_function_name(unquote(found[1]))
        qualifier = chosen_qualifier(function, asked)
        check_tenant(None if self._isolated is None else function.name in self._isolated, tenant)
        return Invocation(
            function=function.name,
            qualifier=qualifier,
            tenant=tenant,
            payload=parse_payload(body, invocation_type),
            headers={name: ", ".join(values) for name, values in headers.items()},
            invocation_type=invocation_type,
        )


def _named(function: str) -> tuple[str, str | None]:
    """Returns a function's bare name, and the qualifier in it. Raises ValueError if it is not a function's name."""
    try:
        found = parse_function_name(function)
    except LambdaError as error:
        raise ValueError(str(error)) from error
    return found.name, found.qualifier


# ---- responses ----


def _always(response: _Response, *, runs: bool = True) -> _Script:
    return _Script(lambda _: response, runs)


def _success(payload: Any) -> _Response:
    body = bytes(payload) if isinstance(payload, bytes | bytearray) else json.dumps(payload, allow_nan=False).encode()
    return _Response(200, {"X-Amz-Executed-Version": "$LATEST", "Content-Type": "application/json"}, body)


def _failure(error_type: str, message: str) -> _Response:
    failed = _success({"errorType": error_type, "errorMessage": message})
    return _Response(200, {**failed.headers, "X-Amz-Function-Error": "Unhandled"}, failed.body)


def _refusal(status: int, code: str, message: str, headers: Mapping[str, str]) -> _Response:
    fields = {"Type": "User", "Message": message, "message": message}
    given = {"X-Amzn-ErrorType": code, "Content-Type": "application/json"}
    if status == 429:
        fields["Reason"] = "ConcurrentInvocationLimitExceeded"
        given["Retry-After"] = "1"
    lowered = {name.lower() for name in headers}
    kept = {name: value for name, value in given.items() if name.lower() not in lowered}
    return _Response(status, {**kept, **headers}, json.dumps(fields).encode())


_UNSCRIPTED: Final = _always(
    _failure(
        "FakeLambda.Unscripted",
        "the test has set no reply for this function. Fix: write fake_lambda.reply(VALUE, FUNCTION)",
    )
)
"""The answer to a call without a script: a function error, which no client repeats."""


# ---- the report of calls without a script ---------------------------------------------------------------------------

_LISTED: Final = 10
"""Calls that a report lists."""
_LONGEST: Final = 120
"""Characters of a method or a path that a report contains."""


def _report(calls: Sequence[Invocation], scripted: Sequence[str]) -> str:
    function = calls[0].function
    lines = [f"  {_described(call)}" for call in calls[:_LISTED]]
    if len(calls) > _LISTED:
        lines.append(f"  … and {len(calls) - _LISTED} more")
    known = f"The test has set a reply for {', '.join(scripted)}." if scripted else "The test has set no reply."
    reply = "fake_lambda.reply({}" if calls[0].records else 'fake_lambda.reply({"statusCode": 200}'
    fix = f'Fix: write {reply}, "{function}"), or {reply}) for all functions'
    title = "a call had no reply" if len(calls) == 1 else f"{len(calls)} calls had no reply"
    return "\n".join([f"{title}:", *lines, f"{known} {fix}"])


def _described(call: Invocation) -> str:
    """A call in words: the function, the tenant, and the method and the path in the payload, without the query."""
    name = f"{call.function}:{call.qualifier}" if call.qualifier else call.function
    tenant = "without a tenant" if call.tenant is None else f"as tenant {call.tenant}"
    return f"{name} {tenant}: {_asked(call)}"


def _asked(call: Invocation) -> str:
    payload = call.payload
    if call.records:
        return printable(f"record {call.records[0][:_LONGEST]}")
    name = format_of(payload)
    try:
        request = parse_as(name, payload) if name else None
    except BridgeError:
        request = None
    if request is None:
        return "a payload that is not an HTTP event"
    return printable(f"{request.method[:_LONGEST]} {request.path[:_LONGEST]}")


class _Handler(LoopbackHandler):
    fake_lambda: FakeLambda

    def do_POST(self) -> None:  # noqa: N802 - the base class's name
        body = self.rfile.read(int(self.headers.get("content-length", "0")))
        headers: dict[str, list[str]] = {}
        for name, value in self.headers.items():
            headers.setdefault(name.lower(), []).append(value)
        answer = self.fake_lambda.serve(self.path, headers, body)
        if answer is None:
            self.close_connection = True
            self.server.stopping.wait()
            return
        more = {"x-amzn-RequestId": str(uuid.uuid4())}
        if answer.status == 200 and headers.get("x-amz-log-type") == ["Tail"]:
            more["X-Amz-Log-Result"] = ""  # no function ran, so nothing was logged
        self.answer(answer.status, {**more, **answer.headers}, answer.body)
