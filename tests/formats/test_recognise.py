"""The formats that a bridge accepts: enabled, listed, and of one format only."""

from __future__ import annotations

from typing import Any

import pytest

from lattice_bridge import BridgeError, parse_event
from lattice_bridge.formats.recognise import Enabled, check_enabled, is_function_url, parse_any, receive
from tests.support.builders import v1, v2
from tests.support.fronts import (
    API,
    ENABLED,
    FRONTS,
    GROUP,
    URL_ID,
    Sent,
    copied,
    function_url,
    http_api,
    load_balancer,
    rest_api,
)

ALL = Enabled(apis=frozenset({API}), target_groups=frozenset({GROUP}), function_url=True)
EACH = pytest.mark.parametrize("front", FRONTS)


def refusal(event: Any, enabled: Enabled = ALL) -> BridgeError:
    with pytest.raises(BridgeError) as error:
        receive(event, enabled)
    return error.value


@EACH
def test_enabled_event_is_read(front: str) -> None:
    request = parse_event(FRONTS[front](Sent("POST", "/orders?a=1", (("x-one", "1"),), b"hi")), **ENABLED)
    assert (request.method, request.path, request.raw_query, request.body) == ("POST", "/orders", "a=1", b"hi")
    assert request.header("x-one") == "1"
    assert not request.caller.authenticated


@EACH
def test_event_that_is_not_enabled_is_refused(front: str) -> None:
    """Trap F1."""
    found = refusal(FRONTS[front](Sent()), Enabled())
    assert (found.status, found.reason) == (400, "not_enabled")


@EACH
def test_nothing_is_read_of_an_event_that_is_not_enabled(front: str) -> None:
    """Trap F1: it is refused before its own faults are found, and the refusal quotes nothing that a client sent."""
    event = FRONTS[front](Sent("GET\n", "no path", (("secret-name", "secret-value\n"),)))
    found = refusal(event, Enabled())
    assert found.reason == "not_enabled"
    assert not [text for text in ("GET", "no path", "secret") if text in found.detail]


@pytest.mark.parametrize(
    "event",
    [
        http_api(api="zzzzzzzzzz"),
        rest_api(api="zzzzzzzzzz"),
        load_balancer(group=GROUP[:-1] + "0"),
        http_api(api=""),
        http_api(api=API.upper()),
        http_api(api=f"{API}\n"),
        load_balancer(group=f"{GROUP}\n"),
        load_balancer(group=""),
    ],
)
def test_event_of_an_api_or_group_that_is_not_listed_is_refused(event: Any) -> None:
    """Trap F1, F5."""
    assert refusal(event).reason == "not_enabled"


@pytest.mark.parametrize("value", [None, 5, [API], {"id": API}])
def test_id_that_is_not_a_string_is_not_listed(value: Any) -> None:
    event = http_api()
    event["requestContext"]["apiId"] = value
    assert refusal(event).reason == "not_enabled"


def test_one_way_in_enables_no_other() -> None:
    """Trap F1."""
    assert refusal(http_api(), ALL._replace(apis=frozenset())).reason == "not_enabled"
    assert refusal(load_balancer(), ALL._replace(target_groups=frozenset())).reason == "not_enabled"
    assert refusal(function_url(), ALL._replace(function_url=False)).reason == "not_enabled"


def test_refusal_names_the_api_that_is_missing() -> None:
    assert API in refusal(http_api(), Enabled()).detail
    assert "zzz" not in refusal(http_api(api="zzz\x1b[2J"), Enabled()).detail


@pytest.mark.parametrize(
    ("domain", "api", "is_one"),
    [
        (f"{URL_ID}.lambda-url.eu-west-1.on.aws", URL_ID, True),
        (f"{URL_ID}.lambda-url.cn-north-1.on.amazonwebservices.com.cn", URL_ID, True),
        (f"{URL_ID}.lambda-url.eu-west-1.on.aws", API, False),
        (f"{URL_ID}.lambda-url.eu-west-1.on.aws.example.com", URL_ID, False),
        (f"{URL_ID}.lambda-url.example.com", URL_ID, False),
        (f"x.{URL_ID}.lambda-url.eu-west-1.on.aws", URL_ID, False),
        (f"{URL_ID}.lambda-url.eu-west-1.on.aws\n", URL_ID, False),
        (f"{API}.execute-api.eu-west-1.amazonaws.com", API, False),
        (None, None, False),
    ],
)
def test_function_url_is_known_by_a_domain_that_no_api_can_have(domain: Any, api: Any, *, is_one: bool) -> None:
    """Trap F5: the domain of an API can be any that its owner has."""
    assert is_function_url({"domainName": domain, "apiId": api}) is is_one


# ---- marks of two formats -------------------------------------------------------------------------------------------

MARKS = {
    "raw_path": "/orders",
    "query_string_parameters": {},
    "is_base64_encoded": False,
    "rawPath": "/orders",
    "rawQueryString": "",
    "cookies": ["a=1"],
    "httpMethod": "GET",
    "resource": "/orders",
    "multiValueHeaders": {},
    "multiValueQueryStringParameters": {},
    "methodArn": "arn",
    "routeArn": "arn",
}
IN_CONTEXT = {
    "serviceArn": "arn:aws:vpc-lattice:eu-west-1:111122223333:service/svc-1",
    "elb": {"targetGroupArn": GROUP},
    "http": {"method": "GET"},
    "identity": {"userArn": "arn:aws:sts::111122223333:assumed-role/blue-api/i"},
    "authorizer": {"claims": {"tenant": "blue"}},
    "authentication": {"clientCert": {"subjectDN": "CN=blue"}},
    "apiId": API,
}


@EACH
@pytest.mark.parametrize("mark", MARKS)
def test_event_with_a_mark_of_another_format_is_refused(front: str, mark: str) -> None:
    """Trap A9, F6."""
    event = copied(FRONTS[front](Sent("GET", "/orders", (("cookie", "a=1"),))))
    if mark not in event:
        assert refusal({**event, mark: MARKS[mark]}).status == 400


@EACH
@pytest.mark.parametrize("mark", IN_CONTEXT)
def test_context_with_a_field_of_another_format_is_refused(front: str, mark: str) -> None:
    """Trap A9, F6: such a field would name a caller that this service did not verify."""
    event = copied(FRONTS[front](Sent()))
    own = {"alb": {"elb"}, "alb-single-value": {"elb"}, "rest-api": {"authorizer", "authentication"}}
    if mark not in event["requestContext"] and mark not in own.get(front, {"authorizer", "authentication"}):
        event["requestContext"][mark] = IN_CONTEXT[mark]
        assert refusal(event).status == 400


@pytest.mark.parametrize("mark", [*MARKS, *IN_CONTEXT])
def test_lattice_event_with_a_mark_of_another_format_is_refused(mark: str) -> None:
    """Trap A9, F6: also if the other format is enabled."""
    for event in (v1(), v2()):
        if mark in IN_CONTEXT and mark not in event.get("requestContext", {}):
            event["requestContext"] = {**event.get("requestContext", {}), mark: IN_CONTEXT[mark]}
        elif mark in MARKS and mark not in event and not mark.endswith("Arn"):
            event[mark] = MARKS[mark]
        else:
            continue
        assert refusal(event).status == 400


@pytest.mark.parametrize("event", [None, [], "x", 5, {}, {"requestContext": None}, {"version": "2.0"}])
def test_what_is_no_event_is_refused(event: Any) -> None:
    assert refusal(event).reason == "not_lattice"


def test_lattice_is_accepted_beside_the_others() -> None:
    assert receive(v2(), ALL).source == receive(v1(), ALL).source == "lattice"


def test_tools_read_an_event_that_is_not_enabled() -> None:
    """`diff` compares two maps of which one may not enable it."""
    request = parse_any(http_api())
    assert request.api_id == API
    with pytest.raises(BridgeError, match="not_enabled"):
        check_enabled(request.event, Enabled())
