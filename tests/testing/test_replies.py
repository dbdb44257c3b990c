"""Faults of a reply: those in the corpus, those that the local front refuses, and none in the bridge's replies."""

from __future__ import annotations

import base64
import json
from contextlib import suppress
from http import HTTPStatus
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lattice_bridge.errors import BackendFailed
from lattice_bridge.formats.reply import REPLY_LIMIT, decode, render
from lattice_bridge.http.base64 import Base64
from lattice_bridge.local.front.exchange.function_reply import BadReply
from lattice_bridge.local.front.lattice.events import http_response
from lattice_bridge.message import Response
from lattice_bridge.testing import assert_valid_reply
from lattice_bridge.testing.corpus import ReplyCase, all_replies
from lattice_bridge.testing.replies import reply_faults


def _front_refuses(reply: Any, method: str) -> bool:
    try:
        http_response(json.dumps(reply).encode(), method)
    except BadReply:
        return True
    return False


# ---- as the corpus says ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", all_replies("valid/*"), ids=lambda case: case.name)
def test_valid_reply_has_no_faults(case: ReplyCase) -> None:
    method = case.expected["method"]
    assert reply_faults(case.reply, method) == []
    response = http_response(json.dumps(case.reply).encode(), method)
    assert case.expected["response"] == {
        "status": response.status,
        "headers": [list(pair) for pair in response.headers],
        "body_base64": base64.b64encode(response.body).decode(),
    }


@pytest.mark.parametrize("case", all_replies("invalid/*"), ids=lambda case: case.name)
def test_an_invalid_reply_has_these_faults(case: ReplyCase) -> None:
    method = case.expected["method"]
    assert case.expected["faults"]
    assert reply_faults(case.reply, method) == case.expected["faults"]
    assert _front_refuses(case.reply, method) is case.expected["front_refuses"]


# ---- as the bridge and the front do ---------------------------------------------------------------------------------

names = st.sampled_from(
    ["x-a", "content-type", "set-cookie", "content-length", "connection", "vary", "location", "x-é"]
)
values = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), max_size=8)
scalars = st.none() | st.booleans() | st.integers(-9, 999) | st.floats(allow_nan=False) | st.text(max_size=8)
anything = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3))
written = st.fixed_dictionaries(
    {"statusCode": st.sampled_from([200, 201, 204, 302, 304, 404, 599])},
    optional={
        "isBase64Encoded": st.booleans(),
        "headers": st.dictionaries(names, values | st.lists(values, max_size=2), max_size=4),
        "multiValueHeaders": st.dictionaries(names, st.lists(values, max_size=2), max_size=2),
        "cookies": st.lists(values, max_size=2),
        "body": st.text(max_size=9) | st.binary(max_size=9).map(lambda body: base64.b64encode(body).decode()),
    },
)
careless = st.dictionaries(
    st.sampled_from(["statusCode", "isBase64Encoded", "headers", "cookies", "body", "more"]), anything, max_size=6
)
methods = st.sampled_from(["GET", "HEAD"])


@given(answer=written, method=methods, set_cookie=st.sampled_from(["cookies", "headers"]))
def test_rendered_reply_is_always_valid(answer: Any, method: str, set_cookie: Any) -> None:
    with suppress(BackendFailed):
        assert_valid_reply(render(decode(json.dumps(answer).encode()), method, set_cookie), method)


@given(answer=anything, method=methods)
def test_whatever_the_bridge_makes_of_data_is_valid(answer: Any, method: str) -> None:
    with suppress(BackendFailed):
        assert_valid_reply(render(decode(json.dumps(answer).encode()), method), method)


@pytest.mark.parametrize("size", [REPLY_LIMIT // 6, REPLY_LIMIT * 3 // 4 - 120, REPLY_LIMIT - 120])
@pytest.mark.parametrize("character", ["a", "é", "\x01"])
def test_the_largest_replies_that_the_bridge_makes_are_valid(size: int, character: str) -> None:
    body = (character * size).encode()[:size]
    with suppress(BackendFailed):
        assert_valid_reply(render(Response(200, (), body), "GET"))
    packed = Base64.checked(base64.b64encode(body).decode())
    assert packed is not None
    with suppress(BackendFailed):
        assert_valid_reply(render(Response(200, (("content-type", "a/b"),), packed), "GET"))


@given(reply=careless | written | anything, method=methods)
@example(reply={"statusCode": 200, "body": "\ud800"}, method="HEAD")
def test_what_the_front_refuses_has_a_fault(reply: Any, method: str) -> None:
    if _front_refuses(reply, method):
        assert reply_faults(reply, method)


@given(reply=careless | written, method=methods)
def test_a_reply_without_faults_loses_nothing_at_the_front(reply: Any, method: str) -> None:
    if reply_faults(reply, method):
        return
    response = http_response(json.dumps(reply).encode(), method)
    lines = [
        value
        for value in (reply.get("headers") or {}).values()
        for value in (value if isinstance(value, list) else [value])
    ]
    assert sorted(value for _, value in response.headers) == sorted([*lines, *(reply.get("cookies") or [])])
    body = reply.get("body") or ""
    assert response.body == (base64.b64decode(body) if reply.get("isBase64Encoded") else body.encode())


# ---- as people call it ----------------------------------------------------------------------------------------------


def test_an_assertion_lists_every_fault() -> None:
    with pytest.raises(AssertionError) as refused:
        assert_valid_reply({"statusCode": "200", "headers": {"x-a": 1}, "body": {}})
    lines = str(refused.value).splitlines()
    assert [line.strip().partition(":")[0] for line in lines[1:]] == ["statusCode", "headers.x-a", "body"]


def test_a_reply_is_looked_at_as_the_json_that_it_becomes() -> None:
    assert_valid_reply({"statusCode": HTTPStatus.OK, "cookies": ("a=1", "b=2")})


@pytest.mark.parametrize("reply", [{"body": b"x"}, {"statusCode": float("nan")}, {"body": {1}}, object()])
def test_what_cannot_become_json_is_one_fault(reply: object) -> None:
    (fault,) = reply_faults(reply)
    assert fault.startswith("reply: cannot be written as JSON")


def test_a_reply_over_6_mb_is_refused() -> None:
    (fault,) = reply_faults({"statusCode": 200, "headers": {"content-type": "text/plain"}, "body": "x" * REPLY_LIMIT})
    assert f"at most {REPLY_LIMIT}" in fault


@pytest.mark.parametrize("name", ["multiValueHeaders", "statusDescription"])
@pytest.mark.parametrize("value", [None, "", {}])
def test_zero_value_of_a_typed_language_is_no_fault(name: str, value: Any) -> None:
    """Go's and Java's response types write every field, set or not."""
    assert reply_faults({"statusCode": 200, "headers": None, "cookies": None, "body": "", name: value}) == []
    assert reply_faults({"statusCode": 200, "more": value}) != []
