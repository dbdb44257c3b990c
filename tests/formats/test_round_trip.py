"""HTTP in, through Lattice's event and the bridge, and out of any payload: the backend reads what the client sent.

The readers, `reference_readers`, are written from the formats' own pages.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from ipaddress import ip_address
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lattice_bridge import BridgeError, Caller, parse_event
from lattice_bridge.http.headers import fold
from lattice_bridge.local.front.exchange.http_message import HttpRequest
from tests.formats.round_trip import (
    BLUE,
    FORWARDED,
    GATEWAYS,
    HOSTILE_X509,
    PAYLOADS,
    WITH_RAW_QUERY,
    WITH_SOURCE_IP,
    Sent,
    Version,
    addresses_in_one_line,
    anything_sent,
    decoded_in_a_map,
    encoded,
    expected_cookies,
    expected_headers,
    made,
    received,
    signer_of,
    still_encoded_in_a_map,
)
from tests.support.builders import VPC, role, v1
from tests.support.examples import examples
from tests.support.reference_readers import READERS, grouped, load, pairs_of

# ---- the property ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("payload", PAYLOADS)
@settings(max_examples=examples(125), deadline=None)
@given(sent=anything_sent, tenant_header=st.sampled_from(["x-tenant-id", "x-tenant-id", "x-customer"]))
def test_backend_reads_the_request_as_sent(payload: str, sent: Sent, tenant_header: str) -> None:
    read = received(sent.event, payload, tenant_header)
    path, _, raw_query = sent.http.target.partition("?")
    assert (read.method, read.path, read.body) == (sent.http.method, path, sent.http.body)
    if payload in WITH_RAW_QUERY:
        assert (read.raw_query, read.query) == (raw_query, pairs_of(raw_query))
    elif payload == "alb":
        assert still_encoded_in_a_map(read.raw_query or "") == still_encoded_in_a_map(raw_query)
    else:
        assert decoded_in_a_map(read.query) == decoded_in_a_map(pairs_of(raw_query))

    headers = grouped(
        pair for pair in read.headers if pair[0] != "cookie" and not pair[0].startswith("x-amzn-lattice-")
    )
    expected = expected_headers(sent, payload, tenant_header)
    if payload in GATEWAYS:
        expected = addresses_in_one_line(expected)
    apart = FORWARDED if payload in GATEWAYS else frozenset[str]()
    assert {name: headers[name] for name in headers if name not in apart} == {
        name: expected[name] for name in expected if name not in apart
    }
    assert read.cookies == expected_cookies(sent)
    assert read.tenant == "blue"
    assert read.principal == (None if sent.signer is None else str(sent.signer.principal))
    assert read.source_ip == (sent.http.client_address if payload in WITH_SOURCE_IP else None)
    assert read.request_id == (None if payload == "alb" else "lattice-1")


@pytest.mark.parametrize("payload", GATEWAYS)
@settings(max_examples=120, deadline=None)
@given(sent=anything_sent)
def test_scheme_and_port_are_written_once(payload: str, sent: Sent) -> None:
    read = received(sent.event, payload)
    (proto,), (port,) = read.values("x-forwarded-proto"), read.values("x-forwarded-port")
    assert proto in ("http", "https")
    assert port.isascii()
    assert port.isdigit()
    assert 0 < int(port) < 65536


@pytest.mark.parametrize("payload", ["apigateway-v1", "alb"])
@settings(max_examples=120, deadline=None)
@given(sent=anything_sent)
def test_cookies_are_one_line(payload: str, sent: Sent) -> None:
    assert len(received(sent.event, payload).values("cookie")) <= 1


@pytest.mark.parametrize("payload", GATEWAYS)
@pytest.mark.parametrize("version", ["v1", "v2"])
@pytest.mark.parametrize("principal", [None, BLUE])
def test_lattice_headers_reach_only_alb_and_v1(payload: str, version: Version, principal: str | None) -> None:
    signer = None if principal is None else signer_of(principal, "o-a1b2c3d4e5", None)
    read = received(Sent(HttpRequest("GET", "/", []), signer, version).event, payload)
    own = {name for name, _ in read.headers if fold(name).startswith("x-amzn-lattice-")}
    assert own - {"x-amzn-lattice-network"} == (
        {"x-amzn-lattice-identity"} if payload == "alb" and principal is not None else set()
    )
    assert payload == "alb" or not own


@pytest.mark.parametrize("payload", ["lattice-v2", *WITH_SOURCE_IP])
@pytest.mark.parametrize("version", ["v1", "v2"])
def test_time_is_the_requests(payload: str, version: Version) -> None:
    read = received(Sent(HttpRequest("GET", "/", []), None, version).event, payload)
    assert read.milliseconds == 1735689600_250
    if read.time_text is not None:
        assert datetime.strptime(read.time_text, "%d/%b/%Y:%H:%M:%S %z").timestamp() == 1735689600


ADDRESSES: Final[list[tuple[list[str], str]]] = [
    (["203.0.113.9"], "203.0.113.9"),
    (["198.51.100.1, 203.0.113.9"], "203.0.113.9"),
    (["198.51.100.1,203.0.113.9 "], "203.0.113.9"),
    (["203.0.113.9", "10.0.0.1"], "10.0.0.1"),
    (["2001:db8::1"], "2001:db8::1"),
    ([], "0.0.0.0"),
    ([""], "0.0.0.0"),
    (["203.0.113.9,"], "0.0.0.0"),
    (["203.0.113.9, unknown"], "0.0.0.0"),
    (["203.0.113.9:4711"], "0.0.0.0"),
    (["[2001:db8::1]"], "0.0.0.0"),
    (["203.0.113.009"], "0.0.0.0"),
    (["3405803785"], "0.0.0.0"),
    (["٢٠٣.0.113.9"], "0.0.0.0"),
    (["fe80::1%<script>"], "0.0.0.0"),
    (["<script>"], "0.0.0.0"),
]


@pytest.mark.parametrize("payload", WITH_SOURCE_IP)
@pytest.mark.parametrize(("lines", "expected"), ADDRESSES)
def test_source_address_is_the_last_one_or_none(payload: str, lines: list[str], expected: str) -> None:
    assert received(made("v2", headers={"x-forwarded-for": lines}), payload).source_ip == expected


@pytest.mark.parametrize("payload", WITH_SOURCE_IP)
@settings(max_examples=120, deadline=None)
@given(text=st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), max_size=12))
def test_source_address_is_always_an_address(payload: str, text: str) -> None:
    found = received(made("v2", headers={"x-forwarded-for": text}), payload).source_ip
    assert found is not None
    ip_address(found)


# ---- from one event version to the other ----------------------------------------------------------------------------


def assert_same_caller(after: Caller, before: Caller, *, through_v1: bool) -> None:
    """A certificate's fields are not read from V1."""
    assert after == (replace(before, x509=None) if through_v1 else before)


@pytest.mark.parametrize("payload", ["lattice-v1", "lattice-v2"])
@settings(max_examples=examples(300), deadline=None)
@given(sent=anything_sent)
def test_converted_event_has_the_same_caller_and_request(payload: str, sent: Sent) -> None:
    before = parse_event(sent.event)
    converted = load(encoded(sent.event, payload))
    if payload == "lattice-v2":  # typed readers require the three, empty where V1 does not say
        assert {"serviceNetworkArn", "serviceArn", "targetGroupArn"} <= set(converted["requestContext"])
    after = parse_event(converted)
    assert after.service_arn == (before.service_arn if payload == "lattice-v2" else None)
    assert_same_caller(after.caller, before.caller, through_v1=payload == "lattice-v1")
    assert (after.method, after.path, after.raw_query, after.body) == (
        before.method,
        before.path,
        before.raw_query,
        before.body,
    )
    assert after.request_id == before.request_id


@pytest.mark.parametrize("payload", ["lattice-v1", "alb"])
@pytest.mark.parametrize("field", ["x509SanUri", "x509SubjectCn", "x509IssuerOu", "x509SanDns", "x509SanNameCn"])
@pytest.mark.parametrize("value", HOSTILE_X509)
def test_certificate_cannot_forge_a_field_of_the_header(payload: str, field: str, value: str) -> None:
    event = made("v2", BLUE)
    event["requestContext"]["identity"] |= {field: value, "principalOrgID": "o-a1b2c3d4e5"}
    read = received(event, payload)
    assert read.principal == BLUE
    caller = parse_event(v1(headers=dict(read.headers))).caller
    assert_same_caller(caller, parse_event(event).caller, through_v1=True)


@pytest.mark.parametrize("payload", PAYLOADS)
@pytest.mark.parametrize("field", ["principalOrgID", "sourceVpcArn"])
@pytest.mark.parametrize("value", HOSTILE_X509)
def test_other_field_cannot_forge_a_principal(payload: str, field: str, value: str) -> None:
    event = made("v2", BLUE)
    event["requestContext"]["identity"][field] = value
    assert received(event, payload).principal == BLUE


@pytest.mark.parametrize("payload", ["lattice-v1", "alb"])
@pytest.mark.parametrize("session", ["a,Type=NONE", "a,type=AWS_IAM", "a,SessionName=b", "a,PrincipalOrgID=o-1"])
def test_session_that_looks_like_a_field_is_harmless(payload: str, session: str) -> None:
    event = made("v2", role("blue-api", session=session))
    try:
        written = load(encoded(event, payload))
    except BridgeError:
        return
    headers = written["headers"] if payload == "lattice-v1" else dict(READERS[payload](written, "x-tenant-id").headers)
    try:
        caller = parse_event(v1(headers=headers)).caller
    except BridgeError:
        return
    assert caller in (parse_event(event).caller, Caller(source_vpc_arn=VPC))


@pytest.mark.parametrize("payload", ["lattice-v1", *GATEWAYS])
@pytest.mark.parametrize("kind", ["NONE", "aws_iam", ""])
def test_unchecked_identity_of_v2_is_not_written(payload: str, kind: str) -> None:
    event = made("v2", BLUE)
    event["requestContext"]["identity"]["type"] = kind
    assert received(event, payload).principal is None
    assert BLUE not in encoded(event, payload).decode()


@pytest.mark.parametrize("payload", ["lattice-v2", *GATEWAYS])
@pytest.mark.parametrize("end", ["; Type=NONE", "; Type="])  # without a Type it is refused
def test_unchecked_identity_of_v1_is_not_written(payload: str, end: str) -> None:
    event = made("v1", headers={"x-amzn-lattice-identity": f"Principal={BLUE}{end}"})
    assert received(event, payload).principal is None
    assert BLUE not in encoded(event, payload).decode()


@pytest.mark.parametrize("payload", PAYLOADS)
@pytest.mark.parametrize("version", ["v1", "v2"])
@pytest.mark.parametrize(
    "principal", [role("a,b=c"), role("blue-api", session="a,b=c"), role("a=b,c@d", session="=,=")]
)
def test_name_with_commas_and_equals_signs_is_written(payload: str, version: Version, principal: str) -> None:
    event = made(version, principal)
    assert received(event, payload).principal == parse_event(event).caller.principal == principal
