"""An Application Load Balancer in front of a function: the event, the response, and what it answers itself."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import pytest

from lattice_bridge.local.aws.invoke_checks import MISSING, LambdaError
from lattice_bridge.local.environments.environment import InvocationResult
from lattice_bridge.local.front.front import Front
from tests.local.front.test_front import Lambda, Observer
from tests.local.plan.test_load_balancer import BALANCER, RULE, planned
from tests.support.incoming import Incoming

OK = InvocationResult(b'{"statusCode": 200}')
MULTI = BALANCER.replace(
    "lambda,", "lambda, TargetGroupAttributes: [{Key: lambda.multi_value_headers.enabled, Value: true}],"
)


class Sent:
    """One request, and what became of it."""

    def __init__(
        self, folder: Path, target: str, outcome: Any = OK, *, resources: str = BALANCER, **parts: Any
    ) -> None:
        self.observer, self.service = Observer(), Lambda(outcome)
        host, body = parts.get("host", "localhost:8080"), parts.get("body", b"")
        headers = [("host", host), *[(name.decode(), value.decode()) for name, value in parts.get("headers", [])]]
        request = Incoming(parts.get("method", "GET"), target, headers, body, host=host)
        front = Front(planned(folder, resources), self.service, {}, self.observer)  # type: ignore[arg-type] # a fake
        asyncio.run(front(request))
        status, found, content = request.response
        assert isinstance(content, bytes)
        self.response = status, found, content

    @property
    def event(self) -> dict[str, Any]:
        return dict(json.loads(self.service.seen[0].payload))

    @property
    def status(self) -> int:
        return self.response[0]

    @property
    def headers(self) -> list[tuple[str, str]]:
        return [(name.decode(), value.decode()) for name, value in self.response[1]]

    @property
    def body(self) -> bytes:
        return self.response[2]

    @property
    def cause(self) -> str:
        (request,) = self.observer.requests
        assert request.refusal is not None
        return f"{request.refusal.reason}: {request.refusal.cause}"


def answered(answer: Any) -> InvocationResult:
    return InvocationResult(json.dumps(answer).encode())


# ---- the event ------------------------------------------------------------------------------------------------------


def test_event_is_the_one_of_the_user_guide(tmp_path: Path) -> None:
    event = Sent(tmp_path, "/a%20b?q=%2F&flag", headers=[(b"accept", b"*/*")]).event
    headers = event.pop("headers")
    assert re.fullmatch("Root=1-[0-9a-f]{8}-[0-9a-f]{24}", headers.pop("x-amzn-trace-id"))
    assert headers == {
        "host": "localhost:8080",
        "accept": "*/*",
        "x-forwarded-for": "127.0.0.1",
        "x-forwarded-port": "443",
        "x-forwarded-proto": "https",
    }
    assert event.pop("requestContext")["elb"]["targetGroupArn"].startswith("arn:aws:elasticloadbalancing:us-east-1:")
    assert event == {
        "httpMethod": "GET",
        "path": "/a%20b",
        "queryStringParameters": {"q": "%2F", "flag": ""},
        "body": "",
        "isBase64Encoded": False,
    }


def test_repeated_names_are_lists_with_multi_value_headers_and_the_last_value_without(tmp_path: Path) -> None:
    headers = [(b"x-tenant-id", b"blue"), (b"x-tenant-id", b"green")]
    event = Sent(tmp_path, "/?a=1&a=2", headers=headers, resources=MULTI).event
    assert event["multiValueHeaders"]["x-tenant-id"] == ["blue", "green"]
    assert event["multiValueQueryStringParameters"] == {"a": ["1", "2"]}
    assert not {"headers", "queryStringParameters"} & {*event}
    event = Sent(tmp_path, "/?a=1&a=2", headers=headers).event
    assert (event["headers"]["x-tenant-id"], event["queryStringParameters"]) == ("green", {"a": "2"})


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ([(b"content-type", b"application/json; charset=utf-8")], ("{}", False)),
        ([(b"content-type", b"application/octet-stream")], ("e30=", True)),
        ([(b"content-type", b"text/plain"), (b"content-encoding", b"gzip")], ("e30=", True)),
        ([], ("e30=", True)),
    ],
    ids=["text", "binary", "encoded", "no type"],
)
def test_body_is_text_or_base64_by_its_type(tmp_path: Path, headers: Any, expected: tuple[str, bool]) -> None:
    event = Sent(tmp_path, "/", method="POST", headers=headers, body=b"{}").event
    assert (event["body"], event["isBase64Encoded"]) == expected


def test_client_cannot_set_what_the_load_balancer_sets(tmp_path: Path) -> None:
    """Trap F5: no part of requestContext comes from HTTP, and a client's x-forwarded-* is replaced or extended."""
    forged = {
        b"x-forwarded-for": b"10.0.0.1",
        b"x-forwarded-proto": b"ftp",
        b"x-forwarded-port": b"1",
        b"requestcontext": b'{"elb": {"targetGroupArn": "forged"}}',
    }
    event = Sent(tmp_path, "/?requestContext=forged", headers=list(forged.items())).event
    headers = event["headers"]
    assert (headers["x-forwarded-for"], headers["x-forwarded-proto"]) == ("10.0.0.1, 127.0.0.1", "https")
    assert headers["x-forwarded-port"] == "443"
    assert "forged" not in json.dumps(event["requestContext"])


def test_clients_trace_gets_a_field_of_the_load_balancer(tmp_path: Path) -> None:
    event = Sent(tmp_path, "/", headers=[(b"x-amzn-trace-id", b"Self=1-0-0;Root=1-5-a;Mine=x")]).event
    assert re.fullmatch("Self=1-[0-9a-f]{8}-[0-9a-f]{24};Root=1-5-a;Mine=x", event["headers"]["x-amzn-trace-id"])


def test_headers_of_one_connection_are_not_passed_on(tmp_path: Path) -> None:
    headers = [(b"connection", b"close, x-hop"), (b"x-hop", b"1"), (b"te", b"trailers")]
    assert not {"connection", "x-hop", "te"} & {*Sent(tmp_path, "/", headers=headers).event["headers"]}


# ---- the response ---------------------------------------------------------------------------------------------------


def test_reply_becomes_the_response(tmp_path: Path) -> None:
    reply = {"statusCode": 201, "statusDescription": "201 Created", "headers": {"Set-cookie": "a=1"}, "body": "ok"}
    sent = Sent(tmp_path, "/", answered({**reply, "isBase64Encoded": False}))
    assert (sent.status, sent.body) == (201, b"ok")
    assert {("set-cookie", "a=1"), ("server", "awselb/2.0")} <= {*sent.headers}
    assert ("content-type", "application/octet-stream") in sent.headers


def test_target_group_decides_which_headers_of_a_reply_are_read(tmp_path: Path) -> None:
    reply = answered({"statusCode": 200, "headers": {"x-one": "1"}, "multiValueHeaders": {"x-many": ["1", "2"]}})
    one, many = Sent(tmp_path, "/", reply).headers, Sent(tmp_path, "/", reply, resources=MULTI).headers
    assert [pair for pair in one if pair[0].startswith("x-") and "amzn" not in pair[0]] == [("x-one", "1")]
    assert [pair for pair in many if pair[0].startswith("x-many")] == [("x-many", "1"), ("x-many", "2")]
    assert "x-one" not in dict(many)


def test_base64_reply_is_decoded(tmp_path: Path) -> None:
    assert Sent(tmp_path, "/", answered({"statusCode": 200, "body": "AP8=", "isBase64Encoded": True})).body == b"\0\xff"


@pytest.mark.parametrize(
    ("outcome", "cause"),
    [
        (InvocationResult(b"no"), "not_a_reply: .* it is not JSON"),
        (answered(["a"]), "not_a_reply: .* it is a list. Fix: return an object with statusCode"),
        (answered({"body": "a"}), "not_a_reply: .* statusCode is not a number"),
        (answered({"statusCode": "200"}), "not_a_reply: .* statusCode is not a number"),
        (answered({"statusCode": 200, "headers": {"a": 1}}), "not_a_reply: .* 'a' is not a name with a string"),
        (answered({"statusCode": 200, "headers": {"a\r\nb": "1"}}), "not_a_reply: .* is not a name with a string"),
        (answered({"statusCode": 200, "body": {}}), "not_a_reply: .* body is an object. Fix: return a string"),
        (answered({"statusCode": 200, "body": "?", "isBase64Encoded": True}), "not_a_reply: .* is not base64"),
        (answered({"statusCode": 200, "body": "x" * 2**20}), "not_a_reply: .* a load balancer takes 1048576"),
        (InvocationResult(b"{}", "Unhandled", timed_out=True), "function_timeout: .* timed out. Fix: make it faster"),
        (InvocationResult(b'{"errorType": "KeyError"}', "Unhandled"), "function_failed: .* failed: KeyError"),
        (LambdaError(429, "TooManyRequestsException", "Rate Exceeded"), "function_throttled: "),
        (LambdaError(404, "ResourceNotFoundException", "no"), "invoke_refused: "),
    ],
    ids=lambda value: str(value)[:60],
)
def test_failure_of_the_function_is_a_502_with_the_page_of_a_load_balancer(
    tmp_path: Path, outcome: Any, cause: str
) -> None:
    sent = Sent(tmp_path, "/", outcome)
    page = (
        b"<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n<center><h1>502 Bad Gateway</h1></center>"
    )
    assert (sent.status, len(sent.body), sent.body.startswith(page)) == (502, 122, True)
    assert re.match(cause, sent.cause)


def test_isolated_function_without_a_bridge_is_refused_with_the_fix(tmp_path: Path) -> None:
    """Trap F2: a load balancer sends no tenant id, so no part of a request can choose one."""
    refused = LambdaError(400, "InvalidParameterValueException", MISSING)
    sent = Sent(tmp_path, "/", refused, headers=[(b"x-amz-tenant-id", b"blue")])
    assert (sent.status, sent.service.seen[0].tenant) == (502, None)
    assert "A load balancer sends no tenant id. Fix: make the bridge its target" in sent.cause


def test_function_that_is_slower_than_the_idle_timeout_is_a_504(tmp_path: Path) -> None:
    class Slow(Lambda):
        async def invoke(self, request: Any) -> InvocationResult:
            await asyncio.sleep(30)
            return await super().invoke(request)

    attribute = "LoadBalancerAttributes: [{Key: idle_timeout.timeout_seconds, Value: '0.01'}]"
    sent = Sent.__new__(Sent)
    sent.observer, sent.service = Observer(), Slow(OK)
    plan = planned(tmp_path, BALANCER.replace("Name: Shop", attribute))
    front = Front(plan, sent.service, {}, sent.observer)  # type: ignore[arg-type] # a fake

    request = Incoming("GET", "/", {"host": "a"}, host="a")
    asyncio.run(front(request))
    sent.response = request.response  # type: ignore[assignment] # no stream
    assert (sent.status, b"<h1>504 Gateway Time-out</h1>" in sent.body) == (504, True)
    assert "Fix: make it faster, or raise the attribute idle_timeout.timeout_seconds" in sent.cause


# ---- what the load balancer answers itself --------------------------------------------------------------------------


def ruled(action: str, condition: str = "{Field: path-pattern, Values: ['*']}") -> str:
    return BALANCER + RULE.replace("CONDITION", condition).replace("ACTION", action)


def test_fixed_response_invokes_no_function(tmp_path: Path) -> None:
    config = "{StatusCode: '418', ContentType: text/html, MessageBody: <b>}"
    sent = Sent(tmp_path, "/", resources=ruled(f"{{Type: fixed-response, FixedResponseConfig: {config}}}"))
    assert (sent.status, sent.body, dict(sent.headers)["content-type"]) == (418, b"<b>", "text/html")
    assert (sent.service.seen, sent.observer.requests[0].fixed) == (
        [],
        "a rule of the load balancer Shop invokes no function",
    )


@pytest.mark.parametrize(
    ("config", "location"),
    [
        ("{StatusCode: HTTP_301}", "https://shop.example.com:443/a%20b?c=d"),
        ("{Protocol: HTTP, Port: '80', StatusCode: HTTP_301}", "http://shop.example.com:80/a%20b?c=d"),
        ("{Host: 'www.#{host}', Path: '/new/#{path}', Query: '', StatusCode: HTTP_301}", "/new/a%20b"),
        ("{Query: '#{query}&e=f', StatusCode: HTTP_301}", "/a%20b?c=d&e=f"),
    ],
)
def test_redirect_keeps_the_parts_that_it_does_not_replace(tmp_path: Path, config: str, location: str) -> None:
    action = ruled(f"{{Type: redirect, RedirectConfig: {config}}}", "{Field: host-header, Values: [shop.example.com]}")
    sent = Sent(tmp_path, "/a%20b?c=d", host="shop.example.com", resources=action)
    assert (sent.status, dict(sent.headers)["location"].endswith(location)) == (301, True)


def test_rule_without_a_target_is_a_503(tmp_path: Path) -> None:
    sent = Sent(tmp_path, "/", resources=BALANCER.replace("[{Id: !GetAtt Fn.Arn}]", "[]"))
    assert (sent.status, b"<h1>503 Service Temporarily Unavailable</h1>" in sent.body) == (503, True)
    assert sent.cause.startswith("no_target: no target group of the rule has a function. Fix: ")


def test_rule_that_authenticates_is_refused_and_not_forwarded(tmp_path: Path) -> None:
    """Trap A1."""
    action = "{Type: authenticate-oidc, Order: 1}, {Type: forward, Order: 2, TargetGroupArn: !Ref Group}"
    sent = Sent(tmp_path, "/", resources=ruled(action), headers=[(b"x-amzn-oidc-identity", b"ann")])
    assert (sent.status, sent.service.seen) == (501, [])
    assert "the action authenticate-oidc of Shop authenticates users; this stack cannot. Fix: " in sent.cause


def test_body_over_one_megabyte_is_a_413_with_the_page_of_a_load_balancer(tmp_path: Path) -> None:
    sent = Sent(tmp_path, "/", method="POST", body=b"x" * (2**20 + 1))
    assert (sent.status, b"<h1>413 Request Entity Too Large</h1>" in sent.body) == (413, True)
    assert {("server", "awselb/2.0"), ("content-type", "text/html")} <= set(sent.headers)
    assert "1048576 bytes" in sent.cause


def test_request_that_the_front_refuses_gets_the_page_too(tmp_path: Path) -> None:
    sent = Sent(tmp_path, "/", headers=[(b"transfer-encoding", b"gzip")])
    assert (sent.status, b"<h1>400 Bad Request</h1>" in sent.body) == (400, True)
    assert "gzip" in sent.cause
    assert b"gzip" not in sent.body


def test_port_of_the_host_chooses_the_listener(tmp_path: Path) -> None:
    second = """
  Redirects:
    Type: AWS::ElasticLoadBalancingV2::Listener
    Properties:
      LoadBalancerArn: !Ref Balancer
      Port: 80
      DefaultActions: [{Type: redirect, RedirectConfig: {Protocol: HTTPS, Port: '443', StatusCode: HTTP_301}}]
"""
    statuses = [
        Sent(tmp_path, "/", host=f"a{port}", resources=BALANCER + second).status for port in ("", ":80", ":443")
    ]
    assert statuses == [200, 301, 200]


def test_name_under_localhost_is_the_name(tmp_path: Path) -> None:
    action = ruled(
        "{Type: fixed-response, FixedResponseConfig: {StatusCode: '204'}}",
        "{Field: host-header, Values: ['*.example.com']}",
    )
    assert Sent(tmp_path, "/", host="a.example.com.localhost:8080", resources=action).status == 204
