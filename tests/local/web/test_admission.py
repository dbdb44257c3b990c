"""Admission of requests by the stack's servers."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lattice_bridge.local.web.admission import Address, Refused, address_of, admit, check_admitted, refusal_line

NAMES = frozenset({"orders.example.com", "orders"})


def addressed(host: str, target: str = "/", method: str = "GET") -> Address:
    return address_of(method, target, [("host", host)])


def status_of(host: str, *headers: tuple[str, str], names: frozenset[str] = NAMES) -> int | None:
    """Returns the refusal's status, or None for an admitted request."""
    given = [("host", host), *headers]
    try:
        check_admitted(address_of("GET", "/", given), given, names)
    except Refused as refusal:
        return refusal.status
    return None


@pytest.mark.parametrize(
    "host",
    [
        *("localhost", "localhost:8080", "LOCALHOST", "localhost.", "localhost.:80", "localhost:"),
        *("a.localhost", "A.B.localhost:1", "127.0.0.1", "127.0.0.1:65535", "127.255.0.9", "[::1]", "[::1]:80"),
        *("[0:0:0:0:0:0:0:1]", "orders.example.com", "Orders.Example.Com.:443", "orders"),
    ],
)
def test_loopback_and_own_names_are_admitted(host: str) -> None:
    assert status_of(host) is None


@pytest.mark.parametrize(
    "host",
    [
        *("evil.example", "evil.example:8080", "localhost.evil.example", "127.0.0.1.evil.example", "evil-localhost"),
        *("notlocalhost", "127.0.0.1.localhost.evil", "128.0.0.1", "0.0.0.0", "10.0.0.1", "2130706433", "0x7f.1"),
        *("[::2]", "[::ffff:127.0.0.1]", "[::]", "[127.0.0.1]", "x.orders.example.com", "example.com", "127.0.0.01"),
    ],
)
def test_foreign_host_is_refused(host: str) -> None:
    """Trap G1: DNS rebinding makes a browser send the name of the page's own site."""
    assert status_of(host) == 403


def test_service_name_is_not_admitted_by_other_servers() -> None:
    """Trap G1: the AWS endpoint and the Runtime APIs admit loopback only."""
    assert status_of("orders.example.com", names=frozenset()) == 403


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        *((origin, None) for origin in ("http://localhost", "http://localhost:3000", "https://127.0.0.1:8443")),
        *((origin, None) for origin in ("http://[::1]:3000", "http://app.localhost:1", "https://orders.example.com")),
        *((origin, 403) for origin in ("null", "", "http://evil.example", "https://localhost.evil.example", "file://")),
        *((origin, 403) for origin in ("http://localhost@evil.example", "http://localhost:3000/", "localhost")),
        *((origin, 403) for origin in ("chrome-extension://localhost", "http://localhost http://evil.example")),
    ],
)
def test_only_local_origins_are_admitted(origin: str, status: int | None) -> None:
    """Trap G1: a page of another site can send requests, although it cannot read the responses."""
    assert status_of("localhost:8080", ("origin", origin)) == status


def test_every_origin_is_checked() -> None:
    """Trap G1."""
    assert status_of("localhost", ("origin", "http://localhost"), ("origin", "http://evil.example")) == 403


@pytest.mark.parametrize(
    ("site", "status"),
    [("same-origin", None), ("same-site", None), ("none", None), ("cross-site", 403), ("Cross-Site", 403), ("", 403)],
)
def test_cross_site_fetch_without_an_origin_is_refused(site: str, status: int | None) -> None:
    """Trap G1: an `<img>` sends no Origin."""
    assert status_of("localhost:8080", ("sec-fetch-site", site)) == status


def test_refusal_lists_admitted_hosts() -> None:
    given = [("host", "evil.example")]
    with pytest.raises(Refused) as refused:
        check_admitted(address_of("GET", "/", given), given, NAMES)
    text = str(refused.value)
    assert "localhost, *.localhost, 127.0.0.0/8, [::1], orders, orders.example.com" in text
    assert "Fix: use one of them, or set it as the CustomDomainName" in text


# ---- the address ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "target", "address"),
    [
        ("GET", "/a%2F?x=1&x", Address("/a%2F?x=1&x", "Own:1", "own")),
        ("GET", "/a?", Address("/a?", "Own:1", "own")),
        ("GET", "//other/a", Address("//other/a", "Own:1", "own")),
        ("OPTIONS", "*", Address("*", "Own:1", "own")),
        ("GET", "http://Other:2/a?", Address("/a?", "Other:2", "other")),
        ("GET", "HTTPS://other", Address("/", "other", "other")),
        ("GET", "http://other?x", Address("/?x", "other", "other")),
        ("OPTIONS", "http://other", Address("*", "other", "other")),
    ],
)
def test_absolute_target_replaces_host(method: str, target: str, address: Address) -> None:
    """RFC 9112 §3.2: the target and the Host together are the address."""
    assert addressed("Own:1", target, method) == address


@pytest.mark.parametrize(
    ("method", "target"),
    [
        *(
            ("GET", target)
            for target in ("*", "", "a", "ftp://other/", "http:///a", "http://a@b/", "/a#b", "http://a/#")
        ),
        ("CONNECT", "other:80"),
    ],
)
def test_malformed_target_is_a_bad_request(method: str, target: str) -> None:
    with pytest.raises(Refused) as refused:
        addressed("own", target, method)
    assert refused.value.status == 400


@pytest.mark.parametrize(
    "host", ["", ":80", "a b", "a,b", "a@b", "a/b", "a:b", "a:80:80", "[::1", "::1", "é", "a\tb", "http://a", "a%00"]
)
def test_malformed_host_is_a_bad_request(host: str) -> None:
    assert status_of(host) == 400


@pytest.mark.parametrize("hosts", [[], ["localhost", "localhost"], ["localhost", "evil.example"]])
def test_missing_or_repeated_host_is_a_bad_request(hosts: list[str]) -> None:
    with pytest.raises(Refused, match=f"occurs {len(hosts)} times") as refused:
        address_of("GET", "/", [("host", host) for host in hosts])
    assert refused.value.status == 400


def test_refusal_line_has_no_control_characters() -> None:
    """Trap G3: a client chooses the target, and a function its error."""
    line = refusal_line("GET /\x1b[2J" + "a" * 1000, Refused(400, "text", "line\nline\x9b\u202e"))
    assert line.isprintable()
    assert len(line) < 300
    assert r"400: line\nline\x9b\u202e" in line


@pytest.mark.parametrize("target", ["/a", "h:443", "http://localhost/a"])
def test_connect_is_refused(target: str) -> None:
    """What follows a CONNECT is not HTTP."""
    with pytest.raises(Refused, match="CONNECT: this server is not a proxy"):
        address_of("CONNECT", target, [("host", "localhost")])


def test_query_of_a_refused_request_is_not_in_the_log() -> None:
    """Trap D11: it may contain a token."""
    assert refusal_line("GET /a?token=secret", Refused(403, "no")) == "GET /a: 403: no"


HOSTS = st.sampled_from(
    [
        "localhost",
        "LOCALHOST.:80",
        "a.localhost",
        "127.0.0.1:1",
        "[::1]",
        "orders",
        "evil.example",
        "localhost@x",
        "",
        "é",
    ]
) | st.text(st.characters(max_codepoint=255), max_size=80)
TARGETS = st.sampled_from(["/", "/a?b", "/a#b", "*", "http://orders/x", "http://localhost", "localhost:1", ""])
NAMED = st.sampled_from(["host", "origin", "sec-fetch-site", "x-a"])


@example("GET", "/", [("host", "localhost")])
@example("GET", "/a#b", [("host", "localhost")])
@example("GET", "*", [("host", "localhost")])
@example("CONNECT", "/", [("host", "localhost")])
@example("GET", "/", [("origin", "localhost")])
@example("GET", "/", [("host", "localhost"), ("host", "localhost")])
@example("GET", "/", [("host", "localhost"), ("origin", "http://evil.example")])
@given(
    st.sampled_from(["GET", "OPTIONS", "CONNECT", "get"]),
    TARGETS | st.text(st.characters(max_codepoint=255), max_size=20).map(lambda rest: f"/{rest}"),
    st.lists(st.tuples(NAMED, HOSTS | st.just("cross-site") | st.just("http://evil.example")), max_size=3),
)
def test_usual_requests_are_admitted_by_the_rules_of_all(
    method: str, target: str, headers: Sequence[tuple[str, str]]
) -> None:
    """Trap G1: a request as a tool sends it is admitted without all checks, so they must admit it, too."""

    def outcome(work: object) -> object:
        try:
            return work()  # type: ignore[operator] # a function
        except Refused as refusal:
            return refusal.status, str(refusal)

    def by_the_rules() -> Address:
        address = address_of(method, target, headers)
        check_admitted(address, headers, NAMES)
        return address

    sent = [(name.encode(), value.encode("latin-1")) for name, value in headers]
    assert outcome(lambda: admit(method, target, sent, NAMES)) == outcome(by_the_rules)
