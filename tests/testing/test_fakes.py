"""FakeLambda with its usual clients, compared with the local stack's Lambda API."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, get_args

import boto3
import pytest
from botocore.exceptions import ClientError, ReadTimeoutError

from lattice_bridge import Bridge
from lattice_bridge.config.options import Backend
from lattice_bridge.errors import BridgeError
from lattice_bridge.formats.payload import convert
from lattice_bridge.formats.recognise import parse_event
from lattice_bridge.message import Format
from lattice_bridge.testing import FakeLambda, lattice_event
from lattice_bridge.testing.fakes import Invocation, UnscriptedCalls
from tests.support.builders import tenant_map
from tests.support.invokers import SHORT, call
from tests.support.stack import FAULTS, RunningStack, opened, running, signed

ARN: Final = "arn:aws:lambda:us-east-1:123456789012:function:orders"
BLUE: Final = "arn:aws:iam::111122223333:role/blue-api"


@pytest.fixture
def fake() -> Iterator[FakeLambda]:
    with FakeLambda() as fake:
        yield fake


@pytest.fixture(scope="module")
def stack() -> Iterator[RunningStack]:
    with running("--max-environments", "2", template=FAULTS) as stack:
        yield stack


def read(response: Any) -> Any:
    return json.loads(response["Payload"].read())


# ---- by the clients that people have --------------------------------------------------------------------------------


def test_scripted_reply_reaches_boto3_and_the_call_is_recorded(fake: FakeLambda) -> None:
    fake.reply({"statusCode": 200, "body": "é"})
    response = fake.client().invoke(FunctionName=f"{ARN}:live", TenantId="blue", Payload=b'{"n": 1}', LogType="Tail")
    assert (response["StatusCode"], response["ExecutedVersion"], "FunctionError" in response) == (200, "$LATEST", False)
    assert read(response) == {"statusCode": 200, "body": "é"}
    (heard,) = fake.calls
    assert heard == Invocation("orders", "live", "blue", {"n": 1}, heard.headers, "RequestResponse")
    assert heard.headers["x-amz-log-type"] == "Tail"


def test_variables_lead_boto3_to_the_fake(fake: FakeLambda, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in fake.environ.items():
        monkeypatch.setenv(name, value)
    fake.reply({})
    session: Any = boto3.session.Session()
    client = session.client("lambda")
    assert read(client.invoke(FunctionName="orders")) == {}
    client.close()


def test_aws_cli_invokes(fake: FakeLambda, tmp_path: Path) -> None:
    fake.reply({})
    aws = str(Path(sys.executable).with_name("aws"))
    environ = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), **fake.environ}
    answer = tmp_path / "answer.json"
    command = [aws, "lambda", "invoke", "--function-name", "orders", "--tenant-id", "blue", "--payload", '{"n": 1}']
    subprocess.run([*command, str(answer)], capture_output=True, env=environ, check=True)
    assert (answer.read_text(), fake.calls[0].tenant, fake.calls[0].payload) == ("{}", "blue", {"n": 1})


def test_bridge_invokes(fake: FakeLambda) -> None:
    fake.answer("orders", lambda call: {"statusCode": 201, "body": call.payload["method"]})
    bridge = Bridge(tenant_map(), fake.invoke, backends=[Backend("/", "orders:live")], write=lambda _: None)
    reply = bridge(lattice_event(method="PUT", principal=BLUE), None)
    assert (reply["statusCode"], reply["body"]) == (201, "PUT")
    assert (fake.calls[0].function, fake.calls[0].qualifier, fake.calls[0].tenant) == ("orders", "live", "blue")


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        (lambda fake: fake.raises("ValueError", "a secret"), "backend_raised"),
        (lambda fake: fake.raises("Sandbox.Timedout"), "backend_timeout"),
        (lambda fake: fake.refuses(404, "ResourceNotFoundException"), "function_not_found"),
        (lambda fake: fake.refuses(403, "AccessDeniedException"), "access_denied"),
        (lambda fake: fake.refuses(429, "TooManyRequestsException"), "throttled"),
        (lambda fake: fake.refuses(500, "ServiceException"), "unreachable"),
        (lambda fake: fake.hangs(), "backend_timeout"),
    ],
)
def test_bridge_reads_every_scripted_failure(fake: FakeLambda, script: Any, reason: str) -> None:
    script(fake)
    with pytest.raises(BridgeError) as refused:
        fake.invoke(call(timeout=SHORT))
    assert refused.value.reason == reason


# ---- beside the local stack's own API -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [
        {"FunctionName": "isolated"},
        {"FunctionName": "echo", "TenantId": "blue"},
        {"FunctionName": "isolated", "TenantId": "bl#ue"},
        {"FunctionName": "isolated", "TenantId": "b" * 257},
        {"FunctionName": "echo:live", "Qualifier": "$LATEST"},
        {"FunctionName": "echo", "Payload": b"{not json"},
        {"FunctionName": "echo", "Payload": b"NaN"},
        {"FunctionName": "echo", "Payload": b'"%s"' % (b"x" * 6 * 2**20)},
        {"FunctionName": "echo", "InvocationType": "Event", "Payload": b'"%s"' % (b"x" * 2**20)},
    ],
    ids=lambda value: str(value)[:60],
)
def test_refusal_equals_the_local_stacks(stack: RunningStack, arguments: dict[str, Any]) -> None:
    def error(client: Any) -> Any:
        with pytest.raises(ClientError) as refused:
            client.invoke(**arguments)
        found = dict(refused.value.response)
        return {**found, "ResponseMetadata": found["ResponseMetadata"]["HTTPStatusCode"]}

    session: Any = boto3.session.Session("local", "local", region_name="us-east-1")
    real = session.client("lambda", endpoint_url=stack.lambda_url)
    with FakeLambda(isolated={"isolated"}) as fake:
        assert error(fake.client()) == error(real)
        assert fake.calls == []
    real.close()


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/2015-03-31/functions/echo/invocations", {"X-Amz-Invocation-Type": "Later"}),
        ("/2015-03-31/functions/ec.ho/invocations", {}),
        ("/2015-03-31/functions/echo/invocations?Qualifier=", {}),
    ],
)
def test_refusal_of_a_raw_request_equals_the_local_stacks(
    fake: FakeLambda, stack: RunningStack, path: str, headers: dict[str, str]
) -> None:
    answers = [
        opened(url + path, signed(url + path, headers, b"{}"), b"{}", "POST") for url in (fake.url, stack.lambda_url)
    ]
    one, other = ((answer.status, answer.headers["x-amzn-errortype"], answer.json()) for answer in answers)
    assert one == other


def test_unsigned_request_is_refused(fake: FakeLambda, stack: RunningStack) -> None:
    path = "/2015-03-31/functions/echo/invocations"
    one, other = (opened(url + path, {}, b"{}", "POST") for url in (fake.url, stack.lambda_url))
    assert (one.status, one.headers["x-amzn-errortype"]) == (other.status, other.headers["x-amzn-errortype"])
    assert other.json()["Message"].startswith(one.json()["Message"])
    assert fake.calls == []


def test_function_error_equals_the_local_stacks(fake: FakeLambda, stack: RunningStack) -> None:
    fake.raises("RuntimeError", "a secret of the function")
    url = f"{fake.url}/2015-03-31/functions/raises/invocations"
    one, other = opened(url, signed(url, {}, b"{}"), b"{}", "POST"), stack.invoke("raises")
    assert (one.status, one.headers["x-amz-function-error"]) == (other.status, other.headers["x-amz-function-error"])
    assert one.headers["content-type"] == other.headers["content-type"]
    assert one.json().items() <= other.json().items()


def test_throttle_equals_the_local_stacks(fake: FakeLambda, stack: RunningStack) -> None:
    other = next(
        answer for number in range(9) if (answer := stack.invoke("isolated", None, f"t-{number}")).status != 200
    )
    fake.refuses(429, "TooManyRequestsException", other.json()["message"])
    url = f"{fake.url}/2015-03-31/functions/isolated/invocations"
    one = opened(url, signed(url, {}, b"{}"), b"{}", "POST")
    for header in ("x-amzn-errortype", "retry-after", "content-type"):
        assert one.headers[header] == other.headers[header]
    assert (one.status, one.json()) == (other.status, other.json())


@pytest.mark.parametrize(("kind", "status"), [("Event", 202), ("DryRun", 204)])
def test_asynchronous_call_is_accepted_despite_failures(
    fake: FakeLambda, stack: RunningStack, kind: str, status: int
) -> None:
    fake.hangs()
    response = fake.client().invoke(FunctionName="echo", InvocationType=kind)
    assert response["StatusCode"] == status == stack.invoke("echo", X_Amz_Invocation_Type=kind).status
    assert response["Payload"].read() == b""
    assert [call.invocation_type for call in fake.calls] == [kind]
    fake.refuses(404, "ResourceNotFoundException")
    with pytest.raises(ClientError):
        fake.client().invoke(FunctionName="echo", InvocationType=kind)


# ---- without a reply ------------------------------------------------------------------------------------------------


def report_of(calls: Callable[[FakeLambda], Any]) -> str:
    """The message of the error that ends the block of a fake."""

    def block() -> None:
        with FakeLambda() as fake:
            calls(fake)

    with pytest.raises(UnscriptedCalls) as raised:
        block()
    return str(raised.value)


def test_call_without_a_reply_fails_and_its_block_raises() -> None:
    """The client gets an answer at once, which it does not repeat; the thread of the test gets the error."""

    def calls(fake: FakeLambda) -> None:
        answer = fake.client().invoke(FunctionName=f"{ARN}:live", Payload=b'{"n": 1}')
        assert (answer["FunctionError"], read(answer)["errorType"]) == ("Unhandled", "FakeLambda.Unscripted")
        assert len(fake.calls) == 1

    lines = report_of(calls).split("\n")
    assert lines[:2] == ["a call had no reply:", "  orders:live without a tenant: a payload that is not an HTTP event"]
    assert lines[2].startswith("The test has set no reply. Fix: write fake_lambda.reply(")


FORMATS: Final = get_args(Format)


@pytest.mark.parametrize("name", FORMATS)
def test_report_contains_function_tenant_method_and_path(name: Format) -> None:
    """It contains no query, in which there may be a token."""
    event = convert(parse_event(lattice_event(method="PUT", path="/orders/7?token=secret")), name, 0)

    def calls(fake: FakeLambda) -> None:
        fake.reply({}, "billing")
        with pytest.raises(BridgeError):
            fake.invoke(call(payload=json.dumps(event).encode()))

    lines = report_of(calls).split("\n")
    assert lines[1] == "  orders:live as tenant blue: PUT /orders/7"
    assert lines[2].startswith(
        'The test has set a reply for billing. Fix: write fake_lambda.reply({"statusCode": 200}, "orders"'
    )


def test_report_of_many_calls_is_short() -> None:
    def calls(fake: FakeLambda) -> None:
        for _ in range(12):
            with suppress(BridgeError):
                fake.invoke(call())

    lines = report_of(calls).split("\n")
    assert (lines[0], len(lines), lines[11]) == ("12 calls had no reply:", 13, "  … and 2 more")


def test_error_of_the_block_is_not_replaced() -> None:
    def block() -> None:
        with FakeLambda() as fake:
            fake.client().invoke(FunctionName="orders")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        block()


def test_default_reply_or_an_asynchronous_call_needs_no_script(fake: FakeLambda) -> None:
    fake.client().invoke(FunctionName="orders", InvocationType="Event")
    fake.reply({})
    assert read(fake.client().invoke(FunctionName="orders")) == {}


def test_clients_of_two_fakes_reach_their_own(fake: FakeLambda) -> None:
    """They share what boto3 has read about Lambda, also if several threads make them."""
    with FakeLambda() as other, ThreadPoolExecutor(4) as pool:
        fake.reply("one")
        other.reply("other")
        clients = list(pool.map(lambda each: each.client(read_timeout=3), [fake, other] * 4))
        assert [read(client.invoke(FunctionName="orders")) for client in clients] == ["one", "other"] * 4


# ---- as a test scripts it -------------------------------------------------------------------------------------------


def test_script_of_a_qualifier_has_precedence(
    fake: FakeLambda,
) -> None:
    fake.reply("all")
    fake.reply("orders", "orders")
    fake.reply("live", f"{ARN}:live")
    client = fake.client()
    names = ("audit", "orders", "orders:old", "orders:live", ARN)
    assert [read(client.invoke(FunctionName=name)) for name in names] == ["all", "orders", "orders", "live", "orders"]
    fake.reply("later", "orders")
    assert read(client.invoke(FunctionName="orders")) == "later"


def test_response_may_depend_on_the_call(fake: FakeLambda) -> None:
    def respond(call: Invocation) -> Any:
        return {"twice": call.payload["n"] * 2}

    fake.answer(None, respond)
    client = fake.client()
    assert read(client.invoke(FunctionName="orders", Payload=b'{"n": 2}')) == {"twice": 4}
    failed = client.invoke(FunctionName="orders", Payload=b"{}")
    assert (failed["FunctionError"], read(failed)) == ("Unhandled", {"errorType": "KeyError", "errorMessage": "'n'"})


def test_bytes_are_returned_as_they_are(fake: FakeLambda) -> None:
    fake.reply(b"not json")
    assert fake.client().invoke(FunctionName="orders")["Payload"].read() == b"not json"


def test_headers_of_a_refusal_replace_the_defaults(fake: FakeLambda) -> None:
    fake.refuses(429, "TooManyRequestsException", headers={"retry-after": "0"})
    with pytest.raises(ClientError) as refused:
        fake.client().invoke(FunctionName="orders")
    assert refused.value.response["ResponseMetadata"]["HTTPHeaders"]["retry-after"] == "0"


def test_unknown_isolation_accepts_every_call(fake: FakeLambda) -> None:
    fake.reply({})
    for tenant in ({}, {"TenantId": "blue"}):
        fake.client().invoke(FunctionName="orders", **tenant)
    assert [call.tenant for call in fake.calls] == [None, "blue"]


def test_hanging_function_times_out_in_the_client(fake: FakeLambda) -> None:
    fake.hangs("orders")
    with pytest.raises(ReadTimeoutError):
        fake.client(read_timeout=0.1).invoke(FunctionName="orders")
    assert len(fake.calls) == 1


def test_fake_ends_despite_hanging_calls() -> None:
    gone = threading.Event()
    with FakeLambda() as fake:
        fake.hangs()

        def wait() -> None:
            try:
                fake.invoke(call(timeout=20))
            except BridgeError:
                gone.set()

        threading.Thread(target=wait, daemon=True).start()
        while not fake.calls:
            time.sleep(0.01)
        url, began = fake.url, time.monotonic()
    assert gone.wait(2)
    assert time.monotonic() - began < 2
    with pytest.raises(OSError):
        urllib.request.urlopen(url, timeout=2)


def test_calls_of_32_threads_are_recorded(fake: FakeLambda) -> None:
    fake.answer(None, lambda call: call.payload)
    with ThreadPoolExecutor(32) as pool:
        payloads = [b"%d" % number for number in range(200)]
        answers = list(pool.map(lambda payload: fake.invoke(call(payload=payload)), payloads))
    assert answers == payloads
    assert sorted(heard.payload for heard in fake.calls) == list(range(200))


def test_unstarted_fake_is_an_error_with_a_fix() -> None:
    with pytest.raises(RuntimeError, match="with FakeLambda"):
        _ = FakeLambda().url


@pytest.mark.parametrize("name", ["", "or ders", "a/b"])
def test_malformed_function_name_is_refused(fake: FakeLambda, name: str) -> None:
    with pytest.raises(ValueError, match="is not a function name or ARN"):
        fake.reply({}, name)
    with pytest.raises(ValueError, match="is not a function name or ARN"):
        FakeLambda(isolated={name})
