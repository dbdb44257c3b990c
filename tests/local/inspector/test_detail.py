"""One entry in detail."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest

from lattice_bridge.local.front.exchange.http_message import HttpRequest, HttpResponse
from lattice_bridge.local.inspector.detail import LEAST, SHOWN, detail, steps
from lattice_bridge.local.inspector.entry import Content, Entry, HttpIn, Invoked, InvokeIn, RecordIn, RecordOut

SECRET: Final = "hunter2hunter2"
TOKEN: Final = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJibHVlIn0.c2lnbmF0dXJl"
LINE: Final = {"message": "request", "milliseconds": {"parse": 1.0, "decide": 2.0, "invoke": 20.0, "total": 24.0}}


def entry(content: Content | None, **more: Any) -> Entry:
    path = f"/reset/{TOKEN}"
    return Entry("lattice", "shop", path, "r1", 1000.0, n=1, tenant=TOKEN, content=content, **more)


def everywhere() -> Content:
    """A credential in each place of an entry."""
    body = json.dumps({"password": SECRET, "note": TOKEN}).encode()
    request = HttpRequest("POST", f"/a?access_token={SECRET}", [("authorization", f"Bearer {SECRET}")], body)
    log = [f"login with password={SECRET}", json.dumps({"apiKey": SECRET}), f"got {TOKEN}"]
    facts = {"tenant": TOKEN, "answer": body, "error": f"Unhandled: Bearer {SECRET}", "ms": 1.0, "took_ms": 1.0}
    invoked = Invoked(TOKEN, "i1", body, 1000.0, log=log, **facts)  # type: ignore[arg-type]  # as they are named
    response = HttpResponse(200, [("set-cookie", f"a={SECRET}")], body)
    return Content(HttpIn(request), body, [invoked], response, f"password={SECRET}")


def test_no_credential_is_in_the_detail() -> None:
    """Trap G2: what the browser never gets, it cannot show."""
    attributes = {"x": TOKEN, "x-api-key": SECRET}
    came_in = RecordIn(everywhere().event or b"", group=TOKEN, attributes=attributes)
    records = Content(came_in, reply=RecordOut("lost", TOKEN), line={"milliseconds": {TOKEN: 1.0}})
    invokes = Content(InvokeIn(TOKEN, everywhere().event or b"", TOKEN))
    decision = {"documents": [{"header": TOKEN, "near_misses": ({"actual": [TOKEN]},)}], "error": TOKEN}
    for content in (everywhere(), records, invokes):
        text = json.dumps(detail(entry(content), lambda _: decision), ensure_ascii=False)
        assert SECRET not in text
        assert TOKEN not in text
        assert "••••" in text


def test_detail_of_a_request_is_json_with_the_members_of_the_page() -> None:
    found = detail(entry(everywhere()), lambda one: {"of": one.n})
    assert json.loads(json.dumps(found)).keys() == {
        *("summary", "dropped", "came_in", "event", "decision", "invocations", "reply", "steps", "text"),
    }
    assert found["decision"] == {"of": 1}
    assert found["came_in"]["kind"] == "http"
    assert found["came_in"]["headers"] == [("authorization", "•••• 21 characters", True)]
    assert found["reply"]["headers"][-1] == ("x-amzn-requestid", "r1", False)


def test_body_that_was_not_read_is_none() -> None:
    request = HttpRequest("POST", "/", [("content-length", "9")])
    found = detail(entry(Content(HttpIn(request, body_read=False))), lambda _: None)["came_in"]
    assert found["body"] is None
    assert detail(entry(Content(HttpIn(request))), lambda _: None)["came_in"]["body"]["kind"] == "empty"


def test_invocations_have_their_roles() -> None:
    asked, target = Invoked("a", "i0", b"", 1000.0, role="authorizer", is_bridge=True), Invoked("b", "i1", b"", 1000.0)
    for one in (asked, target):
        one.ms = one.took_ms = 1.0
    found = detail(entry(Content(invocations=[asked, target], line=LINE)), lambda _: None)
    assert [(one["role"], one["is_bridge"]) for one in found["invocations"]] == [
        ("authorizer", True),
        ("target", False),
    ]
    assert [step["name"] for step in found["steps"]] == ["a", "bridge: parse", "bridge: decide", "bridge: invoke", "b"]


def test_large_entry_is_shown_in_part() -> None:
    """200 invocations with large payloads and logs would keep the stack waiting for a minute."""
    invocations = [
        Invoked("orders", "i1", b"x" * (100_000 + n), 1000.0, answer=b"y" * (100_000 + n), log=["z" * 1000] * 250)
        for n in range(200)
    ]
    found = detail(entry(Content(invocations=invocations)), lambda _: None)
    first, *_, last = found["invocations"]
    assert (first["payload"]["shown"], last["payload"]["shown"], last["payload"]["bytes"]) == (65536, LEAST, 100_199)
    assert last["log"] == ["(248 earlier lines left out here)", "z" * 24 + "…", "z" * 1000]
    assert len(json.dumps(found)) < 2 * SHOWN + 200 * 4 * LEAST


def test_same_bytes_are_masked_once() -> None:
    body = b"x" * 1000
    found = detail(entry(Content(InvokeIn("a", body), invocations=[Invoked("a", "i1", body, 1.0)])), lambda _: None)
    assert found["came_in"]["payload"] is found["event"] is found["invocations"][0]["payload"]


def test_headers_are_spelled_as_the_client_spelled_them() -> None:
    request = HttpRequest("GET", "/", [("x-tenant-id", "blue")], spelled={"x-tenant-id": "X-Tenant-Id"})
    assert detail(entry(Content(HttpIn(request))), lambda _: None)["came_in"]["headers"] == [
        ("X-Tenant-Id", "blue", False)
    ]


def test_detail_of_a_dropped_content_is_the_summary() -> None:
    found = detail(entry(None), lambda _: {})
    assert found["dropped"] is True
    assert found["summary"]["n"] == 1
    assert found["came_in"] is found["event"] is found["decision"] is found["reply"] is None


def test_identity_of_a_refused_signature_is_the_key_that_it_names() -> None:
    header = "AWS4-HMAC-SHA256 Credential=LOCALBLUE/20261130/us-east-1/vpc-lattice-svcs/aws4_request, Signature=0f"
    request = HttpRequest("GET", "/", [("authorization", header)])
    refused = detail(entry(Content(HttpIn(request))), lambda _: None)["came_in"]
    verified = detail(entry(Content(HttpIn(request, "1.1", "LOCALBLUE", "arn"))), lambda _: None)["came_in"]
    unsigned = detail(entry(Content(HttpIn(HttpRequest("GET", "/", [])))), lambda _: None)["came_in"]
    assert refused["identity"] == {"access_key": "LOCALBLUE", "principal": None}
    assert verified["identity"] == {"access_key": "LOCALBLUE", "principal": "arn"}
    assert unsigned["identity"] is None


def test_key_of_a_refused_signature_and_label_of_an_environment_are_masked() -> None:
    """Trap G2: a caller may sign with a key of its own account, and a function may ask for any tenant."""
    header = "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20261130/us-east-1/s3/aws4_request, Signature=0f"
    invoked = Invoked("orders", "i1", b"{}", 1000.0, environment=f"orders/{TOKEN}#1")
    content = Content(HttpIn(HttpRequest("GET", "/", [("authorization", header)])), invocations=[invoked])
    shown = str(detail(entry(content), lambda _: None))
    assert "AKIAIOSFODNN7EXAMPLE" not in shown
    assert TOKEN not in shown


KEY_LINE: Final = "MIIEpAIBAAKCAQEA"
KEY: Final = ["-----BEGIN RSA PRIVATE KEY-----", *[KEY_LINE * 4] * 20, "-----END RSA PRIVATE KEY-----"]


@pytest.mark.parametrize("space", [SHOWN, 0], ids=["whole", "the end of the log"])
def test_key_in_a_log_is_masked_in_each_line(space: int) -> None:
    """Trap G2: only the first of its lines names it, and that line may be one of those that are left out."""
    content = everywhere()
    content.invocations[0].log = [*KEY, "then"]
    large = b"x" * 2 * (SHOWN - space)  # leaves so much for the lines
    content.event = large
    found = detail(entry(content), lambda _: None)
    assert KEY_LINE not in json.dumps(found)
    assert json.dumps(found).count('"then"') == 1


def test_metric_lines_are_left_out() -> None:
    lines = ['{"_aws": {"CloudWatchMetrics": []}}', '{"a": "CloudWatchMetrics"}', "a line"]
    content = Content(invocations=[Invoked("orders", "i1", b"{}", 1000.0, log=lines)])
    assert detail(entry(content), lambda _: None)["invocations"][0]["log"] == lines[1:]


def test_steps_are_nested_by_time_with_the_cold_start_before_its_function() -> None:
    bridge = Invoked("bridge", "i1", b"{}", 1000.001, ms=30.0, took_ms=32.0)
    orders = Invoked("orders", "i2", b"{}", 1000.005, ms=5.0, took_ms=20.0, cold=True, init_ms=14.0)
    one = entry(Content(invocations=[bridge, orders], line=LINE), ms=40.0)
    assert [(step["name"], step["from"], step["ms"], step["cold"]) for step in steps(one)] == [
        ("front", 0.0, 40.0, False),
        ("bridge", 3.0, 30.0, False),
        ("bridge: parse", 3.0, 1.0, False),
        ("bridge: decide", 4.0, 2.0, False),
        ("bridge: invoke", 6.0, 20.0, False),
        ("cold start", 6.0, 14.0, True),
        ("orders", 20.0, 5.0, False),
    ]
    found = detail(one, lambda _: None)["invocations"]
    assert [each["is_bridge"] for each in found] == [True, False]


def test_entry_that_runs_has_the_steps_that_are_known() -> None:
    running = Invoked("orders", "i1", b"{}", 1000.0)
    assert steps(entry(Content(invocations=[running]))) == []


def test_hostile_numbers_in_a_line_make_no_step() -> None:
    """Trap G2: a function can print what looks like the bridge's line."""
    spent = {"a": float("inf"), "b": -1, "c": "<script>", "d": 1e300, "e": 1.0}
    content = Content(invocations=[Invoked("bridge", "i1", b"{}", 1000.0, ms=1.0, took_ms=1.0)])
    content.line = {"milliseconds": spent}
    assert [step["name"] for step in steps(entry(content))] == ["bridge", "bridge: e"]
