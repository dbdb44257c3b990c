"""The trace header of a call: the sender's trace is continued, and nothing else becomes a header line."""

from __future__ import annotations

from typing import Final

import pytest

from lattice_bridge.invoke.call import trace_header
from tests.support.fake_lambda import FakeLambda, Says
from tests.support.invokers import ENVIRON, boto3_invokers, call, direct_invokers

GIVEN: Final = "Root=1-67891233-abcdef012345678912345678;Parent=463ac35c9f6413ad;Sampled=1"
OWN: Final = "Root=1-00000000-000000000000000000000000;Parent=0000000000000000;Sampled=0;Lineage=2:a87bd80c:1"
IN_LAMBDA: Final = {"AWS_LAMBDA_FUNCTION_NAME": "bridge", "_X_AMZN_TRACE_ID": OWN}


def test_trace_of_the_event_is_continued_with_the_bridges_own_lineage() -> None:
    """Trap E28: a message that goes round brings back its old count, and Lambda would never see a loop."""
    assert trace_header(GIVEN, IN_LAMBDA) == f"{GIVEN};Lineage=2:a87bd80c:1"
    assert trace_header(f"{GIVEN};Lineage=1:a87bd80c:0", IN_LAMBDA) == f"{GIVEN};Lineage=2:a87bd80c:1"
    assert trace_header(f"{GIVEN};Lineage=1:a87bd80c:0", {}) == f"{GIVEN};Lineage=1:a87bd80c:0"


def test_without_a_trace_the_bridges_own_is_passed_on() -> None:
    assert trace_header(None, IN_LAMBDA) == OWN
    assert trace_header(None, {"_X_AMZN_TRACE_ID": OWN}) is None


@pytest.mark.parametrize(
    "given",
    [
        "",
        "Root=1-5",
        f"{GIVEN}\r\nx-amz-tenant-id: green",
        f"{GIVEN}\n",
        f" {GIVEN}",
        f"{GIVEN};x=é",
        f"{GIVEN};x= y",
        f"{GIVEN};{'a=b;' * 9}",
        GIVEN.replace("abcdef", "ABCDEF"),
        f"{GIVEN};x={'y' * 201}",
        f"x{GIVEN}",
    ],
)
def test_value_that_is_no_trace_header_is_dropped(given: str) -> None:
    """Trap E24: the sender wrote it, and it becomes a header line."""
    assert trace_header(given, {}) is None
    assert trace_header(given, IN_LAMBDA) == OWN


def test_both_invokers_send_the_same_header(monkeypatch: pytest.MonkeyPatch) -> None:
    with FakeLambda(Says(b"null")) as server, direct_invokers() as direct, boto3_invokers(monkeypatch) as boto3:
        for invoker in (direct(server.url), boto3(server.url)):
            for trace in (GIVEN, None, "x\r\nx-amz-tenant-id: green"):
                invoker(call(trace=trace))
    assert [heard.header("x-amzn-trace-id") for heard in server.heard] == [GIVEN, None, None] * 2
    assert {heard.header("x-amz-tenant-id") for heard in server.heard} == {"blue"}


def test_direct_invoker_reads_the_lineage_of_its_environment() -> None:
    """Trap E28."""
    with FakeLambda(Says(b"null")) as server, direct_invokers() as direct:
        direct(server.url, IN_LAMBDA)(call(trace=GIVEN))
    assert server.heard[0].header("x-amzn-trace-id") == f"{GIVEN};Lineage=2:a87bd80c:1"
    assert "AWS_LAMBDA_FUNCTION_NAME" not in ENVIRON
