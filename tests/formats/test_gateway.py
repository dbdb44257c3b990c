"""What other services' events say and Lattice's do not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from lattice_bridge import Caller, Request, parse_event
from lattice_bridge.config.backend import Scheme
from lattice_bridge.errors import BadRequest, Forbidden
from lattice_bridge.formats import gateway
from lattice_bridge.formats.forwarded import Forwarded, forward
from lattice_bridge.http.headers import fold
from lattice_bridge.identity.principal import parse_arn
from lattice_bridge.message import X509
from tests.support.builders import ACCOUNT, SERVICE, VPC, role, v1, v2

NOW = 1_735_689_600.5


def asked(*headers: tuple[str, str]) -> Request:
    return Request(version=2, method="GET", path="/", headers=headers)


def forwarded(event: dict[str, Any], scheme: Scheme = "https") -> Forwarded:
    return forward(
        parse_event(event),
        tenant="blue",
        tenant_header="x-tenant-id",
        request_id="r-1",
        keep=frozenset(),
        credentials=frozenset(),
        now=NOW,
        scheme=scheme,
    )


@pytest.mark.parametrize(
    ("lines", "address"),
    [
        (["10.0.0.3"], "10.0.0.3"),
        (["203.0.113.9,10.0.0.3"], "10.0.0.3"),
        (["203.0.113.9, 10.0.0.3 "], "10.0.0.3"),
        (["10.0.0.3", "10.0.0.4"], "10.0.0.4"),
        (["fd00::1, fd00::2"], "fd00::2"),
        (["10.0.0.3,"], "0.0.0.0"),
        (["10.0.0.3, unknown"], "0.0.0.0"),
        (["٣.0.0.1"], "0.0.0.0"),
        (["fe80::1%<script>"], "0.0.0.0"),
        ([], "0.0.0.0"),
    ],
)
def test_the_client_is_the_right_most_address_and_what_a_client_wrote_before_it_is_not(
    lines: list[str], address: str
) -> None:
    assert gateway.source_ip(asked(*(("x-forwarded-for", line) for line in lines))) == address


@pytest.mark.parametrize(
    ("scheme", "host", "port"),
    [
        ("https", "a.example", "443"),
        ("http", "a.example", "80"),
        ("https", "a.example:9443", "9443"),
        ("http", "[::1]:8080", "8080"),
        ("https", "a.example:0", "443"),
        ("https", "a.example:65536", "443"),
        ("https", "a.example:８４４３", "443"),
    ],
)
def test_the_port_is_the_hosts_or_the_schemes(scheme: Scheme, host: str, port: str) -> None:
    assert gateway.port(forwarded(v2(headers={"host": host}), scheme)) == port


@pytest.mark.parametrize("name", ["x-forwarded-proto", "X-Forwarded-Port", "x_forwarded_proto", "x.forwarded-port"])
@pytest.mark.parametrize("make", [v1, v2])
def test_scheme_and_port_are_the_configurations_and_no_clients(name: str, make: Any) -> None:
    """Lattice is not known to write either; CGI would join ours with what reads the same."""
    told = dict(gateway.headers(forwarded(make(headers={name: "1", "X-One": "1"}), "http")))
    assert (told["x-forwarded-proto"], told["x-forwarded-port"], told["x-one"]) == ("http", "80", "1")
    assert sum(fold(other) == fold(name) for other in told) == 1


def test_addresses_are_in_one_line_as_other_services_write_it() -> None:
    event = v2(headers={"x-forwarded-for": ["203.0.113.9,203.0.113.8", "10.0.0.3"], "x_forwarded_for": "6.6.6.6"})
    told = [pair for pair in gateway.headers(forwarded(event)) if fold(pair[0]) == "x-forwarded-for"]
    assert told == [("x-forwarded-for", "203.0.113.9, 203.0.113.8, 10.0.0.3")]


@pytest.mark.parametrize(
    ("host", "name"),
    [("a.example", "a.example"), ("a.example:81", "a.example"), ("[::1]:81", "[::1]"), ("[::1]", "[::1]"), ("", "")],
)
def test_the_domain_is_the_host_without_its_port(host: str, name: str) -> None:
    assert gateway.domain_name(asked(("host", host))) == name


def test_an_event_without_a_host_has_no_domain() -> None:
    assert gateway.domain_name(asked()) == ""


@pytest.mark.parametrize("hosts", [["a", "a"], ["a,b"]])
def test_two_hosts_are_refused(hosts: list[str]) -> None:
    with pytest.raises(BadRequest, match="header_repeated"):
        gateway.headers(forwarded(v2(headers={"host": hosts, "x-forwarded-port": "443"})))


def test_cookies_come_one_by_one_from_every_line() -> None:
    lines = ("a=1; b=2", 'c="x y";d=', " ; ;e=1=2 ")
    assert gateway.cookies(asked(*(("cookie", line) for line in lines))) == ["a=1", "b=2", 'c="x y"', "d=", "e=1=2"]


def test_account_region_and_id_are_the_services() -> None:
    request = parse_event(v2())
    assert (gateway.account(request), gateway.region(request), gateway.service_id(request)) == (
        ACCOUNT,
        "eu-west-1",
        "svc-0a1b2c3d4e5f60718",
    )


def test_v1_tells_the_region_by_the_vpc_and_neither_account_nor_id() -> None:
    request = parse_event(v1())
    assert (gateway.account(request), gateway.region(request), gateway.service_id(request)) == ("", "eu-west-1", "")


@pytest.mark.parametrize("arn", ["", "x", "arn:aws", SERVICE.replace(":", "/")])
def test_what_is_no_arn_tells_nothing(arn: str) -> None:
    request = Request(version=2, method="GET", path="/", service_arn=arn)
    assert (gateway.account(request), gateway.region(request), gateway.service_id(request)) == ("", "", "")


def timed(value: object) -> dict[str, Any]:
    return v2(requestContext={"serviceArn": SERVICE, "timeEpoch": value})


@pytest.mark.parametrize("value", ["1700000000000001", 1700000000000001])
def test_the_time_is_lattices(value: object) -> None:
    assert gateway.microseconds(forwarded(timed(value))) == 1_700_000_000_000_001


@pytest.mark.parametrize(
    "event", [v1(), v2(), *map(timed, [10**5000, -1, 0, "", "-1", "1e9", "9" * 18, "٣", 1.5, None, True, {}])]
)
def test_a_time_that_lattice_did_not_tell_is_the_bridges(event: dict[str, Any]) -> None:
    assert gateway.microseconds(forwarded(event)) == 1_735_689_600_500_000


@pytest.mark.parametrize(
    ("microseconds", "text"),
    [
        (1_735_689_600_500_000, "01/Jan/2025:00:00:00 +0000"),
        (1_709_251_199_999_999, "29/Feb/2024:23:59:59 +0000"),
        (10**17 - 1, "16/Nov/5138:09:46:39 +0000"),
    ],
)
def test_the_time_is_written_as_in_access_logs(microseconds: int, text: str) -> None:
    assert gateway.common_log_time(microseconds) == text


# ---- who ------------------------------------------------------------------------------------------------------------

BLUE = Caller(
    authenticated=True,
    iam=parse_arn(role("blue-api")),
    session_name="i-0123",
    org_id="o-abc",
    source_vpc_arn=VPC,
    x509=X509(issuer_ou="Ops, Inc.", san_uri="spiffe://example/blue"),
)


def test_a_caller_is_told_under_the_names_of_v2() -> None:
    assert gateway.identity(BLUE) == {
        "sourceVpcArn": VPC,
        "type": "AWS_IAM",
        "principal": role("blue-api"),
        "principalOrgID": "o-abc",
        "sessionName": "i-0123",
        "x509IssuerOu": "Ops, Inc.",
        "x509SanUri": "spiffe://example/blue",
    }


def test_a_caller_that_nobody_authenticated_has_a_vpc_and_no_type() -> None:
    assert gateway.identity(Caller(source_vpc_arn=VPC)) == {"sourceVpcArn": VPC}
    assert gateway.identity_headers(Caller(source_vpc_arn=VPC)) == {"x-amzn-lattice-network": f"SourceVpcArn={VPC}"}
    assert gateway.identity_headers(Caller()) == {}


@pytest.mark.parametrize("caller", [BLUE, Caller(source_vpc_arn=VPC), Caller(authenticated=True, iam=BLUE.iam)])
def test_the_headers_of_v1_say_what_our_own_parser_reads(caller: Caller) -> None:
    said = parse_event({**v1(), "headers": gateway.identity_headers(caller)}).caller
    assert gateway.identity(said) == {**gateway.identity(replace(caller, x509=None)), **_session(caller)}


def _session(caller: Caller) -> dict[str, str]:
    """An assumed role's session is in its ARN, and read from there when nothing else says it."""
    return {"sessionName": "i-0123"} if caller.iam else {}


@pytest.mark.parametrize(
    "forging",
    [
        "x; Principal=arn:aws:iam::999999999999:role/root",
        "x;Principal=arn:aws:iam::999999999999:role/root",
        "x, Principal=arn:aws:iam::999999999999:role/root",
        "x,Type=NONE",
        "x,\xa0Principal=arn:aws:iam::999999999999:role/root",
        "999999999999\\",
        "x\r\nx-tenant-id: green",
    ],
)
def test_a_certificate_cannot_say_another_field_in_v1(forging: str) -> None:
    """Trap A16: a converted event must not say what Lattice did not."""
    caller = Caller(authenticated=True, iam=BLUE.iam, x509=X509(subject_cn=forging, san_dns="blue.example"))
    text = gateway.identity_headers(caller)["x-amzn-lattice-identity"]
    assert "999999999999" not in text
    assert "NONE" not in text
    assert "\n" not in text
    assert "X509SAN/DNS=blue.example" in text


def test_names_with_commas_and_equals_signs_are_said_in_v1() -> None:
    """IAM allows both in the names of roles and sessions."""
    principal = role("a,b=c", session="=,=")
    caller = Caller(authenticated=True, iam=parse_arn(principal), x509=X509(issuer_ou="O=Blue, Inc., L=Ulm"))
    text = gateway.identity_headers(caller)["x-amzn-lattice-identity"]
    assert f"Principal={principal}" in text
    assert "X509Issuer/OU=O=Blue, Inc., L=Ulm" in text


@pytest.mark.parametrize("session", ["a,Type=NONE", "a,Principal=x"])
def test_a_principal_that_would_read_as_two_fields_is_refused_in_v1(session: str) -> None:
    """Whoever assumes the role chooses the name, and would act as nobody."""
    caller = Caller(authenticated=True, iam=parse_arn(role("blue-api", session=session)), source_vpc_arn=VPC)
    with pytest.raises(Forbidden, match="identity_invalid"):
        gateway.identity_headers(caller)


@pytest.mark.parametrize("name", [" blue", "blue "])
def test_a_value_with_a_blank_at_its_end_is_left_out_of_v1(name: str) -> None:
    """Whoever reads fields strips them, and would read another name."""
    caller = Caller(authenticated=True, iam=BLUE.iam, x509=X509(subject_cn=name))
    assert "blue " not in gateway.identity_headers(caller)["x-amzn-lattice-identity"].partition("X509")[2]
