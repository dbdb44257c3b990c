"""One Lambda Invoke through boto3: what is its own. Real boto3, against a loopback server and botocore's Stubber."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import boto3
import pytest
from botocore import exceptions as boto
from botocore.response import StreamingBody
from botocore.stub import Stubber

from lattice_bridge.aws import AwsClient, boto3_session
from lattice_bridge.errors import Misconfigured, TimedOut
from lattice_bridge.invoke.boto3 import (
    Boto3Clients,
    Boto3Invoker,
    LambdaClient,
    check_knows_tenants,
    connect_time,
    error_for,
    time_for,
)
from lattice_bridge.invoke.call import DidNotRun
from tests.support.fake_lambda import FakeLambda, Reset, Says
from tests.support.invokers import ENVIRON, Clients, boto3_clients, boto3_invokers, call, refused

Aws = Callable[[str], Clients]


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[Aws]:
    with boto3_clients(monkeypatch) as clients:
        yield clients


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
def test_boto3_exception_maps_to_an_error(error: Exception, status: int, reason: str, again: bool) -> None:
    """Trap D14."""
    refusal = error_for(error)
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
def test_read_timeout_fits_beside_connecting(timeout: float, left: float, chosen: float) -> None:
    assert time_for(timeout, left) == chosen
    assert chosen + connect_time(chosen) <= left


@pytest.mark.parametrize("left", [0.3, 0.0, -3.0])
def test_too_little_time_invokes_nothing(left: float) -> None:
    with pytest.raises(TimedOut) as error:
        time_for(28.0, left)
    assert (error.value.status, error.value.reason) == (504, "no_time_left")


@pytest.mark.parametrize("left", [3.0, 28.0, 28.5, 60.0])
def test_connecting_and_reading_end_before_the_deadline(aws: Aws, left: float) -> None:
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


def test_one_client_per_timeout(aws: Aws) -> None:
    """Trap D9: no call may add to what is kept."""
    with FakeLambda() as server:
        clients = aws(server.url)
        invoker = Boto3Invoker(clients)
        for left in (20.0, 19.0, 3.9, 3.85, 3.8, 20.0):
            invoker(call(timeout=4.0, left=left))
    assert len(clients.made) == 2


# ---- boto3 itself ---------------------------------------------------------------------------------------------------


def test_boto3_without_tenant_id_is_refused() -> None:
    with pytest.raises(Misconfigured, match=r"1\.40\.0") as error:
        check_knows_tenants({"FunctionName": object(), "Payload": object()}, "1.40.0")
    assert error.value.reason == "boto3_too_old"


def test_botocore_model_fits_arguments_and_answer() -> None:
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


def test_sessions_share_what_was_read_from_files_and_nothing_else() -> None:
    """A session after expired credentials reads no API again. Its credentials are its own."""
    first, second = boto3_session("eu-west-1"), boto3_session("eu-west-2")
    assert (first.region_name, second.region_name) == ("eu-west-1", "eu-west-2")
    described = [one.client("lambda", aws_access_key_id="x", aws_secret_access_key="y") for one in (first, second)]
    shapes = [client.meta.service_model.operation_model("Invoke").input_shape._shape_model for client in described]
    assert shapes[0] is shapes[1]
    for component in ("credential_provider", "event_emitter"):
        assert first._session.get_component(component) is not second._session.get_component(component)
    for client in described:
        client.close()


def test_botocore_errors_are_mapped() -> None:
    client = boto3.client("lambda", "eu-west-1", aws_access_key_id="x", aws_secret_access_key="y")
    with Stubber(client) as stub:
        stub.add_client_error("invoke", "ResourceNotFoundException", "no", 404)
        assert refused(Boto3Invoker(lambda _timeout: client)).reason == "function_not_found"
    client.close()


def test_trace_header_is_read_for_each_call(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "bridge")
    with FakeLambda() as server:
        invoker = Boto3Invoker(aws(server.url))
        for trace in ("Root=1-1;Lineage=1:ab:0", "Root=1-2;Lineage=1:ab:1"):
            monkeypatch.setenv("_X_AMZN_TRACE_ID", trace)
            invoker(call())
    sent = [heard.header("x-amzn-trace-id") for heard in server.heard]
    assert sent == ["Root=1-1;Lineage=1:ab:0", "Root=1-2;Lineage=1:ab:1"]


def test_unreadable_stream_is_closed() -> None:
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


@pytest.mark.parametrize("kept", [False, True])
def test_proxy_close_after_the_request_is_not_retried(monkeypatch: pytest.MonkeyPatch, kept: bool) -> None:
    """Trap D14: urllib3 calls both the same."""
    with FakeLambda(*([Says()] if kept else []), Reset()) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        monkeypatch.setenv("http_proxy", proxy.url)
        monkeypatch.setenv("NO_PROXY", "")
        monkeypatch.setenv("no_proxy", "")
        with boto3_invokers(monkeypatch) as at:
            invoker = at("http://lambda.example")
            if kept:
                invoker(call())
            assert refused(invoker).reason == "connection_lost"
        assert len(proxy.heard) == 1 + kept


def test_proxy_error_is_not_retried() -> None:
    """Trap D14."""
    error = boto.ProxyConnectionError(proxy_url="http://p", error="x")
    assert error_for(error).reason == "connection_lost"


def after_fork(work: Callable[[], bool]) -> bool:
    """What a forked child makes of it."""
    child = os.fork()
    if child == 0:
        os._exit(0 if work() else 1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_forked_child_makes_its_own_lambda_clients() -> None:
    """Trap D15: the parent goes on using the connections of those that were made before the fork."""
    made: list[float] = []

    def connect(timeout: float) -> Any:
        made.append(timeout)
        return object()

    invoker = Boto3Invoker(connect)
    mine = invoker.client_for(5.0)
    assert after_fork(lambda: invoker.client_for(5.0) is not mine)
    assert invoker.client_for(5.0) is mine
    assert made == [5.0]


def test_forked_child_finds_credentials_although_the_parent_renews_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trap D15: the lock of the parent's is held, and would never be released in the child."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, ENVIRON[name])
    clients = Boto3Clients("eu-west-1")
    theirs = clients(5.0)._request_signer._credentials  # type: ignore[attr-defined] # boto3 has no name for them
    assert after_fork(lambda: clients(5.0)._request_signer._credentials is not theirs)  # type: ignore[attr-defined]


def test_forked_child_makes_its_own_service_client() -> None:
    """Trap D15."""
    client = AwsClient("s3", "eu-west-1", read_timeout=1)
    mine = client()
    assert after_fork(lambda: client() is not mine)
    assert client() is mine
