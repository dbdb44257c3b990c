"""The payload of a backend for events of API Gateway, function URLs and load balancers."""

from __future__ import annotations

import json
import re
from typing import Any, get_args

import pytest

from lattice_bridge import parse_event
from lattice_bridge.errors import TooLarge
from lattice_bridge.formats.event import Payload
from lattice_bridge.formats.payload import encode
from lattice_bridge.formats.recognise import parse_any
from tests.support.fronts import ENABLED, FRONTS, ROLE, SIGNED, Event, Sent, http_api, load_balancer, rest_api
from tests.support.paths import ROOT

PAYLOADS: tuple[Payload, ...] = get_args(Payload)
EACH = pytest.mark.parametrize("front", FRONTS)
ALL = pytest.mark.parametrize("payload", PAYLOADS)
SENT = Sent("POST", "/a%2Fb?x=1&x=2&y=%20", (("x-many", "1"), ("content-type", "text/plain")), b"hi")


def told(payload: Payload, event: Event, **options: Any) -> Any:
    given = {"tenant": "blue", "tenant_header": "x-tenant-id", "request_id": "r-1", "now": 1.0, **options}
    return json.loads(encode(parse_event(event, **ENABLED), payload=payload, **given))


@EACH
@ALL
def test_request_is_the_same_in_every_format(front: str, payload: Payload) -> None:
    event = FRONTS[front](SENT)
    before, after = parse_event(event, **ENABLED), parse_any(told(payload, event))
    assert (after.method, after.path, after.body) == (before.method, before.path, b"hi")
    assert sorted(after.query_all) == sorted(before.query_all)
    assert (after.header("x-many"), after.header("x-tenant-id")) == ("1", "blue")
    assert after.header("x-forwarded-for") == "203.0.113.9"


@pytest.mark.parametrize("front", SIGNED)
@ALL
def test_principal_is_the_same_in_every_format(front: str, payload: Payload) -> None:
    event = SIGNED[front](SENT, ROLE)
    found = told(payload, event)
    assert parse_any(found).caller.principal == ROLE if payload != "alb" else ROLE in json.dumps(found)


@pytest.mark.parametrize("make", [http_api, rest_api])
@pytest.mark.parametrize("payload", ["apigateway-v1", "apigateway-v2"])
def test_decided_tenant_wins_over_an_authorizers_value_of_its_name(make: Any, payload: Payload) -> None:
    """Trap A15: a backend reads the tenant from there."""
    answer = {"tenantId": "green", "plan": "gold"}
    event = make(SENT, {"lambda": answer} if make is http_api else {"principalId": "ann", **answer})
    authorizer = told(payload, event)["requestContext"]["authorizer"]
    found = authorizer.get("lambda", authorizer)
    assert (found["tenantId"], found["plan"]) == ("blue", "gold")


@pytest.mark.parametrize("make", [http_api, rest_api])
@pytest.mark.parametrize("payload", ["lattice-v2", "apigateway-v1", "apigateway-v2"])
def test_lambda_authorizer_names_no_caller_to_a_backend(make: Any, payload: Payload) -> None:
    """Trap A15, F4: in another format than it came in, a backend reads the caller that signed from these fields."""
    answer = {"principal": ROLE, "type": "AWS_IAM", "sessionName": "i-0123", "plan": "gold"}
    event = make(SENT, {"lambda": answer} if make is http_api else {"principalId": "ann", **answer})
    found = told(payload, event)
    if parse_event(event, **ENABLED).format == payload:
        assert found["requestContext"]["authorizer"] == event["requestContext"]["authorizer"]
    else:
        assert "i-0123" not in json.dumps(found)
        assert ("gold" in json.dumps(found)) is (payload != "lattice-v2")


@pytest.mark.parametrize("make", [http_api, rest_api])
def test_claims_and_certificate_are_translated(make: Any) -> None:
    claims = {"claims": {"sub": "ann"}}
    event = make(SENT, {"jwt": claims} if make is http_api else claims, client_cert="CN=blue")
    to_v1, to_v2 = told("apigateway-v1", event)["requestContext"], told("apigateway-v2", event)["requestContext"]
    assert to_v1["authorizer"]["claims"] == to_v2["authorizer"]["jwt"]["claims"] == {"sub": "ann"}
    assert to_v1["identity"]["clientCert"]["subjectDN"] == "CN=blue"
    assert to_v2["authentication"]["clientCert"]["subjectDN"] == "CN=blue"


@EACH
def test_bytes_stay_base64(front: str) -> None:
    found = told("lattice", FRONTS[front](Sent("POST", "/", (), b"\x00\xff")))
    assert (found["body"], found["isBase64Encoded"]) == ("AP8=", True)


@EACH
@ALL
def test_payload_over_the_limit_is_refused(front: str, payload: Payload) -> None:
    with pytest.raises(TooLarge):
        told(payload, FRONTS[front](Sent("POST", "/", (), b"x" * 3000)), limit=2000)


@EACH
def test_event_without_headers_gets_the_bridges(front: str) -> None:
    event = FRONTS[front](Sent())
    for name in ("headers", "multiValueHeaders"):
        if name in event:
            event[name] = None
    found = told("lattice", event)
    assert "blue" in json.dumps(found.get("headers") or found.get("multiValueHeaders"))


def test_query_of_nothing_but_credentials_is_empty() -> None:
    for event in (
        http_api(Sent(target="/a?X-Amz-Credential=s")),
        load_balancer(Sent(target="/a?x%2Damz-credential=s")),
    ):
        assert "=s" not in json.dumps(told("lattice", event))
        assert '"s"' not in json.dumps(told("lattice", event))


# ---- what docs/backends.md says of it -------------------------------------------------------------------------------

ROWS = {
    "HTTP API with payload 2.0": ("http-api",),
    "function URL": ("function-url",),
    "REST API, HTTP API with payload 1.0": ("rest-api", "http-api-1.0"),
    "load balancer with multi-value headers": ("alb",),
    "load balancer without multi-value headers": ("alb-single-value",),
}


def test_page_has_the_own_format_of_each_front() -> None:
    page = (ROOT / "docs" / "backends.md").read_text(encoding="utf-8")
    assert {front for fronts in ROWS.values() for front in fronts} == set(FRONTS)
    for name, fronts in ROWS.items():
        (own,) = re.findall(rf"^\| {name} \| [^|]+ \| `([\w-]+)`", page, re.MULTILINE)
        for front in fronts:
            assert told(own, FRONTS[front](SENT)) == told("lattice", FRONTS[front](SENT))


def test_written_event_loses_what_the_page_says() -> None:
    event = http_api(SENT, {"jwt": {"claims": {"sub": "ann"}, "scopes": ["orders"]}}, client_cert="CN=blue")
    event["requestContext"]["stage"] = "prod"
    event["stageVariables"] = {"table": "orders"}
    found = told("apigateway-v1", event)
    context = found["requestContext"]
    assert (context["stage"], context["accountId"], found["stageVariables"]) == ("$default", "", None)
    assert context["apiId"] == event["requestContext"]["apiId"]
    assert "orders" not in json.dumps(context)
    for payload in ("lattice-v1", "lattice-v2", "alb"):
        written = json.dumps({key: value for key, value in told(payload, event).items() if "eader" not in key})
        assert not any(lost in written for lost in ("CN=blue", "ann", event["requestContext"]["apiId"]))


def test_event_in_its_own_format_names_the_tenant_only_in_place_of_an_authorizers_value() -> None:
    claims = {"jwt": {"claims": {"sub": "ann"}, "scopes": None}}
    assert told("apigateway-v2", http_api(SENT, claims))["requestContext"]["authorizer"] == claims
