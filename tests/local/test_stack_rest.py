"""A REST API in front of a standard and a tenant-isolated function, as a real stack, without a bridge."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.paths import ROOT
from tests.support.stack import RunningStack, running, wait_until


@pytest.fixture(scope="module")
def stack() -> Iterator[RunningStack]:
    with running(template=ROOT / "tests" / "gateway" / "template.yaml") as stack:
        yield stack


def counted(stack: RunningStack, path: str, tenant: str) -> Any:
    answer = stack.get(f"/dev/{path}", {"x-tenant-id": tenant})
    assert answer.status == 200, answer.body
    return answer.json()


def test_counters_are_shared_by_the_standard_function_and_one_for_each_tenant_of_the_isolated_one(
    stack: RunningStack,
) -> None:
    tenants = ("BlueTenant", "RedTenant", "GreenTenant")
    found = [counted(stack, "standard", tenant) for tenant in tenants]
    assert found == [
        {"counter": number, "tenant_id": tenant, "isolation_enabled": False} for number, tenant in enumerate(tenants, 1)
    ]
    isolated = [counted(stack, "isolated", f"{tenant}Tenant") for tenant in ("Blue", "Green", "Blue", "Green", "Blue")]
    assert [(one["tenant_id"], one["counter"]) for one in isolated] == [
        ("BlueTenant", 1),
        ("GreenTenant", 1),
        ("BlueTenant", 2),
        ("GreenTenant", 2),
        ("BlueTenant", 3),
    ]


def test_request_without_the_required_header_does_not_reach_the_function(stack: RunningStack) -> None:
    answer = stack.get("/dev/isolated", {"X-Amz-Tenant-Id": "BlueTenant"})
    assert (answer.status, answer.json()) == (400, {"message": "Missing required request parameters: [x-tenant-id]"})
    preflight = stack.get("/dev/isolated", method="OPTIONS")
    assert (preflight.status, preflight.headers["access-control-allow-headers"]) == (200, "x-tenant-id")


def test_authorizer_is_run_and_its_tenant_counts_for_the_isolated_function(stack: RunningStack) -> None:
    """Trap F2: a client's tenant headers do not replace what the authorizer found out."""
    headers = {"Authorization": "Bearer yellow", "x-tenant-id": "BlueTenant", "X-Amz-Tenant-Id": "BlueTenant"}
    assert stack.get("/dev/authorized", headers).json()["tenant_id"] == "yellow"
    unknown = stack.get("/dev/authorized", {"Authorization": "Basic yellow"})
    assert (unknown.status, unknown.json()) == (401, {"message": "Unauthorized"})
    denied = stack.get("/dev/authorized", {"Authorization": "Bearer suspended"})
    assert (denied.status, denied.headers["x-amzn-errortype"]) == (403, "AccessDeniedException")
    other_method = stack.get("/dev/authorized", headers, method="POST", body=b"")
    assert other_method.status == 403, "the cached policy allows GET only"


def test_event_has_the_path_and_the_spelling_of_the_wire(stack: RunningStack) -> None:
    event = stack.get("/dev/echo/a%2Fb//c/?x=1&x=2", {"X-mIxEd": "1"}).json()  # urllib sends X-Mixed
    assert (event["path"], event["pathParameters"]) == ("/echo/a%2Fb//c/", {"proxy": "a%2Fb//c"})
    assert event["headers"]["X-Mixed"] == "1"
    assert event["requestContext"]["identity"]["sourceIp"] == "127.0.0.1"


@pytest.mark.parametrize(
    "headers",
    [{"Host": "evil.example"}, {"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}],
)
def test_page_of_another_site_reaches_no_api(headers: dict[str, str], stack: RunningStack) -> None:
    """Trap G1: the rules of the front hold for every way in."""
    assert stack.get("/dev/echo/a", headers).status == 403
    assert stack.get("/dev/echo/a", {"Host": "api.localhost", "Origin": "http://localhost:3000"}).status == 200


def test_log_has_the_cause_of_a_refusal_without_the_query(stack: RunningStack) -> None:
    stack.get("/dev/nowhere?token=secret")

    def found() -> list[str]:
        return [line["message"] for line in stack.lines if "GET /dev/nowhere" in str(line.get("message"))]

    wait_until(found)
    (line,) = found()
    assert line.startswith("front: GET /dev/nowhere: 403: the API Api has no method GET '/nowhere' in the stage dev; ")
    assert "secret" not in str(stack.lines)
