"""Lambda's Invoke on a loopback port: answers as a test says, and remembers what it was asked.

Rule: no function runs here. What Lambda itself would refuse is refused as the local stack's Lambda API does, word for
word, which the tests hold this against; everything else is the test's own.
"""

from __future__ import annotations

import json
import re
import threading
import uuid
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Final, Literal, NoReturn, Self, get_args
from urllib.parse import parse_qs, unquote, urlsplit

from lattice_bridge.formats.payload import ASYNC_LIMIT, SYNC_LIMIT
from lattice_bridge.invoke.call import Invoke
from lattice_bridge.invoke.direct import DirectInvoker, direct_invoker
from lattice_bridge.local.aws.invoke_checks import tenancy_fault
from lattice_bridge.testing.loopback import LoopbackHandler, LoopbackServer

InvocationType = Literal["RequestResponse", "Event", "DryRun"]

REGION: Final = "us-east-1"

_PATH: Final = re.compile(r"/2015-03-31/functions/([^/]+)/invocations")
_NAME: Final = re.compile(
    r"(?:arn:aws[a-zA-Z-]*:lambda:)?(?:[a-z]{2}(?:-[a-z]+)+-[0-9]:)?(?:[0-9]{12}:)?"
    r"(?:function:)?(?P<name>[a-zA-Z0-9_-]{1,64})(?::(?P<qualifier>\$LATEST|[a-zA-Z0-9_-]+))?"
)
_STATUS: Final[Mapping[str, int]] = {"RequestResponse": 200, "Event": 202, "DryRun": 204}


@dataclass(frozen=True, slots=True)
class Invocation:
    """One request to invoke that Lambda would not have refused by itself.

    Attributes:
        function: its name alone, whatever it was called by.
        qualifier: alias or version, or None.
        tenant: the tenant id, or None.
        payload: what the function is given, decoded from JSON; `{}` if there was none.
        headers: as sent, names in lower case.
        invocation_type: RequestResponse, Event or DryRun.
    """

    function: str
    qualifier: str | None
    tenant: str | None
    payload: Any
    headers: Mapping[str, str] = field(repr=False)
    invocation_type: InvocationType = "RequestResponse"


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class _Script:
    """What is answered; None until the end. `runs`: it is the function that answers, and not Lambda in its place."""

    answer: Callable[[Invocation], _Answer | None]
    runs: bool = True


class _Refused(Exception):
    def __init__(self, status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.answer = _refusal(status, code, message, headers or {})


class FakeLambda:
    """A Lambda that a test scripts, for anything that invokes over HTTP: boto3, the AWS CLI, the bridge.

        with FakeLambda(isolated={"orders"}) as fake:
            fake.reply({"statusCode": 200, "body": "hello"})
            handler = make_handler_under_test(fake.client())
            ...
            assert fake.calls[0].tenant == "blue"

    Until something else is said, every function answers `{}`. What is said of a function (`orders`, or `orders:live`
    for one qualifier) goes before what is said of all, and what is said last replaces what was said before.

    Args:
        isolated: the functions with tenant isolation: these are refused without a tenant id, and all others with one,
            as Lambda does. None: nobody looks.
    """

    def __init__(self, isolated: Collection[str] | None = None) -> None:
        self._isolated = None if isolated is None else frozenset(_named(function)[0] for function in isolated)
        self._scripts: dict[str | None, _Script] = {None: _always(_success({}))}
        self._calls: list[Invocation] = []
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

    # ---- how it is reached ----

    @property
    def url(self) -> str:
        """For `endpoint_url` and AWS_ENDPOINT_URL_LAMBDA."""
        return self._started().url

    @property
    def environ(self) -> dict[str, str]:
        """Variables by which boto3, the AWS CLI and the bridge find it, with keys that open nothing."""
        return {
            "AWS_ENDPOINT_URL_LAMBDA": self.url,
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_SESSION_TOKEN": "testing",
        }

    def client(self, **config: Any) -> Any:
        """A boto3 client for it. One attempt a call, and 5 seconds to read the answer, unless `config`, which are
        arguments of botocore's Config, says otherwise."""
        from boto3.session import Session  # a quarter of a second, which nobody pays who asks for none
        from botocore.config import Config

        options = {"retries": {"total_max_attempts": 1}, "connect_timeout": 5, "read_timeout": 5, "proxies": {}}
        session: Any = Session("testing", "testing", "testing", region_name=REGION)
        self._clients.append(session.client("lambda", endpoint_url=self.url, config=Config(**{**options, **config})))
        return self._clients[-1]

    @property
    def invoke(self) -> Invoke:
        """The bridge's own way to invoke, for `Bridge(tenant_map, fake.invoke, backends=…)`."""
        if self._invoker is None:
            self._invoker = direct_invoker(self.environ)
        return self._invoker

    # ---- what it answers ----

    def reply(self, payload: Any, function: str | None = None) -> None:
        """What a function returns: written as JSON; bytes stand for themselves, JSON or not."""
        self._say(_always(_success(payload)), function)

    def answer(self, function: str | None, respond: Callable[[Invocation], Any]) -> None:
        """What a function returns, made of each call. If `respond` raises, the function has failed with that error."""

        def answered(call: Invocation) -> _Answer:
            try:
                return _success(respond(call))
            except Exception as error:
                return _failure(type(error).__name__, str(error))

        self._say(_Script(answered), function)

    def raises(self, error_type: str, message: str = "", function: str | None = None) -> None:
        """A function that fails: 200 with `X-Amz-Function-Error`. `Sandbox.Timedout` is Lambda's own word for one that
        ran past its timeout."""
        self._say(_always(_failure(error_type, message)), function)

    def refuses(
        self,
        status: int,
        code: str,
        message: str = "",
        headers: Mapping[str, str] | None = None,
        function: str | None = None,
    ) -> None:
        """Lambda refuses, and no function runs: `404, "ResourceNotFoundException"`. A 429 comes with its reason and a
        `Retry-After` of a second, unless `headers` say otherwise."""
        self._say(_always(_refusal(status, code, message, headers or {}), runs=False), function)

    def hangs(self, function: str | None = None) -> None:
        """No answer, until the client gives up or the fake ends. An asynchronous call is accepted all the same."""
        self._say(_Script(lambda _: None), function)

    # ---- what it was asked ----

    @property
    def calls(self) -> list[Invocation]:
        """In the order in which they arrived; what Lambda would have refused by itself is not among them."""
        with self._lock:
            return list(self._calls)

    # ---- inside ----

    def _started(self) -> LoopbackServer:
        if self._server is None:
            raise RuntimeError("FakeLambda has not been started; write `with FakeLambda() as fake:`")
        return self._server

    def _say(self, script: _Script, function: str | None) -> None:
        if function is not None:
            name, qualifier = _named(function)
            function = f"{name}:{qualifier}" if qualifier else name
        with self._lock:
            self._scripts[function] = script

    def serve(self, path: str, headers: Mapping[str, list[str]], body: bytes) -> _Answer | None:
        """The answer to one POST; for the server."""
        try:
            call = self._accepted(path, headers, body)
        except _Refused as refusal:
            return refusal.answer
        with self._lock:
            self._calls.append(call)
            keys = (f"{call.function}:{call.qualifier}", call.function, None)
            script = next(self._scripts[key] for key in keys if key in self._scripts)
        if script.runs and call.invocation_type != "RequestResponse":
            return _Answer(_STATUS[call.invocation_type], {}, b"")  # nobody waits for the function
        return script.answer(call)

    def _accepted(self, path: str, headers: Mapping[str, list[str]], body: bytes) -> Invocation:
        """The checks that Lambda makes, in its order."""
        if not any(value.startswith("AWS4-HMAC-SHA256 ") for value in headers.get("authorization", [])):
            raise _Refused(403, "MissingAuthenticationTokenException", "Missing Authentication Token.")
        parts = urlsplit(path)
        found = _PATH.fullmatch(parts.path)
        if found is None:
            raise _Refused(404, "UnknownOperationException", f"POST {parts.path}: this fake has Invoke only")
        kind = headers.get("x-amz-invocation-type", ["RequestResponse"])[0]
        if kind not in get_args(InvocationType):
            message = f"InvocationType {kind!r} is not one of {', '.join(_STATUS)}"
            raise _Refused(400, "InvalidParameterValueException", message)
        tenants = headers.get("x-amz-tenant-id", [])
        if len(tenants) > 1:
            raise _Refused(400, "InvalidParameterValueException", "X-Amz-Tenant-Id occurs more than once")
        name, qualifier = _function(unquote(found[1]), parts.query)
        tenant = tenants[0] if tenants else None
        if fault := tenancy_fault(None if self._isolated is None else name in self._isolated, tenant):
            raise _Refused(400, *fault)
        return Invocation(
            function=name,
            qualifier=qualifier,
            tenant=tenant,
            payload=_payload(body, ASYNC_LIMIT if kind == "Event" else SYNC_LIMIT),
            headers={name: ", ".join(values) for name, values in headers.items()},
            invocation_type=kind,  # type: ignore[arg-type] # one of the three, checked above
        )


def _named(function: str) -> tuple[str, str | None]:
    """A function's bare name, and the qualifier in it. ValueError if it is none."""
    found = _NAME.fullmatch(function)
    if found is None:
        raise ValueError(f"{function!r} is not a function name or ARN")
    return found["name"], found["qualifier"]


def _function(function: str, query: str) -> tuple[str, str | None]:
    asked = parse_qs(query, keep_blank_values=True).get("Qualifier", [None])[0]
    if asked == "":
        raise _Refused(400, "ValidationException", "Value '' at 'qualifier' failed to satisfy constraint")
    try:
        name, qualifier = _named(function)
    except ValueError as error:
        raise _Refused(400, "ValidationException", str(error)) from error
    if None not in (asked, qualifier) and asked != qualifier:
        message = "The derived qualifier from the function name does not match the specified qualifier."
        raise _Refused(400, "InvalidParameterValueException", message)
    return name, qualifier or asked


def _payload(body: bytes, limit: int) -> Any:
    if len(body) > limit:
        message = f"Request must be smaller than {limit} bytes for the InvokeFunction operation"
        raise _Refused(413, "RequestTooLargeException", message)
    try:
        return json.loads((body or b"{}").decode("utf-8"), parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        message = f"Could not parse request body into json: {type(error).__name__}"
        raise _Refused(400, "InvalidRequestContentException", message) from error


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


# ---- answers ----


def _always(answer: _Answer, *, runs: bool = True) -> _Script:
    return _Script(lambda _: answer, runs)


def _success(payload: Any) -> _Answer:
    body = bytes(payload) if isinstance(payload, bytes | bytearray) else json.dumps(payload, allow_nan=False).encode()
    return _Answer(200, {"X-Amz-Executed-Version": "$LATEST", "Content-Type": "application/json"}, body)


def _failure(error_type: str, message: str) -> _Answer:
    failed = _success({"errorType": error_type, "errorMessage": message})
    return _Answer(200, {**failed.headers, "X-Amz-Function-Error": "Unhandled"}, failed.body)


def _refusal(status: int, code: str, message: str, headers: Mapping[str, str]) -> _Answer:
    fields = {"Type": "User", "Message": message, "message": message}
    given = {"X-Amzn-ErrorType": code, "Content-Type": "application/json"}
    if status == 429:
        fields["Reason"] = "ConcurrentInvocationLimitExceeded"
        given["Retry-After"] = "1"
    lowered = {name.lower() for name in headers}
    kept = {name: value for name, value in given.items() if name.lower() not in lowered}
    return _Answer(status, {**kept, **headers}, json.dumps(fields).encode())


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
