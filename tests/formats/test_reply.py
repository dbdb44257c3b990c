"""The backend's answer in every shape that frameworks give, and the reply that Lattice takes."""

from __future__ import annotations

import base64
import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lattice_bridge import Response
from lattice_bridge.errors import BackendFailed, Forbidden, Unauthenticated, Unavailable
from lattice_bridge.formats.reply import MAX_BRACKETS, REPLY_LIMIT, decode, problem, render
from tests.support.valid import assert_valid, body_of


def answer(**fields: Any) -> Response:
    return decode(json.dumps({"statusCode": 200, **fields}).encode())


def unreadable(raw: bytes) -> str:
    with pytest.raises(BackendFailed) as error:
        decode(raw)
    assert (error.value.status, error.value.reason) == (502, "backend_unreadable")
    return error.value.detail


def unreadable_answer(**fields: Any) -> str:
    return unreadable(json.dumps({"statusCode": 200, **fields}).encode())


# ---- what a backend may say -----------------------------------------------------------------------------------------


def test_the_shape_of_lattice_and_api_gateway_v2() -> None:
    said = answer(statusCode=201, headers={"Content-Type": "text/html"}, cookies=["a=1", "b=2"], body="<p>")
    assert said == Response(201, (("content-type", "text/html"), ("set-cookie", "a=1"), ("set-cookie", "b=2")), b"<p>")


def test_the_shape_of_api_gateway_v1_and_alb() -> None:
    said = answer(multiValueHeaders={"Set-Cookie": ["a=1", "b=2"], "X-A": ["1"]}, statusDescription="200 OK")
    assert said.headers == (("set-cookie", "a=1"), ("set-cookie", "b=2"), ("x-a", "1"))


def test_multi_value_header_replaces_the_single_one() -> None:
    said = answer(headers={"x-a": "2", "x-b": "3"}, multiValueHeaders={"X-A": ["1", "2"]})
    assert said.headers == (("x-b", "3"), ("x-a", "1"), ("x-a", "2"))


def test_cookies_under_names_of_different_case_are_kept() -> None:
    said = answer(headers={"Set-Cookie": "a=1", "Set-cookie": "b=2", "sEt-cookie": "c=3"})
    assert [value for _, value in said.headers] == ["a=1", "b=2", "c=3"]


def test_a_cookie_that_is_said_in_two_fields_is_one_cookie() -> None:
    assert answer(headers={"set-cookie": "a=1"}, cookies=["a=1", "b=2"]).headers == (
        ("set-cookie", "a=1"),
        ("set-cookie", "b=2"),
    )


@pytest.mark.parametrize("raw", [b"null", b"5", b'"hi"', b"[1, 2]", b'{"a": "\\ud800"}', b'{"statuscode": 200}', b"{}"])
def test_a_plain_value_is_json_passed_on_as_it_is(raw: bytes) -> None:
    assert decode(raw) == Response(200, (("content-type", "application/json"),), raw)


@pytest.mark.parametrize(
    "raw", [b"", b"hello", b"{", b"\xff", b"NaN", b'{"a": Infinity}', b"\xef\xbb\xbf{}", b"[" * 99_999]
)
def test_what_is_not_json_is_a_502(raw: bytes) -> None:
    unreadable(raw)


@pytest.mark.parametrize("status", [200, 599, "204", 404.0])
def test_a_status_may_be_written_as_frameworks_write_it(status: object) -> None:
    assert answer(statusCode=status).status == int(str(status).removesuffix(".0"))


@pytest.mark.parametrize(
    "status", [None, True, 100, 199, 600, -200, 200.5, "", "20", "0200", "２００", " 200", "200\n", [], {}, 1e300]
)
def test_a_status_that_http_does_not_have_is_a_502(status: object) -> None:
    assert "statusCode" in unreadable_answer(statusCode=status)


def test_a_status_beyond_any_number_is_a_502() -> None:
    unreadable(b'{"statusCode":1e999}')


@pytest.mark.parametrize(("value", "text"), [(5, "5"), (1.5, "1.5"), (True, "true"), (False, "false"), ("", "")])
def test_a_header_may_be_a_number_or_a_boolean(value: object, text: str) -> None:
    assert answer(headers={"x-a": value}).headers == (("x-a", text),)


def test_a_header_that_is_null_is_not_there() -> None:
    assert answer(headers={"x-a": None, "x-b": [None, "1"]}, cookies=None, body=None) == Response(200, (("x-b", "1"),))


@pytest.mark.parametrize("value", ["1\r\nx-b: 2", "1\n", "\r", "\x00", "\x1b[0m", "\x7f", "\ud800", {}, [[]]])
@pytest.mark.parametrize("field", ["headers", "multiValueHeaders"])
def test_a_header_that_cannot_be_sent_is_a_502(field: str, value: object) -> None:
    """Trap A17."""
    unreadable_answer(**{field: {"x-a": [value]}})


@pytest.mark.parametrize("cookie", ["a=1\r\nx-b: 2", "\x00", "\udfff", 5, None, {}])
def test_a_cookie_that_cannot_be_sent_is_a_502(cookie: object) -> None:
    """Trap A17."""
    unreadable_answer(cookies=[cookie])


@pytest.mark.parametrize(
    "fields",
    [
        {"headers": {f"h{number}": "" for number in range(201)}},
        {"multiValueHeaders": {"x-a": [""] * 201}},
        {"cookies": [""] * 201},
        {"headers": {"x-a": "1"}, "multiValueHeaders": {"set-cookie": ["a"] * 150}, "cookies": ["b"] * 50},
        {"headers": {"x-a": "1" * 33_000, "x-b": "2" * 33_000}},
        {"multiValueHeaders": {"x" * 66_000: ["1"]}},
        {"cookies": ["é" * 33_000]},
        {"headers": {f"h{number}": 10**4000 for number in range(17)}},
    ],
    ids=range(8),
)
def test_headers_over_a_limit_are_a_502(fields: dict[str, Any]) -> None:
    """Trap D9: 15,000 cookies beside 1,000 in another field took hours to compare."""
    assert "are passed on" in unreadable_answer(**fields)


def test_200_header_lines_and_64_kib_are_passed_on() -> None:
    assert len(answer(cookies=[str(number) for number in range(200)]).headers) == 200
    assert len(answer(headers={"x-a": "1" * (64 * 1024 - 3)}).headers) == 1


@pytest.mark.parametrize("piece", [b"[[]],", b'[{"":[]}],', b"[" * 50 + b"]" * 50 + b","])
def test_an_answer_of_very_many_lists_is_a_502(piece: bytes) -> None:
    number = MAX_BRACKETS // piece.count(b"[")
    assert "opening brackets" in unreadable(b"[" + piece * number + b"1]")


def test_answer_with_too_many_brackets_is_refused() -> None:
    text = "[{" * 900_000
    assert answer(body=text).body == text.encode()


def test_dropped_header_does_not_reach_the_caller() -> None:
    said = answer(headers={"Set-Cookie": "a=1", "Strict-Transport-Security": "max-age=1", "ETag": "1"}, cookies=["b=2"])
    for style in ("cookies", "headers"):
        reply = render(said, "GET", style, frozenset({"set-cookie", "strict-transport-security", "etag"}))
        assert (reply["headers"], reply.get("cookies")) == ({}, None)


@pytest.mark.parametrize("name", ["", "x a", "x:a", "x-a\r\nx-b", "ä", "\u212aey", "x\x00"])
@pytest.mark.parametrize("field", ["headers", "multiValueHeaders"])
def test_a_header_name_that_cannot_be_sent_is_a_502(field: str, name: str) -> None:
    """Trap A17."""
    unreadable_answer(**{field: {name: "1"}})


@pytest.mark.parametrize(
    "fields",
    [
        {"headers": []},
        {"headers": "x-a: 1"},
        {"multiValueHeaders": 5},
        {"cookies": "a=1"},
        {"cookies": {}},
        {"body": {}},
        {"body": 5},
        {"body": "\ud800"},
        {"isBase64Encoded": "true", "body": ""},
        {"isBase64Encoded": 1, "body": ""},
        {"isBase64Encoded": True, "body": "aGVsbG8"},
        {"isBase64Encoded": True, "body": "aGVs\nbG8="},
        {"isBase64Encoded": True, "body": "ä"},
    ],
    ids=json.dumps,
)
def test_an_answer_of_the_wrong_shape_is_a_502(fields: dict[str, Any]) -> None:
    unreadable_answer(**fields)


def test_nothing_of_an_unreadable_answer_is_in_the_detail() -> None:
    """Trap D13: the detail is logged."""
    details = [unreadable(b"secret"), unreadable_answer(body=["secret"]), unreadable_answer(headers={"a": "secret\n"})]
    assert "secret" not in " ".join(details)


def test_two_values_of_a_header_that_has_one_are_a_502() -> None:
    assert "location has two values" in unreadable_answer(headers={"Location": "/a", "location": "/b"})


def test_one_value_said_twice_is_one_value() -> None:
    said = answer(headers={"Location": "/a", "location": "/a"})
    assert render(said, "GET")["headers"] == {"location": "/a"}


def test_a_base64_body_is_its_bytes() -> None:
    assert answer(body="AP/+", isBase64Encoded=True).body == b"\x00\xff\xfe"


def test_body_without_flag_is_text() -> None:
    assert answer(body="AP/+").body == b"AP/+"


# ---- what Lattice gets ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("method", "status"), [("HEAD", 200), ("GET", 204), ("GET", 304), ("HEAD", 500)])
def test_head_204_and_304_have_no_body(method: str, status: int) -> None:
    reply = render(Response(status, (("etag", "x"),), b"hello"), method)
    assert reply == {"statusCode": status, "isBase64Encoded": False, "headers": {"etag": "x"}}


def test_no_body_has_no_content_type_of_ours() -> None:
    assert render(Response(200), "GET") == {"statusCode": 200, "isBase64Encoded": False, "headers": {}}


def test_text_goes_as_text_and_bytes_as_base64() -> None:
    assert render(Response(200, (), "é".encode()), "GET")["body"] == "é"
    reply = render(Response(200, (), b"\xff"), "GET")
    assert (reply["isBase64Encoded"], reply["body"]) == (True, "/w==")


@pytest.mark.parametrize(
    ("body", "kind"), [(b"<script>", "text/plain; charset=utf-8"), (b"\xff", "application/octet-stream")]
)
def test_body_without_content_type_gets_a_safe_one(body: bytes, kind: str) -> None:
    assert render(Response(200, (), body), "GET")["headers"] == {"content-type": kind}


def test_what_is_lattices_to_set_is_left_out() -> None:
    names = [
        "content-length",
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    ]
    pairs = tuple((name, "x-a" if name == "connection" else "5") for name in names)
    assert render(Response(200, (*pairs, ("x-a", "1"), ("x-b", "2"))), "GET")["headers"] == {"x-b": "2"}


@pytest.mark.parametrize("value", ["X-A", "close , X-a", "x-a,,", "\tx-A\t"])
def test_headers_named_by_connection_are_left_out(value: str) -> None:
    assert render(Response(200, (("x-a", "1"), ("connection", value))), "GET")["headers"] == {}


def test_repeated_headers_are_joined_and_cookies_never() -> None:
    reply = render(Response(200, (("vary", "a"), ("set-cookie", "a=1"), ("vary", "b"), ("set-cookie", "b=2"))), "GET")
    assert (reply["headers"], reply["cookies"]) == ({"vary": "a, b"}, ["a=1", "b=2"])


def test_the_setting_puts_cookies_into_the_headers() -> None:
    reply = render(Response(200, (("set-cookie", "a=1"),)), "GET", "headers")
    assert (reply["headers"], "cookies" in reply) == ({"set-cookie": ["a=1"]}, False)


def test_text_that_escapes_past_the_limit_goes_as_base64() -> None:
    body = b"\x01" * 2_000_000  # 12 MB as JSON, 2.7 MB as base64
    reply = render(Response(200, (), body), "GET")
    assert reply["isBase64Encoded"] is True
    assert_valid(reply)
    assert body_of(reply) == body


@pytest.mark.parametrize("body", [b"x" * (REPLY_LIMIT + 1), b"\xff" * 4_800_000, "é".encode() * 3_000_000])
def test_a_reply_past_the_limit_is_a_502(body: bytes) -> None:
    with pytest.raises(BackendFailed) as error:
        render(Response(200, (), body), "GET")
    assert error.value.reason == "reply_too_large"


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_headers_alone_can_be_past_the_limit(method: str) -> None:
    with pytest.raises(BackendFailed, match="reply_too_large"):
        render(Response(200, (("x-a", "é" * 1_100_000),), b"x"), method)


@pytest.mark.parametrize("size", [-1, 0])
def test_the_limit_itself_is_allowed(size: int) -> None:
    empty = len(json.dumps(render(Response(200, (("content-type", "a"),), b"x"), "GET"))) - 1
    reply = render(Response(200, (("content-type", "a"),), b"x" * (REPLY_LIMIT - empty + size)), "GET")
    assert len(json.dumps(reply)) == REPLY_LIMIT + size


def test_problem_has_no_reason() -> None:
    """Traps D12, D13."""
    said = problem(Forbidden("tenant_suspended", "secret"), "r-1")
    assert json.loads(said.body) == {"title": "Forbidden", "status": 403, "requestId": "r-1"}
    assert dict(said.headers) == {"content-type": "application/problem+json", "cache-control": "no-store"}


def test_problem_has_challenge_and_retry_after() -> None:
    assert dict(problem(Unauthenticated("no_credential"), "r").headers)["www-authenticate"] == "AWS4-HMAC-SHA256"
    both = dict(problem(Unauthenticated("token_invalid", "aud is not for us"), "r", bearer=True).headers)
    assert both["www-authenticate"] == 'AWS4-HMAC-SHA256, Bearer realm="api"'
    assert "www-authenticate" not in dict(problem(Forbidden("no_rule"), "r", bearer=True).headers)
    assert dict(problem(Unavailable("throttled", retry_after=7), "r").headers)["retry-after"] == "7"


# ---- there and back -------------------------------------------------------------------------------------------------

values = st.text(alphabet=st.characters(codec="utf-8", exclude_categories=["Cc"]), max_size=20)
names = st.sampled_from(["x-a", "x-b", "vary", "etag", "link", "set-cookie"])
responses = st.builds(
    Response,
    st.integers(200, 599),
    st.dictionaries(names, values, max_size=5).map(lambda headers: tuple(headers.items())),
    st.binary(max_size=40) | values.map(str.encode),
)


@settings(deadline=None)
@given(responses, st.sampled_from(["GET", "HEAD"]))
def test_rendered_reply_is_read_back(response: Response, method: str) -> None:
    reply = render(response, method)
    assert_valid(reply, method)
    again = decode(json.dumps(reply).encode())
    hidden = method == "HEAD" or response.status in (204, 304)
    assert (again.status, again.body) == (response.status, b"" if hidden else response.body)
    ours = {} if hidden or not response.body else {"content-type": _our_type(response.body)}
    assert dict(again.headers) == {**dict(response.headers), **ours}


def _our_type(body: bytes) -> str:
    try:
        body.decode()
    except UnicodeDecodeError:
        return "application/octet-stream"
    return "text/plain; charset=utf-8"


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_bytes_are_either_a_response_or_a_502(raw: bytes) -> None:
    for said in (raw, base64.b64encode(raw), json.dumps({"statusCode": 200, "body": raw.hex()}).encode()):
        with suppress(BackendFailed):
            assert_valid(render(decode(said), "GET"))


@pytest.mark.parametrize("character", ["x", "é", "\u2028", "😀", "\x01"])
@pytest.mark.parametrize("where", ["header", "cookie", "body"])
def test_no_reply_is_over_the_limit_however_it_is_escaped(character: str, where: str) -> None:
    for count in (400_000, 600_000, 1_000_000):
        text = character * count
        pairs = {"header": (("x-a", text),), "cookie": (("set-cookie", text),), "body": ()}[where]
        try:
            reply = render(Response(200, pairs, text.encode() if where == "body" else b"x"), "GET")
        except BackendFailed:
            continue
        assert len(json.dumps(reply)) <= REPLY_LIMIT


def test_a_reply_of_nothing_but_punctuation_is_measured_too() -> None:
    with pytest.raises(BackendFailed) as caught:
        render(Response(200, (("set-cookie", ""),) * 2_000_000, b"x"), "GET")
    assert caught.value.reason == "reply_too_large"


def test_a_header_of_many_values_is_joined_once() -> None:
    """Trap D9: value by value, 400,000 of them took 18 seconds."""
    reply = render(Response(200, (("x-a", "12345678"),) * 400_000), "GET")
    assert len(reply["headers"]["x-a"]) == 400_000 * 10 - 2
