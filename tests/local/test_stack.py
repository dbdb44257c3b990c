"""The stack with the project's own template, used with curl."""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.endpoint import client
from tests.support.stack import RunningStack, running

BLUE = ("LOCALBLUE:blue", "arn:aws:sts::111122223333:assumed-role/blue-api/local")
GREEN = ("LOCALGREEN:green", "arn:aws:sts::111122223333:assumed-role/green-api/local")


@pytest.fixture(scope="module")
def stack() -> Iterator[RunningStack]:
    with running("--parameter", "AuthType=NONE") as stack:
        yield stack


def curl(url: str, *arguments: str) -> tuple[int, dict[str, Any]]:
    """Runs curl, and returns the status and the JSON body."""
    command = ["curl", "--silent", "--max-time", "30", "--write-out", "\n%{http_code}", *arguments, url]
    text, _, status = subprocess.run(command, capture_output=True, text=True, check=True).stdout.rpartition("\n")
    return int(status), json.loads(text) if text.startswith("{") else {"text": text}


def signed(user: str, *arguments: str) -> list[str]:
    sigv4 = ["--aws-sigv4", "aws:amz:us-east-1:vpc-lattice-svcs", "--user", user]
    return [*sigv4, "-H", "x-amz-content-sha256: UNSIGNED-PAYLOAD", *arguments]


def test_isolated_function_keeps_state_per_tenant(stack: RunningStack) -> None:
    def count(path: str, tenant: str) -> int:
        status, answer = curl(f"{stack.front}{path}", "-H", f"x-tenant-id: {tenant}")
        assert status == 200
        return int(answer["counter"])

    assert [count("/isolated", "BlueTenant") for _ in range(3)] == [1, 2, 3]
    assert [count("/isolated", "GreenTenant") for _ in range(2)] == [1, 2]
    assert count("/isolated", "BlueTenant") == 4
    assert [count("/standard", tenant) for tenant in ("BlueTenant", "GreenTenant", "BlueTenant")] == [1, 2, 3]


def test_isolated_function_gets_its_tenant_from_lambda(stack: RunningStack) -> None:
    _, answer = curl(f"{stack.front}/isolated", "-H", "x-tenant-id: GreenTenant")
    assert (answer["tenant_id"], answer["isolation_enabled"]) == ("GreenTenant", True)
    assert "tenant_id_received" not in answer


def test_standard_function_gets_no_tenant_id(stack: RunningStack) -> None:
    _, answer = curl(f"{stack.front}/standard", "-H", "x-tenant-id: GreenTenant")
    assert (answer["tenant_id"], answer["isolation_enabled"]) == (None, False)
    assert answer["tenant_id_received"] == "GreenTenant"
    assert answer["warning"]


@pytest.mark.parametrize(("identity", "tenant"), [(BLUE, "BlueTenant"), (GREEN, "GreenTenant")])
def test_signed_request_runs_as_the_signers_tenant(stack: RunningStack, identity: tuple[str, str], tenant: str) -> None:
    status, answer = curl(f"{stack.front}/history/a%20b?z=1&a=%2F&a=+", *signed(identity[0]))
    assert (status, answer["tenant_id"]) == (200, tenant)
    assert answer["recent"][-1]["path"] == "/history/a%20b?z=1&a=%2F&a=+"


def test_signed_caller_cannot_choose_another_tenant(stack: RunningStack) -> None:
    """Trap A2."""
    status, answer = curl(f"{stack.front}/isolated", *signed(BLUE[0], "-H", "x-tenant-id: GreenTenant"))
    assert (status, answer["title"]) == (403, "Forbidden")


def test_signed_post_has_an_unsigned_body(stack: RunningStack) -> None:
    status, answer = curl(f"{stack.front}/isolated", *signed(BLUE[0], "--data", "field=value"))
    assert (status, answer["tenant_id"]) == (200, "BlueTenant")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (signed("LOCALBLUE:green"), "signature we calculated does not match"),
        (signed("UNKNOWN:blue"), "security token included in the request is invalid"),
        (["--aws-sigv4", "aws:amz:us-east-1:vpc-lattice-svcs", "--user", BLUE[0]], "x-amz-content-sha256"),
        (["--aws-sigv4", "aws:amz:eu-west-1:vpc-lattice-svcs", *signed(BLUE[0])[2:]], "scoped to us-east-1"),
        (["--aws-sigv4", "aws:amz:us-east-1:lambda", *signed(BLUE[0])[2:]], "vpc-lattice-svcs"),
    ],
    ids=["wrong secret", "unknown key", "signed payload", "other region", "other service"],
)
def test_wrong_signature_is_refused_where_unsigned_is_allowed(
    stack: RunningStack, arguments: list[str], text: str
) -> None:
    status, answer = curl(f"{stack.front}/isolated", "-H", "x-tenant-id: BlueTenant", *arguments)
    assert status == 403
    assert text in answer["text"]


def test_every_403_of_the_bridge_has_the_same_body(stack: RunningStack) -> None:
    """Trap D12."""
    ambiguous = stack.get("/isolated")
    unknown = stack.get("/isolated", {"x-tenant-id": "NoSuchTenant"})
    suspended = stack.get("/isolated", {"x-tenant-id": "RedTenant"})
    assert {answer.status for answer in (ambiguous, unknown, suspended)} == {403}
    bodies = [answer.json() | {"requestId": ""} for answer in (ambiguous, unknown, suspended)]
    assert bodies[0] == bodies[1] == bodies[2] == {"title": "Forbidden", "status": 403, "requestId": ""}


def logged(stack: RunningStack, request_id: str) -> dict[str, Any]:
    """Waits for the bridge's log line of a request, which arrives after the response."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        lines = map(json.loads, stack.output_of("BridgeFunction"))
        for line in lines:
            if line.get("requestId") == request_id and "message" in line:
                return dict(line)
        time.sleep(0.01)
    raise AssertionError(f"no line of {request_id}")


def test_log_contains_the_request_id_of_the_response(stack: RunningStack) -> None:
    answer = stack.get("/isolated", {"x-tenant-id": "RedTenant"})
    line = logged(stack, answer.headers["x-amzn-requestid"])
    assert (line["status"], line["reason"], line["rule"]) == (403, "tenant_suspended", "try-it-out")


def test_stack_has_queues_and_its_identities_send(stack: RunningStack) -> None:
    sqs, blue = client(stack.lambda_url, "sqs"), client(stack.lambda_url, "sqs", "LOCALBLUE", "blue")
    queue = sqs.create_queue(QueueName="orders")["QueueUrl"]
    assert queue == f"{stack.lambda_url}/123456789012/orders"
    blue.send_message(QueueUrl=queue, MessageBody="a")
    (message,) = sqs.receive_message(QueueUrl=queue, AttributeNames=["SenderId"])["Messages"]
    assert re.fullmatch("AROA[A-Z2-7]{17}:local", message["Attributes"]["SenderId"])


@pytest.fixture(scope="module")
def iam_stack() -> Iterator[RunningStack]:
    """Runs the template with its default AuthType, AWS_IAM, and with V1 events."""
    with running("--event-version", "V1") as stack:
        yield stack


def test_auth_type_iam_refuses_unsigned_requests(iam_stack: RunningStack) -> None:
    status, answer = curl(f"{iam_stack.front}/isolated", "-H", "x-tenant-id: BlueTenant")
    assert status == 403
    assert answer["text"].startswith("AccessDeniedException: User: anonymous is not authorized")
    assert curl(f"{iam_stack.front}/isolated", *signed(BLUE[0]))[0] == 200


def test_v1_event_gives_the_same_tenant(iam_stack: RunningStack) -> None:
    status, answer = curl(f"{iam_stack.front}/isolated", *signed(GREEN[0]))
    assert (status, answer["tenant_id"]) == (200, "GreenTenant")
    forged = curl(f"{iam_stack.front}/isolated", "-H", "x-amzn-lattice-identity: Principal=arn:aws:iam::1:root")
    assert forged[0] == 403
