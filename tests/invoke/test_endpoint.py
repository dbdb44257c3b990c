"""Lambda's endpoint, compared with botocore's."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.endpoint_provider import EndpointProvider
from botocore.session import Session

from lattice_bridge.errors import InvalidMap
from lattice_bridge.http.client import Endpoint
from lattice_bridge.invoke.endpoint import endpoint_of, region_of

SESSION: Any = Session()
REGIONS = sorted(
    region
    for partition in SESSION.get_available_partitions()
    for region in {
        *SESSION.get_available_regions("lambda", partition),
        *SESSION.get_available_regions("ec2", partition),  # where Lambda may come to be
    }
)


def url_of(endpoint: Endpoint) -> str:
    return f"http{'s' if endpoint.secure else ''}://{endpoint.authority}{endpoint.path}"


LOADER: Any = SESSION.get_component("data_loader")
RULES = EndpointProvider(LOADER.load_service_model("lambda", "endpoint-rule-set-1"), LOADER.load_data("partitions"))
"""What every AWS SDK resolves Lambda's endpoint with."""


def botocores(region: str, *, fips: bool, dual: bool) -> str:
    return str(RULES.resolve_endpoint(Region=region, UseFIPS=fips, UseDualStack=dual).url)


def test_every_partition_has_regions() -> None:
    assert len(REGIONS) > 40
    assert {"us-east-1", "cn-north-1", "us-gov-west-1", "us-iso-east-1", "us-isob-east-1"} <= set(REGIONS)


@pytest.mark.parametrize(
    "region", sorted({*REGIONS, "eusc-de-east-1", "us-isof-south-1", "eu-isoe-west-1", "mars-north-1"})
)
def test_endpoint_of_a_region_is_botocores(region: str) -> None:
    for fips in (False, True):
        for dual in (False, True):
            environ = {"AWS_USE_FIPS_ENDPOINT": str(fips), "AWS_USE_DUALSTACK_ENDPOINT": str(dual).lower()}
            assert url_of(endpoint_of(region, environ)) == botocores(region, fips=fips, dual=dual)


@pytest.mark.parametrize(
    ("url", "endpoint"),
    [
        ("http://127.0.0.1:9001", Endpoint(False, "127.0.0.1", 9001)),
        ("http://localhost", Endpoint(False, "localhost", 80)),
        (
            "https://vpce-0a1b.lambda.eu-west-1.vpce.amazonaws.com",
            Endpoint(True, "vpce-0a1b.lambda.eu-west-1.vpce.amazonaws.com", 443),
        ),
        ("https://gate.example:8443/lambda/", Endpoint(True, "gate.example", 8443, "/lambda")),
        ("http://[::1]:9001", Endpoint(False, "::1", 9001)),
    ],
)
def test_own_endpoint_is_parsed(url: str, endpoint: Endpoint) -> None:
    assert endpoint_of("eu-west-1", {"AWS_ENDPOINT_URL_LAMBDA": url}) == endpoint
    assert url_of(endpoint) == url.rstrip("/")


@pytest.mark.parametrize(
    "url",
    [
        *("not a url", "127.0.0.1:9001", "ftp://h", "https://", "https://:443", "https://h:0", "https://h:99999"),
        *("https://user:secret@h", "https://h?x=1", "https://h#x", "https://h\n", "https://h/\tx", "https://h/a b"),
        *("https://h/../x", "https://h//x", "https://h/./x", "https://h/%2e", "https://é", "https://h\r\nx: y"),
        *("https://a..b", "https://-a", "https://" + "a" * 64, "https://" + "a." * 127 + "a"),
    ],
)
def test_malformed_endpoint_is_refused_unquoted(url: str) -> None:
    """A path that changes on its way would be signed as another."""
    with pytest.raises(InvalidMap) as error:
        endpoint_of("eu-west-1", {"AWS_ENDPOINT_URL": url})
    assert "AWS_ENDPOINT_URL" in str(error.value)
    assert "secret" not in str(error.value)


def test_lambda_endpoint_variable_comes_first() -> None:
    environ = {"AWS_ENDPOINT_URL_LAMBDA": "http://one", "AWS_ENDPOINT_URL": "http://two"}
    assert endpoint_of("eu-west-1", environ).host == "one"
    assert endpoint_of("eu-west-1", {**environ, "AWS_ENDPOINT_URL_LAMBDA": ""}).host == "two"
    ignored = {**environ, "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "TRUE"}
    assert endpoint_of("eu-west-1", ignored).host == "lambda.eu-west-1.amazonaws.com"


@pytest.mark.parametrize("name", ["AWS_USE_FIPS_ENDPOINT", "AWS_USE_DUALSTACK_ENDPOINT"])
def test_own_endpoint_with_fips_or_dual_stack_is_refused(name: str) -> None:
    with pytest.raises(InvalidMap, match="excludes FIPS and dual stack"):
        endpoint_of("eu-west-1", {"AWS_ENDPOINT_URL": "http://one", name: "true"})


def test_region_is_aws_region_or_default_region() -> None:
    assert region_of({"AWS_REGION": "eu-west-1", "AWS_DEFAULT_REGION": "us-east-1"}) == "eu-west-1"
    assert region_of({"AWS_REGION": "", "AWS_DEFAULT_REGION": "us-east-1"}) == "us-east-1"


@pytest.mark.parametrize("region", ["", "eu-west-1.evil.example", "eu/west", "EU-WEST-1", "eu west", "-x", "é", "a\n"])
def test_malformed_region_is_refused(region: str) -> None:
    """A region is part of the host's name: it must not choose the host."""
    with pytest.raises(InvalidMap, match="region"):
        region_of({"AWS_REGION": region})
