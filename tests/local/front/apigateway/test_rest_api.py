"""REST APIs of API Gateway: routing, events, parameter mapping, replies, and requests that are refused."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any, Final

import pytest

from lattice_bridge import parse_event
from lattice_bridge.errors import BadRequest
from lattice_bridge.local.aws.invoke_checks import LambdaError
from lattice_bridge.local.environments.environment import InvocationResult
from lattice_bridge.local.front.exchange.recorder import Recorder
from tests.support.rest import STAGE, Gateway, api, tenant_from, to, write

MISSING: Final = {"message": "Missing Authentication Token"}
PROXY: Final = {"/{proxy+}": {"x-amazon-apigateway-any-method": to("orders")}}


def gateway(folder: Path, paths: dict[str, Any], answer: Any = None, **more: Any) -> Gateway:
    made = Gateway(write(folder, api(paths, **more)))
    if answer is not None:
        made.functions["orders"] = answer if callable(answer) else lambda _: answer
    return made


# ---- routing --------------------------------------------------------------------------------------------------------

TREE: Final = {
    "/": {"get": to("orders")},
    "/test": {"post": to("orders"), "get": to("orders")},
    "/test/any": {"x-amazon-apigateway-any-method": to("orders")},
    "/orders/{id}": {"get": to("orders"), "x-amazon-apigateway-any-method": to("orders")},
    "/orders/new": {"get": to("orders")},
    "/files/{path+}": {"get": to("orders")},
    "/{proxy+}": {"options": to("orders")},
}


@pytest.mark.parametrize(
    ("request_line", "resource", "parameters"),
    [
        ("GET /prod", "/", None),
        ("GET /prod/", "/", None),
        ("GET //prod/test", "/test", None),
        ("GET /prod/test/", "/test", None),
        ("OPTIONS /prod/test", "/{proxy+}", {"proxy": "test"}),  # recorded on AWS: POST alone does not end the search
        ("OPTIONS /prod/test/any", "/test/any", None),
        ("GET /prod/orders/new", "/orders/new", None),
        ("GET /prod/orders/7", "/orders/{id}", {"id": "7"}),
        ("DELETE /prod/orders/7", "/orders/{id}", {"id": "7"}),
        ("DELETE /prod/orders/new", "/orders/{id}", {"id": "new"}),
        ("GET /prod/files/a/b.txt", "/files/{path+}", {"path": "a/b.txt"}),
        ("GET /prod//", "/", None),
        ("GET /prod/files/a//b", "/files/{path+}", {"path": "a//b"}),
        ("GET /prod/orders/a%2Fb%20c", "/orders/{id}", {"id": "a%2Fb%20c"}),  # as sent
        ("GET /prod/files/../orders", "/files/{path+}", {"path": "../orders"}),
    ],
)
def test_most_specific_method_serves_a_request(
    request_line: str, resource: str, parameters: dict[str, str] | None, tmp_path: Path
) -> None:
    made = gateway(tmp_path, TREE)
    method, target = request_line.split()
    assert made.get(target, method=method).status == 200
    (event,) = made.events("orders")
    assert (event["resource"], event["pathParameters"]) == (resource, parameters)


@pytest.mark.parametrize(
    "request_line",
    [
        "PUT /prod/test",
        "GET /prod/files",
        "GET /prod/files/",
        "GET /prod/nowhere",
        "GET /prod/orders//x",
        "GET /prod//test",
        "GET /prod/test//",
        "GET /prod//orders/new",
        "GET /prod/orders/7/8",
        "GET /prod/%6frders/7",
        "GET /prod/../prod/orders/7",
        "get /prod/test",
    ],
)
def test_request_without_a_method_gets_what_aws_sends_and_a_cause_for_people(request_line: str, tmp_path: Path) -> None:
    made = gateway(tmp_path, TREE)
    method, target = request_line.split()
    answer = made.get(target, method=method)
    assert (answer.status, answer.json()) == (403, MISSING)
    assert answer.header("x-amzn-errortype") == "MissingAuthenticationTokenException"
    assert answer.header("content-type") == "application/json"
    assert len(answer.header("x-amz-apigw-id") or "") == 16
    assert answer.cause.startswith(f"the API Api has no method {method} ")
    assert made.invoked == []


def test_cause_names_the_methods_of_the_path_or_all(tmp_path: Path) -> None:
    made = gateway(tmp_path, {"/a": {"get": to("orders")}, "/b": {"post": to("orders")}})
    assert made.get("/prod/b").cause == "the API Api has no method GET '/b' in the stage prod; there are POST /b"
    assert made.get("/prod/c").cause.endswith("there are GET /a, POST /b")


@pytest.mark.parametrize("target", ["/", "/test", "/PROD/test", "/prod%2Ftest", "/prod;/test", "/../prod/test"])
def test_stage_is_compared_exactly(target: str, tmp_path: Path) -> None:
    answer = gateway(tmp_path, TREE).get(target)
    assert (answer.status, answer.json()) == (403, {"message": "Forbidden"})
    assert answer.header("x-amzn-errortype") == "ForbiddenException"
    assert "; it has /prod. Fix: begin the path with the stage" in answer.cause


DOMAIN: Final = """
  Domain: {Type: "AWS::ApiGateway::DomainName", Properties: {DomainName: api.example.com}}
  V1:
    Type: AWS::ApiGateway::BasePathMapping
    Properties: {RestApiId: !Ref Api, DomainName: !Ref Domain, BasePath: v1, Stage: !Ref Stage}
  Staged:
    Type: AWS::ApiGateway::BasePathMapping
    Properties: {RestApiId: !Ref Api, DomainName: !Ref Domain, BasePath: staged}
"""


def test_base_path_of_a_domain_replaces_the_stage(tmp_path: Path) -> None:
    made = gateway(tmp_path, PROXY, more=DOMAIN)
    for host in ("api.example.com", "api.example.com.localhost:8080", "api.example.com."):
        assert made.get("/v1/a", host=host).status == 200
        event = made.events("orders")[-1]
        assert (event["path"], event["requestContext"]["path"], event["requestContext"]["stage"]) == (
            "/a",
            "/v1/a",
            "prod",
        )
        assert event["requestContext"]["domainName"] == host.partition(":")[0]
    assert made.get("/staged/prod/a", host="api.example.com").status == 200
    refused = made.get("/v10/a", host="api.example.com")
    assert (refused.status, refused.cause) == (
        403,
        "the domain api.example.com has no base path for '/v10/a'; it has /v1, /staged",
    )
    assert made.get("/prod/a", host="api.example.com.").status == 403, "a dot at the end leads to no other stage"
    assert made.get("/prod/a").status == 200, "the API's own host names still need the stage"


# ---- the event ------------------------------------------------------------------------------------------------------


def test_event_has_the_fields_that_aws_was_recorded_with(tmp_path: Path) -> None:
    made = gateway(tmp_path, PROXY)
    target = "/prod/path/test%2Balias@x.com/?q=a+b&q=%2B&price=10"
    assert made.get(target, {"tEsT-HEADeR": "aValUE", "user-agent": "curl/8"}).status == 200
    (event,) = made.events("orders")
    assert list(event) == [
        *("resource", "path", "httpMethod", "headers", "multiValueHeaders", "queryStringParameters"),
        *("multiValueQueryStringParameters", "pathParameters", "stageVariables", "requestContext", "body"),
        "isBase64Encoded",
    ]
    assert (event["path"], event["pathParameters"]) == (
        "/path/test%2Balias@x.com/",
        {"proxy": "path/test%2Balias@x.com"},
    )
    assert event["queryStringParameters"] == {"q": "+", "price": "10"}
    assert event["multiValueQueryStringParameters"] == {"q": ["a b", "+"], "price": ["10"]}
    assert event["stageVariables"] == {"alias": "live", "who": "blue"}
    assert (event["body"], event["isBase64Encoded"]) == (None, False)
    headers = event["headers"]
    assert (headers["tEsT-HEADeR"], headers["Host"], headers["User-Agent"]) == ("aValUE", "localhost:8080", "curl/8")
    assert (headers["X-Forwarded-For"], headers["X-Forwarded-Port"]) == ("127.0.0.1", "8080")
    assert headers["X-Amzn-Trace-Id"].startswith("Root=1-")
    assert event["multiValueHeaders"]["tEsT-HEADeR"] == ["aValUE"]
    context = event["requestContext"]
    assert (context["path"], context["stage"], context["resourcePath"]) == (
        target.partition("?")[0],
        "prod",
        "/{proxy+}",
    )
    assert (context["accountId"], context["protocol"], context["httpMethod"]) == ("123456789012", "HTTP/1.1", "GET")
    assert context["apiId"] == made.plan.rest_apis[0].id
    assert (context["domainName"], context["domainPrefix"]) == ("localhost", "localhost")
    assert (context["identity"]["sourceIp"], context["identity"]["userAgent"]) == ("127.0.0.1", "curl/8")
    assert context["identity"]["userArn"] is None
    assert "authorizer" not in context
    assert context["requestId"] == made.requests[0].id


def test_two_spellings_of_a_header_are_one_name_with_both_values(tmp_path: Path) -> None:
    """Trap A5: a reader of one spelling does not see another value than a reader of the other."""
    made = gateway(tmp_path, PROXY)
    made.get("/prod/a", [("X-Tenant-Id", "green"), ("x-tenant-id", "blue")])
    (event,) = made.events("orders")
    assert event["multiValueHeaders"]["X-Tenant-Id"] == ["green", "blue"]
    assert [name for name in event["headers"] if name.lower() == "x-tenant-id"] == ["X-Tenant-Id"]
    with pytest.raises(BadRequest, match="x-tenant-id occurs 2 times"):
        parse_event(event, apis=[event["requestContext"]["apiId"]]).header("x-tenant-id")


def test_bridge_accepts_the_event_of_a_listed_api_only(tmp_path: Path) -> None:
    """Trap F1: the id in the event has to be one that the bridge lists."""
    made = gateway(tmp_path, PROXY)
    made.get("/prod/a%2Fb?x=1")
    (event,) = made.events("orders")
    parsed = parse_event(event, apis=[event["requestContext"]["apiId"]])
    assert (parsed.path, parsed.raw_query, parsed.caller.authenticated) == ("/a%2Fb", "x=1", False)
    with pytest.raises(BadRequest):
        parse_event(event, apis=["a1b2c3d4e5"])


@pytest.mark.parametrize(
    ("content_type", "body", "found"),
    [
        ("application/json", b"{}", ("{}", False)),
        ("text/plain", b"\xff", ("�", False)),  # not a binary media type: the bytes are lost, as on AWS
        ("image/png", b"\xff", ("/w==", True)),
        ("application/x-a; q=1", b"a", ("YQ==", True)),
    ],
)
def test_body_is_base64_for_a_binary_media_type(
    content_type: str, body: bytes, found: tuple[str, bool], tmp_path: Path
) -> None:
    made = gateway(tmp_path, PROXY, properties='BinaryMediaTypes: ["image~1*", "application/x-a"], ')
    made.get("/prod/a", {"content-type": content_type}, method="POST", body=body)
    (event,) = made.events("orders")
    assert (event["body"], event["isBase64Encoded"]) == found


def test_client_cannot_write_what_api_gateway_writes(tmp_path: Path) -> None:
    """Trap F5: no header, query parameter or body of a client becomes a part of requestContext."""
    made = gateway(tmp_path, PROXY)
    forged = {"requestContext": {"authorizer": {"tenantId": "green"}}, "stageVariables": {"who": "green"}}
    headers = {
        "requestContext": json.dumps(forged),
        "x-amzn-trace-id": "Root=1-forged",
        "x-forwarded-for": "10.0.0.1",
        "X-Forwarded-Proto": "https",
        "connection": "x-tenant-id",
    }
    made.get(
        "/prod/a?requestContext[authorizer][tenantId]=green", headers, method="POST", body=json.dumps(forged).encode()
    )
    (event,) = made.events("orders")
    assert "authorizer" not in event["requestContext"]
    assert event["stageVariables"]["who"] == "blue"
    assert event["headers"]["X-Forwarded-For"] == "10.0.0.1, 127.0.0.1"
    assert event["requestContext"]["identity"]["sourceIp"] == "127.0.0.1"
    assert event["headers"]["X-Forwarded-Proto"] == "http"
    assert event["multiValueHeaders"]["X-Amzn-Trace-Id"] != ["Root=1-forged"]
    assert "connection" not in {name.lower() for name in event["headers"]}


# ---- the tenant id --------------------------------------------------------------------------------------------------


def isolated(expression: str, **parameters: Any) -> dict[str, Any]:
    return {**to("isolated", requestParameters=tenant_from(expression)), **parameters}


@pytest.mark.parametrize(
    ("expression", "tenant"),
    [
        ("method.request.header.x-tenant-id", "from-header"),
        ("method.request.header.X-Tenant-Id", "from-header"),
        ("method.request.multivalueheader.x-tenant-id", "from-header"),
        ("method.request.querystring.tenant", "from-query"),
        ("method.request.path.tenant", "from-path"),
        ("stageVariables.who", "blue"),
        ("'literal'", "literal"),
        ("context.identity.sourceIp", "127.0.0.1"),
        ("context.stage", "prod"),
    ],
)
def test_tenant_id_of_the_invocation_is_the_mapped_value(expression: str, tenant: str, tmp_path: Path) -> None:
    made = gateway(tmp_path, {"/{tenant}/x": {"get": isolated(expression)}})
    answer = made.get("/prod/from-path/x?tenant=from-query", {"X-Tenant-ID": "from-header"})
    assert answer.status == 200
    assert [one.tenant for one in made.invoked] == [tenant]
    assert answer.request.tenant == tenant
    (route,) = made.plan.rest_apis[0].routes
    assert route.tenant


def test_header_of_the_client_does_not_replace_the_mapped_tenant(tmp_path: Path) -> None:
    """Trap F2: a client's X-Amz-Tenant-Id is a header like any other."""
    made = gateway(tmp_path, {"/x": {"get": isolated("stageVariables.who")}, "/y": {"get": to("isolated")}})
    for name in ("X-Amz-Tenant-Id", "x_amz_tenant_id", "x-amzn-tenant-id"):
        assert made.get("/prod/x", {name: "green"}).status == 200
        assert made.get("/prod/y", {name: "green"}).status == 500, "without a mapping there is no tenant"
    assert [one.tenant for one in made.invoked] == ["blue"] * 3


def test_last_value_of_a_repeated_header_is_mapped_and_all_with_multivalue(tmp_path: Path) -> None:
    paths = {
        "/x": {"get": isolated("method.request.header.t")},
        "/y": {"get": isolated("method.request.multivalueheader.t")},
    }
    made = gateway(tmp_path, paths)
    assert made.get("/prod/x", [("t", "green"), ("T", "blue")]).status == 200
    assert [one.tenant for one in made.invoked] == ["blue"]
    refused = made.get("/prod/y", [("t", "green"), ("t", "blue")])
    assert (refused.status, len(made.invoked)) == (500, 1), "`green,blue` is no tenant id"


@pytest.mark.parametrize(
    ("path", "headers", "cause"),
    [
        ("/x", {}, "The integration reads the tenant id from the header x-tenant-id."),
        ("/x", {"x-tenant-id": "a\tb"}, "as the tenant 'a\\tb': ValidationException"),
        ("/y", {}, "as in integration.request.header.X-Amz-Tenant-Id: context.authorizer.tenantId"),
        ("/z", {"x-tenant-id": "blue"}, "is not enabled with tenancy configuration"),
    ],
)
def test_refusal_of_lambda_is_a_500_with_the_cause_in_the_log(
    path: str, headers: dict[str, str], cause: str, tmp_path: Path
) -> None:
    """Trap F2: the advice for a missing mapping never names a part of the request that a client writes."""
    mapping = tenant_from("method.request.header.x-tenant-id")
    paths = {
        "/x": {"get": to("isolated", requestParameters=mapping)},
        "/y": {"get": to("isolated")},
        "/z": {"get": to("orders", requestParameters=mapping)},
    }
    made = gateway(tmp_path, paths)
    answer = made.get(f"/prod{path}", headers)
    assert (answer.status, answer.json()) == (500, {"message": "Internal server error"})
    assert cause in answer.cause
    assert made.invoked == []


def test_event_invocation_is_queued(tmp_path: Path) -> None:
    mapping = {"integration.request.header.X-Amz-Invocation-Type": "'Event'"} | tenant_from("'blue'")
    made = gateway(tmp_path, {"/x": {"post": to("isolated", requestParameters=mapping)}})
    answer = made.get("/prod/x", method="POST")
    assert (answer.status, answer.body) == (202, b"")
    assert [(one.type, one.tenant) for one in made.invoked] == [("Event", "blue")]


# ---- replies --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reply", "status", "body"),
    [
        ({}, 200, b""),
        ({"statusCode": "201", "body": "é"}, 201, "é".encode()),
        ({"statusCode": 200, "body": None}, 200, b""),
        ({"statusCode": 200, "body": "aGk=", "isBase64Encoded": True}, 200, b"aGk="),
    ],
)
def test_reply_becomes_the_response(reply: Any, status: int, body: bytes, tmp_path: Path) -> None:
    answer = gateway(tmp_path, PROXY, reply).get("/prod/a")
    assert (answer.status, answer.body, answer.header("content-type")) == (status, body, "application/json")
    assert (answer.header("x-amzn-trace-id") or "").startswith("Root=1-")
    assert answer.header("x-amz-apigw-id")


@pytest.mark.parametrize(
    "reply",
    [
        *("text", [1], None, {"message": "hi"}, {"statusCode": 200, "cookies": []}, {"statusCode": "x"}),
        *({"statusCode": 99}, {"statusCode": True}, {"body": {}}, {"headers": []}, {"headers": {"a": 1}}),
        *({"headers": {"a": "b\r\nc: d"}}, {"headers": {"a b": "c"}}, {"multiValueHeaders": {"a": [None]}}),
        InvocationResult(b"{", None),
        InvocationResult(b'{"errorMessage": "x"}', "Unhandled"),
        InvocationResult(b"{}", "Unhandled", timed_out=True),
    ],
)
def test_malformed_reply_is_a_502(reply: Any, tmp_path: Path) -> None:
    made = gateway(tmp_path, PROXY, lambda _: reply)
    answer = made.get("/prod/a")
    assert (answer.status, answer.json()) == (502, {"message": "Internal server error"})
    assert answer.header("x-amzn-errortype") == "InternalServerErrorException"
    assert "function:orders" in answer.cause


def test_headers_are_merged_and_those_of_api_gateway_are_remapped(tmp_path: Path) -> None:
    reply = {
        "headers": {"A": "1", "B": "2", "Date": "now", "Content-Length": "9", "Transfer-Encoding": "x", "C": True},
        "multiValueHeaders": {"a": ["1", "3"], "Set-Cookie": ["x=1", "y=2"]},
    }
    answer = gateway(tmp_path, PROXY, reply).get("/prod/a")
    found = [pair for pair in answer.headers if pair[0] in ("a", "b", "c", "set-cookie")]
    assert sorted(found) == [
        ("a", "1"),
        ("a", "3"),
        ("b", "2"),
        ("c", "true"),
        ("set-cookie", "x=1"),
        ("set-cookie", "y=2"),
    ]
    assert answer.header("x-amzn-remapped-date") == "now"
    assert answer.header("x-amzn-remapped-content-length") == "9"
    assert answer.header("content-length") is None  # the server adds that of the body
    assert answer.header("transfer-encoding") is None


@pytest.mark.parametrize(
    ("accept", "body"),
    [("image/png", b"hi"), ("image/png;q=0.9, */*", b"hi"), ("*/*", b"aGk="), ("text/html, image/png", b"aGk=")],
)
def test_first_accept_decides_whether_base64_is_decoded(accept: str, body: bytes, tmp_path: Path) -> None:
    reply = {"body": "aGk=", "isBase64Encoded": True, "headers": {"content-type": "image/png"}}
    made = gateway(tmp_path, PROXY, reply, properties='BinaryMediaTypes: ["image/png"], ')
    assert made.get("/prod/a", {"accept": accept}).body == body


def test_wrong_base64_is_a_malformed_reply(tmp_path: Path) -> None:
    reply = {"body": "?", "isBase64Encoded": True}
    made = gateway(tmp_path, PROXY, reply, properties='BinaryMediaTypes: ["*/*"], ')
    assert made.get("/prod/a").status == 502


# ---- limits, integrations that are not served, validators ------------------------------------------------------------


def test_body_over_ten_megabytes_is_a_413_in_the_words_of_api_gateway(tmp_path: Path) -> None:
    made = gateway(tmp_path, PROXY)
    answer = made.get("/prod/a", {"content-length": str(10 * 1024 * 1024 + 1)}, method="POST")
    assert (answer.status, answer.json()) == (413, {"message": "Request Too Long"})
    assert answer.header("x-amzn-errortype") == "RequestTooLargeException"


def test_integration_that_takes_too_long_is_a_504(tmp_path: Path) -> None:
    async def hangs() -> Any:
        await asyncio.Event().wait()

    made = gateway(tmp_path, {"/a": {"get": to("orders", timeoutInMillis=50)}}, lambda _: hangs())
    answer = made.get("/prod/a")
    assert (answer.status, answer.json()) == (504, {"message": "Endpoint request timed out"})
    assert answer.cause.endswith("did not answer within 0.05 s, the integration's timeout")


def test_throttled_function_is_a_500(tmp_path: Path) -> None:
    throttle = LambdaError(429, "TooManyRequestsException", "Rate Exceeded.")
    answer = gateway(tmp_path, PROXY, lambda _: throttle).get("/prod/a")
    assert (answer.status, answer.request.refusal and answer.request.refusal.reason) == (500, "function_throttled")


@pytest.mark.parametrize("kind", ["http", "http_proxy", "aws"])
def test_integration_that_is_not_served_is_named_and_refused(kind: str, tmp_path: Path) -> None:
    made = gateway(tmp_path, {"/a": {"get": to("orders", type=kind)}, "/b": {"get": to("orders")}})
    answer = made.get("/prod/a")
    assert (answer.status, answer.json()) == (501, {"message": "Not Implemented"})
    assert answer.cause == f"GET /a of Api has an integration of type {kind}, which this stack does not serve"
    assert made.invoked == []
    assert any(line.startswith(f"an integration of type {kind} is not served") for line in made.plan.left_out)


def test_required_parameter_is_checked_only_with_a_validator(tmp_path: Path) -> None:
    parameters = [
        {"name": "x-tenant-id", "in": "header", "required": True},
        {"name": "page", "in": "query", "required": True},
        {"name": "other", "in": "query"},
    ]
    validated = {**to("orders"), "parameters": parameters, "x-amazon-apigateway-request-validator": "params"}
    validators = {"params": {"validateRequestParameters": True, "validateRequestBody": True}}
    made = gateway(
        tmp_path,
        {"/a": {"get": validated}, "/b": {"get": {**to("orders"), "parameters": parameters}}},
        **{"x-amazon-apigateway-request-validators": validators},
    )
    answer = made.get("/prod/a")
    message = "Missing required request parameters: [x-tenant-id, page]"
    assert (answer.status, answer.json(), answer.header("x-amzn-errortype")) == (
        400,
        {"message": message},
        "BadRequestException",
    )
    assert made.get("/prod/a?page=1", {"X-Tenant-Id": "blue"}).status == 200
    assert made.get("/prod/b").status == 200
    assert "request bodies are not compared with models (Api)" in made.plan.left_out


CORS: Final = {
    "type": "mock",
    "requestTemplates": {"application/json": '{\n  "statusCode" : 200\n}\n'},
    "responses": {
        "default": {
            "statusCode": "200",
            "responseTemplates": {"application/json": "{}\n"},
            "responseParameters": {"method.response.header.Access-Control-Allow-Origin": "'*'"},
        }
    },
}


def test_mock_answers_a_preflight(tmp_path: Path) -> None:
    made = gateway(tmp_path, {"/a": {"options": {"x-amazon-apigateway-integration": CORS}, "get": to("orders")}})
    answer = made.get("/prod/a", method="OPTIONS")
    assert (answer.status, answer.body, answer.header("access-control-allow-origin")) == (200, b"{}\n", "*")
    assert [route.requests for route in made.plan.rest_apis[0].routes] == ["GET /prod/a"], "a preflight is no row"


def test_mock_with_a_template_that_computes_is_refused(tmp_path: Path) -> None:
    mock = CORS | {"requestTemplates": {"application/json": '#if(true){"statusCode": 200}#end'}}
    made = gateway(tmp_path, {"/a": {"options": {"x-amazon-apigateway-integration": mock}}})
    assert made.get("/prod/a", method="OPTIONS").status == 501


def test_gateway_response_changes_status_headers_and_body(tmp_path: Path) -> None:
    responses = {
        "DEFAULT_4XX": {
            "responseParameters": {"gatewayresponse.header.Access-Control-Allow-Origin": "'*'"},
            "responseTemplates": {"application/json": '{"error": $context.error.messageString}'},
        },
        "MISSING_AUTHENTICATION_TOKEN": {"statusCode": 404},
    }
    made = gateway(tmp_path, PROXY, **{"x-amazon-apigateway-gateway-responses": responses})
    assert made.get("/prod").status == 404
    paths = {"/a": {"get": to("orders", type="http")}}
    del responses["MISSING_AUTHENTICATION_TOKEN"]
    made = gateway(tmp_path, paths, **{"x-amazon-apigateway-gateway-responses": responses})
    answer = made.get("/prod/b")
    assert (answer.status, answer.json()) == (403, {"error": "Missing Authentication Token"})
    assert answer.header("access-control-allow-origin") == "*"
    assert made.get("/prod/a").header("access-control-allow-origin") is None, "5XX is another type"


# ---- recordings -----------------------------------------------------------------------------------------------------


def test_recorded_event_contains_no_credentials(tmp_path: Path) -> None:
    """Trap D11: neither headers nor the query of a recording contain a credential."""
    folder = tmp_path / "recorded"
    made = gateway(tmp_path, PROXY)
    made = Gateway(made.plan, recorder=Recorder(folder))
    made.get("/prod/a?X-Amz-Signature=hunter2&b=1", {"Authorization": "Bearer hunter2", "cookie": "a=hunter2"})
    (expected, event) = sorted(folder.iterdir())
    text = event.read_text() + expected.read_text()
    assert "hunter2" not in text
    recorded = json.loads(event.read_text())
    assert (recorded["path"], recorded["queryStringParameters"]) == ("/a", {"b": "1"})


def test_stage_of_a_deployment_is_served(tmp_path: Path) -> None:
    template = api(PROXY).replace(STAGE, "").rstrip() + (
        "\n  D: {Type: AWS::ApiGateway::Deployment, Properties: {RestApiId: !Ref Api, StageName: v1}}\n"
    )
    made = Gateway(write(tmp_path, template))
    assert made.get("/v1/a").status == 200
