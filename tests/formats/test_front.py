"""The reply in the form that each front accepts, from a backend's answer and from a refusal."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from lattice_bridge.config.options import Backend
from lattice_bridge.formats.front import LATTICE, front_of
from lattice_bridge.formats.recognise import Enabled
from tests.support.builders import OPEN, v2
from tests.support.fronts import API, ENABLED, FRONTS, GROUP, Sent, load_balancer
from tests.test_bridge import Context, World

EACH = pytest.mark.parametrize("front", FRONTS)
FIELDS: dict[str, set[str]] = {
    "http-api": {"headers"},
    "http-api-1.0": {"multiValueHeaders"},
    "rest-api": {"multiValueHeaders"},
    "function-url": {"headers"},
    "alb": {"multiValueHeaders", "statusDescription"},
    "alb-single-value": {"headers", "statusDescription"},
}
"""Front → the fields of its replies beside status, base64 flag, cookies and body."""


def replied(front: str, answer: dict[str, Any], method: str = "GET") -> dict[str, Any]:
    world = World(json.dumps({"statusCode": 200, **answer}).encode(), more=OPEN, **ENABLED)
    return world(FRONTS[front](Sent(method, headers=(("x-tenant-id", "blue"),))))


def refused(front: str, method: str = "GET") -> dict[str, Any]:
    return World(**ENABLED)(FRONTS[front](Sent(method)))


def values(reply: dict[str, Any]) -> dict[str, list[str]]:
    """The headers of a reply in any form, without cookies."""
    multi = reply.get("multiValueHeaders") or {name: [value] for name, value in reply["headers"].items()}
    return {name: value for name, value in multi.items() if name != "set-cookie"}


def cookies(reply: dict[str, Any]) -> list[str]:
    single = reply.get("headers", {}).get("set-cookie")
    found: list[str] = reply.get("cookies") or reply.get("multiValueHeaders", {}).get("set-cookie", [])
    return found or ([single] if single else [])


@EACH
def test_reply_has_the_fields_of_its_front(front: str) -> None:
    reply = replied(front, {"headers": {"content-type": "text/plain", "x-a": "1"}, "body": "hello"})
    assert set(reply) - {"cookies"} == {"statusCode", "isBase64Encoded", "body", *FIELDS[front]}
    assert (reply["statusCode"], reply["body"], reply["isBase64Encoded"]) == (200, "hello", False)
    assert values(reply) == {"content-type": ["text/plain"], "x-a": ["1"]}


@EACH
def test_refusal_has_the_form_of_its_front(front: str) -> None:
    reply = refused(front)
    assert set(reply) == {"statusCode", "isBase64Encoded", "body", *FIELDS[front]}
    assert reply["statusCode"] == 401
    assert values(reply)["content-type"] == ["application/problem+json"]
    assert json.loads(reply["body"]) == {"title": "Unauthorized", "status": 401, "requestId": _request_id(front)}


def _request_id(front: str) -> str:
    """A load balancer has no id of a request, so it is Lambda's."""
    context = FRONTS[front](Sent())["requestContext"]
    return str(context.get("requestId", Context.aws_request_id))


@EACH
@pytest.mark.parametrize("answer", [{"statusCode": 204}, {"statusCode": 304}, {"body": "x" * 10}])
def test_reply_without_content_has_no_body(front: str, answer: dict[str, Any]) -> None:
    reply = replied(front, answer, "HEAD" if "body" in answer else "GET")
    assert "body" not in reply
    assert reply["isBase64Encoded"] is False


@EACH
def test_refusal_of_a_head_has_no_body(front: str) -> None:
    assert "body" not in refused(front, "HEAD")


@EACH
def test_bytes_are_base64(front: str) -> None:
    data = base64.b64encode(b"\x00\xff").decode()
    reply = replied(front, {"headers": {"content-type": "image/png"}, "body": data, "isBase64Encoded": True})
    assert (reply["body"], reply["isBase64Encoded"]) == (data, True)


@EACH
def test_repeated_headers_are_kept_or_joined(front: str) -> None:
    reply = replied(front, {"multiValueHeaders": {"x-a": ["1", "2"], "content-type": ["text/plain"]}, "body": "x"})
    assert values(reply)["x-a"] in (["1", "2"], ["1, 2"])


@EACH
def test_cookies_are_never_joined(front: str) -> None:
    """Of a load balancer without multi-value headers, a reply with two is a 502."""
    reply = replied(front, {"cookies": ["a=1; Expires=Wed, 21 Oct 2026 07:28:00 GMT", "b=2"], "body": "x"})
    if front == "alb-single-value":
        assert reply["statusCode"] == 502
    else:
        assert cookies(reply) == ["a=1; Expires=Wed, 21 Oct 2026 07:28:00 GMT", "b=2"]
    assert cookies(replied(front, {"cookies": ["a=1"]})) == ["a=1"]


@EACH
@pytest.mark.parametrize("headers", [{"x-a": "1\r\nset-cookie: b=2"}, {"x-a\n": "1"}])
def test_control_character_in_a_backends_header_is_a_502(front: str, headers: dict[str, str]) -> None:
    """Trap A17."""
    reply = replied(front, {"headers": headers, "body": "secret"})
    assert reply["statusCode"] == 502
    assert set(reply) == {"statusCode", "isBase64Encoded", "body", *FIELDS[front]}
    assert "secret" not in json.dumps(reply)


@pytest.mark.parametrize("front", ["alb", "alb-single-value"])
def test_reply_over_the_limit_of_a_load_balancer_is_a_502_in_its_form(front: str) -> None:
    reply = replied(front, {"body": "x" * 1_048_576})
    assert (reply["statusCode"], reply["statusDescription"]) == (502, "502 Bad Gateway")
    assert replied("http-api", {"body": "x" * 1_048_576})["statusCode"] == 200


@EACH
def test_asynchronous_backend_is_answered_in_the_form_of_the_front(front: str) -> None:
    world = World(b"", Backend("/", "orders", invocation="async"), more=OPEN, **ENABLED)
    reply = world(FRONTS[front](Sent(headers=(("x-tenant-id", "blue"),))))
    assert (reply["statusCode"], FIELDS[front] <= set(reply)) == (202, True)


@EACH
def test_malformed_event_is_refused_in_the_form_of_its_front(front: str) -> None:
    event = FRONTS[front](Sent())
    for broken in ({"body": 5}, {"headers": 5, "multiValueHeaders": 5}, {"isBase64Encoded": "x"}):
        reply = World(**ENABLED)({**event, **broken})
        assert reply["statusCode"] == 400
        assert reply["body"]


def test_method_that_is_no_string_is_refused() -> None:
    assert World(**ENABLED)({**load_balancer(), "httpMethod": ["GET"]})["statusCode"] == 400


def test_event_that_is_not_enabled_is_answered_as_lattices() -> None:
    reply = World()(load_balancer())
    assert set(reply) == {"statusCode", "isBase64Encoded", "headers", "body"}


def test_lattice_has_its_front_whatever_is_enabled() -> None:
    every = Enabled(apis=frozenset({API}), target_groups=frozenset({GROUP}), function_url=True)
    for event in (v2(), {}, None, 5, load_balancer(group="other")):
        assert front_of(event, every) is LATTICE
        assert front_of(event, Enabled()) is LATTICE
    assert front_of(load_balancer(), every) is not LATTICE
