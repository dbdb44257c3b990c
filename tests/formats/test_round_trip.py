"""HTTP in, through Lattice's event and the bridge, and out of any payload: the backend reads what the client sent.

The readers, `reference_readers`, are written from the formats' own pages. What a format cannot say is one of the named
normalisations below, and nothing else may differ.
"""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass, replace
from datetime import datetime
from ipaddress import ip_address
from typing import Any, Final, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lattice_bridge import BridgeError, Caller, parse_event
from lattice_bridge.errors import TooLarge
from lattice_bridge.formats.payload import encode
from lattice_bridge.http.headers import fold
from lattice_bridge.identity.principal import parse_arn
from lattice_bridge.local.front.lattice import HttpRequest, Origin, Signer, event_v1, event_v2
from lattice_bridge.message import X509
from tests.support.builders import ACCOUNT, SERVICE, VPC, role, v1, v2
from tests.support.examples import examples
from tests.support.reference_readers import READERS, Pairs, Read, grouped, load, pairs_of, split_cookies

Version = Literal["v1", "v2"]
PAYLOADS: Final = ("lattice", *READERS)
GATEWAYS: Final = ("apigateway-v2", "apigateway-v1", "alb")
WITH_RAW_QUERY: Final = ("lattice", "lattice-v1", "lattice-v2", "apigateway-v2")
WITH_SOURCE_IP: Final = ("apigateway-v2", "apigateway-v1")
BLUE: Final = role("blue-api")
NOW: Final = 1735689600.25
ORIGIN: Final = Origin(
    request_id="lattice-1",
    epoch_microseconds=1735689600_250000,
    service_arn=SERVICE,
    service_network_arn=f"arn:aws:vpc-lattice:eu-west-1:{ACCOUNT}:servicenetwork/sn-1",
    target_group_arn=f"arn:aws:vpc-lattice:eu-west-1:{ACCOUNT}:targetgroup/tg-1",
    source_vpc_arn=VPC,
)


def encoded(event: dict[str, Any], payload: str, tenant_header: str = "x-tenant-id", **options: Any) -> bytes:
    fields = {"tenant": "blue", "request_id": "lattice-1", "now": NOW, "payload": payload, **options}
    return encode(parse_event(event), tenant_header=tenant_header, **fields)


def format_of(event: dict[str, Any], payload: str) -> str:
    """As received is the version it was received in."""
    return payload if payload != "lattice" else "lattice-v1" if "raw_path" in event else "lattice-v2"


def received(event: dict[str, Any], payload: str, tenant_header: str = "x-tenant-id", **options: Any) -> Read:
    """What the backend reads. The event must stay as it was, since a log may still want it."""
    before = copy.deepcopy(event)
    written = load(encoded(event, payload, tenant_header, **options))
    assert event == before
    return READERS[format_of(event, payload)](written, tenant_header)


def made(version: Version, principal: str | None = None, **fields: Any) -> dict[str, Any]:
    """An event by hand, with what Lattice puts into every one."""
    headers = {"x-forwarded-for": "203.0.113.9", **fields.pop("headers", {})}
    if version == "v1":
        return v1(principal, headers=headers, **fields)
    event = v2(principal, headers=headers, **fields)
    event["requestContext"]["timeEpoch"] = str(ORIGIN.epoch_microseconds)
    return event


# ---- requests -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Sent:
    """A request, who signed it, and the event that Lattice makes of it."""

    http: HttpRequest
    signer: Signer | None
    version: Version

    @property
    def event(self) -> dict[str, Any]:
        make = event_v1 if self.version == "v1" else event_v2
        return make(self.http, ORIGIN, self.signer)


def _joined(pieces: list[str], between: str = "") -> str:
    return between.join(pieces)


_segments: Final = st.lists(
    st.sampled_from(
        [
            *(
                "a",
                "orders",
                "%2F",
                "%2f",
                "%25",
                "%41",
                "%C3%A9",
                "é",
                "日本",
                "%FF",
                "%",
                "%zz",
                "%20",
                "+",
                ";",
                ";v=1",
            ),
            *("/", "//", ".", "..", "~", "@", ":", ",", "=", "&", "!", "'", '"', "\\", "{x}", "\u2028", "😀", "prod"),
        ]
    ),
    max_size=6,
).map(_joined)
paths = st.builds("/{}".format, _segments) | st.sampled_from(["/", "//", "/a/", "/a//b/", "/%2F", "/$default/a"])
_words: Final = st.lists(
    st.sampled_from(
        [
            *(
                "a",
                "b",
                "%61",
                "%20",
                "+",
                "%2B",
                "%2F",
                "/",
                "%FF",
                "%C3%A9",
                "é",
                "%",
                "%zz",
                "%26",
                "%3D",
                "%25",
                "%2",
            ),
            *(",", "=", ";", "?", ".", "[]", "%5B%5D", "日", '"', "\\", "%00", "%0A", "%ED%A0%80", "x-tenant-id"),
        ]
    ),
    max_size=3,
).map(_joined)
_names: Final = st.sampled_from(["a", "a", "b", "", "%61", "flag", "x-tenant-id", "%FF", "%25FF", "+"]) | _words.map(
    lambda word: word.replace("=", "")
)
_parts: Final = st.builds("{}={}".format, _names, _words) | _names
queries = st.none() | st.lists(_parts, max_size=6).map(lambda parts: _joined(parts, "&"))
targets = st.builds(lambda path, query: path if query is None else f"{path}?{query}", paths, queries)

_header_names: Final = st.sampled_from(
    [
        *("x-a", "x-a", "x-b", "x!y", "x.y", "x_z", "~", "0", "date", "accept", "user-agent", "referer", "origin"),
        *("forwarded", "via", "cookies", "x-amzn-trace-id", "content-length", "constructor", "__proto__"),
        *("x-forwarded-proto", "x-forwarded-port", "x-forwarded-host", "x_forwarded_proto", "x-real-ip"),
        *("x-amzn-oidc-identity", "x_amzn_oidc_data", "x-amzn-mtls-clientcert", "x-amzn-oidc", "x-amz-date"),
        *("x-tenant-id", "x_tenant_id", "x-amz-tenant-id", "x.amzn.tenant.id", "x-customer", "x-request-id"),
        *("authorization", "x-amz-security-token", "connection", "te", "proxy-authorization", "transfer-encoding"),
        *("x-amzn-lattice-identity", "x_amzn_lattice_identity", "x-amzn-lattice-target"),
    ]
)
# One Host at most: RFC 9112 §3.2 has a server refuse two.
_hosts: Final = st.sampled_from([[], ["a.example"], ["a.example:8080"], ["[::1]:80"], [""], ["a.example:x"], ["é"]])
_values: Final = st.sampled_from(
    [
        "",
        "a",
        "b",
        "a,b",
        ", ",
        "Mon, 01 Jan 2025 00:00:00 GMT",
        "é",
        "日本",
        "\t",
        'say "hi"',
        "\\",
        "443",
        "https",
        "80",
    ]
) | st.text(st.characters(codec="utf-8", exclude_characters="\x7f", min_codepoint=0x20), max_size=8)
_cookies: Final = st.sampled_from(
    ["a=1", "a=1; b=2", "a=1;b=2;", "b=x,y", "", ";", 'c="q;r"', "x-tenant-id=green", "é=日", "a", "a=b=c", " a=1 "]
)
_addresses: Final = st.sampled_from(
    ["203.0.113.9", "198.51.100.1, 203.0.113.9", "10.0.0.1,10.0.0.2", "", "unknown", "2001:db8::1", "evil, <b>"]
)
_header_lines: Final = st.lists(
    st.one_of(
        st.tuples(_header_names, _values),
        st.tuples(_header_names, _values),
        st.tuples(st.just("cookie"), _cookies),
        st.tuples(st.just("x-forwarded-for"), _addresses),
    ),
    max_size=8,
)
header_lists = st.builds(lambda hosts, lines: [*(("host", host) for host in hosts), *lines], _hosts, _header_lines)
_texts: Final = st.sampled_from(
    ["", "hi", "é日本😀", '{"a": 1}', '"},"headers":{"x-tenant-id":"green"},"x":{"', "\x00\\\u2028"]
)
bodies = st.one_of(
    st.tuples(
        st.sampled_from(["text/plain", "application/json", "application/json; charset=utf-8", "TEXT/CSV"]),
        _texts.map(str.encode) | st.binary(max_size=8),
    ),
    st.tuples(st.just("application/x-www-form-urlencoded"), st.just(b"a=1&b=%2F+c")),
    st.tuples(st.sampled_from(["application/octet-stream", "image/png"]), st.binary(max_size=8)),
    st.just((None, b"")),
    st.tuples(st.none(), st.binary(max_size=8)),
)


def _request(method: str, target: str, headers: list[tuple[str, str]], body: Any, gzip: bool, ip: str) -> HttpRequest:
    kind, content = body
    more = [("content-type", kind)] if kind is not None else []
    more += [("content-encoding", "gzip")] if gzip else []
    return HttpRequest(method, target, [*headers, *more], content, ip)


requests = st.builds(
    _request,
    st.sampled_from(["GET", "POST", "DELETE", "PROPFIND", "search", "x!y"]),
    targets,
    header_lists,
    bodies,
    st.booleans(),
    st.sampled_from(["203.0.113.9", "2001:db8::1", "127.0.0.1", "::ffff:192.0.2.1"]),
)

PRINCIPALS: Final = (
    BLUE,
    role("blue-api", session="a=b,c@d"),
    role("a,b=c", partition="aws-cn"),
    role("x", "444455556666", partition="aws-us-gov", session="blue@example.com"),
    f"arn:aws:iam::{ACCOUNT}:role/plain",
    f"arn:aws:iam::{ACCOUNT}:user/team/alice",
    f"arn:aws:iam::{ACCOUNT}:root",
    f"arn:aws:sts::{ACCOUNT}:federated-user/bob",
)
PLAIN_X509: Final = (
    "blue.example.com",
    "spiffe://example.org/t/blue?a=b",
    "O=Example, Inc.",
    "a,b=c,d=e",
    "é日",
)
FORGED: Final = f"arn:aws:iam::{ACCOUNT}:root"
HOSTILE_X509: Final = (
    f"x; Principal={FORGED}",
    f"x;principal={FORGED}",
    f"x, Principal={FORGED}",
    f"x,\tPRINCIPAL ={FORGED}",
    "x; Type=NONE",
    "x,Type=AWS_IAM",
    "CN=blue;O=Example",
    "x; X509SAN/URI=spiffe://example.org/t/green",
    "x,x509sanuri=spiffe://example.org/t/green",
    "; SourceVpcArn=arn:aws:ec2:eu-west-1:1:vpc/vpc-1",
    "x\\; Principal=y",
    "a\\,b",
    " blue ",
    "x\r\nx-tenant-id: green",
    ";",
    ",",
    f"Principal={FORGED}",
)


def _signer(arn: str, org: str | None, x509: X509 | None) -> Signer:
    """A certificate belongs to the session of a role. V1 refuses one beside a user or role, whose path it may be of."""
    principal = parse_arn(arn)
    return Signer(principal, principal.session, org, x509 if ":assumed-role/" in arn else None)


def signers(values: tuple[str, ...]) -> st.SearchStrategy[Signer]:
    fields = st.none() | st.sampled_from(values)
    certificates = st.builds(X509, fields, fields, fields, fields, fields)
    return st.builds(
        _signer, st.sampled_from(PRINCIPALS), st.sampled_from([None, "o-a1b2c3d4e5"]), st.none() | certificates
    )


def _sent(version: Version, x509: tuple[str, ...]) -> st.SearchStrategy[Sent]:
    return st.builds(Sent, requests, st.none() | signers(x509), st.just(version))


# A V1 event with a certificate that says `; Principal=…` is refused where it comes in.
anything_sent = _sent("v1", PLAIN_X509) | _sent("v2", (*PLAIN_X509, *HOSTILE_X509))


# ---- what has to arrive ---------------------------------------------------------------------------------------------

# Written out here, so that a name that falls out of the package's own list is missed.
RESERVED: Final = frozenset(
    {
        *("x-tenant-id", "x-amz-tenant-id", "x-amzn-tenant-id", "x-request-id", "x-lattice-bridge-hops"),
        *("authorization", "x-amz-security-token", "connection", "keep-alive", "proxy-authenticate", "te", "upgrade"),
        *("proxy-authorization", "proxy-connection", "trailer", "transfer-encoding"),
    }
)
ANOTHER_SERVICE_S_WORD: Final = {
    "alb": ("x-amzn-oidc-", "x-amzn-mtls-"),
    "apigateway-v1": ("x-amzn-vpc", "cloudfront-"),
}
FORWARDED: Final = frozenset({"x-forwarded-proto", "x-forwarded-port"})


def lattice_sends(http: HttpRequest) -> list[tuple[str, str]]:
    """docs/wire.md: what the client sent, and the address that Lattice saw behind what the client says of itself."""
    theirs = [value for name, value in http.headers if name == "x-forwarded-for"]
    others = [(name, value) for name, value in http.headers if name != "x-forwarded-for"]
    return [*others, ("x-forwarded-for", ",".join([*theirs, http.client_address]))]


def _arrives(name: str, payload: str, tenant_header: str) -> bool:
    folded = fold(name)
    if folded in RESERVED | {tenant_header} or folded.startswith("x-amzn-lattice-"):
        return False
    if payload in GATEWAYS and folded != name and folded in {*FORWARDED, "x-forwarded-for"}:
        return False
    return not folded.startswith(ANOTHER_SERVICE_S_WORD.get(payload, "never"))


def expected_headers(sent: Sent, payload: str, tenant_header: str) -> dict[str, list[str]]:
    """Without cookies, Lattice's own, and what says how the client connected, which have checks of their own."""
    kept = [(name, value) for name, value in lattice_sends(sent.http) if _arrives(name, payload, tenant_header)]
    found = grouped((name, value) for name, value in kept if name != "cookie")
    if sent.version == "v1" or payload in ("lattice-v1", "apigateway-v2"):
        found = repeated_joined(found)
    ours = {"x-request-id": ["lattice-1"], "x-lattice-bridge-hops": ["1"], tenant_header: ["blue"]}
    return {**found, **ours}


def repeated_joined(headers: dict[str, list[str]]) -> dict[str, list[str]]:
    """V1 and HTTP 2.0 join a repeated header with a comma: it can no longer be told from one that has commas."""
    return {name: [",".join(values)] for name, values in headers.items()}


def expected_cookies(sent: Sent) -> tuple[str, ...]:
    """Lattice's V1 joins cookie lines with a comma, as it joins any header: two cookies run into one another there."""
    lines = [value for name, value in sent.http.headers if name == "cookie"]
    return split_cookies([",".join(lines)] if sent.version == "v1" else lines)


def addresses_in_one_line(headers: dict[str, list[str]]) -> dict[str, list[str]]:
    """API Gateway and a load balancer write `x-forwarded-for` with a comma and a blank, where Lattice has a comma."""
    lines = headers.get("x-forwarded-for")
    parts = [part.strip(" \t") for line in lines or () for part in line.split(",")]
    return {**headers, "x-forwarded-for": [", ".join(parts)]} if lines else headers


def decoded_in_a_map(pairs: Pairs) -> dict[str, list[str]]:
    """A map of lists says nothing of the order between names, nor whether it was `flag` or `flag=`."""
    return grouped(pairs)


def still_encoded_in_a_map(raw_query: str) -> dict[str, list[str]]:
    """An ALB's map says the same, and every name and value as it was sent: `%61` and `a` are two names."""
    return grouped(pairs_of(raw_query, plus_is_blank=None))


# ---- the property ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("payload", PAYLOADS)
@settings(max_examples=examples(125), deadline=None)
@given(sent=anything_sent, tenant_header=st.sampled_from(["x-tenant-id", "x-tenant-id", "x-customer"]))
def test_the_backend_reads_what_the_client_sent(payload: str, sent: Sent, tenant_header: str) -> None:
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
def test_how_the_client_connected_is_said_once_and_plainly(payload: str, sent: Sent) -> None:
    read = received(sent.event, payload)
    (proto,), (port,) = read.values("x-forwarded-proto"), read.values("x-forwarded-port")
    assert proto in ("http", "https")
    assert port.isascii()
    assert port.isdigit()
    assert 0 < int(port) < 65536


@pytest.mark.parametrize("payload", ["apigateway-v1", "alb"])
@settings(max_examples=120, deadline=None)
@given(sent=anything_sent)
def test_cookies_are_one_line_where_readers_take_one(payload: str, sent: Sent) -> None:
    assert len(received(sent.event, payload).values("cookie")) <= 1


@pytest.mark.parametrize("payload", GATEWAYS)
@pytest.mark.parametrize("version", ["v1", "v2"])
@pytest.mark.parametrize("principal", [None, BLUE])
def test_lattice_own_headers_reach_only_an_alb_backend(payload: str, version: Version, principal: str | None) -> None:
    signer = None if principal is None else _signer(principal, "o-a1b2c3d4e5", None)
    read = received(Sent(HttpRequest("GET", "/", []), signer, version).event, payload)
    own = {name for name, _ in read.headers if fold(name).startswith("x-amzn-lattice-")}
    assert own - {"x-amzn-lattice-network"} == (
        {"x-amzn-lattice-identity"} if payload == "alb" and principal is not None else set()
    )
    assert payload == "alb" or not own


@pytest.mark.parametrize("payload", ["lattice-v2", *WITH_SOURCE_IP])
@pytest.mark.parametrize("version", ["v1", "v2"])
def test_the_time_is_the_request_s(payload: str, version: Version) -> None:
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
def test_the_source_address_is_the_last_one_or_none(payload: str, lines: list[str], expected: str) -> None:
    assert received(made("v2", headers={"x-forwarded-for": lines}), payload).source_ip == expected


@pytest.mark.parametrize("payload", WITH_SOURCE_IP)
@settings(max_examples=120, deadline=None)
@given(text=st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), max_size=12))
def test_the_source_address_is_always_an_address(payload: str, text: str) -> None:
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
def test_a_converted_event_has_the_same_caller_and_request(payload: str, sent: Sent) -> None:
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
def test_no_certificate_forges_a_field_of_the_header(payload: str, field: str, value: str) -> None:
    event = made("v2", BLUE)
    event["requestContext"]["identity"] |= {field: value, "principalOrgID": "o-a1b2c3d4e5"}
    read = received(event, payload)
    assert read.principal == BLUE
    caller = parse_event(v1(headers=dict(read.headers))).caller
    assert_same_caller(caller, parse_event(event).caller, through_v1=True)


@pytest.mark.parametrize("payload", PAYLOADS)
@pytest.mark.parametrize("field", ["principalOrgID", "sourceVpcArn"])
@pytest.mark.parametrize("value", HOSTILE_X509)
def test_no_other_field_forges_a_principal(payload: str, field: str, value: str) -> None:
    event = made("v2", BLUE)
    event["requestContext"]["identity"][field] = value
    assert received(event, payload).principal == BLUE


@pytest.mark.parametrize("payload", ["lattice-v1", "alb"])
@pytest.mark.parametrize("session", ["a,Type=NONE", "a,type=AWS_IAM", "a,SessionName=b", "a,PrincipalOrgID=o-1"])
def test_a_session_that_looks_like_a_field_is_nobody_else(payload: str, session: str) -> None:
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
def test_a_v2_identity_that_lattice_did_not_check_is_nobody(payload: str, kind: str) -> None:
    event = made("v2", BLUE)
    event["requestContext"]["identity"]["type"] = kind
    assert received(event, payload).principal is None
    assert BLUE not in encoded(event, payload).decode()


@pytest.mark.parametrize("payload", ["lattice-v2", *GATEWAYS])
@pytest.mark.parametrize("end", ["; Type=NONE", "; Type="])  # without a Type it is refused
def test_a_v1_identity_that_lattice_did_not_check_is_nobody(payload: str, end: str) -> None:
    event = made("v1", headers={"x-amzn-lattice-identity": f"Principal={BLUE}{end}"})
    assert received(event, payload).principal is None
    assert BLUE not in encoded(event, payload).decode()


@pytest.mark.parametrize("payload", PAYLOADS)
@pytest.mark.parametrize("version", ["v1", "v2"])
@pytest.mark.parametrize(
    "principal", [role("a,b=c"), role("blue-api", session="a,b=c"), role("a=b,c@d", session="=,=")]
)
def test_a_name_with_commas_and_equals_signs_is_carried(payload: str, version: Version, principal: str) -> None:
    event = made(version, principal)
    assert received(event, payload).principal == parse_event(event).caller.principal == principal


# ---- the hostile ones -----------------------------------------------------------------------------------------------

MARK: Final = "f0rged"
SPELLINGS: Final = (
    *("X-Tenant-Id", "x-tenant-id", "X_Tenant_Id", "x.tenant.id", "x-tenant_id", "X!TENANT!ID"),
    *("x-amz-tenant-id", "X-Amz-Tenant-Id", "x_amz_tenant_id", "x-amzn-tenant-id", "X-Amzn_Tenant-Id"),
    *("Authorization", "authorization", "x-amz-security-token", "X_Amz_Security_Token", "x-id-token", "X_Id_Token"),
    *("x-request-id", "X_Request_Id", "x_lattice_bridge_hops", "Connection", "te", "proxy-authorization"),
)
LATTICE_SPELLINGS: Final = (
    *("x-amzn-lattice-identity", "X_Amzn_Lattice_Identity", "x-amzn-lattice-network", "x.amzn.lattice.network"),
    *("x-amzn-lattice-identity-tags", "x-amzn-lattice-target", "x-amzn-lattice-anything"),
)


@pytest.mark.parametrize("payload", PAYLOADS)
@pytest.mark.parametrize("version", ["v1", "v2"])
@pytest.mark.parametrize("name", SPELLINGS)
def test_no_spelling_of_a_reserved_header_reaches_the_backend(payload: str, version: Version, name: str) -> None:
    event = made(version, BLUE, headers={name: MARK, "x-other": "kept"})
    assert MARK not in encoded(event, payload, credentials=frozenset({"x-id-token"})).decode()
    assert received(event, payload, credentials=frozenset({"x-id-token"})).values("x-other") == ["kept"]


@pytest.mark.parametrize("payload", PAYLOADS)
@pytest.mark.parametrize("principal", [None, BLUE])
@pytest.mark.parametrize("name", LATTICE_SPELLINGS)
def test_a_v2_client_s_word_for_lattice_s_reaches_no_backend(payload: str, principal: str | None, name: str) -> None:
    event = made("v2", principal, headers={name: f"Principal=arn:aws:iam::{ACCOUNT}:user/{MARK}; Type=AWS_IAM"})
    assert MARK not in encoded(event, payload).decode()
    assert received(event, payload).principal == principal


@pytest.mark.parametrize("payload", PAYLOADS)
@pytest.mark.parametrize("name", ["X_Amzn_Lattice_Identity", "x-amzn-lattice_identity", "x.amzn.lattice.identity"])
def test_a_v1_client_s_other_spelling_of_lattice_s_headers_reaches_no_backend(payload: str, name: str) -> None:
    event = made("v1", headers={name: f"Principal=arn:aws:iam::{ACCOUNT}:user/{MARK}; Type=AWS_IAM"})
    assert MARK not in encoded(event, payload).decode()


@pytest.mark.parametrize(
    "name", ["x-amzn-oidc-identity", "X-Amzn-Oidc-Data", "x_amzn_oidc_data", "x-amzn-mtls-clientcert"]
)
def test_only_a_real_alb_says_who_logged_in(name: str) -> None:
    assert MARK not in encoded(made("v2", BLUE, headers={name: MARK}), "alb").decode()
    assert MARK not in encoded(made("v1", BLUE, headers={name: MARK}), "alb").decode()


@pytest.mark.parametrize("payload", PAYLOADS)
@pytest.mark.parametrize("version", ["v1", "v2"])
def test_a_header_that_is_kept_is_kept_in_every_payload(payload: str, version: Version) -> None:
    event = made(version, BLUE, headers={"authorization": "Bearer x", "x-id-token": "y"})
    options: dict[str, Any] = {"keep": frozenset({"authorization"}), "credentials": frozenset({"x-id-token"})}
    read = received(event, payload, **options)
    assert (read.values("authorization"), read.values("x-id-token")) == (["Bearer x"], [])


@pytest.mark.parametrize("payload", PAYLOADS)
@pytest.mark.parametrize("version", ["v1", "v2"])
@pytest.mark.parametrize("name", ["x-tenant-id", "X-Tenant-Id", "tenantId", "principal", "cookie", "authorization"])
def test_a_query_parameter_a_cookie_or_a_path_never_becomes_a_header(payload: str, version: Version, name: str) -> None:
    target = f"/{name}:%20{MARK}?{name}={MARK}&headers={MARK}&{name}[]={MARK}"
    sent = Sent(HttpRequest("GET", target, [("cookie", f"{name}={MARK}; {name}: {MARK}")]), None, version)
    read = received(sent.event, payload)
    assert read.tenant == "blue"
    assert read.principal is None
    assert MARK not in json.dumps([pair for pair in read.headers if pair[0] != "cookie"])


BREAKING_OUT: Final = (
    '"},"headers":{"x-tenant-id":"green"},"x":{"',
    '","isBase64Encoded":true,"y":"',
    "\\",
    '\\"',
    "\x00\n\r\u2028\u2029\x7f",
    "</script>",
    '{"requestContext":{"authorizer":{"tenantId":"green"}}}',
)


@pytest.mark.parametrize("payload", PAYLOADS)
@pytest.mark.parametrize("kind", ["text/plain", "application/json", "application/octet-stream"])
@pytest.mark.parametrize("text", BREAKING_OUT)
def test_a_body_stays_in_its_string(payload: str, kind: str, text: str) -> None:
    for version in ("v1", "v2"):
        sent = Sent(HttpRequest("POST", "/", [("content-type", kind)], text.encode()), None, version)
        read = received(sent.event, payload)
        assert (read.body, read.tenant) == (text.encode(), "blue")


@pytest.mark.parametrize("payload", PAYLOADS)
@pytest.mark.parametrize("version", ["v1", "v2"])
def test_a_lone_surrogate_is_no_way_out_either(payload: str, version: Version) -> None:
    read = received(made(version, BLUE, headers={"x-a": "\ud800"}, body="\udfff"), payload)
    assert (read.values("x-a"), read.body) == (["\ud800"], "\udfff".encode("utf-8", "surrogatepass"))


@pytest.mark.parametrize(
    ("payload", "version"),
    [
        ("lattice-v1", "v2"),
        ("lattice-v2", "v1"),
        *((payload, version) for payload in GATEWAYS for version in ("v1", "v2")),
    ],
)
def test_two_cases_of_one_name_are_two_values_of_it(payload: str, version: Version) -> None:
    event = made(version, headers={"X-A": "1", "x-a": "2", "Cookie": "a=1", "COOKIE": "b=2"})
    read = received(event, payload)
    assert ",".join(read.values("x-a")) == "1,2"
    assert read.cookies == ("a=1", "b=2")


@pytest.mark.parametrize("payload", PAYLOADS)
def test_the_tenant_s_name_arrives_whole(payload: str) -> None:
    name = "a.b_c:d/e=f+g@h-i"
    for event in (made("v1"), made("v2"), made("v1", BLUE), made("v2", BLUE)):
        assert received(event, payload, tenant=name).tenant == name
        assert received(event, payload, "x-customer", tenant=name).tenant == name


@pytest.mark.parametrize("payload", PAYLOADS)
@pytest.mark.parametrize("version", ["v1", "v2"])
def test_the_limit_holds_for_what_is_written(payload: str, version: Version) -> None:
    event = made(version, BLUE, body="x" * 100)
    size = len(encoded(event, payload))
    assert len(encoded(event, payload, limit=size)) == size
    with pytest.raises(TooLarge):
        encoded(event, payload, limit=size - 1)


@pytest.mark.parametrize(
    ("payload", "places"),
    [
        ("apigateway-v2", [("authorizer", "lambda", "principal"), ("authorizer", "iam", "userArn")]),
        ("apigateway-v1", [("authorizer", "principalId"), ("identity", "userArn")]),
    ],
)
def test_the_principal_is_where_each_framework_looks(payload: str, places: list[tuple[str, ...]]) -> None:
    for event, expected in ((made("v1", BLUE), BLUE), (made("v2", BLUE), BLUE), (made("v2"), None)):
        for place in places:
            found = load(encoded(event, payload))["requestContext"]
            for key in place:
                found = (found or {}).get(key)
            assert (found or None) == expected  # `principalId` is an empty string where there is none


def test_the_signer_s_fields_are_strings_or_absent() -> None:
    """AWS's examples show null for two of them only, and Powertools for TypeScript refuses it for the others."""
    iam = load(encoded(made("v2", BLUE), "apigateway-v2"))["requestContext"]["authorizer"]["iam"]
    assert {key for key, value in iam.items() if value is None} <= {"cognitoIdentity", "principalOrgId"}


@pytest.mark.parametrize(
    ("payload", "place"),
    [
        ("apigateway-v2", ("authorizer", "lambda", "tenantId")),
        ("apigateway-v1", ("authorizer", "tenantId")),
    ],
)
def test_the_authorizer_s_tenant_is_there_for_everybody(payload: str, place: tuple[str, ...]) -> None:
    for event in (made("v1", BLUE), made("v2", BLUE), made("v2"), made("v1")):
        found = load(encoded(event, payload))["requestContext"]
        for key in place:
            found = found[key]
        assert found == "blue"


# ---- the readers ----------------------------------------------------------------------------------------------------

HTTP_2: Final[dict[str, Any]] = {
    "version": "2.0",
    "routeKey": "$default",
    "rawPath": "/my/path",
    "rawQueryString": "parameter1=value1&parameter1=value2&parameter2=value",
    "cookies": ["cookie1", "cookie2"],
    "headers": {"header1": "value1", "header2": "value1,value2"},
    "queryStringParameters": {"parameter1": "value1,value2", "parameter2": "value"},
    "requestContext": {
        "accountId": "123456789012",
        "apiId": "api-id",
        "authentication": {"clientCert": {"subjectDN": "www.example.com"}},
        "authorizer": {
            "jwt": {"claims": {"claim1": "value1"}, "scopes": ["scope1"]},
            "lambda": {"exampleKey1": "exampleValue1"},
        },
        "domainName": "id.execute-api.us-east-1.amazonaws.com",
        "domainPrefix": "id",
        "http": {"method": "POST", "path": "/my/path", "protocol": "HTTP/1.1", "sourceIp": "IP", "userAgent": "agent"},
        "requestId": "id",
        "routeKey": "$default",
        "stage": "$default",
        "time": "12/Mar/2020:19:03:58 +0000",
        "timeEpoch": 1583348638390,
    },
    "body": "Hello from Lambda",
    "pathParameters": {"parameter1": "value1"},
    "isBase64Encoded": False,
    "stageVariables": {"stageVariable1": "value1"},
}
REST_1: Final[dict[str, Any]] = {
    "resource": "/{proxy+}",
    "path": "/hello/world",
    "httpMethod": "POST",
    "headers": {"Accept": "*/*", "headerName": "headerValue", "X-Forwarded-For": "54.240.196.186, 54.182.214.83"},
    "multiValueHeaders": {
        "Accept": ["*/*"],
        "headerName": ["headerValue"],
        "X-Forwarded-For": ["54.240.196.186, 54.182.214.83"],
    },
    "queryStringParameters": {"name": "me", "multivalueName": "me"},
    "multiValueQueryStringParameters": {"name": ["me"], "multivalueName": ["you", "me"]},
    "pathParameters": {"proxy": "hello/world"},
    "stageVariables": {"stageVariableName": "stageVariableValue"},
    "requestContext": {
        "requestTime": "20/Feb/2018:22:48:57 +0000",
        "path": "/test/hello/world",
        "accountId": "123456789012",
        "protocol": "HTTP/1.1",
        "resourceId": "yx5mhem7ye",
        "stage": "test",
        "requestTimeEpoch": 1519166937665,
        "requestId": "3c3ecbaa-1690-11e8-ae31-8f39f1d24afd",
        "identity": {
            "cognitoIdentityPoolId": None,
            "accountId": "123456789012",
            "cognitoIdentityId": None,
            "caller": "AIDAJ........4HCKVJZG",
            "sourceIp": "51.240.196.104",
            "accessKey": "IAM_user_access_key",
            "cognitoAuthenticationType": None,
            "cognitoAuthenticationProvider": None,
            "userArn": "arn:aws:iam::123456789012:user/alice",
            "userAgent": "PostmanRuntime/7.1.1",
            "user": "AIDAJ........4HCKVJZG",
        },
        "resourcePath": "/{proxy+}",
        "httpMethod": "POST",
        "apiId": "qr2gd9cfmf",
    },
    "body": '{\r\n\t"a": 1\r\n}',
    "isBase64Encoded": False,
}
ALB: Final[dict[str, Any]] = {
    "requestContext": {
        "elb": {
            "targetGroupArn": "arn:aws:elasticloadbalancing:region:123456789012:targetgroup/my-target-group/6d0ecf83"
        }
    },
    "httpMethod": "GET",
    "path": "/",
    "multiValueQueryStringParameters": {"myKey": ["val1", "val%2F2"]},
    "multiValueHeaders": {
        "accept": ["text/html,application/xhtml+xml"],
        "cookie": ["name1=value1", "name2=value2"],
        "x-amzn-trace-id": ["Root=1-5bdb40ca-556d8b0c50dc66f0511bf520"],
        "x-forwarded-for": ["72.21.198.66"],
        "x-forwarded-port": ["443"],
        "x-forwarded-proto": ["https"],
    },
    "isBase64Encoded": False,
    "body": "request_body",
}
LATTICE_1: Final[dict[str, Any]] = {
    "raw_path": "/testpath?order-id=1",
    "method": "GET",
    "headers": {"user-agent": "curl/7.64.1", "x-forwarded-for": "10.213.229.10", "accept": "*/*"},
    "query_string_parameters": {"order-id": "1"},
    "body": "eyJ0ZXN0IjogImV2ZW50In0=",
    "is_base64_encoded": True,
}
LATTICE_2: Final[dict[str, Any]] = {
    "version": "2.0",
    "path": "/echo?QS1=value1&QS1=value2&single=one",
    "method": "POST",
    "headers": {"content-type": ["application/json"], "header1": ["value1", "value2"]},
    "queryStringParameters": {"QS1": ["value1", "value2"], "single": ["one"]},
    "body": '{"hello":"world"}',
    "requestContext": {
        "serviceNetworkArn": "arn:aws:vpc-lattice:eu-west-1:123456789012:servicenetwork/sn-0123456789abcdef0",
        "serviceArn": "arn:aws:vpc-lattice:eu-west-1:123456789012:service/svc-0123456789abcdef0",
        "targetGroupArn": "arn:aws:vpc-lattice:eu-west-1:123456789012:targetgroup/tg-0123456789abcdef0",
        "identity": {
            "sourceVpcArn": "arn:aws:ec2:region:123456789012:vpc/vpc-0b8276c84697e7339",
            "type": "AWS_IAM",
            "principal": "arn:aws:sts::123456789012:assumed-role/example-role/057d00f8b51257ba3c853a0f248943cf",
            "sessionName": "057d00f8b51257ba3c853a0f248943cf",
            "x509SanDns": "example.com",
        },
        "region": "eu-west-1",
        "timeEpoch": "1790935900260914",
    },
    "requestId": "6ccfc913-b027-4fdc-be66-a07809329ee3",
}
DOCUMENTED: Final = {
    "apigateway-v2": HTTP_2,
    "apigateway-v1": REST_1,
    "alb": ALB,
    "lattice-v1": LATTICE_1,
    "lattice-v2": LATTICE_2,
}


def documented(payload: str) -> Read:
    return READERS[payload](DOCUMENTED[payload], "x-tenant-id")


def test_the_readers_are_of_all_payloads_and_read_what_is_documented() -> None:
    assert set(READERS) == set(DOCUMENTED)
    assert {payload: documented(payload).method for payload in READERS} == {
        payload: event.get("method") or event.get("httpMethod") or event["requestContext"]["http"]["method"]
        for payload, event in DOCUMENTED.items()
    }


def test_the_documented_http_2_event_is_read() -> None:
    read = documented("apigateway-v2")
    assert read.query == (("parameter1", "value1"), ("parameter1", "value2"), ("parameter2", "value"))
    assert read.headers == (("header1", "value1"), ("header2", "value1,value2"))
    assert (read.path, read.cookies, read.body) == ("/my/path", ("cookie1", "cookie2"), b"Hello from Lambda")
    assert (read.source_ip, read.request_id, read.milliseconds) == ("IP", "id", 1583348638390)
    assert (read.principal, read.tenant) == (None, None)


def test_the_documented_rest_event_is_read() -> None:
    read = documented("apigateway-v1")
    assert read.query == (("name", "me"), ("multivalueName", "you"), ("multivalueName", "me"))
    assert read.values("headername") == ["headerValue"]
    assert (read.path, read.principal) == ("/hello/world", "arn:aws:iam::123456789012:user/alice")
    assert (read.source_ip, read.milliseconds) == ("51.240.196.104", 1519166937665)


def test_the_documented_alb_event_is_read() -> None:
    read = documented("alb")
    assert (read.query, read.raw_query) == ((("myKey", "val1"), ("myKey", "val/2")), "myKey=val1&myKey=val%2F2")
    assert (read.cookies, read.body) == (("name1=value1", "name2=value2"), b"request_body")


def test_the_documented_lattice_events_are_read() -> None:
    one, two = documented("lattice-v1"), documented("lattice-v2")
    assert (one.path, one.raw_query, one.body) == ("/testpath", "order-id=1", b'{"test": "event"}')
    assert (two.path, two.values("header1")) == ("/echo", ["value1", "value2"])
    assert two.principal == "arn:aws:sts::123456789012:assumed-role/example-role/057d00f8b51257ba3c853a0f248943cf"


WRONG: Final[list[tuple[str, str, Any]]] = [
    ("apigateway-v2", "version", "1.0"),
    ("apigateway-v2", "multiValueHeaders", {}),
    ("apigateway-v2", "path", "/my/path"),
    ("apigateway-v2", "rawPath", "/my/other"),
    ("apigateway-v2", "rawQueryString", None),
    ("apigateway-v2", "rawQueryString", "parameter1=value1"),
    ("apigateway-v2", "headers.header1", ["value1"]),
    ("apigateway-v2", "headers.Header3", "x"),
    ("apigateway-v2", "headers.cookie", "cookie1; cookie2"),
    ("apigateway-v2", "headers.x-tenant-id", "green"),
    ("apigateway-v2", "cookies", "cookie1; cookie2"),
    ("apigateway-v2", "cookies", ["cookie1; cookie2"]),
    ("apigateway-v2", "cookies", []),
    ("apigateway-v2", "queryStringParameters.parameter1", ["value1", "value2"]),
    ("apigateway-v2", "queryStringParameters.parameter1", "value2"),
    ("apigateway-v2", "isBase64Encoded", None),
    ("apigateway-v2", "isBase64Encoded", "false"),
    ("apigateway-v2", "body", None),
    ("apigateway-v2", "requestContext.timeEpoch", "1583348638390"),
    ("apigateway-v2", "requestContext.timeEpoch", 1583348638.39),
    ("apigateway-v2", "requestContext.timeEpoch", 1583348638),
    ("apigateway-v2", "requestContext.elb", {}),
    ("apigateway-v2", "requestContext.stage", "prod"),
    ("apigateway-v2", "requestContext.identity", {}),
    ("apigateway-v2", "requestContext.authorizer.tenantId", "blue"),
    ("apigateway-v2", "requestContext.authorizer.lambda.tenantId", "blue"),
    ("apigateway-v2", "requestContext.authorizer.iam", {"principal": "x"}),
    ("apigateway-v2", "requestContext.http.path", "/other"),
    ("apigateway-v1", "version", "1.0"),
    ("apigateway-v1", "queryStringParameters", {}),
    ("apigateway-v1", "queryStringParameters.multivalueName", "you"),
    ("apigateway-v1", "queryStringParameters.multivalueName", ["you", "me"]),
    ("apigateway-v1", "multiValueQueryStringParameters", {}),
    ("apigateway-v1", "multiValueQueryStringParameters.name", "me"),
    ("apigateway-v1", "multiValueQueryStringParameters.name", []),
    ("apigateway-v1", "multiValueHeaders", None),
    ("apigateway-v1", "multiValueHeaders.accept", ["*/*"]),
    ("apigateway-v1", "headers.Accept", "text/plain"),
    ("apigateway-v1", "pathParameters.proxy", "hello"),
    ("apigateway-v1", "requestContext.requestTimeEpoch", "1519166937665"),
    ("apigateway-v1", "requestContext.requestTime", "2018-02-20T22:48:57Z"),
    ("apigateway-v1", "requestContext.path", "/other"),
    ("apigateway-v1", "requestContext.authorizer", {"tenantId": "green"}),
    ("apigateway-v1", "requestContext.authorizer", {"principalId": "somebody else"}),
    ("apigateway-v1", "requestContext.authorizer", {"x": []}),
    ("apigateway-v1", "requestContext.identity.userArn", 1),
    ("apigateway-v1", "requestContext.http", {}),
    ("alb", "version", "2.0"),
    ("alb", "headers", {}),
    ("alb", "queryStringParameters", {}),
    ("alb", "multiValueHeaders.accept", "*/*"),
    ("alb", "multiValueHeaders.x-forwarded-port", []),
    ("alb", "multiValueQueryStringParameters", None),
    ("alb", "multiValueQueryStringParameters.a", ["b&c"]),
    ("alb", "multiValueQueryStringParameters.a=b", ["c"]),
    ("alb", "body", None),
    ("alb", "requestContext.requestId", "x"),
    ("alb", "requestContext.elb", {}),
    ("lattice-v1", "requestContext", {}),
    ("lattice-v1", "headers.accept", ["*/*"]),
    ("lattice-v1", "query_string_parameters", None),
    ("lattice-v1", "query_string_parameters.order-id", "2"),
    ("lattice-v1", "body", None),
    ("lattice-v1", "is_base64_encoded", None),
    ("lattice-v1", "headers.x-amzn-lattice-identity", "Principal=a; Type=AWS_IAM; Principal=b"),
    ("lattice-v1", "headers.x-amzn-lattice-identity", "Principal=a; X509SAN/URI=x,principal=b; Type=AWS_IAM"),
    ("lattice-v2", "version", 2),
    ("lattice-v2", "headers.header1", "value1"),
    ("lattice-v2", "queryStringParameters.single", "one"),
    ("lattice-v2", "queryStringParameters", {}),
    ("lattice-v2", "cookies", []),
    ("lattice-v2", "requestContext.timeEpoch", 1790935900260914),
    ("lattice-v2", "requestContext.timeEpoch", "1790935900260"),
    ("lattice-v2", "requestContext.serviceArn", None),
    ("lattice-v2", "requestContext.identity.principalOrgId", "o-1"),
    ("lattice-v2", "requestContext.identity.type", "NONE"),
    ("lattice-v2", "requestContext.identity.sessionName", None),
]


@pytest.mark.parametrize(("payload", "place", "value"), WRONG)
def test_a_reader_refuses_what_its_format_does_not_have(payload: str, place: str, value: Any) -> None:
    event = copy.deepcopy(DOCUMENTED[payload])
    *way, last = place.split(".")
    inside = event
    for key in way:
        inside = inside[key]
    inside[last] = value
    with pytest.raises(AssertionError):
        READERS[payload](event, "x-tenant-id")


@pytest.mark.parametrize("payload", READERS)
def test_a_reader_refuses_every_other_format(payload: str) -> None:
    for other in set(READERS) - {payload}:
        with pytest.raises(AssertionError):
            READERS[payload](DOCUMENTED[other], "x-tenant-id")


@pytest.mark.parametrize("text", [b'{"a":1,"a":1}', b'{"a":{"b":1,"b":2}}', b'{"a":NaN}'])
def test_json_that_parsers_differ_on_is_refused(text: bytes) -> None:
    with pytest.raises(AssertionError):
        load(text)
