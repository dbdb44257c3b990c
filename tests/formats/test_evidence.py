"""What API Gateway and function URLs verified about a caller, and everything that is no evidence."""

from __future__ import annotations

from typing import Any

import pytest

from lattice_bridge import BridgeError, Request, parse_event
from tests.support.fronts import (
    ACCOUNT,
    ENABLED,
    FRONTS,
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

CLAIMS = {"sub": "ann", "custom:tenant": "blue", "groups": "[a b]", "exp": "1700000000"}
BOTH = pytest.mark.parametrize("kind", ["http-api", "rest-api", "http-api-1.0"])


def read(event: Event) -> Request:
    return parse_event(event, **ENABLED)


def refused(event: Event) -> tuple[int, str]:
    with pytest.raises(BridgeError) as error:
        read(event)
    return error.value.status, error.value.reason


def answered(kind: str, answer: Any) -> Event:
    """An event of an API whose Lambda authorizer returned a context."""
    if kind == "http-api":
        return http_api(authorizer={"lambda": answer})
    return rest_api(authorizer=answer, version="1.0" if kind == "http-api-1.0" else None)


def with_token(kind: str, claims: Any) -> Event:
    """An event of an API whose JWT or Cognito authorizer verified a token."""
    if kind == "http-api":
        return http_api(authorizer={"jwt": {"claims": claims, "scopes": None}})
    return rest_api(authorizer={"claims": claims}, version="1.0" if kind == "http-api-1.0" else None)


def with_identity(kind: str, fields: dict[str, Any]) -> Event:
    if kind == "http-api":
        return http_api(authorizer={"iam": fields})
    return rest_api(identity=fields, version="1.0" if kind == "http-api-1.0" else None)


# ---- IAM ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("front", SIGNED)
def test_principal_that_signed_is_the_caller(front: str) -> None:
    caller = read(SIGNED[front](Sent(), ROLE)).caller
    assert (caller.authenticated, caller.principal) == (True, ROLE)
    assert (caller.session_name, caller.org_id) == ("i-0123", "o-a1b2c3d4e5")


@pytest.mark.parametrize("front", SIGNED)
def test_both_spellings_of_a_session_are_one_caller(front: str) -> None:
    """Trap B2."""
    other = ROLE.replace(":sts:", ":iam:")
    assert read(SIGNED[front](Sent(), other)).caller == read(SIGNED[front](Sent(), ROLE)).caller


@BOTH
def test_fields_that_are_all_null_are_no_caller(kind: str) -> None:
    """Trap B1: API Gateway writes them for a caller that did not sign."""
    caller = read(with_identity(kind, iam(None))).caller
    assert (caller.authenticated, caller.iam, caller.org_id) == (False, None, None)


@BOTH
@pytest.mark.parametrize("account", ["444455556666", "1", "١١١١٢٢٢٢٣٣٣٣", f"{ACCOUNT}\n"])
def test_account_that_is_not_the_principals_is_refused(kind: str, account: str) -> None:
    """Trap B4, B11, A11."""
    assert refused(with_identity(kind, iam(ROLE, accountId=account))) == (403, "identity_invalid")


@BOTH
@pytest.mark.parametrize("name", ["accountId", "principalOrgId", "accessKey"])
def test_field_of_a_principal_without_a_principal_is_refused(kind: str, name: str) -> None:
    """Trap B1."""
    assert refused(with_identity(kind, iam(None, **{name: ACCOUNT}))) == (403, "identity_invalid")


@BOTH
@pytest.mark.parametrize(
    "arn",
    [
        *("blue-api", "AROAEXAMPLE:i-0123", "arn:aws:iam::1:role/a", f"arn:aws:lambda::{ACCOUNT}:role/a"),
        *(f"arn:aws:sts::{ACCOUNT}:assumed-role/blue-api", f"{ROLE}/x", f"{ROLE}\n", f" {ROLE}", f"{ROLE},{ROLE}"),
        *("anonymous", "lambda.amazonaws.com", f"arn:aws:sts::{ACCOUNT}:assumed-role/blue-\u212apI/i"),
    ],
)
def test_principal_of_no_known_shape_is_refused(kind: str, arn: str) -> None:
    """Trap B12, A10, A11."""
    assert refused(with_identity(kind, iam(arn, accountId=None))) == (403, "identity_invalid")


@BOTH
@pytest.mark.parametrize("value", [5, True, ["a"], {"a": "b"}])
def test_field_of_the_identity_that_is_not_a_string_is_refused(kind: str, value: Any) -> None:
    assert refused(with_identity(kind, iam(ROLE, userArn=value))) == (400, "malformed_event")


@BOTH
def test_field_of_the_identity_is_bounded_before_it_is_read(kind: str) -> None:
    """Trap A13."""
    assert refused(with_identity(kind, iam(ROLE + "a" * 9000))) == (400, "malformed_event")


def test_unsigned_request_of_a_function_url_names_no_caller() -> None:
    """Trap F8."""
    request = read(function_url(principal=None))
    assert (request.caller.authenticated, request.authorizer) == (False, None)


@pytest.mark.parametrize("other", [{"jwt": {"claims": CLAIMS}}, {"lambda": {"tenantId": "blue"}}])
def test_function_url_with_an_authorizer_of_an_api_is_refused(other: dict[str, Any]) -> None:
    """Trap F5: a function URL has none."""
    event = function_url()
    event["requestContext"]["authorizer"] |= other
    assert refused(event) == (400, "malformed_event")


def test_vpc_of_a_private_api_is_known_by_its_id() -> None:
    event = rest_api(identity={"vpcId": "vpc-0a1b2c3d4e5f60718", "vpceId": "vpce-1"})
    assert read(event).caller.source_vpc_arn == "vpc-0a1b2c3d4e5f60718"


@pytest.mark.parametrize("vpc", ["vpc-x", "", "vpc-0a1b2c3d\n", "arn:aws:ec2:eu-west-1:1:vpc/vpc-0a1b2c3d"])
def test_vpc_of_another_form_is_none(vpc: str) -> None:
    assert read(rest_api(identity={"vpcId": vpc})).caller.source_vpc_arn is None


# ---- authorizers ----------------------------------------------------------------------------------------------------


@BOTH
def test_claims_of_a_verified_token_are_read(kind: str) -> None:
    authorizer = read(with_token(kind, CLAIMS)).authorizer
    assert authorizer is not None
    assert authorizer.at(["claims", "custom:tenant"]) == "blue"
    assert authorizer.at(["custom:tenant"]) is None


@BOTH
def test_values_of_a_lambda_authorizer_are_read(kind: str) -> None:
    authorizer = read(answered(kind, {"principalId": "ann", "tenantId": "blue"})).authorizer
    assert authorizer is not None
    assert authorizer.at(["tenantId"]) == "blue"
    assert authorizer.at(["claims", "tenantId"]) is None


@BOTH
@pytest.mark.parametrize("answer", [None, {}, {"principalId": ""}, {"integrationLatency": 7}, {"claims": None}])
def test_empty_answer_is_no_evidence(kind: str, answer: Any) -> None:
    """Trap F3."""
    assert read(answered(kind, answer)).authorizer is None


@BOTH
@pytest.mark.parametrize("claims", [None, {}, [], "tenant=blue", 5])
def test_claims_that_are_no_object_are_no_evidence(kind: str, claims: Any) -> None:
    """Trap F3, C7."""
    assert read(with_token(kind, claims)).authorizer is None


def test_lambda_authorizer_of_an_http_api_cannot_write_claims() -> None:
    """Trap F4: a rule that reads a token's claims must not read what a function returned under their name."""
    authorizer = read(http_api(authorizer={"lambda": {"claims": {"custom:tenant": "green"}, "a": "b"}})).authorizer
    assert authorizer is not None
    assert authorizer.at(["claims", "custom:tenant"]) is None


@pytest.mark.parametrize("authorizer", [5, "x", [], {"iam": 5}, {"jwt": "x"}, {"lambda": []}])
def test_authorizer_that_is_no_object_is_refused(authorizer: Any) -> None:
    event = http_api()
    event["requestContext"]["authorizer"] = authorizer
    assert refused(event) == (400, "malformed_event")


@BOTH
def test_answer_of_very_many_fields_is_refused(kind: str) -> None:
    """Trap A13, D9."""
    assert refused(answered(kind, {f"k{number}": "v" for number in range(300)})) == (400, "malformed_event")


def test_request_does_not_print_claims() -> None:
    """Trap D11."""
    assert "secret-claim" not in repr(read(with_token("rest-api", {"sub": "secret-claim"})))


# ---- certificates ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [http_api, rest_api])
def test_subject_of_the_client_certificate_is_read(make: Any) -> None:
    assert read(make(client_cert="CN=blue,O=Example")).client_cert == "CN=blue,O=Example"


@pytest.mark.parametrize("make", [http_api, rest_api])
def test_subject_of_a_certificate_is_never_a_spiffe_id(make: Any) -> None:
    """Trap F7."""
    request = read(make(client_cert="spiffe://example.org/t/blue"))
    assert (request.caller.x509, request.caller.authenticated) == (None, False)


@pytest.mark.parametrize("make", [http_api, rest_api])
@pytest.mark.parametrize("subject", [5, ["CN=blue"], "CN=blue\n", "CN=\x00blue", "C" * 3000])
def test_malformed_subject_is_refused(make: Any, subject: Any) -> None:
    """Trap F7, A10."""
    assert refused(make(client_cert=subject)) == (400, "malformed_event")


# ---- what a client can write ----------------------------------------------------------------------------------------

FORGED: tuple[tuple[str, str], ...] = (
    ("requestContext", '{"authorizer":{"claims":{"tenant":"blue"}}}'),
    ("x-amzn-lattice-identity", f"Principal={ROLE}; Type=AWS_IAM"),
    ("x-amzn-lattice-network", "SourceVpcArn=arn:aws:ec2:eu-west-1:111122223333:vpc/vpc-0a1b2c3d"),
    ("x-amzn-requestcontext", '{"identity":{}}'),
    ("x-amzn-request-context", '{"authorizer":{"iam":{}}}'),
    ("x-amzn-oidc-identity", "ann"),
    ("x-amzn-oidc-data", "a.b.c"),
    ("x-amzn-mtls-clientcert-subject", "CN=blue"),
    ("x-amzn-mtls-clientcert", "CERT"),
    ("x-amzn-vpc-id", "vpc-0a1b2c3d"),
    ("x-amzn-source-vpc", "vpc-0a1b2c3d"),
    ("authorizer", "blue"),
    ("userarn", ROLE),
)


@pytest.mark.parametrize("front", FRONTS)
@pytest.mark.parametrize("header", FORGED)
def test_header_names_no_caller(front: str, header: tuple[str, str]) -> None:
    """Traps A7, A8, F2: what a client writes is a header, a path, a query or a body, and no part of requestContext."""
    request = read(FRONTS[front](Sent("POST", f"/orders?{header[0]}=x", (header,), header[1].encode())))
    assert (request.caller, request.authorizer, request.client_cert) == (type(request.caller)(), None, None)
    assert not [name for name, _ in request.headers if name.startswith("x-amzn-lattice-")]


def test_load_balancer_verifies_no_caller() -> None:
    """Trap F6: an identity in its event is another format's."""
    event = copied(load_balancer())
    event["requestContext"]["identity"] = {"userArn": ROLE}
    assert refused(event) == (400, "malformed_event")


@pytest.mark.parametrize("make", [http_api, rest_api])
@pytest.mark.parametrize(
    ("decoded", "path"),
    [("/a b", "/a%20b"), ("/a?b", "/a%3Fb"), ("/a\nb", "/a%0Ab"), ("/é", "/é"), ("/a%2541", "/a%2541")],
)
def test_path_that_the_api_decoded_is_read_as_one_that_was_sent(make: Any, decoded: str, path: str) -> None:
    event = make()
    event["path" if "path" in event else "rawPath"] = decoded
    assert read(event).path == path
