"""Fields of API Gateway's and load balancers' events, found in a request that came through Lattice."""

from __future__ import annotations

from typing import Any

import pytest

from lattice_bridge import Request, parse_event
from lattice_bridge.errors import BadRequest
from lattice_bridge.formats import gateway, lattice_v2
from lattice_bridge.formats.apigateway_v2 import split_cookies
from lattice_bridge.formats.event import Scheme
from lattice_bridge.formats.payload import convert
from lattice_bridge.http.headers import fold
from tests.support.builders import ACCOUNT, SERVICE, v1, v2

NOW = 1_735_689_600.5


def asked(*headers: tuple[str, str]) -> Request:
    return Request(version=2, method="GET", path="/", headers=headers)


def forwarded(event: dict[str, Any], scheme: Scheme = "https") -> dict[str, str]:
    request = parse_event(event)
    return dict(gateway.forwarded_headers(request, request.headers, scheme))


def milliseconds(event: dict[str, Any]) -> object:
    return convert(parse_event(event), "apigateway-v2", NOW)["requestContext"]["timeEpoch"]


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
def test_source_address_is_the_right_most_one(lines: list[str], address: str) -> None:
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
def test_port_is_of_the_host_or_the_scheme(scheme: Scheme, host: str, port: str) -> None:
    assert forwarded(v2(headers={"host": host}), scheme)["x-forwarded-port"] == port


@pytest.mark.parametrize("name", ["x-forwarded-proto", "X-Forwarded-Port", "x_forwarded_proto", "x.forwarded-port"])
@pytest.mark.parametrize("make", [v1, v2])
def test_scheme_and_port_of_a_client_are_replaced(name: str, make: Any) -> None:
    """Lattice is not known to write either; CGI would join ours with what reads the same."""
    told = forwarded(make(headers={name: "1", "X-One": "1"}), "http")
    assert (told["x-forwarded-proto"], told["x-forwarded-port"], told["x-one"]) == ("http", "80", "1")
    assert sum(fold(other) == fold(name) for other in told) == 1


def test_addresses_are_written_in_one_line() -> None:
    event = v2(headers={"x-forwarded-for": ["203.0.113.9,203.0.113.8", "10.0.0.3"], "x_forwarded_for": "6.6.6.6"})
    told = {name: value for name, value in forwarded(event).items() if fold(name) == "x-forwarded-for"}
    assert told == {"x-forwarded-for": "203.0.113.9, 203.0.113.8, 10.0.0.3"}


@pytest.mark.parametrize(
    ("host", "name"),
    [("a.example", "a.example"), ("a.example:81", "a.example"), ("[::1]:81", "[::1]"), ("[::1]", "[::1]"), ("", "")],
)
def test_domain_is_the_host_without_port(host: str, name: str) -> None:
    assert gateway.domain_name(asked(("host", host))) == name


def test_domain_is_empty_without_host() -> None:
    assert gateway.domain_name(asked()) == ""


@pytest.mark.parametrize("hosts", [["a", "a"], ["a,b"]])
def test_two_hosts_are_refused(hosts: list[str]) -> None:
    with pytest.raises(BadRequest, match="header_repeated"):
        forwarded(v2(headers={"host": hosts, "x-forwarded-port": "443"}))


def test_cookies_of_all_lines_are_split() -> None:
    lines = ("a=1; b=2", 'c="x y";d=', " ; ;e=1=2 ")
    assert split_cookies(lines) == ["a=1", "b=2", 'c="x y"', "d=", "e=1=2"]


def test_account_region_and_id_of_v2_are_the_services() -> None:
    request = parse_event(v2())
    assert (gateway.account(request), lattice_v2.region(request), gateway.api_id(request)) == (
        ACCOUNT,
        "eu-west-1",
        "svc-0a1b2c3d4e5f60718",
    )


def test_region_of_v1_is_of_the_vpc() -> None:
    request = parse_event(v1())
    assert (gateway.account(request), lattice_v2.region(request), gateway.api_id(request)) == ("", "eu-west-1", "")


@pytest.mark.parametrize("arn", ["", "x", "arn:aws", SERVICE.replace(":", "/")])
def test_malformed_service_arn_gives_no_fields(arn: str) -> None:
    request = Request(version=2, method="GET", path="/", service_arn=arn)
    assert (gateway.account(request), lattice_v2.region(request), gateway.api_id(request)) == ("", "", "")


def timed(value: object) -> dict[str, Any]:
    return v2(requestContext={"serviceArn": SERVICE, "timeEpoch": value})


@pytest.mark.parametrize("value", ["1700000000000001", 1700000000000001])
def test_time_of_v2_is_written(value: object) -> None:
    assert milliseconds(timed(value)) == 1_700_000_000_000


@pytest.mark.parametrize(
    "event", [v1(), v2(), *map(timed, [10**5000, -1, 0, "", "-1", "1e9", "9" * 18, "٣", 1.5, None, True, {}])]
)
def test_missing_or_malformed_time_is_the_bridges(event: dict[str, Any]) -> None:
    assert milliseconds(event) == 1_735_689_600_500


@pytest.mark.parametrize(
    ("microseconds", "text"),
    [
        (1_735_689_600_500_000, "01/Jan/2025:00:00:00 +0000"),
        (1_709_251_199_999_999, "29/Feb/2024:23:59:59 +0000"),
        (10**17 - 1, "16/Nov/5138:09:46:39 +0000"),
    ],
)
def test_log_time_is_the_format_of_access_logs(microseconds: int, text: str) -> None:
    assert gateway.log_time(microseconds) == text
