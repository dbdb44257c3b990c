"""Requests and events for the round trips: HTTP in, through Lattice's event and the bridge, and out of any payload.

Each thing that a format cannot express is one of the named normalisations below; nothing else may differ.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any, Final, Literal

from hypothesis import strategies as st

from lattice_bridge import parse_event
from lattice_bridge.formats.payload import encode
from lattice_bridge.http.headers import fold
from lattice_bridge.identity.principal import parse_arn
from lattice_bridge.local.front.exchange.http_message import HttpRequest, Signer
from lattice_bridge.local.front.lattice.events import Origin, event_v1, event_v2
from lattice_bridge.message import X509
from tests.support.builders import ACCOUNT, SERVICE, VPC, role, v1, v2
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
    """The request that the backend reads. The event must not be changed."""
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


def signer_of(arn: str, org: str | None, x509: X509 | None) -> Signer:
    """A certificate belongs to the session of a role. V1 refuses one beside a user or role, whose path it may be of."""
    principal = parse_arn(arn)
    return Signer(principal, principal.session, org, x509 if ":assumed-role/" in arn else None)


def signers(values: tuple[str, ...]) -> st.SearchStrategy[Signer]:
    fields = st.none() | st.sampled_from(values)
    certificates = st.builds(X509, fields, fields, fields, fields, fields)
    return st.builds(
        signer_of, st.sampled_from(PRINCIPALS), st.sampled_from([None, "o-a1b2c3d4e5"]), st.none() | certificates
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
    """API Gateway and a load balancer write `x-forwarded-for` with a comma and a space, where Lattice has a comma."""
    lines = headers.get("x-forwarded-for")
    parts = [part.strip(" \t") for line in lines or () for part in line.split(",")]
    return {**headers, "x-forwarded-for": [", ".join(parts)]} if lines else headers


def decoded_in_a_map(pairs: Pairs) -> dict[str, list[str]]:
    """A map of lists says nothing of the order between names, nor whether it was `flag` or `flag=`."""
    return grouped(pairs)


def still_encoded_in_a_map(raw_query: str) -> dict[str, list[str]]:
    """An ALB's map says the same, and every name and value as it was sent: `%61` and `a` are two names."""
    return grouped(pairs_of(raw_query, plus_is_blank=None))
