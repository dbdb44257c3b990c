"""One Lambda Invoke, through boto3 and directly: real HTTP against a loopback server, so that no fake can lie.

Every test with `at` holds for both: the same bytes out that matter, the same answers, the same errors.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from lattice_bridge.errors import BridgeError
from lattice_bridge.invoke.call import LambdaError, bridge_error
from lattice_bridge.invoke.retry import RETRY_PAUSES
from lattice_bridge.local.aws.invoke_checks import MISSING, UNWANTED
from tests.support.examples import examples
from tests.support.fake_lambda import FakeLambda, Heard, Reset, Says, Silence, Truncated, failure, unused_port
from tests.support.invokers import SHORT, At, Pauses, boto3_invokers, call, direct_invokers, refused
from tests.support.lifetime import outlives


@pytest.fixture(params=["direct", "boto3"])
def at(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[At]:
    """An invoker for an endpoint, with no retries but our own."""
    with direct_invokers() if request.param == "direct" else boto3_invokers(monkeypatch) as found:
        yield found


# ---- what goes out --------------------------------------------------------------------------------------------------


def test_tenant_is_sent_as_signed_header(at: At) -> None:
    with FakeLambda() as server:
        at(server.url)(call(tenant="blue"))
    heard = server.heard[0]
    assert heard.header("x-amz-tenant-id") == "blue"
    signed = str(heard.header("authorization")).partition("SignedHeaders=")[2].partition(",")[0]
    assert "x-amz-tenant-id" in signed.split(";")


def test_function_without_isolation_gets_no_tenant_header(at: At) -> None:
    with FakeLambda() as server:
        at(server.url)(call(tenant=None))
    assert not [name for name in server.heard[0].headers if "tenant" in name]


def test_function_qualifier_and_payload_arrive_unchanged(at: At) -> None:
    payload = '{"path":"/é"}'.encode()
    with FakeLambda() as server:
        at(server.url)(call(function="orders:live", payload=payload))
    heard = server.heard[0]
    assert (heard.path, heard.body) == ("/2015-03-31/functions/orders%3Alive/invocations", payload)
    assert heard.header("x-amz-invocation-type") == "RequestResponse"


def test_async_call_is_an_event_without_payload(at: At) -> None:
    with FakeLambda(Says(b"", 202)) as server:
        assert at(server.url)(call(invocation="async")) == b""
    assert server.heard[0].header("x-amz-invocation-type") == "Event"


def test_log_tail_is_not_requested(at: At) -> None:
    """Trap D13: it would carry another reader's log lines."""
    with FakeLambda() as server:
        at(server.url)(call())
    assert server.heard[0].header("x-amz-log-type") is None


@pytest.mark.parametrize("tenant", ["", " blue", "blue ", "blue\n", "bl ue", "-blue", "blue#", "blü", "b" * 257])
def test_malformed_tenant_id_is_not_sent(at: At, tenant: str) -> None:
    """Traps A10, A13: boto3 does not check it, and spaces at the ends are lost on the way."""
    with FakeLambda() as server:
        assert refused(at(server.url), call(tenant=tenant)).reason == "tenant_id_rejected"
    assert server.connections == 0


def test_connections_are_kept_alive(at: At) -> None:
    with FakeLambda() as server:
        invoker = at(server.url)
        for tenant in ("blue", "green", "blue"):
            invoker(call(tenant=tenant))
    assert (len(server.heard), server.connections) == (3, 1)


def test_closed_connection_is_not_reused(at: At) -> None:
    """An execution environment sleeps between requests, longer than Lambda keeps an idle connection."""
    with FakeLambda(Says(hang_up=True), Says(b'"again"')) as server:
        invoker = at(server.url)
        invoker(call())
        assert server.hung_up.wait(10)
        assert invoker(call()) == b'"again"'
    assert (len(server.heard), server.connections) == (2, 2)


def test_error_answer_keeps_its_connection(at: At) -> None:
    with FakeLambda(failure(404, "ResourceNotFoundException"), Says()) as server:
        invoker = at(server.url)
        refused(invoker)
        invoker(call())
    assert server.connections == 1


# ---- what comes back ------------------------------------------------------------------------------------------------


def test_answer_is_the_payload(at: At) -> None:
    with FakeLambda(Says(b'{"a": "\xc3\xa9"}')) as server:
        assert at(server.url)(call()) == b'{"a": "\xc3\xa9"}'


def test_payload_like_an_error_is_an_answer(at: At) -> None:
    body = b'{"errorType":"KeyError","errorMessage":"no","stackTrace":[]}'
    with FakeLambda(Says(body)) as server:
        assert at(server.url)(call()) == body


@pytest.mark.parametrize("value", ["Unhandled", "Handled", "", "whatever"])
def test_any_function_error_header_is_an_error(at: At, value: str) -> None:
    answer = Says(b'{"statusCode":200,"errorType":"KeyError"}', headers={"x-amz-function-error": value})
    with FakeLambda(answer) as server:
        refusal = refused(at(server.url))
    assert (refusal.status, refusal.reason, refusal.detail) == (502, "backend_raised", "errorType KeyError")
    assert len(server.heard) == 1


def test_function_error_message_and_trace_are_dropped(at: At) -> None:
    """Trap D13."""
    body = b'{"errorType":"KeyError","errorMessage":"secret-1","stackTrace":["secret-2"]}'
    with FakeLambda(Says(body, headers={"x-amz-function-error": "Unhandled"})) as server:
        assert "secret" not in str(refused(at(server.url)))


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b"\xff", b'{"errorType":5}', b"[" * 100_000])
def test_function_error_without_type_is_an_error(at: At, body: bytes) -> None:
    with FakeLambda(Says(body, headers={"x-amz-function-error": "Unhandled"})) as server:
        assert refused(at(server.url)).detail == "no errorType"


def test_error_with_thousands_of_lists_is_not_read(at: At) -> None:
    """Trap E22: a function's own code chooses its error. Reading 6 MB of lists delayed the records of other tenants by
    seconds."""
    body = b'{"errorType":"KeyError","stackTrace":[' + b"[]," * 10_000 + b"[]]}"
    with FakeLambda(Says(body, headers={"x-amz-function-error": "Unhandled"})) as server:
        refusal = refused(at(server.url))
    assert (refusal.reason, refusal.detail) == ("backend_raised", "no errorType")


def test_function_timeout_is_a_timeout(at: At) -> None:
    body = b'{"errorType":"Sandbox.Timedout","errorMessage":"Task timed out after 3.00 seconds"}'
    with FakeLambda(Says(body, headers={"x-amz-function-error": "Unhandled"})) as server:
        refusal = refused(at(server.url))
    assert (refusal.status, refusal.reason) == (504, "backend_timeout")


@pytest.mark.parametrize(
    ("answer", "status", "reason"),
    [
        (failure(404, "ResourceNotFoundException", "Function not found"), 500, "function_not_found"),
        (failure(403, "AccessDeniedException", "not authorized"), 500, "access_denied"),
        (failure(403, "UnrecognizedClientException"), 500, "access_denied"),
        (failure(403, "InvalidSignatureException"), 500, "access_denied"),
        (failure(413, "RequestTooLargeException"), 413, "request_too_large"),
        (failure(400, "InvalidParameterValueException", MISSING), 500, "tenancy_mismatch"),
        (failure(400, "InvalidParameterValueException", UNWANTED), 500, "tenancy_mismatch"),
        (failure(400, "InvalidParameterValueException", "Unknown qualifier"), 500, "invoke_rejected"),
        (failure(400, "InvalidRequestContentException"), 500, "invoke_rejected"),
        (failure(500, "ServiceException"), 503, "unreachable"),
        (failure(502, "EC2ThrottledException"), 503, "unreachable"),
        (Says(b"<html>bad gateway</html>", 502), 503, "unreachable"),
        (Says(b'{"code":"AccessDeniedException"}', 400), 500, "access_denied"),
        (Says(b'{"__type":"com.amazon#ResourceNotFoundException"}', 400), 500, "function_not_found"),
        (failure(400, "com.amazon#AccessDeniedException:http://x/"), 500, "access_denied"),
        (failure(409, "ResourceConflictException"), 503, "unreachable"),
        (failure(508, "RecursiveInvocationException"), 508, "loop"),
        (Says(b"", 301, {"location": "http://127.0.0.1/"}), 500, "invoke_rejected"),
        (Says(b"", 418), 500, "invoke_rejected"),
    ],
    ids=lambda value: value.headers.get("x-amzn-errortype", "bare") if isinstance(value, Says) else None,
)
def test_lambda_refusal_is_sent_once_with_its_reason(at: At, answer: Says, status: int, reason: str) -> None:
    with FakeLambda(answer) as server:
        refusal = refused(at(server.url, pause=Pauses()))
    assert (refusal.status, refusal.reason, len(server.heard)) == (status, reason, 1)


def test_title_contains_no_function_and_no_message() -> None:
    """Trap D13."""
    refusal = bridge_error(LambdaError(403, "AccessDeniedException", "arn:secret"))
    assert refusal.title == "Internal Server Error"
    assert "secret" not in refusal.detail


def test_throttle_has_reason_and_retry_after(at: At) -> None:
    answer = Says(
        b'{"Reason":"ConcurrentInvocationLimitExceeded","message":"Rate Exceeded."}',
        429,
        {"x-amzn-errortype": "TooManyRequestsException", "retry-after": "7"},
    )
    with FakeLambda(answer) as server:
        refusal = refused(at(server.url, pause=Pauses()))
    assert (refusal.status, refusal.reason, refusal.retry_after) == (503, "throttled", 7)
    assert "ConcurrentInvocationLimitExceeded" in refusal.detail


@pytest.mark.parametrize("value", ["Fri, 21 Nov 2025 00:00:00 GMT", "-1", "1.5", "²", ""])
def test_malformed_retry_after_is_one_second(value: str) -> None:
    assert bridge_error(LambdaError(429, retry_after=value)).retry_after == 1


@pytest.mark.parametrize("value", ["999999999", "9" * 5000])
def test_retry_after_is_an_hour_at_most(value: str) -> None:
    """Python refuses to read a number of 5,000 digits: that must not become an internal error."""
    assert bridge_error(LambdaError(429, retry_after=value)).retry_after == 3600


# ---- what is sent again, and what never is --------------------------------------------------------------------------


def test_silent_backend_is_invoked_once(at: At) -> None:
    """Trap D14: botocore on its own would run it again, three to five times."""
    with FakeLambda(Silence()) as server:
        refusal = refused(at(server.url, pause=Pauses()), call(timeout=SHORT))
    assert (refusal.status, refusal.reason, len(server.heard)) == (504, "backend_timeout", 1)


def test_reset_after_the_request_is_not_retried(at: At) -> None:
    """Trap D14."""
    with FakeLambda(Reset()) as server:
        refusal = refused(at(server.url, pause=Pauses()))
    assert (refusal.status, refusal.reason, len(server.heard)) == (502, "connection_lost", 1)


def test_truncated_answer_is_refused_and_not_retried(at: At) -> None:
    """Traps D14, D15."""
    with FakeLambda(Truncated()) as server:
        refusal = refused(at(server.url, pause=Pauses()))
    assert (refusal.status, refusal.reason, len(server.heard)) == (502, "connection_lost", 1)


def test_truncated_answer_closes_its_connection(at: At) -> None:
    """Trap D15."""
    with FakeLambda(Truncated(), Says(b'"green"')) as server:
        invoker = at(server.url, pause=Pauses())
        refused(invoker)
        assert invoker(call(tenant="green")) == b'"green"'
    assert server.connections == 2


def test_timeout_closes_its_connection(at: At) -> None:
    """Trap D15: the late answer of the first would be the second's."""
    with FakeLambda(Silence(), Says(b'"green"')) as server:
        invoker = at(server.url, pause=Pauses())
        refused(invoker, call(timeout=SHORT))
        assert invoker(call(tenant="green", timeout=SHORT)) == b'"green"'
    assert server.connections == 2


def test_failed_function_is_not_invoked_again(at: At) -> None:
    """Trap D14."""
    with FakeLambda(failure(500, "ServiceException")) as server:
        refused(at(server.url, pause=Pauses()))
    assert len(server.heard) == 1


def test_throttled_call_is_retried_unchanged(at: At) -> None:
    with FakeLambda(failure(429, "TooManyRequestsException"), Says()) as server:
        pauses = Pauses()
        assert at(server.url, pause=pauses)(call()) == b'{"ok":true}'
    assert [heard.header("x-amz-tenant-id") for heard in server.heard] == ["blue", "blue"]
    assert len(pauses) == 1


def test_call_that_stays_throttled_is_given_up(at: At) -> None:
    with FakeLambda(failure(429, "TooManyRequestsException")) as server:
        pauses = Pauses()
        refusal = refused(at(server.url, pause=pauses))
    assert (refusal.status, len(server.heard), len(pauses)) == (503, 1 + len(RETRY_PAUSES), len(RETRY_PAUSES))
    assert all(0 < pause <= most for pause, most in zip(pauses, RETRY_PAUSES, strict=True))


def test_call_that_was_throttled_twice_does_not_outlive_its_answer(at: At) -> None:
    """Trap D9."""
    throttled = failure(429, "TooManyRequestsException")
    with FakeLambda(throttled, throttled, Says()) as server:
        invoker = at(server.url, pause=Pauses())
        assert not outlives(lambda held: invoker(call(on_request_id=held.get)))
    assert len(server.heard) == 3


def test_throttle_with_zero_seconds_is_retried(at: At) -> None:
    with FakeLambda(failure(429, "TooManyRequestsException", retry_after="0"), Says()) as server:
        at(server.url, pause=Pauses())(call())
    assert len(server.heard) == 2


def test_throttle_with_long_retry_after_is_not_retried(at: At) -> None:
    with FakeLambda(failure(429, "TooManyRequestsException", retry_after="1"), Says()) as server:
        refused(at(server.url, pause=Pauses()))
    assert len(server.heard) == 1


def test_throttle_is_not_retried_past_the_deadline(at: At) -> None:
    now = [100.0]

    def late(_heard: Heard) -> Says:
        now[0] += 19.8
        return failure(429, "TooManyRequestsException", retry_after="0")

    with FakeLambda(late) as server:
        invoker = at(server.url, clock=lambda: now[0], pause=Pauses())
        refusal = refused(invoker, call(timeout=28.0, left=20.0))
    assert (refusal.reason, len(server.heard)) == ("throttled", 1)


def test_refused_connection_is_retried_then_unavailable(at: At) -> None:
    pauses = Pauses()
    refusal = refused(at(f"http://127.0.0.1:{unused_port()}", pause=pauses))
    assert (refusal.status, refusal.reason, refusal.retry_after) == (503, "unreachable", 1)
    assert len(pauses) == len(RETRY_PAUSES)


def test_retry_pauses_are_not_zero() -> None:
    assert all(pause > 0 for pause in RETRY_PAUSES)


@pytest.mark.parametrize("left", [0.2, 0.0, -3.0])
def test_too_little_time_sends_nothing(at: At, left: float) -> None:
    with FakeLambda() as server:
        refusal = refused(at(server.url), call(left=left))
    assert (refusal.status, refusal.reason, server.connections) == (504, "no_time_left", 0)


# ---- many at once ---------------------------------------------------------------------------------------------------


def test_32_threads_get_their_own_answers(at: At) -> None:
    """Traps D10, D15."""

    def echo(heard: Heard) -> Says:
        return Says(json.dumps([heard.header("x-amz-tenant-id"), heard.body.decode()]).encode())

    with FakeLambda(echo) as server:
        invoker = at(server.url)
        ready = threading.Barrier(32)

        def run(number: int) -> bool:
            tenant = f"tenant-{number}"
            ready.wait(10)
            return all(
                json.loads(invoker(call(tenant=tenant, payload=b'"%d-%d"' % (number, turn))))
                == [tenant, f'"{number}-{turn}"']
                for turn in range(4)
            )

        with ThreadPoolExecutor(32) as pool:
            assert all(pool.map(run, range(32)))
    assert len(server.heard) == 128
    assert server.connections <= 32


# ---- credentials that have expired ----------------------------------------------------------------------------------


def test_expired_credentials_are_renewed_once(at: At) -> None:
    """Trap D14: Lambda refused the first before it ran anything."""
    with FakeLambda(failure(403, "ExpiredTokenException"), Says(b'"fresh"')) as server:
        assert at(server.url)(call()) == b'"fresh"'
    assert len(server.heard) == 2


def test_credentials_that_stay_expired_are_refused(at: At) -> None:
    with FakeLambda(failure(403, "ExpiredTokenException")) as server:
        assert refused(at(server.url)).reason == "access_denied"
    assert len(server.heard) == 2


# ---- a server that hangs up -----------------------------------------------------------------------------------------


def test_server_that_closes_between_requests_gets_each_once(at: At) -> None:
    """Trap D14. It says nothing of hanging up, as a load balancer with a short patience does not."""
    asked = examples(1000)

    def answer(heard: Heard) -> Says:
        return Says(heard.body, hang_up=int(heard.body) % 3 == 0)

    with FakeLambda(answer) as server:
        invoker = at(server.url)
        for number in range(asked):
            payload = str(number).encode()
            assert invoker(call(payload=payload)) == payload
            if number % 3 == 0:
                assert server.hung_up.wait(5)
                server.hung_up.clear()
        assert [heard.body for heard in server.heard] == [str(number).encode() for number in range(asked)]
        assert server.connections == -(-asked // 3)


@pytest.mark.parametrize("status", [302, 500, 504])
def test_expiry_with_another_status_is_not_retried(at: At, status: int) -> None:
    """Trap D14."""
    with FakeLambda(failure(status, "ExpiredTokenException")) as server:
        refused(at(server.url, pause=Pauses()))
    assert len(server.heard) == 1


# ---- Lambda's request id --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "answer",
    [
        Says(headers={"x-amzn-requestid": "id-1"}),
        Says(b'{"errorType":"KeyError"}', headers={"x-amzn-requestid": "id-1", "x-amz-function-error": "Unhandled"}),
        failure(403, "AccessDeniedException", x_amzn_requestid="id-1"),
        Says(b"", 202, headers={"x-amzn-requestid": "id-1"}),
    ],
    ids=["payload", "function error", "refused", "accepted"],
)
def test_request_id_of_every_answer_is_reported(at: At, answer: Says) -> None:
    reported: list[str] = []
    with FakeLambda(answer) as server, suppress(BridgeError):
        at(server.url)(call(on_request_id=reported.append))
    assert reported == ["", "id-1"]


def test_request_id_of_an_earlier_attempt_is_withdrawn(at: At) -> None:
    reported: list[str] = []
    script = failure(429, "TooManyRequestsException", x_amzn_requestid="id-1"), Reset()
    with FakeLambda(*script) as server:
        refused(at(server.url, pause=Pauses()), call(on_request_id=reported.append))
    assert (reported[:2], set(reported[2:])) == (["", "id-1"], {""})
