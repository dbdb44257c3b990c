"""The event of a Lambda authorizer and its answer: what is read, what is refused, and what an answer contains."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from typing import Any, Final

import pytest

from lattice_bridge.errors import BadRequest
from lattice_bridge.formats import authorizer as form
from lattice_bridge.message import Request
from tests.support.authorizer_events import API, FORMS, STAGE_ARN, http_1, http_2, rest, with_context

Make = Callable[..., dict[str, Any]]
HEADERS: Final = {"Authorization": "Bearer t", "X-Tenant-Id": "blue"}

APIS: Final = frozenset({API})

every_form = pytest.mark.parametrize("make", FORMS, ids=lambda make: make.__name__)


def read(event: object) -> Request:
    return form.parse(event, APIS)


def refusal(event: object) -> str:
    with pytest.raises(BadRequest) as caught:
        read(event)
    return caught.value.detail


def arn_field(event: dict[str, Any]) -> str:
    return "routeArn" if "routeArn" in event else "methodArn"


@every_form
def test_request_has_the_headers_method_and_api_of_the_event(make: Make) -> None:
    request = read(make(HEADERS))
    assert (request.method, request.api_id, request.source) == ("GET", API, "apigateway")
    assert request.path.endswith("/orders/7")
    assert (request.header("authorization"), request.header("x-tenant-id")) == ("Bearer t", "blue")


@every_form
def test_principal_in_an_authorizers_event_is_not_read(make: Make) -> None:
    """Trap F5: API Gateway verifies no IAM principal before a Lambda authorizer, so only a direct Invoke has one."""
    identity = {"userArn": "arn:aws:sts::111122223333:assumed-role/blue-api/i-1", "accountId": "111122223333"}
    field = "authentication" if make is http_2 else "identity"
    assert not read(with_context(make(), **{field: identity})).caller.authenticated


@every_form
def test_certificate_of_the_client_is_evidence(make: Make) -> None:
    certificate = {"clientCert": {"subjectDN": "CN=blue", "issuerDN": "CN=ca"}}
    fields = {"authentication": certificate} if make is http_2 else {"identity": certificate}
    assert read(with_context(make(), **fields)).client_cert == "CN=blue"
    assert read(make({"clientCert": "CN=blue"})).client_cert is None


def test_vpc_of_a_private_api_is_evidence_and_its_principal_is_not() -> None:
    identity = {"vpcId": "vpc-0a1b2c3d4e5f60718", "userArn": "arn:aws:iam::111122223333:user/ann"}
    caller = read(with_context(rest(), identity=identity)).caller
    assert (caller.source_vpc_arn, caller.iam) == ("vpc-0a1b2c3d4e5f60718", None)


@pytest.mark.parametrize("fields", [{"authorizer": {"tenantId": "blue"}}, {"authorizer": None}])
@every_form
def test_result_of_an_authorizer_before_it_has_run_is_refused(make: Make, fields: dict[str, Any]) -> None:
    """Trap F5."""
    assert refusal(with_context(make(), **fields)).startswith("requestContext.authorizer is there before")


@every_form
def test_repeated_header_is_seen(make: Make) -> None:
    """Trap A3: with payload format 2.0 the values are joined, and no tenant id contains a comma."""
    request = read(make({"X-Tenant-Id": ["blue", "green"]}))
    values = [value for name, value in request.headers if name == "x-tenant-id"]
    assert values == (["blue,green"] if make is http_2 else ["blue", "green"])


@pytest.mark.parametrize("make", [rest, http_1])
def test_maps_of_headers_that_disagree_are_refused(make: Make) -> None:
    """Trap A3."""
    assert refusal(make(headers={"X-Tenant-Id": "blue"}, multiValueHeaders={"X-Tenant-Id": ["green"]}))


@every_form
def test_lattice_header_of_a_client_is_dropped_unread(make: Make) -> None:
    """Trap A7."""
    request = read(make({"x-amzn-lattice-identity": "Principal=arn:aws:iam::111122223333:role/a; Type=AWS_IAM"}))
    assert [name for name, _ in request.headers] == ["host"]


@every_form
def test_arn_of_another_api_is_refused(make: Make) -> None:
    """Trap F5: the two places where API Gateway writes the API must agree."""
    event = make()
    other = event[arn_field(event)].replace(API, "z9y8x7w6v5")
    assert refusal({**event, arn_field(event): other}) == (
        "an event of the API z9y8x7w6v5, which is not in [apigateway] apis"
    )
    for api in ("z9y8x7w6v5", None, [API], ""):
        assert refusal(with_context(event, apiId=api)) == "requestContext.apiId is not the API of methodArn or routeArn"


@every_form
def test_nothing_is_read_from_the_event_of_an_api_that_is_not_listed(make: Make) -> None:
    """Trap F1."""
    with pytest.raises(BadRequest) as caught:
        form.parse(make({"x-a": "\x00"}, requestContext=7), frozenset())
    assert caught.value.reason == "not_enabled"


@pytest.mark.parametrize(
    "arn",
    [
        *(None, 7, "", "x" * 70_000, f"{STAGE_ARN}", f"{STAGE_ARN}\n/GET/orders"),
        *(f"arn:aws:execute-api:eu-west-1:111122223333:{API}/*/GET/", f"arn:aws:lambda:eu-west-1:1:{API}/prod/GET/"),
        f"arn:aws:execute-api:eu-west-1:111122223333:*/{API}/prod/GET/",
    ],
)
@every_form
def test_malformed_arn_is_refused(make: Make, arn: object) -> None:
    event = make()
    assert refusal({**event, arn_field(event): arn})


def test_type_token_is_refused_with_its_fix() -> None:
    event = {"type": "TOKEN", "authorizationToken": "Bearer t", "methodArn": f"{STAGE_ARN}/GET/orders"}
    assert refusal(event) == (
        "the authorizer is of type TOKEN, whose events contain one header and no others. "
        "Fix: make an authorizer of type REQUEST"
    )


@pytest.mark.parametrize("kind", [None, "", "request", "AWS_IAM", 7, ["REQUEST"]])
@every_form
def test_other_type_is_refused(make: Make, kind: object) -> None:
    """Trap F1."""
    assert "whose type is not REQUEST" in refusal(make(type=kind))


@pytest.mark.parametrize("field", ["rawPath", "cookies", "routeArn", "routeKey", "raw_path", "method"])
@pytest.mark.parametrize("make", [rest, http_1])
def test_mark_of_another_event_beside_format_1_is_refused(make: Make, field: str) -> None:
    """Trap F6."""
    assert refusal(make(**{field: f"{STAGE_ARN}/GET/orders"}))


@pytest.mark.parametrize("field", ["methodArn", "httpMethod", "resource", "multiValueHeaders", "raw_path", "method"])
def test_mark_of_another_event_beside_format_2_is_refused(field: str) -> None:
    """Trap F6."""
    assert "which it never has" in refusal(http_2({}, **{field: f"{STAGE_ARN}/GET/orders"}))


@every_form
@pytest.mark.parametrize("field", ["elb", "serviceArn", "http", "identity"])
def test_context_with_a_field_of_another_event_is_refused(make: Make, field: str) -> None:
    """Trap F6, D5: as in an event for the bridge."""
    own = {"http"} if make is http_2 else {"identity"}
    if field not in own:
        assert f"with {field} in requestContext" in refusal(with_context(make(), **{field: {"a": "b"}}))


@pytest.mark.parametrize("event", [None, [], "x", {}, {"type": "REQUEST"}, {"type": "REQUEST", "methodArn": "x"}])
def test_anything_else_is_refused(event: object) -> None:
    """Trap F1."""
    assert refusal(event)


@every_form
def test_event_with_a_field_of_another_type_is_read_or_refused(make: Make) -> None:
    """Trap D13: any other exception would be a bug, whose text may quote the request."""
    event = make()
    for field in event:
        values: tuple[object, ...] = (None, 7, [], {}, {"a": {}}, "\x00", True)
        for value in values:
            with contextlib.suppress(BadRequest):
                assert read({**event, field: value}).api_id == API


# ---- answers --------------------------------------------------------------------------------------------------------


@every_form
def test_policy_allows_every_method_of_the_stage_and_nothing_else(make: Make) -> None:
    """Trap D8: API Gateway applies a cached policy to other methods, and the decision depends on none of them."""
    answer = form.allow(read(make()), "blue")
    assert answer == {
        "principalId": "blue",
        "policyDocument": {
            "Version": "2012-10-17",
            "Statement": [{"Action": "execute-api:Invoke", "Effect": "Allow", "Resource": f"{STAGE_ARN}/*"}],
        },
        "context": {"tenantId": "blue"},
    }


@pytest.mark.parametrize("path", ["*", "a/*/b", "?", "${aws:username}", "x" * 1500, "a:b", "../../other/GET"])
@every_form
def test_path_of_the_client_is_no_part_of_the_policy(make: Make, path: str) -> None:
    """Trap F2: `*` in a path is a pattern in a policy, and API Gateway refuses a Resource of over 512 characters."""
    event = make()
    answer = form.allow(read({**event, arn_field(event): f"{STAGE_ARN}/GET/{path}"}), "blue")
    assert answer["policyDocument"]["Statement"][0]["Resource"] == f"{STAGE_ARN}/*"


def test_default_stage_and_default_route_have_a_policy() -> None:
    arn = STAGE_ARN.replace("prod", "$default")
    answer = form.allow(read(http_2(routeArn=f"{arn}/$default")), "blue")
    assert answer["policyDocument"]["Statement"][0]["Resource"] == f"{arn}/*"


def test_simple_response_has_the_tenant_only_if_it_is_allowed() -> None:
    assert form.allow(read(http_2()), "blue", simple=True) == {
        "isAuthorized": True,
        "context": {"tenantId": "blue"},
    }
    assert form.deny(simple=True) == {"isAuthorized": False}


def test_refusal_names_no_tenant_no_caller_and_no_reason() -> None:
    """Trap D12."""
    answer = form.deny()
    assert "context" not in answer
    assert answer["principalId"] == "refused"
    (statement,) = answer["policyDocument"]["Statement"]
    assert (statement["Effect"], statement["Resource"]) == ("Deny", "*")


@pytest.mark.parametrize(
    ("event", "setting", "expected"),
    [
        *((http_2(), text, True) for text in ("true", "True", "1")),
        *((http_2(), text, False) for text in (None, "", "false", "0", "no")),
        *((event, "true", False) for event in (rest(), http_1(), {}, None)),
    ],
)
def test_only_format_2_has_simple_responses(event: object, setting: str | None, expected: bool) -> None:
    assert form.is_simple(event, setting) is expected


def test_answers_are_json() -> None:
    for answer in (form.deny(), form.deny(simple=True), form.allow(read(rest()), "blue")):
        assert json.loads(json.dumps(answer)) == answer
