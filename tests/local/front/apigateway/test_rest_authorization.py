"""Authorization of requests to a REST API: signatures, Lambda authorizers with their cache, resource policies."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from lattice_bridge import parse_event
from lattice_bridge.errors import Unavailable
from lattice_bridge.local.bridge.local_token import make_token
from lattice_bridge.local.bridge.signing_key import key_folder, local_key
from lattice_bridge.local.environments.environment import InvocationResult
from lattice_bridge.local.front.apigateway.jwt_authorizer import issuer_of
from lattice_bridge.local.front.exchange.authorizer_cache import MAX_CACHED, AuthorizerCache, Result
from lattice_bridge.local.front.exchange.token_keys import TokenKeys
from tests.support.rest import NOW, Answered, Gateway, api, tenant_from, to, write

UNAUTHORIZED: Final = (401, {"message": "Unauthorized"}, "UnauthorizedException")
DENIED: Final = "User is not authorized to access this resource"
GUARD: Final = "arn:aws:lambda:us-east-1:123456789012:function:guard"
URI: Final = f"arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/{GUARD}/invocations"


def policy(effect: str = "Allow", resource: Any = "*", **more: Any) -> dict[str, Any]:
    statement = {"Effect": effect, "Action": "execute-api:Invoke", "Resource": resource}
    return {"principalId": "user", "policyDocument": {"Version": "2012-10-17", "Statement": [statement]}, **more}


def scheme(kind: str, header: str = "Authorization", **more: Any) -> dict[str, Any]:
    authorizer = {"type": kind, "authorizerUri": URI, **more}
    return {
        "type": "apiKey",
        "in": "header",
        "name": header,
        "x-amazon-apigateway-authtype": "custom",
        "x-amazon-apigateway-authorizer": authorizer,
    }


PATHS: Final = {
    "/orders": {"get": {**to("orders"), "security": [{"guard": []}]}},
    "/admin/{id}": {"get": {**to("orders"), "security": [{"guard": []}]}},
    "/tenant": {
        "get": {
            **to("isolated", requestParameters=tenant_from("context.authorizer.tenantId")),
            "security": [{"guard": []}],
        }
    },
    "/open": {"get": to("orders")},
}


def guarded(folder: Path, authorizer: dict[str, Any], answer: Any) -> Gateway:
    """A gateway whose authorizer answers, or whose answer is a function of its event."""
    made = Gateway(write(folder, api(PATHS, components={"securitySchemes": {"guard": authorizer}})))
    made.functions["guard"] = answer if callable(answer) else lambda _: answer
    return made


def outcome(answer: Answered) -> tuple[int, Any, str | None]:
    return answer.status, answer.json(), answer.header("x-amzn-errortype")


TOKEN: Final = scheme("token", "X-Token", identityValidationExpression="^t-[a-z]+$")
REQUEST: Final = scheme(
    "request", identitySource="method.request.header.Authorization, method.request.querystring.q, stageVariables.who"
)


# ---- Lambda authorizers ---------------------------------------------------------------------------------------------


def test_token_authorizer_gets_the_token_and_the_method(tmp_path: Path) -> None:
    made = guarded(tmp_path, TOKEN, policy(context={"text": "a", "number": 7, "yes": True, "principalId": "forged"}))
    assert made.get("/prod/orders", {"x-token": "t-abc"}).status == 200
    api_id = made.plan.rest_apis[0].id
    (event,) = made.events("guard")
    assert event == {
        "type": "TOKEN",
        "methodArn": f"arn:aws:execute-api:us-east-1:123456789012:{api_id}/prod/GET/orders",
        "authorizationToken": "t-abc",
    }
    context = made.events("orders")[0]["requestContext"]["authorizer"]
    assert isinstance(context.pop("integrationLatency"), int)
    assert context == {"principalId": "user", "text": "a", "number": "7", "yes": "true"}


def test_request_authorizer_gets_the_request_without_its_body(tmp_path: Path) -> None:
    made = guarded(tmp_path, REQUEST, policy())
    assert made.get("/prod/admin/7?q=1", {"Authorization": "x"}, body=b"secret").status == 200
    (event,), (reached,) = made.events("guard"), made.events("orders")
    assert (event["type"], event["resource"], event["pathParameters"]) == ("REQUEST", "/admin/{id}", {"id": "7"})
    assert event["methodArn"].endswith("/prod/GET/admin/7")
    assert {"body", "isBase64Encoded"}.isdisjoint(event)
    assert "authorizer" not in event["requestContext"]
    assert event["headers"] == reached["headers"]


@pytest.mark.parametrize(
    ("authorizer", "target", "headers"),
    [
        (TOKEN, "/prod/orders", {}),
        (TOKEN, "/prod/orders", {"x-token": ""}),
        (TOKEN, "/prod/orders", {"x-token": "x-abc"}),
        (TOKEN, "/prod/orders", {"x-token": "t-abc\n"}),
        (REQUEST, "/prod/orders?q=1", {}),
        (REQUEST, "/prod/orders", {"authorization": "x"}),
    ],
)
def test_request_without_an_identity_is_refused_before_the_function_runs(
    authorizer: dict[str, Any], target: str, headers: dict[str, str], tmp_path: Path
) -> None:
    made = guarded(tmp_path, authorizer, policy())
    assert outcome(made.get(target, headers)) == UNAUTHORIZED
    assert made.invoked == []


def test_cause_of_a_missing_identity_names_the_source(tmp_path: Path) -> None:
    answer = guarded(tmp_path, REQUEST, policy()).get("/prod/orders?q=1")
    assert answer.cause == (
        "the request lacks the header authorization, an identity source of the authorizer guard, which was not run. "
        "Fix: send it"
    )


@pytest.mark.parametrize(
    ("answer", "message", "cause"),
    [
        (policy("Deny"), f"{DENIED} with an explicit deny", "statement 1 in the policy of the authorizer guard denies"),
        (policy(resource="arn:aws:execute-api:*:*:*/prod/POST/*"), DENIED, "no statement in the policy of"),
        (policy(resource="arn:aws:execute-api:*:*:*/dev/*"), DENIED, "no statement in the policy of"),
        (policy(resource=[]), DENIED, "no statement"),
    ],
)
def test_policy_that_does_not_allow_the_method_is_a_403(answer: Any, message: str, cause: str, tmp_path: Path) -> None:
    made = guarded(tmp_path, TOKEN, answer)
    refused = made.get("/prod/orders", {"x-token": "t-a"})
    assert outcome(refused) == (403, {"Message": message}, "AccessDeniedException")
    assert cause in refused.cause
    assert made.events("orders") == []


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("/prod/admin/7", 403),
        ("/prod/admin/7/", 403),
        ("/prod//admin/7", 403),
        ("/prod/admin//7", 403),
        ("/prod/orders", 200),
    ],
)
def test_spelling_of_a_path_does_not_avoid_a_deny(target: str, status: int, tmp_path: Path) -> None:
    answer = policy()
    denied = {
        "Effect": "Deny",
        "Action": "execute-api:Invoke",
        "Resource": "arn:aws:execute-api:*:*:*/prod/GET/admin/7",
    }
    answer["policyDocument"]["Statement"].append(denied)
    assert guarded(tmp_path, TOKEN, answer).get(target, {"x-token": "t-a"}).status == status


def test_condition_that_is_not_decided_allows_nothing(tmp_path: Path) -> None:
    answer = policy()
    statement = answer["policyDocument"]["Statement"][0]
    statement["Condition"] = {"IpAddress": {"aws:SourceIp": "127.0.0.0/8"}}
    assert guarded(tmp_path, TOKEN, answer).get("/prod/orders", {"x-token": "t-a"}).status == 403
    statement["Condition"] = {"StringEquals": {"aws:SourceIp": "127.0.0.1"}}
    assert guarded(tmp_path, TOKEN, answer).get("/prod/orders", {"x-token": "t-a"}).status == 200


@pytest.mark.parametrize(
    ("answer", "cause"),
    [
        (None, "it is not an object"),
        ("Unauthorized", "it is not an object"),
        ({"policyDocument": policy()["policyDocument"]}, "principalId is not a string"),
        ({"principalId": "x"}, "policyDocument: no Statement in it"),
        (policy(context=[]), "context is not an object"),
        (policy(context={"claims": {"tenant": "blue"}}), "context.claims is not a string, a number or a boolean"),
        (policy(context={"a": None}), "context.a is not a string"),
        (
            InvocationResult(b'{"errorType": "E", "errorMessage": "unauthorized"}', "Unhandled"),
            "failed: E: unauthorized",
        ),
        (InvocationResult(b"{}", "Unhandled", timed_out=True), "the authorizer guard failed"),
        (InvocationResult(b"{"), "it is not JSON"),
        (InvocationResult(b'{"principalId": "x", "context": {"tenantId": NaN}}'), "it is not JSON"),
        (InvocationResult(b'{"principalId": "x", "context": {"tenantId": 1e999}}'), "it is not JSON"),
    ],
)
def test_authorizer_that_fails_is_a_500_with_a_null_message(answer: Any, cause: str, tmp_path: Path) -> None:
    made = guarded(tmp_path, TOKEN, lambda _: answer)
    refused = made.get("/prod/orders", {"x-token": "t-a"})
    assert outcome(refused) == (500, {"message": None}, "AuthorizerConfigurationException")
    assert cause in refused.cause
    assert made.events("orders") == []
    made.functions["guard"] = lambda _: policy()
    assert made.get("/prod/orders", {"x-token": "t-a"}).status == 200, "a failure is not cached"


def test_function_that_raises_unauthorized_is_a_401(tmp_path: Path) -> None:
    raised = InvocationResult(b'{"errorType": "Exception", "errorMessage": "Unauthorized"}', "Unhandled")
    assert outcome(guarded(tmp_path, TOKEN, lambda _: raised).get("/prod/orders", {"x-token": "t-a"})) == UNAUTHORIZED


def test_method_without_an_authorizer_is_open(tmp_path: Path) -> None:
    made = guarded(tmp_path, TOKEN, policy("Deny"))
    assert made.get("/prod/open").status == 200
    assert made.events("guard") == []


def test_tenant_of_the_authorizer_is_not_the_clients(tmp_path: Path) -> None:
    """Trap F2: the authorizer decides the tenant; headers, query and a client's own context do not."""
    made = guarded(tmp_path, TOKEN, policy(context={"tenantId": "blue"}))
    headers = {
        "x-token": "t-a",
        "X-Amz-Tenant-Id": "green",
        "tenantId": "green",
        "context.authorizer.tenantId": "green",
    }
    assert made.get("/prod/tenant?tenantId=green", headers).status == 200
    assert [one.tenant for one in made.invoked if "isolated" in one.function] == ["blue"]


def test_authorizer_without_a_tenant_invokes_no_isolated_function(tmp_path: Path) -> None:
    made = guarded(tmp_path, TOKEN, policy())
    refused = made.get("/prod/tenant", {"x-token": "t-a", "X-Amz-Tenant-Id": "green"})
    assert refused.status == 500
    assert "The integration reads the tenant id from the context authorizer.tenantId." in refused.cause


def test_half_of_a_character_is_refused_as_a_tenant_and_reaches_a_function_as_an_escape(tmp_path: Path) -> None:
    """Trap A10: a claim of a token may contain one, and an authorizer may repeat it."""
    made = guarded(tmp_path, TOKEN, policy(context={"tenantId": "\ud800"}))
    assert "ValidationException" in made.get("/prod/tenant", {"x-token": "t-a"}).cause
    assert made.get("/prod/orders", {"x-token": "t-a"}).status == 200
    assert made.events("orders")[-1]["requestContext"]["authorizer"]["tenantId"] == "\ud800"


# ---- the cache of results -------------------------------------------------------------------------------------------


def by_identity(event: Mapping[str, Any]) -> Any:
    return policy(context={"tenantId": event.get("headers", {}).get("Authorization", event.get("authorizationToken"))})


def test_result_is_cached_for_its_time_and_evaluated_for_each_method(tmp_path: Path) -> None:
    made = guarded(tmp_path, TOKEN | {}, policy(resource="arn:aws:execute-api:*:*:*/prod/GET/orders"))
    assert made.get("/prod/orders", {"x-token": "t-a"}).status == 200
    made.seconds = 299
    refused = made.get("/prod/admin/7", {"x-token": "t-a"})
    assert (refused.status, len(made.events("guard"))) == (403, 1)
    assert "(a cached result)" in refused.cause
    made.seconds = 301
    assert made.get("/prod/orders", {"x-token": "t-a"}).status == 200
    assert len(made.events("guard")) == 2


def test_cached_result_is_for_the_same_values_of_all_identity_sources(tmp_path: Path) -> None:
    """Trap D8: requests that differ in one identity source share no result."""
    made = guarded(tmp_path, REQUEST, by_identity)
    requests = [("/prod/tenant?q=1", "blue"), ("/prod/tenant?q=2", "blue"), ("/prod/tenant?q=1", "green")]
    for target, name in [*requests, *requests]:
        assert made.get(target, {"Authorization": name}).status == 200
    assert len(made.events("guard")) == 3
    tenants = [one.tenant for one in made.invoked if "isolated" in one.function]
    assert tenants == ["blue", "blue", "green"] * 2


def test_values_that_read_alike_when_joined_share_no_result(tmp_path: Path) -> None:
    """Trap D8: a separator in a value does not make two requests equal."""
    made = guarded(tmp_path, REQUEST, by_identity)
    for name, q in (("a,b", "c"), ("a", "b,c"), ('a", "b', "c"), ("a", 'b", "c')):
        made.get(f"/prod/orders?q={q}", {"Authorization": name})
    assert len(made.events("guard")) == 4


def test_authorizer_with_ttl_zero_is_run_for_each_request(tmp_path: Path) -> None:
    made = guarded(tmp_path, scheme("token", authorizerResultTtlInSeconds=0), policy())
    for _ in range(2):
        assert made.get("/prod/orders", {"Authorization": "x"}).status == 200
    assert len(made.events("guard")) == 2


def test_authorizer_without_an_identity_source_shares_no_result(tmp_path: Path) -> None:
    """Trap D8: nothing tells its requests apart, so the second client would run as the first one's tenant."""
    guard = scheme("request", authorizerResultTtlInSeconds=300, identitySource=" ")
    made = guarded(tmp_path, guard, by_identity)
    for name in ("blue", "green"):
        assert made.get("/prod/tenant", {"Authorization": name}).status == 200
    assert [one.tenant for one in made.invoked if "isolated" in one.function] == ["blue", "green"]
    left_out = "results of an authorizer without an identity source are not cached: AWS refuses that (guard)"
    assert left_out in made.plan.left_out


def test_new_plan_forgets_the_results(tmp_path: Path) -> None:
    made = guarded(tmp_path, TOKEN, policy())
    for _ in range(2):
        assert made.get("/prod/orders", {"x-token": "t-a"}).status == 200
        made.front.plan = made.plan
    assert len(made.events("guard")) == 2


def test_result_of_an_authorizer_that_began_before_a_new_plan_is_not_cached(tmp_path: Path) -> None:
    """Trap D8: it was decided by the old map, which may allow what the new one refuses."""

    def answer(_event: Any) -> dict[str, Any]:
        if len(made.events("guard")) == 1:
            made.front.plan = made.plan
        return policy()

    made = guarded(tmp_path, TOKEN, answer)
    for _ in range(3):
        assert made.get("/prod/orders", {"x-token": "t-a"}).status == 200
    assert len(made.events("guard")) == 2


def test_cache_is_bounded() -> None:
    """Trap D9: callers with many tokens replace the oldest result."""
    cache, result = AuthorizerCache(), Result("user", {})
    for number in range(MAX_CACHED + 1):
        cache.put(str(number), result, NOW.replace(hour=23))
    assert cache.get("0", NOW) is None
    assert cache.get("1", NOW) is result
    assert cache.get("1", NOW.replace(hour=23)) is None


# ---- signatures -----------------------------------------------------------------------------------------------------

SIGNED: Final[dict[str, Any]] = {
    "components": {"securitySchemes": {"sigv4": {"type": "apiKey", "x-amazon-apigateway-authtype": "awsSigv4"}}}
}
SIGNED_PATHS: Final = {"/orders": {"x-amazon-apigateway-any-method": {**to("orders"), "security": [{"sigv4": []}]}}}


def signature(
    target: str, body: bytes = b"", *, key: str = "LOCALBLUE", secret: str = "blue", service: str = "execute-api"
) -> Any:
    request = AWSRequest("POST", f"http://localhost:8080{target}", headers={"host": "localhost:8080"}, data=body)
    request.context["timestamp"] = NOW.strftime("%Y%m%dT%H%M%SZ")
    auth = SigV4Auth(Credentials(key, secret), service, "us-east-1")
    request.headers["x-amz-date"] = request.context["timestamp"]
    request.headers["x-amz-content-sha256"] = hashlib.sha256(body).hexdigest()
    canonical = auth.canonical_request(request)
    signed = auth.signature(auth.string_to_sign(request, canonical), request)
    auth._inject_signature_to_request(request, signed)
    return {name: value for name, value in request.headers.items() if name.lower() != "host"}


def test_signed_caller_is_in_the_event(tmp_path: Path) -> None:
    made = Gateway(write(tmp_path, api(SIGNED_PATHS, **SIGNED)))
    answer = made.get("/prod/orders?a=1", signature("/prod/orders?a=1", b"{}"), method="POST", body=b"{}")
    assert answer.status == 200
    identity = made.events("orders")[0]["requestContext"]["identity"]
    assert identity["userArn"] == "arn:aws:sts::111122223333:assumed-role/blue-api/local"
    assert (identity["accessKey"], identity["accountId"]) == ("LOCALBLUE", "111122223333")
    assert identity["principalOrgId"] == "o-local00000"
    assert identity["caller"] == identity["user"]
    assert identity["caller"].startswith("AROA")
    assert identity["caller"].endswith(":local")
    (api_id,) = [one.id for one in made.plan.rest_apis]
    parsed = parse_event(made.events("orders")[0], apis=[api_id])
    assert (parsed.caller.authenticated, parsed.caller.principal) == (True, identity["userArn"])


@pytest.mark.parametrize(
    ("headers", "body", "error", "message"),
    [
        ({}, b"", "MissingAuthenticationTokenException", "Missing Authentication Token"),
        ({"authorization": "Bearer x"}, b"", "MissingAuthenticationTokenException", "Missing Authentication Token"),
        (
            {"key": "LOCALNONE"},
            b"",
            "UnrecognizedClientException",
            "The security token included in the request is invalid",
        ),
        ({"secret": "green"}, b"", "InvalidSignatureException", "The request signature we calculated does not match"),
        (
            {"service": "lambda"},
            b"",
            "InvalidSignatureException",
            "Credential should be scoped to us-east-1/execute-api",
        ),
        (
            {"signed": "yes"},
            b"changed",
            "InvalidSignatureException",
            "The request signature we calculated does not match",
        ),
    ],
)
def test_wrong_signature_is_refused(
    headers: dict[str, str], body: bytes, error: str, message: str, tmp_path: Path
) -> None:
    made = Gateway(write(tmp_path, api(SIGNED_PATHS, **SIGNED)))
    signs = bool(headers) and "authorization" not in headers
    options: dict[str, Any] = {name: value for name, value in headers.items() if name != "signed"}
    sent = signature("/prod/orders", **options) if signs else headers
    refused = made.get("/prod/orders", sent, method="POST", body=body)
    assert (refused.status, refused.header("x-amzn-errortype")) == (403, error)
    assert refused.json()["message"].startswith(message)
    assert "Fix: " in refused.cause
    assert "Fix: " not in refused.json()["message"]
    assert made.invoked == []


# ---- resource policies ----------------------------------------------------------------------------------------------


def with_policy(folder: Path, *statements: dict[str, Any], signed: bool = False) -> Gateway:
    paths = SIGNED_PATHS if signed else {"/orders": {"x-amazon-apigateway-any-method": to("orders")}}
    document = {"Version": "2012-10-17", "Statement": list(statements)}
    more: dict[str, Any] = {**SIGNED, "x-amazon-apigateway-policy": document}
    return Gateway(write(folder, api(paths, **more)))


def statement(effect: str, resource: str = "execute-api:/*", principal: Any = "*", **more: Any) -> dict[str, Any]:
    return {"Effect": effect, "Principal": principal, "Action": "execute-api:Invoke", "Resource": resource, **more}


@pytest.mark.parametrize(
    ("statements", "status"),
    [
        ([statement("Allow")], 200),
        ([statement("Allow", "execute-api:/prod/POST/*")], 200),
        ([statement("Allow", "execute-api:/prod/GET/*")], 403),
        ([statement("Allow"), statement("Deny", "execute-api:/*/*/orders")], 403),
        ([statement("Allow", principal={"AWS": "111122223333"})], 403),
        ([statement("Allow"), statement("Deny", Condition={"StringNotEquals": {"aws:SourceVpc": "vpc-1"}})], 403),
    ],
)
def test_resource_policy_decides_for_everybody(statements: list[dict[str, Any]], status: int, tmp_path: Path) -> None:
    made = with_policy(tmp_path, *statements)
    assert made.get("/prod/orders", method="POST").status == status


def test_refusal_of_a_resource_policy_hides_the_account(tmp_path: Path) -> None:
    refused = with_policy(tmp_path, statement("Deny")).get("/prod/orders")
    assert refused.status == 403
    assert refused.json()["Message"].startswith("User: anonymous is not authorized to perform: execute-api:Invoke on ")
    assert refused.json()["Message"].endswith("/prod/GET/orders with an explicit deny")
    assert ":********9012:" in refused.json()["Message"]
    assert "123456789012" not in refused.json()["Message"]
    assert refused.cause == "statement 1 of the resource policy of Api denies it"


@pytest.mark.parametrize(
    ("statements", "status"),
    [
        ([statement("Allow", principal={"AWS": "arn:aws:iam::111122223333:role/blue-api"})], 200),
        ([statement("Allow", principal={"AWS": "arn:aws:iam::123456789012:role/blue-api"})], 403),
        ([statement("Allow"), statement("Deny", principal={"AWS": "arn:aws:iam::111122223333:role/blue-api"})], 403),
    ],
)
def test_resource_policy_names_signed_callers(statements: list[dict[str, Any]], status: int, tmp_path: Path) -> None:
    """Trap B4: a role of the same name in another account is another caller."""
    made = with_policy(tmp_path, *statements, signed=True)
    assert made.get("/prod/orders", signature("/prod/orders"), method="POST").status == status


# ---- Cognito user pools ---------------------------------------------------------------------------------------------

POOL: Final = "arn:aws:cognito-idp:us-east-1:123456789012:userpool/us-east-1_a"
POOLS: Final[dict[str, Any]] = {
    "components": {"securitySchemes": {"pool": scheme("cognito_user_pools", "X-Id", providerARNs=[POOL])}}
}
POOL_PATHS: Final = {
    "/me": {"get": {**to("orders"), "security": [{"pool": []}]}},
    "/orders": {"get": {**to("orders"), "security": [{"pool": ["orders/read", "admin"]}]}},
    "/tenant": {
        "get": {
            **to("isolated", requestParameters=tenant_from("context.authorizer.claims.custom:tenant")),
            "security": [{"pool": []}],
        }
    },
}


@pytest.fixture(scope="module")
def environ(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return {"XDG_CACHE_HOME": str(tmp_path_factory.mktemp("cache"))}


def pooled(folder: Path, environ: dict[str, str]) -> Gateway:
    def offline(_url: str) -> bytes:
        raise Unavailable("keys_unavailable", "the key set could not be fetched (OSError)")

    return Gateway(write(folder, api(POOL_PATHS, **POOLS)), tokens=TokenKeys(environ, offline))


def token(made: Gateway, environ: dict[str, str], *, issuer: str = "", **claims: Any) -> str:
    pool = issuer_of(made.plan.jwt_authorizers["pool"])
    pool = pool._replace(issuer=issuer) if issuer else pool
    key = local_key("RS256", key_folder(environ), made.plan.folder)
    return make_token(pool, key, claims, now=NOW.timestamp(), subject="ann", lifetime=600)


@pytest.mark.parametrize("scheme_of_http", ["", "Bearer "])
def test_token_of_a_user_pool_is_verified_and_its_claims_are_in_the_event(
    scheme_of_http: str, tmp_path: Path, environ: dict[str, str]
) -> None:
    made = pooled(tmp_path, environ)
    claims: dict[str, Any] = {
        "token_use": "id",
        "cognito:groups": ["a", "b"],
        "email_verified": True,
        "custom:tenant": "blue",
    }
    assert made.get("/prod/me", {"x-id": scheme_of_http + token(made, environ, **claims)}).status == 200
    found = made.events("orders")[0]["requestContext"]["authorizer"]["claims"]
    assert found["iss"] == "https://cognito-idp.us-east-1.amazonaws.com/us-east-1_a"
    assert (found["sub"], found["cognito:groups"], found["email_verified"]) == ("ann", "a,b", "true")
    assert (found["custom:tenant"], found["exp"]) == ("blue", "Mon Nov 30 12:10:00 UTC 2026")


def test_claim_with_a_colon_in_its_name_is_mapped_to_the_tenant(tmp_path: Path, environ: dict[str, str]) -> None:
    made = pooled(tmp_path, environ)
    bearer = token(made, environ, token_use="id", **{"custom:tenant": "blue"})
    assert made.get("/prod/tenant", {"x-id": bearer, "x-amz-tenant-id": "green"}).status == 200
    assert [one.tenant for one in made.invoked] == ["blue"]


@pytest.mark.parametrize(
    ("path", "claims", "status"),
    [
        ("/me", {"token_use": "access"}, 401),
        ("/orders", {"token_use": "id", "scope": "orders/read"}, 401),
        ("/orders", {"token_use": "access", "scope": "openid"}, 401),
        ("/orders", {"token_use": "access", "scope": "openid orders/read"}, 200),
        ("/orders", {"scope": "admin"}, 200),
        ("/me", {"issuer": "https://cognito-idp.us-east-1.amazonaws.com/us-east-1_b"}, 401),
    ],
)
def test_scopes_of_the_method_require_an_access_token(
    path: str, claims: dict[str, Any], status: int, tmp_path: Path, environ: dict[str, str]
) -> None:
    made = pooled(tmp_path, environ)
    answer = made.get(f"/prod{path}", {"x-id": token(made, environ, **claims)})
    assert answer.status == status
    assert len(made.invoked) == (status == 200)


@pytest.mark.parametrize(
    "headers", [{}, {"x-id": "nothing"}, {"x-id": "Basic YTpi"}, {"authorization": "Bearer x.y.z"}]
)
def test_request_without_a_token_of_the_pool_is_a_401(
    headers: dict[str, str], tmp_path: Path, environ: dict[str, str]
) -> None:
    refused = pooled(tmp_path, environ).get("/prod/me", headers)
    assert outcome(refused) == UNAUTHORIZED
    assert refused.cause.startswith("the authorizer pool requires a token in the header x-id: ")
    assert refused.cause.endswith("Fix: `lattice-bridge token --template FILE --issuer pool`")


def test_user_pool_of_no_known_arn_refuses_every_request(tmp_path: Path) -> None:
    made = guarded(tmp_path, scheme("cognito_user_pools", providerARNs=["pool"]), policy())
    refused = made.get("/prod/orders", {"Authorization": "x"})
    assert outcome(refused) == UNAUTHORIZED
    assert "the authorizer guard with the user pool pool, which this stack does not serve" in refused.cause
    assert any("the user pool pool is not served" in line for line in made.plan.left_out)


def test_json_of_the_policy_may_be_a_string(tmp_path: Path) -> None:
    document = json.dumps(json.dumps({"Statement": [statement("Deny")]}))
    made = Gateway(write(tmp_path, api({"/a": {"get": to("orders")}}, properties=f"Policy: {document}, ")))
    assert made.get("/prod/a").status == 403
