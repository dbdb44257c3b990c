"""Attacks on a bridge behind API Gateway, a function URL and a load balancer, from event to reply."""

from __future__ import annotations

import json
import random
from typing import Any, Final
from urllib.parse import quote

import pytest

from lattice_bridge.config.options import Backend
from tests.support.builders import OPEN, v2
from tests.support.fronts import (
    ACCOUNT,
    API,
    ENABLED,
    FRONTS,
    GROUP,
    ROLE,
    SIGNED,
    Event,
    Sent,
    copied,
    function_url,
    http_api,
    iam,
    load_balancer,
    rest_api,
)
from tests.support.hostile import LOOK_ALIKES
from tests.test_bridge import OK, Answer, World

EACH: Final = pytest.mark.parametrize("front", FRONTS)
IAM: Final = pytest.mark.parametrize("front", SIGNED)
CLAIM: Final = f"""
[[rule]]
id = "claims"
api = "{API}"
tenant_from = "authorizer"
path = ["claims", "custom:tenant_id"]
authorizer_set_by = "a Cognito user pool"
claim_is_admin_set = "the app client cannot write the attribute"
"""
LAMBDA: Final = f"""
[[rule]]
id = "answer"
api = "{API}"
tenant_from = "authorizer"
path = ["tenantId"]
authorizer_set_by = "our authorizer reads it from the user's record"
"""
CERT: Final = """
[[rule]]
id = "device"
client_cert = "CN=blue,O=Example"
tenant = "blue"
client_cert_issued_by = "our private authority is the only one in the truststore"
"""
PRINCIPALS: Final = {name: f"arn:aws:sts::{ACCOUNT}:assumed-role/{name}/i-0123" for name in ("edge-proxy", "stranger")}


def world(more: str = "", answer: Answer = OK) -> World:
    return World(answer, more=more, **ENABLED)


def outcome(event: Event, more: str = "") -> tuple[int, str, str | None]:
    """Status, reason, and the tenant that was invoked."""
    found = world(more)
    status = found(event)["statusCode"]
    assert len(found.written) == 1
    calls = found.behind.calls
    return status, found.log["reason"], calls[0].tenant if calls else None


def with_claims(claims: dict[str, Any], sent: Sent = Sent(), kind: str = "http-api") -> Event:  # noqa: B008 - a named tuple
    if kind == "http-api":
        return http_api(sent, {"jwt": {"claims": claims, "scopes": None}})
    return rest_api(sent, {"claims": claims})


# ---- callers --------------------------------------------------------------------------------------------------


@IAM
def test_signed_caller_runs_as_its_tenant(front: str) -> None:
    assert outcome(SIGNED[front](Sent(), ROLE)) == (200, "ok", "blue")


@IAM
def test_header_chooses_among_the_tenants_of_the_caller(front: str) -> None:
    event = SIGNED[front](Sent(headers=(("x-tenant-id", "green"),)), PRINCIPALS["edge-proxy"])
    assert outcome(event) == (200, "ok", "green")


@EACH
@pytest.mark.parametrize("header", ["x-tenant-id", "X-Tenant-Id"])
def test_anonymous_client_with_the_tenant_header_is_refused(front: str, header: str) -> None:
    """Trap A1, F2."""
    assert outcome(FRONTS[front](Sent(headers=((header, "blue"),)))) == (401, "no_credential", None)


@EACH
def test_anyone_needs_its_own_rule(front: str) -> None:
    """Trap A1, F8."""
    assert outcome(FRONTS[front](Sent(headers=(("x-tenant-id", "blue"),))), OPEN) == (200, "ok", "blue")


@EACH
def test_path_query_and_body_choose_nothing(front: str) -> None:
    """Trap F2."""
    sent = Sent("POST", "/blue?x-tenant-id=blue&tenant=blue&X-Amz-Tenant-Id=blue", (), b'{"tenant":"blue"}')
    assert outcome(FRONTS[front](sent))[0] == 401
    assert outcome(FRONTS[front](sent), OPEN) == (403, "ambiguous", None)


@IAM
def test_header_that_the_evidence_does_not_allow_is_refused(front: str) -> None:
    """Trap A2."""
    event = SIGNED[front](Sent(headers=(("x-tenant-id", "green"),)), ROLE)
    assert outcome(event) == (403, "tenant_not_allowed", None)


@IAM
def test_role_of_the_same_name_in_another_account_is_refused(front: str) -> None:
    """Trap B4, B3, D1."""
    for other in (ROLE.replace(ACCOUNT, "444455556666"), ROLE.replace(":aws:", ":aws-cn:")):
        event = json.loads(
            json.dumps(SIGNED[front](Sent(), other)).replace(f'"accountId": "{ACCOUNT}"', '"accountId": null')
        )
        assert outcome(event) == (403, "no_rule", None)


@IAM
@pytest.mark.parametrize("arn", [f"arn:aws:iam::{ACCOUNT}:root", f"arn:aws:sts::{ACCOUNT}:federated-user/ann"])
def test_root_and_federated_users_need_a_rule_of_their_own(front: str, arn: str) -> None:
    """Trap B12."""
    account = f'[[rule]]\nid = "all"\naccount = "{ACCOUNT}"\ntenant = "blue"\n'
    assert outcome(SIGNED[front](Sent(), arn), account) == (403, "no_rule", None)


@IAM
def test_role_names_have_no_case_and_sessions_have(front: str) -> None:
    """Trap B6."""
    assert outcome(SIGNED[front](Sent(), ROLE.replace("blue-api", "Blue-API")))[0] == 200


@IAM
def test_prefix_ends_in_a_delimiter(front: str) -> None:
    """Trap B7, B8, B9."""
    rule = f'[[rule]]\nid = "p"\nrole = "arn:aws:iam::{ACCOUNT}:role/team-*"\ntenant = "blue"\n'
    for name, status in (("team-a", 200), ("team", 403), ("teamX", 403), ("x", 403)):
        arn = f"arn:aws:sts::{ACCOUNT}:assumed-role/{name}/team-a"
        assert outcome(SIGNED[front](Sent(), arn), rule)[0] == status


@EACH
def test_claimed_signature_that_nothing_verified_is_no_anonymous_caller(front: str) -> None:
    """Trap F3: a rule with anyone is not for it."""
    signature = (("authorization", "AWS4-HMAC-SHA256 Credential=AKIA/x, SignedHeaders=host, Signature=00"),)
    assert outcome(FRONTS[front](Sent(headers=(*signature, ("x-tenant-id", "blue")))), OPEN)[:2] == (
        401,
        "no_credential",
    )
    presigned = Sent("GET", "/orders?X-Amz-Signature=00", (("x-tenant-id", "blue"),))
    assert outcome(FRONTS[front](presigned), OPEN)[:2] == (401, "no_credential")


@EACH
@pytest.mark.parametrize("path", ["/", "/health", "/ping", "/.well-known/x"])
@pytest.mark.parametrize("method", ["GET", "OPTIONS", "HEAD"])
def test_no_path_or_method_skips_authentication(front: str, path: str, method: str) -> None:
    """Trap A14."""
    assert outcome(FRONTS[front](Sent(method, path)))[0] == 401


# ---- authorizers ----------------------------------------------------------------------------------------------------

KINDS: Final = pytest.mark.parametrize("kind", ["http-api", "rest-api"])


@KINDS
def test_claim_of_a_verified_token_is_the_tenant(kind: str) -> None:
    assert outcome(with_claims({"custom:tenant_id": "blue"}, kind=kind), CLAIM) == (200, "ok", "blue")


@KINDS
@pytest.mark.parametrize(
    "value",
    [
        *(
            None,
            "",
            7,
            7.0,
            True,
            ["blue"],
            {"a": "blue"},
            "[blue]",
            "[blue green]",
            "[blue",
            "blue green",
            "blue,green",
        ),
        *(" blue", "blue ", "blue\n", "blue\x00", "%62lue", "Ymx1ZQ==", "Blue", "b" * 257, "unknown", "{tenant}"),
        *LOOK_ALIKES,
    ],
)
def test_claim_that_is_not_exactly_a_tenant_is_refused(kind: str, value: Any) -> None:
    """Traps C7, A10, A11, A12, B15: a list comes as a string in brackets, and is never divided."""
    status, _, tenant = outcome(with_claims({"custom:tenant_id": value, "sub": "ann"}, kind=kind), CLAIM)
    assert (status, tenant) == (403, None)


@KINDS
def test_suspended_tenant_of_a_claim_is_refused(kind: str) -> None:
    """Trap D6."""
    assert outcome(with_claims({"custom:tenant_id": "old"}, kind=kind), CLAIM)[:2] == (403, "tenant_suspended")


@KINDS
def test_header_and_claim_that_disagree_are_refused(kind: str) -> None:
    """Trap A2, F2."""
    sent = Sent(headers=(("x-tenant-id", "green"),))
    assert outcome(with_claims({"custom:tenant_id": "blue"}, sent, kind), CLAIM)[:2] == (403, "tenant_not_allowed")


def test_unverified_token_is_no_evidence() -> None:
    """Trap F3: an authorization header of a route without an authorizer."""
    token = "eyJhbGciOiJub25lIn0.eyJjdXN0b206dGVuYW50X2lkIjoiYmx1ZSJ9."
    for front, make in FRONTS.items():
        event = make(Sent(headers=(("authorization", f"Bearer {token}"), ("x-tenant-id", "blue"))))
        assert outcome(event, CLAIM)[:2] == (401, "no_credential"), front


def test_rule_for_claims_is_not_for_a_lambda_authorizer_and_the_other_way_round() -> None:
    """Trap F4."""
    assert outcome(http_api(authorizer={"lambda": {"claims": {"custom:tenant_id": "blue"}, "a": "b"}}), CLAIM)[0] == 403
    assert outcome(http_api(authorizer={"lambda": {"custom:tenant_id": "blue"}}), CLAIM)[0] == 403
    assert outcome(with_claims({"tenantId": "blue"}), LAMBDA)[0] == 403
    assert outcome(http_api(authorizer={"lambda": {"tenantId": "blue"}}), LAMBDA) == (200, "ok", "blue")
    assert outcome(rest_api(authorizer={"principalId": "a", "tenantId": "blue"}), LAMBDA) == (200, "ok", "blue")


def test_authorizer_of_another_listed_api_is_not_this_rules() -> None:
    """Trap F5, B4."""
    other = http_api(authorizer={"lambda": {"tenantId": "blue"}}, api="zzzzzzzzzz")
    found = World(OK, more=LAMBDA, apis=[API, "zzzzzzzzzz"])
    assert (found(other)["statusCode"], found.log["reason"]) == (403, "no_rule")


def test_caller_that_an_authorizer_verified_is_not_anyone() -> None:
    """Trap A1: OPEN would give every tenant."""
    event = with_claims({"sub": "ann"}, Sent(headers=(("x-tenant-id", "blue"),)))
    assert outcome(event, OPEN) == (403, "no_rule", None)


def test_authorizer_without_a_rule_does_not_fall_back_to_another_kind_of_evidence() -> None:
    """Trap A2: the map has rules for authorizers, and this caller fits none of them."""
    event = http_api(authorizer={"iam": iam(ROLE), "lambda": {"tenantId": "green"}})
    assert outcome(event, LAMBDA) == (403, "conflict", None)
    other = World(OK, more=LAMBDA.replace(API, "zzzzzzzzzz"), **ENABLED)
    assert other(event)["statusCode"] == 403


def test_deny_rule_for_an_api_is_for_all_its_callers() -> None:
    deny = f'[[rule]]\nid = "closed"\napi = "{API}"\ndeny = true\n'
    for make in (SIGNED["http-api"], SIGNED["rest-api"]):
        assert outcome(make(Sent(), ROLE), deny)[:2] == (403, "denied")
    assert outcome(v2(ROLE), deny)[0] == 200


def test_condition_on_the_api_does_not_hold_elsewhere() -> None:
    rule = f'[[rule]]\nid = "c"\nrole = "arn:aws:iam::{ACCOUNT}:role/c"\napi = "{API}"\ntenant = "blue"\n'
    arn = f"arn:aws:sts::{ACCOUNT}:assumed-role/c/i"
    assert outcome(SIGNED["rest-api"](Sent(), arn), rule)[0] == 200
    assert outcome(function_url(Sent(), arn), rule)[:2] == (403, "condition_failed")
    assert outcome(v2(arn), rule)[:2] == (403, "condition_failed")


# ---- certificates and VPCs ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [http_api, rest_api])
def test_certificate_with_the_rules_subject_runs_as_its_tenant(make: Any) -> None:
    assert outcome(make(client_cert="CN=blue,O=Example"), CERT) == (200, "ok", "blue")


@pytest.mark.parametrize("make", [http_api, rest_api])
@pytest.mark.parametrize(
    "subject",
    [
        *("CN=blue", "CN=blue,O=Example,OU=x", "O=Example,CN=blue", "cn=blue,o=example", "CN=blue, O=Example"),
        *(
            "CN=blue,O=Example ",
            "CN=xblue,O=Example",
            "CN=blue\\,O=Example",
            "spiffe://example.org/blue",
            "CN=green,O=Example",
        ),
    ],
)
def test_certificate_with_another_subject_is_refused(make: Any, subject: str) -> None:
    """Trap F7: the whole subject is compared, and nothing in it is read."""
    assert outcome(make(client_cert=subject), CERT)[0] == 403


def test_certificate_is_read_from_no_header() -> None:
    """Trap F7: a load balancer's headers can be a client's."""
    headers = (("x-amzn-mtls-clientcert-subject", "CN=blue,O=Example"), ("x-amzn-mtls-clientcert-leaf", "x"))
    for make in FRONTS.values():
        assert outcome(make(Sent(headers=headers)), CERT)[0] == 401


def test_deny_rule_with_the_arn_of_a_vpc_applies_if_only_its_id_is_known() -> None:
    """Trap B16: a private API must not be a way around it."""
    vpc = "vpc-0a1b2c3d4e5f60718"
    deny = f"""
[[rule]]
id = "no"
role = "arn:aws:iam::{ACCOUNT}:role/blue-api"
vpc = "arn:aws:ec2:eu-west-1:{ACCOUNT}:vpc/{vpc}"
deny = true
"""
    assert outcome(rest_api(identity={**iam(ROLE), "vpcId": vpc}), deny)[:2] == (403, "denied")
    assert outcome(rest_api(identity={**iam(ROLE), "vpcId": "vpc-0123456789abcdef0"}), deny)[0] == 200


# ---- headers --------------------------------------------------------------------------------------------------------


@EACH
@pytest.mark.parametrize(
    "headers",
    [
        (("x-tenant-id", "blue"), ("x-tenant-id", "blue")),
        (("x-tenant-id", "blue"), ("x-tenant-id", "green")),
        (("X-Tenant-Id", "blue"), ("x-tenant-id", "blue")),
        (("x-tenant-id", "blue,green"),),
        (("x_tenant_id", "blue"),),
        (("x-tenant_id", "blue"),),
        (("x.tenant.id", "blue"),),
        (("x_amz_tenant_id", "blue"),),
        (("x_amzn_lattice_identity", "x"),),
        (("x-tenant-id", " blue"),),
        (("x-tenant-id", "%62lue"), ("x-tenant-id", "b")),
        (("x-tenant-id", "b" * 257),),
        (("x-tenant-id", "bl\u212ae"),),
        (("x-tenant-id", ""),),
    ],
)
def test_tenant_header_that_could_mean_two_things_is_a_400(front: str, headers: tuple[tuple[str, str], ...]) -> None:
    """Traps A3, A4, A5, A6, A10, A11, A13, A18: single-value maps of a load balancer keep the last value only."""
    single = front == "alb-single-value" and len(headers) == 2
    if not single:
        assert outcome(FRONTS[front](Sent(headers=headers)), OPEN)[0] == 400


@EACH
def test_bounds_of_headers_hold(front: str) -> None:
    """Trap A13."""
    assert outcome(FRONTS[front](Sent(headers=(("x-long", "a" * 9000),))), OPEN)[0] == 400
    many = tuple((f"x-{number}", "1") for number in range(101))
    assert outcome(FRONTS[front](Sent(headers=many)), OPEN)[0] == 400


@EACH
@pytest.mark.parametrize("payload", ["lattice", "lattice-v1", "lattice-v2", "apigateway-v1", "apigateway-v2", "alb"])
def test_reserved_headers_and_credentials_reach_no_backend(front: str, payload: Any) -> None:
    """Trap A15: in no map of headers or of the query, whatever the format."""
    secrets = (
        *(("X-Amz-Tenant-Id", "forged"), ("x-amzn-tenant-id", "forged"), ("Authorization", "Bearer forged.a.b")),
        *(("X-Amz-Security-Token", "forged"), ("x-request-id", "forged"), ("connection", "forged")),
    )
    query = "a=1&X-Amz-Credential=forged&x-amz-security-token=forged"
    sent = Sent("GET", f"/orders?{query}", (*secrets, ("x-tenant-id", "blue")))
    found = World(OK, _backend(payload), more=OPEN, **ENABLED)
    assert found(FRONTS[front](sent))["statusCode"] == 200
    received = json.dumps(found.behind.received)
    assert "forged" not in received
    assert "a=1" in received or '"a": ' in received
    assert received.count('"x-tenant-id"') in (1, 2)  # two maps in a REST API's event


@pytest.mark.parametrize("payload", ["lattice", "apigateway-v1", "apigateway-v2"])
def test_backend_sees_the_decided_tenant_and_not_a_clients(payload: Any) -> None:
    """Trap A15."""
    found = World(OK, _backend(payload), more=LAMBDA, **ENABLED)
    event = rest_api(Sent(headers=(("X-Amz-Tenant-Id", "green"),)), {"principalId": "ann", "tenantId": "blue"})
    assert found(event)["statusCode"] == 200
    assert "green" not in json.dumps(found.behind.received)
    assert found.behind.received["requestContext"]["authorizer"].get("tenantId", "blue") == "blue"


@EACH
def test_payload_as_it_came_differs_in_headers_alone(front: str) -> None:
    event = FRONTS[front](Sent("POST", "/orders?a=1&b=%20", (("x-tenant-id", "blue"), ("x-a", "1")), b"hi"))
    found = world(OPEN)
    assert found({**event, "new": 1})["statusCode"] == 200
    maps = ("headers", "multiValueHeaders")
    same = {name: value for name, value in event.items() if name not in maps}
    assert {name: value for name, value in found.behind.received.items() if name not in maps} == {**same, "new": 1}
    for name in maps:
        if event.get(name):
            mine = found.behind.received[name]
            assert mine["x-tenant-id"] in ("blue", ["blue"])
            assert mine["x-a"] == event[name]["x-a"]
            assert {"x-request-id", "x-lattice-bridge-hops"} <= mine.keys()


@EACH
def test_request_that_passed_the_bridge_four_times_is_a_loop(front: str) -> None:
    """Trap D16."""
    found, passes = world(OPEN), 0
    event = FRONTS[front](Sent(headers=(("x-tenant-id", "blue"),)))
    while found(event)["statusCode"] == 200:
        event, passes = found.behind.received, passes + 1
    assert (passes, found.log["reason"]) == (4, "loop")


# ---- log lines ------------------------------------------------------------------------------------------------------


def test_log_line_has_the_api_and_no_value_of_the_evidence() -> None:
    """Trap D11."""
    found = world(CLAIM)
    event = with_claims({"custom:tenant_id": "secret-a", "email": "secret-b", "sub": "secret-c"})
    event["requestContext"]["authentication"] = {"clientCert": {"subjectDN": "CN=secret-d"}}
    assert found(event)["statusCode"] == 403
    assert found.log["api"] == API
    assert found.log["callerKey"].startswith(f"api:{API} cert#")
    assert "secret" not in "".join(found.written)


def test_log_line_has_no_access_key() -> None:
    """Trap D11."""
    found = world()
    found(SIGNED["rest-api"](Sent(), PRINCIPALS["stranger"]))
    assert (found.log["callerKey"], "ASIAEXAMPLE" in "".join(found.written)) == (f"{ACCOUNT}/stranger", False)


def test_log_line_of_an_event_that_is_not_enabled_has_nothing_of_the_client() -> None:
    """Trap F1, D11."""
    found = World(OK, more=OPEN)
    assert found(http_api(Sent("GET", "/secret?secret", (("x-secret", "secret"),))))["statusCode"] == 400
    assert (found.log["reason"], found.log["requestId"]) == ("not_enabled", "lambda-1")
    assert "secret" not in "".join(found.written)


@EACH
def test_refusals_of_a_caller_are_the_same_to_it(front: str) -> None:
    """Trap D12."""
    found = world(OPEN)
    first = found(FRONTS[front](Sent(headers=(("x-tenant-id", "unknown"),))))
    second = found(FRONTS[front](Sent(headers=(("x-tenant-id", "old"),))))
    assert (first, first["statusCode"]) == (second, 403)


# ---- anything that a client can send --------------------------------------------------------------------------------

_NAMES: Final = (
    *("x-tenant-id", "authorization", "requestContext", "x-amzn-lattice-identity", "x-amzn-oidc-identity", "cookie"),
    *("x-amzn-mtls-clientcert-subject", "x-forwarded-for", "host", "x-amzn-vpc-id", "apiId", "elb", "userArn"),
)
_VALUES: Final = (
    *("blue", ROLE, f"Principal={ROLE}; Type=AWS_IAM", "CN=blue,O=Example", "tenantId=blue", "Bearer a.b.c"),
    *('{"claims":{"custom:tenant_id":"blue"}}', "vpc-0a1b2c3d4e5f60718", API, GROUP, "AWS4-HMAC-SHA256 x"),
)


def random_request(chance: random.Random) -> Sent:
    def text() -> str:
        return chance.choice((*_VALUES, "".join(chance.choices("ab/=%&?{}\"':; ,", k=chance.randrange(12)))))

    headers = tuple((chance.choice(_NAMES), text()) for _ in range(chance.randrange(5)))
    query = "&".join(f"{quote(chance.choice(_NAMES))}={quote(text())}" for _ in range(chance.randrange(3)))
    path = f"/{quote(text(), safe='/')}"
    body = json.dumps({"requestContext": {"authorizer": {"iam": iam(ROLE)}}, "text": text()}).encode()
    method = chance.choice(("GET", "POST", "OPTIONS", "HEAD", "X"))
    return Sent(method, f"{path}?{query}" if query else path, headers, body)


@EACH
def test_no_http_request_gives_a_caller_or_a_tenant(front: str) -> None:
    """Traps A1, F2, F3, F5: 2,000 requests in all, as each front writes them. The map has rules for all evidence, none
    for callers without."""
    found, chance = world(LAMBDA + CERT), random.Random(front)
    for _ in range(334):
        event = copied(FRONTS[front](random_request(chance)))
        assert found(event)["statusCode"] in (400, 401)
    assert found.behind.calls == []


def _backend(payload: Any) -> Any:
    return Backend("/", "orders:live", payload=payload)


def test_load_balancer_has_no_evidence_for_a_rule_of_an_api() -> None:
    assert outcome(load_balancer(), CLAIM)[0] == 401
