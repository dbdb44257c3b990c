"""The parts of a request that a map reads: the same from TOML and from a compiled map."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

from lattice_bridge.config.compiled import compile_document
from lattice_bridge.config.document import parse_document
from lattice_bridge.deployment.checks.needs import needs_of
from lattice_bridge.deployment.checks.stack import MapNeeds

MAP: Final = """
[apigateway]
apis = ["a1b2c3d4e5"]

[header]
name = "x-customer"

[[event_source]]
arn = "arn:aws:events:eu-west-1:111122223333:event-bus/shop"
function = "orders"

[[event_source]]
arn = "arn:aws:sqs:eu-west-1:111122223333:blue"
function = "worker"

[[event_source]]
arn = "arn:aws:sqs:eu-west-1:111122223333:orders"
function = "worker"

[tenants]
blue = {}

[jwt.corp]
issuer = "https://issuer.example"
audience = ["orders"]
jwks_url = "https://issuer.example/keys"
header = "X-Id-Token"

[[rule]]
id = "tokens"
jwt = "corp"
tenant_from = "claim"
claim = ["tenant"]

[[rule]]
id = "verified"
api = "a1b2c3d4e5"
tenant_from = "authorizer"
path = ["tenantId"]
authorizer_set_by = "our authorizer sets it from the token"

[[rule]]
id = "devices"
client_cert = "CN=blue"
client_cert_issued_by = "our own authority"
tenant = "blue"

[[rule]]
id = "gateways"
role = "arn:aws:iam::111122223333:role/gateway"
tenant_from = "x509_san_uri"
template = "spiffe://devices.example/tenant/{tenant}/gateway"
x509_set_by = "only Roles Anywhere may assume the role"

[[rule]]
id = "revoked"
client_cert = "CN=green"
deny = true

[[rule]]
id = "elsewhere"
account = "111122223333"
vpc = "vpc-0a1b2c3d4e5f60718"
deny = true

[[rule]]
id = "blue-queue"
source = "arn:aws:sqs:eu-west-1:111122223333:blue"
tenant = "blue"

[[rule]]
id = "order-service"
sender = { role_id = "AROAEXAMPLE123456789" }
source = "arn:aws:sqs:eu-west-1:111122223333:orders"
tenant = "blue"

[[rule]]
id = "shop-orders"
source = "arn:aws:events:eu-west-1:111122223333:event-bus/shop"
detail_type = "order"
tenant = "blue"
accept_risk = "a test"

[[rule]]
id = "partner"
event_account = "444455556666"
tenant = "blue"

[[rule]]
id = "open"
anyone = true
tenant = "blue"
accept_risk = "a test"
"""
EXPECTED: Final = MapNeeds(
    certified=("gateways",),
    headers=frozenset({"x-customer", "x-id-token"}),
    from_authorizer=("verified",),
    certificates=("devices", "revoked"),
    vpcs=("elsewhere",),
    admits_anyone=True,
    trusted_sources=(
        ("arn:aws:sqs:eu-west-1:111122223333:blue", "blue-queue"),
        ("arn:aws:events:eu-west-1:111122223333:event-bus/shop", "shop-orders"),
    ),
)


def test_needs_of_toml_and_of_a_compiled_map_are_the_same(tmp_path: Path) -> None:
    document = parse_document(MAP)
    assert needs_of(document) == EXPECTED
    assert needs_of(parse_document(compile_document(document, tmp_path))) == EXPECTED


@pytest.mark.parametrize(
    "text", ["", "rule = 7", "jwt = 7\nheader = 7", "[[rule]]\nid = 7", "[jwt]\ncorp = 7", "[[rule]]\nsource = [7]"]
)
def test_map_that_does_not_load_has_needs_all_the_same(text: str) -> None:
    """Its faults are findings of their own."""
    assert needs_of(parse_document(text)).headers >= {"x-tenant-id"}
