"""Functions at a URL: a small server that speaks the protocol of Lambda's runtime interface emulator."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import Iterator
from dataclasses import replace

import pytest

from lattice_bridge.local.environments.environment import InvocationResult
from lattice_bridge.local.environments.external import PATH, ExternalFunctions, Unreachable, url_fault
from lattice_bridge.local.environments.runtime_api import RESPONSE_LIMIT, Invocation
from lattice_bridge.local.plan.model import Function
from tests.support.emulator import Emulator
from tests.support.paths import ROOT

INVOCATION = Invocation("11111111-2222-3333-4444-555555555555", b'{"a": 1}', "arn", trace_id="Root=1-2-3")


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    with Emulator() as server:
        yield server


def function(url: str, timeout: float = 10.0) -> Function:
    return Function("orders", "arn", "bootstrap", ROOT, {}, timeout, url=url)


def run(function: Function, invocation: Invocation = INVOCATION) -> tuple[InvocationResult, list[tuple[str, str]]]:
    shown: list[tuple[str, str]] = []
    external = ExternalFunctions(lambda label, line: shown.append((label, line)))
    return asyncio.run(external.run(function, invocation)), shown


def test_invocation_is_a_post_as_rie_takes_it(emulator: Emulator) -> None:
    result, shown = run(function(emulator.url), replace(INVOCATION, client_context='{"x": 1}'))
    received = json.loads(result.payload)
    assert (received["path"], received["payload"], result.error, shown) == (PATH, '{"a": 1}', None, [])
    assert (received["x-amzn-trace-id"], received["x-amz-client-context"]) == ("Root=1-2-3", "eyJ4IjogMX0=")
    assert "x-amz-tenant-id" not in received


def test_path_of_the_url_is_kept(emulator: Emulator) -> None:
    """`cargo lambda watch` and `sam local start-lambda` have one for each function."""
    path = "/2015-03-31/functions/orders/invocations"
    assert json.loads(run(function(f"{emulator.url}{path}"))[0].payload)["path"] == path


def test_tenant_id_is_a_header(emulator: Emulator) -> None:
    result, _ = run(function(emulator.url), replace(INVOCATION, tenant="blue"))
    assert json.loads(result.payload)["x-amz-tenant-id"] == "blue"


def test_tenant_id_that_http_would_shorten_is_refused(emulator: Emulator) -> None:
    """Trap A10: Lambda's grammar has spaces, and HTTP drops those at the ends: " blue" would run as blue."""
    with pytest.raises(Unreachable, match="a space at an end"):
        run(function(emulator.url), replace(INVOCATION, tenant=" blue"))


@pytest.mark.parametrize(
    ("status", "body", "headers", "is_error"),
    [
        (200, b'{"errorType": "ValueError", "errorMessage": "x", "stackTrace": []}', {}, True),
        (502, b'{"errorType": "ValueError", "errorMessage": "x"}', {}, True),
        (200, b'"any"', {"X-Amz-Function-Error": "Unhandled"}, True),
        (200, b'{"errorType": "a", "errorMessage": "b", "orders": []}', {}, False),
        (200, b'{"errorMessage": "b"}', {}, False),
        (200, b"no json", {}, False),
    ],
)
def test_error_of_the_function_is_told_from_a_result(
    emulator: Emulator, status: int, body: bytes, headers: dict[str, str], is_error: bool
) -> None:
    emulator.answers[b"1"] = (status, body, headers)
    result, shown = run(function(emulator.url), replace(INVOCATION, payload=b"1", tenant="blue"))
    assert (result.payload, result.error) == (body, "Unhandled" if is_error else None)
    assert [label for label, _ in shown] == (["orders/blue"] if is_error else [])


def test_answer_with_another_status_is_an_error_that_quotes_it(emulator: Emulator) -> None:
    emulator.answers[b"2"] = (400, b"reservation\x1b[2J", {})
    result, _ = run(function(emulator.url), replace(INVOCATION, payload=b"2"))
    assert result.description.endswith(f"{emulator.url} answered 400: reservation\\x1b[2J")


def test_answer_over_the_limit_is_lambdas_error(emulator: Emulator) -> None:
    emulator.answers[b"3"] = (200, b"x" * (RESPONSE_LIMIT + 1), {})
    result, _ = run(function(emulator.url), replace(INVOCATION, payload=b"3"))
    assert result.error_type_and_message()[0] == "Function.ResponseSizeTooLarge"


def test_function_that_hangs_times_out_and_is_reported(emulator: Emulator) -> None:
    result, shown = run(function(emulator.url, 0.05), replace(INVOCATION, payload=b'"hang"'))
    assert (result.timed_out, result.error_type_and_message()[0]) == (True, "Sandbox.Timedout")
    assert shown[0][1].startswith("Task timed out after 0.05 seconds\tRequestId: 11111111-")


def test_one_invocation_at_a_time_runs_at_a_url(emulator: Emulator) -> None:
    """RIE refuses a second one while it runs."""
    emulator.most = emulator.running = 0

    async def several() -> None:
        external = ExternalFunctions(lambda *_: None)
        await asyncio.gather(*(external.run(function(emulator.url), INVOCATION) for _ in range(8)))

    asyncio.run(several())
    assert emulator.most == 1


def test_url_without_a_server_is_refused_with_a_fix() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
        with pytest.raises(Unreachable) as caught:
            run(function(url))
    assert (
        str(caught.value) == f"{url}: Connection refused. Fix: start it, or start the stack without --function orders="
    )


def test_server_of_another_protocol_is_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(b"SSH-2.0-x\r\n\r\n")

        threading.Thread(target=answer, daemon=True).start()
        with pytest.raises(Unreachable, match="Fix: name something that speaks RIE's protocol"):
            run(function(f"http://127.0.0.1:{server.getsockname()[1]}"))


@pytest.mark.parametrize(
    "url",
    [
        *("http://127.0.0.1:9002", "http://localhost:9002/", "http://[::1]:9002", "http://127.1.2.3"),
        "http://127.0.0.1:3001/2015-03-31/functions/Orders/invocations",
    ],
)
def test_url_on_this_machine_is_accepted(url: str) -> None:
    assert url_fault(url) is None


@pytest.mark.parametrize(
    "url",
    [
        *("http://example.com:9002", "https://127.0.0.1:9002", "http://10.0.0.1:9002", "http://127.0.0.1.example.com"),
        *("http://user@127.0.0.1:9002", "http://127.0.0.1:0", "http://127.0.0.1:70000", "http://127.1:9002", ""),
        *("http://localhost.example.com", "http://127.0.0.1:9002/a b", "http://127.0.0.1:9002/\n", "127.0.0.1:9002"),
    ],
)
def test_url_elsewhere_is_refused(url: str) -> None:
    """An invocation contains what a tenant sent."""
    assert "Fix: write http://127.0.0.1:PORT" in str(url_fault(url))
