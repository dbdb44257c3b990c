"""HTTP <-> events, to the letter of docs/wire.md."""

from __future__ import annotations

import base64
import json
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lattice_bridge import parse_event
from lattice_bridge.identity.principal import parse_arn
from lattice_bridge.local.front.exchange.function_reply import BadReply
from lattice_bridge.local.front.exchange.http_message import HttpRequest, Signer, to_json
from lattice_bridge.local.front.lattice.events import Origin, event_v1, event_v2, http_response
from lattice_bridge.message import X509

ORIGIN = Origin(
    request_id="0e3bd8c8-6ef7-4f0d-8b0a-4f4b1d6f1f00",
    epoch_microseconds=1_696_331_543_569_690,
    service_arn="arn:aws:vpc-lattice:us-east-1:123456789012:service/svc-0a40eebed65f8d69c",
    service_network_arn="arn:aws:vpc-lattice:us-east-1:123456789012:servicenetwork/sn-0bf3f2882e9cc805a",
    target_group_arn="arn:aws:vpc-lattice:us-east-1:123456789012:targetgroup/tg-6d0ecf831eec9f09",
    source_vpc_arn="arn:aws:ec2:us-east-1:123456789012:vpc/vpc-0b8276c84697e7339",
)
ROLE = parse_arn("arn:aws:sts::111122223333:assumed-role/blue-api/i-1")
SIGNER = Signer(ROLE, "i-1", "o-1a2b3c", X509(san_uri="spiffe://example/blue", subject_cn="blue"))


def request(target: str = "/a", headers: list[tuple[str, str]] | None = None, body: bytes = b"") -> HttpRequest:
    return HttpRequest("GET", target, headers if headers is not None else [("host", "h")], body, "10.0.0.7")


def test_plain_v2_event_has_no_optional_fields() -> None:
    assert event_v2(request(), ORIGIN, None) == {
        "version": "2.0",
        "path": "/a",
        "method": "GET",
        "headers": {"host": ["h"], "x-forwarded-for": ["10.0.0.7"]},
        "requestContext": {
            "serviceNetworkArn": ORIGIN.service_network_arn,
            "serviceArn": ORIGIN.service_arn,
            "targetGroupArn": ORIGIN.target_group_arn,
            "identity": {"sourceVpcArn": ORIGIN.source_vpc_arn},
            "region": "us-east-1",
            "timeEpoch": "1696331543569690",
        },
        "requestId": ORIGIN.request_id,
    }


def test_plain_v1_event_has_every_field() -> None:
    assert event_v1(request(), ORIGIN, None) == {
        "raw_path": "/a",
        "method": "GET",
        "headers": {
            "host": "h",
            "x-forwarded-for": "10.0.0.7",
            "x-amzn-lattice-network": f"SourceVpcArn={ORIGIN.source_vpc_arn}",
        },
        "query_string_parameters": {},
        "body": "",
        "is_base64_encoded": False,
        "request_id": ORIGIN.request_id,
    }


def test_path_has_the_query_as_sent_and_the_map_decoded() -> None:
    target = "/a%2Fb?x=1&x=%41+b&y"
    v1, v2 = event_v1(request(target), ORIGIN, None), event_v2(request(target), ORIGIN, None)
    assert (v1["raw_path"], v2["path"]) == (target, target)
    assert v1["query_string_parameters"] == {"x": "1", "y": ""}
    assert v2["queryStringParameters"] == {"x": ["1", "A+b"], "y": [""]}


def test_repeated_headers_are_joined_in_v1_and_listed_in_v2() -> None:
    headers = [("host", "h"), ("x-tag", "a"), ("x-other", "o"), ("x-tag", "b, c")]
    assert event_v1(request(headers=headers), ORIGIN, None)["headers"]["x-tag"] == "a,b, c"
    assert event_v2(request(headers=headers), ORIGIN, None)["headers"]["x-tag"] == ["a", "b, c"]


def test_address_that_lattice_saw_is_last() -> None:
    headers = [("host", "h"), ("x-forwarded-for", "1.1.1.1"), ("x-forwarded-for", "2.2.2.2")]
    assert event_v2(request(headers=headers), ORIGIN, None)["headers"]["x-forwarded-for"] == [
        "1.1.1.1,2.2.2.2,10.0.0.7"
    ]


def test_lattice_headers_of_a_client_are_stripped() -> None:
    forged = [("host", "h"), ("x-amzn-lattice-identity", "Principal=x"), ("x-amzn-lattice-network", "SourceVpcArn=x")]
    for event in (event_v1(request(headers=forged), ORIGIN, SIGNER), event_v2(request(headers=forged), ORIGIN, SIGNER)):
        assert "=x" not in json.dumps(event["headers"])


def test_headers_of_one_connection_are_dropped() -> None:
    """RFC 9110 §7.6.1: those that `Connection` names too. `Host` is never one of them."""
    given = [("host", "h"), ("connection", "Upgrade, X-One,host"), ("connection", "x-two\t"), ("upgrade", "h2c")]
    sent = request(headers=[*given, ("http2-settings", "AAMA"), ("te", "trailers"), ("x-one", "1"), ("x-two", "2")])
    assert event_v2(sent, ORIGIN, None)["headers"] == {"host": ["h"], "x-forwarded-for": ["10.0.0.7"]}
    assert event_v1(sent, ORIGIN, None)["headers"].keys() == {"host", "x-forwarded-for", "x-amzn-lattice-network"}


def test_signer_is_in_context_of_v2_and_header_of_v1() -> None:
    assert event_v2(request(), ORIGIN, SIGNER)["requestContext"]["identity"] == {
        "sourceVpcArn": ORIGIN.source_vpc_arn,
        "type": "AWS_IAM",
        "principal": str(ROLE),
        "principalOrgID": "o-1a2b3c",
        "sessionName": "i-1",
        "x509SanUri": "spiffe://example/blue",
        "x509SubjectCn": "blue",
    }
    assert event_v1(request(), ORIGIN, SIGNER)["headers"]["x-amzn-lattice-identity"] == (
        f"Principal={ROLE}; PrincipalOrgID=o-1a2b3c; PrincipalOrgPaths=; SessionName=i-1; Type=AWS_IAM; "
        "X509SAN/URI=spiffe://example/blue; X509Subject/CN=blue"
    )


@pytest.mark.parametrize(
    ("headers", "body", "encoded"),
    [
        ({"content-type": "text/html"}, b"x", False),
        ({"content-type": "application/json; charset=utf-8"}, b"{}", False),
        ({"content-type": "application/xml"}, b"x", False),
        ({"content-type": "application/javascript"}, b"x", False),
        ({"content-type": "application/problem+json"}, b"{}", True),
        ({"content-type": "application/x-www-form-urlencoded"}, b"a=1", True),
        ({"content-type": "application/octet-stream"}, b"x", True),
        ({}, b"x", True),
        ({"content-type": "text/plain", "content-encoding": "gzip"}, b"x", True),
        ({"content-type": "text/plain"}, b"\xff", True),
        ({"content-type": "application/octet-stream"}, b"", False),
    ],
)
def test_a_body_is_base64_unless_its_type_is_text(headers: dict[str, str], body: bytes, encoded: bool) -> None:
    sent = request(headers=[("host", "h"), *headers.items()], body=body)
    v1, v2 = event_v1(sent, ORIGIN, None), event_v2(sent, ORIGIN, None)
    assert v1["is_base64_encoded"] is encoded
    assert v2.get("isBase64Encoded", False) is encoded
    assert ("isBase64Encoded" in v2) is encoded
    assert (base64.b64decode(v1["body"]) if encoded else v1["body"].encode()) == body
    assert v2.get("body", "") == v1["body"]


tokens = st.text("abcdefghijklmnopqrstuvwxyz-", min_size=1, max_size=12).filter(lambda name: name.strip("-") == name)
values = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), max_size=40).map(str.strip)
texts = st.text(st.characters(codec="utf-8"), max_size=20)


@given(
    method=st.sampled_from(["GET", "POST", "DELETE", "PROPFIND"]),
    path=st.lists(texts.map(lambda text: quote(text, safe="")), max_size=4).map(lambda parts: "/" + "/".join(parts)),
    query=st.lists(st.tuples(texts, texts), max_size=4),
    headers=st.lists(st.tuples(tokens.map("x-t-{}".format), values), max_size=6),
    body=st.binary(max_size=60),
    signer=st.sampled_from([None, SIGNER]),
)
def test_request_through_the_front_is_read_back(
    method: str,
    path: str,
    query: list[tuple[str, str]],
    headers: list[tuple[str, str]],
    body: bytes,
    signer: Signer | None,
) -> None:
    raw = "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in query)
    sent = HttpRequest(method, f"{path}?{raw}" if raw else path, [("host", "h"), *headers], body, "10.0.0.7")
    for version, build in ((1, event_v1), (2, event_v2)):
        read = parse_event(json.loads(to_json(build(sent, ORIGIN, signer))))
        assert (read.version, read.method, read.path, read.raw_query, read.body) == (version, method, path, raw, body)
        assert read.query_all == tuple(query)
        assert read.caller.principal == (str(ROLE) if signer else None)
        assert read.caller.source_vpc_arn == ORIGIN.source_vpc_arn
        assert read.request_id == ORIGIN.request_id
        ours = [(name, value) for name, value in read.headers if name.startswith("x-t-")]
        if version == 2:
            assert sorted(ours) == sorted(headers)
        else:
            assert dict(ours) == {name: ",".join(v for n, v in headers if n == name) for name, _ in headers}


# ---- replies --------------------------------------------------------------------------------------------------------


def test_a_reply_becomes_a_response() -> None:
    reply = {
        "statusCode": 201,
        "headers": {"X-A": "1", "content-length": "9", "connection": "close"},
        "cookies": ["a=1", "b=2"],
        "body": "aGk=",
        "isBase64Encoded": True,
    }
    response = http_response(json.dumps(reply).encode(), "GET")
    assert (response.status, response.body) == (201, b"hi")
    assert list(response.headers) == [("x-a", "1"), ("set-cookie", "a=1"), ("set-cookie", "b=2")]


def test_cookies_may_be_a_list_in_headers() -> None:
    reply = {"statusCode": 200, "headers": {"set-cookie": ["a=1", "b=2"]}}
    assert list(http_response(json.dumps(reply).encode(), "GET").headers) == [
        ("set-cookie", "a=1"),
        ("set-cookie", "b=2"),
    ]


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"not json",
        b"null",
        b"[]",
        b'"text"',
        b"{}",
        b'{"statusCode": "200"}',
        b'{"statusCode": 100}',
        b'{"statusCode": true}',
        b'{"statusCode": 200, "headers": []}',
        b'{"statusCode": 200, "headers": {"a": 1}}',
        b'{"statusCode": 200, "headers": {"a b": "1"}}',
        b'{"statusCode": 200, "headers": {"a": "1\\r\\nb: 2"}}',
        b'{"statusCode": 200, "cookies": "a=1"}',
        b'{"statusCode": 200, "body": {}}',
        b'{"statusCode": 200, "body": "a", "isBase64Encoded": true}',
        b'{"statusCode": 200, "body": "\\ud800"}',
        b"[" * 100_000,
    ],
)
def test_what_is_not_a_reply_is_refused(payload: bytes) -> None:
    with pytest.raises(BadReply):
        http_response(payload, "GET")


@pytest.mark.parametrize(("status", "method"), [(200, "HEAD"), (204, "GET"), (304, "GET")])
def test_some_responses_have_no_body(status: int, method: str) -> None:
    assert http_response(json.dumps({"statusCode": status, "body": "x"}).encode(), method).body == b""
