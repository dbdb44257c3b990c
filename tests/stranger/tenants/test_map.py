from pathlib import Path

import pytest
from lattice_bridge import BridgeError, TenantMap, parse_event

FILE = Path(__file__).with_name("bridge.toml")
ROLE = "arn:aws:iam::111122223333:role/"


@pytest.fixture(scope="module")
def tenant_map():
    return TenantMap.from_file(FILE)


@pytest.mark.parametrize(
    ("role", "header", "tenant", "reason"),
    [
        ("blue-api", None, "blue", "allowed"),
        ("blue-api", "green", None, "tenant_not_allowed"),
        ("edge-proxy", "green", "green", "allowed"),
        ("edge-proxy", None, None, "ambiguous"),
        ("someone", "blue", None, "no_rule"),
    ],
)
def test_role_and_header_decide_the_tenant(tenant_map, lattice_event, role, header, tenant, reason):
    headers = {"x-tenant-id": header} if header else {}
    decision = tenant_map.decide(parse_event(lattice_event(principal=ROLE + role, headers=headers)))
    assert (decision.tenant, decision.reason) == (tenant, reason)


@pytest.mark.lattice_events("*")
def test_other_callers_are_refused(tenant_map, lattice_case):
    try:
        request = parse_event(lattice_case.event)
    except BridgeError:
        return  # refused before the map decides
    decision = tenant_map.decide(request)
    assert decision.rule == "blue-api" if decision.allowed else decision.tenant is None


def test_token_decides_the_tenant(bridge, token_issuer, lattice_event, fake_lambda):
    handler = bridge(FILE.read_text().replace("https://issuer.example/keys", token_issuer.jwks_url))
    token = token_issuer.token(iss="https://issuer.example", aud="orders", tenant="green")
    fake_lambda.reply({"statusCode": 200})
    assert handler(lattice_event(headers={"authorization": f"Bearer {token}"}))["statusCode"] == 200
    assert fake_lambda.calls[0].tenant == "green"


def test_token_for_another_service_is_refused(bridge, token_issuer, lattice_event, fake_lambda):
    handler = bridge(FILE.read_text().replace("https://issuer.example/keys", token_issuer.jwks_url))
    token = token_issuer.token(iss="https://issuer.example", aud="billing", tenant="green")
    assert handler(lattice_event(headers={"authorization": f"Bearer {token}"}))["statusCode"] == 401
    assert fake_lambda.calls == []
