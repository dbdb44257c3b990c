"""Clients that try to write what only Lattice or the bridge writes, in every payload."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest

from lattice_bridge.errors import TooLarge
from lattice_bridge.local.front.exchange.http_message import HttpRequest
from tests.formats.round_trip import (
    BLUE,
    GATEWAYS,
    PAYLOADS,
    Sent,
    Version,
    encoded,
    made,
    received,
)
from tests.support.builders import ACCOUNT
from tests.support.reference_readers import load

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
def test_reserved_header_never_reaches_the_backend(payload: str, version: Version, name: str) -> None:
    event = made(version, BLUE, headers={name: MARK, "x-other": "kept"})
    assert MARK not in encoded(event, payload, credentials=frozenset({"x-id-token"})).decode()
    assert received(event, payload, credentials=frozenset({"x-id-token"})).values("x-other") == ["kept"]


@pytest.mark.parametrize("payload", PAYLOADS)
@pytest.mark.parametrize("principal", [None, BLUE])
@pytest.mark.parametrize("name", LATTICE_SPELLINGS)
def test_lattice_header_of_a_v2_client_is_dropped(payload: str, principal: str | None, name: str) -> None:
    event = made("v2", principal, headers={name: f"Principal=arn:aws:iam::{ACCOUNT}:user/{MARK}; Type=AWS_IAM"})
    assert MARK not in encoded(event, payload).decode()
    assert received(event, payload).principal == principal


@pytest.mark.parametrize("payload", PAYLOADS)
@pytest.mark.parametrize("name", ["X_Amzn_Lattice_Identity", "x-amzn-lattice_identity", "x.amzn.lattice.identity"])
def test_other_spelling_of_a_lattice_header_in_v1_is_dropped(payload: str, name: str) -> None:
    event = made("v1", headers={name: f"Principal=arn:aws:iam::{ACCOUNT}:user/{MARK}; Type=AWS_IAM"})
    assert MARK not in encoded(event, payload).decode()


@pytest.mark.parametrize(
    "name", ["x-amzn-oidc-identity", "X-Amzn-Oidc-Data", "x_amzn_oidc_data", "x-amzn-mtls-clientcert"]
)
def test_user_header_of_a_load_balancer_is_dropped(name: str) -> None:
    assert MARK not in encoded(made("v2", BLUE, headers={name: MARK}), "alb").decode()
    assert MARK not in encoded(made("v1", BLUE, headers={name: MARK}), "alb").decode()


@pytest.mark.parametrize("payload", PAYLOADS)
@pytest.mark.parametrize("version", ["v1", "v2"])
def test_kept_header_is_kept_in_every_payload(payload: str, version: Version) -> None:
    event = made(version, BLUE, headers={"authorization": "Bearer x", "x-id-token": "y"})
    options: dict[str, Any] = {"keep": frozenset({"authorization"}), "credentials": frozenset({"x-id-token"})}
    read = received(event, payload, **options)
    assert (read.values("authorization"), read.values("x-id-token")) == (["Bearer x"], [])


@pytest.mark.parametrize("payload", PAYLOADS)
@pytest.mark.parametrize("version", ["v1", "v2"])
@pytest.mark.parametrize("name", ["x-tenant-id", "X-Tenant-Id", "tenantId", "principal", "cookie", "authorization"])
def test_query_cookie_and_path_never_become_headers(payload: str, version: Version, name: str) -> None:
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
def test_body_cannot_leave_its_string(payload: str, kind: str, text: str) -> None:
    for version in ("v1", "v2"):
        sent = Sent(HttpRequest("POST", "/", [("content-type", kind)], text.encode()), None, version)
        read = received(sent.event, payload)
        assert (read.body, read.tenant) == (text.encode(), "blue")


@pytest.mark.parametrize("payload", PAYLOADS)
@pytest.mark.parametrize("version", ["v1", "v2"])
def test_lone_surrogate_cannot_leave_its_string(payload: str, version: Version) -> None:
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
def test_two_spellings_of_a_name_are_two_values(payload: str, version: Version) -> None:
    event = made(version, headers={"X-A": "1", "x-a": "2", "Cookie": "a=1", "COOKIE": "b=2"})
    read = received(event, payload)
    assert ",".join(read.values("x-a")) == "1,2"
    assert read.cookies == ("a=1", "b=2")


@pytest.mark.parametrize("payload", PAYLOADS)
def test_tenant_id_is_written_unchanged(payload: str) -> None:
    name = "a.b_c:d/e=f+g@h-i"
    for event in (made("v1"), made("v2"), made("v1", BLUE), made("v2", BLUE)):
        assert received(event, payload, tenant=name).tenant == name
        assert received(event, payload, "x-customer", tenant=name).tenant == name


@pytest.mark.parametrize("payload", PAYLOADS)
@pytest.mark.parametrize("version", ["v1", "v2"])
def test_limit_counts_the_written_bytes(payload: str, version: Version) -> None:
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
def test_principal_is_in_the_fields_that_frameworks_read(payload: str, places: list[tuple[str, ...]]) -> None:
    for event, expected in ((made("v1", BLUE), BLUE), (made("v2", BLUE), BLUE), (made("v2"), None)):
        for place in places:
            found = load(encoded(event, payload))["requestContext"]
            for key in place:
                found = (found or {}).get(key)
            assert (found or None) == expected  # `principalId` is an empty string where there is none


def test_iam_fields_are_strings_or_absent() -> None:
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
def test_tenant_is_in_every_authorizer_context(payload: str, place: tuple[str, ...]) -> None:
    for event in (made("v1", BLUE), made("v2", BLUE), made("v2"), made("v1")):
        found = load(encoded(event, payload))["requestContext"]
        for key in place:
            found = found[key]
        assert found == "blue"
