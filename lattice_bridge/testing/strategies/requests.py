"""HTTP requests, and the events that Lattice makes of them.

Rule: the local front's own code makes the event, from a request that HTTP can express.
"""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar

from hypothesis import strategies as st

from lattice_bridge.local.front.exchange.http_message import HttpRequest, Signer
from lattice_bridge.local.front.lattice import events as wire
from lattice_bridge.message import X509, Caller
from lattice_bridge.testing.strategies.who import (
    ORIGINS,
    PRINCIPALS,
    X509_TEXTS_OF_V2,
    caller,
    signed_or_not,
)

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

Version = Literal[1, 2]
Pairs = list[tuple[str, str]]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Sent:
    """A request as a client sent it, and the values that Lattice adds. Change it with `dataclasses.replace`.

    Attributes:
        version: the target group's event structure version.
        http: method, target, headers (names in lower case), body and the client's address. The headers are all that
            the client sent, also those that Lattice removes.
        signer: the principal that Lattice authenticated; None for an unsigned request.
        origin: the service in Lattice, the time, and the request id.
    """

    version: Version
    http: HttpRequest
    signer: Signer | None
    origin: wire.Origin

    @property
    def event(self) -> dict[str, Any]:
        """The event that the function receives. Each access makes a new one."""
        make = wire.event_v1 if self.version == 1 else wire.event_v2
        return make(self.http, self.origin, self.signer)

    @property
    def caller(self) -> Caller:
        """The caller that the bridge must read from it: from V1 without the certificate's fields."""
        found = caller(self.signer, self.origin.source_vpc_arn)
        return found if self.version == 2 else replace(found, x509=None)


def events(
    version: Version | None = None, signed: bool | None = None, *, by: SearchStrategy[str] | None = None
) -> SearchStrategy[dict[str, Any]]:
    """Events exactly as Lattice makes them from HTTP, as far as that is known (docs/wire.md §1). All can be parsed.

    Args:
        version: the event structure's; None for both.
        signed: whether Lattice authenticated the caller; None for both.
        by: ARNs of the callers that sign, as in a rule; by default `principals()`.
    """
    return requests(version, signed, by=by).map(_event)


def requests(
    version: Version | None = None, signed: bool | None = None, *, by: SearchStrategy[str] | None = None
) -> SearchStrategy[Sent]:
    """Requests as clients send them, each with its `event`: for tests that compare the two.

    Args:
        version, signed, by: as for `events`.
    """
    signers = signed_or_not(signed, PRINCIPALS if by is None else by)
    return st.builds(_sent, _AROUND[version], _TARGETS, some(_LINES, 8), _MORE, _BODIES, signers)


def _event(sent: Sent) -> dict[str, Any]:
    return sent.event


def some(pool: Sequence[T], most: int) -> SearchStrategy[list[T]]:
    """Lists of values from the pool. Drawn as one string, with a letter for each value: `lists` makes two choices for
    each element, and choices cost most of the time of an example."""
    letters = {chr(0x4E00 + number): value for number, value in enumerate(pool)}
    return st.text("".join(letters), max_size=most).map(lambda text: [letters[letter] for letter in text])


# HTTP parsers accept no other characters in a target: llhttp, which the front uses, refuses them.
_VISIBLE: Final = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) not in "#?")
_SEGMENTS: Final = (
    *("orders", "a", "1", "", ".", "..", "%2F", "%2f", "%25", "%2541", "%41", "%C3%A9", "%E6%97%A5", "%FF", "%00"),
    *("%", "%zz", "%20", "+", ";v=1", "~ann", "@", "a:b", "a,b", "a=b", "a&b", "!", "'", '"', "\\", "{proxy+}"),
    *("$default", "%2e%2e", "..%2f", "x-tenant-id:%20green", "prod", "healthz", "%E2%80%A8", "%ED%A0%80"),
)
_QUERY_PARTS: Final = (
    *("a=1", "a=2", "b=1", "flag", "a=", "a", "", "=", "=1", "a=b=c", "a%20b=c%20d", "a+b=c+d", "a=%2B"),
    *("%61=1", "a=%C3%A9", "a=%E6%97%A5", "a=%FF", "%FF=1", "%25FF=1", "a=%", "a=%zz", "a=%2", "a=%00", "a=%0A"),
    *("a[]=1", "a%5B%5D=2", "a=1;b=2", "a=1,2", "a=?", "a=/", "a=%ED%A0%80", "x-tenant-id=green", "tenantId=green"),
    *("a=%26b%3Dc", "next=https://example.com/?a=1", "X-Amz-Signature=0", 'a="', "a=\\", "__proto__=1", "a='or'1"),
)
_TARGETS: Final[SearchStrategy[str]] = st.one_of(
    st.builds(
        lambda segments, query: "/" + "/".join(segments) + ("" if query is None else "?" + "&".join(query)),
        some(_SEGMENTS, 4),
        st.none() | some(_QUERY_PARTS, 5),
    ),
    st.text(_VISIBLE + "?", max_size=24).map("/{}".format),
)

# As in the front: text if the bytes are UTF-8, otherwise one character for each byte; control characters never arrive.
_VALUE: Final = st.characters(codec="utf-8", exclude_characters="".join(map(chr, (*range(9), *range(10, 32), 127))))
_LINES: Final = (
    *(("x-a", "1"), ("x-a", "2"), ("x-a", "1"), ("x-a", ""), ("x-a", "1,2"), ("x-b", "1"), ("accept", "*/*")),
    *(("accept", "text/html"), ("accept", "application/json;q=0.9"), ("user-agent", "curl/8.5.0")),
    *(("date", "Thu, 20 Nov 2025 00:00:00 GMT"), ("if-none-match", '"a", "b"'), ("x-empty", ""), ("x-tab", "a\tb")),
    *(("x-utf8", "é日本😀"), ("x-c1", "\x85"), ("x-quoted", '"\\"'), ("x!y", "1"), ("x_a", "1"), ("x.a", "1")),
    *(("cookie", "a=1"), ("cookie", "b=2"), ("cookie", "a=1; b=2"), ("cookie", 'c="q;r"'), ("cookie", "")),
    *(("cookie", "a=b=c; x-tenant-id=green"), ("x-forwarded-for", "203.0.113.9"), ("x-forwarded-for", "unknown")),
    *(("x-forwarded-for", "198.51.100.1, 203.0.113.9"), ("x-forwarded-for", ""), ("x-forwarded-for", "2001:db8::1")),
    *(("x-forwarded-proto", "https"), ("x-forwarded-proto", "http"), ("x-forwarded-port", "443")),
    *(("x-tenant-id", "blue"), ("x-tenant-id", "green"), ("x-tenant-id", "blue,green"), ("x-tenant-id", "")),
    *(("x_tenant_id", "blue"), ("x-amz-tenant-id", "blue"), ("x-amzn-tenant-id", "blue"), ("x-customer", "blue")),
    *(("authorization", "Bearer a.b.c"), ("authorization", "Basic YTpi"), ("authorization", "AWS4-HMAC-SHA256 x")),
    *(("x-amz-security-token", "a"), ("x-amz-date", "20251120T000000Z"), ("x-id-token", "a.b.c")),
    *(("x-request-id", "mine"), ("x-lattice-bridge-hops", "1"), ("x-lattice-bridge-hops", "4"), ("via", "1.1 proxy")),
    *(("x-amzn-lattice-identity", "Principal=arn:aws:iam::111122223333:root; Type=AWS_IAM"), ("keep-alive", "5")),
    *(("x_amzn_lattice_identity", "Type=AWS_IAM"), ("x-amzn-lattice-network", "SourceVpcArn=x"), ("expect", "")),
    *(("x-amzn-trace-id", "Root=1-691e5e80-0123456789abcdef01234567"), ("x-amzn-oidc-data", "a"), ("__proto__", "1")),
    *(("x-lattice-bridge-hops", "many"), ("te", "trailers"), ("0", "1"), ("forwarded", "for=_a")),
    *(("connection", "x-a"), ("accept", "")),
    *(("origin", "null"), ("referer", "https://example.com/?a=1"), ("x-long", "x" * 1000), ("constructor", "1")),
)
_NAMED: Final = ("x-a", "accept", "cookie", "x-forwarded-for", "x-tenant-id", "authorization", "x-c", "x-amz-date")
_RANDOM_LINE: Final = st.builds(
    lambda name, value: [(name, value.strip(" \t"))],  # HTTP removes spaces at the ends of a value
    st.sampled_from(_NAMED),
    st.text(_VALUE, max_size=16),
)
_HOSTS: Final = (
    *("orders.example.com", "orders.example.com:8443", "ORDERS.example.com", "[2001:db8::1]:80", "10.0.0.1", ""),
)
_JSON: Final = ("content-type", "application/json")
_GZIPPED: Final = gzip.compress(b'{"a": 1}', mtime=0)
_MULTIPART: Final = b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n\xff\r\n--x--\r\n'
_TYPED: Final[tuple[tuple[str, bytes], ...]] = (
    *(("application/json", b'{"a": 1}'), ("text/plain", b"hi"), ("application/x-www-form-urlencoded", b"a=1&b=%2F+c")),
    *(("application/octet-stream", b"\x00\xff"), ("application/json; charset=utf-8", '{"a": "é日本😀"}'.encode())),
    *(("application/json", b'"\xff"'), ("text/plain; charset=latin-1", b"\xe9"), ("TEXT/CSV", b"a,b\r\n1,2\r\n")),
    *(("application/problem+json", b"{}"), ("application/xml", b"<a>\xe2\x80\xa8</a>"), ("image/png", b"\x89PNG\r\n")),
    *(("multipart/form-data; boundary=x", _MULTIPART), ("application/javascript", b"1"), ("", b"a")),
    *(("text/plain", b'\x00\x1b"},"headers":{"x-tenant-id":"green"},"x":{"\\'), ("text/plain", b"x" * 4096)),
)
_BODIES: Final[SearchStrategy[tuple[Pairs, bytes]]] = st.sampled_from(
    [
        ([], b""),
        *(([("content-type", kind)], content) for kind, content in _TYPED),
        ([_JSON, ("content-encoding", "gzip")], _GZIPPED),
        ([("content-type", "text/plain"), ("content-type", "image/png")], b"a"),
        ([("content-type", "text/plain"), ("content-encoding", "identity")], b"a"),
        ([], b"no type"),
        ([_JSON], b""),
        ([("transfer-encoding", "chunked"), _JSON], b"[]"),
    ]
) | st.tuples(
    st.sampled_from([[_JSON], [("content-type", "text/html; charset=utf-8")], [("content-type", "application/pdf")]]),
    st.binary(max_size=64) | st.text(max_size=16).map(lambda text: text.encode("utf-8", "replace")),
)
_METHODS: Final = (
    *("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "PROPFIND", "M-SEARCH", "QUERY", "TRACE", "REPORT"),
)
_ADDRESSES: Final = ("10.0.1.20", "203.0.113.9", "2001:db8::1", "127.0.0.1", "::ffff:192.0.2.1", "fe80::1")
_VERSIONS: Final[dict[Version | None, tuple[Version, ...]]] = {None: (2, 1), 1: (1,), 2: (2,)}
_AROUND: Final = {
    asked: st.sampled_from([*product(versions, _METHODS, _HOSTS, _ADDRESSES, ORIGINS)])
    for asked, versions in _VERSIONS.items()
}
_MORE: Final[SearchStrategy[Pairs]] = st.just([]) | _RANDOM_LINE


def _sent(
    around: tuple[Version, str, str, str, wire.Origin],
    target: str,
    lines: Pairs,
    more: Pairs,
    body: tuple[Pairs, bytes],
    signer: Signer | None,
) -> Sent:
    """Adds the header with the length of a body, unless the body is chunked."""
    (version, method, host, address, origin), (about, content) = around, body
    if content and not any(name == "transfer-encoding" for name, _ in about):
        about = [*about, ("content-length", str(len(content)))]
    http = HttpRequest(method, target, [("host", host), *lines, *more, *about], content, address)
    return Sent(version, http, signer if version == 2 or signer is None else _without_odd_certificate(signer), origin)


def _without_odd_certificate(signer: Signer) -> Signer:
    """The signer without a certificate that V1 writes in an unknown way."""
    fields = (getattr(signer.x509, name, None) for name in X509.__slots__)
    return replace(signer, x509=None) if any(text in X509_TEXTS_OF_V2 for text in fields) else signer
