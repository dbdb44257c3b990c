"""One Lambda Invoke: real boto3 against a loopback server and botocore's own Stubber, so that no fake can lie."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import boto3
import pytest
from botocore import exceptions as boto
from botocore.response import StreamingBody
from botocore.stub import Stubber

from lattice_bridge.errors import BridgeError, Misconfigured, TimedOut
from lattice_bridge.invoke import (
    RETRY_PAUSES,
    Boto3Invoker,
    Call,
    DidNotRun,
    LambdaClient,
    check_knows_tenants,
    connect_boto3,
    connect_time,
    refusal_for,
    time_for,
)
from tests.fake_lambda import FakeLambda, Heard, Reset, Says, Silence, Truncated, failure, unused_port

SHORT = 0.25
"""The shortest read timeout of the ladder: what a test of a silent backend has to wait."""


class Pauses(list[float]):
    """Stands in for `time.sleep`, and remembers."""

    def __call__(self, seconds: float) -> None:
        self.append(seconds)


class Clients:
    """Makes boto3 clients, counts them, and closes them at the end."""

    def __init__(self) -> None:
        self.made: list[Any] = []
        self._connect = connect_boto3("eu-west-1")

    def __call__(self, read_timeout: float) -> LambdaClient:
        client = self._connect(read_timeout)
        self.made.append(client)
        return client


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Clients]]:
    """boto3 clients for an endpoint, with credentials that nobody else knows, and no retries but our own."""
    opened: list[Clients] = []
    for name, value in {
        "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
        "AWS_SECRET_ACCESS_KEY": "not-a-secret",
        "AWS_CONFIG_FILE": "/dev/null",
        "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_MAX_ATTEMPTS": "5",  # what an operator may have set for other clients
        "AWS_RETRY_MODE": "legacy",
    }.items():
        monkeypatch.setenv(name, value)
    for name in ("AWS_SESSION_TOKEN", "AWS_PROFILE", "_X_AMZN_TRACE_ID", "AWS_LAMBDA_FUNCTION_NAME"):
        monkeypatch.delenv(name, raising=False)

    def at(url: str) -> Clients:
        monkeypatch.setenv("AWS_ENDPOINT_URL_LAMBDA", url)
        opened.append(Clients())
        return opened[-1]

    yield at
    for clients in opened:
        for client in clients.made:
            client.close()


Aws = Callable[[str], Clients]


def call(**fields: Any) -> Call:
    given = {"function": "orders:live", "tenant": "blue", "payload": b"{}", "invocation": "sync", "timeout": 4.0}
    return Call(**{**given, "left": 20.0, **fields})


def refused(invoker: Boto3Invoker, one: Call | None = None) -> BridgeError:
    with pytest.raises(BridgeError) as error:
        invoker(one or call())
    return error.value


# ---- what goes out --------------------------------------------------------------------------------------------------


def test_the_tenant_goes_out_as_a_signed_header(aws: Aws) -> None:
    with FakeLambda() as server:
        Boto3Invoker(aws(server.url))(call(tenant="blue"))
    heard = server.heard[0]
    assert heard.header("x-amz-tenant-id") == "blue"
    signed = str(heard.header("authorization")).partition("SignedHeaders=")[2].partition(",")[0]
    assert "x-amz-tenant-id" in signed.split(";")


def test_a_function_without_isolation_gets_no_tenant_header(aws: Aws) -> None:
    with FakeLambda() as server:
        Boto3Invoker(aws(server.url))(call(tenant=None))
    assert not [name for name in server.heard[0].headers if "tenant" in name]


def test_function_qualifier_and_payload_arrive_as_given(aws: Aws) -> None:
    payload = '{"path":"/é"}'.encode()
    with FakeLambda() as server:
        Boto3Invoker(aws(server.url))(call(function="orders:live", payload=payload))
    heard = server.heard[0]
    assert (heard.path, heard.body) == ("/2015-03-31/functions/orders%3Alive/invocations", payload)
    assert heard.header("x-amz-invocation-type") == "RequestResponse"


def test_an_async_call_is_an_event_and_answers_nothing(aws: Aws) -> None:
    with FakeLambda(Says(b"", 202)) as server:
        assert Boto3Invoker(aws(server.url))(call(invocation="async")) == b""
    assert server.heard[0].header("x-amz-invocation-type") == "Event"


def test_the_log_tail_is_not_asked_for(aws: Aws) -> None:
    """Trap D13: it would carry another reader's log lines."""
    with FakeLambda() as server:
        Boto3Invoker(aws(server.url))(call())
    assert server.heard[0].header("x-amz-log-type") is None


def test_the_trace_header_is_read_for_each_call(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "bridge")
    with FakeLambda() as server:
        invoker = Boto3Invoker(aws(server.url))
        for trace in ("Root=1-1;Lineage=1:ab:0", "Root=1-2;Lineage=1:ab:1"):
            monkeypatch.setenv("_X_AMZN_TRACE_ID", trace)
            invoker(call())
    sent = [heard.header("x-amzn-trace-id") for heard in server.heard]
    assert sent == ["Root=1-1;Lineage=1:ab:0", "Root=1-2;Lineage=1:ab:1"]


@pytest.mark.parametrize("tenant", ["", " blue", "blue ", "blue\n", "bl ue", "-blue", "blue#", "blü", "b" * 257])
def test_the_last_door_refuses_what_is_not_a_tenant_id(tenant: str) -> None:
    """Traps A10, A13: boto3 checks nothing of it, and blanks at the ends vanish on the wire."""

    def never(_timeout: float) -> LambdaClient:
        raise AssertionError("a client was made")

    assert refused(Boto3Invoker(never), call(tenant=tenant)).reason == "tenant_id_rejected"


def test_connections_are_kept_alive(aws: Aws) -> None:
    with FakeLambda() as server:
        invoker = Boto3Invoker(aws(server.url))
        for tenant in ("blue", "green", "blue"):
            invoker(call(tenant=tenant))
    assert (len(server.heard), server.connections) == (3, 1)


def test_a_connection_that_lambda_closed_meanwhile_is_not_used_again(aws: Aws) -> None:
    """An execution environment sleeps between requests, longer than Lambda keeps an idle connection."""
    with FakeLambda(Says(hang_up=True), Says(b'"again"')) as server:
        invoker = Boto3Invoker(aws(server.url))
        invoker(call())
        assert server.hung_up.wait(10)
        assert invoker(call()) == b'"again"'
    assert (len(server.heard), server.connections) == (2, 2)


def test_an_error_is_read_to_its_end_and_its_connection_kept(aws: Aws) -> None:
    with FakeLambda(failure(404, "ResourceNotFoundException"), Says()) as server:
        invoker = Boto3Invoker(aws(server.url))
        refused(invoker)
        invoker(call())
    assert server.connections == 1


# ---- what comes back ------------------------------------------------------------------------------------------------


def test_the_answer_is_the_payloads_bytes(aws: Aws) -> None:
    with FakeLambda(Says(b'{"a": "\xc3\xa9"}')) as server:
        assert Boto3Invoker(aws(server.url))(call()) == b'{"a": "\xc3\xa9"}'


def test_a_payload_that_looks_like_an_error_is_an_answer(aws: Aws) -> None:
    body = b'{"errorType":"KeyError","errorMessage":"no","stackTrace":[]}'
    with FakeLambda(Says(body)) as server:
        assert Boto3Invoker(aws(server.url))(call()) == body


@pytest.mark.parametrize("value", ["Unhandled", "Handled", "", "whatever"])
def test_any_value_of_the_function_error_header_is_an_error(aws: Aws, value: str) -> None:
    answer = Says(b'{"statusCode":200,"errorType":"KeyError"}', headers={"x-amz-function-error": value})
    with FakeLambda(answer) as server:
        refusal = refused(Boto3Invoker(aws(server.url)))
    assert (refusal.status, refusal.reason, refusal.detail) == (502, "backend_raised", "errorType KeyError")
    assert len(server.heard) == 1


def test_an_errors_message_and_trace_go_nowhere(aws: Aws) -> None:
    """Trap D13."""
    body = b'{"errorType":"KeyError","errorMessage":"secret-1","stackTrace":["secret-2"]}'
    with FakeLambda(Says(body, headers={"x-amz-function-error": "Unhandled"})) as server:
        assert "secret" not in str(refused(Boto3Invoker(aws(server.url))))


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b"\xff", b'{"errorType":5}', b"[" * 100_000])
def test_an_error_without_a_type_is_an_error_all_the_same(aws: Aws, body: bytes) -> None:
    with FakeLambda(Says(body, headers={"x-amz-function-error": "Unhandled"})) as server:
        assert refused(Boto3Invoker(aws(server.url))).detail == "no errorType"


def test_a_function_that_hit_its_own_timeout_timed_out(aws: Aws) -> None:
    body = b'{"errorType":"Sandbox.Timedout","errorMessage":"Task timed out after 3.00 seconds"}'
    with FakeLambda(Says(body, headers={"x-amz-function-error": "Unhandled"})) as server:
        refusal = refused(Boto3Invoker(aws(server.url)))
    assert (refusal.status, refusal.reason) == (504, "backend_timeout")


@pytest.mark.parametrize(
    ("answer", "status", "reason"),
    [
        (failure(404, "ResourceNotFoundException", "Function not found"), 500, "function_not_found"),
        (failure(403, "AccessDeniedException", "not authorized"), 500, "access_denied"),
        (failure(403, "UnrecognizedClientException"), 500, "access_denied"),
        (failure(403, "InvalidSignatureException"), 500, "access_denied"),
        (failure(403, "ExpiredTokenException"), 500, "access_denied"),
        (failure(413, "RequestTooLargeException"), 413, "request_too_large"),
        (failure(400, "InvalidParameterValueException", "TenantId is required"), 500, "tenancy_mismatch"),
        (failure(400, "InvalidParameterValueException", "Unknown qualifier"), 500, "invoke_rejected"),
        (failure(400, "InvalidRequestContentException"), 500, "invoke_rejected"),
        (failure(500, "ServiceException"), 503, "unreachable"),
        (failure(502, "EC2ThrottledException"), 503, "unreachable"),
        (Says(b"<html>bad gateway</html>", 502), 503, "unreachable"),
        (Says(b"", 418), 500, "invoke_rejected"),
    ],
    ids=lambda value: value.headers.get("x-amzn-errortype", "bare") if isinstance(value, Says) else None,
)
def test_what_lambda_refuses_is_sent_once_and_has_its_own_reason(
    aws: Aws, answer: Says, status: int, reason: str
) -> None:
    with FakeLambda(answer) as server:
        refusal = refused(Boto3Invoker(aws(server.url), pause=Pauses()))
    assert (refusal.status, refusal.reason, len(server.heard)) == (status, reason, 1)


def test_neither_function_nor_message_of_lambda_is_in_a_title() -> None:
    """Trap D13."""
    error = boto.ClientError({"Error": {"Code": "AccessDeniedException", "Message": "arn:secret"}}, "Invoke")
    assert refusal_for(error).title == "Internal Server Error"
    assert "secret" not in refusal_for(error).detail


def test_a_throttle_carries_lambdas_reason_and_pause(aws: Aws) -> None:
    answer = Says(
        b'{"Reason":"ConcurrentInvocationLimitExceeded","message":"Rate Exceeded."}',
        429,
        {"x-amzn-errortype": "TooManyRequestsException", "retry-after": "7"},
    )
    with FakeLambda(answer) as server:
        refusal = refused(Boto3Invoker(aws(server.url), pause=Pauses()))
    assert (refusal.status, refusal.reason, refusal.retry_after) == (503, "throttled", 7)
    assert "ConcurrentInvocationLimitExceeded" in refusal.detail


def throttled(retry_after: str) -> boto.ClientError:
    response: Any = {
        "Error": {"Code": "TooManyRequestsException"},
        "ResponseMetadata": {"HTTPStatusCode": 429, "HTTPHeaders": {"retry-after": retry_after}},
    }
    return boto.ClientError(response, "Invoke")


@pytest.mark.parametrize("value", ["Fri, 21 Nov 2025 00:00:00 GMT", "-1", "1.5", "²", ""])
def test_a_pause_that_is_not_a_count_of_seconds_is_one_second(value: str) -> None:
    assert refusal_for(throttled(value)).retry_after == 1


@pytest.mark.parametrize("value", ["999999999", "9" * 5000])
def test_a_pause_is_an_hour_at_most(value: str) -> None:
    """Python refuses to read a number of 5,000 digits: that is no reason to answer with a bug of ours."""
    assert refusal_for(throttled(value)).retry_after == 3600


# ---- what is sent again, and what never is --------------------------------------------------------------------------


def test_a_silent_backend_is_invoked_once(aws: Aws) -> None:
    """Trap D14: botocore on its own would run it again, three to five times."""
    with FakeLambda(Silence()) as server:
        refusal = refused(Boto3Invoker(aws(server.url), pause=Pauses()), call(timeout=SHORT))
    assert (refusal.status, refusal.reason, len(server.heard)) == (504, "backend_timeout", 1)


def test_a_reset_after_the_request_was_sent_is_not_repeated(aws: Aws) -> None:
    """Trap D14."""
    with FakeLambda(Reset()) as server:
        refusal = refused(Boto3Invoker(aws(server.url), pause=Pauses()))
    assert (refusal.status, refusal.reason, len(server.heard)) == (502, "connection_lost", 1)


def test_an_answer_that_ends_early_is_neither_passed_on_nor_repeated(aws: Aws) -> None:
    """Traps D14, D15."""
    with FakeLambda(Truncated()) as server:
        refusal = refused(Boto3Invoker(aws(server.url), pause=Pauses()))
    assert (refusal.status, refusal.reason, len(server.heard)) == (502, "connection_lost", 1)


def test_after_an_answer_that_ended_early_the_next_request_has_a_connection_of_its_own(aws: Aws) -> None:
    """Trap D15."""
    with FakeLambda(Truncated(), Says(b'"green"')) as server:
        invoker = Boto3Invoker(aws(server.url), pause=Pauses())
        refused(invoker)
        assert invoker(call(tenant="green")) == b'"green"'
    assert server.connections == 2


def test_after_a_silence_the_next_request_has_a_connection_of_its_own(aws: Aws) -> None:
    """Trap D15: the late answer of the first would be the second's."""
    with FakeLambda(Silence(), Says(b'"green"')) as server:
        invoker = Boto3Invoker(aws(server.url), pause=Pauses())
        refused(invoker, call(timeout=SHORT))
        assert invoker(call(tenant="green", timeout=SHORT)) == b'"green"'
    assert server.connections == 2


def test_a_function_that_failed_is_not_invoked_again(aws: Aws) -> None:
    """Trap D14."""
    with FakeLambda(failure(500, "ServiceException")) as server:
        refused(Boto3Invoker(aws(server.url), pause=Pauses()))
    assert len(server.heard) == 1


def test_a_throttled_call_is_repeated_as_it_was(aws: Aws) -> None:
    with FakeLambda(failure(429, "TooManyRequestsException"), Says()) as server:
        pauses = Pauses()
        assert Boto3Invoker(aws(server.url), pause=pauses)(call()) == b'{"ok":true}'
    assert [heard.header("x-amz-tenant-id") for heard in server.heard] == ["blue", "blue"]
    assert len(pauses) == 1


def test_a_call_that_stays_throttled_is_given_up(aws: Aws) -> None:
    with FakeLambda(failure(429, "TooManyRequestsException")) as server:
        pauses = Pauses()
        refusal = refused(Boto3Invoker(aws(server.url), pause=pauses))
    assert (refusal.status, len(server.heard), len(pauses)) == (503, 1 + len(RETRY_PAUSES), len(RETRY_PAUSES))
    assert all(0 < pause <= most for pause, most in zip(pauses, RETRY_PAUSES, strict=True))


def test_a_throttled_call_is_repeated_when_lambda_says_at_once(aws: Aws) -> None:
    with FakeLambda(failure(429, "TooManyRequestsException", retry_after="0"), Says()) as server:
        Boto3Invoker(aws(server.url), pause=Pauses())(call())
    assert len(server.heard) == 2


def test_a_throttled_call_is_not_repeated_before_lambda_wants_it(aws: Aws) -> None:
    with FakeLambda(failure(429, "TooManyRequestsException", retry_after="1"), Says()) as server:
        refused(Boto3Invoker(aws(server.url), pause=Pauses()))
    assert len(server.heard) == 1


def test_a_throttled_call_is_not_repeated_past_the_deadline(aws: Aws) -> None:
    now = [100.0]

    def late(_heard: Heard) -> Says:
        now[0] += 19.8
        return failure(429, "TooManyRequestsException", retry_after="0")

    with FakeLambda(late) as server:
        invoker = Boto3Invoker(aws(server.url), clock=lambda: now[0], pause=Pauses())
        refusal = refused(invoker, call(left=20.0))
    assert (refusal.reason, len(server.heard)) == ("throttled", 1)


def test_a_refused_connection_is_tried_again_and_then_unavailable(aws: Aws) -> None:
    pauses = Pauses()
    refusal = refused(Boto3Invoker(aws(f"http://127.0.0.1:{unused_port()}"), pause=pauses))
    assert (refusal.status, refusal.reason, refusal.retry_after) == (503, "unreachable", 1)
    assert len(pauses) == len(RETRY_PAUSES)


def test_the_pauses_are_never_zero_in_all() -> None:
    assert all(pause > 0 for pause in RETRY_PAUSES)


# ---- what boto3 raises ----------------------------------------------------------------------------------------------

WHERE = {"endpoint_url": "http://127.0.0.1"}


@pytest.mark.parametrize(
    ("error", "status", "reason", "again"),
    [
        (boto.ReadTimeoutError(**WHERE), 504, "backend_timeout", False),
        (boto.ConnectTimeoutError(**WHERE), 503, "unreachable", True),
        (boto.EndpointConnectionError(**WHERE), 503, "unreachable", True),
        (boto.ConnectionClosedError(**WHERE), 502, "connection_lost", False),
        (boto.HTTPClientError(error="x"), 502, "connection_lost", False),
        (boto.ResponseStreamingError(error="x"), 502, "connection_lost", False),
        (boto.IncompleteReadError(actual_bytes=1, expected_bytes=2), 502, "connection_lost", False),
        (ConnectionResetError(), 502, "connection_lost", False),
        (boto.NoCredentialsError(), 500, "access_denied", False),
        (boto.ParamValidationError(report="x"), 500, "invoke_rejected", False),
        (ValueError("x"), 500, "invoke_rejected", False),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else None,
)
def test_an_exception_of_boto3_says_whether_the_function_may_have_run(
    error: Exception, status: int, reason: str, again: bool
) -> None:
    """Trap D14."""
    refusal = refusal_for(error)
    assert (refusal.status, refusal.reason, isinstance(refusal, DidNotRun)) == (status, reason, again)


# ---- time -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("timeout", "left", "chosen"),
    [
        (28.0, 100.0, 28.0),
        (28.0, 30.0, 28.0),
        (28.0, 29.9, 27.0),
        (28.0, 2.5, 2.0),
        (28.0, 1.3, 1.0),
        (28.0, 1.0, 0.5),
        (28.0, 0.32, 0.25),
        (0.1, 0.2, 0.1),
    ],
)
def test_the_read_timeout_is_the_backends_or_what_fits_beside_connecting(
    timeout: float, left: float, chosen: float
) -> None:
    assert time_for(timeout, left) == chosen
    assert chosen + connect_time(chosen) <= left


@pytest.mark.parametrize("left", [0.3, 0.0, -3.0])
def test_nothing_is_invoked_when_too_little_is_left(left: float) -> None:
    with pytest.raises(TimedOut) as error:
        time_for(28.0, left)
    assert (error.value.status, error.value.reason) == (504, "no_time_left")


@pytest.mark.parametrize("left", [3.0, 28.0, 28.5, 60.0])
def test_connecting_and_reading_together_end_before_the_deadline(aws: Aws, left: float) -> None:
    """design.md: never later than the bridge's own deadline."""
    chosen: list[Any] = []

    def connect(read_timeout: float) -> LambdaClient:
        client: Any = clients(read_timeout)
        chosen.append(client.meta.config)
        return client  # type: ignore[no-any-return]  # boto3 is untyped

    with FakeLambda() as server:
        clients = aws(server.url)
        Boto3Invoker(connect)(call(timeout=28.0, left=left + 0.01))
    assert chosen[-1].connect_timeout + chosen[-1].read_timeout <= left + 0.01


def test_there_is_one_client_a_timeout_however_many_calls(aws: Aws) -> None:
    """Trap D9: no call may add to what is kept."""
    with FakeLambda() as server:
        clients = aws(server.url)
        invoker = Boto3Invoker(clients)
        for left in (20.0, 19.0, 3.9, 3.85, 3.8, 20.0):
            invoker(call(timeout=4.0, left=left))
    assert len(clients.made) == 2


# ---- many at once ---------------------------------------------------------------------------------------------------


def test_32_threads_with_two_tenants_never_get_each_others_answer(aws: Aws) -> None:
    """Traps D10, D15."""

    def echo(heard: Heard) -> Says:
        return Says(json.dumps([heard.header("x-amz-tenant-id"), heard.body.decode()]).encode())

    with FakeLambda(echo) as server:
        clients = aws(server.url)
        invoker = Boto3Invoker(clients)
        ready = threading.Barrier(32)

        def run(number: int) -> bool:
            tenant = ("blue", "green")[number % 2]
            ready.wait(10)
            return all(
                json.loads(invoker(call(tenant=tenant, payload=b'"%d-%d"' % (number, turn))))
                == [tenant, f'"{number}-{turn}"']
                for turn in range(4)
            )

        with ThreadPoolExecutor(32) as pool:
            assert all(pool.map(run, range(32)))
    assert (len(server.heard), len(clients.made)) == (128, 1)


# ---- boto3 itself ---------------------------------------------------------------------------------------------------


def test_a_boto3_without_tenant_id_is_refused() -> None:
    with pytest.raises(Misconfigured, match=r"1\.40\.0") as error:
        check_knows_tenants({"FunctionName": object(), "Payload": object()}, "1.40.0")
    assert error.value.reason == "boto3_too_old"


def test_botocore_takes_our_arguments_and_gives_what_we_read() -> None:
    """Stubber checks both against the service model."""
    client = boto3.client("lambda", "eu-west-1", aws_access_key_id="x", aws_secret_access_key="y")
    expected = {
        "FunctionName": "orders:live",
        "InvocationType": "RequestResponse",
        "Payload": b"{}",
        "TenantId": "blue",
    }
    with Stubber(client) as stub:
        stub.add_response("invoke", {"StatusCode": 200, "Payload": _stream(b'"hi"')}, expected)
        assert Boto3Invoker(lambda _timeout: client)(call()) == b'"hi"'
        stub.assert_no_pending_responses()
    client.close()


def test_botocores_own_errors_are_understood() -> None:
    client = boto3.client("lambda", "eu-west-1", aws_access_key_id="x", aws_secret_access_key="y")
    with Stubber(client) as stub:
        stub.add_client_error("invoke", "ResourceNotFoundException", "no", 404)
        assert refused(Boto3Invoker(lambda _timeout: client)).reason == "function_not_found"
    client.close()


def test_the_answers_stream_is_closed_even_when_it_cannot_be_read() -> None:
    """Trap D15."""

    class Broken(io.BytesIO):
        def read(self, *_: object) -> bytes:
            raise OSError("reset")

    broken = Broken()

    class Client:
        meta: Any = None

        def invoke(self, **arguments: Any) -> Mapping[str, Any]:
            return {"Payload": broken}

    assert refused(Boto3Invoker(lambda _timeout: Client())).reason == "connection_lost"
    assert broken.closed


def _stream(body: bytes) -> StreamingBody:
    return StreamingBody(io.BytesIO(body), len(body))
