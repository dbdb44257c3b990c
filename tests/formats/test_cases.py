"""Every format in both directions: event ↔ Request, Response → reply → Response. The table is in `cases`."""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

import lattice_bridge
from lattice_bridge import BridgeError, Request, Response, parse_event
from lattice_bridge.formats import alb, apigateway_v1, apigateway_v2, lattice_v1, lattice_v2, reply
from lattice_bridge.formats.event import MAX_HEADER_BYTES, MAX_TARGET
from lattice_bridge.formats.payload import convert
from lattice_bridge.formats.recognise import format_of, parse_as
from lattice_bridge.message import Format
from lattice_bridge.testing.strategies import requests as sent_requests
from tests.formats.cases import (
    ALB_CASES,
    CASES,
    HTTP_CASES,
    REPLY_CASES,
    REST_CASES,
    SINGLE_VALUE_CASES,
    Case,
    ReplyCase,
)
from tests.frameworks import documented
from tests.frameworks.cases import CASES as FRAMEWORK_CASES

FORMATS: Final[tuple[Format, ...]] = get_args(Format)
NO_AUTHORIZER: Final[Mapping[str, str]] = {}


def name_of(case: Case | ReplyCase) -> str:
    return f"{case.format}: {case.name}" if isinstance(case, Case) else case.name


def write(request: Request) -> dict[str, Any]:
    match request.format:
        case "lattice-v1":
            return lattice_v1.write(request)
        case "lattice-v2":
            return lattice_v2.write(request)
        case "apigateway-v1":
            return apigateway_v1.write(request, NO_AUTHORIZER)
        case "apigateway-v2":
            return apigateway_v2.write(request, NO_AUTHORIZER)
        case "alb":
            return alb.write(request)


def render(form: Format, response: Response, method: str = "GET") -> reply.Reply:
    match form:
        case "apigateway-v1":
            return apigateway_v1.render(response, method)
        case "apigateway-v2":
            return apigateway_v2.render(response, method)
        case "alb":
            return alb.render(response, method)
    return reply.render(response, method)


# ---- events ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", [*CASES, *SINGLE_VALUE_CASES], ids=name_of)
def test_event_is_read_as_its_request(case: Case) -> None:
    assert parse_as(case.format, case.event) == case.request


@pytest.mark.parametrize("case", [case for case in CASES if case.written], ids=name_of)
def test_request_is_written_as_its_event(case: Case) -> None:
    assert write(case.request) == case.event


@pytest.mark.parametrize("case", SINGLE_VALUE_CASES, ids=name_of)
def test_request_is_written_with_one_value_for_each_name(case: Case) -> None:
    assert alb.write(case.request, multi_value=False) == case.event


@pytest.mark.parametrize("case", [*CASES, *SINGLE_VALUE_CASES], ids=name_of)
def test_event_has_the_marks_of_one_format(case: Case) -> None:
    assert format_of(case.event) == case.format
    for other in FORMATS:
        if other != case.format:
            with pytest.raises(BridgeError):
                parse_as(other, case.event)


@pytest.mark.parametrize("case", [*REST_CASES, *HTTP_CASES, *ALB_CASES, *SINGLE_VALUE_CASES], ids=name_of)
def test_bridge_refuses_events_of_other_services(case: Case) -> None:
    with pytest.raises(BridgeError, match="not_lattice"):
        parse_event(case.event)


@given(sent=sent_requests())
def test_lattice_request_survives_writing_and_reading(sent: Any) -> None:
    request = parse_event(sent.event)
    assert parse_event(json.loads(json.dumps(write(request)))) == request


@given(
    form=st.sampled_from([name for name in FORMATS if not name.startswith("lattice")]),
    sent=sent_requests(2),
)
def test_gateway_request_survives_writing_and_reading(form: Format, sent: Any) -> None:
    """A second reading gives what the first gave: the first one loses only what the format cannot express."""
    request = parse_as(form, convert(parse_event(sent.event), form, 1_763_683_200.0))
    assert parse_as(form, json.loads(json.dumps(write(request)))) == request


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("case", FRAMEWORK_CASES, ids=lambda case: case.id)
def test_documented_event_is_read(form: Format, case: Any) -> None:
    if form not in case.payloads:
        pytest.skip("the case is not for this format")
    request = parse_as(form, documented.event(case.request, "orders", form))
    path = f"/orders{case.request.target}".partition("?")[0]
    assert (request.format, request.method, request.path) == (form, case.request.method, path)
    assert request.body == (case.request.body or b"")
    assert not request.caller.authenticated


# ---- hostile events -------------------------------------------------------------------------------------------------

GATEWAYS: Final = [(case.format, case.event) for case in (REST_CASES[0], HTTP_CASES[0], ALB_CASES[0])]
REST, HTTP, ALB = (event for _, event in GATEWAYS)
CONTEXTS: Final = HTTP["requestContext"] | ALB["requestContext"]


def refusal(form: Format, event: object) -> BridgeError:
    with pytest.raises(BridgeError) as error:
        parse_as(form, event)
    assert error.value.status == 400
    return error.value


@pytest.mark.parametrize(
    ("form", "event"),
    [
        ("apigateway-v1", {**REST, "httpMethod": "delete"}),
        ("apigateway-v1", {**REST, "path": "orders"}),
        ("apigateway-v1", {**REST, "path": "/" + "a" * MAX_TARGET}),
        ("apigateway-v1", {**REST, "body": "a", "isBase64Encoded": True}),
        ("apigateway-v1", {**REST, "body": {}}),
        ("apigateway-v1", {**REST, "headers": {"host": "other"}}),
        ("apigateway-v1", {**REST, "headers": {**REST["headers"], "x-tenant-id": "blue"}}),
        (
            "apigateway-v1",
            {**REST, "queryStringParameters": {"a": "1"}, "multiValueQueryStringParameters": {"a": ["2"]}},
        ),
        ("apigateway-v1", {**REST, "multiValueQueryStringParameters": {"a": [1]}}),
        ("apigateway-v1", {**REST, "rawPath": "/orders"}),
        ("apigateway-v1", {**REST, "cookies": []}),
        ("apigateway-v1", {**REST, "raw_path": "/orders"}),
        ("apigateway-v1", {**REST, "version": "2.0"}),
        (
            "apigateway-v1",
            {**REST, "multiValueHeaders": None, "headers": {f"x-{number}": "1" for number in range(101)}},
        ),
        ("apigateway-v1", {**REST, "multiValueHeaders": None, "headers": {"x": "a\r\nb"}}),
        ("apigateway-v1", {**REST, "multiValueHeaders": None, "headers": {"x": "a" * MAX_HEADER_BYTES}}),
        ("apigateway-v2", {**HTTP, "rawQueryString": "a b"}),
        ("apigateway-v2", {**HTTP, "rawQueryString": 1}),
        ("apigateway-v2", {**HTTP, "rawQueryString": "a" * (MAX_TARGET + 1)}),
        ("apigateway-v2", {**HTTP, "cookies": "a=1"}),
        ("apigateway-v2", {**HTTP, "cookies": [1]}),
        ("apigateway-v2", {**HTTP, "cookies": ["a\nb"]}),
        ("apigateway-v2", {**HTTP, "cookies": ["a" * 5000, "b" * 5000]}),
        ("apigateway-v2", {**HTTP, "cookies": ["a=1"], "headers": {"cookie": "a=2"}}),
        ("apigateway-v2", {**HTTP, "httpMethod": "GET"}),
        ("apigateway-v2", {**HTTP, "multiValueHeaders": {}}),
        ("apigateway-v2", {**HTTP, "isBase64Encoded": "true"}),
        ("apigateway-v2", {**HTTP, "requestContext": {**HTTP["requestContext"], "http": {}}}),
        ("alb", {**ALB, "headers": {}}),
        ("alb", {**ALB, "queryStringParameters": {}}),
        ("alb", {**ALB, "multiValueQueryStringParameters": {"a": ["1&x-tenant-id=green"]}}),
        ("alb", {**ALB, "multiValueQueryStringParameters": {"a=1&b": ["2"]}}),
        ("alb", {**ALB, "multiValueQueryStringParameters": {"a": ["b c"]}}),
        ("alb", {**ALB, "resource": "/"}),
        ("alb", {**ALB, "rawPath": "/"}),
        ("alb", {**ALB, "path": None}),
        *((form, []) for form in FORMATS),
        *((form, {}) for form in FORMATS),
    ],
)
def test_malformed_event_is_refused(form: Format, event: object) -> None:
    assert refusal(form, event).reason in {"malformed_event", "malformed_header", "header_repeated", "not_lattice"}


@pytest.mark.parametrize(("form", "event"), GATEWAYS)
def test_all_faults_of_an_event_are_reported(form: Format, event: dict[str, Any]) -> None:
    path = "rawPath" if form == "apigateway-v2" else "path"
    found = refusal(form, {**event, path: 1, "body": 1})
    assert path in found.detail
    assert "body" in found.detail


@pytest.mark.parametrize(("form", "event"), GATEWAYS)
def test_repeated_tenant_header_of_a_gateway_stays_repeated(form: Format, event: dict[str, Any]) -> None:
    """Trap A3: both values are kept, so that the decision refuses them."""
    field = "headers" if form == "apigateway-v2" else "multiValueHeaders"
    headers = {**event[field], "X-Tenant-Id": "blue", "x-tenant-id": "green"}
    last = {name: value if isinstance(value, str) else value[-1] for name, value in headers.items()}
    single = {"headers": last} if form == "apigateway-v1" else {}
    request = parse_as(form, {**event, field: headers, **single})
    assert [value for name, value in request.headers if name == "x-tenant-id"] == ["blue", "green"]


@pytest.mark.parametrize("event", [None, 1, "x", [], {}, {**REST, **ALB}, {**HTTP, **ALB, "requestContext": CONTEXTS}])
def test_event_with_no_marks_or_those_of_two_formats_has_no_format(event: object) -> None:
    """An event with marks of two formats is read as neither."""
    assert format_of(event) is None


# ---- replies --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("case", REPLY_CASES, ids=name_of)
def test_response_is_written_as_its_reply(form: Format, case: ReplyCase) -> None:
    assert render(form, case.response) == case.replies[form]


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("case", REPLY_CASES, ids=name_of)
def test_reply_is_read_as_its_response(form: Format, case: ReplyCase) -> None:
    assert reply.decode(json.dumps(case.replies[form]).encode()) == case.response


def test_reply_to_a_load_balancer_has_the_kind_of_headers_of_the_event() -> None:
    assert alb.is_multi_value(ALB)
    assert not alb.is_multi_value(SINGLE_VALUE_CASES[0].event)
    response = Response(200, (("x-a", "1"), ("x-a", "2"), ("set-cookie", "a=1")), b"x")
    single = alb.render(response, "GET", multi_value=False)
    assert single["headers"] == {"x-a": "1, 2", "content-type": "text/plain; charset=utf-8", "set-cookie": "a=1"}
    assert "multiValueHeaders" not in single


def test_several_cookies_without_multi_value_headers_are_refused() -> None:
    response = Response(200, (("set-cookie", "a=1"), ("set-cookie", "b=2")))
    with pytest.raises(BridgeError, match="multi_value_headers"):
        alb.render(response, "GET", multi_value=False)


def test_reply_over_the_limit_of_a_load_balancer_is_refused() -> None:
    response = Response(200, (("content-type", "text/plain"),), b"x" * (1024 * 1024))
    with pytest.raises(BridgeError, match="reply_too_large"):
        alb.render(response, "GET")
    assert apigateway_v2.render(response, "GET")["body"]


@pytest.mark.parametrize("status", [200, 418, 599])
def test_status_description_has_the_phrase_if_there_is_one(status: int) -> None:
    phrases = {200: "200 OK", 418: "418", 599: "599"}
    assert alb.render(Response(status), "GET")["statusDescription"] == phrases[status]


# ---- one place for each name ----------------------------------------------------------------------------------------

FOLDERS: Final = ("formats", "local", "testing")
NAMES: Final = {
    *lattice_v1.MARKS,
    lattice_v1.REQUEST_ID,
    *lattice_v2.MARKS,
    lattice_v2.REQUEST_ID,
    *(lattice_v2.NETWORK_ARN, lattice_v2.SERVICE_ARN, lattice_v2.TARGET_GROUP_ARN, lattice_v2.TIME),
    *(name for name in lattice_v2.IDENTITY_FIELDS.values() if name not in ("type", "principal")),
    *(name for name in lattice_v1.IDENTITY_FIELDS.values() if name not in ("Type", "Principal")),
    *(apigateway_v2.PATH, apigateway_v2.RAW_QUERY, apigateway_v1.METHOD, *alb.MARKS),
}
ALLOWED: Final = {
    "formats/recognise.py": "the marks of other services with which a Lattice event is refused",
    "formats/authorizer.py": "the marks of other events with which an authorizer's is refused, and an id to log",
    "formats/reply.py": "the fields of a reply, and of a problem's body",
    "testing/replies.py": "the fields of a reply",
    "testing/strategies/replies.py": "replies as frameworks write them",
    "local/web/server.py": "`raw_path` of ASGI",
    "local/plan/readers/function_url.py": "`PrincipalOrgID` of AWS::Lambda::Permission",
    "local/environments/runtime_api.py": "`request_id` in a route of Starlette",
    "local/environments/external.py": "`requestId` of an error that Lambda reports",
    "local/plan/readers/rest_api.py": "`httpMethod` of an integration",
    "local/aws/async_invokes.py": "`requestContext` of the record of an asynchronous invocation",
    "local/json_lines.py": "`requestId` in the stack's own log",
    "local/sources/discarded_records.py": "`requestContext` of the message about discarded records",
    "local/terminal_lines.py": "`requestId` of the bridge's log line",
    "local/bridge/log_lines.py": "`requestId` of the bridge's log line",
    "local/inspector/capture.py": "`requestId` of the bridge's log line",
    "local/inspector/entry.py": "names of an entry's own attributes",
    "local/inspector/logged.py": "`requestId` of the bridge's log line",
    "local/inspector/from_file.py": "`requestId` of the bridge's log line",
    "testing/builders.py": "`request_id` is an option of lattice_event",
}
"""Files in which the same string means something else."""


def test_field_name_of_an_event_occurs_once_and_in_a_format_file() -> None:
    package = Path(lattice_bridge.__file__).parent
    modules = {f"formats/{name.replace('-', '_')}.py" for name in FORMATS}
    found: dict[tuple[str, str], int] = {}
    for path in (path for folder in FOLDERS for path in sorted((package / folder).rglob("*.py"))):
        file = path.relative_to(package).as_posix()
        for node in ast.walk(ast.parse(path.read_bytes())):
            if isinstance(node, ast.Constant) and node.value in NAMES and isinstance(node.value, str):
                found[file, node.value] = found.get((file, node.value), 0) + 1
    assert {file for file, _ in found} - set(ALLOWED) <= modules
    assert {place: count for place, count in found.items() if count > 1 and place[0] not in ALLOWED} == {}
