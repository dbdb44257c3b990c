"""One entry in detail."""

from __future__ import annotations

import json
from typing import Any, Final

from lattice_bridge.local.front.exchange.http_message import HttpRequest, HttpResponse
from lattice_bridge.local.inspector.detail import detail, steps
from lattice_bridge.local.inspector.entry import Content, Entry, HttpIn, Invoked, InvokeIn, RecordIn, RecordOut

SECRET: Final = "hunter2hunter2"
TOKEN: Final = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJibHVlIn0.c2lnbmF0dXJl"
LINE: Final = {"message": "request", "milliseconds": {"parse": 1.0, "decide": 2.0, "invoke": 20.0, "total": 24.0}}


def entry(content: Content | None, **more: Any) -> Entry:
    return Entry("lattice", "shop", "/orders", "r1", 1000.0, n=1, content=content, **more)


def everywhere() -> Content:
    """A credential in each place of an entry."""
    body = json.dumps({"password": SECRET, "note": TOKEN}).encode()
    request = HttpRequest("POST", f"/a?access_token={SECRET}", [("authorization", f"Bearer {SECRET}")], body)
    log = [f"login with password={SECRET}", json.dumps({"apiKey": SECRET}), f"got {TOKEN}"]
    invoked = Invoked("orders", "i1", body, 1000.0, answer=body, error=f"Unhandled: Bearer {SECRET}", log=log)
    response = HttpResponse(200, [("set-cookie", f"a={SECRET}")], body)
    return Content(HttpIn(request), body, [invoked], response, f"password={SECRET}")


def test_no_credential_is_in_the_detail() -> None:
    """Trap G2: what the browser never gets, it cannot show."""
    records = Content(RecordIn(everywhere().event or b"", attributes={"x": TOKEN}), reply=RecordOut("lost", TOKEN))
    invokes = Content(InvokeIn("orders", everywhere().event or b""))
    for content in (everywhere(), records, invokes):
        text = json.dumps(detail(entry(content), lambda _: None), ensure_ascii=False)
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


def test_entry_that_runs_has_the_steps_that_are_known() -> None:
    running = Invoked("orders", "i1", b"{}", 1000.0)
    assert steps(entry(Content(invocations=[running]))) == []


def test_hostile_numbers_in_a_line_make_no_step() -> None:
    """Trap G2: a function can print what looks like the bridge's line."""
    spent = {"a": float("inf"), "b": -1, "c": "<script>", "d": 1e300, "e": 1.0}
    content = Content(invocations=[Invoked("bridge", "i1", b"{}", 1000.0, ms=1.0, took_ms=1.0)])
    content.line = {"milliseconds": spent}
    assert [step["name"] for step in steps(entry(content))] == ["bridge", "bridge: e"]
