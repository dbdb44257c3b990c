"""HTTP APIs as a way in: stages, routes, events, responses."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, Final

import pytest

from lattice_bridge.deployment.cloudformation.text import BadTemplate
from lattice_bridge.local.environments.environment import InvocationResult
from lattice_bridge.local.front.exchange.recorder import Recorder
from lattice_bridge.local.plan.http_api import HttpApi
from tests.support.front import Stack, stack_of

FUNCTIONS: Final = """
Resources:
  Fn: {Type: "AWS::Lambda::Function", Properties: {Handler: a.b, Runtime: python3.13, FunctionName: orders}}
  Isolated:
    Type: AWS::Lambda::Function
    Properties: {Handler: a.b, Runtime: python3.13, TenancyConfig: {TenantIsolationMode: PER_TENANT}}
"""
API: Final = (
    FUNCTIONS
    + """
  Api: {Type: "AWS::ApiGatewayV2::Api", Properties: {Name: shop, ProtocolType: HTTP}}
  Stage:
    Type: AWS::ApiGatewayV2::Stage
    Properties: {ApiId: !Ref Api, StageName: $default, AutoDeploy: true, StageVariables: {colour: blue}}
  V2:
    Type: AWS::ApiGatewayV2::Integration
    Properties:
      ApiId: !Ref Api
      IntegrationType: AWS_PROXY
      IntegrationUri: !Sub "arn:aws:apigateway:${AWS::Region}:lambda:path/2015-03-31/functions/${Fn.Arn}/invocations"
      PayloadFormatVersion: "2.0"
  V1:
    Type: AWS::ApiGatewayV2::Integration
    Properties: {ApiId: !Ref Api, IntegrationType: AWS_PROXY, IntegrationUri: !GetAtt Fn.Arn}
"""
)


def route(name: str, key: str, integration: str = "V2", **more: Any) -> str:
    """A route of the API, as YAML."""
    text = f"""
  {name}:
    Type: AWS::ApiGatewayV2::Route
    Properties:
      ApiId: !Ref Api
      RouteKey: "{key}"
      Target: !Sub "integrations/${{{integration}}}"
"""
    return text + "".join(f"      {key}: {value}\n" for key, value in more.items())


ROUTES: Final = (
    *("GET /pets/dog/1", "GET /pets/dog/{id}", "GET /pets/{proxy+}", "ANY /{proxy+}", "ANY /pets/dog/1", "$default"),
    *("POST /orders/{id}", "GET /"),
)


def api_with(*keys: str, integration: str = "V2") -> str:
    return API + "".join(route(f"Route{number}", key, integration) for number, key in enumerate(keys))


@pytest.fixture
def stack(tmp_path: Path) -> Stack:
    return stack_of(api_with("GET /orders/{id}", "POST /orders", "ANY /files/{path+}"), tmp_path)


# ---- routes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "key"),
    [
        ("GET", "/pets/dog/1", "GET /pets/dog/1"),
        ("GET", "/pets/dog/2", "GET /pets/dog/{id}"),
        ("GET", "/pets/cat/1", "GET /pets/{proxy+}"),
        ("POST", "/test/5", "ANY /{proxy+}"),
        ("DELETE", "/pets/dog/1", "ANY /pets/dog/1"),
        ("POST", "/orders/7", "POST /orders/{id}"),
        ("GET", "/", "GET /"),
        ("GET", "/pets/", "GET /pets/{proxy+}"),
        ("GET", "/pets/dog/1/", "GET /pets/{proxy+}"),
        ("POST", "/", "ANY /{proxy+}"),
    ],
)
def test_most_specific_route_serves_a_request(tmp_path: Path, method: str, path: str, key: str) -> None:
    """The first four rows are the example of http-api-develop-routes.html."""
    stack = stack_of(api_with(*reversed(ROUTES)), tmp_path)
    assert stack.send(method, path).status == 200
    assert (stack.event["routeKey"], stack.event["requestContext"]["routeKey"]) == (key, key)


def test_path_parameters_are_decoded_and_matched_as_sent(stack: Stack) -> None:
    stack.send("GET", "/orders/a%2Fb%20c")
    assert stack.event["pathParameters"] == {"id": "a/b c"}
    stack.send("GET", "/files/a/b%2fc/")
    assert stack.event["pathParameters"] == {"path": "a/b/c/"}


@pytest.mark.parametrize("path", ["/orders", "/orders/", "/orders/7/", "/orders%2F7", "/Orders/7", "//orders/7", "/x"])
def test_request_without_a_route_gets_404_with_the_routes_in_the_log(stack: Stack, path: str) -> None:
    answer = stack.send("GET", path)
    assert (answer.status, answer.body, answer["content-type"]) == (404, b'{"message":"Not Found"}', "application/json")
    assert stack.refusal.reason == "no_route"
    assert "of the HTTP API Api matches GET" in stack.refusal.cause
    assert stack.invoked == []


def test_refusal_names_the_methods_of_the_path(stack: Stack) -> None:
    stack.send("DELETE", "/orders/7")
    assert "it has GET /orders/{id}. Fix:" in stack.refusal.cause


def test_dot_segments_are_not_resolved(stack: Stack) -> None:
    """A request cannot leave the route that it matches."""
    assert stack.send("GET", "/files/../orders/7").status == 200
    assert stack.event["routeKey"] == "ANY /files/{path+}"
    assert stack.event["rawPath"] == "/files/../orders/7"


def test_encoded_dots_and_slashes_do_not_choose_a_route(stack: Stack) -> None:
    assert stack.send("GET", "/files/%2e%2e%2forders%2f7").status == 200
    assert stack.event["routeKey"] == "ANY /files/{path+}"


# ---- stages ---------------------------------------------------------------------------------------------------------

NAMED_STAGES: Final = """
  Prod:
    Type: AWS::ApiGatewayV2::Stage
    Properties: {ApiId: !Ref Api, StageName: prod, AutoDeploy: true, StageVariables: {colour: red}}
  Idle: {Type: "AWS::ApiGatewayV2::Stage", Properties: {ApiId: !Ref Api, StageName: idle}}
"""


@pytest.mark.parametrize(
    ("path", "stage", "raw_path", "colour"),
    [
        ("/orders/7", "$default", "/orders/7", "blue"),
        ("/prod/orders/7", "prod", "/prod/orders/7", "red"),
    ],
)
def test_stage_is_chosen_by_the_path(tmp_path: Path, path: str, stage: str, raw_path: str, colour: str) -> None:
    stack = stack_of(api_with("GET /orders/{id}") + NAMED_STAGES, tmp_path)
    assert stack.send("GET", path).status == 200
    context = stack.event["requestContext"]
    assert (context["stage"], stack.event["rawPath"], context["http"]["path"]) == (stage, raw_path, raw_path)
    assert stack.event["stageVariables"] == {"colour": colour}


@pytest.mark.parametrize("path", ["/idle/orders/7", "/Prod/orders/7", "/prod%2Forders/7", "/$default/orders/7"])
def test_path_that_only_looks_like_a_stage_is_not_served(tmp_path: Path, path: str) -> None:
    stack = stack_of(api_with("GET /orders/{id}") + NAMED_STAGES, tmp_path)
    assert stack.send("GET", path).status == 404
    assert stack.invoked == []


def test_api_without_the_default_stage_names_its_stages(tmp_path: Path) -> None:
    stack = stack_of(api_with("GET /orders/{id}").replace("$default, Auto", "prod, Auto"), tmp_path)
    assert stack.send("GET", "/orders/7").status == 404
    assert stack.refusal.cause.endswith("its stages: prod. Fix: send /prod/orders/7")
    assert stack.send("GET", "/prod/orders/7").status == 200


DOMAINS: Final = """
  Domain: {Type: "AWS::ApiGatewayV2::DomainName", Properties: {DomainName: api.example.com}}
  Mapping:
    Type: AWS::ApiGatewayV2::ApiMapping
    Properties: {ApiId: !Ref Api, DomainName: !Ref Domain, Stage: !Ref Prod, ApiMappingKey: v1/shop}
"""
OTHER_API: Final = """
  Other: {Type: "AWS::ApiGatewayV2::Api", Properties: {ProtocolType: HTTP, Name: other, Target: !GetAtt Fn.Arn}}
  OtherMapping:
    Type: AWS::ApiGatewayV2::ApiMapping
    Properties: {ApiId: !Ref Other, DomainName: !Ref Domain, Stage: $default}
"""


def test_custom_domain_leads_to_its_stage(tmp_path: Path) -> None:
    stack = stack_of(api_with("GET /orders/{id}") + NAMED_STAGES + DOMAINS, tmp_path)
    assert stack.send("GET", "/v1/shop/orders/7", host="api.example.com").status == 200
    context = stack.event["requestContext"]
    assert (context["stage"], context["domainName"], stack.event["rawPath"]) == (
        "prod",
        "api.example.com",
        "/prod/orders/7",
    )
    assert stack.send("GET", "/v1/shop/orders/7", host="api.example.com.localhost:8080").status == 200
    assert stack.send("GET", "/v1/shopping/orders/7", host="api.example.com").status == 404
    assert stack.send("GET", "/orders/7", host="api.example.com.").status == 404, "a dot at the end is no other name"
    assert stack.send("GET", "/orders/7", host="api").status == 200


def test_custom_domain_of_two_apis_leads_to_the_longest_key(tmp_path: Path) -> None:
    stack = stack_of(api_with("GET /orders/{id}") + NAMED_STAGES + DOMAINS + OTHER_API, tmp_path)
    one, other = (api.id for api in stack.front.plan.http_apis if isinstance(api, HttpApi))
    for path, expected in (("/v1/shop/orders/7", one), ("/v1/shop2", other), ("/", other)):
        assert stack.send("GET", path, host="api.example.com").status == 200
        assert stack.event["requestContext"]["apiId"] == expected


def test_disabled_endpoint_is_refused(tmp_path: Path) -> None:
    template = api_with("GET /orders/{id}").replace("ProtocolType: HTTP", "DisableExecuteApiEndpoint: true")
    stack = stack_of(template, tmp_path)
    assert stack.send("GET", "/orders/7").status == 403
    assert stack.refusal.reason == "endpoint_disabled"


def test_quick_create_serves_every_request(tmp_path: Path) -> None:
    template = FUNCTIONS + OTHER_API.partition("  OtherMapping")[0]
    stack = stack_of(template, tmp_path)
    assert stack.send("PUT", "/any/path?x=1").status == 200
    assert (stack.event["routeKey"], stack.event["version"]) == ("$default", "2.0")


# ---- events ---------------------------------------------------------------------------------------------------------


def test_event_of_payload_2_0(stack: Stack) -> None:
    """The fields of the documented example, without those that have no value."""
    headers = [("x-tag", "a"), ("x-tag", "b"), ("cookie", "s=1; t=2"), ("x-forwarded-for", "1.2.3.4")]
    stack.send("GET", "/orders/7?x=1&x=2&y=%20", headers)
    event = {name: value for name, value in stack.event.items() if name != "requestContext"}
    sent = event.pop("headers")
    assert sent.pop("x-amzn-trace-id").startswith("Root=1-")
    assert sent == {
        "x-tag": "a,b",
        "host": "localhost",
        "content-length": "0",
        "x-forwarded-for": "1.2.3.4, 127.0.0.1",
        "x-forwarded-port": "80",
        "x-forwarded-proto": "http",
    }
    assert event == {
        "version": "2.0",
        "routeKey": "GET /orders/{id}",
        "rawPath": "/orders/7",
        "rawQueryString": "x=1&x=2&y=%20",
        "cookies": ["s=1", "t=2"],
        "queryStringParameters": {"x": "1,2", "y": " "},
        "pathParameters": {"id": "7"},
        "stageVariables": {"colour": "blue"},
        "isBase64Encoded": False,
    }


def test_request_context_of_payload_2_0(stack: Stack) -> None:
    answer = stack.send("GET", "/orders/7", {"user-agent": "curl"})
    context, identifier = stack.event["requestContext"], stack.api.id
    assert (context.pop("requestId"), len(context.pop("time"))) == (answer["apigw-requestid"], 26)
    assert context.pop("timeEpoch") > 1_700_000_000_000
    assert context.pop("http") == {
        "method": "GET",
        "path": "/orders/7",
        "protocol": "HTTP/1.1",
        "sourceIp": "127.0.0.1",
        "userAgent": "curl",
    }
    assert context == {
        "accountId": "123456789012",
        "apiId": identifier,
        "domainName": f"{identifier}.execute-api.us-east-1.amazonaws.com",
        "domainPrefix": identifier,
        "routeKey": "GET /orders/{id}",
        "stage": "$default",
    }


def test_event_of_payload_1_0(tmp_path: Path) -> None:
    stack = stack_of(api_with("GET /orders/{id}", integration="V1"), tmp_path)
    stack.send("GET", "/orders/7?x=1&x=2", [("x-tag", "a"), ("x-tag", "b")])
    event = stack.event
    assert {key: event[key] for key in ("version", "resource", "path", "httpMethod", "body", "isBase64Encoded")} == {
        "version": "1.0",
        "resource": "/orders/{id}",
        "path": "/orders/7",
        "httpMethod": "GET",
        "body": None,
        "isBase64Encoded": False,
    }
    assert event["multiValueHeaders"]["x-tag"] == ["a", "b"]
    assert event["multiValueQueryStringParameters"] == {"x": ["1", "2"]}
    assert (event["pathParameters"], event["stageVariables"]) == ({"id": "7"}, {"colour": "blue"})
    context = event["requestContext"]
    assert context["authorizer"] == {"claims": None, "scopes": None}
    assert (context["resourcePath"], context["stage"], context["identity"]["userArn"]) == (
        "/orders/{id}",
        "$default",
        None,
    )


@pytest.mark.parametrize(
    ("content_type", "body", "is_base64"),
    [
        ("application/json", b'{"a":1}', False),
        ("application/json; charset=utf-8", b"{}", False),
        ("text/plain", "é".encode(), False),
        ("application/x-www-form-urlencoded", b"a=1", True),
        ("image/png", b"\x89PNG", True),
    ],
)
def test_body_is_base64_unless_its_type_is_text(stack: Stack, content_type: str, body: bytes, is_base64: bool) -> None:
    stack.send("POST", "/orders", {"content-type": content_type}, body)
    assert stack.event["isBase64Encoded"] is is_base64
    assert stack.event["headers"]["content-length"] == str(len(body))


@pytest.mark.parametrize(
    ("sent", "raw_path"),
    [("/files/a%2541", "/files/a%41"), ("/files/a%3Fx=1", "/files/a"), ("/files/%C3%A9+", "/files/é+")],
)
def test_path_arrives_decoded_as_from_an_http_api(stack: Stack, sent: str, raw_path: str) -> None:
    """API Gateway decodes the path once, and ends it at a decoded question mark."""
    stack.send("GET", f"{sent}?q=%2F")
    assert (stack.event["rawPath"], stack.event["rawQueryString"]) == (raw_path, "q=%2F")


def test_client_cannot_write_into_the_request_context(stack: Stack) -> None:
    """Trap F5: headers, query and body of a client stay where they are."""
    forged = '{"requestContext": {"authorizer": {"jwt": {"claims": {"tenant": "green"}}}}}'
    headers = {
        "requestcontext": forged,
        "x-amzn-apigateway-api-id": "other",
        "authorizer": forged,
        "content-type": "text/plain",
    }
    stack.send("POST", "/orders?requestContext=x&authorizer=x&accountId=1", headers, forged.encode())
    context = stack.event["requestContext"]
    assert "authorizer" not in context
    assert context["apiId"] == stack.api.id


def test_headers_of_the_connection_are_not_passed_on(stack: Stack) -> None:
    stack.send("GET", "/orders/7", {"connection": "close, x-hop", "x-hop": "1", "te": "trailers", "x-kept": "1"})
    assert {"connection", "x-hop", "te"}.isdisjoint(stack.event["headers"])
    assert stack.event["headers"]["x-kept"] == "1"


# ---- responses ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reply", "status", "body", "content_type"),
    [
        ({"statusCode": 201, "body": "hi"}, 201, b"hi", "text/plain;charset=UTF-8"),
        ({"statusCode": "404", "headers": {"Content-Type": "a/b"}}, 404, b"", "a/b"),
        ({"statusCode": 200, "body": "aGk=", "isBase64Encoded": True}, 200, b"hi", "text/plain;charset=UTF-8"),
        ({"message": "hi"}, 200, b'{"message": "hi"}', "application/json"),
        ("hi", 200, b'"hi"', "application/json"),
        (None, 200, b"null", "application/json"),
        ({"statusCode": 204, "body": "dropped"}, 204, b"", "text/plain;charset=UTF-8"),
    ],
)
def test_reply_of_payload_2_0(stack: Stack, reply: Any, status: int, body: bytes, content_type: str) -> None:
    stack.reply = lambda event: reply
    answer = stack.send("GET", "/orders/7")
    assert (answer.status, answer.body, answer["content-type"]) == (status, body, content_type)


def test_each_cookie_becomes_a_header(stack: Stack) -> None:
    stack.reply = lambda event: {"statusCode": 200, "cookies": ["a=1; Path=/", "b=2"], "headers": {"x-n": 1}}
    answer = stack.send("GET", "/orders/7")
    assert (answer.all("set-cookie"), answer["x-n"]) == (["a=1; Path=/", "b=2"], "1")


def test_reply_of_payload_1_0_has_headers_with_several_values(tmp_path: Path) -> None:
    stack = stack_of(api_with("GET /orders/{id}", integration="V1"), tmp_path)
    stack.reply = lambda event: {
        "statusCode": 200,
        "headers": {"a": "1", "b": "2"},
        "multiValueHeaders": {"a": ["3", "4"]},
    }
    answer = stack.send("GET", "/orders/7")
    assert (answer.all("a"), answer.all("b")) == (["3", "4"], ["2"])
    stack.reply = lambda event: {"message": "hi"}
    assert stack.send("GET", "/orders/7").status == 500
    assert "payload format 1.0: statusCode is not a number" in stack.refusal.cause


@pytest.mark.parametrize(
    ("reply", "cause"),
    [
        ({"statusCode": 99}, "statusCode is not a number from 200 to 599. Fix: return one"),
        ({"statusCode": True}, "statusCode is not a number"),
        ({"statusCode": 200, "body": {"a": 1}}, "body is an object. Fix: return a string"),
        ({"statusCode": 200, "headers": []}, "headers is not an object"),
        ({"statusCode": 200, "headers": {"a": ["b"]}}, "header 'a' is not a name with a string"),
        ({"statusCode": 200, "headers": {"a": "b\r\nc: d"}}, "header 'a' is not a name with a string"),
        ({"statusCode": 200, "cookies": "a=1"}, "cookies is not a list"),
        ({"statusCode": 200, "isBase64Encoded": True, "body": "*"}, "not base64"),
        (InvocationResult(b"{"), "it is not JSON"),
        (InvocationResult(b'{"errorType":"KeyError","errorMessage":"x"}', "Unhandled"), "orders failed: KeyError: x"),
        (InvocationResult(b"{}", "Unhandled", timed_out=True), "orders timed out. Fix:"),
    ],
)
def test_failure_of_the_function_is_a_500_with_its_cause_in_the_log(stack: Stack, reply: Any, cause: str) -> None:
    """Trap D13: the client does not see the cause."""
    stack.reply = lambda event: reply
    answer = stack.send("GET", "/orders/7")
    assert (answer.status, answer.body) == (500, b'{"message":"Internal Server Error"}')
    assert cause in stack.refusal.cause


def test_integration_timeout_is_a_503(tmp_path: Path) -> None:
    template = api_with("GET /orders/{id}").replace('Version: "2.0"', 'Version: "2.0"\n      TimeoutInMillis: 50')
    stack = stack_of(template, tmp_path)
    stack.reply = lambda event: asyncio.get_running_loop().create_future()
    answer = stack.send("GET", "/orders/7")
    assert (answer.status, answer.body) == (503, b'{"message":"Service Unavailable"}')
    assert "did not answer within 0.05 s. Fix: make it faster" in stack.refusal.cause


def test_isolated_function_without_a_bridge_is_a_500(tmp_path: Path) -> None:
    """Trap F2: no header of a client becomes the tenant id of an invocation through an HTTP API."""
    stack = stack_of(api_with("GET /orders/{id}").replace("${Fn.Arn}", "${Isolated.Arn}"), tmp_path)
    answer = stack.send("GET", "/orders/7", {"x-amz-tenant-id": "blue"})
    assert (answer.status, answer.body, stack.invoked) == (500, b'{"message":"Internal Server Error"}', [])
    assert (
        "has tenant isolation, and an HTTP API cannot send a tenant id. Fix: integrate a bridge" in stack.refusal.cause
    )


def test_too_large_a_request_is_refused(stack: Stack) -> None:
    body = b"x" * (10 * 1024 * 1024 + 1)
    answer = stack.send("POST", "/orders", {"content-type": "text/plain"}, body)
    assert (answer.status, answer.body) == (413, b'{"message":"Request Entity Too Large"}')
    answer = stack.send("POST", "/orders", {"content-type": "text/plain"}, body[: 7 * 1024 * 1024])
    assert (answer.status, stack.refusal.reason) == (413, "request_too_large")
    assert stack.send("GET", "/orders/7", {"x-large": "x" * 10_240}).status == 431


def test_recorded_event_has_no_credentials(tmp_path: Path) -> None:
    stack = stack_of(api_with("GET /orders/{id}"), tmp_path, recorder=Recorder(tmp_path / "recorded"))
    stack.send("GET", "/orders/7", {"authorization": "Bearer secret", "cookie": "s=secret"})
    (event, expected) = sorted((tmp_path / "recorded").iterdir())[::-1]
    assert "secret" not in event.read_text() + expected.read_text()
    assert '"routeKey": "GET /orders/{id}"' in event.read_text()


# ---- parts that are not served --------------------------------------------------------------------------------------


def test_other_integrations_keep_their_route_and_are_refused(tmp_path: Path) -> None:
    """A less specific route must not answer their requests."""
    proxy = """
  Web:
    Type: AWS::ApiGatewayV2::Integration
    Properties: {ApiId: !Ref Api, IntegrationType: HTTP_PROXY, IntegrationUri: "https://example.com"}
"""
    stack = stack_of(api_with("$default") + proxy + route("ToWeb", "GET /web", "Web"), tmp_path)
    assert stack.send("GET", "/web").status == 501
    assert "HTTP_PROXY integrations are not served" in stack.refusal.cause
    assert any("HTTP_PROXY integrations are not served (Api: Web)" in line for line in stack.front.plan.left_out)


def test_web_socket_api_is_named(tmp_path: Path) -> None:
    stack = stack_of(API.replace("ProtocolType: HTTP", "ProtocolType: WEBSOCKET"), tmp_path)
    assert stack.front.plan.http_apis == ()
    assert "WebSocket APIs are not served (Api)" in stack.front.plan.left_out


@pytest.mark.parametrize(
    ("key", "fix"),
    [
        (
            "overwrite:header.X-Amz-Tenant-Id",
            "cannot set this header. Fix: use a REST API, which can set it, or a bridge",
        ),
        ("append:header.Authorization", "cannot set this header. Fix: map another header"),
        ("integration.request.header.x", "is unknown. Fix: write append:header.NAME"),
    ],
)
def test_reserved_header_is_refused_when_the_template_is_read(tmp_path: Path, key: str, fix: str) -> None:
    """Trap F2: AWS reserves `x-amz-*` too, so an HTTP API cannot choose a tenant."""
    mapping = f'Version: "2.0"\n      RequestParameters: {{"{key}": $request.querystring.tenant}}'
    with pytest.raises(BadTemplate, match=fix.replace(".", r"\.")):
        stack_of(api_with("GET /x").replace('Version: "2.0"', mapping), tmp_path)


def test_parameter_mapping_changes_request_and_response(tmp_path: Path) -> None:
    mapping = """Version: "2.0"
      RequestParameters:
        "append:header.x-id": $request.path.id
        "overwrite:header.x-colour": $stageVariables.colour
        "remove:header.x-secret": "''"
        "append:querystring.from": "api/${context.stage}"
        "overwrite:path": $request.path
      ResponseParameters:
        "404": {ResponseParameters: [{Destination: "overwrite:statuscode", Source: "403"},
          {Destination: "append:header.x-code", Source: "$response.body.codes[1]"}]}"""
    stack = stack_of(api_with("GET /orders/{id}").replace('Version: "2.0"', mapping), tmp_path)
    stack.reply = lambda event: {"statusCode": 404, "body": '{"codes": [1, "E7"]}'}
    answer = stack.send("GET", "/orders/7?a=1", {"x-colour": "green", "x-secret": "s"})
    assert (answer.status, answer["x-code"]) == (403, "E7")
    headers = stack.event["headers"]
    assert (headers["x-id"], headers["x-colour"], "x-secret" in headers) == ("7", "blue", False)
    assert stack.event["rawQueryString"] == "a=1&from=api/$default"
