"""The APIs of bridge.toml: read from recorded answers, and judged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest
from botocore.stub import Stubber

from lattice_bridge import authorize
from lattice_bridge.config.document import parse_document
from lattice_bridge.config.options import Options
from lattice_bridge.config.tenant_map import TenantMap
from lattice_bridge.deployment.checks import authorizers
from lattice_bridge.deployment.checks.stack import AUTHORIZER_HANDLER
from lattice_bridge.deployment.doctor.apis import CHOSEN_BY_CLIENTS, HANDLER, SIMPLE_VARIABLE
from lattice_bridge.deployment.doctor.configuration import read_configuration
from lattice_bridge.deployment.doctor.facts import Api, ApiAuthorizer, ApiMethod, Configuration, FunctionName, Unread
from lattice_bridge.deployment.doctor.findings import Finding
from lattice_bridge.deployment.doctor.read import Aws, read_api
from lattice_bridge.deployment.doctor.run import findings_of
from tests.support.aws_server import REGION
from tests.support.doctor_stack import BACKEND, BLUE, BRIDGE, DEPLOYMENT, FUNCTION, LAMBDA, get_configuration
from tests.support.recorded_aws import RecordedAws, client

API: Final = "a1b2c3d4e5"
GUARD: Final = FunctionName(f"{LAMBDA}:guard")
HEADERS: Final = frozenset({"authorization", "x-tenant-id"})
CONFIGURATION: Final = Configuration(
    "bridge.toml", Options((BACKEND,), apis=frozenset({API})), (BLUE,), headers=HEADERS
)


def uri(name: FunctionName) -> str:
    return f"arn:aws:apigateway:{REGION}:lambda:path/2015-03-31/functions/{name.qualified}/invocations"


SOURCES: Final = "method.request.header.Authorization, method.request.header.X-Tenant-Id"
MAP: Final = {"id": "x", "name": "map", "type": "REQUEST", "authorizerUri": uri(GUARD), "identitySource": SOURCES}
POOL: Final = {"id": "y", "name": "pool", "type": "COGNITO_USER_POOLS"}
MAPPING: Final = {"integration.request.header.X-Amz-Tenant-Id": "context.authorizer.tenantId"}
RESOURCE: Final = {
    "path": "/orders",
    "resourceMethods": {
        "GET": {
            "authorizationType": "CUSTOM",
            "methodIntegration": {"type": "AWS_PROXY", "uri": uri(BRIDGE), "requestParameters": MAPPING},
        }
    },
}
LIST: Final = {"restApiId": API}
METHODS: Final = {"restApiId": API, "embed": ["methods"]}
WEB: Final = {
    "Name": "map",
    "AuthorizerType": "REQUEST",
    "AuthorizerUri": uri(GUARD),
    "IdentitySource": ["$request.header.Authorization"],
    "AuthorizerResultTtlInSeconds": 60,
    "EnableSimpleResponses": True,
}


def stubbed(service: str, *calls: tuple[str, dict[str, Any], dict[str, Any] | str]) -> Any:
    """A client whose calls have these answers, or fail with these codes. Its Stubber compares them with its model."""
    made = client(service, "http://127.0.0.1:9")
    stubber = Stubber(made)
    for method, arguments, answer in calls:
        if isinstance(answer, str):
            stubber.add_client_error(method, answer)
        else:
            stubber.add_response(method, answer, arguments)
    stubber.activate()
    return made


def read(
    authorizers: dict[str, Any] | str = "NotFoundException",
    of_http: dict[str, Any] | str = "NotFoundException",
    endpoint: str = "REGIONAL",
) -> Api:
    rest = (
        ("get_authorizers", LIST, authorizers),
        ("get_resources", METHODS, {"items": [RESOURCE, {"path": "/"}]}),
        ("get_rest_api", LIST, {"endpointConfiguration": {"types": [endpoint]}}),
    )
    settings = {"Name": "a", "ProtocolType": "HTTP", "RouteSelectionExpression": "$request.method $request.path"}
    get_api = ("get_api", {"ApiId": API}, {**settings, "DisableExecuteApiEndpoint": False})
    with RecordedAws([get_configuration(FunctionName(GUARD.arn), Handler=HANDLER)]) as recorded:
        clients = {
            "apigateway": stubbed("apigateway", *rest),
            "apigatewayv2": stubbed("apigatewayv2", ("get_authorizers", {"ApiId": API}, of_http), get_api),
            "lambda": recorded.client("lambda"),
        }
        return read_api(Aws(clients.__getitem__), API, BRIDGE)


def test_rest_api_is_read() -> None:
    found = read({"items": [MAP, POOL]})
    assert isinstance(found.authorizers, tuple)
    (authorizer,) = found.authorizers
    assert (found.kind, authorizer.name, authorizer.ttl, len(authorizer.sources)) == ("REST", "map", 300, 2)
    assert not isinstance(authorizer.function, Unread)
    assert authorizer.function is not None
    assert authorizer.function.handler == HANDLER
    method = ApiMethod("GET /orders", "AWS_PROXY", uri(BRIDGE), "context.authorizer.tenantId", is_open=False)
    assert (found.methods, found.is_private, found.has_default_endpoint) == ((method,), False, True)
    private = read({"items": [MAP]}, endpoint="PRIVATE")
    assert (private.is_private, private.has_default_endpoint) == (True, False)


def test_http_api_is_read_if_there_is_no_rest_api() -> None:
    found = read(of_http={"Items": [WEB]})
    assert isinstance(found.authorizers, tuple)
    (authorizer,) = found.authorizers
    assert (found.kind, authorizer.ttl, authorizer.simple) == ("HTTP", 60, True)
    assert found.has_default_endpoint
    assert read() == Api(API, None)


def test_function_of_another_account_is_not_read() -> None:
    foreign = FunctionName(GUARD.arn.replace("123456789012", "999999999999"))
    found = read({"items": [{**MAP, "authorizerUri": uri(foreign)}]})
    assert isinstance(found.authorizers, tuple)
    function = found.authorizers[0].function
    assert isinstance(function, Unread)
    assert function.out_of_reach


def test_denied_call_is_unread() -> None:
    found = read("AccessDeniedException")
    assert isinstance(found.authorizers, Unread)
    assert found.authorizers.permission == "apigateway:GET"
    (one, *_) = judged(found)
    assert (one.level, one.subject, one.needs) == ("unknown", f"authorizers of API {API}", "apigateway:GET")


# ---- judged ---------------------------------------------------------------------------------------------------------

OURS: Final = ApiAuthorizer(
    "map", replace(FUNCTION, handler=HANDLER), is_token=False, ttl=300, sources=tuple(SOURCES.split(", "))
)
METHOD: Final = ApiMethod("GET /orders", "AWS_PROXY", uri(BRIDGE), "context.authorizer.tenantId", is_open=False)


def judged(api: Api, configuration: Configuration = CONFIGURATION) -> list[Finding]:
    found = findings_of(replace(DEPLOYMENT, apis=(api,)), configuration)
    return [one for one in found if f"API {API}" in one.subject]


def faults(
    authorizer: Mapping[str, Any] | None = None, method: Mapping[str, Any] | None = None, kind: Any = "REST"
) -> list[tuple[str, str]]:
    changed = replace(OURS, **(authorizer or {})), replace(METHOD, **(method or {}))
    return [(one.level, one.actual) for one in judged(Api(API, kind, (changed[0],), (changed[1],)))]


def test_right_api_is_ok() -> None:
    assert faults() == [("ok", "its authorizers and mappings are right")]
    assert faults({"ttl": 0, "sources": ()}) == faults()


def test_cache_that_does_not_compare_a_header_of_the_map_is_an_error() -> None:
    """Trap D8."""
    (found,) = faults({"sources": ("method.request.header.Authorization", "method.request.querystring.x-tenant-id")})
    assert found == ("error", "caches answers for 300 s, and its identity sources lack x-tenant-id")
    assert faults({"sources": ()})[0][1].endswith("lack authorization and x-tenant-id")
    assert faults({"sources": (), "ttl": 300}, kind="HTTP") == faults()
    other = replace(FUNCTION, handler="app.handler")
    assert faults({"sources": (), "function": other}) == faults()


def test_cache_before_rules_for_certificates_is_an_error() -> None:
    """Trap D8."""
    (found,) = judged(Api(API, "REST", (OURS,)), replace(CONFIGURATION, certificates=("device",)))
    assert (found.level, "without the client's certificate" in found.actual) == ("error", True)


def test_cache_of_a_private_api_before_rules_for_vpcs_is_an_error() -> None:
    """Trap D8: the VPC is no identity source, so an answer for one VPC would be used for another."""
    rules = replace(CONFIGURATION, vpcs=("branch",))
    (found,) = judged(Api(API, "REST", (OURS,), is_private=True), rules)
    assert (found.level, "without the VPC of the request" in found.actual) == ("error", True)
    assert [one.level for one in judged(Api(API, "REST", (OURS,)), rules)] == ["ok"]


def test_endpoint_without_mutual_tls_is_a_warning_if_rules_read_certificates() -> None:
    """Trap D5: a client leaves its certificate out there, so that no rule denies it, and a token alone decides."""
    api, rules = Api(API, "HTTP", has_default_endpoint=True), replace(CONFIGURATION, certificates=("lost",))
    (found,) = judged(api, rules)
    assert (found.level, "default endpoint" in found.actual) == ("warning", True)
    assert [one.level for one in (*judged(api), *judged(replace(api, has_default_endpoint=False), rules))] == ["ok"] * 2


def test_authorizer_of_type_token_is_an_error() -> None:
    assert faults({"is_token": True}) == [("error", "its type is TOKEN")]


def test_other_form_of_answers_is_an_error() -> None:
    (found,) = faults({"simple": True}, kind="HTTP")
    assert found == ("error", "expects a simple response, and the function returns a policy")
    simple = replace(FUNCTION, handler=HANDLER, variables={SIMPLE_VARIABLE: "true"})
    assert faults({"simple": True, "function": simple}, kind="HTTP") == faults()


@pytest.mark.parametrize("source", [f"{one}tenant" if one.endswith(".") else one for one in CHOSEN_BY_CLIENTS])
def test_value_of_the_client_as_the_tenant_is_an_error(source: str) -> None:
    """Trap F2."""
    (found,) = faults(method={"tenant": source})
    assert (found[0], source in found[1]) == ("error", True)
    open_method = replace(METHOD, tenant=source, is_open=True)
    assert [one.level for one in judged(Api(API, "REST", (), (open_method,)))] == ["warning"]


def test_client_that_writes_the_whole_event_is_an_error() -> None:
    """Trap F5."""
    (found,) = faults(method={"type": "AWS"})
    assert found[1].startswith("invokes the bridge with an integration of type AWS")
    assert faults(method={"type": "AWS", "uri": uri(FunctionName(f"{BRIDGE.arn}-other"))}) == faults()


def test_api_that_does_not_exist_is_a_warning() -> None:
    (found,) = judged(Api(API, None))
    assert (found.level, found.expected) == ("warning", "exists")


def test_headers_certificates_and_vpcs_of_the_map_are_read() -> None:
    """Trap D8: a deny rule reads a certificate too, and a cached answer would escape it."""
    text = """
[tenants]
blue = {}
[jwt.corp]
issuer = "https://issuer.example"
audience = ["orders"]
jwks_url = "https://issuer.example/keys"
header = "X-Id-Token"
[[rule]]
id = "device"
client_cert = "CN=blue,O=Example"
tenant = "blue"
client_cert_issued_by = "our authority"
[[rule]]
id = "lost"
client_cert = "CN=green,O=Example"
deny = true
[[rule]]
id = "branch"
jwt = "corp"
vpc = "vpc-0a1b2c3d4e5f60718"
tenant = "blue"
"""
    document = parse_document(text)
    found = read_configuration(Path("bridge.toml"), document, TenantMap.from_document(document))
    assert found.headers == frozenset({"x-tenant-id", "x-id-token"})
    assert (found.certificates, found.vpcs) == (("device", "lost"), ("branch",))


def test_names_are_those_of_the_authorizer() -> None:
    assert (HANDLER, SIMPLE_VARIABLE) == (AUTHORIZER_HANDLER, authorize.SIMPLE_VARIABLE)
    assert CHOSEN_BY_CLIENTS == authorizers.CHOSEN_BY_CLIENTS
