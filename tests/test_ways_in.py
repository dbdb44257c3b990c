"""docs/ways-in.md: its templates are right, its maps load, and its costs follow from its prices."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pytest

from lattice_bridge.config.document import parse_document
from lattice_bridge.config.settings import Settings
from lattice_bridge.config.tables.options import read_options
from lattice_bridge.deployment.checks.needs import needs_of
from lattice_bridge.deployment.checks.run import template_findings
from tests.support.cfn_lint import lint
from tests.support.paths import ROOT
from tests.support.ways_in import SECTIONS, TEXT, block
from tests.support.written import assert_written

PAGE: Final = ROOT / "docs" / "ways-in.md"

HOURS: Final = 730
RATES: Final = (10, 100, 1000)
"""Requests a second."""
SECONDS: Final = (0.05, 1.0)
"""Of the backend."""
MEMORY_GB: Final = 0.5
BRIDGE_SECONDS: Final = 0.010
AUTHORIZER_SECONDS: Final = 0.002
REQUEST_GB: Final = 4e-6
REQUESTS_OF_A_CONNECTION: Final = 10


@pytest.mark.parametrize("section", SECTIONS)
def test_template_has_no_findings_beside_its_map(section: str, tmp_path: Path) -> None:
    document = parse_document(block(section, "toml"))
    options, needs = read_options(document.tables, []), needs_of(document)
    text = block(section, "yaml")
    found = template_findings(tmp_path / "template.yaml", options, {}, "us-east-1", text=text, needs=needs)
    assert [one.text for one in found] == []


@pytest.mark.parametrize("section", SECTIONS)
def test_map_loads(section: str) -> None:
    found = Settings.from_text(block(section, "toml"), needs_backend="authorizer" not in section)
    assert set(found.tenant_map.rules.tenants) == {"blue"}


def test_cfn_lint_accepts_every_template() -> None:
    assert len(SECTIONS) == 3
    for section in SECTIONS:
        found = lint(block(section, "yaml"))
        assert [f"{section}: {one}" for one in found] == []


# ---- costs ----------------------------------------------------------------------------------------------------------


def prices() -> Mapping[str, float]:
    """The prices of the page's table, by the words of its first column. Those of a million are for one."""
    rows = re.findall(r"^\| ([^|]+) \| (1 M|GB-second|GB|hour) \| ([0-9.]+) \|$", TEXT, re.MULTILINE)
    return {what: float(price) / (1e6 if unit == "1 M" else 1) for what, unit, price in rows}


PRICES: Final = prices()


def function(requests: float, seconds: float) -> float:
    """The cost of a function that is billed so many seconds for each request."""
    by_second = MEMORY_GB * PRICES["Lambda, duration, x86"]
    return requests * (PRICES["Lambda, requests"] + seconds * by_second)


def rest_api(requests: float) -> float:
    first, second = min(requests, 333e6), min(max(requests - 333e6, 0), 667e6)
    third = requests - first - second
    assert third <= 19e9
    return (
        first * PRICES["REST API, requests: the first 333 M in a month"]
        + second * PRICES["REST API, requests: the next 667 M"]
        + third * PRICES["REST API, requests: the next 19,000 M"]
    )


def http_api(requests: float) -> float:
    first = min(requests, 300e6)
    return (
        first * PRICES["HTTP API, requests: the first 300 M in a month"]
        + (requests - first) * PRICES["HTTP API, requests: above"]
    )


def lattice(requests: float) -> float:
    charged = max(requests / HOURS - 300_000, 0) * HOURS
    return (
        HOURS * PRICES["VPC Lattice, service"]
        + requests * REQUEST_GB * PRICES["VPC Lattice, data"]
        + charged * PRICES["VPC Lattice, requests above 300,000 in an hour"]
    )


def load_balancer(requests: float) -> float:
    by_data = requests / HOURS * REQUEST_GB / 0.4
    by_connections = requests / HOURS / 3600 / REQUESTS_OF_A_CONNECTION / 25
    unit = PRICES["load balancer, LCU: 0.4 GB for Lambda, or 25 new connections a second"]
    return HOURS * (PRICES["load balancer"] + max(by_data, by_connections) * unit)


def cost(way: str, rate: float, seconds: float) -> float:
    """US dollars in a month."""
    requests = rate * 3600 * HOURS
    bridge = function(requests, seconds + BRIDGE_SECONDS)
    return {
        "Lattice with the bridge": lattice(requests) + bridge,
        "REST API with the map as its authorizer": rest_api(requests) + function(requests, AUTHORIZER_SECONDS),
        "HTTP API with the bridge": http_api(requests) + bridge,
        "load balancer with the bridge": load_balancer(requests) + bridge,
        "function URL of the bridge": bridge,
    }[way]


WAYS: Final = (
    *("Lattice with the bridge", "REST API with the map as its authorizer", "HTTP API with the bridge"),
    *("load balancer with the bridge", "function URL of the bridge"),
)


def test_table_of_costs_follows_from_the_prices() -> None:
    """`make docs` writes the table."""
    columns = [(rate, seconds) for rate in RATES for seconds in SECONDS]
    head = " | ".join(f"{rate:,}, {'50 ms' if seconds < 1 else '1 s'}" for rate, seconds in columns)
    rows = [
        f"| {way} | {' | '.join(f'{cost(way, rate, seconds):,.0f}' for rate, seconds in columns)} |" for way in WAYS
    ]
    assert_written(PAGE, "costs", "\n".join([f"| way in | {head} |", f"|---|{'---:|' * len(columns)}", *rows]))


def test_assumptions_of_the_page_are_those_of_the_table() -> None:
    """A sample that a person can check: 10 requests a second through an HTTP API, and a backend of 50 ms."""
    requests = 10 * 3600 * 730
    assert requests == 26_280_000
    expected = 26.28 * 1.00 + 26.28 * 0.20 + requests * 0.060 * 0.5 * 0.0000166667
    assert cost("HTTP API with the bridge", 10, 0.05) == pytest.approx(expected)
    for words in ("730 hours", "4 KB together", "ten requests", "512 MB", "10 ms more", "2 ms for each request"):
        assert words in TEXT.replace("\n", " ")


def test_conclusions_of_the_page_hold() -> None:
    public = ("REST API with the map as its authorizer", "HTTP API with the bridge")
    for rate in RATES:
        by_cost = {seconds: sorted(public, key=lambda way: cost(way, rate, seconds)) for seconds in SECONDS}
        assert by_cost[0.05][0] == "HTTP API with the bridge"
        assert by_cost[1.0][0] == "REST API with the map as its authorizer"
        assert all(cost("Lattice with the bridge", rate, one) < cost(public[1], rate, one) for one in SECONDS)
